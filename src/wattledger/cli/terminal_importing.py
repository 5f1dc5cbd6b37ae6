"""``wattledger terminal import``: a vendor's file of payments, through the same step as the API."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wattledger import installation
from wattledger.cli.files import inside, read_file
from wattledger.clock import DrivenClock, SystemClock
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.payments.terminal import files
from wattledger.payments.terminal.files import Line, PaymentMap
from wattledger.pipeline.terminals import terminal_reports
from wattledger.pipeline.world import World

_FORMS = {".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl"}


@dataclass
class _Figures:
    new: int = 0
    known: int = 0
    matched: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)


def run(options: argparse.Namespace) -> int:
    """``wattledger terminal import``"""
    form = _FORMS.get(options.file.suffix.lower())
    if form is None:
        raise BadInput(str(options.file), options.file.suffix, "a file in .csv or .jsonl")
    mapping = _mapping(options.mapping)
    raw = read_file(str(options.file), "payments that a terminal's vendor reports")
    with inside(str(options.file)):
        found = list(files.lines(raw, form, mapping))
    if not found:
        raise BadInput(str(options.file), "no payments", "at least one")
    figures = _Figures()
    asyncio.run(_work(options, found, figures))
    _show(options, figures)
    return 1 if figures.refused else 0


def _mapping(path: Path | None) -> PaymentMap:
    if path is None:
        return PaymentMap()
    with inside(str(path)):
        return files.read_map(read_file(str(path), "a mapping in TOML"))


async def _work(options: argparse.Namespace, found: list[Line], figures: _Figures) -> None:
    async with installation.opened(options.config) as (_, database):
        async with await database.connect(Role.READER) as conn:
            row = await (await conn.execute("SELECT now FROM driven_clock")).fetchone()
        clock = DrivenClock(row["now"]) if row else SystemClock()
        async with await database.open_pool(Role.APP, 1, 2) as pool:
            world = World(Work(pool, clock))
            snapshot = await world.snapshot(world.now)
            try:
                vendor = terminal_reports.vendor_of(snapshot, options.vendor)
            except NotFound as error:
                raise BadInput("--vendor", options.vendor, str(error)) from None
            for line in found:
                await _one(world, vendor.id, line, figures, dry_run=options.dry_run)


async def _one(
    world: World, vendor_id: str, line: Line, figures: _Figures, *, dry_run: bool
) -> None:
    if line.report is None:
        assert line.error is not None, "it is one or the other"
        _refuse(figures, line, line.error)
        return
    try:
        if dry_run:
            await terminal_reports.check(world, vendor_id, line.report, line.place)
            return
        taken = await terminal_reports.take(world, vendor_id, line.report, line.place)
    except (BadInput, Conflict) as error:
        _refuse(figures, line, error)
        return
    figures.new += taken.new
    figures.known += not taken.new
    figures.matched += taken.session_id is not None


def _refuse(figures: _Figures, line: Line, error: Exception) -> None:
    told: dict[str, Any] = {"place": line.place, "error": str(error)}
    if line.report is not None:
        told["reference"] = line.report.reference
    if isinstance(error, BadInput):
        told |= {"path": error.path, "got": repr(error.got)[:200], "expected": error.expected}
    figures.refused.append(told)


def _show(options: argparse.Namespace, figures: _Figures) -> None:
    if options.json:
        print(json.dumps({
            "new": figures.new, "known": figures.known, "rejected": figures.refused,
            "dry_run": options.dry_run,
        }))  # fmt: skip
        return
    for told in figures.refused:
        print(f"{told['place']}: {told['error']}")
    if options.dry_run:
        print(f"{len(figures.refused)} would be refused; nothing was written")
    else:
        print(f"{figures.new} taken, {figures.known} known before, {len(figures.refused)} refused")
