"""The configuration: its tables, strict and checked where they stand, and its versions."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import msgspec.inspect

from wattledger import money
from wattledger.clock import zone_named
from wattledger.errors import BadInput
from wattledger.ids import content_digest

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")


Positive = Annotated[int, msgspec.Meta(ge=1, le=10**9)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of the file; a key it does not know is an error. Stages define theirs."""


class Version(msgspec.Struct, frozen=True):
    """One configuration body: its kind ('tariff'), its key, what it says."""

    kind: str
    key: str
    body: dict[str, Any]

    @property
    def digest(self) -> str:
        """The name of the content: equal bodies of the same kind and key are one version."""
        raw = msgspec.json.encode([self.kind, self.key, self.body], order="deterministic")
        return content_digest(raw)


class Activation(msgspec.Struct, frozen=True):
    """From ``valid_from`` on, (kind, key) says ``body``; None ends it. ``seq`` orders them."""

    seq: int
    kind: str
    key: str
    valid_from: datetime
    digest: str | None
    body: dict[str, Any] | None


def check_ids(path: str, ids: list[str]) -> set[str]:
    """The ids as a set. Raises BadInput for a malformed or repeated one."""
    seen: set[str] = set()
    for value in ids:
        if not _ID.fullmatch(value):
            raise BadInput(f"{path}.id", value, "letters, digits and _ . : - (64 at most)")
        if value in seen:
            raise BadInput(f"{path}.id", value, "an id that stands only once")
        seen.add(value)
    return seen


def check_known(path: str, value: str, known: set[str], kind: str) -> None:
    """Raises BadInput when ``value`` is not the id of one of ``known``."""
    if value not in known:
        names = ", ".join(sorted(known)) or "none is configured"
        raise BadInput(path, value, f"the id of a {kind} ({names})")


def check_zone(path: str, value: str) -> None:
    """Raises BadInput when ``value`` is no IANA time zone."""
    if zone_named(value) is None:
        raise BadInput(path, value, "an IANA time zone such as America/New_York")


def check_currency(path: str, value: str) -> None:
    """Raises BadInput when ``value`` is no ISO 4217 code."""
    try:
        money.exponent(value)
    except BadInput as error:
        raise BadInput(path, value, error.expected) from None


def check_percent(path: str, value: str) -> None:
    """Raises BadInput when ``value`` is no exact percentage from 0 to 100."""
    if not _PERCENT.fullmatch(value) or Decimal(value) > 100:
        raise BadInput(path, value, "a percentage from 0 to 100 with 6 decimal places at most")


_AT = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?", re.DOTALL)
_CAME = re.compile(r"got `([^`]*)`|`([^`]*)`|'([^']*)'")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>[^\]]*)\]")


def bad_input(error: msgspec.ValidationError, expected_type: Any, root: str = "$") -> BadInput:
    """A validation error as ours: the path, what came, and what may stand there.

    ``expected_type`` is what the whole value should have been; the words for what is allowed at
    the path are taken from it.
    """
    found = _AT.fullmatch(str(error))
    assert found is not None, "the pattern takes any text"
    path = found["path"] or "$"
    came = _CAME.search(found["what"])
    got = next((group for group in came.groups() if group), "") if came else found["what"]
    return BadInput(path.replace("$", root, 1), got, _allowed(expected_type, path))


def _given(info: Any) -> Any:
    """What stands there, where it may be left out."""
    if not isinstance(info, msgspec.inspect.UnionType):
        return info
    return next((t for t in info.types if not isinstance(t, msgspec.inspect.NoneType)), info)


def _allowed(expected_type: Any, path: str) -> str:
    info: Any = msgspec.inspect.type_info(expected_type)
    for step in _STEP.finditer(path):
        info = _given(info)
        if isinstance(info, msgspec.inspect.StructType) and step["name"]:
            fields = {field.encode_name: field.type for field in info.fields}
            info = fields.get(step["name"])
        elif isinstance(info, msgspec.inspect.DictType):
            info = info.value_type
        elif hasattr(info, "item_type"):
            info = info.item_type
    info = _given(info)
    if isinstance(info, msgspec.inspect.EnumType):
        return "one of " + ", ".join(sorted(member.value for member in info.cls))
    if isinstance(info, msgspec.inspect.LiteralType):
        return "one of " + ", ".join(sorted(map(str, info.values)))
    if isinstance(info, msgspec.inspect.StructType):
        return "the keys " + ", ".join(field.encode_name for field in info.fields)
    names = {"IntType": "a whole number", "StrType": "text in quotes", "BoolType": "true or false",
             "DateTimeType": "a time such as 2026-11-24T10:15:00Z"}  # fmt: skip
    return names.get(type(info).__name__, "what the documentation says")
