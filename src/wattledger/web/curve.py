"""What the charger did, as numbers for the chart: whole seconds, watts and minor units.

Power is the difference of two registers over the time between them, a step and not a guess
about its shape. The running cost follows each line of the bill over the stretches it was
measured on, so that it ends at the total of the bill.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

from wattledger.money import divide
from wattledger.rating import Charge, Line, LineKind, evidence
from wattledger.sessions.model import Activity
from wattledger.web.bill import Bill
from wattledger.web.numbers import plain_price

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_WORDS = {
    Activity.CHARGING: "charging",
    Activity.CHARGER_PAUSE: "pause",
    Activity.VEHICLE_IDLE: "idle",
}


def second_of(moment: datetime) -> int:
    """Whole seconds since 1970."""
    return (moment - _EPOCH) // _SECOND


def chart(bill: Bill, now: datetime) -> dict[str, Any] | None:
    """The chart of a session; None where fewer than two readings are known."""
    readings = _readings(bill)
    if len(readings) < 2:
        return None
    start = second_of(bill.session["started_at"])
    ended = bill.session["ended_at"] or bill.session["stopped_at"]
    end = max(second_of(ended or now), readings[-1][0])
    charge = bill.charge
    return {
        "start": start,
        "end": end,
        "zone": bill.contract.time_zone,
        "power": power(readings, end if ended else None),
        "bands": _bands(charge, start, end, bill.contract.currency) if charge else [],
        "states": _states(bill, start, end),
        "cost": running_cost(charge, readings) if charge else [],
        "total": charge.total_minor if charge else None,
        "hold": bill.payment["hold_minor"] if bill.payment else None,
        "captured": bool(
            charge and bill.payment and bill.payment["captured_minor"] == charge.total_minor
        ),
    }


def _readings(bill: Bill) -> list[tuple[int, int]]:
    """(second, register), the start first; of two at one second the later stands."""
    found = {second_of(bill.session["started_at"]): int(bill.session["meter_start_wh"])}
    for fact in bill.registers:
        found[second_of(fact["at"])] = fact["register_wh"]
    return sorted(found.items())


def power(readings: list[tuple[int, int]], end: int | None) -> list[tuple[int, int]]:
    """(second, watts from there on). Nothing flows between the last reading and the ``end``; where
    there is no end yet nobody knows, so the curve stops with the last reading."""
    steps = [
        (at, divide((later - register) * 3600, until - at))
        for (at, register), (until, later) in pairwise(readings)
        if later >= register
    ]
    last = readings[-1][0]
    if end is None:
        return [*steps, (last, steps[-1][1])] if steps else []
    return [*steps, (last, 0), *([(end, 0)] if end > last else [])]


def _bands(charge: Charge, start: int, end: int, currency: str) -> list[dict[str, Any]]:
    """Where which price of energy held, side by side, the dearest one named so."""
    priced = [line for line in charge.lines if line.kind is LineKind.ENERGY]
    dearest = max((Fraction(line.unit_price) for line in priced), default=Fraction(0))
    found: list[dict[str, Any]] = []
    for line in priced:
        peak = len(priced) > 1 and Fraction(line.unit_price) == dearest
        for piece in evidence(charge, line):
            label = f"{line.text} {plain_price(line.unit_price, currency)}/{line.unit}"
            found.append({"from": second_of(piece.from_at), "label": label, "peak": peak})
    found.sort(key=lambda band: band["from"])
    merged: list[dict[str, Any]] = []
    for band in found:
        if not merged or merged[-1]["label"] != band["label"]:
            merged.append(band)
    for one, other in pairwise(merged):
        one["to"] = other["from"]
    if merged:
        merged[0]["from"] = start
        merged[-1]["to"] = end
    return merged


def _states(bill: Bill, start: int, end: int) -> list[tuple[int, int, str]]:
    """(from, to, state). Idle that no line charges for is grace."""
    stop = bill.session["stopped_at"]
    stopped = second_of(stop) if stop else end
    changes = [(start, Activity.CHARGING)]
    changes += [
        (max(second_of(fact["at"]), start), Activity(fact["activity"]))
        for fact in bill.facts
        if fact["activity"]
    ]
    if stopped < end:
        changes = [change for change in changes if change[0] < stopped]
        changes.append((stopped, Activity.VEHICLE_IDLE))
    found: list[tuple[int, int, str]] = []
    ends = [*(at for at, _ in changes[1:]), end]
    for (at, activity), until in zip(changes, ends, strict=True):
        if until <= at:
            continue
        if activity is Activity.VEHICLE_IDLE:
            found += _idle(at, until, _paid_idle(bill.charge))
        else:
            found.append((at, until, _WORDS[activity]))
    return _joined(found)


def _paid_idle(charge: Charge | None) -> list[tuple[int, int]]:
    if charge is None:
        return []
    return sorted(
        (second_of(piece.from_at), second_of(piece.to_at))
        for line in charge.lines
        if line.kind is LineKind.IDLE_TIME
        for piece in evidence(charge, line)
    )


def _idle(start: int, end: int, paid: list[tuple[int, int]]) -> list[tuple[int, int, str]]:
    found = []
    at = start
    for paid_from, paid_to in paid:
        begin, until = max(paid_from, start), min(paid_to, end)
        if begin >= until:
            continue
        if begin > at:
            found.append((at, begin, "grace"))
        found.append((begin, until, "idle"))
        at = until
    if at < end:
        found.append((at, end, "grace"))
    return found


def _joined(states: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    for state in states:
        if found and found[-1][2] == state[2] and found[-1][1] == state[0]:
            found[-1] = (found[-1][0], state[1], state[2])
        else:
            found.append(state)
    return found


_Piece = tuple[int, int, int, int, int]  # from, to, amount, quantity, whole
_ONCE = (LineKind.FLAT, LineKind.RESERVATION_FLAT, LineKind.FEE)
_LIMITS = (LineKind.MINIMUM, LineKind.MAXIMUM)
_TAKEN_OFF = (LineKind.CAP, LineKind.MAXIMUM, LineKind.ROUNDING, LineKind.CONCESSION)


def running_cost(charge: Charge, readings: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(second, cost incl. tax until there). It never leaves the bill: it ends at its total, what
    has a cap rises to it and stays, and what has a least price begins with it."""
    start, end = second_of(charge.started_at), second_of(charge.ended_at)
    limit = next((i for i, line in enumerate(charge.lines) if line.kind in _LIMITS), None)
    limited = _pieces(charge, charge.lines[: limit or 0])
    beyond = _pieces(charge, charge.lines[limit or 0 :])
    caps = _caps(charge)
    moments = {start, end} | {at for at, _ in readings if start <= at <= end}
    every = [piece for each in (*limited.values(), *beyond.values()) for piece in each]
    moments |= {edge for piece in every for edge in piece[:2] if start <= edge <= end}
    if caps or limit is not None:
        moments |= set(range(start, end, max(1, (end - start) // 120)))
    # Rounded lines can be a cent above the bill before the rounding at its end.
    rises = all(line.total_minor >= 0 for line in charge.lines if line.kind not in _TAKEN_OFF)
    found = []
    for at in sorted(moments):
        cost = _earned(at, limited, caps)
        if limit is not None:
            cost = _held(charge, limit, cost)
        gross = round(cost + _earned(at, beyond, caps))
        found.append((at, min(gross, charge.total_minor) if rises else gross))
    if found:
        found[-1] = (found[-1][0], charge.total_minor)
    return found


def _held(charge: Charge, limit: int, cost: Fraction) -> Fraction:
    """A session's cost at its least or its most; fees come on top of either."""
    amount = Fraction(sum(line.total_minor for line in charge.lines[: limit + 1]))
    is_least = charge.lines[limit].kind is LineKind.MINIMUM
    return max(cost, amount) if is_least else min(cost, amount)


def _earned(at: int, pieces: dict[LineKind, list[_Piece]], caps: dict[LineKind, int]) -> Fraction:
    """What all kinds have earned by ``at``, each up to its cap."""
    cost = Fraction(0)
    for kind, each in pieces.items():
        so_far = sum((_by(at, piece) for piece in each), Fraction(0))
        cost += min(so_far, Fraction(caps[kind])) if kind in caps else so_far
    return cost


def _caps(charge: Charge) -> dict[LineKind, int]:
    """What each capped dimension costs at the most: its cap stands directly under its lines."""
    caps: dict[LineKind, int] = {}
    above = LineKind.NOTICE
    for line in charge.lines:
        if line.kind is LineKind.CAP:
            whole = sum(other.total_minor for other in charge.lines if other.kind is above)
            caps[above] = whole + line.total_minor
        elif line.kind is not LineKind.NOTICE:
            above = line.kind
    return caps


def _pieces(charge: Charge, lines: Sequence[Line]) -> dict[LineKind, list[_Piece]]:
    """When the lines of each kind were earned. What is billed once counts from its beginning on,
    what was before the session from the start, and an excise grows with the energy."""
    start, end = second_of(charge.started_at), second_of(charge.ended_at)
    found: dict[LineKind, list[_Piece]] = {}
    for line in lines:
        if line.kind is LineKind.CAP or line.kind in _LIMITS:
            continue
        pieces = found.setdefault(line.kind, [])
        times = [(p.from_at, p.to_at, p.quantity) for p in evidence(charge, line)]
        if line.kind is LineKind.EXCISE:
            times = [(p.from_at, p.to_at, p.energy) for p in charge.periods]
        whole = sum(quantity for _, _, quantity in times)
        if line.kind in (LineKind.ROUNDING, LineKind.CONCESSION):
            pieces.append((end, end, line.total_minor, 1, 1))
        elif line.kind in _ONCE or whole == 0:
            at = max(second_of(times[0][0]), start) if times else start
            pieces.append((at, at, line.total_minor, 1, 1))
        else:
            pieces += [
                (second_of(begin), second_of(until), line.total_minor, quantity, whole)
                for begin, until, quantity in times
            ]
    return found


def _by(at: int, piece: _Piece) -> Fraction:
    """What of a piece has been earned by ``at``."""
    begin, until, amount, quantity, whole = piece
    if at < begin:
        return Fraction(0)
    if at >= until:
        return Fraction(amount * quantity, whole)
    return Fraction(amount * quantity * (at - begin), whole * (until - begin))
