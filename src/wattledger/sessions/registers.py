"""The register at the start, between, and at the stop: which reading counts, and which can't.

A charge point says the same register several times, in different places and not always alike.
The rules (docs/ocpp.md has them for users):

- the end is the signed one, else the sample of context Transaction.End, else meterStop, else the
  last sample; the begin is the signed one, else meterStart, else the sample of context
  Transaction.Begin, else the first sample;
- a reading that nothing could have delivered is a spike, one that the next makes good is a dip:
  both are left out and told; between two signed registers so is what lies outside of them;
- a register that falls for good began anew: from zero (a reset), or past its last digit;
- what fits none of these is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate

import msgspec

from wattledger.energy import Reading
from wattledger.sessions.facts import INTERVALS, Anomaly, Fact, MeterRules

_BEGIN = ("signed_begin", "message", "begin")
_END = ("signed_end", "end", "message")
# A counter of fewer digits than this is none that rolls over: 1,000 kWh.
_ROLLS_FROM_WH = 1_000_000
_SMALL_WH = 1_000


class Found(msgspec.Struct, frozen=True):
    """The readings, or why there are none; ``notes`` is what was left out or mended."""

    readings: tuple[Reading, ...] = ()
    notes: tuple[Anomaly, ...] = ()
    held: Anomaly | None = None


class _End(msgspec.Struct, frozen=True):
    """A register at one of the ends, and where it stood."""

    register_wh: int
    origin: str


def readings(
    start: Fact, stop: Fact | None, facts: Sequence[Fact], end_at: datetime, rules: MeterRules
) -> Found:
    """The readings from ``start`` to ``end_at``, by the rules above. ``facts`` are in order."""
    notes: list[Anomaly] = []
    between = _between(facts, start.at, end_at)
    begins = _said(facts, start, _BEGIN)
    ends = _said(facts, stop, _END) if stop else []
    if not between and not ends:
        base_wh = begins[0].register_wh if begins else 0
        between = _from_intervals(facts, start.at, end_at, base_wh)
    if not begins and not between and not ends:
        return Found(held=Anomaly("register.missing", "no register was read"))
    begin = begins[0] if begins else None
    if begin is None:
        first = between[0] if between else Reading(end_at, ends[0].register_wh)
        begin = _End(first.register_wh, "sample")
        if first.at > start.at:
            words = (f"nothing was read at the start: {first.register_wh} Wh at"
                     f" {first.at.isoformat()} is taken for it")  # fmt: skip
            notes.append(Anomaly("begin.missing", words))
    if ends:
        end = ends[0]
    else:
        last = between[-1] if between else Reading(start.at, begin.register_wh)
        end = _End(last.register_wh, "sample")
        if stop is not None and last.at < end_at:
            notes.append(Anomaly("end.missing", "nothing was read at the stop: the last reading"
                                 f" before it is taken, {last.register_wh} Wh"))  # fmt: skip
    doubt = _disagreement(begins, ends, begin, end, notes)
    if doubt is not None:
        return Found(notes=tuple(notes), held=doubt)
    points = [Reading(start.at, begin.register_wh)]
    points += _within(begin, end, [r for r in between if start.at < r.at < end_at], notes)
    return _settled([*points, Reading(end_at, end.register_wh)], end, rules, notes)


def _between(facts: Sequence[Fact], start_at: datetime, end_at: datetime) -> list[Reading]:
    """Samples within the session, one for each moment: of two the higher, being later, counts."""
    found: dict[datetime, Reading] = {}
    for fact in facts:
        if (
            fact.kind == "meter"
            and fact.origin in ("sample", "message")
            and fact.register_wh is not None
            and start_at <= fact.at <= end_at
        ):
            before = found.get(fact.at)
            power_mw = fact.power_mw if fact.power_mw is not None or before is None else (
                before.power_mw)  # fmt: skip
            found[fact.at] = Reading(fact.at, fact.register_wh, power_mw)
    return list(found.values())


def _within(begin: _End, end: _End, between: list[Reading], notes: list[Anomaly]) -> list[Reading]:
    """Two signed registers are the measurement: a reading outside of them is of another register,
    and no sign that theirs began anew."""
    signed = (begin.origin, end.origin) == ("signed_begin", "signed_end")
    if not signed or end.register_wh < begin.register_wh:
        return between
    found = [r for r in between if begin.register_wh <= r.register_wh <= end.register_wh]
    if len(found) < len(between):
        notes.append(Anomaly("meter.disagrees", f"{len(between) - len(found)} readings between are"
                             f" left out: the signed values say {begin.register_wh} to"
                             f" {end.register_wh} Wh"))  # fmt: skip
    return found


def _from_intervals(
    facts: Sequence[Fact], start_at: datetime, end_at: datetime, base_wh: int
) -> list[Reading]:
    """A register of our own, for a meter that only says what was used since it last spoke.

    By the clock and in its own time it says the same energy twice: one of the two counts, the one
    that has more of it. So does one value of a moment, the higher.
    """
    counted: list[dict[datetime, int]] = []
    for origin in INTERVALS:
        its = [f for f in facts if f.origin == origin and start_at < f.at <= end_at]
        counted.append({f.at: f.register_wh or 0 for f in its})
    used = max(counted, key=lambda used: (sum(used.values()), len(used)))
    total, found = base_wh, [Reading(start_at, base_wh)]
    for at, wh in used.items():
        total += wh
        found.append(Reading(at, total))
    return found if len(found) > 1 else []


def _said(facts: Sequence[Fact], edge: Fact, origins: tuple[str, ...]) -> list[_End]:
    """What was said of the register at one end, what counts most first."""
    found = []
    for origin in origins:
        if origin == "message":
            values = [edge.register_wh] if edge.register_wh is not None else []
        else:
            values = [
                f.register_wh for f in facts if f.origin == origin and f.register_wh is not None
            ]
        # Of several the first at the begin, the last at the end.
        if values:
            found.append(_End(values[0] if origins is _BEGIN else values[-1], origin))
    return found


def _disagreement(
    begins: Sequence[_End],
    ends: Sequence[_End],
    begin: _End,
    end: _End,
    notes: list[Anomaly],
) -> Anomaly | None:
    """What was said twice and not alike (R5). A factor of a thousand is a unit that is wrong, and
    nobody can know whose (R6); zero beside a register may be none, or the meter began anew. Only a
    signed register is beyond that.
    """
    energy_wh = end.register_wh - begin.register_wh
    for said, all_said, edge in ((begin, begins, "start"), (end, ends, "stop")):
        for other in all_said:
            apart_wh = abs(other.register_wh - said.register_wh)
            if apart_wh * 1000 <= max(10_000, abs(energy_wh)):
                continue
            words = (f"at the {edge} {_word(said.origin)} says {said.register_wh} Wh and"
                     f" {_word(other.origin)} {other.register_wh} Wh")  # fmt: skip
            signed = said.origin in ("signed_begin", "signed_end")
            if not signed and _thousandfold(said.register_wh, other.register_wh):
                return Anomaly("unit.doubtful", f"{words}: one of them is in another unit")
            if not signed and 0 in (said.register_wh, other.register_wh):
                return Anomaly("register.doubtful", words)
            notes.append(Anomaly("meter.disagrees", f"{words}; the first counts"))
    return None


def _thousandfold(one: int, other: int) -> bool:
    low, high = sorted((one, other))
    return low > 0 and abs(high - 1000 * low) * 50 <= high


def _word(origin: str) -> str:
    return {"message": "the transaction", "begin": "the sample", "end": "the sample",
            "sample": "a reading"}.get(origin, "the signed value")  # fmt: skip


def _settled(points: list[Reading], end: _End, rules: MeterRules, notes: list[Anomaly]) -> Found:
    """Without spikes and dips, with resets and rollovers counted on."""
    kept = _without_dips(_without_spikes(points, rules, notes), notes)
    leap = _last_leap(kept, rules) if end.origin == "sample" else None
    if leap is not None:
        return Found(notes=tuple(notes), held=leap)
    offset_wh = 0
    out = [kept[0]]
    for i in range(1, len(kept)):
        before, after = kept[i - 1], kept[i]
        if after.register_wh < before.register_wh:
            if all(_may_be_kwh(before, later, rules) for later in kept[i:]):
                return Found(notes=tuple(notes), held=Anomaly(
                    "unit.doubtful", f"the register read {before.register_wh} Wh at"
                    f" {before.at.isoformat()} and {after.register_wh} Wh at"
                    f" {after.at.isoformat()}: that may be kWh, or a register that began"
                    " anew"))  # fmt: skip
            last = i == len(kept) - 1
            more_wh = _began_anew(before, after, rules, only_said=last and end.origin == "message")
            if more_wh is None:
                return Found(notes=tuple(notes), held=_fell(before, after))
            offset_wh += more_wh
            rolled = more_wh > before.register_wh
            notes.append(Anomaly(
                "register.rollover" if rolled else "register.reset",
                f"after {before.register_wh} Wh at {before.at.isoformat()} the register"
                f" {'passed its last digit' if rolled else 'began at zero'}:"
                f" {after.register_wh} Wh at {after.at.isoformat()}",
            ))  # fmt: skip
        out.append(msgspec.structs.replace(after, register_wh=after.register_wh + offset_wh))
    energy_wh = out[-1].register_wh - out[0].register_wh
    most_wh = rules.most_wh(_seconds(out[0].at, out[-1].at))
    if most_wh is not None and energy_wh > most_wh:
        seconds = _seconds(out[0].at, out[-1].at)
        return Found(notes=tuple(notes), held=Anomaly(
            "energy.implausible", f"{energy_wh} Wh in {seconds} s, and {rules.power_w} W give"
            f" {most_wh} Wh at most: a wrong unit, or the wrong power_w"))  # fmt: skip
    return Found(tuple(out), tuple(notes))


def _last_leap(kept: Sequence[Reading], rules: MeterRules) -> Anomaly | None:
    """A last reading that can't be, where no other register of the end bears it out."""
    last = len(kept) - 1
    while last > 1 and kept[last - 1].register_wh == kept[-1].register_wh:
        last -= 1
    before, after = kept[last - 1], kept[last]
    if not _leaps(before, after, rules):
        return None
    return Anomaly("energy.implausible", f"the last reading is {after.register_wh} Wh at"
                   f" {after.at.isoformat()}, {before.register_wh} Wh at {before.at.isoformat()}:"
                   f" too much for {rules.power_w} W, and no other bears it out")  # fmt: skip


