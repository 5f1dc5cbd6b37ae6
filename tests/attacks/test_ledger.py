"""Every rule that the database enforces, attacked as a bug or a person would.

A test is named after its attack; it passes when the attack fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

import handmade as hand
from handmade import Conn
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.embedded import SUPERUSER, EmbeddedServer
from wattledger.db.roles import Role
from wattledger.ledger.accounts import Code

RECEIVABLE, REVENUE = Code.RECEIVABLE_ACCOUNT, Code.REVENUE_ENERGY
APPEND_ONLY = (
    "entry", "posting", "account", "charge", "session_fact", "config_version", "config_activation",
)  # fmt: skip


@pytest.fixture(scope="module")
def attacked(server: EmbeddedServer, template: str) -> Iterator[Database]:
    """One database for all attacks on ``books``: they leave it as it was, or the test fails."""
    name = "attacked"
    with psycopg.connect(server.dsn(SUPERUSER, "postgres"), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {Role.OWNER}".encode())
        yield Database.on_server(server, name)
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def books(attacked: Database) -> Iterator[Conn]:
    """One billed session, and a row in every append-only table."""
    with psycopg.connect(attacked.conninfo(Role.APP), autocommit=True) as conn:
        hand.billed(conn)
        hand.insert(conn, "config_activation", kind="tariff", key="standard", valid_from=hand.NOW)
        _fact(conn)
        yield conn


def _fact(conn: Conn, dedupe: str = "fct_1") -> None:
    hand.insert(
        conn, "session_fact", session_id="ses_1", kind="start", at=hand.NOW, received_at=hand.NOW,
        register_wh=1000, dedupe=dedupe,
    )  # fmt: skip


def _count(conn: Conn, table: str) -> int:
    row = conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    return int(row[0]) if row else 0


def _book(conn: Conn, **posting: Any) -> None:
    """An entry of one posting, in a transaction of its own."""
    with conn.transaction():
        hand.add_posting(conn, hand.add_header(conn, "charge", "x"), **posting)


def _write(conn: Conn, promised: int, postings: list[tuple[Code, Code, int]]) -> None:
    """An entry whose header promises a number of postings, in a transaction of its own."""
    with conn.transaction():
        entry = hand.add_header(conn, "charge", "x", count=promised)
        for number, (debit, credit, amount) in enumerate(postings, start=1):
            hand.add_posting(conn, entry, number, debit=debit, credit=credit, amount=amount)


def _collect(conn: Conn, amounts: list[int]) -> None:
    """The parts of the charge, in a transaction of their own."""
    with conn.transaction():
        for number, amount in enumerate(amounts, start=1):
            hand.add_part(conn, number=number, amount=amount)


# A posting can't be unbalanced.


def test_money_moved_from_an_account_to_itself(books: Conn) -> None:
    with pytest.raises(errors.CheckViolation):
        _book(books, debit=REVENUE, credit=REVENUE)


@pytest.mark.parametrize("amount", [0, -440])
def test_a_posting_of_nothing_or_less(books: Conn, amount: int) -> None:
    with pytest.raises(errors.CheckViolation):
        _book(books, amount=amount)


@pytest.mark.parametrize("side", ["debit", "credit"])
def test_a_posting_with_one_side_only(books: Conn, side: str) -> None:
    with pytest.raises(errors.NotNullViolation):
        _book(books, **{side: None})


def test_a_posting_to_an_account_that_does_not_exist(books: Conn) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        _book(books, debit=Code.BANK)


# An entry and its postings are sealed together.


@pytest.mark.parametrize("promised", [1, 3])
def test_a_header_that_lies_about_its_postings(books: Conn, promised: int) -> None:
    postings = [(RECEIVABLE, REVENUE, 400), (RECEIVABLE, REVENUE, 40)]
    with pytest.raises(errors.CheckViolation, match=f"has 2 postings, its header says {promised}"):
        _write(books, promised, postings)
    assert _count(books, "entry") == 1


def test_an_entry_without_postings(books: Conn) -> None:
    with pytest.raises(errors.CheckViolation, match="has 0 postings"), books.transaction():
        hand.add_header(books, "charge", "x")
    with pytest.raises(errors.CheckViolation), books.transaction():
        hand.add_header(books, "charge", "x", count=0)


def test_a_posting_added_to_an_old_entry(books: Conn) -> None:
    entry = _entry_id(books)
    with pytest.raises(errors.RestrictViolation, match="is sealed"):
        hand.add_posting(books, entry, 3)
    assert _count(books, "posting") == 2


def test_a_posting_added_after_the_constraints_were_checked(books: Conn) -> None:
    with books.transaction(force_rollback=True):
        entry = hand.add_header(books, "charge", "x")
        hand.add_posting(books, entry, 1)
        books.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(errors.CheckViolation, match="has 2 postings"), books.transaction():
            hand.add_posting(books, entry, 2)


def test_a_transaction_id_chosen_to_break_the_seal(books: Conn) -> None:
    entry = _entry_id(books)
    xid = books.execute("SELECT xid FROM entry").fetchone()
    assert xid is not None
    with pytest.raises(errors.RestrictViolation, match="is sealed"):
        books.execute(
            "INSERT INTO posting (entry_id, posting_no, entity_id, debit, credit, amount_minor,"
            " currency, xid) VALUES (%s, 3, 'north', %s, %s, 1, 'USD', %s)",
            (entry, RECEIVABLE, REVENUE, xid[0]),
        )


def test_an_entry_dated_into_a_transaction_to_come(books: Conn) -> None:
    """A chosen xid is overwritten: nobody can leave the seal open for later."""
    with books.transaction(force_rollback=True):
        row = books.execute(
            "INSERT INTO entry (entity_id, cause, cause_id, effective_on, booked_at,"
            " posting_count, xid) VALUES ('north', 'charge', 'x', %s, %s, 1, '999999999')"
            " RETURNING id, xid = pg_current_xact_id()",
            (hand.TODAY, hand.NOW),
        ).fetchone()
        assert row is not None
        hand.add_posting(books, row[0])
    assert row[1] is True


def _entry_id(conn: Conn) -> int:
    row = conn.execute("SELECT id FROM entry").fetchone()
    assert row is not None
    return int(row[0])


# What is written stays as it is.


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("command", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0}"])
def test_the_application_rewrites_history(books: Conn, table: str, command: str) -> None:
    column = _a_column(books, table)
    with pytest.raises(errors.InsufficientPrivilege):
        books.execute(command.format(table, column).encode())


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("command", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}"])
def test_the_owner_rewrites_history(
    books: Conn, attacked: Database, table: str, command: str
) -> None:
    column = _a_column(books, table)
    before = _count(books, table)
    with (
        psycopg.connect(attacked.conninfo(Role.OWNER)) as owner,
        pytest.raises(errors.RestrictViolation, match="only ever added"),
    ):
        owner.execute(command.format(table, column).encode())
    assert _count(books, table) == before > 0


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_the_owner_truncates(books: Conn, attacked: Database, table: str) -> None:
    """With CASCADE, else the foreign keys would already say no."""
    with (
        psycopg.connect(attacked.conninfo(Role.OWNER)) as owner,
        pytest.raises(errors.RestrictViolation, match="TRUNCATE on"),
    ):
        owner.execute(f"TRUNCATE {table} CASCADE".encode())


def _a_column(conn: Conn, table: str) -> str:
    row = conn.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'wattledger'"
        " AND table_name = %s AND is_identity = 'NO' ORDER BY ordinal_position LIMIT 1",
        (table,),
    ).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize(
    "command",
    [
        "ALTER TABLE posting DISABLE TRIGGER ALL",
        "ALTER TABLE posting ALTER COLUMN amount_minor DROP NOT NULL",
        "DROP TABLE posting",
        "DROP TRIGGER posting_seal ON posting",
        "CREATE OR REPLACE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NEW; END'",
        "SET session_replication_role = replica",
        "SET ROLE wattledger_owner",
        "CREATE TABLE mine (n integer)",
        "GRANT UPDATE ON posting TO wattledger_app",
    ],
)
def test_the_application_takes_the_guards_away(books: Conn, command: str) -> None:
    """GRANT by somebody without the right is a warning in PostgreSQL, and grants nothing."""
    try:
        books.execute(command.encode())
    except errors.InsufficientPrivilege:
        return
    assert command.startswith("GRANT")
    with pytest.raises(errors.InsufficientPrivilege):
        books.execute("UPDATE posting SET amount_minor = 1")


@pytest.mark.parametrize(
    "table", ["entry", "charge", "session", "effect", "config_version", "break"]
)
def test_the_reader_writes(attacked: Database, books: Conn, table: str) -> None:
    with psycopg.connect(attacked.conninfo(Role.READER), autocommit=True) as reader:
        assert _count(reader, table) == _count(books, table)
        for command in ("INSERT INTO {} DEFAULT VALUES", "DELETE FROM {}", "TRUNCATE {}"):
            with pytest.raises(errors.InsufficientPrivilege):
                reader.execute(command.format(table).encode())


# Nothing is booked twice, and nothing across entities or currencies.


def test_the_same_cause_booked_twice(books: Conn) -> None:
    with pytest.raises(errors.UniqueViolation), books.transaction():
        hand.book(books, "charge", "chg_1", (RECEIVABLE, REVENUE, 440))


def test_a_posting_of_another_entity_than_its_entry(books: Conn) -> None:
    hand.add_account(books, RECEIVABLE, "south")
    hand.add_account(books, REVENUE, "south")
    with pytest.raises(errors.ForeignKeyViolation):
        _book(books, entity="south")


def test_a_posting_to_another_entitys_account(books: Conn) -> None:
    """north has the revenue account; the bank account is south's alone."""
    hand.add_account(books, Code.BANK, "south")
    with pytest.raises(errors.ForeignKeyViolation):
        _book(books, debit=Code.BANK)


