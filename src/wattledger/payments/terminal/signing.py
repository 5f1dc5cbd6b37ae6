"""What terminals' vendors and we sign with, both ways: Standard Webhooks, one shared secret."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from wattledger.errors import ConfigError, Refused

TOLERANCE_S = 300
"""A message that was signed longer ago, or will be, is an old one sent again."""
_DIGITS_MAX = 18


def sign(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """``v1,<base64 of HMAC-SHA256(id.timestamp.body)>`` under a ``whsec_…`` secret."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ConfigError("a vendor's secret is whsec_ and base64") from None
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed(secret: str, message_id: str, now_s: int, body: bytes) -> dict[str, str]:
    """The headers of a message of ours."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": sign(secret, message_id, now_s, body),
    }


def verify(secret: str, headers: Mapping[str, str], body: bytes, now_s: int) -> None:
    """Raises Refused for what is not signed with this secret, or not now. While a secret is changed
    a message has several signatures: one is enough."""
    message_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "")
    is_time = at.isascii() and at.isdecimal() and len(at) <= _DIGITS_MAX
    if not message_id or not is_time or not given:
        raise Refused("expected webhook-id, webhook-timestamp and webhook-signature")
    if abs(int(at) - now_s) > TOLERANCE_S:
        raise Refused(f"webhook-timestamp is more than {TOLERANCE_S} seconds from now")
    right = sign(secret, message_id, int(at), body).encode()
    # All are compared, so that time says nothing about which one was close.
    found = [hmac.compare_digest(right, each.encode()) for each in given.split(" ")]
    if not any(found):
        raise Refused("webhook-signature is not made with the vendor's secret")
