"""Stored frames handled once more: for what a fault of ours did not take, once it is mended.

The CALLs of a charge point go through the same handlers, in their order, each at the business time
at which it came. Facts are known by their content: what was taken right changes nothing. What was
for its moment only (Authorize, BootNotification, Heartbeat) is left out, and nobody is answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec

from wattledger.clock import DrivenClock
from wattledger.db.connect import Pool
from wattledger.db.work import Work
from wattledger.errors import Malformed
from wattledger.gateway.connection import Peer
from wattledger.gateway.protocol import Protocol
from wattledger.gateway.proxy_replay import answers, handle, is_proxied
from wattledger.gateway.proxy_seen import PROXIED
from wattledger.gateway.server import PROTOCOLS
from wattledger.ingest.frames import StoredFrame
from wattledger.pipeline.world import World
from wattledger.wire.ocpp import frames
from wattledger.wire.ocpp.frames import Call, CallError, Send


class Failure(msgspec.Struct, frozen=True):
    """A frame that still can't be taken."""

    received_at: datetime
    action: str
    code: str
    why: str


class Replayed(msgspec.Struct, frozen=True):
    """What became of the frames: how many of each action were handled, and which failed."""

    handled: dict[str, int]
    failed: tuple[Failure, ...] = ()


def replayable(stored: Iterable[StoredFrame]) -> list[tuple[StoredFrame, Protocol, Call | Send]]:
    """The frames that are facts, with their version and their message."""
    found = []
    for frame in stored:
        protocol = PROTOCOLS.get(frame.version.removeprefix(PROXIED))
        if frame.direction != "in" or protocol is None:
            continue
        try:
            message = frames.decode(frame.raw)
        except Malformed:
            continue  # it never was a message, and is none now
        if not isinstance(message, Call | Send):
            continue
        if message.action not in protocol.passing_actions | protocol.counted_actions:
            found.append((frame, protocol, message))
    return found


async def replay(pool: Pool, charge_point_id: str, stored: Iterable[StoredFrame]) -> Replayed:
    """Handle them again, each in the transactions of its step."""
    handled: Counter[str] = Counter()
    failed = []
    stored = list(stored)
    told = answers(stored)
    clock: DrivenClock | None = None
    world: World | None = None
    for frame, protocol, message in replayable(stored):
        if clock is None or world is None:
            clock = DrivenClock(frame.received_at)
            world = World(Work(pool, clock))
        clock.advance(frame.received_at)
        if is_proxied(frame):
            taken = await handle(world, charge_point_id, protocol, frame, told)
            if taken is None:
                continue
            answer = taken
        else:
            answer = await Peer(world, charge_point_id, protocol).answer(message)
        if isinstance(answer, CallError):
            failed.append(
                Failure(frame.received_at, message.action, answer.code, answer.description)
            )
        else:
            handled[message.action] += 1
    return Replayed(dict(handled), tuple(failed))
