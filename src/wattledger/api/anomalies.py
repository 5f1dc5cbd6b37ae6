"""``/v1/anomalies``: what a person should look at, and what somebody decides about it."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wattledger.api import query
from wattledger.api.answers import json_answer
from wattledger.api.body import read_body
from wattledger.api.seen import anomaly_shown
from wattledger.api.state import State
from wattledger.clock import utc_text
from wattledger.errors import BadInput, Malformed, NotFound
from wattledger.ingest import anomalies
from wattledger.pipeline.billing.decisions import Offers, offers
from wattledger.pipeline.billing.resolve import Act, resolve
from wattledger.section import bad_input

BODY_MAX_BYTES = 20_000
_OPEN = {"open": True, "resolved": False, "all": None}
_ACT = msgspec.json.Decoder(Act)


async def get_many(request: Request) -> Response:
    """``?state=open|resolved|all&code=&subject=&after=<id>&limit=``: anomalies by number."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "sessions:read")
    which = query.text(request, "state") or "open"
    if which not in _OPEN:
        raise BadInput("state", which, f"one of {', '.join(_OPEN)}")
    after = query.text(request, "after")
    limit = query.limit(request)
    async with state.reader.connection() as conn:
        found = await anomalies.listed(
            conn, limit=limit, open_only=_OPEN[which], code=query.text(request, "code"),
            subject=query.text(request, "subject"),
            after=query.number(after, "after") if after else None,
        )  # fmt: skip
    following = found[-1].id if len(found) == limit else None
    return json_answer({"items": [anomaly_shown(one) for one in found], "after": following})


async def get_one(request: Request) -> Response:
    """An anomaly, and under ``offers`` what can be done about it now."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "sessions:read")
    anomaly_id = query.number(request.path_params["anomaly_id"], "anomaly_id")
    async with state.reader.connection() as conn:
        found = await anomalies.get(conn, anomaly_id)
        if found is None:
            raise NotFound(f"there is no anomaly {anomaly_id}")
        offered = await offers(state.world, conn, found)
    return json_answer({**anomaly_shown(found), "offers": _shown(offered)})


async def post_act(request: Request) -> Response:
    """``{"act": "accept" | "correct" | "discard", "reason", …}``; the same again changes nothing.

    201 where it was done now, 200 where it had been; 409 where the anomaly was resolved in another
    way, or where the act is not offered.
    """
    state: State = request.app.state.wattledger
    name = state.keys.require(request, "anomalies:write")
    anomaly_id = query.number(request.path_params["anomaly_id"], "anomaly_id")
    raw = await read_body(request, BODY_MAX_BYTES)
    try:
        act = _ACT.decode(raw)
    except msgspec.ValidationError as error:
        raise bad_input(error, Act) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed("$", raw[:80].decode("utf-8", "replace"), f"an act: {error}") from None
    done = await resolve(state.world, anomaly_id, act, f"key:{name}")
    state.wake()
    return json_answer(done, 201 if done.new else 200)


def _shown(found: Offers) -> dict[str, Any]:
    bills = found.bills
    return {
        "acts": found.acts,
        "holds_session": found.holding,
        "bills": None if bills is None else {
            "energy_wh": bills.energy_wh, "currency": bills.currency,
            "total_minor": bills.total_minor,
        },
        "why_not_accepted": found.why or None,
        "known": None if found.known is None else {
            "start": {"at": utc_text(found.known.start_at), "register_wh": found.known.start_wh},
            "stop": {
                "at": utc_text(found.known.stop_at) if found.known.stop_at else None,
                "register_wh": found.known.stop_wh,
            },
        },
    }  # fmt: skip
