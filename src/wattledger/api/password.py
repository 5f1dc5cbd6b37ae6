"""The page's password: HTTP Basic for everything that is not the API, which has its keys."""

from __future__ import annotations

import base64
import hmac

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class PagePassword:
    """Any user name, one password."""

    def __init__(self, app: ASGIApp, password: str) -> None:
        self.app = app
        self._password = password.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The API has its keys, a receipt's link is its own proof, and what a QR code leads to is
        # for whoever stands at the charge point.
        api = scope["type"] != "http" or scope["path"].startswith(("/v1/", "/r/", "/q/"))
        if api or self._right(Headers(scope=scope).get("authorization", "")):
            await self.app(scope, receive, send)
            return
        refusal = PlainTextResponse(
            "The page asks for its password.\n",
            401,
            headers={"www-authenticate": 'Basic realm="Wattledger"'},
        )
        await refusal(scope, receive, send)

    def _right(self, header: str) -> bool:
        scheme, _, value = header.partition(" ")
        try:
            given = base64.b64decode(value, validate=True).partition(b":")[2]
        except ValueError:  # no base64, or no ASCII
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(given, self._password)
