"""Who may charge where, and on what terms: the sections of the configuration about it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wattledger.contract import Route
from wattledger.section import Positive, Section
from wattledger.tariffs.jurisdictions import Customer
from wattledger.tariffs.model import Day, Dimension


class Entity(Section, frozen=True):
    """A legal entity: who sells, keeps books and owes tax."""

    id: str
    name: str
    currency: str
    time_zone: str


class ChargePoint(Section, frozen=True):
    """A charge point of a site. ``auth`` is the hash that ``wattledger hash-password`` prints."""

    id: str
    power_w: int
    auth: str | None = None
    connectors: int = 1


class SiteTax(Section, frozen=True):
    """A tax that the site charges: ``percent`` of the price, or ``per_kwh`` for every ``unit_kwh``
    kWh delivered.

    Without ``dimensions`` the matrix of the site's jurisdiction says what it is on, and where that
    says nothing it is on everything. ``rate`` is the matrix's name for this local rate, where
    ``name`` is not the matrix's name of the tax. ``customers`` are the classes that owe it.
    """

    name: str
    percent: str | None = None
    per_kwh: str | None = None
    unit_kwh: Positive = 1
    stack: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0
    dimensions: tuple[Dimension, ...] = ()
    customers: tuple[Customer, ...] = ()
    rate: str | None = None


TAX_NAME, TAX_PERCENT = "Sales tax", "0"


class Site(Section, frozen=True):
    """A place with one legal entity, one time zone, its taxes and one standard tariff.

    ``tax`` replaces ``tax_name`` and ``tax_percent``, which are for a place with one tax.
    """

    id: str
    name: str
    entity: str
    time_zone: str
    tariff: str
    tax_name: str = TAX_NAME
    tax_percent: str = TAX_PERCENT
    processor: str | None = None
    charge_points: tuple[ChargePoint, ...] = ()
    jurisdiction: str | None = None
    """Whose rules its prices have to pass: "US-CA". None: nobody's."""
    programmes: tuple[str, ...] = ()
    """Programmes with rules of their own that it takes part in: "US-NEVI"."""
    tax: tuple[SiteTax, ...] = ()

    @property
    def taxes(self) -> tuple[SiteTax, ...]:
        """What it charges, whichever way it is written."""
        return self.tax or (SiteTax(self.tax_name, self.tax_percent),)


class Allowance(Section, frozen=True):
    """What a plan includes each calendar month: ``quantity_wh`` of energy, or ``quantity_s`` of a
    time. ``text`` is what the bill says of it."""

    dimension: Dimension
    text: str
    quantity_wh: Positive | None = None
    quantity_s: Positive | None = None

    @property
    def quantity(self) -> int:
        """Wh or seconds; one of the two is set."""
        return self.quantity_wh or self.quantity_s or 0


class Plan(Section, frozen=True):
    """Terms that an account has: a route, a discount, another tariff at some sites."""

    id: str
    name: str
    route: Route
    discount_percent: str = "0"
    tariffs: dict[str, str] = msgspec.field(default_factory=dict)
    """Site id -> tariff id, where this plan has another tariff than the site's."""
    ad_hoc: bool = False
    """Sold to anybody who comes, without a contract: the rules of ad hoc prices hold."""
    discount_on: tuple[Dimension, ...] = ()
    """What ``discount_percent`` is taken off; none listed: everything but fees of the route."""
    unlimited_sites: tuple[str, ...] = ()
    """Where ``unlimited`` costs nothing."""
    unlimited: tuple[Dimension, ...] = (Dimension.ENERGY,)
    allowance: tuple[Allowance, ...] = ()


class Account(Section, frozen=True):
    """Who pays, with the tokens that lead here."""

    id: str
    name: str
    plan: str
    tokens: tuple[str, ...]
    blocked: bool = False
    payment_method: str | None = None
    customer: str | None = None
    shortfall: Literal["waive", "debt"] = "waive"
    customer_class: Customer = Customer.CONSUMER
    exemption: str | None = None
    """Why it owes less tax: the number of a certificate, a VAT id. The bill shows it."""


class Selector(Section, frozen=True):
    """Which sessions something is for: all that is set has to match, nothing set is all of them.

    Hours, weekdays and dates are those of the site at the session's start: a start inclusive, an
    end exclusive, hours that end before they start wrap past midnight, '00:00' as an end is the
    end of the day. ``min_power_w`` inclusive, ``max_power_w`` exclusive. ``ad_hoc`` true: without
    a contract.
    """

    plans: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    sites: tuple[str, ...] = ()
    charge_points: tuple[str, ...] = ()
    connectors: tuple[Positive, ...] = ()
    min_power_w: Positive | None = None
    max_power_w: Positive | None = None
    ad_hoc: bool | None = None
    start_time: str | None = None
    end_time: str | None = None
    days: tuple[Day, ...] = ()
    start_date: str | None = None
    end_date: str | None = None


class Offer(Selector, frozen=True, kw_only=True):
    """A tariff for some sessions. Of all offers the first that matches counts."""

    tariff: str


class FeeTax(Section, frozen=True):
    """A tax that a fee has of its own."""

    name: str
    percent: str
    stack: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0


class RouteFee(Selector, frozen=True, kw_only=True):
    """A line on the bills of some sessions; every fee that matches is on it."""

    text: str
    amount: str
    taxes: tuple[FeeTax, ...] | None = None


class Policies(Section, frozen=True):
    """Named decisions that hold for the whole network."""

    settle_window_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 60
    """After a stop we wait this long for late meter values."""
    idle_limit_s: Positive = 86_400
    """Idle after the stop is closed by this, whatever else is missing."""
    session_limit_s: Annotated[int, msgspec.Meta(ge=1, le=34_560_000)] = 2_592_000
    """A finished session by API that lasted longer is refused: a clock was wrong."""
    hold_margin_s: int = 43_200
    """A session is billed this long before its hold lapses, whoever may still be plugged in."""
    refused_energy: Literal["waive", "debt"] = "waive"
    """Energy delivered to a refused token."""
    sample_interval_s: Positive = 1800
    """What a charge point can deliver unseen: the ceiling leaves room for it."""
    reconcile_hour: Annotated[int, msgspec.Meta(ge=0, le=23)] = 2
    """The hour of the entity's day at which the processor is read and everything is matched."""
