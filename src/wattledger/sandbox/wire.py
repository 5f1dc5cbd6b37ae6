"""Stripe's error shapes: what the official SDK turns into its exceptions."""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]
"""A Stripe object as it stands in JSON; references to others are ids until expanded."""

API_VERSION = "2026-10-28.endive"


class StripeError(Exception):
    """An answer other than 200: its HTTP status and the content of ``error``."""

    def __init__(self, status: int, **error: object) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self.error = {key: value for key, value in error.items() if value is not None}
        super().__init__(f"{status}: {self.error}")

    @property
    def body(self) -> Obj:
        return {"error": self.error}


def invalid(message: str, param: str | None = None, code: str | None = None) -> StripeError:
    """400: the request can't be taken as it is."""
    return StripeError(400, type="invalid_request_error", message=message, param=param, code=code)


def missing(kind: str, object_id: str, param: str = "id") -> StripeError:
    """404: no such object."""
    return StripeError(
        404,
        type="invalid_request_error",
        code="resource_missing",
        message=f"No such {kind}: '{object_id}'",
        param=param,
    )


def unauthorized(key: str | None) -> StripeError:
    """401: no key, or not the one."""
    message = (
        "You did not provide an API key."
        if not key
        else f"Invalid API Key provided: {key[:8]}{'*' * 8}"
    )
    return StripeError(401, type="invalid_request_error", message=message)


def unexpected_state(message: str, intent: Obj) -> StripeError:
    """400: the PaymentIntent's status forbids it; the intent comes along, as at Stripe."""
    return StripeError(
        400,
        type="invalid_request_error",
        code="payment_intent_unexpected_state",
        message=message,
        payment_intent=intent,
    )


def merged(old: Obj, new: Any) -> Obj:
    """Metadata: an empty value unsets its key, an empty whole unsets all."""
    if new is None:
        return old
    both = {**old, **new} if new else {}
    return {key: value for key, value in both.items() if value != ""}


def api_error() -> StripeError:
    """500: Stripe failed."""
    return StripeError(500, type="api_error", message="An unknown error occurred")


def rate_limited() -> StripeError:
    """429: too many requests. Nothing was executed: sent again later it may go through."""
    refusal = StripeError(
        429,
        type="invalid_request_error",
        code="rate_limit",
        message="Request rate limit exceeded.",
        doc_url="https://docs.stripe.com/error-codes/rate-limit",
    )
    refusal.headers["stripe-should-retry"] = "true"
    return refusal


def lock_timeout() -> StripeError:
    """429: another request is writing to the same object."""
    refusal = StripeError(
        429,
        type="invalid_request_error",
        code="lock_timeout",
        message="This object cannot be accessed right now because another API request or Stripe "
        "process is currently accessing it. If you see this error intermittently, retry the "
        "request. If you see this error frequently and are making multiple concurrent requests "
        "to a single object, make your requests serially or at a lower rate.",
        doc_url="https://docs.stripe.com/error-codes/lock-timeout",
    )
    refusal.headers["stripe-should-retry"] = "true"
    return refusal


def secret_key_required() -> StripeError:
    """401: the publishable key is for what a browser may do."""
    return StripeError(
        401,
        type="invalid_request_error",
        code="secret_key_required",
        message="This API call cannot be made with a publishable API key. Please use a secret "
        "API key. You can find a list of your API keys at "
        "https://dashboard.stripe.com/account/apikeys.",
    )
