"""Calls that make a PaymentIntent: a hold, one whose card comes later, a charge without a hold.

One that got no answer leaves no id to read. Its metadata name the payment and the attempt, and the
list of intents around its time has it or not: the list is complete, search lags by a minute or so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from wattledger.db.effects import Done, NewAttempt, Outcome, Rejected, Unknown
from wattledger.payments.stripe import preview
from wattledger.payments.stripe.amounts import from_stripe
from wattledger.payments.stripe.objects import EXPANDED, payment_intent, plain
from wattledger.payments.stripe.operation import (
    Call,
    Operation,
    amount_in_params,
    find_in_list,
)
from wattledger.payments.stripe.pacing import Rank

# Of the hold's answer, what an intent's facts have under another name or nobody asked for.
_HOLD = (
    "charge_id", "held_minor", "capturable_minor", "capture_before", "brand", "last4", "wallet",
    "fingerprint", "can_increment", "customer", "reusable_method",
)  # fmt: skip
_CHARGE = ("charge_id", "captured_minor", "brand", "last4", "wallet", "fingerprint", "customer",
           "reusable_method")  # fmt: skip
_NAMES = ("payment_id", "attempt")
_UNNAMED = Rejected(
    {"code": "unnamed", "message": "metadata without payment_id: it could never be found back"}
)


async def _create(call: Call, **more: Any) -> Any:
    params = {**call.request["params"], "amount": call.amount, "expand": list(EXPANDED), **more}
    options = {**call.options, **preview.options(params)}
    return await call.v1.payment_intents.create_async(params, options)


async def _guest(call: Call) -> dict[str, str]:
    """A guest's card that may be charged again has to belong to somebody: a customer for this
    attempt, under a key beside the intent's own, so that said again it is the same one."""
    params = call.request["params"]
    if "setup_future_usage" not in params or "customer" in params:
        return {}
    options = {**call.options, "idempotency_key": f"{call.effect.key}:customer"}
    made = await call.v1.customers.create_async({"metadata": _names(call)}, options)
    return {"customer": made.id}


async def _send_hold(call: Call) -> Outcome:
    return held(await _create(call)) if _names(call) else _UNNAMED


async def _send_intent(call: Call) -> Outcome:
    return _made(await _create(call, **await _guest(call))) if _names(call) else _UNNAMED


async def _send_charge(call: Call) -> Outcome:
    return charged(await _create(call)) if _names(call) else _UNNAMED


async def _find_hold(call: Call) -> Outcome:
    found = await find_intent(call)
    return found if isinstance(found, NewAttempt | Unknown) else held(found)


async def _find_intent(call: Call) -> Outcome:
    found = await find_intent(call)
    return found if isinstance(found, NewAttempt | Unknown) else _made(found)


async def _find_charge(call: Call) -> Outcome:
    found = await find_intent(call)
    return found if isinstance(found, NewAttempt | Unknown) else charged(found)


async def find_intent(call: Call) -> Any:
    """The intent of this payment and attempt; NewAttempt with the proof that there is none.

    The processor's clock is the machine's, or the driven one in a demo: the time that is looked
    through is around both. When there are too many to look through, search may still know it; that
    search does not is no proof.
    """
    effect, wanted = call.effect, _names(call)
    since = min(effect.due_at, effect.first_sent_at) - timedelta(days=1)
    until = max(effect.due_at, effect.first_sent_at) + timedelta(days=2)
    created = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
    params = {"created": created, "expand": [f"data.{name}" for name in EXPANDED]}
    intents = call.v1.payment_intents
    found = await find_in_list(intents.list_async, params, lambda i: _is(i, wanted), "intent")
    if not isinstance(found, Unknown):
        return found
    query = " AND ".join(f"metadata['{name}']:'{value}'" for name, value in wanted.items())
    page = await intents.search_async({"query": query, "limit": 10, "expand": params["expand"]})
    return next((intent for intent in page.data if _is(intent, wanted)), found)


def held(intent: Any) -> Outcome:
    """What came of a hold."""
    found = payment_intent(intent)
    if intent.status == "requires_capture":
        return Done({"intent_id": intent.id, **{name: found[name] for name in _HOLD}})
    if intent.status == "requires_action":
        return Done({"intent_id": intent.id, "status": intent.status})
    if intent.status == "processing":
        return Unknown("the intent is still processing", look_up=True)
    return _refused(found)


def charged(intent: Any) -> Outcome:
    """What came of a charge without a hold."""
    found = payment_intent(intent)
    if intent.status == "succeeded":
        return Done({"intent_id": intent.id, **{name: found[name] for name in _CHARGE}})
    if intent.status in ("processing", "requires_capture"):
        return Unknown(f"the intent is {intent.status}", look_up=True)
    if intent.status == "requires_action":
        return Rejected({"code": "authentication_required", "intent_id": intent.id})
    return _refused(found)


def captured(intent: Any) -> Outcome:
    """What came of a capture."""
    taken_minor = from_stripe(intent.amount_received, intent.currency.upper())
    return Done({"status": intent.status, "captured_minor": taken_minor})


def _made(intent: Any) -> Outcome:
    return Done({"intent_id": intent.id, "status": intent.status})


def _refused(found: dict[str, Any]) -> Outcome:
    return Rejected({"code": found["decline_code"] or found["status"], "intent_id": found["id"]})


def _names(call: Call) -> dict[str, str]:
    """What the attempt is found back by; empty when nothing names it."""
    metadata = call.request["params"].get("metadata", {})
    named = {name: metadata[name] for name in _NAMES if name in metadata}
    return named if "payment_id" in named else {}


def _is(intent: Any, wanted: dict[str, str]) -> bool:
    metadata = plain(intent.metadata)
    return all(metadata.get(name) == value for name, value in wanted.items())


OPERATIONS = {
    "stripe.hold": Operation(
        Rank.DRIVER, _send_hold, _find_hold, asked=amount_in_params, missing_refuses=True
    ),
    "stripe.intent": Operation(
        Rank.DRIVER, _send_intent, _find_intent, asked=amount_in_params, missing_refuses=True
    ),
    "stripe.charge": Operation(
        Rank.MONEY, _send_charge, _find_charge, asked=amount_in_params, missing_refuses=True
    ),
}
