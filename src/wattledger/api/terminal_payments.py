"""``POST /v1/terminal-payments``: what a terminal's vendor reports of its payments."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from wattledger.api.batches import BATCH_MAX, Result, answer
from wattledger.api.body import read_body
from wattledger.api.state import State
from wattledger.entitlements.terminals import TerminalVendor
from wattledger.errors import BadInput, Conflict
from wattledger.payments.terminal import reports
from wattledger.payments.terminal.signing import verify
from wattledger.pipeline.terminals import terminal_reports
from wattledger.wire import exact

BODY_MAX_BYTES = 1024 * 1024


async def post(request: Request) -> Response:
    """One report or a list of them, of the vendor ``?vendor=``, signed with its secret where it has
    one. Each counts once, by its reference and kind, and stands alone: what is wrong with one
    loses no other."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "payments:write")
    vendor_id = request.query_params.get("vendor", "")
    vendor = terminal_reports.vendor_of(await state.world.snapshot(state.world.now), vendor_id)
    raw = await read_body(request, BODY_MAX_BYTES)
    _check_signature(state, vendor, request, raw)
    found = exact.parse(raw)
    one = not isinstance(found, list)
    rows = [found] if one else found
    if len(rows) > BATCH_MAX:
        raise BadInput("$", f"{len(rows)} reports", f"{BATCH_MAX} at most in one request")
    results = [
        await _take(state, vendor.id, row, "$" if one else f"$[{i}]") for i, row in enumerate(rows)
    ]
    state.wake()
    return answer(results, one=one, key="payments")


def _check_signature(state: State, vendor: TerminalVendor, request: Request, raw: bytes) -> None:
    """By the machine's clock: it is the vendor's that signed."""
    if vendor.secret_env is not None:
        verify(state.secrets(vendor.secret_env), request.headers, raw, int(time.time()))


async def _take(state: State, vendor_id: str, row: object, path: str) -> Result:
    given = row.get("reference") if isinstance(row, dict) else None
    name = given if isinstance(given, str) else None
    try:
        taken = await terminal_reports.take(state.world, vendor_id, reports.read(row, path), path)
    except (BadInput, Conflict) as error:
        return Result(name, error=error)
    said = {"payment_id": taken.id, "state": taken.state, "session_id": taken.session_id,
            "new": taken.new}  # fmt: skip
    return Result(name, said)
