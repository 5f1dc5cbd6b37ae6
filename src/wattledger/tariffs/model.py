"""What a tariff is: ordered elements with price components and restrictions.

The union of OCPI 2.3.0's Tariff and OCPP 2.1's TariffType, in OCPI's shape. At every instant,
and for each dimension on its own, the first element that has a component of the dimension and
whose restrictions all match sets its price; no match costs nothing. Amounts are exact decimals
kept as the text they were written in, so a bill shows the price the operator wrote.

================  =========================  ================
here              OCPI                       OCPP 2.1
================  =========================  ================
energy            ENERGY                     energy
charging_time     TIME                       chargingTime
idle_time         PARKING_TIME               idleTime
flat              FLAT                       fixedFee
reservation_time  TIME, under a reservation  reservationTime
reservation_flat  FLAT, under a reservation  reservationFixed
================  =========================  ================
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from wattledger.tariffs.policies import Policies


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
    RESERVATION_TIME = "reservation_time"
    """Time for which the connector was kept, before charging or until the reservation expired."""
    RESERVATION_FLAT = "reservation_flat"
    """Once in a reservation."""


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
    Dimension.RESERVATION_TIME: (Unit.MINUTE, Unit.HOUR),
    Dimension.RESERVATION_FLAT: (Unit.SESSION,),
}
RESERVED = (Dimension.RESERVATION_TIME, Dimension.RESERVATION_FLAT)
"""The dimensions of a reservation: an element has these or the others, never both."""


class Day(StrEnum):
    """A local weekday; the order is that of ``datetime.weekday()``."""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


class Reservation(StrEnum):
    """What became of a reservation."""

    USED = "used"
    """Charging began: OCPI's RESERVATION."""
    EXPIRED = "expired"
    """It did not: OCPI's RESERVATION_EXPIRES, and what that does not price, RESERVATION."""


class EvseKind(StrEnum):
    """The kind of current (OCPP 2.1 EvseKindEnumType)."""

    AC = "AC"
    DC = "DC"


class TaxIncluded(StrEnum):
    """Whether prices contain their tax (OCPI 2.3.0 TaxIncluded)."""

    NO = "no"
    YES = "yes"
    NOT_APPLICABLE = "not_applicable"
    """No tax applies to this tariff, whatever the terms say."""


class PriceLock(StrEnum):
    """Whether the clock may change the price while a session runs."""

    BY_INTERVAL = "by_interval"
    """Each moment has the price of its hour and date."""
    SESSION_START = "session_start"
    """Hours, weekdays and dates are those of the start, for all of the session (23 CFR 680.116)."""


class TaxRate(msgspec.Struct, frozen=True):
    """A tax on a price: ``percent`` is a plain decimal as text.

    Rates of one ``stack`` are on the same base; those of a higher one are on the price with all
    lower taxes in it (OCPP 2.1 TaxRateType). ``name`` is what the bill calls it.
    """

    name: str
    percent: str
    stack: int = 0


class Component(msgspec.Struct, frozen=True):
    """The price of one dimension: ``price`` per ``unit``, billed in steps of ``step``.

    ``price`` is a plain decimal as text in the tariff's currency. ``step`` is in Wh for energy
    and in seconds for time; a flat fee has none, and 1 rounds nothing that a meter counts.
    ``taxes`` None says nothing: the terms decide. A rate of 0 % is a tax of nothing.
    """

    dimension: Dimension
    price: str
    unit: Unit
    step: int = 1
    taxes: tuple[TaxRate, ...] | None = None


class Restrictions(msgspec.Struct, frozen=True, omit_defaults=True):
    """When an element applies: all that is set has to match. Minima inclusive, maxima exclusive.

    ``start_time`` and ``end_time`` are local wall-clock 'HH:MM'. An end before the start wraps
    past midnight; '00:00' as the end is the end of the day; one alone means from 00:00, or to
    the end of the day. Weekday and date are those of the instant, so a Friday 22:00 to 06:00
    ends at midnight unless SATURDAY is listed too. Dates are 'YYYY-MM-DD', no days are all days.
    ``start_season`` and ``end_season`` are 'MM-DD' of every year, the end exclusive, and wrap
    over New Year. ``holiday`` True is only on the tariff's holidays, False never on them.
    ``min_kwh`` and ``max_kwh`` count the session's energy so far, ``*_duration_s`` its whole
    time so far, ``*_charging_s`` its charging time so far, ``*_idle_s`` the idle so far since the
    present idle stretch began (0 while the car is not idle): ``min_idle_s = 600`` on an idle
    price is a grace of ten minutes that is never billed. Power and current are those of the
    moment, over all phases. ``payment_brand`` and ``payment_recognition`` are OCPP 2.1's words
    for how the driver pays.
    """

    start_time: str | None = None
    end_time: str | None = None
    days: tuple[Day, ...] = ()
    start_date: str | None = None
    end_date: str | None = None
    start_season: str | None = None
    end_season: str | None = None
    holiday: bool | None = None
    min_kwh: str | None = None
    max_kwh: str | None = None
    min_power_kw: str | None = None
    max_power_kw: str | None = None
    min_current_a: str | None = None
    max_current_a: str | None = None
    min_idle_s: int | None = None
    max_idle_s: int | None = None
    min_charging_s: int | None = None
    max_charging_s: int | None = None
    min_duration_s: int | None = None
    max_duration_s: int | None = None
    reservation: Reservation | None = None
    evse_kind: EvseKind | None = None
    payment_brand: str | None = None
    payment_recognition: str | None = None


class Element(msgspec.Struct, frozen=True):
    """Components that share their restrictions; ``name`` is shown to the driver."""

    name: str
    components: tuple[Component, ...]
    restrictions: Restrictions = Restrictions()

    def component(self, dimension: Dimension) -> Component | None:
        """The component of ``dimension``; the reader lets no element have two."""
        return next((c for c in self.components if c.dimension is dimension), None)


class Cap(msgspec.Struct, frozen=True):
    """The most a dimension may cost in a session, after a discount; with the tax in it where the
    tariff's prices have theirs."""

    dimension: Dimension
    amount: str


class PriceLimit(msgspec.Struct, frozen=True):
    """The least or the most a whole session costs; each side of tax is held on its own."""

    before_taxes: str | None = None
    after_taxes: str | None = None


class Text(msgspec.Struct, frozen=True):
    """Words for the driver (OCPI DisplayText); ``language`` is ISO 639-1."""

    language: str
    text: str


class Tariff(msgspec.Struct, frozen=True):
    """A price list in one currency; the order of ``elements`` decides.

    ``valid_from`` is inclusive, ``valid_to`` by policy; both are asked at the session's start.
    ``kind`` is OCPI's TariffType, ``energy_mix`` its EnergyMix as JSON text: both are carried,
    neither prices anything. ``holidays`` are local dates 'YYYY-MM-DD'.
    """

    id: str
    currency: str
    name: str
    elements: tuple[Element, ...]
    caps: tuple[Cap, ...] = ()
    policies: Policies = Policies()
    tax_included: TaxIncluded = TaxIncluded.NO
    min_price: PriceLimit | None = None
    max_price: PriceLimit | None = None
    price_lock: PriceLock = PriceLock.BY_INTERVAL
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    holidays: tuple[str, ...] = ()
    country_code: str | None = None
    party_id: str | None = None
    kind: str | None = None
    texts: tuple[Text, ...] = ()
    url: str | None = None
    energy_mix: str | None = None
    preauthorize_amount: str | None = None
    last_updated: datetime | None = None
