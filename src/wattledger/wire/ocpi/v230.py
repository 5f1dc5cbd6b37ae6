"""OCPI 2.3.0: 2.2.1 with taxes by name, and with prices that may contain them."""

from __future__ import annotations

from datetime import datetime
from decimal import Context, Decimal, localcontext
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
from wattledger.wire.ocpi.v221 import TariffElement
from wattledger.wire.records import Currency, Id


class TaxAmount(Record, frozen=True):
    """One tax of a price."""

    name: str
    amount: Decimal
    account_number: str | None = None
    percentage: Decimal | None = None


class Price(Record, frozen=True):
    """An amount and the taxes on it."""

    before_taxes: Decimal
    taxes: tuple[TaxAmount, ...] = ()


class PriceLimit(Record, frozen=True):
    """The least or the most a session costs."""

    before_taxes: Decimal
    after_taxes: Decimal | None = None


class Tariff(Record, frozen=True):
    """A price list. ``tax_included`` is required by the text and missing in its own example.

    ``preauthorize_amount`` is of the payments edition.
    """

    id: Id
    currency: Currency
    elements: Annotated[tuple[TariffElement, ...], msgspec.Meta(min_length=1)]
    country_code: str | None = None
    party_id: str | None = None
    type: str | None = None
    tariff_alt_text: tuple[DisplayText, ...] = ()
    tariff_alt_url: str | None = None
    min_price: PriceLimit | None = None
    max_price: PriceLimit | None = None
    preauthorize_amount: Decimal | None = None
    tax_included: Literal["YES", "NO", "N/A"] | None = None
    start_date_time: datetime | None = None
    end_date_time: datetime | None = None
    energy_mix: msgspec.Raw = NOTHING
    last_updated: datetime | None = None


class Cdr(Record, frozen=True):
    """A charge detail record. Only what pricing needs is required.

    ``booking_id`` is of the bookings edition.
    """

    id: Id
    currency: Currency
    start_date_time: datetime
    end_date_time: datetime
    charging_periods: Annotated[tuple[ChargingPeriod, ...], msgspec.Meta(min_length=1)]
    country_code: str | None = None
    party_id: str | None = None
    session_id: str | None = None
    booking_id: str | None = None
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
        return self.total_cost.before_taxes if self.total_cost else None

    @property
    def after_taxes(self) -> Decimal | None:
        """What the sender charged, with his taxes; None where he named none."""
        if self.total_cost is None or not self.total_cost.taxes:
            return None
        # Exact, whatever the caller's own context is.
        with localcontext(Context(prec=100)):
            amounts = (tax.amount for tax in self.total_cost.taxes)
            return sum(amounts, self.total_cost.before_taxes)

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
                found.append(price.before_taxes)
                for tax in price.taxes:
                    found += (tax.amount, tax.percentage)
        return tuple(found)
