"""Debts: tried again by the contract's days, paid all together, closed by a person or a credit; and
who owes does not charge. A session of 4.40 whose hold was declined."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from till_rig import GUEST, Till, terms, till

import handmade as hand
from wattledger.clock import DrivenClock
from wattledger.contract import Route
from wattledger.db import effects
from wattledger.db.effects import Done
from wattledger.errors import Conflict, NotFound
from wattledger.payments import blocks, plan
from wattledger.payments import debts as debt_store
from wattledger.payments import store as payments
from wattledger.payments.debts import Debt
from wattledger.pipeline import outcomes
from wattledger.pipeline.collecting import debts, parts
from wattledger.pipeline.returning import unblock
from wattledger.sessions import store as sessions

__all__ = ["till"]

DAY = timedelta(days=1)
DECLINED = {"state": "declined", "decline_code": "card_declined", "authorized_minor": None}


async def _owed(till: Till, total: int = 440, **more: Any) -> str:
    key = till.add(total, payment={**DECLINED, **more.pop("payment", {})}, **more)
    await till.collect(key)
    return key


async def _why(till: Till, account: str | None, token: str = "T1") -> str | None:
    async with till.world.work.pool.connection() as conn:
        return await blocks.why(conn, account, token)


async def test_a_debt_is_opened_with_who_owes_it(till: Till) -> None:
    await _owed(till)
    assert await till.rows(
        "SELECT session_id, entity_id, account_id, token, currency, amount_minor, why, carried,"
        " state, next_try_at - opened_at FROM debt"
    ) == [("ses_1", "north", "ann", "T1", "USD", 440, "card_declined", False, "open", DAY)]
    assert await till.balance("receivable.debt") == 440
    assert await till.unproved() == []


async def test_it_is_tried_on_its_day_and_paid(till: Till, clock: DrivenClock) -> None:
    await _owed(till)
    assert await till.alarms() == 0
    clock.advance(clock.now() + DAY)
    assert await till.alarms() == 1
    effect = await till.charges(440)
    assert effect.request["params"]["metadata"]["leg"] == "debt"
    assert await till.debts() == [("paid", 440, "card_declined")]
    assert await till.parts() == [("captured", 440, "debt")]
    # Dr receivable.debt 440, and back; the processor's own line settles the receivable.
    assert await till.balance("receivable.debt") == 0
    assert await till.balance("receivable.driver") == 440
    assert await till.unproved() == []


async def test_refused_it_is_tried_on_the_days_that_are_left_and_then_shown(
    till: Till, clock: DrivenClock
) -> None:
    began = clock.now()
    await _owed(till, terms=terms(dunning_days=(1, 3)))
    for days in (1, 3):
        clock.advance(began + days * DAY)
        assert await till.alarms() == 1
        assert await till.shown() == []
        await till.refuses("stripe.charge", "card_declined", intent_id=f"pi_day_{days}")
    assert await till.rows("SELECT state, tries, next_try_at FROM debt") == [("open", 2, None)]
    assert await till.shown() == ["debt.final"]
    clock.advance(began + 30 * DAY)
    assert await till.alarms() == 0
    assert await till.payments() == [
        ("debt", "declined", 0), ("debt", "declined", 0), ("hold", "declined", 0)
    ]  # fmt: skip


async def test_one_charge_collects_all_that_a_driver_owes(till: Till, clock: DrivenClock) -> None:
    """4.40 and, a day later, 1.10: the first one's alarm collects 5.50, the other's finds it paid.
    Bob owes something himself."""
    began = clock.now()
    await _owed(till)
    await _owed(till, number=3, account_id="bob")
    clock.advance(began + timedelta(hours=12))
    await _owed(till, 110, number=2)
    clock.advance(began + DAY)
    assert await till.alarms() == 2
    assert sorted(await till.asked()) == [("stripe.charge", 440), ("stripe.charge", 550)]
    await till.charges()
    await till.charges()
    assert {state for state, _, _ in await till.debts()} == {"paid"}
    clock.advance(began + 2 * DAY)
    assert await till.alarms() == 1
    assert await till.asked() == []
    assert await till.unproved() == []


async def test_the_alarms_of_one_debtor_take_turns(till: Till, clock: DrivenClock) -> None:
    """Four debts whose day comes at once, by four hands: one charge, and nobody waits for ever."""
    for number in range(1, 5):
        await _owed(till, number=number)
    clock.advance(clock.now() + DAY)
    async with till.world.work.transaction("x") as tx:
        claimed = await effects.claim(
            tx.conn, worker=1, now=tx.now, kinds=["money.due"], lanes=[], limit=9, lease_s=60
        )
    assert len(claimed) == 4
    await asyncio.gather(*(outcomes.take(till.world, each, Done({})) for each in claimed))
    assert await till.asked() == [("stripe.charge", 4 * 440)]


async def test_what_is_carried_waits_until_it_is_enough(till: Till, clock: DrivenClock) -> None:
    """0.22 and 0.33 of sessions below the processor's least of 0.50."""
    began = clock.now()
    await _owed(till, 22)
    assert await _why(till, "ann") is None
    clock.advance(began + 20 * DAY)
    await till.alarms()
    assert await till.asked() == []
    assert await till.shown() == []
    await _owed(till, 33, number=2)
    clock.advance(began + 21 * DAY)
    assert await till.alarms() == 1
    assert await till.asked() == [("stripe.charge", 55)]
    await till.charges(55)
    assert [state for state, _, _ in await till.debts()] == ["paid", "paid"]


