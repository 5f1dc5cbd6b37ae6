"""Who may call what: the secret key everything, a browser the intent whose secret it knows.

And one writer at a time: who writes to an object that is being written to is turned away.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request

from wattledger.sandbox import wire
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, invalid

if TYPE_CHECKING:
    from wattledger.sandbox.gateway import Operation

Pairs = list[tuple[str, str]]
View = Callable[[bytes], bytes]

_KINDS = {"payment_intents": "payment_intent", "setup_intents": "setup_intent"}
# What Stripe's reference marks as readable with a publishable key.
_PUBLIC = frozenset(
    {
        "id",
        "object",
        "amount",
        "automatic_payment_methods",
        "canceled_at",
        "cancellation_reason",
        "capture_method",
        "client_secret",
        "confirmation_method",
        "created",
        "currency",
        "description",
        "last_payment_error",
        "last_setup_error",
        "livemode",
        "next_action",
        "payment_method",
        "payment_method_types",
        "processing",
        "receipt_email",
        "setup_future_usage",
        "shipping",
        "source",
        "status",
        "usage",
    }
)


class Access:
    """Checks the key of a request."""

    def __init__(self, store: Store, secret_key: str) -> None:
        self._store = store
        self._secret_key = secret_key
        self.publishable_key = secret_key.replace("sk_", "pk_", 1)

    def admit(
        self, request: Request, operation: Operation | None, flat: Pairs
    ) -> tuple[Pairs, View]:
        """The parameters without the keys among them, and what the caller may see of the answer.

        StripeError 401 for a key that is none, or not for this call.
        """
        given = _given_key(request, flat)
        if given == self._secret_key:
            return flat, _all
        if given is None or given != self.publishable_key:
            raise wire.unauthorized(given)
        if operation is None or not operation.browser:
            raise wire.secret_key_required()
        secret = next((value for name, value in flat if name == "client_secret"), None)
        self._check_secret(request, secret)
        return [(name, value) for name, value in flat if name not in _OF_BROWSER], _public

    def _check_secret(self, request: Request, secret: str | None) -> None:
        kind = _KINDS[request.url.path.split("/")[2]]
        found = self._store.get(kind, request.path_params["id"], "intent")
        if secret is None:
            raise invalid(
                "Missing required param: client_secret.", "client_secret", "parameter_missing"
            )
        if secret != found["client_secret"]:
            raise invalid(
                f"The client_secret provided does not match the client_secret associated with "
                f"the {kind}.",
                "client_secret",
            )


# Stripe.js sends its keys in the body, so that no preflight is needed.
_OF_BROWSER = frozenset({"key", "client_secret"})


def _given_key(request: Request, flat: Pairs) -> str | None:
    """The key: as a bearer token, as the user of basic authentication, or a browser's ``key``."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0]
        except ValueError:
            return None
    return next((value for name, value in flat if name == "key"), None)


def _all(content: bytes) -> bytes:
    return content


def _public(content: bytes) -> bytes:
    """The part of an intent that a browser may know."""
    whole: Obj = msgspec.json.decode(content)
    return msgspec.json.encode({key: value for key, value in whole.items() if key in _PUBLIC})


class Locks:
    """The objects that a request in flight is writing to."""

    def __init__(self) -> None:
        self._held: set[str] = set()

    def check(self, request: Request) -> None:
        if _written(request) in self._held:
            raise wire.lock_timeout()

    @contextmanager
    def held(self, request: Request) -> Iterator[None]:
        """While a request is held up by a fault, what it writes to is locked."""
        written = _written(request)
        if written is not None:
            self._held.add(written)
        try:
            yield
        finally:
            self._held.discard(written or "")


def _written(request: Request) -> str | None:
    return request.path_params.get("id") if request.method in ("POST", "DELETE") else None
