"""A tariff out of configuration, strictly: what is not understood is an error with its path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any, cast, get_type_hints

import msgspec

from wattledger.errors import BadInput
from wattledger.money import parse_minor
from wattledger.tariffs import fields
from wattledger.tariffs.model import (
    RESERVED,
    UNITS,
    Cap,
    Component,
    Dimension,
    Element,
    PriceLimit,
    PriceLock,
    Tariff,
    TaxIncluded,
    TaxRate,
    Text,
    Unit,
)
from wattledger.tariffs.policies import Policies
from wattledger.tariffs.restrictions import read_restrictions

# A step of a day or of 1 MWh is already absurd; beyond it a typing error is certain.
STEP_MAX = 1_000_000
_POLICY_TYPES: dict[str, Any] = get_type_hints(Policies)
_PLAIN_TEXTS = {"country_code": 2, "party_id": 3, "kind": 40, "url": 255}


def read_tariffs(raw: object, path: str = "$.tariff") -> tuple[Tariff, ...]:
    """The list under ``path``; raises BadInput as ``read_tariff`` does, or for an id used twice."""
    tariffs = fields.each(raw, path, read_tariff)
    fields.unique((t.id for t in tariffs), path, "id", "an id of its own")
    return tariffs


def read_tariff(raw: Mapping[str, object], path: str) -> Tariff:
    """One tariff; raises BadInput with the full path of the first value it can't take."""
    optional = [n for n in Tariff.__struct_fields__ if n not in ("id", "currency", "elements")]
    table = fields.table(raw, path, required="id currency elements", optional=optional)
    tariff_id = fields.text(table["id"], f"{path}.id")
    currency = fields.matching(
        table["currency"], f"{path}.currency", fields.CURRENCY, "an ISO 4217 code such as USD"
    )
    elements = fields.each(table["elements"], f"{path}.elements", _element)
    if not elements:
        raise BadInput(f"{path}.elements", [], "at least one element")
    caps = fields.each(table.get("caps", ()), f"{path}.caps", lambda r, p: _cap(r, p, currency))
    fields.unique((c.dimension for c in caps), f"{path}.caps", "dimension", "one cap a dimension")
    more: dict[str, Any] = {}
    for key, read in _OPTIONAL.items():
        if table.get(key) is not None:
            more[key] = read(table[key], f"{path}.{key}")
    valid_from, valid_to = more.get("valid_from"), more.get("valid_to")
    if valid_from is not None and valid_to is not None and not valid_from < valid_to:
        raise BadInput(f"{path}.valid_to", table["valid_to"], "a time after valid_from")
    return Tariff(
        id=tariff_id,
        currency=currency,
        name=fields.text(table.get("name", tariff_id), f"{path}.name"),
        elements=elements,
        caps=caps,
        policies=read_policies(table.get("policies", {}), f"{path}.policies"),
        **more,
    )


def to_body(tariff: Tariff) -> dict[str, object]:
    """The canonical JSON-able form: ``read_tariff(to_body(t), path)`` is ``t`` again."""
    return cast(dict[str, object], msgspec.json.decode(msgspec.json.encode(tariff)))


def read_policies(raw: object, path: str, usual: Policies | None = None) -> Policies:
    """Named values over ``usual`` (the defaults); raises BadInput for a name or value unknown."""
    table = fields.table(raw, path, required="", optional=Policies.__struct_fields__)
    given = {name: _policy(name, value, f"{path}.{name}") for name, value in table.items()}
    return msgspec.structs.replace(usual or Policies(), **given)


def policy_of_text(name: str, value: str, path: str) -> Any:
    """One policy as it is written on a command line: ``floor_wh``, ``"100"`` is 100."""
    if name not in _POLICY_TYPES:
        raise BadInput(path, name, f"the name of a policy: {', '.join(_POLICY_TYPES)}")
    kind = _POLICY_TYPES[name]
    if kind is bool and value in ("true", "false"):
        return value == "true"
    if kind is int and value.isdecimal() and len(value) < 10:
        return _policy(name, int(value), f"{path}.{name}")
    return _policy(name, value, f"{path}.{name}")


def _policy(name: str, value: object, path: str) -> Any:
    kind = _POLICY_TYPES[name]
    if kind is bool:
        return fields.yes_or_no(value, path)
    if kind is int:
        return fields.whole(value, path, 1 if name == "rounding_increment" else 0, STEP_MAX)
    assert issubclass(kind, StrEnum), "every policy is a choice, a number or yes or no"
    return fields.choice(value, path, kind)


