"""What becomes of money, in processes of its own: ``wattledger serve`` collects from the stand-in
processor, at its limit and without one, and after a ``kill -9``. ``--json`` prints one object;
``--sessions N`` makes the backlog smaller, ``--stops N`` the last part."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import stripe
from points import PASSWORD
from rich.console import Console
from rich.table import Table

from wattledger.clock import DrivenClock
from wattledger.config import parse, read
from wattledger.db.connect import Database
from wattledger.db.effects import Effect
from wattledger.db.migrate import migrate
from wattledger.db.roles import Role
from wattledger.db.work import Work, no_checkpoint
from wattledger.demo.setup import to_toml
from wattledger.gateway.auth import hash_password
from wattledger.gateway.connection import Peer
from wattledger.gateway.server import PROTOCOLS
from wattledger.installation import apply, open_database
from wattledger.payments.model import Processor
from wattledger.payments.stripe.client import StripeGate
from wattledger.pipeline.world import World
from wattledger.wire.ocpp.frames import Call, CallResult
from wattledger.worker import Worker

HERE = Path(__file__).parent
KEY, SECRET = "sk_test_sandbox", "whsec_sandbox"
BACKLOG, STOPS, FLOOR = 10_000, 200, 1_000
# What Stripe takes of one endpoint in a second, and of everything in test mode.
LIMIT_PER_S, AT_LIMIT_S = 25, 20
POINTS, AT_ONCE, STOPS_PER_S = 500, 8, 10
ENERGY_WH, COST_MINOR = 1_000, 130  # 1.00 and 1 kWh at 0.30
_STUCK_S = 60
_CAPTURED = "SELECT count(*) AS n FROM payment WHERE state = 'captured'"


def configuration(sandbox_url: str, rate_per_s: int, settle_s: int) -> dict[str, Any]:
    """One site, guests' cards on file, a price that is above what the processor takes at least."""
    auth = hash_password(PASSWORD, b"salt-of-the-bench")
    parts = [{"dimension": "flat", "price": "1.00", "unit": "session"},
             {"dimension": "energy", "price": "0.30", "unit": "kWh"}]  # fmt: skip
    return {
        "server": {"ocpp_port": 0, "http_port": 0},
        "policies": {"meter_interval_s": 0, "settle_window_s": settle_s,
                     "charges_per_driver_per_day_max": 1_000_000},
        "entity": [{"id": "e", "name": "E", "currency": "USD", "time_zone": "UTC"}],
        "processor": [
            {"id": "p", "entity": "e", "kind": "stripe", "api_key_env": "BENCH_KEY",
             "webhook_secret_env": "BENCH_HOOKS", "base_url": sandbox_url,
             "rate_per_s": rate_per_s, "endpoint_rate_per_s": rate_per_s,
             "holds": [{"amount": "25.00"}]}
        ],
        "plan": [{"id": "card", "name": "Card", "route": "card"}],
        "account": [
            {"id": f"a-{i}", "name": f"A {i}", "plan": "card", "tokens": [f"T-{i}"],
             "payment_method": "pm_card_visa"} for i in range(100)
        ],
        "site": [
            {"id": "s", "name": "S", "entity": "e", "time_zone": "UTC", "tariff": "t",
             "processor": "p",
             "charge_points": [
                 {"id": f"CP-{i}", "power_w": 22_000, "auth": auth} for i in range(POINTS)]}
        ],
        "tariff": [
            {"id": "t", "name": "T", "currency": "USD",
             "elements": [{"name": "all", "components": parts}]}
        ],
    }  # fmt: skip