async def test_without_a_card_it_stays_a_debt_and_is_shown_in_the_end(
    till: Till, clock: DrivenClock
) -> None:
    began = clock.now()
    await _owed(till, terms=terms(dunning_days=(1,)), **GUEST)
    clock.advance(began + DAY)
    assert await till.alarms() == 1
    assert await till.asked() == []
    assert await till.shown() == ["debt.final"]
    await debts.write_off(till.world, "chg_1/1", actor="cli:bea", reason="gone")
    assert await till.rows("SELECT count(*) FROM anomaly WHERE resolved_at IS NULL") == [(0,)]


# --- blocks ----------------------------------------------------------------------------------


async def test_who_owes_is_blocked_until_nothing_is_owed(till: Till, clock: DrivenClock) -> None:
    await _owed(till)
    await _owed(till, 110, number=2)
    assert await _why(till, "ann") == "in_debt"
    assert await _why(till, None) is None, "the account is blocked, not the token alone"
    await debts.write_off(till.world, "chg_1/1", actor="cli:bea", reason="a mistake")
    assert await _why(till, "ann") == "in_debt"
    clock.advance(clock.now() + DAY)
    await till.alarms()
    await till.charges(110)
    assert await _why(till, "ann") is None
    assert await till.rows("SELECT account_id, blocked FROM token_block ORDER BY id") == [
        ("ann", True), ("ann", False)
    ]  # fmt: skip


async def test_a_guests_token_is_blocked_whatever_its_case(till: Till) -> None:
    await _owed(till, **GUEST)
    assert await _why(till, None, "t1") == "in_debt"
    await till.world.refresh()
    assert till.world.blocks is not None
    assert till.world.blocks.why(None, "t1") == "in_debt"
    assert till.world.blocks.why("ann", "T1") is None
    async with till.world.work.pool.connection() as conn:
        assert await blocks.fresh(conn, till.world.blocks) is till.world.blocks
        assert (await blocks.fresh(conn, None)).tokens == {"t1": "in_debt"}


CARD = {"driver": "fp_1", "account_id": None}


async def _card(till: Till, card: str = "fp_1") -> str | None:
    async with till.world.work.pool.connection() as conn:
        return await blocks.why(conn, None, "T1", card)


async def test_a_guest_whose_card_is_known_is_blocked_by_it_until_nothing_is_owed(
    till: Till,
) -> None:
    for number in (1, 2):
        await _owed(till, number=number, payment=CARD, **GUEST)
    assert (await _card(till), await _card(till, "fp_2")) == ("in_debt", None)
    assert await _why(till, None) is None, "a token is for one start"
    await debts.write_off(till.world, "chg_1/1", actor="cli:bea", reason="a mistake")
    assert await _card(till) == "in_debt"
    await debts.write_off(till.world, "chg_2/1", actor="cli:bea", reason="a mistake")
    assert await _card(till) is None


