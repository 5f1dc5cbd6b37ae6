"""Local calendars on the line of UTC: months, days of 23 to 25 hours, slots, demand windows.

Instants are whole microseconds since 1970. Slots follow the wall clock at each instant; demand
windows are counted from local midnight in elapsed time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from wattledger.errors import BadInput
from wattledger.tariffs.model import Day
from wattledger.tariffs.utility.model import DayRule, Schedule

MINUTE_US = 60_000_000
DAY_MINUTES = 1440
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ONE_DAY = timedelta(days=1)
_WEEKDAYS = tuple(Day)
_MONTH = re.compile(r"(20[0-9]{2}|19[0-9]{2})-(0[1-9]|1[0-2])")


class Span(NamedTuple):
    """A stretch of time in which one period of a schedule holds."""

    from_us: int
    to_us: int
    period: str


def us_of(moment: datetime) -> int:
    """Whole microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(us: int) -> datetime:
    """The inverse of ``us_of``, in UTC."""
    return _EPOCH + timedelta(microseconds=us)


def minutes_of(text: str) -> int:
    """'08:30' is 510; the text has been checked."""
    return int(text[:2]) * 60 + int(text[3:])


def midnight_us(day: date, zone: ZoneInfo) -> int:
    """When ``day`` begins: where midnight comes twice the first, where it is skipped after it."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    return us_of(local.astimezone(UTC))


def month_first(month: str, path: str = "month") -> date:
    """The first day of '2026-07'; raises BadInput."""
    if not _MONTH.fullmatch(month):
        raise BadInput(path, month, "a month such as 2026-07")
    return date(int(month[:4]), int(month[5:]), 1)


def next_month(first: date) -> date:
    """The first day of the month after."""
    return (first + timedelta(days=31)).replace(day=1)


def month_of(us: int, zone: ZoneInfo) -> str:
    """The local month of an instant, '2026-07'."""
    return moment_of(us).astimezone(zone).strftime("%Y-%m")


def days(first: date, end: date) -> Iterator[date]:
    """Each day from ``first`` to before ``end``."""
    while first < end:
        yield first
        first += _ONE_DAY


def spans(
    schedule: Schedule, holidays: frozenset[date], zone: ZoneInfo, first: date, end: date
) -> list[Span]:
    """From local midnight of ``first`` to that of ``end``, in order, without a gap.

    Neighbours of one period are one span. The schedule has been checked.
    """
    rules = _rules_by_day(schedule)
    found: list[Span] = []
    for day in days(first, end):
        weekday = None if day in holidays else _WEEKDAYS[day.weekday()]
        for span in _day_spans(rules[day.month, day.day][weekday], day, zone):
            if found and found[-1].period == span.period and found[-1].to_us == span.from_us:
                found[-1] = Span(found[-1].from_us, span.to_us, span.period)
            else:
                found.append(span)
    return found


def windows(minutes: int, zone: ZoneInfo, first: date, end: date) -> list[tuple[int, int]]:
    """The demand windows from local midnight of ``first`` to that of ``end``."""
    found: list[tuple[int, int]] = []
    step = minutes * MINUTE_US
    for day in days(first, end):
        start, stop = midnight_us(day, zone), midnight_us(day + _ONE_DAY, zone)
        found.extend((at, min(at + step, stop)) for at in range(start, stop, step))
    return found


def calendar_days(first_day: str, last_day: str) -> Iterator[tuple[int, int]]:
    """(month, day) of a season, both ends included, wrapping; 29 February is one of them."""
    first, last = _in_leap_year(first_day), _in_leap_year(last_day)
    year = [date(2024, 1, 1) + timedelta(days=n) for n in range(366)]
    for day in year:
        inside = first <= day <= last if first <= last else day >= first or day <= last
        if inside:
            yield day.month, day.day


def _in_leap_year(text: str) -> date:
    return date(2024, int(text[:2]), int(text[3:]))


def _rules_by_day(schedule: Schedule) -> dict[tuple[int, int], dict[Day | None, DayRule]]:
    """The rule of each weekday on each day of the year; None is a holiday."""
    found: dict[tuple[int, int], dict[Day | None, DayRule]] = {}
    for season in schedule.seasons:
        by_weekday: dict[Day | None, DayRule] = {}
        for rule in season.day_rules:
            by_weekday.update(dict.fromkeys(rule.days, rule))
            if rule.holidays:
                by_weekday[None] = rule
        for key in calendar_days(season.first_day, season.last_day):
            found[key] = by_weekday
    return found


def _day_spans(rule: DayRule, day: date, zone: ZoneInfo) -> Iterator[Span]:
    wall_midnight = us_of(datetime(day.year, day.month, day.day, tzinfo=UTC))
    for start, stop, offset in _one_offset(day, zone):
        for slot in rule.slots:
            begins = wall_midnight + minutes_of(slot.start) * MINUTE_US - offset
            ends = wall_midnight + minutes_of(slot.end) * MINUTE_US - offset
            if max(begins, start) < min(ends, stop):
                yield Span(max(begins, start), min(ends, stop), slot.period)


def _one_offset(day: date, zone: ZoneInfo) -> Iterator[tuple[int, int, int]]:
    """The day in stretches of one offset from UTC: one, or two where the clocks change."""
    start, stop = midnight_us(day, zone), midnight_us(day + _ONE_DAY, zone)
    if start >= stop:  # a day the place never had
        return
    before, after = _offset_us(start, zone), _offset_us(stop - 1, zone)
    if before == after:
        yield start, stop, before
        return
    low, high = start, stop - 1  # the clocks change after low, at high at the latest
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_us(middle, zone) == before:
            low = middle
        else:
            high = middle
    yield start, high, before
    yield high, stop, after


def _offset_us(us: int, zone: ZoneInfo) -> int:
    offset = moment_of(us).astimezone(zone).utcoffset()
    return 0 if offset is None else offset // _MICROSECOND
