"""What a payment took beyond all that it pays for goes back by a person's act.

A hold of 25.00 for a session of 4.40: 20.60 too much.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from returns_desk import READ, item
from till_rig import Till, terms, till

import handmade as hand
from wattledger.clock import DrivenClock
from wattledger.db import effects
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.errors import Conflict, NotFound
from wattledger.payments import store as payments
from wattledger.pipeline.collecting import collect, excess, sending
from wattledger.pipeline.deciding import money_desk
from wattledger.pipeline.deciding.money_desk import Asked
from wattledger.pipeline.handlers import Settled
from wattledger.pipeline.reconcile import reconcile
from wattledger.pipeline.returning import money_back
from wattledger.pipeline.returning.taken_over import take_over
from wattledger.pipeline.settle import read_done

__all__ = ["till"]

CHARGED = {"external_charge_id": "ch_1"}


async def _seen(till: Till, cause: str = "evt_1", **found: Any) -> None:
    """The processor's own word of the intent of pay_1."""
    async with till.world.work.transaction("x") as tx:
        await effects.add(
            tx.conn, kind="stripe.fetch", subject="pi_1", lane="fetch:x", key=f"x:{cause}",
            request={"cause": cause}, due_at=tx.now, caused_at=tx.now,
        )  # fmt: skip
    claimed = await till.claim("stripe.fetch")
    snapshot = await till.world.snapshot(till.world.now)
    async with till.world.work.transaction("x") as tx:
        settled = Settled(tx, till.world, snapshot, claimed, {})
        await collect.intent_seen(
            settled, await payments.get(tx.conn, "pay_1"), {"id": "pi_1", **found}
        )
        await effects.settle(tx.conn, claimed, "done", {}, tx.now)


async def _taken(till: Till, minor: int = 2_500) -> None:
    await _seen(till, status="succeeded", captured_minor=minor)


async def _give_back(till: Till, payment_id: str = "pay_1") -> str:
    return await excess.give_back(till.world, payment_id, actor="page:bea", reason="too much")


async def _back(till: Till) -> list[tuple[Any, ...]]:
    return await till.rows(
        "SELECT payment_id, amount_minor, cause, state FROM payment_refund ORDER BY id"
    )


async def test_what_was_taken_beyond_the_price_goes_back(till: Till) -> None:
    till.add(payment=CHARGED)
    await _taken(till)
    await till.collect()
    assert await till.parts() == [("captured", 440, "hold")]
    assert await till.unproved() == []
    await _give_back(till)
    assert await _back(till) == [("pay_1", 2_060, "suspense", "sending")]
    assert await till.asked() == [("stripe.refund", 2_060)]
    assert await till.rows("SELECT code FROM anomaly WHERE resolved_at IS NULL") == []
    acts = await till.rows("SELECT act, actor FROM money_act")
    assert acts == [("payment.give_back", "page:bea")]
    with pytest.raises(Conflict, match="no more than it pays for"):
        await _give_back(till)
    await till.says("stripe.refund", refund_id="re_1", status="succeeded")
    assert await till.unproved() == []


async def test_under_its_key_it_goes_back_once(till: Till) -> None:
    till.add(payment=CHARGED)
    await _taken(till)
    await till.collect()
    asked = Asked("pay_1", "key:clerk", "too much", key="k1")
    first = await money_desk.do(till.world, "payment.give_back", asked)
    assert await money_desk.do(till.world, "payment.give_back", asked) == first
    assert len(await _back(till)) == 1


async def test_a_free_session_has_all_of_it_back(till: Till) -> None:
    till.add(state="free", payment=CHARGED)
    await _taken(till)
    assert await till.unproved() == []
    await _give_back(till)
    assert await _back(till) == [("pay_1", 2_500, "suspense", "sending")]
    assert await till.unproved() == []


async def test_nobody_knows_what_is_too_much_before_the_bill(till: Till) -> None:
    till.add(state="open", payment=CHARGED)
    with pytest.raises(Conflict, match="is held: nothing of it is too much"):
        await _give_back(till)
    await _taken(till)
    with pytest.raises(Conflict, match="is open: it is not known yet"):
        await _give_back(till)
    with pytest.raises(NotFound):
        await _give_back(till, "pay_9")