async def test_a_person_lifts_a_block_whatever_is_owed(till: Till) -> None:
    await _owed(till)
    assert await unblock.lift(till.world, "ann", actor="key:desk", reason="paid in cash") == (
        "account"
    )
    assert await _why(till, "ann") is None
    assert await till.debts() == [("open", 440, "card_declined")]
    assert await till.rows("SELECT actor, act, subject, reason, detail FROM money_act") == [
        ("key:desk", "unblock", "ann", "paid in cash", {"kind": "account", "why": "in_debt"})
    ]
    with pytest.raises(NotFound, match="ann is blocked"):
        await unblock.lift(till.world, "ann", actor="key:desk", reason="again")


async def test_memory_learns_of_a_new_block_and_of_its_end(till: Till) -> None:
    await till.world.refresh()
    assert till.world.blocks is not None
    assert not till.world.blocks.accounts
    await _owed(till)
    await till.world.refresh()
    assert till.world.blocks.why("ann", "T1") == "in_debt"
    await debts.write_off(till.world, "chg_1/1", actor="cli:bea", reason="a mistake")
    await till.world.refresh()
    assert till.world.blocks.why("ann", "T1") is None


async def test_nobody_is_blocked_where_that_is_not_agreed(till: Till) -> None:
    await _owed(till, terms=terms(block_on_debt=False))
    assert await till.rows("SELECT FROM token_block") == []


# --- by a person, by a credit ----------------------------------------------------------------


async def test_a_person_tries_it_now(till: Till) -> None:
    await _owed(till)
    payment_id = await debts.try_now(till.world, "chg_1/1", actor="page:bea", reason="she called")
    with pytest.raises(Conflict, match="is collecting"):
        await debts.try_now(till.world, "chg_1/1", actor="page:bea")
    await till.charges(440)
    assert await till.debts() == [("paid", 440, "card_declined")]
    assert await till.rows("SELECT actor, act, subject, reason, detail FROM money_act") == [
        ("page:bea", "debt.try", "chg_1/1", "she called", {"payment_id": payment_id})
    ]


async def test_a_person_can_not_try_what_no_card_pays(till: Till) -> None:
    await _owed(till, **GUEST)
    with pytest.raises(Conflict, match="no card that its driver agreed to"):
        await debts.try_now(till.world, "chg_1/1", actor="page:bea")
    for missing in ("chg_9/1", "chg_1/x", "nonsense"):
        with pytest.raises(NotFound):
            await debts.try_now(till.world, missing, actor="page:bea")


async def test_a_person_writes_it_off(till: Till) -> None:
    await _owed(till)
    await debts.write_off(till.world, "chg_1/1", actor="cli:bea", reason="she moved away")
    assert await till.debts() == [("written_off", 440, "card_declined")]
    assert await till.parts() == [("waived", 440, None)]
    assert await till.balance("receivable.debt") == 0
    assert await till.balance("expense.waived") == 440
    assert await till.unproved() == []
    with pytest.raises(Conflict, match="is written_off"):
        await debts.write_off(till.world, "chg_1/1", actor="cli:bea", reason="again")


async def test_a_credit_closes_the_debt_and_lifts_the_block(till: Till) -> None:
    """As an adjustment does: the whole charge is taken back."""
    await _owed(till)
    async with till.world.work.transaction("x") as tx:
        row = await sessions.get(tx.conn, "ses_1")
        assert row is not None
        await tx.conn.execute(
            "INSERT INTO charge (id, session_id, revision, kind, reverses, reason, entity_id,"
            " currency, net_minor, tax_minor, total_minor, energy_wh, supply_ended_at, site_date,"
            " entity_date, issued_at, tariff_digest, document, document_digest)"
            " SELECT 'crd_2', session_id, 2, 'credit', id, 'late', entity_id, currency, -net_minor,"
            " -tax_minor, -total_minor, -energy_wh, supply_ended_at, site_date, entity_date,"
            " issued_at, tariff_digest, document, document_digest FROM charge"
        )
        back = plan.taken_back(await payments.parts(tx.conn, "chg_1"))
        await parts.write(tx, row, "crd_2", back, None, tx.now.date())
    assert await till.debts() == [("credited", 440, "card_declined")]
    assert await _why(till, "ann") is None
    assert await till.balance("receivable.debt") == 0


