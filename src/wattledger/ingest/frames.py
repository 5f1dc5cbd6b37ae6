"""Stored frames, read again."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from psycopg import AsyncConnection

Conn = AsyncConnection[dict[str, Any]]


class StoredFrame(NamedTuple):
    """A frame as the journal keeps it. ``connection_id`` begins with the version of OCPP."""

    received_at: datetime
    connection_id: str
    direction: str
    raw: str

    @property
    def version(self) -> str:
        """The WebSocket subprotocol; connections before there were several spoke 1.6."""
        version, slash, _ = self.connection_id.partition("/")
        return version if slash else "ocpp1.6"


async def of(
    conn: Conn, charge_point_id: str, since: datetime, until: datetime, *, limit: int | None = None
) -> list[StoredFrame]:
    """A charge point's frames from ``since`` to before ``until``, in the order in which they were
    handled. Rows are only ever added to a day's partition, so their place in it is their order."""
    cursor = await conn.execute(
        "SELECT received_at, connection_id, direction, raw FROM frame"
        " WHERE charge_point_id = %s AND received_at >= %s AND received_at < %s"
        " ORDER BY received_at, tableoid, ctid LIMIT %s",
        (charge_point_id, since, until, limit),
    )
    return [StoredFrame(**row) for row in await cursor.fetchall()]


async def last(conn: Conn, charge_point_id: str, before: datetime) -> datetime | None:
    """When the last frame before a time came."""
    cursor = await conn.execute(
        "SELECT max(received_at) AS at FROM frame WHERE charge_point_id = %s AND received_at < %s",
        (charge_point_id, before),
    )
    row = await cursor.fetchone()
    return row["at"] if row else None
