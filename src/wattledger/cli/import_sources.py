"""Sessions out of files, one by one: CSV and JSON by a mapping, our own JSON, OCPI CDRs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from wattledger.cli.files import read_file, shown
from wattledger.errors import BadInput
from wattledger.ids import derive
from wattledger.pipeline.importing.imports import Item
from wattledger.sessions import sent
from wattledger.wire import exact
from wattledger.wire.mapped import Mapper, Row, walk
from wattledger.wire.mapping import MapFile, columns
from wattledger.wire.ocpi.cdrs import each_cdr
from wattledger.wire.tables import CsvFile, CsvRow

Record = object
"""A row of a CSV as it stood (a tuple), a JSON value, or the bytes of a CDR."""


class Candidate(NamedTuple):
    """What may be a session, where it stands, and what it was made of; or what is wrong with it.
    A CDR is read later: it takes what was in force when it started."""

    place: str
    item: Item | None
    error: BadInput | None
    records: Sequence[Record]
    id: str | None = None
    cdr: bytes | None = None


class Source(NamedTuple):
    """A file: what is in it, how large it is, and how far we are."""

    kind: str
    candidates: Iterator[Candidate]
    size: int
    position: Callable[[], int]
    header: tuple[str, ...] = ()


def open_source(name: Path, form: str, mapping: MapFile | None) -> Source:
    """``form`` is csv, json or ocpi. Raises BadInput for a file of which nothing can be read."""
    if form == "csv":
        assert mapping is not None, "a CSV has one"
        return _csv(name, mapping)
    raw = read_file(str(name), f"a file of {form}")
    if form == "ocpi":
        found = each_cdr(raw)
        cdrs = (Candidate(path, None, None, [one], cdr=one) for path, one in found)
        return _counted(form, cdrs, len(found))
    records = _records(exact.parse(raw), mapping)
    return _counted(form, _json(records, mapping), len(records))


def _counted(kind: str, candidates: Iterator[Candidate], size: int) -> Source:
    """A file that was read whole is as far as its records are taken."""
    at = 0

    def each() -> Iterator[Candidate]:
        nonlocal at
        for candidate in candidates:
            at += 1
            yield candidate

    return Source(kind, each(), size, lambda: at)


def _records(found: object, mapping: MapFile | None) -> list[tuple[str, object]]:
    path = "$"
    if mapping is not None and mapping.items is not None:
        path = f"$.{mapping.items}"
        found = walk(found, mapping.items) if isinstance(found, dict) else None
    elif isinstance(found, dict) and isinstance(found.get("sessions"), list):
        path, found = "$.sessions", found["sessions"]
    elif isinstance(found, dict):
        return [(path, found)]
    if not isinstance(found, list):
        raise BadInput(path, found, "a list of records, or items in the mapping")
    return [(f"{path}[{i}]", record) for i, record in enumerate(found)]


def _json(records: list[tuple[str, object]], mapping: MapFile | None) -> Iterator[Candidate]:
    mapper = Mapper(mapping) if mapping is not None else None
    for path, record in records:
        try:
            if mapper is None:
                item = Item(sent.read(record, path), path)
            elif not isinstance(record, dict):
                raise BadInput(path, record, "an object")  # noqa: TRY301
            else:
                item = _mapped(mapper, [record], path)
        except BadInput as error:
            key = record.get("session_id") if isinstance(record, dict) and mapper is None else None
            key = mapper_key(mapper, record) if mapper is not None else key
            yield Candidate(path, None, error, [record], key if isinstance(key, str) else None)
        else:
            yield Candidate(path, item, None, [record], item.session.id)


def mapper_key(mapper: Mapper, record: object) -> str | None:
    """Whose row it is, if it says so."""
    try:
        return mapper.key(record) if isinstance(record, dict) else None
    except BadInput:
        return None


def _mapped(mapper: Mapper, rows: Sequence[Row], path: str) -> Item:
    found = mapper.session(rows, path)
    if "session_id" not in found:
        # By its content, so that the same row again is the same session.
        found["session_id"] = derive("row", msgspec.json.encode(found, order="deterministic").hex())
    relative = mapper.relative and mapper.mapping.reading is None
    return Item(sent.read(found, path, relative=relative), path)


def _csv(name: Path, mapping: MapFile) -> Source:
    mapper = Mapper(mapping)
    file = _opened(name)
    if mapping.reading is not None:
        with _opened(name) as first:
            _check_together(CsvFile(first, mapping, columns(mapping)), mapper)
    table = CsvFile(file, mapping, columns(mapping))
    groups = _single(table) if mapping.reading is None else _together(table, mapper)
    size = name.stat().st_size
    candidates = (_candidate(mapper, rows) for rows in groups)
    return Source("csv", candidates, size, lambda: table.bytes_read, table.header)


def _opened(name: Path) -> IO[bytes]:
    try:
        return name.open("rb")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadInput(shown(str(name)), reason, "a file of csv") from None


def _single(table: CsvFile) -> Iterator[list[CsvRow]]:
    for row in table.rows():
        yield [row]


def _key(mapper: Mapper, row: CsvRow) -> str | None:
    return None if row.wrong is not None else mapper_key(mapper, row.cells)


def _together(table: CsvFile, mapper: Mapper) -> Iterator[list[CsvRow]]:
    """The rows of each session. One that can't be read may be of the session before it or of the
    one after it: it goes with both, and both are refused, since a reading of theirs may be
    missing."""
    held: list[CsvRow] = []
    held_key: str | None = None
    unread: list[CsvRow] = []
    for row in table.rows():
        key = _key(mapper, row)
        if key is None:
            unread.append(row)
        elif held and key == held_key:
            held += [*unread, row]
            unread = []
        else:
            if held:
                yield held + unread
            held, held_key, unread = [*unread, row], key, []
    if held or unread:
        yield held + unread


def _check_together(table: CsvFile, mapper: Mapper) -> None:
    """Raises BadInput where rows of one session stand apart: it would be taken with half of its
    readings."""
    seen: set[str] = set()
    last: str | None = None
    for row in table.rows():
        key = _key(mapper, row)
        if key is not None and key != last:
            if key in seen:
                raise BadInput(f"line {row.line}", key, "all rows of a session one after the other:"
                               " sort the file by it")  # fmt: skip
            seen.add(key)
        # Between two rows of a session may stand one that can't be read; it is refused on its own.
        last = key or last


def _candidate(mapper: Mapper, rows: list[CsvRow]) -> Candidate:
    first, last = rows[0].line, rows[-1].line
    place = f"line {first}" if first == last else f"lines {first}-{last}"
    records = [row.raw for row in rows]
    key = next(filter(None, (_key(mapper, row) for row in rows)), None)
    wrong = next((row.wrong for row in rows if row.wrong is not None), None)
    if wrong is not None:
        return Candidate(place, None, wrong, records, key)
    try:
        item = _mapped(mapper, [row.cells for row in rows], "$")
    except BadInput as error:
        return Candidate(place, None, error, records, key)
    return Candidate(place, item, None, records, item.session.id)
