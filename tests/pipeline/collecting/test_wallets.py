"""Prepaid balances: filled, drawn by sessions, given back to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from returns_desk import READ, item
from till_rig import Till, terms, till

from wattledger.contract import Route
from wattledger.entitlements import Snapshot
from wattledger.entitlements.model import Account, Entity
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.payments import wallets as store
from wattledger.pipeline.collecting import wallets
from wattledger.pipeline.returning.taken_over import take_over
from wattledger.pipeline.settle import read_done
from wattledger.pipeline.world import World

__all__ = ["till"]


async def _balance(world: World, account: str = "ann") -> int:
    async with world.work.pool.connection() as conn:
        return await store.balance(conn, "north", account, "USD")


async def _record(till: Till, amount: int, reference: str = "bank 1", account: str = "ann") -> bool:
    return await wallets.record(
        till.world, account, amount, reference, entity_id="north", actor="cli:bea",
        reason="a transfer",
    )  # fmt: skip


async def test_money_that_came_otherwise_is_recorded_once(till: Till) -> None:
    assert await _record(till, 1_000)
    assert not await _record(till, 1_000)
    assert await _balance(till.world) == 1_000
    assert await till.balance("receivable.external") == 1_000
    assert await till.balance("payable.wallet") == -1_000
    assert await till.rows("SELECT actor, act, subject, reason FROM money_act") == [
        ("cli:bea", "wallet.record", "ann", "a transfer")
    ]
    assert await till.unproved() == []


async def test_a_session_draws_what_it_costs(till: Till) -> None:
    await _record(till, 1_000)
    till.add(440, route=Route.WALLET, payment={})
    await till.collect()
    assert await till.parts() == [("wallet", 440, None)]
    assert await _balance(till.world) == 560
    assert await till.balance("payable.wallet") == -560
    assert await till.balance("receivable.driver") == 0
    assert await till.unproved() == []


async def test_what_the_wallet_has_not_is_owed(till: Till) -> None:
    """3.00 for a session of 4.40."""
    await _record(till, 300)
    till.add(440, route=Route.WALLET, payment={}, terms=terms(dunning_days=()))
    await till.collect()
    assert await till.parts() == [("wallet", 300, None), ("debt", 140, None)]
    assert await till.debts() == [("open", 140, "wallet_empty")]
    assert await _balance(till.world) == 0
    assert await till.unproved() == []


async def test_an_empty_wallet_pays_nothing(till: Till) -> None:
    till.add(440, route=Route.WALLET, payment={}, shortfall="waive")
    await till.collect()
    assert await till.parts() == [("waived", 440, None)]


@pytest.fixture
async def agreed(till: Till, monkeypatch: pytest.MonkeyPatch) -> Till:
    """Ann agreed to be charged."""
    known = wallets._known

    def with_consent(snapshot: Snapshot, *ids: str) -> tuple[Account, Entity]:
        account, entity = known(snapshot, *ids)
        return msgspec.structs.replace(account, consent=True), entity

    monkeypatch.setattr(wallets, "_known", with_consent)
    return till


async def _top_up(till: Till, amount: int = 2_000, reference: str = "app 1") -> str:
    return await wallets.top_up(
        till.world, "ann", amount, reference, entity_id="north", actor="key:app"
    )


async def test_a_card_fills_it_once_it_is_captured(agreed: Till) -> None:
    payment_id = await _top_up(agreed)
    assert await _top_up(agreed) == payment_id
    assert await agreed.asked() == [("stripe.charge", 2_000)]
    assert await _balance(agreed.world) == 0
    effect = await agreed.charges(2_000)
    assert effect.request["params"]["metadata"] == {
        "payment_id": payment_id, "leg": "topup", "attempt": "1"
    }  # fmt: skip
    assert await _balance(agreed.world) == 2_000
    assert await agreed.balance("receivable.driver") == 2_000
    assert await agreed.unproved() == []
    with pytest.raises(Conflict, match=r"was \$20.00 before"):
        await _top_up(agreed, 3_000)


async def test_one_reference_twice_at_once_is_one_top_up(
    agreed: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither has seen the other when it looks first."""
    look, before = wallets._is_there, [True]

    async def first_in_vain(tx: Any, payment: Any) -> bool:
        return False if before.pop(0) else await look(tx, payment)

    monkeypatch.setattr(wallets, "_is_there", first_in_vain)
    payment_id = await _top_up(agreed)
    before += [True, False]
    assert await _top_up(agreed) == payment_id
    before += [True, False]
    with pytest.raises(Conflict, match=r"was \$20.00 before, not \$30.00"):
        await _top_up(agreed, 3_000)
    assert await agreed.asked() == [("stripe.charge", 2_000)]
    assert await agreed.rows("SELECT act FROM money_act") == [("wallet.top_up",)]


