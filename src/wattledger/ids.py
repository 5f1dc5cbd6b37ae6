"""Ids are derived, not drawn: the same fact gets the same id, however often it comes.

That makes a repeated message, a replayed inbox and two runs of a simulation agree byte for
byte, and leaves nothing random to inject.
"""

from __future__ import annotations

import base64
import hashlib

_LENGTH = 20  # base32 characters: 100 bits, no collision to fear at 10^12 ids


def derive(prefix: str, *parts: str | int) -> str:
    """``ses_k3f…``: the prefix and a digest of the parts, each with its length before it."""
    digest = hashlib.sha256()
    for part in (prefix, *parts):
        raw = str(part).encode()
        digest.update(f"{len(raw)}:".encode())
        digest.update(raw)
    text = base64.b32encode(digest.digest()).decode().lower()
    return f"{prefix}_{text[:_LENGTH]}"


def content_digest(raw: bytes) -> str:
    """SHA-256 in hex: the name of a content."""
    return hashlib.sha256(raw).hexdigest()
