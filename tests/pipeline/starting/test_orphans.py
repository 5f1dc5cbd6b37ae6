"""Holds that no session has and no start waits for, whose alarm was missed: found at night."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

import handmade as hand
from starts_yard import T0, Yard, of
from wattledger.clock import DrivenClock
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.effects import Effect
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.pipeline.handlers import Settled
from wattledger.pipeline.starting import orphans

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def yard(work: Work, clock: DrivenClock) -> Yard:
    return await Yard.open(work, clock)


async def _night(yard: Yard) -> list[str]:
    """What is found, and looked at; no other alarm goes off."""
    async with yard.world.work.transaction("fetched") as tx:
        await orphans.look_for(tx, "stripe")
    found = await yard.rows(
        "SELECT subject FROM effect WHERE request->>'what' = 'hold.orphan' AND due_at = %s"
        " ORDER BY subject", yard.world.now,
    )  # fmt: skip
    for row in found:
        effect = Effect(1, "money.due", row["subject"], "l", 1, "k", {}, T0, 1, "t", T0, False)
        snapshot = await yard.world.snapshot(yard.world.now)
        async with yard.world.work.transaction("due") as tx:
            await orphans.look(Settled(tx, yard.world, snapshot, effect, {}))
    return [row["subject"] for row in found]


async def _shown(yard: Yard) -> list[dict[str, Any]]:
    found = await yard.rows("SELECT detail FROM anomaly WHERE code = 'hold.orphan' ORDER BY id")
    return [row["detail"] for row in found]


async def test_a_hold_whose_start_was_over_ten_minutes_ago_is_given_back_and_shown_once(
    yard: Yard,
) -> None:
    """The charge point was told at 0:00, and had 60 s."""
    start = of(await yard.ask())
    await yard.held()
    yard.clock.advance(T0 + 10 * MINUTE)
    assert await _night(yard) == []
    yard.clock.advance(T0 + 11 * MINUTE)
    assert await _night(yard) == [start.payment_id]
    assert await yard.payments() == [("releasing", 2500, False)]
    assert (await yard.start(start.id))["state"] == "expired"
    assert await _shown(yard) == [{"state": "held", "start_id": start.id, "given_back": True}]
    yard.clock.advance(T0 + 12 * MINUTE)
    assert await _night(yard) == []


async def test_a_hold_that_has_its_session_is_none(yard: Yard) -> None:
    start = of(await yard.ask())
    await yard.held()
    await yard.begin(start.token)
    yard.clock.advance(T0 + 60 * MINUTE)
    assert await _night(yard) == []


async def test_one_whose_answer_is_open_is_shown_and_left_to_it(yard: Yard) -> None:
    """Asked for at 0:00; its driver had 600 s."""
    start = of(await yard.ask())
    yard.clock.advance(T0 + 20 * MINUTE)
    for _ in range(2):
        assert await _night(yard) == [start.payment_id]
        yard.clock.advance(yard.world.now + MINUTE)
    assert await yard.payments() == [("holding", 2500, False)]
    assert await _shown(yard) == [{"state": "holding", "start_id": start.id, "given_back": False}]
    await yard.held()
    assert await yard.payments() == [("releasing", 2500, False)], "nobody waits for it any more"
    assert await yard.asked_of("ocpp.remote_start") == []


async def test_without_a_start_it_is_given_back_and_a_terminals_own_is_left(
    yard: Yard, database: Database
) -> None:
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        for name in ("pay_1", "pay_2"):
            hand.insert(
                conn, "payment", id=name, entity_id="north", processor_id="stripe",
                currency="USD", hold_minor=2500, state="held", intent_id=f"pi_{name}",
                route=Route.TERMINAL.value, created_at=T0,
            )  # fmt: skip
        hand.insert(
            conn, "terminal_payment", id="tpa_2", entity_id="north", provider="stripe",
            terminal_id="desk", reference="pi_2", mode="we_capture", currency="USD",
            authorized_at=T0, authorized_minor=2500, payment_id="pay_2", received_at=T0,
        )  # fmt: skip
    yard.clock.advance(T0 + 20 * MINUTE)
    assert await _night(yard) == ["pay_1"]
    assert await _shown(yard) == [{"state": "held", "start_id": None, "given_back": True}]
