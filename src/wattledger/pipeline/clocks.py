"""A device's time: when it is believed, and what is done where it is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from wattledger.clock import utc_text
from wattledger.db.work import Transaction
from wattledger.ingest import anomalies
from wattledger.wire.numbers import clock_is_wrong, device_text

# What reaches us within this time of when the device says it happened was told live.
LIVE_WITHIN = timedelta(minutes=5)
_STEADY_WITHIN = timedelta(minutes=2)
_STEADY_FOR = timedelta(minutes=10)


class Heard(msgspec.Struct, frozen=True):
    """What a device said of when something was. ``at`` is what we believe; ``wrong`` where that is
    not what it ``said``; ``live`` where it was told as it happened, so that the time is proof."""

    said: datetime
    at: datetime
    wrong: bool
    live: bool


def hear(said: datetime, now: datetime, offset: timedelta | None = None) -> Heard:
    """Judge a time. ``offset``: how far behind business time the device's clock is known to be.

    A clock that never was set, or runs ahead, is wrong: then it is now. One that is known to be
    late by just as much as this message seems to be late is wrong too, and the message is live;
    else a message that is late was kept while the charge point was offline.
    """
    if clock_is_wrong(said, now):
        return Heard(said, now, wrong=True, live=False)
    if offset is not None and abs((now - said) - offset) <= _STEADY_WITHIN:
        return Heard(said, said + offset, wrong=True, live=True)
    return Heard(said, said, wrong=False, live=now - said <= LIVE_WITHIN)


def believer(heard: Heard, now: datetime) -> Callable[[datetime], datetime]:
    """What the times within a message are worth: as far off as the message itself; one that can't
    be counts as the message's own."""
    shift = heard.at - heard.said if heard.live else timedelta(0)

    def believe(said: datetime) -> datetime:
        return heard.at if clock_is_wrong(said, now) else said + shift

    return believe


def offset_of(said: datetime, now: datetime) -> timedelta | None:
    """How far behind a clock is, by a message that no charge point keeps for later (a status)."""
    behind = now - said
    return behind if not clock_is_wrong(said, now) and behind > LIVE_WITHIN else None


def believed(said: datetime, now: datetime) -> datetime:
    """The device's time, or business time where its clock is wrong."""
    return hear(said, now).at


def is_live(said: datetime, received_at: datetime) -> bool:
    """Whether it was told as it happened, by a clock that is right: else the time is no proof."""
    return hear(said, received_at).live


async def shown(
    tx: Transaction, charge_point_id: str, action: str, session_id: str, heard: Heard
) -> dict[str, Any]:
    """Where the clock is wrong a person is shown it, once for a session and action.

    What the device said, for the detail of a fact; empty where it is believed.
    """
    if not heard.wrong:
        return {}
    detail = {"device_time": device_text(heard.said), "business_time": utc_text(tx.now)}
    await anomalies.record(
        tx.conn,
        at=tx.now,
        code="clock.wrong",
        subject=charge_point_id,
        detail={"action": action, "session_id": session_id, **detail},
        cause=f"{action}:{session_id}",
    )
    return {**detail, "said": heard.said.isoformat()}


class ClockWatch:
    """Which charge points' clocks run behind, by their statuses: what is said live, and is late by
    the same time again and again. One that is late once may have been kept while offline."""

    def __init__(self) -> None:
        self._behind: dict[str, tuple[timedelta, datetime, datetime]] = {}

    def told(self, charge_point_id: str, said: datetime, now: datetime) -> None:
        """A status that is said to be of ``said``."""
        offset = offset_of(said, now)
        if offset is None:
            self._behind.pop(charge_point_id, None)
            return
        before = self._behind.get(charge_point_id)
        since = before[1] if before and abs(before[0] - offset) <= _STEADY_WITHIN else now
        self._behind[charge_point_id] = offset, since, now

    def offset(self, charge_point_id: str) -> timedelta | None:
        """How far behind business time its clock is; None where that is not known for sure."""
        found = self._behind.get(charge_point_id)
        if found is None or found[2] - found[1] < _STEADY_FOR:
            return None
        return found[0]


def seconds(number: int) -> timedelta:
    """So many of them."""
    return timedelta(seconds=number)
