"""What is due, and what falls due next: the question the worker and a driven clock ask."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

SESSION = "session"
"""What a session's bill, a look at it, or one that was not heard of is on the agenda as."""


class Agenda(msgspec.Struct, frozen=True):
    """What the clock has to do: work due now, and when the next falls due."""

    due: int
    next_due_at: datetime | None
    whats: frozenset[str] = frozenset()
    """Of what is due: the kinds of the effects, and ``session``."""


# Where work waits: what it is, its time, and which rows count. Each has an index that begins with
# its time, so that what was put off for days is not read at each step of a clock.
_PLACES = (
    ("kind", "due_at", "effect WHERE settled_at IS NULL"
     " AND (kind NOT LIKE 'ocpp.%%' OR lane = ANY(%(lanes)s))"),
    (f"'{SESSION}'", "bill_due_at", "session WHERE state = 'ended'"),
    (f"'{SESSION}'", "adjust_due_at", "session WHERE adjust_due_at IS NOT NULL"
     " AND state IN ('billed', 'free', 'adjusted')"),
    (f"'{SESSION}'", "check_due_at", "session WHERE state = 'open'"),
    (f"'{SESSION}'", "due_at", "transaction_wait WHERE true"),
)  # fmt: skip
_NOW = " UNION ALL ".join(
    f"SELECT {what} AS what FROM {rows} AND {at} <= %(now)s" for what, at, rows in _PLACES
)
_NEXT = " UNION ALL ".join(
    f"(SELECT {at} AS due_at FROM {rows} AND {at} > %(now)s ORDER BY {at} LIMIT 1)"
    for _, at, rows in _PLACES
)
_AGENDA = (
    "SELECT count(*) AS due, COALESCE(array_agg(DISTINCT what), '{}') AS whats,"
    f" (SELECT min(due_at) FROM ({_NEXT}) AS later) AS next_due_at FROM ({_NOW}) AS item"
)


async def agenda(conn: AsyncConnection[dict[str, Any]], now: datetime, lanes: list[str]) -> Agenda:
    """Work due at ``now`` and the next time at which there is some.

    Commands to charge points that are not connected here (``lanes``) do not count.
    """
    cursor = await conn.execute(_AGENDA, {"now": now, "lanes": lanes})
    row = await cursor.fetchone()
    assert row is not None, "an aggregate always has a row"
    return Agenda(row["due"], row["next_due_at"], frozenset(row["whats"]))
