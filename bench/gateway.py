"""The gateway at its edge, in processes of its own: ``wattledger serve --role gateway`` against a
bare server in the same run, and what only it can do. ``--json`` prints one object."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from points import PASSWORD
from rich.console import Console
from rich.table import Table

from wattledger.config import read
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.demo.setup import to_toml
from wattledger.gateway.auth import hash_password
from wattledger.installation import open_database

HERE = Path(__file__).parent
ROUNDS = 3
CONNECTIONS, MANY, TALKERS = 500, 5_000, 200
RATE = 1_000
CLOSED_S, PACED_S, METERING_S = 4, 5, 6
# Stops and readings come from points of their own, beside the many.
FIRST_TALKER = MANY + CONNECTIONS


def configuration() -> dict[str, Any]:
    """One site with all charge points. Their rates are measured, so they are not limited."""
    auth = hash_password(PASSWORD, b"salt-of-the-bench")
    count = FIRST_TALKER + 9 * TALKERS
    points = [{"id": f"CP-{i}", "power_w": 22_000, "auth": auth} for i in range(count)]
    price = {"dimension": "energy", "price": "0.30", "unit": "kWh"}
    return {
        "server": {
            "ocpp_port": 0,
            "ocpp_frames_per_s": 1_000_000,
            "ocpp_frames_per_s_in_all": 1_000_000,
        },
        # Its charge points say; they are not told.
        "policies": {"meter_interval_s": 0},
        "entity": [{"id": "e", "name": "E", "currency": "USD", "time_zone": "UTC"}],
        "plan": [{"id": "fleet", "name": "Fleet", "route": "invoice"}],
        "account": [
            {"id": "a", "name": "A", "plan": "fleet", "tokens": [f"T-{i}" for i in range(100)]}
        ],
        "site": [
            {"id": "s", "name": "S", "entity": "e", "time_zone": "UTC", "tariff": "t",
             "charge_points": points}
        ],
        "tariff": [
            {"id": "t", "name": "T", "currency": "USD",
             "elements": [{"name": "all", "components": [price]}]}
        ],
    }  # fmt: skip


class Process:
    """A process that speaks lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def rss_kib(self) -> int:
        """Its memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if "VmRSS" in line).split()[1])

    async def line(self) -> Any:
        """The next line of its output."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the bench has ended: see its error above")
        return json.loads(line)

    async def do(self, job: str, **more: Any) -> dict[str, Any]:
        """Give it a job; the result."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"job": job, **more}).encode() + b"\n")
        found: dict[str, Any] = await self.line()
        return found


@asynccontextmanager
async def process(*command: str) -> AsyncIterator[Process]:
    """Started, and ended at the end."""
    pipe = asyncio.subprocess.PIPE
    found = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=pipe, stdout=pipe, limit=2**20
    )
    try:
        yield Process(found)
    finally:
        with contextlib.suppress(ProcessLookupError):
            found.terminate()
        await found.wait()


async def authorizing(ports: dict[str, int], client: Process) -> list[dict[str, Any]]:
    """Rounds of both servers in turn."""
    rounds = []
    for number in range(ROUNDS):
        # Whoever is first in one round is second in the next.
        order = list(ports) if number % 2 == 0 else list(reversed(ports))
        found: dict[str, Any] = {}
        for name in order:
            say(f"Authorize, round {number + 1} of {ROUNDS}: {name}")
            await client.do("connect", group="a", port=ports[name], first=MANY, count=CONNECTIONS)
            full = await client.do("closed", group="a", seconds=CLOSED_S)
            pace = await client.do("paced", group="a", rate=RATE, seconds=PACED_S)
            await client.do("drop", group="a")
            assert (full["wrong"], full["unanswered"]) == (0, 0), full
            assert pace["answered"] == pace["sent"], pace
            found[name] = {"full": full, "paced": pace}
        rounds.append(found)
    return rounds


async def idle(server: Process, port: int, client: Process) -> dict[str, Any]:
    """5,000 that come at once to a server that has never seen them, then again."""
    before = server.rss_kib
    say(f"{MANY} at once, cold")
    cold = await client.do("storm", group="many", port=port, first=0, count=MANY)
    await client.do("drop", group="many")
    await asyncio.sleep(2)
    say(f"{MANY} at once, again")
    warm = await client.do("storm", group="many", port=port, first=0, count=MANY)
    await asyncio.sleep(3)
    return {"cold": cold, "again": warm, "kib_each": (server.rss_kib - before) / MANY}


async def bare_idle(bare: Process, port: int, client: Process) -> float:
    """The memory of the bare server's connections."""
    before = bare.rss_kib
    await client.do("connect", group="bare", port=port, first=0, count=MANY)
    found = (bare.rss_kib - before) / MANY
    await client.do("drop", group="bare")
    return found


async def stops(port: int, client: Process, first: int) -> dict[str, Any]:
    """StopTransaction to its answer, with whoever else is connected."""
    await client.do("connect", group="s", port=port, first=first, count=TALKERS)
    found = await client.do("stopping", group="s", rate=50)
    await client.do("drop", group="s")
    assert found["wrong"] == 0, found
    return found


def _prepare(folder: str) -> Path:
    home = Path(folder)
    home.chmod(0o755)  # as root the database runs as another user
    path = home / "wattledger.toml"
    path.write_text(to_toml(configuration()), encoding="utf-8")
    return path


