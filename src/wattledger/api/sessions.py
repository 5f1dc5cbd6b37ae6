"""``/v1/sessions``: finished sessions in from a CPMS, and how all of them stand."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wattledger.api.answers import json_answer
from wattledger.api.body import read_body
from wattledger.api.charges import shown
from wattledger.api.state import State
from wattledger.errors import BadInput, Malformed, NotFound
from wattledger.pipeline.imports import SessionIn, take
from wattledger.section import bad_input

BODY_MAX_BYTES = 8 * 1024 * 1024
BATCH_MAX = 1_000
PAGE_MAX = 1_000


async def post(request: Request) -> Response:
    """One session or a list of them. Each counts once under its id, however often it is sent."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "sessions:write")
    raw = await read_body(request, BODY_MAX_BYTES)
    one = raw.lstrip()[:1] != b"["
    try:
        found = _ONE.decode(raw) if one else _MANY.decode(raw)
    except msgspec.ValidationError as error:
        raise bad_input(error, SessionIn if one else list[SessionIn]) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed("$", raw[:80].decode("utf-8", "replace"), f"a session: {error}") from None
    rows = [found] if isinstance(found, SessionIn) else found
    if len(rows) > BATCH_MAX:
        raise BadInput("$", f"{len(rows)} sessions", f"{BATCH_MAX} at most in one request")
    answers = []
    for i, session in enumerate(rows):
        path = "$" if one else f"$[{i}]"
        answers.append(await take(state.world, "api", session, path))
    state.wake()
    status = 201 if any(answer["new"] for answer in answers) else 200
    return json_answer({"sessions": answers}, status)


async def get_many(request: Request) -> Response:
    """``?limit=&after=<id>&state=``: sessions by id."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "sessions:read")
    query = request.query_params
    limit = _limit(query.get("limit"))
    after = _id(query.get("after", ""), "after")
    async with state.reader.connection() as conn:
        cursor = await conn.execute(
            _SELECT + " WHERE s.id > %(after)s AND (%(state)s::text IS NULL OR s.state = %(state)s)"
            " ORDER BY s.id LIMIT %(limit)s",
            {"after": after, "state": query.get("state"), "limit": limit},
        )
        rows = await cursor.fetchall()
    following = rows[-1]["id"] if len(rows) == limit else None
    return json_answer({"items": rows, "after": following})


async def get_one(request: Request) -> Response:
    """A session with its charge, line by line, and its facts."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "sessions:read")
    session_id = _id(request.path_params["session_id"], "session_id")
    async with state.reader.connection() as conn:
        cursor = await conn.execute(_SELECT + " WHERE s.id = %s", (session_id,))
        row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"no session {session_id}")
        cursor = await conn.execute(
            "SELECT kind, at, received_at, register_wh, activity, detail FROM session_fact"
            " WHERE session_id = %s ORDER BY at, id",
            (session_id,),
        )
        facts = await cursor.fetchall()
        cursor = await conn.execute(
            "SELECT c.document, v.body FROM charge c"
            " JOIN config_version v ON v.digest = c.tariff_digest"
            " WHERE c.session_id = %s ORDER BY c.revision",
            (session_id,),
        )
        documents = await cursor.fetchall()
    charges = [shown(bytes(d["document"]), d["body"]) for d in documents]
    return json_answer({**row, "facts": facts, "charges": charges})


_SELECT = """
    SELECT s.id, s.entity_id, s.site_id, s.charge_point_id, s.connector_id, s.transaction_id,
           s.source, s.token, s.account_id, s.route, s.state, s.held_reason, s.started_at,
           s.stopped_at, s.ended_at, s.meter_start_wh, s.meter_stop_wh,
           s.meter_stop_wh - s.meter_start_wh AS energy_wh, i.external_id,
           c.id AS charge_id, c.currency, c.net_minor, c.tax_minor, c.total_minor
    FROM session s
    LEFT JOIN charge c ON c.session_id = s.id AND c.revision = 1
    LEFT JOIN inbox i ON s.source = 'api' AND i.source = 'api' AND i.answer IS NOT NULL
        AND i.answer->>'session_id' = s.id
"""
_ONE = msgspec.json.Decoder(SessionIn)
_MANY = msgspec.json.Decoder(list[SessionIn])


def _id(text: str, path: str) -> str:
    if "\0" in text or len(text) > 100:
        raise BadInput(path, text, "an id")
    return text


def _limit(text: str | None) -> int:
    if text is None:
        return 100
    if not text.isdecimal() or not 1 <= int(text) <= PAGE_MAX:
        raise BadInput("limit", text, f"a number from 1 to {PAGE_MAX}")
    return int(text)
