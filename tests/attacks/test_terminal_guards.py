"""Payments at terminals attacked as a bug would: one for two sessions, another's, one rewritten. A
test is named after its attack; it passes when that fails.
"""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import errors

import handmade as hand
from handmade import NOW, Conn
from wattledger.contract import Route

REFUSED = errors.RestrictViolation
MATCH = "UPDATE terminal_payment SET state = 'matched', session_id = '{}' WHERE id = '{}'"


def _tries(conn: Conn, *attacks: str, said: str, error: type[Exception] = REFUSED) -> None:
    for attack in attacks:
        with pytest.raises(error, match=said), conn.transaction():
            conn.execute(attack.encode())


def add(conn: Conn, key: str = "tpa_1", entity: str = "north", **more: Any) -> str:
    """A payment at a terminal; its id."""
    plain: dict[str, Any] = {
        "id": key, "entity_id": entity, "provider": "acme", "terminal_id": "door",
        "reference": key, "mode": "vendor_captures", "currency": "USD", "authorized_at": NOW,
        "authorized_minor": 5_000, "received_at": NOW,
    }  # fmt: skip
    hand.insert(conn, "terminal_payment", **(plain | more))
    return key


def ended(conn: Conn, key: str, entity: str = "north") -> str:
    """A session of the terminal route that is not billed; its id."""
    return hand.add_session(conn, key, entity=entity, route=Route.TERMINAL, state="held")


def run(conn: Conn, query: str) -> None:
    conn.execute(query.encode())


def test_one_payment_for_two_sessions(app: Conn) -> None:
    add(app)
    for key in ("ses_1", "ses_2"):
        ended(app, key)
    run(app, MATCH.format("ses_1", "tpa_1"))
    _tries(app, "UPDATE terminal_payment SET session_id = 'ses_2'", said="stays so")


def test_two_payments_for_one_session(app: Conn) -> None:
    for key in ("tpa_1", "tpa_2"):
        add(app, key)
    ended(app, "ses_1")
    run(app, MATCH.format("ses_1", "tpa_1"))
    _tries(app, MATCH.format("ses_1", "tpa_2"), said="session_id", error=errors.UniqueViolation)


def test_the_session_of_another_legal_entity(app: Conn) -> None:
    add(app)
    ended(app, "ses_9", entity="rhine")
    _tries(app, MATCH.format("ses_9", "tpa_1"), said="another's", error=errors.CheckViolation)


def test_the_same_payment_reported_as_two(app: Conn) -> None:
    add(app, reference="A1")
    with pytest.raises(errors.UniqueViolation):
        add(app, "tpa_2", reference="A1")


def test_what_was_settled_taken_from_its_session(app: Conn) -> None:
    add(app, settled_minor=400, settled_at=NOW)
    ended(app, "ses_1")
    run(app, MATCH.format("ses_1", "tpa_1"))
    _tries(
        app,
        "UPDATE terminal_payment SET state = 'returned', session_id = NULL",
        "UPDATE terminal_payment SET state = 'open', session_id = NULL",
        said="stays so",
    )


def test_what_was_reversed_pays_for_another_session(app: Conn) -> None:
    """It is taken from the one that is not billed, and is nobody's then."""
    add(app, settled_minor=400, settled_at=NOW)
    for key in ("ses_1", "ses_2"):
        ended(app, key)
    run(app, MATCH.format("ses_1", "tpa_1"))
    _tries(app, "UPDATE terminal_payment SET session_id = 'ses_2', reversed_at = now()",
           said="stays so")  # fmt: skip
    run(app, "UPDATE terminal_payment SET state = 'returned', session_id = NULL,"
             " reversed_at = now()")  # fmt: skip
    _tries(app, "UPDATE terminal_payment SET reversed_at = NULL", said="reversed_at")
    _tries(app, MATCH.format("ses_2", "tpa_1"), said="returned.*matched")
    add(app, "tpa_2")
    run(app, "UPDATE terminal_payment SET reversed_at = now() WHERE id = 'tpa_2'")
    _tries(app, MATCH.format("ses_2", "tpa_2"), said="it pays for nothing")


