"""The proof finds damage to debts, wallets and what they book, done below the database's rules."""

from __future__ import annotations

import psycopg
import pytest
from till_rig import Till, till

from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.embedded import SUPERUSER, EmbeddedServer
from wattledger.db.roles import Role
from wattledger.payments import unpaid as unpaid_store
from wattledger.payments.store import Part
from wattledger.payments.terminal import store as terminal_store
from wattledger.payments.terminal.store import TerminalPayment
from wattledger.pipeline.collecting import debts, wallets
from wattledger.pipeline.collecting.unpaid import reopen
from wattledger.pipeline.terminals import unapplied
from wattledger.sessions import store as sessions

__all__ = ["till"]


async def _seeded(till: Till) -> None:
    """A debt that is open, one that was paid and one that was written off; 10.00 in a wallet, of
    which a session drew 4.40, and another as much that went back and is waived; 4.40 each. A
    vendor's 4.40 that are kept."""
    for number in (1, 2, 3):
        account = f"driver-{number}"
        key = till.add(number=number, payment={"state": "declined"}, account_id=account)
        await till.collect(key)
    await debts.try_now(till.world, "chg_2/1", actor="cli:bea")
    await till.charges()
    await debts.write_off(till.world, "chg_3/1", actor="cli:bea", reason="a mistake")
    await wallets.record(till.world, "ann", 1_000, "bank 1", entity_id="north", actor="cli:bea")
    for number in (4, 5):
        await till.collect(till.add(number=number, route=Route.WALLET, payment={}))
    payment = TerminalPayment(
        id="tpa_1", entity_id="north", provider="acme", terminal_id="door", reference="A1",
        mode="vendor_captures", currency="USD", authorized_at=till.world.now, authorized_minor=440,
        received_at=till.world.now, settled_minor=440, settled_at=till.world.now,
    )  # fmt: skip
    async with till.world.work.transaction("x") as tx:
        row = await sessions.get(tx.conn, "ses_5", lock=True)
        assert row is not None
        paid = next(part for part in await unpaid_store.by_wallet(tx.conn, "north", "ann", "USD")
                    if part.session_id == "ses_5")  # fmt: skip
        await reopen(tx, row, paid, 440, [Part("waived", 440)], "txn_1")
        await terminal_store.add(tx.conn, payment)
        for state in ("suspense", "kept"):
            await terminal_store.change(tx.conn, "tpa_1", state=state)
        await unapplied.book(tx, await till.world.snapshot(till.world.now), payment)


async def test_it_is_healthy(till: Till) -> None:
    await _seeded(till)
    assert await till.unproved() == []


ENTRY = "(SELECT id FROM entry WHERE cause = '{}')"  # or several


def _gone(cause: str) -> str:
    """An entry that was never there."""
    entry = ENTRY.format(cause)
    return (f"DELETE FROM posting WHERE entry_id IN {entry};"
            f" DELETE FROM entry WHERE id IN {entry}")  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (_gone("debt_paid"), {"part.booked chg_2/1"}),
        (_gone("written_off"), {"part.booked chg_3/1"}),
        (
            _gone("wallet"),
            {"part.booked chg_4/1", "part.booked chg_5/1", "wallet.balance north USD"},
        ),
        (_gone("unpaid"), {"part.booked chg_5/1", "wallet.balance north USD"}),
        (_gone("kept"), {"terminal.kept tpa_1"}),
        ("UPDATE terminal_payment SET state = 'returned'", {"terminal.kept tpa_1"}),
        ("UPDATE entry SET cause_id = 'chg_9/1#txn_1' WHERE cause = 'unpaid'",
         {"part.entry", "part.booked chg_5/1"}),
        (_gone("topup"), {"wallet.balance north USD"}),
        ("DELETE FROM debt WHERE charge_id = 'chg_1'", {"debt.part chg_1/1"}),
        ("UPDATE debt SET amount_minor = 1 WHERE charge_id = 'chg_1'", {"debt.part chg_1/1"}),
        (
            "UPDATE debt SET state = 'written_off', closed_at = now() WHERE charge_id = 'chg_1'",
            {"debt.part chg_1/1"},
        ),
        (
            "UPDATE debt SET state = 'open', closed_at = NULL WHERE charge_id = 'chg_2'",
            {"debt.part chg_2/1"},
        ),
        ("UPDATE wallet_move SET amount_minor = 999 WHERE kind = 'topup'",
         {"wallet.balance north USD"}),
        ("DELETE FROM wallet_move WHERE kind = 'draw'", {"wallet.balance north USD"}),
        (
            "INSERT INTO wallet_move (entity_id, account_id, currency, kind, amount_minor,"
            " cause_id, at) VALUES ('north', 'ann', 'USD', 'paid_out', -1, 'txn_x', now())",
            {"wallet.paid_out txn_x", "wallet.balance north USD"},
        ),
        (
            "INSERT INTO payment (id, entity_id, processor_id, currency, hold_minor, state,"
            " captured_minor, leg) VALUES ('pay_x', 'north', 'stripe', 'USD', 500, 'captured', 500,"
            " 'topup')",
            {"wallet.topup pay_x"},
        ),
        (
            "UPDATE payment SET captured_minor = 439 WHERE leg = 'debt'",
            {"captured.parts"},
        ),
    ],
)  # fmt: skip
async def test_damage_is_found(
    till: Till, database: Database, server: EmbeddedServer, damage: str, found: set[str]
) -> None:
    await _seeded(till)
    name = str(psycopg.conninfo.conninfo_to_dict(database.conninfo(Role.APP))["dbname"])
    with psycopg.connect(server.dsn(SUPERUSER, name), autocommit=True) as conn:
        conn.execute("SET search_path = wattledger")
        conn.execute("SET session_replication_role = replica")
        conn.execute(damage.encode())
    said = {line if line in found else line.split()[0] for line in await till.unproved()}
    assert said == found
