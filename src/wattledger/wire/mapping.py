"""A mapping: how another system's export says what a session is.

A TOML file. ``[session]`` names for each field the column (CSV) or the path (JSON) that has it;
with ``[reading]`` a row, or each of a list inside a record, is a register reading; ``[state]`` the
same for what car and charger did. A field is a name in quotes, or a table: ``from`` the name,
``value`` a constant instead, ``map`` what each value means, ``prefix`` put before it, ``default``
where it is empty.

``wire.mapped`` makes sessions of rows by it.
"""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from wattledger.errors import BadInput
from wattledger.section import Section, bad_input, check_zone

_Char = Annotated[str, msgspec.Meta(min_length=1, max_length=1)]


class Field(Section, frozen=True, rename={"from_": "from"}):
    """Where a value comes from, and what is made of it."""

    from_: str | None = None
    value: str | None = None
    map: dict[str, str] = msgspec.field(default_factory=dict)
    prefix: str = ""
    default: str | None = None


Given = str | Field | None


class SessionFields(Section, frozen=True):
    """``[session]``. The energy is ``energy`` or ``meter_start`` and ``meter_stop``, or stands in
    the readings. ``finished_at`` is the end of charging where the car left only at ``ended_at``."""

    token: Given = None
    session_id: Given = None
    charge_point_id: Given = None
    connector_id: Given = None
    evse_id: Given = None
    started_at: Given = None
    finished_at: Given = None
    ended_at: Given = None
    energy: Given = None
    meter_start: Given = None
    meter_stop: Given = None
    external_reference: Given = None
    external_amount: Given = None
    external_currency: Given = None


class ReadingFields(Section, frozen=True):
    """``[reading]``; ``items`` is the list inside a JSON record."""

    at: Given = None
    energy: Given = None
    power_w: Given = None
    items: str | None = None


class StateFields(Section, frozen=True):
    """``[state]``; a state that is mapped to "" says nothing."""

    at: Given = None
    state: Given = None
    items: str | None = None


class MapFile(Section, frozen=True):
    """The file."""

    session: SessionFields
    reading: ReadingFields | None = None
    state: StateFields | None = None
    format: Literal["csv", "json"] | None = None
    """By the ending of the file, where it says none."""
    items: str | None = None
    """Where the list of records is in a JSON file: "data.sessions"."""
    delimiter: _Char = ","
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    unit: Literal["Wh", "kWh"] = "Wh"
    time_format: str | None = None
    time_zone: str | None = None
    ambiguous: Literal["refuse", "earlier", "later"] = "refuse"
    """What a local time means that comes twice when the clock goes back."""


def read_mapping(raw: bytes) -> MapFile:
    """The mapping in a TOML file. Raises BadInput with the path and what may stand there."""
    try:
        found = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput("$", str(error), "a mapping: TOML in UTF-8") from None
    try:
        made = msgspec.convert(found, MapFile)
    except msgspec.ValidationError as error:
        raise bad_input(error, MapFile) from None
    _check(made)
    return made


def _check(mapping: MapFile) -> None:
    for name in ("token", "charge_point_id" if mapping.session.evse_id is None else "evse_id"):
        _needs(mapping.session, "session", name)
    _check_energy(mapping)
    for path, field in fields_of(mapping):
        if (field.from_ is None) is (field.value is None):
            raise BadInput(f"$.{path}", "a table with both or neither", "from, or value")
    _check_signs(mapping)


def _needs(table: SessionFields | ReadingFields | StateFields, kind: str, name: str) -> None:
    if getattr(table, name) is None:
        raise BadInput(f"$.{kind}.{name}", None, "the column or path that has it")


def _check_energy(mapping: MapFile) -> None:
    session, reading, state = mapping.session, mapping.reading, mapping.state
    metered = session.meter_start is not None and session.meter_stop is not None
    if reading is not None:
        _needs(reading, "reading", "at")
        _needs(reading, "reading", "energy")
        if reading.items is None:
            # Whose reading a row is.
            _needs(session, "session", "session_id")
    else:
        _needs(session, "session", "started_at")
        _needs(session, "session", "ended_at")
        if (session.energy is not None) is metered:
            got = "both" if metered else None
            expected = "energy, or meter_start and meter_stop, or a table [reading]"
            raise BadInput("$.session.energy", got, expected)
    if state is not None:
        _needs(state, "state", "state")
        if reading is None:
            _needs(state, "state", "at")
    parts = (session.external_reference, session.external_amount, session.external_currency)
    if any(part is not None for part in parts) and None in parts:
        expected = "all three of external_reference, external_amount and external_currency"
        raise BadInput("$.session.external_reference", None, expected)


def _check_signs(mapping: MapFile) -> None:
    if mapping.time_zone is not None:
        check_zone("$.time_zone", mapping.time_zone)
    form = mapping.time_format
    if form is not None and form not in ("unix", "unix_ms"):
        try:
            datetime.strptime(datetime(2025, 1, 31, tzinfo=UTC).strftime(form), form)  # noqa: DTZ007
        except ValueError as error:
            raise BadInput("$.time_format", form, f"one such as %d.%m.%Y %H:%M ({error})") from None
    if mapping.thousands == mapping.decimal:
        raise BadInput("$.thousands", mapping.thousands, "another sign than decimal")
    try:
        codecs.lookup(mapping.encoding)
    except LookupError:
        raise BadInput("$.encoding", mapping.encoding, "one such as utf-8, windows-1252") from None


def fields_of(mapping: MapFile) -> Iterator[tuple[str, Field]]:
    """Every field that is mapped, with its path in the file."""
    for kind in ("session", "reading", "state"):
        table = getattr(mapping, kind)
        for name in table.__struct_fields__ if table is not None else ():
            given = getattr(table, name)
            if given is not None and name != "items":
                yield f"{kind}.{name}", given if isinstance(given, Field) else Field(given)


def columns(mapping: MapFile) -> dict[str, str]:
    """The columns that a CSV has to have, each with the field that it is for."""
    return {field.from_: path for path, field in fields_of(mapping) if field.from_ is not None}
