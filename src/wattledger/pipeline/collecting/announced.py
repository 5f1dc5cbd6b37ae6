"""A charge for what late data added, which its driver was told of: until it is sent a person can
stop it."""

from __future__ import annotations

from wattledger.db import effects
from wattledger.errors import Conflict, NotFound
from wattledger.payments import store as payments
from wattledger.pipeline.collecting import collect
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.world import World

STOPPED = "stopped_by_us"


async def stop(world: World, payment_id: str, *, actor: str, reason: str) -> None:
    """It is not sent: what it should have paid is owed or waived, as the contract says of what
    nobody pays. Raises NotFound, and Conflict where nothing waits to be sent."""
    async with world.work.transaction("act") as tx:
        try:
            payment = await payments.get(tx.conn, payment_id)
        except LookupError:
            raise NotFound(f"there is no payment {payment_id}") from None
        if (payment.leg, payment.state) != ("more", "charging"):
            raise Conflict(f"payment {payment_id} ({payment.leg}) is {payment.state}: no charge"
                           " that was announced")  # fmt: skip
        stopped = await effects.supersede(
            tx.conn, kind="stripe.charge", subject=payment_id, message_id=None, but="", now=tx.now
        )
        if not stopped:
            raise Conflict(f"payment {payment_id} has been sent: refund it once it is taken")
        await payments.declined(tx.conn, payment_id, intent_id=None, code=STOPPED)
        await collect.not_charged(tx, payment, STOPPED)
        await money_acts.record(
            tx, actor=actor, act="payment.stop", subject=payment_id, reason=reason,
            detail={"amount_minor": payment.hold_minor, "currency": payment.currency},
        )  # fmt: skip
