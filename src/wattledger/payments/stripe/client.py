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
from wattledger.payments.model import Processor

# Stripe keeps a key for at least 24 hours (docs: idempotent requests); we stop before that.
KEY_LIFE = timedelta(hours=23)
_PAGES_MAX = 50


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
        return await _guarded(lambda: self._send(effect))

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
        return await _guarded(lambda: self._find_back(effect))

    async def _send(self, effect: Effect) -> Outcome:
        request, options = effect.request, {"idempotency_key": effect.key}
        intents = self._client.v1.payment_intents
        if effect.kind == "stripe.hold":
            params = {**request["params"], "expand": ["latest_charge"]}
            return _held(await intents.create_async(_any(params), _any(options)))
        if effect.kind == "stripe.capture":
            params = {"amount_to_capture": request["amount_minor"]}
            found = await intents.capture_async(request["intent_id"], _any(params), _any(options))
            return _captured(found)
        if effect.kind == "stripe.release":
            params = {"cancellation_reason": "abandoned"}
            found = await intents.cancel_async(request["intent_id"], _any(params), _any(options))
            return Done({"status": found.status})
        if effect.kind == "stripe.read":
            return await self._read(request)
        raise LookupError(f"no way to call {effect.kind}")

    async def _find_back(self, effect: Effect) -> Outcome:
        if effect.kind == "stripe.read":
            return await self._read(effect.request)
        if effect.kind == "stripe.hold":
            return await self._find_hold(effect)
        intent = await self._client.v1.payment_intents.retrieve_async(effect.request["intent_id"])
        if intent.status == "requires_capture":
            return NewAttempt("the intent still waits: the attempt had no effect")
        if intent.status == "succeeded":
            done = effect.kind == "stripe.capture"
            return _captured(intent) if done else Rejected({"status": intent.status})
        if intent.status == "canceled":
            gone = {"status": intent.status, "code": "canceled"}
            return Done(gone) if effect.kind == "stripe.release" else Rejected(gone)
        return Unknown(f"the intent is {intent.status}")

    async def _find_hold(self, effect: Effect) -> Outcome:
        """The intent of this payment and attempt, by its metadata in the list of that time."""
        since = int((effect.due_at - timedelta(days=1)).timestamp())
        wanted = effect.request["params"]["metadata"]
        params: dict[str, Any] = {
            "created": {"gte": since},
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

    async def _read(self, request: dict[str, Any]) -> Outcome:
        """Balance transactions since a time, and the payouts among them with their items."""
        since = datetime.fromisoformat(request["since"])
        items = await self._items({"created": {"gte": int(since.timestamp())}})
        seen = [i["source"] for i in items if i["category"] == "payout" and i["source"]]
        wanted = sorted({*seen, *request["payouts"]})
        return Done({"items": items, "payouts": [await self._payout(p) for p in wanted]})

    async def _payout(self, payout_id: str) -> dict[str, Any]:
        payout = await self._client.v1.payouts.retrieve_async(payout_id)
        complete = payout.reconciliation_status == "completed"
        members = await self._items({"payout": payout_id}) if complete else []
        return {
            "id": payout.id,
            "amount_minor": payout.amount,
            "currency": payout.currency.upper(),
            "status": payout.status,
            "arrival_date": _utc(payout.arrival_date)[:10],
            "created_at": _utc(payout.created),
            "items": [member["id"] for member in members] if complete else None,
        }

    async def _items(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        query = {**params, "limit": 100, "expand": ["data.source"]}
        for _ in range(_PAGES_MAX):
            page = await self._client.v1.balance_transactions.list_async(_any(query))
            found += [_item(row) for row in page.data]
            if not page.has_more:
                return found
            query["starting_after"] = page.data[-1].id
        raise LookupError(f"more than {_PAGES_MAX} pages of balance transactions")


async def _guarded(call: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """The call's outcome; an error of the SDK says what is known of it."""
    try:
        return await call()
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
            "held_minor": intent.amount_capturable,
            "capture_before": _utc(until) if until else None,
            "brand": getattr(card, "brand", None),
            "last4": getattr(card, "last4", None),
        }
    )


def _captured(intent: stripe.PaymentIntent) -> Outcome:
    return Done({"status": intent.status, "captured_minor": intent.amount_received})


def _item(row: stripe.BalanceTransaction) -> dict[str, Any]:
    source: Any = row.source
    # A refund (the release of what a partial capture left is one) and a dispute name their charge.
    charge = source.id if getattr(source, "object", None) == "charge" else None
    return {
        "id": row.id,
        "category": row.reporting_category,
        "currency": row.currency.upper(),
        "amount_minor": row.amount,
        "fee_minor": row.fee,
        "net_minor": row.net,
        "source": source if isinstance(source, str) or source is None else source.id,
        "charge": charge or getattr(source, "charge", None),
        "created_at": _utc(row.created),
        "available_at": _utc(row.available_on),
    }


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _plain(metadata: Any) -> dict[str, str]:
    """The SDK's metadata object as a dict; it only answers to item access."""
    return {key: metadata[key] for key in metadata.to_dict()} if metadata else {}


def _any(value: object) -> Any:
    """The SDK's parameter types are written for literals; ours are built."""
    return value
