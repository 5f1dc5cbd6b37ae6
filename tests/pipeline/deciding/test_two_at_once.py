"""A person's act, a webhook and an alarm about the same money at the same moment: each counts once,
in either order, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from psycopg.errors import DeadlockDetected
from returns_desk import item
from terminal_yard import MINUTE, T0, Yard, with_terminal
from test_disputes import DisputeDesk
from till_rig import Till, till

from wattledger.clock import DrivenClock
from wattledger.db.connect import Database
from wattledger.db.effects import Done, Rejected
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.errors import Conflict
from wattledger.ledger.proof import prove
from wattledger.payments import store as payments
from wattledger.pipeline.deciding import money_desk
from wattledger.pipeline.deciding.money_desk import Asked
from wattledger.pipeline.returning import money_back, refunds
from wattledger.pipeline.terminals import terminals
from wattledger.pipeline.world import World

__all__ = ["till"]


@pytest.fixture
async def desk(world: World, clock: DrivenClock, database: Database) -> DisputeDesk:
    """4.40 are captured and read."""
    found = DisputeDesk(world, clock, database)
    await found.paid()
    await found.charge_read()
    return found


async def _do(world: World, name: str, subject: str, **more: Any) -> dict[str, Any]:
    return await money_desk.do(world, name, Asked(subject, "page:Ann", "they called", **more))


async def _one(*doing: Any) -> list[Any]:
    """At once; what came of each."""
    return await asyncio.gather(*doing, return_exceptions=True)


async def _proved(database: Database) -> None:
    async with await database.connect(Role.READER) as conn, conn.transaction():
        assert (await prove(conn)).findings == ()


async def test_what_failed_is_sent_again_or_paid_by_hand_and_not_both(desk: DisputeDesk) -> None:
    await desk.ask(amount_minor=110)
    await desk.answer("stripe.refund", Rejected({"code": "insufficient_funds"}))
    [(row_id,)] = await desk.rows("SELECT id FROM payment_refund")
    found = await _one(
        _do(desk.world, "back.again", row_id), _do(desk.world, "back.otherwise", row_id),
        _do(desk.world, "back.again", row_id),
    )  # fmt: skip
    assert sorted(type(each).__name__ for each in found) == ["Conflict", "Conflict", "dict"]
    states = sorted(state for _, _, state, _ in await desk.sent())
    assert states in (["otherwise"], ["refused", "sending"])
    await _proved(desk.database)


async def test_a_refund_by_a_person_and_one_made_past_us_at_once(desk: DisputeDesk) -> None:
    """4.40 in all: 3.00 are asked for while 2.00 are taken over. The later one is held to what is
    left: nobody gets more than they paid."""
    await desk.read(item("txn_3", "refund", -200, source="re_9", charge="ch_1"))
    await _one(
        desk.ask(amount_minor=300), _do(desk.world, "refund.take_over", "txn_3", kind="goodwill")
    )
    back = sum(minor for minor, *_ in await desk.sent())
    assert back in (200, 300)
    await _proved(desk.database)


async def test_a_refund_is_asked_for_while_its_dispute_is_heard_of(desk: DisputeDesk) -> None:
    """It waits, is refused, or was sent before: never both, and the books hold."""
    await _one(desk.ask(amount_minor=110), desk.seen("needs_response"))
    sent = await desk.sent()
    assert [row[0] for row in sent] in ([], [110])
    await _one(desk.seen("won"), desk.ask(key="k2", amount_minor=100))
    await _proved(desk.database)


@pytest.mark.parametrize("status", ["won", "lost"])
async def test_a_refusal_whose_dispute_was_decided_on_its_way_is_not_left_to_a_person(
    desk: DisputeDesk, status: str
) -> None:
    """The processor refused it for a dispute; by the time that we hear so, that is decided."""
    await desk.ask(amount_minor=110)
    desk.clock.advance(desk.world.now + MINUTE)
    await desk.seen(status)
    await desk.answer("stripe.refund", Rejected({"code": "charge_disputed"}))
    if status == "won":
        assert await desk.sent() == [(110, "refund", "sending", None)]
        await desk.answer("stripe.refund", Rejected({"code": "charge_disputed"}))
        assert await desk.sent() == [(110, "refund", "refused", "charge_disputed")], "once"
    else:
        assert await desk.sent() == [(110, "refund", "otherwise", "dispute_lost")]
    assert ("refund.refused", f"the dispute is {status}") in await desk.settled()
    await _proved(desk.database)


async def test_the_processors_answer_and_its_webhook_about_one_refund_at_once(
    desk: DisputeDesk,
) -> None:
    """Its failure is shown and told once, whoever says it."""
    await desk.ask(amount_minor=110)
    await desk.refunded("pending")
    [(row_id,)] = await desk.rows("SELECT id FROM payment_refund")
    found = {"id": "re_1", "status": "failed", "failure_reason": "expired_card",
             "metadata": {"payment_refund_id": row_id}}  # fmt: skip
    await _one(
        desk.fetched("refund", found),
        desk.read(item("txn_3", "refund", -110, source="re_1", charge="ch_1"),
                  item("txn_4", "refund_failure", 110, source="re_1", charge="ch_1")),
    )  # fmt: skip
    assert [state for _, _, state, _ in await desk.sent()] == ["failed"]
    assert (await desk.codes()).count("refund.failed") == 1
    assert len(await desk.told("refund.failed")) == 1
    await _proved(desk.database)


async def test_an_act_that_the_database_ends_for_a_step_that_waits_for_it_is_done_again(
    desk: DisputeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person holds the refund and wants its payment; a dispute that ends holds the payment and
    wants the refund."""
    await desk.ask(amount_minor=110)
    await desk.answer("stripe.refund", Rejected({"code": "insufficient_funds"}))
    [(row_id,)] = await desk.rows("SELECT id FROM payment_refund")
    ended: list[str] = []
    again = money_back.again

    async def seen(*args: Any, **more: Any) -> str:
        try:
            return await again(*args, **more)
        except DeadlockDetected:
            ended.append("once")
            raise

    monkeypatch.setattr(money_back, "again", seen)
    async with desk.world.work.transaction("x") as tx:
        await payments.get(tx.conn, "pay_1")
        acting = asyncio.create_task(_do(desk.world, "back.again", row_id))
        await asyncio.wait({acting}, timeout=0.3)
        await tx.conn.execute("SELECT FROM payment_refund FOR UPDATE")
    await acting
    assert ended == ["once"]
    assert sorted(state for _, _, state, _ in await desk.sent()) == ["refused", "sending"]


