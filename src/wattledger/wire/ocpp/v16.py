"""OCPP 1.6 messages that billing reads (edition 2, §6 and §7). Pure: payload in, value out.

Names and types are the standard's; what a message says is turned into ours by the properties
and functions at its side. Unknown fields are ignored (vendors add them), wrong ones are not.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

from wattledger.energy import REGISTER_MAX_WH, Reading, register_wh
from wattledger.errors import BadInput
from wattledger.wire.numbers import parse_time

M = TypeVar("M", bound="Message")
# The standard's "integer" has no bounds; ours are what the database can keep.
Int = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
# Connector 0 is the charge point as a whole: nobody charges at it (§6.45).
Connector = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Register = Annotated[int, msgspec.Meta(ge=0, le=REGISTER_MAX_WH)]
# A stop below zero is taken, so that the session ends; it is held because its register fell.
LastRegister = Annotated[int, msgspec.Meta(ge=-REGISTER_MAX_WH, le=REGISTER_MAX_WH)]

# PostgreSQL keeps no NUL: refused by name, or the charge point would repeat it for ever.
Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """A request of a charge point."""


class Authorize(Message, frozen=True):
    """§6.1"""

    id_tag: Text


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


class StartTransaction(Message, frozen=True):
    """§6.45. ``meter_start`` in Wh."""

    connector_id: Connector
    id_tag: Text
    meter_start: Register
    timestamp: str


class SampledValue(Message, frozen=True):
    """§7.43, with its defaults."""

    value: str
    context: str = "Sample.Periodic"
    format: str = "Raw"
    measurand: str = "Energy.Active.Import.Register"
    phase: str | None = None
    location: str = "Outlet"
    unit: str = "Wh"


class MeterValue(Message, frozen=True):
    """§7.33"""

    timestamp: str
    sampled_value: list[SampledValue]


class MeterValues(Message, frozen=True):
    """§6.31"""

    connector_id: Int
    meter_value: list[MeterValue]
    transaction_id: Int | None = None


class StopTransaction(Message, frozen=True):
    """§6.49. ``meter_stop`` in Wh; an omitted reason means Local."""

    meter_stop: LastRegister
    timestamp: str
    transaction_id: Int
    id_tag: Text | None = None
    reason: Text = "Local"
    transaction_data: list[MeterValue] = []


def read(payload: dict[str, Any], message: type[M]) -> M:
    """The message in a payload. Raises BadInput with the path of what is wrong."""
    try:
        return msgspec.convert(payload, message)
    except msgspec.ValidationError as error:
        raise BadInput(f"{message.__name__}", str(error), "what OCPP 1.6 says") from None


def time_of(text: str, path: str) -> datetime:
    """A timestamp of a message, in UTC."""
    return parse_time(text, path)


def registers(meter_values: list[MeterValue], path: str) -> list[Reading]:
    """The readings of the energy register: whole outlet, all phases, raw values.

    Signed data, single phases, the inlet's register and other measurands are not billing
    registers. An empty list of samples is no reading, and no error.
    """
    found: list[Reading] = []
    for i, meter_value in enumerate(meter_values):
        at = time_of(meter_value.timestamp, f"{path}[{i}].timestamp")
        for j, sample in enumerate(meter_value.sampled_value):
            if (
                sample.measurand == "Energy.Active.Import.Register"
                and sample.phase is None
                and sample.format == "Raw"
                and sample.location == "Outlet"
            ):
                where = f"{path}[{i}].sampledValue[{j}]"
                found.append(Reading(at, register_wh(sample.value, sample.unit, where)))
    return found


def id_tag_info(status: str) -> dict[str, Any]:
    """§7.27: Accepted, Blocked, Expired, Invalid or ConcurrentTx."""
    return {"idTagInfo": {"status": status}}
