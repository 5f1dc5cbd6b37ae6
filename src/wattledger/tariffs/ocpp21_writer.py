"""Writing a tariff as OCPP 2.1: one ordered list of prices a dimension.

Splitting elements by dimension loses nothing, since each dimension looks for its own price. What
OCPP has no words for is a loss, and all losses are one CantSay. The grace that is a policy of
ours becomes a minIdleTime of every idle price.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from wattledger.tariffs import foreign
from wattledger.tariffs.foreign import Losses, is_set
from wattledger.tariffs.model import (
    Component,
    Dimension,
    Element,
    PriceLimit,
    Reservation,
    Restrictions,
    Tariff,
    TaxIncluded,
    TaxRate,
)
from wattledger.tariffs.ocpp21 import AT_START_S, DURATIONS, LISTS, MEASURED, WORDS
from wattledger.tariffs.policies import IdleGrace, IdleScope

_ID_MAX, _TAX_NAME_MAX, _WORD_MAX, _RATES_MAX, _TEXTS_MAX = 60, 20, 20, 5, 10
_NOT_IN_OCPP = ("start_season", "end_season", "holiday")
_TARIFF_NOT_IN_OCPP = ("valid_to", "kind", "preauthorize_amount")
_PAYMENT = {"payment_brand": "paymentBrand", "payment_recognition": "paymentRecognition"}
_FIXED = (Dimension.FLAT, Dimension.RESERVATION_FLAT)
_CLOCK = ("start_time", "end_time", "days", "start_date", "end_date")


def write_ocpp21(tariff: Tariff, *, path: str = "$") -> dict[str, Any]:
    """The tariff as ``exact.dump`` writes it: numbers are Decimal. Raises CantSay."""
    losses = Losses("OCPP 2.1")
    foreign.lose_what_is_ours(tariff, losses, path, said=_sayable_policies(tariff))
    for name in _TARIFF_NOT_IN_OCPP:
        if getattr(tariff, name) is not None:
            losses.add(f"{path}.{name}", "OCPP 2.1 has no field for it")
    if tariff.tax_included is not TaxIncluded.NO:
        losses.add(f"{path}.tax_included", f"{tariff.tax_included.value}; prices go without tax")
    if len(tariff.id) > _ID_MAX:
        losses.add(f"{path}.id", f"longer than {_ID_MAX} characters")
    found: dict[str, Any] = {"tariffId": tariff.id, "currency": tariff.currency}
    if tariff.texts:
        if len(tariff.texts) > _TEXTS_MAX:
            losses.add(f"{path}.texts", f"more than {_TEXTS_MAX}")
        found["description"] = [
            {"format": "UTF8", "language": text.language, "content": text.text}
            for text in tariff.texts
        ]
    if tariff.valid_from is not None:
        found["validFrom"] = foreign.utc_text(tariff.valid_from)
    for dimension, (word, _, _) in LISTS.items():
        section = _section(tariff, dimension, losses, path)
        if section is not None:
            found[word] = section
    for name, word in (("min_price", "minCost"), ("max_price", "maxCost")):
        limit = getattr(tariff, name)
        if limit is not None:
            found[word] = _limit(limit)
    losses.raise_any()
    return found


def left_behind(tariff: Tariff, path: str = "$") -> list[str]:
    """The paths of what ``write_ocpp21`` leaves out without a word: none of it prices anything."""
    return foreign.left_behind(tariff, (), path)


def _sayable_policies(tariff: Tariff) -> tuple[str, ...]:
    policies = tariff.policies
    deducted = policies.idle_grace is IdleGrace.DEDUCT and policies.idle_scope is IdleScope.STRETCH
    return ("idle_grace_s",) if deducted else ()


def _limit(limit: PriceLimit) -> dict[str, Decimal]:
    sides = (("exclTax", limit.before_taxes), ("inclTax", limit.after_taxes))
    return {word: Decimal(amount) for word, amount in sides if amount is not None}


def _section(
    tariff: Tariff, dimension: Dimension, losses: Losses, path: str
) -> dict[str, Any] | None:
    prices = []
    taxes: list[tuple[TaxRate, ...] | None] = []
    for i, element in enumerate(tariff.elements):
        for j, component in enumerate(element.components):
            if component.dimension is not dimension:
                continue
            where = f"{path}.elements[{i}]"
            if taxes and component.taxes != taxes[0]:
                losses.add(
                    f"{where}.components[{j}].taxes",
                    f"not the taxes of the first price of {dimension.value}; OCPP has one list",
                )
            taxes.append(component.taxes)
            price = _price(component, element, tariff, losses, where, j)
            if price is not None:
                prices.append(price)
    if not prices:
        return None
    found: dict[str, Any] = {"prices": prices}
    if taxes[0] is not None:
        found["taxRates"] = _rates(taxes[0], losses, f"{path} ({dimension.value} taxes)")
    return found


def _price(
    component: Component, element: Element, tariff: Tariff, losses: Losses, path: str, index: int
) -> dict[str, Any] | None:
    where = f"{path}.components[{index}]"
    dimension = component.dimension
    _, word, _ = LISTS[dimension]
    amount = foreign.per_minute(component)
    if amount is None:
        losses.add(f"{where}.price", f"{component.price} an hour has no exact price per minute")
    if component.step > 1:
        losses.add(f"{where}.step", f"steps of {component.step}; OCPP bills what was counted")
    restrictions = element.restrictions
    grace_s = tariff.policies.idle_grace_s
    if dimension is Dimension.IDLE_TIME and grace_s and _sayable_policies(tariff):
        latest_s = restrictions.max_idle_s
        if latest_s is not None and latest_s <= grace_s:
            return None  # all of it lies within the grace
        restrictions = _with_grace(restrictions, grace_s)
    conditions = _conditions(restrictions, dimension, losses, f"{path}.restrictions")
    found: dict[str, Any] = {word: amount}
    if conditions:
        found["conditions"] = conditions
    return found


def _with_grace(restrictions: Restrictions, grace_s: int) -> Restrictions:
    least_s = max(restrictions.min_idle_s or 0, grace_s)
    values = {name: getattr(restrictions, name) for name in Restrictions.__struct_fields__}
    return Restrictions(**{**values, "min_idle_s": least_s})


def _rates(taxes: tuple[TaxRate, ...], losses: Losses, path: str) -> list[dict[str, Any]]:
    if len(taxes) > _RATES_MAX:
        losses.add(path, f"more than {_RATES_MAX}")
    found = []
    for rate in foreign.zero_for_none(taxes):
        if len(rate.name) > _TAX_NAME_MAX:
            losses.add(path, f"{rate.name!r} is longer than {_TAX_NAME_MAX} characters")
        entry: dict[str, Any] = {"type": rate.name, "tax": Decimal(rate.percent)}
        if rate.stack:
            entry["stack"] = rate.stack
        found.append(entry)
    return found


def _conditions(
    given: Restrictions, dimension: Dimension, losses: Losses, path: str
) -> dict[str, Any]:
    for name in _NOT_IN_OCPP:
        if is_set(given, name):
            losses.add(f"{path}.{name}", "OCPP 2.1 has no such condition")
    if given.reservation is Reservation.EXPIRED:
        losses.add(f"{path}.reservation", "OCPP 2.1 does not tell an expired reservation apart")
    found: dict[str, Any] = {
        word: getattr(given, name) for name, word in WORDS.items() if is_set(given, name)
    }
    if given.days:
        found["dayOfWeek"] = [day.value.capitalize() for day in given.days]
    if given.evse_kind is not None:
        found["evseKind"] = given.evse_kind.value
    if dimension in _FIXED:
        return found | _fixed(given, losses, path)
    for name in _PAYMENT:
        if is_set(given, name):
            losses.add(f"{path}.{name}", "a condition of fixed fees only in OCPP 2.1")
    for name, (word, places) in MEASURED.items():
        value = getattr(given, name)
        if value is not None:
            found[word] = Decimal(foreign.trimmed(Decimal(value).scaleb(places)))
    for name, word in DURATIONS.items():
        if getattr(given, name) is not None:
            found[word] = getattr(given, name)
    return found


def _fixed(given: Restrictions, losses: Losses, path: str) -> dict[str, Any]:
    """A fixed fee's conditions are asked once, at the start: nothing has been counted by then."""
    at_start = given.max_duration_s == AT_START_S
    if any(is_set(given, name) for name in _CLOCK) and not at_start:
        losses.add(
            path, f"a flat fee that may begin later than the start; max_duration_s = {AT_START_S} "
            "keeps it there",
        )  # fmt: skip
    for name in (*MEASURED, *DURATIONS):
        # Any limit on the session's time but 0 holds at its start.
        if is_set(given, name) and (name != "max_duration_s" or not given.max_duration_s):
            losses.add(f"{path}.{name}", "no condition of a fixed fee in OCPP 2.1")
    found = {}
    for name, word in _PAYMENT.items():
        value = getattr(given, name)
        if value is not None:
            found[word] = value
            if len(value) > _WORD_MAX:
                losses.add(f"{path}.{name}", f"longer than {_WORD_MAX} characters")
    return found
