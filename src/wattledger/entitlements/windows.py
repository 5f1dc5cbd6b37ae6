"""Hours and weekdays as sets of the minutes of a week, so that they can be compared."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from wattledger.entitlements.model import Selector
from wattledger.tariffs.model import Day

_DAY_MIN = 1440
_DAYS = tuple(Day)
WHOLE_WEEK = (1 << 7 * _DAY_MIN) - 1


def week_of(selector: Selector) -> int:
    """A bit for each minute of the week, Monday 00:00 the lowest."""
    return _week(selector.start_time, selector.end_time, selector.days)


def holds(selector: Selector, local: datetime) -> bool:
    """Whether hours, weekdays and dates are those of a local time."""
    minute = local.weekday() * _DAY_MIN + local.hour * 60 + local.minute
    day = local.date().isoformat()
    return (
        bool(week_of(selector) >> minute & 1)
        and (selector.start_date is None or selector.start_date <= day)
        and (selector.end_date is None or day < selector.end_date)
    )


@lru_cache(maxsize=1024)
def _week(start_time: str | None, end_time: str | None, days: tuple[Day, ...]) -> int:
    start, end = _minute(start_time, 0), _minute(end_time, _DAY_MIN) or _DAY_MIN
    day = _span(start, end) if start < end else _span(0, end) | _span(start, _DAY_MIN)
    return sum(
        day << number * _DAY_MIN for number, name in enumerate(_DAYS) if not days or name in days
    )


def _span(start: int, end: int) -> int:
    return (1 << end) - (1 << start)


def _minute(text: str | None, otherwise: int) -> int:
    return otherwise if text is None else int(text[:2]) * 60 + int(text[3:5])