def _leaps(before: Reading, after: Reading, rules: MeterRules) -> bool:
    most_wh = rules.most_wh(_seconds(before.at, after.at))
    return most_wh is not None and after.register_wh - before.register_wh > most_wh


def _without_spikes(
    points: list[Reading], rules: MeterRules, notes: list[Anomaly]
) -> list[Reading]:
    """Readings between that no such charge point can have delivered: by then since the start, or
    since the one before, and the register falls again. What a dip is made good by is none.
    """
    first, top, last = points[0], points[0], points[-1]
    lowest = list(accumulate((r.register_wh for r in reversed(points[1:])), min))
    kept = [first]
    for point in points[1:-1]:
        lowest.pop()  # what is left is of the points after this one
        falls = lowest[-1] < point.register_wh and _leaps(kept[-1], point, rules)
        makes_good = last.register_wh >= point.register_wh and not _leaps(top, point, rules)
        if _leaps(first, point, rules) or (falls and not makes_good):
            notes.append(Anomaly("register.spike", f"{point.register_wh} Wh at"
                                 f" {point.at.isoformat()} is left out: too much for"
                                 f" {rules.power_w} W"))  # fmt: skip
            continue
        kept.append(point)
        top = max(top, point, key=lambda reading: reading.register_wh)
    return [*kept, last]


