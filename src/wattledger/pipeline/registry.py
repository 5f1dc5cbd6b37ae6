"""Which module takes in which outcome, and does what was put off: one line for each."""

from __future__ import annotations

from wattledger.pipeline import timed
from wattledger.pipeline.billing import receipts_step
from wattledger.pipeline.collecting import ceiling, collect, debts, fetched, lapse
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.pipeline.returning import disputes, evidence_files, money_back
from wattledger.pipeline.starting import holds, orphans, starts
from wattledger.pipeline.terminals import readers, terminals
from wattledger.pipeline.timed import What

WHATS: dict[str, What] = {
    **starts.WHATS,
    **readers.WHATS,
    **terminals.WHATS,
    **lapse.WHATS,
    **orphans.WHATS,
    **debts.WHATS,
    **disputes.WHATS,
    **evidence_files.WHATS,
}
"""What can be put off (``timed.put_off``)."""


async def _due(settled: Settled) -> None:
    await WHATS[settled.effect.request["what"]](settled)


HANDLERS: dict[str, Handler] = {
    **collect.HANDLERS,
    **ceiling.HANDLERS,
    **receipts_step.HANDLERS,
    **holds.HANDLERS,
    **starts.HANDLERS,
    **readers.HANDLERS,
    **terminals.HANDLERS,
    **money_back.HANDLERS,
    **disputes.HANDLERS,
    **evidence_files.HANDLERS,
    **fetched.HANDLERS,
    timed.DUE: Handler("due", _due),
}
