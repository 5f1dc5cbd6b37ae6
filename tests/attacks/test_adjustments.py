"""Adjustments attacked as a bug would: a session charged twice, a bill edited after all, money
taken back that never came. A test is named after its attack; it passes when that fails.
"""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import errors

import handmade as hand
from handmade import Conn
from wattledger.contract import Route

REFUSED = errors.RestrictViolation


def _tries(conn: Conn, *attacks: str, said: str, error: type[Exception] = REFUSED) -> None:
    for attack in attacks:
        with pytest.raises(error, match=said), conn.transaction():
            conn.execute(attack.encode())


# Documents.


def test_a_credit_that_is_not_its_charge_negated(app: Conn) -> None:
    hand.billed(app, 1)
    hand.billed(app, 2)
    changes: list[dict[str, Any]] = [
        {"net_minor": -399, "total_minor": -439}, {"net_minor": -401, "tax_minor": -39},
        {"net_minor": 400, "tax_minor": 40, "total_minor": 440}, {"energy_wh": -9_999},
        {"reverses": "chg_2"},
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(errors.CheckViolation, match="is not what charge chg_1 was, negated"):
            hand.add_credit(app, **change)
    hand.add_session(app, "ses_3")
    changes = [{"entity_id": "south"}, {"currency": "EUR"}, {"session_id": "ses_3"}]
    for change in changes:
        with pytest.raises(errors.CheckViolation, match="follows no document of its session"):
            hand.add_credit(app, **change)
    hand.add_credit(app)


def test_a_session_charged_twice_by_another_name(app: Conn) -> None:
    hand.billed(app)
    with pytest.raises(errors.CheckViolation, match="charge_turns"):
        hand.add_charge(app, "chg_3", revision=2)
    with pytest.raises(errors.CheckViolation, match="follows no document"):
        hand.add_charge(app, "chg_3", revision=3)
    for revision in (0, -1):
        with pytest.raises(errors.CheckViolation):
            hand.add_charge(app, "chg_3", revision=revision)
    hand.add_credit(app)
    with pytest.raises(errors.CheckViolation, match="follows no document"):
        hand.add_charge(app, "chg_3", revision=3, currency="EUR")
    hand.add_charge(app, "chg_3", revision=3)


def test_a_charge_credited_twice_or_for_no_reason(app: Conn) -> None:
    hand.billed(app)
    for change in ({"reason": None}, {"reason": " "}, {"reverses": None}):
        with pytest.raises(errors.CheckViolation):
            hand.add_credit(app, **change)
    hand.add_credit(app)
    with pytest.raises(errors.UniqueViolation):
        hand.add_credit(app, "crd_x")
    with pytest.raises(errors.CheckViolation):
        hand.add_credit(app, "crd_x", revision=4)
    with pytest.raises(errors.CheckViolation, match="charge_turns"):
        hand.add_credit(app, "crd_x", of="crd_2")
    with pytest.raises(errors.CheckViolation, match="credit_says"):
        hand.add_charge(app, "chg_3", revision=3, reverses="crd_2")
    _tries(app, "UPDATE charge SET reverses = NULL, kind = 'charge'", "DELETE FROM charge",
           said="permission denied", error=errors.InsufficientPrivilege)  # fmt: skip


# Sessions.


@pytest.mark.parametrize("state", ["billed", "free", "adjusted"])
def test_a_final_session_changed_without_an_adjustment(app: Conn, state: str) -> None:
    hand.add_session(app, state=state)
    changes = ["state = 'adjusted'", "ended_at = now()", "explained_wh = 1", "stopped_at = now()",
               "meter_stop_wh = 9000", "stop_provisional = true"]  # fmt: skip
    attacks = [f"UPDATE session SET {change}" for change in changes[state == "adjusted" :]]
    _tries(app, *attacks, said="final but for an adjustment")
    app.execute("UPDATE session SET adjust_due_at = now()")
    # Asked for, and not answered by the same change.
    _tries(app, *attacks, said="final but for an adjustment")
    answer = "UPDATE session SET adjust_due_at = NULL"
    _tries(app, f"{answer}, bill_due_at = now()", f"{answer}, stop_reason = 'x'",
           f"{answer}, connector_id = 7", said="final|never changes")  # fmt: skip
    # A stop that was told is told.
    _tries(app, f"{answer}, meter_stop_wh = 9000", f"{answer}, stopped_at = now()",
           said="set once")  # fmt: skip
    for other in {"open", "ended", "held", "billed", "free"} - {state}:
        reason = ", held_reason = 'x'" if other == "held" else ""
        _tries(app, f"{answer}, state = '{other}'{reason}", said="never goes|final")
    app.execute(f"{answer}, state = 'adjusted', ended_at = now(), explained_wh = 5".encode())
    assert app.execute("SELECT state FROM session").fetchall() == [("adjusted",)]


def test_a_stop_that_nobody_told_is_replaced_by_the_adjustment_alone(app: Conn) -> None:
    hand.add_session(app, stop_provisional=True)
    change = "stopped_at = now(), meter_stop_wh = 12000, stop_provisional = false"
    _tries(app, f"UPDATE session SET {change}", said="final")
    app.execute("UPDATE session SET adjust_due_at = now()")
    answer = "UPDATE session SET adjust_due_at = NULL, state = 'adjusted'"
    app.execute(f"{answer}, {change}".encode())
    assert app.execute("SELECT meter_stop_wh FROM session").fetchall() == [(12_000,)]


# Money.


def _captured(conn: Conn) -> None:
    """4.40 on a card, captured."""
    hand.add_session(conn, route=Route.CARD)
    hand.add_payment(conn, captured=440, state="captured")
    hand.add_charge(conn)
    hand.add_part(conn, state="captured", payment_id="pay_1")


Parts = list[tuple[str, int, str | None]]


def _collect(conn: Conn, charge: str, parts: Parts) -> None:
    for number, (state, amount, payment) in enumerate(parts, start=1):
        hand.add_part(conn, charge, number, amount=amount, state=state, payment_id=payment)


def _credited(conn: Conn, parts: Parts) -> None:
    """A credit of chg_1 with these parts, in one transaction."""
    with conn.transaction():
        hand.add_credit(conn, parts=False)
        _collect(conn, "crd_2", parts)


def _charged_anew(conn: Conn, parts: Parts) -> None:
    """A charge of 5.00 after the credit, collected by these parts."""
    with conn.transaction():
        hand.add_charge(conn, "chg_3", net=455, tax=45, revision=3)
        _collect(conn, "chg_3", parts)


def test_a_credit_that_takes_back_otherwise_than_was_collected(app: Conn) -> None:
    _captured(app)
    attacks: list[tuple[Parts, str]]
    other = "does not take back what charge chg_1 is collected by"
    attacks = [
        ([], "sum to 0"),
        ([("refund_due", -439, "pay_1")], "sum to -439"),
        ([("captured", -440, "pay_1")], other),
        ([("waived", -440, None)], other),
        ([("refund_due", -400, "pay_1"), ("waived", -40, None)], other),
        ([("pending", -440, "pay_1")], other),
        ([("refund_due", -880, "pay_1"), ("waived", 440, None)], "another kind of document"),
    ]  # fmt: skip
    for parts, said in attacks:
        with pytest.raises(errors.CheckViolation, match=said):
            _credited(app, parts)
    with pytest.raises(errors.CheckViolation, match="collection_refund_of"):
        _credited(app, [("refund_due", -440, None)])


def test_a_credit_of_a_charge_whose_money_is_under_way(app: Conn) -> None:
    hand.add_session(app, route=Route.CARD)
    hand.add_payment(app, state="capturing")
    hand.add_charge(app)
    hand.add_part(app, state="pending", payment_id="pay_1")
    with pytest.raises(errors.CheckViolation, match="does not take back"):
        hand.add_credit(app)


def test_more_paid_back_or_out_of_it_than_was_captured(app: Conn) -> None:
    """4.40 are due back: a new charge of 5.00 is not paid by 5.00 of that, nor one below zero."""
    _captured(app)
    hand.add_credit(app)
    attacks: list[Parts] = [
        [("refund_due", 500, "pay_1")], [("refund_due", -60, "pay_1"), ("waived", 560, None)],
    ]  # fmt: skip
    for parts in attacks:
        with pytest.raises(errors.CheckViolation, match=r"makes due back|another kind of document"):
            _charged_anew(app, parts)
    _charged_anew(app, [("refund_due", 440, "pay_1"), ("waived", 60, None)])
    _tries(app, "UPDATE collection SET state = 'captured' WHERE state = 'refund_due'",
           "DELETE FROM collection WHERE charge_id = 'crd_2'", said="is final")  # fmt: skip
