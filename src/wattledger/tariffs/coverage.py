"""Which moments an element's restrictions let through, as boxes of exact cells.

A moment is a point on independent axes: the minute of the week, the date, the day of the year,
holiday or not, and what was counted or measured so far. On each axis the boundaries of all
elements of a tariff make cells, and a set of cells is the bits of an integer; an element is a
box, one set for each axis. Boxes are subtracted exactly, so that "covered by the union of those
before it" is a computation and no guess.

The axes are taken as independent although a date fixes its weekday: a box may hold points that no
calendar has. So "covered" is always true of the real moments, and "not covered" may be too
careful.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from wattledger.tariffs.model import Day, EvseKind, Restrictions, Tariff
from wattledger.tariffs.policies import DateWindow, NegativeEnergy, Policies, WrapWeekday

DAY_MINUTES = 1440
WEEK_MINUTES = 7 * DAY_MINUTES
_ALL_WEEK = (1 << WEEK_MINUTES) - 1
_A_LEAP_YEAR = date(2028, 1, 1)
_ALL_YEAR = (1 << 366) - 1
_DAYS = list(Day)
_HOLIDAY = {None: 0b11, True: 0b10, False: 0b01}
_KIND = {None: 0b11, EvseKind.AC: 0b01, EvseKind.DC: 0b10}

Box = tuple[int, ...]
"""One set of cells for each of ``AXES``."""

AXES = (
    "week", "date", "season", "holiday", "kwh", "idle", "charging", "duration", "power", "current",
    "kind", "brand", "recognition",
)  # fmt: skip
COUNTED = ("idle", "charging", "duration")
# What may be missing, and what a period of a CDR knows as a range only: there, two elements that
# meet do not cover what lies across both.
MEASURED = ("power", "current", "kind", "brand", "recognition")
# Beyond this the answer is "not known to be covered"; a tariff of people stays far below.
PIECES_MAX = 4000


class Bounds(NamedTuple):
    """From ``low`` (inclusive) to ``high`` (exclusive), None for no end."""

    low: int
    high: int | None


class Space:
    """The axes of one tariff, cut at the boundaries of its elements."""

    def __init__(self, tariff: Tariff) -> None:
        self.policies = tariff.policies
        self.has_holidays = bool(tariff.holidays)
        given = [element.restrictions for element in tariff.elements]
        self.edges: dict[str, list[int]] = {}
        for axis in ("date", "kwh", *COUNTED, "power", "current"):
            found = {self._least(axis), 0}
            for restrictions in given:
                for outer in (True, False):
                    bounds = self._bounds(axis, restrictions, outer)
                    found |= {bounds.low} | ({bounds.high} if bounds.high is not None else set())
            self.edges[axis] = sorted(edge for edge in found if edge >= self._least(axis))
        self.brands = _names(r.payment_brand for r in given)
        self.recognitions = _names(r.payment_recognition for r in given)
        self.full: Box = tuple(self._all(axis) for axis in AXES)

    def box(self, given: Restrictions, *, outer: bool) -> Box:
        """The cells that ``given`` lets through: at least those with ``outer``, else at most."""
        return tuple(self._mask(axis, given, outer) for axis in AXES)

    def at_start(self) -> Box:
        """The cells of a session's first moment."""
        return tuple(
            1 if axis in COUNTED else self._cell_of(axis, 0) if axis == "kwh" else mask
            for axis, mask in zip(AXES, self.full, strict=True)
        )

    def _cell_of(self, axis: str, value: int) -> int:
        return 1 << self.edges[axis].index(value)

    def _least(self, axis: str) -> int:
        negative = self.policies.negative_energy is NegativeEnergy.CREDIT
        return -(10**15) if axis == "kwh" and negative else 0

    def _all(self, axis: str) -> int:
        if axis == "week":
            return _ALL_WEEK
        if axis == "season":
            return _ALL_YEAR
        if axis == "holiday":
            return 0b11 if self.has_holidays else 0b01
        if axis == "kind":
            return 0b11
        if axis in self.edges:
            return int((1 << len(self.edges[axis])) - 1)
        return int((1 << (1 + len(self._named(axis)))) - 1)

    def _named(self, axis: str) -> list[str]:
        return self.brands if axis == "brand" else self.recognitions

    def _mask(self, axis: str, given: Restrictions, outer: bool) -> int:
        if axis in self.edges:
            return self._cells(axis, self._bounds(axis, given, outer))
        if axis in ("brand", "recognition"):
            name = given.payment_brand if axis == "brand" else given.payment_recognition
            if name is None:
                return self._all(axis)
            return 2 << self._named(axis).index(name.casefold())
        masks = {
            "season": lambda: season_mask(given, outer=outer),
            "holiday": lambda: _HOLIDAY[given.holiday] & self._all("holiday"),
            "kind": lambda: _KIND[given.evse_kind],
            "week": lambda: week_mask(given, self.policies, outer=outer),
        }
        return masks[axis]()

    def _cells(self, axis: str, bounds: Bounds) -> int:
        edges = self.edges[axis]
        first = bisect_left(edges, bounds.low)
        last = len(edges) if bounds.high is None else bisect_left(edges, bounds.high)
        return ((1 << last) - 1) & ~((1 << first) - 1)

    def _bounds(self, axis: str, given: Restrictions, outer: bool) -> Bounds:
        least = self._least(axis)
        if axis == "date":
            return _dates(given, self.policies, outer)
        if axis in COUNTED:
            low, high = getattr(given, f"min_{axis}_s"), getattr(given, f"max_{axis}_s")
            return Bounds(low or 0, high)
        unit = {"kwh": "kwh", "power": "power_kw", "current": "current_a"}[axis]
        low, high = getattr(given, f"min_{unit}"), getattr(given, f"max_{unit}")
        return Bounds(
            least if low is None else _scaled(low), None if high is None else _scaled(high)
        )


