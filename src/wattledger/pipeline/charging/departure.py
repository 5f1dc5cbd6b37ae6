"""Step unplug: a charge point's own message that the cable is out (ConnectorUnplugged of the OCA's
pricing paper, for 1.6).

Unlike a status it is queued while the charge point is offline, so it proves when the car went
however late it comes, as long as the device's clock can be believed.
"""

from __future__ import annotations

from datetime import timedelta

from wattledger.db.work import Transaction
from wattledger.entitlements.model import Policies
from wattledger.ids import derive
from wattledger.pipeline.charging import clocks
from wattledger.pipeline.charging.clocks import Heard
from wattledger.pipeline.charging.idle import idle_counts_on
from wattledger.pipeline.charging.running import unknown_transaction
from wattledger.pipeline.world import World
from wattledger.sessions import Fact
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow
from wattledger.wire.numbers import device_text
from wattledger.wire.ocpp import costmsg


async def connector_unplugged(
    world: World, charge_point_id: str, message: costmsg.ConnectorUnplugged
) -> None:
    """Idle ends then. Told again it changes nothing; told after the bill, the bill is looked at
    again."""
    now = world.now
    heard = clocks.hear(message.at, now, world.device_clocks.offset(charge_point_id))
    policies = (await world.snapshot(now)).policies
    async with world.work.transaction("unplug", now=now) as tx:
        row = await sessions.by_transaction(
            tx.conn, charge_point_id, message.transaction_id, lock=True
        )
        if row is None:
            await unknown_transaction(
                tx, charge_point_id, message.transaction_id, "ConnectorUnplugged"
            )
            return
        await _left(tx, world, policies, row, clocks.within(row, heard, now))


async def _left(
    tx: Transaction, world: World, policies: Policies, row: SessionRow, heard: Heard
) -> None:
    """After a stop that was told late no idle time counts (the driver could not be warned), and a
    transaction that runs has not ended by this."""
    stop = await sessions.stop_fact(tx.conn, row.id)
    if stop is None or row.stopped_at is None:
        return
    live = stop.live
    if live is None:  # a stop from before this was kept with it
        live = clocks.is_live(stop.device_time or stop.at, stop.received_at)
    seen = live and (heard.live or not heard.wrong)
    limit = row.stopped_at + timedelta(seconds=policies.idle_limit_s)
    at = max(row.stopped_at, min(heard.at, limit)) if seen else row.stopped_at
    detail = {"gone_by": device_text(heard.said), "seen": seen, "told": "ConnectorUnplugged"}
    # Beside the fact of a status: of several the earliest counts.
    fact = Fact("unplug", at), derive("fct", row.id, "unplug", "message")
    if not await sessions.add_facts(
        tx.conn, row.id, [fact], received_at=tx.now, detail=detail
    ):  # fmt: skip
        return
    if row.state == "ended":
        counts_on = idle_counts_on(await world.tariff(tx.conn, row.contract.tariff_digest))
        before = row.ended_at if row.ended_at and row.ended_at > row.stopped_at else at
        await sessions.close_idle(
            tx.conn, row.id, ended_at=min(at, before) if counts_on else row.stopped_at,
            bill_due_at=tx.now + policies.settle_window,
        )  # fmt: skip
    else:
        await sessions.adjust_at(tx.conn, row.id, tx.now + policies.settle_window)