def test_a_posting_in_another_currency_than_its_accounts(books: Conn) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        _book(books, currency="EUR")


# Charges and how they are collected.


def test_a_charge_whose_net_and_tax_are_not_its_total(app: Conn) -> None:
    hand.add_session(app)
    with pytest.raises(errors.CheckViolation):
        hand.add_charge(app, net=400, tax=40, total=441)


def test_a_session_charged_twice(books: Conn) -> None:
    with pytest.raises(errors.UniqueViolation):
        hand.add_charge(books, "chg_2", "ses_1")


@pytest.mark.parametrize("amounts", [[439], [441], [400, 41], [220]])
def test_parts_that_do_not_sum_to_their_charge(app: Conn, amounts: list[int]) -> None:
    hand.add_session(app)
    hand.add_charge(app)
    with pytest.raises(errors.CheckViolation, match="the charge is 440"):
        _collect(app, amounts)


def test_a_part_taken_away_afterwards(books: Conn) -> None:
    with pytest.raises(errors.RestrictViolation, match="invoiced, and that is final"):
        books.execute("DELETE FROM collection")


def test_a_pending_part_taken_away(app: Conn) -> None:
    _pending(app)
    with pytest.raises(errors.CheckViolation, match="sum to 0"):
        app.execute("DELETE FROM collection")


