"""Stripe through its official SDK: holds, captures, releases and reading the balance.

The SDK's own retries are off: our effect table owns them. Each call says what is known of its
outcome as a value (``db.effects.Outcome``), and nothing here touches the database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe

from wattledger.db.effects import Done, Effect, NewAttempt, NotSent, Outcome, Rejected, Unknown
from wattledger.errors import BadInput
from wattledger.payments.model import Processor
from wattledger.payments.stripe.amounts import from_stripe, to_stripe
from wattledger.payments.stripe.reading import Reading, utc

# Stripe keeps a key for at least 24 hours (docs: idempotent requests); we stop before that.
KEY_LIFE = timedelta(hours=23)
_PAGES_MAX = 50
# A hold that is not confirmed yet can still be cancelled.
_CANCELABLE = frozenset(
    {"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture"}
)


class StripeGate:
    """One processor account. ``secrets(name)`` gives the value of an environment variable."""

    def __init__(self, processor: Processor, secrets: Callable[[str], str]) -> None:
        self.processor = processor
        http = stripe.HTTPXClient(timeout=processor.timeout_s)
        addresses: Any = {"api": processor.base_url} if processor.base_url else {}
        self._client = stripe.StripeClient(
            secrets(processor.api_key_env),
            http_client=http,
            base_addresses=addresses,
            max_network_retries=0,
        )

    async def call(self, effect: Effect) -> Outcome:
        """Do it, once, under the effect's key."""
        try:
            amount = _amount(effect)
        except BadInput as error:
            # Found before anything is sent, on this try as on every other.
            return Rejected({"code": "amount_unsayable", "message": str(error)})
        return await _guarded(effect.kind, lambda: self._send(effect, amount))

    async def resolve(self, effect: Effect) -> Outcome:
        """Find out what became of a call without an answer.

        Inside the key's life the same request under the same key is the look-up: Stripe
        replays what it did. A replayed 500 says nothing, and after the key's life a replay
        would be a new charge: then the object itself is looked for.
        """
        if datetime.now(UTC) - effect.first_sent_at < KEY_LIFE:
            outcome = await self.call(effect)
            if not isinstance(outcome, Unknown) or not outcome.look_up:
                return outcome
        return await _guarded(effect.kind, lambda: self._find_back(effect))

    async def _send(self, effect: Effect, amount: int | None) -> Outcome:
        request, options = effect.request, {"idempotency_key": effect.key}
        intents = self._client.v1.payment_intents
        if effect.kind == "stripe.hold":
            params = {**request["params"], "amount": amount, "expand": ["latest_charge"]}
            return _held(await intents.create_async(_any(params), _any(options)))
        if effect.kind == "stripe.capture":
            params = {"amount_to_capture": amount}
            found = await intents.capture_async(request["intent_id"], _any(params), _any(options))
            return _captured(found)
        if effect.kind == "stripe.release":
            params = {"cancellation_reason": "abandoned"}
            found = await intents.cancel_async(request["intent_id"], _any(params), _any(options))
            return Done({"status": found.status})
        if effect.kind == "stripe.read":
            return Done(await Reading(self._client, request).batch())
        raise LookupError(f"no way to call {effect.kind}")

    async def _find_back(self, effect: Effect) -> Outcome:
        if effect.kind == "stripe.read":
            return Done(await Reading(self._client, effect.request).batch())
        if effect.kind == "stripe.hold":
            return await self._find_hold(effect)
        intent = await self._client.v1.payment_intents.retrieve_async(effect.request["intent_id"])
        done = effect.kind == "stripe.capture"
        if intent.status == "requires_capture" or (not done and intent.status in _CANCELABLE):
            return NewAttempt("the intent still waits: the attempt had no effect")
        if intent.status == "succeeded":
            return _captured(intent) if done else Rejected({"status": intent.status})
        if intent.status == "canceled":
            gone = {"status": intent.status, "code": "canceled"}
            return Rejected(gone) if done else Done(gone)
        return Unknown(f"the intent is {intent.status}")

    async def _find_hold(self, effect: Effect) -> Outcome:
        """The intent of this payment and attempt, by its metadata in the list of that time.

        The processor's clock is the machine's, or the driven one in a demo: the time that is
        looked through is around both.
        """
        since = min(effect.due_at, effect.first_sent_at) - timedelta(days=1)
        until = max(effect.due_at, effect.first_sent_at) + timedelta(days=2)
        wanted = effect.request["params"]["metadata"]
        params: dict[str, Any] = {
            "created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())},
            "limit": 100,
            "expand": ["data.latest_charge"],
        }
        for _ in range(_PAGES_MAX):
            page = await self._client.v1.payment_intents.list_async(_any(params))
            for intent in page.data:
                if _plain(intent.metadata) == wanted:
                    return _held(intent)
            if not page.has_more:
                return NewAttempt("the processor has no intent for this attempt")
            params["starting_after"] = page.data[-1].id
        return Unknown(f"not found on {_PAGES_MAX} pages of intents")


