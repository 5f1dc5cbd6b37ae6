"""What the processor says is booked once, in the entity's day, and never guessed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
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


def _payout(amount: int, status: str, items: list[str] | None, **more: Any) -> dict[str, Any]:
    return {
        "id": "po_1", "amount_minor": amount, "currency": "USD", "status": status,
        "arrival_date": "2026-11-04", "created_at": "2026-11-01T00:00:00+00:00",
        "items": items or [], "items_read": items is not None, "alone": False, "own_item": "txn_2",
        "failed_item": None, **more,
    }  # fmt: skip


async def _read(
    world: World,
    items: list[dict[str, Any]],
    *payouts: dict[str, Any],
    effect: Effect = READ,
    **more: Any,
) -> None:
    response = {"items": items, "payouts": list(payouts), "unreadable": [], "next": None, **more}
    snapshot = await world.snapshot(world.now)
    async with world.work.transaction("settle") as tx:
        await read_done(tx, snapshot, effect, response)


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
        world,
        "SELECT subject, due_at, request->>'since' AS since FROM effect"
        " WHERE kind = 'stripe.read' ORDER BY subject",
    )
    # 02:00 in New York on 2 November (EST) is 07:00 UTC; 02:00 in Berlin (CET) is 01:00 UTC.
    # Nothing was read before: 30 days back, and one more for what appears late.
    assert found == [
        {"subject": "stripe", "due_at": datetime(2026, 11, 2, 7, tzinfo=UTC),
         "since": "2026-10-02T07:00:00+00:00"},
        {"subject": "stripe-eu", "due_at": datetime(2026, 11, 2, 1, tzinfo=UTC),
         "since": "2026-10-02T01:00:00+00:00"},
    ]  # fmt: skip


async def test_a_batch_plans_the_next_at_once_in_its_lane_and_only_the_last_the_next_night(
    world: World,
) -> None:
    """Its due time stays that of the reading: what is captured later is not expected of it."""
    due_at = NOW - timedelta(minutes=5)
    reading = msgspec.structs.replace(
        READ, lane="processor:stripe:hinted", key="stripe:read:x", due_at=due_at
    )
    position = {"since": "2026-10-01T00:00:00+00:00", "payouts": ["po_9"], "listed": False,
                "starting_after": "txn_1", "payout_after": None}  # fmt: skip
    await _read(world, [_item("txn_1", "fee", -1)], effect=reading, next=position)
    query = "SELECT key, lane, due_at, request FROM effect WHERE kind = 'stripe.read' ORDER BY id"
    assert await _rows(world, query) == [
        {"key": "stripe:read:x/batch:2", "lane": reading.lane, "due_at": due_at,
         "request": {**position, "processor_id": "stripe", "batch": 2}},
    ]  # fmt: skip
    second = msgspec.structs.replace(
        reading, key="stripe:read:x/batch:2", request={**position, "batch": 2}
    )
    for _ in range(2):
        await _read(world, [], effect=second, next=position)
    await _read(world, [], effect=second)
    assert [row["key"] for row in await _rows(world, query)] == [
        "stripe:read:x/batch:2", "stripe:read:x/batch:3",
        "stripe:read:2026-11-02T07:00:00+00:00",
    ]  # fmt: skip


async def test_no_night_is_planned_in_front_of_a_nightly_reading_under_way(world: World) -> None:
    """What is left of it would have to wait behind it for a day."""
    nightly = msgspec.structs.replace(READ, lane="processor:stripe:nightly", key="stripe:read:x")
    rest = {"since": "2026-10-01T00:00:00+00:00", "payouts": []}
    await _read(world, [], effect=nightly, next=rest)
    await _read(world, [])
    await settle.ensure_schedule(world)
    keys = await _rows(
        world, "SELECT key FROM effect WHERE subject = 'stripe' AND kind = 'stripe.read'"
    )
    assert keys == [{"key": "stripe:read:x/batch:2"}]


async def test_what_was_read_for_an_account_that_is_gone_is_not_lost(world: World) -> None:
    with pytest.raises(LookupError, match=r"no .+processor.+ 'sold'"):
        await _read(world, [], effect=msgspec.structs.replace(READ, subject="sold"))


async def test_what_cant_be_read_is_shown_and_the_rest_is_booked(world: World) -> None:
    unreadable = [{"id": "txn_9", "why": "amount: got 1, expected whole ISK"}]
    await _read(world, [_item("txn_1", "fee", -1)], unreadable=unreadable)
    assert await _rows(world, "SELECT code, subject, detail FROM anomaly") == [
        {"code": "processor_item.unreadable", "subject": "stripe", "detail": unreadable[0]}
    ]
    assert len(await _journal(world)) == 1


@pytest.mark.parametrize(
    ("payout", "again"),
    [
        (_payout(397, "in_transit", ["txn_1", "txn_2"]), True),
        (_payout(397, "paid", None), True),
        (_payout(397, "paid", ["txn_1", "txn_2"]), False),
        (_payout(397, "failed", None), False),
        (_payout(397, "canceled", None), False),
        # Made by hand: the processor never says what is in it.
        (_payout(397, "paid", None, alone=True), False),
        (_payout(397, "in_transit", None, alone=True), True),
    ],
)
async def test_a_payout_is_read_again_until_nothing_can_change(
    world: World, payout: dict[str, Any], again: bool
) -> None:
    await _read(world, [_item("txn_1", "fee", -3), _item("txn_2", "payout", -397)], payout)
    found = await _rows(
        world, "SELECT request->'payouts' AS payouts FROM effect WHERE kind = 'stripe.read'"
    )
    assert found == [{"payouts": ["po_1"] if again else []}]


async def test_a_payout_that_fails_after_it_was_paid_is_taken_back_once(world: World) -> None:
    """3.97 go out, arrive, and come back: they are at the processor again, as before."""
    out = [_item("txn_1", "charge", 397), _item("txn_2", "payout", -397)]
    await _read(world, out, _payout(397, "paid", ["txn_1", "txn_2"]))
    back = _item("txn_3", "payout_reversal", 397, source="po_1",
                 created_at="2026-11-06T03:00:00+00:00")  # fmt: skip
    failed = _payout(397, "failed", ["txn_1", "txn_2"], failed_item="txn_3")
    for _ in range(2):
        await _read(world, [back], failed)
    # A slower reading that still saw it paid comes in last, and changes nothing.
    await _read(world, [], _payout(397, "paid", ["txn_1", "txn_2"]))
    assert (await _journal(world))[1:] == [
        ("txn_2", "payouts.in_transit", "clearing.stripe", 397),
        ("po_1", "bank", "payouts.in_transit", 397),
        ("txn_3", "clearing.stripe", "payouts.in_transit", 397),
        ("po_1", "payouts.in_transit", "bank", 397),
    ]
    assert await _rows(world, "SELECT status FROM payout") == [{"status": "failed"}]
    assert await _rows(world, "SELECT effective_on FROM entry WHERE cause = 'payout_failed'") == [
        {"effective_on": date(2026, 11, 5)}
    ], "the day it came back, in New York"
    assert await _rows(world, "SELECT code, subject FROM anomaly") == [
        {"code": "payout.failed", "subject": "po_1"}
    ]
    async with world.work.pool.connection() as conn:
        assert (await prove(conn)).findings == ()


async def test_a_payout_that_failed_on_its_way_never_was_at_the_bank(world: World) -> None:
    await _read(world, [_item("txn_2", "payout", -397)], _payout(397, "failed", None))
    assert [line[1] for line in await _journal(world)] == ["payouts.in_transit"]
    assert await _rows(world, "SELECT code FROM anomaly") == []


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


async def test_the_books_are_told_of_a_payout_that_came_back(world: World) -> None:
    await _read(world, [_item("txn_2", "payout", -397)], _payout(397, "paid", ["txn_2"]))
    for _ in range(2):
        await _read(world, [], _payout(397, "failed", ["txn_2"]))
    told = await _rows(
        world, "SELECT request->>'type' AS type, request->'data'->'journal' AS journal FROM effect"
        " WHERE kind = 'webhook.deliver' ORDER BY id",
    )  # fmt: skip
    in_transit = "payouts.in_transit"
    assert told == [
        {"type": "payout.paid",
         "journal": [{"debit": "bank", "credit": in_transit, "amount_minor": 397}]},
        {"type": "payout.failed",
         "journal": [{"debit": in_transit, "credit": "bank", "amount_minor": 397}]},
    ]  # fmt: skip


async def test_a_payout_below_zero_is_taken_from_the_bank(world: World) -> None:
    """More was withdrawn than came in: the processor takes 15.00 from the bank."""
    items = [_item("txn_1", "fee", -1_500), _item("txn_2", "payout", 1_500)]
    await _read(world, items, _payout(-1_500, "paid", ["txn_1", "txn_2"]))
    assert await _journal(world) == [
        ("txn_1", "expense.processing", "clearing.stripe", 1_500),
        ("txn_2", "clearing.stripe", "payouts.in_transit", 1_500),
        ("po_1", "payouts.in_transit", "bank", 1_500),
    ]
    await reconcile(world)
    assert await _rows(world, "SELECT code FROM break WHERE leg = 'payout'") == []
    async with world.work.pool.connection() as conn:
        assert (await prove(conn)).findings == ()


async def test_what_is_about_no_payment_is_no_break(world: World) -> None:
    """Reserves, top-ups and taxes on fees: each has its account, and no payment is looked for."""
    categories = ["tax", "risk_reserved_funds", "payout_minimum_balance_hold",
                  "payout_minimum_balance_release", "topup", "topup_reversal"]  # fmt: skip
    await _read(world, [_item(f"txn_{n}", each, -10) for n, each in enumerate(categories)])
    await _read(world, [_item("txn_9", "transfer", -7)])
    assert await reconcile(world) == 1
    assert await _rows(world, "SELECT item_id, code FROM break") == [
        {"item_id": "txn_9", "code": "missing.internal"}
    ]
