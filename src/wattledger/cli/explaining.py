"""``wattledger explain``: why a bill is as it is, of an input or of a charge that was stored."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wattledger.cli.bill_text import bill_text
from wattledger.cli.files import inside, read_file
from wattledger.cli.pricing import (
    EXPECTED,
    Priced,
    Refusal,
    price_each,
    price_one,
    read_records,
    tell_refused,
    worst,
)
from wattledger.cli.terms import Asked, read_asked
from wattledger.errors import BadInput, Malformed
from wattledger.rating.codec import decode
from wattledger.rating.model import Charge, LineKind
from wattledger.tariffs.model import Dimension, Tariff
from wattledger.tariffs.reader import read_tariff
from wattledger.wire import exact

_STORED_ID = re.compile(r"(ses|chg)_[a-z0-9]+")
_DIMENSIONS = {LineKind(dimension.value): dimension for dimension in Dimension}


def explain(options: argparse.Namespace) -> int:
    """``wattledger explain``"""
    asked = read_asked(options)
    name: str = options.input
    if _STORED_ID.fullmatch(name) and not Path(name).exists():
        _check_as_is(options, with_tariff=True)
        return _show(asyncio.run(_stored(options.config, name)), options)
    raw = read_file(name, f"{EXPECTED}, a stored charge, or the id of one")
    with inside(name):
        is_charge = _is_charge(raw)
    if is_charge:
        _check_as_is(options, with_tariff=False)
        return _show([_document(name, raw, asked.tariffs)], options)
    listed, records = read_records(name, raw)
    if not listed:
        path, record = records[0]
        return _show([price_one(name, path, record, asked)], options)
    return _show_all(name, records, asked, options)


def _show(found: Sequence[Priced], options: argparse.Namespace) -> int:
    """One charge; of a session with corrections all of its charges."""
    if options.json:
        reports = [one.report() for one in found]
        print(json.dumps(reports[0] if len(reports) == 1 else reports))
        return 0
    print("\n".join(bill_text(one.charge, one.tariffs, reasons=True) for one in found), end="")
    return 0


def _show_all(
    name: str, records: list[tuple[str, bytes]], asked: Asked, options: argparse.Namespace
) -> int:
    codes: Counter[int] = Counter()
    if options.json:
        print("[", end="")
    for i, found in enumerate(price_each(name, records, asked)):
        codes[found.code if isinstance(found, Refusal) else 0] += 1
        if isinstance(found, Refusal):
            tell_refused(name, found)
        if options.json:
            print(",\n" if i else "", json.dumps(found.report()), sep="", end="")
        elif isinstance(found, Priced):
            print("\n" if i else "", end="")
            print(bill_text(found.charge, found.tariffs, reasons=True), end="")
    if options.json:
        print("]")
    return worst(codes)


# --- a charge that was stored ----------------------------------------------------------------


def _is_charge(raw: bytes) -> bool:
    if not raw.lstrip().startswith(b"{"):
        return False
    value = exact.parse(raw)
    if "engine" not in value or "lines" not in value:
        return False
    if isinstance(value.get("exact"), dict):
        raise BadInput("$", "what `price --json` prints", "a charge as it is stored, or the "
                       "session itself; a report has its reasons in it")  # fmt: skip
    return True


def _check_as_is(options: argparse.Namespace, *, with_tariff: bool) -> None:
    names = ["time_zone", "policy", "tax", "discount", "allowance", "fee"]
    for name in [*names, "tariff"] if with_tariff else names:
        value = getattr(options, name)
        if value:
            expected = "nothing here: a charge that was stored is explained as it is"
            raise BadInput(f"--{name.replace('_', '-')}", value, expected)


async def _stored(config: Path, name: str) -> list[Priced]:
    """The charges of a session, or the one, with the tariff's version that priced them."""
    from wattledger import installation  # noqa: PLC0415  (a database's weight)
    from wattledger.db.roles import Role  # noqa: PLC0415

    async with (
        installation.opened(config) as (_, database),
        await database.connect(Role.READER) as conn,
    ):
        cursor = await conn.execute(
            "SELECT c.document, v.body FROM charge c"
            " JOIN config_version v ON v.digest = c.tariff_digest"
            " WHERE (c.session_id = %s OR c.id = %s) AND c.kind = 'charge' ORDER BY c.revision",
            (name, name),
        )
        rows: list[dict[str, Any]] = await cursor.fetchall()
    if not rows:
        raise BadInput("SESSION", name, "the id of a session that is billed, or of a charge")
    return [
        _document(name, bytes(row["document"]), (read_tariff(row["body"], "$"),)) for row in rows
    ]


def _document(name: str, raw: bytes, tariffs: Sequence[Tariff]) -> Priced:
    """A stored charge, once it is sure that these are the tariffs that priced it."""
    with inside(name):
        charge = decode(raw)
        used = tuple(_tariff_of(charge, i, tariffs) for i in range(len(charge.tariffs)))
        try:
            found = Priced(charge, used)
            found.report()
            bill_text(charge, used, reasons=True)
        except (LookupError, StopIteration, ValueError, ArithmeticError, OSError) as error:
            raise Malformed("$", repr(error), "a charge that holds together") from None
    return found


def _tariff_of(charge: Charge, place: int, tariffs: Sequence[Tariff]) -> Tariff:
    """Of those given, the version that the lines were priced by."""
    wanted = charge.tariffs[place].id
    same = [tariff for tariff in tariffs if tariff.id == wanted]
    if not same:
        given = [tariff.id for tariff in tariffs]
        raise BadInput("$.tariffs", given, f"the tariff {wanted!r} that priced it, with --tariff")
    for tariff in same:
        if _fits(charge, place, tariff):
            return tariff
    expected = f"the version of tariff {wanted!r} that priced it: its prices are others"
    raise BadInput("$.lines", f"tariff {wanted!r}", expected)


def _fits(charge: Charge, place: int, tariff: Tariff) -> bool:
    for line in charge.lines:
        if line.tariff != place:
            continue
        if line.kind in _DIMENSIONS:
            if not 0 <= line.element < len(tariff.elements):
                return False
            component = tariff.elements[line.element].component(_DIMENSIONS[line.kind])
            if component is None or (component.price, component.unit) != (
                line.unit_price,
                line.unit,
            ):
                return False
        elif line.kind is LineKind.CAP and not tariff.caps:
            return False
    return True
