"""What the commands do: ``asyncio.run`` over the same functions that the server uses."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from wattledger import installation
from wattledger.clock import DrivenClock, SystemClock
from wattledger.db.roles import Role
from wattledger.db.work import Work, kill_at, no_checkpoint
from wattledger.entitlements.publication import Objection, in_words, refuse
from wattledger.errors import BadInput
from wattledger.gateway import auth
from wattledger.ledger import proof
from wattledger.money import format_minor
from wattledger.pipeline import reconcile as step
from wattledger.pipeline.world import World
from wattledger.serve import ROLES, Options
from wattledger.serve import serve as run_server


def apply(path: Path, valid_from: datetime | None, *, as_json: bool) -> int:
    """``wattledger apply``"""

    async def run() -> tuple[list[Any], list[Objection]]:
        async with installation.opened(path) as (config, database):
            now = await business_now(database)
            found = installation.objections(config, now, valid_from)
            refuse(found)
            return await installation.apply(config, database, now, valid_from), [*found]

    changes, warnings = asyncio.run(run())
    if as_json:
        found = {"changes": changes, "warnings": warnings}
        print(json.dumps(msgspec.to_builtins(found)))
        return 0
    for warning in warnings:
        print(f"warning: {in_words(warning)}", file=sys.stderr)
    if not changes:
        print("Nothing changed: what the file says is in force already.")
        return 0
    table = Table("What", "Kind", "Key", "Version", box=None, pad_edge=False)
    for change in changes:
        table.add_row(change.what, change.kind, change.key, (change.digest or "–")[:12])
    Console().print(table)
    return 0


def serve(options: argparse.Namespace, business_time: datetime | None) -> int:
    """``wattledger serve``"""
    logging.basicConfig(
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("websockets").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("stripe").setLevel(logging.WARNING)
    chosen = Options(
        config=options.config,
        roles=frozenset(options.role or ROLES),
        business_time=business_time,
        checkpoint=kill_at(options.kill_at) if options.kill_at else no_checkpoint,
    )

    def ready(ports: dict[str, int]) -> None:
        if options.json_ready:
            print(json.dumps({"ready": True, **ports}), flush=True)
            return
        for name, port in ports.items():
            scheme = "wss" if name == "ocpp_tls_port" else "ws"
            what = "page and API: http" if name == "http_port" else f"charge points: {scheme}"
            path = "/" if name == "http_port" else "/ocpp/<charge point id>"
            print(f"{what}://127.0.0.1:{port}{path}", flush=True)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_server(chosen, ready))
    return 0


def verify(path: Path, *, as_json: bool) -> int:
    """``wattledger verify``: 0 when the ledger is proved, 1 when it is not."""

    async def run() -> proof.Proof:
        async with (
            installation.opened(path) as (_, database),
            await database.connect(Role.READER) as conn,
            conn.transaction(),
        ):
            return await proof.prove(conn)

    found = asyncio.run(run())
    if as_json:
        print(json.dumps({"proved": found.proved, **msgspec.to_builtins(found)}))
        return 0 if found.proved else 1
    console = Console()
    console.print(
        f"{found.entries} entries, {found.postings} postings, {found.charges} charges:"
        f" {found.checks} checks."
    )
    for finding in found.findings:
        console.print(f"[bold red]≠[/] {finding.check}: {finding.subject} {finding.message}")
    if found.proved:
        console.print("[bold green]✓[/] proved")
        return 0
    console.print("Not proved. Nothing was changed; restore from a backup or call for help.")
    return 1


def reconcile(path: Path, *, as_json: bool) -> int:
    """``wattledger reconcile``: 0 whether or not there are breaks; they are its result."""

    async def run() -> list[dict[str, Any]]:
        async with installation.opened(path) as (_, database):
            pool = await database.open_pool(Role.APP, 1, 4)
            async with pool:
                world = World(Work(pool, DrivenClock(await business_now(database))))
                await step.reconcile(world)
                async with pool.connection() as conn:
                    cursor = await conn.execute(
                        "SELECT leg, code, cause, proposal, currency, amount_minor, energy_wh"
                        " FROM break WHERE resolved_at IS NULL ORDER BY leg, code, item_id"
                    )
                    return await cursor.fetchall()

    breaks = asyncio.run(run())
    if as_json:
        print(json.dumps({"breaks": breaks}))
        return 0
    if not breaks:
        print("Everything agrees: no breaks.")
        return 0
    table = Table("Leg", "Code", "Difference", "Cause", "Proposal", box=None, pad_edge=False)
    for row in breaks:
        money = row["amount_minor"] is not None
        difference = (
            format_minor(row["amount_minor"], row["currency"])
            if money
            else f"{row['energy_wh']} Wh"
        )
        table.add_row(row["leg"], row["code"], difference, row["cause"], row["proposal"])
    Console().print(table)
    return 0


def hash_password() -> int:
    """``wattledger hash-password``"""
    password = sys.stdin.readline().rstrip("\n")
    if len(password) < 16:
        raise BadInput(
            "standard input", f"{len(password)} characters",
            "a password of 16 characters at least (OCPP security: 16 to 40)",
        )  # fmt: skip
    print(auth.hash_password(password, secrets.token_bytes(16)))
    return 0


async def business_now(database: Any) -> datetime:
    """The driven clock's time where there is one, else the machine's."""
    async with await database.connect(Role.READER) as conn:
        cursor = await conn.execute("SELECT now FROM driven_clock")
        row = await cursor.fetchone()
    now: datetime = row["now"] if row else SystemClock().now()
    return now.astimezone(UTC)
