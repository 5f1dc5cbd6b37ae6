"""A metered delivery cut into sections in which one set of prices and one activity holds.

Time counts in whole seconds: every instant is the second it falls in, so the parts of a
session add up to the whole. Where a kWh limit is reached the register is that limit exactly, and
the second is the one it is reached in.

Local clock rules hold by the wall clock, read at every instant: an hour that a change to
winter time repeats is matched twice, one that summer time skips not at all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

from wattledger.errors import CantPrice
from wattledger.rating.compiled import Compiled
from wattledger.rating.model import Source
from wattledger.rating.moments import (
    BRAND,
    CHARGING_S,
    CURRENT_UA,
    ELAPSED_S,
    ENERGY_WH,
    EVSE_KIND,
    IDLE_S,
    IDLE_WHOLE_S,
    POWER_MW,
    RECOGNITION,
    WIDTH,
    LocalClock,
    Moment,
    put_clock,
)
from wattledger.rating.register import AFTER, BEFORE, METERED, Knot, Register
from wattledger.rating.sections import RESERVED, WAITING, Section, moment_of, second_of
from wattledger.rating.terms import Terms
from wattledger.rating.weekly import DAY_S
from wattledger.sessions.model import Activity, Delivery
from wattledger.tariffs.model import PriceLock
from wattledger.tariffs.policies import ClockStarts, IdleScope

CUTS_MAX = 100_000
"""Quarter hours of two years: what is cut into more is a clock's error."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One activity without a break, and how much charging and idle time came before it."""

    from_s: int
    to_s: int
    activity: str
    charged_s: int = 0
    idled_s: int = 0


def sections(
    delivery: Delivery, compiled: Compiled, clock: LocalClock, terms: Terms
) -> list[Section]:
    """In time order, without a gap, at least one; their energy and time add up to the session's.

    A section may take no time, where a limit is reached within a second.
    """
    found: list[Section] = []
    if delivery.reserved is not None:
        found += _reservation(delivery, compiled, clock, terms)
    if not delivery.readings:
        return found
    start, end = second_of(delivery.started_at), second_of(delivery.ended_at)
    stop = second_of(delivery.stopped_at or delivery.readings[-1].at)
    register = Register(delivery)
    stretches = _stretches(delivery, compiled, register, (start, stop, end))
    cuts = _cuts(compiled, stretches, clock, stop)
    if compiled.needs_power:
        cuts |= set(register.times)
    if len(cuts) > CUTS_MAX:
        raise CantPrice(
            "too_many_periods",
            f"session {delivery.session_id}: its tariff cuts it into {len(cuts)} periods, more "
            f"than {CUTS_MAX}: correct its times, or give the tariff fewer hours",
        )
    knots = _knots(register, compiled, start, end, cuts)
    walk = _Walk(delivery, compiled, register, stretches, clock, terms)
    found += [walk.section(one, other, one.at_s >= stop) for one, other in pairwise(knots)]
    return found


