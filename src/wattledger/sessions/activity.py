"""What car and charger did, from what was said and what was metered (R13).

The status says who is idle: SuspendedEV is the car, SuspendedEVSE and a fault are the charger.
The meter can only say that energy flowed: where it did, a status that says otherwise is wrong.
Where the operator wants it (``idle_below_w``), a register that stands while the status says
Charging makes the car idle too: some cars trickle and never say that they are done. Without any
status the meter alone says nothing of who stopped, and nobody is idle before the stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from wattledger.energy import Reading
from wattledger.sessions.facts import Anomaly, Fact, MeterRules
from wattledger.sessions.model import Activity, Change

# Energy that flows is more than what a cable, a lamp and a rounded register make of nothing.
_FLOWS_FROM_W = 250
_SECOND = timedelta(seconds=1)


def changes(
    start: Fact, facts: Sequence[Fact], end_at: datetime, ended_at: datetime
) -> list[Change]:
    """By status alone: from the start to ``ended_at``; the transaction ends at ``end_at``."""
    found = [Change(start.at, Activity.CHARGING)]
    for fact in facts:
        if fact.kind == "status" and fact.activity and start.at <= fact.at < end_at:
            found.append(Change(fact.at, fact.activity))
    if ended_at > end_at:
        # A charger that had failed still has, until it says otherwise; any other car just stays.
        found.append(Change(end_at, _after_stop(found[-1].activity)))
        for fact in facts:
            if fact.kind == "status" and fact.activity and end_at <= fact.at < ended_at:
                found.append(Change(fact.at, _after_stop(fact.activity)))
    return merged(found)


def checked(
    said: Sequence[Change], readings: Sequence[Reading], rules: MeterRules
) -> tuple[list[Change], list[Anomaly]]:
    """What was said, held against the meter: what it contradicts is put right, and told."""
    out = list(said)
    notes: list[Anomaly] = []
    for before, after in pairwise(readings):
        said_then = _all_through(said, before.at, after.at)
        seconds = max(1, (after.at - before.at) // _SECOND)
        flowed_wh = after.register_wh - before.register_wh
        flowed_w = flowed_wh * 3600 // seconds
        if said_then is None:
            most_wh = rules.most_wh(_charged_s(said, before.at, after.at))
            contradicted = most_wh is not None and flowed_wh > most_wh
        else:
            contradicted = said_then is not Activity.CHARGING and flowed_w >= _FLOWS_FROM_W
        if contradicted:
            out = _over(out, before.at, after.at, Activity.CHARGING)
            if not notes:
                notes.append(Anomaly(
                    "status.contradicted", f"{said_then or 'a stop of charging'} was said between"
                    f" {before.at.isoformat()} and {after.at.isoformat()}, and {flowed_wh} Wh"
                    " flowed then: that time counts as charging"))  # fmt: skip
        elif (
            said_then is Activity.CHARGING
            and rules.idle_below_w is not None
            and after.register_wh > readings[0].register_wh
            and flowed_w < rules.idle_below_w
        ):
            out = _over(out, before.at, after.at, Activity.VEHICLE_IDLE)
    return merged(out), notes


def _all_through(said: Sequence[Change], start: datetime, end: datetime) -> Activity | None:
    """The one activity of a stretch, or None where it changed within."""
    now: Activity | None = None
    for change in said:
        if change.at <= start:
            now = change.activity
        elif change.at < end:
            return None
    return now


def _charged_s(said: Sequence[Change], start: datetime, end: datetime) -> int:
    """Seconds of a stretch in which it was said to charge."""
    found = timedelta(0)
    for change, following in zip(said, [*said[1:], None], strict=True):
        until = min(following.at, end) if following else end
        if change.activity is Activity.CHARGING:
            found += max(timedelta(0), until - max(change.at, start))
    return found // _SECOND


def _over(said: Sequence[Change], start: datetime, end: datetime, is_: Activity) -> list[Change]:
    """The same with ``is_`` from start to end; what was there before goes on afterwards."""
    out, then = [], Activity.CHARGING
    for change in said:
        if change.at <= end:
            then = change.activity
        if not start <= change.at <= end:
            out.append(change)
    out += [Change(start, is_), Change(end, then)]
    return sorted(out, key=lambda change: change.at)


def _after_stop(said: Activity) -> Activity:
    """Nothing charges after the stop: what is not the charger's doing is idle."""
    return said if said is Activity.CHARGER_PAUSE else Activity.VEHICLE_IDLE


def merged(said: Sequence[Change]) -> list[Change]:
    """Of two at one moment the later said counts; what changes nothing is left out."""
    found: list[Change] = []
    for change in said:
        if found and found[-1].at == change.at:
            found.pop()
        if not found or found[-1].activity is not change.activity:
            found.append(change)
    return found
