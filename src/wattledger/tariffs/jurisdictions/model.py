"""What a rule of law, of a programme or of an operator is, as data."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

import msgspec

from wattledger.money import Rounding
from wattledger.tariffs.model import Dimension, PriceLock, TaxIncluded, Unit
from wattledger.tariffs.policies import RoundingLevel


class Confidence(StrEnum):
    """How well a rule is known. Only what is verified is ever enforced."""

    VERIFIED = "verified"
    """Its wording was read: in the law, in a copy that quotes it, or on the authority's page."""
    SECONDARY = "secondary"
    """Somebody reports it: it warns."""
    UNVERIFIED = "unverified"
    """Said to be so: it warns."""


class Sold(StrEnum):
    """To whom a price is offered."""

    AD_HOC = "ad_hoc"
    """To anybody who comes, without a contract."""
    CONTRACT = "contract"
    """On terms that were agreed before."""


class Customer(StrEnum):
    """Who buys, as far as taxes care."""

    CONSUMER = "consumer"
    BUSINESS = "business"
    EXEMPT = "exempt"


class TimeDisplay(StrEnum):
    """In what a duration is shown."""

    MINUTE = "minute"
    SECOND = "second"


class ReceiptField(StrEnum):
    """What a receipt has to say."""

    TOTAL_KWH = "total_kwh"
    UNIT_PRICES = "unit_prices"
    ENERGY_AMOUNT = "energy_amount"
    MAX_POWER = "max_power"
    CURRENT_KIND = "current_kind"
    PRICE_PHASES = "price_phases"
    """For each unit price: start and end, kWh, unit price and amount."""
    FEES = "fees"
    """Each other charge with its quantity, unit price and amount, and when the service ended."""
    TOTAL = "total"
    EVSE_ID = "evse_id"
    BUSINESS_NAME = "business_name"
    LOCATION = "location"
    ISSUED_ON = "issued_on"
    SELLER_ADDRESS = "seller_address"
    SELLER_TAX_ID = "seller_tax_id"
    TAX_BY_RATE = "tax_by_rate"
    REVERSED_DOCUMENT = "reversed_document"
    """On a credit: which document it takes back."""
    PRICE_PER_KWH = "price_per_kwh"
    """What a kWh came to, whatever was sold with it."""
    SIGNED_RECORD = "signed_record"
    """What the meter has signed, its key, and how to check it."""


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule: where it holds, what it asks for, and how well it is known.

    ``effective_from`` is inclusive, ``effective_to`` exclusive, both local dates 'YYYY-MM-DD';
    ``min_power_w`` inclusive, ``max_power_w`` exclusive. ``sold`` None holds for everybody.
    ``advice`` only warns, however well it is known: what we look at is a sign of what it means.
    ``replaces`` names rules that this one stands in for.

    Asked of the tariff: ``allowed``, ``required`` and ``forbidden`` dimensions (a price of 0
    charges nothing), ``price_units`` a price has to be exact in, decimals of prices,
    ``price_lock``, ``grid_s`` for every change of price, ``tax_included``, rounding,
    ``idle_grace_s`` at least, and a name for every fee beside the energy. The rest is for those who
    show prices, print receipts and read meters: ``value_of`` finds it.
    """

    id: str
    text: str
    source: str
    confidence: Confidence
    url: str = ""
    advice: bool = False
    effective_from: str | None = None
    effective_to: str | None = None
    min_power_w: int | None = None
    max_power_w: int | None = None
    sold: Sold | None = None
    replaces: tuple[str, ...] = ()
    allowed: tuple[Dimension, ...] | None = None
    required: tuple[Dimension, ...] = ()
    forbidden: tuple[Dimension, ...] = ()
    price_units: dict[Dimension, Unit] | None = None
    price_decimals_min: int | None = None
    price_decimals_max: int | None = None
    price_lock: PriceLock | None = None
    grid_s: int | None = None
    tax_included: TaxIncluded | None = None
    rounding: Rounding | None = None
    rounding_level: RoundingLevel | None = None
    rounding_increment: int | None = None
    idle_grace_s: int | None = None
    fees_named: bool = False
    component_order: tuple[Dimension, ...] = ()
    receipt_fields: tuple[ReceiptField, ...] = ()
    kwh_decimals: int | None = None
    time_display: TimeDisplay | None = None
    signed_meter: bool | None = None

    @property
    def enforced(self) -> bool:
        """Whether what it forbids is an error."""
        return self.confidence is Confidence.VERIFIED and not self.advice


class TaxRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether and how dimensions are taxed.

    Taxable: by ``percent`` of the price, by ``per_kwh`` for every ``unit_kwh`` kWh delivered
    (whatever it was sold by), or by a ``rate`` that the operator gives under that name, because it
    is a local one.
    """

    id: str
    name: str
    text: str
    source: str
    confidence: Confidence
    dimensions: tuple[Dimension, ...]
    url: str = ""
    taxable: bool = True
    percent: str | None = None
    per_kwh: str | None = None
    unit_kwh: int = 1
    rate: str | None = None
    stack: int = 0
    customers: tuple[Customer, ...] = (Customer.CONSUMER, Customer.BUSINESS)
    effective_from: str | None = None
    effective_to: str | None = None
    min_power_w: int | None = None
    max_power_w: int | None = None
    replaces: tuple[str, ...] = ()


class Tax(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tax that applies: ``percent`` of the price, or ``per_kwh`` for every ``unit_kwh`` kWh.

    Neither is set for a local rate that was not given: ``rate`` is its name.
    """

    name: str
    percent: str | None
    per_kwh: str | None
    stack: int
    dimensions: tuple[Dimension, ...]
    unit_kwh: int = 1
    rate: str | None = None
    row_id: str = ""
    confidence: Confidence = Confidence.VERIFIED


class Jurisdiction(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place, or a programme that a site takes part in, with its rules and taxes; those of
    ``inherits`` hold too."""

    id: str
    name: str
    inherits: str | None = None
    rules: tuple[Rule, ...] = ()
    taxes: tuple[TaxRow, ...] = ()


def in_force(row: Rule | TaxRow, on: date | None) -> bool:
    """Whether it holds on a day; without a day, whether it holds without an end."""
    if on is None:
        return row.effective_to is None
    day = on.isoformat()
    since, until = row.effective_from, row.effective_to
    return (since is None or since <= day) and (until is None or day < until)


def may_apply(row: Rule | TaxRow, power_w: int | None) -> bool:
    """Whether it holds at a connector of this power; at an unknown one it may."""
    if power_w is None:
        return True
    low, high = row.min_power_w, row.max_power_w
    return (low is None or low <= power_w) and (high is None or power_w < high)
