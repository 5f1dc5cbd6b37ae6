"""``wattledger price``: a record, or a list of them, priced and shown."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from wattledger.cli.bill_text import bill_text, columns, visible, width
from wattledger.cli.costing import Cost, Costs
from wattledger.cli.files import inside, read_file, shown
from wattledger.cli.terms import Asked, read_asked
from wattledger.errors import BadInput, CantPrice
from wattledger.money import format_minor
from wattledger.rating.inputs import price_file
from wattledger.rating.model import Charge
from wattledger.rating.report import report
from wattledger.tariffs.model import Tariff
from wattledger.wire.ocpi.cdrs import each_cdr

EXPECTED = "an OCPI CDR or a session file (- for standard input)"
_PROGRESS_AFTER_S = 2


class Priced(msgspec.Struct, frozen=True):
    """A charge with all that is shown of it."""

    charge: Charge
    tariffs: tuple[Tariff, ...]
    cost: Cost | None = None

    def report(self) -> dict[str, Any]:
        """As JSON."""
        found = report(self.charge, self.tariffs)
        if self.cost is not None:
            found["cost"] = self.cost.report()
        return found


class Refusal(msgspec.Struct, frozen=True):
    """A record of a list that was not priced; the exit code it asks for."""

    path: str
    error: BadInput | CantPrice

    @property
    def code(self) -> int:
        """2 for what can't be taken, 3 for what can't be priced."""
        return 3 if isinstance(self.error, CantPrice) else 2

    def report(self) -> dict[str, Any]:
        """As JSON."""
        more = {"code": self.error.code} if isinstance(self.error, CantPrice) else {}
        return {"path": self.path, "error": str(self.error), **more}


def price(options: argparse.Namespace) -> int:
    """``wattledger price``"""
    asked = read_asked(options)
    costs = Costs(options) if options.cost is not None else None
    listed, records = read_records(options.input)
    if listed:
        return _price_all(options, records, asked, costs)
    path, raw = records[0]
    found = price_one(options.input, path, raw, asked, costs)
    if options.json:
        print(json.dumps(found.report()))
    else:
        print(bill_text(found.charge, found.tariffs, cost=found.cost), end="")
    return 0


def read_records(name: str, raw: bytes | None = None) -> tuple[bool, list[tuple[str, bytes]]]:
    """The records of a file, each with its path, and whether it holds a list of them."""
    if raw is None:
        raw = read_file(name, EXPECTED)
    with inside(name):
        records = each_cdr(raw)
        if not records:
            raise BadInput("$", [], "at least one record")
    return records[0][0].endswith("]"), records


def price_one(name: str, path: str, raw: bytes, asked: Asked, costs: Costs | None = None) -> Priced:
    """One record, with its warnings and those of the files beside it. Raises BadInput and
    CantPrice."""
    with inside(name, path):
        charge, tariffs = price_file(
            raw,
            asked.tariffs,
            time_zone=asked.time_zone,
            terms=asked.terms,
            policies=None if asked.tariffs else asked.policies,
        )
    cost = None
    said = asked.said
    if costs is not None:
        said += costs.said
        try:
            cost = costs.of(charge, raw)
        except CantPrice as error:
            # The bill is right all the same: that nobody knows its cost is no reason against it.
            said += (f"--cost: {error}",)
    if said:
        charge = msgspec.structs.replace(charge, warnings=(*said, *charge.warnings))
    return Priced(charge, tariffs, cost)


def price_each(
    name: str, records: list[tuple[str, bytes]], asked: Asked, costs: Costs | None = None
) -> Iterator[Priced | Refusal]:
    """Every record of a list; one that is refused keeps nobody waiting."""
    progress = _Progress(len(records))
    for i, (path, raw) in enumerate(records):
        try:
            yield price_one(name, path, raw, asked, costs)
        except (BadInput, CantPrice) as error:
            yield Refusal(path, error)
        progress.show(i + 1)
    progress.clear()


def worst(codes: Counter[int]) -> int:
    """What can't even be taken is worse than what can't be priced."""
    return 2 if codes[2] else 3 if codes[3] else 0


def tell_refused(name: str, refused: Refusal) -> None:
    """On standard error, in one line."""
    where = f"{shown(name)}: {refused.path}: " if isinstance(refused.error, CantPrice) else ""
    line = " ".join(f"{where}{refused.error}".split())
    print(f"wattledger: {visible(line)}", file=sys.stderr)


def _price_all(
    options: argparse.Namespace,
    records: list[tuple[str, bytes]],
    asked: Asked,
    costs: Costs | None,
) -> int:
    totals = _Totals()
    if options.json:
        print("[", end="")
    for i, found in enumerate(price_each(options.input, records, asked, costs)):
        totals.add(found)
        if isinstance(found, Refusal):
            tell_refused(options.input, found)
        if options.json:
            print(",\n" if i else "", json.dumps(found.report()), sep="", end="")
    if options.json:
        print("]")
    else:
        print(totals.text(), end="")
    return worst(totals.codes)


class _Totals:
    """The rows of a list's table, and what they come to."""

    def __init__(self) -> None:
        self.codes: Counter[int] = Counter()
        self.minor: Counter[str] = Counter()
        self.rows: list[tuple[str, ...]] = []
        self.differing = self.warned = 0

    def add(self, found: Priced | Refusal) -> None:
        """One record."""
        if isinstance(found, Refusal):
            self.codes[found.code] += 1
            return
        charge = found.charge
        self.codes[0] += 1
        self.minor[charge.currency] += charge.total_minor
        self.differing += bool(charge.differences)
        self.warned += bool(charge.warnings)
        amounts = (charge.net_minor, charge.tax_minor, charge.total_minor)
        marks = "≠" * bool(charge.differences) + "!" * bool(charge.warnings)
        name = visible(charge.session_id)
        self.rows.append((
            name if len(name) <= 30 else name[:29] + "…",
            f"{charge.energy_wh // 1000}.{charge.energy_wh % 1000:03d} kWh",
            *(format_minor(amount, charge.currency) for amount in amounts),
            marks,
        ))  # fmt: skip

    def text(self) -> str:
        """The table, and one line that sums it up."""
        head = ("record", "energy", "net", "taxes", "total", "")
        table = columns([head, *self.rows]) + "\n" if self.rows else ""
        sums = ", ".join(format_minor(total, code) for code, total in sorted(self.minor.items()))
        parts = [f"{sum(self.codes.values())} records: {self.codes[0]} priced"]
        parts[0] += f", {sums}" if sums else ""
        for count, what in (
            (self.codes[3], "not priceable"),
            (self.codes[2], "can't be taken"),
            (self.differing, "with other totals (≠)"),
            (self.warned, "with warnings (!)"),
        ):
            if count:
                parts.append(f"{count} {what}")
        return table + textwrap.fill("; ".join(parts), width()) + "\n"


class _Progress:
    """How far a long list has come, where somebody watches."""

    def __init__(self, whole: int) -> None:
        self._whole = whole
        self._next_at = time.monotonic() + _PROGRESS_AFTER_S
        self._shown = False

    def show(self, done: int) -> None:
        """At most once a second, after the first two."""
        now = time.monotonic()
        if now < self._next_at or not sys.stderr.isatty():
            return
        self._next_at = now + 1
        self._shown = True
        print(f"\r{done} of {self._whole} ", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """The line is free again."""
        if self._shown:
            print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
