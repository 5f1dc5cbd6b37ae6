"""The tariff of OCPP 2.1 (TariffType of SetDefaultTariff, ChangeTransactionTariff and others).

Names and types are those of the standard's JSON schemas. ``customData`` is the vendor's own: it
is no field here, and is not read.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wattledger.wire.records import Currency, Id

Weekday = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
EvseKind = Literal["AC", "DC"]


class Record(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"
):
    """An object of OCPP."""


class MessageContent(Record, frozen=True):
    """Words for the driver."""

    format: str
    content: str
    language: str | None = None


class TaxRate(Record, frozen=True):
    """A tax; rates of a higher stack are on the price with the lower ones in it."""

    type: str
    tax: Decimal
    stack: int = 0


class Price(Record, frozen=True):
    """An amount; at least one side of tax."""

    excl_tax: Decimal | None = None
    incl_tax: Decimal | None = None
    tax_rates: tuple[TaxRate, ...] = ()


class Conditions(Record, frozen=True):
    """When a price applies. Minima and ``validFromDate`` inclusive, maxima and ``validToDate``
    exclusive: the schemas' own descriptions of the fields say so. Wh, W, A and seconds."""

    start_time_of_day: str | None = None
    end_time_of_day: str | None = None
    day_of_week: tuple[Weekday, ...] = ()
    valid_from_date: str | None = None
    valid_to_date: str | None = None
    evse_kind: EvseKind | None = None
    min_energy: Decimal | None = None
    max_energy: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_time: int | None = None
    max_time: int | None = None
    min_charging_time: int | None = None
    max_charging_time: int | None = None
    min_idle_time: int | None = None
    max_idle_time: int | None = None


class ConditionsFixed(Record, frozen=True):
    """When a fixed price applies, asked once: at the start of the transaction."""

    start_time_of_day: str | None = None
    end_time_of_day: str | None = None
    day_of_week: tuple[Weekday, ...] = ()
    valid_from_date: str | None = None
    valid_to_date: str | None = None
    evse_kind: EvseKind | None = None
    payment_brand: str | None = None
    payment_recognition: str | None = None


class EnergyPrice(Record, frozen=True):
    """Per kWh, without tax."""

    price_kwh: Decimal
    conditions: Conditions | None = None


class TimePrice(Record, frozen=True):
    """Per minute, without tax."""

    price_minute: Decimal
    conditions: Conditions | None = None


class FixedPrice(Record, frozen=True):
    """Per transaction or reservation, without tax."""

    price_fixed: Decimal
    conditions: ConditionsFixed | None = None


class Energy(Record, frozen=True):
    """The first price whose conditions hold is the one."""

    prices: Annotated[tuple[EnergyPrice, ...], msgspec.Meta(min_length=1)]
    tax_rates: tuple[TaxRate, ...] = ()


class Time(Record, frozen=True):
    """The first price whose conditions hold is the one."""

    prices: Annotated[tuple[TimePrice, ...], msgspec.Meta(min_length=1)]
    tax_rates: tuple[TaxRate, ...] = ()


class Fixed(Record, frozen=True):
    """The first price whose conditions hold is the one."""

    prices: Annotated[tuple[FixedPrice, ...], msgspec.Meta(min_length=1)]
    tax_rates: tuple[TaxRate, ...] = ()


class Tariff(Record, frozen=True):
    """A price list: one ordered list of prices a dimension."""

    tariff_id: Id
    currency: Currency
    description: tuple[MessageContent, ...] = ()
    valid_from: str | None = None
    energy: Energy | None = None
    charging_time: Time | None = None
    idle_time: Time | None = None
    fixed_fee: Fixed | None = None
    reservation_time: Time | None = None
    reservation_fixed: Fixed | None = None
    min_cost: Price | None = None
    max_cost: Price | None = None