class Stripe:
    """The stand-in as a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.AsyncClient(trust_env=False, timeout=120)
        self.sdk = stripe.StripeClient(
            KEY, base_addresses={"api": url}, http_client=stripe.HTTPXClient(timeout=60),
            max_network_retries=0,
        )  # fmt: skip

    async def limits(self, mode: str) -> None:
        """``off`` or ``test``."""
        answer = await self._http.post(f"{self.url}/_sim/limits", json={"limits": mode})
        answer.raise_for_status()

    async def refused(self) -> int:
        """How many calls were above the limit since it was switched on."""
        return int((await self._http.get(f"{self.url}/_sim/limits")).json()["refused"])

    async def captured(self) -> list[int]:
        """What was taken of each intent of which something was."""
        found: list[int] = []
        page = await self.sdk.v1.payment_intents.list_async({"limit": 100})
        async for intent in page.auto_paging_iter():
            if intent.amount_received and intent.metadata and "session_id" in intent.metadata:
                found.append(intent.amount_received)
        return found


@asynccontextmanager
async def process(*command: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Any]]:
    """Started, with its first line; ended at the end."""
    found = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.PIPE,
        limit=2**20, env={**os.environ, "BENCH_KEY": KEY, "BENCH_HOOKS": SECRET},
    )  # fmt: skip
    try:
        yield (
            found,
            json.loads(await _line(found)) if not command[-1].endswith("points.py") else None,
        )
    finally:
        with contextlib.suppress(ProcessLookupError):
            found.terminate()
        await found.wait()


async def _line(found: asyncio.subprocess.Process) -> bytes:
    assert found.stdout is not None
    line = await found.stdout.readline()
    if not line:
        raise RuntimeError("a process of the bench has ended: see its error above")
    return line


@asynccontextmanager
async def stand_in() -> AsyncIterator[Stripe]:
    """Its clock runs; its limits are switched on when they are measured."""
    async with process("-m", "wattledger.sandbox", "--clock", "running") as (_, ready):
        yield Stripe(f"http://127.0.0.1:{ready['port']}")


def serving(path: Path, *roles: str) -> Any:
    """``wattledger serve``."""
    chosen = [part for role in roles for part in ("--role", role)]
    return process("-m", "wattledger.cli.main", "serve", "--config", str(path), *chosen,
                   "--json-ready", "--log-level", "error")  # fmt: skip


@dataclass
class House:
    """A configuration on disk and its database."""

    path: Path
    database: Database

    async def one(self, query: str, *values: object) -> Any:
        async with await self.database.connect(Role.READER) as conn:
            row = await (await conn.execute(query.encode(), values)).fetchone()
            assert row is not None
            return row

    def configure(self, sandbox_url: str, rate_per_s: int, settle_s: int) -> None:
        body = configuration(sandbox_url, rate_per_s, settle_s)
        self.path.write_text(to_toml(body), encoding="utf-8")


@asynccontextmanager
async def house(sandbox_url: str, rate_per_s: int, settle_s: int) -> AsyncIterator[House]:
    """In a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="wattledger-bench-") as folder:
        of = _prepare(Path(folder), configuration(sandbox_url, rate_per_s, settle_s))
        try:
            yield of
        finally:
            of.database.close()


def _prepare(home: Path, body: dict[str, Any]) -> House:
    home.chmod(0o755)  # as root the database runs as another user
    path = home / "wattledger.toml"
    path.write_text(to_toml(body), encoding="utf-8")
    database: Database = open_database(read(path), home)
    migrate(database.conninfo(Role.OWNER))
    return House(path, database)


class _OnlyStripe:
    """The way out while the backlog is made."""

    def __init__(self, gate: StripeGate) -> None:
        self._gate = gate

    def lanes(self) -> list[str]:
        return []

    async def gate(self, effect: Effect) -> StripeGate | None:
        return self._gate if effect.kind.startswith("stripe.") else None


async def backlog(of: House, sandbox_url: str, count: int) -> None:
    """``count`` sessions, held and ended two hours ago by a clock that stands still meanwhile: all
    of them are due when somebody comes whose clock runs."""
    clock = DrivenClock(datetime.now(UTC) - timedelta(hours=2))
    parsed = parse(configuration(sandbox_url, 1000, 3600))
    await apply(parsed, of.database, clock.now())
    pool = await of.database.open_pool(Role.APP, 4, 20)
    async with pool:
        world = World(Work(pool, clock))
        await world.refresh()
        (processor,) = (p for p in parsed.processor if isinstance(p, Processor))
        gate = StripeGate(processor, {"BENCH_KEY": KEY}.__getitem__)
        worker = Worker(
            world, _OnlyStripe(gate), lambda: of.database.connect(Role.APP), no_checkpoint
        )
        await worker.begin()
        for first in range(0, count, POINTS):
            many = min(POINTS, count - first)
            numbers = await _each(many, lambda i: _start(world, i))
            await worker.drain(600)
            await _each(many, lambda i, n=numbers: _stop(world, i, n[i]))  # type: ignore[misc]
            # A start that says the same again would be the same start.
            clock.advance(clock.now() + timedelta(minutes=1))
            say(f"{first + many:,} sessions are held and ended")
        await worker.end()


