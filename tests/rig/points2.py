"""Charge points of any version that say what a script wants, however wrong; PyPI ``ocpp`` says it.

What is sent is checked by that package's own schemas, unless the script asks for it unchecked, and
so is every answer.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from datetime import datetime
from typing import Any

import ocpp.messages
import websockets
from ocpp import v16, v21, v201
from ocpp.routing import on
from ocpp.v16 import call as call16
from ocpp.v21 import call as call21
from ocpp.v201 import call as call201

from rig.network import PASSWORD
from rig.server import Serving
from wattledger.clock import utc_text

ocpp.messages.ASYNC_VALIDATION = False
_ANSWER_S = 30
V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"
Answers = dict[str, dict[str, Any]]


class _Tap:
    """The socket, with a list of what came in."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        self.came: list[str] = []

    async def send(self, text: str) -> None:
        await self._socket.send(text)

    async def recv(self) -> str:
        text = str(await self._socket.recv())
        self.came.append(text)
        return text

    async def close(self) -> None:
        await self._socket.close()


def _handlers(base: Any, result: Any, actions: tuple[str, ...]) -> Any:
    """The package's charge point of a version, with answers that ``answers`` has."""

    def handler(action: str) -> Any:
        def answer(self: Any, **request: Any) -> Any:
            self.asked.append((action, request))
            return getattr(result, action)(**self.answers.get(action, {"status": "Accepted"}))

        answer.__name__ = f"on_{action}"  # by which the package finds it
        return on(action)(answer)

    made = {f"on_{action}": handler(action) for action in actions}
    return type(f"Scripted{base.__module__}", (base,), made)


_TWO = ("RequestStopTransaction", "GetTransactionStatus", "TriggerMessage", "CostUpdated")
_POINTS = {
    V16: _handlers(
        v16.ChargePoint, v16.call_result, ("RemoteStopTransaction", "TriggerMessage")
    ),
    V201: _handlers(v201.ChargePoint, v201.call_result, _TWO),
    V21: _handlers(v21.ChargePoint, v21.call_result, _TWO),
}  # fmt: skip


class Scripted:
    """One charge point. ``asked`` is what the server wanted of it, ``answers`` what it says then;
    CostUpdated is answered with nothing, as the standard has it."""

    def __init__(self, point_id: str, version: str, server: Serving) -> None:
        self.id = point_id
        self.version = version
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: Answers = {
            "CostUpdated": {},
            "GetTransactionStatus": {"messages_in_queue": True, "ongoing_indicator": False},
        }
        self._server = server
        self._tap: _Tap | None = None
        self._protocol: Any = None
        self._listening: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Unless it is connected."""
        if self._listening is not None and not self._listening.done():
            return
        login = base64.b64encode(f"{self.id}:{PASSWORD}".encode()).decode()
        self._tap = _Tap(
            await websockets.connect(
                f"{self._server.ocpp_url}/{self.id}",
                subprotocols=[websockets.Subprotocol(self.version)],
                additional_headers={"Authorization": f"Basic {login}"},
                compression=None, ping_interval=None, proxy=None, max_size=None,
            )
        )  # fmt: skip
        self._protocol = _POINTS[self.version](self.id, self._tap, _ANSWER_S)
        self._protocol.asked, self._protocol.answers = self.asked, self.answers
        self._listening = asyncio.create_task(self._listen(), name=self.id)

    async def _listen(self) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            await self._protocol.start()

    async def go(self) -> None:
        """The connection is cut."""
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
        if self._tap is not None:
            await self._tap.close()
        self._listening = self._tap = None

    async def say(
        self, request: Any, message_id: str | None = None, *, checked: bool = True
    ) -> Any:
        """The answer. Raises ocpp's error for a CALLERROR."""
        await self.connect()
        return await self._protocol.call(
            request, suppress=False, unique_id=message_id, skip_schema_validation=not checked
        )

    async def raw(self, text: str, *, answered: bool = True) -> Any:
        """Any text; the frame that comes next, decoded, where one is expected."""
        await self.connect()
        assert self._tap is not None
        before = len(self._tap.came)
        await self._tap.send(text)
        if not answered:
            return None
        async with asyncio.timeout(_ANSWER_S):
            while len(self._tap.came) == before:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        return json.loads(self._tap.came[-1])


def sample16(value: str, unit: str | None = None, **more: str) -> dict[str, Any]:
    """A sampled value of 1.6; what is not said has the standard's default."""
    return {"value": value, **({"unit": unit} if unit else {}), **more}


