"""JSON from outside, read exactly and whole: decimals stay decimals, and no key is said twice.

``msgspec`` reads a typed message fast and is used where speed counts. It takes the last of two
equal keys and any number a Decimal can hold. What is read here takes neither: a duplicate key is
an error at its path, a number is finite and bounded, so that every step after it is exact.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Clamped, Context, Decimal, DecimalException, Inexact, Overflow, Subnormal
from typing import Any, NoReturn

import msgspec

from wattledger.errors import BadInput, Malformed

NUMBER = "a number of 34 digits at most, below 10000000000"
# Both ends of what a charging session can be dated with; what lies beyond is a broken clock.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
TIME = "a time such as 2026-11-24T10:15:00Z, in the years 1970 to 2199"

# Small enough that the ratio of two integers is never a large one: 1e999999 and 0e-999999 raise.
_BOUNDS = Context(prec=34, Emin=-40, Emax=9, traps=[Clamped, Inexact, Overflow, Subnormal])
_NUMBER_CHARACTERS = frozenset("0123456789+-.eE")
DEPTH_MAX = 64
_SHOWN_MAX = 120
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Twice(dict[str, Any]):
    """An object in which ``key`` stands more than once."""

    key: str = ""


def parse(raw: bytes, path: str = "$") -> Any:
    """The JSON value: numbers are int or Decimal, an object with a double key is a ``Twice``.

    Raises Malformed for what is not JSON in UTF-8.
    """
    try:
        # It refuses what the standard library lets through: lone surrogates, other encodings.
        msgspec.json.decode(raw, type=msgspec.Raw)
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_fraction,
            parse_int=_whole,
            parse_constant=_no_constant,
        )
    except (ValueError, msgspec.MsgspecError, ArithmeticError, RecursionError) as error:
        raise Malformed(path, _start(raw), f"JSON in UTF-8 ({error})") from None
    if raw.count(b"[") + raw.count(b"{") > DEPTH_MAX:
        check_depth(value, path)
    return value


def check_depth(value: object, path: str) -> None:
    """Raises Malformed for what is nested too deeply to be walked, or shown in an error."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEPTH_MAX):
        if not level:
            return
        items = (holder.values() if isinstance(holder, dict) else holder for holder in level)
        level = [item for held in items for item in held if isinstance(item, dict | list)]
    raise Malformed(path, "deeper nesting", f"{DEPTH_MAX} levels at most")


check_bounded = _BOUNDS.plus
"""Raises DecimalException for a number with too many digits or too far from 1; neither Infinity
nor NaN do."""


def dump(value: object) -> bytes:
    """The value as JSON: a Decimal is a number with the digits it was written with."""
    return _ENCODER.encode(value)


def bounded(value: Decimal) -> bool:
    """Whether it is finite, of 34 digits at most and neither huge nor minute."""
    if not value.is_finite():
        return False
    try:
        check_bounded(value)
    except DecimalException:
        return False
    return True


def number(value: object, path: str) -> Decimal:
    """A JSON number, or a text that is one: old examples of OCPI quote their prices."""
    if isinstance(value, str):
        if not value or not _NUMBER_CHARACTERS.issuperset(value):
            raise BadInput(path, value, NUMBER)
        try:
            value = Decimal(value)
        except ArithmeticError:
            raise BadInput(path, value, NUMBER) from None
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal):
        raise BadInput(path, value, NUMBER)
    if not bounded(value):
        raise BadInput(path, str(value), NUMBER)
    return value


def moment(value: object, path: str) -> datetime:
    """A time in UTC. One without a zone is in UTC too: OCPI's DateTime says so."""
    if not isinstance(value, str):
        raise BadInput(path, value, TIME)
    try:
        # The same parser as a typed message's: RFC 3339, where fromisoformat takes weeks too.
        at = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        raise BadInput(path, value, TIME) from None
    return in_utc(at, path)


def in_utc(value: datetime, path: str) -> datetime:
    """The same moment in UTC; raises BadInput where a clock is broken beyond doubt."""
    try:
        at = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise BadInput(path, value.isoformat(), TIME) from None
    if not EARLIEST <= at < LATEST:
        raise BadInput(path, value.isoformat(), TIME)
    return at


def check_plain(value: object, path: str) -> None:
    """Raises BadInput at a key, however deep, that stands twice, or at an unbounded number."""
    if isinstance(value, Twice):
        raise twice(value, path)
    if isinstance(value, dict):
        for key, item in value.items():
            check_plain(item, f"{path}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            check_plain(item, f"{path}[{i}]")
    elif isinstance(value, Decimal):
        number(value, path)


def twice(value: Twice, path: str) -> BadInput:
    """The error for it."""
    return BadInput(f"{path}.{value.key}", "the same key twice", "each key of an object once")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    double = Twice(found)
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            double.key = key
            break
        seen.add(key)
    return double


def _whole(digits: str) -> int | Decimal:
    # int() of thousands of digits takes its time, and refuses beyond a few thousand.
    return int(digits) if len(digits) <= 40 else Decimal(digits)


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        return Decimal("Infinity")  # an exponent beyond all of Decimal's; refused where it stands


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number in JSON")


def _start(raw: bytes) -> str:
    return raw[:_SHOWN_MAX].decode("utf-8", "replace")