def _without_dips(points: list[Reading], notes: list[Anomaly]) -> list[Reading]:
    """A reading below the one before it that a later one makes good again (R7)."""
    best_later, most = [0] * len(points), points[-1].register_wh
    for i in range(len(points) - 1, -1, -1):
        best_later[i] = most
        most = max(most, points[i].register_wh)
    top_wh = points[0].register_wh
    kept = [points[0]]
    for i, point in enumerate(points[1:], start=1):
        if point.register_wh < top_wh <= best_later[i]:
            notes.append(Anomaly("register.dip", f"{point.register_wh} Wh at"
                                 f" {point.at.isoformat()} is left out: {top_wh} Wh stood there"
                                 " before and after"))  # fmt: skip
            continue
        top_wh = point.register_wh
        kept.append(point)
    return kept


def _began_anew(
    before: Reading, after: Reading, rules: MeterRules, *, only_said: bool
) -> int | None:
    """What to count on by, where the register began anew; None where that can't be believed.

    Only meterStop saying so is no reset: a charge point that sends 0 there sends no register.
    """
    most_wh = rules.most_wh(_seconds(before.at, after.at))
    full_wh = max(_ROLLS_FROM_WH, int(f"1{'0' * len(str(before.register_wh))}"))
    grown_wh = full_wh - before.register_wh + after.register_wh
    if after.register_wh < 0:
        return None
    if before.register_wh * 10 > 9 * full_wh and most_wh is not None and grown_wh <= most_wh:
        return full_wh
    small_wh = _SMALL_WH if most_wh is None else most_wh
    return before.register_wh if after.register_wh <= small_wh and not only_said else None


def _may_be_kwh(before: Reading, after: Reading, rules: MeterRules) -> bool:
    """Whether what fell goes on where it stood, told in kWh, rounded or not (R6)."""
    if before.register_wh < _SMALL_WH or after.register_wh <= 0:
        return False
    most_wh = rules.most_wh(_seconds(before.at, after.at))
    grown_wh = 1000 * after.register_wh - before.register_wh
    return -1000 <= grown_wh <= 1000 + (before.register_wh // 5 if most_wh is None else most_wh)


def _fell(before: Reading, after: Reading) -> Anomaly:
    return Anomaly(
        "register.fell",
        f"the register read {before.register_wh} Wh at {before.at.isoformat()}"
        f" and {after.register_wh} Wh at {after.at.isoformat()}",
    )


def _seconds(start: datetime, end: datetime) -> int:
    """Whole seconds, a begun one counted."""
    return -((start - end) // timedelta(seconds=1))
