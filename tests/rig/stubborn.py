"""Charge points that say a message until it is answered, with the same content, before the next."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import websockets
from ocpp.exceptions import InternalError

from rig.points import Insist, Lost
from rig.points2 import Point16, Scripted, Station
from rig.server import Serving

Answered = Callable[[str, str, str], None]
"""Told of each answer: charge point, message id, action."""


def _unheard(point_id: str, message_id: str, action: str) -> None:
    """Nobody counts."""


class _Stubborn(Scripted):
    def __init__(
        self,
        point_id: str,
        version: str,
        server: Serving,
        insist: Insist,
        answered: Answered = _unheard,
    ) -> None:
        super().__init__(point_id, version, server)
        self._insist, self._answered = insist, answered
        self._numbers = itertools.count(1)

    async def say(
        self, request: Any, message_id: str | None = None, *, checked: bool = True
    ) -> Any:
        return await self._insist(partial(self._once, request, checked=checked))

    async def connected(self) -> None:
        """Connect unless it is. Raises Lost when nobody listens."""
        if self._listening is not None and not self._listening.done():
            return
        with suppress(Exception):
            await self.go()
        try:
            await self.connect()
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            raise Lost(str(error)) from error

    async def back(self) -> None:
        """Connect unless it is, however long it takes."""
        await self._insist(self.connected)

    async def _once(self, request: Any, *, checked: bool) -> Any:
        """The answer, or Lost. Each time is another message id."""
        message_id = f"{self.id}-{next(self._numbers)}"
        await self.connected()
        listening = self._listening
        assert listening is not None
        calling = asyncio.ensure_future(super().say(request, message_id, checked=checked))
        await asyncio.wait({calling, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not calling.done():
            calling.cancel()
            raise Lost(f"{self.id}: the connection broke")
        try:
            answer = calling.result()
        except (InternalError, websockets.ConnectionClosed, OSError) as error:
            raise Lost(f"{self.id}: {error}") from error
        self._answered(self.id, message_id, type(request).__name__)
        return answer


class StubbornPoint(_Stubborn, Point16):
    """OCPP 1.6."""


class StubbornStation(_Stubborn, Station):
    """OCPP 2.x."""
