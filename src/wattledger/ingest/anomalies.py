"""What a person should look at, recorded once for each cause, and what was done about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from wattledger.ids import derive
from wattledger.ingest.codes import CODES, Severity

Conn = AsyncConnection[dict[str, Any]]


class Anomaly(msgspec.Struct, frozen=True):
    """One anomaly as it stands. ``session_id`` is that of the session it is about, itself or
    through a payment; the act's fields are empty while it is open."""

    id: int
    at: datetime
    code: str
    subject: str
    detail: dict[str, Any]
    resolved_at: datetime | None
    session_id: str | None
    actor: str | None
    act: str | None
    reason: str | None
    act_detail: dict[str, Any] | None


async def record(
    conn: Conn,
    *,
    at: datetime,
    code: str,
    subject: str,
    detail: dict[str, Any],
    cause: str,
) -> None:
    """``cause`` tells one occurrence from another: met again, it adds nothing.

    What holds a session (which is held by then) is another occurrence once somebody resolved the
    one before: a session that is held again is shown again.
    """
    known = CODES.get(code)
    dedupe = derive("ano", code, subject, cause)
    if known is not None and known.severity is Severity.HOLDS:
        before = await _resolved(conn, code, subject)
        if before:
            dedupe = derive("ano", code, subject, cause, before)
    await conn.execute(
        "INSERT INTO anomaly (at, code, subject, detail, dedupe) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (dedupe) DO NOTHING",
        (at, code, subject, Jsonb(detail), dedupe),
    )


async def _resolved(conn: Conn, code: str, subject: str) -> int:
    cursor = await conn.execute(
        "SELECT count(*) AS n FROM anomaly"
        " WHERE subject = %s AND code = %s AND resolved_at IS NOT NULL"
        " AND EXISTS (SELECT FROM session WHERE id = %s AND state = 'held')",
        (subject, code, subject),
    )
    row = await cursor.fetchone()
    return int(row["n"]) if row else 0


_SELECT = """
    SELECT a.id, a.at, a.code, a.subject, a.detail, a.resolved_at,
           COALESCE(s.id, p.session_id) AS session_id,
           t.actor, t.act, t.reason, t.detail AS act_detail
      FROM anomaly a
      LEFT JOIN session s ON s.id = a.subject
      LEFT JOIN payment p ON p.id = a.subject
      LEFT JOIN anomaly_act t ON t.anomaly_id = a.id
"""
# The same question for the API (oldest first, from a key on) and for people (newest first).
_WHERE = """
     WHERE (%(open)s::boolean IS NULL OR (a.resolved_at IS NULL) = %(open)s)
       AND (%(code)s::text IS NULL OR a.code = %(code)s)
       AND (%(subject)s::text IS NULL OR a.subject = %(subject)s OR p.session_id = %(subject)s)
       AND (%(after)s::bigint IS NULL OR a.id > %(after)s)
       AND (%(before)s::bigint IS NULL OR a.id < %(before)s)
"""


async def listed(
    conn: Conn,
    *,
    limit: int,
    open_only: bool | None = True,
    code: str | None = None,
    subject: str | None = None,
    after: int | None = None,
    before: int | None = None,
    newest_first: bool = False,
) -> list[Anomaly]:
    """Open ones, resolved ones (``open_only`` False), or all (None), by their number."""
    order = "DESC" if newest_first else "ASC"
    cursor = await conn.execute(
        f"{_SELECT}{_WHERE} ORDER BY a.id {order} LIMIT %(limit)s",
        {
            "open": open_only, "code": code, "subject": subject, "after": after, "before": before,
            "limit": limit,
        },
    )  # fmt: skip
    return [Anomaly(**row) for row in await cursor.fetchall()]


async def get(conn: Conn, anomaly_id: int) -> Anomaly | None:
    """An anomaly by its number."""
    cursor = await conn.execute(f"{_SELECT} WHERE a.id = %s", (anomaly_id,))
    row = await cursor.fetchone()
    return Anomaly(**row) if row else None


async def counts(conn: Conn) -> dict[str, int]:
    """How many are open, by code."""
    cursor = await conn.execute(
        "SELECT code, count(*) AS n FROM anomaly WHERE resolved_at IS NULL"
        " GROUP BY code ORDER BY code"
    )
    return {row["code"]: row["n"] for row in await cursor.fetchall()}


async def add_act(
    conn: Conn,
    anomaly_id: int,
    *,
    at: datetime,
    actor: str,
    act: str,
    reason: str,
    detail: dict[str, Any],
    session_id: str | None = None,
) -> bool:
    """Record an act; the database resolves the anomaly by it. False when it has one already."""
    cursor = await conn.execute(
        "INSERT INTO anomaly_act (anomaly_id, at, actor, act, reason, detail, session_id)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (anomaly_id) DO NOTHING",
        (anomaly_id, at, actor, act, reason, Jsonb(detail), session_id),
    )
    return cursor.rowcount == 1


async def settle(
    conn: Conn, code: str, subject: str, reason: str, now: datetime, **detail: str
) -> bool:
    """What was open of this has settled itself: recorded as an act of nobody's. False where
    nothing was. ``detail``: only what says so, where one subject may have several."""
    cursor = await conn.execute(
        "INSERT INTO anomaly_act (anomaly_id, at, actor, act, reason)"
        " SELECT id, %s, 'wattledger', 'accept', %s FROM anomaly"
        " WHERE code = %s AND subject = %s AND resolved_at IS NULL AND detail @> %s"
        " ON CONFLICT (anomaly_id) DO NOTHING",
        (now, reason, code, subject, Jsonb(detail)),
    )
    return cursor.rowcount > 0
