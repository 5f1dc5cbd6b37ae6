"""``wattledger import``: finished sessions out of a file, through the same step as the API's."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from wattledger import config as configuration
from wattledger import installation
from wattledger.cli.files import inside, read_file
from wattledger.cli.import_command import FORMATS
from wattledger.cli.import_report import Figures, Report, rejection
from wattledger.cli.import_sources import Candidate, Source, open_source
from wattledger.clock import DrivenClock, SystemClock
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.entitlements import Directory, Snapshot
from wattledger.errors import BadInput, Conflict
from wattledger.pipeline.importing import import_cdrs
from wattledger.pipeline.importing.import_preview import Preview
from wattledger.pipeline.importing.imports import Item, Outcome, Snapshots, take_all
from wattledger.pipeline.world import World
from wattledger.section import Activation
from wattledger.sessions import sent
from wattledger.sessions.finished import renamed
from wattledger.wire.mapping import MapFile, fields_of, read_mapping
from wattledger.wire.ocpi.cdrs import check_version, number_of

_BATCH, _TOGETHER = 50, 4
_BAR_AFTER_S = 2.0


def run(options: argparse.Namespace) -> int:
    """``wattledger import``"""
    mapping = _mapping(options.mapping)
    form = _form(options, mapping)
    version = options.ocpi_version and check_version(options.ocpi_version)
    figures = Figures()
    with inside(str(options.file)):
        source = open_source(options.file, form, mapping)
        delimiter, encoding = (mapping.delimiter, mapping.encoding) if mapping else (",", "utf-8")
        with Report(_report_path(options, form), source.header, delimiter, encoding) as report:
            work = _Import(source, mapping, version, figures, report)
            note = asyncio.run(_work(options, work))
    if not figures.new + figures.known + figures.rejected:
        raise BadInput(str(options.file), "no records", "at least one")
    written = report.path if report.written else None
    if options.json:
        print(json.dumps(figures.body(dry_run=options.dry_run, report=written, note=note)))
    else:
        figures.show(dry_run=options.dry_run, report=written, note=note)
    return 1 if figures.rejected else 0


def _mapping(path: Path | None) -> MapFile | None:
    if path is None:
        return None
    with inside(str(path)):
        return read_mapping(read_file(str(path), "a mapping in TOML"))


def _form(options: argparse.Namespace, mapping: MapFile | None) -> str:
    ending = options.file.suffix.lower().removeprefix(".")
    form: str | None = options.format or (mapping.format if mapping else None)
    form = form or (ending if ending in FORMATS else None)
    if form is None:
        raise BadInput(
            "--format", None, f"one of {', '.join(FORMATS)}: the file's ending says none"
        )
    if form == "csv" and mapping is None:
        raise BadInput("--mapping", None, "a mapping: a CSV does not say what its columns mean")
    return form


def _report_path(options: argparse.Namespace, form: str) -> Path | None:
    if options.rejected is not None:
        return Path(options.rejected)
    if options.dry_run:
        return None
    ending = "csv" if form == "csv" else "json"
    return Path(f"{options.file}.rejected.{ending}")


@dataclass(frozen=True)
class _Import:
    """One file on its way in."""

    source: Source
    mapping: MapFile | None
    version: str | None
    figures: Figures
    report: Report

    @property
    def inbox(self) -> str:
        return "ocpi" if self.source.kind == "ocpi" else "import"

    @property
    def names(self) -> dict[str, str]:
        """What the file calls a field of a session: its column or path."""
        fields = fields_of(self.mapping) if self.mapping is not None else ()
        return {path.partition(".")[2]: field.from_ for path, field in fields if field.from_}


async def _work(options: argparse.Namespace, work: _Import) -> str | None:
    """Take the file, or look at what would be; a note on what was looked at."""
    config = configuration.read(options.config)
    if options.dry_run and _has_no_database(config, options.config):
        entries = [
            Activation(seq, v.kind, v.key, installation.BEGINNING, v.digest, v.body)
            for seq, v in enumerate(configuration.versions(config), 1)
        ]
        directory = Directory(entries)

        async def snapshots(at: datetime) -> Snapshot:
            return directory.at(at)

        preview = Preview(snapshots, SystemClock().now(), work.inbox, None)
        await _through(work, snapshots, preview.look)
        return f"There is no database yet: checked against {options.config} as it stands."
    async with installation.opened(options.config) as (_, database):
        role = Role.READER if options.dry_run else Role.APP
        async with _world(database, role) as world:
            if options.dry_run:
                async with await database.connect(Role.READER) as conn:
                    preview = Preview(world.snapshot, world.now, work.inbox, conn)
                    await _through(work, world.snapshot, preview.look)
                return None

            async def take(items: list[Item]) -> list[Outcome]:
                return await take_all(world, work.inbox, items)

            await _through(work, world.snapshot, take, _TOGETHER)
    return None


def _has_no_database(config: configuration.Config, path: Path) -> bool:
    """An embedded one that was never started: a dry run does not make it either."""
    section = config.database
    return section.dsn_env is None and not (path.parent / section.data_dir).exists()


@asynccontextmanager
async def _world(database: Database, role: Role) -> AsyncIterator[World]:
    """At the time of the driven clock where there is one, else the machine's."""
    async with await database.connect(Role.READER) as conn:
        row = await (await conn.execute("SELECT now FROM driven_clock")).fetchone()
    clock = DrivenClock(row["now"]) if row else SystemClock()
    async with await database.open_pool(role, 1, _TOGETHER + 2) as pool:
        yield World(Work(pool, clock))


