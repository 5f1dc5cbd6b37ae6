"""What is known of a call by each way in which Stripe's SDK says that it failed."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from wattledger.db.effects import NotSent, Rejected, Unknown
from wattledger.payments.stripe.failures import outcome_of, said


def _error(kind: type, status: int, code: str | None = None, **more: Any) -> stripe.StripeError:
    headers = more.pop("headers", {})
    body = {"error": {"code": code, **more}}
    takes_param = kind in (stripe.CardError, stripe.InvalidRequestError)
    if takes_param:
        return kind("said", None, code, "", status, body, headers)  # type: ignore[no-any-return]
    return kind("said", "", status, body, headers, code)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("error", "look_up"),
    [
        (_error(stripe.APIConnectionError, 0), False),
        # The first call under the key is still being worked on.
        (_error(stripe.APIError, 409, "idempotency_key_in_use"), False),
        (_error(stripe.IdempotencyError, 409, "idempotency_key_in_use"), False),
        (_error(stripe.IdempotencyError, 400), True),
        # A 500 is stored under its key, unless Stripe says that asking again is worth it.
        (_error(stripe.APIError, 500), True),
        (_error(stripe.APIError, 500, headers={"Stripe-Should-Retry": "true"}), False),
        (_error(stripe.APIError, 500, headers={"Stripe-Should-Retry": "false"}), True),
        (_error(stripe.InvalidRequestError, 400, "payment_intent_unexpected_state"), True),
        (_error(stripe.InvalidRequestError, 400, "intent_invalid_state"), True),
        # A reader that timed out may have heard.
        (_error(stripe.InvalidRequestError, 400, "terminal_reader_timeout"), True),
    ],
)
def test_what_is_not_known(error: stripe.StripeError, look_up: bool) -> None:
    outcome = outcome_of(error)
    assert isinstance(outcome, Unknown)
    assert outcome.look_up is look_up


@pytest.mark.parametrize(
    "error",
    [
        _error(stripe.RateLimitError, 429, "rate_limit"),
        _error(stripe.RateLimitError, 429, "lock_timeout"),
        _error(stripe.AuthenticationError, 401),
        _error(stripe.PermissionError, 403),
    ],
)
def test_what_was_certainly_not_done(error: stripe.StripeError) -> None:
    assert isinstance(outcome_of(error), NotSent)


@pytest.mark.parametrize(
    "code", ["terminal_reader_offline", "terminal_reader_busy", "amount_too_small"]
)
def test_what_is_refused_for_good(code: str) -> None:
    outcome = outcome_of(_error(stripe.InvalidRequestError, 400, code))
    assert outcome == Rejected({"code": code, "message": "said"})


def test_a_decline_has_the_issuers_word_and_its_intent() -> None:
    intent = {"id": "pi_1", "status": "requires_payment_method"}
    error = _error(stripe.CardError, 402, "card_declined", decline_code="insufficient_funds",
                   payment_intent=intent)  # fmt: skip
    assert outcome_of(error) == Rejected(
        {"code": "card_declined", "decline_code": "insufficient_funds", "intent_id": "pi_1"}
    )


def test_what_opens_an_account_is_not_said() -> None:
    key, endpoint = "rk_live_51Hx0secret", "whsec_c2VjcmV0"
    error = stripe.AuthenticationError(f"Invalid API Key provided: {key} and {endpoint}")
    assert said(error) == "Invalid API Key provided: rk_live_… and whsec_…"
    assert key not in str(outcome_of(error))
