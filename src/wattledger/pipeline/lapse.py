"""Holds about to lapse under sessions that are not billed: stopped, or shown to a person.

Looked for after each reading of the processor, so at least every night.
"""

from __future__ import annotations

from datetime import timedelta

from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.ingest import anomalies
from wattledger.pipeline.commands import remote_stop
from wattledger.sessions import store as sessions

# The next look is a day away, and a little more where it is late.
_UNTIL_NEXT_LOOK = timedelta(hours=30)


async def mind(tx: Transaction, snapshot: Snapshot) -> None:
    """An open session is stopped while its hold still pays; a held one needs somebody to decide."""
    margin = timedelta(seconds=snapshot.policies.hold_margin_s)
    cursor = await tx.conn.execute(
        "SELECT p.session_id, p.capture_before FROM payment p JOIN session s ON s.id = p.session_id"
        " WHERE p.state = 'held' AND p.capture_before < %s AND s.state IN ('open', 'held')"
        " ORDER BY p.capture_before LIMIT 1000",
        (tx.now + margin + _UNTIL_NEXT_LOOK,),
    )
    for row in await cursor.fetchall():
        await anomalies.record(
            tx.conn,
            at=tx.now,
            code="hold.lapsing",
            subject=row["session_id"],
            detail={"capture_before": row["capture_before"].isoformat()},
            cause="lapse",
        )
        session = await sessions.get(tx.conn, row["session_id"])
        if session is not None and session.state == "open":
            await remote_stop(tx, session, "hold_lapsing")
