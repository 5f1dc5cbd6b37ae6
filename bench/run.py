"""``make bench``: prints a table; with ``--json`` one JSON object."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cdr
import msgspec
from rich.console import Console
from rich.table import Table

import gateway
import payments
from wattledger import config
from wattledger.clock import DrivenClock
from wattledger.db.connect import Database, Pool
from wattledger.db.migrate import migrate
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.ingest.journal import Journal, RawFrame
from wattledger.installation import apply
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.importing.imports import ReadingIn, SessionIn, take
from wattledger.pipeline.world import World
from wattledger.rating import Terms, price
from wattledger.sessions import Activity, Change, Delivery, Reading
from wattledger.tariffs import read_tariff

ROUNDS = 5
NOW = datetime(2026, 11, 24, 20, tzinfo=UTC)
TARIFF: dict[str, Any] = {
    "id": "bench",
    "name": "Bench",
    "currency": "USD",
    "caps": [{"dimension": "idle_time", "amount": "12.00"}],
    "elements": [
        {
            "name": "peak",
            "restrictions": {"start_time": "16:00", "end_time": "21:00"},
            "components": [{"dimension": "energy", "price": "0.35", "unit": "kWh"}],
        },
        {
            "name": "off-peak",
            "components": [{"dimension": "energy", "price": "0.25", "unit": "kWh"}],
        },
        {
            "name": "idle",
            "restrictions": {"min_idle_s": 600},
            "components": [
                {"dimension": "idle_time", "price": "0.20", "unit": "minute", "step": 60}
            ],
        },
    ],
}
CONFIG: dict[str, Any] = {
    "entity": [{"id": "e", "name": "E", "currency": "USD", "time_zone": "UTC"}],
    "plan": [{"id": "fleet", "name": "Fleet", "route": "invoice"}],
    "account": [{"id": "a", "name": "A", "plan": "fleet", "tokens": ["T"]}],
    "site": [
        {
            "id": "s",
            "name": "S",
            "entity": "e",
            "time_zone": "UTC",
            "tariff": "bench",
            "tax_percent": "8.875",
            "charge_points": [{"id": "CP", "power_w": 22000}],
        }
    ],
    "tariff": [TARIFF],
}


def price_bench() -> tuple[float, float]:
    """(price() calls per second, hand-written calls per second)"""
    tariff, terms = read_tariff(TARIFF, "$"), Terms.simple("Tax", "8.875")
    start = NOW - timedelta(hours=8)
    readings = tuple(Reading(start + timedelta(minutes=10 * i), 370 * i) for i in range(31))
    stop = readings[-1].at
    delivery = Delivery(
        session_id="s",
        time_zone="UTC",
        started_at=start,
        ended_at=stop + timedelta(hours=3),
        readings=readings,
        changes=(Change(start, Activity.CHARGING), Change(stop, Activity.VEHICLE_IDLE)),
    )
    peak_at = start.replace(hour=16)

    def by_hand() -> int:
        off_wh = max(r.register_wh for r in readings if r.at <= peak_at)
        peak_wh = readings[-1].register_wh - off_wh
        idle_min = (int((delivery.ended_at - stop).total_seconds()) - 600) // 60
        # In hundred-thousandths of a cent's cent: Wh x price / 1000, tax 8.875 %.
        net = (off_wh * 25 + peak_wh * 35) * 100 + min(idle_min * 20, 1200) * 100_000
        return (net * 108_875 + 5_000_000_000) // 10_000_000_000

    charge = price(delivery, tariff, terms)
    assert charge.total_minor == by_hand(), (charge.total_minor, by_hand())
    return _rate(lambda: price(delivery, tariff, terms), 500), _rate(by_hand, 5_000)


async def bill_bench(pool: Pool, world: World, first: int, count: int) -> tuple[float, float]:
    """(sessions billed per second, floor transactions per second), one after the other."""
    ids = []
    for i in range(first, first + count):
        start = NOW - timedelta(hours=9) + timedelta(seconds=i)
        readings = tuple(
            ReadingIn(at=start + timedelta(minutes=10 * j), register_wh=370 * j) for j in range(31)
        )
        session = SessionIn(
            id=f"b{i}",
            charge_point_id="CP",
            connector_id=1,
            token="T",
            started_at=start,
            stopped_at=readings[-1].at,
            readings=readings,
        )
        ids.append((await take(world, "bench", session))["session_id"])
    began = time.perf_counter()
    for session_id in ids:
        assert await bill(world, session_id) == "billed"
    billed = count / (time.perf_counter() - began)
    began = time.perf_counter()
    for i in range(count):
        async with pool.connection() as conn:
            await conn.execute(_FLOOR_SQL, (f"{first}:{i}",))
    return billed, count / (time.perf_counter() - began)


# What a bill writes, as plain rows without rules: a document, an entry with three postings, a part.
_FLOOR_SQL = """
    WITH c AS (INSERT INTO floor_row (kind, body) VALUES ('charge', repeat('x', 3000))
        RETURNING id),
    e AS (INSERT INTO floor_row (kind, body) SELECT 'entry', %s FROM c RETURNING id)
    INSERT INTO floor_row (kind, body) SELECT 'posting', g::text FROM e, generate_series(1, 4) g
