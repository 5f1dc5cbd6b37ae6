"""A payload as a message, of whatever version: exactly where it can be, with care where not.

What a charge point sends is converted as it is, and that is fast. Only what fails is looked at
again, because real ones write null for absence, and numbers as texts or with a fraction: what can
only mean one thing is taken as that, anything else is BadInput with its path.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
import msgspec.inspect

from wattledger.errors import BadInput
from wattledger.wire import exact

M = TypeVar("M", bound="Message")
N = TypeVar("N", bound="Numeric")

# The standards' "integer" has no bounds; ours are what the database can keep.
Int = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Long = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
# What is sent in the place of a word is its text: a word that we don't know must not lose the
# message it stands in. PostgreSQL keeps no NUL: it is written out.
Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$", extra={"any": True})]
# What is looked up by it must be it: a NUL is refused by name, or it would be repeated for ever.
# Longer than any version's, and still short enough for an index.
Name = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$", max_length=255)]

_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,2})?")
_EXACT = Context(prec=200)
_DIGITS_MAX = 40
_BOOLS: dict[str, bool] = {"true": True, "false": False}
_AT = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(.*)`$")
_STEP = re.compile(r"\.([A-Za-z0-9]+)|\[([0-9]+)\]")


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """A message, or a part of one. Unknown fields are a vendor's: not read, and no error."""


class Numeric(Message, frozen=True):
    """A message whose decimals must be numbers: no NaN, nothing huge or minute."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not exact.bounded(value):
                raise ValueError(f"Expected {exact.NUMBER} as `{name}`")


def convert(payload: object, message: type[M], standard: str, path: str | None = None) -> M:
    """The message in a payload, or the part of one at ``path``. Raises BadInput with the path of
    what is wrong."""
    try:
        return msgspec.convert(payload, message)
    except msgspec.ValidationError:
        pass
    mended = _mend(payload, _info(message))
    try:
        return msgspec.convert(mended, message)
    except msgspec.ValidationError as error:
        raise _bad(str(error), payload, path or message.__name__, standard) from None


def each(parts: object, part: type[M], standard: str, path: str) -> list[tuple[str, M | None, str]]:
    """The parts of a list one by one, with their paths: what can't be read is why, in place of a
    part, and loses no other. One that stands without its list is a list of one."""
    if parts is None:
        return []
    found: list[tuple[str, M | None, str]] = []
    for i, held in enumerate(parts if isinstance(parts, list) else [parts]):
        at = f"{path}[{i}]"
        try:
            found.append((at, convert(held, part, standard, at), ""))
        except BadInput as error:
            found.append((at, None, str(error)))
    return found


def text_of(value: object) -> str | None:
    """A value that was sent, whatever it is, as text that a database keeps."""
    if value is None:
        return None
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text.replace("\x00", "\\u0000") if "\x00" in text else text


@cache
def _info(message: type[msgspec.Struct]) -> msgspec.inspect.Type:
    return msgspec.inspect.type_info(message)


def _mend(value: object, info: msgspec.inspect.Type, *, half_up: bool = False) -> object:
    """``value`` with what can only mean one thing in its stead."""
    if isinstance(info, msgspec.inspect.UnionType):
        kinds = [kind for kind in info.types if not isinstance(kind, msgspec.inspect.NoneType)]
        return _mend(value, kinds[0]) if len(kinds) == 1 else value
    if isinstance(info, msgspec.inspect.Metadata):
        if (info.extra or {}).get("any"):
            return text_of(value)
        return _mend(value, info.type, half_up=bool((info.extra or {}).get("half_up")))
    if isinstance(info, msgspec.inspect.ListType) and isinstance(value, list):
        return [_mend(item, info.item_type) for item in value]
    if isinstance(info, msgspec.inspect.StructType) and isinstance(value, dict):
        return _mend_object(value, info)
    return _mend_text(value, info, half_up) if isinstance(value, str) else value


def _mend_text(value: str, info: msgspec.inspect.Type, half_up: bool) -> object:
    if isinstance(info, msgspec.inspect.IntType):
        return _whole(value.strip(), half_up)
    if isinstance(info, msgspec.inspect.BoolType):
        return _BOOLS.get(value.strip().casefold(), value)
    return value


def _mend_object(value: dict[str, Any], info: msgspec.inspect.StructType) -> dict[str, Any]:
    found = {}
    for field in info.fields:
        item = value.get(field.encode_name)
        if item is not None:
            found[field.encode_name] = _mend(item, field.type)
    return found


def _whole(text: str, half_up: bool) -> object:
    """ "123" and 123.0 are 123; a fraction is rounded only where the field says so."""
    if not _NUMBER.fullmatch(text):
        return text
    number = Decimal(text)
    if number.adjusted() > _DIGITS_MAX:
        return text
    rounded = number.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_EXACT)
    return int(rounded) if half_up or rounded == number else text


def _bad(error: str, payload: object, name: str, standard: str) -> BadInput:
    found = _AT.match(error)
    said, steps = (found.group(1), found.group(2) or "") if found else (error, "")
    missing = _MISSING.match(said)
    if missing:
        return BadInput(f"{name}{steps}.{missing.group(1)}", None, f"what {standard} requires")
    got: Any = payload
    for key, index in _STEP.findall(steps):
        try:
            got = got[key] if key else got[int(index)]
        except (KeyError, IndexError, TypeError):
            break
    return BadInput(f"{name}{steps}", got, f"what {standard} says ({said})")
