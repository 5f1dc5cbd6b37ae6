"""One charge point's connection: frames in, answers out, commands one at a time.

Frames of one charge point are handled in their order. Start, Stop, MeterValues and
TransactionEvent are answered after their frame and their effect on the session are committed. A
fault of ours never suppresses the answer: what can't be understood is answered with a CALLERROR,
kept raw, and recorded as an anomaly.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import datetime
from typing import Any

from psycopg import OperationalError
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import State

from wattledger.errors import BadInput, Malformed
from wattledger.gateway.limits import Pace
from wattledger.gateway.protocol import Protocol
from wattledger.ids import content_digest
from wattledger.ingest import anomalies
from wattledger.ingest.journal import Journal, RawFrame
from wattledger.ingest.presence import Presence
from wattledger.pipeline.world import World
from wattledger.wire.ocpp import answers, frames
from wattledger.wire.ocpp.frames import Call, CallError, CallResult, Kind, Send

log = logging.getLogger(__name__)

# Of one connection no more are shown to a person: its frames are all in the journal.
_ANOMALIES_MAX = 100
_UNSENT_MAX_BYTES = 64 * 1024


class Peer:
    """A charge point and its version of OCPP: what handlers work with. ``journal`` is None where
    stored frames are handled again: what happens then is recorded at once."""

    __slots__ = ("_complaints", "charge_point_id", "heard_at", "journal", "protocol", "world")

    def __init__(
        self, world: World, charge_point_id: str, protocol: Protocol, journal: Journal | None = None
    ) -> None:
        self.world = world
        self.charge_point_id = charge_point_id
        self.protocol = protocol
        self.journal = journal
        self.heard_at = world.now
        """When the message in hand came, in business time."""
        self._complaints = 0

    def booted(self, vendor: str, model: str, now: datetime) -> None:
        """What the charge point said it is."""

    async def answer(self, call: Call | Send) -> CallResult | CallError:
        """The answer to a CALL, whatever happens."""
        handler = self.protocol.handlers.get(call.action)
        try:
            if handler is not None:
                return CallResult(call.message_id, await handler(self, call.payload))
            default = self.protocol.default_answer(call.action, call.payload)
            if default is not None:
                return CallResult(call.message_id, default)
            kind = answers.refusal(self.protocol.version, call.action)
            known = "is not supported" if kind is Kind.UNSUPPORTED else "is not known"
            return self.error(call.message_id, kind, f"{call.action} {known} here")
        except BadInput as error:
            await self.anomaly("frame.invalid", call.action, str(error))
            return self.error(call.message_id, Kind.FORMAT, str(error))
        except Exception as error:
            log.exception("%s %s", self.charge_point_id, call.action)
            return await self._at_fault(call, error)

    async def _at_fault(self, call: Call | Send, error: Exception) -> CallResult | CallError:
        """The answer where the fault is ours."""
        if not isinstance(error, OperationalError):
            await self.anomaly("frame.failed", call.action, f"{type(error).__name__}: {error}")
            if self.journal is not None and call.action in self.protocol.kept_actions:
                # Refused, it would be said again to no avail and then be lost (1.6 §3.7.1). Its
                # frame is committed: once the fault is mended it is replayed.
                return CallResult(call.message_id, {})
        # The database's trouble passes: the charge point keeps its message for another try.
        return self.error(call.message_id, Kind.INTERNAL, "not stored: please repeat")

    def error(self, message_id: str, kind: Kind, why: str) -> CallError:
        """A CALLERROR as this version spells it."""
        return CallError(message_id, self.protocol.error_code(kind), why[:255])

    async def anomaly(self, code: str, cause: str, why: str) -> None:
        """Show it to a person; a fault of that is logged, and nothing else."""
        self._complaints += 1
        if self._complaints > _ANOMALIES_MAX:
            return
        try:
            async with self.world.work.pool.connection() as conn:
                await anomalies.record(
                    conn, at=self.world.now, code=code, subject=self.charge_point_id,
                    detail={"why": why, "at": cause}, cause=f"{cause}:{why}",
                )  # fmt: skip
        except Exception:
            log.exception("the anomaly %s of %s could not be stored", code, self.charge_point_id)


class Connection(Peer):
    """A charge point on a socket, whatever its version of OCPP: ``protocol`` knows."""

    __slots__ = (
        "_answer", "_busy", "_calling", "_finished", "_id", "_leaving", "_pace", "_presence",
        "_socket",
    )  # fmt: skip

    journal: Journal

    def __init__(
        self,
        world: World,
        journal: Journal,
        charge_point_id: str,
        socket: ServerConnection,
        protocol: Protocol,
        *,
        presence: Presence,
        pace: Pace,
    ) -> None:
        super().__init__(world, charge_point_id, protocol, journal)
        self._socket = socket
        self._presence = presence
        self._pace = pace
        # The version too: stored frames are read again by it.
        self._id = f"{protocol.version}/{str(socket.id)[:8]}"
        # OCPP-J §4.1.1: one outstanding CALL in each direction.
        self._calling: asyncio.Lock | None = None
        self._answer: tuple[str, asyncio.Future[CallResult | CallError]] | None = None
        self._busy = False
        self._finished: asyncio.Event | None = None  # made when somebody waits for it
        self._leaving: tuple[int, str] | None = None

    @property
    def takes_commands(self) -> bool:
        """Whether commands of ours reach it."""
        return True

    async def serve(self) -> None:
        """Until the charge point goes, or has to."""
        try:
            async for message in self._socket:
                wait_s = self._pace.frame(time.monotonic())
                if wait_s > 0:
                    if self._pace.is_over_for_long(time.monotonic()):
                        await self._too_many()
                        break
                    await asyncio.sleep(wait_s)
                if self._leaving is not None:
                    break  # not handled, so not answered: it is sent again
                self._busy = True
                try:
                    await self._take(
                        message if isinstance(message, str) else message.decode("utf-8", "replace")
                    )
                finally:
                    self._busy = False
                    if self._finished is not None:
                        self._finished.set()
                        self._finished = None
        except ConnectionClosed:
            pass
        finally:
            if self._answer is not None and not self._answer[1].done():
                self._answer[1].set_exception(ConnectionError("the charge point has gone"))
        if self._leaving is not None:
            await self._close(*self._leaving)

    async def leave(self, code: int, reason: str) -> None:
        """Close it once the message that is being handled is answered."""
        await self.finish(code, reason)
        await self._socket.close(code, reason)

    async def finish(self, code: int, reason: str) -> None:
        """Take no further message, and return when the one in hand is done."""
        self._leaving = (int(code), reason)
        await self._said_so()

    async def _said_so(self) -> None:
        """The message in hand, if there is one, has its answer."""
        if self._busy:
            if self._finished is None:
                self._finished = asyncio.Event()
            await self._finished.wait()

    async def call(
        self, message_id: str, action: str, payload: dict[str, Any], timeout_s: float
    ) -> CallResult | CallError:
        """Send a CALL and wait for its answer. Raises TimeoutError or ConnectionError."""
        if self._calling is None:
            self._calling = asyncio.Lock()
        async with self._calling:
            # What a message caused comes after its answer, which has the transaction's id.
            await self._said_so()
            future: asyncio.Future[CallResult | CallError] = (
                asyncio.get_running_loop().create_future()
            )
            self._answer = (message_id, future)
            try:
                raw = frames.encode(Call(message_id, action, payload))
                await self._send(raw, self.world.now)
                async with asyncio.timeout(timeout_s):
                    return await future
            except ConnectionClosed:
                raise ConnectionError("the charge point has gone") from None
            finally:
                self._answer = None

    def booted(self, vendor: str, model: str, now: datetime) -> None:
        self._presence.booted(self.charge_point_id, vendor, model, now)

    async def _take(self, raw: str) -> None:
        self.heard_at = now = self.world.now
        try:
            frame = frames.decode(raw)
        except Malformed as error:
            await self._malformed(raw, now, error)
            return
        if isinstance(frame, (Call, Send)):
            await self._called(frame, raw, now)
            return
        await self._keep("in", raw, now)
        waiting = self._answer
        if (
            waiting is not None
            and waiting[0] == frame.message_id
            and isinstance(frame, CallResult | CallError)
        ):
            if not waiting[1].done():
                waiting[1].set_result(frame)
        else:
            log.info("%s: an answer nobody waits for: %s", self.charge_point_id, raw[:120])

    async def _called(self, frame: Call | Send, raw: str, now: datetime) -> None:
        if frame.action in self.protocol.counted_actions:
            self._presence.beat(self.charge_point_id, now)
            await self._write(frames.encode(await self.answer(frame)))
            return
        durable = self.protocol.durable(frame.action)
        try:
            if durable or self.journal.full:
                await self._keep("in", raw, now, wait=durable)
            else:
                self.journal.take(RawFrame(self.charge_point_id, self._id, now, "in", raw))
        except Exception as error:
            # Not kept, so not handled either: the charge point has to repeat it.
            log.exception("a frame of %s is not journalled", self.charge_point_id)
            await self.anomaly("frame.failed", frame.action, f"{type(error).__name__}: {error}")
            answer: CallResult | CallError = self.error(
                frame.message_id, Kind.INTERNAL, "not stored: please repeat"
            )
        else:
            answer = await self.answer(frame)
        if type(frame) is Call:  # a SEND is never answered
            await self._send(frames.encode(answer), self.world.now if durable else now)

    async def _malformed(self, raw: str, now: datetime, error: Malformed) -> None:
        await self._keep("in", raw, now)
        log.warning("%s sent a frame we can't read: %s", self.charge_point_id, error)
        await self.anomaly("frame.malformed", content_digest(raw.encode())[:16], str(error))
        message_id = frames.message_id_of(raw)
        if message_id is None and self.protocol.version != "ocpp1.6":
            message_id = "-1"  # 2.0.1 part 4 §4.2.3: where the id can't be read
        if message_id is not None:
            await self._send(frames.encode(self.error(message_id, Kind.FORMAT, str(error))), now)

    async def _too_many(self) -> None:
        log.warning("%s has sent too much for too long", self.charge_point_id)
        day = self.world.now.date().isoformat()
        await self.anomaly("rate.exceeded", day, "more frames a second than it may, for long")
        await self._close(CloseCode.POLICY_VIOLATION, "too many frames")

    async def _close(self, code: int, reason: str) -> None:
        """Close it; what is still coming in is not taken, but has to be read: the other side's
        part of closing comes behind it."""
        closing = asyncio.create_task(self._socket.close(code, reason))
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._socket.recv()
        await closing

    async def _send(self, raw: str, now: datetime) -> None:
        if self.journal.full:
            await self._keep("out", raw, now)
        else:
            self.journal.take(RawFrame(self.charge_point_id, self._id, now, "out", raw))
        await self._write(raw)

    async def _write(self, raw: str) -> None:
        """To the socket at once, in one frame (RFC 6455 §5.2: final, text, unmasked), which is half
        the cost of ``send``. That one is for a peer that does not read what it is answered, which
        has to be waited for, and for one that is going."""
        socket, data = self._socket, raw.encode()
        transport, length = socket.transport, len(data)
        if socket.state is not State.OPEN or transport.get_write_buffer_size() > _UNSENT_MAX_BYTES:
            await socket.send(raw)
        elif length < 126:
            transport.write(bytes((0x81, length)) + data)
        elif length < 65536:
            transport.write(b"\x81\x7e" + length.to_bytes(2, "big") + data)
        else:
            transport.write(b"\x81\x7f" + length.to_bytes(8, "big") + data)

    async def _keep(self, direction: str, raw: str, now: datetime, *, wait: bool = False) -> None:
        frame = RawFrame(self.charge_point_id, self._id, now, direction, raw)
        if wait or self.journal.full:
            await self.journal.put(frame, wait=wait)
        else:
            self.journal.take(frame)
