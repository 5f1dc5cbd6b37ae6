"""Steps meter and status: what a running session says, and the ceiling it must stay under."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.entitlements.model import Policies
from wattledger.errors import WattledgerError
from wattledger.ingest import anomalies
from wattledger.payments import store as payments
from wattledger.pipeline import clocks
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
    """Register readings of a transaction; over the ceiling, or where its hold was declined, a
    RemoteStop."""
    now = world.now
    policies = (await world.snapshot(now)).policies
    async with world.work.transaction("meter", now=now) as tx:
        if message.transaction_id is None:
            return  # clock-aligned readings outside a transaction: nothing is billed by them
        row = await sessions.by_transaction(
            tx.conn, charge_point_id, message.transaction_id, lock=True
        )
        if row is None:
            await unknown_transaction(tx, charge_point_id, message.transaction_id, "MeterValues")
            return
        facts = from_ocpp16.meters(row.id, message, now)
        for value in message.meter_value:
            said = v16.time_of(value.timestamp, "meterValue.timestamp")
            await clocks.shown(tx, charge_point_id, "MeterValues", row.id, said)
        added = await sessions.add_facts(tx.conn, row.id, facts, received_at=tx.now)
        if row.state == "open" and row.contract.hold_minor:
            await _mind_the_money(tx, world, policies, row, added)
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
    said = (
        v16.time_of(message.timestamp, "StatusNotification.timestamp")
        if message.timestamp
        else received_at
    )
    now = world.now
    at = clocks.believed(said, now)
    policies = (await world.snapshot(now)).policies
    async with world.work.transaction("status", now=now) as tx:
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
            if at < row.started_at:
                continue
            detail = await clocks.shown(tx, charge_point_id, "StatusNotification", row.id, said)
            stopped = row.stopped_at is not None and at >= row.stopped_at
            fact = from_ocpp16.status(row.id, message.status, at, stopped=stopped)
            if fact is not None:
                await sessions.add_facts(tx.conn, row.id, [fact], received_at=tx.now, detail=detail)
            elif stopped and message.status in from_ocpp16.UNPLUGGED:
                await unplugged(tx, world, policies, row, said)


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


async def _mind_the_money(
    tx: Transaction, world: World, policies: Policies, row: SessionRow, added: int
) -> None:
    """What nobody pays for is stopped. A check that fails never undoes the readings: the session
    is held when it ends, with what could not be priced."""
    payment = await payments.of_session(tx.conn, row.id)
    if payment is not None and payment.state == "declined":
        await remote_stop(tx, row, "hold_declined")
        return
    if not added:
        return
    try:
        async with tx.savepoint():
            over = await _over_the_ceiling(tx, world, policies, row)
    except WattledgerError as error:
        await anomalies.record(
            tx.conn, at=tx.now, code="ceiling.unpriced", subject=row.id,
            detail={"why": str(error)}, cause="ceiling",
        )  # fmt: skip
        return
    if over:
        await remote_stop(tx, row, "ceiling")


async def _over_the_ceiling(
    tx: Transaction, world: World, policies: Policies, row: SessionRow
) -> bool:
    facts = await sessions.delivery(tx.conn, row.id)
    if isinstance(facts, Anomaly):
        return False  # it will be held when it ends; stopping it would not make it right
    tariff = await world.tariff(tx.conn, row.contract.tariff_digest)
    worst = worst_case(
        facts, tariff, row.contract.power_w, policies.sample_interval_s, policies.idle_limit_s
    )
    return price(worst, tariff, Terms.of(row.contract)).total_minor > row.contract.hold_minor


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
    """A RemoteStopTransaction as an effect, unless one of this session is on its way.

    One that was rejected or expired is followed by another; one that was accepted has
    ``COMMAND_LIFE`` to end the transaction.
    """
    cursor = await tx.conn.execute(
        "SELECT count(*) AS n, COALESCE(bool_or(state NOT IN ('done', 'rejected')"
        " OR (state = 'done' AND settled_at > %s)), false) AS awaited"
        " FROM effect WHERE subject = %s AND kind = 'ocpp.remote_stop'",
        (tx.now - COMMAND_LIFE, row.id),
    )
    earlier = await cursor.fetchone()
    assert earlier is not None, "an aggregate always has a row"
    if earlier["awaited"]:
        return
    await effects.add(
        tx.conn,
        kind="ocpp.remote_stop",
        subject=row.id,
        lane=f"cp:{row.charge_point_id}",
        key=f"{row.id}:remote_stop:{why}:{earlier['n'] + 1}",
        request={
            "charge_point_id": row.charge_point_id,
            "transaction_id": row.transaction_id,
            "why": why,
            "expires_at": (tx.now + COMMAND_LIFE).isoformat(),
        },
        due_at=tx.now,
        caused_at=tx.now,
    )
