"""A tariff and its terms, made ready for integer arithmetic.

Every rate, after the discount, becomes a whole number of parts of the smallest unit of money
per Wh, second or session, over one denominator. From here on nothing is divided until an
amount is rounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import lru_cache
from math import lcm

from wattledger.errors import BadInput
from wattledger.money import exponent
from wattledger.rating.model import Terms
from wattledger.tariffs.model import (
    Component,
    Day,
    Dimension,
    Element,
    Restrictions,
    Tariff,
    Unit,
)

NEVER = 1 << 62
"""Beyond every quantity, date and time there is: the maximum of what has none."""
DAY_S = 86_400
# How many Wh, seconds or sessions are in a unit.
_PER_UNIT = {Unit.KWH: 1000, Unit.MINUTE: 60, Unit.HOUR: 3600, Unit.SESSION: 1}
_DAYS = list(Day)
_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")
DIMENSIONS = tuple(Dimension)


@dataclass(frozen=True, slots=True)
class Rate:
    """A component's price as ``per_unit / denominator`` per Wh, second or session."""

    component: Component
    per_unit: int


@dataclass(frozen=True, slots=True)
class Moment:
    """All that a restriction may ask about an instant of a session."""

    second_of_day: int
    weekday: int
    day: int
    """The local date's ordinal."""
    energy_wh: int
    elapsed_s: int
    idle_s: int


@dataclass(frozen=True, slots=True)
class Rules:
    """Restrictions as integers; what is not restricted has its widest bounds."""

    from_second: int
    to_second: int
    days: frozenset[int]
    from_day: int
    to_day: int
    min_wh: int
    max_wh: int
    min_idle_s: int
    max_idle_s: int
    min_elapsed_s: int
    max_elapsed_s: int

    def match(self, at: Moment) -> bool:
        """Whether all of it holds at that moment: minima inclusive, maxima exclusive."""
        if self.from_second < self.to_second:
            clock = self.from_second <= at.second_of_day < self.to_second
        else:
            clock = at.second_of_day >= self.from_second or at.second_of_day < self.to_second
        return (
            clock
            and at.weekday in self.days
            and self.from_day <= at.day < self.to_day
            and self.min_wh <= at.energy_wh < self.max_wh
            and self.min_idle_s <= at.idle_s < self.max_idle_s
            and self.min_elapsed_s <= at.elapsed_s < self.max_elapsed_s
        )


@dataclass(frozen=True, slots=True)
class Compiled:
    """A tariff under terms. ``rules`` and ``rates`` run parallel to the tariff's elements."""

    tariff: Tariff
    terms: Terms
    denominator: int
    rules: tuple[Rules, ...]
    rates: tuple[dict[Dimension, Rate], ...]
    caps: dict[Dimension, int]
    """Over ``denominator``."""
    tax_numerator: int
    tax_denominator: int
    clock_seconds: tuple[int, ...]
    """Seconds of the local day at which some element begins or ends; empty if none looks."""
    wh_limits: tuple[int, ...]
    elapsed_limits: tuple[int, ...]
    idle_limits: tuple[int, ...]

    def select(self, at: Moment) -> dict[Dimension, int]:
        """For each dimension the first element that has it and matches, if there is one."""
        found: dict[Dimension, int] = {}
        for index, rules in enumerate(self.rules):
            if rules.match(at):
                for dimension in self.rates[index]:
                    found.setdefault(dimension, index)
        return found


@lru_cache(maxsize=1024)
def compile_tariff(tariff: Tariff, terms: Terms) -> Compiled:
    """Raises BadInput for a percentage out of 0 to 100 in the terms."""
    tax = _percent(terms.tax_percent, "$.terms.tax_percent")
    keep = 1 - _percent(terms.discount_percent, "$.terms.discount_percent")
    scale = 10 ** exponent(tariff.currency)
    exact = [
        {
            c.dimension: (c, Fraction(c.price) * scale * keep / _PER_UNIT[c.unit])
            for c in element.components
        }
        for element in tariff.elements
    ]
    caps = {cap.dimension: Fraction(cap.amount) * scale for cap in tariff.caps}
    denominator = lcm(
        *(rate.denominator for rates in exact for _, rate in rates.values()),
        *(cap.denominator for cap in caps.values()),
    )
    rules = tuple(_rules(element.restrictions) for element in tariff.elements)
    return Compiled(
        tariff=tariff,
        terms=terms,
        denominator=denominator,
        rules=rules,
        rates=tuple(
            {d: Rate(c, int(rate * denominator)) for d, (c, rate) in rates.items()}
            for rates in exact
        ),
        caps={dimension: int(cap * denominator) for dimension, cap in caps.items()},
        tax_numerator=tax.numerator,
        tax_denominator=tax.denominator,
        clock_seconds=_clock_seconds(rules, tariff.elements),
        wh_limits=_limits(w for r in rules for w in (r.min_wh, r.max_wh)),
        elapsed_limits=_limits(s for r in rules for s in (r.min_elapsed_s, r.max_elapsed_s)),
        idle_limits=_limits(s for r in rules for s in (r.min_idle_s, r.max_idle_s)),
    )


def _rules(given: Restrictions) -> Rules:
    def most(limit: int | None) -> int:
        return NEVER if limit is None else limit

    return Rules(
        from_second=_second(given.start_time or "00:00"),
        to_second=_second(given.end_time or "00:00") or DAY_S,
        days=frozenset(_DAYS.index(day) for day in given.days) or frozenset(range(7)),
        from_day=date.fromisoformat(given.start_date).toordinal() if given.start_date else 0,
        to_day=date.fromisoformat(given.end_date).toordinal() if given.end_date else NEVER,
        min_wh=_wh(given.min_kwh or "0"),
        max_wh=NEVER if given.max_kwh is None else _wh(given.max_kwh),
        min_idle_s=given.min_idle_s or 0,
        max_idle_s=most(given.max_idle_s),
        min_elapsed_s=given.min_duration_s or 0,
        max_elapsed_s=most(given.max_duration_s),
    )


def _second(clock: str) -> int:
    return int(clock[:2]) * 3600 + int(clock[3:]) * 60


def _wh(kwh: str) -> int:
    return int(Fraction(kwh) * 1000)


def _clock_seconds(rules: tuple[Rules, ...], elements: tuple[Element, ...]) -> tuple[int, ...]:
    seconds: set[int] = set()
    for rule, element in zip(rules, elements, strict=True):
        given = element.restrictions
        if given.start_time or given.end_time:
            seconds |= {rule.from_second, rule.to_second % DAY_S}
        if given.days or given.start_date or given.end_date:
            seconds.add(0)
    return tuple(sorted(seconds))


def _limits(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({value for value in values if 0 < value < NEVER}))


def _percent(text: str, path: str) -> Fraction:
    if not _PERCENT.fullmatch(text) or Fraction(text) > 100:
        raise BadInput(path, text, 'a percentage from "0" to "100"')
    return Fraction(text) / 100