def test_a_part_made_smaller_afterwards(books: Conn) -> None:
    with pytest.raises(errors.RestrictViolation, match="invoiced, and that is final"):
        books.execute("UPDATE collection SET amount_minor = 1")


def test_a_pending_part_made_smaller(app: Conn) -> None:
    _pending(app)
    with pytest.raises(errors.CheckViolation, match="sum to 1"):
        app.execute("UPDATE collection SET amount_minor = 1")


def _pending(conn: Conn, **payment: Any) -> None:
    """A card session of 4.40 whose capture is on its way."""
    hand.add_session(conn, route=Route.CARD)
    hand.add_charge(conn)
    hand.add_payment(conn, **{"state": "capturing", **payment})
    hand.add_part(conn, state="pending", payment_id="pay_1")


def test_a_part_of_nothing(app: Conn) -> None:
    hand.add_session(app)
    hand.add_charge(app)
    with pytest.raises(errors.CheckViolation, match="amount_minor"):
        _collect(app, [440, 0])


def test_a_charge_collected_by_another_entitys_payment(app: Conn) -> None:
    hand.add_session(app, route=Route.CARD)
    hand.add_charge(app)
    hand.add_session(app, "ses_2", entity="south", route=Route.CARD, charge_point="CP-2")
    hand.add_payment(app, session_id="ses_2", entity="south")
    with pytest.raises(errors.CheckViolation, match="another legal entity"):
        hand.add_part(app, state="captured", payment_id="pay_1")


def test_a_part_that_says_it_is_another_entitys(app: Conn) -> None:
    hand.add_session(app)
    hand.add_charge(app)
    with pytest.raises(errors.CheckViolation, match="another legal entity"):
        hand.add_part(app, entity="south")


def test_more_captured_than_was_held(app: Conn) -> None:
    hand.add_session(app, route=Route.CARD)
    hand.add_payment(app, hold=2_500, state="capturing")
    with pytest.raises(errors.CheckViolation):
        app.execute("UPDATE payment SET captured_minor = 2501, state = 'captured'")
    app.execute("UPDATE payment SET captured_minor = 2500, state = 'captured'")


def test_a_session_with_two_payments(app: Conn) -> None:
    hand.add_session(app, route=Route.CARD)
    hand.add_payment(app)
    with pytest.raises(errors.UniqueViolation):
        hand.add_payment(app, "pay_2", "ses_1")


def test_one_intent_of_the_processor_for_two_payments(app: Conn) -> None:
    hand.add_session(app, "ses_1", route=Route.CARD)
    hand.add_session(app, "ses_2", route=Route.CARD)
    hand.add_payment(app, "pay_1", "ses_1", intent_id="pi_1")
    with pytest.raises(errors.UniqueViolation):
        hand.add_payment(app, "pay_2", "ses_2", intent_id="pi_1")


