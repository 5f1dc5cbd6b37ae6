"""The migration runner: numbered SQL files, each applied once, in order, in one transaction.

A file is ``NNNN_name.sql`` and never changes once applied: a correction is a new file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from wattledger.db.roles import SCHEMA, Role
from wattledger.errors import DatabaseFault
from wattledger.ids import content_digest

PACKAGED = Path(__file__).parent / "migrations"
_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LOCK_KEY = 0x77617474_6D696772  # "wattmigr": session-level, so that it spans the transactions
_TABLE = b"""
CREATE TABLE IF NOT EXISTS wattledger.migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT ON wattledger.migration TO wattledger_app, wattledger_reader
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; ``name`` is the file's without its ending."""

    number: int
    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        return content_digest(self.content)


def migrate(conninfo_owner: str, directory: Path = PACKAGED) -> list[str]:
    """Bring the database up to ``directory``; the names applied now, in order.

    The login of ``conninfo_owner`` is the owner role itself or one that may become it; what
    is missing of roles and schema is made where the login may. Two at once: the second waits.
    Raises DatabaseFault; what was applied before the fault stays applied.
    """
    migrations = read_migrations(directory)
    try:
        with psycopg.connect(_without_role(conninfo_owner), autocommit=True) as conn:
            _require_utf8(conn)
            conn.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
            ensure_roles(conn)
            _ensure_schema(conn)
            conn.execute(_set_role(Role.OWNER))
            conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(SCHEMA)))
            conn.execute(_TABLE)
            pending = _pending(conn, migrations, directory)
            for migration in pending:
                _apply(conn, migration, directory)
    except psycopg.Error as error:
        raise DatabaseFault(f"the database can't be migrated: {str(error).strip()}") from error
    return [migration.name for migration in pending]


