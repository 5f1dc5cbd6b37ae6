"""What the proof finds of refunds and disputes when somebody damages them below the application."""

from __future__ import annotations

import psycopg
import pytest

import handmade as hand
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.embedded import SUPERUSER, EmbeddedServer
from wattledger.db.roles import Role
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.ledger.proof import prove

ITEM = (
    "INSERT INTO processor_item (id, processor_id, entity_id, category, currency, amount_minor,"
    " fee_minor, net_minor, payment_id, created_at, available_at, read_at, source) VALUES"
    " ('txn_1', 'stripe', 'north', 'dispute', 'USD', -440, 0, -440, 'pay_1', now(), now(), now(),"
    " 'du_1')"
)
LOST = (
    "INSERT INTO dispute (id, processor_id, entity_id, payment_id, currency, amount_minor, reason,"
    " status, inquiry, opened_at, seen_at, closed_at) VALUES ('du_1', 'stripe', 'north', 'pay_1',"
    " 'USD', 440, 'general', 'lost', false, now(), now(), now())"
)
GIVEN = (
    "INSERT INTO payment_refund (id, payment_id, entity_id, currency, amount_minor, cause, state,"
    " created_at, session_id) VALUES ('prf_1', 'pay_1', 'north', 'USD', 441, 'adjustment', 'done',"
    " now(), 'ses_1')"
)
ISSUED = (
    "INSERT INTO refund (id, session_id, entity_id, currency, kind, scope, amount_minor, reason,"
    " state, asked_by, asked_at, decided_by, charge_id) VALUES ('rfd_1', 'ses_1', 'north', 'USD',"
    " 'correction', '{}', 440, 'r', 'issued', 'a', now(), 'b', 'chg_1')"
)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        # More than the documents make due back.
        (GIVEN, {("refund.sent", "pay_1")}),
        # Issued by a charge, which is no credit.
        (ISSUED, {("refund.issued", "rfd_1")}),
        # Lost, and its line stands as if it were open (and was never booked at all).
        (f"{LOST}; {ITEM}", {("dispute.lost", "txn_1"), ("processor_item.booked", "txn_1")}),
        (
            f"{LOST.replace('lost', 'prevented')}; {ITEM}",
            {("dispute.lost", "txn_1"), ("processor_item.booked", "txn_1")},
        ),
    ],
)
async def test_damage_is_found(
    database: Database, server: EmbeddedServer, damage: str, found: set[tuple[str, str]]
) -> None:
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        hand.add_session(conn, route=Route.CARD)
        hand.add_payment(conn, captured=440, state="captured")
        hand.add_charge(conn)
        hand.add_part(conn, state="captured", payment_id="pay_1")
        [(name,)] = conn.execute("SELECT current_database()").fetchall()
    async with await database.connect(Role.APP) as conn, conn.transaction():
        entry = entries.charge_issued(
            "north", "chg_1", hand.TODAY, "USD", Route.CARD, [("energy", 400)], 40
        )
        await ledger.book(conn, entry, hand.NOW)
    async with await database.connect(Role.READER) as conn, conn.transaction():
        assert (await prove(conn)).findings == ()
    with psycopg.connect(server.dsn(SUPERUSER, name)) as conn:
        conn.execute("SET search_path = wattledger")
        conn.execute("SET session_replication_role = replica")
        conn.execute(damage.encode())
    async with await database.connect(Role.READER) as conn, conn.transaction():
        assert {(f.check, f.subject) for f in (await prove(conn)).findings} == found
