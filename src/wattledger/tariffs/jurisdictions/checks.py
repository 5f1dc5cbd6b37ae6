"""A tariff held against rules: what each rule asks for, and what is not so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial

from wattledger.tariffs.findings import Finding, Severity, in_order
from wattledger.tariffs.jurisdictions.model import Rule, Sold
from wattledger.tariffs.jurisdictions.rules import Rules
from wattledger.tariffs.lint_values import charges, per_minute_is_plain, places
from wattledger.tariffs.model import (
    RESERVED,
    Component,
    Dimension,
    PriceLock,
    Tariff,
    TaxIncluded,
    Unit,
)

_CLOCK = ("start_time", "end_time", "days", "start_date", "end_date", "start_season",
          "end_season", "holiday")  # fmt: skip
_COUNTED = ("min_kwh", "max_kwh", "min_duration_s", "max_duration_s", "min_charging_s",
            "max_charging_s", "min_power_kw", "max_power_kw", "min_current_a",
            "max_current_a")  # fmt: skip
_Asked = Iterator[tuple[str, str, str]]
"""A code, a path, and what is so instead."""


def check(
    tariff: Tariff,
    jurisdiction: str | None,
    on: date | None,
    power_w: int | None,
    *,
    ad_hoc: bool = True,
    programmes: tuple[str, ...] = (),
    discount_percent: str = "0",
    discount_on: tuple[Dimension, ...] = (),
    rules: Rules | None = None,
) -> tuple[Finding, ...]:
    """What the rules have against selling by ``tariff`` there, on that day, at that power.

    ``on`` None asks the rules that have no end, ``power_w`` None those of every power, of which
    the ones that depend on it warn only. ``discount_percent`` is taken off the prices of
    ``discount_on`` (none listed: of all) first. What is verified is an error, everything else a
    warning. An unknown place has no rules: a warning.
    """
    rules = rules or Rules()
    found = [*unknown(rules, jurisdiction, programmes)]
    sold = Sold.AD_HOC if ad_hoc else Sold.CONTRACT
    for rule in rules.rules_for(jurisdiction, on, power_w, programmes, sold):
        banded = power_w is None and (rule.min_power_w, rule.max_power_w) != (None, None)
        for code, path, what in _against(rule, tariff, discount_percent, discount_on):
            found.append(
                Finding(
                    code=code,
                    severity=Severity.ERROR if rule.enforced and not banded else Severity.WARNING,
                    path=path,
                    message=f"{what}. {_says(rule)}",
                    rule_id=rule.id,
                    source=rule.source,
                )
            )
    return in_order(found)


def _says(rule: Rule) -> str:
    band = ""
    if rule.min_power_w is not None:
        band += f" from {rule.min_power_w} W on"
    if rule.max_power_w is not None:
        band += f" below {rule.max_power_w} W"
    known = "" if rule.enforced else f" [{rule.confidence}: warns only]"
    return f"{rule.text} ({rule.source}{',' + band if band else ''}){known}"


def unknown(
    rules: Rules, jurisdiction: str | None, programmes: tuple[str, ...]
) -> Iterator[Finding]:
    """A warning for each place and programme that no rules are known for."""
    for asked in (jurisdiction, *programmes):
        if asked is None or asked in rules:
            continue
        nearest = rules.nearest(asked)
        instead = f"only the rules of {nearest!r} are checked" if nearest else "nothing is checked"
        yield Finding(
            "unknown_jurisdiction", Severity.WARNING, "$",
            f"no rules are known for {asked!r}: {instead}; add a [[jurisdiction]] with the rules "
            "of that place, or an empty one to say that there are none",
        )  # fmt: skip


def _against(
    rule: Rule, tariff: Tariff, discount_percent: str, discount_on: tuple[Dimension, ...]
) -> _Asked:
    yield from _dimensions(rule, tariff)
    yield from _prices(rule, tariff, discount_percent, discount_on)
    if rule.price_lock is PriceLock.SESSION_START:
        yield from _lock(tariff)
    if rule.grid_s is not None:
        yield from _grid(tariff, rule.grid_s)
    asked = rule.tax_included
    taxed = TaxIncluded.NOT_APPLICABLE not in (asked, tariff.tax_included)
    if asked is not None and taxed and asked is not tariff.tax_included:
        yield (
            "tax_included", "$.tax_included",
            f"tax_included is {tariff.tax_included}, and {asked} is asked for",
        )  # fmt: skip
    for name in ("rounding", "rounding_level", "rounding_increment"):
        wanted, ours = getattr(rule, name), getattr(tariff.policies, name)
        if wanted is not None and wanted != ours:
            yield "rounding", f"$.policies.{name}", f"{name} is {ours}, and {wanted} is asked for"
    if rule.idle_grace_s is not None:
        yield from _grace(tariff, rule.idle_grace_s)
    if rule.fees_named:
        yield from _named(tariff)


def _components(tariff: Tariff) -> Iterator[tuple[int, str, Component]]:
    for index, element in enumerate(tariff.elements):
        for place, component in enumerate(element.components):
            yield index, f"$.elements[{index}].components[{place}]", component


def _dimensions(rule: Rule, tariff: Tariff) -> _Asked:
    charged = {c.dimension: path for _, path, c in reversed([*_components(tariff)]) if charges(c)}
    for dimension, path in charged.items():
        if dimension in rule.forbidden:
            yield "component_forbidden", f"{path}.dimension", f"{dimension} is priced here"
        elif rule.allowed is not None and dimension not in rule.allowed:
            names = ", ".join(rule.allowed)
            yield (
                "component_not_allowed", f"{path}.dimension",
                f"{dimension} is priced here, and only these may be: {names}",
            )  # fmt: skip
    present = {c.dimension for _, _, c in _components(tariff)}
    # Who charges for nothing owes no price of anything.
    for dimension in rule.required if charged.keys() - set(RESERVED) else ():
        if dimension not in present:
            yield "component_missing", "$.elements", f"nothing is priced by {dimension}"


def _prices(
    rule: Rule, tariff: Tariff, discount_percent: str, discount_on: tuple[Dimension, ...]
) -> _Asked:
    for _, path, component in _components(tariff):
        reduced = not discount_on or component.dimension in discount_on
        keep = 100 - Decimal(discount_percent) if reduced else Decimal(100)
        unit = (rule.price_units or {}).get(component.dimension)
        if unit is Unit.MINUTE and not per_minute_is_plain(component):
            yield (
                "not_per_minute", f"{path}.price",
                f"{component.price} an hour has no exact price a minute: take one that three "
                "divides",
            )  # fmt: skip
        shown = f"{(Decimal(component.price) * keep).scaleb(-2):f}"
        most, least = rule.price_decimals_max, rule.price_decimals_min
        after = "" if keep == 100 else f" after {discount_percent} % off"
        if most is not None and places(shown) > most:
            yield (
                "price_decimals", f"{path}.price",
                f"{shown}{after} has more than {most} decimal places",
            )  # fmt: skip
        written = len(component.price.partition(".")[2])
        if least is not None and written < least:
            yield (
                "price_decimals", f"{path}.price",
                f"{component.price} is written with less than {least} decimal places",
            )  # fmt: skip


def _lock(tariff: Tariff) -> _Asked:
    """A price that the clock changes while a session runs, and one that its course changes."""
    locked = tariff.price_lock is PriceLock.SESSION_START
    for index, element in enumerate(tariff.elements):
        if not any(charges(c) and c.dimension not in RESERVED for c in element.components):
            continue
        names: tuple[str, ...] = () if locked else _CLOCK
        if any(c.dimension is Dimension.ENERGY for c in element.components):
            names += _COUNTED
        for name in names:
            if getattr(element.restrictions, name) not in (None, ()):
                then = "price_lock = session_start" if name in _CLOCK else "one price of energy"
                yield (
                    "price_not_locked", f"$.elements[{index}].restrictions.{name}",
                    f"{name} changes the price while a session runs: set {then}",
                )  # fmt: skip
                break


def _grid(tariff: Tariff, grid_s: int) -> _Asked:
    off = partial("{} is not on the grid of {} s: a price may change only there".format)
    for name in ("valid_from", "valid_to"):
        at: datetime | None = getattr(tariff, name)
        if at is not None and (at - datetime(1970, 1, 1, tzinfo=UTC)).seconds % grid_s:
            yield "off_grid", f"$.{name}", off(at.isoformat(), grid_s)
    for index, element in enumerate(tariff.elements):
        for name in ("start_time", "end_time"):
            clock: str | None = getattr(element.restrictions, name)
            if clock is not None and (int(clock[:2]) * 3600 + int(clock[3:5]) * 60) % grid_s:
                yield "off_grid", f"$.elements[{index}].restrictions.{name}", off(clock, grid_s)


def _grace(tariff: Tariff, grace_s: int) -> _Asked:
    for index, path, component in _components(tariff):
        if component.dimension is not Dimension.IDLE_TIME or not charges(component):
            continue
        given = tariff.elements[index].restrictions.min_idle_s or 0
        if max(given, tariff.policies.idle_grace_s) < grace_s:
            yield "idle_grace", path, f"idle time is billed before {grace_s} s of grace"


def _named(tariff: Tariff) -> _Asked:
    for index, path, component in _components(tariff):
        fee = component.dimension is not Dimension.ENERGY and charges(component)
        if fee and not tariff.elements[index].name and not tariff.texts:
            yield (
                "fee_unexplained", f"$.elements[{index}].name",
                f"{component.dimension} is a fee beside the energy, and neither the element has a "
                f"name nor the tariff a text that explains it ({path})",
            )  # fmt: skip
