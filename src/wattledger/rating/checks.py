"""Is the delivery fit to be priced? If not, the session is held: nothing is guessed."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from wattledger.clock import utc_text
from wattledger.errors import CantPrice
from wattledger.rating.periods import second_of
from wattledger.sessions.model import Delivery

# A delivery is cut at every clock time at which a price changes: a longer one is a clock's error,
# and pricing it would keep everything else waiting for seconds.
LONGEST = timedelta(days=400)


def check(delivery: Delivery) -> ZoneInfo:
    """The site's zone; raises CantPrice naming the first thing that is wrong.

    Codes: naive_time, ended_before_started, too_long, missing_reading, readings_out_of_order,
    falling_register, reading_after_end, changes_out_of_order, unknown_time_zone.
    """
    name = f"session {delivery.session_id}"
    _check_zones_given(delivery, name)
    if delivery.ended_at < delivery.started_at:
        raise CantPrice(
            "ended_before_started",
            f"{name} ended at {utc_text(delivery.ended_at)}, before it started at "
            f"{utc_text(delivery.started_at)}: correct the times",
        )
    if delivery.ended_at - delivery.started_at > LONGEST:
        raise CantPrice(
            "too_long",
            f"{name} lasts from {utc_text(delivery.started_at)} to {utc_text(delivery.ended_at)}, "
            f"longer than {LONGEST.days} days: correct the times",
        )
    _check_readings(delivery, name)
    for one, other in pairwise(delivery.changes):
        if other.at < one.at:
            raise CantPrice(
                "changes_out_of_order",
                f"{name}: the change at {utc_text(other.at)} stands after the one at "
                f"{utc_text(one.at)}: bring them into time order",
            )
    try:
        return ZoneInfo(delivery.time_zone)
    except (KeyError, ValueError, OSError):
        raise CantPrice(
            "unknown_time_zone",
            f"{name}: the site's time zone {delivery.time_zone!r} is no IANA zone such as "
            "America/New_York: correct the site",
        ) from None


def _check_zones_given(delivery: Delivery, name: str) -> None:
    moments = [delivery.started_at, delivery.ended_at]
    moments += [reading.at for reading in delivery.readings]
    moments += [change.at for change in delivery.changes]
    for moment in moments:
        if moment.tzinfo is None:
            raise CantPrice(
                "naive_time",
                f"{name}: {moment.isoformat()} has no time zone, a time in UTC was expected",
            )


def _check_readings(delivery: Delivery, name: str) -> None:
    readings = delivery.readings
    # One reading is start and stop at once only in a session that took no time.
    needed = 1 if delivery.started_at == delivery.ended_at else 2
    if len(readings) < needed or second_of(readings[0].at) != second_of(delivery.started_at):
        first = utc_text(readings[0].at) if readings else "never"
        raise CantPrice(
            "missing_reading",
            f"{name}: {len(readings)} readings, the first one {first}; expected one at the start "
            f"{utc_text(delivery.started_at)} and one at the stop at least",
        )
    for one, other in pairwise(readings):
        if other.at < one.at:
            raise CantPrice(
                "readings_out_of_order",
                f"{name}: the reading of {utc_text(other.at)} stands after the one of "
                f"{utc_text(one.at)}: bring them into time order",
            )
        if other.register_wh < one.register_wh:
            raise CantPrice(
                "falling_register",
                f"{name}: the register fell from {one.register_wh} Wh at {utc_text(one.at)} to "
                f"{other.register_wh} Wh at {utc_text(other.at)}: correct the readings",
            )
    if readings[-1].at > delivery.ended_at:
        raise CantPrice(
            "reading_after_end",
            f"{name}: the last reading is of {utc_text(readings[-1].at)}, after the end at "
            f"{utc_text(delivery.ended_at)}",
        )
