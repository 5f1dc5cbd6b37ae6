"""Where receipts are found by link, and the mail server that sends them."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from wattledger.errors import BadInput
from wattledger.section import Section

RECEIPTS, MAIL = "receipts", "mail"
"""Kinds of configuration versions, of one key each: the kind's own name."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ADDRESS = re.compile(r"(?:[^<>\r\n]* )?<?[^\s<>@,;]+@[^\s<>@,;]+>?")


TEXT_MAX = 200
_LINES_MAX = 10


def check_printed(path: str, value: str | None) -> None:
    """Raises BadInput for a text that no receipt has room for: a line that is too long."""
    if value is not None and (len(value) > TEXT_MAX or "\0" in value):
        raise BadInput(path, value[:40] + "…", f"{TEXT_MAX} characters at most")


def check_address(path: str, value: str | None) -> None:
    """Raises BadInput for an address of too many lines, or with one that is too long."""
    lines = (value or "").splitlines()
    if len(lines) > _LINES_MAX:
        raise BadInput(path, f"{len(lines)} lines", f"{_LINES_MAX} lines at most")
    for line in lines:
        check_printed(path, line)


class ReceiptSettings(Section, frozen=True):
    """``[receipts]``: without ``link_secret_env`` there are no links, and nothing is asked."""

    base_url: str | None = None
    """Where drivers reach us: ``https://pay.example.com``. Links in mails and on pages begin so."""
    link_secret_env: str | None = None
    """The environment variable with the secret that links are made from: 32 characters at least.
    A new secret makes every link that was given out worthless."""


class MailSettings(Section, frozen=True):
    """``[mail]``: the server that takes receipts. Where there is none, none are sent."""

    host: str
    sender: str
    """``Charging <receipts@example.com>``"""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """``none`` is for a server on this machine."""
    user: str | None = None
    password_env: str | None = None
    reply_to: str | None = None
    timeout_s: Annotated[int, msgspec.Meta(ge=1, le=20)] = 10
    """For each step of the conversation."""


def check_receipts(settings: ReceiptSettings, path: str = "$.receipts") -> None:
    """Raises BadInput for an address that no driver could trust."""
    if settings.base_url is None:
        return
    try:
        url = urlsplit(settings.base_url)
        loopback = url.scheme == "http" and url.hostname in _LOOPBACK
        fine = bool(url.hostname) and (url.scheme == "https" or loopback)
        fine = fine and not (url.query or url.fragment or url.username)
    except ValueError:
        fine = False
    if not fine:
        raise BadInput(f"{path}.base_url", settings.base_url, "https://…, or http:// on loopback")


def check_mail(settings: MailSettings, path: str = "$.mail") -> None:
    """Raises BadInput where a password or a receipt would travel in the clear."""
    if settings.security == "none" and settings.host not in _LOOPBACK:
        raise BadInput(f"{path}.security", "none", "starttls or tls: this server is not loopback")
    if (settings.user is None) != (settings.password_env is None):
        name = "user" if settings.user is None else "password_env"
        raise BadInput(f"{path}.{name}", None, "both of user and password_env, or neither")
    for name in ("sender", "reply_to"):
        value = getattr(settings, name)
        if value is not None and not _ADDRESS.fullmatch(value):
            raise BadInput(f"{path}.{name}", value, "an address such as Name <name@example.com>")
