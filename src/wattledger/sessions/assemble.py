"""From facts to a delivery. Pure: the same facts give the same delivery, in whatever order they
came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from wattledger.sessions import activity, registers
from wattledger.sessions.facts import Anomaly, Fact, MeterRules, place
from wattledger.sessions.model import Activity, Change, Delivery, Reading

__all__ = ["Anomaly", "Assembled", "Fact", "MeterRules", "assemble"]

_DOUBT_AFTER_S = 300
_NO_RULES = MeterRules()
_SECOND = timedelta(seconds=1)


class Assembled(msgspec.Struct, frozen=True):
    """A delivery, or what it is ``held`` for; ``notes`` is what was mended or left out on the
    way, for a person to see: it holds nothing."""

    delivery: Delivery | None = None
    held: Anomaly | None = None
    notes: tuple[Anomaly, ...] = ()


def assemble(
    session_id: str,
    time_zone: str,
    facts: Sequence[Fact],
    *,
    idle_after_stop: bool,
    rules: MeterRules = _NO_RULES,
) -> Assembled:
    """The delivery these facts describe, or why they describe none.

    The register at the stop is the last one: periodic readings that a charge point stamps
    after it are ignored. Without a stop the delivery runs to the last reading. What a person
    corrected counts before all that was read.
    """
    ordered = sorted(facts, key=place)
    start = _edge(facts, ordered, "start")
    stop = _edge(facts, ordered, "stop")
    if start is None or not _was_read(ordered, start):
        return _held("start.missing", "no start with a register reading is known")
    end_at = stop.at if stop else max(f.at for f in ordered)
    if end_at < start.at:
        return _held("stop.before_start", f"stopped {end_at}, started {start.at}")
    believed = _believed(ordered, start, stop)
    found = registers.readings(start, stop, believed, end_at, rules)
    by_person = stop is not None and start.origin == stop.origin == "person"
    if found.held is not None and by_person:
        # Both ends are a person's word: what was read between can't stand against them.
        found = registers.readings(start, stop, [], end_at, rules)
    if found.held is not None:
        return Assembled(held=found.held, notes=found.notes)
    unplug = next((f for f in ordered if f.kind == "unplug" and f.at >= end_at), None)
    ended_at = unplug.at if unplug and idle_after_stop else end_at
    said = activity.changes(start, ordered, end_at, ended_at)
    changes, doubts = activity.checked(said, found.readings, rules)
    notes = (*found.notes, *doubts)
    if not by_person:
        doubt = _too_little(found.readings, changes, end_at, rules)
        if doubt is not None:
            return Assembled(held=doubt, notes=notes)
    delivery = Delivery(
        session_id=session_id,
        time_zone=time_zone,
        started_at=start.at,
        ended_at=ended_at,
        readings=found.readings,
        changes=tuple(changes),
        max_power_w=rules.power_w or None,
    )
    return Assembled(delivery, notes=notes)


def _was_read(ordered: Sequence[Fact], start: Fact) -> bool:
    """Whether there is a register to begin with; a stop's alone is none."""
    if start.register_wh is not None:
        return True
    return any(f.kind == "meter" and f.register_wh is not None for f in ordered)


def _edge(facts: Sequence[Fact], ordered: Sequence[Fact], kind: str) -> Fact | None:
    """The start or the stop: a person's last word, else the first that was told."""
    by_person = [fact for fact in facts if fact.kind == f"correct_{kind}"]
    if by_person:
        return msgspec.structs.replace(by_person[-1], origin="person")
    return next((fact for fact in ordered if fact.kind == kind), None)


def _believed(ordered: Sequence[Fact], start: Fact, stop: Fact | None) -> list[Fact]:
    """Where a person gave the register of an end, nothing else that was read there counts."""
    left_out: set[str] = set()
    for edge, origins in ((start, ("signed_begin", "begin")), (stop, ("signed_end", "end"))):
        if edge is not None and edge.origin == "person":
            left_out.update(origins)
    return [fact for fact in ordered if fact.origin not in left_out]


def _too_little(
    readings: Sequence[Reading], changes: Sequence[Change], end_at: datetime, rules: MeterRules
) -> Anomaly | None:
    """Less than a thousandth of what could have flowed while it charged: kWh told as Wh (R6)."""
    energy_wh = readings[-1].register_wh - readings[0].register_wh
    charged_s = 0
    for i, change in enumerate(changes):
        until = changes[i + 1].at if i + 1 < len(changes) else end_at
        if change.activity is Activity.CHARGING:
            charged_s += max(timedelta(0), min(until, end_at) - change.at) // _SECOND
    if not rules.power_w or energy_wh <= 0 or charged_s < _DOUBT_AFTER_S:
        return None
    if energy_wh * 3_600_000 >= rules.power_w * charged_s:
        return None
    return Anomaly(
        "unit.doubtful",
        f"{energy_wh} Wh in {charged_s} s of charging at {rules.power_w} W: less than a thousandth"
        " of what could have flowed; kWh may have been told as Wh",
    )


def _held(code: str, message: str) -> Assembled:
    return Assembled(held=Anomaly(code, message))
