"""A charge or credit as the API shows it: every field of the document, and why each line is as it
is."""

from __future__ import annotations

from typing import Any

import msgspec

from wattledger.rating import Charge, Line, decode, decode_credit, evidence, why
from wattledger.tariffs import Tariff, read_tariff

_TOLD_APART = (
    "tariff_id", "tariff_name", "energy_wh", "charging_s", "idle_s", "pause_s",
)  # fmt: skip


# The columns of a document that are shown beside what is in it.
COLUMNS = ("charge_id", "kind", "revision", "reverses", "reason", "entity_date", "issued_at")


def issued(row: dict[str, Any]) -> dict[str, Any]:
    """A document of a session: ``COLUMNS``, ``document``, and the ``body`` of its tariff."""
    raw = bytes(row["document"])
    found = _whole(decode_credit(raw)) if row["kind"] == "credit" else shown(raw, row["body"])
    return {**{name: row[name] for name in COLUMNS}, **found}


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