def minus(box: Box, other: Box) -> list[Box]:
    """What of ``box`` is not in ``other``, as boxes that do not meet."""
    if any(a & b == 0 for a, b in zip(box, other, strict=True)):
        return [box]
    pieces, rest = [], list(box)
    for i, b in enumerate(other):
        outside = rest[i] & ~b
        if outside:
            pieces.append((*rest[:i], outside, *rest[i + 1 :]))
            rest[i] &= b
    return pieces


def uncovered(box: Box, others: Iterable[Box]) -> list[Box]:
    """What of ``box`` is in none of ``others``; all of it where that gets too long to say."""
    if 0 in box:
        return []
    pieces = [box]
    for other in others:
        pieces = [piece for whole in pieces for piece in minus(whole, other)]
        if len(pieces) > PIECES_MAX:
            return [box]
    return pieces


def joined(pieces: Sequence[Box]) -> list[Box]:
    """The same points in fewer boxes: those that differ on one axis only are put together."""
    found = list(pieces)
    for axis in range(len(AXES)):
        together: dict[Box, int] = {}
        for piece in found:
            key = (*piece[:axis], 0, *piece[axis + 1 :])
            together[key] = together.get(key, 0) | piece[axis]
        found = [(*key[:axis], mask, *key[axis + 1 :]) for key, mask in together.items()]
    return found


def within(box: Box, other: Box) -> bool:
    """Whether all of ``box`` is in ``other``."""
    return all(a & ~b == 0 for a, b in zip(box, other, strict=True))


