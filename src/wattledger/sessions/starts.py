"""Starts that are told again: which session it is. Nothing here commits."""

from __future__ import annotations

from datetime import datetime

from wattledger.sessions.store import Conn


async def take_turns(conn: Conn, charge_point_id: str) -> None:
    """One start of a charge point after the other: two of the same would both find nothing."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 3))", (charge_point_id,))


async def running(
    conn: Conn,
    charge_point_id: str,
    connector_id: int,
    *,
    token: str,
    register_wh: int | None,
    said: datetime,
    now: datetime,
) -> str | None:
    """The session that began with just these words of a clock that begins anew, and ran at ``now``
    (which is past, where frames are replayed): one that says them again means that one."""
    cursor = await conn.execute(
        "SELECT s.id FROM session AS s JOIN session_fact AS f ON f.session_id = s.id"
        " WHERE s.charge_point_id = %(cp)s AND s.connector_id = %(connector)s"
        " AND lower(s.token) = lower(%(token)s)"
        " AND s.meter_start_wh IS NOT DISTINCT FROM %(register_wh)s"
        " AND f.kind = 'start' AND (f.detail->>'said')::timestamptz = %(said)s"
        " AND f.received_at <= %(now)s AND (f.received_at = %(now)s OR s.state = 'open' OR EXISTS ("
        "   SELECT FROM session_fact AS stop WHERE stop.session_id = s.id AND stop.kind = 'stop'"
        "   AND stop.received_at > %(now)s))"
        " ORDER BY f.received_at DESC LIMIT 1",
        {
            "cp": charge_point_id, "connector": connector_id, "token": token,
            "register_wh": register_wh, "said": said, "now": now,
        },
    )  # fmt: skip
    row = await cursor.fetchone()
    return str(row["id"]) if row else None


async def connected_at(conn: Conn, charge_point_id: str) -> datetime | None:
    """Since when a charge point is connected; None where that is not known."""
    cursor = await conn.execute(
        "SELECT connected_at FROM charge_point_state WHERE charge_point_id = %s AND connected",
        (charge_point_id,),
    )
    row = await cursor.fetchone()
    found: datetime | None = row["connected_at"] if row else None
    return found
