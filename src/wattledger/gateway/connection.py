"""One charge point's connection: frames in, answers out, commands one at a time.

Frames of one charge point are handled in their order. Start, Stop and MeterValues are answered
after their frame and their effect on the session are committed. A fault of ours never
suppresses the answer: what can't be understood is answered with a CALLERROR, kept raw, and
recorded as an anomaly.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from wattledger.clock import utc_text
from wattledger.contract import Reason
from wattledger.errors import BadInput, Malformed
from wattledger.ids import content_digest
from wattledger.ingest import anomalies
from wattledger.ingest.journal import Journal, RawFrame
from wattledger.pipeline.authorize import authorize
from wattledger.pipeline.end import stop
from wattledger.pipeline.running import meter, status
from wattledger.pipeline.start import start
from wattledger.pipeline.world import World
from wattledger.wire.ocpp import frames, v16
from wattledger.wire.ocpp.frames import Call, CallError, CallResult

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL_S = 300
# Frames whose answer means "you may forget it": they wait for their batch of the journal.
_DURABLE = frozenset({"StartTransaction", "StopTransaction", "MeterValues"})
# 1.6 has no word for most of our reasons (§7.2): what is not blocked or expired is invalid.
_STATUS = {Reason.ACCEPTED: "Accepted", Reason.BLOCKED: "Blocked", Reason.EXPIRED: "Expired"}

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Connection:
    """A charge point on a socket, OCPP 1.6J."""

    def __init__(
        self, world: World, journal: Journal, charge_point_id: str, socket: ServerConnection
    ) -> None:
        self.charge_point_id = charge_point_id
        self._world = world
        self._journal = journal
        self._socket = socket
        self._id = str(socket.id)[:8]
        # OCPP-J §4.1.1: one outstanding CALL in each direction.
        self._calling = asyncio.Lock()
        self._answer: tuple[str, asyncio.Future[CallResult | CallError]] | None = None
        self._handlers: dict[str, Handler] = {
            "Authorize": self._authorize,
            "BootNotification": self._boot,
            "DataTransfer": self._data_transfer,
            "DiagnosticsStatusNotification": self._nothing,
            "FirmwareStatusNotification": self._nothing,
            "Heartbeat": self._heartbeat,
            "MeterValues": self._meter_values,
            "StartTransaction": self._start,
            "StatusNotification": self._status,
            "StopTransaction": self._stop,
        }

    async def serve(self) -> None:
        """Until the charge point goes."""
        try:
            async for message in self._socket:
                raw = message if isinstance(message, str) else message.decode("utf-8", "replace")
                await self._take(raw)
        except ConnectionClosed:
            pass
        finally:
            if self._answer is not None and not self._answer[1].done():
                self._answer[1].set_exception(ConnectionError("the charge point has gone"))

    async def call(
        self, message_id: str, action: str, payload: dict[str, Any], timeout_s: float
    ) -> CallResult | CallError:
        """Send a CALL and wait for its answer. Raises TimeoutError or ConnectionError."""
        async with self._calling:
            future: asyncio.Future[CallResult | CallError] = (
                asyncio.get_running_loop().create_future()
            )
            self._answer = (message_id, future)
            try:
                raw = frames.encode(Call(message_id, action, payload))
                await self._send(raw)
                async with asyncio.timeout(timeout_s):
                    return await future
            except ConnectionClosed:
                raise ConnectionError("the charge point has gone") from None
            finally:
                self._answer = None

    async def _take(self, raw: str) -> None:
        now = self._world.now
        try:
            frame = frames.decode(raw)
        except Malformed as error:
            await self._malformed(raw, now, error)
            return
        durable = isinstance(frame, Call) and frame.action in _DURABLE
        await self._journal.put(self._raw("in", raw, now), wait=durable)
        if isinstance(frame, Call):
            await self._send(frames.encode(await self._answer_to(frame)))
        elif self._answer is not None and self._answer[0] == frame.message_id:
            if not self._answer[1].done():
                self._answer[1].set_result(frame)
        else:
            log.info("%s: an answer nobody waits for: %s", self.charge_point_id, raw[:120])

    async def _answer_to(self, call: Call) -> CallResult | CallError:
        handler = self._handlers.get(call.action)
        if handler is None:
            return CallError(call.message_id, "NotImplemented", f"{call.action} is not known here")
        try:
            return CallResult(call.message_id, await handler(call.payload))
        except BadInput as error:
            await self._anomaly("frame.invalid", call.action, str(error))
            return CallError(call.message_id, "FormationViolation", str(error)[:255])
        except Exception as error:
            # Answered all the same (1.6 §4.8): the frame is in the journal, a person is shown
            # it, and the charge point keeps its message for another try.
            log.exception("%s %s", self.charge_point_id, call.action)
            await self._anomaly("frame.failed", call.action, f"{type(error).__name__}: {error}")
            return CallError(call.message_id, "InternalError", "not stored: please repeat")

    async def _malformed(self, raw: str, now: datetime, error: Malformed) -> None:
        await self._journal.put(self._raw("in", raw, now), wait=False)
        log.warning("%s sent a frame we can't read: %s", self.charge_point_id, error)
        await self._anomaly("frame.malformed", content_digest(raw.encode())[:16], str(error))
        message_id = frames.message_id_of(raw)
        if message_id is not None:
            answer = CallError(message_id, "FormationViolation", str(error)[:255])
            await self._send(frames.encode(answer))

    async def _anomaly(self, code: str, cause: str, why: str) -> None:
        try:
            async with self._world.work.pool.connection() as conn:
                await anomalies.record(
                    conn, at=self._world.now, code=code, subject=self.charge_point_id,
                    detail={"why": why, "at": cause}, cause=f"{cause}:{why}",
                )  # fmt: skip
        except Exception:
            log.exception("the anomaly %s of %s could not be stored", code, self.charge_point_id)

    async def _send(self, raw: str) -> None:
        await self._journal.put(self._raw("out", raw, self._world.now), wait=False)
        await self._socket.send(raw)

    def _raw(self, direction: str, raw: str, now: datetime) -> RawFrame:
        return RawFrame(self.charge_point_id, self._id, now, direction, raw)

    async def _authorize(self, payload: dict[str, Any]) -> dict[str, Any]:
        message = v16.read(payload, v16.Authorize)
        decision = await authorize(self._world, message.id_tag, self.charge_point_id)
        return v16.id_tag_info(_STATUS.get(decision.reason, "Invalid"))

    async def _boot(self, payload: dict[str, Any]) -> dict[str, Any]:
        message = v16.read(payload, v16.BootNotification)
        now = self._world.now
        async with self._world.work.pool.connection() as conn:
            await conn.execute(
                "INSERT INTO charge_point_state"
                " (charge_point_id, connected, vendor, model, heard_at)"
                " VALUES (%s, true, %s, %s, %s) ON CONFLICT (charge_point_id) DO UPDATE"
                " SET connected = true, vendor = EXCLUDED.vendor, model = EXCLUDED.model,"
                " heard_at = EXCLUDED.heard_at",
                (self.charge_point_id, message.charge_point_vendor,
                 message.charge_point_model, now),
            )  # fmt: skip
        return {
            "status": "Accepted",
            "currentTime": utc_text(now),
            "interval": HEARTBEAT_INTERVAL_S,
        }

    async def _heartbeat(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {"currentTime": utc_text(self._world.now)}

    async def _status(self, payload: dict[str, Any]) -> dict[str, Any]:
        message = v16.read(payload, v16.StatusNotification)
        await status(self._world, self.charge_point_id, message, self._world.now)
        return {}

    async def _start(self, payload: dict[str, Any]) -> dict[str, Any]:
        message = v16.read(payload, v16.StartTransaction)
        started = await start(self._world, self.charge_point_id, message)
        info = v16.id_tag_info(_STATUS.get(started.reason, "Invalid"))
        return {"transactionId": started.transaction_id, **info}

    async def _meter_values(self, payload: dict[str, Any]) -> dict[str, Any]:
        await meter(self._world, self.charge_point_id, v16.read(payload, v16.MeterValues))
        return {}

    async def _stop(self, payload: dict[str, Any]) -> dict[str, Any]:
        message = v16.read(payload, v16.StopTransaction)
        await stop(self._world, self.charge_point_id, message)
        # idTagInfo is optional in the answer; a stop can't be refused.
        return {}

    async def _data_transfer(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {"status": "UnknownVendorId"}

    async def _nothing(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {}
