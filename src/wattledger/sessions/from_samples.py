"""Sampled values of any OCPP version as facts: registers, intervals, power, signed records.

Only the outlet's import counts. A register that comes by phase is their sum, where none comes for
all phases together. A value that is none is left out and told; the rest of the message counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from wattledger.energy import power_mw, register_wh
from wattledger.errors import BadInput
from wattledger.ids import derive
from wattledger.sessions.facts import Anomaly, Fact
from wattledger.wire.ocpp.samples import Sample, Signed

_REGISTER = "Energy.Active.Import.Register"
_INTERVAL = "Energy.Active.Import.Interval"
_POWER = "Power.Active.Import"
_ORIGIN = {"Transaction.Begin": "begin", "Transaction.End": "end"}
# Whatever is not by the clock is of the meter's own time, the last bit up to the end too.
_INTERVAL_ORIGIN = {"Sample.Clock": "interval_clock"}
_PHASES = {"L1": "L1", "L2": "L2", "L3": "L3", "L1-N": "L1", "L2-N": "L2", "L3-N": "L3"}


class SignedSample(msgspec.Struct, frozen=True):
    """A signed record and where it stood."""

    at: datetime
    context: str
    signed: Signed


class Read(msgspec.Struct, frozen=True):
    """What a message's samples say: facts with the keys under which they count once."""

    facts: tuple[tuple[Fact, str], ...] = ()
    notes: tuple[Anomaly, ...] = ()
    signed: tuple[SignedSample, ...] = ()


class _Value(msgspec.Struct, frozen=True):
    """One of several values of a moment: of a phase, or of all together."""

    measurand: str
    origin: str
    phase: str | None
    number: int
    unit: str


def read(
    session_id: str,
    samples: Iterable[Sample],
    believe: Callable[[datetime], datetime],
    *,
    unit: str | None = None,
) -> Read:
    """The facts of a message. ``believe`` makes of a device's time the one that counts; ``unit``
    is what the registers are in, whatever they say."""
    by_time: dict[datetime, list[_Value]] = {}
    broken: set[tuple[datetime, str]] = set()
    notes: list[Anomaly] = []
    signed: list[SignedSample] = []
    for sample in samples:
        if sample.signed is not None:
            signed.append(SignedSample(believe(sample.at), sample.context, sample.signed))
        value, wrong = _judged(sample, unit)
        if wrong is not None:
            notes.append(Anomaly("sample.invalid", wrong))
            if sample.phase is not None and sample.measurand in (_REGISTER, _INTERVAL):
                # The sum of the others is no register.
                broken.add((sample.at, _origin(sample)))
        elif value is not None:
            by_time.setdefault(sample.at, []).append(value)
    facts: list[tuple[Fact, str]] = []
    for said, values in by_time.items():
        at = believe(said)
        whole = [v for v in values if v.phase is None or (said, v.origin) not in broken]
        facts += [(fact, _key(session_id, fact, said)) for fact in _facts(at, whole)]
    return Read(tuple(facts), tuple(notes), tuple(signed))


def first_register(samples: Iterable[Sample]) -> int | None:
    """The first register of a message, if it has one, in the unit it says: for a first look, the
    bill reads the facts."""
    found = read("", samples, lambda at: at)
    return next((f.register_wh for f, _ in found.facts if f.register_wh is not None), None)


def _judged(sample: Sample, unit: str | None) -> tuple[_Value | None, str | None]:
    """The value of a sample, if it is one of ours, or what is wrong with it."""
    if sample.unread is not None:
        return None, sample.unread
    if sample.value is None or sample.location != "Outlet":
        return None, None
    try:
        return _value(sample, unit), None
    except BadInput as error:
        return None, str(error)


def _origin(sample: Sample) -> str:
    if sample.measurand == _INTERVAL:
        return _INTERVAL_ORIGIN.get(sample.context, "interval")
    return _ORIGIN.get(sample.context, "sample")


def _value(sample: Sample, unit: str | None) -> _Value | None:
    if sample.measurand == _POWER:
        number = power_mw(sample.value or "", sample.unit, sample.path,
                          multiplier=sample.multiplier)  # fmt: skip
    elif sample.measurand in (_REGISTER, _INTERVAL):
        number = register_wh(sample.value or "", unit or sample.unit, sample.path,
                             multiplier=sample.multiplier)  # fmt: skip
    else:
        return None
    if sample.phase is not None and sample.phase not in _PHASES:
        return None
    phase = _PHASES[sample.phase] if sample.phase else None
    return _Value(sample.measurand, _origin(sample), phase, number, sample.unit)


def _facts(at: datetime, values: list[_Value]) -> list[Fact]:
    """One fact for each register of a moment, with the power of that moment."""
    power = _of(values, _POWER)
    power_now = next(iter(power.values()))[0] if power else None
    found = [
        Fact("meter", at, number, origin=origin, power_mw=power_now, unit=unit)
        for origin, (number, unit) in _of(values, _REGISTER).items()
    ]
    found += [
        Fact("meter", at, number, origin=origin, power_mw=power_now, unit=unit)
        for origin, (number, unit) in _of(values, _INTERVAL).items()
    ]
    return found or ([Fact("meter", at, power_mw=power_now, origin="sample")] if power else [])


def _of(values: list[_Value], measurand: str) -> dict[str, tuple[int, str]]:
    """By origin: the value of all phases together, else the sum of the phases."""
    found: dict[str, tuple[int, str]] = {}
    for origin in dict.fromkeys(v.origin for v in values if v.measurand == measurand):
        its = [v for v in values if v.measurand == measurand and v.origin == origin]
        whole = [v for v in its if v.phase is None]
        if whole:
            best = max(whole, key=lambda v: v.number)
            found[origin] = best.number, best.unit
        else:
            by_phase = {v.phase: v.number for v in its}
            found[origin] = sum(by_phase.values()), its[0].unit
    return found


def _key(session_id: str, fact: Fact, said: datetime) -> str:
    """By what was said and when by the device's clock, believed or not."""
    value = "-" if fact.register_wh is None else fact.register_wh
    power = "-" if fact.power_mw is None else fact.power_mw
    return derive("fct", session_id, "meter", said.isoformat(), fact.origin, value, power)
