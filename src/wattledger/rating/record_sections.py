"""A CDR's periods as sections: its volumes exact, its counters as they stood at each start."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from wattledger.errors import BadInput, CantPrice
from wattledger.rating.compiled import Compiled
from wattledger.rating.model import Source
from wattledger.rating.moments import (
    CELL,
    CURRENT_UA,
    ELAPSED_S,
    EPOCH_ORDINAL,
    EPOCH_WEEKDAY,
    IDLE_S,
    IDLE_WHOLE_S,
    POWER_MW,
    WEEK_SECOND,
    LocalClock,
    Moment,
    put_clock,
)
from wattledger.rating.sections import RESERVED, Section, moment_of, second_of
from wattledger.rating.terms import Terms
from wattledger.rating.volumes import measured_range, volumes
from wattledger.rating.weekly import DAY_S, WEEK_S
from wattledger.sessions.model import Activity
from wattledger.tariffs.model import Dimension, EvseKind, PriceLock
from wattledger.tariffs.policies import (
    IdleScope,
    MissingTime,
    NegativeEnergy,
    OutsidePeriod,
    TimeVolume,
)
from wattledger.wire.ocpi.cdrs import Cdr
from wattledger.wire.ocpi.common import DimensionType

# 0.0001 h is the fourth decimal of an hour: what rounding to it can hide.
_CLOSE_US = 360_000


# Bound once: looking a member up on its enumeration costs Python 3.11 as much as a call.
_VEHICLE_IDLE = Activity.VEHICLE_IDLE
_CHARGING = Activity.CHARGING
_REPORTED = Source.REPORTED
_SESSION_START = PriceLock.SESSION_START
_TIMESTAMPS_IF_CLOSE = TimeVolume.TIMESTAMPS_IF_CLOSE
_SESSION = IdleScope.SESSION


class Record:
    """Goes through a CDR's periods in time order with what was counted so far."""

    def __init__(
        self,
        cdr: Cdr,
        compiled: list[Compiled],
        places: list[int],
        zone: ZoneInfo,
        terms: Terms,
        warnings: list[str],
    ) -> None:
        self.cdr = cdr
        self.compiled = compiled
        self.places = places
        self.warnings = warnings
        self.policies = policies = compiled[0].tariff.policies
        starts = [second_of(period.start_date_time) for period in cdr.charging_periods]
        starts.append(max(second_of(cdr.end_date_time), starts[-1]))
        self.starts = starts
        self.clock = clock = LocalClock(zone, policies.clock, starts[0], starts[-1])
        self.energy = 0
        self.charged = 0
        self.idled = 0
        self.stretch_idle = 0
        self.started_s: int | None = None
        self.scale, self.volumes = volumes(cdr.charging_periods)
        main = compiled[0]
        if len(compiled) > 1:
            self.reads = any(each.reads_clock for each in compiled)
            self.measures = any(each.needs_power for each in compiled)
            self.seasons = any(each.needs_season for each in compiled)
            self.looks_back = any(each.looks_back for each in compiled)
            needs_kind = any(each.needs_kind for each in compiled)
        else:
            self.reads, self.measures = main.reads_clock, main.needs_power
            self.seasons = main.needs_season
            self.looks_back, needs_kind = main.looks_back, main.needs_kind
        kind = _evse_kind(cdr) if needs_kind else None
        # Each tariff has its own word on whether the clock of the start holds for all of it.
        self.locked = [each.tariff.price_lock is _SESSION_START for each in compiled]
        fixed = self.seasons or any(self.locked)
        self.offset_s = None if fixed else clock.offset_s
        # Within so many millionths of a scaled second the timestamps are believed (A19).
        snaps = self.policies.time_volume is _TIMESTAMPS_IF_CLOSE
        self.close = _CLOSE_US * self.scale if snaps else -1
        self.of_session = self.policies.idle_scope is _SESSION
        self.fixed = (kind, terms.payment_brand, terms.payment_recognition)

    def sections(self, *, looks: bool = True) -> list[Section]:
        """A section for each period, and one more where a grace on idle time ends in it. With
        ``looks``, warnings where a period runs over a change of price."""
        cdr = self.cdr
        periods = cdr.charging_periods
        starts = self.starts
        self._check_times(starts)
        found: list[Section] = []
        last, compiled = len(periods) - 1, self.compiled
        for i, period in enumerate(periods):
            to_at = periods[i + 1].start_date_time if i < last else cdr.end_date_time
            from_at = period.start_date_time
            to_at = to_at if to_at > from_at else from_at
            section = self._section(i, from_at, to_at, starts[i], starts[i + 1])
            found.append(section)
            place, at = section.tariff, section.moment
            length_s = starts[i + 1] - starts[i]
            if place < 0 or (
                looks
                and (
                    compiled[place].counts
                    or compiled[place].by_date
                    or compiled[place].cell_ends[at[CELL]] - at[WEEK_SECOND] < length_s
                )
            ):
                self._warn(i, section, length_s)
            self.energy += section.energy or 0
            self.charged += section.charging or 0
            if not section.idle and (section.idle is None or section.charging or section.energy):
                self.stretch_idle = 0
            else:
                found += self._count_idle(section)
        self._finish(found)
        return found

    def _section(
        self, i: int, from_at: datetime, to_at: datetime, start_s: int, end_s: int
    ) -> Section:
        energy, charging, idle, reserved = self.volumes[i]
        length = (end_s - start_s) * self.scale
        if charging is not None and charging != length:
            charging = self._time(i, charging, length)
        if idle is not None and idle != length:
            idle = self._time(i, idle, length)
        if reserved is not None and reserved != length:
            reserved = self._time(i, reserved, length)
        if energy is not None:
            if energy < 0:
                self._check_energy(i)
            if energy and charging is None and idle is None and reserved is None:
                charging = self._missing_time(i, length)
        activity: str = _VEHICLE_IDLE if idle and not charging else _CHARGING
        if reserved == 0 and (energy or charging or idle):
            reserved = None  # some writers list what there was nothing of
        if reserved is not None and not (energy or charging or idle):
            activity = RESERVED
        elif self.started_s is None:
            self.started_s = start_s
        place = self.places[i]
        return Section(
            from_at, to_at, activity, self._moment(i, start_s, place, idle is not None),
            _REPORTED, place, energy, charging, idle, reserved,
        )  # fmt: skip

    def _moment(self, i: int, start_s: int, place: int, is_idle: bool) -> Moment:
        cell = week = day = 0
        if self.offset_s is not None and self.reads:
            day, of_day = divmod(start_s + self.offset_s, DAY_S)
            week = (day + EPOCH_WEEKDAY) % 7 * DAY_S + of_day
            day += EPOCH_ORDINAL
            cells = self.compiled[place].cells
            if len(cells) > 1:
                cell = bisect_right(cells, week) - 1
        scale = self.scale
        started_s = start_s if self.started_s is None else self.started_s
        idle = self.idled if self.of_session else self.stretch_idle
        kind, brand, recognition = self.fixed
        # In the order of the constants in moments.py: one list at once, for there are many.
        at: Moment = [
            cell, week, day, 0, self.energy // scale, start_s - started_s, self.charged // scale,
            idle // scale if is_idle else 0, 0, None, None, kind, brand, recognition,
        ]  # fmt: skip
        if self.measures:
            dimensions = self.cdr.charging_periods[i].dimensions
            low, high = DimensionType.MIN_POWER, DimensionType.MAX_POWER
            at[POWER_MW] = measured_range(dimensions, low, high)
            low, high = DimensionType.MIN_CURRENT, DimensionType.MAX_CURRENT
            at[CURRENT_UA] = measured_range(dimensions, low, high)
        if self.offset_s is None and self.reads:
            self._put_clock(at, start_s, place)
        return at

    def _put_clock(self, at: Moment, start_s: int, place: int) -> None:
        """The clock where it can't be read in integers."""
        if self.locked[place]:
            put_clock(at, self.clock.show(self.cdr.start_date_time))
        else:
            self.clock.put(at, start_s, self.seasons)
        if place >= 0:
            self.compiled[place].place(at)

    def _check_energy(self, i: int) -> None:
        if self.policies.negative_energy is NegativeEnergy.REFUSE:
            raise CantPrice(
                "negative_energy",
                f"CDR {self.cdr.id}: $.charging_periods[{i}] took energy back from the car: set "
                "the policy negative_energy=credit to credit it at its price",
            )

    def _time(self, i: int, volume: int, length: int) -> int:
        """Hours as scaled seconds: the timestamps' own length where the volume is close (A19)."""
        if volume < 0:
            raise BadInput(f"$.charging_periods[{i}].dimensions", volume, "a time, not negative")
        return length if abs(volume - length) * 1_000_000 <= self.close else volume

    def _missing_time(self, i: int, length: int) -> int | None:
        if self.policies.missing_time is MissingTime.FROM_TIMESTAMPS:
            return length
        place = self.places[i]
        if place >= 0 and Dimension.CHARGING_TIME in self.compiled[place].tables:
            self.warnings.append(
                f"$.charging_periods[{i}]: lists no time, so none is billed; the policy "
                "missing_time=from_timestamps takes its length"
            )
        return None

    def _count_idle(self, section: Section) -> list[Section]:
        """Adds to the idle time so far; cuts the section at the limits in it."""
        whole = section.idle or 0
        more = self._cut_idle(section)
        self.idled += whole
        self.stretch_idle += whole
        return more

    def _cut_idle(self, section: Section) -> list[Section]:
        place = section.tariff
        limits = self.compiled[place].idle_limits if place >= 0 else ()
        if not limits or not section.idle:
            return []
        before = section.moment[IDLE_S]
        so_far = self.idled if self.of_session else self.stretch_idle
        # By parts of a second: a limit is passed by any of them.
        inside = [
            limit - before
            for limit in limits
            if so_far < limit * self.scale < so_far + section.idle
        ]
        pieces = []
        end_at, left = section.to_at, section.idle
        for cut_s in reversed(inside):
            at = list(section.moment)
            at[IDLE_S] = before + cut_s
            cut_at = min(moment_of(second_of(section.from_at) + cut_s), section.to_at)
            piece = Section(cut_at, end_at, section.activity, at, _REPORTED, place)
            piece.idle = left - cut_s * self.scale
            left = cut_s * self.scale
            end_at = cut_at
            pieces.append(piece)
        section.idle, section.to_at = left, end_at
        return pieces[::-1]

    def _finish(self, found: list[Section]) -> None:
        """What is known only at the end: whether the reservation expired, and how long each idle
        stretch became."""
        if not any(energy or charging or idle for energy, charging, idle, _ in self.volumes):
            for section in found:
                section.expired = section.activity == RESERVED
        if self.looks_back:
            _look_back(found, self.scale, self.of_session)

    # --- what is worth saying --------------------------------------------------------------

    def _check_times(self, starts: list[int]) -> None:
        low, high = second_of(self.cdr.start_date_time), second_of(self.cdr.end_date_time)
        if high < low:
            raise BadInput("$.end_date_time", self.cdr.end_date_time.isoformat(),
                           f"a time not before {self.cdr.start_date_time.isoformat()}")  # fmt: skip
        if low <= starts[0] and starts[-2] <= high and starts == sorted(starts):
            return
        for i, start in enumerate(starts[:-1]):
            if i and start < starts[i - 1]:
                raise BadInput(
                    f"$.charging_periods[{i}].start_date_time",
                    self.cdr.charging_periods[i].start_date_time.isoformat(),
                    "the periods in order of time",
                )
            if not low <= start <= high:
                self._outside(i, start < low)

    def _outside(self, i: int, early: bool) -> None:
        where = "before the CDR's start" if early else "after the CDR's end"
        message = f"$.charging_periods[{i}].start_date_time: lies {where}"
        if self.policies.outside_period is OutsidePeriod.REFUSE:
            raise CantPrice("period_outside", f"CDR {self.cdr.id}: {message}")
        self.warnings.append(f"{message}; the period is priced all the same")

    def _warn(self, i: int, section: Section, length_s: int) -> None:
        """Where a period runs over a change of price: it is priced as it was at its start."""
        place = section.tariff
        if place < 0:
            if section.energy or section.charging or section.idle:
                self.warnings.append(
                    f"$.charging_periods[{i}]: names no tariff, so OCPI says none is relevant; it "
                    "is not priced"
                )
            return
        compiled = self.compiled[place]
        if not self.locked[place]:
            second = next(
                (at_s for at_s in self._boundaries(section, length_s)
                 if self._changes(section, at_s)), None,
            )  # fmt: skip
            if second is not None:
                shown = self.clock.show(moment_of(second))
                self._straddles(i, f"{shown:%H:%M} local time")
        if compiled.counts:
            self._warn_of_limits(i, section, length_s)

    def _boundaries(self, section: Section, length_s: int) -> Iterator[int]:
        """The seconds within the period at which hours, weekdays or dates may change a price."""
        compiled, at = self.compiled[section.tariff], section.moment
        start_s = second_of(section.from_at)
        week, cell, cells = at[WEEK_SECOND], at[CELL], compiled.cells
        ahead_s = 0 if len(cells) < 2 else compiled.cell_ends[cell] - week
        until_s = min(length_s, WEEK_S)
        while 0 < ahead_s < until_s:
            yield start_s + ahead_s
            cell = (cell + 1) % len(cells)
            ahead_s += compiled.cell_ends[cell] - cells[cell]
        if compiled.by_date:
            yield from range(start_s + DAY_S - week % DAY_S, start_s + length_s, DAY_S)

    def _warn_of_limits(self, i: int, section: Section, length_s: int) -> None:
        compiled, at = self.compiled[section.tariff], section.moment
        if section.energy:
            low, high = self.energy, self.energy + section.energy
            for limit in compiled.wh_limits:
                if low < limit * self.scale < high:
                    self._straddles(i, f"{limit} Wh of the session")
        for limit in compiled.elapsed_limits:
            if at[ELAPSED_S] < limit < at[ELAPSED_S] + length_s:
                self._straddles(i, f"{limit} s of the session")
        if section.charging:
            for limit in compiled.charging_limits:
                if self.charged < limit * self.scale < self.charged + section.charging:
                    self._straddles(i, f"{limit} s of charging")

    def _changes(self, section: Section, second: int) -> bool:
        compiled = self.compiled[section.tariff]
        later = list(section.moment)
        self.clock.put(later, second, self.seasons)
        compiled.place(later)
        volumes = (
            (Dimension.ENERGY, section.energy),
            (Dimension.CHARGING_TIME, section.charging),
            (Dimension.IDLE_TIME, section.idle),
            (Dimension.RESERVATION_TIME, section.reserved),
        )
        return any(
            volume
            and compiled.select(dimension, section.moment) is not compiled.select(dimension, later)
            for dimension, volume in volumes
        )

    def _straddles(self, i: int, what: str) -> None:
        self.warnings.append(
            f"$.charging_periods[{i}]: runs over a change of price at {what}; it is priced as at "
            "its start"
        )


def _look_back(found: list[Section], scale: int, of_session: bool) -> None:
    """Tells every idle section how long its stretch (or the session's idle time) became."""
    stretches: list[list[Section]] = [[]]
    for section in found:
        if section.idle or (section.idle == 0 and not section.charging and not section.energy):
            stretches[-1].append(section)
        elif stretches[-1] and not of_session:
            stretches.append([])
    for stretch in stretches:
        whole = sum(section.idle or 0 for section in stretch)
        for section in stretch:
            # Rounded up: a grace is exceeded by any part of a second.
            section.moment[IDLE_WHOLE_S] = -(-whole // scale)


def _evse_kind(cdr: Cdr) -> str | None:
    location = getattr(cdr, "cdr_location", None)
    power = location.connector_power_type if location is not None else None
    if power is None:
        return None
    return EvseKind.DC if power == "DC" else EvseKind.AC
