"""The readings in an OCMF record, and the energy between the begin and the end of a transaction.

Section and table numbers are those of the OCMF specification 1.2 (S.A.F.E. e.V.). Registers are
exact: a value is the Decimal that the meter wrote, digit for digit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Context, Decimal
from typing import Any

import msgspec

from wattledger.errors import BadInput
from wattledger.wire import exact

BEGIN = "B"
# End, or more exactly: ended locally, remotely, by an error, by a power failure (table 7).
ENDS = frozenset("ELRAP")
EXCEPTION = "X"
GOOD = "G"
_FACTOR_WH = {"wh": Decimal(1), "kwh": Decimal(1000)}
_EXACT = Context(prec=200)
# Time: with a comma and a zone, then how well the clock was synchronized (table 19).
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d{1,6}))?\s*(Z|[+-]\d\d:?\d\d)?\s*([UISR])?"
)
_OBIS = re.compile(
    r"[0-9a-f]{1,2}-[0-9a-f]{1,2}:([0-9a-f]{1,2})\.([0-9a-f]{1,2})\.[0-9a-f]{1,2}"
    r"([.*][0-9a-f]{1,3})?",
    re.IGNORECASE,
)
# Value group C with D = 8, the register that only counts up: active energy imported. The codes
# that OCMF reserves tell energy at the vehicle from energy at the mains, before the cable's loss.
_AT_VEHICLE, _AT_MAINS = frozenset({"b1", "b3"}), frozenset({"1", "b0", "b2"})
_METER_STATES = {
    "N": "the meter is not present",
    "T": "the meter did not answer in time",
    "D": "the meter was disconnected",
    "R": "the meter is gone",
    "M": "the meter was manipulated",
    "X": "the meter was exchanged",
    "I": "the meter is not compatible",
    "O": "the value is out of range",
    "S": "the value is a substitute",
    "E": "the meter reports an error",
    "F": "the value was not read correctly",
}


class Reading(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reading, with what it takes over from the one before it (section "Readings").

    ``at`` is UTC, None where the record's time can't be read; ``sync`` says what it is worth:
    S synchronized, R exact from a clock that was only informative, I informative, U unknown.
    ``register_wh`` is exact, None where this is no reading of energy.
    """

    tx: str = ""
    at: datetime | None = None
    sync: str = ""
    value: Decimal | None = None
    unit: str = ""
    obis: str = ""
    current: str = ""
    error_flags: str = ""
    status: str = ""
    register_wh: Decimal | None = None

    @property
    def faults(self) -> tuple[str, ...]:
        """Why its energy may not be billed; empty when it may."""
        found = []
        if self.register_wh is None:
            found.append("no value in Wh or kWh")
        elif self.register_wh < 0:
            found.append("a register below zero")
        if "E" in self.error_flags:
            found.append("energy not usable (EF)")
        if self.status != GOOD:
            what = _METER_STATES.get(self.status, "the meter does not say that it is well")
            found.append(f"{what} (ST {self.status or 'missing'})")
        return tuple(found)


class Transaction(msgspec.Struct, frozen=True, omit_defaults=True):
    """The import register at the begin and at the end, as far as they are there.

    ``energy_wh`` is end less begin, exact; None without both, or when ``faults`` say why the
    energy may not be billed.
    """

    begin: Reading | None = None
    end: Reading | None = None
    energy_wh: Decimal | None = None
    faults: tuple[str, ...] = ()


def read_all(value: object, path: str = "$.RD") -> tuple[Reading, ...]:
    """The readings in their order. Raises BadInput where it is not a list of objects."""
    if not isinstance(value, list):
        raise BadInput(path, value, "a list of readings")
    found: list[Reading] = []
    before: dict[str, Any] = {}
    for i, item in enumerate(value):
        if not isinstance(item, dict):
            raise BadInput(f"{path}[{i}]", item, "a reading")
        # All but the value itself: what has none reports an event, not the same value again.
        kept = {key: before[key] for key in _TAKEN_OVER if key in before}
        before = {**kept, **item}
        found.append(_reading(before, f"{path}[{i}]"))
    return tuple(found)


_TAKEN_OVER = ("TM", "TX", "RI", "RU", "RT", "EF", "ST")


