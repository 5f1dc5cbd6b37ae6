"""What a session was promised: values only, no logic.

A ``Decision`` is the answer to "may this token charge here, and on whose account?". A
``Contract`` is what a session then stands on, frozen at its start: whatever is configured
later, it is billed by this.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class Route(StrEnum):
    """How a session is paid."""

    CARD = "card"
    """A token with a card on file: the hold at the start, captured to the cent at the end."""
    APP = "app"
    """An app with a saved card: the hold before the remote start."""
    CHECKOUT = "checkout"
    """A page behind a QR code at the charge point: a card for this once, held before the start."""
    TERMINAL = "terminal"
    """A card at a terminal."""
    INVOICE = "invoice"
    """Billed to an account, e.g. a fleet."""
    EXTERNAL = "external"
    """Somebody else has taken the money: priced, booked, reconciled, never captured."""
    WALLET = "wallet"
    """Drawn from a prepaid balance."""
    ROAMING = "roaming"
    """Settled with a roaming partner by CDR."""
    FREE = "free"
    """Nobody pays."""
    NONE = "none"
    """No valid payer: energy that was delivered although the token was refused."""

    @property
    def by_card(self) -> bool:
        """Whether a card is held and captured, however it came."""
        return self in (Route.CARD, Route.APP, Route.CHECKOUT, Route.TERMINAL)

    @property
    def pays_first(self) -> bool:
        """Whether nothing starts without a hold."""
        return self in (Route.APP, Route.CHECKOUT, Route.TERMINAL)


class Reason(StrEnum):
    """Why a decision came out as it did."""

    ACCEPTED = "accepted"
    UNKNOWN_TOKEN = "unknown_token"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    NO_TARIFF = "no_tariff"
    """No tariff is valid for this plan, route and site at this time."""
    NO_PAYMENT_METHOD = "no_payment_method"
    NO_ROUTE = "no_route"
    """This way of paying is not offered at this site, or not with this plan."""
    IN_DEBT = "in_debt"
    """Something is still owed: paid, or written off, it may charge again."""
    UNKNOWN_LOCATION = "unknown_location"


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether a token may charge at a place, and on what terms. ``known_at`` says how fresh the
    configuration behind it was."""

    accepted: bool
    reason: Reason
    token: str
    decided_at: datetime
    known_seq: int
    account_id: str | None = None
    plan_id: str | None = None
    route: Route = Route.NONE
    choice: tuple[str, ...] = ()
    """Why this tariff: one sentence each, for the driver and the support desk."""


class TaxTerm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tax as it was resolved at the start: ``percent`` of the price of ``dimensions`` (none
    listed: of all), or ``per_kwh`` for every ``unit_kwh`` kWh delivered. ``exempt`` says why it is
    not charged."""

    name: str
    percent: str | None = None
    per_kwh: str | None = None
    unit_kwh: int = 1
    stack: int = 0
    dimensions: tuple[str, ...] = ()
    exempt: str | None = None


class DiscountTerm(msgspec.Struct, frozen=True, omit_defaults=True):
    """Taken off the price of ``dimensions`` (none listed: of all); ``text`` says by what."""

    percent: str
    dimensions: tuple[str, ...] = ()
    text: str | None = None


class FeeTaxTerm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tax that a fee has of its own."""

    name: str
    percent: str
    stack: int = 0


