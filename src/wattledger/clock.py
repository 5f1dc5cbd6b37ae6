"""The two clocks.

Business time (meter times, idle, hold windows, payouts, periods) is read once per step
from a ``Clock`` and passed on as a value. Machine time (leases, time-outs, backoff,
signatures) is the system's and never reaches a business column.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib import resources
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Where business time comes from."""

    def now(self) -> datetime:
        """The business time, in UTC."""
        ...


class SystemClock:
    """Business time is the machine's: production."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class DrivenClock:
    """Business time stands still until it is moved (demo, simulations, tests), never back."""

    def __init__(self, start: datetime) -> None:
        self._now = require_utc(start)

    def now(self) -> datetime:
        return self._now

    def advance(self, to: datetime) -> None:
        """Move to ``to``; an earlier time is an error of the driver."""
        to = require_utc(to)
        if to < self._now:
            raise ValueError(f"the clock stands at {self._now} and can't go back to {to}")
        self._now = to


@lru_cache(maxsize=1024)  # whoever sends a record chooses the name
def zone_named(name: str) -> ZoneInfo | None:
    """The zone of an IANA name, or None where it is none. Only the names of the tz database:
    ``localtime`` is the machine's, and ``right/`` counts leap seconds."""
    if name not in _zone_names():
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


@cache
def _zone_names() -> frozenset[str]:
    names = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return frozenset(names) - {"Factory"}


def require_utc(value: datetime) -> datetime:
    """``value`` in UTC; a time without a zone is an error, never a guess."""
    if value.tzinfo is None:
        raise ValueError(f"a time without a zone: {value.isoformat()}")
    return value.astimezone(UTC)


def utc_text(value: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, or microseconds where there are any."""
    value = require_utc(value)
    spec = "microseconds" if value.microsecond else "seconds"
    return value.isoformat(timespec=spec).replace("+00:00", "Z")
