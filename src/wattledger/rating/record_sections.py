"""A CDR's periods as sections: its volumes exact, its counters as they stood at each start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Context, Decimal

from wattledger.errors import BadInput, CantPrice
from wattledger.rating.compiled import Compiled
from wattledger.rating.model import Source
from wattledger.rating.moments import (
    BRAND,
    CELL,
    CHARGING_S,
    CURRENT_UA,
    ELAPSED_S,
    ENERGY_WH,
    EVSE_KIND,
    IDLE_S,
    IDLE_WHOLE_S,
    POWER_MW,
    RECOGNITION,
    WEEK_SECOND,
    WIDTH,
    LocalClock,
    Moment,
    put_clock,
)
from wattledger.rating.sections import RESERVED, Section, moment_of, second_of
from wattledger.rating.weekly import WEEK_S
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
from wattledger.wire.ocpi.common import CdrDimension, ChargingPeriod, DimensionType

# Enough for 34 digits and a million.
_EXACT = Context(prec=100)
_PLACES = (4, 12, 40)
# 0.0001 h is the fourth decimal of an hour: what rounding to it can hide.
_CLOSE_US = 360_000


class Record:
    """Goes through a CDR's periods in time order with what was counted so far."""

    def __init__(
        self,
        cdr: Cdr,
        compiled: list[Compiled],
        places: list[int],
        clock: LocalClock,
        warnings: list[str],
    ) -> None:
        self.cdr = cdr
        self.compiled = compiled
        self.places = places
        self.clock = clock
        self.warnings = warnings
        self.policies = compiled[0].tariff.policies
        self.energy = 0
        self.charged = 0
        self.idled = 0
        self.stretch_idle = 0
        self.started_s: int | None = None
        self.scale, self.volumes = _volumes(cdr.charging_periods)
        main = compiled[0]
        if len(compiled) > 1:
            self.reads = any(each.reads_clock for each in compiled)
            self.measures = any(each.needs_power for each in compiled)
            self.watches = any(each.watches for each in compiled)
            self.seasons = any(each.needs_season for each in compiled)
        else:
            self.reads, self.measures = main.reads_clock, main.needs_power
            self.watches, self.seasons = main.watches, main.needs_season
        kind = _evse_kind(cdr) if any(each.needs_kind for each in compiled) else None
        locked = main.tariff.price_lock is PriceLock.SESSION_START
        self.locked = clock.show(cdr.start_date_time) if locked else None
        # Within so many millionths of a scaled second the timestamps are believed (A19).
        snaps = self.policies.time_volume is TimeVolume.TIMESTAMPS_IF_CLOSE
        self.close = _CLOSE_US * self.scale if snaps else -1
        self.of_session = self.policies.idle_scope is IdleScope.SESSION
        terms = main.terms
        self.fixed = (kind, terms.payment_brand, terms.payment_recognition)

    def sections(self) -> list[Section]:
        """A section for each period, and one more where a grace on idle time ends in it."""
        cdr = self.cdr
        periods = cdr.charging_periods
        starts = [second_of(period.start_date_time) for period in periods]
        starts.append(max(second_of(cdr.end_date_time), starts[-1]))
        self._check_times(starts)
        found: list[Section] = []
        last = len(periods) - 1
        for i, period in enumerate(periods):
            to_at = periods[i + 1].start_date_time if i < last else cdr.end_date_time
            to_at = max(to_at, period.start_date_time)
            section = self._section(i, period.start_date_time, to_at, starts[i], starts[i + 1])
            found.append(section)
            if self.watches or section.tariff < 0:
                self._warn(i, section, starts[i + 1] - starts[i])
            self.energy += section.energy or 0
            self.charged += section.charging or 0
            if section.idle is None:
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
        if charging is not None:
            charging = self._time(i, charging, length)
        if idle is not None:
            idle = self._time(i, idle, length)
        if reserved is not None:
            reserved = self._time(i, reserved, length)
        if energy is not None:
            if energy < 0:
                self._check_energy(i)
            if energy and charging is None and idle is None and reserved is None:
                charging = self._missing_time(i, length)
        activity: str = Activity.VEHICLE_IDLE if idle and not charging else Activity.CHARGING
        if reserved is not None:
            activity = RESERVED
        elif self.started_s is None:
            self.started_s = start_s
        scale = self.scale
        at: Moment = [None] * WIDTH
        place = self.places[i]
        self._put_clock(at, start_s, place)
        at[ENERGY_WH] = self.energy // scale
        at[ELAPSED_S] = 0 if self.started_s is None else start_s - self.started_s
        at[CHARGING_S] = self.charged // scale
        at[IDLE_S] = at[IDLE_WHOLE_S] = 0
        if idle is not None:
            at[IDLE_S] = (self.idled if self.of_session else self.stretch_idle) // scale
        if self.measures:
            dimensions = self.cdr.charging_periods[i].dimensions
            at[POWER_MW] = _range(dimensions, DimensionType.MIN_POWER, DimensionType.MAX_POWER)
            at[CURRENT_UA] = _range(
                dimensions, DimensionType.MIN_CURRENT, DimensionType.MAX_CURRENT
            )
        at[EVSE_KIND], at[BRAND], at[RECOGNITION] = self.fixed
        return Section(
            from_at, to_at, activity, at, Source.REPORTED, place, energy, charging, idle,
            reserved,
        )  # fmt: skip

    def _put_clock(self, at: Moment, start_s: int, place: int) -> None:
        at[CELL] = 0
        if self.reads:
            if self.locked is not None:
                put_clock(at, self.locked)
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
        whole_s = section.idle // self.scale
        inside = [limit - before for limit in limits if before < limit < before + whole_s]
        pieces = []
        end_at, left = section.to_at, section.idle
        for cut_s in reversed(inside):
            at = list(section.moment)
            at[IDLE_S] = before + cut_s
            cut_at = min(moment_of(second_of(section.from_at) + cut_s), section.to_at)
            piece = Section(cut_at, end_at, section.activity, at, Source.REPORTED, place)
            piece.idle = left - cut_s * self.scale
            left = cut_s * self.scale
            end_at = cut_at
            pieces.append(piece)
        section.idle, section.to_at = left, end_at
        return pieces[::-1]

    def _finish(self, found: list[Section]) -> None:
        """What is known only at the end: whether the reservation expired, and how long each idle
        stretch became."""
        used = any(
            section.energy or section.charging or section.idle
            for section in found
            if section.activity != RESERVED
        )
        if not used:
            for section in found:
                section.expired = section.activity == RESERVED
        if any(each.looks_back for each in self.compiled):
            _look_back(found, self.scale, self.of_session)

    # --- what is worth saying --------------------------------------------------------------

    def _check_times(self, starts: list[int]) -> None:
        low, high = second_of(self.cdr.start_date_time), second_of(self.cdr.end_date_time)
        if high < low:
            raise BadInput("$.end_date_time", self.cdr.end_date_time.isoformat(),
                           f"a time not before {self.cdr.start_date_time.isoformat()}")  # fmt: skip
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
        compiled, at = self.compiled[place], section.moment
        cells = compiled.cells
        if len(cells) > 1 and self.locked is None:
            cell = at[CELL] + 1
            end = cells[cell] if cell < len(cells) else WEEK_S
            if end - at[WEEK_SECOND] < length_s and self._changes(section, end % WEEK_S):
                self._straddles(i, f"{end % 86_400 // 3600:02d}:{end % 3600 // 60:02d} local time")
        if compiled.wh_limits and section.energy:
            low, high = self.energy, self.energy + section.energy
            for limit in compiled.wh_limits:
                if low < limit * self.scale < high:
                    self._straddles(i, f"{limit} Wh of the session")
        for limit in compiled.elapsed_limits:
            if at[ELAPSED_S] < limit < at[ELAPSED_S] + length_s:
                self._straddles(i, f"{limit} s of the session")
        for limit in compiled.charging_limits:
            if section.charging and (
                self.charged < limit * self.scale < self.charged + section.charging
            ):
                self._straddles(i, f"{limit} s of charging")

    def _changes(self, section: Section, week_second: int) -> bool:
        compiled = self.compiled[section.tariff]
        later = list(section.moment)
        later[WEEK_SECOND] = week_second
        compiled.place(later)
        volumes = (
            (Dimension.ENERGY, section.energy),
            (Dimension.CHARGING_TIME, section.charging),
            (Dimension.IDLE_TIME, section.idle),
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
        if section.idle is not None:
            stretches[-1].append(section)
        elif stretches[-1] and not of_session:
            stretches.append([])
    for stretch in stretches:
        whole = sum(section.idle or 0 for section in stretch)
        for section in stretch:
            # Rounded up: a grace is exceeded by any part of a second.
            section.moment[IDLE_WHOLE_S] = -(-whole // scale)


Volumes = tuple[int | None, int | None, int | None, int | None]
"""Energy in Wh, charging, idle and reserved time in s, over a scale; None is "not listed"."""


def _volumes(periods: Sequence[ChargingPeriod]) -> tuple[int, list[Volumes]]:
    """The volumes of every period as whole numbers over a scale, a power of ten that all share."""
    for places in _PLACES:
        found = _at_scale(periods, 10**places)
        if found is not None:
            return 10**places, found
    raise AssertionError("a bounded number has 40 decimal places at most")


def _at_scale(periods: Sequence[ChargingPeriod], scale: int) -> list[Volumes] | None:
    found: list[Volumes] = []
    wh, seconds = 1000 * scale, 3600 * scale
    for period in periods:
        energy = charging = idle = reserved = None
        for dimension in period.dimensions:
            kind = dimension.type
            if kind is _ENERGY:
                numerator, denominator = dimension.volume.as_integer_ratio()
                whole, rest = divmod(numerator * wh, denominator)
                energy = whole if energy is None else energy + whole
            elif kind is _TIME or kind is _PARKING_TIME or kind is _RESERVATION_TIME:
                numerator, denominator = dimension.volume.as_integer_ratio()
                whole, rest = divmod(numerator * seconds, denominator)
                if kind is _TIME:
                    charging = whole
                elif kind is _PARKING_TIME:
                    idle = whole
                else:
                    reserved = whole
            else:
                continue
            if rest:
                return None
        found.append((energy, charging, idle, reserved))
    return found


_ENERGY = DimensionType.ENERGY
_TIME = DimensionType.TIME
_PARKING_TIME = DimensionType.PARKING_TIME
_RESERVATION_TIME = DimensionType.RESERVATION_TIME


def _range(
    dimensions: Sequence[CdrDimension], low: DimensionType, high: DimensionType
) -> tuple[Decimal, Decimal] | None:
    """In millionths; one that is missing is the other."""
    measured = {dimension.type: dimension.volume for dimension in dimensions}
    least, most = measured.get(low), measured.get(high)
    least, most = most if least is None else least, least if most is None else most
    if least is None or most is None:
        return None
    return _EXACT.multiply(least, _MILLION), _EXACT.multiply(most, _MILLION)


_MILLION = Decimal(1_000_000)


def _evse_kind(cdr: Cdr) -> str | None:
    location = getattr(cdr, "cdr_location", None)
    power = location.connector_power_type if location is not None else None
    if power is None:
        return None
    return EvseKind.DC if power == "DC" else EvseKind.AC
