"""Stripe's objects as we keep them: plain, with our amounts, times and names.

What a hold is worth is read from its charge, and alike from a card online and at a reader: the
issuer may approve less than was asked (``amount_authorized``), Stripe may let more be captured
(``overcapture.maximum_amount_capturable``), and each brand has its own window (``capture_before``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from wattledger.payments.stripe.amounts import at_most, from_stripe

EXPANDED = ("latest_charge", "payment_method")
"""What ``payment_intent`` needs to see of an intent: asked for in each call that answers with one.
"""
_NO_MONEY = "warning_"
"""The statuses of an inquiry, which moves no money, begin with this."""


def utc(seconds: int) -> str:
    """Stripe's time as ours."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def id_of(reference: Any) -> str | None:
    """The id of an object that may have come expanded."""
    return reference if isinstance(reference, str) or reference is None else str(reference.id)


def plain(metadata: Any) -> dict[str, str]:
    """The SDK's metadata object as a dict; it only answers to item access."""
    return {key: metadata[key] for key in metadata.to_dict()} if metadata else {}


def payment_intent(intent: Any) -> dict[str, Any]:
    """A PaymentIntent. What is held is zero unless it waits to be captured."""
    currency = intent.currency.upper()
    holds = intent.status == "requires_capture"
    held = _held(intent) if holds else 0
    error = getattr(intent, "last_payment_error", None)
    metadata = plain(intent.metadata)
    found = {
        "id": intent.id,
        "status": intent.status,
        "currency": currency,
        "amount_minor": from_stripe(intent.amount, currency),
        "held_minor": at_most(held, currency),
        "capturable_minor": at_most(_capturable(intent, held) if holds else 0, currency),
        "captured_minor": from_stripe(intent.amount_received, currency),
        "metadata": metadata,
        "charge_id": id_of(intent.latest_charge),
        "decline_code": _said(error, "decline_code") or _said(error, "code"),
        "cancellation_reason": getattr(intent, "cancellation_reason", None),
        "created_at": utc(intent.created),
        **card_facts(intent),
    }
    if found["reader_id"] is None:
        found["reader_id"] = metadata.get("reader_id")
    return found


def card_facts(intent: Any) -> dict[str, Any]:
    """What the intent's charge says of its card, and whether it may be charged again."""
    details = _details(intent)
    card = _card(intent)
    until = _said(card, "capture_before")
    types = getattr(intent, "payment_method_types", None) or [None]
    return {
        "capture_before": utc(until) if until else None,
        "brand": _said(card, "brand"),
        "last4": _said(card, "last4"),
        "wallet": _said(_said(card, "wallet"), "type"),
        "fingerprint": _said(card, "fingerprint"),
        "can_increment": _can_increment(card),
        "customer": id_of(getattr(intent, "customer", None)),
        "reusable_method": _reusable(intent),
        "reader_id": _said(card, "reader"),
        "method": _said(details, "type") or types[0],
    }


def refund(row: Any) -> dict[str, Any]:
    """A refund; it may fail long after it succeeded."""
    currency = row.currency.upper()
    return {
        "id": row.id,
        "status": row.status,
        "amount_minor": from_stripe(row.amount, currency),
        "currency": currency,
        "charge_id": id_of(row.charge),
        "intent_id": id_of(row.payment_intent),
        "failure_reason": getattr(row, "failure_reason", None),
        "metadata": plain(row.metadata),
        "created_at": utc(row.created),
    }


def dispute(row: Any) -> dict[str, Any]:
    """A dispute, or an inquiry before one."""
    currency = row.currency.upper()
    due_by = _said(row.evidence_details, "due_by")
    return {
        "id": row.id,
        "status": row.status,
        "amount_minor": from_stripe(row.amount, currency),
        "currency": currency,
        "charge_id": id_of(row.charge),
        "intent_id": id_of(row.payment_intent),
        "reason": row.reason,
        "evidence_due_at": utc(due_by) if due_by else None,
        "inquiry": row.status.startswith(_NO_MONEY),
        "created_at": utc(row.created),
    }


def fraud_warning(row: Any) -> dict[str, Any]:
    """An early fraud warning: what an issuer says of a charge before anybody disputes it."""
    return {
        "id": row.id,
        "charge_id": id_of(row.charge),
        "intent_id": id_of(getattr(row, "payment_intent", None)),
        "fraud_type": row.fraud_type,
        "actionable": row.actionable,
        "created_at": utc(row.created),
    }


def reader(row: Any) -> dict[str, Any]:
    """A reader and the one action it has, or had last."""
    action = getattr(row, "action", None)
    return {"id": row.id, "status": row.status, "action": _action(action) if action else None}


def _action(action: Any) -> dict[str, Any]:
    of_its_type = _said(action, action.type)
    return {
        "type": action.type,
        "status": action.status,
        "failure_code": _said(action, "failure_code"),
        "intent_id": id_of(_said(of_its_type, "payment_intent")),
    }


def payout(row: Any) -> dict[str, Any]:
    """``items_read``: all its members are known. ``alone``: they never will be, because it was
    made by hand and Stripe does not say what is in it."""
    currency = row.currency.upper()
    return {
        "id": row.id,
        "amount_minor": from_stripe(row.amount, currency),
        "currency": currency,
        "status": row.status,
        "arrival_date": utc(row.arrival_date)[:10],
        "created_at": utc(row.created),
        "items": [],
        "items_read": False,
        "alone": row.reconciliation_status == "not_applicable",
        "own_item": id_of(row.balance_transaction),
        "failed_item": id_of(row.failure_balance_transaction),
    }


Normal = Callable[[Any], dict[str, Any]]


def _details(intent: Any) -> Any:
    charge = intent.latest_charge
    return None if isinstance(charge, str) else _said(charge, "payment_method_details")


def _card(intent: Any) -> Any:
    details = _details(intent)
    return _said(details, "card") or _said(details, "card_present")


def _said(obj: Any, name: str) -> Any:
    """A field that not every object, version or kind of card has."""
    return None if obj is None else getattr(obj, name, None)


def _held(intent: Any) -> int:
    """What the issuer approved: less than was asked when it approved a part."""
    approved = _said(_card(intent), "amount_authorized")
    capturable: int = intent.amount_capturable
    return capturable if approved is None else min(capturable, approved)


def _capturable(intent: Any, held: int) -> int:
    """With overcapture more than is held; Stripe says how much."""
    over = _said(_card(intent), "overcapture")
    if _said(over, "status") != "available":
        return held
    most: int = over.maximum_amount_capturable
    return max(held, most)


def _can_increment(card: Any) -> bool:
    online = _said(_said(card, "incremental_authorization"), "status") == "available"
    return online or _said(card, "incremental_authorization_supported") is True


def _reusable(intent: Any) -> str | None:
    """What may be charged without the driver: the saved card, or at a reader the card that Stripe
    made of it. A phone's wallet at a reader leaves none."""
    card = _card(intent)
    if _said(_details(intent), "type") == "card_present":
        return None if _said(card, "wallet") else id_of(_said(card, "generated_card"))
    method = getattr(intent, "payment_method", None)
    customer = id_of(getattr(intent, "customer", None))
    if method is None or customer is None:
        return None
    if isinstance(method, str):
        saved = getattr(intent, "setup_future_usage", None) == "off_session"
    else:
        saved = id_of(_said(method, "customer")) == customer
    return id_of(method) if saved else None
