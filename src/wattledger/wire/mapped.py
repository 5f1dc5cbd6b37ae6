"""Sessions of rows, by a mapping: our own session JSON, so that one reader checks both.

Pure and exact: a number is a Decimal from its text on, a time is in UTC or refused. Errors name
the path in our JSON (``$.started_at``); what the row calls it, the mapping knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from wattledger import money
from wattledger.clock import utc_text
from wattledger.errors import BadInput
from wattledger.wire import exact
from wattledger.wire.mapping import MapFile, fields_of

Row = Mapping[str, Any]
"""A row by its columns, or a JSON object."""
_UNIX = {"unix": 0, "unix_ms": 3}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SINCE = re.compile(r"[0-9]{1,14}(\.[0-9]{1,9})?")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d{1,6})\]")


class Mapper:
    """Makes sessions of rows. Raises BadInput with the path in our JSON."""

    def __init__(self, mapping: MapFile) -> None:
        self.mapping = mapping
        self._fields = dict(fields_of(mapping))
        self._zone = ZoneInfo(mapping.time_zone) if mapping.time_zone else None
        self._places = dict.fromkeys((mapping.unit,), 3 if mapping.unit == "kWh" else 0)

    @property
    def relative(self) -> bool:
        """Whether the energy is told and no register."""
        return "session.energy" in self._fields

    def key(self, row: Row) -> str | None:
        """Whose row it is."""
        return self._text(row, "session.session_id", "$.session_id")

    def session(self, rows: Sequence[Row], path: str = "$") -> dict[str, Any]:
        """The session that the rows are of: one, or one for each reading."""
        first = rows[0]
        found: dict[str, Any] = {}
        for name in ("session_id", "token", "charge_point_id"):
            text = self._text(first, f"session.{name}", f"{path}.{name}")
            if text is not None:
                found[name] = text
        connector = self._text(first, "session.connector_id", f"{path}.connector_id")
        if connector is not None:
            if not connector.isascii() or not connector.isdecimal() or len(connector) > 6:
                raise BadInput(f"{path}.connector_id", connector, "a whole number")
            found["connector_id"] = int(connector)
        evse = self._text(first, "session.evse_id", f"{path}.evse.id")
        if evse is not None:
            found["evse"] = {"id": evse}
        states = self._states(rows, path)
        readings = self._readings(rows, path)
        found |= self._times(first, readings, states, path)
        found["readings"] = readings or self._metered(first, found, states, path)
        if states:
            found["states"] = states
        external = self._external(first, path)
        if external is not None:
            found["external"] = external
        return found

    def _times(
        self, row: Row, readings: list[dict[str, Any]], states: list[dict[str, Any]], path: str
    ) -> dict[str, Any]:
        """Start and end: as mapped, else those of the readings."""
        found = {}
        for name, pick in (("started_at", min), ("ended_at", max)):
            at = self._time(row, f"session.{name}", f"{path}.{name}")
            if at is None and readings:
                at = pick(reading["at"] for reading in readings)
            if at is None:
                raise BadInput(f"{path}.{name}", None, "a time")
            found[name] = at
        finished = self._time(row, "session.finished_at", f"{path}.states")
        if finished is not None:
            states.append({"at": finished, "state": "finished"})
        return found

    def _metered(
        self, row: Row, found: Mapping[str, Any], states: list[dict[str, Any]], path: str
    ) -> list[dict[str, Any]]:
        """Two readings: the registers, or the energy over a register that starts at 0."""
        finished = [state["at"] for state in states if state["state"] == "finished"]
        stop_at = finished[0] if finished else found["ended_at"]
        if self.relative:
            energy = self._energy(row, "session.energy", f"{path}.readings[1].energy_wh")
            registers = (Decimal(0), energy)
        else:
            registers = (
                self._energy(row, "session.meter_start", f"{path}.readings[0].energy_wh"),
                self._energy(row, "session.meter_stop", f"{path}.readings[1].energy_wh"),
            )
            if registers[1] < registers[0]:
                expected = f"{registers[0]} Wh, the register at the start, or more"
                raise BadInput(f"{path}.readings[1].energy_wh", registers[1], expected)
        times = (found["started_at"], stop_at)
        return [{"at": t, "energy_wh": r} for t, r in zip(times, registers, strict=True)]

    def _readings(self, rows: Sequence[Row], path: str) -> list[dict[str, Any]]:
        if self.mapping.reading is None:
            return []
        found = []
        for i, row in enumerate(self._items(rows, self.mapping.reading.items, path)):
            where = f"{path}.readings[{i}]"
            reading = {
                "at": self._needed_time(row, "reading.at", f"{where}.at"),
                "energy_wh": self._energy(row, "reading.energy", f"{where}.energy_wh"),
            }
            power = self._number(row, "reading.power_w", f"{where}.power_w")
            found.append(reading if power is None else {**reading, "power_w": power})
        return found

    def _states(self, rows: Sequence[Row], path: str) -> list[dict[str, Any]]:
        if self.mapping.state is None:
            return []
        at = "state.at" if "state.at" in self._fields else "reading.at"
        found: list[dict[str, Any]] = []
        for i, row in enumerate(self._items(rows, self.mapping.state.items, path)):
            state = self._text(row, "state.state", f"{path}.states[{i}].state")
            if state is not None:
                when = self._needed_time(row, at, f"{path}.states[{i}].at")
                found.append({"at": when, "state": state})
        return found

    def _items(self, rows: Sequence[Row], items: str | None, path: str) -> Sequence[Row]:
        if items is None:
            return rows
        found = walk(rows[0], items)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise BadInput(f"{path}.{items}", found, "a list of objects")
        return found

    def _external(self, row: Row, path: str) -> dict[str, Any] | None:
        reference = self._text(row, "session.external_reference", f"{path}.external.reference")
        if reference is None:
            return None
        currency = self._text(row, "session.external_currency", f"{path}.external.currency")
        if currency is None:
            raise BadInput(f"{path}.external.currency", None, "an ISO 4217 code such as USD")
        where = f"{path}.external.amount_minor"
        amount = self._number(row, "session.external_amount", where)
        if amount is None:
            raise BadInput(where, None, "an amount")
        minor = money.parse_minor(f"{amount:f}", currency, where)
        return {"reference": reference, "amount_minor": minor, "currency": currency}

    def _raw(self, row: Row, name: str) -> object:
        field = self._fields.get(name)
        if field is None:
            return None
        found = field.value if field.from_ is None else walk(row, field.from_)
        if isinstance(found, str):
            found = found.strip()
        return field.default if found is None or found == "" else found

    def _text(self, row: Row, name: str, path: str) -> str | None:
        """None where it is empty: what has to be there is missed by who reads the session."""
        found = self._raw(row, name)
        if found is None or isinstance(found, dict | list | bool):
            if found is not None:
                raise BadInput(path, found, "a text or a number")
            return None
        field, text = self._fields[name], str(found)
        if field.map:
            if text not in field.map:
                known = ", ".join(sorted(field.map))
                raise BadInput(path, text, f"a value that the mapping knows ({known})")
            text = field.map[text]
        return f"{field.prefix}{text}" if text else None

    def _number(self, row: Row, name: str, path: str) -> Decimal | None:
        found = self._raw(row, name)
        if isinstance(found, str):
            if self.mapping.thousands:
                found = found.replace(self.mapping.thousands, "")
            if self.mapping.decimal == ",":
                if "." in found:
                    raise BadInput(path, found, "a number with a decimal comma, and no other sign")
                found = found.replace(",", ".")
        return None if found is None else exact.number(found, path)

    def _energy(self, row: Row, name: str, path: str) -> Decimal:
        found = self._number(row, name, path)
        if found is None:
            raise BadInput(path, None, f"a number of {self.mapping.unit}")
        return found.scaleb(self._places[self.mapping.unit])

    def _needed_time(self, row: Row, name: str, path: str) -> str:
        at = self._time(row, name, path)
        if at is None:
            raise BadInput(path, None, "a time")
        return at

    def _time(self, row: Row, name: str, path: str) -> str | None:
        found = self._raw(row, name)
        if found is None:
            return None
        return utc_text(exact.in_utc(self._moment(found, path), path))

    def _moment(self, found: object, path: str) -> datetime:
        form = self.mapping.time_format
        if form in _UNIX:
            if isinstance(found, bool) or not _SINCE.fullmatch(str(found)):
                raise BadInput(path, found, "seconds since 1970, or milliseconds (unix_ms)")
            microseconds = Decimal(str(found)).scaleb(6 - _UNIX[form])
            return _EPOCH + timedelta(microseconds=int(microseconds))
        expected = f"a time like {form}" if form else "a time such as 2026-11-24T10:15:00Z"
        if not isinstance(found, str):
            raise BadInput(path, found, expected)
        try:
            at = datetime.strptime(found, form) if form else datetime.fromisoformat(found)  # noqa: DTZ007
        except ValueError:
            raise BadInput(path, found, expected) from None
        if not exact.EARLIEST.year <= at.year < exact.LATEST.year:
            raise BadInput(path, found, exact.TIME)
        if at.tzinfo is not None:
            return at
        if self._zone is None:
            raise BadInput(path, found, "a time with a zone, or time_zone in the mapping")
        return self._localized(at, self._zone, found, path)

    def _localized(self, at: datetime, zone: ZoneInfo, text: str, path: str) -> datetime:
        earlier, later = at.replace(tzinfo=zone), at.replace(tzinfo=zone, fold=1)
        if earlier.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) != at:
            expected = f"a time that there was in {zone.key}: the clock went forward over it"
            raise BadInput(path, text, expected)
        if earlier.utcoffset() == later.utcoffset() or self.mapping.ambiguous == "earlier":
            return earlier
        if self.mapping.ambiguous == "later":
            return later
        expected = f"a time that came once: in {zone.key} the clock went back over it"
        raise BadInput(path, text, f"{expected} (export UTC, or set ambiguous in the mapping)")


def walk(row: Row, path: str) -> Any:
    """The value of a column, or at ``a.b[0].c`` in a JSON object; None where there is none."""
    if path in row:
        return row[path]
    found: Any = row
    for step in _STEP.finditer(path):
        name, index = step.groups()
        if name is not None:
            found = found.get(name) if isinstance(found, dict) else None
        else:
            listed = isinstance(found, list) and int(index) < len(found)
            found = found[int(index)] if listed else None
    return found
