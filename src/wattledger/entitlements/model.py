"""Who may charge where, and on what terms: the sections of the configuration about it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

import msgspec

from wattledger.contract import Route
from wattledger.entitlements.addresses import PostalAddress
from wattledger.section import Positive, Section
from wattledger.tariffs.jurisdictions import Customer
from wattledger.tariffs.model import Day, Dimension


class Entity(Section, frozen=True):
    """A legal entity: who sells, keeps books and owes tax."""

    id: str
    name: str
    currency: str
    time_zone: str
    routes: tuple[Route, ...] = ()
    """The ways of paying that it offers; none listed: all that are configured."""
    address: str | None = None
    """On receipts; a line break in it is one there."""
    tax_ids: tuple[str, ...] = ()
    """On receipts, as they are to stand there: "VAT ID DE123456789"."""
    receipt_note: str | None = None
    """At the end of each receipt."""
    support: str | None = None
    """Whom a driver asks about a receipt: "help@example.com, +49 30 1234"."""
    language: str | None = None
    """What its receipts are written in: "de". None: English."""


Interval = Literal[0, 60, 300, 600, 900, 1800, 3600]
"""Seconds that divide a day; 0 is off."""


PLACE = "{charge_point_id}"
"""Stands in a CPMS's URL for the charge point's id."""


class Proxy(Section, frozen=True):
    """The CPMS that charge points belong to: we stand between it and them (docs/ocpp.md)."""

    url: str
    """``wss://cpms.example/ocpp/{charge_point_id}``"""
    authorize: Literal["cpms", "wattledger", "both"] = "cpms"
    """Whose decision about a token the charge point is told; ``both``: both have to accept it."""
    commands: bool = False
    """Whether we may stop transactions, beside the CPMS."""
    user: str | None = None
    """With ``password_env``; none: the charge point's id."""
    password_env: str | None = None
    """The password for the CPMS; none: what the charge point came with is passed on."""
    answer_within_s: Annotated[int, msgspec.Meta(ge=1, le=600)] = 30
    """A transaction message that the CPMS does not answer for so long: it is away."""


class ChargePoint(Section, frozen=True):
    """A charge point of a site. ``auth`` is the hash that ``wattledger hash-password`` prints."""

    id: str
    power_w: int
    auth: str | None = None
    connectors: int = 1
    meter_unit: Literal["Wh", "kWh"] | None = None
    """What its registers are in, where it says something else or nothing: an override, no guess."""
    meter_keys: tuple[str, ...] = ()
    """Public keys of its meters, as text: signed values are verified by these."""
    proxy: Proxy | bool | None = None
    """Its CPMS; none: its site's; ``false``: it has none, whatever its site has."""
    california_pricing: bool | None = None
    """Whether it understands the OCA's pricing messages; None: as the site's others do."""
    current_kind: Literal["AC", "DC"] | None = None
    """What it gives to cars: receipts say it where their place asks for it."""


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
    display_tariff: str | None = None
    """What its displays show beforehand (OCPP's default price); none: ``tariff``. A session that
    was started offline is billed no more than this."""
    signed_values: bool | None = None
    """Whether sessions are billed by signed meter values only; None: as its jurisdiction says."""
    show_cost: bool = True
    """Whether its charge points are told what a session costs, while it runs and at its end."""
    california_pricing: bool = False
    """Whether its charge points understand the OCA's pricing messages (1.6, 2.0.1)."""
    programmes: tuple[str, ...] = ()
    """Programmes with rules of their own that it takes part in: "US-NEVI"."""
    tax: tuple[SiteTax, ...] = ()
    meter_interval_s: Interval | None = None
    """As the policy, for this site; None: as the policy says."""
    local_list: bool = False
    """Whether its charge points get the tokens that they may accept while they are offline."""
    proxy: Proxy | None = None
    """The CPMS that its charge points belong to; none: us."""
    routes: tuple[Route, ...] = ()
    """The ways of paying that are offered here; none listed: all that are configured."""
    ad_hoc_plan: str | None = None
    """The plan of guests, who have no account; none: the one plan that is ``ad_hoc``, if one is."""
    connection_timeout_s: Annotated[int, msgspec.Meta(ge=10, le=600)] | None = None
    """As the policy, for this site; None: as the policy says."""
    address: str | None = None
    """On receipts; a line break in it is one there. None: the lines of ``postal_address``."""
    postal_address: PostalAddress | None = None
    """In parts, for the location of its card readers at Stripe."""
    language: str | None = None
    """What its receipts are written in; None: as the entity says."""

    def proxy_of(self, point: ChargePoint) -> Proxy | None:
        """The CPMS of one of its charge points."""
        if point.proxy is None:
            return self.proxy
        return point.proxy if isinstance(point.proxy, Proxy) else None

    @property
    def proxy_secrets(self) -> list[str]:
        """The environment variables that its CPMSs' passwords are in."""
        found = [self.proxy_of(point) for point in self.charge_points]
        return [each.password_env for each in found if each and each.password_env]

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
    routes: tuple[Route, ...] = ()
    """The ways in which whoever has it may pay; none listed: all that are configured."""


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
    email: str | None = None
    """Where receipts and notices go."""
    consent: bool = False
    """It agreed to be charged off-session for what is above a hold."""


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


