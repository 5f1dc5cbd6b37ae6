"""Step stop, and what closes the idle time after it: when a session becomes billable."""

from __future__ import annotations

from datetime import datetime, timedelta

from wattledger.db.work import Transaction
from wattledger.ingest import anomalies
from wattledger.payments import store as payments
from wattledger.pipeline.world import World
from wattledger.sessions import from_ocpp16
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow
from wattledger.tariffs import Dimension, Tariff
from wattledger.wire.ocpp import v16


async def stop(world: World, charge_point_id: str, message: v16.StopTransaction) -> None:
    """The end of a transaction, committed before it is answered.

    A repetition changes nothing; a different stop for the same transaction is an anomaly and
    the first is kept; one that we know no start of is an anomaly with all that it said.
    """
    at = v16.time_of(message.timestamp, "StopTransaction.timestamp")
    async with world.work.transaction("stop") as tx:
        row = await sessions.by_transaction(
            tx.conn, charge_point_id, message.transaction_id, lock=True
        )
        if row is None:
            await anomalies.record(
                tx.conn,
                at=tx.now,
                code="transaction.unknown",
                subject=charge_point_id,
                detail={
                    "action": "StopTransaction",
                    "transaction_id": message.transaction_id,
                    "meter_stop": message.meter_stop,
                    "timestamp": message.timestamp,
                },
                cause=f"{message.transaction_id}:{message.timestamp}:{message.meter_stop}",
            )
            return
        if row.state != "open":
            await _again(tx, row, message, at)
            return
        facts = from_ocpp16.stop(row.id, message, at)
        await sessions.add_facts(
            tx.conn, row.id, facts, received_at=tx.now, detail={"reason": message.reason}
        )
        await sessions.stop(
            tx.conn,
            row.id,
            stopped_at=at,
            meter_stop_wh=message.meter_stop,
            reason=message.reason,
            bill_due_at=await _billable_at(tx, world, row, at),
        )


async def _billable_at(
    tx: Transaction, world: World, row: SessionRow, stopped_at: datetime
) -> datetime:
    """When the session is billed if nothing more is heard: after the settle window, or where
    idle counts on after the limit, but in time for the hold."""
    tariff = await world.tariff(tx.conn, row.contract.tariff_digest)
    policies = (await world.snapshot(tx.now)).policies
    settled_at = max(stopped_at, tx.now) + timedelta(seconds=policies.settle_window_s)
    if not idle_counts_on(tariff):
        return settled_at
    latest = max(settled_at, stopped_at + timedelta(seconds=policies.idle_limit_s))
    payment = await payments.of_session(tx.conn, row.id)
    if payment is not None and payment.capture_before is not None:
        margin = timedelta(seconds=policies.hold_margin_s)
        latest = min(latest, payment.capture_before - margin)
    return max(settled_at, latest)


def idle_counts_on(tariff: Tariff) -> bool:
    """Whether the bill goes on after the transaction, until the vehicle leaves."""
    priced = any(
        component.dimension is Dimension.IDLE_TIME
        for element in tariff.elements
        for component in element.components
    )
    return priced and tariff.policies.idle_after_stop


async def unplugged(tx: Transaction, world: World, row: SessionRow, at: datetime) -> None:
    """The vehicle has gone: the bill ends, and is due after the settle window."""
    fact = from_ocpp16.unplug(row.id, at)
    if not await sessions.add_facts(tx.conn, row.id, [fact], received_at=tx.now):
        return  # the first proof counts
    tariff = await world.tariff(tx.conn, row.contract.tariff_digest)
    policies = (await world.snapshot(tx.now)).policies
    stopped_at = row.stopped_at or at
    await sessions.close_idle(
        tx.conn,
        row.id,
        ended_at=at if idle_counts_on(tariff) else stopped_at,
        bill_due_at=max(stopped_at, tx.now) + timedelta(seconds=policies.settle_window_s),
    )


async def close_predecessors(
    tx: Transaction, world: World, charge_point_id: str, connector_id: int, at: datetime
) -> None:
    """A new start proves that the one before is over: its idle ends; if it never stopped, it
    is held, because its last register is not known."""
    for row in await sessions.on_connector(tx.conn, charge_point_id, connector_id):
        if row.started_at >= at:
            continue
        if row.state == "ended":
            await unplugged(tx, world, row, at)
        else:
            await sessions.move(tx.conn, row.id, "held", held_reason="stop.missing")


async def _again(
    tx: Transaction, row: SessionRow, message: v16.StopTransaction, at: datetime
) -> None:
    if (row.stopped_at, row.meter_stop_wh) == (at, message.meter_stop):
        return
    await anomalies.record(
        tx.conn,
        at=tx.now,
        code="stop.differs" if row.stopped_at else "stop.late",
        subject=row.id,
        detail={
            "kept": [str(row.stopped_at), row.meter_stop_wh],
            "came": [message.timestamp, message.meter_stop],
        },
        cause=f"{message.timestamp}:{message.meter_stop}",
    )
