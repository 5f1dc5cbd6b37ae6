"""Holds that no session has and no start waits for any more.

Each start gives its hold back by its own alarm. What an alarm has missed all the same is looked for
each night, long before the hold lapses: it is given back where that can be, and shown.
"""

from __future__ import annotations

from datetime import timedelta

from wattledger.db.work import Transaction
from wattledger.ingest import anomalies
from wattledger.payments import starts_store
from wattledger.payments import store as payments
from wattledger.pipeline import timed
from wattledger.pipeline.handlers import Settled
from wattledger.pipeline.starting import starts
from wattledger.pipeline.timed import What

ORPHAN = "hold.orphan"
_STATES = ("waiting", "holding", "held", "parked")
# Its start has been over for so long: no alarm of it is still to come.
_OVER = timedelta(minutes=10)


async def look_for(tx: Transaction, processor_id: str) -> None:
    """Each that is found is looked at by itself: a step that had many payments in hand would wait
    for others that wait for it. A terminal's own payment waits for its session there."""
    cursor = await tx.conn.execute(
        "SELECT p.id FROM payment p WHERE p.processor_id = %(p)s AND p.session_id IS NULL"
        " AND p.leg = 'hold' AND p.state = ANY(%(states)s)"
        " AND COALESCE(p.created_at, '-infinity') <= %(before)s"
        " AND NOT EXISTS (SELECT FROM start_request r WHERE r.payment_id = p.id"
        "   AND r.expires_at > %(before)s)"
        " AND NOT EXISTS (SELECT FROM terminal_payment t WHERE t.payment_id = p.id)"
        " ORDER BY p.created_at, p.id LIMIT 1000",
        {"p": processor_id, "states": list(_STATES), "before": tx.now - _OVER},
    )
    for row in await cursor.fetchall():
        await timed.put_off(tx, ORPHAN, row["id"], tx.now)


async def look(settled: Settled) -> None:
    """One of them: its start is over by now, if it was not; what the processor holds is given back.
    Of a hold whose answer is open that answer counts, of a parked one a person: they are shown."""
    tx = settled.tx
    payment = await payments.get(tx.conn, settled.effect.subject)
    start = await starts_store.of_payment(tx.conn, payment.id)
    if payment.session_id is not None or payment.state not in _STATES:
        return
    if start is not None and start.expires_at > tx.now - _OVER:
        return  # another try has taken it up
    if start is not None and start.live:
        await starts_store.move(tx.conn, start.id, "expired", why="orphan")
    await starts.give_back(tx, payment)
    await anomalies.record(
        tx.conn, at=tx.now, code=ORPHAN, subject=payment.id,
        detail={"state": payment.state, "start_id": start.id if start else None,
                "given_back": payment.state in ("held", "waiting") and bool(payment.intent_id)},
        cause=payment.id,
    )  # fmt: skip


WHATS: dict[str, What] = {ORPHAN: look}
