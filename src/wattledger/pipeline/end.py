"""Step stop, and what closes the idle time after it: when a session becomes billable."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from wattledger.clock import utc_text
from wattledger.db.work import Transaction
from wattledger.entitlements.model import Policies
from wattledger.ingest import anomalies
from wattledger.payments import store as payments
from wattledger.pipeline import clocks
from wattledger.pipeline.world import World
from wattledger.sessions import from_ocpp16
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow
from wattledger.tariffs import Dimension, Tariff
from wattledger.wire.ocpp import v16


async def stop(world: World, charge_point_id: str, message: v16.StopTransaction) -> None:
    """The end of a transaction, committed before it is answered.

    A repetition changes nothing; a different stop for the same transaction is an anomaly and
    the first is kept; one that we know no start of is an anomaly with all that it said. One that
    comes after the session was held for want of it is taken: then it can be billed.
    """
    said = v16.time_of(message.timestamp, "StopTransaction.timestamp")
    now = world.now
    policies = (await world.snapshot(now)).policies
    async with world.work.transaction("stop", now=now) as tx:
        row = await sessions.by_transaction(
            tx.conn, charge_point_id, message.transaction_id, lock=True
        )
        if row is None:
            await _unknown(tx, charge_point_id, message)
            return
        late = row.state == "held" and row.held_reason == "stop.missing"
        if row.state != "open":
            await _again(tx, row, message, said)
            if not late:
                return
        await _take(tx, world, policies, row, message, said)
        if late:
            # It was held because another car was there: this one had gone, nobody saw when.
            stopped = msgspec.structs.replace(row, stopped_at=clocks.believed(said, now))
            await _gone(tx, world, policies, stopped, now, seen=False)


async def _take(
    tx: Transaction,
    world: World,
    policies: Policies,
    row: SessionRow,
    message: v16.StopTransaction,
    said: datetime,
) -> None:
    at = clocks.believed(said, tx.now)
    detail = await clocks.shown(tx, row.charge_point_id, "StopTransaction", row.id, said)
    await sessions.add_facts(
        tx.conn,
        row.id,
        from_ocpp16.stop(row.id, message, at, tx.now),
        received_at=tx.now,
        detail={"reason": message.reason, **detail},
    )
    live = clocks.is_live(said, tx.now)
    await sessions.stop(
        tx.conn,
        row.id,
        stopped_at=at,
        meter_stop_wh=message.meter_stop,
        reason=message.reason,
        bill_due_at=await _billable_at(tx, world, policies, row, live=live),
    )


async def _unknown(tx: Transaction, charge_point_id: str, message: v16.StopTransaction) -> None:
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


async def _billable_at(
    tx: Transaction, world: World, policies: Policies, row: SessionRow, *, live: bool
) -> datetime:
    """When the session is billed if nothing more is heard: after the settle window, or where
    idle counts on after the limit, but in time for the hold. In business time only: a device's
    clock can't put a bill off. After a stop that was not ``live`` no idle can be proved."""
    tariff = await world.tariff(tx.conn, row.contract.tariff_digest)
    settled_at = tx.now + timedelta(seconds=policies.settle_window_s)
    if not live or not idle_counts_on(tariff):
        return settled_at
    latest = tx.now + timedelta(seconds=policies.idle_limit_s)
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


async def unplugged(
    tx: Transaction, world: World, policies: Policies, row: SessionRow, said: datetime
) -> None:
    """A connector says that the vehicle has gone: the bill ends, and is due after the settle
    window."""
    await _gone(tx, world, policies, row, said, seen=clocks.is_live(said, tx.now))


async def close_predecessors(
    tx: Transaction,
    world: World,
    policies: Policies,
    charge_point_id: str,
    connector_id: int,
    at: datetime,
) -> None:
    """A new start proves that the one before is over, but not since when: its bill ends at its
    stop. If it never stopped, it is held, because its last register is not known."""
    for row in await sessions.on_connector(tx.conn, charge_point_id, connector_id):
        if row.started_at >= at:
            continue
        if row.state == "ended":
            await _gone(tx, world, policies, row, at, seen=False)
        else:
            await sessions.move(tx.conn, row.id, "held", held_reason="stop.missing")


async def _gone(
    tx: Transaction,
    world: World,
    policies: Policies,
    row: SessionRow,
    said: datetime,
    *,
    seen: bool,
) -> None:
    """The vehicle has gone by ``said``. When it went was ``seen`` only where that and the stop
    were told live; else idle ends at the stop (ADR 0005). The first proof counts."""
    stop = await sessions.stop_fact(tx.conn, row.id)
    stopped_at = row.stopped_at
    if stop is None or stopped_at is None:
        return
    seen = seen and clocks.is_live(stop.device_time or stop.at, stop.received_at)
    limit = stopped_at + timedelta(seconds=policies.idle_limit_s)
    at = max(stopped_at, min(said, limit)) if seen else stopped_at
    added = await sessions.add_facts(
        tx.conn, row.id, [from_ocpp16.unplug(row.id, at)], received_at=tx.now,
        detail={"gone_by": utc_text(said), "seen": seen},
    )  # fmt: skip
    if not added:
        return
    counts_on = idle_counts_on(await world.tariff(tx.conn, row.contract.tariff_digest))
    if counts_on and not seen:
        await anomalies.record(
            tx.conn,
            at=tx.now,
            code="unplug.missing",
            subject=row.id,
            detail={"gone_by": utc_text(said)},
            cause="bill",
        )
    await sessions.close_idle(
        tx.conn,
        row.id,
        ended_at=at if counts_on else stopped_at,
        bill_due_at=tx.now + timedelta(seconds=policies.settle_window_s),
    )


async def _again(
    tx: Transaction, row: SessionRow, message: v16.StopTransaction, said: datetime
) -> None:
    known = await sessions.stop_fact(tx.conn, row.id)
    if known and (known.device_time or known.at, known.register_wh) == (said, message.meter_stop):
        return
    await anomalies.record(
        tx.conn,
        at=tx.now,
        code="stop.differs" if known else "stop.late",
        subject=row.id,
        detail={
            "kept": [str(row.stopped_at), row.meter_stop_wh],
            "came": [message.timestamp, message.meter_stop],
        },
        cause=f"{message.timestamp}:{message.meter_stop}",
    )
