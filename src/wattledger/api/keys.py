"""API keys: from the environment, compared in constant time, each with what it may do."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable

from starlette.requests import Request

from wattledger.config import ApiKey
from wattledger.errors import Forbidden, Refused


class Keys:
    """The keys of this installation."""

    def __init__(self, keys: Iterable[ApiKey], secrets: Callable[[str], str]) -> None:
        self._keys = [(key, secrets(key.key_env).encode()) for key in keys]

    def require(self, request: Request, scope: str) -> str:
        """The name of the key that the request carries; Refused when it may not do this."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        found: ApiKey | None = None
        for key, secret in self._keys:
            # All are compared, so that time says nothing about which one was close.
            if hmac.compare_digest(secret, given.strip().encode()):
                found = key
        if scheme.lower() != "bearer" or found is None:
            raise Refused("expected 'Authorization: Bearer <key>' with a key of an [[api_key]]")
        if scope not in found.scopes:
            raise Forbidden(f"the key {found.name!r} does not have the scope {scope!r}")
        return found.name
