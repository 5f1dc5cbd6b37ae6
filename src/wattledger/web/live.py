"""One LISTEN connection for all open pages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import psycopg

CHANNEL = "wattledger_live"
_log = logging.getLogger(__name__)
_RETRY_S = (0.5, 1, 2, 5)


class Live:
    """Tells every subscriber that something was booked, and whether we would hear of it.

    ``run`` holds the connection until it is cancelled and opens it again when it goes away.
    What was missed in between is not lost: subscribers are woken on every change of
    ``connected`` and read the present state, not a list of events.
    """

    def __init__(self, conninfo: str, **kwargs: Any) -> None:
        self._conninfo = conninfo
        self._kwargs = kwargs
        self._waiting: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self.connected = False
        self.closing = False

    async def __aenter__(self) -> Live:
        self._task = asyncio.create_task(self.run(), name="wattledger live")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def close(self) -> None:
        """End all streams, so that a server may shut down."""
        self.closing = True
        self._wake()

    def subscribe(self) -> asyncio.Event:
        """An event that is set on each change; the subscriber clears it."""
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def unsubscribe(self, event: asyncio.Event) -> None:
        """The counterpart of ``subscribe``."""
        self._waiting.discard(event)

    async def run(self) -> None:
        """Listen for ever."""
        failures = 0
        while not self.closing:
            try:
                await self._listen()
                failures = 0
            except (psycopg.Error, OSError) as error:
                delay = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
                failures += 1
                _log.warning("live: the database went away (%s); again in %s s", error, delay)
                self._turn(connected=False)
                await asyncio.sleep(delay)
            finally:
                self._turn(connected=False)

    async def _listen(self) -> None:
        conn = await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, **self._kwargs
        )
        async with conn:
            await conn.execute(f"LISTEN {CHANNEL}")
            self._turn(connected=True)
            async for _ in conn.notifies():
                self._wake()

    def _turn(self, *, connected: bool) -> None:
        if connected != self.connected:
            self.connected = connected
            self._wake()

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()
