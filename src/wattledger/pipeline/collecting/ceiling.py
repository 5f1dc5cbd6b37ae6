"""The ceiling a running session must stay under, from the bill's own pricing function; and how it
is raised: by holding more while there is time."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from wattledger.db.work import Transaction
from wattledger.entitlements.model import Policies
from wattledger.errors import WattledgerError
from wattledger.ingest import anomalies
from wattledger.payments import plan
from wattledger.payments import store as payments
from wattledger.payments.store import Payment
from wattledger.pipeline.collecting import bounds, collect, sending
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.pipeline.stations.commands import remote_stop
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
        worst_minor = await _worst(tx, world, policies, row)
    except WattledgerError as error:
        await anomalies.record(
            tx.conn, at=tx.now, code="ceiling.unpriced", subject=row.id,
            detail={"why": str(error)}, cause="ceiling",
        )  # fmt: skip
        return
    if worst_minor is None:
        return
    over = worst_minor > plan.ceiling_minor(row.contract, payment)
    if payment is not None and await _asks_for_more(tx, row, payment, worst_minor):
        return  # its answer looks again
    if over and row.contract.payment.stop_at_ceiling:
        await remote_stop(tx, row, "ceiling")


async def _asks_for_more(
    tx: Transaction, row: SessionRow, payment: Payment, worst_minor: int
) -> bool:
    """Whether more is to be held from now on, as far as the card will have it. While an answer is
    open nothing more is asked: what is over the ceiling by then is stopped."""
    if not row.contract.payment.increment_at_percent or payment.state != "held":
        return False
    if await sending.incrementing(tx, payment):
        return False
    most = (await bounds.in_force(tx, payment.processor_id, payment.currency)).charge_max_minor
    total = plan.raised_minor(
        row.contract, payment, worst_minor, most if most is not None else payment.held_minor
    )
    if total is None:
        return False
    await sending.increment(tx, payment, total)
    return True


async def increment_done(settled: Settled) -> None:
    """More is held."""
    await payments.raised(settled.tx.conn, settled.effect.subject, settled.response)
    await _look_again(settled)


async def increment_refused(settled: Settled) -> None:
    """The card holds no more, and is not asked again; what it holds stays good, unless it turns
    out that it is gone."""
    tx, response = settled.tx, settled.response
    if response.get("code") == "canceled":
        payment = await payments.get(tx.conn, settled.effect.subject)
        if payment.state == "held":
            await collect.hold_gone(settled, payment, str(response.get("why") or "canceled"))
        return
    code = str(response.get("decline_code") or response.get("code", "declined"))
    await payments.not_raised(tx.conn, settled.effect.subject, code)
    await anomalies.record(
        tx.conn, at=tx.now, code="increment.declined", subject=settled.effect.subject,
        detail={**response, "wanted_minor": settled.effect.request["amount_minor"]},
        cause=settled.effect.key,
    )  # fmt: skip
    await _look_again(settled)


async def _look_again(settled: Settled) -> None:
    payment = await payments.get(settled.tx.conn, settled.effect.subject)
    if payment.session_id is None:
        return
    row = await sessions.get(settled.tx.conn, payment.session_id, lock=True)
    if row is not None and row.state == "open":
        await mind_the_money(settled.tx, settled.world, settled.snapshot.policies, row, 1)


async def _worst(tx: Transaction, world: World, policies: Policies, row: SessionRow) -> int | None:
    """What it can come to, even if it is stopped now."""
    found = (await sessions.assembled(tx.conn, row)).delivery
    if found is None:
        return None  # it will be held when it ends; stopping it would not make it right
    tariff = await world.tariff(tx.conn, row.contract.tariff_digest)
    worst = worst_case(
        found, tariff, row.contract.power_w, policies.sample_interval_s, policies.idle_limit_s
    )
    return price(worst, tariff, Terms.of(row.contract)).total_minor


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


HANDLERS = {"stripe.increment": Handler("incremented", increment_done, increment_refused)}