async def _each(count: int, do: Any) -> list[Any]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(i: int) -> Any:
        async with turns:
            return await do(i)

    return await asyncio.gather(*(one(i) for i in range(count)))


async def _start(world: World, i: int) -> int:
    found = await _say(world, i, "StartTransaction", {
        "connectorId": 1, "idTag": f"T-{i % 100}", "meterStart": 0,
        "timestamp": world.now.isoformat()})  # fmt: skip
    return int(found["transactionId"])


async def _stop(world: World, i: int, number: int) -> None:
    at = world.now.isoformat()
    await _say(world, i, "StopTransaction", {
        "transactionId": number, "meterStop": ENERGY_WH, "timestamp": at,
        "reason": "EVDisconnected"})  # fmt: skip
    await _say(world, i, "StatusNotification", {
        "connectorId": 1, "errorCode": "NoError", "status": "Available",
        "timestamp": at})  # fmt: skip


async def _say(world: World, i: int, action: str, payload: dict[str, Any]) -> dict[str, Any]:
    peer = Peer(world, f"CP-{i}", PROTOCOLS["ocpp1.6"])
    answer = await peer.answer(Call(f"{action}-{i}", action, payload))
    assert isinstance(answer, CallResult), answer
    return answer.payload


async def at_the_limit(of: House, stand: Stripe, many: int) -> dict[str, Any]:
    """Captures for as long as a bucket of the limit can't hide the rate, and how many a second."""
    say(f"{many} captures at the limit")
    await stand.limits("test")
    async with serving(of.path, "worker"):
        await _until(of, many)
        refused = await stand.refused()
    await stand.limits("off")
    row = await of.one(
        "SELECT count(*) AS n, extract(epoch FROM max(settled_at) - min(settled_at))::float AS s"
        " FROM effect WHERE kind = 'stripe.capture' AND state = 'done'"
    )
    per_s = (row["n"] - 1) / row["s"]
    return {"limit_per_s": LIMIT_PER_S, "captures": row["n"], "per_s": round(per_s, 2),
            "ratio": round(per_s / LIMIT_PER_S, 3), "refused": refused}  # fmt: skip


async def _until(of: House, many: int) -> None:
    """Another process collects; one that has stopped to is no measurement."""
    seen, moved_at = -1, time.perf_counter()
    while True:
        asked_at = time.perf_counter()
        found = (await of.one(_CAPTURED))["n"]
        now = time.perf_counter()
        if found >= many:
            return
        if found != seen:
            seen, moved_at = found, now
        if now - moved_at > _STUCK_S:
            raise RuntimeError(f"{seen} of {many} captured, and no more")
        # Counting 10,000 takes the database's time from those who are measured.
        await asyncio.sleep(max(0.05, 20 * (now - asked_at)))