def _element(raw: object, path: str) -> Element:
    table = fields.table(raw, path, required="components", optional=["name", "restrictions"])
    components = fields.each(table["components"], f"{path}.components", _component)
    if not components:
        raise BadInput(f"{path}.components", [], "at least one component")
    fields.unique(
        (c.dimension for c in components),
        f"{path}.components",
        "dimension",
        "one component a dimension in an element",
    )
    name = table.get("name", "")
    element = Element(
        # An element may go without a name; the driver then reads "Energy" and no more.
        name=fields.text(name, f"{path}.name") if name != "" else "",
        components=components,
        restrictions=read_restrictions(table.get("restrictions", {}), f"{path}.restrictions"),
    )
    check_reservation(element, path)
    return element


def check_reservation(element: Element, path: str) -> None:
    """A reservation has prices of its own, and nothing else is priced with them."""
    reserved = [c.dimension in RESERVED for c in element.components]
    if any(reserved) and not all(reserved):
        raise BadInput(f"{path}.components", [c.dimension.value for c in element.components],
                       "either the prices of a reservation or those of charging")  # fmt: skip
    if element.restrictions.reservation is not None and not all(reserved):
        raise BadInput(
            f"{path}.restrictions.reservation", element.restrictions.reservation.value,
            "reservation_time or reservation_flat as the components it restricts",
        )  # fmt: skip


def _component(raw: object, path: str) -> Component:
    table = fields.table(raw, path, required="dimension price unit", optional=["step", "taxes"])
    dimension = fields.choice(table["dimension"], f"{path}.dimension", Dimension)
    unit = fields.choice(table["unit"], f"{path}.unit", Unit)
    if unit not in UNITS[dimension]:
        fitting = " or ".join(UNITS[dimension])
        raise BadInput(f"{path}.unit", unit.value, f"{fitting} for {dimension.value}")
    step = fields.whole(table.get("step", 1), f"{path}.step", 0, STEP_MAX)
    if unit is Unit.SESSION and step != 1:
        raise BadInput(f"{path}.step", step, "no step for a flat fee")
    taxes = None
    if table.get("taxes") is not None:
        taxes = fields.each(table["taxes"], f"{path}.taxes", _tax_rate)
    return Component(dimension, fields.price(table["price"], f"{path}.price"), unit, step, taxes)


def _tax_rate(raw: object, path: str) -> TaxRate:
    table = fields.table(raw, path, required="name percent", optional=["stack"])
    return TaxRate(
        name=fields.text(table["name"], f"{path}.name"),
        percent=fields.percent(table["percent"], f"{path}.percent"),
        stack=fields.whole(table.get("stack", 0), f"{path}.stack", 0, 9),
    )


def _cap(raw: object, path: str, currency: str) -> Cap:
    table = fields.table(raw, path, required="dimension amount", optional=())
    amount = fields.amount(table["amount"], f"{path}.amount")
    parse_minor(amount, currency, f"{path}.amount")
    return Cap(fields.choice(table["dimension"], f"{path}.dimension", Dimension), amount)


def _limit(raw: object, path: str) -> PriceLimit:
    table = fields.table(raw, path, required="", optional=PriceLimit.__struct_fields__)
    given = {
        key: fields.amount(table[key], f"{path}.{key}") for key in table if table[key] is not None
    }
    if not given:
        raise BadInput(path, raw, "before_taxes, after_taxes or both")
    return PriceLimit(**given)


def _text(raw: object, path: str) -> Text:
    table = fields.table(raw, path, required="language text", optional=())
    return Text(
        fields.text(table["language"], f"{path}.language", 2),
        fields.text(table["text"], f"{path}.text", 512),
    )


def _holidays(raw: object, path: str) -> tuple[str, ...]:
    if not isinstance(raw, list | tuple):
        raise BadInput(path, raw, "a list of dates such as ['2026-12-25']")
    dates = tuple(fields.local_date(day, f"{path}[{i}]") for i, day in enumerate(raw))
    if list(dates) != sorted(set(dates)):
        raise BadInput(path, list(dates), "each date once, in order of time")
    return dates


_OPTIONAL: dict[str, Callable[[object, str], Any]] = {
    "tax_included": lambda raw, path: fields.choice(raw, path, TaxIncluded),
    "price_lock": lambda raw, path: fields.choice(raw, path, PriceLock),
    **dict.fromkeys(("min_price", "max_price"), _limit),
    **dict.fromkeys(("valid_from", "valid_to", "last_updated"), fields.moment),
    "holidays": _holidays,
    **{key: partial(fields.text, most=most) for key, most in _PLAIN_TEXTS.items()},
    "texts": lambda raw, path: fields.each(raw, path, _text),
    "energy_mix": lambda raw, path: fields.text(raw, path, 4000),
    "preauthorize_amount": fields.amount,
}
