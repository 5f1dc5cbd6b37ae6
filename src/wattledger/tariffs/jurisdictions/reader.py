"""Jurisdictions out of TOML, strictly: ours and an operator's own in the same form."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cache, partial
from importlib import resources
from typing import Any, TypeVar

from wattledger.errors import BadInput
from wattledger.money import Rounding
from wattledger.tariffs import fields
from wattledger.tariffs.jurisdictions.model import (
    Confidence,
    Customer,
    Jurisdiction,
    ReceiptField,
    Rule,
    Sold,
    TaxRow,
    TimeDisplay,
)
from wattledger.tariffs.model import UNITS, Dimension, PriceLock, TaxIncluded, Unit
from wattledger.tariffs.policies import RoundingLevel

_E = TypeVar("_E", bound=StrEnum)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_WATTS_MAX = 100_000_000
_HERE = "this configuration"

Read = Callable[[object, str], Any]


@cache
def shipped() -> tuple[Jurisdiction, ...]:
    """What we ship, read once."""
    found: list[Jurisdiction] = []
    folder = resources.files("wattledger.tariffs.jurisdictions").joinpath("data")
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            raw = tomllib.loads(file.read_text(encoding="utf-8"))
            table = fields.table(raw, f"{file.name}: $", required="jurisdiction", optional=())
            found += read_jurisdictions(
                table["jurisdiction"], f"{file.name}: $.jurisdiction", own=False
            )
    return tuple(found)


def read_jurisdictions(
    raw: object, path: str = "$.jurisdiction", *, own: bool = True
) -> tuple[Jurisdiction, ...]:
    """The list under ``path``; raises BadInput with the path of the first value it can't take.

    An operator's own rule needs no source, and is verified unless it says otherwise.
    """
    found = fields.each(raw, path, partial(_jurisdiction, own=own))
    fields.unique((j.id for j in found), path, "id", "each jurisdiction once")
    return found


def _jurisdiction(raw: object, path: str, *, own: bool) -> Jurisdiction:
    table = fields.table(raw, path, required="id", optional=("name", "inherits", "rules", "taxes"))
    jurisdiction_id = identifier(table["id"], f"{path}.id")
    inherits = table.get("inherits")
    rules = fields.each(table.get("rules", ()), f"{path}.rules", partial(_rule, own=own))
    taxes = fields.each(table.get("taxes", ()), f"{path}.taxes", partial(_tax, own=own))
    for key, ids in (("rules", [r.id for r in rules]), ("taxes", [t.id for t in taxes])):
        fields.unique(ids, f"{path}.{key}", "id", "an id of its own")
    return Jurisdiction(
        id=jurisdiction_id,
        name=fields.text(table.get("name", jurisdiction_id), f"{path}.name"),
        inherits=None if inherits is None else identifier(inherits, f"{path}.inherits"),
        rules=rules,
        taxes=taxes,
    )


def identifier(raw: object, path: str) -> str:
    """The id of a jurisdiction, a rule or a rate."""
    return fields.matching(raw, path, _ID, "letters, digits and _ . : - (64 at most)")


def _read(raw: object, path: str, known: Mapping[str, Read], required: str) -> dict[str, Any]:
    needed = required.split()
    table = fields.table(
        raw, path, required=required, optional=[name for name in known if name not in needed]
    )
    found = {name: known[name](table[name], f"{path}.{name}") for name in table}
    since, until = found.get("effective_from"), found.get("effective_to")
    if since is not None and until is not None and not since < until:
        raise BadInput(f"{path}.effective_to", until, f"a date after {since} (exclusive)")
    low, high = found.get("min_power_w"), found.get("max_power_w")
    if low is not None and high is not None and not low < high:
        raise BadInput(f"{path}.max_power_w", high, f"more than {low} (exclusive)")
    return found


def _rule(raw: object, path: str, *, own: bool) -> Rule:
    found = _read(raw, path, _RULE, "id text" if own else "id text source url confidence")
    if not found.keys() & (_ASKED.keys() | {"replaces"}):
        expected = "something that it asks for: " + ", ".join(_ASKED)
        raise BadInput(path, found["id"], f"{expected}; or replaces")
    return Rule(**{"source": _HERE, "confidence": Confidence.VERIFIED, **found})


def _tax(raw: object, path: str, *, own: bool) -> TaxRow:
    required = "id name text dimensions"
    found = _read(raw, path, _TAX, required if own else f"{required} source url confidence")
    how = [name for name in ("percent", "per_kwh", "rate") if name in found]
    if len(how) != (1 if found.get("taxable", True) else 0):
        raise BadInput(path, how, "one of percent, per_kwh and rate, and none if taxable = false")
    if "per_kwh" in how and found["dimensions"] != (Dimension.ENERGY,):
        raise BadInput(f"{path}.dimensions", [d.value for d in found["dimensions"]],
                       "energy alone: it is what a tax per kWh is on")  # fmt: skip
    return TaxRow(**{"source": _HERE, "confidence": Confidence.VERIFIED, **found})


def _choices(kind: type[_E]) -> Callable[[object, str], tuple[_E, ...]]:
    def read(raw: object, path: str) -> tuple[_E, ...]:
        if not isinstance(raw, Sequence) or isinstance(raw, str | bytes) or not raw:
            raise BadInput(path, raw, "a list of: " + ", ".join(member.value for member in kind))
        found = tuple(fields.choice(value, f"{path}[{i}]", kind) for i, value in enumerate(raw))
        if len(set(found)) != len(found):
            raise BadInput(path, [member.value for member in found], "each of them once")
        return found

    return read


def _choice(kind: type[StrEnum]) -> Read:
    return lambda raw, path: fields.choice(raw, path, kind)


def _whole(least: int, most: int) -> Read:
    return lambda raw, path: fields.whole(raw, path, least, most)


def _ids(raw: object, path: str) -> tuple[str, ...]:
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes) or not raw:
        raise BadInput(path, raw, "a list of ids")
    return tuple(identifier(value, f"{path}[{i}]") for i, value in enumerate(raw))


def _units(raw: object, path: str) -> dict[Dimension, Unit]:
    table = fields.table(raw, path, required="", optional=[d.value for d in Dimension])
    found = {}
    for name, value in table.items():
        dimension = fields.choice(name, path, Dimension)
        unit = fields.choice(value, f"{path}.{name}", Unit)
        if unit not in UNITS[dimension]:
            raise BadInput(f"{path}.{name}", unit.value, " or ".join(UNITS[dimension]))
        found[dimension] = unit
    return found


_WHERE: dict[str, Read] = {
    "id": identifier,
    "text": partial(fields.text, most=400),
    "source": partial(fields.text, most=200),
    "url": partial(fields.text, most=300),
    "confidence": _choice(Confidence),
    **dict.fromkeys(("effective_from", "effective_to"), fields.local_date),
    **dict.fromkeys(("min_power_w", "max_power_w"), _whole(1, _WATTS_MAX)),
    "replaces": _ids,
}
_ASKED: dict[str, Read] = {
    **dict.fromkeys(("allowed", "required", "forbidden", "component_order"), _choices(Dimension)),
    "price_units": _units,
    **dict.fromkeys(("price_decimals_min", "price_decimals_max", "kwh_decimals"), _whole(0, 9)),
    "price_lock": _choice(PriceLock),
    "grid_s": _whole(1, 86_400),
    "tax_included": _choice(TaxIncluded),
    "rounding": _choice(Rounding),
    "rounding_level": _choice(RoundingLevel),
    "rounding_increment": _whole(1, 1_000_000),
    "idle_grace_s": _whole(1, 86_400),
    "fees_named": fields.yes_or_no,
    "receipt_fields": _choices(ReceiptField),
    "time_display": _choice(TimeDisplay),
    "signed_meter": fields.yes_or_no,
}
_RULE: dict[str, Read] = {
    **_WHERE, "advice": fields.yes_or_no, "sold": _choice(Sold), **_ASKED,
}  # fmt: skip
_TAX: dict[str, Read] = {
    **_WHERE,
    "name": fields.text,
    "dimensions": _choices(Dimension),
    "taxable": fields.yes_or_no,
    "percent": fields.percent,
    "per_kwh": fields.amount,
    "unit_kwh": _whole(1, 1_000_000),
    "rate": identifier,
    "stack": _whole(0, 9),
    "customers": _choices(Customer),
}