def _reading(fields: dict[str, Any], path: str) -> Reading:
    at, sync = _time(text(fields, "TM", path))
    unit = text(fields, "RU", path).strip()
    value = _value(fields.get("RV"), f"{path}.RV")
    factor = _FACTOR_WH.get(unit.lower())
    return Reading(
        tx=text(fields, "TX", path).strip(),
        at=at,
        sync=sync,
        value=value,
        unit=unit,
        obis=text(fields, "RI", path).strip(),
        current=text(fields, "RT", path).strip(),
        error_flags=text(fields, "EF", path).strip(),
        status=text(fields, "ST", path).strip(),
        register_wh=None if value is None or factor is None else _EXACT.multiply(value, factor),
    )


def text(fields: dict[str, Any], key: str, path: str) -> str:
    """A text, or a number where meters write one in its place; empty when it is missing."""
    value = fields.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise BadInput(f"{path}.{key}", value, "a text")
    return str(value)


def _value(value: object, path: str) -> Decimal | None:
    """A number; many meters write it as a text, padded with spaces or zeros."""
    if value is None:
        return None
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return None
    return exact.number(value, path)


def _time(written: str) -> tuple[datetime | None, str]:
    """UTC, and the state of the clock. A time without a zone is none."""
    match = _TIME.fullmatch(written.strip())
    if match is None:
        return None, ""
    clock, fraction, zone, sync = match.groups()
    if zone is None:
        return None, sync or ""
    try:
        local = datetime.fromisoformat(f"{clock}.{(fraction or '').ljust(6, '0')}{zone}")
        return exact.in_utc(local, "$.TM"), sync or ""
    except (ValueError, BadInput):
        return None, sync or ""


def import_rank(obis: str) -> int | None:
    """0 for energy imported at the vehicle, 1 at the mains; None for anything else."""
    match = _OBIS.fullmatch(obis)
    if match is None:
        return None
    quantity, kind = (group.lower().lstrip("0") for group in match.group(1, 2))
    if kind != "8":
        return None
    if quantity in _AT_VEHICLE:
        return 0
    return 1 if quantity in _AT_MAINS else None


def between(readings: Sequence[Reading]) -> Transaction:
    """Begin, end and energy of the transaction in these readings, in their order.

    Import registers count alone; energy at the vehicle goes before energy at the mains. Two
    registers of the same rank that disagree are a fault.
    """
    registers: dict[str, list[Reading]] = {}
    for reading in readings:
        registers.setdefault(reading.obis, []).append(reading)
    found = [
        (rank, one)
        for obis, of in registers.items()
        if (rank := import_rank(obis)) is not None and (one := _register(of)) is not None
    ]
    if not found:
        told = any(reading.tx == BEGIN or reading.tx in ENDS for reading in readings)
        return Transaction(faults=("no reading of an import register",) if told else ())
    # What has both ends says more than what has one.
    best = min((not (one.begin and one.end), rank) for rank, one in found)
    same = [one for rank, one in found if (not (one.begin and one.end), rank) == best]
    energies = {one.energy_wh for one in same if one.energy_wh is not None}
    if len(energies) > 1:
        return msgspec.structs.replace(
            same[0], energy_wh=None, faults=("two import registers disagree",)
        )
    return same[0]


def _register(readings: Sequence[Reading]) -> Transaction | None:
    """One register; None where these readings neither begin nor end a transaction."""
    begins = [i for i, reading in enumerate(readings) if reading.tx == BEGIN]
    ends = [i for i, reading in enumerate(readings) if reading.tx in ENDS]
    if not begins and not ends:
        return None
    first = begins[0] if begins else 0
    last = ends[-1] if ends else len(readings) - 1
    begin = readings[first] if begins else None
    end = readings[last] if ends else None
    faults = [
        f"{_NAMES.get(reading.tx, 'in between')}: {fault}"
        for reading in readings[first : last + 1]
        for fault in _all_faults(reading)
    ]
    energy_wh = None
    if begin is not None and end is not None:
        if last < first:
            faults.append("the end stands before the begin")
        elif begin.register_wh is not None and end.register_wh is not None:
            energy_wh = _EXACT.subtract(end.register_wh, begin.register_wh)
            if energy_wh < 0:
                faults.append("the register went back")
    return Transaction(begin, end, None if faults else energy_wh, tuple(dict.fromkeys(faults)))


_NAMES = {BEGIN: "begin", EXCEPTION: "exception", **dict.fromkeys(ENDS, "end")}


def _all_faults(reading: Reading) -> tuple[str, ...]:
    """From an exception on, energy is not usable, unless its flags name the time alone."""
    if reading.tx == EXCEPTION and reading.error_flags != "t":
        return (*reading.faults, "not usable from here on (TX X)")
    return reading.faults
