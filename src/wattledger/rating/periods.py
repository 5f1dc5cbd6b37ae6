"""A delivery cut into periods in which one set of prices and one activity holds.

Time counts in whole seconds: every instant is the second it falls in, so the parts of a
session add up to the whole. A register that was not read at a cut lies on the straight line
between the neighbouring readings, rounded down to whole Wh: the parts telescope to last minus
first. Where a kWh limit is reached the register is that limit exactly, and the second is the
one it is reached in.

Local clock rules hold by the wall clock, read at every instant: an hour that a change to
winter time repeats is matched twice, one that summer time skips not at all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import pairwise
from zoneinfo import ZoneInfo

from wattledger.rating.compiled import DAY_S, Compiled, Moment
from wattledger.sessions.model import Activity, Delivery
from wattledger.tariffs.model import Dimension

METERED = -1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Knot:
    """A moment between two periods. ``segment`` numbers the gap between two readings that the
    register was interpolated in, ``error_wh`` is how far the two differ; METERED and 0 if not.
    """

    at_s: int
    register_wh: int
    segment: int = METERED
    error_wh: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """One activity without a break."""

    from_s: int
    to_s: int
    activity: Activity


@dataclass(frozen=True, slots=True)
class Period:
    """From one knot to the next. ``chosen`` has the element that prices each dimension."""

    start: Knot
    end: Knot
    activity: Activity
    idle_s: int
    after_stop: bool
    chosen: dict[Dimension, int]

    @property
    def energy_wh(self) -> int:
        return self.end.register_wh - self.start.register_wh

    @property
    def duration_s(self) -> int:
        return self.end.at_s - self.start.at_s


def second_of(moment: datetime) -> int:
    """The whole second ``moment`` falls in, since 1970, in integers throughout."""
    return (moment - _EPOCH) // _SECOND


def moment_of(second: int) -> datetime:
    """The inverse of ``second_of``, in UTC."""
    return _EPOCH + timedelta(seconds=second)


class Register:
    """The cumulative register at any second of a session."""

    def __init__(self, delivery: Delivery) -> None:
        self.times = [second_of(reading.at) for reading in delivery.readings]
        self.values = [reading.register_wh for reading in delivery.readings]

    def at(self, second: int) -> Knot:
        """The knot at ``second``, which is not before the first reading."""
        i = bisect_right(self.times, second) - 1
        low = self.values[i]
        if i + 1 == len(self.times):  # after the stop the register stands still
            return Knot(second, low)
        high = self.values[i + 1]
        since = second - self.times[i]
        if since == 0 or high == low:
            return Knot(second, low)
        gap_s = self.times[i + 1] - self.times[i]
        return Knot(second, low + since * (high - low) // gap_s, i, high - low)

    def reached(self, register_wh: int) -> Knot:
        """Where it stands at ``register_wh`` for the first time, above the first reading."""
        i = bisect_left(self.values, register_wh)
        low, high = self.values[i - 1], self.values[i]
        gap_s = self.times[i] - self.times[i - 1]
        since = (register_wh - low) * gap_s // (high - low)
        return Knot(self.times[i - 1] + since, register_wh)


def periods(delivery: Delivery, compiled: Compiled, zone: ZoneInfo) -> list[Period]:
    """In time order, without a gap, at least one; their energy and time add up to the session's.

    A period may take no time, where a limit is reached within a second.
    """
    register = Register(delivery)
    start, end = second_of(delivery.started_at), second_of(delivery.ended_at)
    stop = register.times[-1]
    stretches = _stretches(delivery, start, end, stop)
    knots = _knots(register, compiled, end, _cuts(compiled, stretches, zone, stop))
    local = partial(_local_clock, zone) if compiled.clock_seconds else _no_clock
    found: list[Period] = []
    walk = iter(stretches)
    stretch = next(walk)
    for one, other in pairwise(knots):
        while one.at_s >= stretch.to_s and stretch is not stretches[-1]:
            stretch = next(walk)
        idle = one.at_s - stretch.from_s if stretch.activity is Activity.VEHICLE_IDLE else 0
        second_of_day, weekday, day = local(one.at_s)
        moment = Moment(
            second_of_day=second_of_day,
            weekday=weekday,
            day=day,
            energy_wh=one.register_wh - register.values[0],
            elapsed_s=one.at_s - start,
            idle_s=idle,
        )
        found.append(
            Period(one, other, stretch.activity, idle, one.at_s >= stop, compiled.select(moment))
        )
    return found


def _stretches(delivery: Delivery, start: int, end: int, stop: int) -> list[Stretch]:
    """What went on, from start to end. Charging unless something else is said; a transaction
    that has stopped does not charge, so a car still there then is idle.
    """
    marks = [(start, Activity.CHARGING)]
    for change in delivery.changes:
        second = max(second_of(change.at), start)
        if second >= end:
            break
        if second >= stop > marks[-1][0]:
            marks.append((stop, marks[-1][1]))
        marks.append((second, change.activity))
    if start < stop < end and marks[-1][0] < stop:
        marks.append((stop, marks[-1][1]))
    found: list[Stretch] = []
    for i, (second, said) in enumerate(marks):
        to = marks[i + 1][0] if i + 1 < len(marks) else end
        over = second >= stop and stop < end
        activity = Activity.VEHICLE_IDLE if over and said is Activity.CHARGING else said
        if to == second and (found or i + 1 < len(marks)):
            continue
        if found and found[-1].activity is activity:
            found[-1] = Stretch(found[-1].from_s, to, activity)
        else:
            found.append(Stretch(second, to, activity))
    return found


def _cuts(compiled: Compiled, stretches: list[Stretch], zone: ZoneInfo, stop: int) -> set[int]:
    """Every second at which a price may change, and some at which it does not."""
    start, end = stretches[0].from_s, stretches[-1].to_s
    cuts = {stop} | {start + limit for limit in compiled.elapsed_limits}
    for stretch in stretches:
        cuts.add(stretch.from_s)
        if stretch.activity is Activity.VEHICLE_IDLE:
            for limit in compiled.idle_limits:
                if stretch.from_s + limit < stretch.to_s:
                    cuts.add(stretch.from_s + limit)
    if compiled.clock_seconds:
        cuts.update(_clock_cuts(compiled.clock_seconds, start, end, zone))
    return {cut for cut in cuts if start < cut < end}


def _clock_cuts(seconds: tuple[int, ...], start: int, end: int, zone: ZoneInfo) -> Iterator[int]:
    """The UTC seconds at which a local clock shows one of ``seconds``, and the zone's changes.

    Each wall time is taken with both of its offsets. Where it falls into a gap or a fold one of
    them is not a boundary; an additional cut does no harm, as each period is matched anew.
    """
    first = datetime.fromtimestamp(start, zone).date()
    last = datetime.fromtimestamp(end, zone).date()
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        day = date.fromordinal(ordinal)
        for second in seconds:
            wall = datetime(
                day.year, day.month, day.day, second // 3600, second % 3600 // 60, tzinfo=zone
            )
            yield second_of(wall)
            yield second_of(wall.replace(fold=1))
    for low in range(start, end, DAY_S):
        yield from _zone_change(low, min(low + DAY_S, end), zone)


def _zone_change(low: int, high: int, zone: ZoneInfo) -> Iterator[int]:
    """The second at which the offset changes between two, if it does."""
    before = datetime.fromtimestamp(low, zone).utcoffset()
    if datetime.fromtimestamp(high, zone).utcoffset() == before:
        return
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    yield high


def _knots(register: Register, compiled: Compiled, end: int, cuts: set[int]) -> list[Knot]:
    first, last = register.values[0], register.values[-1]
    knots = [Knot(register.times[0], first), Knot(end, last)]
    knots += [register.reached(first + w) for w in compiled.wh_limits if first + w <= last]
    knots += [register.at(cut) for cut in cuts]
    knots.sort(key=lambda knot: (knot.at_s, knot.register_wh, knot.error_wh))
    distinct = [
        one
        for one, other in pairwise(knots)
        if (one.at_s, one.register_wh) != (other.at_s, other.register_wh)
    ]
    # The end itself stays, so that a session without time and energy still has one period.
    return [*distinct, knots[-1]] if distinct else [knots[0], knots[-1]]


def _no_clock(_second: int) -> tuple[int, int, int]:
    return 0, 0, 1


def _local_clock(zone: ZoneInfo, second: int) -> tuple[int, int, int]:
    """Second of the local day, weekday and day at a UTC second."""
    wall = datetime.fromtimestamp(second, zone)
    return wall.hour * 3600 + wall.minute * 60 + wall.second, wall.weekday(), wall.toordinal()
