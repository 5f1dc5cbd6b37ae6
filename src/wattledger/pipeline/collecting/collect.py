"""Steps held, captured, released and charged: what the processor's answers do to a payment that
has its session. One that came before it is its start's (pipeline.holds)."""

from __future__ import annotations

from functools import partial
from typing import Any

from wattledger.db.work import Transaction
from wattledger.ingest import anomalies
from wattledger.payments import plan
from wattledger.payments import store as payments
from wattledger.payments.store import Payment
from wattledger.pipeline.collecting import debts, hints, lapse, parts, sending, wallets
from wattledger.pipeline.collecting.sending import capture, charge_off_session, release
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.pipeline.stations import commands
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

__all__ = ["HANDLERS", "capture", "charge_off_session", "intent_seen", "release"]

# What the processor says of a capture whose hold is no more.
_GONE = frozenset({"canceled", "charge_expired_for_capture"})


# --- held ------------------------------------------------------------------------------------


async def hold_done(settled: Settled) -> None:
    """The card is held, for as much as it says. A session that was billed meanwhile is captured, a
    free one released."""
    tx, response = settled.tx, settled.response
    payment = await payments.get(tx.conn, settled.effect.subject)
    if response.get("status") == "requires_action":
        # Nobody stands by a token's card: what its holder would have to confirm is refused.
        await payments.waits_for_card(tx.conn, payment.id, response["intent_id"])
        await release(tx, await payments.get(tx.conn, payment.id))
        await not_held(tx, payment.id)
        return
    await payments.held(tx.conn, payment.id, response)
    payment = await payments.get(tx.conn, payment.id)
    if payment.held_minor > payment.hold_minor:
        await _show(settled, "hold.differs", payment, response, cause="hold")
    await lapse.watch(settled, payment)
    row = await _row(tx, payment)
    if row is not None and row.state == "free":
        await release(tx, payment)
        return
    least_minor = row.contract.payment.least_hold_minor if row is not None else 0
    if row is not None and row.state == "open" and payment.held_minor < least_minor:
        # As good as declined; what it holds pays for what was delivered by now.
        await commands.remote_stop(tx, row, "hold_too_small")
    await collect_pending(tx, payment)


async def hold_refused(settled: Settled) -> None:
    """The card said no: stop the charging; what was delivered is owed or waived."""
    tx, effect, response = settled.tx, settled.effect, settled.response
    await payments.declined(
        tx.conn,
        effect.subject,
        intent_id=response.get("intent_id"),
        code=str(response.get("code", "declined")),
    )
    if "message" in response:
        # Not the card's doing: our request or our account is wrong, and every hold will fail.
        payment = await payments.get(tx.conn, effect.subject)
        await _show(settled, "hold.failed", payment, response)
    await not_held(tx, effect.subject)


async def not_held(tx: Transaction, payment_id: str) -> None:
    """Nothing is held for a session: it is stopped, and what was billed of it gets its parts."""
    payment = await payments.get(tx.conn, payment_id)
    row = await _row(tx, payment)
    if row is not None and row.state == "open":
        await commands.remote_stop(tx, row, "hold_declined")
    await collect_pending(tx, payment)


async def collect_pending(tx: Transaction, payment: Payment) -> None:
    """A charge that was issued while the hold's answer was open gets its real parts."""
    row = await _row(tx, payment)
    charge = await payments.pending_charge(tx.conn, row.id) if row is not None else None
    if charge is None or row is None:
        return
    planned = await parts.plan_for(tx, row, charge["total_minor"], payment)
    await parts.write(tx, row, charge["id"], planned, payment, charge["entity_date"], replace=True)


# --- captured --------------------------------------------------------------------------------


async def capture_done(settled: Settled) -> None:
    """The money is taken. A part is captured for what was taken of it, never for more."""
    tx, effect = settled.tx, settled.effect
    payment = await payments.get(tx.conn, effect.subject)
    taken = int(settled.response["captured_minor"])
    asked = int(effect.request["amount_minor"])
    most = max(payment.hold_minor, payment.authorized_minor or 0, payment.capturable_minor or 0)
    # More than was held can't be, and a payment can't say it: the anomaly does.
    await payments.move(tx.conn, payment.id, "captured", captured_minor=min(taken, most))
    await _taken(settled, payment, asked, taken, most)


