"""What a wallet had paid with money that went back is owed again, like any other debt; and a wallet
that is filled pays first what its account owes.

20.00 by Ann's card; sessions of 4.40 and 2.20 draw them.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from returns_desk import READ, item
from test_wallets import agreed
from till_rig import Till, terms, till

import handmade as hand
from wattledger.api.report import report
from wattledger.clock import DrivenClock
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.payments import blocks
from wattledger.payments import wallets as store
from wattledger.pipeline.collecting import debts, wallets
from wattledger.pipeline.returning.taken_over import take_over
from wattledger.pipeline.settle import read_done

__all__ = ["agreed", "till"]

DAY = timedelta(days=1)
SUSPENSE = "suspense.processor"


@pytest.fixture
async def used(agreed: Till, clock: DrivenClock) -> Till:
    """13.40 of 20.00 are left."""
    await wallets.top_up(
        agreed.world, "ann", 2_000, "app 1", entity_id="north", actor="key:app"
    )  # fmt: skip
    await agreed.charges(2_000)
    await _read(agreed, _line("txn_1", "charge", 2_000, await _charge(agreed)))
    for number, minor in ((1, 440), (2, 220)):
        agreed.add(minor, number=number, route=Route.WALLET, payment={},
                   terms=terms(dunning_days=(1,)))  # fmt: skip
        await agreed.collect(f"ses_{number}")
        clock.advance(clock.now() + timedelta(minutes=1))
    return agreed


async def _charge(till: Till) -> str:
    ((charge,),) = await till.rows("SELECT external_charge_id FROM payment WHERE leg = 'topup'")
    return str(charge)


def _line(key: str, category: str, minor: int, charge: str, source: str | None = None) -> Any:
    return item(key, category, minor, charge=charge, source=source or charge)


async def _read(till: Till, *items: dict[str, Any]) -> None:
    effect = msgspec.structs.replace(READ, due_at=till.world.now)
    response = {"items": list(items), "payouts": [], "unreadable": [], "next": None}
    snapshot = await till.world.snapshot(till.world.now)
    async with till.world.work.transaction("settle") as tx:
        await read_done(tx, snapshot, effect, response)


async def _gone(till: Till, minor: int, key: str = "txn_2", source: str = "re_9") -> None:
    """So much of the top-up is given back in the dashboard, and taken over."""
    await _read(till, _line(key, "refund", -minor, await _charge(till), source))
    await take_over(till.world, key, "correction", "asked for", actor="page:Ann")


async def _balance(till: Till) -> int:
    async with till.world.work.pool.connection() as conn:
        return await store.balance(conn, "north", "ann", "USD")


async def _why(till: Till) -> str | None:
    async with till.world.work.pool.connection() as conn:
        return await blocks.why(conn, "ann", "T1")


async def _adds_up(till: Till, database: Database) -> None:
    async with await database.connect(Role.READER) as conn, conn.transaction():
        found = (await report(conn))["money"]
    assert found["charged"] == (
        found["captured"] + found["wallet"] + found["waived"] + found["debt"] + found["pending"]
    )
    assert await till.unproved() == []
    assert await till.balance(SUSPENSE) == 0


async def test_what_the_wallet_had_paid_last_is_owed_again(used: Till, database: Database) -> None:
    """16.00 of 20.00 go back: 13.40 are there; of the 2.60 that are not the last session had 2.20
    and the first 0.40."""
    await _gone(used, 1_600)
    assert await _balance(used) == 0
    assert await used.parts() == [
        ("wallet", 400, None), ("debt", 40, None), ("wallet", 0, None), ("debt", 220, None),
    ]  # fmt: skip
    assert sorted(await used.debts()) == [
        ("open", 40, "topup_back"), ("open", 220, "topup_back"),
    ]  # fmt: skip
    assert await used.balance("receivable.debt") == 260
    assert await _why(used) == "in_debt", "2.20 are enough to be charged, and block"
    assert await used.rows(
        "SELECT detail->'sessions', (detail->>'amount_minor')::int FROM anomaly"
        " WHERE code = 'wallet.owed'"
    ) == [(["ses_2", "ses_1"], 260)]
    await _adds_up(used, database)


async def test_it_is_charged_on_its_day_with_all_that_is_owed(
    used: Till, clock: DrivenClock, database: Database
) -> None:
    await _gone(used, 2_000)
    clock.advance(clock.now() + DAY)
    await used.alarms()
    effect = await used.charges()
    assert effect.request["params"]["amount"] == 660
    assert {state for state, *_ in await used.debts()} == {"paid"}
    assert await _why(used) is None
    await _adds_up(used, database)


async def test_the_next_top_up_pays_it_first(used: Till, database: Database) -> None:
    """6.60 are owed. Of 5.00 that come the older 4.40 are paid; of 2.00 more the 2.20."""
    await _gone(used, 2_000)
    for minor, reference, left, owed in ((500, "bank 1", 60, 220), (200, "bank 2", 40, 0)):
        await wallets.record(
            used.world, "ann", minor, reference, entity_id="north", actor="cli:bea"
        )
        assert await _balance(used) == left
        assert await used.balance("receivable.debt") == owed
        await _adds_up(used, database)
    assert await _why(used) is None
    assert [part for part in await used.parts() if part[1]] == [
        ("wallet", 440, None), ("wallet", 220, None),
    ]  # fmt: skip


async def test_what_paid_it_may_go_back_as_well(used: Till, database: Database) -> None:
    """Owed, paid by a second top-up, and owed again once that is given back."""
    await _gone(used, 2_000)
    await wallets.top_up(used.world, "ann", 700, "app 2", entity_id="north", actor="key:app")
    await used.charges(700)
    assert await _balance(used) == 40
    ((charge,),) = await used.rows(
        "SELECT external_charge_id FROM payment WHERE leg = 'topup' AND hold_minor = 700"
    )
    await _read(used, _line("txn_8", "charge", 700, charge),
                _line("txn_9", "refund", -700, charge, "re_8"))  # fmt: skip
    await take_over(used.world, "txn_9", "correction", "asked for", actor="page:Ann")
    assert await _balance(used) == 0
    assert sorted(state for state, *_ in await used.debts()) == ["open", "open", "paid", "paid"]
    assert await used.balance("receivable.debt") == 660
    await _adds_up(used, database)


async def test_what_a_session_left_unpaid_is_paid_by_the_next_top_up(
    till: Till, database: Database
) -> None:
    """The wallet was empty: 4.40 are owed, and a card's debt is the card's."""
    till.add(440, route=Route.WALLET, payment={}, terms=terms(dunning_days=(1,)))
    await till.collect()
    declined = {"state": "declined", "decline_code": "card_declined", "authorized_minor": None}
    await till.collect(till.add(110, number=2, payment=declined))
    await wallets.record(till.world, "ann", 1_000, "bank 1", entity_id="north", actor="cli:bea")
    assert sorted(await till.debts()) == [
        ("open", 110, "card_declined"), ("paid", 440, "wallet_empty"),
    ]  # fmt: skip
    assert await _balance(till) == 560
    assert await _why(till) == "in_debt"
    await _adds_up(till, database)


async def test_a_person_writes_it_off(used: Till, database: Database) -> None:
    await _gone(used, 2_000)
    for state, part in await used.rows("SELECT charge_id, part FROM debt"):
        await debts.write_off(used.world, f"{state}/{part}", actor="page:Ann", reason="gone")
    assert await used.balance("expense.waived") == 660
    assert await _why(used) is None
    await _adds_up(used, database)


async def test_where_nobody_owes_by_the_contract_it_is_waived(
    agreed: Till, database: Database
) -> None:
    await wallets.top_up(agreed.world, "ann", 500, "app 1", entity_id="north", actor="key:app")
    await agreed.charges(500)
    await _read(agreed, _line("txn_1", "charge", 500, await _charge(agreed)))
    agreed.add(440, route=Route.WALLET, payment={}, shortfall="waive")
    await agreed.collect()
    await _gone(agreed, 500)
    assert await agreed.parts() == [("wallet", 0, None), ("waived", 440, None)]
    await _adds_up(agreed, database)


async def test_a_lost_dispute_of_a_top_up_is_no_loss_where_its_sessions_are_owed(
    used: Till, database: Database
) -> None:
    async with used.world.work.transaction("x") as tx:
        await tx.conn.execute(
            "INSERT INTO dispute (id, processor_id, entity_id, payment_id, currency, amount_minor,"
            " reason, status, inquiry, opened_at, seen_at) SELECT 'du_1', 'stripe', 'north', id,"
            " 'USD', 2000, 'fraudulent', 'lost', false, now(), now() FROM payment"
            " WHERE leg = 'topup'"
        )
    await _read(used, _line("txn_2", "dispute", -2_000, await _charge(used), "du_1"))
    await take_over(used.world, "txn_2", "correction", "lost", actor="page:Ann")
    assert await used.balance("expense.disputes") == 0
    assert await used.balance("receivable.debt") == 660
    await _adds_up(used, database)


async def test_a_session_that_draws_while_a_top_up_is_taken_over(
    used: Till, database: Database
) -> None:
    """14.00 of the 20.00 go back while a session of 12.00 draws: whichever is first, nothing is
    below zero, and what is not paid is owed."""
    used.add(1_200, number=3, route=Route.WALLET, payment={}, started_at=hand.NOW)
    await _read(used, _line("txn_2", "refund", -1_400, await _charge(used), "re_9"))
    taken, drawn = await asyncio.gather(
        take_over(used.world, "txn_2", "correction", "asked for", actor="page:Ann"),
        used.collect("ses_3"), return_exceptions=True,
    )  # fmt: skip
    assert drawn is None
    if isinstance(taken, Exception):  # drawn in between: asked again
        await take_over(used.world, "txn_2", "correction", "asked for", actor="page:Ann")
    # 20.00 less 14.00 are 6.00; the sessions cost 18.60.
    assert await _balance(used) == 0
    assert await used.balance("receivable.debt") == 1_860 - 600
    await _adds_up(used, database)


async def test_top_ups_and_a_person_who_tries_the_debt_at_once(
    used: Till, database: Database
) -> None:
    """Two transfers come and somebody charges the card: the debt is paid once."""
    await _gone(used, 2_000)
    ((charge, part),) = await used.rows("SELECT charge_id, part FROM debt WHERE amount_minor = 440")
    await asyncio.gather(
        *(wallets.record(used.world, "ann", 700, f"bank {n}", entity_id="north", actor="cli:bea")
          for n in (1, 2)),
        debts.try_now(used.world, f"{charge}/{part}", actor="page:Ann"), return_exceptions=True,
    )  # fmt: skip
    if "stripe.charge" in [kind for kind, _ in await used.asked()]:
        await used.charges()
    assert {state for state, *_ in await used.debts()} == {"paid"}
    await _adds_up(used, database)
