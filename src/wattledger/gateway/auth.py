"""Passwords of charge points: kept as scrypt hashes, compared in constant time."""

from __future__ import annotations

import base64
import hashlib
import hmac

# OCPP passwords are long and random (security white paper: 16 to 20 bytes), so the cost guards
# against a leaked file, not against guessing; reconnect storms have to be affordable.
_N, _R, _P = 1024, 8, 1


def hash_password(password: str, salt: bytes) -> str:
    """``scrypt$<n>$<salt hex>$<hash hex>``"""
    return f"scrypt${_N}${salt.hex()}${_scrypt(password, salt, _N).hex()}"


def verify(password: str, stored: str) -> bool:
    """Whether ``password`` is the one of the hash. A malformed hash matches nothing."""
    try:
        scheme, n, salt, expected = stored.split("$")
        found = _scrypt(password, bytes.fromhex(salt), int(n))
        return scheme == "scrypt" and hmac.compare_digest(found, bytes.fromhex(expected))
    except (ValueError, TypeError, OverflowError):
        return False


def basic(header: str | None) -> tuple[str, str] | None:
    """User and password of an Authorization header (RFC 7617), or None."""
    if header is None or header[:6].lower() != "basic ":
        return None
    try:
        user, colon, password = base64.b64decode(header[6:], validate=True).decode().partition(":")
    except ValueError:  # no base64, no UTF-8, or not even ASCII
        return None
    return (user, password) if colon else None


def _scrypt(password: str, salt: bytes, n: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=_R, p=_P, dklen=32)