async def test_more_captured_than_asked_goes_back(till: Till) -> None:
    till.add(payment=CHARGED)
    await till.collect()
    await till.says("stripe.capture", status="succeeded", captured_minor=600)
    assert await till.shown() == ["capture.differs"]
    assert await till.unproved() == []
    await _give_back(till)
    assert await _back(till) == [("pay_1", 160, "suspense", "sending")]


async def test_a_hold_being_given_back_that_was_taken_beside_a_second_charge(till: Till) -> None:
    """The card is charged again for 10.00; the hold, captured all the same, is all too much."""
    till.add(1_000, payment={**CHARGED, "state": "releasing"})
    await till.collect()
    await _taken(till, 1_000)
    await till.charges(1_000)
    assert await till.parts() == [("captured", 1_000, "second")]
    assert await till.payments() == [("hold", "captured", 1_000), ("second", "captured", 1_000)]
    assert await till.unproved() == []
    await _give_back(till)
    assert await _back(till) == [("pay_1", 1_000, "suspense", "sending")]


async def test_a_debt_being_collected_is_not_paid_twice(till: Till) -> None:
    till.add(1_000, payment={**CHARGED, "state": "releasing"}, terms=terms(gone="debt"))
    await till.collect()
    await money_desk.do(till.world, "debt.try", Asked("chg_1/1", "page:bea"))
    await _taken(till, 1_000)
    assert await till.debts() == [("collecting", 1_000, "hold_gone")]
    await _give_back(till)
    assert await _back(till) == [("pay_1", 1_000, "suspense", "sending")]
    await till.charges(1_000)
    assert await till.debts() == [("paid", 1_000, "hold_gone")]
    assert await till.unproved() == []


async def test_what_the_card_refuses_is_tried_again_or_paid_otherwise(till: Till) -> None:
    """By hand it is taken out of what was booked as taken: Dr receivable.driver 20.60."""
    till.add(payment=CHARGED)
    await _taken(till)
    await till.collect()
    first = await _give_back(till)
    await till.refuses("stripe.refund", "expired_or_canceled_card")
    again = await money_back.again(till.world, first, actor="page:bea", reason="a new card")
    assert (await _back(till)).count(("pay_1", 2_060, "suspense", "sending")) == 1
    await till.refuses("stripe.refund", "expired_or_canceled_card")
    before = await till.balance("receivable.driver")
    await money_back.paid_otherwise(till.world, again, actor="page:bea", reason="by transfer")
    assert await till.balance("receivable.driver") - before == 2_060
    assert await till.balance("payable.driver") == 0
    assert await till.unproved() == []


async def test_what_a_lost_dispute_gave_to_the_driver_is_not_given_again(
    till: Till, database: Database
) -> None:
    """All 25.00 were lost: of that loss 20.60 never were ours."""
    till.add(payment=CHARGED)
    await _taken(till)
    await till.collect()
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        hand.insert(
            conn, "dispute", id="du_1", processor_id="stripe", entity_id="north", currency="USD",
            payment_id="pay_1", amount_minor=2_500, reason="fraudulent", status="lost",
            inquiry=False, opened_at=hand.NOW, seen_at=hand.NOW, closed_at=hand.NOW,
        )  # fmt: skip
    await _give_back(till)
    assert await _back(till) == [("pay_1", 2_060, "suspense", "otherwise")]
    assert await till.asked() == []
    assert await till.balance("expense.disputes") == -2_060
    assert await till.unproved() == []


async def test_an_excess_that_nobody_was_shown_is_a_mistake_of_ours(till: Till) -> None:
    """The same figures as what was captured outside, without its anomaly."""
    till.add(payment={"captured": 2_500, "state": "captured"})
    await till.collect()
    assert await till.unproved() == ["captured.parts pay_1"]


async def test_the_reconciliation_shows_it_until_it_went_back(
    till: Till, database: Database, clock: DrivenClock
) -> None:
    till.add(payment=CHARGED)
    await _taken(till)
    await till.collect()
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        hand.insert(
            conn, "processor_item", id="txn_1", processor_id="stripe", entity_id="north",
            category="charge", currency="USD", amount_minor=2_500, fee_minor=0, net_minor=2_500,
            payment_id="pay_1", created_at=hand.NOW, available_at=hand.NOW, read_at=hand.NOW,
        )  # fmt: skip
    await _read(till, database, clock)
    assert await _breaks(till) == [("amount.capture_mismatch", 2_060)]
    await _give_back(till)
    await till.says("stripe.refund", refund_id="re_1", status="succeeded")
    await _read(till, database, clock)
    assert await _breaks(till) == []


