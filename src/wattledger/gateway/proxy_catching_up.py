"""Telling a CPMS that is back what happened without it, in order, before anything newer.

One CALL at a time is under way to it, whoever's it is (OCPP-J §4.1.1): between two frames of the
queue the charge point's other CALLs have their turn.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from wattledger.errors import Malformed
from wattledger.gateway.proxy_pipe import Asked
from wattledger.gateway.proxy_seen import refusal
from wattledger.ingest.relay import Waiting
from wattledger.pipeline import proxied
from wattledger.wire.ocpp import frames, patch
from wattledger.wire.ocpp.frames import Call, CallError, CallResult

if TYPE_CHECKING:
    from wattledger.gateway.proxy import ProxyConnection

log = logging.getLogger(__name__)

REFUSALS_MAX = 3
"""A frame that the CPMS answers with an error so often is given up (1.6 §9.1.20 has a charge point
do that too)."""
TRIES_MAX = 50
"""And one that it was sent so often without any answer."""
RETRY_S = 2.0
_Answer = tuple[CallResult | CallError, str]


class CatchingUp:
    """Of one connection to a charge point, over all connections to its CPMS."""

    __slots__ = ("_boot", "_connection", "_statuses", "_tasks", "_telling", "_turn", "_within_s")

    def __init__(self, connection: ProxyConnection, within_s: float) -> None:
        self._connection = connection
        self._within_s = within_s
        self._turn = asyncio.Lock()
        self._telling: tuple[str, asyncio.Future[_Answer]] | None = None
        # How things stand now, which the CPMS has missed. The last word of each connector.
        self._boot: str | None = None
        self._statuses: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, call: Call, raw: str) -> None:
        """What the charge point said of itself while the CPMS was away."""
        if call.action == "BootNotification":
            self._boot = raw
            self._statuses.clear()
        elif call.action == "StatusNotification":
            place = f"{call.payload.get('evseId')}:{call.payload.get('connectorId')}"
            self._statuses[place] = raw

    def begin(self, up: ClientConnection) -> asyncio.Task[None]:
        """Tell the CPMS all of it."""
        return asyncio.create_task(self._run(up), name="catching up")

    def take(self, answer: CallResult | CallError, raw: str) -> bool:
        """Whether this is the answer to a frame of ours: then the charge point has had one."""
        telling = self._telling
        if telling is None or telling[0] != answer.message_id:
            return False
        if not telling[1].done():
            telling[1].set_result((answer, raw))
        return True

    def between(self, asked: Asked) -> None:
        """A CALL of the charge point that is for no queue: as soon as it is its turn."""
        task = asyncio.create_task(self._between(asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _between(self, asked: Asked) -> None:
        async with self._turn:
            if await self._connection.between(asked) and asked.answered is not None:
                try:
                    async with asyncio.timeout(self._within_s):
                        await asked.answered.wait()
                except TimeoutError:
                    log.info("the CPMS does not answer %s", asked.call.action)

    async def _run(self, up: ClientConnection) -> None:
        connection = self._connection
        while True:
            try:
                if self._boot is not None:
                    await self._tell(up, self._boot)
                    self._boot = None
                while True:
                    waiting = await proxied.to_tell(connection.world, connection.charge_point_id)
                    if waiting is not None:
                        await self._deliver(up, waiting)
                    elif self._statuses:
                        place = next(iter(self._statuses))
                        await self._tell(up, self._statuses.pop(place))
                    elif await connection.caught_up():
                        return
            except (ConnectionClosed, TimeoutError):
                log.info("%s: its CPMS went before it knew all", connection.charge_point_id)
                up.transport.abort()
                return
            except Exception:
                # The database's trouble, most likely: what waits there is still there.
                log.exception("%s: its CPMS can't be told", connection.charge_point_id)
                await asyncio.sleep(RETRY_S)

    async def _deliver(self, up: ClientConnection, waiting: Waiting) -> None:
        """One frame of the queue, until the CPMS has it or it is given up."""
        world = self._connection.world
        raw = self._in_its_words(waiting)
        if raw is None:
            await proxied.give_up(world, waiting, "the CPMS has not taken the start before it")
            return
        if waiting.tries >= TRIES_MAX:
            why = f"sent {waiting.tries} times without an answer"
        else:
            answer, text = await self._insist(up, waiting, raw)
            if isinstance(answer, CallResult):
                why = await self._delivered(waiting, answer, text)
            else:
                why = f"the CPMS answers {answer.code}: {answer.description}"
        if why:
            log.warning("%s is not told to the CPMS: %s", waiting.action, why)
            await proxied.give_up(world, waiting, why)
            self._called(waiting, None)

    async def _insist(self, up: ClientConnection, waiting: Waiting, raw: str) -> _Answer:
        for number in range(1, REFUSALS_MAX + 1):
            await proxied.trying(self._connection.world, waiting)
            found = await self._tell(up, raw)
            if isinstance(found[0], CallResult) or number == REFUSALS_MAX:
                break
            await asyncio.sleep(RETRY_S * number)
        return found

    async def _delivered(self, waiting: Waiting, answer: CallResult, text: str) -> str:
        """The CPMS has it; what is wrong with its answer, if anything."""
        info, cpms_ref = answer.payload.get("idTokenInfo"), None
        if waiting.action == "StartTransaction":
            info = answer.payload.get("idTagInfo")
            cpms_ref = patch.number_of(str(answer.payload.get("transactionId")))
            if not cpms_ref:
                return f"its answer has no transaction id: {text[:200]}"
        refused = refusal(info)
        status = info.get("status") if refused is not None and isinstance(info, dict) else None
        self._called(waiting, cpms_ref)
        await proxied.told(self._connection.world, waiting, text, cpms_ref, status)
        return ""

    def _called(self, waiting: Waiting, cpms_ref: int | None) -> None:
        if waiting.action == "StartTransaction" and waiting.transaction_ref is not None:
            self._connection.names.called(waiting.transaction_ref, cpms_ref)

    def _in_its_words(self, waiting: Waiting) -> str | None:
        """The frame with the CPMS's number of the transaction; None where it has none."""
        names = self._connection.names
        if waiting.action != "StartTransaction" and names.is_unknown(waiting.transaction_ref):
            return None
        try:
            frame = frames.decode(waiting.raw)
        except Malformed:  # it could be decoded when it was queued
            return None
        return names.for_cpms(frame, waiting.raw) if isinstance(frame, Call) else None

    async def _tell(self, up: ClientConnection, raw: str) -> _Answer:
        """Send it and wait for the answer, which is ours. Raises TimeoutError, ConnectionClosed."""
        message_id = frames.message_id_of(raw) or ""
        future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        async with self._turn:
            self._telling = (message_id, future)
            try:
                await up.send(raw)
                async with asyncio.timeout(self._within_s):
                    return await future
            finally:
                self._telling = None
