"""What is above a safety bound is not sent until a person lets it. The bound is 500.00 (ten times
the largest hold), and 10 payments of a driver within 24 hours."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest
from till_rig import Till, terms, till

import handmade as hand
from wattledger.clock import DrivenClock
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.errors import Conflict, NotFound
from wattledger.payments import store as payments
from wattledger.pipeline.charging import start
from wattledger.pipeline.collecting import debts, parked
from wattledger.pipeline.starting import asking
from wattledger.sessions import store as sessions

__all__ = ["till"]

BIG = {"hold": 60_000, "authorized_minor": 60_000}


async def _big_capture(till: Till, total: int = 50_001) -> None:
    till.add(total, payment=BIG)
    await till.collect()


async def test_a_capture_above_the_bound_waits(till: Till) -> None:
    await _big_capture(till)
    assert await till.asked() == []
    assert await till.payments() == [("hold", "parked", 0)]
    assert await till.parts() == [("pending", 50_001, "hold")]
    assert await till.shown() == ["payment.parked"]
    assert await till.rows("SELECT parked_why FROM payment") == [("$500.01 is above $500.00",)]


async def test_one_at_the_bound_does_not(till: Till) -> None:
    await _big_capture(till, 50_000)
    assert await till.asked() == [("stripe.capture", 50_000)]


async def test_a_person_lets_it(till: Till) -> None:
    await _big_capture(till)
    await parked.release(till.world, "pay_1", "page:bea", "a lorry")
    assert await till.asked() == [("stripe.capture", 50_001)]
    await till.says("stripe.capture", status="succeeded", captured_minor=50_001)
    assert await till.parts() == [("captured", 50_001, "hold")]
    assert await till.rows("SELECT actor, act, subject, reason FROM money_act") == [
        ("page:bea", "payment.release", "pay_1", "a lorry")
    ]
    assert await till.rows("SELECT FROM anomaly WHERE resolved_at IS NULL") == []
    with pytest.raises(Conflict, match="is captured, not parked"):
        await parked.release(till.world, "pay_1", "page:bea", "again")
    with pytest.raises(NotFound):
        await parked.refuse(till.world, "pay_9", "page:bea", "nothing")


async def test_a_person_refuses_it(till: Till) -> None:
    await _big_capture(till)
    await parked.refuse(till.world, "pay_1", "page:bea", "a wrong tariff")
    assert await till.parts() == [("waived", 50_001, None)]
    assert await till.rows("SELECT kind FROM effect WHERE kind LIKE 'stripe.%'") == [
        ("stripe.release",)
    ]
    assert await till.unproved() == []


async def test_a_second_charge_above_the_bound_waits(till: Till) -> None:
    """510.01 above a hold of 25.00."""
    till.add(53_501, terms=terms(second_charge=True))
    await till.collect()
    assert await till.asked() == [("stripe.capture", 2_500)]
    assert await till.payments() == [("hold", "capturing", 0), ("second", "parked", 0)]
    ((second,),) = await till.rows("SELECT id FROM payment WHERE leg = 'second'")
    await parked.refuse(till.world, second, "page:bea", "too much")
    assert (await till.parts())[1] == ("waived", 51_001, None)


def _before(database: Database, count: int, hours: int) -> None:
    """So many payments of Ann, so long ago."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        for n in range(10, 10 + count):
            hand.add_session(conn, f"ses_{n}", route=Route.CARD, charge_point=f"CP-{n}")
            at = hand.NOW.replace(hour=0) - timedelta(hours=hours)
            hand.add_payment(
                conn, f"pay_{n}", f"ses_{n}", driver="ann", created_at=at, state="captured"
            )


@pytest.mark.parametrize(
    ("count", "hours", "waits"), [(9, 1, False), (10, 1, True), (10, 24, False), (11, 23, True)]
)
async def test_more_payments_than_a_driver_has_in_a_day_wait(
    till: Till, database: Database, count: int, hours: int, waits: bool
) -> None:
    _before(database, count, hours)
    till.add(payment={"state": "declined"})
    await till.collect()
    await debts.try_now(till.world, "chg_1/1", actor="cli:bea")
    assert (await till.asked() == []) is waits
    assert await till.shown() == (["payment.parked"] if waits else [])


async def _start(till: Till, number: int, asked: asyncio.Event, go_on: asyncio.Event) -> None:
    """Ann starts: her hold is asked for, and the transaction stays open until it may go on."""
    async with till.world.work.transaction("x") as tx:
        row = await sessions.get(tx.conn, f"ses_{number}")
        assert row is not None
        await start.add_hold(tx, row.id, row.contract)
        asked.set()
        await go_on.wait()


async def test_two_starts_at_the_same_moment_are_not_both_the_tenth_of_a_day(
    till: Till, database: Database
) -> None:
    """Nine were before. The second start counts the first, which was not written when it came."""
    _before(database, 9, 1)
    for number in (1, 2):
        till.add(number=number, state="open", payment={})
    first, second, go_on, free = (asyncio.Event() for _ in range(4))
    free.set()
    running = asyncio.create_task(_start(till, 1, first, go_on))
    await first.wait()
    waiting = asyncio.create_task(_start(till, 2, second, free))
    await asyncio.sleep(0.3)
    assert not second.is_set(), "one after the other"
    go_on.set()
    await asyncio.gather(running, waiting)
    states = await till.rows("SELECT session_id, state FROM payment WHERE state <> 'captured'")
    assert sorted(states) == [("ses_1", "holding"), ("ses_2", "parked")]
    assert await till.asked() == [("stripe.hold", 2_500)]


async def test_a_hold_above_a_bound_waits_and_what_it_should_pay_with_it(
    till: Till, database: Database, clock: DrivenClock
) -> None:
    _before(database, 10, 1)
    till.add(payment={"state": "holding", "intent_id": None, "authorized_minor": None})
    async with till.world.work.transaction("x") as tx:
        row = await sessions.get(tx.conn, "ses_1")
        assert row is not None
        params = asking.hold_params(row.contract, "pay_1", {"session_id": "ses_1"})
        await asking.ask(tx, row.contract, "pay_1", "hold", params)
        assert (await payments.get(tx.conn, "pay_1")).state == "parked"
    await till.collect()
    assert await till.parts() == [("pending", 440, "hold")]
    assert await till.asked() == []
    await parked.refuse(till.world, "pay_1", "page:bea", "a fault in a loop")
    assert await till.parts() == [("debt", 440, None)]


async def test_a_parked_debt_that_is_refused_stays_a_debt(till: Till, database: Database) -> None:
    _before(database, 10, 1)
    till.add(payment={"state": "declined"})
    await till.collect()
    payment_id = await debts.try_now(till.world, "chg_1/1", actor="cli:bea")
    await parked.refuse(till.world, payment_id, "page:bea", "not today")
    assert [state for state, _, _ in await till.debts()] == ["open"]