"""


async def journal_bench(pool: Pool, count: int) -> tuple[float, float]:
    """(frames per second through the journal, rows per second by one COPY)"""
    raw = '[2,"19223201","MeterValues",' + '{"x":"' + "y" * 400 + '"}]'
    frames = [RawFrame("CP", "c", NOW, "in", raw) for _ in range(count)]
    async with Journal(pool) as journal:
        began = time.perf_counter()
        await asyncio.gather(*(journal.put(frame, wait=True) for frame in frames))
        through = count / (time.perf_counter() - began)
    began = time.perf_counter()
    async with pool.connection() as conn:
        statement = (
            "COPY frame (charge_point_id, connection_id, received_at, direction, raw) FROM STDIN"
        )
        async with conn.cursor() as cursor, cursor.copy(statement) as copy:
            for frame in frames:
                await copy.write_row(frame)
    return through, count / (time.perf_counter() - began)


async def main() -> int:
    """Every bench, ``ROUNDS`` times."""
    results: dict[str, list[tuple[float, float]]] = {"price": [], "bill": [], "journal": []}
    with tempfile.TemporaryDirectory() as folder:
        database = Database.embedded(Path(folder) / "data")
        try:
            await _with(database, results)
        finally:
            database.close()
    records = _records()
    edge, money = await gateway.measure(), await payments.measure()
    _show(results, records, edge, money, _machine())
    return 0


async def _with(database: Database, results: dict[str, list[tuple[float, float]]]) -> None:
    migrate(database.conninfo(Role.OWNER))
    async with await database.connect(Role.OWNER) as owner:
        await owner.execute("CREATE TABLE floor_row (id bigint GENERATED ALWAYS AS IDENTITY,"
                            " kind text, body text)")  # fmt: skip
        await owner.execute("GRANT INSERT, SELECT ON floor_row TO wattledger_app")
    await apply(config.parse(CONFIG), database, NOW)
    pool = await database.open_pool(Role.APP, 2, 8)
    async with pool:
        world = World(Work(pool, DrivenClock(NOW)))
        runs: list[tuple[str, Callable[[int], Awaitable[tuple[float, float]]]]] = [
            ("bill", lambda i: bill_bench(pool, world, i * 200, 200)),
            ("journal", lambda i: journal_bench(pool, 20_000)),
        ]
        for i in range(ROUNDS):
            print(f"round {i + 1} of {ROUNDS} …", file=sys.stderr)
            results["price"].append(price_bench())
            for name, run in runs:
                results[name].append(await run(i))


def _records() -> dict[str, Any]:
    """The CDR benches: they need no database."""
    print("CDRs …", file=sys.stderr)
    shapes = ((4, 3), (48, 48))
    return {
        "ratios": [cdr.ratio(*shape) for shape in shapes],
        "without_warnings": [cdr.ratio(*shape, warnings=False) for shape in shapes],
        "growth": cdr.growth(),
    }


def _machine() -> dict[str, str]:
    cpu = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    return {
        "python": platform.python_version(),
        "msgspec": msgspec.__version__,
        "cpu": cpu or platform.machine(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.2f}",
    }


def _rate(call: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return count / (time.perf_counter() - began)


def _show(
    results: dict[str, list[tuple[float, float]]],
    records: dict[str, Any],
    edge: dict[str, Any],
    money: dict[str, Any],
    machine: dict[str, str],
) -> None:
    rows = {}
    for name, pairs in results.items():
        ratios = sorted(ours / floor for ours, floor in pairs)
        rows[name] = {
            "ours_per_s": round(statistics.median(ours for ours, _ in pairs)),
            "floor_per_s": round(statistics.median(floor for _, floor in pairs)),
            "ratio": round(statistics.median(ratios), 3),
            "ratio_min": round(ratios[0], 3),
            "ratio_max": round(ratios[-1], 3),
        }
    if "--json" in sys.argv:
        found = {"machine": machine, **rows, "cdr": records, "gateway": edge, "payments": money}
        print(json.dumps(found))
        return
    console = Console()
    table = Table("Bench", "ours /s", "floor /s", "ours : floor", "spread", box=None)
    for name, row in rows.items():
        spread = f"{row['ratio_min']}–{row['ratio_max']}"
        table.add_row(name, f"{row['ours_per_s']:,}", f"{row['floor_per_s']:,}",
                      str(row["ratio"]), spread)  # fmt: skip
    console.print(table)
    _show_records(console, records)
    gateway.show(console, edge)
    payments.show(console, money)
    console.print("\n" + ", ".join(f"{name} {value}" for name, value in machine.items()))


def _show_records(console: Console, records: dict[str, Any]) -> None:
    table = Table("CDR, JSON to result", "bytes", "ours µs", "decode µs", "times", "spread",
                  "without warnings", box=None)  # fmt: skip
    for row, bare in zip(records["ratios"], records["without_warnings"], strict=True):
        table.add_row(
            f"{row['periods']} periods, {row['elements']} elements",
            f"{row['bytes']:,}",
            str(row["ours_us"]),
            str(row["floor_us"]),
            str(row["ratio"]),
            f"{row['ratio_min']}–{row['ratio_max']}",
            f"{bare['ours_us']} µs, {bare['ratio']}",
        )
    console.print("", table)
    table = Table("Growth", "µs a CDR", "µs to compile its tariff", box=None)
    for row in records["growth"]:
        shape = f"{row['periods']} periods, {row['elements']} elements"
        table.add_row(shape, f"{row['price_us']:,}", f"{row['compile_us']:,}")
    console.print("", table)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
