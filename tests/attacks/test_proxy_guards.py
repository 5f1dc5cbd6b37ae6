"""What waits for a CPMS, and the names of transactions, attacked as a bug would."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from wattledger.db.connect import Database
from wattledger.db.roles import Role

CALL = (
    "INSERT INTO proxy_call (charge_point_id, queued_at, action, transaction_ref, raw, dedupe)"
    " VALUES ('Y-1', now(), 'StopTransaction', 7, '[]', 'k')"
)
NAME = (
    "INSERT INTO proxy_transaction (charge_point_id, charge_point_ref, session_ref, made_at)"
    " VALUES ('Y-1', 7, 7, now())"
)


def test_what_waits_for_a_cpms_is_neither_changed_nor_lost(database: Database) -> None:
    with (
        psycopg.connect(database.conninfo(Role.APP), autocommit=True) as app,
        psycopg.connect(database.conninfo(Role.OWNER), autocommit=True) as owner,
    ):
        app.execute(CALL)
        app.execute(NAME)
        with pytest.raises(errors.UniqueViolation):
            app.execute(CALL)
        for table, change in (
            ("proxy_call", "raw = 'x'"), ("proxy_call", "charge_point_id = 'x'"),
            ("proxy_call", "transaction_ref = 8"), ("proxy_call", "dedupe = 'x'"),
            ("proxy_transaction", "charge_point_ref = 8"), ("proxy_transaction", "session_ref = 8"),
        ):  # fmt: skip
            command = f"UPDATE {table} SET {change}".encode()
            with pytest.raises(errors.InsufficientPrivilege):
                app.execute(command)
            with pytest.raises(errors.RestrictViolation, match="never changes"):
                owner.execute(command)
        for table in ("proxy_call", "proxy_transaction"):
            with pytest.raises(errors.InsufficientPrivilege):
                app.execute(f"DELETE FROM {table}".encode())
            for command in (f"DELETE FROM {table}", f"TRUNCATE {table}"):
                with pytest.raises(errors.RestrictViolation):
                    owner.execute(command.encode())
        app.execute("UPDATE proxy_transaction SET cpms_ref = 9")
        with pytest.raises(errors.RestrictViolation, match="set once"):
            app.execute("UPDATE proxy_transaction SET cpms_ref = 10")
        with pytest.raises(errors.CheckViolation):
            app.execute("UPDATE proxy_transaction SET lost = true")
        with pytest.raises(errors.CheckViolation):
            app.execute("UPDATE proxy_call SET state = 'delivered'")
        app.execute("UPDATE proxy_call SET state = 'delivered', settled_at = now()")
        for state in ("waiting", "given_up"):
            with pytest.raises(errors.RestrictViolation, match="never goes"):
                app.execute(f"UPDATE proxy_call SET state = '{state}'".encode())
