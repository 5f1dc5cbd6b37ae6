"""``wattledger frames``: a charge point's raw frames, shown or handled once more."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
from rich.console import Console
from rich.table import Table

from wattledger import installation
from wattledger.clock import utc_text
from wattledger.db.roles import Role
from wattledger.gateway.replay import Replayed, replayable
from wattledger.gateway.replay import replay as handle_again
from wattledger.ingest import frames as store
from wattledger.ingest.frames import StoredFrame
from wattledger.wire.numbers import parse_time

_SHOWN_MAX = 10_000
_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


async def _stored(
    options: argparse.Namespace, replaying: bool
) -> tuple[list[StoredFrame], Replayed]:
    until = parse_time(options.until, "--to") if options.until else _FOREVER
    async with (
        installation.opened(options.config) as (_, database),
        await database.open_pool(Role.APP, 1, 4) as pool,
    ):
        async with pool.connection() as conn:
            since = parse_time(options.since, "--from") if options.since else None
            if since is None:
                last = await store.last(conn, options.charge_point, until)
                since = (last or until) - timedelta(days=1)
            limit = None if replaying else _SHOWN_MAX
            found = await store.of(conn, options.charge_point, since, until, limit=limit)
        if replaying and not options.dry_run:
            return found, await handle_again(pool, options.charge_point, found)
    return found, Replayed({})


def show(options: argparse.Namespace) -> int:
    """``wattledger frames show``"""
    found, _ = asyncio.run(_stored(options, replaying=False))
    if options.json:
        rows = [{**frame._asdict(), "received_at": utc_text(frame.received_at)} for frame in found]
        print(json.dumps({"frames": rows}))
        return 0
    for frame in found:
        arrow = "→" if frame.direction == "in" else "←"
        print(utc_text(frame.received_at), frame.connection_id, arrow, frame.raw)
    if len(found) == _SHOWN_MAX:
        print(f"The first {_SHOWN_MAX}: go on with --from.")
    return 0


def replay(options: argparse.Namespace) -> int:
    """``wattledger frames replay``: 1 when a frame still can't be taken."""
    stored, done = asyncio.run(_stored(options, replaying=True))
    if options.dry_run:
        would = Counter(message.action for _, _, message in replayable(stored))
        done = Replayed(dict(would))
    if options.json:
        print(json.dumps({"dry_run": options.dry_run, **msgspec.to_builtins(done)}))
        return 1 if done.failed else 0
    table = Table("Action", "would be handled" if options.dry_run else "handled", box=None)
    for action, count in sorted(done.handled.items()):
        table.add_row(action, str(count))
    console = Console()
    console.print(table)
    for failure in done.failed:
        console.print(
            f"[bold red]≠[/] {utc_text(failure.received_at)} {failure.action}: {failure.why}"
        )
    return 1 if done.failed else 0
