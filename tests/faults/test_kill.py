"""kill -9 at every checkpoint, and of the database: nothing is lost, nothing happens twice."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

import pytest
from ocpp.v16 import call
from websockets import ConnectionClosed, Subprotocol
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Response

import wattledger
from rig import paying
from rig.day import assert_adds_up, play
from rig.network import CARD, FLEET, Body, at
from rig.points import Lost, stop_of
from rig.points2 import V16, V201
from rig.stubborn import StubbornPoint, StubbornStation
from rig.system import each_checkpoint, embedded_system, system, until
from wattledger import pipeline
from wattledger.db.places import settle

_SOURCE = Path(wattledger.__file__).parent


# By these the day does not come. Those of the display, of stations and of what a charge point is
# told have a day of their own.
ANOTHER_DAY = (
    "authorize", "command", "transaction_event", "effect.cost.due", "shown", "unplug", "boot",
    "look_after",
)  # fmt: skip
# Nor by these, of the proxy: in the order in which they come there.
PROXIED = (
    "proxied_refused", "proxied_start", "proxied_start_alone", "proxied_keep", "proxied_ended",
    "proxied_try", "proxied_told", "proxied_give_up",
)  # fmt: skip


# Nor by these: on a day of payments it does (test_kill_payments).
PAYING = paying.IN_ORDER


def _of_the_day(checkpoint: str) -> bool:
    elsewhere = (*ANOTHER_DAY, *PROXIED, *PAYING)
    return not checkpoint.startswith(tuple(f"{step}." for step in elsewhere))


# The steps and effects of the day in the order in which it first comes by them. A day is killed at
# every third of them, before and after, and goes on: what was lost is done after the next start.
IN_ORDER = (
    "schedule", "start", "effect.stripe.hold", "held", "inbox", "effect.ocpp.remote_stop",
    "commanded", "stop", "status", "bill", "effect.webhook.deliver", "delivered", "meter",
    "effect.stripe.capture", "captured", "effect.stripe.release", "released", "import", "adjust",
    "effect.stripe.read", "settle", "reconcile", "resolve",
)  # fmt: skip
_DAYS = 3


def test_the_day_is_killed_at_each_of_its_checkpoints() -> None:
    assert set(each_checkpoint(IN_ORDER)) == {c for c in pipeline.checkpoints() if _of_the_day(c)}


@pytest.mark.parametrize("day", range(_DAYS))
async def test_killed_again_and_again(dsn: str, day: int) -> None:
    kills = each_checkpoint(IN_ORDER[day::_DAYS])
    async with system(dsn, kill_at=kills) as running:
        await play(running)
        assert running.server.kill_at == [], "the day comes by all of these"  # type: ignore[attr-defined]
        assert running.deaths == [-signal.SIGKILL] * len(kills)
        await assert_adds_up(running)


# The second bill, the third stop, the reading that finds the payout: not only the first time. Each
# is counted from the start before it.
LATER = (
    (
        "held.after_commit:2", "stop.before_commit:3", "bill.after_commit:2",
        "settle.before_commit:3",
    ),
    (
        "delivered.before_commit:4", "effect.webhook.deliver.called:3", "inbox.after_commit:2",
        "reconcile.after_commit:2",
    ),
)  # fmt: skip


@pytest.mark.parametrize("kills", LATER)
async def test_killed_later(dsn: str, kills: tuple[str, ...]) -> None:
    async with system(dsn, kill_at=kills) as running:
        await play(running)
        assert running.deaths == [-signal.SIGKILL] * len(kills)
        await assert_adds_up(running)


def test_every_transaction_of_a_step_has_its_checkpoints() -> None:
    """The list that the kill tests are made from is the list of the source."""
    found: set[str] = set()
    for path in _SOURCE.rglob("*.py"):
        found |= set(re.findall(r'\.transaction\(\s*"(\w+)"', path.read_text()))
    found |= set(pipeline.outcomes.STEP_OF.values())
    assert found == set(pipeline.STEPS)
    kinds = {kind for kind in pipeline.outcomes.STEP_OF if not kind.startswith("ocpp.")}
    assert kinds | {"ocpp.remote_stop"} == set(pipeline.EFFECT_KINDS)


async def test_killed_again_and_again_on_another_day(dsn: str) -> None:
    """At each checkpoint in turn: what was lost is done after the next start, up to the next."""
    kills = each_checkpoint(ANOTHER_DAY)

    def shown(body: Body) -> None:
        body["policies"]["meter_interval_s"] = 900
        body["site"][0]["show_cost"] = True

    async with system(dsn, kill_at=kills, change=shown) as running:
        await running.up()
        point = StubbornPoint("CP-1", V16, running.server, running.insist)
        station = StubbornStation("CP-2", V201, running.server, running.insist)

        async def clock(to: datetime) -> None:
            await running.clock(to)
            for each in (point, station):
                await each.back()

        asked = {"token": FLEET, "charge_point_id": "CP-1"}
        answer = await running.insist(lambda: running.post("/v1/authorizations", asked))
        assert answer.json()["accepted"] is True
        await point.boot()
        await station.boot()
        await station.started("T-1", at("08:00"), 1_000, token=FLEET)
        await clock(at("09:00"))
        await station.updated("T-1", at("09:00"), 11_000, state="SuspendedEV")
        # Ten minutes are free of idle cost.
        await clock(at("09:10"))
        await station.ended("T-1", at("09:10"), 11_000, state="EVConnected")
        await station.status("Available", at("09:10"))
        transaction = await point.start(FLEET, at("09:10"), 5_000)
        await clock(at("09:40"))
        await point.stop(transaction, at("09:40"), 10_000)
        gone = {"transactionId": transaction, "timestamp": "2026-11-02T09:40:00Z"}
        vendor = "org.openchargealliance.costmsg"
        await point.say(call.DataTransfer(vendor, "ConnectorUnplugged", json.dumps(gone)))
        silent = await point.start(FLEET, at("09:40"), 10_000)
        await point.meter(silent, at("09:40:30"), 10_100)
        await point.boot()  # while something runs there
        for day in (3, 4, 5):
            await clock(at("12:00", day))
        assert running.server.kill_at == []  # type: ignore[attr-defined]
        assert running.deaths == [-signal.SIGKILL] * len(kills)
        for each in (point, station):
            await each.go()
        found = await running.report()
        rows = await running.rows("SELECT state, count(*) AS n FROM session GROUP BY state")
        assert {row["state"]: row["n"] for row in rows} == {"billed": 3}
        # 10, 5 and 0.1 kWh at 0.30, and 10 % tax, each to the cent
        assert found["money"]["charged"] == 330 + 165 + 3
        assert found["energy_wh"]["billed"] == 15_100
        assert found["ledger"]["proved"] is True
        assert found["webhooks"]["acknowledged"] == found["webhooks"]["sent"]
        costs = [said for action, said in station.asked if action == "CostUpdated"]
        assert costs, "the display was told that idle time begins to cost"


class _Cpms:
    """Somebody's CPMS: a start gets the same number however often it is told."""

    def __init__(self) -> None:
        self.refuses: Callable[[], bool] = lambda: False
        self.knows_numbers = True
        self.told: dict[str, str] = {}
        """What it has taken: content -> action."""
        self._numbers: dict[str, int] = {}
        self._server: Server | None = None
        self.port = 0

    async def begin(self) -> None:
        self._server = await serve(
            self._serve, "127.0.0.1", self.port, process_request=self._admit,
            subprotocols=[Subprotocol(V16)],
        )  # fmt: skip
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def end(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _admit(self, socket: ServerConnection, _: object) -> Response | None:
        return socket.respond(HTTPStatus.UNAUTHORIZED, "no") if self.refuses() else None

    async def _serve(self, socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for raw in socket:
                kind, key, action, payload = json.loads(raw)
                assert kind == 2, "only the charge point asks here"
                content = json.dumps(payload, sort_keys=True)
                self.told[content] = action
                answer: Body = {}
                if action == "StartTransaction":
                    number = self._numbers.setdefault(content, 70 + len(self._numbers))
                    answer = {"idTagInfo": {"status": "Accepted"}}
                    answer |= {"transactionId": number} if self.knows_numbers else {}
                await socket.send(json.dumps([3, key, answer]))

    def count(self, action: str) -> int:
        return list(self.told.values()).count(action)


async def test_killed_again_and_again_behind_the_proxy(dsn: str) -> None:
    """The CPMS has each message of the time it was away, and each session is billed once."""
    cpms = _Cpms()
    await cpms.begin()

    def proxied(body: Body) -> None:
        body["site"][0]["proxy"] = {"url": f"ws://127.0.0.1:{cpms.port}/{{charge_point_id}}"}

    kills = each_checkpoint(PROXIED)
    assert len(kills) == 2 * len(PROXIED)
    async with system(dsn, kill_at=kills, change=proxied) as running:
        cpms.refuses = lambda: len(running.deaths) + (running.server.died is not None) < 2
        await running.up()
        await running.clock(at("12:00"))
        point = StubbornPoint("CP-1", V16, running.server, running.insist)
        first = await point.start(FLEET, at("11:00"), 1_000)
        assert first == 70
        await point.meter(first, at("11:15"), 3_000)
        await point.stop(first, at("11:30"), 6_000)
        await cpms.end()
        second = await point.start(FLEET, at("11:30"), 6_000)
        await point.meter(second, at("11:45"), 8_000)
        await point.stop(second, at("12:00"), 9_000)
        await cpms.begin()

        async def caught_up() -> bool:
            await point.back()
            return cpms.count("StopTransaction") == 2

        await until(caught_up)
        await cpms.end()
        cpms.knows_numbers = False
        third = await point.start(FLEET, at("12:00"), 9_000)
        await point.stop(third, at("12:00"), 9_000)
        await cpms.begin()

        async def given_up() -> bool:
            await point.back()
            codes = await running.rows("SELECT code FROM anomaly")
            return [row["code"] for row in codes].count("proxy.undelivered") == 2

        await until(given_up)
        await point.go()
        await running.clock(at("12:00", 4))
        assert running.deaths == [-signal.SIGKILL] * len(kills)
        rows = await running.rows(
            "SELECT s.state, c.energy_wh FROM session s LEFT JOIN charge c ON c.session_id = s.id"
            " ORDER BY s.started_at"
        )
        found = [(row["state"], row["energy_wh"]) for row in rows]
        assert found[:2] == [("billed", 5_000), ("billed", 3_000)]
        assert found[2][0] == "free"
        assert (await running.report())["ledger"]["proved"] is True
        # The stop of the third has no number that the CPMS knows.
        counts = [cpms.count(f"{what}Transaction") for what in ("Start", "Stop")]
        assert (*counts, cpms.count("MeterValues")) == (3, 2, 2)
    await cpms.end()


@pytest.mark.parametrize(("side", "stored"), [("before", 0), ("after", 1)])
async def test_a_stop_is_committed_before_it_is_answered(dsn: str, side: str, stored: int) -> None:
    async with system(dsn, kill_at=f"stop.{side}_commit") as running:
        await running.up()
        point = running.point("CP-1")
        transaction = await point.start(FLEET, at("08:00"), 1_000)
        with pytest.raises(Lost):
            await point.once(stop_of(transaction, at("08:30"), 6_000))
        facts = await running.rows("SELECT register_wh FROM session_fact WHERE kind = 'stop'")
        assert [fact["register_wh"] for fact in facts] == [6_000] * stored
        # The charge point says it again, and it counts once.
        await point.stop(transaction, at("08:30"), 6_000)
        facts = await running.rows("SELECT register_wh FROM session_fact WHERE kind = 'stop'")
        assert [fact["register_wh"] for fact in facts] == [6_000]
        assert running.deaths == [-signal.SIGKILL]


async def test_killed_with_its_embedded_database_left_running() -> None:
    async with embedded_system(kill_at="bill.before_commit") as (running, _):
        await play(running)
        assert running.deaths == [-signal.SIGKILL]
        await assert_adds_up(running)


async def test_the_postmaster_is_killed_and_the_server_brings_it_up_again() -> None:
    async with embedded_system() as (running, folder):
        await running.up()
        point = running.point("CP-1")
        await running.clock(at("09:00"))
        transaction = await point.start(CARD, at("09:00"), 1_000)
        _kill_postmaster(folder)
        await running.clock(at("09:30"))
        await point.meter(transaction, at("09:30"), 6_000)
        _kill_postmaster(folder)
        await running.clock(at("10:00"))
        await point.stop(transaction, at("10:00"), 11_000)
        await point.status("Available", at("10:00"))
        _kill_postmaster(folder)
        await running.clock(at("10:02"))
        assert running.deaths == [], "the server itself went on"
        found = await running.report()
        # 10 kWh at 0.30 and 10 % tax
        assert (found["money"]["charged"], found["money"]["captured"]) == (330, 330)
        assert found["ledger"]["proved"] is True
        assert len(await running.sandbox.intents()) == 1


async def test_database_and_server_are_killed_together() -> None:
    async with embedded_system(kill_at="captured.before_commit") as (running, folder):
        await running.up()
        point = running.point("CP-1")
        transaction = await point.start(CARD, at("08:00"), 1_000)
        await running.clock(at("09:00"))
        await point.stop(transaction, at("09:00"), 11_000)
        await point.status("Available", at("09:00"))
        moving = running.clock(at("09:01"))
        await moving
        _kill_postmaster(folder)
        await running.server.end(signal.SIGKILL)  # type: ignore[attr-defined]
        await running.clock(at("09:02"))
        assert set(running.deaths) == {-signal.SIGKILL}
        found = await running.report()
        assert (found["money"]["charged"], found["money"]["captured"]) == (330, 330)
        totals = (await running.sandbox.state())["totals"]["usd"]
        assert totals["captured_minor"] == 330


def _kill_postmaster(folder: Path) -> None:
    """This one only, by the pid that it wrote down."""
    pid = (settle(folder / "data").pgdata / "postmaster.pid").read_text().split()[0]
    os.kill(int(pid), signal.SIGKILL)
