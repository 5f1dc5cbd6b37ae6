"""A device's time: when it is believed, and what is done where it is not.

A session has one scale of time. How far off its device's clock is, is decided when the session
begins and kept with it (``SessionRow.clock_shift_us``): whatever is said of it later is moved by as
much, however late it comes, because differences on one clock are right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from wattledger.clock import utc_text
from wattledger.db.work import Transaction
from wattledger.errors import CantPrice
from wattledger.ingest import anomalies
from wattledger.sessions.store import DOORS, Conn, SessionRow
from wattledger.wire.numbers import NO_TIME, clock_is_wrong, device_text

# What reaches us within this time of when the device says it happened was told live.
LIVE_WITHIN = timedelta(minutes=5)
_STEADY_WITHIN = timedelta(minutes=2)
_STEADY_FOR = timedelta(minutes=10)
# What a clock that was never set counts of one session; more, and it began anew in between.
_ONE_RUN = timedelta(days=7)
_NONE = timedelta(0)
_MICROSECOND = timedelta(microseconds=1)


class Heard(msgspec.Struct, frozen=True):
    """What a device said of when something was. ``at`` is what we believe; ``wrong`` where that is
    not what it ``said``; ``live`` where it was told as it happened, so that the time is proof;
    ``lost`` where the clock says nothing of when it was, and may say the same again of something
    else: then ``at`` is when we heard it, or what the clock of its session makes of it."""

    said: datetime
    at: datetime
    wrong: bool
    live: bool
    lost: bool = False


def hear(said: datetime, now: datetime, offset: timedelta | None = None) -> Heard:
    """Judge a time. ``offset``: how far behind business time the device's clock is known to be.

    A clock that never was set, or runs ahead, is wrong: then it is now. One that is known to be
    behind is wrong too, and its time is moved, unless that would be the future: then the clock was
    put right. What is late otherwise was kept while the charge point was offline.
    """
    if clock_is_wrong(said, now):
        return Heard(said, now, wrong=True, live=False, lost=True)
    if offset is not None and said + offset <= now + _STEADY_WITHIN:
        at = said + offset
        return Heard(said, at, wrong=True, live=now - at <= LIVE_WITHIN)
    return Heard(said, said, wrong=False, live=now - said <= LIVE_WITHIN)


def shift_us(heard: Heard) -> int:
    """What a session is moved by that begins so; nothing can be where no time was said at all."""
    return 0 if heard.said == NO_TIME else (heard.at - heard.said) // _MICROSECOND


def shift_of(row: SessionRow) -> timedelta:
    """What is said of a session is moved by this."""
    return row.clock_shift_us * _MICROSECOND


def within(row: SessionRow, heard: Heard, now: datetime, *, begins: bool = False) -> Heard:
    """The same on the scale of its session; ``begins`` for what it says of its start.

    Where that can't be, because the clock was put right meanwhile or began anew, it is judged by
    itself. A session that was told late, by a clock that was not known to be wrong, goes on so.
    """
    shift = shift_of(row)
    if begins and heard.lost:
        return msgspec.structs.replace(heard, at=row.started_at)
    if not shift:
        return hear(heard.said, now) if heard.wrong and row.contract.offline else heard
    lost = heard.lost or clock_is_wrong(row.started_at - shift, row.started_at)
    at = _moved(heard.said, shift)
    if at is not None and at <= now + _STEADY_WITHIN:
        # A clock that stands still says the time of the start for ever.
        stands = lost and at == row.started_at and now - at > _STEADY_WITHIN
        if (at >= row.started_at and not stands) or (not lost and shift > _NONE):
            live = not lost and now - at <= LIVE_WITHIN
            return Heard(heard.said, at, wrong=True, live=live, lost=lost)
    if heard.said >= row.started_at - LIVE_WITHIN and not clock_is_wrong(heard.said, now):
        return hear(heard.said, now)
    return Heard(heard.said, now, wrong=True, live=False, lost=True)


def heard_then(said: datetime, at: datetime, received_at: datetime) -> Heard:
    """A message that was kept by us, as it was judged when it came."""
    lost = clock_is_wrong(said, received_at)
    live = not lost and received_at - at <= LIVE_WITHIN
    return Heard(said, at, wrong=at != said, live=live, lost=lost)


def earliest(first: Heard, told: Iterable[tuple[Heard, datetime]]) -> Heard:
    """A start by a clock that was never set, with what was ``told`` of its session and when:
    nothing is told before it happens, so the least difference comes nearest."""
    if not first.lost or first.said == NO_TIME:
        return first
    measured = [
        received_at - (heard.said - first.said)
        for heard, received_at in told
        if heard.lost and _NONE <= heard.said - first.said <= _ONE_RUN
    ]
    return msgspec.structs.replace(first, at=min(first.at, *measured))


def believer(row: SessionRow, heard: Heard, now: datetime) -> Callable[[datetime], datetime]:
    """What the times within a message are worth: as far off as the message itself, or as its
    session, or right, whichever can be; one that can't be counts as the message's own."""
    shifts = dict.fromkeys((heard.at - heard.said, shift_of(row), _NONE))

    def believe(said: datetime) -> datetime:
        moved = [at for shift in shifts if (at := _moved(said, shift)) is not None]
        for at in moved:
            if row.started_at <= at <= now + _STEADY_WITHIN:
                return at
        if not heard.lost:
            for at in moved:
                if not clock_is_wrong(at, now):
                    return at
        return heard.at

    return believe


def _moved(said: datetime, shift: timedelta) -> datetime | None:
    try:
        return said + shift
    except OverflowError:
        return None


def offset_of(said: datetime, now: datetime) -> timedelta | None:
    """How far behind a clock is, by a message that no charge point keeps for later (a status)."""
    behind = now - said
    return behind if not clock_is_wrong(said, now) and behind > LIVE_WITHIN else None


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
        since = before[1] if before and _alike(before[0], offset) else now
        self._behind[charge_point_id] = offset, since, now

    def offset(self, charge_point_id: str) -> timedelta | None:
        """How far behind business time its clock is; None where that is not known for sure."""
        found = self._behind.get(charge_point_id)
        if found is None or found[2] - found[1] < _STEADY_FOR:
            return None
        return found[0]

    def at_start(self, charge_point_id: str, said: datetime, now: datetime) -> timedelta | None:
        """The same at a start: one that is as late as a status was some time ago shows, as another
        status would, that it is the clock."""
        found = self._behind.get(charge_point_id)
        if found is not None and now - found[1] >= _STEADY_FOR and _alike(found[0], now - said):
            return found[0]
        return self.offset(charge_point_id)

    def is_as_late(self, charge_point_id: str, said: datetime, now: datetime) -> bool:
        """Whether its last status was as late: by its clock, or because both were kept."""
        found = self._behind.get(charge_point_id)
        return found is not None and _alike(found[0], now - said)


def _alike(one: timedelta, other: timedelta) -> bool:
    return abs(one - other) <= _STEADY_WITHIN


def _as_late_again(told: Sequence[dict[str, Any]], start: dict[str, Any]) -> bool:
    """Whether what followed a late start was as late, before anything was told as it happened: what
    is on time shows that the clock is right, and what is late after that was kept. So was what
    comes together with others that are late by something else: a queue that is emptied."""
    for fact in told:
        if fact["late"] <= LIVE_WITHIN:
            return False
        at = fact["received_at"]
        together = [g for g in told if abs(g["received_at"] - at) <= LIVE_WITHIN]
        steady = all(_alike(g["late"], start["late"]) for g in together)
        if at - start["received_at"] > LIVE_WITHIN and steady:
            return True
    return False


async def one_scale(conn: Conn, row: SessionRow) -> None:
    """Raises CantPrice where a session was taken to have been told late, and it shows by now that
    it was the clock: its times can't be right, and a person has to say what they were."""
    if not row.contract.offline or row.clock_shift_us or row.source in DOORS:
        return
    cursor = await conn.execute(
        "SELECT kind, received_at, received_at - COALESCE((detail->>'said')::timestamptz, at)"
        " AS late, detail->>'as_late_as_status' AS doubt FROM session_fact WHERE session_id = %s"
        " AND kind IN ('start', 'stop', 'status', 'correct_start') ORDER BY id",
        (row.id,),
    )
    told = await cursor.fetchall()
    start = next((fact for fact in told if fact["kind"] == "start"), None)
    if start is None or start["late"] <= LIVE_WITHIN:
        return
    if any(fact["kind"] == "correct_start" for fact in told):
        return
    after = [f for f in told if f["received_at"] - start["received_at"] > LIVE_WITHIN]
    behind = _as_late_again(told[told.index(start) + 1 :], start)
    right = any(f["kind"] == "stop" and f["late"] <= LIVE_WITHIN for f in after)
    if behind or (start["doubt"] and right):
        raise CantPrice(
            "clock.changed",
            f"session {row.id}: its start seemed to come {start['late']} late, and what"
            f" {'followed was as late' if behind else 'followed was not'}: its clock was behind",
        )