async def _taken(settled: Settled, payment: Payment, asked: int, taken: int, most: int) -> None:
    tx = settled.tx
    if taken != asked:
        detail = {"asked_minor": asked, "taken_minor": taken, "hold_minor": payment.hold_minor}
        code = "capture.over" if taken > most else "capture.differs"
        await _show(settled, code, payment, detail)
    if taken < asked:
        row = await _session(tx, payment)
        await parts.settle(
            tx, row, payment, taken, partial(_owed, contract=row.contract, why="not_captured")
        )
    else:
        # More than asked is the driver's money: the parts say what was asked, the processor's
        # items what was taken, and the difference is a break until somebody gives it back (excess).
        await payments.move_pending(tx.conn, payment.id, "captured", tx.now)
    tx.seen()


async def capture_refused(settled: Settled) -> None:
    """Nothing was taken. A hold that is no more is charged again, owed or waived; one that still
    stands is given back, and what it should have paid is owed or waived."""
    tx, response = settled.tx, settled.response
    payment = await payments.get(tx.conn, settled.effect.subject)
    row = await _session(tx, payment)
    code = str(response.get("code"))
    if code in _GONE:
        await payments.move(tx.conn, payment.id, "released", gone_why=code)
        await _collect_gone(tx, row, payment.id)
        return
    await release(tx, payment)
    if code == "amount_too_small":
        await _show(settled, "capture.too_small", payment, response)
        await parts.settle(tx, row, payment, 0, partial(plan.below_minimum, contract=row.contract))
        return
    await _show(settled, "capture.refused", payment, response)
    await parts.settle(tx, row, payment, 0, partial(_owed, contract=row.contract, why=code))


async def _collect_gone(tx: Transaction, row: SessionRow, payment_id: str) -> None:
    payment = await payments.get(tx.conn, payment_id)
    found = await parts.settle(
        tx, row, payment, 0, partial(plan.gone, contract=row.contract, payment=payment)
    )
    await parts.show_gone(tx, row, payment, found)


def _owed(amount_minor: int, *, contract: Any, why: str) -> list[payments.Part]:
    return plan.owed(amount_minor, contract, why)


# --- released --------------------------------------------------------------------------------


async def release_done(settled: Settled) -> None:
    """Nothing is held any more."""
    payment = await payments.get(settled.tx.conn, settled.effect.subject)
    if payment.state == "releasing":
        await payments.move(settled.tx.conn, payment.id, "released")


async def release_refused(settled: Settled) -> None:
    """It could not be given back: it turns out that it was captured, or a person has to look."""
    payment = await payments.get(settled.tx.conn, settled.effect.subject)
    taken = int(settled.response.get("captured_minor") or 0)
    if taken and payment.state == "releasing":
        await _captured_outside(settled, payment, taken)
    else:
        await _show(settled, "release.refused", payment, settled.response)


# --- charged ---------------------------------------------------------------------------------


async def charge_done(settled: Settled) -> None:
    """A charge without a hold is taken."""
    tx, response = settled.tx, settled.response
    payment = await payments.get(tx.conn, settled.effect.subject)
    asked, taken = payment.hold_minor, int(response["captured_minor"])
    await payments.charged(tx.conn, payment.id, response, min(taken, asked))
    if payment.leg == "topup":
        await wallets.filled(tx, settled.snapshot, payment, min(taken, asked))
    elif payment.leg == "debt":
        await debts.paid(tx, payment, min(taken, asked))
    else:
        await _taken(settled, payment, asked, taken, asked)
        return
    if taken != asked:
        detail = {"asked_minor": asked, "taken_minor": taken}
        await _show(settled, "capture.differs", payment, detail)


async def charge_refused(settled: Settled) -> None:
    """The card said no to what was above the hold, or to a debt."""
    tx, response = settled.tx, settled.response
    payment = await payments.get(tx.conn, settled.effect.subject)
    code = str(response.get("code", "declined"))
    code = str(response.get("decline_code") or code)
    await payments.declined(tx.conn, payment.id, intent_id=response.get("intent_id"), code=code)
    if "message" in response:
        await _show(settled, "charge.failed", payment, response)
    await not_charged(tx, payment, code)


async def not_charged(tx: Transaction, payment: Payment, code: str) -> None:
    """What it should have paid is owed, or waived."""
    if payment.leg == "debt":
        await debts.refused(tx, payment, code)
    elif payment.leg != "topup":
        row = await _session(tx, payment)
        owed = partial(_owed, contract=row.contract, why=code)
        await parts.settle(tx, row, payment, 0, owed)


# --- seen outside ----------------------------------------------------------------------------


