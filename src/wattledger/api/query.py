"""What the readers of the API take from an address, checked: each error names its parameter."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request

from wattledger.errors import BadInput
from wattledger.wire.numbers import parse_time

PAGE_MAX = 1_000


def text(request: Request, name: str) -> str | None:
    """``?name=``, or None where it is not given or empty."""
    found = request.query_params.get(name)
    return an_id(found, name) if found else None


def an_id(given: str, path: str) -> str:
    """A text that can be an id."""
    if "\0" in given or len(given) > 100:
        raise BadInput(path, given, "an id")
    return given


def time(request: Request, name: str) -> datetime | None:
    """``?name=`` as a time with a zone."""
    found = text(request, name)
    # A plus that nobody escaped comes as a space.
    return parse_time(found.replace(" ", "+"), name) if found else None


def flag(request: Request, name: str) -> bool:
    """``?name=true``"""
    found = text(request, name) or "false"
    if found not in ("true", "false"):
        raise BadInput(name, found, "true or false")
    return found == "true"


def limit(request: Request) -> int:
    """``?limit=``, 100 where it is not given."""
    found = text(request, "limit")
    if found is None:
        return 100
    if not found.isascii() or not found.isdecimal() or not 1 <= int(found) <= PAGE_MAX:
        raise BadInput("limit", found, f"a number from 1 to {PAGE_MAX}")
    return int(found)


def number(given: str, path: str) -> int:
    """A whole number that the database can hold."""
    if not given.isascii() or not given.isdecimal() or len(given) > 18:
        raise BadInput(path, given, "a number")
    return int(given)