def measured_alike(covering: Restrictions, covered: Restrictions) -> bool:
    """Whether ``covering`` matches wherever ``covered`` does, as to power, current, kind and
    payment: also where the measurement is missing, and for a range of power."""
    for name in ("evse_kind", "payment_brand", "payment_recognition"):
        ours, theirs = getattr(covering, name), getattr(covered, name)
        if ours is not None and (theirs is None or ours.casefold() != theirs.casefold()):
            return False
    for unit in ("power_kw", "current_a"):
        low, high = getattr(covering, f"min_{unit}"), getattr(covering, f"max_{unit}")
        if low is None and high is None:
            continue
        least, most = getattr(covered, f"min_{unit}"), getattr(covered, f"max_{unit}")
        if least is None and most is None:
            return False
        if _scaled(low or "0") > _scaled(least or "0"):
            return False
        if high is not None and (most is None or _scaled(high) < _scaled(most)):
            return False
    return True


def unmeasured(box: Box, full: Box) -> Box:
    """``box`` with everything on the axes of what may be missing."""
    return tuple(
        everything if axis in MEASURED else mask
        for axis, mask, everything in zip(AXES, box, full, strict=True)
    )


def is_continuous(given: Restrictions, policies: Policies) -> bool:
    """Whether dates and times make one span instead of hours on each day."""
    return (
        policies.date_window is DateWindow.CONTINUOUS
        and bool(given.start_date or given.end_date)
        and bool(given.start_time or given.end_time)
    )


def minute_of_day(clock: str) -> int:
    """``16:30`` is 990."""
    return int(clock[:2]) * 60 + int(clock[3:5])


def week_mask(given: Restrictions, policies: Policies, *, outer: bool) -> int:
    """The minutes of the week, Monday 00:00 first."""
    timed = bool(given.start_time or given.end_time) and not is_continuous(given, policies)
    start = minute_of_day(given.start_time or "00:00") if timed else 0
    end = (minute_of_day(given.end_time or "00:00") if timed else 0) or DAY_MINUTES
    if timed and start == end:
        # No standard says what it means: nothing is built on it.
        start, end = (0, DAY_MINUTES) if outer else (0, 0)
    found = 0
    for day in sorted(_DAYS.index(day) for day in given.days) or range(7):
        at = day * DAY_MINUTES
        if start <= end:
            found |= _run(at + start, at + end)
            continue
        found |= _run(at + start, at + DAY_MINUTES)
        after = (day + 1) % 7 if policies.wrap_weekday is WrapWeekday.START_DAY else day
        found |= _run(after * DAY_MINUTES, after * DAY_MINUTES + end)
    return found


def season_mask(given: Restrictions, *, outer: bool) -> int:
    """The days of a leap year, 1 January first."""
    if given.start_season is None and given.end_season is None:
        return _ALL_YEAR
    start = day_of_year(given.start_season or "01-01")
    end = day_of_year(given.end_season) if given.end_season else 366
    if start == end:
        return _ALL_YEAR if outer else 0
    return _run(start, end) if start < end else _run(start, 366) | _run(0, end)


def day_of_year(season: str) -> int:
    """``01-02`` is 1, in a leap year."""
    return (date.fromisoformat(f"2028-{season}") - _A_LEAP_YEAR).days


def season_of(day: int) -> str:
    """``MM-DD`` of a day of a leap year."""
    return (_A_LEAP_YEAR + timedelta(days=day)).isoformat()[5:]


def _dates(given: Restrictions, policies: Policies, outer: bool) -> Bounds:
    low = date.fromisoformat(given.start_date).toordinal() if given.start_date else 0
    high = date.fromisoformat(given.end_date).toordinal() if given.end_date else None
    if is_continuous(given, policies):
        # The span begins and ends within a day: that day is in it, or is not, as a whole.
        low += bool(given.start_date and given.start_time and not outer)
        high = None if high is None else high + bool(given.end_time and outer)
    return Bounds(low, high)


def _names(found: Iterable[str | None]) -> list[str]:
    return sorted({name.casefold() for name in found if name is not None})


def _run(low: int, high: int) -> int:
    return ((1 << high) - 1) & ~((1 << low) - 1)


def _scaled(text: str) -> int:
    """kWh, kW and A with six places at most, as whole numbers."""
    return int(Decimal(text) * 1_000_000)