def test_one_payment_taken_elsewhere_for_two_sessions(app: Conn) -> None:
    for key in ("ses_1", "ses_2"):
        hand.add_session(app, key, route=Route.EXTERNAL)
    taken: dict[str, Any] = {
        "entity_id": "north", "reference": "R-1", "amount_minor": 440, "currency": "USD",
    }  # fmt: skip
    hand.insert(app, "external_payment", session_id="ses_1", **taken)
    with pytest.raises(errors.UniqueViolation):
        hand.insert(app, "external_payment", session_id="ses_2", **taken)


def test_a_processor_item_whose_fee_does_not_add_up(app: Conn) -> None:
    with pytest.raises(errors.CheckViolation):
        hand.insert(
            app, "processor_item", id="txn_1", processor_id="stripe", entity_id="north",
            category="charge", currency="USD", amount_minor=440, fee_minor=43, net_minor=398,
            created_at=hand.NOW, available_at=hand.NOW, read_at=hand.NOW,
        )  # fmt: skip


def test_a_processor_item_rewritten(app: Conn) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute("UPDATE processor_item SET amount_minor = 1")


# Facts and matches.


def test_a_fact_told_twice(books: Conn) -> None:
    with pytest.raises(errors.UniqueViolation):
        _fact(books)


def test_an_inbox_fact_told_twice(app: Conn) -> None:
    row: dict[str, Any] = {
        "source": "api:cpms", "external_id": "S-1", "received_at": hand.NOW, "body": b"{}",
        "digest": "d",
    }  # fmt: skip
    hand.insert(app, "inbox", **row)
    with pytest.raises(errors.UniqueViolation):
        hand.insert(app, "inbox", **row)


def test_an_item_matched_twice(app: Conn) -> None:
    row: dict[str, Any] = {
        "leg": "processor", "side": "theirs", "item_id": "txn_1", "entity_id": "north",
        "matched_at": hand.NOW,
    }  # fmt: skip
    hand.insert(app, "match", match_key="pay_1", **row)
    with pytest.raises(errors.UniqueViolation):
        hand.insert(app, "match", match_key="pay_2", **row)


def test_a_match_undone(app: Conn) -> None:
    for command in ("DELETE FROM match", "UPDATE match SET match_key = 'x'"):
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute(command.encode())


def test_a_held_session_without_a_reason(app: Conn) -> None:
    hand.add_session(app, state="ended")
    with pytest.raises(errors.CheckViolation):
        app.execute("UPDATE session SET state = 'held'")


def test_a_session_ended_that_never_stopped(app: Conn) -> None:
    hand.add_session(app, state="open", stop_wh=None)
    with pytest.raises(errors.CheckViolation):
        app.execute("UPDATE session SET state = 'ended'")


# Effects.


def _effect(conn: Conn, key: str = "k1", lane_seq: int = 1, **more: Any) -> None:
    hand.insert(
        conn, "effect", kind="webhook.deliver", subject="books", lane="lane", lane_seq=lane_seq,
        key=key, due_at=hand.NOW, caused_at=hand.NOW, **{"request": {"amount": 440}, **more},
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    ["request = '{\"amount\": 441}'", "key = 'k2'", "kind = 'stripe.hold'", "subject = 'x'",
     "lane = 'other'", "lane_seq = 7", "attempt = 2", "due_at = now()", "caused_at = now()"],
)  # fmt: skip
def test_a_request_changed_after_it_was_decided(app: Conn, database: Database, change: str) -> None:
    _effect(app)
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute(f"UPDATE effect SET {change}".encode())
    with (
        psycopg.connect(database.conninfo(Role.OWNER)) as owner,
        pytest.raises(errors.RestrictViolation, match="can not be changed"),
    ):
        owner.execute(f"UPDATE effect SET {change}".encode())


@pytest.mark.parametrize("settled", ["done", "rejected"])
def test_a_settled_effect_sent_again(app: Conn, settled: str) -> None:
    _effect(app, state=settled, settled_at=hand.NOW)
    with pytest.raises(errors.RestrictViolation, match=f"is settled as {settled}"):
        app.execute("UPDATE effect SET state = 'pending', settled_at = NULL")


def test_an_effect_removed(app: Conn) -> None:
    _effect(app)
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute("DELETE FROM effect")


def test_one_key_for_two_effects(app: Conn) -> None:
    _effect(app)
    with pytest.raises(errors.UniqueViolation):
        _effect(app, "k1", 2)


def test_one_place_in_a_lane_for_two_effects(app: Conn) -> None:
    _effect(app)
    with pytest.raises(errors.UniqueViolation):
        _effect(app, "k2", 1)


def test_a_claim_without_a_token(app: Conn) -> None:
    _effect(app)
    with pytest.raises(errors.CheckViolation):
        app.execute("UPDATE effect SET state = 'claimed'")
