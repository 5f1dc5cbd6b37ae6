"""A tariff out of configuration, strictly: what is not understood is an error with its path.

Prices are quoted strings or whole numbers. A TOML float is refused, because ``0.35`` has
already lost its exact value when it arrives here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar, cast

import msgspec

from wattledger.errors import BadInput
from wattledger.money import Rounding, parse_minor
from wattledger.tariffs.model import (
    UNITS,
    Cap,
    Component,
    Day,
    Dimension,
    Element,
    Policies,
    Restrictions,
    StepRounding,
    Tariff,
    Unit,
    ZeroEnergy,
)

_E = TypeVar("_E", bound=StrEnum)
_T = TypeVar("_T")

_PRICE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_KWH = re.compile(r"[0-9]{1,7}(\.[0-9]{1,3})?")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
# A step of a day or of 1 MWh is already absurd; beyond it a typing error is certain.
_STEP_MAX = 1_000_000
_SECONDS_MAX = 366 * 86_400


def read_tariffs(raw: object, path: str = "$.tariff") -> tuple[Tariff, ...]:
    """The list under ``path``; raises BadInput as ``read_tariff`` does, or for an id used twice."""
    tariffs = _each(raw, path, read_tariff)
    _unique((t.id for t in tariffs), path, "id", "an id of its own")
    return tariffs


def read_tariff(raw: Mapping[str, object], path: str) -> Tariff:
    """One tariff; raises BadInput with the full path of the first value it can't take."""
    table = _table(
        raw, path, required="id currency elements", optional=["name", "caps", "policies"]
    )
    tariff_id = _text(table["id"], f"{path}.id")
    currency = _matching(
        table["currency"], f"{path}.currency", _CURRENCY, "an ISO 4217 code such as USD"
    )
    elements = _each(table["elements"], f"{path}.elements", _element)
    if not elements:
        raise BadInput(f"{path}.elements", [], "at least one element")
    caps = _each(table.get("caps", ()), f"{path}.caps", lambda r, p: _cap(r, p, currency))
    _unique((c.dimension for c in caps), f"{path}.caps", "dimension", "one cap a dimension")
    return Tariff(
        id=tariff_id,
        currency=currency,
        name=_text(table.get("name", tariff_id), f"{path}.name"),
        elements=elements,
        caps=caps,
        policies=_policies(table.get("policies", {}), f"{path}.policies"),
    )


def to_body(tariff: Tariff) -> dict[str, object]:
    """The canonical JSON-able form: ``read_tariff(to_body(t), path)`` is ``t`` again."""
    return cast(dict[str, object], msgspec.json.decode(msgspec.json.encode(tariff)))


def _element(raw: object, path: str) -> Element:
    table = _table(raw, path, required="components", optional=["name", "restrictions"])
    components = _each(table["components"], f"{path}.components", _component)
    if not components:
        raise BadInput(f"{path}.components", [], "at least one component")
    _unique(
        (c.dimension for c in components),
        f"{path}.components",
        "dimension",
        "one component a dimension in an element",
    )
    name = table.get("name", "")
    return Element(
        # An element may go without a name; the driver then reads "Energy" and no more.
        name=_text(name, f"{path}.name") if name != "" else "",
        components=components,
        restrictions=_restrictions(table.get("restrictions", {}), f"{path}.restrictions"),
    )


def _component(raw: object, path: str) -> Component:
    table = _table(raw, path, required="dimension price unit", optional=["step"])
    dimension = _enum(table["dimension"], f"{path}.dimension", Dimension)
    unit = _enum(table["unit"], f"{path}.unit", Unit)
    if unit not in UNITS[dimension]:
        fitting = " or ".join(UNITS[dimension])
        raise BadInput(f"{path}.unit", unit.value, f"{fitting} for {dimension.value}")
    step = _whole(table.get("step", 1), f"{path}.step", 1, _STEP_MAX)
    if dimension is Dimension.FLAT and step != 1:
        raise BadInput(f"{path}.step", step, "no step for a flat fee")
    price = _decimal(table["price"], f"{path}.price", _PRICE, 'a price such as "0.35"')
    return Component(dimension, price, unit, step)


def _cap(raw: object, path: str, currency: str) -> Cap:
    table = _table(raw, path, required="dimension amount", optional=())
    amount = _decimal(table["amount"], f"{path}.amount", _PRICE, 'an amount such as "12.00"')
    parse_minor(amount, currency, f"{path}.amount")
    return Cap(_enum(table["dimension"], f"{path}.dimension", Dimension), amount)


def _policies(raw: object, path: str) -> Policies:
    table = _table(raw, path, required="", optional=Policies.__struct_fields__)
    usual = Policies()
    after_stop = table.get("idle_after_stop", usual.idle_after_stop)
    if not isinstance(after_stop, bool):
        raise BadInput(f"{path}.idle_after_stop", after_stop, "true or false")
    return Policies(
        rounding=_enum(table.get("rounding", usual.rounding), f"{path}.rounding", Rounding),
        step_rounding=_enum(
            table.get("step_rounding", usual.step_rounding), f"{path}.step_rounding", StepRounding
        ),
        zero_energy=_enum(
            table.get("zero_energy", usual.zero_energy), f"{path}.zero_energy", ZeroEnergy
        ),
        idle_after_stop=after_stop,
        minimum_energy_wh=_whole(
            table.get("minimum_energy_wh", 0), f"{path}.minimum_energy_wh", 0, _STEP_MAX
        ),
    )


