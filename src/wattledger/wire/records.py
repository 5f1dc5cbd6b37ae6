"""Reading a message's record field by field, with a warning for all that is not read.

JSON's null is the same as absence. A field that the record does not know is warned of with its
path; a value that can't be what it should be is an error with its path. Enumerations come in
three kinds: an unknown value of an ``Informative`` one is left out with a warning, since it
decides no price; one of a ``Listed`` one leaves out its whole entry; of any other it fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
import msgspec.inspect

from wattledger.errors import BadInput
from wattledger.wire import exact

_CURRENCY = r"^[A-Z]{3}\Z"
_PATTERNS = {_CURRENCY: "an ISO 4217 code such as EUR"}

# Longer than any standard's, since real ids are; never empty, never with a NUL.
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00]*\Z")]
Currency = Annotated[str, msgspec.Meta(pattern=_CURRENCY)]

_R = TypeVar("_R", bound=msgspec.Struct)


class Informative(StrEnum):
    """An enumeration that decides no price: an unknown value is a warning."""


class Listed(StrEnum):
    """An enumeration that names an entry of a list: an unknown one is left out with a warning."""


class _LeftOut(Exception):
    """The entry at hand is not read."""


def read(value: object, record: type[_R], path: str, warnings: list[str]) -> _R:
    """``value``, as ``exact.parse`` gave it, as a record. Adds to ``warnings``, raises BadInput."""
    found = _struct(value, _info(record), path, warnings)
    assert isinstance(found, record), "the information is that record's"
    return found


@cache
def _info(record: type[msgspec.Struct]) -> msgspec.inspect.StructType:
    info = msgspec.inspect.type_info(record)
    assert isinstance(info, msgspec.inspect.StructType), "a record is a struct"
    return info


def _struct(
    value: object, info: msgspec.inspect.StructType, path: str, warnings: list[str]
) -> msgspec.Struct:
    names = [field.encode_name for field in info.fields]
    if isinstance(value, exact.Twice):
        raise exact.twice(value, path)
    if not isinstance(value, dict):
        raise BadInput(path, value, "an object with the keys " + ", ".join(names))
    for key in value:
        if key not in names:
            warnings.append(f"{path}.{_named(key)}: unknown field, not read")
    given = {}
    for field in info.fields:
        item = value.get(field.encode_name)
        if item is not None:
            given[field.name] = _any(item, field.type, f"{path}.{field.encode_name}", warnings)
        elif field.required:
            raise BadInput(f"{path}.{field.encode_name}", None, "a value: it is required")
    made: msgspec.Struct = info.cls(**given)
    return made


def _any(value: object, info: msgspec.inspect.Type, path: str, warnings: list[str]) -> object:
    """``value`` is not None: null was left out above."""
    if isinstance(info, msgspec.inspect.UnionType):
        (info,) = (t for t in info.types if not isinstance(t, msgspec.inspect.NoneType))
    if isinstance(info, msgspec.inspect.StructType):
        return _struct(value, info, path, warnings)
    if isinstance(info, msgspec.inspect.VarTupleType):
        return _entries(value, info, path, warnings)
    if isinstance(info, msgspec.inspect.EnumType):
        return _member(value, info.cls, path, warnings)
    return _LEAVES[type(info)](value, info, path)


def _entries(
    value: object, info: msgspec.inspect.VarTupleType, path: str, warnings: list[str]
) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise BadInput(path, value, "a list")
    if len(value) < (info.min_length or 0):
        raise BadInput(path, value, "at least one entry")
    found = []
    for i, item in enumerate(value):
        where = f"{path}[{i}]"
        if item is None:
            raise BadInput(where, None, "an entry, or none at all")
        try:
            entry = _any(item, info.item_type, where, warnings)
        except _LeftOut:
            continue
        if entry is not None:
            found.append(entry)
    return tuple(found)


def _member(value: object, kind: Any, path: str, warnings: list[str]) -> object:
    known = {member.value: member for member in kind}
    if isinstance(value, str):
        if value in known:
            return known[value]
        if issubclass(kind, Informative):
            warnings.append(f"{path}: {_short(value)} is not one of {', '.join(known)}, not read")
            return None
        if issubclass(kind, Listed):
            warnings.append(f"{path}: {_short(value)} is unknown, its entry is not read")
            raise _LeftOut
    raise BadInput(path, value, "one of " + ", ".join(known))


def _text(value: object, info: Any, path: str) -> str:
    least, most = info.min_length or 0, info.max_length or 100_000
    if not isinstance(value, str) or "\x00" in value or not least <= len(value) <= most:
        raise BadInput(path, value, f"a text of {least} to {most} characters without NUL")
    if info.pattern is not None and not re.search(info.pattern, value):
        raise BadInput(path, value, _PATTERNS.get(info.pattern, f"a text like {info.pattern}"))
    return value


def _word(value: object, info: Any, path: str) -> str:
    if not isinstance(value, str) or value not in info.values:
        raise BadInput(path, value, "one of " + ", ".join(info.values))
    return value


def _yes_or_no(value: object, info: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise BadInput(path, value, "true or false")
    return value


def _raw(value: object, info: Any, path: str) -> msgspec.Raw:
    exact.check_plain(value, path)
    return msgspec.Raw(exact.dump(value))


def _whole(value: object, info: Any, path: str) -> int:
    # 1.0 is how some writers say 1; it is the same number.
    if isinstance(value, Decimal) and exact.bounded(value) and value == value.to_integral_value():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**31) <= value < 2**31:
        raise BadInput(path, value, "a whole number below 2147483648")
    return value


def _named(key: str) -> str:
    return key if key.isprintable() and len(key) <= 60 else _short(key)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")


_LEAVES: dict[type[msgspec.inspect.Type], Callable[[object, Any, str], object]] = {
    msgspec.inspect.StrType: _text,
    msgspec.inspect.LiteralType: _word,
    msgspec.inspect.IntType: _whole,
    msgspec.inspect.BoolType: _yes_or_no,
    msgspec.inspect.RawType: _raw,
    msgspec.inspect.DecimalType: lambda value, _, path: exact.number(value, path),
    msgspec.inspect.DateTimeType: lambda value, _, path: exact.moment(value, path),
}
