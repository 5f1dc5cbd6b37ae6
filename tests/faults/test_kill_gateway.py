"""kill -9 of the server while charge points of two versions are charging: nothing is lost, and
nothing counts twice.

A charge point says what was not answered again, in its order and with the same content, before it
goes on; that is all it does to survive. What it says, and when the server is killed, is drawn from
the seed of the test's name (a kill by the number of answers so far, so that it is under load):
WATTLEDGER_SEEDS=3-20 pytest tests/faults/test_kill_gateway.py
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import httpx
import pytest

from rig.day import assert_identities
from rig.network import FLEET, Body, at
from rig.points import Lost
from rig.points2 import V16, V201
from rig.stubborn import StubbornPoint, StubbornStation
from rig.system import System, system
from wattledger.clock import utc_text
from wattledger.ingest.codes import CODES, Severity
from wattledger.wire.ocpp import frames

OLD, NEW = [f"OLD-{n:02d}" for n in range(12)], [f"NEW-{n:02d}" for n in range(12)]
SESSIONS_EACH, SAMPLES_EACH = 3, 3
# A session's messages, a boot for each charge point.
MESSAGES = (len(OLD) + len(NEW)) * (SESSIONS_EACH * (SAMPLES_EACH + 2) + 1)
DURABLE = {"StartTransaction", "MeterValues", "StopTransaction", "TransactionEvent"}
# Killed by their number: between the commit of a frame and the commit of what it does, or after
# that and before the answer.
STEPS = {
    "1.6": ("start.before_commit", "start.after_commit", "meter.before_commit",
            "meter.after_commit", "stop.before_commit", "stop.after_commit"),
    "2.0.1": ("transaction_event.before_commit", "transaction_event.after_commit"),
}  # fmt: skip
BEGINS_AT, TOLD_AT, ENDS_AT = at("08:30"), at("20:00"), at("12:00", 4)
_PATIENCE_S = 60


class Plan(NamedTuple):
    """A session as the charge point will tell it: its times and its registers, start to stop."""

    times: list[datetime]
    registers: list[int]

    @property
    def wh(self) -> int:
        return self.registers[-1] - self.registers[0]


def plans(rng: Random) -> list[Plan]:
    """One charge point's day, its register going on; at most 7 kWh in 20 minutes, of 22 kW."""
    register, found = rng.randrange(1, 90_000_000), []
    for number in range(SESSIONS_EACH):
        first = BEGINS_AT + timedelta(minutes=150 * number + rng.randrange(60))
        registers = [register]
        for _ in range(SAMPLES_EACH + 1):
            registers.append(registers[-1] + 100 * rng.randrange(1, 70))
        register = registers[-1]
        found.append(
            Plan([first + timedelta(minutes=20 * n) for n in range(len(registers))], registers)
        )
    return found