class FeeTerm(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line that the way of paying adds. ``taxes`` None: the contract's, those on everything."""

    text: str
    amount: str
    taxes: tuple[FeeTaxTerm, ...] | None = None


class AllowanceTerm(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the plan includes each month, in Wh or seconds. How much of it a session gets is drawn
    when it is booked, and stands nowhere here."""

    dimension: str
    quantity: int
    text: str


class PaymentTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a session's money is collected, beyond its route and its hold: as agreed at the start."""

    increment_at_percent: int = 0
    """The hold is raised when the cost has come so near to it; 0: never."""
    increment_by_minor: int = 0
    """By how much at a time; 0: by the first hold's size."""
    increment_to_minor: int = 0
    """A hold never grows beyond this; 0: three times the first."""
    stop_at_ceiling: bool = True
    """Whether charging is stopped when what can't be stopped any more would pass the hold."""
    overcapture: bool = False
    """Whether more than the hold is captured, where the card allows it."""
    extended_authorization: bool = False
    """Whether the hold is asked to last longer than usual, where the card allows it."""
    partial_authorization: bool = False
    """Whether the issuer may approve a part of the hold, in place of declining it."""
    second_charge: bool = False
    """Whether what is above the hold is charged again, where the driver has agreed to it."""
    below_minimum: str = "waive"
    """What becomes of less than the processor takes: ``waive`` or ``carry`` (a debt, collected
    together with the next)."""
    zero_energy: str = "charge"
    """A session without energy: ``charge`` what it costs all the same, or ``cancel`` it."""
    lapse: str = "capture"
    """Near the end of a hold: ``capture`` what was delivered by then, or ``stop`` the charging."""
    gone: str = "second_charge"
    """What is above a hold that is no more: ``second_charge``, else as ``shortfall`` says."""
    block_on_debt: bool = True
    dunning_days: tuple[int, ...] = (1, 3, 7, 14)
    """A debt is tried again so many days after it came to be."""
    more: str = "waive"
    """What late data add on a card: ``waive``, ``debt``, or ``charge`` after notice."""
    more_least_minor: int = 100
    more_notice_hours: int = 24
    least_hold_minor: int = 0
    """A card that holds less than this is as good as declined."""


class Contract(msgspec.Struct, frozen=True, omit_defaults=True):
    """The promise a session is billed by. Digests name immutable configuration versions."""

    entity_id: str
    site_id: str
    time_zone: str
    entity_time_zone: str
    currency: str
    route: Route
    tariff_id: str
    tariff_digest: str
    tax_name: str
    tax_percent: str
    as_of: datetime
    """Configuration in force at this time: the start, on the device's clock."""
    known_at: datetime
    """When we learnt of the start: later than ``as_of`` where the charge point was offline."""
    known_seq: int
    account_id: str | None = None
    plan_id: str | None = None
    discount_percent: str = "0"
    processor_id: str | None = None
    payment_method: str | None = None
    customer: str | None = None
    hold_minor: int = 0
    shortfall: str = "waive"
    """What becomes of a cost above the hold: ``waive`` or ``debt``."""
    power_w: int = 0
    offline: bool = False
    refused: Reason | None = None
    """Set where energy flowed although the token was refused."""
    choice: tuple[str, ...] = ()
    """Why this tariff, as in the decision."""
    taxes: tuple[TaxTerm, ...] | None = None
    """All taxes, as of the site's date at the start; None (a contract from before there were any
    here): ``tax_name`` and ``tax_percent`` on everything."""
    discounts: tuple[DiscountTerm, ...] | None = None
    """The first that names a dimension is taken off it; None: ``discount_percent`` off all."""
    fees: tuple[FeeTerm, ...] = ()
    allowances: tuple[AllowanceTerm, ...] = ()
    jurisdiction: str | None = None
    customer_class: str = "consumer"
    exemption: str | None = None
    """Why a customer owes less tax than others: a certificate, a VAT id."""
    idle_below_w: int | None = None
    """Below this power a car counts as idle, whatever its status says; None: by status alone."""
    may_stop: bool = True
    """Whether we may stop it: not where the charge point belongs to another CPMS that alone may."""
    meter_unit: str | None = None
    """What the charge point's registers are in, whatever it says they are in."""
    meter_keys: tuple[str, ...] = ()
    """By which its signed values are verified."""
    signed_required: bool = False
    """The site's rules want billing by signed meter values: without them the session is held."""
    display_tariff_id: str | None = None
    display_tariff_digest: str | None = None
    """What the charge point's display showed: an offline start is billed no more than that."""
    payment: PaymentTerms = PaymentTerms()
    consent: bool = False
    """Whether the driver agreed to be charged off-session for what is above the hold."""
    start_id: str | None = None
    """The request that was paid for first, where the session was started by one."""
    email: str | None = None
    """Where the receipt goes."""
