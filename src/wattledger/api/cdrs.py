"""``POST /v1/cdrs``: OCPI charge detail records in, priced by our contracts."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from wattledger.api.batches import BATCH_MAX, Result, answer, take_each
from wattledger.api.body import read_body
from wattledger.api.idempotency import once
from wattledger.api.state import State
from wattledger.errors import BadInput
from wattledger.pipeline.importing import import_cdrs
from wattledger.pipeline.importing.imports import Item
from wattledger.wire.ocpi.cdrs import check_version, each_cdr, number_of

BODY_MAX_BYTES = 16 * 1024 * 1024


async def post(request: Request) -> Response:
    """One CDR, a list, or an OCPI answer with ``data``; ``?version=`` where it is known. Each
    stands alone, as a session does."""
    state: State = request.app.state.wattledger
    key_name = state.keys.require(request, "sessions:write")
    version = request.query_params.get("version")
    if version is not None:
        check_version(version)
    raw = await read_body(request, BODY_MAX_BYTES)

    async def act() -> Response:
        records = each_cdr(raw)
        if len(records) > BATCH_MAX:
            raise BadInput("$", f"{len(records)} CDRs", f"{BATCH_MAX} at most in one request")
        items: list[Item | Result] = []
        names: list[Mapping[str, str]] = []
        warnings: list[tuple[str, ...]] = []
        for path, one in records:
            try:
                found = await import_cdrs.read(state.world.snapshot, one, path, version)
            except BadInput as error:
                items.append(Result(number_of(one), error=error))
                names.append({})
                warnings.append(())
                continue
            items.append(found.item)
            names.append(found.names)
            warnings.append(found.warnings)
        results = await take_each(state, "ocpi", items, names, warnings)
        return answer(results, one=[path for path, _ in records] == ["$"], key="cdrs")

    return await once(request, key_name, raw, act)