async def measure() -> dict[str, Any]:
    """Everything, in one run."""
    with tempfile.TemporaryDirectory(prefix="wattledger-bench-") as folder:
        path = _prepare(folder)
        serve = ("-m", "wattledger.cli.main", "serve", "--config", str(path), "--role", "gateway",
                 "--json-ready", "--log-level", "error")  # fmt: skip
        async with (
            process(str(HERE / "bare.py")) as bare,
            process(*serve) as ours,
            process(str(HERE / "points.py")) as client,
        ):
            bare_port = int(await bare.line())
            port = int((await ours.line())["ocpp_port"])
            rounds = await authorizing({"bare": bare_port, "ours": port}, client)
            say("StopTransaction")
            alone = [await stops(port, client, FIRST_TALKER + i * TALKERS) for i in range(2)]
            say("MeterValues")
            first = FIRST_TALKER + 2 * TALKERS
            await client.do("connect", group="m", port=port, first=first, count=TALKERS)
            metering = await client.do("metering", group="m", seconds=METERING_S)
            await client.do("drop", group="m")
            say("TransactionEvent")
            first = FIRST_TALKER + 5 * TALKERS
            await client.do("connect", group="e", port=port, first=first, count=TALKERS,
                            version="ocpp2.0.1")  # fmt: skip
            events = await client.do("events", group="e", seconds=METERING_S)
            await client.do("drop", group="e")
            bare_kib = await bare_idle(bare, bare_port, client)
            many = await idle(ours, port, client)
            say(f"StopTransaction beside {MANY}")
            beside = [await stops(port, client, FIRST_TALKER + (3 + i) * TALKERS) for i in range(2)]
            await asyncio.sleep(1)
            kept = await _kept(path)
        assert metering["wrong"] == events["wrong"] == 0, (metering, events)
        return {
            "authorize": _authorize(rounds), "stop_alone": _stops(alone),
            "stop_beside_many": _stops(beside), "metering": metering, "events": events,
            "storm": {"cold": many["cold"], "again": many["again"], "kept": kept,
                      "lost": 4 * MANY - kept},
            "kib_each": {"ours": many["kib_each"], "bare": bare_kib},
        }  # fmt: skip


async def _kept(path: Path) -> int:
    """The frames of both storms that are in the database: boot and reading of each."""
    database: Database = open_database(read(path), path.parent)
    try:
        async with await database.connect(Role.READER) as conn:
            cursor = await conn.execute(
                "SELECT count(*) AS n FROM frame WHERE direction = 'in' AND"
                " substr(charge_point_id, 4)::int < %s"
                " AND (raw LIKE '[2,\"b%%' OR raw LIKE '[2, \"m%%')",
                (MANY,),
            )
            row = await cursor.fetchone()
            return int(row["n"]) if row else 0
    finally:
        database.close()


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def _authorize(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    def of(name: str, job: str, figure: str) -> list[float]:
        return [each[name][job][figure] for each in rounds]

    def ratio(job: str, figure: str) -> dict[str, float]:
        pairs = zip(of("ours", job, figure), of("bare", job, figure), strict=True)
        return _spread([ours / bare for ours, bare in pairs])

    found: dict[str, Any] = {
        name: {
            "per_s": _spread(of(name, "full", "per_s")),
            "client_cpu": _spread(of(name, "full", "client_cpu")),
            "p50_ms": _spread(of(name, "paced", "p50")),
            "p99_ms": _spread(of(name, "paced", "p99")),
        }
        for name in ("ours", "bare")
    }
    return {**found, "per_s_ratio": ratio("full", "per_s"), "p99_ratio": ratio("paced", "p99")}


def _stops(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"{name}_ms": _spread([each[name] for each in rounds]) for name in ("p50", "p99")}


def say(text: str) -> None:
    print(f"gateway: {text} …", file=sys.stderr)


def show(console: Console, found: dict[str, Any]) -> None:
    """As a table."""
    auth, storm = found["authorize"], found["storm"]
    table = Table("Gateway", "ours", "bare", "ratio", "spread", "asked for", box=None)

    def row(name: str, figure: str, ratio: str, asked: str) -> None:
        spread = auth[ratio]
        table.add_row(name, f"{auth['ours'][figure]['median']:,}",
                      f"{auth['bare'][figure]['median']:,}", str(spread["median"]),
                      f"{spread['min']}–{spread['max']}", asked)  # fmt: skip

    row(f"Authorize /s, {CONNECTIONS} connections", "per_s", "per_s_ratio", "≥ 0.6")
    row(f"Authorize p99 ms at {RATE:,}/s", "p99_ms", "p99_ratio", "≤ 2")
    kib = found["kib_each"]
    table.add_row(f"KiB a connection, {MANY:,} idle", f"{kib['ours']:.1f}", f"{kib['bare']:.1f}",
                  "", "", "≤ 40")  # fmt: skip
    console.print("", table)
    table = Table("Gateway", "", "spread", box=None)
    for name, key in (("MeterValues", "metering"), ("TransactionEvents", "events")):
        table.add_row(f"{name} committed /s", f"{found[key]['per_s']:,.0f}",
                      f"p99 {found[key]['p99']:.1f} ms")  # fmt: skip
    for name, key in (("alone", "stop_alone"), (f"beside {MANY:,}", "stop_beside_many")):
        p99 = found[key]["p99_ms"]
        table.add_row(f"StopTransaction p99 ms, {name}", str(p99["median"]),
                      f"{p99['min']}–{p99['max']}")  # fmt: skip
    for name in ("cold", "again"):
        each = storm[name]
        table.add_row(f"{MANY:,} at once, {name}: all booted, all served s",
                      f"{each['booted_s']:.1f}, {each['served_s']:.1f}",
                      f"{storm['lost']} frames lost")  # fmt: skip
    console.print("", table)


if __name__ == "__main__":
    result = asyncio.run(measure())
    if "--json" in sys.argv:
        print(json.dumps(result))
    else:
        show(Console(), result)
