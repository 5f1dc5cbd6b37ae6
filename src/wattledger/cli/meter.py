"""``wattledger meter verify``: whether a meter signed what a file says it did."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from wattledger.cli.bill_text import visible, width
from wattledger.cli.files import inside, read_file
from wattledger.clock import utc_text
from wattledger.errors import BadInput
from wattledger.wire import exact, transparency
from wattledger.wire.ocmf import as_text
from wattledger.wire.ocmf_keys import EXPECTED as KEY
from wattledger.wire.ocmf_keys import TEXT_MAX, read_key
from wattledger.wire.ocmf_readings import Reading
from wattledger.wire.transparency import Judged

EXPECTED = f"{transparency.EXPECTED} (- for standard input)"
_MARGIN = 4
_KEY_NOTE = (
    "A key that comes with a record shows that nothing was changed since it was signed, not whose "
    "meter it was: compare it with the key on the meter, or give that one with --public-key."
)


def verify(options: argparse.Namespace) -> int:
    """``wattledger meter verify``: 1 when a record is not verified."""
    key = None if options.public_key is None else _public_key(options.public_key)
    raw = read_file(options.file, EXPECTED)
    with inside(options.file):
        values = transparency.read_file(raw)
        if not values:
            raise BadInput("$", "no record", "at least one: there is nothing to verify")
    judged = transparency.judge(values, key)
    if options.json:
        records = [_report(i, one) for i, one in enumerate(judged)]
        print(exact.dump({"records": records}).decode())
    else:
        _print(judged, key_given=key is not None)
    return 0 if all(one.verdict.verified for one in judged) else 1


def _public_key(given: str) -> str:
    """The key's text: of the file, where there is one of that name."""
    try:
        is_file = Path(given).is_file()
    except (OSError, ValueError):
        is_file = False  # too long for a name, as a key is
    text = given
    if is_file:
        raw = read_file(given, KEY)[: TEXT_MAX + 1]
        # A file of the key's own bytes (DER) holds more than can be written.
        text = as_text(raw) if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in raw) else (
            raw.hex()
        )  # fmt: skip
    read_key(text, given if is_file else "--public-key")
    return text


def _report(i: int, one: Judged) -> dict[str, Any]:
    verdict, record = one.verdict, one.verdict.record
    told: dict[str, Any]
    found: dict[str, Any] = {"number": i + 1, "verified": verdict.verified, "reason": verdict.line}
    if verdict.transaction.energy_wh is not None:
        found["energy_wh"] = _number(verdict.transaction.energy_wh)
    if verdict.transaction.faults:
        found["not_billable"] = verdict.transaction.faults
    if one.begun_in is not None:
        found["begun_in"] = one.begun_in + 1
    told = {"transaction_id": one.signed.transaction_id, "context": one.signed.context}
    if record is not None:
        told |= {
            "algorithm": record.algorithm,
            "meter_serial": record.meter_serial,
            "gateway_serial": record.gateway_serial,
            "pagination": record.pagination,
        }
    found |= {name: value for name, value in told.items() if value}
    for name, reading in (
        ("begin", verdict.transaction.begin), ("end", verdict.transaction.end),
    ):  # fmt: skip
        if reading is not None:
            found[name] = _reading(reading)
    return found


def _reading(reading: Reading) -> dict[str, Any]:
    told: dict[str, Any] = {
        "at": None if reading.at is None else utc_text(reading.at),
        "sync": reading.sync,
        "tx": reading.tx,
        "obis": reading.obis,
        "status": reading.status,
        "error_flags": reading.error_flags,
    }
    found = {name: value for name, value in told.items() if value}
    if reading.register_wh is not None:
        found["register_wh"] = _number(reading.register_wh)
    return found


def _number(value: Decimal) -> int | Decimal:
    """Exact; without places that say nothing."""
    return int(value) if value == value.to_integral_value() else Decimal(f"{value:f}".rstrip("0"))


def _print(judged: Sequence[Judged], *, key_given: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    rows = [_cells(i, one) for i, one in enumerate(judged)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for one, row in zip(judged, rows, strict=True):
        number, serial, page, energy = (
            cell.rjust(size) if column in (0, 3) else cell.ljust(size)
            for column, (cell, size) in enumerate(zip(row, widths, strict=True))
        )
        line = Text(f"{number}  ")
        verified = one.verdict.verified
        line.append("verified    " if verified else "not verified", _style(one))
        line.append(f"  {serial}  {page}  {energy}".rstrip())
        console.print(line)
        for part in textwrap.wrap(visible(one.verdict.line), width() - _MARGIN):
            console.print(Text(" " * _MARGIN + part))
    good = sum(one.verdict.verified for one in judged)
    console.print(Text(f"{good} of {len(judged)} verified."))
    if good and not key_given:
        for part in textwrap.wrap(_KEY_NOTE, width()):
            console.print(Text(part, "dim"))


def _style(one: Judged) -> str:
    if not one.verdict.verified:
        return "bold red"
    return "yellow" if one.verdict.transaction.faults else "green"


def _cells(i: int, one: Judged) -> tuple[str, str, str, str]:
    """Number, serial number, page, and the energy or the register."""
    record, found = one.verdict.record, one.verdict.transaction
    energy = ""
    if found.energy_wh is not None:
        energy = f"{_number(found.energy_wh)} Wh"
    else:
        for name, reading in (("begin", found.begin), ("end", found.end)):
            if reading is not None and reading.register_wh is not None and not found.faults:
                energy = f"{name} at {_number(reading.register_wh)} Wh"
    if record is None:
        return str(i + 1), "", "", energy
    return str(i + 1), visible(record.serial[:40]), visible(record.pagination[:20]), energy