def _require_utf8(conn: psycopg.Connection[Any]) -> None:
    encoding = conn.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise DatabaseFault(
            f"the database {conn.info.dbname} has the encoding {encoding}, expected UTF8: create "
            f"one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


def read_migrations(directory: Path) -> list[Migration]:
    """The files of ``directory`` by number; DatabaseFault for a name or number that can't be."""
    found: dict[int, Migration] = {}
    for path in sorted(directory.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if not match:
            raise DatabaseFault(f"{path}: expected a name such as 0001_what_it_does.sql")
        number = int(match.group(1))
        if number in found:
            raise DatabaseFault(
                f"{path}: number {number:04d} is taken by {found[number].name}.sql; renumber one"
            )
        found[number] = Migration(number, path.stem, path.read_bytes())
    return list(found.values())


def _pending(
    conn: psycopg.Connection[Any], migrations: list[Migration], directory: Path
) -> list[Migration]:
    """Those not applied yet; DatabaseFault when the database and the files tell two stories."""
    rows = conn.execute("SELECT number, name, sha256 FROM migration ORDER BY number").fetchall()
    files = {migration.number: migration for migration in migrations}
    newest_file = max(files, default=0)
    newest_applied = 0
    for number, name, sha256 in rows:
        newest_applied = number
        if number > newest_file:
            raise DatabaseFault(
                f"the database is newer than this code: it has migration {name}, the newest here "
                f"is number {newest_file:04d}. Run the version of Wattledger that migrated it, or "
                "a newer one"
            )
        if number not in files:
            raise DatabaseFault(
                f"migration {name} was applied to the database, but {directory} has no such file: "
                "restore it"
            )
        if files[number].sha256 != sha256:
            raise DatabaseFault(
                f"{directory / files[number].name}.sql was changed after it was applied: its "
                f"SHA-256 is {files[number].sha256[:12]}…, that of what was applied {sha256[:12]}…."
                " Restore the file and write the change as a new migration"
            )
    applied = {number for number, _, _ in rows}
    pending = [migration for migration in migrations if migration.number not in applied]
    if pending and pending[0].number < newest_applied:
        raise DatabaseFault(
            f"{directory / pending[0].name}.sql comes late: number {newest_applied:04d} is applied "
            "already. Give it the next free number"
        )
    return pending


def _apply(conn: psycopg.Connection[Any], migration: Migration, directory: Path) -> None:
    path = directory / f"{migration.name}.sql"
    try:
        with conn.transaction():
            conn.execute(migration.content)
            if conn.info.transaction_status != TransactionStatus.INTRANS:
                raise DatabaseFault(
                    f"{path} ends its transaction: a migration has no COMMIT or ROLLBACK of its own"
                )
            conn.execute(
                "INSERT INTO wattledger.migration (number, name, sha256) VALUES (%s, %s, %s)",
                (migration.number, migration.name, migration.sha256),
            )
    except psycopg.Error as error:
        line = ""
        if error.diag.statement_position:
            text = migration.content.decode(errors="replace")
            line = f" line {text.count(chr(10), 0, int(error.diag.statement_position)) + 1}"
        raise DatabaseFault(f"{path}{line}: {str(error).strip()}; nothing of it stays") from error


# --- roles and schema -----------------------------------------------------------------


def ensure_roles(conn: psycopg.Connection[Any]) -> None:
    """The three roles exist and this login may become the owner (and, if it made them, each).

    Makes what is missing when the login may (superuser or CREATEROLE), else raises
    DatabaseFault with the SQL an administrator has to run. ``conn`` is in autocommit.
    """
    login = conn.info.user
    try:
        for role in Role:
            made = _ensure_role(conn, role)
            if (made or role is Role.OWNER) and not _may_become(conn, role):
                conn.execute(_grant(conn, role, login))
    except errors.InsufficientPrivilege as error:
        raise DatabaseFault(
            f"the login {login} may not make what is missing: {str(error).strip()}. An "
            f"administrator has to run:\n\n{_administrator_sql(conn, login)}"
        ) from error


def _ensure_role(conn: psycopg.Connection[Any], role: Role) -> bool:
    """Whether it was missing. Roles are the cluster's: another database's migrator may race us."""
    if conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
        return False
    try:
        conn.execute(sql.SQL("CREATE ROLE {} NOLOGIN NOSUPERUSER").format(sql.Identifier(role)))
    except (errors.DuplicateObject, errors.UniqueViolation):
        return False
    return True


def _may_become(conn: psycopg.Connection[Any], role: Role) -> bool:
    kind = "SET" if conn.info.server_version >= 160000 else "MEMBER"
    row = conn.execute("SELECT pg_has_role(session_user, %s, %s)", (role, kind)).fetchone()
    return bool(row and row[0])


def _grant(conn: psycopg.Connection[Any], role: Role, login: str) -> sql.Composed:
    # From 16 on the one who makes a role gets ADMIN on it, but neither SET nor INHERIT.
    options = " WITH SET TRUE, INHERIT TRUE" if conn.info.server_version >= 160000 else ""
    return sql.SQL("GRANT {} TO {}{}").format(
        sql.Identifier(role), sql.Identifier(login), sql.SQL(options)
    )


def _set_role(role: Role) -> sql.Composed:
    return sql.SQL("SET ROLE {}").format(sql.Identifier(role))


def _administrator_sql(conn: psycopg.Connection[Any], login: str) -> str:
    """What is still missing, as SQL to paste; in the database itself, for the schema's sake."""
    lines: list[sql.Composed] = []
    for role in Role:
        if not conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
            lines.append(sql.SQL("CREATE ROLE {} NOLOGIN NOSUPERUSER").format(sql.Identifier(role)))
            lines.append(_grant(conn, role, login))
        elif not _may_become(conn, role):
            lines.append(_grant(conn, role, login))
    if _schema_owner(conn) is None:
        lines.append(_create_schema())
    return "".join(f"    {line.as_string(conn)};\n" for line in lines)


def _create_schema() -> sql.Composed:
    return sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(
        sql.Identifier(SCHEMA), sql.Identifier(Role.OWNER)
    )


def _schema_owner(conn: psycopg.Connection[Any]) -> str | None:
    row = conn.execute(
        "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = %s", (SCHEMA,)
    ).fetchone()
    return row[0] if row else None


def _ensure_schema(conn: psycopg.Connection[Any]) -> None:
    owner = _schema_owner(conn)
    if owner is None:
        try:
            conn.execute(_create_schema())
        except errors.InsufficientPrivilege as error:
            raise DatabaseFault(
                f"the login {conn.info.user} may not make the schema {SCHEMA} in the database "
                f"{conn.info.dbname}. An administrator has to run there:\n\n"
                f"{_administrator_sql(conn, conn.info.user)}"
            ) from error
    elif owner != Role.OWNER:
        raise DatabaseFault(
            f"the schema {SCHEMA} of the database {conn.info.dbname} belongs to {owner}, expected "
            f"{Role.OWNER}: use another database, or ALTER SCHEMA {SCHEMA} OWNER TO {Role.OWNER}"
        )


def _without_role(conninfo: str) -> str:
    """``-c role=…`` taken out: the role may not exist before the first migration."""
    options = str(conninfo_to_dict(conninfo).get("options") or "")
    return make_conninfo(conninfo, options=re.sub(r"-c\s*role=\S+", "", options).strip() or None)