class Load:
    """What all charge points share: the server, up or down, and how much it has answered."""

    def __init__(self) -> None:
        self.answers = 0
        self.lost = 0
        self.up = asyncio.Event()
        self.durable: list[tuple[str, str]] = []
        """Charge point and message id of each frame that was answered and has to be there."""
        self._awaited: list[tuple[int, asyncio.Event]] = []

    async def insist(self, action: Callable[[], Awaitable[Any]]) -> Any:
        """Do it until it is answered, whatever becomes of the server."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                await self.up.wait()
                try:
                    return await action()
                except (Lost, httpx.TransportError):
                    self.lost += 1
                    await asyncio.sleep(0.01)

    def answered(self, point_id: str, message_id: str, action: str) -> None:
        self.answers += 1
        if action in DURABLE:
            self.durable.append((point_id, message_id))
        for number, event in self._awaited:
            if self.answers >= number:
                event.set()

    async def reached(self, number: int) -> None:
        """Return when so many messages were answered."""
        event = asyncio.Event()
        self._awaited.append((number, event))
        if self.answers < number:
            await event.wait()


class Old(StubbornPoint):
    """OCPP 1.6. Its sessions by the transaction id that it was given."""

    def __init__(self, running: System, load: Load, point_id: str) -> None:
        super().__init__(point_id, V16, running.server, load.insist, load.answered)
        self.told: dict[str, Plan] = {}

    async def charge(self, plan: Plan, _: int) -> None:
        transaction_id = await self.start(FLEET, plan.times[0], plan.registers[0])
        for when, wh in list(zip(*plan, strict=True))[1:-1]:
            await self.meter(transaction_id, when, wh)
        await self.stop(transaction_id, plan.times[-1], plan.registers[-1], reason="EVDisconnected")
        assert str(transaction_id) not in self.told, "a transaction id is given once"
        self.told[str(transaction_id)] = plan


class New(StubbornStation):
    """OCPP 2.0.1. Its sessions by the transaction id that it has chosen."""

    def __init__(self, running: System, load: Load, point_id: str) -> None:
        super().__init__(point_id, V201, running.server, load.insist, load.answered)
        self.told: dict[str, Plan] = {}

    async def charge(self, plan: Plan, number: int) -> None:
        ref = f"{self.id}/{number}"
        first, *between, last = zip(*plan, strict=True)
        await self.started(ref, *first, token=FLEET)
        for when, wh in between:
            await self.updated(ref, when, wh)
        gone = {"trigger": "EVDeparted", "stoppedReason": "EVDisconnected"}
        await self.ended(ref, *last, **gone)
        self.told[ref] = plan


async def _drive(point: Old | New, of: list[Plan]) -> None:
    await point.boot()
    for number, plan in enumerate(of):
        await point.charge(plan, number)


async def _reign(running: System, load: Load, rng: Random) -> int:
    """The server is killed twice at a checkpoint and twice at any moment, and started again each
    time. The number of kills."""
    server: Any = running.server
    at_steps = [f"{rng.choice(steps)}:{rng.randrange(2, 7)}" for steps in STEPS.values()]
    rng.shuffle(at_steps)
    kills = [at_steps[0], None, at_steps[1], None]
    for kill in kills:
        server.kill_at = [kill] if kill else []
        await running.up()
        if not load.answers:
            await running.clock(TOLD_AT)
        load.up.set()
        if kill is None:
            await load.reached(load.answers + rng.randrange(10, 50))
            await asyncio.sleep(rng.random() * 0.01)
            await server.end(signal.SIGKILL)
        else:
            async with asyncio.timeout(_PATIENCE_S):
                await server.gone()
        load.up.clear()
    await running.up()
    load.up.set()
    return len(kills)


async def _business(running: System, load: Load) -> None:
    """Business time goes on under the load, so that there are bills to be written at each kill."""
    for minute in range(1, 30):
        await load.reached(minute * MESSAGES // 30)
        to = {"now": utc_text(TOLD_AT + timedelta(minutes=minute))}
        answer = await load.insist(lambda to=to: running.post("/v1/clock", to))
        assert answer.status_code == 200, answer.text


def _network(body: Body) -> None:
    """No tax: 100 Wh at 0.30 per kWh are 3 cents."""
    site = body["site"][0]
    site["tax_percent"] = "0"
    site["charge_points"] = [{"id": name, "power_w": 22_000} for name in OLD + NEW]


def _seeds() -> list[int]:
    first, _, last = os.environ.get("WATTLEDGER_SEEDS", "1").partition("-")
    return list(range(int(first), int(last or first) + 1))


@pytest.mark.parametrize("seed", _seeds(), ids=lambda seed: f"seed-{seed}")
async def test_the_server_is_killed_under_load_and_nothing_is_lost(dsn: str, seed: int) -> None:
    rng = Random(seed)
    async with system(dsn, process=True, change=_network) as running:
        load = Load()
        points: list[Old | New] = [Old(running, load, name) for name in OLD]
        points += [New(running, load, name) for name in NEW]
        days = {point.id: plans(rng) for point in points}
        async with asyncio.TaskGroup() as group:
            reign = group.create_task(_reign(running, load, rng))
            group.create_task(_business(running, load))
            for point in points:
                group.create_task(_drive(point, days[point.id]))
        assert running.deaths == [-signal.SIGKILL] * reign.result()
        assert load.answers == MESSAGES
        assert load.lost > reign.result(), "there was something in hand at the kills"
        for point in points:
            await point.go()
        await running.clock(ENDS_AT)
        await _assert_sessions(running, points, days)
        await _assert_frames(running, load)
        await _assert_adds_up(running, days)


async def _assert_sessions(
    running: System, points: list[Old | New], days: dict[str, list[Plan]]
) -> None:
    """Every session exactly once, billed with its watt-hours, and no other."""
    rows = await running.rows(
        "SELECT s.*, c.energy_wh, c.total_minor, c.revision"
        " FROM session s LEFT JOIN charge c ON c.session_id = s.id"
    )
    assert len(rows) == len(points) * SESSIONS_EACH
    assert {row["state"] for row in rows} == {"billed"}
    found = {(row["charge_point_id"], row["transaction_ref"]): row for row in rows}
    assert len({row["transaction_id"] for row in rows}) == len(found) == len(rows)
    for point in points:
        assert list(point.told.values()) == days[point.id]
        for ref, plan in point.told.items():
            row = found[point.id, ref]
            assert (row["started_at"], row["stopped_at"]) == (plan.times[0], plan.times[-1])
            assert (row["energy_wh"], row["total_minor"]) == (plan.wh, plan.wh // 100 * 3)
    facts = await running.rows(
        "SELECT session_id, kind, count(*) AS n FROM session_fact"
        " WHERE kind IN ('start', 'stop', 'meter') GROUP BY session_id, kind"
    )
    # 2.x has its registers at the start and the stop among its meter values.
    expected = Counter({("start", 1): len(rows), ("stop", 1): len(rows)})
    expected["meter", SAMPLES_EACH] = len(OLD) * SESSIONS_EACH
    expected["meter", SAMPLES_EACH + 2] = len(NEW) * SESSIONS_EACH
    assert Counter((fact["kind"], fact["n"]) for fact in facts) == expected


async def _assert_frames(running: System, load: Load) -> None:
    """What was answered is there, each frame once; and some was told twice, being kept already."""
    rows = await running.rows("SELECT charge_point_id, raw FROM frame WHERE direction = 'in'")
    calls = [
        (row["charge_point_id"], frame)
        for row in rows
        if isinstance(frame := frames.decode(row["raw"]), frames.Call)
    ]
    kept = Counter((point_id, call.message_id) for point_id, call in calls)
    assert len(load.durable) == MESSAGES - len(OLD) - len(NEW)
    assert [said for said in load.durable if kept[said] != 1] == []
    contents = {
        (point_id, repr(call.payload)) for point_id, call in calls if call.action in DURABLE
    }
    assert len(load.durable) == len(contents) < sum(call.action in DURABLE for _, call in calls)


async def _assert_adds_up(running: System, days: dict[str, list[Plan]]) -> None:
    anomalies = await running.rows("SELECT code, subject, detail FROM anomaly")
    holding = [a for a in anomalies if CODES[a["code"]].severity is Severity.HOLDS]
    assert holding == []
    found = await running.report()
    assert_identities(found)
    wh = sum(plan.wh for day in days.values() for plan in day)
    sessions = sum(map(len, days.values()))
    assert found["sessions"]["final"] == found["sessions"]["billed"] == sessions
    assert found["energy_wh"]["delivered"] == found["energy_wh"]["billed"] == wh
    assert found["money"]["charged"] == found["money"]["invoiced"] == wh // 100 * 3
    assert found["ledger"]["proved"] is True
    assert found["webhooks"] == {"sent": sessions, "acknowledged": sessions}
    books = await running.sandbox.books()
    assert books["by_type"] == {"session.billed": sessions}
    assert books["conflicting"] == books["rejected"] == 0
