"""The legs over a real database: each kind of damage between two stages is one break."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors
from till_rig import Till, terms, till

import handmade as hand
from handmade import Conn
from wattledger.clock import DrivenClock
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.errors import Conflict
from wattledger.pipeline.billing.resolve import Act, resolve
from wattledger.pipeline.collecting import debts
from wattledger.pipeline.reconcile import reconcile
from wattledger.pipeline.world import World
from wattledger.reconciliation import store

__all__ = ["till"]


def _message(
    conn: Conn, charge: str = "chg_1", total: int = 440, state: str = "done", target: str = "books"
) -> None:
    hand.insert(
        conn, "effect", kind="webhook.deliver", subject=target, lane=f"hook:{target}:ses_1",
        lane_seq=1, key=f"{target}:{charge}", state=state, due_at=hand.NOW, caused_at=hand.NOW,
        settled_at=hand.NOW if state in ("done", "rejected") else None,
        request={"type": "session.billed", "data": {"charge_id": charge, "total_minor": total}},
    )  # fmt: skip


def _taken(conn: Conn, amount: int) -> None:
    hand.insert(
        conn, "external_payment", session_id="ses_1", entity_id="north", reference="R-1",
        amount_minor=amount, currency="USD",
    )  # fmt: skip


def _external(conn: Conn) -> None:
    hand.add_session(conn, route=Route.EXTERNAL)
    hand.add_charge(conn)
    hand.add_part(conn, state="external")


def _captured(conn: Conn, item_minor: int | None, said: int = 440) -> None:
    """4.40 captured at 12:00, or so the processor ``said``; it was read at 13:00."""
    hand.add_session(conn, route=Route.CARD)
    hand.add_charge(conn)
    hand.add_payment(conn, captured=said, state="captured")
    hand.add_part(conn, state="captured", payment_id="pay_1")
    one = datetime(2026, 11, 2, 13, tzinfo=UTC)
    for key, kind, subject, at in (("c", "stripe.capture", "pay_1", hand.NOW),
                                   ("r", "stripe.read", "stripe", one)):  # fmt: skip
        hand.insert(
            conn, "effect", kind=kind, subject=subject, lane=key, lane_seq=1, key=key, request={},
            state="done", due_at=at, caused_at=at, settled_at=at,
        )  # fmt: skip
    if item_minor is not None:
        hand.insert(
            conn, "processor_item", id="txn_1", processor_id="stripe", entity_id="north",
            category="charge", currency="USD", amount_minor=item_minor, fee_minor=0,
            net_minor=item_minor, payment_id="pay_1", created_at=one, available_at=one,
            read_at=one,
        )  # fmt: skip


def _gap(conn: Conn) -> None:
    hand.billed(conn, 1)
    hand.add_session(
        conn, "ses_2", state="free", start_wh=11_500, stop_wh=12_000, charge_point="CP-1",
        started_at=datetime(2026, 11, 2, 14, tzinfo=UTC),
    )  # fmt: skip


def _facts_lost(conn: Conn) -> None:
    """A session of 10 kWh whose stop was told at 10.5 kWh on the register, from 1 kWh."""
    hand.add_session(conn, state="open", stop_wh=None)
    hand.insert(
        conn, "session_fact", session_id="ses_1", kind="stop", at=hand.NOW, received_at=hand.NOW,
        register_wh=10_500, dedupe="x",
    )  # fmt: skip
    conn.execute(
        "UPDATE session SET state = 'ended', stopped_at = started_at, ended_at = started_at,"
        " meter_stop_wh = 11000"
    )


def _no_charge(conn: Conn) -> None:
    hand.add_session(conn)


def _other_energy(conn: Conn) -> None:
    hand.add_session(conn)
    hand.add_charge(conn, energy_wh=10_001)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (hand.billed, []),
        (_no_charge, [("session", "missing.charge", "ses_1", None, -10_000)]),
        (_other_energy, [("session", "energy.mismatch", "ses_1", None, 1)]),
        (_gap, [("meter", "meter.gap", "ses_2", None, -500)]),
        (lambda c: _captured(c, 440), []),
        # Told as captured and listed alike: yet not what was booked.
        (lambda c: _captured(c, 441, said=441),
         [("processor", "amount.capture_mismatch", "pay_1", 1, None)]),
        (lambda c: _captured(c, 441),
         [("processor", "amount.capture_mismatch", "pay_1", 1, None)]),
        (lambda c: _captured(c, None), [("processor", "missing.external", "pay_1", -440, None)]),
        (lambda c: (_external(c), _taken(c, 440)), []),
        (lambda c: (_external(c), _taken(c, 439)),
         [("external", "amount.external_mismatch", "chg_1", -1, None)]),
        (_external, [("external", "missing.external", "chg_1", -440, None)]),
        (_facts_lost, [("meter", "meter.mismatch", "CP-1/1", None, 500)]),
    ],
)  # fmt: skip
async def test_each_damage_is_one_break(
    world: World, database: Database, damage: Any, found: list[tuple[Any, ...]]
) -> None:
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        damage(conn)
    assert await reconcile(world) == len(found)
    async with world.work.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT leg, code, item_id, amount_minor, energy_wh FROM break"
            " WHERE resolved_at IS NULL ORDER BY leg"
        )
        assert [tuple(row.values()) for row in await cursor.fetchall()] == found


async def test_two_entities_are_reconciled_apart(world: World, database: Database) -> None:
    """north lacks a charge; rhine has one without a session of the same entity."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        hand.add_session(conn, entity="north")
        hand.add_charge(conn, entity="rhine")
        hand.add_part(conn, entity="rhine")
    assert await reconcile(world) == 2
    async with world.work.pool.connection() as conn:
        cursor = await conn.execute("SELECT entity_id, code FROM break ORDER BY entity_id")
        assert [tuple(row.values()) for row in await cursor.fetchall()] == [
            ("north", "missing.charge"), ("rhine", "missing.session"),
        ]  # fmt: skip


