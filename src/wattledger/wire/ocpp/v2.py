"""OCPP 2.0.1 and 2.1 messages that billing reads, where the two share them. Pure.

Names and types are the standards' (2.0.1 edition 3 and 2.1, part 2); what only 2.1 has is optional
here, or in ``v21``. Enumerations that decide nothing are texts: a word that we don't know must not
lose the message it stands in.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from wattledger.errors import BadInput
from wattledger.wire.numbers import device_time
from wattledger.wire.ocpp import signed
from wattledger.wire.ocpp.metered import samples_of
from wattledger.wire.ocpp.reading import Int, Long, M, Message, Name, Text, convert, text_of
from wattledger.wire.ocpp.samples import Sample

_REGISTER = "Energy.Active.Import.Register"
# EVSE 0 is the station as a whole.
_Id = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_TransactionId = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]


class IdToken(Message, frozen=True):
    """Compared without regard to case; empty where ``type`` is NoAuthorization."""

    id_token: Name
    type: Text = ""


class Evse(Message, frozen=True):
    """Which EVSE, and which of its connectors: absent is not the same as 1."""

    id: _Id
    connector_id: _Id | None = None


class UnitOfMeasure(Message, frozen=True):
    """The value times ten to the ``multiplier``, in ``unit``."""

    unit: Text | None = None
    multiplier: Int | None = None


class SampledValue(Message, frozen=True):
    """``value`` is a number, as text or an int; judged by whoever needs it."""

    value: Any = None
    context: Text | None = None
    measurand: Text | None = None
    phase: Text | None = None
    location: Text | None = None
    signed_meter_value: Any = None
    unit_of_measure: Any = None


class TransactionInfo(Message, frozen=True):
    """``transaction_id`` is the station's own. The last two are of 2.1."""

    transaction_id: _TransactionId
    charging_state: Text | None = None
    stopped_reason: Text | None = None
    tariff_id: Text | None = None
    transaction_limit: Any = None


class TransactionEvent(Message, frozen=True):
    """E01 to E16. Events may come in any order; ``seq_no`` counts them, if the station can count.

    ``cost_details`` and the transaction's limit are what ``v21`` reads, ``meter_value`` is what
    ``samples`` does: kept as they came, so that an error in them does not lose the event. Nor does
    one in a field that billing does not read, such as the cable's current: it is none of ours.
    """

    event_type: Literal["Started", "Updated", "Ended"]
    timestamp: str
    seq_no: Long
    transaction_info: TransactionInfo
    trigger_reason: Text = ""
    offline: bool | None = False
    evse: Evse | None = None
    id_token: IdToken | None = None
    meter_value: Any = None
    cost_details: Any = None

    @property
    def values(self) -> object:
        """The meter values, of which there may be none."""
        return self.meter_value


class Authorize(Message, frozen=True):
    """C01. Contract certificates are not for billing to judge: only the token is read."""

    id_token: IdToken


class ChargingStation(Message, frozen=True):
    """Who made it."""

    vendor_name: Text
    model: Text
    serial_number: Text | None = None
    firmware_version: Text | None = None


class BootNotification(Message, frozen=True):
    """B01"""

    charging_station: ChargingStation
    reason: Text = "Unknown"


class StatusNotification(Message, frozen=True):
    """G01"""

    timestamp: str
    connector_status: Text
    evse_id: _Id
    connector_id: _Id


class MeterValues(Message, frozen=True):
    """J01: outside of a transaction; those of one come in its events."""

    evse_id: _Id
    meter_value: Any


class DataTransfer(Message, frozen=True):
    """P01, P02. ``data`` may be any JSON."""

    vendor_id: Name
    message_id: Name | None = None
    data: Any = None


class Component(Message, frozen=True):
    """A part of the station's device model."""

    name: Text
    instance: Text | None = None
    evse: Evse | None = None


class Variable(Message, frozen=True):
    """A value of a component."""

    name: Text
    instance: Text | None = None


class EventData(Message, frozen=True):
    """A variable changed, or crossed a limit."""

    timestamp: str
    actual_value: Text
    component: Component
    variable: Variable
    cleared: bool | None = None


class NotifyEvent(Message, frozen=True):
    """N07, N08"""

    event_data: list[EventData]
    seq_no: Long = 0


class ConnectorState(msgspec.Struct, frozen=True):
    """What a NotifyEvent says about a connector, or an EVSE: ``status`` as StatusNotification's."""

    at: datetime
    status: str
    evse_id: int
    connector_id: int | None


class ReservationStatusUpdate(Message, frozen=True):
    """H04: Expired, Removed or (2.1) NoTransaction."""

    reservation_id: Int
    reservation_update_status: Text


def read(payload: object, message: type[M]) -> M:
    """The message in a payload. Raises BadInput with the path of what is wrong."""
    return convert(payload, message, "OCPP 2")


def time_of(text: str) -> datetime:
    """A timestamp of a message, in UTC; never an error: see ``device_time``."""
    return device_time(text)


def samples(meter_values: object, path: str) -> list[Sample]:
    """Every sample, of whatever measurand; a signed record stands beside its value.

    Times, values and units are not judged here; what is no meter value or no sample is ``unread``.
    """
    return samples_of(meter_values, path, SampledValue, _sample, "OCPP 2")


def _sample(held: SampledValue, at: datetime, path: str) -> Sample:
    measurand = held.measurand or _REGISTER
    measure, unread = UnitOfMeasure(), None
    if held.unit_of_measure is not None:
        try:
            where = f"{path}.unitOfMeasure"
            measure = convert(held.unit_of_measure, UnitOfMeasure, "OCPP 2", where)
        except BadInput as error:
            unread = str(error)
    # Wh is the default of energy alone; other measurands have none.
    default = "Wh" if measurand.startswith("Energy.") else ""
    return Sample(
        at,
        text_of(held.value),
        path,
        measurand,
        default if measure.unit is None else measure.unit,
        measure.multiplier or 0,
        held.context or "Sample.Periodic",
        held.phase,
        held.location or "Outlet",
        signed.in_object(held.signed_meter_value),
        unread,
    )


def connector_states(message: NotifyEvent) -> list[ConnectorState]:
    """The availability of connectors in a NotifyEvent (2.0.1 part 2, G01 and N07).

    ``AvailabilityState`` speaks like a StatusNotification; a ``Problem`` that is true is a fault.
    """
    found = []
    for event in message.event_data:
        evse = event.component.evse
        if evse is None or event.component.name not in ("Connector", "EVSE"):
            continue
        status = _status(event)
        if status is not None:
            at = time_of(event.timestamp)
            found.append(ConnectorState(at, status, evse.id, evse.connector_id))
    return found


def _status(event: EventData) -> str | None:
    if event.variable.name == "AvailabilityState":
        return event.actual_value
    if event.variable.name == "Problem" and event.actual_value.casefold() == "true":
        return None if event.cleared else "Faulted"
    return None