async def _read(till: Till, database: Database, clock: DrivenClock) -> None:
    """The processor, an hour later, and both sides compared."""
    clock.advance(till.world.now + timedelta(hours=1))
    at, key = till.world.now, f"read:{till.world.now}"
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        hand.insert(
            conn, "effect", kind="stripe.read", subject="stripe", lane=key, lane_seq=1, key=key,
            request={}, state="done", due_at=at, caused_at=at, settled_at=at, response={},
        )  # fmt: skip
    await reconcile(till.world)


async def _breaks(till: Till) -> list[tuple[Any, ...]]:
    return await till.rows(
        "SELECT code, amount_minor FROM break WHERE leg = 'processor' AND resolved_at IS NULL"
    )


# --- an older look ---------------------------------------------------------------------------


async def _held(till: Till) -> int:
    ((held,),) = await till.rows("SELECT authorized_minor FROM payment")
    return int(held)


async def _looks(till: Till) -> list[str]:
    return [
        cause for (cause,) in await till.rows(
            "SELECT request->>'cause' FROM effect WHERE kind = 'stripe.fetch'"
            " AND state = 'pending'"
        )
    ]  # fmt: skip


async def test_an_older_look_does_not_undo_an_increment(till: Till) -> None:
    """It saw 25.00; meanwhile 50.00 are held."""
    till.add(state="open", payment={"can_increment": True})
    async with till.world.work.transaction("x") as tx:
        await sending.increment(tx, await payments.get(tx.conn, "pay_1"), 5_000)
    await _seen(till, "evt_1", status="requires_capture", held_minor=2_000)
    assert (await _held(till), await _looks(till)) == (2_500, [])  # the increment's answer counts
    await till.says("stripe.increment", held_minor=5_000, capturable_minor=5_000)
    await _seen(till, "evt_2", status="requires_capture", held_minor=2_500)
    (look,) = await _looks(till)
    assert (await _held(till), look[:18]) == (5_000, "holds:1:5000:2500:")


async def test_a_second_look_that_says_the_same_counts(till: Till) -> None:
    till.add(state="open", payment={"increments": 1, "authorized_minor": 5_000})
    await _seen(till, "holds:1:5000:4000:7", status="requires_capture", held_minor=4_000)
    assert (await _held(till), await _looks(till)) == (4_000, [])


async def test_what_was_too_much_and_is_given_back_in_the_dashboard_is_no_refund_of_the_session(
    till: Till,
) -> None:
    """Of 25.00 the session costs 4.40; 20.60 are given back there. The bill stands."""
    till.add(payment=CHARGED)
    await _taken(till)
    await till.collect()
    effect = msgspec.structs.replace(READ, due_at=till.world.now)
    items = [item("txn_1", "charge", 2_500, charge="ch_1", source="ch_1"),
             item("txn_2", "refund", -2_060, charge="ch_1", source="re_9")]  # fmt: skip
    snapshot = await till.world.snapshot(till.world.now)
    async with till.world.work.transaction("settle") as tx:
        await read_done(tx, snapshot, effect, {"items": items, "payouts": [], "next": None})
    assert await till.balance("suspense.processor") == 2_060
    with pytest.raises(Conflict, match=r"given back at the processor \(txn_2\): take that over"):
        await _give_back(till)
    (made,) = await take_over(till.world, "txn_2", "correction", "too much", actor="page:bea")
    assert (made.amount_minor, made.session_id) == (2_060, None)
    assert await _back(till) == [("pay_1", 2_060, "suspense", "done")]
    assert await till.parts() == [("captured", 440, "hold")]
    assert await till.balance("suspense.processor") == 0
    assert await till.balance("receivable.driver") == 0
    assert await till.rows("SELECT code FROM anomaly WHERE resolved_at IS NULL") == []
    assert await till.unproved() == []
    with pytest.raises(Conflict, match="no more than it pays for"):
        await _give_back(till)
