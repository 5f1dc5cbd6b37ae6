"""What a payment took beyond all that it pays for: somebody captured it at the processor for more
than its session's price, for one that is free or was discarded, or beside another payment of it.

It is the driver's. Until a person gives it back it is a break of the reconciliation.
"""

from __future__ import annotations

from wattledger.db.work import Transaction
from wattledger.errors import Conflict, NotFound
from wattledger.ingest import anomalies
from wattledger.payments import foreign_store, returns_store, starts_store
from wattledger.payments import store as payments
from wattledger.payments.store import Payment
from wattledger.payments.stripe.amounts import step_minor
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.returning import money_back
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions

# Whose price is known: what pays for it is said by parts.
_PRICED = ("billed", "adjusted", "free")
_SHOWN = ("capture.outside", "capture.differs")


async def give_back(world: World, payment_id: str, *, actor: str, reason: str) -> str:
    """Give back what is too much; the id of what goes. Raises NotFound, and Conflict where nothing
    is, it is not known yet, or somebody gave something of it back at the processor: that may be
    it."""
    async with world.work.transaction("act") as tx:
        payment = await _captured(tx, payment_id)
        if past_us := await foreign_store.waiting(tx.conn, payment_id):
            raise Conflict(f"of payment {payment_id} something was given back at the processor"
                           f" ({', '.join(past_us)}): take that over first")  # fmt: skip
        excess = await returns_store.excess_minor(tx.conn, payment_id)
        excess -= excess % step_minor(payment.currency)
        if excess <= 0:
            raise Conflict(f"payment {payment_id} took no more than it pays for, or it goes back")
        row_id = await money_back.give_back(tx, payment, excess, cause="suspense")
        await money_acts.record(
            tx, actor=actor, act="payment.give_back", subject=payment_id, reason=reason,
            detail={"payment_refund_id": row_id, "amount_minor": excess,
                    "currency": payment.currency},
        )  # fmt: skip
        await given_back(tx, payment_id, f"given back by {actor}")
        return row_id


async def given_back(tx: Transaction, payment_id: str, why: str) -> None:
    """Nobody has to see to it any more, unless some of it is left."""
    if await returns_store.excess_minor(tx.conn, payment_id) > 0:
        return
    for code in _SHOWN:
        await anomalies.settle(tx.conn, code, payment_id, why, tx.now)


async def known_minor(tx: Transaction, payment: Payment) -> int:
    """What a payment, which is locked with its session, took too much; 0 where that is not known
    yet."""
    try:
        await _check(tx, payment)
    except Conflict:
        return 0
    return max(0, await returns_store.excess_minor(tx.conn, payment.id))


async def _captured(tx: Transaction, payment_id: str) -> Payment:
    """The payment, locked after its session: while that is being billed, or a start still waits
    for its session, nobody knows what is too much."""
    cursor = await tx.conn.execute("SELECT session_id FROM payment WHERE id = %s", (payment_id,))
    found = await cursor.fetchone()
    if found is None:
        raise NotFound(f"there is no payment {payment_id}")
    if found["session_id"] is not None:
        await sessions.get(tx.conn, found["session_id"], lock=True)
    payment = await payments.get(tx.conn, payment_id)
    await _check(tx, payment)
    return payment


async def _check(tx: Transaction, payment: Payment) -> None:
    if payment.state != "captured" or payment.leg == "topup":
        raise Conflict(f"payment {payment.id} ({payment.leg}) is {payment.state}: nothing of it"
                       " is too much")  # fmt: skip
    row = None
    if payment.session_id is not None:
        row = await sessions.get(tx.conn, payment.session_id)
    if row is not None and row.state not in _PRICED:
        raise Conflict(f"session {row.id} is {row.state}: it is not known yet what it costs")
    if payment.session_id is None:
        start = await starts_store.of_payment(tx.conn, payment.id)
        if start is not None and start.live:
            raise Conflict(f"start {start.id} is {start.state}: its session may be paid by it")
