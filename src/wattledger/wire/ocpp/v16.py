"""OCPP 1.6 messages that billing reads (edition 2, §6 and §7). Pure: payload in, value out.

Names and types are the standard's; what a message says is turned into ours by the properties
and functions at its side. Only what is read stands here: another field, a vendor's or one that is
not billed by, is ignored, right or wrong.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from wattledger.clock import utc_text
from wattledger.energy import REGISTER_MAX_WH
from wattledger.wire.numbers import device_time
from wattledger.wire.ocpp import metered, signed
from wattledger.wire.ocpp.reading import Int, M, Message, Name, Text, convert, text_of
from wattledger.wire.ocpp.samples import Sample

_REGISTER = "Energy.Active.Import.Register"
_HALF_UP = {"half_up": True}
# Connector 0 is the charge point as a whole: a start there is one of which we don't know where.
Connector = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
# A fraction of a Wh, which the standard does not allow for, is rounded half up.
# A stop below zero is taken, so that the session ends; it is held because its register fell.
Register = Annotated[int, msgspec.Meta(ge=-REGISTER_MAX_WH, le=REGISTER_MAX_WH, extra=_HALF_UP)]


# Also one that no session has: what we never gave out is answered, and shown to a person.
TransactionId = int
MeterValue = metered.MeterValue


class Authorize(Message, frozen=True):
    """§6.1"""

    id_tag: Name


class BootNotification(Message, frozen=True):
    """§6.3"""

    charge_point_vendor: Text
    charge_point_model: Text


class StatusNotification(Message, frozen=True):
    """§6.47. Without a timestamp the time of receipt counts."""

    connector_id: Int
    status: Text
    error_code: Text
    timestamp: str | None = None
    info: Text | None = None
    vendor_id: Text | None = None
    vendor_error_code: Text | None = None


class StartTransaction(Message, frozen=True):
    """§6.45. ``meter_start`` in whole Wh; one with a fraction is rounded half up."""

    connector_id: Connector
    id_tag: Name
    meter_start: Register
    timestamp: str


class SampledValue(Message, frozen=True):
    """§7.43. What is absent has the standard's default, see ``samples``.

    ``value`` is a text in the standard; a number in its place is taken too, and none of either
    is judged here.
    """

    value: Any = None
    context: Text | None = None
    format: Text | None = None
    measurand: Text | None = None
    phase: Text | None = None
    location: Text | None = None
    unit: Text | None = None


class MeterValues(Message, frozen=True):
    """§6.31. ``samples`` reads the meter values, each for itself."""

    connector_id: Int
    meter_value: Any
    transaction_id: TransactionId | None = None


class StopTransaction(Message, frozen=True):
    """§6.49. ``meter_stop`` in whole Wh, a fraction rounded half up; an omitted reason means
    Local."""

    meter_stop: Register
    timestamp: str
    transaction_id: TransactionId
    id_tag: Name | None = None
    reason: Text = "Local"
    transaction_data: Any = None


class DataTransfer(Message, frozen=True):
    """§6.15. ``data`` is a text; what other JSON a vendor sends is kept as it came."""

    vendor_id: Name
    message_id: Name | None = None
    data: Any = None


def read(payload: object, message: type[M]) -> M:
    """The message in a payload. Raises BadInput with the path of what is wrong.

    Integers may come as "123" or 123.0, and null for absence: chargers do that, and it is plain
    what they mean.
    """
    return convert(payload, message, "OCPP 1.6")


def time_of(text: str) -> datetime:
    """A timestamp of a message, in UTC; never an error: see ``device_time``."""
    return device_time(text)


def samples(meter_values: object, path: str) -> list[Sample]:
    """Every sample, of whatever measurand; a signed record (format SignedData) has no value.

    Times, values and units are not judged here; what is no meter value or no sample is ``unread``.
    A list without samples is no sample, and no error.
    """
    return metered.samples_of(meter_values, path, SampledValue, _sample, "OCPP 1.6")


def _sample(held: SampledValue, at: datetime, path: str) -> Sample:
    value = text_of(held.value)
    # OCMF says itself what it is: some send it without naming the format.
    is_signed = value is not None and (held.format == "SignedData" or signed.is_record(value))
    measurand = held.measurand or _REGISTER
    # Wh is the default of energy alone; other measurands have none.
    default = "Wh" if measurand.startswith("Energy.") else ""
    return Sample(
        at,
        None if is_signed else value,
        path,
        measurand,
        default if held.unit is None else held.unit,
        0,
        held.context or "Sample.Periodic",
        held.phase,
        held.location or "Outlet",
        signed.in_text(value) if is_signed and value is not None else None,
    )


def id_tag_info(
    status: str, *, expiry: datetime | None = None, parent: str | None = None
) -> dict[str, Any]:
    """§7.27: Accepted, Blocked, Expired, Invalid or ConcurrentTx; ``expiry`` is until when a charge
    point may keep it, ``parent`` the group (20 characters at most)."""
    info: dict[str, Any] = {"status": status}
    if expiry is not None:
        info["expiryDate"] = utc_text(expiry)
    if parent is not None:
        info["parentIdTag"] = parent
    return {"idTagInfo": info}
