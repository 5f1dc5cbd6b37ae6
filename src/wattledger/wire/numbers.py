"""Numbers and times from outside: finite, bounded, and with a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from wattledger.errors import BadInput, Malformed

# No session that is told us, by whomever, was before this.
OLDEST = datetime(2015, 1, 1, tzinfo=UTC)
# OCPP timestamps before this come from a clock that was never set (1970, 2000, a build date).
CLOCK_NEVER_SET = datetime(2020, 1, 1, tzinfo=UTC)
# Further ahead of business time than this a clock is wrong, not fast.
CLOCK_AHEAD_MAX = timedelta(minutes=5)


def clock_is_wrong(at: datetime, now: datetime) -> bool:
    """Whether ``at`` can't be the time of something that we hear of at ``now``."""
    return at < CLOCK_NEVER_SET or at > now + CLOCK_AHEAD_MAX


# A device's time without a zone can't be placed. It is kept in order and told from any other by
# moving it back by about a thousand years, where no clock is believed.
UNPLACED = timedelta(days=365_243)
NO_TIME = datetime(1, 1, 1, tzinfo=UTC)


def device_time(text: str) -> datetime:
    """A charge point's timestamp in UTC, never an error: its message must not be lost for it.

    One without a zone is ``UNPLACED`` earlier, what is no time at all is ``NO_TIME``: both are
    before ``CLOCK_NEVER_SET``, so that they are not believed. The same text is the same time.
    """
    try:
        return parse_time(text, "timestamp")
    except BadInput:
        pass
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC) - UNPLACED
    except (ValueError, OverflowError):
        return NO_TIME


def device_text(at: datetime) -> str:
    """A device's time as it was sent, for a person."""
    if at == NO_TIME:
        return "no time"
    if at < CLOCK_NEVER_SET - UNPLACED + timedelta(days=40_000):
        return (at + UNPLACED).replace(tzinfo=None).isoformat() + " (no zone)"
    return at.isoformat().replace("+00:00", "Z")


def parse_time(text: str, path: str) -> datetime:
    """An RFC 3339 time in UTC. A time without a zone is refused, never guessed at."""
    try:
        value = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(path, text, "an RFC 3339 time such as 2026-11-24T10:15:00Z") from None
    if value.tzinfo is None:
        raise BadInput(path, text, "a time with a zone: append Z for UTC")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise BadInput(path, text, "a time in the years 1 to 9999") from None


def decode_json(raw: bytes | str, what: str) -> Any:
    """Any JSON value with exact decimals: no number becomes a float.

    Raises Malformed for what is not JSON. NaN and Infinity are not.
    """
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Malformed(what, _start(raw), f"JSON ({error})") from None


_DECODER = msgspec.json.Decoder(float_hook=str)


def _start(raw: bytes | str) -> str:
    return (raw if isinstance(raw, str) else raw.decode("utf-8", "replace"))[:120]
