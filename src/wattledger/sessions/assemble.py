"""From facts to a delivery. Pure: the same facts give the same delivery, in whatever order they
came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

import msgspec

from wattledger.sessions.model import Activity, Change, Delivery, Reading


class Fact(msgspec.Struct, frozen=True):
    """One thing a charge point or another system said about a session."""

    kind: str  # 'start', 'meter', 'status', 'stop', 'unplug'
    at: datetime
    register_wh: int | None = None
    activity: Activity | None = None


class Anomaly(msgspec.Struct, frozen=True):
    """Why a session can't be billed as it stands; ``code`` is what it is held for."""

    code: str
    message: str


def assemble(
    session_id: str, time_zone: str, facts: Sequence[Fact], *, idle_after_stop: bool
) -> Delivery | Anomaly:
    """The delivery these facts describe, or why they describe none.

    The register at the stop is the last one: periodic readings that a charge point stamps
    after it are ignored. Without a stop the delivery runs to the last reading.
    """
    ordered = sorted(facts, key=_place)
    start = next((f for f in ordered if f.kind == "start"), None)
    stop = next((f for f in ordered if f.kind == "stop"), None)
    if start is None or start.register_wh is None:
        return Anomaly("start.missing", "no start with a register reading is known")
    end_at = stop.at if stop else max(f.at for f in ordered)
    if end_at < start.at:
        return Anomaly("stop.before_start", f"stopped {end_at}, started {start.at}")
    readings = _readings(start, stop, ordered, end_at)
    fallen = _fallen(readings)
    if fallen is not None:
        return fallen
    unplug = next((f for f in ordered if f.kind == "unplug" and f.at >= end_at), None)
    ended_at = unplug.at if unplug and idle_after_stop else end_at
    return Delivery(
        session_id=session_id,
        time_zone=time_zone,
        started_at=start.at,
        ended_at=ended_at,
        readings=tuple(readings),
        changes=tuple(_changes(start, ordered, end_at, ended_at)),
    )


# At one and the same time a start comes first and an unplug last.
_ORDER = {"start": 0, "meter": 1, "status": 2, "stop": 3, "unplug": 4}


def _place(fact: Fact) -> tuple[datetime, int, int, str]:
    """A total order: of two registers at one moment the higher comes last, and counts."""
    register_wh = -1 if fact.register_wh is None else fact.register_wh
    return fact.at, _ORDER[fact.kind], register_wh, fact.activity or ""


def _readings(
    start: Fact, stop: Fact | None, ordered: Sequence[Fact], end_at: datetime
) -> list[Reading]:
    first = Reading(start.at, start.register_wh or 0)
    between = {
        fact.at: fact.register_wh
        for fact in ordered
        if fact.kind == "meter" and fact.register_wh is not None and start.at < fact.at <= end_at
    }
    if stop is not None and stop.register_wh is not None:
        last = Reading(end_at, stop.register_wh)
    else:
        last = Reading(end_at, between[max(between)] if between else first.register_wh)
    between.pop(end_at, None)
    return [first, *(Reading(at, between[at]) for at in sorted(between)), last]


def _fallen(readings: Sequence[Reading]) -> Anomaly | None:
    for before, after in pairwise(readings):
        if after.register_wh < before.register_wh:
            return Anomaly(
                "register.fell",
                f"the register read {before.register_wh} Wh at {before.at.isoformat()}"
                f" and {after.register_wh} Wh at {after.at.isoformat()}",
            )
    return None


def _changes(
    start: Fact, ordered: Sequence[Fact], end_at: datetime, ended_at: datetime
) -> list[Change]:
    changes = [Change(start.at, Activity.CHARGING)]
    for fact in ordered:
        if fact.kind == "status" and fact.activity and start.at <= fact.at < end_at:
            changes.append(Change(fact.at, fact.activity))
    if ended_at > end_at:
        # A charger that had failed still has, until it says otherwise; any other car just stays.
        changes.append(Change(end_at, _after_stop(changes[-1].activity)))
        for fact in ordered:
            if fact.kind == "status" and fact.activity and end_at <= fact.at < ended_at:
                changes.append(Change(fact.at, _after_stop(fact.activity)))
    return _merged(changes)


def _after_stop(said: Activity) -> Activity:
    """Nothing charges after the stop: what is not the charger's doing is idle."""
    return said if said is Activity.CHARGER_PAUSE else Activity.VEHICLE_IDLE


def _merged(changes: Sequence[Change]) -> list[Change]:
    """Of two at one moment the later said counts; what changes nothing is left out."""
    merged: list[Change] = []
    for change in changes:
        if merged and merged[-1].at == change.at:
            merged.pop()
        if not merged or merged[-1].activity is not change.activity:
            merged.append(change)
    return merged
