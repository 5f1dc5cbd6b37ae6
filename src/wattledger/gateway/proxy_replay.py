"""Stored frames of a proxied charge point handled once more, each with the answer that it had."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from wattledger.gateway.protocol import Protocol
from wattledger.gateway.proxy_names import Names
from wattledger.gateway.proxy_pipe import decoded
from wattledger.gateway.proxy_seen import PROXIED, Observer, is_seen
from wattledger.ingest.frames import StoredFrame
from wattledger.pipeline import proxied
from wattledger.pipeline.world import World
from wattledger.wire.ocpp.frames import Call, CallError, CallResult

Answers = dict[tuple[str, str], CallResult | CallError]


def is_proxied(frame: StoredFrame) -> bool:
    """Whether it passed between a charge point and another CPMS."""
    return frame.version.startswith(PROXIED)


def answers(stored: Iterable[StoredFrame]) -> Answers:
    """What charge points were told, by connection and message id."""
    found: Answers = {}
    for frame in stored:
        if frame.direction == "out" and is_proxied(frame):
            message = decoded(frame.raw)[1]
            if isinstance(message, CallResult | CallError):
                found[frame.connection_id, message.message_id] = message
    return found


async def handle(
    world: World, charge_point_id: str, protocol: Protocol, frame: StoredFrame, known: Answers
) -> CallResult | CallError | None:
    """What we make of it now; None where it is nothing to us."""
    call = decoded(frame.raw)[1]
    if not isinstance(call, Call) or not is_seen(call):
        return None
    names = Names(await proxied.names(world, charge_point_id))
    observer = Observer(
        world, charge_point_id, protocol, None, names, refusing=True, booted=_nobody_boots
    )
    return await observer.take(call, known.get((frame.connection_id, call.message_id)))


def _nobody_boots(vendor: str, model: str, now: datetime) -> None:
    pass