def _restrictions(raw: object, path: str) -> Restrictions:
    table = _table(raw, path, required="", optional=Restrictions.__struct_fields__)

    def maybe(key: str, read: Callable[[object, str], _T]) -> _T | None:
        return read(table[key], f"{path}.{key}") if key in table else None

    found = Restrictions(
        start_time=maybe("start_time", _time),
        end_time=maybe("end_time", _time),
        days=_days(table["days"], f"{path}.days") if "days" in table else (),
        start_date=maybe("start_date", _date),
        end_date=maybe("end_date", _date),
        min_kwh=maybe("min_kwh", _kwh),
        max_kwh=maybe("max_kwh", _kwh),
        min_idle_s=maybe("min_idle_s", _seconds),
        max_idle_s=maybe("max_idle_s", _seconds),
        min_duration_s=maybe("min_duration_s", _seconds),
        max_duration_s=maybe("max_duration_s", _seconds),
    )
    _never_empty(found, path)
    return found


def _never_empty(found: Restrictions, path: str) -> None:
    """An element that can never apply is a mistake, most likely two values exchanged."""
    if found.start_time is not None and found.start_time == found.end_time:
        raise BadInput(f"{path}.end_time", found.end_time, "a time other than start_time")
    pairs = [
        ("end_date", found.start_date, found.end_date),
        ("max_idle_s", found.min_idle_s or 0, found.max_idle_s),
        ("max_duration_s", found.min_duration_s or 0, found.max_duration_s),
        (
            "max_kwh",
            Decimal(found.min_kwh or 0),
            None if found.max_kwh is None else Decimal(found.max_kwh),
        ),
    ]
    for key, low, high in pairs:
        if low is not None and high is not None and not low < high:  # type: ignore[operator]
            raise BadInput(f"{path}.{key}", getattr(found, key), f"more than {low} (exclusive)")


def _table(
    raw: object, path: str, *, required: str, optional: Iterable[str]
) -> Mapping[str, object]:
    if not isinstance(raw, Mapping):
        raise BadInput(path, raw, "a table")
    needed = required.split()
    known = [*needed, *optional]
    for key in raw:
        if key not in known:
            raise BadInput(f"{path}.{key}", raw[key], f"no such key, but {', '.join(known)}")
    for key in needed:
        if key not in raw:
            raise BadInput(f"{path}.{key}", None, "a value: it is required")
    return raw


def _each(
    raw: object, path: str, read: Callable[[Mapping[str, object], str], _T]
) -> tuple[_T, ...]:
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        raise BadInput(path, raw, "a list of tables")
    # Each reader checks by itself that its item is a table.
    return tuple(read(cast(Mapping[str, object], r), f"{path}[{i}]") for i, r in enumerate(raw))


def _unique(values: Iterable[str], path: str, key: str, expected: str) -> None:
    seen: set[str] = set()
    for i, value in enumerate(values):
        if value in seen:
            raise BadInput(f"{path}[{i}].{key}", str(value), expected)
        seen.add(value)


def _enum(raw: object, path: str, kind: type[_E]) -> _E:
    if isinstance(raw, str):
        for member in kind:
            if member == raw:
                return member
    raise BadInput(path, raw, "one of " + ", ".join(member.value for member in kind))


def _text(raw: object, path: str) -> str:
    if not isinstance(raw, str) or not raw.strip() or len(raw) > 100 or not raw.isprintable():
        raise BadInput(path, raw, "a text of 1 to 100 printable characters")
    return raw


def _matching(raw: object, path: str, pattern: re.Pattern[str], expected: str) -> str:
    if not isinstance(raw, str) or not pattern.fullmatch(raw):
        raise BadInput(path, raw, expected)
    return raw


def _decimal(raw: object, path: str, pattern: re.Pattern[str], expected: str) -> str:
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = str(raw)
    return _matching(
        raw, path, pattern, f"{expected}, as a quoted string or a whole number, not negative"
    )


def _whole(raw: object, path: str, least: int, most: int) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or not least <= raw <= most:
        raise BadInput(path, raw, f"a whole number from {least} to {most}")
    return raw


def _seconds(raw: object, path: str) -> int:
    return _whole(raw, path, 0, _SECONDS_MAX)


def _kwh(raw: object, path: str) -> str:
    return _decimal(raw, path, _KWH, 'kWh with three places at most, such as "10.5"')


def _time(raw: object, path: str) -> str:
    return _matching(raw, path, _TIME, "a local time from '00:00' to '23:59'")


def _date(raw: object, path: str) -> str:
    if isinstance(raw, date) and not isinstance(raw, datetime):  # a bare TOML date
        return raw.isoformat()
    expected = "a date such as '2026-07-01'"
    text = _matching(raw, path, _DATE, expected)
    try:
        date.fromisoformat(text)
    except ValueError:
        raise BadInput(path, text, expected) from None
    return text


def _days(raw: object, path: str) -> tuple[Day, ...]:
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes) or not raw:
        raise BadInput(path, raw, "a list of weekdays such as ['MONDAY']; leave it out for all")
    days = tuple(_enum(day, f"{path}[{i}]", Day) for i, day in enumerate(raw))
    for i, day in enumerate(days):
        if day in days[:i]:
            raise BadInput(f"{path}[{i}]", day.value, "each weekday once")
    return days
