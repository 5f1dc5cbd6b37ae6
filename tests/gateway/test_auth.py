"""Passwords of charge points."""

from __future__ import annotations

import base64
import hashlib

import pytest

from wattledger.gateway.auth import basic, hash_password, verify

SALT = bytes(range(16))
PASSWORD = "correct-horse-battery"


def _header(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_the_password_of_a_hash_is_known_and_no_other() -> None:
    stored = hash_password(PASSWORD, SALT)
    assert verify(PASSWORD, stored)
    assert not verify(PASSWORD + " ", stored)
    assert not verify("", stored)
    assert not verify(PASSWORD, hash_password(PASSWORD, b"another salt")[:-2] + "00")


def test_a_hash_is_scrypt_with_its_salt() -> None:
    digest = hashlib.scrypt(PASSWORD.encode(), salt=SALT, n=1024, r=8, p=1, dklen=32)
    assert hash_password(PASSWORD, SALT) == f"scrypt$1024${SALT.hex()}${digest.hex()}"


@pytest.mark.parametrize(
    "stored",
    ["", "scrypt", "scrypt$1024$00", "md5$1024$00$00", "scrypt$1024$zz$00", "scrypt$x$00$00",
     "scrypt$0$00$00", "scrypt$-1$00$00", "scrypt$3$00$00", "scrypt$1099511627776$00$00",
     "scrypt$99999999999999999999$00$00"],
)  # fmt: skip
def test_a_malformed_hash_matches_nothing(stored: str) -> None:
    assert verify(PASSWORD, stored) is False


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (_header("CP-1:secret"), ("CP-1", "secret")),
        (_header("CP-1:a:b"), ("CP-1", "a:b")),  # RFC 7617: the first colon parts them
        (_header("CP-1:"), ("CP-1", "")),
        (_header("CP-1:schlüssel"), ("CP-1", "schlüssel")),
        (_header("CP-1:x").replace("Basic", "bAsIc"), ("CP-1", "x")),
        (_header("CP-1"), None),
        (None, None),
        ("", None),
        ("Bearer abc", None),
        ("Basic !!!", None),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), None),
        ("Basic \udcff\udcff", None),
        ("Basic é", None),
    ],
)
def test_an_authorization_header(header: str | None, found: tuple[str, str] | None) -> None:
    assert basic(header) == found