MINUTE = timedelta(minutes=1)


async def _open(world: World) -> list[tuple[Any, ...]]:
    async with world.work.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT leg, code, item_id, amount_minor FROM break WHERE resolved_at IS NULL"
            " ORDER BY item_id"
        )
        return [tuple(row.values()) for row in await cursor.fetchall()]


async def _leg(world: World, leg: str) -> dict[str, Any]:
    async with world.work.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT legs FROM reconciliation WHERE entity_id = 'north'"
            " ORDER BY cutoff_at DESC LIMIT 1"
        )
        row = await cursor.fetchone()
    assert row is not None
    return next(one for one in row["legs"] if one["leg"] == leg)  # type: ignore[no-any-return]


UNTOLD = [("books", "missing.acknowledgement", "chg_1/books", -440)]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (_message, []),
        (lambda c: None, UNTOLD),
        *((lambda c, state=state: _message(c, state=state), UNTOLD)
          for state in ("pending", "unknown", "rejected")),
        (lambda c: _message(c, total=439),
         [("books", "amount.books_mismatch", "chg_1/books", -1)]),
        (lambda c: (_message(c), _message(c, target="old", state="pending")),
         [("books", "missing.acknowledgement", "chg_1/old", -440)]),
        (lambda c: (_message(c), _message(c, target="old")), []),
    ],
)  # fmt: skip
async def test_books_that_were_not_told(
    world: World, database: Database, clock: DrivenClock, told: Any, found: list[tuple[Any, ...]]
) -> None:
    """Issued at 12:00. At 12:10 the message may still be on its way, a moment later not."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        hand.billed(conn)
        told(conn)
    clock.advance(hand.NOW + 10 * MINUTE)
    assert await reconcile(world) == 0
    assert (await _leg(world, "books"))["sentence"] == "Nothing to compare yet."
    clock.advance(hand.NOW + 10 * MINUTE + timedelta(seconds=1))
    await reconcile(world)
    assert await _open(world) == found


async def test_an_entity_without_books_has_none_to_tell(
    world: World, database: Database, clock: DrivenClock
) -> None:
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        hand.billed(conn, entity="rhine")
    clock.advance(hand.NOW + 60 * MINUTE)
    assert await reconcile(world) == 0


async def test_a_receiver_configured_later_is_not_missing_what_came_before(
    world: World, database: Database, clock: DrivenClock
) -> None:
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        hand.billed(conn)
        _message(conn)
        row = conn.execute("SELECT digest FROM config_activation WHERE kind = 'target'").fetchone()
        assert row is not None
        hand.insert(
            conn, "config_activation", kind="target", key="new", digest=row[0],
            valid_from=hand.NOW + MINUTE,
        )  # fmt: skip
    clock.advance(hand.NOW + 60 * MINUTE)
    assert await reconcile(world) == 0


async def test_a_gap_shows_in_the_totals_of_the_meter(world: World, database: Database) -> None:
    """1.0 to 11.0 kWh, then 11.5 to 12.0: the register moved by 11, the sessions say 10.5."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        _gap(conn)
    await reconcile(world)
    leg = await _leg(world, "meter")
    assert (leg["ours"]["energy_wh"], leg["theirs"]["energy_wh"]) == (11_000, 10_500)
    assert (leg["tied"], leg["matched"], leg["compared"]) == (False, 1, 2)