class _Walk:
    """Goes through the knots in time order, with the stretch each lies in."""

    def __init__(
        self,
        delivery: Delivery,
        compiled: Compiled,
        register: Register,
        stretches: list[Stretch],
        clock: LocalClock,
        terms: Terms,
    ) -> None:
        self.delivery = delivery
        self.compiled = compiled
        self.register = register
        self.stretches = stretches
        self.clock = clock
        self.terms = terms
        self.start = stretches[0].from_s
        self.at = 0
        locked = compiled.tariff.price_lock is PriceLock.SESSION_START
        self.locked = clock.show(delivery.started_at) if locked else None
        self.shows = compiled.reads_clock
        self.of_session = compiled.tariff.policies.idle_scope is IdleScope.SESSION
        self.idle_whole = sum(
            s.to_s - s.from_s for s in stretches if s.activity == Activity.VEHICLE_IDLE
        )

    def section(self, one: Knot, other: Knot, after_stop: bool) -> Section:
        while one.at_s >= self.stretches[self.at].to_s and self.at + 1 < len(self.stretches):
            self.at += 1
        stretch = self.stretches[self.at]
        duration_s = other.at_s - one.at_s
        found = Section(
            moment_of(one.at_s),
            moment_of(other.at_s),
            stretch.activity,
            self._moment(one, stretch),
            _source(one, other),
        )
        found.energy = other.register_wh - one.register_wh
        if stretch.activity == Activity.CHARGING:
            found.charging = duration_s
        elif stretch.activity == Activity.VEHICLE_IDLE:
            found.idle = duration_s
        found.after_stop = after_stop
        found.from_register_wh, found.to_register_wh = one.register_wh, other.register_wh
        found.from_error_wh, found.to_error_wh = one.error_wh, other.error_wh
        found.from_segment, found.to_segment = one.segment, other.segment
        return found

    def _moment(self, knot: Knot, stretch: Stretch) -> Moment:
        at: Moment = [None] * WIDTH
        if self.locked is not None:
            put_clock(at, self.locked)
        elif self.shows:
            self.clock.put(at, knot.at_s, self.compiled.needs_season)
        self.compiled.place(at)
        so_far = knot.at_s - stretch.from_s
        idle = stretch.activity == Activity.VEHICLE_IDLE
        at[ENERGY_WH] = knot.register_wh - self.register.values[0]
        at[ELAPSED_S] = knot.at_s - self.start
        at[CHARGING_S] = stretch.charged_s
        at[CHARGING_S] += so_far if stretch.activity == Activity.CHARGING else 0
        before = stretch.idled_s if self.of_session else 0
        at[IDLE_S] = before + so_far if idle else 0
        length = self.idle_whole if self.of_session else stretch.to_s - stretch.from_s
        at[IDLE_WHOLE_S] = length if idle else 0
        at[EVSE_KIND] = self.delivery.evse_kind
        at[BRAND] = self.terms.payment_brand
        at[RECOGNITION] = self.terms.payment_recognition
        if self.compiled.needs_power:
            self._measured(at, knot)
        return at

    def _measured(self, at: Moment, knot: Knot) -> None:
        """Power and current of the gap: measured at its beginning, else the power that the
        register moved with."""
        times, values = self.register.times, self.register.values
        i = bisect_right(times, knot.at_s) - 1
        if i < 0:
            return
        reading = self.delivery.readings[i]
        if reading.power_mw is not None:
            at[POWER_MW] = (reading.power_mw, reading.power_mw)
        elif i + 1 < len(times):
            mean_mw = (values[i + 1] - values[i]) * 3_600_000 // (times[i + 1] - times[i])
            at[POWER_MW] = (mean_mw, mean_mw)
        else:
            at[POWER_MW] = (0, 0)
        if reading.current_ua is not None:
            at[CURRENT_UA] = (reading.current_ua, reading.current_ua)
        elif i + 1 == len(times):
            at[CURRENT_UA] = (0, 0)


def _source(one: Knot, other: Knot) -> Source:
    segments = (one.segment, other.segment)
    if BEFORE in segments or AFTER in segments:
        return Source.EXTRAPOLATED
    return Source.METERED if segments == (METERED, METERED) else Source.INTERPOLATED


def _reservation(
    delivery: Delivery, compiled: Compiled, clock: LocalClock, terms: Terms
) -> Iterator[Section]:
    """Cut where the clock may change its price; nothing else counts while nobody charges."""
    reserved = delivery.reserved
    assert reserved is not None, "asked for by a delivery that has one"
    start, end = second_of(reserved.from_at), second_of(reserved.to_at)
    cuts: set[int] = set()
    if compiled.clock_seconds:
        cuts = set(clock_cuts(compiled.clock_seconds, start, end, clock))
    knots = [start, *sorted(cut for cut in cuts if start < cut < end), end]
    for i, (one, other) in enumerate(pairwise(knots)):
        at: Moment = [0] * WIDTH
        from_at = reserved.from_at if i == 0 else moment_of(one)
        to_at = reserved.to_at if i == len(knots) - 2 else moment_of(other)
        put_clock(at, clock.show(from_at))
        compiled.place(at)
        at[POWER_MW] = at[CURRENT_UA] = None
        at[EVSE_KIND] = delivery.evse_kind
        at[BRAND] = terms.payment_brand
        at[RECOGNITION] = terms.payment_recognition
        found = Section(from_at, to_at, RESERVED, at, Source.CLOCK)
        found.reserved = other - one
        found.expired = reserved.expired
        yield found


def _stretches(
    delivery: Delivery, compiled: Compiled, register: Register, bounds: tuple[int, int, int]
) -> list[Stretch]:
    """What went on, from start over stop to end. Charging unless something else is said; a
    transaction that has stopped does not charge, so a car still there then is idle.
    """
    start, stop, end = bounds
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
        if found and found[-1].activity == activity:
            found[-1] = Stretch(found[-1].from_s, to, activity)
        else:
            found.append(Stretch(second, to, activity))
    if compiled.tariff.policies.clock_starts is ClockStarts.FIRST_ENERGY:
        found = list(_waiting(found, register.first_energy_s()))
    return list(_counted(found))


