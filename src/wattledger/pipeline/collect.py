"""Steps held, captured and released: what the processor's answers do to a payment."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from wattledger.contract import Route
from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.ingest import anomalies
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.payments import plan
from wattledger.payments import store as payments
from wattledger.payments.store import Payment
from wattledger.pipeline import commands
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

# What the processor says of a capture whose hold is no more.
_GONE = frozenset({"canceled", "charge_expired_for_capture"})
# The states of a part that move something in the ledger.
_BOOKS = {"debt": entries.debt, "waived": entries.waiver, "refund_due": entries.refund_due}


async def capture(tx: Transaction, payment: Payment, amount_minor: int) -> None:
    """Take exactly this much of the hold; the processor releases the rest."""
    asked = {"amount_minor": amount_minor, "currency": payment.currency}
    await _send(tx, payment, "capture", asked)
    await payments.move(tx.conn, payment.id, "capturing")


async def release(tx: Transaction, payment: Payment) -> None:
    """Give the whole hold back."""
    await _send(tx, payment, "release", {})
    await payments.move(tx.conn, payment.id, "releasing")


async def _send(tx: Transaction, payment: Payment, what: str, request: dict[str, Any]) -> None:
    await effects.add(
        tx.conn,
        kind=f"stripe.{what}",
        subject=payment.id,
        lane=payment.id,
        key=f"{payment.entity_id}:{payment.id}:{what}:1",
        request={
            "processor_id": payment.processor_id,
            "intent_id": payment.intent_id,
            **request,
        },
        due_at=tx.now,
        caused_at=tx.now,
    )


async def owe(
    tx: Transaction,
    entity_id: str,
    currency: str,
    route: Route,
    on: date,
    part_id: str,
    state: str,
    amount_minor: int,
) -> None:
    """Book a part that nobody pays now: a debt of the driver, a waiver of ours, money due back."""
    book = _BOOKS.get(state)
    if book is not None:
        entry = book(entity_id, part_id, on, currency, route, amount_minor)
        await ledger.book(tx.conn, entry, tx.now)


async def hold_done(settled: Settled) -> None:
    """The card is held. A session that was billed meanwhile is captured, a free one released."""
    tx, effect, response = settled.tx, settled.effect, settled.response
    before = response.get("capture_before")
    await payments.held(
        tx.conn,
        effect.subject,
        intent_id=response["intent_id"],
        external_charge_id=response["charge_id"],
        capture_before=datetime.fromisoformat(before) if before else None,
    )
    payment = await payments.get(tx.conn, effect.subject)
    if response["held_minor"] != payment.hold_minor:
        await anomalies.record(
            tx.conn,
            at=tx.now,
            code="hold.differs",
            subject=payment.id,
            detail=response,
            cause="hold",
        )
    row = await _row(tx, payment)
    if row is not None and row.state == "free":
        await release(tx, payment)
        return
    await _collect_pending(tx, payment)


async def hold_refused(settled: Settled) -> None:
    """The card said no: stop the charging; what was delivered is owed or waived."""
    tx, effect, response = settled.tx, settled.effect, settled.response
    await payments.declined(
        tx.conn,
        effect.subject,
        intent_id=response.get("intent_id"),
        code=str(response.get("code", "declined")),
    )
    payment = await payments.get(tx.conn, effect.subject)
    if "message" in response:
        # Not the card's doing: our request or our account is wrong, and every hold will fail.
        await anomalies.record(
            tx.conn,
            at=tx.now,
            code="hold.failed",
            subject=payment.id,
            detail=response,
            cause=effect.key,
        )
    row = await _row(tx, payment)
    if row is not None and row.state == "open":
        await commands.remote_stop(tx, row, "hold_declined")
    await _collect_pending(tx, payment)


async def _collect_pending(tx: Transaction, payment: Payment) -> None:
    """A charge that was issued while the hold's answer was open gets its real parts."""
    row = await _row(tx, payment)
    charge = await payments.pending_charge(tx.conn, row.id) if row is not None else None
    if charge is None or row is None:
        return
    contract = row.contract
    parts = plan.parts(charge["total_minor"], contract.route, payment, contract.shortfall)
    await payments.replace_pending(tx.conn, charge["id"], contract.entity_id, parts, tx.now)
    for number, part in enumerate(parts, start=1):
        if part.state == "pending":
            await capture(tx, payment, part.amount_minor)
        await owe(tx, contract.entity_id, contract.currency, contract.route,
                  charge["entity_date"], f"{charge['id']}/{number}", part.state,
                  part.amount_minor)  # fmt: skip


