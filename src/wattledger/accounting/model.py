"""Where the books are told: the receivers of signed webhooks."""

from __future__ import annotations

from urllib.parse import urlsplit

from wattledger.errors import BadInput
from wattledger.section import Section


class Target(Section, frozen=True):
    """A receiver of signed webhooks (Standard Webhooks 1.0)."""

    id: str
    entity: str
    url: str
    secret_env: str
    timeout_s: int = 20


def check_target(path: str, target: Target) -> None:
    """Raises BadInput for an address that would carry the books in the clear."""
    try:
        url = urlsplit(target.url)
        loopback = url.scheme == "http" and url.hostname in ("127.0.0.1", "localhost", "::1")
        fine = bool(url.hostname) and url.username is None and (url.scheme == "https" or loopback)
    except ValueError:
        fine = False
    if not fine:
        raise BadInput(f"{path}.url", target.url, "https://…, or http:// on loopback")
