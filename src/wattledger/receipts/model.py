"""What a receipt says: values only. Times are in UTC, to be written in ``Receipt.time_zone``."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Seller(msgspec.Struct, frozen=True):
    """Who sold: a legal entity."""

    name: str
    address: tuple[str, ...] = ()
    tax_ids: tuple[str, ...] = ()
    support: str = ""
    note: str = ""


class Place(msgspec.Struct, frozen=True):
    """Where it was."""

    name: str
    address: tuple[str, ...]
    charge_point_id: str
    connector_id: int
    power_w: int = 0
    current_kind: str = ""
    """``AC`` or ``DC``; empty where nobody configured it."""


class Register(msgspec.Struct, frozen=True):
    """What the meter stood at."""

    at: datetime
    register_wh: int
    signed: bool = False


class Signed(msgspec.Struct, frozen=True):
    """A record that the meter signed, to the letter."""

    context: str
    at: datetime
    data: str
    encoding: str
    key: str
    """The public key it is checked by; empty where none is known."""
    verified: bool
    """By a key that the operator has configured for this meter."""
    reason: str


class Line(msgspec.Struct, frozen=True):
    """One line, ready to be read."""

    text: str
    quantity: str
    unit_price: str
    """As the tariff has it; empty for what has none."""
    unit: str
    discount_percent: str
    net_minor: int
    tax_minor: int
    total_minor: int
    tax_percents: tuple[str, ...] = ()
    from_at: datetime | None = None
    to_at: datetime | None = None
    kind: str = ""


class TaxLine(msgspec.Struct, frozen=True):
    """One tax. ``net_minor`` is what it is on, None where the document does not say."""

    name: str
    percent: str
    tax_minor: int
    net_minor: int | None = None
    exempt: str = ""


class Paid(msgspec.Struct, frozen=True):
    """How a part of it was, or will be, settled. ``amount_minor`` is below zero for what goes
    back; ``settled`` False is still to come."""

    what: str
    amount_minor: int
    at: datetime | None = None
    note: str = ""
    settled: bool = True


class Document(msgspec.Struct, frozen=True):
    """A charge or a credit that was issued."""

    number: str
    revision: int
    kind: str
    issued_at: datetime
    total_minor: int
    reason: str = ""
    reverses: str = ""


class Receipt(msgspec.Struct, frozen=True):
    """Everything a receipt shows. ``document`` None: nothing was charged."""

    session_id: str
    currency: str
    time_zone: str
    seller: Seller
    place: Place
    document: Document | None
    started_at: datetime
    ended_at: datetime
    duration_s: int
    energy_wh: int
    start: Register | None
    stop: Register | None
    not_billed_wh: int
    signed: tuple[Signed, ...]
    lines: tuple[Line, ...]
    taxes: tuple[TaxLine, ...]
    net_minor: int
    tax_minor: int
    total_minor: int
    tax_included: str
    """``yes``: prices have their tax in them; ``no``; ``not_applicable``."""
    price_per_kwh: str
    """What a kWh came to, with two places more than money has; empty without energy."""
    tariff: str = ""
    token: str = ""
    """The end of the token it was started with."""
    paid: tuple[Paid, ...] = ()
    documents: tuple[Document, ...] = ()
    """All of the session, in the order they were issued in."""
    charged_minor: int = 0
    """What all documents come to."""
    asked: tuple[str, ...] = ()
    """What the place's rules ask of a receipt."""
    missing: tuple[str, ...] = ()
    """Of that, what is not known here: for the operator."""
    free_reason: str = ""
    language: str = "en"
    """What it is written in on the page, on paper and in the mail. The texts here are as documents
    have them: English, and the operator's own words."""

    @property
    def is_credit(self) -> bool:
        """Whether this document takes another back."""
        return self.document is not None and self.document.kind == "credit"

    @property
    def number(self) -> str:
        """``chg_…/1``: the document's id and revision."""
        if self.document is None:
            return self.session_id
        return f"{self.document.number}/{self.document.revision}"

    @property
    def open_minor(self) -> int:
        """What is still to be paid (above zero) or given back (below)."""
        return sum(part.amount_minor for part in self.paid if not part.settled)

    @property
    def records(self) -> tuple[Signed, ...]:
        """The signed records that begin and end it: those a driver checks."""
        ends = tuple(s for s in self.signed if s.context.startswith("Transaction"))
        return ends or self.signed[:1] + self.signed[1:][-1:]