def test_what_was_kept_looked_at_again(app: Conn) -> None:
    """It may find its session, or go back; it is never open or in suspense again."""
    add(app)
    for state in ("suspense", "kept"):
        run(app, f"UPDATE terminal_payment SET state = '{state}'")
    for after in ("open", "suspense"):
        _tries(app, f"UPDATE terminal_payment SET state = '{after}'", said=f"kept.*{after}")
    ended(app, "ses_1")
    run(app, MATCH.format("ses_1", "tpa_1"))


def test_a_hold_of_ours_taken_from_its_session(app: Conn) -> None:
    ended(app, "ses_1")
    hand.add_payment(app, "pay_1", "ses_1")
    add(app, payment_id="pay_1", mode="we_capture")
    run(app, MATCH.format("ses_1", "tpa_1"))
    _tries(app, "UPDATE terminal_payment SET state = 'returned', session_id = NULL",
           said="stays so")  # fmt: skip


def test_one_that_is_not_settled_may_be_taken_from_its_session(app: Conn) -> None:
    add(app)
    ended(app, "ses_1")
    run(app, MATCH.format("ses_1", "tpa_1"))
    run(app, "UPDATE terminal_payment SET state = 'open', session_id = NULL")


def test_what_was_said_of_it_rewritten(app: Conn) -> None:
    add(app, settled_minor=400, settled_at=NOW, transaction_ref="tx-1")
    for column, value in (
        ("settled_minor", "401"), ("settled_at", "now()"), ("transaction_ref", "'tx-2'"),
    ):  # fmt: skip
        _tries(app, f"UPDATE terminal_payment SET {column} = {value}", said=column)
    for column, value in (
        ("reference", "'x'"), ("authorized_at", "now()"), ("mode", "'we_send'"),
        ("entity_id", "'rhine'"),
    ):  # fmt: skip
        _tries(app, f"UPDATE terminal_payment SET {column} = {value}", said="permission denied",
               error=errors.InsufficientPrivilege)  # fmt: skip


def test_moved_where_there_is_no_way(app: Conn) -> None:
    add(app)
    for before, after in (("open", "kept"),):
        _tries(app, f"UPDATE terminal_payment SET state = '{after}'", said=f"{before}.*{after}")
    run(app, "UPDATE terminal_payment SET state = 'returned'")
    for after in ("open", "suspense", "kept"):
        _tries(app, f"UPDATE terminal_payment SET state = '{after}'", said=f"returned.*{after}")


def test_matched_to_nothing_and_open_with_a_session(app: Conn) -> None:
    add(app)
    ended(app, "ses_1")
    _tries(app, "UPDATE terminal_payment SET state = 'matched'",
           "UPDATE terminal_payment SET session_id = 'ses_1'", said="check",
           error=errors.CheckViolation)  # fmt: skip


def test_a_whole_card_number(app: Conn) -> None:
    with pytest.raises(errors.CheckViolation):
        add(app, last4="4242424242424242")


def test_what_was_decided_of_a_session_decided_anew(app: Conn) -> None:
    ended(app, "ses_1")
    hand.insert(app, "terminal_wait", session_id="ses_1", entity_id="north", currency="USD",
                total_minor=400, since=NOW)  # fmt: skip
    run(app, "UPDATE terminal_wait SET decided = 'waive', decided_by = 'page:Ann',"
             " decided_at = now()")  # fmt: skip
    _tries(app, "UPDATE terminal_wait SET decided = 'debt'", said="decided")
    _tries(app, "DELETE FROM terminal_wait", said="permission denied",
           error=errors.InsufficientPrivilege)  # fmt: skip


def test_decided_by_nobody(app: Conn) -> None:
    ended(app, "ses_1")
    with pytest.raises(errors.CheckViolation):
        hand.insert(app, "terminal_wait", session_id="ses_1", entity_id="north", currency="USD",
                    total_minor=400, since=NOW, decided="waive")  # fmt: skip


def test_the_wait_of_another_legal_entitys_session(app: Conn) -> None:
    ended(app, "ses_1", entity="rhine")
    with pytest.raises(errors.CheckViolation, match="another legal entity's"):
        hand.insert(app, "terminal_wait", session_id="ses_1", entity_id="north", currency="USD",
                    total_minor=400, since=NOW)  # fmt: skip