async def collected(of: House, stand: Stripe, total: int) -> dict[str, Any]:
    """The rest of the backlog without a limit, killed in the middle."""
    before = (await of.one(_CAPTURED))["n"]
    say(f"{total - before:,} sessions without a limit, killed in the middle")
    async with serving(of.path, "worker") as (running, _):
        began = time.perf_counter()
        await _until(of, before + (total - before) // 2)
        running.send_signal(signal.SIGKILL)
        await running.wait()
    killed = time.perf_counter()
    async with serving(of.path, "worker"):
        again = time.perf_counter()
        await _until(of, total)
        ended = time.perf_counter()
    taken = await stand.captured()
    assert len(taken) == total, (len(taken), total)
    assert set(taken) == {COST_MINOR}, "each once, and for its cost"
    working = (ended - again) + (killed - began)
    return {
        "sessions": total - before, "per_s": round((total - before) / working, 1),
        "again_after_s": round(again - killed, 1), "duplicates": len(taken) - total,
    }  # fmt: skip


async def bare(stand: Stripe, count: int) -> float:
    """Captures by the SDK alone, as many at a time as the worker has hands for."""
    say(f"{count:,} captures by the SDK alone")
    intents = stand.sdk.v1.payment_intents
    made = await _each(count, lambda i: intents.create_async({
        "amount": 2_500, "currency": "usd", "capture_method": "manual", "confirm": True,
        "payment_method": "pm_card_visa", "allowed_payment_method_types": ["card"]}))  # fmt: skip
    turns = asyncio.Semaphore(16)

    async def one(intent_id: str) -> None:
        async with turns:
            await intents.capture_async(intent_id, {"amount_to_capture": COST_MINOR})

    began = time.perf_counter()
    await asyncio.gather(*(one(intent.id) for intent in made))
    return round(count / (time.perf_counter() - began), 1)


async def stop_to_captured(stops: int) -> dict[str, Any]:
    """From StopTransaction as the charge point sends it to the money, everything in one process."""
    say(f"{stops} stops, {STOPS_PER_S} a second")
    async with (
        stand_in() as stand,
        house(stand.url, 1000, 0) as of,
        serving(of.path) as (_, ready),
        process(str(HERE / "points.py")) as (client, _nothing),
    ):

        async def do(job: str, **more: Any) -> Any:
            assert client.stdin is not None
            client.stdin.write(json.dumps({"job": job, **more}).encode() + b"\n")
            return json.loads(await _line(client))

        await do("connect", group="s", port=ready["ocpp_port"], first=0, count=stops)
        said = await do("stopping", group="s", rate=STOPS_PER_S, meter_stop=ENERGY_WH, wait_s=3)
        assert said["wrong"] == 0, said
        await _until(of, stops)
        async with await of.database.connect(Role.READER) as conn:
            cursor = await conn.execute(
                "SELECT extract(epoch FROM e.settled_at - s.stopped_at)::float AS s FROM effect e"
                " JOIN payment p ON p.id = e.subject JOIN session s ON s.id = p.session_id"
                " WHERE e.kind = 'stripe.capture' AND e.state = 'done'"
            )
            took = [1000 * row["s"] for row in await cursor.fetchall()]
    cuts = statistics.quantiles(took, n=100)
    return {"stops": len(took), "p50_ms": round(statistics.median(took), 1),
            "p99_ms": round(cuts[98], 1)}  # fmt: skip


async def measure(sessions: int = BACKLOG, stops: int = STOPS) -> dict[str, Any]:
    """Everything, in one run."""
    at_limit = min(LIMIT_PER_S * AT_LIMIT_S, sessions // 3)
    total = sessions + at_limit
    async with stand_in() as stand, house(stand.url, LIMIT_PER_S, 3600) as of:
        await backlog(of, stand.url, total)
        limited = await at_the_limit(of, stand, at_limit)
        of.configure(stand.url, 1000, 3600)
        free = await collected(of, stand, total)
        floor = await bare(stand, min(FLOOR, sessions))
    free |= {"floor_per_s": floor, "ratio": round(free["per_s"] / floor, 3)}
    return {"at_limit": limited, "backlog": free, "stop_to_captured": await stop_to_captured(stops)}


def say(text: str) -> None:
    print(f"payments: {text} …", file=sys.stderr)


def show(console: Console, found: dict[str, Any]) -> None:
    """As a table."""
    limited, free, stops = found["at_limit"], found["backlog"], found["stop_to_captured"]
    table = Table("Payments", "ours", "floor", "ratio", "asked for", box=None)
    table.add_row(f"captures /s at a limit of {limited['limit_per_s']}", str(limited["per_s"]),
                  str(limited["limit_per_s"]), str(limited["ratio"]),
                  f"{limited['refused']} refused, ≤ 0")  # fmt: skip
    table.add_row(f"{free['sessions']:,} ended sessions collected /s", str(free["per_s"]),
                  str(free["floor_per_s"]), str(free["ratio"]),
                  f"{free['duplicates']} twice after kill -9, ≤ 0")  # fmt: skip
    table.add_row("StopTransaction to captured ms", f"p50 {stops['p50_ms']:,}",
                  f"p99 {stops['p99_ms']:,}")  # fmt: skip
    console.print("", table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sessions", type=int, default=BACKLOG)
    parser.add_argument("--stops", type=int, default=STOPS)
    return parser.parse_args()


if __name__ == "__main__":
    chosen = _options()
    result = asyncio.run(measure(chosen.sessions, chosen.stops))
    if chosen.json:
        print(json.dumps(result))
    else:
        show(Console(), result)
