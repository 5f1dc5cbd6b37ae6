"""Refunds, disputes and warnings attacked as a bug would: money given back twice, more of it than
was taken, while it is disputed, or another legal entity's. A test passes when its attack fails.
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
from wattledger.db.roles import Role

MOVES, NEVER = errors.RestrictViolation, errors.RestrictViolation
CHECK = errors.CheckViolation


@pytest.fixture
def app(database: Database) -> Iterator[Conn]:
    """The application's own connection, in autocommit, with a payment that took 4.40."""
    with psycopg.connect(database.conninfo(Role.APP), autocommit=True) as conn:
        hand.add_session(conn, route=Route.CARD)
        hand.add_payment(conn, captured=440, state="captured")
        yield conn


def _give(conn: Conn, key: str = "prf_1", **changes: Any) -> None:
    values: dict[str, Any] = {
        "id": key, "payment_id": "pay_1", "entity_id": "north", "currency": "USD",
        "amount_minor": 440, "cause": "adjustment", "state": "sending", "created_at": hand.NOW,
        "session_id": "ses_1",
    }  # fmt: skip
    hand.insert(conn, "payment_refund", **values | changes)


def _dispute(conn: Conn, **changes: Any) -> None:
    values: dict[str, Any] = {
        "id": "du_1", "processor_id": "stripe", "entity_id": "north", "payment_id": "pay_1",
        "currency": "USD", "amount_minor": 440, "reason": "general", "status": "needs_response",
        "inquiry": False, "opened_at": hand.NOW, "seen_at": hand.NOW,
    }  # fmt: skip
    hand.insert(conn, "dispute", **values | changes)


def _refund(conn: Conn, key: str = "rfd_1", **changes: Any) -> None:
    values: dict[str, Any] = {
        "id": key, "session_id": "ses_1", "entity_id": "north", "currency": "USD",
        "kind": "correction", "scope": {"whole": True}, "amount_minor": 440, "reason": "r",
        "state": "asked", "asked_by": "page:Ann", "asked_at": hand.NOW,
    }  # fmt: skip
    hand.insert(conn, "refund", **values | changes)


def test_more_given_back_than_was_taken(app: Conn) -> None:
    with pytest.raises(CHECK, match="took 440, of which 0 goes back already: not another 441"):
        _give(app, amount_minor=441)
    _give(app, amount_minor=400)
    with pytest.raises(CHECK, match="of which 400 goes back already: not another 41"):
        _give(app, "prf_2", amount_minor=41)
    _give(app, "prf_2", amount_minor=40)
    # What failed makes room, and what takes its room keeps it from coming back.
    app.execute("UPDATE payment_refund SET state = 'failed' WHERE id = 'prf_1'")
    _give(app, "prf_3", amount_minor=400)
    with pytest.raises(CHECK, match="not another 400"):
        app.execute("UPDATE payment_refund SET state = 'otherwise' WHERE id = 'prf_1'")


def test_one_refund_of_the_processor_for_two_payments_or_twice_for_one_session(app: Conn) -> None:
    """Divided among sessions it may be; and nothing else."""
    _give(app, amount_minor=100, external_refund_id="re_1")
    with pytest.raises(errors.UniqueViolation, match="payment_refund_external"):
        _give(app, "prf_2", amount_minor=100, external_refund_id="re_1")
    hand.add_session(app, "ses_2", route=Route.CARD, charge_point="CP-2")
    hand.add_payment(app, "pay_2", "ses_2", captured=440, state="captured")
    other = {"payment_id": "pay_2", "session_id": "ses_2", "amount_minor": 100}
    with pytest.raises(CHECK, match="re_1 is of another payment than pay_2"):
        _give(app, "prf_2", external_refund_id="re_1", **other)
    _give(app, "prf_2", **other)
    with pytest.raises(CHECK, match="re_1 is of another payment than pay_2"):
        app.execute("UPDATE payment_refund SET external_refund_id = 're_1' WHERE id = 'prf_2'")