async def test_what_was_captured_after_the_reading_is_no_difference(
    world: World, database: Database
) -> None:
    """With the processor's item there already, and without."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        _captured(conn, 440)
        hand.add_session(conn, "ses_2", route=Route.CARD, charge_point="CP-2")
        hand.add_charge(conn, "chg_2", "ses_2")
        hand.add_payment(conn, "pay_2", "ses_2", captured=440, state="captured")
        hand.insert(
            conn, "collection", charge_id="chg_2", part=1, entity_id="north", state="captured",
            amount_minor=440, payment_id="pay_2", changed_at=hand.NOW + 60 * MINUTE,
        )  # fmt: skip
    assert await reconcile(world) == 0
    assert (await _leg(world, "processor"))["compared"] == 1


async def test_an_old_reading_is_said_to_be_old(
    world: World, database: Database, clock: DrivenClock
) -> None:
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        _captured(conn, 440)
        # Another batch of a reading that is not complete makes it no younger.
        hand.insert(
            conn, "effect", kind="stripe.read", subject="stripe", lane="n", lane_seq=1, key="n",
            request={}, state="done", due_at=hand.NOW, caused_at=hand.NOW,
            settled_at=hand.NOW + timedelta(days=2), response={"next": {"since": "x"}},
        )  # fmt: skip
    clock.advance(hand.NOW + timedelta(hours=38))
    await reconcile(world)
    assert (await _leg(world, "processor"))["sentence"].endswith(
        " The last reading of the processor is 37 h old."
    )


# Holds that were gone before the data came.


async def _gone(till: Till, gone: str = "second_charge", **more: Any) -> None:
    """10.00 of a session whose hold the processor had cancelled by itself."""
    till.add(1_000, terms=terms(gone=gone), payment={"state": "released", "gone_why": "automatic"},
             **more)  # fmt: skip
    await till.collect()


async def _of_holds(till: Till) -> list[tuple[Any, ...]]:
    await reconcile(till.world)
    return [found for found in await _open(till.world) if found[0] == "holds"]


async def test_a_second_charge_for_a_hold_that_was_gone(till: Till) -> None:
    await _gone(till)
    assert await _of_holds(till) == [("holds", "hold.gone_charged", "pay_1", -1_000)]
    await till.charges(1_000)
    assert await _of_holds(till) == []
    leg = await _leg(till.world, "holds")
    assert (leg["matched"], leg["ours"]["amount_minor"]) == (1, 1_000)


async def test_a_second_charge_that_is_refused_is_owed(till: Till) -> None:
    await _gone(till)
    await _of_holds(till)
    await till.refuses("stripe.charge", "card_declined")
    assert await _of_holds(till) == [("holds", "hold.gone_owed", "pay_1", -1_000)]


async def test_a_debt_for_a_hold_that_was_gone(till: Till) -> None:
    """Until it is paid."""
    await _gone(till, "debt")
    owed = [("holds", "hold.gone_owed", "pay_1", -1_000)]
    assert await _of_holds(till) == owed
    await debts.try_now(till.world, "chg_1/1", actor="cli:bea")
    assert await _of_holds(till) == owed
    await till.charges()
    assert await _of_holds(till) == []


async def test_a_debt_that_was_written_off_is_settled(till: Till) -> None:
    await _gone(till, "debt")
    await debts.write_off(till.world, "chg_1/1", actor="cli:bea", reason="old")
    assert await _of_holds(till) == []


async def test_a_waiver_for_a_hold_that_was_gone_is_accepted_by_a_person(till: Till) -> None:
    await _gone(till, "waive")
    assert await _of_holds(till) == [("holds", "hold.gone_waived", "pay_1", -1_000)]
    ((number, code),) = await till.rows("SELECT id, code FROM anomaly")
    assert code == "hold.gone_waived"
    await resolve(till.world, number, Act("accept", "the processor's fault"), "cli:bea")
    assert await _of_holds(till) == []


async def test_a_hold_that_was_gone_and_not_needed_is_no_break(till: Till) -> None:
    till.add(state="open", payment={"state": "released", "gone_why": "automatic"})
    till.add(state="free", number=2, payment={"state": "released", "gone_why": "automatic"})
    assert await _of_holds(till) == []
    assert (await _leg(till.world, "holds"))["sentence"] == "Nothing to compare yet."


# Two runs at once.


async def test_a_run_that_waits_sees_what_the_run_before_it_wrote(
    world: World, database: Database
) -> None:
    """Its snapshot is from after the wait: on one from before it, it would open a break."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        hand.add_session(conn)
    async with await database.connect(Role.APP) as other, other.transaction():
        assert await store.alone(other, "north")
        running = asyncio.create_task(reconcile(world))
        await asyncio.sleep(0.3)
        assert not running.done(), "one run of an entity at a time"
        with psycopg.connect(database.conninfo(Role.APP)) as conn:
            hand.add_charge(conn)
            hand.add_part(conn)
    assert await running == 0
    assert await _open(world) == []


