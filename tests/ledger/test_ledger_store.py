"""Booking and the trial balance."""

from __future__ import annotations

from datetime import UTC, date, datetime

from wattledger.db.connect import Pool
from wattledger.ledger import store
from wattledger.ledger.accounts import Code
from wattledger.ledger.entries import Entry, Posting

NOW = datetime(2026, 11, 2, tzinfo=UTC)
CHARGE = Entry(
    "north", "charge", "chg_1", date(2026, 11, 1), "USD",
    (
        Posting(Code.RECEIVABLE_DRIVER, Code.REVENUE_ENERGY, 400),
        Posting(Code.RECEIVABLE_DRIVER, Code.TAX_SALES, 40),
    ),
)  # fmt: skip


async def test_the_same_cause_is_booked_once(pool: Pool) -> None:
    async with pool.connection() as conn:
        assert await store.book(conn, CHARGE, NOW) is not None
        assert await store.book(conn, CHARGE, NOW) is None
        assert await store.book(conn, None, NOW) is None
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT count(*) AS n FROM posting")
        assert await cursor.fetchone() == {"n": 2}


async def test_the_trial_balance_of_an_entity_sums_to_nothing(pool: Pool) -> None:
    async with pool.connection() as conn:
        await store.book(conn, CHARGE, NOW)
        found = await store.balances(conn, "north")
        assert await store.balances(conn, "south") == []
    assert [
        (r["code"], r["debit_minor"], r["credit_minor"], r["balance_minor"]) for r in found
    ] == [
        ("receivable.driver", 440, 0, 440),
        ("revenue.energy", 0, 400, -400),
        ("tax.sales", 0, 40, -40),
    ]
