"""Holds about to lapse under sessions that are not billed: what was delivered by then is captured,
or the charging is stopped, or a person is shown it.

Each hold has an alarm, set by what the processor says of it; what an alarm missed is looked for
after each reading of the processor, so at least every night.
"""

from __future__ import annotations

from datetime import timedelta

from wattledger.clock import utc_text
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.ingest import anomalies
from wattledger.payments import store as payments
from wattledger.payments.store import Payment
from wattledger.pipeline.billing.decisions import look
from wattledger.pipeline.charging import end
from wattledger.pipeline.handlers import Settled
from wattledger.pipeline.stations.commands import remote_stop
from wattledger.pipeline.timed import put_off
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

LAPSE = "hold.lapse"


async def watch(settled: Settled, payment: Payment) -> None:
    """Set the alarm of a hold: the margin before the processor lets it go."""
    if payment.capture_before is None:
        return
    at = payment.capture_before - margin(settled.snapshot)
    await put_off(settled.tx, LAPSE, payment.id, max(at, settled.tx.now))


def margin(snapshot: Snapshot) -> timedelta:
    """The time in which it can still be captured."""
    return timedelta(seconds=snapshot.policies.hold_margin_s)


async def due(settled: Settled) -> None:
    """The alarm of a hold. One that was captured, or given back, needs nothing."""
    payment = await payments.get(settled.tx.conn, settled.effect.subject)
    await _mind(settled.tx, settled.world, settled.snapshot, payment)


async def mind(tx: Transaction, world: World, snapshot: Snapshot) -> None:
    """Every hold whose time has come, whatever became of its alarm."""
    cursor = await tx.conn.execute(
        "SELECT p.id FROM payment p JOIN session s ON s.id = p.session_id"
        " WHERE p.capture_before <= %s AND (p.state = 'parked'"
        " OR (p.state = 'held' AND s.state IN ('open', 'held')))"
        " ORDER BY p.capture_before, p.id LIMIT 1000",
        (tx.now + margin(snapshot),),
    )
    for row in await cursor.fetchall():
        await _mind(tx, world, snapshot, await payments.get(tx.conn, row["id"]))


async def _mind(tx: Transaction, world: World, snapshot: Snapshot, payment: Payment) -> None:
    if payment.state not in ("held", "parked") or payment.capture_before is None:
        return
    if payment.capture_before - margin(snapshot) > tx.now or payment.session_id is None:
        return
    row = await sessions.get(tx.conn, payment.session_id, lock=True)
    if row is None or (payment.state == "held" and row.state not in ("open", "ended", "held")):
        return
    if payment.state == "parked" and payment.intent_id is None:
        return  # nothing is held
    if row.state == "ended" and payment.state == "held":
        # Whatever it waits for, its hold does not wait.
        await sessions.bill_at(tx.conn, row.id, tx.now)
        return
    done = "parked" if payment.state == "parked" else await _by_now(tx, world, snapshot, row)
    if done == "captured":
        await payments.provisional(tx.conn, payment.id)
    await anomalies.record(
        tx.conn, at=tx.now, code="hold.lapsing", subject=row.id,
        detail={"capture_before": utc_text(payment.capture_before), "done": done,
                "payment_id": payment.id},
        cause="lapse",
    )  # fmt: skip


async def _by_now(tx: Transaction, world: World, snapshot: Snapshot, row: SessionRow) -> str:
    """What is done: ``captured`` (it will be, with its bill), ``stopped``, or nothing but
    ``shown``."""
    captures = row.contract.payment.lapse == "capture"
    if row.state == "open":
        await remote_stop(tx, row, "hold_lapsing")
        if not captures:
            return "stopped"
        # Its end is presumed with what was last read of it. The real one adjusts the bill.
        await end.presume_over(
            tx, snapshot.policies, row, "its hold is about to lapse", wait=False, missing=False
        )
        over = await sessions.get(tx.conn, row.id)
        return "captured" if over is not None and over.state == "ended" else "stopped"
    if not captures:
        return "shown"
    found = await look(world, tx.conn, row)
    if found.charge is None or found.delivery is None:
        return "shown"
    # What held it may be decided later: then the bill is adjusted.
    if row.stopped_at is None:
        last = found.delivery.readings[-1]
        await sessions.stop(
            tx.conn, row.id, stopped_at=last.at, meter_stop_wh=last.register_wh, reason="Missing",
            bill_due_at=tx.now, provisional=True,
            meter_start_wh=found.delivery.readings[0].register_wh,
        )  # fmt: skip
    taken_up = await sessions.take_up(tx.conn, row.id, tx.now)
    return "captured" if taken_up or row.stopped_at is None else "shown"


WHATS = {LAPSE: due}