async def test_many_runs_at_once_find_the_same(world: World, database: Database) -> None:
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        _no_charge(conn)
    assert set(await asyncio.gather(*(reconcile(world) for _ in range(6)))) == {1}
    assert len(await _open(world)) == 1


async def test_a_break_changed_under_a_run_is_compared_again(
    world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody writes the break between the run's snapshot and its own writing of it."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        _no_charge(conn)
    assert await reconcile(world) == 1
    real, runs = store.write_breaks, 0

    async def write(*args: Any) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            async with await database.connect(Role.APP) as other:
                await other.execute("UPDATE break SET resolved_at = now()")
        await real(*args)

    monkeypatch.setattr(store, "write_breaks", write)
    assert await reconcile(world) == 1
    assert runs == 3, "north twice, rhine once"
    assert len(await _open(world)) == 1


async def test_a_run_is_one_snapshot(
    world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session billed while the legs are read is in none of them, not in half of them."""
    real = store.side

    async def side(conn: Any, leg: str, which: str, entity: str, **more: Any) -> Any:
        if (leg, which, entity) == ("session", "theirs", "north"):
            with psycopg.connect(database.conninfo(Role.APP)) as other:
                hand.billed(other)
        return await real(conn, leg, which, entity, **more)

    monkeypatch.setattr(store, "side", side)
    assert await reconcile(world) == 0


async def test_a_run_that_is_never_let_in_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*args: Any) -> None:
        raise errors.SerializationFailure("again")

    monkeypatch.setattr(store, "write_breaks", fails)
    with pytest.raises(Conflict, match="try again later"):
        await reconcile(world)
