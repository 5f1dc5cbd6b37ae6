"""What the pipe of a proxied charge point is made of: what is asked of the CPMS, who may ask the
charge point, and our steps beside."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from wattledger.errors import Malformed
from wattledger.wire.ocpp import frames
from wattledger.wire.ocpp.frames import Call, CallError, CallResult, Frame

log = logging.getLogger(__name__)

# More than a charge point has under way at a time: the standard's number is one (OCPP-J §4.1.1).
_ASKED_MAX = 64
_STEPS_MAX = 256
# A CALL that the charge point has not answered for so long keeps nobody else waiting.
_TOLD_FOR_S = 60.0

Message = str | bytes
"""Of a WebSocket: text or binary, and sent on as the same."""


class Asked:
    """A CALL of the charge point on its way to the CPMS."""

    __slots__ = ("answered", "call", "counted", "kept", "message", "raw", "seen", "timer")

    def __init__(
        self, call: Call, raw: str, message: Message, kept: asyncio.Future[None] | None,
        *, counted: bool,
    ) -> None:  # fmt: skip
        self.call = call
        self.raw = raw
        self.message = message
        self.kept = kept
        """Done when the frame is in the journal, where that is waited for."""
        self.counted = counted
        self.seen: asyncio.Future[None] | None = None
        """Done when our step is."""
        self.answered: asyncio.Event | None = None
        self.timer: asyncio.TimerHandle | None = None

    def settle(self) -> None:
        """It is answered, by whomever."""
        if self.timer is not None:
            self.timer.cancel()
        if self.answered is not None:
            self.answered.set()

    async def is_kept(self) -> bool:
        """Wait for the journal; False where it can't hold the frame."""
        if self.kept is None:
            return True
        try:
            await asyncio.shield(self.kept)  # several wait for it
        except Exception:
            log.exception("not journalled: %s", self.raw[:120])
            return False
        return True


class Outstanding:
    """What the CPMS has not answered yet, oldest first. Bounded: it may never answer some."""

    __slots__ = ("_asked",)

    def __init__(self) -> None:
        self._asked: dict[str, Asked] = {}

    def add(self, asked: Asked) -> None:
        """One more. An id that is used again means the later one."""
        self.take(asked.call.message_id)
        if len(self._asked) >= _ASKED_MAX:
            self.take(next(iter(self._asked)))
        self._asked[asked.call.message_id] = asked

    def take(self, message_id: str) -> Asked | None:
        """What is answered by that, if anything."""
        asked = self._asked.pop(message_id, None)
        if asked is not None:
            asked.settle()
        return asked

    def take_all(self) -> list[Asked]:
        """Everything: nobody will answer any more."""
        found = list(self._asked.values())
        for asked in found:
            asked.settle()
        self._asked.clear()
        return found


class Steps:
    """Our steps of one charge point, one after the other, beside what passes. ``turns``: how many
    there may be at a time in all, so that the journal, which what passes waits for, finds a
    connection to the database."""

    __slots__ = ("_queue", "_see", "_task", "_turns")

    def __init__(
        self,
        see: Callable[[Call, CallResult | CallError | None], Awaitable[None]],
        turns: asyncio.Semaphore,
    ) -> None:
        self._see, self._turns = see, turns
        self._queue: asyncio.Queue[tuple[Asked, CallResult | CallError | None]] = asyncio.Queue(
            _STEPS_MAX
        )
        self._task: asyncio.Task[None] | None = None

    async def add(self, asked: Asked, answer: CallResult | CallError | None) -> None:
        """Take it in when what came before is. Waits only where very much is before it."""
        asked.seen = asyncio.get_running_loop().create_future()
        await self._queue.put((asked, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="proxied steps")

    async def _run(self) -> None:
        while True:
            asked, answer = await self._queue.get()
            try:
                await asked.is_kept()
                async with self._turns:
                    await self._see(asked.call, answer)
            except Exception:
                log.exception("a step beside the proxy: %s", asked.call.action)
            finally:
                if asked.seen is not None and not asked.seen.done():
                    asked.seen.set_result(None)
                self._queue.task_done()

    async def end(self, within_s: float) -> None:
        """Finish what is under way, and no more."""
        try:
            async with asyncio.timeout(within_s):
                await self._queue.join()
        except TimeoutError:
            log.warning("%d steps are left undone: the charge point repeats what was not answered",
                        self._queue.qsize())  # fmt: skip
        if self._task is not None:
            self._task.cancel()


class Masters:
    """Who may give the charge point a CALL: it takes one at a time (OCPP-J §4.1.1). The CPMS's pass
    as they come; only around one of ours the others wait."""

    __slots__ = ("_free", "_given", "_held", "_ours", "_pass")

    def __init__(self, pass_on: Callable[[Call, Message], Awaitable[None]]) -> None:
        self._pass = pass_on
        self._given: dict[str, float] = {}
        self._held: list[tuple[Call, Message]] = []
        self._ours = 0
        self._free: asyncio.Event | None = None

    async def give(self, call: Call, message: Message) -> None:
        """A CALL of the CPMS."""
        if self._ours:
            self._held.append((call, message))
            return
        self._given[call.message_id] = time.monotonic()
        await self._pass(call, message)

    def answered(self, message_id: str) -> None:
        """By the charge point."""
        self._given.pop(message_id, None)
        if self._free is not None and not self._given:
            self._free.set()

    def forget(self) -> None:
        """The CPMS has gone, and what it asked with it."""
        self._given.clear()
        self._held.clear()
        if self._free is not None:
            self._free.set()

    @asynccontextmanager
    async def ours(self) -> AsyncIterator[None]:
        """Our turn."""
        self._ours += 1
        try:
            await self._silence()
            yield
        finally:
            self._ours -= 1
            held, self._held = self._held, []
            for call, message in held:
                await self.give(call, message)

    async def _silence(self) -> None:
        if not self._given:
            return
        self._free = asyncio.Event()
        oldest = min(self._given.values())
        try:
            async with asyncio.timeout(max(0.0, oldest + _TOLD_FOR_S - time.monotonic())):
                await self._free.wait()
        except TimeoutError:
            self._given.clear()


def decoded(message: Message) -> tuple[str, Frame | Malformed]:
    """A message as text, and what it says."""
    raw = message if isinstance(message, str) else message.decode("utf-8", "replace")
    try:
        return raw, frames.decode(raw)
    except Malformed as error:
        return raw, error


async def send(socket: ServerConnection | ClientConnection, message: Message) -> None:
    """What can't be sent is repeated by whoever waits for its answer."""
    try:
        await socket.send(message)
    except ConnectionClosed:
        log.debug("closed before it could be sent: %.80r", message)


def unasked(future: asyncio.Future[None]) -> None:
    """A failure is raised by whoever waits for it; nobody may be left to."""
    if not future.cancelled():
        future.exception()
