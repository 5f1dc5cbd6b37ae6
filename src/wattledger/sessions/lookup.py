"""Which sessions: what runs where, what was there before, what nobody hears of."""

from __future__ import annotations

from datetime import datetime

import msgspec

from wattledger.sessions.store import COLUMNS, Conn, SessionRow, as_row


class Before(msgspec.Struct, frozen=True):
    """The registers of the session before."""

    id: str
    meter_start_wh: int | None
    meter_stop_wh: int | None


async def last_on_connector(
    conn: Conn, charge_point_id: str, connector_id: int, before: datetime
) -> Before | None:
    """The last session of a connector that started before then, in whatever state."""
    cursor = await conn.execute(
        "SELECT id, meter_start_wh, meter_stop_wh FROM session WHERE charge_point_id = %s"
        " AND connector_id = %s AND started_at < %s AND source <> 'import'"
        " ORDER BY started_at DESC LIMIT 1",
        (charge_point_id, connector_id, before),
    )
    row = await cursor.fetchone()
    return Before(**row) if row else None


async def is_followed(conn: Conn, row: SessionRow) -> bool:
    """Whether another session has begun on its connector since."""
    cursor = await conn.execute(
        "SELECT FROM session WHERE charge_point_id = %s AND connector_id = %s AND started_at > %s"
        " AND source <> 'import' LIMIT 1",
        (row.charge_point_id, row.connector_id, row.started_at),
    )
    return await cursor.fetchone() is not None


async def connectors(conn: Conn, charge_point_id: str) -> int:
    """How many connectors a charge point has spoken of, in statuses or in sessions."""
    cursor = await conn.execute(
        "SELECT count(DISTINCT c) AS n FROM ("
        " SELECT jsonb_object_keys(connectors)::integer AS c FROM charge_point_state"
        " WHERE charge_point_id = %(cp)s UNION"
        " SELECT connector_id FROM session WHERE charge_point_id = %(cp)s) AS known WHERE c > 0",
        {"cp": charge_point_id},
    )
    row = await cursor.fetchone()
    return int(row["n"]) if row else 0


async def candidates(
    conn: Conn, charge_point_id: str, *, connector_id: int | None, token: str | None, at: datetime
) -> list[SessionRow]:
    """Sessions that could be meant where no id says which: still running, begun by then, with
    this token and on this connector as far as they are known, and never called by their id: a
    charge point that knows it uses it. Locked."""
    cursor = await conn.execute(
        f"SELECT {COLUMNS} FROM session WHERE charge_point_id = %s AND state = 'open'"
        " AND NOT named AND started_at <= %s AND (%s::integer IS NULL OR connector_id = %s)"
        " AND (%s::text IS NULL OR lower(token) = lower(%s)) ORDER BY started_at, id FOR UPDATE",
        (charge_point_id, at, connector_id, connector_id, token, token),
    )
    return [as_row(row) for row in await cursor.fetchall()]


async def running_on(conn: Conn, charge_point_id: str) -> list[SessionRow]:
    """All that runs at a charge point, locked."""
    cursor = await conn.execute(
        f"SELECT {COLUMNS} FROM session WHERE charge_point_id = %s AND state = 'open'"
        " ORDER BY started_at, id FOR UPDATE",
        (charge_point_id,),
    )
    return [as_row(row) for row in await cursor.fetchall()]


async def where_runs(conn: Conn, charge_point_ids: list[str]) -> dict[str, bool]:
    """Of these charge points the ones at which something runs."""
    cursor = await conn.execute(
        "SELECT DISTINCT charge_point_id AS id FROM session WHERE charge_point_id = ANY(%s)"
        " AND state = 'open'",
        (charge_point_ids,),
    )
    return {row["id"]: True for row in await cursor.fetchall()}


async def unheard(conn: Conn, now: datetime, limit: int) -> list[str]:
    """Running sessions that somebody has to look after, and transactions that have waited long
    enough to become one."""
    cursor = await conn.execute(
        "SELECT id, check_due_at AS due_at FROM session WHERE state = 'open'"
        " AND check_due_at <= %(now)s UNION ALL"
        " SELECT session_id, due_at FROM transaction_wait WHERE due_at <= %(now)s"
        " ORDER BY due_at, id LIMIT %(limit)s",
        {"now": now, "limit": limit},
    )
    return [row["id"] for row in await cursor.fetchall()]


async def last_heard_at(conn: Conn, session_id: str) -> datetime | None:
    """When something new was heard of a session, in business time."""
    cursor = await conn.execute(
        "SELECT max(received_at) AS at FROM session_fact WHERE session_id = %s", (session_id,)
    )
    row = await cursor.fetchone()
    found: datetime | None = row["at"] if row else None
    return found


async def available_since(conn: Conn, charge_point_id: str, connector_id: int) -> datetime | None:
    """Since when a connector says that it is available, if that is the last that it said."""
    cursor = await conn.execute(
        "SELECT (said->>'at')::timestamptz AS at FROM charge_point_state,"
        " LATERAL (SELECT connectors->%s AS said) AS of_connector"
        " WHERE charge_point_id = %s AND said->>'status' = 'Available'",
        (str(connector_id), charge_point_id),
    )
    row = await cursor.fetchone()
    found: datetime | None = row["at"] if row else None
    return found


async def at_connector(conn: Conn, session_id: str, connector_id: int) -> None:
    """A session whose connector was not known (0) has one now."""
    await conn.execute(
        "UPDATE session SET connector_id = %s WHERE id = %s AND connector_id = 0",
        (connector_id, session_id),
    )
