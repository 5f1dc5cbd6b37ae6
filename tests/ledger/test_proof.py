"""The proof finds what the database would refuse: damage done below it, by a superuser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import handmade as hand
from handmade import Conn
from wattledger.cli.main import main
from wattledger.cli.starting import STARTING_FILE
from wattledger.contract import Route
from wattledger.db import embedded
from wattledger.db.connect import Database
from wattledger.db.embedded import SUPERUSER, EmbeddedServer
from wattledger.db.migrate import migrate
from wattledger.db.roles import Role
from wattledger.ledger.accounts import Code
from wattledger.ledger.proof import Finding, prove

# Four sessions of 4.40; a card session's 4.40 came in with a fee of 0.43 and was paid out. A fifth
# was captured, and adjusted to 3.96: a credit and a new charge.
ENTRIES, POSTINGS, CHARGES = 12, 20, 7


@pytest.fixture(scope="module")
def ledger(server: EmbeddedServer, template: str) -> Iterator[Database]:
    """A small healthy ledger; each damage to it is rolled back."""
    with psycopg.connect(server.dsn(SUPERUSER, "postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE proof TEMPLATE {template} OWNER {Role.OWNER}".encode())
        database = Database.on_server(server, "proof")
        with psycopg.connect(database.conninfo(Role.APP)) as conn:
            hand.billed(conn, 1)
            hand.billed(conn, 2)
            _waived(conn)
            _paid_out(conn)
            _captured(conn)
            _adjusted(conn)
        yield database
        admin.execute(b"DROP DATABASE proof WITH (FORCE)")


def _waived(conn: Conn) -> None:
    """A card session whose hold was declined: 4.40 is waived."""
    hand.add_session(conn, "ses_3", route=Route.CARD, charge_point="CP-3")
    hand.add_charge(conn, "chg_3", "ses_3")
    hand.add_part(conn, "chg_3", state="waived")
    hand.book(
        conn, "charge", "chg_3",
        (Code.RECEIVABLE_DRIVER, Code.REVENUE_ENERGY, 400),
        (Code.RECEIVABLE_DRIVER, Code.TAX_SALES, 40),
    )  # fmt: skip
    hand.book(conn, "waiver", "chg_3/1", (Code.EXPENSE_WAIVED, Code.RECEIVABLE_DRIVER, 440))


def _paid_out(conn: Conn) -> None:
    """4.40 came in at the processor for a fee of 0.43; 3.97 are at the bank."""
    hand.insert(
        conn, "processor_item", id="txn_1", processor_id="stripe", entity_id="north",
        category="charge", currency="USD", amount_minor=440, fee_minor=43, net_minor=397,
        created_at=hand.NOW, available_at=hand.NOW, read_at=hand.NOW,
    )  # fmt: skip
    hand.book(
        conn, "processor_item", "txn_1",
        (Code.CLEARING_STRIPE, Code.SUSPENSE, 440),
        (Code.EXPENSE_PROCESSING, Code.CLEARING_STRIPE, 43),
    )  # fmt: skip
    hand.insert(
        conn, "payout", id="po_1", processor_id="stripe", entity_id="north", currency="USD",
        amount_minor=397, status="paid", arrival_date=hand.TODAY, created_at=hand.NOW,
    )  # fmt: skip
    hand.book(conn, "payout", "po_1", (Code.BANK, Code.PAYOUTS_IN_TRANSIT, 397))


def _captured(conn: Conn) -> None:
    """A card session whose 4.40 were captured."""
    hand.add_session(conn, "ses_4", route=Route.CARD, charge_point="CP-4")
    hand.add_payment(conn, session_id="ses_4", captured=440, state="captured")
    hand.add_charge(conn, "chg_4", "ses_4")
    hand.add_part(conn, "chg_4", state="captured", payment_id="pay_1")
    hand.book(
        conn, "charge", "chg_4",
        (Code.RECEIVABLE_DRIVER, Code.REVENUE_ENERGY, 400),
        (Code.RECEIVABLE_DRIVER, Code.TAX_SALES, 40),
    )  # fmt: skip


def _adjusted(conn: Conn) -> None:
    """A card session whose 4.40 were captured, adjusted to 3.96: 0.44 are due back."""
    hand.add_session(conn, "ses_5", route=Route.CARD, charge_point="CP-5", state="adjusted")
    hand.add_payment(conn, "pay_5", "ses_5", captured=440, state="captured")
    hand.add_charge(conn, "chg_5", "ses_5")
    hand.add_part(conn, "chg_5", state="captured", payment_id="pay_5")
    driver, energy, tax = Code.RECEIVABLE_DRIVER, Code.REVENUE_ENERGY, Code.TAX_SALES
    hand.book(conn, "charge", "chg_5", (driver, energy, 400), (driver, tax, 40))
    hand.add_credit(conn, "crd_5", "chg_5")
    hand.book(conn, "credit", "crd_5", (energy, driver, 400), (tax, driver, 40))
    hand.book(conn, "refund_due", "crd_5/1", (driver, Code.PAYABLE_DRIVER, 440))
    hand.add_charge(conn, "chg_6", "ses_5", net=360, tax=36, energy_wh=9_000, revision=3)
    hand.add_part(conn, "chg_6", amount=396, state="refund_due", payment_id="pay_5")
    hand.book(conn, "charge", "chg_6", (driver, energy, 360), (driver, tax, 36))
    hand.book(conn, "refund_due", "chg_6/1", (Code.PAYABLE_DRIVER, driver, 396))


async def test_a_healthy_ledger_is_proved(ledger: Database) -> None:
    async with await ledger.connect(Role.READER) as conn, conn.transaction():
        proof = await prove(conn)
    assert (proof.entries, proof.postings, proof.charges) == (ENTRIES, POSTINGS, CHARGES)
    assert proof.findings == ()
    assert proof.proved


OF_CHARGE_1 = "(SELECT id FROM entry WHERE cause_id = 'chg_1')"
OF_ITEM = "(SELECT id FROM entry WHERE cause_id = 'txn_1')"
FAILED = (
    "INSERT INTO entry (entity_id, cause, cause_id, effective_on, booked_at, posting_count)"
    " SELECT entity_id, 'payout_failed', cause_id, effective_on, booked_at, 1 FROM entry"
    " WHERE cause = 'payout'; INSERT INTO posting SELECT max(id), 1, 'north', 'payouts.in_transit',"
    " 'bank', 397, 'USD', (SELECT xid FROM entry ORDER BY id DESC LIMIT 1) FROM entry"
)


def _forged(change: str) -> str:
    """The document of chg_2 with another figure, and the digest of that."""
    return (
        "UPDATE charge SET document = convert_to(jsonb_set(convert_from(document, 'UTF8')::jsonb,"
        f" '{change})::text, 'UTF8') WHERE id = 'chg_2'; UPDATE charge SET document_digest ="
        " encode(sha256(document), 'hex') WHERE id = 'chg_2'"
    )


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (
            f"DELETE FROM posting WHERE entry_id = {OF_CHARGE_1} AND posting_no = 2",
            {("entry.count", "1"), ("charge.booked", "chg_1"), ("charge.split", "chg_1")},
        ),
        (
            f"UPDATE posting SET amount_minor = 401 WHERE entry_id = {OF_CHARGE_1}"
            " AND posting_no = 1",
            {("charge.booked", "chg_1"), ("charge.split", "chg_1")},
        ),
        (
            f"UPDATE posting SET debit = 'bank' WHERE entry_id = {OF_CHARGE_1} AND posting_no = 1",
            {("charge.booked", "chg_1")},
        ),
        (
            "UPDATE posting SET xid = '3' WHERE entry_id = 1 AND posting_no = 1",
            {("entry.seal", "1")},
        ),
        (
            f"DELETE FROM posting WHERE entry_id = {OF_CHARGE_1};"
            " DELETE FROM entry WHERE cause_id = 'chg_1'",
            {("charge.booked", "chg_1")},
        ),
        (
            "INSERT INTO posting SELECT entry_id, 3, entity_id, debit, credit, 1, currency, xid"
            " FROM posting WHERE entry_id = 1 AND posting_no = 1",
            {("entry.count", "1"), ("charge.booked", "chg_1"), ("charge.split", "chg_1")},
        ),
        (
            "UPDATE charge SET document = 'x' WHERE id = 'chg_2'",
            {("charge.document", "chg_2"), ("document.totals", "chg_2")},
        ),
        (
            "UPDATE charge SET document = '\\xff' WHERE id = 'chg_2'",
            {("charge.document", "chg_2"), ("document.totals", "chg_2")},
        ),
        *(
            (_forged(change), {("document.totals", "chg_2")})
            for change in (
                "{total_minor}', '441'",
                "{net_minor}', '399'",
                "{tax_minor}', '41'",
                "{energy}', '9999'",
                "{energy}', '\"10000\"'",
                "{quantity_scale}', '10'",
                "{quantity_scale}', '0'",
                "{currency}', '\"EUR\"'",
                "{session_id}', '\"ses_1\"'",
            )
        ),
        # 10,000.7 Wh in tenths are 10,000 whole ones: no damage.
        (_forged("{energy}', '100007'") + ";" + _forged("{quantity_scale}', '10'"), set()),
        (
            "UPDATE charge SET total_minor = 439, tax_minor = 39 WHERE id = 'chg_2'",
            {
                ("charge.booked", "chg_2"),
                ("charge.split", "chg_2"),
                ("collection.sum", "chg_2"),
                ("document.totals", "chg_2"),
            },
        ),
        (
            "DELETE FROM collection WHERE charge_id = 'chg_2'; DELETE FROM charge"
            " WHERE id = 'chg_2'",
            {("session.charged", "ses_2"), ("entry.cause", "2")},
        ),
        (
            "UPDATE collection SET amount_minor = 441 WHERE charge_id = 'chg_2'",
            {("collection.sum", "chg_2")},
        ),
        (
            f"DELETE FROM posting WHERE entry_id = {OF_ITEM};"
            " DELETE FROM entry WHERE cause_id = 'txn_1'",
            {("processor_item.booked", "txn_1")},
        ),
        (
            f"UPDATE posting SET amount_minor = 44 WHERE entry_id = {OF_ITEM} AND posting_no = 2",
            {("processor_item.booked", "txn_1")},
        ),
        (
            "DELETE FROM posting WHERE debit = 'bank'; DELETE FROM entry WHERE cause = 'payout'",
            {("payout.booked", "po_1")},
        ),
        (
            "DELETE FROM posting WHERE debit = 'expense.waived';"
            " DELETE FROM entry WHERE cause = 'waiver'",
            {("part.booked", "chg_3/1")},
        ),
        (
            "UPDATE posting SET amount_minor = 439 WHERE debit = 'expense.waived'",
            {("part.booked", "chg_3/1")},
        ),
        # Revenue booked as tax: the receivable is right, the split is not.
        (
            f"UPDATE posting SET credit = 'tax.sales' WHERE entry_id = {OF_CHARGE_1}",
            {("charge.split", "chg_1")},
        ),
        (
            "UPDATE posting SET amount_minor = CASE posting_no WHEN 1 THEN 399 ELSE 41"
            f" END WHERE entry_id = {OF_CHARGE_1}",
            {("charge.split", "chg_1")},
        ),
        ("UPDATE entry SET entity_id = 'south' WHERE id = 1", {("charge.entry", "chg_1")}),
        (
            f"UPDATE posting SET entity_id = 'south' WHERE entry_id = {OF_CHARGE_1}",
            {("charge.entry", "chg_1")},
        ),
        (
            f"UPDATE posting SET currency = 'EUR' WHERE entry_id = {OF_CHARGE_1}",
            {("charge.entry", "chg_1")},
        ),
        *(
            (
                f"UPDATE session SET state = '{state}', held_reason = {reason} WHERE id = 'ses_1'",
                {("charge.session", "chg_1")},
            )
            for state, reason in (("held", "'x'"), ("free", "NULL"), ("ended", "NULL"))
        ),
        (
            "UPDATE entry SET cause_id = 'txn_9' WHERE cause_id = 'txn_1'",
            {("entry.cause", "5"), ("processor_item.booked", "txn_1")},
        ),
        (
            "UPDATE entry SET cause_id = 'po_9' WHERE cause_id = 'po_1'",
            {("entry.cause", "6"), ("payout.booked", "po_1")},
        ),
        # A waiver of a part that was invoiced after all, or that is another's.
        (
            "UPDATE collection SET state = 'invoiced' WHERE charge_id = 'chg_3'",
            {("part.entry", "4"), ("part.booked", "chg_3/1")},
        ),
        (
            "UPDATE collection SET state = 'debt' WHERE charge_id = 'chg_3'",
            {("part.entry", "4"), ("part.booked", "chg_3/1"), ("debt.part", "chg_3/1")},
        ),
        (
            "UPDATE entry SET cause_id = 'chg_9/1' WHERE cause = 'waiver'",
            {("part.entry", "4"), ("part.booked", "chg_3/1")},
        ),
        *(
            (f"UPDATE payout SET status = '{status}'", {("payout.booked", "po_1")})
            for status in ("in_transit", "failed", "canceled")
        ),
        # Of an adjustment: the credit, its document, its entry, its turn, and what is due back.
        (
            "UPDATE charge SET net_minor = -399, total_minor = -439 WHERE id = 'crd_5'",
            {
                ("charge.booked", "crd_5"),
                ("charge.split", "crd_5"),
                ("credit.reverses", "crd_5"),
                ("collection.sum", "crd_5"),
                ("document.totals", "crd_5"),
            },
        ),
        (
            "UPDATE charge SET energy_wh = -9999 WHERE id = 'crd_5'",
            {("credit.reverses", "crd_5"), ("document.totals", "crd_5")},
        ),
        ("UPDATE charge SET reverses = 'chg_4' WHERE id = 'crd_5'", {("credit.reverses", "crd_5")}),
        (
            _forged("{credit_of}', '\"chg_4\"'").replace("chg_2", "crd_5"),
            {("credit.reverses", "crd_5")},
        ),
        (
            _forged("{credit_of_digest}', '\"x\"'").replace("chg_2", "crd_5"),
            {("credit.reverses", "crd_5")},
        ),
        # The reversal is of another revenue than what the charge booked.
        (
            "UPDATE posting SET debit = 'revenue.idle' WHERE debit = 'revenue.energy'",
            {("credit.reverses", "crd_5")},
        ),
        (
            "UPDATE entry SET cause = 'charge' WHERE cause = 'credit'",
            {("charge.booked", "crd_5"), ("credit.reverses", "crd_5"), ("entry.cause", "9")},
        ),
        ("UPDATE charge SET revision = 5 WHERE id = 'chg_6'", {("documents.turns", "chg_6")}),
        (
            "UPDATE session SET state = 'billed' WHERE id = 'ses_5'",
            {("charge.session", "crd_5"), ("charge.session", "chg_6")},
        ),
        (
            "UPDATE payment SET captured_minor = 43 WHERE id = 'pay_5'",
            {("captured.parts", "pay_5"), ("refund.due", "pay_5")},
        ),
        (
            "UPDATE posting SET amount_minor = 395 WHERE debit = 'payable.driver'",
            {("part.booked", "chg_6/1")},
        ),
        (
            "UPDATE collection SET state = 'waived' WHERE charge_id = 'chg_6'",
            {("part.booked", "chg_6/1"), ("part.entry", "12")},
        ),
        # Paid, and failed later: both are booked, and the bank has nothing of it.
        (f"UPDATE payout SET status = 'failed'; {FAILED}", set()),
        (FAILED, {("payout.booked", "po_1")}),
        *(
            (change, {("captured.parts", "pay_1")})
            for change in (
                "UPDATE collection SET state = 'invoiced' WHERE charge_id = 'chg_4'",
                "UPDATE payment SET captured_minor = 439 WHERE id = 'pay_1'",
                "UPDATE payment SET captured_minor = 441 WHERE id = 'pay_1'",
                "UPDATE payment SET state = 'released' WHERE id = 'pay_1'",
                "UPDATE collection SET payment_id = NULL WHERE charge_id = 'chg_4'",
            )
        ),
    ],
)
async def test_damage_is_found(
    ledger: Database, server: EmbeddedServer, damage: str, found: set[tuple[str, str]]
) -> None:
    assert await _findings_after(ledger, server, damage) == found


async def _findings_after(
    ledger: Database, server: EmbeddedServer, damage: str
) -> set[tuple[str, str]]:
    """What the proof says in the damaged state, which is rolled back afterwards."""
    conninfo = server.dsn(SUPERUSER, "proof")
    async with await psycopg.AsyncConnection.connect(
        conninfo, row_factory=psycopg.rows.dict_row
    ) as conn:
        await conn.execute("SET search_path = wattledger")
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute(damage.encode())
        findings = await _prove_here(conn)
        await conn.rollback()
    return {(f.check, f.subject) for f in findings}


async def _prove_here(conn: psycopg.AsyncConnection) -> tuple[Finding, ...]:
    """``prove`` in a transaction that has written already: its first statement would be refused."""
    real = conn.execute

    async def execute(query: object, *args: object) -> object:
        if str(query).startswith("SET TRANSACTION"):
            return None
        return await real(query, *args)  # type: ignore[arg-type]

    conn.execute = execute  # type: ignore[method-assign, assignment]
    return (await prove(conn)).findings  # type: ignore[arg-type]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A configuration whose embedded database has one billed session."""
    tmp_path.chmod(0o755)
    path = tmp_path / "wattledger.toml"
    path.write_text(STARTING_FILE)
    data = tmp_path / ".wattledger" / "data"
    data.mkdir(parents=True)
    with Database.embedded(data) as database:
        migrate(database.conninfo(Role.OWNER))
        with psycopg.connect(database.conninfo(Role.APP)) as conn:
            hand.billed(conn)
    return path


def test_verify_works_with_the_server_down_and_up_and_says_1_when_damaged(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["verify", "--config", str(installed), "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == {
        "proved": True, "entries": 1, "postings": 2, "charges": 1, "checks": 28, "findings": [],
    }  # fmt: skip
    with embedded.start(installed.parent / ".wattledger" / "data") as holding:
        assert main(command) == 0
        with psycopg.connect(holding.dsn(SUPERUSER)) as conn:
            conn.execute("SET session_replication_role = replica")
            conn.execute("UPDATE wattledger.posting SET amount_minor = 1 WHERE posting_no = 2")
        capsys.readouterr()
        assert main(command) == 1
        found = json.loads(capsys.readouterr().out)
    assert found["proved"] is False
    # 4.00 + 0.01 instead of 4.00 + 0.40
    assert found["findings"] == [
        {
            "check": "charge.booked",
            "subject": "chg_1",
            "message": "is booked with 401, the charge is 440",
        },
        {
            "check": "charge.split",
            "subject": "chg_1",
            "message": "is booked with revenue 400 and tax 1, the charge says 400 and 40",
        },
    ]
    assert main(command[:-1]) == 1
    assert "Not proved" in capsys.readouterr().out