async def test_a_session_whose_debt_is_being_collected_waits_with_its_adjustment(
    till: Till,
) -> None:
    await _owed(till)
    async with till.world.work.pool.connection() as conn:
        assert not await payments.unanswered(conn, "ses_1")
    await debts.try_now(till.world, "chg_1/1", actor="page:bea")
    async with till.world.work.pool.connection() as conn:
        assert await payments.unanswered(conn, "ses_1")


async def test_what_is_being_credited_is_not_collected_with_the_rest(till: Till) -> None:
    """4.40 of each of two sessions. The second one's is credited: nobody collects it meanwhile."""
    await _owed(till)
    await _owed(till, number=2)
    async with till.world.work.transaction("x") as tx:
        assert not await payments.unanswered(tx.conn, "ses_2")
        asking = asyncio.create_task(debts.try_now(till.world, "chg_1/1", actor="page:bea"))
        done, _ = await asyncio.wait({asking}, timeout=0.3)
        assert not done, "it waits for what becomes of the other"
        for debt in await debt_store.of_charge(tx.conn, "chg_2"):
            await debt_store.close(tx.conn, debt, "credited", tx.now)
    await asking
    assert await till.asked() == [("stripe.charge", 440)]


async def test_guests_at_one_terminal_owe_each_what_is_theirs(
    till: Till, clock: DrivenClock
) -> None:
    """Two guests begin with the tag of their terminal, T1; each has a card that may be used again.
    Nobody pays for the other, and whoever comes next owes nothing."""
    guest = {**GUEST, "customer": None, "payment_method": None}
    for number in (1, 2):
        card = {"method": "card_present", "reusable_method": f"pm_{number}",
                "customer": f"cus_{number}"}  # fmt: skip
        await _owed(till, number=number, route=Route.TERMINAL, payment=card, **guest)
    assert await _why(till, None) is None
    clock.advance(clock.now() + DAY)
    assert await till.alarms() == 2
    assert sorted(await till.rows(
        "SELECT request->'params'->>'payment_method' AS method,"
        " request->'params'->'amount' AS minor FROM effect"
        " WHERE kind = 'stripe.charge'"
    )) == [("pm_1", 440), ("pm_2", 440)]  # fmt: skip


def test_a_charge_is_of_what_the_processor_has_a_unit_for() -> None:
    """Ten fils are the least in KWD: 1.230 and 0.005 are no charge, with 0.005 more they are."""
    whole, rest, more = (
        Debt(charge_id=f"chg_{n}", part=1, session_id="s", entity_id="e", account_id="a",
             token="t", currency="KWD", amount_minor=amount, why="w", carried=False, state="open",
             tries=0, next_try_at=None, payment_id=None, opened_at=hand.NOW, closed_at=None)
        for n, amount in enumerate((1_230, 5, 5))
    )  # fmt: skip
    assert debts.chargeable([whole, rest], 10) == [whole]
    assert debts.chargeable([whole, rest, more], 10) == [whole, rest, more]
    assert debts.chargeable([whole, rest], 1) == [whole, rest]


async def test_a_credit_and_the_collecting_of_one_debt_do_not_wait_for_each_other(
    till: Till,
) -> None:
    """A credit holds the session and then the debt; so does whoever collects it."""
    await _owed(till)
    async with till.world.work.transaction("x") as tx:
        await sessions.get(tx.conn, "ses_1", lock=True)
        asking = asyncio.create_task(debts.try_now(till.world, "chg_1/1", actor="page:bea"))
        done, _ = await asyncio.wait({asking}, timeout=0.3)
        assert not done
        assert not await payments.unanswered(tx.conn, "ses_1")
    await asking
    assert await till.asked() == [("stripe.charge", 440)]
