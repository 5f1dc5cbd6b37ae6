"""One value of a frame replaced, every other byte left as it came: spaces, order, escapes.

Where a frame has to say something else to one side than it said to the other, decoding and
encoding it again would change more than that. What is patched here has been decoded before: it is
known to be JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

import msgspec

Path = tuple[str, ...]

_SPACE = re.compile(r"[ \t\r\n]*")
_VALUES = json.JSONDecoder(strict=False)
# A Decimal is a number; text is written as it is, but for what JSON wants escaped.
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Span(msgspec.Struct, frozen=True):
    """Where a value stands in a text. ``start == end``: it is not there, and goes in with the
    names of ``missing``; ``first`` where nothing follows it in its object."""

    start: int
    end: int
    missing: Path = ()
    first: bool = False


def element(raw: str, index: int) -> int:
    """Where the ``index``-th element of the array that ``raw`` is begins."""
    at = _skip(raw, _skip(raw, 0) + 1)
    for _ in range(index):
        at = _skip(raw, _after(raw, at))
        at = _skip(raw, at + 1)  # the comma
    return at


def find(raw: str, at: int, path: Path) -> Span:
    """The value at ``path`` of the object that begins at ``at``. Of a name that stands twice the
    last counts, as for whoever decodes it."""
    begin = _skip(raw, at + 1)
    place, found = begin, None
    while raw[place] != "}":
        name, place = _VALUES.raw_decode(raw, place)
        start = _skip(raw, _skip(raw, place) + 1)
        end = _after(raw, start)
        if name == path[0]:
            found = (start, end)
        place = _skip(raw, end)
        if raw[place] == ",":
            place = _skip(raw, place + 1)
    if found is None:
        return Span(begin, begin, path, raw[begin] == "}")
    if len(path) == 1:
        return Span(*found)
    if raw[found[0]] != "{":
        return Span(found[0], found[1], path[1:])
    return find(raw, found[0], path[1:])


def with_value(raw: str, at: int, path: Path, value: object) -> str:
    """The text with ``value`` at ``path`` of the object that begins at ``at``."""
    span = find(raw, at, path)
    names = list(span.missing)
    if span.start < span.end:  # a value in its place, or one that is no object
        whole = _nested(names, value)
        return raw[: span.start] + _text(whole) + raw[span.end :]
    inner = _text(_nested(names[1:], value))
    comma = "" if span.first else ","
    return f"{raw[: span.start]}{_text(names[0])}:{inner}{comma}{raw[span.start :]}"


def with_number(raw: str, at: int, path: Path, names: Mapping[int, int]) -> str:
    """The text with the whole number at ``path`` under its other name, where it has one."""

    def change(text: str) -> str | None:
        other = names.get(number_of(text)) if text else None
        return None if other is None else str(other)

    return _changed(raw, at, path, change)


def with_number_inside(raw: str, at: int, path: Path, names: Mapping[int, int]) -> str:
    """The same of a number at the last name of ``path`` in an object that is kept as a text at the
    names before it (the ``data`` of a DataTransfer)."""

    def change(text: str) -> str | None:
        try:
            inner = json.loads(text)
            if not isinstance(inner, str) or not isinstance(json.loads(inner), dict):
                return None
        except (ValueError, RecursionError):
            return None
        patched = with_number(inner, _skip(inner, 0), path[-1:], names)
        return None if patched == inner else _text(patched)

    return _changed(raw, at, path[:-1], change)


def number_of(text: str) -> int:
    """A whole number as chargers write it (7, "7", 7.0); 0, which is nobody's, for all else."""
    try:
        found = json.loads(text)
        whole = int(found)
        return whole if not isinstance(found, str) and whole == found else int(str(found))
    except (ValueError, TypeError, OverflowError):
        return 0


def _changed(raw: str, at: int, path: Path, change: Callable[[str], str | None]) -> str:
    span = find(raw, at, path)
    if span.start == span.end or span.missing:
        return raw
    new = change(raw[span.start : span.end])
    return raw if new is None else raw[: span.start] + new + raw[span.end :]


def _nested(names: list[str], value: object) -> object:
    for name in reversed(names):
        value = {name: value}
    return value


def _text(value: object) -> str:
    return _ENCODER.encode(value).decode()


def _skip(raw: str, at: int) -> int:
    found = _SPACE.match(raw, at)
    return found.end() if found else at


def _after(raw: str, at: int) -> int:
    return _VALUES.raw_decode(raw, at)[1]
