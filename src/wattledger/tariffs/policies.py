"""What the standards leave open, by name: every policy has a default and stands in the tariff's
version, so a charge is replayed by the values it was made with. A change of meaning is a new
value, never a new rule under an old name.

The letters in brackets number the questions that OCPI 2.x leaves open; docs/pricing.md has the
table of them.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wattledger.money import Rounding


class RoundingLevel(StrEnum):
    """What is rounded."""

    TOTAL = "total"
    """The sums, once, from the unrounded amounts; a rounding line closes the gap."""
    LINE = "line"
    """Every line; the sums are theirs."""
    TAX_RATE = "tax_rate"
    """The sum of the lines of each tax rate."""


class RoundingCloses(StrEnum):
    """Of the three sums two are rounded; the third is what is left."""

    TAXES = "taxes"
    """Before and after taxes are rounded, as OCPI states a price."""
    BEFORE_TAXES = "before_taxes"
    """Taxes and the payable total are rounded."""
    AFTER_TAXES = "after_taxes"
    """Net and taxes are rounded and the total is their sum; by tax rate, EN 16931's way."""


class StepRounding(StrEnum):
    """What becomes of a step that was begun and not finished (A18)."""

    UP = "up"
    """A step begun is a step billed: OCPI's step_size."""
    DOWN = "down"
    """Only whole steps are billed."""


class StepBase(StrEnum):
    """Whose quantity is rounded to steps (A1 for idle time, A6 for the rest)."""

    PRICED = "priced"
    """What a component prices, and nothing else."""
    ALL = "all"
    """The session's whole quantity, also where no component prices it."""


class StepTime(StrEnum):
    """Charging time and idle time share one rounding: which of them takes it (A5)."""

    IDLE_IF_ANY = "idle_if_any"
    """Idle time as soon as some of it is priced, even where charging went on after it."""
    LAST = "last"
    """Whatever was priced last."""


class StepReservation(StrEnum):
    """Is reserved time rounded with the session's time? (A7)"""

    OWN = "own"
    WITH_TIME = "with_time"


class RangeMatch(StrEnum):
    """A period of a CDR knows the least and the most power; which has to match? (A2)"""

    WHOLE_PERIOD = "whole_period"
    """All of it: the minimum against the least, the maximum against the most."""
    REACHED = "reached"
    """Some of it: the minimum against the most, the maximum against the least."""


class MissingMeasurement(StrEnum):
    """A restriction asks for power or current, and none was measured (A3)."""

    REFUSE = "refuse"
    """The session is not priced: nothing is guessed."""
    MATCH = "match"
    NO_MATCH = "no_match"


class FlatTimes(StrEnum):
    """How often a flat fee is billed (A4)."""

    ONCE_A_SESSION = "once_a_session"
    """The first that becomes active, and no other."""
    ONCE_AN_ELEMENT = "once_an_element"
    """Each when it first becomes active: a fee that begins after a while is billed too."""


class LimitTax(StrEnum):
    """The tax of what a price limit changes, where the limit states one side only (A8)."""

    PROPORTIONAL = "proportional"
    """The session's own tax, in proportion."""
    UNTAXED = "untaxed"


class DateWindow(StrEnum):
    """Dates together with times of day (A9)."""

    DAILY = "daily"
    """The hours anew on every day of the dates."""
    CONTINUOUS = "continuous"
    """From the first date's hour to the last date's hour without a break."""


class OneSidedTime(StrEnum):
    """A start without an end, or an end without a start (A10)."""

    DAY_BOUNDS = "day_bounds"
    """The missing one is midnight."""
    REFUSE = "refuse"


class WrapWeekday(StrEnum):
    """The weekday of hours that run past midnight (A11)."""

    INSTANT = "instant"
    """The weekday of the moment itself."""
    START_DAY = "start_day"
    """After midnight still the day on which the hours began."""


class TariffChoice(StrEnum):
    """Which of a CDR's tariffs prices a period (A12)."""

    PERIOD_ID = "period_id"
    """The one that the period names."""
    FIRST_VALID = "first_valid"
    """The first that is valid at the session's start, for all of it."""


class TariffEnd(StrEnum):
    """Is a tariff still valid at its last moment? (A13)"""

    EXCLUSIVE = "exclusive"
    INCLUSIVE = "inclusive"


class ZoneSource(StrEnum):
    """Where the time zone may come from if none is given (A14)."""

    COUNTRY = "country"
    """From the country, if it has one zone only."""
    EXPLICIT = "explicit"
    """From nowhere: it has to be given."""


class ClockTime(StrEnum):
    """What clock a tariff's hours are read on (A15)."""

    WALL = "wall"
    """The wall clock: an hour that is repeated matches twice, one that is skipped not at all."""
    STANDARD = "standard"
    """Standard time all the year, as some utilities' meters do."""


class MissingTime(StrEnum):
    """A CDR's period that lists energy and no time (A16)."""

    NONE = "none"
    """No time is billed for it."""
    FROM_TIMESTAMPS = "from_timestamps"
    """Its length is charging time."""


