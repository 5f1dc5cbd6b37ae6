"""What a utility charges the operator: energy by time and tier, demand, fixed, minimum.

The shape goes beyond the U.S. Utility Rate Database (URDB): slots begin at any minute of the
local day, seasons on any day of the year, holidays are a list of dates, and each weekday may
have slots of its own. Rates and amounts are exact decimals kept as text, in major units of the
tariff's currency.

Every local rule is read off the wall clock of ``time_zone`` at each instant: on a day of 25
hours the repeated hour is matched twice, on one of 23 the skipped hour not at all.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wattledger.tariffs.model import Day


class TierScope(StrEnum):
    """Which energy fills the tiers, where a month has several periods. URDB does not say."""

    MONTH_TOTAL_PRORATA = "month_total_prorata"
    """The month's total over all periods; each period has its share of every tier."""
    PER_PERIOD = "per_period"
    """Each period's own energy, as if it were alone."""


class Per(StrEnum):
    """What time a fixed or minimum amount is for."""

    MONTH = "month"
    """A calendar month, whatever its length."""
    DAY = "day"
    """A day; how many of them a month has is the tariff's ``day_count``."""
    YEAR = "year"
    """A calendar year: a fixed charge in twelfths, a minimum once, with December."""


class DayCount(StrEnum):
    """How many days a month has for an amount per day."""

    ACTUAL = "actual"
    """28 to 31, by the calendar."""
    YEAR_OVER_12 = "year_over_12"
    """365/12 in every month, as NREL's SAM has it."""


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``rate`` + ``adj`` for each kWh (of demand: kW) up to ``ceiling``, which is cumulative.

    The last tier of a period has no ceiling.
    """

    rate: str
    adj: str = "0"
    ceiling: str | None = None


class RatePeriod(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price with its tiers; ``name`` is unique in its charge and stands on the bill."""

    name: str
    tiers: tuple[Tier, ...]


class Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of the local day, 'HH:MM' to 'HH:MM' (exclusive, '24:00' at its end)."""

    start: str
    end: str
    period: str


class DayRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The slots of these weekdays, and of the tariff's holidays where ``holidays``.

    A holiday has the slots of the rule with ``holidays`` and not those of its weekday.
    """

    slots: tuple[Slot, ...]
    days: tuple[Day, ...] = ()
    holidays: bool = False


class Season(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From ``first_day`` to ``last_day``, both 'MM-DD' and included; may wrap the year's end."""

    name: str
    first_day: str
    last_day: str
    day_rules: tuple[DayRule, ...]


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which period holds when: every minute of every day in one season, one rule, one slot."""

    seasons: tuple[Season, ...]


class EnergyCharge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Per kWh. ``tier_scope`` is required where it makes a difference, see ``needs_scope``."""

    periods: tuple[RatePeriod, ...]
    schedule: Schedule
    tier_scope: TierScope | None = None

    @property
    def tiered(self) -> bool:
        """Whether the price of a kWh depends on how many there were in the month."""
        return any(len(period.tiers) > 1 for period in self.periods)

    @property
    def needs_scope(self) -> bool:
        """Whether several tiers meet several periods."""
        return self.tiered and len(self.periods) > 1


class FlatDemand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Per kW of the month's highest demand, at any time. ``months``: 12 periods, January first."""

    periods: tuple[RatePeriod, ...]
    months: tuple[str, ...]


class TouDemand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Per kW of the month's highest demand within each period."""

    periods: tuple[RatePeriod, ...]
    schedule: Schedule


class FixedCharge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is paid for being connected."""

    name: str
    amount: str
    per: Per


class MinimumCharge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a month (``per`` month or day) or a calendar year costs at least, all lines together."""

    amount: str
    per: Per


class UtilityTariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that the bill of one meter depends on, beside its load.

    ``demand_window_min``: the minutes over which demand is averaged, a divisor of 60; required
    where there is a demand charge. ``holidays``: local dates 'YYYY-MM-DD'.
    """

    id: str
    name: str
    currency: str
    time_zone: str
    energy: EnergyCharge | None = None
    flat_demand: FlatDemand | None = None
    tou_demand: TouDemand | None = None
    demand_window_min: int | None = None
    fixed: tuple[FixedCharge, ...] = ()
    minimums: tuple[MinimumCharge, ...] = ()
    holidays: tuple[str, ...] = ()
    day_count: DayCount = DayCount.ACTUAL


class Remark(msgspec.Struct, frozen=True):
    """Something to know about, where it stands: nothing is left out without one."""

    path: str
    text: str
