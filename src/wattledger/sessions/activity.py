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
from itertools import pairwise, zip_longest

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
    """What was said, held against the meter: what it contradicts is put right, and told.

    One pass: ``at`` is how many of the changes are behind, ``now`` what was said last.
    """
    notes: list[Anomaly] = []
    at, now = _passed(said, 0, readings[0].at, Activity.CHARGING)
    out = list(said[:at])
    for before, after in pairwise(readings):
        end = at
        while end < len(said) and said[end].at < after.at:
            end += 1
        stretch = [Change(before.at, now), *said[at:end]]
        flowed_wh = after.register_wh - before.register_wh
        if _contradicted(stretch, after.at, flowed_wh, rules):
            out.append(Change(before.at, Activity.CHARGING))
            if not notes:
                words = now if len(stretch) == 1 else "a stop of charging"
                notes.append(Anomaly(
                    "status.contradicted", f"{words} was said between"
                    f" {before.at.isoformat()} and {after.at.isoformat()}, and {flowed_wh} Wh"
                    " flowed then: that time counts as charging"))  # fmt: skip
        elif after.register_wh > readings[0].register_wh and _trickled(
            stretch, after.at, flowed_wh, rules
        ):
            out.append(Change(before.at, Activity.VEHICLE_IDLE))
        else:
            out += stretch
        # What was said before a stretch ends goes on after it, whatever it counts as.
        at, now = _passed(said, end, after.at, stretch[-1].activity)
    return merged([*out, Change(readings[-1].at, now), *said[at:]]), notes


def _passed(
    said: Sequence[Change], at: int, until: datetime, now: Activity
) -> tuple[int, Activity]:
    """How many of the changes are behind at ``until``, and what was said last."""
    while at < len(said) and said[at].at <= until:
        now = said[at].activity
        at += 1
    return at, now


def _contradicted(
    stretch: Sequence[Change], end: datetime, flowed_wh: int, rules: MeterRules
) -> bool:
    """Whether more flowed until ``end`` than what was said of the stretch leaves room for."""
    if len(stretch) == 1:
        charging = stretch[0].activity is Activity.CHARGING
        return not charging and _watts(stretch, end, flowed_wh) >= _FLOWS_FROM_W
    most_wh = rules.most_wh(_charged_s(stretch, end))
    return most_wh is not None and flowed_wh > most_wh


def _trickled(stretch: Sequence[Change], end: datetime, flowed_wh: int, rules: MeterRules) -> bool:
    """Whether it was said to charge all through, and did so with less power than counts."""
    return (
        rules.idle_below_w is not None
        and len(stretch) == 1
        and stretch[0].activity is Activity.CHARGING
        and _watts(stretch, end, flowed_wh) < rules.idle_below_w
    )


def _watts(stretch: Sequence[Change], end: datetime, flowed_wh: int) -> int:
    return flowed_wh * 3600 // max(1, (end - stretch[0].at) // _SECOND)


def _charged_s(stretch: Sequence[Change], end: datetime) -> int:
    """Seconds of a stretch in which it was said to charge."""
    found = timedelta(0)
    for change, following in zip_longest(stretch, stretch[1:]):
        if change.activity is Activity.CHARGING:
            found += (following.at if following else end) - change.at
    return found // _SECOND


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