async def _read(till: Till, *items: dict[str, Any]) -> None:
    """The processor's lines, in a reading of now."""
    effect = msgspec.structs.replace(READ, due_at=till.world.now)
    response = {"items": list(items), "payouts": [], "unreadable": [], "next": None}
    snapshot = await till.world.snapshot(till.world.now)
    async with till.world.work.transaction("settle") as tx:
        await read_done(tx, snapshot, effect, response)


async def _filled(till: Till, drawn: int = 0) -> str:
    """20.00 by a card, of which a session has drawn some; the charge."""
    payment_id = await _top_up(till)
    await till.charges(2_000)
    charge = f"ch_{payment_id.removeprefix('pay_')}"
    await _read(till, item("txn_1", "charge", 2_000, charge=charge, source=charge))
    if drawn:
        till.add(drawn, route=Route.WALLET, payment={})
        await till.collect()
    return charge


async def _take_over(till: Till, line: str) -> Any:
    (found,) = await take_over(till.world, line, "correction", "asked for", actor="key:desk")
    return found


async def test_a_top_up_given_back_at_the_processor_leaves_the_wallet(agreed: Till) -> None:
    """5.00 of 20.00."""
    charge = await _filled(agreed)
    await _read(agreed, item("txn_2", "refund", -500, charge=charge, source="re_9"))
    assert await agreed.balance("suspense.processor") == 500
    row = await _take_over(agreed, "txn_2")
    assert (row.amount_minor, row.state, row.external_refund_id) == (500, "done", "re_9")
    assert await _balance(agreed.world) == 1_500
    assert await agreed.balance("payable.wallet") == -1_500
    assert await agreed.balance("suspense.processor") == 0
    assert await agreed.rows("SELECT kind, amount_minor FROM wallet_move ORDER BY id") == [
        ("topup", 2_000), ("paid_out", -500),
    ]  # fmt: skip
    assert await agreed.rows("SELECT code FROM anomaly WHERE resolved_at IS NULL") == []
    with pytest.raises(Conflict, match="taken over already"):
        await _take_over(agreed, "txn_2")
    assert await agreed.unproved() == []


@pytest.mark.parametrize("status", ["needs_response", "lost"])
async def test_a_top_up_whose_dispute_is_lost_leaves_the_wallet(agreed: Till, status: str) -> None:
    charge = await _filled(agreed)
    async with agreed.world.work.transaction("x") as tx:
        await tx.conn.execute(
            "INSERT INTO dispute (id, processor_id, entity_id, payment_id, currency, amount_minor,"
            " reason, status, inquiry, opened_at, seen_at) SELECT 'du_1', 'stripe', 'north', id,"
            " 'USD', 2000, 'fraudulent', %s, false, now(), now() FROM payment",
            (status,),
        )
    await _read(agreed, item("txn_2", "dispute", -2_000, charge=charge, source="du_1"))
    if status != "lost":
        with pytest.raises(NotFound):
            await _take_over(agreed, "txn_2")
        return
    assert await agreed.balance("expense.disputes") == 2_000
    await _take_over(agreed, "txn_2")
    assert await agreed.balance("expense.disputes") == 0
    assert await _balance(agreed.world) == 0
    assert await agreed.unproved() == []


async def test_a_card_that_refuses_fills_nothing(agreed: Till) -> None:
    await _top_up(agreed)
    await agreed.refuses("stripe.charge", "card_declined", intent_id="pi_1")
    assert await _balance(agreed.world) == 0
    assert await agreed.payments() == [("topup", "declined", 0)]
    assert await agreed.unproved() == []


@pytest.mark.parametrize("amount", [0, -1, 49])
async def test_too_little_for_a_card(agreed: Till, amount: int) -> None:
    with pytest.raises(BadInput, match="50 or more"):
        await _top_up(agreed, amount)


async def test_nobodys_wallet_and_no_amount(till: Till) -> None:
    with pytest.raises(NotFound):
        await _record(till, 100, account="nobody")
    with pytest.raises(BadInput):
        await _record(till, 0)
    with pytest.raises(Conflict, match="no card that may be charged"):
        await _top_up(till)


async def test_two_legal_entities_have_a_wallet_each(till: Till) -> None:
    await _record(till, 1_000)
    await wallets.record(till.world, "ann", 300, "bank 1", entity_id="rhine", actor="cli:bea")
    async with till.world.work.pool.connection() as conn:
        assert await store.balances(conn, "ann") == [
            {"entity_id": "north", "currency": "USD", "balance_minor": 1_000},
            {"entity_id": "rhine", "currency": "EUR", "balance_minor": 300},
        ]
        assert len(await store.moves(conn, "ann")) == 2


@pytest.mark.parametrize("other", [{"amount": 2_000}, {"account": "acme"}])
async def test_a_reference_is_for_one_account_and_one_amount(
    till: Till, other: dict[str, Any]
) -> None:
    """Whoever records another transfer under it is told, and not that it was recorded."""
    await _record(till, 1_000)
    with pytest.raises(Conflict, match="recorded before, as another one"):
        await _record(till, **{"amount": 1_000, **other})
