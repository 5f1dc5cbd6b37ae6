"""Steps meter, status and boot: what a running session says, in OCPP 1.6 and behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from wattledger.db.work import Transaction
from wattledger.entitlements.model import Policies
from wattledger.ingest import anomalies
from wattledger.pipeline.charging import clocks, meters
from wattledger.pipeline.charging.clocks import Heard
from wattledger.pipeline.charging.end import unplugged
from wattledger.pipeline.collecting.ceiling import mind_the_money
from wattledger.pipeline.display import shown
from wattledger.pipeline.stations.commands import ask_after
from wattledger.pipeline.world import World
from wattledger.sessions import Activity, at_once, from_ocpp16, lookup
from wattledger.sessions import store as sessions
from wattledger.sessions.at_once import Known
from wattledger.sessions.store import SessionRow
from wattledger.wire.ocpp import v2, v16
from wattledger.wire.ocpp.samples import Sample


async def meter(world: World, charge_point_id: str, message: v16.MeterValues) -> None:
    """Register readings of a transaction; over the ceiling, or where its hold was declined, a
    RemoteStop. Readings without a transaction's id are of the one that runs there, if one does."""
    now = world.now
    policies = (await world.snapshot(now)).policies
    samples = v16.samples(message.meter_value, "meterValue")
    if not samples:
        return
    # The latest of them was read when the message was made.
    offset = world.device_clocks.offset(charge_point_id)
    heard = clocks.hear(max(sample.at for sample in samples), now, offset)
    if await _only_more(world, charge_point_id, message, samples, heard, now):
        return
    async with world.work.transaction("meter", now=now) as tx:
        found = await _take_known(tx, world, charge_point_id, message, samples, heard)
        if found is None:
            row = await which(
                tx, charge_point_id, message.transaction_id, heard, action="MeterValues",
                connector_id=message.connector_id or None,
            )  # fmt: skip
            if row is None:
                return
            if message.transaction_id is None and not await meters.says_more(tx, row, samples):
                return
            if row.state == "open":
                world.known_sessions.note(Known(row))
            its = clocks.within(row, heard, now)
            found = row, await meters.take(tx, row, samples, its, "MeterValues")
        row, added = found
        if row.state == "open" and row.contract.hold_minor:
            await mind_the_money(tx, world, policies, row, added)
        if added and row.state == "open":
            await shown.moved(tx, world, row)
        await meters.late(tx, row, policies, added, heard.said.isoformat())


async def _only_more(
    world: World,
    charge_point_id: str,
    message: v16.MeterValues,
    samples: Sequence[Sample],
    heard: Heard,
    now: datetime,
) -> bool:
    """What most messages are: readings of a session that runs on, of which nothing follows. Then
    the step is one statement. False: nothing is done yet."""
    known = world.known_sessions.get(charge_point_id, message.transaction_id or 0)
    if known is None or known.row.contract.hold_minor or shown.is_told(world, known.row, now):
        return False
    its = clocks.within(known.row, heard, now)
    read = meters.facts_of(known.row, samples, its, now)
    if not 0 < len(read.facts) <= at_once.FACTS_MAX or read.notes or read.signed:
        return False
    if any(clocks.hear(sample.at, now).wrong for sample in samples):
        return False
    async with world.work.statement("meter", now=now) as tx:
        return await at_once.add_running(tx.conn, known.row, read.facts, received_at=now)


async def _take_known(
    tx: Transaction,
    world: World,
    charge_point_id: str,
    message: v16.MeterValues,
    samples: Sequence[Sample],
    heard: Heard,
) -> tuple[SessionRow, int] | None:
    """Readings of a transaction that was read of before: found, locked and written in one
    statement. None: it has to be looked for."""
    known = world.known_sessions.get(charge_point_id, message.transaction_id or 0)
    if known is None:
        return None
    heard = clocks.within(known.row, heard, tx.now)
    read = meters.facts_of(known.row, samples, heard, tx.now)
    found = None
    if len(read.facts) <= at_once.FACTS_MAX:
        found = await at_once.add_facts(tx.conn, known.row, read.facts, received_at=tx.now)
    if found is None or found[0].state != "open":
        world.known_sessions.forget(known.row)
    if found is None:
        return None
    row, added = found
    return row, added + await meters.take_rest(tx, row, samples, read, "MeterValues")


async def which(
    tx: Transaction,
    charge_point_id: str,
    transaction_id: int | None,
    heard: Heard,
    *,
    action: str,
    connector_id: int | None = None,
    token: str | None = None,
) -> SessionRow | None:
    """The session that is meant, locked (R4).

    A charge point whose start was never confirmed has no id, and says -1 or nothing (1.6 errata
    3.18): then it is the one session that runs there. A number that we never gave out is of
    something we know nothing of, and matches nothing: answered all the same, and shown to a person.
    """
    if transaction_id is not None and transaction_id > 0:
        row = await sessions.by_transaction(tx.conn, charge_point_id, transaction_id, lock=True)
        if row is None:
            await unknown_transaction(tx, charge_point_id, transaction_id, action)
        return row
    if transaction_id is None and connector_id is None:
        return None  # clock-aligned readings of the charge point as a whole
    found = await lookup.candidates(
        tx.conn, charge_point_id, connector_id=connector_id, token=token, at=heard.at
    )
    if len(found) != 1:
        if transaction_id is not None or len(found) > 1:
            await unknown_transaction(tx, charge_point_id, transaction_id, action)
        return None
    await anomalies.record(
        tx.conn, at=tx.now, code="transaction.matched", subject=found[0].id,
        detail={"said": transaction_id, "action": action}, cause=action,
    )  # fmt: skip
    return found[0]