async def capture_done(settled: Settled) -> None:
    """The money is taken. A part is captured for what was taken of it, never for more."""
    tx, effect, response = settled.tx, settled.effect, settled.response
    payment = await payments.get(tx.conn, effect.subject)
    taken = int(response["captured_minor"])
    asked = int(effect.request["amount_minor"])
    # More than was held can't be, and a payment can't say it: the anomaly does.
    stored = min(taken, payment.hold_minor)
    await payments.move(tx.conn, payment.id, "captured", captured_minor=stored)
    if taken != asked:
        detail = {"asked_minor": asked, "taken_minor": taken, "hold_minor": payment.hold_minor}
        code = "capture.over" if taken > payment.hold_minor else "capture.differs"
        await anomalies.record(
            tx.conn, at=tx.now, code=code, subject=payment.id, detail=detail, cause=effect.key
        )
    if taken < asked:
        row = await _session(tx, payment)
        state = _shortfall(row)
        rest = await payments.split_pending(tx.conn, payment.id, taken, state, tx.now)
        await _owe_parts(tx, payment, row, state, rest)
    else:
        # More than asked is the driver's money: the parts say what was asked, the processor's
        # items what was taken, and the difference is a break until somebody gives it back.
        await payments.move_pending(tx.conn, payment.id, "captured", tx.now)
    await tx.conn.execute("SELECT pg_notify('wattledger_live', '')")


async def capture_refused(settled: Settled) -> None:
    """Nothing was taken: what it should have paid is owed or waived, and a hold that still stands
    is given back."""
    tx, effect, response = settled.tx, settled.effect, settled.response
    payment = await payments.get(tx.conn, effect.subject)
    row = await _session(tx, payment)
    if response.get("code") in _GONE:
        await payments.move(tx.conn, payment.id, "released")
    else:
        await release(tx, payment)
    too_small = response.get("code") == "amount_too_small"
    await anomalies.record(
        tx.conn, at=tx.now, code="capture.too_small" if too_small else "capture.refused",
        subject=payment.id, detail=response, cause=effect.key,
    )  # fmt: skip
    # What no card can be asked for is nobody's debt.
    state = "waived" if too_small else _shortfall(row)
    parts = await payments.move_pending(tx.conn, payment.id, state, tx.now)
    await _owe_parts(tx, payment, row, state, parts)


async def _row(tx: Transaction, payment: Payment) -> SessionRow | None:
    """Its session; none yet of one that came before it."""
    if payment.session_id is None:
        return None
    return await sessions.get(tx.conn, payment.session_id)


async def _session(tx: Transaction, payment: Payment) -> SessionRow:
    row = await _row(tx, payment)
    assert row is not None, "what is captured has its session (foreign key)"
    return row


def _shortfall(row: SessionRow) -> str:
    return "debt" if row.contract.shortfall == "debt" else "waived"


async def _owe_parts(
    tx: Transaction, payment: Payment, row: SessionRow, state: str, parts: list[dict[str, Any]]
) -> None:
    on = tx.now.astimezone(ZoneInfo(row.contract.entity_time_zone)).date()
    for part in parts:
        await owe(tx, payment.entity_id, payment.currency, row.contract.route, on,
                  f"{part['charge_id']}/{part['part']}", state,
                  part["amount_minor"])  # fmt: skip


async def release_done(settled: Settled) -> None:
    """Nothing is held any more."""
    tx, effect = settled.tx, settled.effect
    await payments.move(tx.conn, effect.subject, "released")


async def release_refused(settled: Settled) -> None:
    """It could not be given back: a person has to look."""
    tx, effect, response = settled.tx, settled.effect, settled.response
    await anomalies.record(
        tx.conn, at=tx.now, code="release.refused", subject=effect.subject, detail=response,
        cause=effect.key,
    )  # fmt: skip


HANDLERS = {
    "stripe.hold": Handler("held", hold_done, hold_refused),
    "stripe.capture": Handler("captured", capture_done, capture_refused),
    "stripe.release": Handler("released", release_done, release_refused),
}
