"""What pricing answers: a charge, its lines and the periods they were measured in."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from wattledger.rating.sums import decimal_text
from wattledger.rating.terms import Terms
from wattledger.tariffs.policies import Policies

ENGINE = "rating 2"
"""Stands on every charge. Whatever changes the bytes of a charge changes this name."""


class LineKind(StrEnum):
    """What a line of the bill is."""

    ENERGY = "energy"
    CHARGING_TIME = "charging_time"
    IDLE_TIME = "idle_time"
    FLAT = "flat"
    RESERVATION_TIME = "reservation_time"
    RESERVATION_FLAT = "reservation_flat"
    FEE = "fee"
    """What the way of paying adds."""
    EXCISE = "excise"
    """A tax on the energy itself, whatever it was sold by."""
    CAP = "cap"
    """Negative: what a dimension costs beyond its cap."""
    MINIMUM = "minimum"
    """What is missing to the least price of a session."""
    MAXIMUM = "maximum"
    """Negative: what lies beyond the most a session costs."""
    NOTICE = "notice"
    """Costs nothing; there so that the bill covers the whole time and all energy."""
    CONCESSION = "concession"
    """Negative: what was given back after the session was billed."""
    ROUNDING = "rounding"
    """Closes the gap between the rounded lines and the sums."""


class Source(StrEnum):
    """Where a quantity comes from."""

    METERED = "metered"
    """Both ends are readings, or lie where the register stood still or was given by a limit."""
    INTERPOLATED = "interpolated"
    """An end lies between two readings and was put on the straight line between them."""
    EXTRAPOLATED = "extrapolated"
    """An end lies before the first reading or after the last: the register is taken to stand."""
    CLOCK = "clock"
    """Time between two reported moments."""
    REPORTED = "reported"
    """As another party's record says."""


class Evidence(msgspec.Struct, frozen=True):
    """One uninterrupted stretch of a line's quantity.

    Registers are there for metered energy only. ``error_wh`` bounds how far an interpolated or
    extrapolated quantity can be off; None is no bound at all.
    """

    from_at: datetime
    to_at: datetime
    quantity: int
    source: Source
    error_wh: int | None = 0
    from_register_wh: int | None = None
    to_register_wh: int | None = None


class Period(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A stretch of the session in which one set of prices and one activity held.

    Quantities are in 1/``Charge.quantity_scale`` Wh and s. The errors are those of the register
    at either end; ``segment`` numbers the gap between two readings an end lies in, -1 none.
    """

    from_at: datetime
    to_at: datetime
    activity: str
    energy: int
    source: Source
    tariff: int = 0
    from_register_wh: int | None = None
    to_register_wh: int | None = None
    from_error_wh: int | None = 0
    to_error_wh: int | None = 0
    from_segment: int = -1
    to_segment: int = -1


class TaxAmount(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One tax of the whole charge (OCPI 2.3.0 TaxAmount)."""

    name: str
    tax_minor: int
    percent: str | None = None
    exempt: str | None = None


class Line(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One line of the bill: all of one element's component, or a notice, an adjustment.

    ``quantity`` is what was used and ``billed_quantity`` what is priced after steps and
    allowances, both in ``quantity_unit`` (Wh, s, session) over ``Charge.quantity_scale``.
    ``unit_price`` is per ``unit`` (kWh, minute, hour, session), before the discount, as the tariff
    has it. ``uses`` are (period, quantity). ``element`` is its place in the tariff, -1 none.
    ``step_quantity`` is what rounding to steps added or took, of ``step_total``. A default here is
    left out of the bytes where it is the very same object: a text that is none is empty, never "0".
    """

    kind: LineKind
    text: str
    net_minor: int
    tax_minor: int
    total_minor: int
    quantity: int = 0
    billed_quantity: int = 0
    quantity_unit: str = ""
    unit: str = ""
    unit_price: str = ""
    discount_percent: str = ""
    taxes: tuple[tuple[str, str], ...] = ()
    tariff: int = 0
    element: int = -1
    step_quantity: int = 0
    step_total: int = 0
    due: str = ""
    uses: tuple[tuple[int, int], ...] = ()


class Difference(msgspec.Struct, frozen=True, gc=False):
    """A total that another party's record states, and ours: plain decimals, ours minus theirs."""

    path: str
    stated: str
    priced: str
    difference: str


class TariffRef(msgspec.Struct, frozen=True, gc=False):
    """A tariff that priced some of it."""

    id: str
    name: str


class Charge(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a session costs, with all its explanation is rendered from. Times in UTC.

    Σ lines = net, tax, total; net + tax = total; Σ streams = net; Σ taxes = tax. The lines of
    energy (the free one included) add up to ``energy``; charging_s, idle_s and pause_s to the
    whole time of a metered session, less its waiting for the first energy where that counts.
    ``exact`` are the unrounded sums in major units: the numerators before and after taxes and
    their denominator; ``exact_*`` show them. ``free_reason`` says why nothing is charged, where a
    policy released the session.
    """

    session_id: str
    engine: str
    currency: str
    time_zone: str
    started_at: datetime
    ended_at: datetime
    tariffs: tuple[TariffRef, ...]
    lines: tuple[Line, ...]
    periods: tuple[Period, ...]
    net_minor: int
    tax_minor: int
    total_minor: int
    exact: tuple[str, str, str]
    taxes: tuple[TaxAmount, ...]
    streams: tuple[tuple[str, int], ...]
    policies: Policies
    terms: Terms
    energy: int
    charging: int = 0
    idle: int = 0
    pause: int = 0
    quantity_scale: int = 1
    free_reason: str | None = None
    warnings: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def exact_net(self) -> str:
        """Before taxes, unrounded, in major units to 12 places, half to even."""
        return decimal_text(int(self.exact[0]), int(self.exact[2]))

    @property
    def exact_tax(self) -> str:
        """The taxes, as above."""
        return decimal_text(int(self.exact[1]) - int(self.exact[0]), int(self.exact[2]))

    @property
    def exact_total(self) -> str:
        """After taxes, as above."""
        return decimal_text(int(self.exact[1]), int(self.exact[2]))

    @property
    def energy_wh(self) -> int:
        """Whole Wh: exact for a meter, rounded down for a record that is finer."""
        return self.energy // self.quantity_scale

    @property
    def charging_s(self) -> int:
        """Seconds of charging."""
        return self.charging // self.quantity_scale

    @property
    def idle_s(self) -> int:
        """Seconds in which the car asked for nothing."""
        return self.idle // self.quantity_scale

    @property
    def pause_s(self) -> int:
        """Seconds in which the charger offered nothing."""
        return self.pause // self.quantity_scale

    @property
    def tariff_id(self) -> str:
        """The first tariff's."""
        return self.tariffs[0].id

    @property
    def tariff_name(self) -> str:
        """The first tariff's."""
        return self.tariffs[0].name
