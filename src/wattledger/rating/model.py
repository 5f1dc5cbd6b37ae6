"""What pricing is told beside tariff and delivery, and what it answers."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from wattledger.contract import Contract

ENGINE = "rating 1"
"""Stands on every charge. Whatever changes the bytes of a charge changes this name."""


class Terms(msgspec.Struct, frozen=True):
    """What the customer and the place add to the tariff. Percents are plain decimals as text.

    The discount is taken off every line, before caps and before tax. ``plan`` names where it
    comes from, in words for the driver.
    """

    tax_name: str
    tax_percent: str
    discount_percent: str = "0"
    plan: str | None = None

    @classmethod
    def of(cls, contract: Contract) -> Terms:
        """What a session was promised beside its tariff."""
        return cls(
            tax_name=contract.tax_name,
            tax_percent=contract.tax_percent,
            discount_percent=contract.discount_percent,
            plan=contract.plan_id,
        )


class LineKind(StrEnum):
    """What a line of the bill is."""

    ENERGY = "energy"
    CHARGING_TIME = "charging_time"
    IDLE_TIME = "idle_time"
    FLAT = "flat"
    CAP = "cap"
    """Negative: what a dimension costs beyond its cap."""
    NOTICE = "notice"
    """Costs nothing; there so that the bill covers the whole time and all energy."""
    ROUNDING = "rounding"
    """Closes the gap between the rounded lines and the net."""


class Source(StrEnum):
    """Where a quantity comes from."""

    METERED = "metered"
    """Both ends are readings, or lie where the register stood still or was given by a limit."""
    INTERPOLATED = "interpolated"
    """An end lies between two readings and was put on the straight line between them."""
    CLOCK = "clock"
    """Time between two reported moments."""


class Evidence(msgspec.Struct, frozen=True):
    """One uninterrupted stretch of a line's quantity (Wh or seconds).

    Registers are there for energy only. ``error_wh`` bounds how far an interpolated quantity
    can be off: never more than the readings around its ends differ.
    """

    from_at: datetime
    to_at: datetime
    quantity: int
    source: Source
    error_wh: int = 0
    from_register_wh: int | None = None
    to_register_wh: int | None = None


class Line(msgspec.Struct, frozen=True):
    """One line of the bill: all of one element's component, or a notice, a cap, the rounding.

    ``quantity`` is what was used and ``billed_quantity`` what is priced after steps, both in
    ``quantity_unit`` (Wh, s, session); ``unit_price`` is per ``unit`` (kWh, minute, hour,
    session) before the discount. ``why`` says in full sentences how the amount came about.
    """

    kind: LineKind
    element: str
    text: str
    quantity: int
    billed_quantity: int
    quantity_unit: str
    unit: str
    unit_price: str
    discount_percent: str
    net_minor: int
    from_at: datetime
    to_at: datetime
    why: tuple[str, ...]
    evidence: tuple[Evidence, ...]


class Charge(msgspec.Struct, frozen=True):
    """What a session costs, with its explanation. Times in UTC, to the second.

    Σ line.net_minor = net_minor = Σ streams, and net_minor + tax_minor = total_minor.
    The lines of energy (the free one included) add up to ``energy_wh``; charging_s, idle_s
    and pause_s to the whole time. ``exact_total`` is the unrounded total in major units to 12
    places, for display only. ``free_reason`` says why nothing is charged, where a policy
    released the session.
    """

    session_id: str
    tariff_id: str
    tariff_name: str
    engine: str
    currency: str
    time_zone: str
    started_at: datetime
    ended_at: datetime
    energy_wh: int
    charging_s: int
    idle_s: int
    pause_s: int
    lines: tuple[Line, ...]
    net_minor: int
    tax_name: str
    tax_percent: str
    tax_minor: int
    total_minor: int
    exact_total: str
    streams: tuple[tuple[str, int], ...]
    plan: str | None = None
    free_reason: str | None = None
