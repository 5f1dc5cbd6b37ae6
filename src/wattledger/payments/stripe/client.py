"""Stripe through its official SDK: what is sent, under which key, and what is known of it.

The SDK's own retries are off: our effect table owns them. Each call says what is known of its
outcome as a value (``db.effects.Outcome``), and nothing here touches the database. What each kind
of call is stands in ``operations``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe

from wattledger.db.effects import Effect, NotSent, Outcome, Rejected, Unknown
from wattledger.errors import BadInput, ExternalFault
from wattledger.payments.model import Processor
from wattledger.payments.stripe.amounts import to_stripe
from wattledger.payments.stripe.failures import outcome_of, said
from wattledger.payments.stripe.operation import Call, Do, Load, Operation
from wattledger.payments.stripe.operations import OPERATIONS
from wattledger.payments.stripe.pacing import Pacing, Rank, endpoint

# Stripe keeps a key for at least 24 hours (docs: idempotent requests); we stop before that.
KEY_LIFE = timedelta(hours=23)
# A refusal for the rate says that others have turns of ours; Stripe may say to stay away longer.
_PAUSE = timedelta(milliseconds=500)
_LONG_PAUSE = timedelta(seconds=5)
_LIVE_PER_S, _TEST_PER_S = 80, 20

_rank: ContextVar[Rank] = ContextVar("rank", default=Rank.DRIVER)


class StripeGate:
    """One processor account. ``secrets(name)`` gives the value of an environment variable.

    ``pacing``: the account's turns, where more than one gate of this process has calls for it.
    ``load``: where the content of an upload comes from; without it none is made.
    """

    def __init__(
        self,
        processor: Processor,
        secrets: Callable[[str], str],
        pacing: Pacing | None = None,
        load: Load | None = None,
    ) -> None:
        self.processor = processor
        self._load = load
        self._client = client_of(processor, secrets, pacing)

    async def call(self, effect: Effect) -> Outcome:
        """Do it, once, under the effect's key."""
        operation = OPERATIONS[effect.kind]
        return await self._do(effect, operation, operation.send)

    async def resolve(self, effect: Effect) -> Outcome:
        """Find out what became of a call without an answer.

        Inside the key's life the same request under the same key is the look-up: Stripe
        replays what it did. A replayed 500 says nothing, and after the key's life a replay
        would be a new charge: then the object itself is looked for.
        """
        operation = OPERATIONS[effect.kind]
        if _age(effect) < min(operation.replays_for or KEY_LIFE, KEY_LIFE):
            outcome = await self._do(effect, operation, operation.send)
            if not isinstance(outcome, Unknown) or not outcome.look_up:
                return outcome
        return await self._do(effect, operation, operation.find_back)

    async def client_secret(self, intent_id: str) -> str | None:
        """What the processor's own form in a driver's browser asks for; kept nowhere. None when
        there is no such intent. Raises ExternalFault when the processor does not answer."""
        try:
            intent = await self._client.v1.payment_intents.retrieve_async(intent_id)
        except stripe.InvalidRequestError:
            return None
        except stripe.StripeError as error:
            raise ExternalFault(f"the processor does not answer: {said(error)}") from None
        return intent.client_secret

    async def _do(self, effect: Effect, operation: Operation, do: Do) -> Outcome:
        try:
            amount = _amount(effect, operation)
        except BadInput as error:
            # Found before anything is sent, on this try as on every other.
            return Rejected({"code": "amount_unsayable", "message": str(error)})
        call = Call(self._client.v1, effect, amount, _age(effect), self._load)
        before = _rank.set(operation.rank)
        try:
            return await _guarded(operation, lambda: do(call))
        finally:
            _rank.reset(before)


def client_of(
    processor: Processor, secrets: Callable[[str], str], pacing: Pacing | None = None
) -> stripe.StripeClient:
    """The SDK for an account, without retries of its own, and in its turns."""
    key = secrets(processor.api_key_env)
    http = _PacedHttp(processor.timeout_s, pacing or pacing_of(processor, key))
    return stripe.StripeClient(
        key, http_client=http, base_addresses=_addresses(processor), max_network_retries=0
    )


def _addresses(processor: Processor) -> Any:
    """Where the account is called, as far as that is configured; the rest is Stripe's."""
    files = processor.files_base_url or processor.base_url
    found = {"api": processor.base_url, "files": files}
    return {name: url for name, url in found.items() if url}


def pacing_of(processor: Processor, key: str) -> Pacing:
    """An account's turns: as many as Stripe gives in live or in test mode, less a margin."""
    usual = _LIVE_PER_S if "_live_" in key else _TEST_PER_S
    return Pacing(processor.rate_per_s or usual, processor.endpoint_rate_per_s)


class _PacedHttp(stripe.HTTPXClient):
    """Sends when it is the call's turn, each page of a list a call of its own."""

    def __init__(self, timeout_s: int, pacing: Pacing) -> None:
        super().__init__(timeout=timeout_s)
        self._pacing = pacing

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        where = endpoint(method, url)
        await self._pacing.turn(where, _rank.get())
        content, status, answered = await super().request_async(method, url, headers, post_data)
        if status == 429 and b"lock_timeout" not in content:
            away = answered.get("stripe-should-retry") == "false"
            self._pacing.refused(where, _LONG_PAUSE if away else _PAUSE)
        return content, status, answered


def _age(effect: Effect) -> timedelta:
    return datetime.now(UTC) - effect.first_sent_at


def _amount(effect: Effect, operation: Operation) -> int | None:
    """What is asked for, as Stripe says it; None when the call asks for no amount."""
    return None if operation.asked is None else to_stripe(*operation.asked(effect.request))


async def _guarded(operation: Operation, call: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """The call's outcome; an error of the SDK says what is known of it."""
    try:
        return await call()
    except stripe.InvalidRequestError as error:
        if operation.reads:
            return NotSent(f"the processor does not take the question: {said(error)}")
        if not operation.missing_refuses and error.code == "resource_missing":
            # The intent was there when it was made. A valid key of another account does not see
            # it, and nothing is refused by that: no money is written off.
            why = f"the processor does not know it: is the key another account's? {said(error)}"
            return NotSent(why)
        return outcome_of(error)
    except stripe.StripeError as error:
        return outcome_of(error)