async def intent_seen(settled: Settled, payment: Payment, found: dict[str, Any] | None) -> None:
    """A payment that is held, parked or being given back, as its intent stands at the processor
    (normalised; None: it is not there). Of one that a call of ours is about, that call's answer
    counts."""
    tx = settled.tx
    payment = await payments.get(tx.conn, payment.id)
    if found is None or payment.state not in ("held", "parked", "releasing"):
        return
    if payment.state == "parked" and payment.intent_id is None:
        return
    if found["status"] == "canceled":
        if payment.state != "releasing":
            await hold_gone(settled, payment, found.get("cancellation_reason") or "canceled")
    elif found["status"] == "succeeded" and found.get("captured_minor"):
        await _captured_outside(settled, payment, int(found["captured_minor"]))
    elif payment.state == "held" and found.get("held_minor", payment.held_minor) != (
        payment.held_minor
    ):
        await _holds_otherwise(settled, payment, found)


async def _holds_otherwise(settled: Settled, payment: Payment, found: dict[str, Any]) -> None:
    """It holds another amount. Where we have asked for more this look may be older than the answer
    to that: while that is open it counts for nothing, and after it there is one more look."""
    tx, request = settled.tx, settled.effect.request
    if await sending.incrementing(tx, payment):
        return
    look = f"holds:{payment.increments}:{payment.held_minor}:{found['held_minor']}:"
    if payment.increments and not str(request.get("cause")).startswith(look):
        again = f"{look}{settled.effect.id}"
        await hints.plan_fetch(tx, payment.processor_id, "payment_intent", found["id"], again)
        return
    await payments.raised(tx.conn, payment.id, found)


async def hold_gone(settled: Settled, payment: Payment, why: str) -> None:
    """Not by us: it lapsed, or somebody cancelled it at the processor."""
    tx = settled.tx
    parked = payment.state == "parked"
    await payments.move(tx.conn, payment.id, "released", gone_why=why)
    await _show(settled, "hold.gone", payment, {"why": why, "session_id": payment.session_id},
                cause=why)  # fmt: skip
    row = await _row(tx, payment)
    if row is None:
        return
    if row.state == "open" and not plan.may_charge_again(row.contract, payment):
        await commands.remote_stop(tx, row, "hold_gone")
    if parked:
        await _collect_gone(tx, row, payment.id)


async def _captured_outside(settled: Settled, payment: Payment, taken_minor: int) -> None:
    """Somebody captured it at the processor: it pays for its session when that is billed, or what
    that owes by now. What another payment pays, or is about to, it does not pay again: that is too
    much, as is what it took beyond the price, and a person gives it back (excess)."""
    tx = settled.tx
    if payment.state in ("held", "parked"):
        await payments.move(tx.conn, payment.id, "capturing")
    most = max(payment.hold_minor, payment.held_minor, payment.capturable_minor or 0)
    taken = min(taken_minor, most)
    await payments.move(tx.conn, payment.id, "captured", captured_minor=taken)
    row = await _row(tx, payment)
    if row is not None and payment.state == "parked":
        await parts.settle(
            tx, row, payment, taken, partial(_owed, contract=row.contract, why="not_captured")
        )
    elif row is not None and payment.state == "releasing":
        owed = [debt for debt in await debts.of_session(tx, row.id) if debt.state == "open"]
        await debts.paid(tx, payment, taken, owed)
    await _show(settled, "capture.outside", payment,
                {"taken_minor": taken_minor, "session_id": payment.session_id})  # fmt: skip


# --- rows ------------------------------------------------------------------------------------


async def _row(tx: Transaction, payment: Payment) -> SessionRow | None:
    """Its session; none yet of one that came before it."""
    if payment.session_id is None:
        return None
    return await sessions.get(tx.conn, payment.session_id)


async def _session(tx: Transaction, payment: Payment) -> SessionRow:
    row = await _row(tx, payment)
    assert row is not None, "what is captured has its session (foreign key)"
    return row


async def _show(
    settled: Settled, code: str, payment: Payment, detail: dict[str, Any], cause: str | None = None
) -> None:
    await anomalies.record(
        settled.tx.conn, at=settled.tx.now, code=code, subject=payment.id, detail=detail,
        cause=cause or settled.effect.key,
    )  # fmt: skip


HANDLERS = {
    "stripe.hold": Handler("held", hold_done, hold_refused),
    "stripe.capture": Handler("captured", capture_done, capture_refused),
    "stripe.release": Handler("released", release_done, release_refused),
    "stripe.charge": Handler("charged", charge_done, charge_refused),
}
