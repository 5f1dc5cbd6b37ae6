"""Step stop, and what closes the idle time after it: when a session becomes billable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from wattledger.clock import utc_text
from wattledger.db.work import Transaction
from wattledger.entitlements.model import Policies
from wattledger.ids import derive
from wattledger.ingest import anomalies
from wattledger.pipeline.charging import clocks, meters
from wattledger.pipeline.charging.billable import billable_at
from wattledger.pipeline.charging.clocks import Heard
from wattledger.pipeline.charging.idle import idle_counts_on
from wattledger.pipeline.display import shown
from wattledger.pipeline.stations.commands import ask_after
from wattledger.pipeline.world import World
from wattledger.sessions import Fact, from_ocpp16, lookup
from wattledger.sessions import store as sessions
from wattledger.sessions.facts import place
from wattledger.sessions.store import SessionRow
from wattledger.wire.numbers import device_text
from wattledger.wire.ocpp import v16
from wattledger.wire.ocpp.samples import Sample


class Ending(msgspec.Struct, frozen=True):
    """A stop as it was told. ``register_wh`` None: the meter values say. ``unplugged``: the message
    itself proves that the car has gone."""

    heard: Heard
    register_wh: int | None
    reason: str
    fact: tuple[Fact, str]
    action: str = "StopTransaction"


async def stop(world: World, charge_point_id: str, message: v16.StopTransaction) -> None:
    """The end of a transaction, committed before it is answered.

    A repetition changes nothing; a different stop for the same transaction is an anomaly and
    the first is kept; one that we know no start of is an anomaly with all that it said. One that
    comes after its session was taken to be over is the real one: it replaces what was presumed,
    in the bill if there is none yet, else by an adjustment.
    """
    said = v16.time_of(message.timestamp)
    samples = v16.samples(message.transaction_data, "transactionData")
    now = world.now
    heard = clocks.hear(said, now, world.device_clocks.offset(charge_point_id))
    policies = (await world.snapshot(now)).policies
    async with world.work.transaction("stop", now=now) as tx:
        row = await _meant(tx, charge_point_id, message, heard)
        if row is None:
            return
        heard = clocks.within(row, heard, now)
        if message.transaction_id <= 0:
            await _without_its_name(tx, policies, row, message, heard)
            return
        fact = from_ocpp16.stop(row.id, message, heard.at)
        ending = Ending(heard, message.meter_stop, message.reason, fact)
        await end(tx, world, policies, row, ending, samples)


async def _meant(
    tx: Transaction, charge_point_id: str, message: v16.StopTransaction, heard: Heard
) -> SessionRow | None:
    """By its id; without one (-1, 1.6 errata 3.18) the only one that runs there with this token.
    Without a token either it can only be meant where there is one connector."""
    if message.transaction_id > 0:
        row = await sessions.by_transaction(
            tx.conn, charge_point_id, message.transaction_id, lock=True
        )
        found = [row] if row is not None else []
    elif message.id_tag is None and await lookup.connectors(tx.conn, charge_point_id) > 1:
        found = []
    else:
        found = await lookup.candidates(
            tx.conn, charge_point_id, connector_id=None, token=message.id_tag, at=heard.at
        )
        found = [row for row in found if message.meter_stop >= (row.meter_start_wh or 0)]
    if len(found) != 1:
        await _unknown(tx, charge_point_id, message)
        return None
    return found[0]


async def _without_its_name(
    tx: Transaction,
    policies: Policies,
    row: SessionRow,
    message: v16.StopTransaction,
    heard: Heard,
) -> None:
    """A stop that was only matched ends its session, and its register is the last one: but one that
    names the session is the real one, should it come."""
    key = derive("fct", row.id, "matched", heard.said.isoformat(), message.meter_stop)
    fact = Fact("meter", heard.at, message.meter_stop, origin="sample")
    await sessions.add_facts(tx.conn, row.id, [(fact, key)], received_at=tx.now)
    await anomalies.record(
        tx.conn, at=tx.now, code="transaction.matched", subject=row.id,
        detail={"said": message.transaction_id, "action": "StopTransaction"},
        cause="StopTransaction",
    )  # fmt: skip
    await presume_over(tx, policies, row, "a stop without a number", missing=False)


async def end(
    tx: Transaction,
    world: World,
    policies: Policies,
    row: SessionRow,
    ending: Ending,
    samples: Sequence[Sample],
) -> None:
    """A stop into its session, whatever became of the session meanwhile."""
    over = row.state == "open" or row.stop_provisional
    held = row.state == "held" and row.held_reason == "stop.missing"
    if not over and not held:
        if await _again(tx, row, ending):
            return
        added = await meters.take(tx, row, samples, ending.heard, ending.action)
        await meters.late(tx, row, policies, added, "stop")
        return
    if row.state != "open":
        await _shown_late(tx, row, ending)
    detail = await clocks.shown(tx, row.charge_point_id, ending.action, row.id, ending.heard)
    await sessions.add_facts(
        tx.conn, row.id, [ending.fact], received_at=tx.now,
        detail={"reason": ending.reason, "live": ending.heard.live, **detail},
    )  # fmt: skip
    await meters.take(tx, row, samples, ending.heard, ending.action)
    if row.state not in ("open", "ended", "held"):
        await sessions.adjust_at(tx.conn, row.id, tx.now + policies.settle_window)
        return
    due_at = await billable_at(tx, world, policies, row, live=ending.heard.live)
    first_wh, last_wh = await _registers(tx, row, ending)
    await sessions.stop(
        tx.conn, row.id, stopped_at=ending.heard.at, meter_stop_wh=last_wh,
        reason=ending.reason, bill_due_at=due_at, meter_start_wh=first_wh,
    )  # fmt: skip
    if held or await lookup.is_followed(tx.conn, row):
        # Another car was there since: this one had gone, nobody saw when.
        stopped = msgspec.structs.replace(row, stopped_at=ending.heard.at)
        now = clocks.Heard(tx.now, tx.now, wrong=False, live=True)
        await _gone(tx, world, policies, stopped, now, seen=False)
    elif ending.heard.live:
        await _gone_before(tx, world, policies, row, ending.heard.at)
    await shown.moved(tx, world, row, idle=True, gone=ending.reason == "EVDisconnected")


async def _gone_before(
    tx: Transaction, world: World, policies: Policies, row: SessionRow, stopped_at: datetime
) -> None:
    """A status may overtake a stop: where the connector is available already, the car has gone."""
    at = await lookup.available_since(tx.conn, row.charge_point_id, row.connector_id)
    if at is None or at <= row.started_at or stopped_at - at > clocks.LIVE_WITHIN:
        return
    at = max(at, stopped_at)
    stopped = msgspec.structs.replace(row, stopped_at=stopped_at)
    await _gone(tx, world, policies, stopped, Heard(at, at, wrong=False, live=True), seen=True)


async def _registers(tx: Transaction, row: SessionRow, ending: Ending) -> tuple[int | None, int]:
    """The first and the last register that were told; the bill judges them."""
    if ending.register_wh is not None:
        return row.meter_start_wh, ending.register_wh
    told = [f for f in await sessions.facts(tx.conn, row.id)
            if f.register_wh is not None and not f.is_interval]  # fmt: skip
    told.sort(key=place)
    if not told:
        return row.meter_start_wh, row.meter_start_wh or 0
    return told[0].register_wh, told[-1].register_wh or 0


async def presume_over(
    tx: Transaction,
    policies: Policies,
    row: SessionRow,
    why: str,
    *,
    wait: bool = True,
    missing: bool = True,
) -> None:
    """A running session whose stop nobody told, though it must be over (R10).

    It ends with what was last read of it, is billed by that when there was time for the stop to
    come after all, and adjusted when it comes later. Where nothing was read it is held: its
    energy is not known.
    """
    told = sorted(await sessions.facts(tx.conn, row.id), key=place)
    last = next((f for f in reversed(told) if f.kind == "meter" and f.register_wh is not None
                 and not f.is_interval), None)  # fmt: skip
    detail: dict[str, Any] = {"why": why}
    if last is None:
        await sessions.move(tx.conn, row.id, "held", held_reason="stop.missing")
    else:
        at = max(fact.at for fact in told)
        detail |= {"last_read_at": utc_text(last.at), "register_wh": last.register_wh}
        due_at = tx.now + (policies.late_stop_wait if wait else policies.settle_window)
        await sessions.stop(
            tx.conn, row.id, stopped_at=at, meter_stop_wh=last.register_wh or 0,
            reason="Missing", bill_due_at=due_at, provisional=True,
            meter_start_wh=told[0].register_wh,
        )  # fmt: skip
    if missing:
        await anomalies.record(
            tx.conn, at=tx.now, code="stop.missing", subject=row.id, detail=detail, cause="stop"
        )


async def look_after(world: World, session_id: str) -> str:
    """A running session that was not heard of: asked about first, and then taken to be over. What
    was done: nothing, later, asked, over; unknown where there is no such session."""
    now = world.now
    policies = (await world.snapshot(now)).policies
    async with world.work.transaction("look_after", now=now) as tx:
        row = await sessions.get(tx.conn, session_id, lock=True)
        if row is None:
            return "unknown"
        if row.state != "open" or row.check_due_at is None:
            return "nothing"
        if row.check_due_at > tx.now:
            return "nothing"
        heard_at = await lookup.last_heard_at(tx.conn, session_id) or row.check_due_at
        silent_since = row.check_due_at - (
            policies.silence if row.check_why in (None, "silence") else policies.late_stop_wait
        )
        if heard_at > silent_since:
            await sessions.check_at(tx.conn, session_id, heard_at + policies.silence, "silence")
            return "later"
        if row.check_why in (None, "silence"):
            await ask_after(tx, row)
            again_at = tx.now + policies.late_stop_wait
            await sessions.check_at(tx.conn, session_id, again_at, "asked")
            return "asked"
        why = "the charge point began anew" if row.check_why == "boot" else "it was not heard of"
        await presume_over(tx, policies, row, why, wait=False)
        return "over"


async def look_failed(world: World, session_id: str, why: str) -> None:
    """A fault of ours: the session is looked after again later, and a person is shown it."""
    policies = (await world.snapshot(world.now)).policies
    async with world.work.transaction("look_after") as tx:
        await sessions.check_at(tx.conn, session_id, tx.now + policies.silence, "silence")
        await anomalies.record(
            tx.conn, at=tx.now, code="look.failed", subject=session_id, detail={"why": why},
            cause=why,
        )  # fmt: skip


async def _shown_late(tx: Transaction, row: SessionRow, ending: Ending) -> None:
    await anomalies.record(
        tx.conn, at=tx.now, code="stop.late", subject=row.id,
        detail={"state": row.state, "kept": [str(row.stopped_at), row.meter_stop_wh],
                "came": [device_text(ending.heard.said), ending.register_wh]},
        cause=f"{device_text(ending.heard.said)}:{ending.register_wh}",
    )  # fmt: skip


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
            "token": message.id_tag,
        },
        cause=f"{message.transaction_id}:{message.timestamp}:{message.meter_stop}",
    )


async def unplugged(
    tx: Transaction, world: World, policies: Policies, row: SessionRow, heard: Heard
) -> None:
    """A connector says that the vehicle has gone: the bill ends, and is due after the settle
    window."""
    await _gone(tx, world, policies, row, heard, seen=heard.live)


async def close_predecessors(
    tx: Transaction,
    world: World,
    policies: Policies,
    charge_point_id: str,
    connector_id: int,
    at: datetime,
) -> None:
    """A new start proves that the one before is over, but not since when: its bill ends at its
    stop, or, if that was not told, with what was last read of it."""
    heard = clocks.Heard(at, at, wrong=False, live=False)
    for row in await sessions.on_connector(tx.conn, charge_point_id, connector_id):
        if row.started_at >= at:
            continue
        if row.state == "ended":
            await _gone(tx, world, policies, row, heard, seen=False)
        else:
            await presume_over(tx, policies, row, "the next session has started")


async def _gone(
    tx: Transaction,
    world: World,
    policies: Policies,
    row: SessionRow,
    heard: Heard,
    *,
    seen: bool,
) -> None:
    """The vehicle has gone by then. When it went was ``seen`` only where that and the stop
    were told live; else idle ends at the stop (ADR 0005). The first proof counts."""
    stop = await sessions.stop_fact(tx.conn, row.id)
    stopped_at = row.stopped_at
    if stop is None or stopped_at is None:
        return
    live = stop.live
    if live is None:  # a stop from before this was kept with it
        live = clocks.is_live(stop.device_time or stop.at, stop.received_at)
    seen = seen and live
    limit = stopped_at + timedelta(seconds=policies.idle_limit_s)
    at = max(stopped_at, min(heard.at, limit)) if seen else stopped_at
    added = await sessions.add_facts(
        tx.conn, row.id, [from_ocpp16.unplug(row.id, at)], received_at=tx.now,
        detail={"gone_by": device_text(heard.said), "seen": seen},
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
            detail={"gone_by": device_text(heard.said)},
            cause="bill",
        )
    await sessions.close_idle(
        tx.conn,
        row.id,
        ended_at=at if counts_on else stopped_at,
        bill_due_at=tx.now + timedelta(seconds=policies.settle_window_s),
    )


async def _again(tx: Transaction, row: SessionRow, ending: Ending) -> bool:
    """A stop of a session that has one: the same says nothing new, another is shown, and nothing
    of it is taken. Whether it is another."""
    said, register_wh = ending.heard.said, ending.register_wh
    known = await sessions.stop_fact(tx.conn, row.id)
    if known and (known.device_time or known.at, known.register_wh) == (said, register_wh):
        return False
    await anomalies.record(
        tx.conn,
        at=tx.now,
        code="stop.differs" if known else "stop.late",
        subject=row.id,
        detail={
            "kept": [str(row.stopped_at), row.meter_stop_wh],
            "came": [device_text(said), register_wh],
        },
        cause=f"{device_text(said)}:{register_wh}",
    )
    return True
