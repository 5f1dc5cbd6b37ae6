"""What is asked of the processor: effects, with keys that say the same thing the same way."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.ids import derive
from wattledger.payments import plan
from wattledger.payments import store as payments
from wattledger.payments.store import Payment
from wattledger.pipeline.collecting import bounds
from wattledger.sessions.store import SessionRow


async def capture(tx: Transaction, payment: Payment, amount_minor: int) -> bool:
    """Take exactly this much of the hold; the processor releases the rest. False: it is above a
    bound, and waits for a person."""
    request = _of(payment, amount_minor=amount_minor, currency=payment.currency)
    return await bounds.go_on(tx, payment, "stripe.capture", request, "capturing")


async def release(tx: Transaction, payment: Payment) -> None:
    """Give the whole hold back."""
    await _send(tx, payment, "release", "release", _of(payment))
    await payments.move(tx.conn, payment.id, "releasing")


async def abandon(tx: Transaction, payment: Payment) -> None:
    """Nobody pays by it any more: what is declined here holds nothing later either."""
    await _send(tx, payment, "release", "release", _of(payment))


async def increment(tx: Transaction, payment: Payment, total_minor: int) -> None:
    """Hold ``total_minor`` in all."""
    request = _of(payment, amount_minor=total_minor, held_minor=payment.held_minor,
                  currency=payment.currency)  # fmt: skip
    await _send(tx, payment, "increment", f"increment{payment.increments + 1}", request)
    await payments.raising(tx.conn, payment.id)


async def incrementing(tx: Transaction, payment: Payment) -> bool:
    """Whether the answer to an increment is open."""
    cursor = await tx.conn.execute(
        "SELECT FROM effect WHERE lane = %s AND kind = 'stripe.increment'"
        " AND settled_at IS NULL LIMIT 1",
        (payment.id,),
    )
    return await cursor.fetchone() is not None


async def take_turns(tx: Transaction, row: SessionRow) -> None:
    """Before the blocks of a session's debts, where its card may be charged again after them."""
    held = await payments.of_session(tx.conn, row.id)
    driver = (held.driver if held else None) or row.contract.account_id
    if row.contract.processor_id is not None and driver is not None:
        await bounds.take_turns(tx, driver)


async def charge_off_session(
    tx: Transaction,
    *,
    row: SessionRow,
    leg: str,
    amount_minor: int,
    number: int | None = None,
    due_at: datetime | None = None,
) -> str | None:
    """Charge the card of a session again, without its holder: the payment's id. None where that may
    not be done. ``number`` is which of its leg it is; None: the next."""
    contract = row.contract
    held = await payments.of_session(tx.conn, row.id)
    if contract.processor_id is None or not plan.may_charge_again(contract, held):
        return None
    method, customer = plan.reusable(contract, held)
    if number is None:
        number = await payments.next_number(tx.conn, row.id, leg)
    payment = Payment(
        id=derive("pay", row.id, leg, number), session_id=row.id, entity_id=contract.entity_id,
        processor_id=contract.processor_id, currency=contract.currency, hold_minor=amount_minor,
        state="charging", leg=leg, number=number, route=str(contract.route),
        account_id=contract.account_id, driver=(held.driver if held else None)
        or contract.account_id, customer=customer, reusable_method=method, consent=True,
    )  # fmt: skip
    await charge(tx, payment, f"EV charging {row.id}", due_at)
    return payment.id


async def charge(
    tx: Transaction, payment: Payment, description: str, due_at: datetime | None = None
) -> bool:
    """A new payment that is taken at once, off-session, from its ``reusable_method``; False, and
    nothing, where it is there already."""
    payment = msgspec.structs.replace(payment, created_at=tx.now)
    if not await payments.add(tx.conn, payment):
        return False
    metadata = {"payment_id": payment.id, "leg": payment.leg, "attempt": "1"}
    if payment.session_id is not None:
        metadata["session_id"] = payment.session_id
    params: dict[str, Any] = {
        "amount": payment.hold_minor,
        "currency": payment.currency.lower(),
        "confirm": True,
        "off_session": True,
        "customer": payment.customer,
        "payment_method": payment.reusable_method,
        "allowed_payment_method_types": ["card"],
        "error_on_requires_action": True,
        "description": description,
        "metadata": metadata,
    }
    request = {"processor_id": payment.processor_id, "params": params}
    await bounds.ask(tx, payment, "stripe.charge", request, due_at)
    return True


def _of(payment: Payment, **more: Any) -> dict[str, Any]:
    return {"processor_id": payment.processor_id, "intent_id": payment.intent_id, **more}


async def _send(
    tx: Transaction, payment: Payment, what: str, op: str, request: dict[str, Any]
) -> None:
    await effects.add(
        tx.conn, kind=f"stripe.{what}", subject=payment.id, lane=payment.id,
        key=f"{payment.entity_id}:{payment.id}:{op}:1", request=request, due_at=tx.now,
        caused_at=tx.now,
    )  # fmt: skip
