"""The week as cells: between two of a tariff's boundaries the same elements are in their hours.

What looks at hours and weekdays only is decided once, when a tariff is compiled; at a moment of
a session one look-up gives the elements that are left.
"""

from __future__ import annotations

from wattledger.tariffs.model import Day, Restrictions
from wattledger.tariffs.policies import DateWindow, Policies, WrapWeekday

DAY_S = 86_400
WEEK_S = 7 * DAY_S
_DAYS = list(Day)


def second_of_day(clock: str) -> int:
    """``16:30`` is 59400."""
    return int(clock[:2]) * 3600 + int(clock[3:5]) * 60


def hours(given: Restrictions) -> tuple[int, int]:
    """Start and end as seconds of the day; the end of the day is 86400."""
    return (
        second_of_day(given.start_time or "00:00"),
        second_of_day(given.end_time or "00:00") or DAY_S,
    )


def is_continuous(given: Restrictions, policies: Policies) -> bool:
    """Whether dates and times make one span instead of hours on each day (A9)."""
    return (
        policies.date_window is DateWindow.CONTINUOUS
        and bool(given.start_date or given.end_date)
        and bool(given.start_time or given.end_time)
    )


def spans(given: Restrictions, policies: Policies) -> list[tuple[int, int]] | None:
    """The seconds of the week at which hours and weekdays match; None where they always do."""
    timed = bool(given.start_time or given.end_time) and not is_continuous(given, policies)
    if not timed and not given.days:
        return None
    days = sorted(_DAYS.index(day) for day in given.days) or list(range(7))
    start, end = hours(given) if timed else (0, DAY_S)
    found = []
    for day in days:
        at = day * DAY_S
        if start < end:
            found.append((at + start, at + end))
        elif policies.wrap_weekday is WrapWeekday.START_DAY:
            found.append((at + start, at + DAY_S))
            next_day = (day + 1) % 7 * DAY_S
            found.append((next_day, next_day + end))
        else:
            found += [(at, at + end), (at + start, at + DAY_S)]
    return [(low, high) for low, high in found if low < high]


def bounds(all_spans: list[list[tuple[int, int]] | None]) -> tuple[int, ...]:
    """Where a cell begins: every boundary of the week, from 0 on."""
    edges = {0}
    for some in all_spans:
        for low, high in some or ():
            edges |= {low, high % WEEK_S}
    return tuple(sorted(edges))
