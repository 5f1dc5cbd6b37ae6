"""Payments above a bound: sent when a person lets them, given up when a person refuses them."""

from __future__ import annotations

from wattledger.db.work import Transaction
from wattledger.errors import Conflict, NotFound
from wattledger.ingest import anomalies
from wattledger.payments import starts_store
from wattledger.payments import store as payments
from wattledger.payments.store import Part, Payment
from wattledger.pipeline.collecting import bounds, collect, parts
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions

REFUSED = "refused_by_us"


async def release(world: World, payment_id: str, actor: str, reason: str) -> None:
    """Send what was parked, as it was decided. Raises NotFound, and Conflict where it is not
    parked, or for a start that is over: that one is refused instead, for nobody waits for it."""
    async with world.work.transaction("act") as tx:
        payment = await _parked(tx, payment_id)
        start = None
        if payment.session_id is None and payment.leg == "hold":
            start = await starts_store.of_payment(tx.conn, payment_id)
        over = start is not None and not (start.live and tx.now < start.expires_at)
        if over:
            await _give_up(tx, payment)
            with money_acts.without_key():
                await _decided(tx, payment, "payment.refuse", actor, reason)
        else:
            unsent = await payments.parked(tx.conn, payment_id)
            await bounds.send(tx, payment_id, unsent, tx.now)
            await payments.move(tx.conn, payment_id, unsent["to"])
            await _decided(tx, payment, "payment.release", actor, reason)
    if over and start is not None:
        raise Conflict(f"start {start.id} of payment {payment_id} is over ({start.why or 'late'}):"
                       " nothing is held for it, and the payment was refused")  # fmt: skip


async def refuse(world: World, payment_id: str, actor: str, reason: str) -> None:
    """Nothing is taken: what it should have paid is waived, and what is held is given back.
    Raises NotFound, and Conflict where it is not parked."""
    async with world.work.transaction("act") as tx:
        payment = await _parked(tx, payment_id)
        await _give_up(tx, payment)
        await _decided(tx, payment, "payment.refuse", actor, reason)


async def _give_up(tx: Transaction, payment: Payment) -> None:
    if payment.intent_id is not None and payment.leg == "hold":
        await collect.release(tx, payment)
        await _waive(tx, payment)
    else:
        await payments.declined(tx.conn, payment.id, intent_id=None, code=REFUSED)
        await _never_sent(tx, payment)


async def _never_sent(tx: Transaction, payment: Payment) -> None:
    if payment.leg == "hold":
        await collect.not_held(tx, payment.id)
    elif payment.leg in ("debt", "topup"):
        await collect.not_charged(tx, payment, REFUSED)
    else:
        await _waive(tx, payment)


async def _waive(tx: Transaction, payment: Payment) -> None:
    if payment.session_id is None:
        return
    row = await sessions.get(tx.conn, payment.session_id)
    assert row is not None, "a payment has its session (foreign key)"
    await parts.settle(tx, row, payment, 0, lambda minor: [Part("waived", minor, why=REFUSED)])


async def _parked(tx: Transaction, payment_id: str) -> Payment:
    try:
        payment = await payments.get(tx.conn, payment_id)
    except LookupError:
        raise NotFound(f"there is no payment {payment_id}") from None
    if payment.state != "parked":
        raise Conflict(f"payment {payment_id} is {payment.state}, not parked")
    return payment


async def _decided(tx: Transaction, payment: Payment, act: str, actor: str, reason: str) -> None:
    await money_acts.record(
        tx, actor=actor, act=act, subject=payment.id, reason=reason,
        detail={"why": payment.parked_why, "amount_minor": payment.hold_minor,
                "currency": payment.currency},
    )  # fmt: skip
    await anomalies.settle(tx.conn, "payment.parked", payment.id, f"{act} by {actor}", tx.now)
