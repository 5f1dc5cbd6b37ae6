"""A charge point that belongs to another CPMS: frames pass unchanged, and we see them.

Two WebSockets, the charge point's and ours to the CPMS; pings are each hop's own. While the CPMS
is away the charge point stays connected and is answered by us. What its CPMS has to know of
that, messages of transactions, waits in the database, and is told to it in order before anything
newer of that kind passes (``catching up``). What is not byte for byte is written in docs/ocpp.md,
and stands in ``proxy_names`` and ``judged``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from wattledger.errors import Malformed
from wattledger.gateway import proxy_alone, upstream
from wattledger.gateway.connection import Connection
from wattledger.gateway.limits import Pace
from wattledger.gateway.protocol import Protocol
from wattledger.gateway.proxy_catching_up import CatchingUp
from wattledger.gateway.proxy_names import Names, is_transactional, ref_of
from wattledger.gateway.proxy_pipe import (
    Asked,
    Masters,
    Message,
    Outstanding,
    Steps,
    decoded,
    send,
    unasked,
)
from wattledger.gateway.proxy_seen import PROXIED, Observer, is_seen, judged, waits_for_answer
from wattledger.gateway.upstream import Door
from wattledger.ids import content_digest
from wattledger.ingest.journal import Journal, RawFrame
from wattledger.ingest.presence import Presence
from wattledger.pipeline import proxied
from wattledger.pipeline.world import World
from wattledger.wire.ocpp import frames
from wattledger.wire.ocpp.frames import Call, CallError, CallResult, Kind

log = logging.getLogger(__name__)

BACKOFF = upstream.Backoff()
STEP_WAIT_S = 1.0
"""A durable answer waits so long for our step; then it passes, and the step goes on."""
_FINISH_WITHIN_S = 8.0
# Of commands of ours: the CPMS's message ids don't begin so.
_OURS = "wattledger-"
_STOPS = frozenset({"RemoteStopTransaction", "RequestStopTransaction"})


class ProxyConnection(Connection):
    """The charge point's connection and, while it can be had, the one to its CPMS."""

    __slots__ = (
        "_above", "_asked", "_catching_up", "_door", "_live", "_masters", "_observer", "_order",
        "_proxy", "_steps", "_up", "ended", "in_hand", "names",
    )  # fmt: skip

    def __init__(
        self, world: World, journal: Journal, charge_point_id: str, socket: ServerConnection,
        protocol: Protocol, *, presence: Presence, pace: Pace, door: Door,
        up: ClientConnection | None, turns: asyncio.Semaphore,
    ) -> None:  # fmt: skip
        super().__init__(
            world, journal, charge_point_id, socket, proxy_alone.answering(protocol),
            presence=presence, pace=pace,
        )  # fmt: skip
        self._id = f"{PROXIED}{protocol.version}/{str(socket.id)[:8]}"
        proxy = door.proxy
        self._proxy, self._door, self._up = proxy, door, up
        self._live = False  # whether CALLs pass: the CPMS is there, and knows all that was before
        self.names = Names()
        self._observer = Observer(
            world, charge_point_id, protocol, journal, self.names,
            refusing=proxy.authorize != "wattledger", booted=self.booted,
        )  # fmt: skip
        self._steps = Steps(self._observer.see, turns)
        self._asked = Outstanding()
        self._catching_up = CatchingUp(self, proxy.answer_within_s)
        # Frames of the charge point are taken, or given back by a CPMS that goes, one at a time.
        self._order = asyncio.Lock()
        self._masters = Masters(self._pass_call_down)
        self._above: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        self.in_hand = ""  # the frame that is answered in the CPMS's stead

    @property
    def takes_commands(self) -> bool:
        """Whether commands of ours reach it: of two masters one has to be silent."""
        return self._proxy.commands

    @property
    def is_passing(self) -> bool:
        """Whether the CPMS is there and knows all that was before."""
        return self._live

    async def serve(self) -> None:
        """Until the charge point goes, or has to; its CPMS may come and go."""
        try:
            self.names.load(await proxied.names(self.world, self.charge_point_id))
            waiting = await proxied.to_tell(self.world, self.charge_point_id)
            self._live = self._up is not None and waiting is None
            self._above = asyncio.create_task(self._keep_up(), name=f"cpms {self.charge_point_id}")
            await self._read()
        except ConnectionClosed:
            pass
        finally:
            await self._end()
        if self._leaving is not None:
            await self._socket.close(*self._leaving)

    async def _read(self) -> None:
        async for message in self._socket:
            wait_s = self._pace.frame(time.monotonic())
            if wait_s > 0:
                if self._pace.is_over_for_long(time.monotonic()):
                    await self._too_many()
                    break
                await asyncio.sleep(wait_s)
            if self._leaving is not None:
                break  # not passed on, so not answered: it is sent again
            self._busy = True
            try:
                async with self._order:
                    await self._from_charge_point(message)
            except ConnectionClosed:
                raise
            except Exception as error:
                log.exception("%s: a frame did not pass", self.charge_point_id)
                await self.anomaly("frame.failed", "proxy", f"{type(error).__name__}: {error}")
            finally:
                self._busy = False
                if self._finished is not None:
                    self._finished.set()

    async def _end(self) -> None:
        """The CPMS's connection ends as the charge point's did."""
        code, reason = self._leaving or (self._socket.close_code, self._socket.close_reason or "")
        if self._leaving is None:
            self._leaving = (upstream.close_code(code), reason)
        if self._above is not None:
            self._above.cancel()
        if self._up is not None:
            await self._up.close(upstream.close_code(code), reason)
        self._asked.take_all()
        if self._answer is not None and not self._answer[1].done():
            self._answer[1].set_exception(ConnectionError("the charge point has gone"))
        await self._steps.end(_FINISH_WITHIN_S)
        self.ended.set()

    # From the charge point.

    async def _from_charge_point(self, message: Message) -> None:
        raw, frame = decoded(message)
        now = self.world.now
        if isinstance(frame, Call):
            await self._called_up(frame, raw, message, now)
            return
        await self._record("in", raw, now)
        if isinstance(frame, CallResult | CallError):
            waiting = self._answer
            if waiting is not None and waiting[0] == frame.message_id:
                if not waiting[1].done():
                    waiting[1].set_result(frame)
                return
            self._masters.answered(frame.message_id)
        elif isinstance(frame, Malformed):
            await self._unreadable(frame, raw)
        if self._up is not None:
            await send(self._up, message)

    async def _unreadable(self, error: Malformed, raw: str) -> None:
        await self.anomaly("frame.malformed", content_digest(raw.encode())[:16], str(error))
        message_id = frames.message_id_of(raw)
        if self._up is None and message_id is not None:
            await self._say(frames.encode(self.error(message_id, Kind.FORMAT, str(error))))

    async def _called_up(self, call: Call, raw: str, message: Message, now: datetime) -> None:
        counted = call.action in self.protocol.counted_actions
        transactional = is_transactional(self.protocol.version, call)
        kept = None
        if counted:
            self._presence.beat(self.charge_point_id, now)
        elif transactional or self.protocol.durable(call.action):
            await self.journal.room()  # no more is read than can be kept
            kept = self.journal.committed(RawFrame(self.charge_point_id, self._id, now, "in", raw))
            kept.add_done_callback(unasked)
        else:
            await self._record("in", raw, now)
        asked = Asked(call, raw, message, kept, counted=counted)
        ours = self._proxy.authorize == "wattledger" and call.action == "Authorize"
        if ours or self._up is None or self.names.is_unknown(ref_of(call)):
            await self._answer_alone(asked)
        elif self._live:
            await self._pass_up(asked, self._up)
        elif transactional:
            await self._answer_alone(asked)  # the queue is not empty yet: it goes to its end
        else:
            self._catching_up.between(asked)

    async def _pass_up(self, asked: Asked, up: ClientConnection) -> None:
        """Towards the CPMS; if the connection breaks, the CALL is answered with the others."""
        call, message = asked.call, asked.message
        self._asked.add(asked)
        if is_transactional(self.protocol.version, call):
            asked.timer = asyncio.get_running_loop().call_later(
                self._proxy.answer_within_s, self._silent, up, call
            )
        if isinstance(message, str):
            message = self._named(self.names.for_cpms, call, message)
        await send(up, message)
        if is_seen(call) and not waits_for_answer(call):
            await self._steps.add(asked, None)

    def _silent(self, up: ClientConnection, call: Call) -> None:
        log.warning("%s: the CPMS does not answer %s", self.charge_point_id, call.action)
        up.transport.abort()

    async def _answer_alone(self, asked: Asked) -> None:
        """In the CPMS's stead; what it has to know is queued before the charge point forgets it."""
        call = asked.call
        answer: CallResult | CallError
        if not await asked.is_kept():
            answer = self.error(call.message_id, Kind.INTERNAL, "not stored: please repeat")
        else:
            self.in_hand, self.heard_at = asked.raw, self.world.now
            answer = await self.answer(self.names.for_session(call))
            if isinstance(answer, CallResult):
                answer = await self._queued(call, asked.raw, answer)
        text = frames.encode(answer)
        await (send(self._socket, text) if asked.counted else self._say(text))

    async def _queued(self, call: Call, raw: str, answer: CallResult) -> CallResult | CallError:
        if not is_transactional(self.protocol.version, call):
            if self._up is None:
                self._catching_up.note(call, raw)
            return answer
        ref = ref_of(call)
        if call.action == "StartTransaction":
            return answer  # queued by its own step
        payload = msgspec.json.encode(call.payload, order="deterministic")
        try:
            if not self.names.is_lost(ref):
                await proxied.keep(self.world, self.charge_point_id, call.action, raw, payload, ref)
            if call.action == "StopTransaction" and ref is not None and self.names.has(ref):
                await proxied.ended(self.world, self.charge_point_id, ref)
        except Exception as error:
            log.exception("%s: %s can't be queued", self.charge_point_id, call.action)
            await self.anomaly("frame.failed", call.action, f"{type(error).__name__}: {error}")
            return self.error(call.message_id, Kind.INTERNAL, "not stored: please repeat")
        return answer

    # From the CPMS.

    async def _keep_up(self) -> None:
        """A connection to the CPMS, again and again."""
        tries, up = 0, self._up
        while True:
            try:
                if up is None:
                    version = self.protocol.version
                    up = await self._door.reach(self.world, version, BACKOFF, tries)
                    tries += 1
                    self._up = up
                catching = None if self._live else self._catching_up.begin(up)
                try:
                    async for message in up:
                        tries = 0  # it works: a CPMS that only lets us in is not asked too often
                        await self._from_cpms(message)
                except ConnectionClosed:
                    pass
                finally:
                    if catching is not None:
                        catching.cancel()
                log.info("%s: the CPMS closed: %s %s", self.charge_point_id, up.close_code,
                         up.close_reason)  # fmt: skip
            except Exception:
                log.exception("%s: the connection to its CPMS", self.charge_point_id)
                if up is not None:
                    up.transport.abort()
            up = None
            await self._alone_again()

    async def _alone_again(self) -> None:
        """The CPMS has gone: what it has not answered is answered by us."""
        self._up, self._live = None, False
        self._masters.forget()
        async with self._order:
            for asked in self._asked.take_all():
                await self._answer_alone(asked)

    async def _from_cpms(self, message: Message) -> None:
        raw, frame = decoded(message)
        if isinstance(frame, CallResult | CallError):
            if self._catching_up.take(frame, raw):
                return
            asked = self._asked.take(frame.message_id)
            if asked is not None:
                await self._answered(asked, frame, raw, message)
                return
        elif isinstance(frame, Call):
            await self._masters.give(frame, message)
            return
        await self._record("out", raw, self.world.now)
        await send(self._socket, message)

    async def _answered(
        self, asked: Asked, answer: CallResult | CallError, raw: str, message: Message
    ) -> None:
        """The charge point may forget what it said once it has this: so it is ours by then."""
        call = asked.call
        await asked.is_kept()
        if is_seen(call) and waits_for_answer(call):
            await self._steps.add(asked, answer)
        if asked.seen is not None:
            await asyncio.wait([asked.seen], timeout=STEP_WAIT_S)
        if isinstance(answer, CallResult) and isinstance(message, str):
            try:
                message = raw = await judged(self, self._proxy.authorize, call, answer, raw)
            except Exception as error:
                await self.anomaly("frame.failed", call.action, f"{type(error).__name__}: {error}")
        if not asked.counted:
            await self._record("out", raw, self.world.now)
        await send(self._socket, message)

    async def _pass_call_down(self, call: Call, message: Message) -> None:
        if isinstance(message, str):
            message = self._named(self.names.for_charge_point, call, message)
        await self._record("out", decoded(message)[0], self.world.now)
        await send(self._socket, message)

    # Ours.

    async def caught_up(self) -> bool:
        """The CPMS has been told everything: from now on all passes. False where there is more."""
        async with self._order:
            if await proxied.to_tell(self.world, self.charge_point_id) is not None:
                return False
            self._live = self._up is not None
            return True

    async def between(self, asked: Asked) -> bool:
        """A CALL while the CPMS is catching up; False where it is answered already."""
        async with self._order:
            if self._up is None:
                await self._answer_alone(asked)
                return False
            asked.answered = asyncio.Event()
            await self._pass_up(asked, self._up)
            return True

    async def call(
        self, message_id: str, action: str, payload: dict[str, Any], timeout_s: float
    ) -> CallResult | CallError:
        """A command of ours, while the CPMS has none under way; the CPMS's wait for its answer.
        Nothing but a stop is ever given."""
        if action not in _STOPS or not self.takes_commands:
            why = "another CPMS commands this charge point"
            return CallError(message_id, "NotSupported", why)
        if isinstance(payload.get("transactionId"), int):
            ref = self.names.at_charge_point(payload["transactionId"])
            payload = {**payload, "transactionId": ref}
        async with self._masters.ours():
            return await super().call(f"{_OURS}{message_id}"[:36], action, payload, timeout_s)

    def _named(self, rename: Callable[[Call, str], str], call: Call, raw: str) -> str:
        """With the other side's number of the transaction; a fault of that leaves it as it is."""
        try:
            return rename(call, raw)
        except Exception:
            log.exception("%s: not renamed: %.200s", self.charge_point_id, raw)
            return raw

    async def _record(self, direction: str, raw: str, now: datetime) -> None:
        frame = RawFrame(self.charge_point_id, self._id, now, direction, raw)
        await self.journal.put(frame, wait=False)

    async def _say(self, raw: str) -> None:
        await self._record("out", raw, self.world.now)
        await send(self._socket, raw)
