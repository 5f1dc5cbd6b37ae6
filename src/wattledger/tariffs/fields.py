"""Reading one value strictly: what is not understood is an error with its path.

Prices are quoted strings or whole numbers. A float is refused, because ``0.35`` has already lost
its exact value when it arrives here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import TypeVar, cast

from wattledger.clock import require_utc
from wattledger.errors import BadInput
from wattledger.wire.numbers import parse_time

_E = TypeVar("_E", bound=StrEnum)
_T = TypeVar("_T")

PRICE = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")
AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")
KWH = re.compile(r"[0-9]{1,7}(\.[0-9]{1,3})?")
MEASURE = re.compile(r"[0-9]{1,7}(\.[0-9]{1,6})?")
TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
SEASON = re.compile(r"[0-9]{2}-[0-9]{2}")
CURRENCY = re.compile(r"[A-Z]{3}")
SECONDS_MAX = 366 * 86_400


def table(
    raw: object, path: str, *, required: str, optional: Iterable[str]
) -> Mapping[str, object]:
    """``raw`` as a table with these keys and no other; ``required`` are words."""
    if not isinstance(raw, Mapping):
        raise BadInput(path, raw, "a table")
    needed = required.split()
    known = [*needed, *optional]
    for key in raw:
        if key not in known:
            raise BadInput(f"{path}.{key}", raw[key], f"no such key, but {', '.join(known)}")
    for key in needed:
        if key not in raw:
            raise BadInput(f"{path}.{key}", None, "a value: it is required")
    return raw


def each(raw: object, path: str, read: Callable[[Mapping[str, object], str], _T]) -> tuple[_T, ...]:
    """What ``read`` makes of every item."""
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        raise BadInput(path, raw, "a list of tables")
    # Each reader checks by itself that its item is a table.
    return tuple(read(cast(Mapping[str, object], r), f"{path}[{i}]") for i, r in enumerate(raw))


def unique(values: Iterable[str], path: str, key: str, expected: str) -> None:
    """Raises BadInput at the first value that stands twice."""
    seen: set[str] = set()
    for i, value in enumerate(values):
        if value in seen:
            raise BadInput(f"{path}[{i}].{key}", str(value), expected)
        seen.add(value)


def choice(raw: object, path: str, kind: type[_E]) -> _E:
    """A member of ``kind`` by its value."""
    if isinstance(raw, str):
        for member in kind:
            if member == raw:
                return member
    raise BadInput(path, raw, "one of " + ", ".join(member.value for member in kind))


def text(raw: object, path: str, most: int = 100) -> str:
    """A text of 1 to ``most`` printable characters."""
    if not isinstance(raw, str) or not raw.strip() or len(raw) > most or not raw.isprintable():
        raise BadInput(path, raw, f"a text of 1 to {most} printable characters")
    return raw


def matching(raw: object, path: str, pattern: re.Pattern[str], expected: str) -> str:
    """A text in the form of ``pattern``."""
    if not isinstance(raw, str) or not pattern.fullmatch(raw):
        raise BadInput(path, raw, expected)
    return raw


def decimal(raw: object, path: str, pattern: re.Pattern[str], expected: str) -> str:
    """A plain decimal: a quoted string, or a whole number."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = str(raw)
    sign = "" if pattern is PRICE else ", not negative"
    return matching(raw, path, pattern, f"{expected}, as a quoted string or a whole number{sign}")


def price(raw: object, path: str) -> str:
    """A price, which may be negative."""
    return decimal(raw, path, PRICE, 'a price such as "0.35"')


def amount(raw: object, path: str) -> str:
    """An amount of money, not negative."""
    return decimal(raw, path, AMOUNT, 'an amount such as "12.00"')


def percent(raw: object, path: str) -> str:
    """A percentage from 0 to 100."""
    found = decimal(raw, path, PERCENT, 'a percentage such as "8.875"')
    # Compared as numbers of equal length: the pattern allows three whole digits at most.
    whole, _, rest = found.partition(".")
    if int(whole) > 100 or (int(whole) == 100 and rest.strip("0")):
        raise BadInput(path, raw, 'a percentage from "0" to "100"')
    return found


def whole(raw: object, path: str, least: int, most: int) -> int:
    """A whole number within bounds."""
    if not isinstance(raw, int) or isinstance(raw, bool) or not least <= raw <= most:
        raise BadInput(path, raw, f"a whole number from {least} to {most}")
    return raw


def seconds(raw: object, path: str) -> int:
    """A duration of a year at most."""
    return whole(raw, path, 0, SECONDS_MAX)


def yes_or_no(raw: object, path: str) -> bool:
    """A truth value, never a number or a word."""
    if not isinstance(raw, bool):
        raise BadInput(path, raw, "true or false")
    return raw


def kwh(raw: object, path: str) -> str:
    """kWh to the Wh."""
    return decimal(raw, path, KWH, 'kWh with three places at most, such as "10.5"')


def measure(raw: object, path: str) -> str:
    """kW or A."""
    return decimal(raw, path, MEASURE, 'a number such as "22" or "7.4"')


def local_time(raw: object, path: str) -> str:
    """'HH:MM' of a local clock."""
    return matching(raw, path, TIME, "a local time from '00:00' to '23:59'")


def local_date(raw: object, path: str) -> str:
    """'YYYY-MM-DD', or a bare TOML date."""
    if isinstance(raw, date) and not isinstance(raw, datetime):
        return raw.isoformat()
    expected = "a date such as '2026-07-01'"
    found = matching(raw, path, DATE, expected)
    try:
        date.fromisoformat(found)
    except ValueError:
        raise BadInput(path, found, expected) from None
    return found


def season(raw: object, path: str) -> str:
    """'MM-DD' of every year; 29 February is a day of leap years only and refused."""
    expected = "a day of every year such as '06-01'"
    found = matching(raw, path, SEASON, expected)
    try:
        date.fromisoformat(f"2026-{found}")
    except ValueError:
        raise BadInput(path, found, expected) from None
    return found


def moment(raw: object, path: str) -> datetime:
    """A time with a zone, in UTC."""
    if isinstance(raw, datetime):
        if raw.tzinfo is None:
            raise BadInput(path, raw.isoformat(), "a time with a zone: append Z for UTC")
        return require_utc(raw)
    if not isinstance(raw, str):
        raise BadInput(path, raw, "an RFC 3339 time such as 2026-11-24T10:15:00Z")
    return parse_time(raw, path)
