"""Steps meter and status: what a running session says, and the ceiling it must stay under."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.ingest import anomalies
from wattledger.pipeline.end import unplugged
from wattledger.pipeline.world import World
from wattledger.rating import Terms, price
from wattledger.sessions import Activity, Anomaly, Change, Delivery, Reading, from_ocpp16
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow
from wattledger.tariffs import Dimension, Tariff
from wattledger.wire.ocpp import v16

# A remote stop that could not be given within this time is given up: the session is over or
# the charge point is gone.
COMMAND_LIFE = timedelta(minutes=15)


async def meter(world: World, charge_point_id: str, message: v16.MeterValues) -> None:
    """Register readings of a transaction; over the ceiling, a RemoteStop."""
    async with world.work.transaction("meter") as tx:
        if message.transaction_id is None:
            return  # clock-aligned readings outside a transaction: nothing is billed by them
        row = await sessions.by_transaction(
            tx.conn, charge_point_id, message.transaction_id, lock=True
        )
        if row is None:
            await unknown_transaction(tx, charge_point_id, message.transaction_id, "MeterValues")
            return
        facts = from_ocpp16.meters(row.id, message)
        added = await sessions.add_facts(tx.conn, row.id, facts, received_at=tx.now)
        if added and row.state == "open" and row.contract.hold_minor:
            await _mind_the_ceiling(tx, world, row)
        elif added and row.state not in ("open", "ended"):
            await anomalies.record(
                tx.conn,
                at=tx.now,
                code="meter.late",
                subject=row.id,
                detail={"state": row.state, "readings": added},
                cause=facts[0][1],
            )


async def status(
    world: World, charge_point_id: str, message: v16.StatusNotification, received_at: datetime
) -> None:
    """A connector's status: activity of the running session, or proof of an unplug."""
    at = (
        v16.time_of(message.timestamp, "StatusNotification.timestamp")
        if message.timestamp
        else received_at
    )
    async with world.work.transaction("status") as tx:
        await tx.conn.execute(
            "INSERT INTO charge_point_state (charge_point_id, connected, heard_at, connectors)"
            " VALUES (%(cp)s, true, %(now)s,"
            "   jsonb_build_object(%(c)s::text, jsonb_build_object('status', %(s)s::text,"
            "   'at', %(at)s::timestamptz)))"
            " ON CONFLICT (charge_point_id) DO UPDATE SET heard_at = EXCLUDED.heard_at,"
            " connected = true, connectors = charge_point_state.connectors || EXCLUDED.connectors",
            {
                "cp": charge_point_id, "c": str(message.connector_id), "s": message.status,
                "at": at, "now": tx.now,
            },
        )  # fmt: skip
        if message.connector_id == 0:
            return  # the charge point as a whole (§4.9): no connector's session
        for row in await sessions.on_connector(tx.conn, charge_point_id, message.connector_id):
            if row.state == "open" and at >= row.started_at:
                fact = from_ocpp16.status(row.id, message.status, at)
                if fact is not None:
                    await sessions.add_facts(tx.conn, row.id, [fact], received_at=tx.now)
            elif (
                row.state == "ended"
                and message.status in from_ocpp16.UNPLUGGED
                and row.stopped_at is not None
                and at >= row.stopped_at
            ):
                await unplugged(tx, world, row, at)


async def unknown_transaction(
    tx: Transaction, charge_point_id: str, transaction_id: int, action: str
) -> None:
    """Answered all the same (1.6 §4.8), and shown to a person."""
    await anomalies.record(
        tx.conn,
        at=tx.now,
        code="transaction.unknown",
        subject=charge_point_id,
        detail={"transaction_id": transaction_id, "action": action},
        cause=f"{transaction_id}:{action}",
    )


async def _mind_the_ceiling(tx: Transaction, world: World, row: SessionRow) -> None:
    facts = await sessions.delivery(tx.conn, row.id)
    if isinstance(facts, Anomaly):
        return  # it will be held when it ends; stopping it would not make it right
    tariff = await world.tariff(tx.conn, row.contract.tariff_digest)
    snapshot = await world.snapshot(tx.now)
    policies = snapshot.policies
    worst = worst_case(
        facts, tariff, row.contract.power_w, policies.sample_interval_s, policies.idle_limit_s
    )
    if price(worst, tariff, Terms.of(row.contract)).total_minor <= row.contract.hold_minor:
        return
    await remote_stop(tx, row, "ceiling")


def worst_case(
    delivery: Delivery, tariff: Tariff, power_w: int, interval_s: int, idle_limit_s: int
) -> Delivery:
    """What stopping now can't stop any more: one sample interval at full power, then idle up
    to its cap. Without a cap on idle nothing is kept free for it: no ceiling could hold it.
    """
    last = delivery.readings[-1]
    until = last.at + timedelta(seconds=interval_s)
    capped = any(cap.dimension is Dimension.IDLE_TIME for cap in tariff.caps)
    more_wh = -(-power_w * interval_s // 3600)
    return msgspec.structs.replace(
        delivery,
        readings=(*delivery.readings, Reading(until, last.register_wh + more_wh)),
        changes=(*delivery.changes, Change(until, Activity.VEHICLE_IDLE)),
        ended_at=until + timedelta(seconds=idle_limit_s if capped else 0),
    )


async def remote_stop(tx: Transaction, row: SessionRow, why: str) -> None:
    """A RemoteStopTransaction as an effect; once for a session and reason."""
    await effects.add(
        tx.conn,
        kind="ocpp.remote_stop",
        subject=row.id,
        lane=f"cp:{row.charge_point_id}",
        key=f"{row.id}:remote_stop:{why}",
        request={
            "charge_point_id": row.charge_point_id,
            "transaction_id": row.transaction_id,
            "why": why,
            "expires_at": (tx.now + COMMAND_LIFE).isoformat(),
        },
        due_at=tx.now,
        caused_at=tx.now,
    )
