"""Where the database is, and pools of connections to it that act as one role."""

from __future__ import annotations

import select
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from wattledger.db import embedded
from wattledger.db.embedded import EmbeddedServer
from wattledger.db.roles import SCHEMA, Role
from wattledger.errors import ConfigError, DatabaseFault

Connection = psycopg.AsyncConnection[dict[str, Any]]
Pool = AsyncConnectionPool[Connection]

_CONNECT_TIMEOUT_S = 10


class Database:
    """One database: in an embedded server, or served by a PostgreSQL somewhere.

    Embedded, a connection logs in as its role. Served, it logs in as the DSN says and becomes
    the role, so that one login serves all three; ``migrate`` makes the roles.
    """

    def __init__(
        self, logins: dict[Role, str], *, becomes: bool, server: EmbeddedServer | None = None
    ) -> None:
        self._logins = logins
        self._becomes = becomes
        self._server = server

    @classmethod
    def embedded(cls, data_dir: Path) -> Database:
        """Start, or attach to, the server on ``data_dir``; ``close`` gives up our share of it."""
        server = embedded.start(data_dir)
        return cls({role: server.dsn(role) for role in Role}, becomes=False, server=server)

    @classmethod
    def on_server(cls, server: EmbeddedServer, dbname: str) -> Database:
        """A database on a server that somebody else holds: ``close`` leaves it alone."""
        return cls({role: server.dsn(role, dbname) for role in Role}, becomes=False)

    @classmethod
    def served(
        cls, dsn: str, owner_dsn: str | None = None, reader_dsn: str | None = None
    ) -> Database:
        """A PostgreSQL of your own. ``dsn`` is the app's; owner and reader may log in otherwise."""
        logins = {
            Role.APP: _checked(dsn, "dsn"),
            Role.OWNER: _checked(owner_dsn or dsn, "owner_dsn"),
            Role.READER: _checked(reader_dsn or dsn, "reader_dsn"),
        }
        return cls(logins, becomes=True)

    def conninfo(self, role: Role) -> str:
        """The libpq conninfo that acts as ``role``: its search_path, UTC, and its name to admins.

        Options the DSN already has are kept, ours come after them.
        """
        login = self._logins[role]
        given = conninfo_to_dict(login)
        options = [str(given["options"])] if given.get("options") else []
        if self._becomes:
            options.append(f"-c role={role}")
        options += [f"-c search_path={SCHEMA}", "-c timezone=UTC"]
        name = given.get("application_name") or role.replace("_", "-")
        timeout_s = given.get("connect_timeout") or _CONNECT_TIMEOUT_S
        return make_conninfo(
            login,
            options=" ".join(options),
            application_name=name,
            client_encoding="UTF8",
            connect_timeout=timeout_s,
        )

    async def connect(self, role: Role) -> Connection:
        """One connection acting as ``role``, outside any pool (LISTEN, for one): in autocommit.

        Raises DatabaseFault saying where the database should have been, never with a password.
        """
        conninfo = self.conninfo(role)
        try:
            return await psycopg.AsyncConnection.connect(
                conninfo, autocommit=True, row_factory=dict_row
            )
        except psycopg.OperationalError as error:
            raise _unreachable(conninfo, role, str(error)) from None

    async def open_pool(self, role: Role, min_size: int, max_size: int) -> Pool:
        """An open pool of connections acting as ``role``; rows come as dicts.

        The caller closes it. Raises DatabaseFault when the database can't be reached.
        """
        # One connection first: a pool would only say that its time is up.
        await (await self.connect(role)).close()
        conninfo = self.conninfo(role)
        pool: Pool = AsyncConnectionPool(
            conninfo,
            min_size=min_size,
            max_size=max_size,
            open=False,
            name=role,
            check=_check,
            kwargs={"autocommit": False, "row_factory": dict_row},
        )
        try:
            await pool.open(wait=True, timeout=_CONNECT_TIMEOUT_S)
        except PoolTimeout as error:
            await pool.close()
            raise _unreachable(conninfo, role, f"no {min_size} connections: {error}") from None
        return pool

    def revive(self) -> None:
        """Start an embedded server again that died. A served one is its operator's. Blocks."""
        if self._server is not None:
            self._server.revive()

    def close(self) -> None:
        """Give up our share of an embedded server; the last one stops it. Close pools before."""
        if self._server is not None:
            self._server.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


async def _check(conn: Connection) -> None:
    """A connection that died with a restarted database is replaced before it is used.

    The database says nothing to an idle connection but that it is closed, so that nearly always a
    look at the socket will do; only where there is something to be read it is asked a question.
    """
    sockets = select.poll()
    sockets.register(conn.pgconn.socket, select.POLLIN)
    if sockets.poll(0):
        await AsyncConnectionPool.check_connection(conn)


def _checked(dsn: str, name: str) -> str:
    try:
        return make_conninfo(dsn)
    except psycopg.ProgrammingError:
        # libpq's own message may quote a piece of the password.
        raise ConfigError(
            f"{name} is no PostgreSQL DSN: expected postgresql://user:password@host:5432/database "
            "(special characters percent-encoded) or host=… user=… dbname=…"
        ) from None


def _unreachable(conninfo: str, role: Role, reason: str) -> DatabaseFault:
    given = conninfo_to_dict(conninfo)
    where = " ".join(
        f"{name}={given[name]}" for name in ("host", "port", "dbname", "user") if given.get(name)
    )
    password = str(given.get("password") or "")
    said = reason.strip().replace(password, "…") if password else reason.strip()
    advice = "Check that it runs and that the DSN is right"
    if "set role" in said or f'role "{role}" does not exist' in said:
        advice = (
            "Run the migrations, which make the roles; where the login is another one than the "
            f'owner\'s, an administrator has to run GRANT {role} TO "{given.get("user")}"'
        )
    return DatabaseFault(f"the database at {where} can't be used as {role}: {said}. {advice}")
