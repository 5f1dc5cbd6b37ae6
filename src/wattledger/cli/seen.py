"""What ``wattledger sessions`` and ``wattledger anomalies`` do."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from wattledger import installation
from wattledger.api import query
from wattledger.api import seen as read
from wattledger.cli import money_one, seen_text
from wattledger.cli.running import business_now
from wattledger.clock import DrivenClock
from wattledger.db.connect import Connection
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.ingest import anomalies as store
from wattledger.pipeline.billing.decisions import offers
from wattledger.pipeline.billing.resolve import Act, Edge, Resolved, resolve
from wattledger.pipeline.deciding import money_view
from wattledger.pipeline.world import World
from wattledger.wire.numbers import parse_time

T = TypeVar("T")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def sessions(options: argparse.Namespace) -> int:
    """``wattledger sessions``: the list, or one."""
    if options.id:
        return _session(options)
    if options.frames:
        raise BadInput("--frames", True, "the ID of a session with it")
    wanted = {
        "state": options.state, "site": options.site, "charge_point": options.charge_point,
        "token": options.token,
        "from": time_of(options.since, "--since"), "q": (options.find or "").strip() or None,
    }  # fmt: skip
    limit = limit_of(options)

    async def ask(conn: Connection) -> list[dict[str, Any]]:
        return await read.read_sessions(conn, wanted, limit, newest_first=True)

    rows = reading(options.config, ask)
    if options.json:
        _print_json({"sessions": rows})
    else:
        seen_text.sessions(rows, filtered=any(wanted.values()), limit=limit)
    return 0


def _session(options: argparse.Namespace) -> int:
    async def run() -> tuple[dict[str, Any], datetime]:
        async with installation.opened(options.config) as (_, database):
            now = await business_now(database)
            async with await database.connect(Role.READER) as conn, conn.transaction():
                found = await read.read_session(conn, options.id, frames=options.frames)
                return found | await _money(conn, options.id, now), now

    try:
        found, now = asyncio.run(run())
    except NotFound:
        raise BadInput("ID", options.id, "the id of a session: `wattledger sessions` lists them"
                       ) from None  # fmt: skip
    if options.json:
        _print_json(found)
    else:
        seen_text.session(found)
        money_one.of_session(found["payments"], found["debts"], found["refunds"], now)
        seen_text.frames(found)
    return 0


async def _money(conn: Connection, session_id: str, now: datetime) -> dict[str, Any]:
    """What became of its price: payments with all that was done, refunds and debts."""
    paid = await money_view.payments(conn, {"session": session_id}, now, query.PAGE_MAX)
    return {
        "payments": [await money_view.payment(conn, row["id"], now) for row in paid],
        "debts": await money_view.debts(conn, session=session_id, open_only=False),
        "refunds": await money_view.refunds(conn, session=session_id),
    }


def anomalies(options: argparse.Namespace) -> int:
    """``wattledger anomalies``: the newest first."""
    limit = limit_of(options)

    async def ask(conn: Connection) -> list[store.Anomaly]:
        return await store.listed(
            conn, limit=limit, open_only=None if options.all else True, code=options.code,
            newest_first=True,
        )  # fmt: skip

    found = [read.anomaly_shown(one) for one in reading(options.config, ask)]
    if options.json:
        _print_json({"anomalies": found})
    else:
        seen_text.anomalies(found, code=options.code, limit=limit)
    return 0


def show(options: argparse.Namespace) -> int:
    """``wattledger anomalies show``"""

    async def ask(world: World) -> tuple[dict[str, Any], Any]:
        async with world.work.pool.connection() as conn:
            found = await store.get(conn, options.id)
            if found is None:
                raise _no_such(options.id)
            return read.anomaly_shown(found), await offers(world, conn, found)

    shown, offered = working(options.config, ask)
    if options.json:
        _print_json({**shown, "acts": offered.acts})
    else:
        seen_text.anomaly(shown, offered)
    return 0


def act(options: argparse.Namespace) -> int:
    """``wattledger anomalies accept|correct|discard``: 1 where it was decided otherwise before, or
    where that can't be decided."""
    asked = Act(
        act=options.act,
        reason=options.reason,
        start=_edge(options, "start"),
        stop=_edge(options, "stop"),
        kind=getattr(options, "kind", None),
    )

    by = options.by or user()

    async def do(world: World) -> Resolved:
        return await resolve(world, options.id, asked, f"cli:{by}")

    try:
        done = working(options.config, do)
    except NotFound:
        raise _no_such(options.id) from None
    except Conflict as error:
        if options.json:
            _print_json({"error": str(error)})
        print(f"wattledger: {error}", file=sys.stderr)
        return 1
    if options.json:
        _print_json(msgspec.to_builtins(done))
    else:
        seen_text.done(done)
    return 0


def _edge(options: argparse.Namespace, name: str) -> Edge:
    at = getattr(options, f"{name}_at", None)
    return Edge(
        at=parse_time(at, f"--{name}-at") if at else None,
        register_wh=getattr(options, f"{name}_wh", None),
    )


def user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user has no name
        raise BadInput("--by", None, "a name: this machine has none for its user") from None


def _no_such(number: int) -> BadInput:
    return BadInput("NUMBER", number, "the number of an anomaly: `wattledger anomalies` lists them")


def limit_of(options: argparse.Namespace) -> int:
    limit: int = options.limit
    if not 1 <= limit <= query.PAGE_MAX:
        raise BadInput("--limit", limit, f"a number from 1 to {query.PAGE_MAX}")
    return limit


def time_of(text: str | None, name: str) -> datetime | None:
    """A time with a zone, or a day, which begins in UTC."""
    if not text:
        return None
    return parse_time(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text, name)


def reading(config: Path, ask: Callable[[Connection], Awaitable[T]]) -> T:
    """What ``ask`` reads, in one snapshot."""

    async def run() -> T:
        async with (
            installation.opened(config) as (_, database),
            await database.connect(Role.READER) as conn,
            conn.transaction(),
        ):
            return await ask(conn)

    return asyncio.run(run())


def working(config: Path, do: Callable[[World], Awaitable[T]]) -> T:
    """What ``do`` does with the pipeline, beside a server or without one."""

    async def run() -> T:
        async with installation.opened(config) as (_, database):
            pool = await database.open_pool(Role.APP, 1, 4)
            async with pool:
                return await do(World(Work(pool, DrivenClock(await business_now(database)))))

    return asyncio.run(run())


def _print_json(value: Any) -> None:
    print(json.dumps(msgspec.to_builtins(value)))
