"""``POST /v1/sessions``: finished sessions in from a CPMS."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from wattledger.api.batches import BATCH_MAX, Result, answer, take_each
from wattledger.api.body import read_body
from wattledger.api.idempotency import once
from wattledger.api.state import State
from wattledger.errors import BadInput
from wattledger.pipeline.importing.imports import Item
from wattledger.sessions import sent
from wattledger.wire import exact

BODY_MAX_BYTES = 8 * 1024 * 1024


async def post(request: Request) -> Response:
    """One session or a list of them. Each counts once under its id, however often it is sent, and
    each stands alone: the answer says of every one what became of it."""
    state: State = request.app.state.wattledger
    key_name = state.keys.require(request, "sessions:write")
    raw = await read_body(request, BODY_MAX_BYTES)

    async def act() -> Response:
        found = exact.parse(raw)
        one = not isinstance(found, list)
        rows = [found] if one else found
        if len(rows) > BATCH_MAX:
            raise BadInput("$", f"{len(rows)} sessions", f"{BATCH_MAX} at most in one request")
        items = [_read(row, "$" if one else f"$[{i}]") for i, row in enumerate(rows)]
        return answer(await take_each(state, "api", items, sent.NAMES), one=one)

    return await once(request, key_name, raw, act)


def _read(found: object, path: str) -> Item | Result:
    try:
        return Item(sent.read(found, path), path)
    except BadInput as error:
        given = found.get("session_id") if isinstance(found, dict) else None
        return Result(given if isinstance(given, str) else None, error=error)
