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


def api_error() -> StripeError:
    """500: Stripe failed."""
    return StripeError(500, type="api_error", message="An unknown error occurred")


def rate_limited() -> StripeError:
    """429: too many requests."""
    return StripeError(
        429,
        type="invalid_request_error",
        code="rate_limit",
        message="Request rate limit exceeded.",
    )
