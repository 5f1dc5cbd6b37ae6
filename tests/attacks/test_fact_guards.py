"""What is known of sessions and their meters, attacked as a bug would: see test_guards."""

from __future__ import annotations

import pytest
from psycopg import errors

import handmade as hand
from handmade import NOW, Conn

REFUSED = errors.RestrictViolation
STOP = "state = 'ended', stopped_at = now(), ended_at = now(), bill_due_at = now()"


def _set(conn: Conn, change: str) -> None:
    conn.execute(f"UPDATE session SET {change}".encode())


def test_a_presumed_stop_is_replaced_by_the_real_one_and_never_the_other_way(app: Conn) -> None:
    hand.add_session(app, state="open", stop_wh=None)
    _set(app, f"{STOP}, meter_stop_wh = 5000, stop_provisional = true")
    _set(app, "stopped_at = now(), meter_stop_wh = 6000")
    _set(app, "stopped_at = now(), meter_stop_wh = 7000, stop_provisional = false")
    for change, why in (
        ("meter_stop_wh = 8000", "set once"),
        ("stopped_at = stopped_at - interval '1 s'", "set once"),
        ("stop_provisional = true", "was told"),
        ("stop_provisional = true, meter_stop_wh = 8000", "set once|was told"),
    ):
        with pytest.raises(REFUSED, match=why):
            _set(app, change)


def test_a_session_that_is_final_has_no_stop_put_in_its_place(app: Conn) -> None:
    """But by the adjustment that was asked for."""
    hand.add_session(app, state="open", stop_wh=None)
    _set(app, f"{STOP}, meter_stop_wh = 5000, stop_provisional = true")
    _set(app, "state = 'billed'")
    for change in ("meter_stop_wh = 6000", "stop_provisional = false", "explained_wh = 9",
                   "adjust_due_at = now(), meter_stop_wh = 6000"):  # fmt: skip
        with pytest.raises(REFUSED, match="final"):
            _set(app, change)
    _set(app, "adjust_due_at = now()")
    _set(app, "adjust_due_at = NULL, state = 'adjusted', meter_stop_wh = 6000,"
              " stop_provisional = false")  # fmt: skip


def test_a_connector_is_told_once_and_a_first_register_too(app: Conn) -> None:
    hand.add_session(app, state="open", stop_wh=None)
    _set(app, "meter_start_wh = meter_start_wh")
    with pytest.raises(REFUSED, match="never changes"):
        _set(app, "connector_id = 2")
    for change in ("meter_start_wh = 2", "meter_start_wh = NULL"):
        with pytest.raises(REFUSED, match="set once"):
            _set(app, change)
    app.execute("INSERT INTO session (id, entity_id, site_id, charge_point_id, connector_id,"
                " source, transaction_ref, token, route, contract, state, started_at)"
                " SELECT 'ses_2', entity_id, site_id, charge_point_id, 0, 'ocpp2.1', 'tx', token,"
                " route, contract, 'open', started_at FROM session")  # fmt: skip
    app.execute("UPDATE session SET connector_id = 2, meter_start_wh = 5 WHERE id = 'ses_2'")
    for change in ("connector_id = 3", "connector_id = 0", "transaction_ref = 'ty'",
                   "clock_shift_us = 1"):  # fmt: skip
        with pytest.raises((REFUSED, errors.InsufficientPrivilege)):
            app.execute(f"UPDATE session SET {change} WHERE id = 'ses_2'".encode())


def test_no_fact_of_a_kind_or_an_origin_that_nobody_knows(app: Conn) -> None:
    hand.add_session(app)
    for values in ("'guess', 'message'", "'meter', 'hearsay'"):
        with pytest.raises(errors.CheckViolation):
            app.execute(
                "INSERT INTO session_fact (session_id, kind, origin, at, received_at, dedupe)"
                f" VALUES ('ses_1', {values}, now(), now(), 'x')".encode()
            )
    for change in ("source = 'carrier pigeon'", "check_why = 'boredom'"):
        with pytest.raises((errors.CheckViolation, errors.InsufficientPrivilege, REFUSED)):
            app.execute(f"UPDATE session SET {change}".encode())


def test_events_and_signed_values_are_written_once(app: Conn, owner: Conn) -> None:
    hand.add_session(app)
    event = {
        "charge_point_id": "CP-1", "transaction_ref": "tx", "event_type": "Started", "at": NOW,
        "received_at": NOW, "offline": False, "trigger_reason": "Authorized", "dedupe": "a",
    }  # fmt: skip
    signed = {
        "session_id": "ses_1", "context": "Transaction.End", "at": NOW, "received_at": NOW,
        "encoding": "OCMF", "verified": False, "reason": "no key", "dedupe": "a",
    }  # fmt: skip
    hand.insert(app, "transaction_event", seq_no=0, **event)
    hand.insert(app, "signed_value", data="OCMF|1", **signed)
    with pytest.raises(errors.UniqueViolation):
        hand.insert(app, "transaction_event", seq_no=1, **event)
    with pytest.raises(errors.UniqueViolation):
        hand.insert(app, "signed_value", data="OCMF|2", **signed)
    for table, change in (("transaction_event", "seq_no = 1"), ("signed_value", "verified = true")):
        for command in (
            f"UPDATE {table} SET {change}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                app.execute(command.encode())
            with pytest.raises(REFUSED):
                owner.execute(command.encode())