@pytest.fixture
async def yard(work: Work, clock: DrivenClock) -> Yard:
    return await Yard.made(work, clock, with_terminal())


async def test_a_person_who_matches_a_payment_waits_for_the_bill_that_has_found_it(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bill of one session finds the payment; before it has taken it somebody says it is another
    session's. The bill has it, and is no fault of ours; the person is told."""
    await yard.report("authorization", "A1", "50.00")
    late, number = await yard.begin(90 * MINUTE, 2)
    await yard.finish(number, 100 * MINUTE, 1_000)
    assert await yard.bill(late) == "held"
    mine, number = await yard.begin(MINUTE, 1)
    await yard.finish(number, 110 * MINUTE, 10_000)
    payment_id = await yard.one("SELECT id FROM terminal_payment")
    near, acting = terminals.near, []

    async def then_somebody_acts(*args: Any) -> Any:
        found = await near(*args)
        if not acting:
            acting.append(asyncio.create_task(
                _do(yard.world, "suspense.match", payment_id, session_id=late)
            ))  # fmt: skip
            await asyncio.wait(acting, timeout=0.3)
        return found

    monkeypatch.setattr(terminals, "near", then_somebody_acts)
    assert await yard.bill(mine) == "billed"
    with pytest.raises(Conflict, match="is matched"):
        await acting[0]
    assert await yard.one("SELECT session_id FROM terminal_payment") == mine


@pytest.mark.parametrize("act", ["suspense.keep", "suspense.return"])
async def test_what_is_decided_of_a_payment_that_a_bill_has_found_comes_after_it(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    await yard.report("authorization", "A1", "50.00")
    yard.clock.advance(T0 + 16 * MINUTE)
    await yard.due()
    mine = await yard.charge(MINUTE, 10_000)  # told late
    payment_id = await yard.one("SELECT id FROM terminal_payment")
    near, acting = terminals.near, []

    async def then_somebody_acts(*args: Any) -> Any:
        found = await near(*args)
        if not acting:
            acting.append(asyncio.create_task(_do(yard.world, act, payment_id)))
            await asyncio.wait(acting, timeout=0.3)
        return found

    monkeypatch.setattr(terminals, "near", then_somebody_acts)
    assert await yard.bill(mine) == "billed"
    with pytest.raises(Conflict, match="is matched"):
        await acting[0]


async def test_a_debt_is_written_off_tried_and_paid_outside_at_once(till: Till) -> None:
    declined = {"state": "declined", "decline_code": "card_declined", "authorized_minor": None}
    await till.collect(till.add(440, payment=declined))
    found = await _one(
        *(_do(till.world, name, "chg_1/1") for name in ("debt.write_off", "debt.try",
                                                        "debt.write_off", "debt.try"))
    )  # fmt: skip
    assert sorted(type(each).__name__ for each in found) == ["Conflict"] * 3 + ["dict"]
    [(state, _, _)] = await till.debts()
    assert state in ("written_off", "collecting")
    assert await till.unproved() == []


async def test_what_is_too_much_is_given_back_once_by_two_persons_and_the_dashboard(
    till: Till, database: Database
) -> None:
    """25.00 captured outside for 4.40: two persons give back 20.60."""
    till.add(payment={"external_charge_id": "ch_1"})
    async with till.world.work.transaction("x") as tx:
        for state in ("capturing", "captured"):
            await payments.move(
                tx.conn, "pay_1", state, captured_minor=2_500 if state == "captured" else None
            )
    await till.collect()
    found = await _one(*(_do(till.world, "payment.give_back", "pay_1") for _ in range(3)))
    assert sorted(type(each).__name__ for each in found) == ["Conflict", "Conflict", "dict"]
    assert await till.asked() == [("stripe.refund", 2_060)]


async def test_asked_twice_at_once_a_refund_is_one(desk: DisputeDesk) -> None:
    """Under one key, by two threads of one page."""
    both = await _one(*(
        refunds.ask(desk.world, "ses_1", {"amount_minor": 110}, "goodwill", "slow",
                    actor="page:Ann", key="k1") for _ in range(2)
    ))  # fmt: skip
    assert len({each.id for each in both}) == 1
    assert [row[0] for row in await desk.sent()] == [110]
    await desk.answer("stripe.refund", Done({"refund_id": "re_1", "status": "succeeded"}))
    await _proved(desk.database)
