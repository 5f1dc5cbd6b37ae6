"""What the processor is asked for when a card is to be held: pure, but for the effect itself."""

from __future__ import annotations

from typing import Any

from wattledger.contract import Contract, PaymentTerms, Route
from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.payments import store as payments
from wattledger.pipeline.collecting import bounds


def card_options(terms: PaymentTerms, route: Route) -> dict[str, Any]:
    """What of a hold's later life has to be asked for when it is made. A part of a hold is approved
    online only: Stripe's reader that a server drives has no word for it."""
    wanted: dict[str, Any] = {}
    if route is Route.TERMINAL:
        if terms.increment_at_percent:
            wanted["request_incremental_authorization_support"] = True
        if terms.extended_authorization:
            wanted["request_extended_authorization"] = True
        return {"payment_method_options": {"card_present": wanted}} if wanted else {}
    if terms.increment_at_percent:
        wanted["request_incremental_authorization"] = "if_available"
    if terms.overcapture:
        wanted["request_overcapture"] = "if_available"
    if terms.extended_authorization:
        wanted["request_extended_authorization"] = "if_available"
    if terms.partial_authorization:
        wanted["request_partial_authorization"] = "if_available"
    return {"payment_method_options": {"card": wanted}} if wanted else {}


def hold_params(contract: Contract, payment_id: str, metadata: dict[str, str]) -> dict[str, Any]:
    """A hold on a card that is on file."""
    return {
        "amount": contract.hold_minor,
        "currency": contract.currency.lower(),
        "capture_method": "manual",
        "confirm": True,
        "payment_method": contract.payment_method,
        "allowed_payment_method_types": ["card"],
        "metadata": {"payment_id": payment_id, **metadata, "attempt": "1"},
        **({"customer": contract.customer} if contract.customer else {}),
        **card_options(contract.payment, contract.route),
    }


async def ask(
    tx: Transaction, contract: Contract, payment_id: str, kind: str, params: dict[str, Any]
) -> None:
    """The effect that makes a payment's intent, held at once (``hold``) or not yet (``intent``). A
    hold above a bound is parked."""
    request = {"processor_id": contract.processor_id, "params": params}
    payment = await payments.get(tx.conn, payment_id)
    if kind == "hold" and payment.state == "holding":
        await bounds.ask(tx, payment, "stripe.hold", request)
        return
    await effects.add(
        tx.conn, kind=f"stripe.{kind}", subject=payment_id, lane=payment_id,
        key=f"{contract.entity_id}:{payment_id}:{kind}:1", request=request,
        due_at=tx.now, caused_at=tx.now,
    )  # fmt: skip
