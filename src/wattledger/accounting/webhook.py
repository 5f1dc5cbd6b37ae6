"""Signed webhooks to the books (Standard Webhooks 1.0).

The id is the effect's, so it stays over retries and is the receiver's idempotency key; the
body is the same bytes each time; the timestamp is machine time, as signatures are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from wattledger.accounting.model import Target
from wattledger.db.effects import Done, Effect, NotSent, Outcome, Unknown
from wattledger.errors import ConfigError
from wattledger.ids import derive


def sign(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """``v1,<base64 of HMAC-SHA256(id.timestamp.body)>`` under a ``whsec_…`` secret."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ConfigError("a webhook secret is whsec_ and base64") from None
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def body_of(request: dict[str, Any]) -> bytes:
    """The message as bytes: the same for the same request, whatever the database did to it."""
    return msgspec.json.encode(request, order="deterministic")


class WebhookGate:
    """Delivers to one target."""

    def __init__(
        self, target: Target, secrets: Callable[[str], str], client: httpx.AsyncClient
    ) -> None:
        self.target = target
        self._secret = secrets(target.secret_env)
        self._client = client

    async def call(self, effect: Effect) -> Outcome:
        """One delivery. 2xx is an acknowledgement; anything else is tried again."""
        body = body_of(effect.request)
        message_id = derive("msg", effect.key)
        now_s = int(time.time())
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": sign(self._secret, message_id, now_s, body),
        }
        try:
            answer = await self._client.post(
                self.target.url, content=body, headers=headers, timeout=self.target.timeout_s
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return NotSent(f"{self.target.url} can't be reached: {type(error).__name__}")
        except httpx.HTTPError as error:
            return Unknown(f"no answer from {self.target.url}: {type(error).__name__}")
        if answer.is_success:
            return Done({"status": answer.status_code, "message_id": message_id})
        return NotSent(f"{self.target.url} answered {answer.status_code}")

    async def resolve(self, effect: Effect) -> Outcome:
        """Send again: the id makes a repetition harmless to a receiver that keeps it."""
        return await self.call(effect)
