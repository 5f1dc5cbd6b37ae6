"""A charge as the API shows it: every field of the document, and why each line is as it is."""

from __future__ import annotations

from typing import Any

import msgspec

from wattledger.rating import Charge, Line, decode, evidence, why
from wattledger.tariffs import Tariff, read_tariff

_TOLD_APART = (
    "tariff_id", "tariff_name", "energy_wh", "charging_s", "idle_s", "pause_s",
)  # fmt: skip


def shown(document: bytes, tariff_body: dict[str, Any]) -> dict[str, Any]:
    """The charge in ``document``; ``tariff_body`` is the version it was priced by."""
    charge, tariff = decode(document), read_tariff(tariff_body, "$")
    return {
        **{name: getattr(charge, name) for name in _TOLD_APART},
        **_whole(charge),
        "lines": [_line(charge, line, tariff) for line in charge.lines],
    }


def _line(charge: Charge, line: Line, tariff: Tariff) -> dict[str, Any]:
    return {
        **_whole(line),
        "why": why(charge, line, tariff),
        "evidence": [_whole(piece) for piece in evidence(charge, line)],
    }


def _whole(value: msgspec.Struct) -> dict[str, Any]:
    """With its defaults, which the document leaves out: a reader of JSON does not know them."""
    return {name: msgspec.to_builtins(getattr(value, name)) for name in value.__struct_fields__}