class Point16(Scripted):
    """OCPP 1.6. Registers in Wh; more fields, and wrong ones, by keyword."""

    async def boot(self) -> None:
        await self.say(call16.BootNotification("Model", "Vendor"))

    async def authorize(self, token: str) -> str:
        return str((await self.say(call16.Authorize(token))).id_tag_info["status"])

    async def status(self, name: str, when: datetime, connector: int = 1) -> None:
        await self.say(
            call16.StatusNotification(
                connector_id=connector, error_code="NoError", status=name, timestamp=utc_text(when)
            )
        )

    async def start_answer(
        self, token: str, when: datetime, wh: int, connector: int = 1,
        message_id: str | None = None,
    ) -> Any:  # fmt: skip
        request = call16.StartTransaction(connector, token, wh, utc_text(when))
        return await self.say(request, message_id)

    async def start(
        self, token: str, when: datetime, wh: int, connector: int = 1,
        message_id: str | None = None,
    ) -> int:  # fmt: skip
        found = await self.start_answer(token, when, wh, connector, message_id)
        return int(found.transaction_id)

    async def meter(
        self, transaction_id: int | None, when: datetime, *values: int | dict[str, Any],
        connector: int = 1, message_id: str | None = None,
    ) -> None:  # fmt: skip
        request = call16.MeterValues(connector, [_at16(when, values)], transaction_id)
        await self.say(request, message_id)

    async def stop(
        self, transaction_id: int, when: datetime, wh: int,
        *data: tuple[datetime, list[int | dict[str, Any]]],
        token: str | None = None, reason: str | None = None, message_id: str | None = None,
    ) -> None:  # fmt: skip
        request = call16.StopTransaction(
            wh, utc_text(when), transaction_id, reason=reason, id_tag=token,
            transaction_data=[_at16(at, samples) for at, samples in data] or None,
        )  # fmt: skip
        await self.say(request, message_id)


def _at16(when: datetime, samples: Any) -> dict[str, Any]:
    made = [sample16(str(s)) if isinstance(s, int) else s for s in samples]
    return {"timestamp": utc_text(when), "sampledValue": made}


_CONTEXT = {"Started": "Transaction.Begin", "Updated": None, "Ended": "Transaction.End"}


def sample2(
    value: float, unit: str | None = None, multiplier: int | None = None, **more: Any
) -> dict[str, Any]:
    """A sampled value of 2.x; ``context``, ``phase``, ``measurand``, ``signedMeterValue``."""
    measure = {"unit": unit, "multiplier": multiplier}
    measure = {key: held for key, held in measure.items() if held is not None}
    return {"value": value, **({"unitOfMeasure": measure} if measure else {}), **more}


class Station(Scripted):
    """OCPP 2.0.1 or 2.1. It counts the events of each transaction, if it is not told to do else."""

    def __init__(self, point_id: str, version: str, server: Serving) -> None:
        super().__init__(point_id, version, server)
        self._call: Any = call201 if version == V201 else call21
        self._seq: dict[str, int] = {}

    async def boot(self) -> None:
        station = {"vendorName": "Vendor", "model": "Model"}
        await self.say(self._call.BootNotification(charging_station=station, reason="PowerUp"))

    async def authorize(self, token: str) -> str:
        answer = await self.say(self._call.Authorize(id_token=_token(token)))
        return str(answer.id_token_info["status"])

    async def status(self, name: str, when: datetime, evse: int = 1) -> None:
        await self.say(
            self._call.StatusNotification(
                timestamp=utc_text(when), connector_status=name, evse_id=evse, connector_id=1
            )
        )

    def event(
        self, kind: str, ref: str, when: datetime, *values: float | dict[str, Any],
        token: str | None = None, evse: int | None = 1, state: str | None = "Charging",
        seq: int | None = None, offline: bool | None = None, trigger: str = "Authorized",
        **info: Any,
    ) -> Any:  # fmt: skip
        """An event that can be said, more than once. A bare number is the register in Wh, of the
        context that belongs to the event."""
        number = self._seq.get(ref, 0) if seq is None else seq
        self._seq[ref] = number + 1
        context = _CONTEXT[kind]
        more = {"context": context} if context else {}
        samples = [sample2(v, **more) if isinstance(v, int | float) else v for v in values]
        told = {"transactionId": ref, "chargingState": state, **info}
        return self._call.TransactionEvent(
            event_type=kind, timestamp=utc_text(when), trigger_reason=trigger, seq_no=number,
            transaction_info={key: held for key, held in told.items() if held is not None},
            offline=offline, evse={"id": evse, "connectorId": 1} if evse else None,
            id_token=_token(token) if token is not None else None,
            meter_value=[{"timestamp": utc_text(when), "sampledValue": samples}]
            if samples else None,
        )  # fmt: skip

    async def started(self, ref: str, when: datetime, *values: Any, **more: Any) -> Any:
        return await self.say(self.event("Started", ref, when, *values, **more))

    async def updated(self, ref: str, when: datetime, *values: Any, **more: Any) -> Any:
        more.setdefault("trigger", "MeterValuePeriodic")
        return await self.say(self.event("Updated", ref, when, *values, **more))

    async def ended(self, ref: str, when: datetime, *values: Any, **more: Any) -> Any:
        more = {"trigger": "StopAuthorized", "stoppedReason": "Local", **more}
        return await self.say(self.event("Ended", ref, when, *values, **more))


def _token(token: str) -> dict[str, str]:
    return {"idToken": token, "type": "ISO14443"}
