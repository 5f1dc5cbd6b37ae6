"""What somebody decided stays, and nothing is decided but by an act: attacked as a bug would."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import errors

import handmade as hand
from handmade import Conn

REFUSED = errors.RestrictViolation


def _anomaly(conn: Conn, key: str = "a1", **more: Any) -> int:
    hand.insert(
        conn, "anomaly", at=hand.NOW, code="register.fell", subject="ses_1", detail={}, dedupe=key,
        **more,
    )  # fmt: skip
    row = conn.execute("SELECT max(id) FROM anomaly").fetchone()
    assert row is not None
    return int(row[0])


def _act(conn: Conn, number: int, **changes: Any) -> None:
    usual: dict[str, Any] = {"at": hand.NOW, "actor": "page:Ann", "act": "accept", "reason": "seen"}
    hand.insert(conn, "anomaly_act", anomaly_id=number, **usual | changes)


def test_an_act_rewritten_or_taken_back(app: Conn, owner: Conn) -> None:
    _act(app, _anomaly(app))
    for command in ("UPDATE anomaly_act SET reason = 'x'", "DELETE FROM anomaly_act"):
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute(command.encode())
        with pytest.raises(REFUSED, match="only ever added"):
            owner.execute(command.encode())
    with pytest.raises(REFUSED):
        owner.execute("TRUNCATE anomaly_act")


def test_an_anomaly_decided_twice_or_by_nobody_or_for_nothing(app: Conn) -> None:
    number = _anomaly(app)
    for changes in (
        {"reason": " "}, {"actor": ""}, {"act": "ignore"}, {"act": "correct"}, {"act": "discard"},
    ):  # fmt: skip
        with pytest.raises(errors.CheckViolation):
            _act(app, number, **changes)
    with pytest.raises(errors.ForeignKeyViolation):
        _act(app, number + 1)
    _act(app, number)
    with pytest.raises(errors.UniqueViolation):
        _act(app, number, reason="again")
    found = app.execute("SELECT resolved_at, resolution FROM anomaly").fetchall()
    assert found == [(hand.NOW, "accept: seen")]


def test_an_anomaly_resolved_without_an_act_or_made_another(app: Conn, owner: Conn) -> None:
    _anomaly(app)
    with pytest.raises(REFUSED, match="by an act of somebody"):
        _anomaly(app, "a2", resolved_at=hand.NOW)
    for change, said in (
        ("resolved_at = now()", "by an act of somebody"),
        ("detail = '{\"x\": 1}'", "never changes"),
        ("subject = 'ses_2'", "never changes"),
    ):
        command = f"UPDATE anomaly SET {change}".encode()
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute(command)
        with pytest.raises(REFUSED, match=said):
            owner.execute(command)
    with pytest.raises(REFUSED):
        owner.execute("DELETE FROM anomaly")


def test_an_anomaly_opened_again(app: Conn, owner: Conn) -> None:
    _act(app, _anomaly(app))
    with pytest.raises(REFUSED, match="set once"):
        owner.execute("UPDATE anomaly SET resolved_at = NULL, resolution = NULL")


def test_a_session_discarded_by_nobody_or_taken_up_again(app: Conn, owner: Conn) -> None:
    hand.add_session(app, state="ended")
    discard = "UPDATE session SET state = 'free', discarded = 'given_away'"
    with pytest.raises(REFUSED, match="by an act of somebody"):
        app.execute(discard)
    _act(app, _anomaly(app), act="discard", session_id="ses_1")
    with pytest.raises(errors.CheckViolation):
        app.execute("UPDATE session SET discarded = 'given_away'")
    with pytest.raises(errors.CheckViolation):
        app.execute("UPDATE session SET state = 'free', discarded = 'stolen'")
    app.execute(discard)
    app.execute("UPDATE session SET adjust_due_at = now()")
    for change in ("state = 'adjusted'", "discarded = NULL", "discarded = 'never_delivered'"):
        with pytest.raises((REFUSED, errors.CheckViolation)):
            owner.execute(f"UPDATE session SET {change}, adjust_due_at = NULL".encode())