def test_a_refund_that_goes_back_to_what_it_was(app: Conn) -> None:
    _give(app, state="waiting")
    for state in ("sending", "sent", "done"):
        app.execute("UPDATE payment_refund SET state = %s", (state,))
        for back in ("waiting", "sending", "refused", "otherwise"):
            if back == state or (state == "sending" and back == "refused"):
                continue
            with pytest.raises(MOVES):
                app.execute("UPDATE payment_refund SET state = %s", (back,))
    app.execute("UPDATE payment_refund SET state = 'failed'")
    app.execute("UPDATE payment_refund SET state = 'otherwise'")
    for state in ("failed", "done", "waiting"):
        with pytest.raises(MOVES):
            app.execute("UPDATE payment_refund SET state = %s", (state,))


def test_a_refund_rewritten(app: Conn) -> None:
    _give(app, amount_minor=400, external_refund_id="re_1")
    with pytest.raises(CHECK, match="payment_refund_of_session"):
        _give(app, "prf_9", amount_minor=1, session_id=None)
    for change in ("amount_minor = 1", "payment_id = 'pay_2'", "cause = 'topup'",
                   "created_at = now()"):  # fmt: skip
        with pytest.raises((errors.InsufficientPrivilege, NEVER)):
            app.execute(f"UPDATE payment_refund SET {change}".encode())
    with pytest.raises(NEVER):
        app.execute("UPDATE payment_refund SET external_refund_id = 're_2'")
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute("DELETE FROM payment_refund")


def test_money_back_in_another_currency_or_of_another_session(app: Conn) -> None:
    hand.add_session(app, "ses_2", route=Route.CARD, charge_point="CP-2")
    with pytest.raises(CHECK, match="pay_1 is in USD, not in EUR"):
        _give(app, currency="EUR")
    with pytest.raises(CHECK, match="pay_1 has paid nothing of session ses_2"):
        _give(app, session_id="ses_2")
    _refund(app, "rfd_2", session_id="ses_2")
    with pytest.raises(CHECK, match="rfd_2 is not of session ses_1"):
        _give(app, cause="refund", refund_id="rfd_2")
    # It paid the other's debt: then some of it may go back for that.
    hand.add_charge(app, "chg_2", "ses_2")
    hand.add_part(app, "chg_2", state="captured", payment_id="pay_1")
    _give(app, session_id="ses_2")


def test_a_refund_issued_without_a_credit_of_its_session(app: Conn) -> None:
    hand.add_charge(app)
    hand.add_part(app, state="captured", payment_id="pay_1")
    decided = {"decided_by": "page:Bob", "decided_at": hand.NOW}
    with pytest.raises(CHECK, match="does not begin as issued"):
        _refund(app, state="issued", charge_id="chg_1", **decided)
    hand.add_session(app, "ses_2", route=Route.CARD, charge_point="CP-2")
    _refund(app, "rfd_2", session_id="ses_2", state="approved", **decided)
    _refund(app, state="approved", **decided)
    issued = "UPDATE refund SET state = 'issued', charge_id = %s WHERE id = %s"
    with pytest.raises(CHECK, match="chg_1 is no credit of its session"):
        app.execute(issued, ("chg_1", "rfd_1"))
    hand.add_credit(app)
    with pytest.raises(CHECK, match="crd_2 is no credit of its session"):
        app.execute(issued, ("crd_2", "rfd_2"))
    app.execute(issued, ("crd_2", "rfd_1"))


def test_one_refund_of_the_processor_taken_for_two(app: Conn) -> None:
    _give(app, amount_minor=100, external_refund_id="re_1")
    with pytest.raises(errors.UniqueViolation):
        _give(app, "prf_2", amount_minor=100, external_refund_id="re_1")


def test_money_given_back_while_it_is_disputed(app: Conn) -> None:
    _give(app, "prf_0", amount_minor=40, state="waiting")
    _dispute(app)
    with pytest.raises(CHECK, match="payment pay_1 is disputed"):
        _give(app, amount_minor=100)
    with pytest.raises(CHECK, match="payment pay_1 is disputed"):
        app.execute("UPDATE payment_refund SET state = 'sending'")
    app.execute("UPDATE dispute SET status = 'won', closed_at = now()")
    app.execute("UPDATE payment_refund SET state = 'sending'")


def test_an_inquiry_keeps_nothing_back(app: Conn) -> None:
    _dispute(app, status="warning_needs_response", inquiry=True)
    _give(app)