async def status(
    world: World, charge_point_id: str, message: v16.StatusNotification, received_at: datetime
) -> None:
    """A connector's status: activity of the running session, or proof of an unplug."""
    now = world.now
    said = received_at
    if message.timestamp:
        said = v16.time_of(message.timestamp)
        world.device_clocks.told(charge_point_id, said, now)
    heard = clocks.hear(said, now, world.device_clocks.offset(charge_point_id))
    policies = (await world.snapshot(now)).policies
    async with world.work.transaction("status", now=now) as tx:
        await connector_says(tx, charge_point_id, message.connector_id, message.status, heard)
        if message.connector_id == 0:
            return  # the charge point as a whole (§4.9): no connector's session
        await status_told(
            tx, world, policies, charge_point_id, message.connector_id, message.status, heard
        )


async def connector_status(
    world: World, charge_point_id: str, state: v2.ConnectorState, *, live: bool
) -> None:
    """A StatusNotification or a NotifyEvent about a connector: proof that the car has gone, where
    it says that nothing is plugged in."""
    now = world.now
    if live:
        world.device_clocks.told(charge_point_id, state.at, now)
    heard = clocks.hear(state.at, now, world.device_clocks.offset(charge_point_id))
    policies = (await world.snapshot(now)).policies
    async with world.work.transaction("status", now=now) as tx:
        await connector_says(tx, charge_point_id, state.evse_id, state.status, heard)
        if state.evse_id:
            # 2.x says Occupied for all that a 1.6 connector tells apart; Available is what counts.
            await status_told(
                tx, world, policies, charge_point_id, state.evse_id, state.status, heard
            )


async def connector_says(
    tx: Transaction, charge_point_id: str, connector_id: int, status_name: str, heard: Heard
) -> None:
    """The last word of a connector, for whoever looks."""
    await tx.conn.execute(
        "INSERT INTO charge_point_state (charge_point_id, connected, heard_at, connectors)"
        " VALUES (%(cp)s, true, %(now)s,"
        "   jsonb_build_object(%(c)s::text, jsonb_build_object('status', %(s)s::text,"
        "   'at', %(at)s::timestamptz)))"
        " ON CONFLICT (charge_point_id) DO UPDATE SET heard_at = EXCLUDED.heard_at,"
        " connected = true, connectors = charge_point_state.connectors || EXCLUDED.connectors",
        {
            "cp": charge_point_id, "c": str(connector_id), "s": status_name, "at": heard.at,
            "now": tx.now,
        },
    )  # fmt: skip


async def status_told(
    tx: Transaction,
    world: World,
    policies: Policies,
    charge_point_id: str,
    connector_id: int,
    status_name: str,
    said: Heard,
) -> None:
    """What a connector's status says of the session on it: what it does, that the car has gone,
    or that it must be over though no stop was told. Of the last that had begun by then only: what
    another car does says nothing of the one before."""
    there = await sessions.on_connector(tx.conn, charge_point_id, connector_id)
    told = [(row, clocks.within(row, said, tx.now)) for row in there]
    for row, heard in [(row, its) for row, its in told if row.started_at <= its.at][-1:]:
        detail = await clocks.shown(tx, charge_point_id, "StatusNotification", row.id, heard)
        stopped = row.stopped_at is not None and heard.at >= row.stopped_at
        fact = from_ocpp16.status(row.id, status_name, heard.at, stopped=stopped)
        if fact is not None:
            if await sessions.add_facts(tx.conn, row.id, [fact], received_at=tx.now, detail=detail):
                idle = fact[0].activity is Activity.VEHICLE_IDLE
                await shown.moved(tx, world, row, idle=idle)
        elif stopped and status_name in from_ocpp16.UNPLUGGED:
            await unplugged(tx, world, policies, row, heard)
        elif row.state == "open" and status_name == "Available" and heard.at > row.started_at:
            await _must_be_over(tx, policies, row)


async def _must_be_over(tx: Transaction, policies: Policies, row: SessionRow) -> None:
    """Its connector is available. A status may overtake the stop (1.6 §3.7), a charge point that
    began anew may say it before it goes on, and a 2.x transaction may begin before the car is there
    (TxStartPoint): so it has a while to be heard of."""
    if row.check_why == "asked":
        return
    if row.source.startswith("ocpp2"):
        await ask_after(tx, row)
    await sessions.check_at(tx.conn, row.id, tx.now + policies.late_stop_wait, "asked")


async def booted(world: World, charge_point_id: str) -> None:
    """A charge point that begins anew may have lost what it was doing: what runs there has a while
    to be heard of (R10)."""
    now = world.now
    policies = (await world.snapshot(now)).policies
    if not await world.runs_at.about(charge_point_id):
        return
    async with world.work.transaction("boot", now=now) as tx:
        for row in await lookup.running_on(tx.conn, charge_point_id):
            await sessions.check_at(tx.conn, row.id, tx.now + policies.late_stop_wait, "boot")


async def unknown_transaction(
    tx: Transaction, charge_point_id: str, transaction_id: int | str | None, action: str
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
