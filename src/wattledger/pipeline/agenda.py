"""What is due, and what falls due next: the question the worker and a driven clock ask."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection


class Agenda(msgspec.Struct, frozen=True):
    """What the clock has to do: work due now, and when the next falls due."""

    due: int
    next_due_at: datetime | None


async def agenda(conn: AsyncConnection[dict[str, Any]], now: datetime, lanes: list[str]) -> Agenda:
    """Work due at ``now`` and the next time at which there is some.

    Commands to charge points that are not connected here (``lanes``) do not count.
    """
    cursor = await conn.execute(
        "WITH open_effect AS (SELECT due_at FROM effect"
        "   WHERE state NOT IN ('done', 'rejected')"
        "   AND (kind NOT LIKE 'ocpp.%%' OR lane = ANY(%(lanes)s))),"
        " item AS (SELECT due_at FROM open_effect UNION ALL"
        "   SELECT bill_due_at FROM session WHERE state = 'ended' UNION ALL"
        "   SELECT adjust_due_at FROM session WHERE adjust_due_at IS NOT NULL"
        "     AND state IN ('billed', 'free', 'adjusted') UNION ALL"
        "   SELECT check_due_at FROM session WHERE state = 'open' AND check_due_at IS NOT NULL"
        "   UNION ALL SELECT due_at FROM transaction_wait)"
        " SELECT count(*) FILTER (WHERE due_at <= %(now)s) AS due,"
        " min(due_at) FILTER (WHERE due_at > %(now)s) AS next_due_at FROM item",
        {"now": now, "lanes": lanes},
    )
    row = await cursor.fetchone()
    return Agenda(row["due"], row["next_due_at"]) if row else Agenda(0, None)
