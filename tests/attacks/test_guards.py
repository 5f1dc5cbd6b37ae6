"""Rows that live: what of them may change, and by which ways, attacked as a bug would.

The application is refused by its grants, which name columns; the owner by triggers, so that a
grant given by mistake opens nothing. A test is named after its attack; it passes when that fails.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from psycopg import errors

import handmade as hand
from handmade import Conn
from wattledger.contract import Route

REFUSED = errors.RestrictViolation


def _rewrite(app: Conn, owner: Conn, table: str, change: str, said: str) -> None:
    """The application may not at all; the owner is refused by a trigger that says why."""
    command = f"UPDATE {table} SET {change}".encode()
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute(command)
    with pytest.raises(REFUSED, match=said):
        owner.execute(command)


# Sessions.


@pytest.mark.parametrize(
    "change",
    ["contract = '{}'", "entity_id = 'south'", "route = 'free'", "token = 'T2'", "id = 'ses_2'",
     "started_at = now()", "account_id = 'x'", "site_id = 'x'",
     "charge_point_id = 'x'", "source = 'ocpp1.6'", "transaction_id = 7"],
)  # fmt: skip
def test_a_session_promised_anew(app: Conn, owner: Conn, change: str) -> None:
    hand.add_session(app, state="open", stop_wh=None)
    _rewrite(app, owner, "session", change, "never changes")


@pytest.mark.parametrize(
    ("change", "said"),
    [("meter_start_wh = 2000", "set once"), ("connector_id = 7", "never changes")],
)
def test_what_a_session_begins_with_told_anew(app: Conn, change: str, said: str) -> None:
    """The application may set them while they are not known (2.x), and never again."""
    hand.add_session(app, state="open", stop_wh=None)
    with pytest.raises(REFUSED, match=said):
        app.execute(f"UPDATE session SET {change}".encode())


STOPPED = "stopped_at = now(), ended_at = now(), meter_stop_wh = 11000"


@pytest.mark.parametrize(
    ("state", "to"),
    [("open", "billed"), ("open", "free"), ("ended", "open"), ("held", "billed"), ("held", "free"),
     ("billed", "ended"), ("billed", "open"), ("billed", "held"), ("billed", "free"),
     ("free", "ended"), ("free", "billed")],
)  # fmt: skip
def test_a_session_moved_where_there_is_no_way(app: Conn, state: str, to: str) -> None:
    hand.add_session(app, state=state)
    reason = "'x'" if to == "held" else "NULL"
    with pytest.raises(REFUSED, match=r"final|never goes"):
        app.execute(f"UPDATE session SET state = '{to}', held_reason = {reason}".encode())


def test_a_late_stop_takes_a_held_session_up_again(app: Conn) -> None:
    hand.add_session(app, state="held", stop_wh=None)
    app.execute(f"UPDATE session SET state = 'ended', held_reason = NULL, {STOPPED}".encode())
    app.execute("UPDATE session SET ended_at = now(), bill_due_at = now()")
    app.execute("UPDATE session SET state = 'billed'")
    assert app.execute("SELECT state, meter_stop_wh FROM session").fetchall() == [("billed", 11000)]


@pytest.mark.parametrize("change", ["meter_stop_wh = 12000", "stopped_at = now()"])
def test_a_stop_told_anew(app: Conn, change: str) -> None:
    hand.add_session(app, state="ended")
    with pytest.raises(REFUSED, match="set once"):
        app.execute(f"UPDATE session SET {change}".encode())


@pytest.mark.parametrize("state", ["billed", "free"])
def test_a_final_session_ended_at_another_time(app: Conn, state: str) -> None:
    hand.add_session(app, state=state)
    with pytest.raises(REFUSED, match="final"):
        app.execute("UPDATE session SET ended_at = ended_at + interval '1 hour'")
    app.execute("UPDATE session SET state = state")


# Payments and parts.


@pytest.mark.parametrize(
    "change",
    ["hold_minor = 9999", "entity_id = 'south'", "processor_id = 'x'", "currency = 'EUR'",
     "id = 'pay_2'", "leg = 'second'", "number = 2", "created_at = now()"],
)  # fmt: skip
def test_a_payment_made_another(app: Conn, owner: Conn, change: str) -> None:
    hand.add_session(app, route=Route.CARD)
    hand.add_session(app, "ses_2", route=Route.CARD)
    hand.add_payment(app)
    _rewrite(app, owner, "payment", change, "never changes")


@pytest.mark.parametrize("column", ["intent_id", "external_charge_id"])
def test_a_payment_pointed_at_other_money(app: Conn, column: str) -> None:
    hand.add_session(app, route=Route.CARD)
    hand.add_payment(app, state="holding")
    app.execute(f"UPDATE payment SET state = 'held', {column} = 'a'".encode())
    for value in ("'b'", "NULL"):
        with pytest.raises(REFUSED, match="set once"):
            app.execute(f"UPDATE payment SET {column} = {value}".encode())


@pytest.mark.parametrize(
    ("state", "to"),
    [("holding", "capturing"), ("holding", "captured"), ("held", "captured"), ("held", "waiting"),
     ("declined", "held"), ("captured", "capturing"), ("captured", "released"),
     ("captured", "releasing"), ("released", "held"), ("released", "captured"),
     ("releasing", "held"), ("capturing", "held"), ("waiting", "captured"),
     ("charging", "held"), ("charging", "released"), ("declined", "charging"),
     ("parked", "captured"), ("parked", "held"), ("captured", "parked"),
     ("releasing", "parked")],
)  # fmt: skip
def test_a_payment_moved_where_there_is_no_way(app: Conn, state: str, to: str) -> None:
    hand.add_session(app, route=Route.CARD)
    hand.add_payment(app, state=state, parked={}, parked_why="a test")
    with pytest.raises(REFUSED, match=f"from {state} to {to}"):
        app.execute(f"UPDATE payment SET state = '{to}'".encode())


@pytest.mark.parametrize("state", ["held", "capturing", "captured", "released"])
def test_money_captured_without_a_capture(app: Conn, state: str) -> None:
    hand.add_session(app, route=Route.CARD)
    hand.add_payment(app, state=state)
    with pytest.raises(REFUSED, match="by its capture"):
        app.execute("UPDATE payment SET captured_minor = 440")


def _pending(conn: Conn, payment: str = "capturing") -> None:
    hand.add_session(conn, route=Route.CARD)
    hand.add_charge(conn)
    hand.add_payment(conn, state=payment, captured=440 if payment == "captured" else 0)
    hand.add_part(conn, state="pending", payment_id="pay_1")


@pytest.mark.parametrize("state", ["holding", "held", "capturing", "releasing", "released"])
def test_a_part_captured_without_a_capture(app: Conn, state: str) -> None:
    _pending(app, state)
    with pytest.raises(errors.CheckViolation, match="captured, its payment is not"):
        app.execute("UPDATE collection SET state = 'captured'")


def test_a_part_captured_by_no_payment(app: Conn) -> None:
    hand.add_session(app)
    hand.add_charge(app)
    with pytest.raises(errors.CheckViolation, match="captured, its payment is not"):
        hand.add_part(app, state="captured")


@pytest.mark.parametrize("to", ["invoiced", "wallet", "roaming"])
def test_a_pending_part_paid_some_other_way(app: Conn, to: str) -> None:
    _pending(app)
    with pytest.raises(REFUSED, match="never goes"):
        app.execute(f"UPDATE collection SET state = '{to}'".encode())


@pytest.mark.parametrize("state", ["captured", "waived"])
def test_a_part_that_is_settled_moved_on(app: Conn, state: str) -> None:
    _pending(app, "captured")
    app.execute(f"UPDATE collection SET state = '{state}'".encode())
    for other in {"pending", "captured", "waived", "debt"} - {state}:
        with pytest.raises(REFUSED, match=f"is {state}, and that is final"):
            app.execute(f"UPDATE collection SET state = '{other}'".encode())
    for command in ("DELETE FROM collection", "UPDATE collection SET amount_minor = 1"):
        with pytest.raises(REFUSED, match="final"):
            app.execute(command.encode())


@pytest.mark.parametrize("change", ["entity_id = 'south'", "part = 2", "charge_id = 'x'"])
def test_a_part_made_another(app: Conn, owner: Conn, change: str) -> None:
    _pending(app)
    _rewrite(app, owner, "collection", change, "never changes")


# What the processor said.


def _item(conn: Conn, **more: Any) -> None:
    hand.insert(
        conn, "processor_item", id="txn_1", processor_id="stripe", entity_id="north",
        category="charge", currency="USD", amount_minor=440, fee_minor=43, net_minor=397,
        created_at=hand.NOW, available_at=hand.NOW, read_at=hand.NOW, **more,
    )  # fmt: skip


def test_an_item_moved_to_another_payout(app: Conn) -> None:
    _item(app)
    app.execute("UPDATE processor_item SET payout_id = 'po_1'")
    for value in ("'po_2'", "NULL"):
        with pytest.raises(REFUSED, match="set once"):
            app.execute(f"UPDATE processor_item SET payout_id = {value}".encode())


def test_an_item_rewritten_by_the_owner(app: Conn, owner: Conn) -> None:
    _item(app)
    for change in ("amount_minor = 441, net_minor = 398", "payment_id = NULL, category = 'fee'"):
        _rewrite(app, owner, "processor_item", change, "never changes")


@pytest.mark.parametrize(
    "change", ["amount_minor = 1", "currency = 'EUR'", "entity_id = 'south'", "id = 'po_2'"]
)
def test_a_payout_rewritten(app: Conn, owner: Conn, change: str) -> None:
    hand.insert(
        app, "payout", id="po_1", processor_id="stripe", entity_id="north", currency="USD",
        amount_minor=397, status="in_transit", arrival_date=hand.TODAY, created_at=hand.NOW,
    )  # fmt: skip
    _rewrite(app, owner, "payout", change, "never changes")
    app.execute("UPDATE payout SET status = 'paid', items_read = true")


# Facts as they arrived.


@pytest.mark.parametrize(
    "change",
    ["body = 'x'", "digest = 'x'", "source = 'x'", "external_id = 'x'", "received_at = now()"],
)
def test_an_inbox_fact_rewritten(app: Conn, owner: Conn, change: str) -> None:
    _told(app)
    _rewrite(app, owner, "inbox", change, "never changes")


def test_an_inbox_fact_handled_again(app: Conn) -> None:
    _told(app)
    app.execute("UPDATE inbox SET handled_at = now(), answer = '{}'")
    for value in ("NULL", "handled_at + interval '1 s'"):
        with pytest.raises(REFUSED, match="set once"):
            app.execute(f"UPDATE inbox SET handled_at = {value}".encode())


def _told(conn: Conn) -> None:
    hand.insert(
        conn, "inbox", source="api:cpms", external_id="S-1", received_at=hand.NOW, body=b"{}",
        digest="d",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("table", "change"),
    [("anomaly", "detail = '{}'"), ("anomaly", "resolved_at = now()"), ("break", "code = 'x'"),
     ("break", "first_seen_at = now()"), ("reconciliation", "cutoff_at = now()"),
     ("charge_point_state", "charge_point_id = 'x'")],
)  # fmt: skip
def test_a_column_that_the_code_never_updates(app: Conn, table: str, change: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute(f"UPDATE {table} SET {change}".encode())


# Effects.


def _effect(conn: Conn, **more: Any) -> None:
    hand.insert(
        conn, "effect", kind="stripe.capture", subject="pay_1", lane="pay_1", lane_seq=1, key="k1",
        request={}, due_at=hand.NOW, caused_at=hand.NOW, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "to"),
    [("unknown", "pending"), ("pending", "unknown"), ("pending", "done"), ("pending", "rejected")],
)
def test_an_effect_moved_where_there_is_no_way(app: Conn, state: str, to: str) -> None:
    """Above all: what may have been sent never looks as if it had not."""
    _effect(app, state=state)
    settled = "now()" if to in ("done", "rejected") else "NULL"
    with pytest.raises(REFUSED, match=f"from {state} to {to}"):
        app.execute(f"UPDATE effect SET state = '{to}', settled_at = {settled}".encode())


@pytest.mark.parametrize("value", ["NULL", "now()"])
def test_a_key_said_to_be_fresh(app: Conn, value: str) -> None:
    _effect(app, state="unknown", first_sent_at=hand.NOW)
    with pytest.raises(REFUSED, match="set once"):
        app.execute(f"UPDATE effect SET first_sent_at = {value}".encode())


# Frames.


def test_all_frames_dropped(app: Conn) -> None:
    newest = date(2026, 11, 2)
    for days in (0, 30, 31, 90):
        app.execute("SELECT ensure_frame_day(%s)", (newest - timedelta(days=days),))
    assert _dropped(app, date(2100, 1, 1)) == 2, "those of 31 and of 90 days before"
    assert _dropped(app, date(2100, 1, 1)) == 0


def test_frames_dropped_by_their_retention(app: Conn) -> None:
    newest = date(2026, 11, 2)
    for days in (0, 60, 91):
        app.execute("SELECT ensure_frame_day(%s)", (newest - timedelta(days=days),))
    assert _dropped(app, newest - timedelta(days=90)) == 1


def _dropped(conn: Conn, before: date) -> int:
    row = conn.execute("SELECT drop_frames_before(%s)", (before,)).fetchone()
    assert row is not None
    return int(row[0])
