"""``POST /v1/authorizations``: may this token charge there, and on what terms?"""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wattledger.api.answers import json_answer
from wattledger.api.body import read_body
from wattledger.api.state import State
from wattledger.errors import BadInput
from wattledger.pipeline.charging.quote import Question, quote
from wattledger.sessions import sent
from wattledger.sessions.finished import CONNECTOR_MAX
from wattledger.sessions.session_file import time_of
from wattledger.wire import exact, records

BODY_MAX_BYTES = 64 * 1024
_TOKEN_MAX = 36


class _Named(msgspec.Struct, frozen=True):
    """A location or an EVSE, as a session names it."""

    id: str | None = None


class _Asked(msgspec.Struct, frozen=True):
    token: str
    charge_point_id: str | None = None
    connector_id: int | None = None
    location: _Named = _Named()
    evse: _Named = _Named()
    at: str | None = None


async def post(request: Request) -> Response:
    """The decision and its terms; 200 whether or not the token is accepted."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "authorizations:write")
    found = exact.parse(await read_body(request, BODY_MAX_BYTES))
    return json_answer(await quote(state.world, _question(found)))


def _question(found: object) -> Question:
    if isinstance(found, dict):
        # A text is short for an object with that id.
        for name in ("location", "evse"):
            if isinstance(found.get(name), str):
                found[name] = {"id": found[name]}
    warnings: list[str] = []
    asked = records.read(found, _Asked, "$", warnings)
    for warning in warnings:
        path, _, what = warning.partition(": ")
        raise BadInput(path, what, "no others than: " + ", ".join(_Asked.__struct_fields__))
    if not 1 <= len(asked.token) <= _TOKEN_MAX or not asked.token.isprintable():
        raise BadInput("$.token", asked.token, f"1 to {_TOKEN_MAX} printable characters")
    site_id = asked.location.id
    point, connector = asked.charge_point_id, asked.connector_id
    if site_id is None or point is not None or asked.evse.id is not None:
        point, connector = sent.place(point, connector, asked.evse.id, "$")
    if connector is not None and not 0 < connector <= CONNECTOR_MAX:
        raise BadInput("$.connector_id", connector, f"a whole number from 1 to {CONNECTOR_MAX}")
    at = time_of(asked.at, "$.at") if asked.at is not None else None
    return Question(asked.token, point, connector, site_id, at)
