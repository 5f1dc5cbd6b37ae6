"""Writing a tariff as OCPI 2.1.1, 2.2.1 or 2.3.0.

A price per minute becomes one per hour, exactly. What OCPI has no words for is a loss, and all
losses are one CantSay. The names of elements and taxes are shown and price nothing: they stay
behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from wattledger.tariffs import foreign
from wattledger.tariffs.foreign import Losses, is_set
from wattledger.tariffs.model import (
    RESERVED,
    Component,
    Element,
    PriceLimit,
    Reservation,
    Restrictions,
    Tariff,
    TaxIncluded,
    Unit,
)
from wattledger.tariffs.ocpi import (
    DIMENSIONS,
    ID_MAX,
    RESERVATIONS,
    RESERVED_DIMENSIONS,
    TAX_INCLUDED,
)
from wattledger.wire import exact
from wattledger.wire.ocpi.cdrs import check_version
from wattledger.wire.ocpi.common import Version

_TYPES = {
    dimension: name
    for known in (DIMENSIONS, RESERVED_DIMENSIONS)
    for name, (dimension, _) in known.items()
}
_TAX_WORDS = {ours: word for word, ours in TAX_INCLUDED.items()}
_RESERVATION_WORDS = {ours: word for word, ours in RESERVATIONS.items()}
_NOT_IN_OCPI = ("start_season", "end_season", "holiday", "min_idle_s", "max_idle_s",
                "min_charging_s", "max_charging_s", "evse_kind", "payment_brand",
                "payment_recognition")  # fmt: skip
_TEXTS = ("start_time", "end_time", "start_date", "end_date")
_NUMBERS = {"min_kwh": "min_kwh", "max_kwh": "max_kwh", "min_current_a": "min_current",
            "max_current_a": "max_current", "min_power_kw": "min_power",
            "max_power_kw": "max_power"}  # fmt: skip
_DURATIONS = {"min_duration_s": "min_duration", "max_duration_s": "max_duration"}
_RESTRICTIONS_NOT_IN_211 = ("min_current_a", "max_current_a", "reservation")
# Ours, and what the later versions call them.
_NOT_IN_211 = {"kind": "type", "min_price": "min_price", "max_price": "max_price",
               "valid_from": "start_date_time", "valid_to": "end_date_time"}  # fmt: skip


def write_ocpi(
    tariff: Tariff,
    version: str,
    *,
    country_code: str | None = None,
    party_id: str | None = None,
    last_updated: datetime | None = None,
    path: str = "$",
) -> dict[str, Any]:
    """The tariff as ``exact.dump`` writes it: numbers are Decimal.

    The three that OCPI requires and a tariff may go without can be given. Raises CantSay with
    every loss.
    """
    known = check_version(version)
    losses = Losses(f"OCPI {known}")
    foreign.lose_what_is_ours(tariff, losses, path)
    found: dict[str, Any] = {}
    if known != "2.1.1":
        given = {"country_code": country_code, "party_id": party_id}
        for name, instead in given.items():
            found[name] = instead or getattr(tariff, name)
            if found[name] is None:
                losses.add(f"{path}.{name}", f"missing; OCPI {known} requires it")
    found |= {"id": tariff.id, "currency": tariff.currency}
    if len(tariff.id) > ID_MAX:
        losses.add(f"{path}.id", f"longer than {ID_MAX} characters")
    if tariff.texts:
        found["tariff_alt_text"] = [{"language": t.language, "text": t.text} for t in tariff.texts]
    if tariff.url is not None:
        found["tariff_alt_url"] = tariff.url
    _head(tariff, known, found, losses, path)
    expires = any(e.restrictions.reservation is Reservation.EXPIRED for e in tariff.elements)
    found["elements"] = [
        _element(element, known, expires, losses, f"{path}.elements[{i}]")
        for i, element in enumerate(tariff.elements)
    ]
    if tariff.energy_mix is not None:
        found["energy_mix"] = exact.parse(tariff.energy_mix.encode(), f"{path}.energy_mix")
    updated = last_updated or tariff.last_updated
    if updated is None:
        losses.add(f"{path}.last_updated", f"missing; OCPI {known} requires it")
    else:
        found["last_updated"] = foreign.utc_text(updated)
    losses.raise_any()
    return found


def left_behind(tariff: Tariff, version: str, path: str = "$") -> list[str]:
    """The paths of what ``write_ocpi`` leaves out without a word: none of it prices anything."""
    kept = ["url", "energy_mix", "last_updated"]
    if check_version(version) != "2.1.1":
        kept += ["country_code", "party_id"]
    return foreign.left_behind(tariff, kept, path) + [
        f"{path}.elements[{i}].components[{j}].taxes[0].name"
        for i, element in enumerate(tariff.elements)
        for j, component in enumerate(element.components)
        if component.taxes and component.taxes[0].name != "VAT"
    ]


def _head(
    tariff: Tariff, version: Version, found: dict[str, Any], losses: Losses, path: str
) -> None:
    """What stands beside the elements and is not in every version."""
    given = [name for name in _NOT_IN_211 if getattr(tariff, name) is not None]
    for name in given:
        value = getattr(tariff, name)
        if version == "2.1.1":
            losses.add(f"{path}.{name}", "OCPI 2.1.1 has no field for it")
        elif isinstance(value, PriceLimit):
            found[name] = _limit(value, version, losses, f"{path}.{name}")
        else:
            found[_NOT_IN_211[name]] = foreign.utc_text(value) if name != "kind" else value
    if version == "2.3.0":
        found["tax_included"] = _TAX_WORDS[tariff.tax_included]
        if tariff.preauthorize_amount is not None:
            found["preauthorize_amount"] = Decimal(tariff.preauthorize_amount)
        return
    if tariff.tax_included is not TaxIncluded.NO:
        losses.add(f"{path}.tax_included", f"{tariff.tax_included.value}; prices go without tax")
    if tariff.preauthorize_amount is not None:
        losses.add(f"{path}.preauthorize_amount", "only OCPI 2.3.0 has a field for it")


def _limit(limit: PriceLimit, version: Version, losses: Losses, path: str) -> dict[str, Any]:
    one, other = ("excl_vat", "incl_vat") if version == "2.2.1" else ("before_taxes", "after_taxes")
    if limit.before_taxes is None:
        losses.add(f"{path}.before_taxes", "missing; OCPI has no limit with taxes alone")
        return {}
    found = {one: Decimal(limit.before_taxes)}
    if limit.after_taxes is not None:
        found[other] = Decimal(limit.after_taxes)
    return found


def _element(
    element: Element, version: Version, expires: bool, losses: Losses, path: str
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "price_components": [
            _component(component, version, losses, f"{path}.components[{i}]")
            for i, component in enumerate(element.components)
        ]
    }
    restrictions = _restrictions(element.restrictions, losses, f"{path}.restrictions", version)
    if any(component.dimension in RESERVED for component in element.components):
        reservation = element.restrictions.reservation
        if version == "2.1.1":
            losses.add(path, "a price of a reservation")
        elif reservation is None and expires:
            # RESERVATION_EXPIRES goes before RESERVATION, wherever it stands.
            losses.add(f"{path}.restrictions.reservation", "none, beside elements with one")
        # RESERVATION prices one that expired too, where nothing else does.
        restrictions["reservation"] = _RESERVATION_WORDS[reservation or Reservation.USED]
    if restrictions:
        found["restrictions"] = restrictions
    return found


def _component(component: Component, version: Version, losses: Losses, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": _TYPES[component.dimension],
        "price": foreign.per_hour(component),
    }
    if component.taxes is not None:
        taxes = foreign.zero_for_none(component.taxes)
        if version == "2.1.1":
            losses.add(f"{path}.taxes", "OCPI 2.1.1 has no tax")
        elif len(taxes) > 1:
            losses.add(f"{path}.taxes", f"{len(taxes)} taxes; OCPI has one")
        else:
            found["vat"] = Decimal(taxes[0].percent)
    found["step_size"] = component.step if component.unit is not Unit.SESSION else 1
    return found


def _restrictions(
    given: Restrictions, losses: Losses, path: str, version: Version
) -> dict[str, Any]:
    unsaid: Sequence[str] = _NOT_IN_OCPI
    if version == "2.1.1":
        unsaid = (*unsaid, *_RESTRICTIONS_NOT_IN_211)
    for name in unsaid:
        if is_set(given, name):
            losses.add(f"{path}.{name}", f"OCPI {version} has no such restriction")
    found: dict[str, Any] = {name: getattr(given, name) for name in _TEXTS}
    for name, word in _NUMBERS.items():
        value = getattr(given, name)
        found[word] = None if value is None else Decimal(value)
    for name, word in _DURATIONS.items():
        found[word] = getattr(given, name)
    found = {word: value for word, value in found.items() if value is not None}
    if given.days:
        found["day_of_week"] = [day.value for day in given.days]
    return found
