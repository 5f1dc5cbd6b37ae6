"""Links to receipts: the session, and a proof that somebody who has the secret made the link.

A link needs no password, can't be guessed, and is the same whenever it is made; nothing of it is
stored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from wattledger.errors import ConfigError

SECRET_MIN = 32
_MAC_BYTES = 20
_MAC_LENGTH = 32  # in base32
_PURPOSE = b"receipt\0"  # the same secret may not open anything else


def token(secret: str, session_id: str) -> str:
    """``ses_k3f…-5y2…``"""
    return f"{session_id}-{_proof(secret, session_id)}"


def session_of(secret: str, given: str) -> str | None:
    """The session that a token is for, or None where it is not one of ours."""
    session_id, dash, proof = given.rpartition("-")
    if not dash or len(proof) != _MAC_LENGTH or not proof.isascii():
        return None
    return session_id if hmac.compare_digest(proof, _proof(secret, session_id)) else None


def link(base_url: str, secret: str, session_id: str) -> str:
    """Where the driver of a session finds the receipt."""
    return f"{base_url.rstrip('/')}/r/{token(secret, session_id)}"


def checked(secret: str, name: str) -> str:
    """The secret, which is long enough not to be tried out. Raises ConfigError."""
    if len(secret) < SECRET_MIN:
        raise ConfigError(
            f"the environment variable {name} has {len(secret)} characters, and a secret of links"
            f" needs {SECRET_MIN} at least"
        )
    return secret


def _proof(secret: str, session_id: str) -> str:
    digest = hmac.new(secret.encode(), _PURPOSE + session_id.encode(), hashlib.sha256).digest()
    return base64.b32encode(digest[:_MAC_BYTES]).decode().lower()
