"""What the database refuses of starts that are paid first, whoever asks."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import errors

import handmade as hand
from handmade import Conn
from wattledger.contract import Route

REFUSED = errors.RestrictViolation


def _payment(conn: Conn, key: str = "pay_1", entity: str = "north") -> None:
    hand.insert(
        conn, "payment", id=key, entity_id=entity, processor_id="stripe", currency="USD",
        hold_minor=2500, state="held",
    )  # fmt: skip


def _start(conn: Conn, key: str = "sta_1", **changes: Any) -> None:
    values: dict[str, Any] = {
        "id": key, "reference": key, "route": "app", "entity_id": "north", "site_id": "depot",
        "charge_point_id": "CP-1", "connector_id": 1, "token": f"WL{key.upper()}",
        "plan_id": "walk-up", "state": "paying", "asked_at": hand.NOW, "expires_at": hand.NOW,
    }  # fmt: skip
    hand.insert(conn, "start_request", **(values | changes))


@pytest.mark.parametrize(
    "change",
    ["id = 'x'", "reference = 'x'", "route = 'checkout'", "entity_id = 'x'", "site_id = 'x'",
     "charge_point_id = 'x'", "connector_id = 2", "token = 'X'", "account_id = 'x'",
     "plan_id = 'x'", "asked_at = now()", "least_hold_minor = 1", "consent = true",
     "asked_token = 'x'", "token_type = 'x'", "wait_s = 1", "keep_s = 1"],
)  # fmt: skip
def test_a_start_made_another(app: Conn, owner: Conn, change: str) -> None:
    _start(app)
    command = f"UPDATE start_request SET {change}".encode()
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute(command)
    with pytest.raises(REFUSED, match="never changes"):
        owner.execute(command)


def test_a_start_that_is_paid_by_another_hold(app: Conn) -> None:
    _payment(app)
    _payment(app, "pay_2")
    _start(app, payment_id="pay_1")
    with pytest.raises(REFUSED, match="payment_id"):
        app.execute(b"UPDATE start_request SET payment_id = 'pay_2'")


def test_a_hold_that_pays_for_two_starts_at_once(app: Conn) -> None:
    _payment(app)
    _start(app, payment_id="pay_1")
    with pytest.raises(errors.UniqueViolation):
        _start(app, "sta_2", payment_id="pay_1")
    app.execute(b"UPDATE start_request SET state = 'failed'")
    _start(app, "sta_2", payment_id="pay_1")


def test_a_start_paid_by_another_entity(app: Conn) -> None:
    _payment(app, entity="south")
    with pytest.raises(errors.CheckViolation, match="another's"):
        _start(app, payment_id="pay_1")
    _start(app)
    with pytest.raises(errors.CheckViolation, match="another's"):
        app.execute(b"UPDATE start_request SET payment_id = 'pay_1'")


def test_a_start_with_another_charge_points_session(app: Conn) -> None:
    hand.add_session(app, route=Route.APP, charge_point="CP-2")
    _start(app, state="starting")
    with pytest.raises(errors.CheckViolation, match="another charge point's"):
        app.execute(b"UPDATE start_request SET state = 'started', session_id = 'ses_1'")


def test_a_start_without_its_session_and_a_session_of_two_starts(app: Conn) -> None:
    hand.add_session(app, route=Route.APP)
    _start(app, state="starting")
    with pytest.raises(errors.CheckViolation):
        app.execute(b"UPDATE start_request SET state = 'started'")
    app.execute(b"UPDATE start_request SET state = 'started', session_id = 'ses_1'")
    with pytest.raises(errors.UniqueViolation):
        _start(app, "sta_2", state="started", session_id="ses_1")


@pytest.mark.parametrize(
    ("state", "to"),
    [("declined", "starting"), ("declined", "started"), ("failed", "starting"),
     ("expired", "starting"), ("starting", "paying"), ("starting", "declined")],
)  # fmt: skip
def test_a_start_moved_where_there_is_no_way(app: Conn, state: str, to: str) -> None:
    _start(app, state=state)
    with pytest.raises(REFUSED, match=f"from {state} to {to}"):
        app.execute(f"UPDATE start_request SET state = '{to}'".encode())


def test_a_token_that_old_charge_points_cannot_say(app: Conn) -> None:
    for token in ("WLABCDEFGHIJKLMNOPQRS", "wlabc"):
        with pytest.raises(errors.CheckViolation):
            _start(app, token=token)


def test_a_token_given_out_twice(app: Conn) -> None:
    _start(app, token="WLA")
    with pytest.raises(errors.UniqueViolation):
        _start(app, "sta_2", token="WLA")


def test_a_start_forgotten(app: Conn) -> None:
    _start(app)
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute(b"DELETE FROM start_request")