class IdleGrace(StrEnum):
    """What the first minutes of idle time are (A17)."""

    DEDUCT = "deduct"
    """Never billed."""
    WAIVE_IF_WITHIN = "waive_if_within"
    """Free if the car leaves within them, else billed like the rest."""


class IdleScope(StrEnum):
    """What the idle time so far is counted over (A17)."""

    STRETCH = "stretch"
    """The present stretch of it."""
    SESSION = "session"
    """All of the session's."""


class TimeVolume(StrEnum):
    """Hours with four decimals, where the timestamps say it exactly (A19)."""

    TIMESTAMPS_IF_CLOSE = "timestamps_if_close"
    """The period's own length, if the volume is within 0.0001 h of it."""
    AS_GIVEN = "as_given"


class VatOmitted(StrEnum):
    """A component without a word on tax (A20)."""

    TERMS = "terms"
    """The taxes of the terms apply; with none there, none."""
    REFUSE = "refuse"


class OutsidePeriod(StrEnum):
    """A CDR's period that begins before the CDR does, or after its end (A21)."""

    PRICE = "price"
    """It is priced, with a warning."""
    REFUSE = "refuse"


class PaymentFee(StrEnum):
    """The fee of the way somebody pays, which OCPI has no words for (A22)."""

    LINE = "line"
    """A line of its own."""
    NONE = "none"
    """Left out."""


class ZeroEnergy(StrEnum):
    """What a session costs in which no energy was delivered."""

    RELEASE = "release"
    """Nothing at all, whatever its fees and its idle time."""
    IDLE_ONLY = "idle_only"
    """Its idle time, and nothing else."""
    MINIMUM = "minimum"
    """Its fees, its time and the tariff's minimum, as any other session."""


class NegativeEnergy(StrEnum):
    """Energy that went from the car to the grid."""

    REFUSE = "refuse"
    CREDIT = "credit"
    """At the price of the moment, with the other sign."""


class ClockStarts(StrEnum):
    """When charging time begins."""

    PLUG_IN = "plug_in"
    FIRST_ENERGY = "first_energy"
    """At the last reading before the register moved."""


class UnreadEnds(StrEnum):
    """A session whose register was not read at its very start, or not at its stop."""

    STAND = "stand"
    """The register is taken to stand there: only what was metered is billed, with a warning."""
    REFUSE = "refuse"


class Policies(msgspec.Struct, frozen=True):
    """All of them, with their defaults.

    ``rounding_increment``: amounts are rounded to multiples of so many smallest units (5 for
    0.05). ``floor_wh``: less than that counts as no energy. ``floor_s``: with no energy, only a
    stay of at most this long is under ``zero_energy``; 0 is any stay. ``idle_grace_s`` is the
    grace on every idle price, beside what the tariff's elements say. ``idle_after_stop``: whether
    idle time after the transaction stopped is billed.
    """

    rounding: Rounding = Rounding.HALF_UP
    rounding_level: RoundingLevel = RoundingLevel.TOTAL
    rounding_increment: int = 1
    rounding_closes: RoundingCloses = RoundingCloses.TAXES
    step_rounding: StepRounding = StepRounding.UP
    step_idle: StepBase = StepBase.PRICED
    step_base: StepBase = StepBase.PRICED
    step_time: StepTime = StepTime.IDLE_IF_ANY
    step_reservation: StepReservation = StepReservation.OWN
    range_match: RangeMatch = RangeMatch.WHOLE_PERIOD
    missing_measurement: MissingMeasurement = MissingMeasurement.REFUSE
    flat: FlatTimes = FlatTimes.ONCE_A_SESSION
    limit_tax: LimitTax = LimitTax.PROPORTIONAL
    date_window: DateWindow = DateWindow.DAILY
    one_sided_time: OneSidedTime = OneSidedTime.DAY_BOUNDS
    wrap_weekday: WrapWeekday = WrapWeekday.INSTANT
    tariff_choice: TariffChoice = TariffChoice.PERIOD_ID
    tariff_end: TariffEnd = TariffEnd.EXCLUSIVE
    time_zone: ZoneSource = ZoneSource.COUNTRY
    clock: ClockTime = ClockTime.WALL
    missing_time: MissingTime = MissingTime.NONE
    idle_grace: IdleGrace = IdleGrace.DEDUCT
    idle_grace_s: int = 0
    idle_scope: IdleScope = IdleScope.STRETCH
    time_volume: TimeVolume = TimeVolume.TIMESTAMPS_IF_CLOSE
    vat_omitted: VatOmitted = VatOmitted.TERMS
    outside_period: OutsidePeriod = OutsidePeriod.PRICE
    payment_fee: PaymentFee = PaymentFee.LINE
    zero_energy: ZeroEnergy = ZeroEnergy.RELEASE
    floor_wh: int = 0
    floor_s: int = 0
    negative_energy: NegativeEnergy = NegativeEnergy.REFUSE
    clock_starts: ClockStarts = ClockStarts.PLUG_IN
    idle_after_stop: bool = True
    unread_ends: UnreadEnds = UnreadEnds.STAND


FOREIGN = Policies(zero_energy=ZeroEnergy.MINIMUM)
"""The policies of a tariff in a format that has no word for them: what OCPI and OCPP price is
billed, a session without energy too."""
