"""What the processor says is booked once, in the entity's day, and never guessed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from wattledger.db.effects import Effect
from wattledger.ledger.proof import prove
from wattledger.pipeline import settle
from wattledger.pipeline.reconcile import reconcile
from wattledger.pipeline.settle import next_reading, read_done
from wattledger.pipeline.world import World

NOW = datetime(2026, 11, 2, tzinfo=UTC)
READ = Effect(1, "stripe.read", "stripe", "l", 1, "k", {}, NOW, 1, "t", NOW, False)


def _item(key: str, category: str, amount: int, fee: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": key, "category": category, "currency": "USD", "amount_minor": amount,
        "fee_minor": fee, "net_minor": amount - fee, "source": None, "charge": None,
        "created_at": "2026-11-01T03:00:00+00:00", "available_at": "2026-11-03T00:00:00+00:00",
        **more,
    }  # fmt: skip


def _payout(amount: int, status: str, items: list[str] | None) -> dict[str, Any]:
    return {
        "id": "po_1", "amount_minor": amount, "currency": "USD", "status": status,
        "arrival_date": "2026-11-04", "created_at": "2026-11-01T00:00:00+00:00", "items": items,
    }  # fmt: skip


async def _read(world: World, items: list[dict[str, Any]], *payouts: dict[str, Any]) -> None:
    async with world.work.transaction("settle") as tx:
        snapshot = await world.snapshot(tx.now)
        await read_done(tx, snapshot, READ, {"items": items, "payouts": list(payouts)})


async def _rows(world: World, query: str) -> list[dict[str, Any]]:
    async with world.work.pool.connection() as conn:
        return await (await conn.execute(query.encode())).fetchall()


async def _journal(world: World) -> list[tuple[str, str, str, int]]:
    rows = await _rows(
        world,
        "SELECT e.cause_id, p.debit, p.credit, p.amount_minor FROM posting p"
        " JOIN entry e ON e.id = p.entry_id ORDER BY e.id, p.posting_no",
    )
    return [tuple(row.values()) for row in rows]  # type: ignore[misc]


async def test_an_item_read_twice_is_booked_once(world: World) -> None:
    fee = _item("txn_1", "fee", -200)
    await _read(world, [fee])
    await _read(world, [fee, _item("txn_2", "fee", -1)])
    assert await _journal(world) == [
        ("txn_1", "expense.processing", "clearing.stripe", 200),
        ("txn_2", "expense.processing", "clearing.stripe", 1),
    ]


async def test_an_item_without_a_payment_of_ours_goes_to_suspense_and_is_a_break(
    world: World,
) -> None:
    await _read(world, [_item("txn_1", "charge", 2_500, 103, charge="ch_unknown")])
    assert await _journal(world) == [
        ("txn_1", "clearing.stripe", "suspense.processor", 2_500),
        ("txn_1", "expense.processing", "clearing.stripe", 103),
    ]
    assert await reconcile(world) == 1
    assert await _rows(world, "SELECT leg, code, item_id, amount_minor FROM break") == [
        {"leg": "processor", "code": "missing.internal", "item_id": "txn_1", "amount_minor": 2_500}
    ]
    assert await reconcile(world) == 1, "met again, it is the same break"
    assert await _rows(world, "SELECT count(*) AS n FROM break") == [{"n": 1}]


async def test_an_item_is_booked_on_the_entitys_day(world: World) -> None:
    """03:00 UTC on 1 November is 23:00 on 31 October in New York."""
    await _read(world, [_item("txn_1", "fee", -200)])
    assert await _rows(world, "SELECT effective_on FROM entry") == [
        {"effective_on": date(2026, 10, 31)}
    ]


async def test_a_payout_moves_to_the_bank_when_it_is_paid_and_its_items_are_marked(
    world: World,
) -> None:
    items = [_item("txn_1", "charge", 440, 43), _item("txn_2", "payout", -397)]
    await _read(world, items, _payout(397, "in_transit", None))
    assert await _rows(world, "SELECT status, items_read FROM payout") == [
        {"status": "in_transit", "items_read": False}
    ]
    for _ in range(2):
        await _read(world, items, _payout(397, "paid", ["txn_1", "txn_2"]))
    assert (await _journal(world))[2:] == [
        ("txn_2", "payouts.in_transit", "clearing.stripe", 397),
        ("po_1", "bank", "payouts.in_transit", 397),
    ]
    assert await _rows(world, "SELECT id, payout_id FROM processor_item ORDER BY id") == [
        {"id": "txn_1", "payout_id": "po_1"}, {"id": "txn_2", "payout_id": "po_1"},
    ]  # fmt: skip
    assert await _rows(
        world, "SELECT request->'data'->>'amount_minor' AS paid FROM effect"
        " WHERE kind = 'webhook.deliver'",
    ) == [{"paid": "397"}]  # fmt: skip
    async with world.work.pool.connection() as conn:
        assert (await prove(conn)).findings == ()


async def test_a_payout_that_does_not_pay_what_its_items_say_is_a_break(world: World) -> None:
    items = [_item("txn_1", "fee", -3), _item("txn_2", "payout", -397)]
    await _read(world, items, _payout(397, "paid", ["txn_1", "txn_2"]))
    await reconcile(world)
    assert await _rows(world, "SELECT code, amount_minor FROM break WHERE leg = 'payout'") == [
        {"code": "amount.payout_mismatch", "amount_minor": -3 - 397}
    ]


async def test_a_break_that_is_gone_is_resolved_and_may_come_back(world: World) -> None:
    async with world.work.transaction("x") as tx:
        await settle.plan_read(tx, "stripe", NOW)
    await _read(world, [_item("txn_1", "charge", 440)])
    await reconcile(world)
    async with world.work.transaction("x") as tx:
        await tx.conn.execute("UPDATE break SET resolved_at = %s", (tx.now,))
    assert await reconcile(world) == 1
    assert await _rows(world, "SELECT resolved_at FROM break") == [{"resolved_at": None}]


async def test_a_reading_is_planned_once(world: World) -> None:
    await settle.ensure_schedule(world)
    await settle.ensure_schedule(world)
    found = await _rows(
        world, "SELECT subject, due_at, request->>'since' AS since FROM effect ORDER BY subject"
    )
    # 02:00 in New York on 2 November (EST) is 07:00 UTC; 02:00 in Berlin (CET) is 01:00 UTC.
    # Nothing was read before: 30 days back, and one more for what appears late.
    assert found == [
        {"subject": "stripe", "due_at": datetime(2026, 11, 2, 7, tzinfo=UTC),
         "since": "2026-10-02T07:00:00+00:00"},
        {"subject": "stripe-eu", "due_at": datetime(2026, 11, 2, 1, tzinfo=UTC),
         "since": "2026-10-02T01:00:00+00:00"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        # New York: EDT (UTC-4) until 1 November 2026 06:00Z, EST (UTC-5) from then on.
        ("2026-10-31T05:59:59Z", "2026-10-31T06:00:00Z"),
        ("2026-10-31T06:00:00Z", "2026-11-01T07:00:00Z"),  # 02:00 EST, 25 hours later
        ("2026-11-01T07:00:00Z", "2026-11-02T07:00:00Z"),
        # 8 March 2026: 02:00 EST does not exist; its moment is 07:00Z, 03:00 EDT on the clock.
        ("2026-03-08T06:59:59Z", "2026-03-08T07:00:00Z"),
        ("2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"),  # 02:00 EDT
    ],
)
def test_the_next_reading_over_a_change_of_clocks(now: str, expected: str) -> None:
    found = next_reading(datetime.fromisoformat(now), "America/New_York", 2)
    assert found == datetime.fromisoformat(expected)


def test_a_reading_in_the_hour_that_comes_twice_is_made_once() -> None:
    """01:00 EDT is 05:00Z; the second 01:00 (EST, 06:00Z) is not another day."""
    first = next_reading(datetime(2026, 11, 1, 4, tzinfo=UTC), "America/New_York", 1)
    assert first == datetime(2026, 11, 1, 5, tzinfo=UTC)
    after = next_reading(first, "America/New_York", 1)
    assert after == datetime(2026, 11, 2, 6, tzinfo=UTC)
