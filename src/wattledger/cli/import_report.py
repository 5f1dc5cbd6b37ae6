"""What became of an import: figures, and a file of what was refused that can be mended and
imported again."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import msgspec
from rich.console import Console

from wattledger.cli.import_sources import Record
from wattledger.clock import utc_text
from wattledger.energy import kwh_text
from wattledger.errors import BadInput
from wattledger.wire import exact
from wattledger.wire.tables import REPORTED

_SHOWN_MAX = 10
_KEPT_MAX = 100


class Rejection(msgspec.Struct, frozen=True):
    """A record that was refused: where it stands, what is wrong, and what to do."""

    place: str
    id: str | None
    path: str
    field: str | None
    got: str
    expected: str
    to_do: str


def rejection(place: str, key: str | None, error: Exception, names: Mapping[str, str]) -> Rejection:
    """``names`` is what the file calls the fields of a session."""
    if not isinstance(error, BadInput):
        to_do = "nothing, if the one that is here is right; else correct it as the anomaly offers"
        if "another door" in str(error) or "one door only" in str(error):
            to_do = "nothing: it is here already"
        return Rejection(place, key, "$", None, key or "", str(error), to_do)
    field = error.path.rpartition(".")[2].partition("[")[0]
    name = names.get(field) or names.get(_PARTS.get(field, ""))
    return Rejection(
        place, key, error.path, name, repr(error.got)[:200], error.expected, _to_do(error)
    )


# What a field of our JSON is made of, where the mapping calls it otherwise.
_PARTS = {
    "energy_wh": "energy", "amount_minor": "external_amount", "reference": "external_reference",
    "currency": "external_currency", "states": "finished_at",
}  # fmt: skip


def _to_do(error: BadInput) -> str:
    """The usual way out."""
    for part, words in _WAYS_OUT.items():
        if part in error.path:
            return words
    return "correct the row"


_ADD_TOKEN = (
    "add the token to an account, run `wattledger apply --valid-from` a time not after the start,"
    " and import again"
)
_WAYS_OUT = {
    "token": _ADD_TOKEN,
    "uid": "add the charge point to a site, or its token to an account, and run `wattledger apply`",
    "auth_id": _ADD_TOKEN,
    "charge_point_id": "add the charge point to a site and run `wattledger apply`, or map its name",
    "evse": "add the charge point to a site and run `wattledger apply`, or map its name",
    "_at": "correct the time, or time_format and time_zone of the mapping",
    ".at": "correct the time, or time_format and time_zone of the mapping",
    "energy": "correct the number, or unit and decimal of the mapping",
    "state": "map the value: [state] state = { from = ..., map = { ... } }",
    "line": "correct the row",
}


class Figures:
    """What was taken, or would be."""

    def __init__(self) -> None:
        self.new = self.known = self.rejected = self.energy_wh = self.known_wh = 0
        self.first_at: datetime | None = None
        self.last_at: datetime | None = None
        self.sites: dict[str, dict[str, int]] = {}
        self.kept: list[Rejection] = []

    def add(self, site: str, energy_wh: int, started_at: datetime, *, new: bool) -> None:
        """A session that was taken or known."""
        if not new:
            self.known += 1
            self.known_wh += energy_wh
            return
        self.new += 1
        self.energy_wh += energy_wh
        self.first_at = min(self.first_at or started_at, started_at)
        self.last_at = max(self.last_at or started_at, started_at)
        at_site = self.sites.setdefault(site, {"sessions": 0, "energy_wh": 0})
        at_site["sessions"] += 1
        at_site["energy_wh"] += energy_wh

    def refuse(self, found: Rejection) -> None:
        """One that was not."""
        self.rejected += 1
        if len(self.kept) < _KEPT_MAX:
            self.kept.append(found)

    def body(self, *, dry_run: bool, report: Path | None, note: str | None) -> dict[str, Any]:
        """As JSON."""
        return {
            "dry_run": dry_run,
            "sessions": self.new + self.known + self.rejected,
            "new": self.new,
            "known": self.known,
            "rejected": self.rejected,
            "energy_wh": self.energy_wh,
            "first_at": utc_text(self.first_at) if self.first_at else None,
            "last_at": utc_text(self.last_at) if self.last_at else None,
            "sites": dict(sorted(self.sites.items())),
            "rejected_file": str(report) if report else None,
            "rejections": msgspec.to_builtins(self.kept),
            "note": note,
        }

    def show(self, *, dry_run: bool, report: Path | None, note: str | None) -> None:
        """For people."""
        console = Console(highlight=False, soft_wrap=True)
        if note:
            console.print(note, markup=False)
        what = "would be taken" if dry_run else "taken"
        more = f", {self.known} here already" if self.known else ""
        console.print(f"{_counted(self.new)} {what}, {kwh_text(self.energy_wh)} kWh{more}"
                      f"{f', {self.rejected} refused' if self.rejected else ''}.")  # fmt: skip
        if self.first_at and self.last_at:
            console.print(f"First start {utc_text(self.first_at)}, last {utc_text(self.last_at)}.")
            for site, at_site in sorted(self.sites.items()):
                energy = kwh_text(at_site["energy_wh"])
                console.print(f"  {site}: {_counted(at_site['sessions'])}, {energy} kWh")
        for each in self.kept[:_SHOWN_MAX]:
            field = f" ({each.field})" if each.field else ""
            text = f"{each.place}: {each.path}{field}: got {each.got}, expected {each.expected}"
            clean = "".join(c if c.isprintable() else "\ufffd" for c in text)
            console.print(clean, f"  To do: {each.to_do}.", sep="\n", markup=False)
        if self.rejected > _SHOWN_MAX:
            console.print(f"... and {self.rejected - _SHOWN_MAX} more.")
        if report is not None:
            console.print(f"All that was refused: {report}", markup=False)


def _counted(sessions: int) -> str:
    return "1 session" if sessions == 1 else f"{sessions} sessions"


class Report:
    """The file of refused records; made when there is the first one.

    Of a CSV it has the rows as they stood, with columns of ours behind: mended, it is imported
    with the same mapping. Of JSON it is a list of objects with the record in each.
    """

    def __init__(
        self, path: Path | None, header: tuple[str, ...], delimiter: str, encoding: str
    ) -> None:
        self.path = path
        self._encoding = encoding if header else "utf-8"
        self._ours = [i for i, name in enumerate(header) if name.startswith(REPORTED)]
        self._header = [name for i, name in enumerate(header) if i not in self._ours]
        self._delimiter = delimiter
        self._file: IO[str] | None = None
        self.written = False

    def add(self, found: Rejection, records: Sequence[Record]) -> None:
        """Write a refused session with all its rows."""
        if self.path is None:
            return
        if self._file is None:
            self._file = self.path.open(
                "w", encoding=self._encoding, errors="surrogateescape", newline=""
            )
            self._begin()
            self.written = True
        if not self._header:
            body = {**msgspec.to_builtins(found), "record": _json(records[0])}
            comma = ",\n" if self._any else ""
            self._file.write(comma + exact.dump(body).decode())
            self._any = True
            return
        said = (found.place, found.path, found.got, found.expected, found.to_do)
        # Our words in the file's letters, as far as it has them; its own cells are as they were.
        values = [text.encode(self._encoding, "replace").decode(self._encoding) for text in said]
        for record in records:
            assert isinstance(record, tuple), "a CSV has rows"
            cells = [c for i, c in enumerate(record) if i not in self._ours]
            padded = cells + [""] * (len(self._header) - len(cells))
            self._writer.writerow([*padded, *values])

    _any = False

    def _begin(self) -> None:
        assert self._file is not None
        if not self._header:
            self._file.write("[\n")
            return
        self._writer = csv.writer(self._file, delimiter=self._delimiter)
        ours = [REPORTED + name for name in ("where", "path", "got", "expected", "to_do")]
        self._writer.writerow([*self._header, *ours])

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._file is not None:
            self._file.write("" if self._header else "\n]\n")
            self._file.close()


def _json(record: Record) -> object:
    """A CDR is its text until somebody reads it."""
    if not isinstance(record, bytes):
        return record
    try:
        return exact.parse(record)
    except BadInput:
        return record.decode("utf-8", "replace")
