"""A simulated charge point: the PyPI ``ocpp`` package on a real WebSocket.

Its code is not ours, so a mistake of our gateway can't be confirmed by the same mistake. The
times in its messages are business time.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import ocpp.messages
import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint as Ocpp16
from ocpp.v16 import call, call_result
from ocpp.v16.datatypes import MeterValue, SampledValue
from ocpp.v16.enums import (
    Action,
    ChargePointErrorCode,
    ChargePointStatus,
    ConfigurationStatus,
    Measurand,
    ReadingContext,
    Reason,
    RemoteStartStopStatus,
    UnitOfMeasure,
)
from websockets.asyncio.client import ClientConnection

from wattledger.clock import utc_text
from wattledger.errors import ExternalFault

# Validation in a thread pool costs more than the validation.
ocpp.messages.ASYNC_VALIDATION = False

_CONNECTOR = 1
_ANSWER_TIMEOUT_S = 30


class _Protocol(Ocpp16):
    """The package's charge point, with what ours answers to the one command it knows."""

    remote_stop: Callable[[int], bool]

    # The package's functions carry no types.
    @on(Action.remote_stop_transaction)  # type: ignore[untyped-decorator, no-untyped-call]
    def on_remote_stop(self, transaction_id: int, **_: Any) -> call_result.RemoteStopTransaction:
        known = self.remote_stop(transaction_id)
        status = RemoteStartStopStatus.accepted if known else RemoteStartStopStatus.rejected
        return call_result.RemoteStopTransaction(status=status)

    @on(Action.change_configuration)  # type: ignore[untyped-decorator, no-untyped-call]
    def on_change(self, **_: Any) -> call_result.ChangeConfiguration:
        return call_result.ChangeConfiguration(status=ConfigurationStatus.accepted)


class ConnectedPoint:
    """A charge point that is connected and has booted. ``remote_stop`` is told of each command
    with its transaction id, and says whether it is one that runs."""

    def __init__(
        self, point_id: str, connection: ClientConnection, remote_stop: Callable[[int], bool]
    ) -> None:
        self.id = point_id
        self._connection = connection
        protocol: Any = _Protocol
        self._protocol = protocol(point_id, connection, _ANSWER_TIMEOUT_S)
        self._protocol.remote_stop = remote_stop
        self._listening = asyncio.create_task(self._protocol.start())

    @classmethod
    async def connect(
        cls,
        base_url: str,
        point_id: str,
        password: str,
        remote_stop: Callable[[int], bool],
    ) -> ConnectedPoint:
        """Open the socket, with Basic auth as OCPP's security profile 1 asks."""
        login = base64.b64encode(f"{point_id}:{password}".encode()).decode()
        connection = await websockets.connect(
            f"{base_url}/{point_id}",
            subprotocols=[websockets.Subprotocol("ocpp1.6")],
            additional_headers={"Authorization": f"Basic {login}"},
            compression=None,
            # Business time runs far ahead of the machine's: silence means nothing here.
            ping_interval=None,
            open_timeout=_ANSWER_TIMEOUT_S,
            proxy=None,
        )
        if connection.subprotocol != "ocpp1.6":
            await connection.close()
            raise ExternalFault(f"{point_id}: the server does not speak ocpp1.6")
        return cls(point_id, connection, remote_stop)

    async def boot(self, power_w: int) -> None:
        answer = await self._call(
            call.BootNotification(
                charge_point_model=f"Simulated {power_w // 1000} kW",
                charge_point_vendor="Wattledger demo",
                charge_point_serial_number=self.id,
                firmware_version="1.6-demo",
            )
        )
        if answer.status != "Accepted":
            raise ExternalFault(f"{self.id}: BootNotification was answered {answer.status}")

    async def status(self, status: str, at: datetime) -> None:
        await self._call(
            call.StatusNotification(
                connector_id=_CONNECTOR,
                error_code=ChargePointErrorCode.no_error,
                status=ChargePointStatus(status),
                timestamp=utc_text(at),
            )
        )

    async def authorize(self, token: str) -> bool:
        answer = await self._call(call.Authorize(id_tag=token))
        return bool(answer.id_tag_info["status"] == "Accepted")

    async def start(self, token: str, at: datetime, register_wh: int) -> tuple[int, bool]:
        """The transaction id, and whether the token is still accepted."""
        answer = await self._call(
            call.StartTransaction(
                connector_id=_CONNECTOR,
                id_tag=token,
                meter_start=register_wh,
                timestamp=utc_text(at),
            )
        )
        return int(answer.transaction_id), bool(answer.id_tag_info["status"] == "Accepted")

    async def meter(
        self, transaction_id: int, at: datetime, register_wh: int, power_w: int
    ) -> None:
        await self._call(
            call.MeterValues(
                connector_id=_CONNECTOR,
                transaction_id=transaction_id,
                meter_value=[
                    MeterValue(
                        timestamp=utc_text(at),
                        sampled_value=[
                            _sampled(register_wh, ReadingContext.sample_clock),
                            SampledValue(
                                value=str(power_w),
                                context=ReadingContext.sample_clock,
                                measurand=Measurand.power_active_import,
                                unit=UnitOfMeasure.w,
                            ),
                        ],
                    )
                ],
            )
        )

    async def stop(
        self,
        transaction_id: int,
        *,
        token: str | None,
        reason: str,
        began: tuple[datetime, int],
        ended: tuple[datetime, int],
    ) -> None:
        """``began`` and ``ended`` are time and register; ``token`` where a driver showed it."""
        await self._call(
            call.StopTransaction(
                transaction_id=transaction_id,
                id_tag=token,
                reason=Reason(reason),
                meter_stop=ended[1],
                timestamp=utc_text(ended[0]),
                transaction_data=[
                    MeterValue(timestamp=utc_text(at), sampled_value=[_sampled(wh, context)])
                    for (at, wh), context in (
                        (began, ReadingContext.transaction_begin),
                        (ended, ReadingContext.transaction_end),
                    )
                ],
            )
        )

    async def close(self) -> None:
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._listening
        await self._connection.close()

    async def _call(self, request: Any) -> Any:
        """The answer; ExternalFault when it is an error, or none comes."""
        name = type(request).__name__
        calling = asyncio.ensure_future(self._protocol.call(request, suppress=False))
        # A lost connection ends the listening task, and would leave the call to its time-out.
        await asyncio.wait({calling, self._listening}, return_when=asyncio.FIRST_COMPLETED)
        if not calling.done():
            calling.cancel()
            raise ExternalFault(f"{self.id}: the connection was lost during {name}")
        try:
            return calling.result()
        except Exception as error:  # the package raises its own, websockets' and time-outs
            what = f"{type(error).__name__}: {error}"
            raise ExternalFault(f"{self.id}: {name} failed: {what}") from error


def _sampled(register_wh: int, context: ReadingContext) -> SampledValue:
    return SampledValue(
        value=str(register_wh),
        context=context,
        measurand=Measurand.energy_active_import_register,
        unit=UnitOfMeasure.wh,
    )
