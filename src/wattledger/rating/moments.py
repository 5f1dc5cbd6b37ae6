"""A moment of a session as a restriction may ask about it: a list, because it is made for every
period and read for every candidate of every dimension.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from wattledger.rating.weekly import DAY_S
from wattledger.tariffs.policies import ClockTime

NEVER = 1 << 62
"""Beyond every quantity, date and time there is: the maximum of what has none."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Moment = list[Any]
(
    CELL,  # of the tariff's week, see weekly.py
    WEEK_SECOND,  # of the local week
    DAY,  # the local date's ordinal
    SEASON,  # month x 100 + day
    ENERGY_WH,
    ELAPSED_S,
    CHARGING_S,
    IDLE_S,  # of the present stretch, or of the session, by policy
    IDLE_WHOLE_S,  # what IDLE_S becomes before the stretch (or session) ends
    POWER_MW,  # (least, most) in milliwatts, or None
    CURRENT_UA,  # (least, most) in microampere, or None
    EVSE_KIND,  # EvseKind or None
    BRAND,  # or None
    RECOGNITION,  # or None
) = range(14)
WIDTH = 14


# Of so many days with one offset at both ends no zone has two changes in between.
_STEADY_DAYS_MAX = 20
EPOCH_ORDINAL = 719_163
EPOCH_WEEKDAY = 3
"""Of 1 January 1970, a Thursday."""
_SECOND = timedelta(seconds=1)


@lru_cache(maxsize=4096)
def _steady_offset_s(zone: ZoneInfo, standard: bool, first_day: int, last_day: int) -> int | None:
    """The offset from UTC that holds over these days (since 1970, the last one included), or
    None where it changes or is no whole number of seconds."""
    if last_day - first_day > _STEADY_DAYS_MAX:
        return None
    one, other = (
        _offset(EPOCH + timedelta(days=day), zone, standard) for day in (first_day, last_day + 1)
    )
    return one // _SECOND if one == other and not one.microseconds else None


def _offset(moment: datetime, zone: ZoneInfo, standard: bool) -> timedelta:
    wall = moment.astimezone(zone)
    offset = wall.utcoffset() or timedelta()
    return offset - (wall.dst() or timedelta()) if standard else offset


class LocalClock:
    """The site's clock: wall time, or standard time all the year.

    ``from_s`` and ``to_s`` (since 1970) say what moments will be asked for: where the offset does
    not change in between, the clock is read in integers.
    """

    __slots__ = ("_standard", "offset_s", "zone")

    def __init__(self, zone: ZoneInfo, clock: ClockTime, from_s: int, to_s: int) -> None:
        self.zone = zone
        self._standard = clock is ClockTime.STANDARD
        self.offset_s = _steady_offset_s(zone, self._standard, from_s // DAY_S, to_s // DAY_S)

    def show(self, moment: datetime) -> datetime:
        """What the clock shows at a UTC moment."""
        if self._standard:
            return moment.replace(tzinfo=None) + _offset(moment, self.zone, standard=True)
        return moment.astimezone(self.zone)

    def put(self, at: Moment, second: int, needs_season: bool) -> None:
        """Second of the week, date and season at a UTC second since 1970."""
        if self.offset_s is None or needs_season:
            put_clock(at, self.show(EPOCH + timedelta(seconds=second)))
            return
        day, of_day = divmod(second + self.offset_s, DAY_S)
        at[WEEK_SECOND] = (day + EPOCH_WEEKDAY) % 7 * DAY_S + of_day
        at[DAY] = day + EPOCH_ORDINAL

    def boundaries(self, wall: datetime) -> tuple[datetime, ...]:
        """The moments, with a zone, at which the clock may show ``wall`` (which has none).

        Each wall time is taken with both of its offsets. Where it falls into a gap or a fold one
        of them is no boundary; an additional cut does no harm, as each period is matched anew.
        """
        one = wall.replace(tzinfo=self.zone)
        if not self._standard:
            return one, one.replace(fold=1)
        # Standard time is the same all the year, but for what a zone's law changes.
        standards = {
            (shown.utcoffset() or timedelta()) - (shown.dst() or timedelta())
            for shown in (one, one.replace(fold=1))
        }
        return tuple([(wall - standard).replace(tzinfo=UTC) for standard in standards])


def put_clock(at: Moment, shown: datetime) -> None:
    """Second of the week, date and season out of what the local clock shows."""
    at[WEEK_SECOND] = shown.weekday() * DAY_S + shown.hour * 3600 + shown.minute * 60 + shown.second
    at[DAY] = shown.toordinal()
    at[SEASON] = shown.month * 100 + shown.day
