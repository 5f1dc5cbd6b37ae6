"""What is known of a call that ended with an error of Stripe's SDK."""

from __future__ import annotations

import re
from typing import Any

import stripe

from wattledger.db.effects import NotSent, Outcome, Rejected, Unknown

# Ends a hold's or an intent's life: what is true of it now has to be read.
_STATES = frozenset({"payment_intent_unexpected_state", "intent_invalid_state"})
# Whether the reader got the command is not known: it may have.
_TIMED_OUT = frozenset({"terminal_reader_timeout"})
_SECRET = re.compile(r"\b((?:sk|rk|pk)_(?:test|live)|whsec)_\w+")


def said(error: stripe.StripeError) -> str:
    """The error in words, without anything that opens an account."""
    return _SECRET.sub(r"\1_…", str(error))


def outcome_of(error: stripe.StripeError) -> Outcome:
    """What an answer, or none, says of the call's effect."""
    outcome: Outcome = _server_failed(error)
    if isinstance(error, stripe.CardError):
        outcome = Rejected(_declined(error))
    elif isinstance(error, stripe.RateLimitError):
        # Also ``lock_timeout``: another call has the object. Refused before anything is done.
        outcome = NotSent(f"refused for now: {error.code or 'rate_limit'}")
    elif isinstance(error, (stripe.AuthenticationError, stripe.PermissionError)):
        outcome = NotSent(f"the processor does not accept our key: {said(error)}")
    elif isinstance(error, stripe.IdempotencyError):
        outcome = _key_refused(error)
    elif isinstance(error, stripe.InvalidRequestError):
        outcome = _invalid(error)
    elif isinstance(error, stripe.APIConnectionError):
        outcome = Unknown(f"no answer: {type(error).__name__}")
    return outcome


def should_retry(error: stripe.StripeError) -> bool | None:
    """Stripe's own word on whether the same request is worth sending again; None without one."""
    word = {k.lower(): v for k, v in (error.headers or {}).items()}.get("stripe-should-retry")
    return {"true": True, "false": False}.get(word or "")


def _server_failed(error: stripe.StripeError) -> Outcome:
    if error.http_status == 409:
        return _key_refused(error)
    # A 500 is stored under its key: asked again it would be said again, unless Stripe says that
    # it is worth asking.
    return Unknown(f"answered {error.http_status or 500}", look_up=should_retry(error) is not True)


def _key_refused(error: stripe.StripeError) -> Outcome:
    if error.http_status == 409 or error.code == "idempotency_key_in_use":
        return Unknown("the processor still works on an earlier call under this key")
    return Unknown("the key was used for another request", look_up=True)


def _declined(error: stripe.CardError) -> dict[str, Any]:
    """The issuer's word where there is one, else the processor's."""
    body: Any = error.json_body or {}
    content = body.get("error", {})
    intent = content.get("payment_intent") or {}
    decline_code = content.get("decline_code")
    found = {"code": error.code or decline_code or "card_declined", "intent_id": intent.get("id")}
    return found if decline_code is None else {**found, "decline_code": decline_code}


def _invalid(error: stripe.InvalidRequestError) -> Outcome:
    if error.code in _STATES:
        return Unknown("the intent is in another state than we thought", look_up=True)
    if error.code in _TIMED_OUT:
        return Unknown("the reader did not answer in time, and may have heard", look_up=True)
    return Rejected({"code": error.code or "invalid_request", "message": said(error)})
