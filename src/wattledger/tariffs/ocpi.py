"""Reading an OCPI tariff (2.1.1, 2.2.1, 2.3.0) into ours.

=====================  ====================================================================
OCPI                   here
=====================  ====================================================================
TIME, FLAT             charging_time, flat; under a reservation reservation_time and _flat
vat                    one tax rate called VAT; without it, nothing is said about tax
RESERVATION(_EXPIRES)  reservation = used (expired)
min_price, max_price   both sides of tax, excl_vat or before_taxes, incl_vat or after_taxes
no name anywhere       the id; elements have none
=====================  ====================================================================

What is not read is a warning with its path, and so is what is read and can't be meant. A value
that decides a price and is none fails with its path. null is absence everywhere but for what is
required: id, currency, elements and in them price_components with type, price and step_size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from wattledger.errors import BadInput
from wattledger.tariffs import fields, foreign
from wattledger.tariffs.model import (
    Component,
    Day,
    Dimension,
    Element,
    PriceLimit,
    Reservation,
    Restrictions,
    Tariff,
    TaxIncluded,
    TaxRate,
    Text,
    Unit,
)
from wattledger.tariffs.policies import FOREIGN
from wattledger.tariffs.reader import STEP_MAX
from wattledger.wire import exact, records
from wattledger.wire.ocpi import v211, v221, v230
from wattledger.wire.ocpi.cdrs import check_version
from wattledger.wire.ocpi.common import VERSIONS, DisplayText, Version

AnyTariff = v211.Tariff | v221.Tariff | v230.Tariff
AnyElement = v211.TariffElement | v221.TariffElement
AnyComponent = v211.PriceComponent | v221.PriceComponent
AnyRestrictions = v211.TariffRestrictions | v221.TariffRestrictions

_RECORDS: dict[Version, type[AnyTariff]] = {
    "2.1.1": v211.Tariff, "2.2.1": v221.Tariff, "2.3.0": v230.Tariff,
}  # fmt: skip
ID_MAX = 36

# Keys that only the later versions have: by them a version is known.
_SINCE_230 = ("tax_included", "preauthorize_amount")
_SINCE_221 = ("country_code", "party_id", "type", "min_price", "max_price", "start_date_time",
              "end_date_time")  # fmt: skip
_RESTRICTIONS_SINCE_221 = ("min_current", "max_current", "reservation")

DIMENSIONS = {
    "ENERGY": (Dimension.ENERGY, Unit.KWH),
    "TIME": (Dimension.CHARGING_TIME, Unit.HOUR),
    "PARKING_TIME": (Dimension.IDLE_TIME, Unit.HOUR),
    "FLAT": (Dimension.FLAT, Unit.SESSION),
}
RESERVED_DIMENSIONS = {
    "TIME": (Dimension.RESERVATION_TIME, Unit.HOUR),
    "FLAT": (Dimension.RESERVATION_FLAT, Unit.SESSION),
}
TAX_INCLUDED = {
    "YES": TaxIncluded.YES,
    "NO": TaxIncluded.NO,
    "N/A": TaxIncluded.NOT_APPLICABLE,
}
RESERVATIONS = {
    "RESERVATION": Reservation.USED,
    "RESERVATION_EXPIRES": Reservation.EXPIRED,
}


def read_ocpi(
    raw: bytes | msgspec.Raw | Mapping[str, Any], version: str | None = None, path: str = "$"
) -> tuple[Tariff, list[str]]:
    """The tariff and its warnings; ``raw`` is JSON, or an object that ``exact.parse`` made.

    A tariff that uses a later version's fields is read as that version's, with a warning: a field
    that prices something must not be skipped because of the label. Raises Malformed and BadInput.
    """
    found = exact.parse(bytes(raw), path) if isinstance(raw, bytes | msgspec.Raw) else raw
    if isinstance(found, exact.Twice):
        raise exact.twice(found, path)
    if not isinstance(found, dict):
        raise BadInput(path, found, "a tariff: a JSON object")
    warnings: list[str] = []
    used = version_of(found)
    if version is not None:
        asked = check_version(version)
        if VERSIONS.index(asked) < VERSIONS.index(used):
            warnings.append(f"{path}: has fields of OCPI {used} and is read as that")
        used = max(asked, used, key=VERSIONS.index)
    record = records.read(found, _RECORDS[used], path, warnings)
    return _tariff(record, path, warnings), warnings


def version_of(found: Mapping[str, Any]) -> Version:
    """The first version that has all the keys of a parsed tariff which any version has."""
    limits = [found.get(key) for key in ("min_price", "max_price")]
    if any(key in found for key in _SINCE_230) or any(
        isinstance(limit, dict) and "before_taxes" in limit for limit in limits
    ):
        return "2.3.0"
    if any(key in found for key in _SINCE_221):
        return "2.2.1"
    elements = found.get("elements")
    for element in elements if isinstance(elements, list) else ():
        if not isinstance(element, dict):
            continue
        restrictions, components = element.get("restrictions"), element.get("price_components")
        if isinstance(restrictions, dict) and any(
            key in restrictions for key in _RESTRICTIONS_SINCE_221
        ):
            return "2.2.1"
        for component in components if isinstance(components, list) else ():
            if isinstance(component, dict) and "vat" in component:
                return "2.2.1"
    return "2.1.1"


def _tariff(found: AnyTariff, path: str, warnings: list[str]) -> Tariff:
    if len(found.id) > ID_MAX:
        warnings.append(f"{path}.id: longer than the {ID_MAX} characters of OCPI")
    tariff_id = fields.text(found.id, f"{path}.id")
    more: dict[str, Any] = {}
    if not isinstance(found, v211.Tariff):
        more = _since_221(found, path, warnings)
    elements: Sequence[AnyElement] = found.elements
    mix = bytes(found.energy_mix).decode() or None
    return Tariff(
        policies=FOREIGN,
        id=tariff_id,
        currency=found.currency,
        name=tariff_id,
        elements=tuple(
            _element(element, f"{path}.elements[{i}]", warnings)
            for i, element in enumerate(elements)
        ),
        texts=_texts(found.tariff_alt_text, f"{path}.tariff_alt_text", warnings),
        url=foreign.carried(found.tariff_alt_url, f"{path}.tariff_alt_url", 255, warnings),
        energy_mix=foreign.carried(mix, f"{path}.energy_mix", 4000, warnings),
        last_updated=found.last_updated,
        **more,
    )


def _since_221(found: v221.Tariff | v230.Tariff, path: str, warnings: list[str]) -> dict[str, Any]:
    more: dict[str, Any] = {
        "valid_from": found.start_date_time,
        "valid_to": found.end_date_time,
        "kind": foreign.carried(found.type, f"{path}.type", 40, warnings),
    }
    if found.type is not None and found.type not in v221.TARIFF_TYPES:
        known = ", ".join(v221.TARIFF_TYPES)
        warnings.append(f"{path}.type: unknown, none of {known}")
    foreign.check_validity(found.start_date_time, found.end_date_time, f"{path}.end_date_time")
    for name, most in (("country_code", 2), ("party_id", 3)):
        value = getattr(found, name)
        more[name] = None if value is None else fields.text(value, f"{path}.{name}", most)
    for name in ("min_price", "max_price"):
        limit = getattr(found, name)
        if limit is not None:
            more[name] = _limit(limit, f"{path}.{name}")
    if isinstance(found, v230.Tariff):
        if found.tax_included is None:
            warnings.append(f"{path}.tax_included: missing, prices are read as without tax")
        else:
            more["tax_included"] = TAX_INCLUDED[found.tax_included]
        if found.preauthorize_amount is not None:
            hold = foreign.amount(found.preauthorize_amount, f"{path}.preauthorize_amount")
            more["preauthorize_amount"] = hold
    return more


def _limit(found: v221.Price | v230.PriceLimit, path: str) -> PriceLimit:
    one, other = found.__struct_fields__
    before, after = getattr(found, one), getattr(found, other)
    return PriceLimit(
        before_taxes=foreign.amount(before, f"{path}.{one}"),
        after_taxes=None if after is None else foreign.amount(after, f"{path}.{other}"),
    )


def _texts(found: tuple[DisplayText, ...], path: str, warnings: list[str]) -> tuple[Text, ...]:
    kept = []
    for i, item in enumerate(found):
        language = foreign.carried(item.language, f"{path}[{i}].language", 2, warnings)
        text = foreign.carried(item.text, f"{path}[{i}].text", 512, warnings)
        if language is not None and text is not None:
            kept.append(Text(language, text))
    return tuple(kept)


def _element(found: AnyElement, path: str, warnings: list[str]) -> Element:
    restrictions = Restrictions()
    if found.restrictions is not None:
        restrictions = _restrictions(found.restrictions, f"{path}.restrictions", warnings)
    components: dict[Dimension, Component] = {}
    items: Sequence[AnyComponent] = found.price_components
    for i, item in enumerate(items):
        where = f"{path}.price_components[{i}]"
        component = _component(item, restrictions.reservation is not None, where)
        if component.dimension in components:
            warnings.append(f"{where}: a second {item.type} in one element, not read")
        components.setdefault(component.dimension, component)
    return Element("", tuple(components.values()), restrictions)


def _component(found: AnyComponent, reserved: bool, path: str) -> Component:
    known = RESERVED_DIMENSIONS if reserved else DIMENSIONS
    if found.type not in known:
        raise BadInput(f"{path}.type", found.type, "TIME or FLAT: no other price of a reservation")
    dimension, unit = known[found.type]
    vat = getattr(found, "vat", None)
    step = fields.whole(found.step_size, f"{path}.step_size", 0, STEP_MAX)
    return Component(
        dimension=dimension,
        price=foreign.price(found.price, f"{path}.price"),
        unit=unit,
        # A flat fee has no step; the examples write 0 and 1.
        step=1 if unit is Unit.SESSION else step,
        taxes=None if vat is None else (TaxRate("VAT", foreign.percent(vat, f"{path}.vat")),),
    )


def _restrictions(found: AnyRestrictions, path: str, warnings: list[str]) -> Restrictions:
    def measured(name: str) -> str | None:
        value: Decimal | None = getattr(found, name, None)
        return None if value is None else foreign.measure(value, f"{path}.{name}")

    start, end = foreign.local_hours(
        found.start_time, found.end_time, ("start_time", "end_time"), path, warnings
    )
    given: dict[str, Any] = {"start_time": start, "end_time": end}
    for name in ("start_date", "end_date"):
        value = getattr(found, name)
        given[name] = None if value is None else fields.local_date(value, f"{path}.{name}")
    for name in ("min_kwh", "max_kwh"):
        value = getattr(found, name)
        given[name] = None if value is None else foreign.kwh(value, f"{path}.{name}")
    for side in ("min", "max"):
        given[f"{side}_power_kw"] = measured(f"{side}_power")
        given[f"{side}_current_a"] = measured(f"{side}_current")
        name = f"{side}_duration"
        value = getattr(found, name)
        given[f"{name}_s"] = None if value is None else foreign.seconds(value, f"{path}.{name}")
    reservation = getattr(found, "reservation", None)
    if reservation is not None:
        given["reservation"] = RESERVATIONS[reservation]
    days = tuple(dict.fromkeys(Day(day) for day in found.day_of_week))
    if len(days) < len(found.day_of_week):
        warnings.append(f"{path}.day_of_week: a weekday stands twice")
    restrictions = Restrictions(days=days, **given)
    foreign.warn_if_impossible(restrictions, path, warnings)
    return restrictions
