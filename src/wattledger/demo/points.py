"""A simulated charge point that speaks OCPP 1.6J. The times in its messages are business time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint as Ocpp16
from ocpp.v16 import call, call_result
from ocpp.v16.datatypes import MeterValue, SampledValue
from ocpp.v16.enums import (
    Action,
    ChargePointErrorCode,
    ChargePointStatus,
    ClearCacheStatus,
    ConfigurationStatus,
    Measurand,
    ReadingContext,
    Reason,
    RemoteStartStopStatus,
    UnitOfMeasure,
)

from wattledger.clock import utc_text
from wattledger.demo.connected import Connected

_CONNECTOR = 1


class _Protocol(Ocpp16):
    """The package's charge point, with what ours answers to the commands it knows."""

    remote_start: Callable[[str], bool]
    remote_stop: Callable[[str], bool]

    # The package's functions carry no types.
    @on(Action.remote_stop_transaction)  # type: ignore[untyped-decorator, no-untyped-call]
    def on_remote_stop(self, transaction_id: int, **_: Any) -> call_result.RemoteStopTransaction:
        known = self.remote_stop(str(transaction_id))
        status = RemoteStartStopStatus.accepted if known else RemoteStartStopStatus.rejected
        return call_result.RemoteStopTransaction(status=status)

    @on(Action.remote_start_transaction)  # type: ignore[untyped-decorator, no-untyped-call]
    def on_remote_start(self, id_tag: str, **_: Any) -> call_result.RemoteStartTransaction:
        status = RemoteStartStopStatus
        return call_result.RemoteStartTransaction(
            status=status.accepted if self.remote_start(id_tag) else status.rejected
        )

    @on(Action.change_configuration)  # type: ignore[untyped-decorator, no-untyped-call]
    def on_change(self, **_: Any) -> call_result.ChangeConfiguration:
        return call_result.ChangeConfiguration(status=ConfigurationStatus.accepted)

    @on(Action.clear_cache)  # type: ignore[untyped-decorator, no-untyped-call]
    def on_clear(self, **_: Any) -> call_result.ClearCache:
        return call_result.ClearCache(status=ClearCacheStatus.accepted)


class ConnectedPoint(Connected):
    """It calls a transaction by the number that the server gave it."""

    version = "ocpp1.6"
    protocol = _Protocol

    def _boot_notification(self, model: str) -> Any:
        return call.BootNotification(
            charge_point_model=model,
            charge_point_vendor="Wattledger demo",
            charge_point_serial_number=self.id,
            firmware_version="1.6-demo",
        )

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

    async def start(self, token: str, at: datetime, register_wh: int) -> tuple[str, bool]:
        answer = await self._call(
            call.StartTransaction(
                connector_id=_CONNECTOR,
                id_tag=token,
                meter_start=register_wh,
                timestamp=utc_text(at),
            )
        )
        return str(answer.transaction_id), bool(answer.id_tag_info["status"] == "Accepted")

    async def meter(self, ref: str, at: datetime, register_wh: int, power_w: int) -> None:
        await self._call(
            call.MeterValues(
                connector_id=_CONNECTOR,
                transaction_id=int(ref),
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
        ref: str,
        *,
        token: str | None,
        reason: str,
        began: tuple[datetime, int],
        ended: tuple[datetime, int],
    ) -> None:
        await self._call(
            call.StopTransaction(
                transaction_id=int(ref),
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


def _sampled(register_wh: int, context: ReadingContext) -> SampledValue:
    return SampledValue(
        value=str(register_wh),
        context=context,
        measurand=Measurand.energy_active_import_register,
        unit=UnitOfMeasure.wh,
    )
