"""A vendor's file of payments: CSV by a mapping or by our own names, or a JSON object in each line.

A mapping is a TOML file. ``[payment]`` names for each field of a report the column that has it, or
is a table as in the mapping of sessions (``wire.mapping``): ``from``, ``value``, ``map``,
``prefix``, ``default``.
"""

from __future__ import annotations

import io
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from wattledger.errors import BadInput
from wattledger.payments.terminal import reports
from wattledger.payments.terminal.reports import NAMES, Report
from wattledger.section import Section, bad_input, check_zone
from wattledger.wire import exact
from wattledger.wire.mapping import Field, MapFile, SessionFields
from wattledger.wire.tables import CsvFile

_Char = Annotated[str, msgspec.Meta(min_length=1, max_length=1)]
_TIMES = ("at", "authorized_at")


class PaymentMap(Section, frozen=True):
    """The mapping file."""

    payment: dict[str, str | Field] = msgspec.field(default_factory=dict)
    delimiter: _Char = ","
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    time_format: str | None = None
    """As ``strptime`` has it; None: ISO 8601."""
    time_zone: str | None = None
    """Of times without one."""

    def field(self, name: str) -> Field:
        """Where a field of a report comes from; one that is not named has its own name."""
        given = self.payment.get(name)
        if isinstance(given, Field):
            return given
        return Field(from_=name if given is None else given)


class Line(NamedTuple):
    """One line of a file: where it is, and its report or what is wrong with it."""

    place: str
    report: Report | None
    error: BadInput | None


def read_map(raw: bytes) -> PaymentMap:
    """The mapping in a TOML file. Raises BadInput with the path and what may stand there."""
    try:
        found = msgspec.convert(tomllib.loads(raw.decode("utf-8")), PaymentMap)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput("$", str(error), "a mapping: TOML in UTF-8") from None
    except msgspec.ValidationError as error:
        raise bad_input(error, PaymentMap) from None
    for name, field in found.payment.items():
        if name not in NAMES:
            raise BadInput(f"$.payment.{name}", name, "one of " + ", ".join(NAMES))
        if isinstance(field, Field) and (field.from_ is None) is (field.value is None):
            raise BadInput(f"$.payment.{name}", "a table with both or neither", "from, or value")
    if found.time_zone is not None:
        check_zone("$.time_zone", found.time_zone)
    return found


def lines(raw: bytes, form: str, mapping: PaymentMap) -> Iterator[Line]:
    """Every line of a file, ``csv`` or ``jsonl``; what is wrong with one loses no other. Raises
    BadInput for a header that can't be."""
    if form == "csv":
        yield from _csv(raw, mapping)
        return
    for place, found in reports.read_lines(raw):
        yield _line(place, found)


def _line(place: str, found: object) -> Line:
    if isinstance(found, BadInput):
        return Line(place, None, found)
    try:
        return Line(place, reports.read(found, place), None)
    except BadInput as error:
        return Line(place, None, error)


def _csv(raw: bytes, mapping: PaymentMap) -> Iterator[Line]:
    named = {
        column: f"payment.{name}"
        for name in mapping.payment
        if (column := mapping.field(name).from_) is not None
    }
    shape = MapFile(SessionFields(), delimiter=mapping.delimiter, encoding=mapping.encoding)
    table = CsvFile(io.BytesIO(raw), shape, named)
    if not mapping.payment:
        for name in table.header:
            if name not in NAMES:
                raise BadInput("line 1", name, "a column of " + ", ".join(NAMES) + "; or a mapping")
    for row in table.rows():
        place = f"line {row.line}"
        if row.wrong is not None:
            yield Line(place, None, row.wrong)
            continue
        try:
            found = {name: _cell(mapping, name, row.cells, place) for name in NAMES}
        except BadInput as error:
            yield Line(place, None, error)
            continue
        yield _line(place, {name: value for name, value in found.items() if value is not None})


def _cell(mapping: PaymentMap, name: str, cells: dict[str, str], place: str) -> Any:
    field = mapping.field(name)
    text = field.value if field.value is not None else cells.get(field.from_ or "", "").strip()
    if not text:
        return field.default
    if field.map:
        if text not in field.map:
            raise BadInput(f"{place}.{name}", text, "one of " + ", ".join(sorted(field.map)))
        text = field.map[text]
    text = field.prefix + text
    if name == "amount" and mapping.decimal == ",":
        text = text.replace(",", ".") if "." not in text else text
    return _time(mapping, text, f"{place}.{name}") if name in _TIMES else text


def _time(mapping: PaymentMap, text: str, path: str) -> str:
    """With its zone. A local time that comes twice, or never, is refused: nobody says which."""
    try:
        found = (
            datetime.strptime(text, mapping.time_format)  # noqa: DTZ007  (its zone comes next)
            if mapping.time_format
            else datetime.fromisoformat(text)
        )
    except ValueError:
        raise BadInput(path, text, mapping.time_format or exact.TIME) from None
    if found.tzinfo is not None:
        return found.isoformat()
    if mapping.time_zone is None:
        raise BadInput(path, text, "a time with its zone, or time_zone in the mapping")
    zone = ZoneInfo(mapping.time_zone)
    first, second = (found.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    again = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    if first.utcoffset() != second.utcoffset() or again != found:
        raise BadInput(path, text, f"a time that comes once in {mapping.time_zone}")
    return first.isoformat()
