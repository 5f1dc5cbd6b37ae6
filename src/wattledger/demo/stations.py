"""A simulated charging station that speaks OCPP 2.0.1. The times in its messages are business time.

Where OCPP 1.6 has a message for each thing that happens, 2.0.1 has an event of the transaction,
with a number, so that it can be told whether all have come.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Any

from ocpp.routing import on
from ocpp.v201 import ChargePoint as Ocpp201
from ocpp.v201 import call, call_result
from ocpp.v201.datatypes import (
    ChargingStationType,
    EVSEType,
    IdTokenType,
    MeterValueType,
    SampledValueType,
    SetVariableResultType,
    TransactionType,
    UnitOfMeasureType,
)
from ocpp.v201.enums import (
    Action,
    BootReasonEnumType,
    ChargingStateEnumType,
    ClearCacheStatusEnumType,
    ConnectorStatusEnumType,
    IdTokenEnumType,
    MeasurandEnumType,
    ReadingContextEnumType,
    ReasonEnumType,
    RequestStartStopStatusEnumType,
    SetVariableStatusEnumType,
    TransactionEventEnumType,
    TriggerReasonEnumType,
)

from wattledger.clock import utc_text
from wattledger.demo.connected import Connected

_EVSE = EVSEType(id=1, connector_id=1)
# What a 1.6 connector says of a car that charges is an event of the transaction here.
_CHARGING_STATES = {
    "Charging": ChargingStateEnumType.charging,
    "SuspendedEV": ChargingStateEnumType.suspended_ev,
}
_WHY = {
    "DeAuthorized": TriggerReasonEnumType.deauthorized,
    "EVDisconnected": TriggerReasonEnumType.ev_communication_lost,
    "Local": TriggerReasonEnumType.stop_authorized,
    "Remote": TriggerReasonEnumType.remote_stop,
}


class _Protocol(Ocpp201):
    """The package's station, with what ours answers to the commands it knows."""

    remote_start: Callable[[str], bool]
    remote_stop: Callable[[str], bool]

    # The package's functions carry no types.
    @on(Action.request_stop_transaction)  # type: ignore[untyped-decorator, no-untyped-call]
    def on_stop(self, transaction_id: str, **_: Any) -> call_result.RequestStopTransaction:
        known = self.remote_stop(transaction_id)
        status = RequestStartStopStatusEnumType
        return call_result.RequestStopTransaction(status.accepted if known else status.rejected)

    @on(Action.request_start_transaction)  # type: ignore[untyped-decorator, no-untyped-call]
    def on_start(self, id_token: dict[str, Any], **_: Any) -> call_result.RequestStartTransaction:
        status = RequestStartStopStatusEnumType
        known = self.remote_start(id_token["id_token"])
        return call_result.RequestStartTransaction(status.accepted if known else status.rejected)

    @on(Action.set_variables)  # type: ignore[untyped-decorator, no-untyped-call]
    def on_set(self, set_variable_data: list[dict[str, Any]], **_: Any) -> call_result.SetVariables:
        return call_result.SetVariables(
            [
                SetVariableResultType(
                    attribute_status=SetVariableStatusEnumType.accepted,
                    component=one["component"],
                    variable=one["variable"],
                )
                for one in set_variable_data
            ]
        )

    @on(Action.clear_cache)  # type: ignore[untyped-decorator, no-untyped-call]
    def on_clear(self, **_: Any) -> call_result.ClearCache:
        return call_result.ClearCache(ClearCacheStatusEnumType.accepted)

    @on(Action.cost_updated)  # type: ignore[untyped-decorator, no-untyped-call]
    def on_cost(self, **_: Any) -> call_result.CostUpdated:
        return call_result.CostUpdated()


class ConnectedStation(Connected):
    """It calls its transactions by names of its own, and counts their events."""

    version = "ocpp2.0.1"
    protocol = _Protocol

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._ref = ""
        self._events = count()

    def _boot_notification(self, model: str) -> Any:
        station = ChargingStationType(
            model=model,
            vendor_name="Wattledger demo",
            serial_number=self.id,
            firmware_version="2.0.1-demo",
        )
        return call.BootNotification(station, BootReasonEnumType.power_up)

    async def status(self, status: str, at: datetime) -> None:
        """The connector knows no more than whether a car is plugged in; the rest is the
        transaction's."""
        state = _CHARGING_STATES.get(status)
        if state is not None:
            await self._event("updated", at, TriggerReasonEnumType.charging_state_changed, state)
            return
        plugged = ConnectorStatusEnumType.occupied
        said = ConnectorStatusEnumType.available if status == "Available" else plugged
        await self._call(call.StatusNotification(utc_text(at), said, _EVSE.id, _EVSE.id))

    async def authorize(self, token: str) -> bool:
        answer = await self._call(call.Authorize(_token(token)))
        return bool(answer.id_token_info["status"] == "Accepted")

    async def start(self, token: str, at: datetime, register_wh: int) -> tuple[str, bool]:
        self._ref = f"{self.id}-{at:%Y%m%d%H%M%S}"
        self._events = count()
        answer = await self._event(
            "started",
            at,
            TriggerReasonEnumType.authorized,
            ChargingStateEnumType.ev_connected,
            [_sampled(register_wh, ReadingContextEnumType.transaction_begin)],
            token=token,
        )
        return self._ref, bool(answer.id_token_info["status"] == "Accepted")

    async def meter(self, ref: str, at: datetime, register_wh: int, power_w: int) -> None:
        power = SampledValueType(
            value=power_w,
            context=ReadingContextEnumType.sample_clock,
            measurand=MeasurandEnumType.power_active_import,
            unit_of_measure=UnitOfMeasureType(unit="W"),
        )
        register = _sampled(register_wh, ReadingContextEnumType.sample_clock)
        await self._event(
            "updated", at, TriggerReasonEnumType.meter_value_clock, samples=[register, power]
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
        await self._event(
            "ended",
            ended[0],
            _WHY[reason],
            samples=[_sampled(ended[1], ReadingContextEnumType.transaction_end)],
            token=token,
            reason=ReasonEnumType(reason),
        )

    async def _event(
        self,
        kind: str,
        at: datetime,
        why: TriggerReasonEnumType,
        state: ChargingStateEnumType | None = None,
        samples: list[SampledValueType] | None = None,
        *,
        token: str | None = None,
        reason: ReasonEnumType | None = None,
    ) -> Any:
        """The next event of the transaction that runs."""
        when = utc_text(at)
        return await self._call(
            call.TransactionEvent(
                event_type=TransactionEventEnumType[kind],
                timestamp=when,
                trigger_reason=why,
                seq_no=next(self._events),
                transaction_info=TransactionType(
                    transaction_id=self._ref, charging_state=state, stopped_reason=reason
                ),
                meter_value=[MeterValueType(timestamp=when, sampled_value=samples)]
                if samples
                else None,
                evse=_EVSE,
                id_token=_token(token) if token is not None else None,
            )
        )


def _token(token: str) -> IdTokenType:
    return IdTokenType(id_token=token, type=IdTokenEnumType.iso14443)


def _sampled(register_wh: int, context: ReadingContextEnumType) -> SampledValueType:
    return SampledValueType(
        value=register_wh,
        context=context,
        measurand=MeasurandEnumType.energy_active_import_register,
        unit_of_measure=UnitOfMeasureType(unit="Wh"),
    )
