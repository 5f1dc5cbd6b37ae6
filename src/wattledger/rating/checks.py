"""Is the delivery fit to be priced, and by what? If not it is held: nothing is guessed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from wattledger.clock import utc_text, zone_named
from wattledger.errors import CantPrice
from wattledger.rating.sections import second_of
from wattledger.sessions.model import Delivery
from wattledger.tariffs.model import Tariff
from wattledger.tariffs.policies import Policies, UnreadEnds
from wattledger.tariffs.validity import is_valid, validity_text

# A delivery is cut at every clock time at which a price changes: a longer one is a clock's error,
# and pricing it would keep everything else waiting for seconds.
LONGEST = timedelta(days=400)


def check(delivery: Delivery) -> ZoneInfo:
    """The site's zone; raises CantPrice naming the first thing that is wrong.

    Codes: naive_time, ended_before_started, too_long, missing_reading, readings_out_of_order,
    falling_register, reading_before_start, reading_after_end, changes_out_of_order,
    reservation_out_of_order, unknown_time_zone.
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
    reserved = delivery.reserved
    if reserved is not None and not (
        reserved.from_at <= reserved.to_at <= delivery.started_at or reserved.expired
    ):
        raise CantPrice(
            "reservation_out_of_order",
            f"{name}: reserved from {utc_text(reserved.from_at)} to {utc_text(reserved.to_at)}; a "
            f"reservation ends when the session starts, {utc_text(delivery.started_at)}",
        )
    if reserved is not None and reserved.to_at - reserved.from_at > LONGEST:
        raise CantPrice(
            "too_long",
            f"{name}: reserved from {utc_text(reserved.from_at)} to {utc_text(reserved.to_at)}, "
            f"longer than {LONGEST.days} days: correct the times",
        )
    for one, other in pairwise(delivery.changes):
        if other.at < one.at:
            raise CantPrice(
                "changes_out_of_order",
                f"{name}: the change at {utc_text(other.at)} stands after the one at "
                f"{utc_text(one.at)}: bring them into time order",
            )
    zone = zone_named(delivery.time_zone)
    if zone is None:
        raise CantPrice(
            "unknown_time_zone",
            f"{name}: the site's time zone {delivery.time_zone!r} is no IANA zone such as "
            "America/New_York: correct the site",
        )
    return zone


def _check_zones_given(delivery: Delivery, name: str) -> None:
    moments = [delivery.started_at, delivery.ended_at]
    moments += [reading.at for reading in delivery.readings]
    moments += [change.at for change in delivery.changes]
    moments += [delivery.stopped_at] if delivery.stopped_at is not None else []
    if delivery.reserved is not None:
        moments += [delivery.reserved.from_at, delivery.reserved.to_at]
    for moment in moments:
        if moment.tzinfo is None:
            raise CantPrice(
                "naive_time",
                f"{name}: {moment.isoformat()} has no time zone, a time in UTC was expected",
            )


def _check_readings(delivery: Delivery, name: str) -> None:
    readings = delivery.readings
    if not readings:
        if delivery.reserved is not None and delivery.reserved.expired:
            return
        raise CantPrice(
            "missing_reading",
            f"{name}: no reading at all; expected one at the start "
            f"{utc_text(delivery.started_at)} and one at the stop",
        )
    took_time = delivery.ended_at > delivery.started_at
    if len(readings) == 1 and took_time and delivery.stopped_at is None:
        raise CantPrice(
            "missing_reading",
            f"{name}: one reading only, of {utc_text(readings[0].at)}; expected one at the start "
            f"{utc_text(delivery.started_at)} and one at the stop, or when it stopped",
        )
    if second_of(readings[0].at) < second_of(delivery.started_at):
        raise CantPrice(
            "reading_before_start",
            f"{name}: the first reading is of {utc_text(readings[0].at)}, before the start at "
            f"{utc_text(delivery.started_at)}: correct the times",
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


def check_ends(delivery: Delivery, policies: Policies) -> tuple[str, ...]:
    """Warnings for a register that was not read at the very start or the stop; raises CantPrice
    missing_reading where the policy refuses that."""
    if not delivery.readings:
        return ()
    found = []
    first, last = delivery.readings[0].at, delivery.readings[-1].at
    if second_of(first) > second_of(delivery.started_at):
        found.append(("started at", delivery.started_at, "first", first))
    until = delivery.charged_until
    if second_of(last) < second_of(until):
        found.append(("charged until", until, "last", last))
    if found and policies.unread_ends is UnreadEnds.REFUSE:
        what, at, which, read = found[0]
        raise CantPrice(
            "missing_reading",
            f"session {delivery.session_id} {what} {utc_text(at)} and its {which} reading is of "
            f"{utc_text(read)}: give the reading, or set the policy unread_ends=stand",
        )
    return tuple(
        f"$.readings: the session {what} {utc_text(at)} and the {which} reading is of "
        f"{utc_text(read)}; the register is taken to stand in between"
        for what, at, which, read in found
    )


def valid_tariff(tariffs: Sequence[Tariff], at: datetime, session_id: str) -> Tariff:
    """The first tariff that is valid at the session's start; raises CantPrice no_valid_tariff."""
    for tariff in tariffs:
        if is_valid(tariff, at):
            return tariff
    known = "; ".join(validity_text(tariff) for tariff in tariffs) or "none was given"
    raise CantPrice(
        "no_valid_tariff",
        f"session {session_id}: no tariff is valid at its start, {utc_text(at)} ({known})",
    )


def first_valid_last(tariffs: Sequence[Tariff], at: datetime) -> list[Tariff]:
    """In an order in which the first that is valid overwrites all others of its id."""
    others = [tariff for tariff in tariffs if not is_valid(tariff, at)]
    return [*others, *(tariff for tariff in reversed(tariffs) if is_valid(tariff, at))]
