"""Which module takes in which outcome, and does what was put off: one line for each."""

from __future__ import annotations

from wattledger.pipeline import collect, timed
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.pipeline.timed import What

WHATS: dict[str, What] = {}
"""What can be put off (``timed.put_off``)."""


async def _due(settled: Settled) -> None:
    await WHATS[settled.effect.request["what"]](settled)


HANDLERS: dict[str, Handler] = {
    **collect.HANDLERS,
    timed.DUE: Handler("due", _due),
}