def _amount(effect: Effect) -> int | None:
    """What is asked for, as Stripe says it; None when the call asks for no amount."""
    if effect.kind == "stripe.hold":
        params = effect.request["params"]
        return to_stripe(params["amount"], params["currency"].upper())
    if effect.kind == "stripe.capture":
        return to_stripe(effect.request["amount_minor"], effect.request["currency"])
    return None


async def _guarded(kind: str, call: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """The call's outcome; an error of the SDK says what is known of it."""
    try:
        return await call()
    except stripe.InvalidRequestError as error:
        if kind == "stripe.read":
            return NotSent(f"the processor does not take the question: {error}")
        if kind != "stripe.hold" and error.code == "resource_missing":
            # The intent was there when it was made. A valid key of another account does not see
            # it, and nothing is refused by that: no money is written off.
            return NotSent(f"the processor does not know it: is the key another account's? {error}")
        return _outcome_of(error)
    except stripe.StripeError as error:
        return _outcome_of(error)


def _outcome_of(error: stripe.StripeError) -> Outcome:
    outcome: Outcome = Unknown(f"answered {error.http_status or 500}", look_up=True)
    if isinstance(error, stripe.CardError):
        body: Any = error.json_body or {}
        intent = body.get("error", {}).get("payment_intent") or {}
        code = getattr(error, "decline_code", None) or error.code or "card_declined"
        outcome = Rejected({"code": code, "intent_id": intent.get("id")})
    elif isinstance(error, stripe.RateLimitError):
        outcome = NotSent("the processor's rate limit")
    elif isinstance(error, (stripe.AuthenticationError, stripe.PermissionError)):
        outcome = NotSent(f"the processor does not accept our key: {error.user_message or error}")
    elif isinstance(error, stripe.IdempotencyError):
        outcome = Unknown("the key was used for another request", look_up=True)
    elif isinstance(error, stripe.InvalidRequestError):
        if error.code == "payment_intent_unexpected_state":
            outcome = Unknown("the intent is in another state than we thought", look_up=True)
        else:
            code = error.code or "invalid_request"
            outcome = Rejected({"code": code, "message": str(error)})
    elif isinstance(error, stripe.APIConnectionError):
        outcome = Unknown(f"no answer: {type(error).__name__}")
    elif error.http_status == 409:
        outcome = Unknown("the processor still works on an earlier call under this key")
    return outcome


def _held(intent: stripe.PaymentIntent) -> Outcome:
    if intent.status == "processing":
        return Unknown("the intent is still processing", look_up=True)
    if intent.status != "requires_capture":
        code = intent.last_payment_error.code if intent.last_payment_error else intent.status
        return Rejected({"code": code, "intent_id": intent.id})
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge), "latest_charge is asked for expanded"
    details = charge.payment_method_details
    card = getattr(details, "card", None)
    until = getattr(card, "capture_before", None)
    return Done(
        {
            "intent_id": intent.id,
            "charge_id": charge.id,
            "held_minor": from_stripe(intent.amount_capturable, intent.currency.upper()),
            "capture_before": utc(until) if until else None,
            "brand": getattr(card, "brand", None),
            "last4": getattr(card, "last4", None),
        }
    )


def _captured(intent: stripe.PaymentIntent) -> Outcome:
    taken_minor = from_stripe(intent.amount_received, intent.currency.upper())
    return Done({"status": intent.status, "captured_minor": taken_minor})


def _plain(metadata: Any) -> dict[str, str]:
    """The SDK's metadata object as a dict; it only answers to item access."""
    return {key: metadata[key] for key in metadata.to_dict()} if metadata else {}


def _any(value: object) -> Any:
    """The SDK's parameter types are written for literals; ours are built."""
    return value