def test_another_legal_entitys_money_given_back_or_disputed(app: Conn) -> None:
    with pytest.raises(CHECK, match="another legal entity's"):
        _give(app, entity_id="south")
    with pytest.raises(CHECK, match="du_1 is of entity south, its payment is another's"):
        _dispute(app, entity_id="south")
    _dispute(app, entity_id="south", payment_id=None)
    with pytest.raises(CHECK, match="its payment is another's"):
        app.execute("UPDATE dispute SET payment_id = 'pay_1'")
    with pytest.raises(CHECK, match="issfr_1 is of entity south"):
        hand.insert(
            app, "fraud_warning", id="issfr_1", processor_id="stripe", entity_id="south",
            payment_id="pay_1", fraud_type="misc", actionable=True, created_at=hand.NOW,
            seen_at=hand.NOW,
        )  # fmt: skip
    with pytest.raises(CHECK, match="rfd_1 is of entity south, its session is another's"):
        _refund(app, entity_id="south")


def test_a_line_of_the_processor_that_claims_another_entitys_refund(app: Conn) -> None:
    _give(app)
    with pytest.raises(CHECK, match="its refund is another's"):
        hand.insert(
            app, "processor_item", id="txn_1", processor_id="stripe-eu", entity_id="south",
            category="refund", currency="USD", amount_minor=-440, fee_minor=0, net_minor=-440,
            created_at=hand.NOW, available_at=hand.NOW, read_at=hand.NOW,
            payment_refund_id="prf_1",
        )  # fmt: skip


def test_a_dispute_that_is_reopened_or_moved(app: Conn) -> None:
    _dispute(app)
    app.execute("UPDATE dispute SET status = 'lost', closed_at = now(), submitted_at = now()")
    for change in ("closed_at = NULL", "submitted_at = NULL", "payment_id = NULL"):
        with pytest.raises(NEVER):
            app.execute(f"UPDATE dispute SET {change}".encode())
    with pytest.raises((errors.InsufficientPrivilege, NEVER)):
        app.execute("UPDATE dispute SET opened_at = now()")


def test_a_refund_without_a_decision_or_a_document(app: Conn) -> None:
    for change in ({"state": "approved"}, {"reason": "  "}, {"amount_minor": 0},
                   {"kind": "pity"}, {"state": "issued", "decided_by": "b"}):  # fmt: skip
        with pytest.raises(CHECK):
            _refund(app, **change)
    _refund(app)
    with pytest.raises(CHECK):
        app.execute("UPDATE refund SET state = 'approved'")
    with pytest.raises(MOVES):
        app.execute("UPDATE refund SET state = 'issued', decided_by = 'page:Bob'")
    app.execute("UPDATE refund SET state = 'refused', decided_by = 'page:Bob'")
    with pytest.raises(MOVES):
        app.execute("UPDATE refund SET state = 'approved'")
    with pytest.raises((errors.InsufficientPrivilege, NEVER)):
        app.execute("UPDATE refund SET amount_minor = 1")


def test_a_file_of_evidence_is_not_changed_or_named_twice(app: Conn) -> None:
    """What the bank was sent is kept to the byte."""
    _dispute(app)
    values = {"dispute_id": "du_1", "field": "receipt", "name": "receipt-1.pdf",
              "content": b"%PDF-", "made_at": hand.NOW}  # fmt: skip
    with pytest.raises(CHECK):
        hand.insert(app, "dispute_file", **{**values, "field": "customer_signature"})
    with pytest.raises(CHECK):
        hand.insert(app, "dispute_file", **{**values, "content": b""})
    with pytest.raises(CHECK):
        hand.insert(app, "dispute_file", **{**values, "content": b" " * 2_250_001})
    hand.insert(app, "dispute_file", **values)
    with pytest.raises(errors.UniqueViolation):
        hand.insert(app, "dispute_file", **{**values, "field": "service_documentation"})
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute("UPDATE dispute_file SET content = 'x'")
    with pytest.raises(CHECK):
        app.execute("UPDATE dispute_file SET file_id = 'file_1', why = 'refused'")
    app.execute("UPDATE dispute_file SET file_id = 'file_1'")
    with pytest.raises(NEVER):
        app.execute("UPDATE dispute_file SET file_id = 'file_2'")
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute("DELETE FROM dispute_file")
