"""What a check of a tariff has to say: a value, never an exception."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """It can't be meant, or a rule that we enforce forbids it."""
    WARNING = "warning"
    """It is possible, and most likely not meant; or a rule that nobody has verified speaks."""
    INFO = "info"
    """Good to know before it is published."""


_RANK = {severity: rank for rank, severity in enumerate(Severity)}


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """``path`` is where (``$.elements[2].restrictions.end_time``); ``message`` says what, why and
    what to do. A rule of a jurisdiction adds its id and its source."""

    code: str
    severity: Severity
    path: str
    message: str
    rule_id: str = ""
    source: str = ""


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each once, the worst first, otherwise in the order they were found."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda found: _RANK[found.severity]))
