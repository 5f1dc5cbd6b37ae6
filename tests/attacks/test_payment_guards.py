"""What the database refuses of payments, debts, blocks and wallets, whoever asks.

A session of 4.40, by card, that nobody has paid.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors

import handmade as hand
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.roles import Role

Conn = psycopg.Connection[Any]
REFUSED = errors.RestrictViolation
_PAYMENT = (
    "INSERT INTO payment (id, entity_id, processor_id, currency, hold_minor, state, captured_minor)"
    " VALUES ('pay_1', 'north', 'stripe', 'USD', 2500, %(state)s, %(captured)s)"
)


def _owed(conn: Conn, state: str = "debt") -> None:
    hand.add_session(conn, route=Route.CARD)
    hand.add_charge(conn)
    hand.add_part(conn, state=state)


def _debt(conn: Conn, **changes: Any) -> None:
    values: dict[str, Any] = {
        "charge_id": "chg_1", "part": 1, "session_id": "ses_1", "entity_id": "north",
        "token": "T1", "currency": "USD", "amount_minor": 440, "why": "declined",
        "state": "open", "opened_at": hand.NOW,
    }  # fmt: skip
    hand.insert(conn, "debt", **(values | changes))


# Payments.


def test_a_payment_that_gets_another_session(app: Conn) -> None:
    hand.add_session(app, route=Route.CARD)
    hand.add_session(app, "ses_2", route=Route.CARD, charge_point="CP-2")
    hand.insert(
        app, "payment", id="pay_1", entity_id="north", processor_id="stripe", currency="USD",
        hold_minor=2_500, state="held",
    )  # fmt: skip
    app.execute("UPDATE payment SET session_id = 'ses_1'")
    with pytest.raises(REFUSED, match="session_id is set once"):
        app.execute("UPDATE payment SET session_id = 'ses_2'")


def test_a_payment_of_one_entity_for_a_session_of_another(app: Conn) -> None:
    hand.add_session(app, route=Route.CARD)
    with pytest.raises(errors.CheckViolation, match="another's"):
        hand.add_payment(app, entity="south")


@pytest.mark.parametrize(
    ("column", "value"),
    [("leg", "third"), ("number", 0), ("method", "cash"), ("increments", 11),
     ("authorized_minor", -1), ("capturable_minor", -1), ("last4", "42424"),
     ("state", "paying")],
)  # fmt: skip
def test_a_payment_that_can_not_be(app: Conn, column: str, value: object) -> None:
    hand.add_session(app, route=Route.CARD)
    with pytest.raises(errors.CheckViolation):
        hand.add_payment(app, **{column: value})


def test_two_payments_as_the_same_leg_of_a_session(app: Conn) -> None:
    hand.add_session(app, route=Route.CARD)
    hand.add_payment(app, "pay_1", state="declined")
    hand.add_payment(app, "pay_2", leg="second", state="charging")
    with pytest.raises(errors.UniqueViolation):
        hand.add_payment(app, "pay_3", leg="second", state="charging")
    hand.add_payment(app, "pay_3", leg="second", state="charging", number=2)


def test_more_captured_than_the_card_lets(app: Conn) -> None:
    """25.00 asked for, 28.75 can be captured."""
    hand.add_session(app, route=Route.CARD)
    hand.add_payment(app, state="capturing", authorized_minor=2_500, capturable_minor=2_875)
    with pytest.raises(errors.CheckViolation, match="payment_taken"):
        app.execute("UPDATE payment SET state = 'captured', captured_minor = 2876")
    app.execute("UPDATE payment SET state = 'captured', captured_minor = 2875")


@pytest.mark.parametrize(
    "state", ["held", "capturing", "captured", "releasing", "released", "declined"]
)
def test_a_payment_that_begins_late(app: Conn, state: str) -> None:
    with pytest.raises(errors.CheckViolation, match=f"does not begin as {state}"):
        app.execute(_PAYMENT, {"state": state, "captured": 0})
    with pytest.raises(errors.CheckViolation, match="does not begin"):
        app.execute(_PAYMENT, {"state": "charging", "captured": 1})


def test_what_a_payment_would_send_written_when_it_is_not_parked(app: Conn) -> None:
    app.execute(_PAYMENT, {"state": "holding", "captured": 0})
    with pytest.raises(REFUSED, match="written when it is parked"):
        app.execute("UPDATE payment SET parked = '{}'")
    app.execute("UPDATE payment SET state = 'parked', parked = '{}', parked_why = 'x'")
    for change in ('parked = \'{"kind": "stripe.charge"}\'', "state = 'holding', parked = NULL"):
        with pytest.raises(REFUSED, match="written when it is parked"):
            app.execute(f"UPDATE payment SET {change}".encode())
    app.execute("UPDATE payment SET state = 'holding'")


def test_what_is_authorized_changed_when_there_is_no_hold(app: Conn) -> None:
    app.execute(_PAYMENT, {"state": "waiting", "captured": 0})
    app.execute("UPDATE payment SET state = 'held', authorized_minor = 2500")
    app.execute("UPDATE payment SET authorized_minor = 3000")
    app.execute("UPDATE payment SET state = 'capturing'")
    for minor in (2_999, 9_000):
        with pytest.raises(REFUSED, match="can not be authorized"):
            app.execute("UPDATE payment SET authorized_minor = %s", (minor,))
    app.execute("UPDATE payment SET state = 'captured', captured_minor = 3000")
    with pytest.raises(REFUSED, match="can not be authorized"):
        app.execute("UPDATE payment SET authorized_minor = 2999")


@pytest.mark.parametrize("state", ["paid", "written_off", "credited", "collecting"])
def test_a_debt_that_begins_late(app: Conn, state: str) -> None:
    _owed(app)
    hand.add_payment(app, leg="debt", state="charging")
    with pytest.raises(errors.CheckViolation, match=f"does not begin as {state}"):
        _debt(app, state=state, payment_id="pay_1",
              closed_at=None if state == "collecting" else hand.NOW)  # fmt: skip


def test_a_payment_parked_for_no_reason(app: Conn) -> None:
    hand.add_session(app, route=Route.CARD)
    hand.add_payment(app)
    for columns in ("", ", parked_why = 'x'", ", parked = '{}'"):
        with pytest.raises(errors.CheckViolation, match="payment_parked"):
            app.execute(f"UPDATE payment SET state = 'parked'{columns}".encode())


# Debts, and the parts that they are of.


@pytest.mark.parametrize("state", ["pending", "external", "invoiced", "roaming"])
def test_a_part_that_is_owed_moved_where_there_is_no_way(app: Conn, state: str) -> None:
    _owed(app)
    with pytest.raises(REFUSED):
        app.execute(f"UPDATE collection SET state = '{state}'".encode())


def test_a_part_that_is_owed_made_smaller(app: Conn) -> None:
    _owed(app)
    with pytest.raises(REFUSED, match="final"):
        app.execute("UPDATE collection SET state = 'waived', amount_minor = 1")
    with pytest.raises(REFUSED, match="final"):
        app.execute("UPDATE collection SET state = 'wallet', amount_minor = 1")
    with pytest.raises(REFUSED, match="final"):
        app.execute("DELETE FROM collection")


@pytest.mark.parametrize("state", ["wallet", "external"])
def test_a_part_whose_money_went_back_made_to_say_more(app: Conn, state: str) -> None:
    """It may say less, where others say who owes the rest; and nothing else."""
    _owed(app, state)
    for values in ("amount_minor = 441", "amount_minor = -1", "state = 'debt'",
                   "state = 'waived', amount_minor = 1"):  # fmt: skip
        with pytest.raises(REFUSED):
            app.execute(f"UPDATE collection SET {values}".encode())
    with pytest.raises(errors.CheckViolation, match="sum to 140, the charge is 440"):
        app.execute("UPDATE collection SET amount_minor = 140")
    with pytest.raises(errors.CheckViolation, match="begins with nothing"):
        hand.add_part(app, number=2, amount=0, state=state)
    with app.transaction():
        app.execute("UPDATE collection SET amount_minor = 0")
        hand.add_part(app, number=2, amount=440, state="waived")
    with pytest.raises(REFUSED, match="final"):
        app.execute("UPDATE collection SET amount_minor = 440 WHERE part = 1")


def test_a_part_of_a_charge_that_is_credited_made_to_say_less(app: Conn) -> None:
    """Its credit would not know of it."""
    _owed(app, "wallet")
    with app.transaction():
        hand.add_credit(app)
    less = (
        "WITH less AS (UPDATE collection SET amount_minor = 140 WHERE charge_id = 'chg_1')"
        " INSERT INTO collection (charge_id, part, entity_id, state, amount_minor, changed_at)"
        " VALUES ('chg_1', 2, 'north', 'waived', 300, now())"
    )
    with pytest.raises(errors.CheckViolation, match="does not take back"):
        app.execute(less)


def test_a_part_that_is_paid_by_another_payment(app: Conn) -> None:
    _owed(app)
    for key, number in (("pay_1", 1), ("pay_2", 2)):
        hand.add_payment(
            app, key, leg="debt", number=number, hold=440, captured=440, state="captured"
        )
    app.execute("UPDATE collection SET state = 'captured', payment_id = 'pay_1'")
    for value in ("'pay_2'", "NULL"):
        with pytest.raises(REFUSED):
            app.execute(f"UPDATE collection SET payment_id = {value}".encode())


@pytest.mark.parametrize(
    "change",
    ["charge_id = 'x'", "part = 2", "session_id = 'ses_2'", "entity_id = 'south'",
     "account_id = 'ann'", "token = 'T2'", "currency = 'EUR'", "amount_minor = 1",
     "why = 'mercy'", "opened_at = now()"],
)  # fmt: skip
def test_a_debt_made_another(app: Conn, owner: Conn, change: str) -> None:
    _owed(app)
    _debt(app)
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute(f"UPDATE debt SET {change}".encode())
    with pytest.raises(REFUSED, match="never changes"):
        owner.execute(f"UPDATE debt SET {change}".encode())


@pytest.mark.parametrize(
    ("state", "part", "to"),
    [("paid", "captured", "open"), ("written_off", "waived", "open"),
     ("credited", "debt", "open"), ("collecting", "debt", "written_off"),
     ("collecting", "debt", "credited"), ("paid", "captured", "written_off")],
)  # fmt: skip
def test_a_debt_moved_where_there_is_no_way(app: Conn, state: str, part: str, to: str) -> None:
    hand.add_session(app, route=Route.CARD)
    hand.add_charge(app)
    paid = state == "paid"
    hand.add_payment(
        app, leg="debt", hold=440, state="captured" if paid else "charging",
        captured=440 if paid else 0,
    )  # fmt: skip
    hand.add_part(app, state=part, payment_id="pay_1" if paid else None)
    closed = None if state == "collecting" else hand.NOW
    with app.transaction():  # the part says so before its debt does
        _debt(app, payment_id="pay_1")
        app.execute("UPDATE debt SET state = %s, closed_at = %s", (state, closed))
    with pytest.raises(REFUSED, match=f"from {state} to {to}"):
        app.execute(f"UPDATE debt SET state = '{to}'".encode())


@pytest.mark.parametrize(
    "changes",
    [{"amount_minor": 0}, {"amount_minor": -440}, {"state": "paid"}, {"closed_at": hand.NOW},
     {"state": "collecting"}, {"state": "forgiven"}],
)  # fmt: skip
def test_a_debt_that_can_not_be(app: Conn, changes: dict[str, Any]) -> None:
    _owed(app)
    with pytest.raises(errors.CheckViolation):
        _debt(app, **changes)


def test_a_debt_of_no_part(app: Conn) -> None:
    _owed(app)
    with pytest.raises(errors.ForeignKeyViolation):
        _debt(app, part=2)


def test_a_debt_closed_while_its_part_is_owed(app: Conn) -> None:
    _owed(app)
    _debt(app)
    for state in ("paid", "written_off"):
        with pytest.raises(errors.CheckViolation, match="the part is debt"):
            app.execute(f"UPDATE debt SET state = '{state}', closed_at = now()".encode())


def test_a_part_waived_while_its_debt_is_open(app: Conn) -> None:
    _owed(app)
    _debt(app)
    with pytest.raises(errors.CheckViolation, match="is open, the part is waived"):
        app.execute("UPDATE collection SET state = 'waived'")
    with app.transaction():
        app.execute("UPDATE collection SET state = 'waived'")
        app.execute("UPDATE debt SET state = 'written_off', closed_at = now()")


# Blocks, wallets, acts.


def _block(conn: Conn, **changes: Any) -> None:
    values: dict[str, Any] = {"blocked": True, "why": "in_debt", "cause": "x", "at": hand.NOW}
    hand.insert(conn, "token_block", **(values | changes))


@pytest.mark.parametrize(
    "whose",
    [{}, {"account_id": "ann", "token": "T1"}, {"account_id": "ann", "driver": "fp_1"},
     {"token": "T1", "driver": "fp_1"}],
)  # fmt: skip
def test_a_block_of_nobody_or_of_two(app: Conn, whose: dict[str, Any]) -> None:
    with pytest.raises(errors.CheckViolation):
        _block(app, **whose)


def _move(conn: Conn, kind: str, amount: int, cause: str = "c1") -> None:
    hand.insert(
        conn, "wallet_move", entity_id="north", account_id="ann", currency="USD", kind=kind,
        amount_minor=amount, cause_id=cause, at=hand.NOW,
    )  # fmt: skip


def test_a_wallet_drawn_below_zero(app: Conn) -> None:
    _move(app, "topup", 500)
    with pytest.raises(errors.CheckViolation, match="has 500, not 501"):
        _move(app, "draw", -501)
    _move(app, "draw", -500)


def test_a_wallet_drawn_by_two_at_once(app: Conn, database: Database) -> None:
    """5.00 in it, two draws of 3.00: the second waits for the first, and sees what it left."""
    _move(app, "topup", 500)
    with (
        psycopg.connect(database.conninfo(Role.APP)) as one,
        psycopg.connect(database.conninfo(Role.APP)) as two,
    ):
        _move(one, "draw", -300, "one")
        two.execute("SET lock_timeout = '50ms'")
        with pytest.raises(errors.LockNotAvailable):
            _move(two, "draw", -300, "two")
        two.rollback()
        one.commit()
        with pytest.raises(errors.CheckViolation, match="has 200, not 300"):
            _move(two, "draw", -300, "two")


@pytest.mark.parametrize(
    ("kind", "amount"),
    [("topup", -1), ("draw", 1), ("back", -1), ("paid_out", 1), ("topup", 0), ("gift", 1)],
)
def test_a_move_of_a_wallet_that_can_not_be(app: Conn, kind: str, amount: int) -> None:
    _move(app, "topup", 500, "before")
    with pytest.raises(errors.CheckViolation):
        _move(app, kind, amount)


def test_a_wallet_moved_twice_by_one_cause(app: Conn) -> None:
    _move(app, "topup", 500)
    with pytest.raises(errors.UniqueViolation):
        _move(app, "topup", 500)


@pytest.mark.parametrize("table", ["token_block", "wallet_move", "money_act"])
def test_what_was_done_is_undone(app: Conn, owner: Conn, table: str) -> None:
    _block(app, account_id="ann")
    _move(app, "topup", 500)
    hand.insert(app, "money_act", at=hand.NOW, actor="cli:ann", act="debt.try", subject="x")
    for command in (f"UPDATE {table} SET at = now()", f"DELETE FROM {table}"):
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute(command.encode())
        with pytest.raises(REFUSED, match="only ever added"):
            owner.execute(command.encode())


def test_an_act_by_nobody(app: Conn) -> None:
    with pytest.raises(errors.CheckViolation):
        hand.insert(app, "money_act", at=hand.NOW, actor=" ", act="debt.try", subject="x")
