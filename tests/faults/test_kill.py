"""kill -9 at every checkpoint, and of the database: nothing is lost, nothing happens twice."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

import wattledger
from rig.day import assert_adds_up, play
from rig.network import CARD, FLEET, at
from rig.points import Lost, stop_of
from rig.system import embedded_system, system
from wattledger import pipeline
from wattledger.db.places import settle

_SOURCE = Path(wattledger.__file__).parent


async def test_an_undisturbed_day_adds_up(dsn: str) -> None:
    async with system(dsn) as running:
        await play(running)
        await assert_adds_up(running)


@pytest.mark.parametrize("checkpoint", pipeline.checkpoints())
async def test_killed_at(dsn: str, checkpoint: str) -> None:
    async with system(dsn, kill_at=checkpoint) as running:
        await play(running)
        assert running.deaths == [-signal.SIGKILL], "the day comes by this checkpoint"
        await assert_adds_up(running)


# The second charge, the capture, the reading that finds the payout: not only the first time.
@pytest.mark.parametrize(
    "checkpoint",
    [
        "bill.after_commit:2",
        "stop.before_commit:3",
        "held.after_commit:2",
        "delivered.before_commit:4",
        "effect.webhook.deliver.called:5",
        "settle.before_commit:3",
        "settle.after_commit:4",
        "reconcile.after_commit:3",
        "inbox.after_commit:5",
    ],
)
async def test_killed_later(dsn: str, checkpoint: str) -> None:
    async with system(dsn, kill_at=checkpoint) as running:
        await play(running)
        assert running.deaths == [-signal.SIGKILL]
        await assert_adds_up(running)


def test_every_transaction_of_a_step_has_its_checkpoints() -> None:
    """The list that the kill tests are made from is the list of the source."""
    found: set[str] = set()
    for path in _SOURCE.rglob("*.py"):
        found |= set(re.findall(r'\.transaction\(\s*"(\w+)"', path.read_text()))
    found |= set(pipeline.outcomes.STEP_OF.values())
    assert found == set(pipeline.STEPS)
    assert set(pipeline.outcomes.STEP_OF) == set(pipeline.EFFECT_KINDS)


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
        await running.clock(at("09:01"))
        await point.meter(transaction, at("09:30"), 6_000)
        _kill_postmaster(folder)
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
        await running.clock(at("08:01"))
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