class HoldPower(Section, frozen=True):
    """Up to (not including) ``below_power_w`` the hold is ``amount``; without it, above all."""

    amount: str
    below_power_w: Positive | None = None


Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
Days = Annotated[int, msgspec.Meta(ge=1, le=3_650)]


class PaymentRule(Selector, frozen=True, kw_only=True):
    """How the money of some sessions is collected. Of all rules the first that matches counts.

    The size of the hold is one of ``hold``, ``holds`` and ``hold_percentile``; with none of them it
    is the processor's. What each of the others does stands beside its name in
    ``contract.PaymentTerms``; amounts are in major units.
    """

    entities: tuple[str, ...] = ()
    hold: str | None = None
    """Always this much; "0": nobody's card is held."""
    holds: tuple[HoldPower, ...] = ()
    """By the charge point's power."""
    hold_percentile: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    """As much as this share of the site's sessions has cost at most."""
    hold_min: str | None = None
    hold_max: str | None = None
    history_days: Days = 90
    history_least: Positive = 20
    """With fewer sessions in ``history_days`` the hold goes by power."""
    least_hold: str = "0"
    """What a card has to hold at least, where it holds less than was asked."""
    shortfall: Literal["waive", "debt"] | None = None
    """What becomes of a cost above what is held; None: as the account says."""
    increment_at_percent: Percent = 0
    increment_by: str = "0"
    increment_to: str = "0"
    stop_at_ceiling: bool = True
    overcapture: bool = False
    extended_authorization: bool = False
    partial_authorization: bool = False
    second_charge: bool = False
    below_minimum: Literal["waive", "carry"] = "waive"
    zero_energy: Literal["charge", "cancel"] = "charge"
    lapse: Literal["capture", "stop"] = "capture"
    gone: Literal["second_charge", "debt", "waive"] = "second_charge"
    block_on_debt: bool = True
    dunning_days: tuple[Days, ...] = (1, 3, 7, 14)
    more: Literal["waive", "debt", "charge"] | None = None
    """None: as the policy ``adjust_up`` says."""
    more_least: str | None = None
    more_notice_hours: Annotated[int, msgspec.Meta(ge=0, le=720)] = 24


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
    silence_limit_s: Positive = 86_400
    """A running session that is not heard of for so long is taken to be over."""
    late_stop_wait_s: Annotated[int, msgspec.Meta(ge=0, le=604_800)] = 3_600
    """Where a session is over and its stop was not told, we wait this long for it, and for events
    that are missing."""
    adjust_up: Literal["waive", "debt"] = "waive"
    """What late data add to a session that a card has paid: it is waived, or owed by its account. A
    guest never owes it."""
    adjust_up_least_minor: Annotated[int, msgspec.Meta(ge=0)] = 100
    """With ``adjust_up = "debt"``: what is less than this is waived all the same."""
    refund_limit: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})?$")] | None = None
    """A refund above this ("50.00") waits for a second person; None: none does."""
    self_approval: bool = False
    """Whether whoever asked for a refund above the limit may approve it too. It is recorded."""
    approve_by: Literal["anyone", "key"] = "anyone"
    """Who approves: ``anyone`` who gives another name, on the page too, whose password everybody
    shares; or only ``key``'s of the API with refunds:approve, which tell people apart."""
    idle_below_w: Positive | None = None
    """Below this power a car that is said to charge counts as idle; none: by status alone."""
    meter_interval_s: Interval = 900
    """How often charge points send what they measure; on the clock often enough besides for every
    boundary of their tariffs. 0: their own settings are left alone."""
    reconcile_hour: Annotated[int, msgspec.Meta(ge=0, le=23)] = 2
    """The hour of the entity's day at which the processor is read and everything is matched."""
    connection_timeout_s: Annotated[int, msgspec.Meta(ge=10, le=600)] = 60
    """A remote start that no session has followed within this time has failed (OCPP's
    ConnectionTimeOut, EVConnectionTimeOut)."""
    charges_per_driver_per_day_max: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10
    """More payments of one driver within 24 hours wait for a person."""
    block_on_lost_dispute: bool = True
    """Whose payment was disputed and lost does not charge again until a person lets them."""
    pay_within_s: Annotated[int, msgspec.Meta(ge=60, le=3_600)] = 600
    """A start that waits for its driver's card is given up after this."""
    unpaid_starts_per_hour: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 20
    """How many starts that anybody may ask for may go unpaid at a connector within an hour."""
    unpaid_starts_max: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 500
    """How many of them may wait for their cards at the same time, in all."""
    retry_window_s: Annotated[int, msgspec.Meta(ge=0, le=60)] = 45
    """A hold whose start failed is kept for another try of its driver, so long at most."""

    @property
    def silence(self) -> timedelta:
        """``silence_limit_s``"""
        return timedelta(seconds=self.silence_limit_s)

    @property
    def settle_window(self) -> timedelta:
        """``settle_window_s``"""
        return timedelta(seconds=self.settle_window_s)

    @property
    def late_stop_wait(self) -> timedelta:
        """``late_stop_wait_s``"""
        return timedelta(seconds=self.late_stop_wait_s)
