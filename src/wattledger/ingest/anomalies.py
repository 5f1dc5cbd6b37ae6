"""What a person should look at, recorded once for each cause."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from wattledger.ids import derive


async def record(
    conn: AsyncConnection[dict[str, Any]],
    *,
    at: datetime,
    code: str,
    subject: str,
    detail: dict[str, Any],
    cause: str,
) -> None:
    """``cause`` tells one occurrence from another: met again, it adds nothing."""
    await conn.execute(
        "INSERT INTO anomaly (at, code, subject, detail, dedupe) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (dedupe) DO NOTHING",
        (at, code, subject, Jsonb(detail), derive("ano", code, subject, cause)),
    )
