"""Rows out of a CSV file, one at a time: a file of any length needs the memory of one row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

from wattledger.errors import BadInput
from wattledger.wire.mapping import MapFile

REPORTED = "rejected_"
"""What the columns of a report of rejected rows begin with: in a file they are ours, not read."""


class CsvRow(NamedTuple):
    """A row: its cells by column, or what is wrong with it; ``line`` is where it begins."""

    line: int
    cells: dict[str, str]
    raw: tuple[str, ...]
    wrong: BadInput | None


class CsvFile:
    """The header at once, the rows as they are asked for. Raises BadInput for a header that
    can't be: none, or one in which a column stands twice, or is missing."""

    def __init__(self, file: IO[bytes], mapping: MapFile, columns: dict[str, str]) -> None:
        self._file = file
        # A byte that is none of the encoding's becomes a mark that the row is refused for.
        text = io.TextIOWrapper(file, mapping.encoding, errors="surrogateescape", newline="")
        self._text = text
        self._reader = csv.reader(text, delimiter=mapping.delimiter)
        try:
            header = next(self._reader)
        except StopIteration:
            raise BadInput("line 1", "an empty file", "a header with the columns' names") from None
        except csv.Error as error:
            raise BadInput("line 1", str(error), "a header with the columns' names") from None
        if header:
            header[0] = header[0].removeprefix("\ufeff")
        self.header = tuple(name.strip() for name in header)
        self._check(columns, mapping.delimiter)

    def _check(self, columns: dict[str, str], delimiter: str) -> None:
        for name, field in columns.items():
            if self.header.count(name) != 1:
                got = ", ".join(self.header)
                how = f"the delimiter is {delimiter!r}" if len(self.header) == 1 else "exactly"
                raise BadInput(
                    "line 1", got, f"one column {name!r}, for {field} of the mapping ({how})"
                )

    def rows(self) -> Iterator[CsvRow]:
        """The rows below the header; empty lines are none."""
        while True:
            line = self._reader.line_num + 1
            try:
                raw = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield CsvRow(line, {}, (), BadInput(f"line {line}", str(error), "a row of CSV"))
                continue
            if raw:
                yield self._row(line, raw)

    def _row(self, line: int, raw: Sequence[str]) -> CsvRow:
        where = f"line {line}"
        wrong: BadInput | None = None
        if len(raw) != len(self.header):
            wrong = BadInput(where, f"{len(raw)} cells", f"{len(self.header)}, as in the header")
        elif not all(cell.isascii() or _sound(cell) for cell in raw):
            wrong = BadInput(where, "bytes that are no text", f"text in {self._text.encoding}")
        return CsvRow(line, dict(zip(self.header, raw, strict=False)), tuple(raw), wrong)

    @property
    def bytes_read(self) -> int:
        """How far it is, for who waits."""
        return self._file.tell()


def _sound(cell: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in cell)
