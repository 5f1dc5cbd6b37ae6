"""Holds: what the processor is asked for, and what its answers do to a start that waits for one.

A hold that has its session already is ``collect``'s; one without is its start's.
"""

from __future__ import annotations

from typing import Any

from wattledger.contract import Route
from wattledger.ingest import anomalies
from wattledger.payments import starts_store
from wattledger.payments import store as payments
from wattledger.payments.starts_store import StartRequest
from wattledger.payments.store import Payment
from wattledger.pipeline.collecting import collect, lapse, sending
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.pipeline.starting import starts

# An intent in one of these states still waits for a card, or for its holder.
_WAITS = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


async def hold_done(settled: Settled) -> None:
    """The card is held, or its holder has to authenticate first."""
    tx, response = settled.tx, settled.response
    payment = await payments.get(tx.conn, settled.effect.subject)
    if payment.session_id is not None or payment.leg != "hold":
        await collect.hold_done(settled)
    elif response.get("status") == "requires_action":
        await payments.waits_for_card(tx.conn, payment.id, response["intent_id"])
        await _give_up(settled, payment.id)
    else:
        await stands(settled, payment, response)


async def hold_refused(settled: Settled) -> None:
    """The card said no."""
    tx, response = settled.tx, settled.response
    payment = await payments.get(tx.conn, settled.effect.subject)
    if payment.session_id is not None or payment.leg != "hold":
        await collect.hold_refused(settled)
        return
    code = str(response.get("code", "declined"))
    await payments.declined(tx.conn, payment.id, intent_id=response.get("intent_id"), code=code)
    await _show(settled, payment)
    await starts.hold_settled(settled, await payments.get(tx.conn, payment.id))


async def intent_made(settled: Settled) -> tuple[StartRequest, Payment] | None:
    """The processor waits for the card: at the page, or at the reader of the start that it returns;
    None where nobody waits any more."""
    tx, intent_id = settled.tx, settled.response["intent_id"]
    await starts_store.intent_made(tx.conn, settled.effect.subject, intent_id)
    payment = await payments.get(tx.conn, settled.effect.subject)
    start = await starts_store.of_payment(tx.conn, payment.id)
    if start is None or not start.live:
        await starts.give_back(tx, payment)
        return None
    return start, payment


async def intent_refused(settled: Settled) -> None:
    """Our request or our account is wrong: nobody can pay there."""
    tx, response = settled.tx, settled.response
    payment = await payments.get(tx.conn, settled.effect.subject)
    code = str(response.get("code", "declined"))
    await payments.declined(tx.conn, payment.id, intent_id=None, code=code)
    await _show(settled, payment)
    await starts.hold_settled(settled, await payments.get(tx.conn, payment.id))


async def intent_seen(settled: Settled, payment: Payment, found: dict[str, Any] | None) -> None:
    """A payment that waits, as its intent stands at the processor (normalised; None: it is not
    there). Of one that is being held, the answer to its own call counts."""
    tx = settled.tx
    payment = await payments.get(tx.conn, payment.id)
    if payment.state != "waiting" or found is None:
        return
    if found["status"] == "requires_capture":
        await stands(settled, payment, {**found, "intent_id": found["id"]})
    elif found["status"] == "canceled":
        why = found.get("cancellation_reason") or "canceled"
        await payments.move(tx.conn, payment.id, "released", gone_why=why)
        await starts.hold_settled(settled, await payments.get(tx.conn, payment.id))
    elif found["status"] in _WAITS and found.get("decline_code"):
        await _card_said_no(settled, payment, found)


async def _card_said_no(settled: Settled, payment: Payment, found: dict[str, Any]) -> None:
    """On the page and at a reader another card may follow. A card on file is the only one that
    there is: what its holder could not confirm is declined, and given up at the processor, where it
    could be confirmed still."""
    start = await starts_store.of_payment(settled.tx.conn, payment.id)
    if start is None or start.route != Route.APP or found["status"] == "requires_action":
        return
    await payments.declined(
        settled.tx.conn, payment.id, intent_id=found["id"], code=found["decline_code"]
    )
    await sending.abandon(settled.tx, payment)
    await starts.hold_settled(settled, await payments.get(settled.tx.conn, payment.id))


async def stands(settled: Settled, payment: Payment, response: dict[str, Any]) -> None:
    """The hold stands, and its start goes on."""
    tx = settled.tx
    await payments.held(tx.conn, payment.id, response)
    payment = await payments.get(tx.conn, payment.id)
    await lapse.watch(settled, payment)
    await starts.hold_settled(settled, payment)


async def _give_up(settled: Settled, payment_id: str) -> None:
    start = await starts_store.of_payment(settled.tx.conn, payment_id)
    if start is None or not start.live:
        await starts.give_back(settled.tx, await payments.get(settled.tx.conn, payment_id))


async def _show(settled: Settled, payment: Payment) -> None:
    if "message" in settled.response:
        # Not the card's doing: our request or our account is wrong, and every hold will fail.
        await anomalies.record(
            settled.tx.conn, at=settled.tx.now, code="hold.failed", subject=payment.id,
            detail=settled.response, cause=settled.effect.key,
        )  # fmt: skip


HANDLERS = {
    "stripe.hold": Handler("held", hold_done, hold_refused),
}
