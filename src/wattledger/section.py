"""The configuration: its tables, strict and checked where they stand, and its versions."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from wattledger.errors import BadInput
from wattledger.ids import content_digest

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


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
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise BadInput(path, value, "an IANA time zone such as America/New_York") from None


def check_percent(path: str, value: str) -> None:
    """Raises BadInput when ``value`` is no exact percentage from 0 to 100."""
    try:
        number = Decimal(value)
    except ArithmeticError:
        raise BadInput(path, value, "a percentage such as 9.5") from None
    if not number.is_finite() or not 0 <= number <= 100 or number != round(number, 6):
        raise BadInput(path, value, "a percentage from 0 to 100 with 6 decimal places at most")
