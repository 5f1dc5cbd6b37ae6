"""The identities, on a database whose every row was written by hand."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

import handmade as hand
from handmade import Conn
from wattledger.api.report import report
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.ledger.accounts import Code

DRIVER, CLEARING = Code.RECEIVABLE_DRIVER, Code.CLEARING_STRIPE
FEES = Code.EXPENSE_PROCESSING


def _seed(conn: Conn) -> None:
    """Two invoiced sessions; one by card, 4.40 of which 4.00 were captured and 0.40 waived;
    one paid elsewhere; one free of 2 kWh; one held of 3 kWh; one running."""
    hand.billed(conn, 1)
    hand.billed(conn, 2)
    _by_card(conn)
    _elsewhere(conn)
    hand.add_session(conn, "ses_5", state="free", start_wh=0, stop_wh=2_000)
    hand.add_session(conn, "ses_6", state="held", start_wh=0, stop_wh=3_000)
    hand.add_session(conn, "ses_7", state="open", stop_wh=None)
    for n, kind in enumerate(("authorize", "authorize", "start"), start=1):
        hand.insert(
            conn, "decision", decided_at=hand.NOW, kind=kind, token=f"T{n}", accepted=False,
            reason="blocked", inputs={},
        )  # fmt: skip
    for n, state in enumerate(("done", "pending"), start=1):
        hand.insert(
            conn, "effect", kind="webhook.deliver", subject="books", lane=f"l{n}", lane_seq=1,
            key=f"k{n}", request={}, state=state, due_at=hand.NOW, caused_at=hand.NOW,
            settled_at=hand.NOW if state == "done" else None,
        )  # fmt: skip


def _by_card(conn: Conn) -> None:
    hand.add_session(conn, "ses_3", route=Route.CARD)
    hand.add_payment(conn, "pay_3", "ses_3", captured=400, state="captured")
    hand.add_charge(conn, "chg_3", "ses_3")
    hand.add_part(conn, "chg_3", 1, amount=400, state="captured", payment_id="pay_3")
    hand.add_part(conn, "chg_3", 2, amount=40, state="waived")
    hand.book(
        conn, "charge", "chg_3", (DRIVER, Code.REVENUE_ENERGY, 400), (DRIVER, Code.TAX_SALES, 40)
    )
    hand.book(conn, "waiver", "chg_3/2", (Code.EXPENSE_WAIVED, DRIVER, 40))
    _item(conn, "txn_1", "charge", 400, 42, "pay_3")
    hand.book(conn, "processor_item", "txn_1", (CLEARING, DRIVER, 400), (FEES, CLEARING, 42))
    _item(conn, "txn_2", "fee", -8, 0)
    hand.book(conn, "processor_item", "txn_2", (FEES, CLEARING, 8))
    # 4.00 - 0.42 - 0.08 = 3.50, of which 3.00 are paid out and 1.00 of that is at the bank
    _item(conn, "txn_3", "payout", -300, 0)
    hand.book(conn, "processor_item", "txn_3", (Code.PAYOUTS_IN_TRANSIT, CLEARING, 300))
    hand.insert(
        conn, "payout", id="po_1", processor_id="stripe", entity_id="north", currency="USD",
        amount_minor=100, status="paid", arrival_date=hand.TODAY, created_at=hand.NOW,
    )  # fmt: skip
    hand.book(conn, "payout", "po_1", (Code.BANK, Code.PAYOUTS_IN_TRANSIT, 100))


def _item(
    conn: Conn, key: str, category: str, amount: int, fee: int, payment: str | None = None
) -> None:
    hand.insert(
        conn, "processor_item", id=key, processor_id="stripe", entity_id="north",
        category=category, currency="USD", amount_minor=amount, fee_minor=fee,
        net_minor=amount - fee, payment_id=payment, created_at=hand.NOW, available_at=hand.NOW,
        read_at=hand.NOW,
    )  # fmt: skip


def _elsewhere(conn: Conn) -> None:
    hand.add_session(conn, "ses_4", route=Route.EXTERNAL)
    hand.add_charge(conn, "chg_4", "ses_4")
    hand.add_part(conn, "chg_4", state="external")
    hand.book(
        conn, "charge", "chg_4",
        (Code.RECEIVABLE_EXTERNAL, Code.REVENUE_ENERGY, 400),
        (Code.RECEIVABLE_EXTERNAL, Code.TAX_SALES, 40),
    )  # fmt: skip


@pytest.fixture
async def found(database: Database) -> dict[str, Any]:
    """The report of the seeded database."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        _seed(conn)
    async with await database.connect(Role.READER) as conn, conn.transaction():
        return await report(conn)


async def test_every_figure(found: dict[str, Any]) -> None:
    # 4 charges: 8 postings; waiver 1; items 2 + 1 + 1; payout 1. Entries 4 + 1 + 3 + 1.
    assert found == {
        "sessions": {"refused": 2, "held": 1, "final": 5, "billed": 4, "free": 1,
                     "adjusted": 0, "running": 1},
        "energy_wh": {"delivered": 45_000, "billed": 40_000, "free": 2_000, "held": 3_000,
                      "explained": 0},
        "money": {
            "currency": "USD", "charged": 1_760, "captured": 400, "invoiced": 880,
            "external": 440, "wallet": 0, "roaming": 0, "waived": 40, "debt": 0, "pending": 0,
            "refund_due": 0, "topups": 0,
            "fees": 50, "refunds": 0, "disputes_net": 0, "paid_out": 100, "in_transit": 250,
        },
        "payments": {"second_charges": 0, "debts": 0, "terminal_matched": 0, "refunds": 0,
                     "disputes": 0},
        "ledger": {"entries": 9, "postings": 14, "proved": True},
        "webhooks": {"sent": 2, "acknowledged": 1},
        "anomalies": {},
        "breaks": [],
    }  # fmt: skip


async def test_a_session_that_is_final_without_an_end_shows_in_the_identity(
    database: Database,
) -> None:
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        hand.billed(conn)
        hand.add_session(conn, "ses_2", state="ended")
        conn.execute("UPDATE session SET ended_at = NULL WHERE id = 'ses_2'")
        conn.execute("UPDATE session SET state = 'free' WHERE id = 'ses_2'")
    async with await database.connect(Role.READER) as conn, conn.transaction():
        sessions = (await report(conn))["sessions"]
    assert (sessions["final"], sessions["billed"], sessions["free"]) == (1, 1, 1)


async def test_the_identities(found: dict[str, Any]) -> None:
    sessions, wh, money = found["sessions"], found["energy_wh"], found["money"]
    assert sessions["final"] == sessions["billed"] + sessions["free"]
    assert wh["delivered"] == wh["billed"] + wh["free"] + wh["held"] + wh["explained"]
    assert money["charged"] == sum(
        money[state]
        for state in ("captured", "invoiced", "external", "wallet", "roaming", "waived", "debt",
                      "pending")
    )  # fmt: skip
    assert (
        money["captured"] - money["refunds"] - money["disputes_net"] - money["fees"]
        == money["paid_out"] + money["in_transit"]
    )
