"""Costs on the display of an OCPP 1.6 charge point: the pricing messages of the OCA.

White paper "OCPP & California Pricing Requirements" (v3): DataTransfer with a vendor id of the OCA,
whose ``data`` is JSON in a text. Amounts are exact numbers of as many decimals as the charge point
shows (its key NumberOfDecimalsForCostValues, 3 unless it says otherwise), rounded half up.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Literal

import msgspec

from wattledger.clock import utc_text
from wattledger.errors import BadInput
from wattledger.wire import exact
from wattledger.wire.numbers import decode_json, parse_time
from wattledger.wire.ocpp.reading import Int, Message, convert, text_of

VENDOR_ID = "org.openchargealliance.costmsg"
DECIMALS = 3
_DECIMALS_MAX = 9
_EXACT = Context(prec=60)


class Record(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An object of the paper: what is not set is not sent."""


class ChargingPrice(Record, frozen=True):
    """Prices while it charges: per kWh, per hour, and once."""

    kwh_price: Decimal | None = msgspec.field(default=None, name="kWhPrice")
    hour_price: Decimal | None = None
    flat_fee: Decimal | None = None


class IdlePrice(Record, frozen=True):
    """The price of an hour idle, after a grace counted from the message that says Idle."""

    hour_price: Decimal
    grace_minutes: int | None = None


class NextPeriod(Record, frozen=True):
    """Other prices from ``at_time`` on."""

    at_time: datetime
    charging_price: ChargingPrice
    idle_price: IdlePrice | None = None


class TriggerMeterValue(Record, frozen=True):
    """When the charge point shall send a meter value, besides its usual times. Power crossed in
    either direction; status as in 1.6 §7.7."""

    at_time: datetime | None = None
    at_energy_kwh: Decimal | None = msgspec.field(default=None, name="atEnergykWh")
    at_power_kw: Decimal | None = msgspec.field(default=None, name="atPowerkW")
    at_cp_status: list[str] | None = msgspec.field(default=None, name="atCPStatus")


class Words(Record, frozen=True):
    """The same text in another language."""

    format: Literal["ASCII", "HTML", "URI", "UTF8"]
    language: str
    content: str


class SetUserPrice(Record, frozen=True):
    """What this driver pays, in words: only shown."""

    id_token: str
    price_text: str
    price_text_extra: list[Words] | None = None


class RunningCost(Record, frozen=True):
    """``cost`` so far, at the register ``meter_value`` in Wh; the prices are for the charge point
    to go on counting with, until the next one."""

    transaction_id: int
    timestamp: datetime
    meter_value: int
    cost: Decimal
    state: Literal["Charging", "Idle"]
    charging_price: ChargingPrice
    idle_price: IdlePrice | None = None
    next_period: NextPeriod | None = None
    trigger_meter_value: TriggerMeterValue | None = None


class FinalCost(Record, frozen=True):
    """After the stop."""

    transaction_id: int
    cost: Decimal
    price_text: str
    price_text_extra: list[Words] | None = None
    qr_code_text: str | None = None


class DefaultPrice(Record, frozen=True):
    """The value of the key DefaultPrice: for who has no price of their own, and while offline."""

    price_text: str
    price_text_offline: str | None = None
    charging_price: ChargingPrice | None = None


class ConnectorUnplugged(Message, frozen=True):
    """From the charge point, queued like a StopTransaction: idle after the stop ends here."""

    transaction_id: Int
    timestamp: str

    @property
    def at(self) -> datetime:
        """In UTC. Raises BadInput."""
        return parse_time(self.timestamp, "ConnectorUnplugged.timestamp")


def request(
    message: SetUserPrice | RunningCost | FinalCost, decimals: int = DECIMALS
) -> dict[str, Any]:
    """The payload of a DataTransfer."""
    return {
        "vendorId": VENDOR_ID,
        "messageId": type(message).__name__,
        "data": _text(message, decimals),
    }


def default_price_value(price: DefaultPrice, decimals: int = DECIMALS) -> str:
    """The value of the configuration key; 1.6 allows 500 characters of it."""
    return _text(price, decimals)


def unplugged(data: object) -> ConnectorUnplugged:
    """The message in a DataTransfer's ``data``: JSON in a text; an object is taken too."""
    path = "DataTransfer.data"
    held = decode_json(data, path) if isinstance(data, str) else data
    if not isinstance(held, dict):
        raise BadInput(path, text_of(data), "an object with transactionId and timestamp, as a text")
    exact.check_depth(held, path)
    return convert(held, ConnectorUnplugged, "the pricing white paper")


def _text(message: Record, decimals: int) -> str:
    if not 0 <= decimals <= _DECIMALS_MAX:
        raise ValueError(f"{decimals} decimals: 0 to {_DECIMALS_MAX} can be shown")
    plain = msgspec.to_builtins(message, builtin_types=(Decimal, datetime))
    return exact.dump(_shown(plain, decimals)).decode()


def _shown(value: Any, decimals: int | None) -> Any:
    """Amounts in the width of the display, what is no amount in its own; times with a zone."""
    if isinstance(value, dict):
        return {
            key: _shown(item, None if key == "triggerMeterValue" else decimals)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_shown(item, decimals) for item in value]
    if not isinstance(value, Decimal):
        return utc_text(value) if isinstance(value, datetime) else value
    if not exact.bounded(value):
        raise ValueError(f"{value} is not {exact.NUMBER}")
    if decimals is None:
        return value
    return value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _EXACT)
