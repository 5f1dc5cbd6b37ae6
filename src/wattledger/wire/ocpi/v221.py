"""OCPI 2.2.1 (and 2.2): prices without tax, VAT beside them, and costs by kind in the CDR."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wattledger.wire.ocpi.common import (
    NOTHING,
    AuthMethod,
    CdrLocation,
    CdrToken,
    ChargingPeriod,
    DisplayText,
    Record,
    SignedData,
)
from wattledger.wire.ocpi.v211 import ComponentType, Weekday
from wattledger.wire.records import Currency, Id

# No Literal in the record, since an unknown one is carried and warned of.
TARIFF_TYPES = ("AD_HOC_PAYMENT", "PROFILE_CHEAP", "PROFILE_FAST", "PROFILE_GREEN", "REGULAR")


class Price(Record, frozen=True):
    """An amount on both sides of VAT; the second may be missing."""

    excl_vat: Decimal
    incl_vat: Decimal | None = None


class PriceComponent(Record, frozen=True):
    """A price per kWh, hour or session. No ``vat`` is not a ``vat`` of 0."""

    type: ComponentType
    price: Decimal
    step_size: int
    vat: Decimal | None = None


class TariffRestrictions(Record, frozen=True):
    """When an element applies."""

    start_time: str | None = None
    end_time: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: tuple[Weekday, ...] = ()
    reservation: Literal["RESERVATION", "RESERVATION_EXPIRES"] | None = None


class TariffElement(Record, frozen=True):
    """Components that share their restrictions."""

    price_components: Annotated[tuple[PriceComponent, ...], msgspec.Meta(min_length=1)]
    restrictions: TariffRestrictions | None = None


class Tariff(Record, frozen=True):
    """A price list: country, party and id together are its identity."""

    id: Id
    currency: Currency
    elements: Annotated[tuple[TariffElement, ...], msgspec.Meta(min_length=1)]
    country_code: str | None = None
    party_id: str | None = None
    type: str | None = None
    tariff_alt_text: tuple[DisplayText, ...] = ()
    tariff_alt_url: str | None = None
    min_price: Price | None = None
    max_price: Price | None = None
    start_date_time: datetime | None = None
    end_date_time: datetime | None = None
    energy_mix: msgspec.Raw = NOTHING
    last_updated: datetime | None = None


class Cdr(Record, frozen=True):
    """A charge detail record. Only what pricing needs is required."""

    id: Id
    currency: Currency
    start_date_time: datetime
    end_date_time: datetime
    charging_periods: Annotated[tuple[ChargingPeriod, ...], msgspec.Meta(min_length=1)]
    country_code: str | None = None
    party_id: str | None = None
    session_id: str | None = None
    cdr_token: CdrToken | None = None
    auth_method: AuthMethod | None = None
    authorization_reference: str | None = None
    cdr_location: CdrLocation | None = None
    meter_id: str | None = None
    tariffs: tuple[msgspec.Raw, ...] = ()
    signed_data: SignedData | None = None
    total_cost: Price | None = None
    total_fixed_cost: Price | None = None
    total_energy: Decimal | None = None
    total_energy_cost: Price | None = None
    total_time: Decimal | None = None
    total_time_cost: Price | None = None
    total_parking_time: Decimal | None = None
    total_parking_cost: Price | None = None
    total_reservation_cost: Price | None = None
    remark: str | None = None
    invoice_reference_id: str | None = None
    credit: bool | None = None
    credit_reference_id: str | None = None
    home_charging_compensation: bool | None = None
    last_updated: datetime | None = None

    @property
    def before_taxes(self) -> Decimal | None:
        """What the sender charged, without tax."""
        return self.total_cost.excl_vat if self.total_cost else None

    @property
    def after_taxes(self) -> Decimal | None:
        """What the sender charged, with tax, where he said it."""
        return self.total_cost.incl_vat if self.total_cost else None

    @property
    def country(self) -> str | None:
        """Alpha-3."""
        return self.cdr_location.country if self.cdr_location else None

    @property
    def time_zone(self) -> str | None:
        """Not in a CDR of this version: it stands in the Location."""
        return None

    @property
    def numbers(self) -> tuple[Decimal | None, ...]:
        """Every number beside those of the periods."""
        found = [self.total_energy, self.total_time, self.total_parking_time]
        for price in (
            self.total_cost,
            self.total_fixed_cost,
            self.total_energy_cost,
            self.total_time_cost,
            self.total_parking_cost,
            self.total_reservation_cost,
        ):
            if price is not None:
                found += (price.excl_vat, price.incl_vat)
        return tuple(found)
