"""Files that are made for the evidence of a dispute. Nothing here commits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

Conn = AsyncConnection[dict[str, Any]]


async def add(
    conn: Conn, dispute_id: str, field: str, name: str, content: bytes, at: datetime
) -> None:
    """A file for a field of the evidence."""
    await conn.execute(
        "INSERT INTO dispute_file (dispute_id, field, name, content, made_at)"
        " VALUES (%s, %s, %s, %s, %s)",
        (dispute_id, field, name, content, at),
    )


async def uploaded(conn: Conn, dispute_id: str, field: str, file_id: str) -> None:
    """The processor has it."""
    await _set(conn, dispute_id, field, "file_id", file_id)


async def left_out(conn: Conn, dispute_id: str, field: str, why: str) -> None:
    """The evidence goes without it."""
    await _set(conn, dispute_id, field, "why", why)


async def listed(conn: Conn, dispute_id: str) -> list[dict[str, Any]]:
    """What was made, without what is in it."""
    cursor = await conn.execute(
        "SELECT field, name, length(content) AS size, file_id, why FROM dispute_file"
        " WHERE dispute_id = %s ORDER BY field",
        (dispute_id,),
    )
    return await cursor.fetchall()


async def content(conn: Conn, dispute_id: str, field: str) -> bytes | None:
    """To the byte; None where there is none."""
    cursor = await conn.execute(
        "SELECT content FROM dispute_file WHERE dispute_id = %s AND field = %s",
        (dispute_id, field),
    )
    row = await cursor.fetchone()
    return bytes(row["content"]) if row else None


async def _set(conn: Conn, dispute_id: str, field: str, column: str, value: str) -> None:
    await conn.execute(
        f"UPDATE dispute_file SET {column} = %s WHERE dispute_id = %s AND field = %s".encode(),
        (value, dispute_id, field),
    )
