"""The legs over a real database: each kind of damage between two stages is one break."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

import handmade as hand
from handmade import Conn
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.pipeline.reconcile import reconcile
from wattledger.pipeline.world import World


def _message(conn: Conn, charge: str = "chg_1", total: int = 440, state: str = "done") -> None:
    hand.insert(
        conn, "effect", kind="webhook.deliver", subject="books", lane=f"hook:{charge}", lane_seq=1,
        key=f"books:{charge}", state=state, due_at=hand.NOW, caused_at=hand.NOW,
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


def _captured(conn: Conn, item_minor: int | None) -> None:
    """4.40 captured at 12:00, the processor read at 13:00."""
    hand.add_session(conn, route=Route.CARD)
    hand.add_charge(conn)
    hand.add_payment(conn, captured=440, state="captured")
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
        (lambda c: _captured(c, 441),
         [("processor", "amount.capture_mismatch", "pay_1", 1, None)]),
        (lambda c: _captured(c, None), [("processor", "missing.external", "pay_1", -440, None)]),
        (lambda c: (_external(c), _taken(c, 440)), []),
        (lambda c: (_external(c), _taken(c, 439)),
         [("external", "amount.external_mismatch", "chg_1", -1, None)]),
        (_external, [("external", "missing.external", "chg_1", -440, None)]),
        (lambda c: (hand.billed(c), _message(c)), []),
        (lambda c: (hand.billed(c), _message(c, state="pending")), []),
        (lambda c: (hand.billed(c), _message(c, state="rejected")),
         [("books", "missing.acknowledgement", "1", -440, None)]),
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
