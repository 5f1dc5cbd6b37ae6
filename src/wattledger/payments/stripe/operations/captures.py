"""Calls about a hold that stands: capture, release, increment. Each is found back by reading it."""

from __future__ import annotations

from typing import Any

from wattledger.db.effects import Done, NewAttempt, Outcome, Rejected, Unknown
from wattledger.payments.stripe.objects import EXPANDED, payment_intent
from wattledger.payments.stripe.operation import Call, Operation, amount_of
from wattledger.payments.stripe.operations.holds import captured
from wattledger.payments.stripe.pacing import Rank

# A hold that is not confirmed yet can still be cancelled.
_CANCELABLE = frozenset(
    {"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture"}
)
_INCREASED = ("held_minor", "capturable_minor", "capture_before")
_STILL = NewAttempt("the intent still waits: the attempt had no effect")


async def _send_capture(call: Call) -> Outcome:
    intent_id = call.request["intent_id"]
    params = {"amount_to_capture": call.amount}
    return captured(await call.v1.payment_intents.capture_async(intent_id, params, call.options))


async def _find_capture(call: Call) -> Outcome:
    intent = await _read(call)
    if intent.status == "requires_capture":
        return _STILL
    if intent.status == "succeeded":
        return captured(intent)
    return _ended(intent)


async def _send_release(call: Call) -> Outcome:
    intent_id = call.request["intent_id"]
    params = {"cancellation_reason": "abandoned"}
    intent = await call.v1.payment_intents.cancel_async(intent_id, params, call.options)
    return Done({"status": intent.status})


async def _find_release(call: Call) -> Outcome:
    intent = await _read(call)
    if intent.status in _CANCELABLE:
        return _STILL
    if intent.status == "canceled":
        return Done({"status": intent.status})
    if intent.status == "succeeded":
        # Somebody took it: it can't be given back this way, and the books must have it.
        taken = payment_intent(intent)["captured_minor"]
        return Rejected({"code": "captured", "status": intent.status, "captured_minor": taken})
    return Unknown(f"the intent is {intent.status}", look_up=True)


async def _send_increment(call: Call) -> Outcome:
    intent_id = call.request["intent_id"]
    params = {"amount": call.amount, "expand": list(EXPANDED)}
    intents = call.v1.payment_intents
    return _increased(await intents.increment_authorization_async(intent_id, params, call.options))


async def _find_increment(call: Call) -> Outcome:
    """A decline leaves no trace on the intent: it holds more than before, if only a part of what
    was asked, or it had no effect."""
    intent = await _read(call)
    if intent.status != "requires_capture":
        return _ended(intent)
    before_minor = call.request.get("held_minor")
    if before_minor is not None and payment_intent(intent)["held_minor"] > before_minor:
        return _increased(intent)
    return _increased(intent) if intent.amount >= (call.amount or 0) else _STILL


def _increased(intent: Any) -> Outcome:
    found = payment_intent(intent)
    return Done({name: found[name] for name in _INCREASED})


def _ended(intent: Any) -> Outcome:
    """The hold is no more, and will not be again."""
    if intent.status == "canceled":
        why = getattr(intent, "cancellation_reason", None)
        return Rejected({"code": "canceled", "status": intent.status, "why": why})
    if intent.status == "succeeded":
        return Rejected({"code": "captured", "status": intent.status})
    return Unknown(f"the intent is {intent.status}", look_up=True)


async def _read(call: Call) -> Any:
    intent_id = call.request["intent_id"]
    params = {"expand": list(EXPANDED)}
    return await call.v1.payment_intents.retrieve_async(intent_id, params)


OPERATIONS = {
    "stripe.capture": Operation(Rank.MONEY, _send_capture, _find_capture, asked=amount_of),
    "stripe.release": Operation(Rank.MONEY, _send_release, _find_release),
    "stripe.increment": Operation(Rank.DRIVER, _send_increment, _find_increment, asked=amount_of),
}
