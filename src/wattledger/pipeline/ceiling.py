"""The ceiling a running session must stay under, from the bill's own pricing function."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from wattledger.db.work import Transaction
from wattledger.entitlements.model import Policies
from wattledger.errors import WattledgerError
from wattledger.ingest import anomalies
from wattledger.payments import store as payments
from wattledger.pipeline.commands import remote_stop
from wattledger.pipeline.world import World
from wattledger.rating import Terms, price
from wattledger.sessions import Activity, Change, Delivery, Reading
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow
from wattledger.tariffs import Dimension, Tariff


async def mind_the_money(
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
    found = (await sessions.assembled(tx.conn, row)).delivery
    if found is None:
        return False  # it will be held when it ends; stopping it would not make it right
    tariff = await world.tariff(tx.conn, row.contract.tariff_digest)
    worst = worst_case(
        found, tariff, row.contract.power_w, policies.sample_interval_s, policies.idle_limit_s
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
