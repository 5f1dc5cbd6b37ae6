"""What a tariff is: ordered elements with price components and restrictions.

The shape is OCPI's. At every instant, and for each dimension on its own, the first element
that has a component of the dimension and whose restrictions all match sets its price; no
match costs nothing. Amounts are exact decimals kept as the text they were written in, so a
bill shows the price the operator wrote.

===============  ==================  ================
here             OCPI                OCPP 2.1
===============  ==================  ================
energy           ENERGY              energy
charging_time    TIME                chargingTime
idle_time        PARKING_TIME        idleTime
flat             FLAT                fixedFee
===============  ==================  ================
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wattledger.money import Rounding


class Dimension(StrEnum):
    """What is counted and priced."""

    ENERGY = "energy"
    """What the register counted, whatever car and charger were doing."""
    CHARGING_TIME = "charging_time"
    """Time in which energy flows or is about to; never a pause of the charger."""
    IDLE_TIME = "idle_time"
    """Time in which the car asks for nothing; never a pause of the charger."""
    FLAT = "flat"
    """Once in a session, when a flat component is first active."""


class Unit(StrEnum):
    """What a price is for."""

    KWH = "kWh"
    MINUTE = "minute"
    HOUR = "hour"
    SESSION = "session"


UNITS: dict[Dimension, tuple[Unit, ...]] = {
    Dimension.ENERGY: (Unit.KWH,),
    Dimension.CHARGING_TIME: (Unit.MINUTE, Unit.HOUR),
    Dimension.IDLE_TIME: (Unit.MINUTE, Unit.HOUR),
    Dimension.FLAT: (Unit.SESSION,),
}


class Day(StrEnum):
    """A local weekday; the order is that of ``datetime.weekday()``."""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


class StepRounding(StrEnum):
    """What becomes of a step that was begun and not finished."""

    UP = "up"
    """A step begun is a step billed: OCPI's step_size."""
    DOWN = "down"
    """Only whole steps are billed."""


class ZeroEnergy(StrEnum):
    """What a session costs in which no energy was delivered."""

    RELEASE = "release"
    """Nothing at all, whatever its fees and its idle time."""
    BILL = "bill"
    """Its fees and its time, as any other session."""


class Component(msgspec.Struct, frozen=True):
    """The price of one dimension: ``price`` per ``unit``, billed in steps of ``step``.

    ``price`` is a plain decimal as text, in the tariff's currency, before tax. ``step`` is in
    Wh for energy and in seconds for time; a flat fee has no step.
    """

    dimension: Dimension
    price: str
    unit: Unit
    step: int = 1


class Restrictions(msgspec.Struct, frozen=True, omit_defaults=True):
    """When an element applies: all that is set has to match. Minima inclusive, maxima exclusive.

    ``start_time`` and ``end_time`` are local wall-clock 'HH:MM'. An end before the start wraps
    past midnight; '00:00' as the end is the end of the day; one alone means from 00:00, or to
    the end of the day. Weekday and date are those of the instant, so a Friday 22:00 to 06:00
    ends at midnight unless SATURDAY is listed too. Dates are 'YYYY-MM-DD', no days are all days.
    ``min_kwh`` and ``max_kwh`` count the session's energy so far, ``*_duration_s`` its whole
    time so far, ``*_idle_s`` the idle so far since the present idle stretch began (0 while the
    car is not idle): ``min_idle_s = 600`` on an idle price is a grace of ten minutes that is
    never billed.
    """

    start_time: str | None = None
    end_time: str | None = None
    days: tuple[Day, ...] = ()
    start_date: str | None = None
    end_date: str | None = None
    min_kwh: str | None = None
    max_kwh: str | None = None
    min_idle_s: int | None = None
    max_idle_s: int | None = None
    min_duration_s: int | None = None
    max_duration_s: int | None = None


class Element(msgspec.Struct, frozen=True):
    """Components that share their restrictions; ``name`` is shown to the driver."""

    name: str
    components: tuple[Component, ...]
    restrictions: Restrictions = Restrictions()

    def component(self, dimension: Dimension) -> Component | None:
        """The component of ``dimension``; the reader lets no element have two."""
        return next((c for c in self.components if c.dimension is dimension), None)


class Cap(msgspec.Struct, frozen=True):
    """The most a dimension may cost in a session: net, after a discount, before tax."""

    dimension: Dimension
    amount: str


class Policies(msgspec.Struct, frozen=True):
    """What the standards leave open, by name; a change of meaning is a new value, not a new rule.

    ``minimum_energy_wh``: less than that counts as no energy at all.
    ``idle_after_stop``: whether idle time after the transaction stopped is billed.
    """

    rounding: Rounding = Rounding.HALF_UP
    step_rounding: StepRounding = StepRounding.UP
    zero_energy: ZeroEnergy = ZeroEnergy.RELEASE
    idle_after_stop: bool = True
    minimum_energy_wh: int = 0


class Tariff(msgspec.Struct, frozen=True):
    """A price list in one currency; the order of ``elements`` decides."""

    id: str
    currency: str
    name: str
    elements: tuple[Element, ...]
    caps: tuple[Cap, ...] = ()
    policies: Policies = Policies()
