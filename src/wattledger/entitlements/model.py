"""Who may charge where, and on what terms: the sections of the configuration about it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wattledger.contract import Route
from wattledger.section import Positive, Section


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


class Site(Section, frozen=True):
    """A place with one legal entity, one time zone, one tax rate and one standard tariff."""

    id: str
    name: str
    entity: str
    time_zone: str
    tariff: str
    tax_name: str = "Sales tax"
    tax_percent: str = "0"
    processor: str | None = None
    charge_points: tuple[ChargePoint, ...] = ()
    jurisdiction: str | None = None
    """Whose rules its prices have to pass: "US-CA". None: nobody's."""
    programmes: tuple[str, ...] = ()
    """Programmes with rules of their own that it takes part in: "US-NEVI"."""


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