def _waiting(stretches: list[Stretch], first_energy_s: int) -> Iterator[Stretch]:
    """Charging before the first energy is waiting for it."""
    for stretch in stretches:
        if stretch.activity != Activity.CHARGING or stretch.from_s >= first_energy_s:
            yield stretch
            continue
        middle = min(first_energy_s, stretch.to_s)
        yield Stretch(stretch.from_s, middle, WAITING)
        if middle < stretch.to_s:
            yield Stretch(middle, stretch.to_s, stretch.activity)


def _counted(stretches: list[Stretch]) -> Iterator[Stretch]:
    charged_s = idled_s = 0
    for one in stretches:
        yield Stretch(one.from_s, one.to_s, one.activity, charged_s, idled_s)
        charged_s += one.to_s - one.from_s if one.activity == Activity.CHARGING else 0
        idled_s += one.to_s - one.from_s if one.activity == Activity.VEHICLE_IDLE else 0


def _cuts(compiled: Compiled, stretches: list[Stretch], clock: LocalClock, stop: int) -> set[int]:
    """Every second at which a price may change, and some at which it does not."""
    start, end = stretches[0].from_s, stretches[-1].to_s
    cuts = {stop} | {start + limit for limit in compiled.elapsed_limits}
    of_session = compiled.tariff.policies.idle_scope is IdleScope.SESSION
    for stretch in stretches:
        cuts.add(stretch.from_s)
        limits: tuple[int, ...] = ()
        before = 0
        if stretch.activity == Activity.VEHICLE_IDLE:
            limits, before = compiled.idle_limits, stretch.idled_s if of_session else 0
        elif stretch.activity == Activity.CHARGING:
            limits, before = compiled.charging_limits, stretch.charged_s
        for limit in limits:
            at = stretch.from_s + limit - before
            if stretch.from_s < at < stretch.to_s:
                cuts.add(at)
    if compiled.clock_seconds:
        cuts.update(clock_cuts(compiled.clock_seconds, start, end, clock))
    return {cut for cut in cuts if start < cut < end}


def clock_cuts(seconds: tuple[int, ...], start: int, end: int, clock: LocalClock) -> Iterator[int]:
    """The UTC seconds at which a local clock may show one of ``seconds``, and the zone's
    changes."""
    first = moment_of(start).astimezone(clock.zone).date()
    last = moment_of(end).astimezone(clock.zone).date()
    day = first - timedelta(days=1)
    while day <= last:
        for second in seconds:
            wall = datetime.combine(day, time(second // 3600, second % 3600 // 60))
            for boundary in clock.boundaries(wall):
                yield second_of(boundary.astimezone(UTC))
        day += timedelta(days=1)
    for low in range(start, end, DAY_S):
        yield from _zone_change(low, min(low + DAY_S, end), clock)


def _zone_change(low: int, high: int, clock: LocalClock) -> Iterator[int]:
    """The second at which the offset changes between two, if it does."""

    def offset(second: int) -> timedelta | None:
        return moment_of(second).astimezone(clock.zone).utcoffset()

    before = offset(low)
    if offset(high) == before:
        return
    while high - low > 1:
        middle = (low + high) // 2
        if offset(middle) == before:
            low = middle
        else:
            high = middle
    yield high


def _knots(
    register: Register, compiled: Compiled, start: int, end: int, cuts: set[int]
) -> list[Knot]:
    first, last = register.values[0], register.values[-1]
    # Of several readings in the first second the first is the start: what follows was delivered.
    begun = register.times[0] == start
    knots = [Knot(start, first) if begun else register.at(start), register.at(end)]
    knots += [register.reached(first + w) for w in compiled.wh_limits if first + w <= last]
    knots += [register.at(cut) for cut in cuts]
    if knots[0].segment == BEFORE and start < register.times[0] < end:
        knots.append(Knot(register.times[0], first))
    if register.times[-1] < min(register.charged_until_s, end):
        knots.append(register.at(register.times[-1]))
    # Of two at one place the last stays: the one that is known least. A limit is known exactly,
    # but not that it is reached just when the clock changes the price.
    knots.sort(key=lambda k: (k.at_s, k.register_wh, k.segment != METERED, k.error_wh is None,
                              k.error_wh or 0))  # fmt: skip
    distinct = [
        one
        for one, other in pairwise(knots)
        if (one.at_s, one.register_wh) != (other.at_s, other.register_wh)
    ]
    # The end itself stays, so that a session without time and energy still has one period.
    return [*distinct, knots[-1]] if distinct else [knots[0], knots[-1]]