_Take = Callable[[list[Item]], Awaitable[list[Outcome]]]


async def _through(work: _Import, snapshots: Snapshots, take: _Take, together: int = 1) -> None:
    """The file in batches, so many ``together``: the database works on one while the next is read.
    Each record is counted, or refused with what to do."""
    with _bar(work.source) as moved:
        candidates = iter(work.source.candidates)
        while some := list(islice(candidates, _BATCH * together)):
            batches = [some[i : i + _BATCH] for i in range(0, len(some), _BATCH)]
            tasks = []
            async with asyncio.TaskGroup() as group:
                for batch in batches:
                    tasks.append(group.create_task(_batch(work, snapshots, take, batch)))
            # In the order of the file, whichever batch was done first.
            for task in tasks:
                for result in task.result():
                    await _count(work, snapshots, result)
            moved(work.source.position())


class _Result(NamedTuple):
    """A record with its session, or with why there is none."""

    candidate: Candidate
    item: Item | None
    error: BadInput | Conflict | None
    new: bool = False


async def _batch(
    work: _Import, snapshots: Snapshots, take: _Take, batch: list[Candidate]
) -> list[_Result]:
    results: list[_Result] = []
    ready: list[tuple[int, Item, Mapping[str, str]]] = []
    for candidate in batch:
        item, unread, spoken = await _read(work, snapshots, candidate)
        if item is not None:
            ready.append((len(results), item, spoken))
        results.append(_Result(candidate, item, unread))
    outcomes = await take([item for _, item, _ in ready])
    for (at, item, spoken), outcome in zip(ready, outcomes, strict=True):
        error = outcome.error
        told = renamed(error, spoken) if isinstance(error, BadInput) else error
        results[at] = _Result(results[at].candidate, item, told, outcome.new)
    return results


async def _count(work: _Import, snapshots: Snapshots, result: _Result) -> None:
    if result.error is not None or result.item is None:
        assert result.error is not None, "it is one or the other"
        _refuse(work, result.candidate, result.error)
        return
    session = result.item.session
    place = (await snapshots(session.started_at)).place_of(session.charge_point_id)
    site = place[0].id if place else "?"
    work.figures.add(site, session.energy_wh, session.started_at, new=result.new)


async def _read(
    work: _Import, snapshots: Snapshots, candidate: Candidate
) -> tuple[Item | None, BadInput | None, Mapping[str, str]]:
    if candidate.cdr is None:
        return candidate.item, candidate.error, sent.NAMES
    try:
        found = await import_cdrs.read(snapshots, candidate.cdr, candidate.place, work.version)
    except BadInput as error:
        return None, error, {}
    return found.item, None, found.names


def _refuse(work: _Import, candidate: Candidate, error: Exception) -> None:
    key = candidate.id
    if key is None and candidate.cdr is not None:
        key = number_of(candidate.cdr)
    found = rejection(candidate.place, key, error, work.names)
    work.figures.refuse(found)
    work.report.add(found, candidate.records)


def _is_terminal() -> bool:
    return sys.stderr.isatty()


@contextmanager
def _bar(source: Source) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, once it takes longer than a glance."""
    began = time.monotonic()
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
        console=console, transient=True,
    )  # fmt: skip
    task = bar.add_task("Importing", total=source.size)

    def moved(to: int) -> None:
        if not _is_terminal():
            return
        if not bar.live.is_started and time.monotonic() - began > _BAR_AFTER_S:
            bar.start()
        bar.update(task, completed=to)

    try:
        yield moved
    finally:
        if bar.live.is_started:
            bar.stop()
