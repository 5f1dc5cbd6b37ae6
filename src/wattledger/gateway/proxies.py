"""Which charge points belong to another CPMS, and their way into the gateway.

The CPMS is asked within the charge point's handshake, so that the charge point is answered with
the version that its CPMS has chosen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from weakref import WeakKeyDictionary

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidHeader
from websockets.frames import CloseCode
from websockets.headers import parse_subprotocol
from websockets.http11 import Request
from websockets.typing import Subprotocol

from wattledger.gateway import upstream
from wattledger.gateway.connection import Connection
from wattledger.gateway.limits import Limits, Pace
from wattledger.gateway.protocol import Protocol
from wattledger.gateway.proxy import ProxyConnection
from wattledger.gateway.upstream import Door
from wattledger.ingest.journal import Journal
from wattledger.ingest.presence import Presence
from wattledger.pipeline.world import World

log = logging.getLogger(__name__)

_CLOSE_WITHIN_S = 2.0
_STEPS_AT_A_TIME = 6
# A charge point whose handshake has not come to its end by then does not come any more.
_TAKEN_WITHIN_S = 30.0
Choose = Callable[[ServerConnection, Sequence[str]], Subprotocol | None]


class _Ahead:
    """What is known of a charge point before its handshake is done."""

    __slots__ = ("__weakref__", "door", "taken", "up")

    def __init__(self, door: Door, up: ClientConnection | None) -> None:
        self.door, self.up, self.taken = door, up, False


class Proxies:
    """The proxied charge points of a gateway."""

    def __init__(self, world: World, journal: Journal, limits: Limits) -> None:
        self._world, self._journal, self._limits = world, journal, limits
        self._ahead: WeakKeyDictionary[ServerConnection, _Ahead] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(_STEPS_AT_A_TIME)

    async def prepare(
        self, socket: ServerConnection, request: Request, charge_point_id: str | None,
        protocols: Mapping[str, Protocol], before: Connection | None,
    ) -> None:  # fmt: skip
        """Of a charge point that is let in: connect to its CPMS, if it has one.

        An earlier connection of it ends first: no CPMS has two connections of one charge point.
        """
        snapshot = await self._world.snapshot(self._world.now)
        place = snapshot.place_of(charge_point_id) if charge_point_id else None
        proxy = place[0].proxy_of(place[1]) if place else None
        if charge_point_id is None or proxy is None:
            return
        if isinstance(before, ProxyConnection):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_WITHIN_S):
                    await before.leave(CloseCode.NORMAL_CLOSURE, "connected again")
                    await before.ended.wait()
        offered = [each for each in _offered(request) if each in protocols]
        door = Door(proxy, charge_point_id, request.headers.get("Authorization"), self._limits)
        ahead = self._ahead[socket] = _Ahead(door, await self._first(door, offered))
        if ahead.up is not None:
            asyncio.get_running_loop().call_later(_TAKEN_WITHIN_S, self._give_up, ahead)

    async def _first(self, door: Door, offered: Sequence[str]) -> ClientConnection | None:
        if not offered:
            return None  # the charge point is closed after its handshake
        try:
            return await door.open(offered, upstream.FIRST_WITHIN_S)
        except upstream.Unreachable as error:
            log.info("%s: its CPMS can't be reached: %s", door.charge_point_id, error)
        except upstream.Refused as error:
            await door.refused(self._world, str(error))
        return None

    def _give_up(self, ahead: _Ahead) -> None:
        if not ahead.taken and ahead.up is not None:
            task = asyncio.create_task(ahead.up.close(CloseCode.GOING_AWAY))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def choosing(self, otherwise: Choose) -> Choose:
        """The version that the CPMS has chosen; ``otherwise`` where there is none to ask."""

        def choose(socket: ServerConnection, offered: Sequence[str]) -> Subprotocol | None:
            ahead = self._ahead.get(socket)
            chosen = ahead.up.subprotocol if ahead is not None and ahead.up is not None else None
            return chosen or otherwise(socket, offered)

        return choose

    def connection(
        self, socket: ServerConnection, charge_point_id: str, protocol: Protocol,
        presence: Presence, pace: Pace,
    ) -> ProxyConnection | None:  # fmt: skip
        """The connection of a charge point that was prepared; None where it has no other CPMS."""
        ahead = self._ahead.pop(socket, None)
        if ahead is None:
            return None
        ahead.taken = True
        return ProxyConnection(
            self._world, self._journal, charge_point_id, socket, protocol, presence=presence,
            pace=pace, door=ahead.door, up=ahead.up, turns=self._turns,
        )  # fmt: skip


def _offered(request: Request) -> list[str]:
    try:
        return [
            str(each)
            for header in request.headers.get_all("Sec-WebSocket-Protocol")
            for each in parse_subprotocol(header)
        ]
    except InvalidHeader:
        return []  # which the handshake says
