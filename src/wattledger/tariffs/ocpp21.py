"""Reading an OCPP 2.1 tariff into ours.

OCPP has one ordered list of prices a dimension, each with its conditions; each price becomes an
element with one component, in the same order, which says the same.

====================================  ====================================================
OCPP 2.1                              here
====================================  ====================================================
Wh and W                              kWh and kW
minTime, minChargingTime, minIdleTime min_duration_s, min_charging_s, min_idle_s
taxRates of a dimension               the taxes of each of its components
fixed fees, asked at the start only   flat; under hours or dates with max_duration_s = 1
minCost, maxCost                      min_price, max_price
====================================  ====================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from wattledger.errors import BadInput
from wattledger.tariffs import fields, foreign
from wattledger.tariffs.model import (
    Component,
    Day,
    Dimension,
    Element,
    EvseKind,
    PriceLimit,
    Restrictions,
    Tariff,
    TaxRate,
    Text,
    Unit,
)
from wattledger.tariffs.policies import FOREIGN
from wattledger.wire import exact, records
from wattledger.wire.numbers import parse_time
from wattledger.wire.ocpp import tariffs21

# Ours, the standard's, and what the price in its list is called.
LISTS: dict[Dimension, tuple[str, str, Unit]] = {
    Dimension.ENERGY: ("energy", "priceKwh", Unit.KWH),
    Dimension.CHARGING_TIME: ("chargingTime", "priceMinute", Unit.MINUTE),
    Dimension.IDLE_TIME: ("idleTime", "priceMinute", Unit.MINUTE),
    Dimension.FLAT: ("fixedFee", "priceFixed", Unit.SESSION),
    Dimension.RESERVATION_TIME: ("reservationTime", "priceMinute", Unit.MINUTE),
    Dimension.RESERVATION_FLAT: ("reservationFixed", "priceFixed", Unit.SESSION),
}
# Ours and the standard's, with the power of ten between their units.
MEASURED = {
    "min_kwh": ("minEnergy", 3), "max_kwh": ("maxEnergy", 3),
    "min_power_kw": ("minPower", 3), "max_power_kw": ("maxPower", 3),
    "min_current_a": ("minCurrent", 0), "max_current_a": ("maxCurrent", 0),
}  # fmt: skip
DURATIONS = {
    "min_duration_s": "minTime", "max_duration_s": "maxTime",
    "min_charging_s": "minChargingTime", "max_charging_s": "maxChargingTime",
    "min_idle_s": "minIdleTime", "max_idle_s": "maxIdleTime",
}  # fmt: skip
WORDS = {
    "start_time": "startTimeOfDay", "end_time": "endTimeOfDay",
    "start_date": "validFromDate", "end_date": "validToDate",
}  # fmt: skip
AT_START_S = 1
"""A flat fee that begins within the first second begins at the start or not at all."""
_SECTIONS = tuple(
    (dimension, word, tariffs21.Tariff.__struct_fields__[
        tariffs21.Tariff.__struct_encode_fields__.index(word)
    ])
    for dimension, (word, _, _) in LISTS.items()
)  # fmt: skip
_PRINTED = ("ASCII", "UTF8")


def read_ocpp21(raw: bytes | Mapping[str, Any], path: str = "$") -> tuple[Tariff, list[str]]:
    """The tariff and its warnings; ``raw`` is JSON, or an object that ``exact.parse`` made.

    null is absence everywhere but for what is required: tariffId, currency, in a list its prices
    and in them the price. Raises Malformed and BadInput.
    """
    value = exact.parse(raw, path) if isinstance(raw, bytes) else raw
    warnings: list[str] = []
    found = records.read(value, tariffs21.Tariff, path, warnings)
    tariff_id = fields.text(found.tariff_id, f"{path}.tariffId")
    elements = tuple(_elements(found, path, warnings))
    if not elements:
        listed = ", ".join(word for word, _, _ in LISTS.values())
        raise BadInput(path, None, f"at least one of {listed}")
    valid_from = None
    if found.valid_from is not None:
        where = f"{path}.validFrom"
        valid_from = exact.in_utc(parse_time(found.valid_from, where), where)
    tariff = Tariff(
        policies=FOREIGN,
        id=tariff_id,
        currency=found.currency,
        name=tariff_id,
        elements=elements,
        min_price=_limit(found.min_cost, f"{path}.minCost", warnings),
        max_price=_limit(found.max_cost, f"{path}.maxCost", warnings),
        valid_from=valid_from,
        texts=_texts(found.description, f"{path}.description", warnings),
    )
    return tariff, warnings


def _elements(found: tariffs21.Tariff, path: str, warnings: list[str]) -> Iterator[Element]:
    for dimension, word, name in _SECTIONS:
        section = getattr(found, name)
        if section is None:
            continue
        taxes = _taxes(section.tax_rates, f"{path}.{word}.taxRates") if section.tax_rates else None
        _, price_word, unit = LISTS[dimension]
        prices: Sequence[Any] = section.prices
        for i, item in enumerate(prices):
            where = f"{path}.{word}.prices[{i}]"
            # The price is the first field of each kind of it.
            amount: Decimal = getattr(item, item.__struct_fields__[0])
            text = foreign.price(amount, f"{where}.{price_word}")
            restrictions = Restrictions()
            if item.conditions is not None:
                restrictions = _restrictions(item.conditions, f"{where}.conditions", warnings)
            yield Element("", (Component(dimension, text, unit, 1, taxes),), restrictions)


def _taxes(found: tuple[tariffs21.TaxRate, ...], path: str) -> tuple[TaxRate, ...]:
    return tuple(
        TaxRate(
            name=fields.text(rate.type, f"{path}[{i}].type"),
            percent=foreign.percent(rate.tax, f"{path}[{i}].tax"),
            stack=fields.whole(rate.stack, f"{path}[{i}].stack", 0, 9),
        )
        for i, rate in enumerate(found)
    )


def _limit(found: tariffs21.Price | None, path: str, warnings: list[str]) -> PriceLimit | None:
    if found is None:
        return None
    if found.excl_tax is None and found.incl_tax is None:
        raise BadInput(path, {}, "exclTax, inclTax or both")
    if found.tax_rates:
        warnings.append(f"{path}.taxRates: not read, each side of tax is a limit of its own")
    before, after = found.excl_tax, found.incl_tax
    return PriceLimit(
        before_taxes=None if before is None else foreign.amount(before, f"{path}.exclTax"),
        after_taxes=None if after is None else foreign.amount(after, f"{path}.inclTax"),
    )


def _texts(
    found: tuple[tariffs21.MessageContent, ...], path: str, warnings: list[str]
) -> tuple[Text, ...]:
    kept = []
    for i, item in enumerate(found):
        where = f"{path}[{i}]"
        if item.format not in _PRINTED:
            warnings.append(f"{where}.format: only {' and '.join(_PRINTED)} are read")
            continue
        if item.language is None:
            warnings.append(f"{where}.language: missing, so the text is not read")
            continue
        language = foreign.carried(item.language, f"{where}.language", 2, warnings)
        content = foreign.carried(item.content, f"{where}.content", 512, warnings)
        if language is not None and content is not None:
            kept.append(Text(language, content))
    return tuple(kept)


def _restrictions(
    found: tariffs21.Conditions | tariffs21.ConditionsFixed, path: str, warnings: list[str]
) -> Restrictions:
    start, end = foreign.local_hours(
        found.start_time_of_day,
        found.end_time_of_day,
        ("startTimeOfDay", "endTimeOfDay"),
        path,
        warnings,
    )
    given: dict[str, Any] = {"start_time": start, "end_time": end}
    for name, value in (("start_date", found.valid_from_date), ("end_date", found.valid_to_date)):
        given[name] = None if value is None else fields.local_date(value, f"{path}.{WORDS[name]}")
    days = tuple(dict.fromkeys(Day(day.upper()) for day in found.day_of_week))
    if len(days) < len(found.day_of_week):
        warnings.append(f"{path}.dayOfWeek: a weekday stands twice")
    if found.evse_kind is not None:
        given["evse_kind"] = EvseKind(found.evse_kind)
    if isinstance(found, tariffs21.Conditions):
        given |= _counted(found, path)
    else:
        for name, value, word in (
            ("payment_brand", found.payment_brand, "paymentBrand"),
            ("payment_recognition", found.payment_recognition, "paymentRecognition"),
        ):
            given[name] = None if value is None else fields.text(value, f"{path}.{word}")
        if days or any(given[name] for name in WORDS):
            given["max_duration_s"] = AT_START_S
    restrictions = Restrictions(days=days, **given)
    foreign.warn_if_impossible(restrictions, path, warnings)
    return restrictions


def _counted(found: tariffs21.Conditions, path: str) -> dict[str, Any]:
    by_word = dict(zip(found.__struct_encode_fields__, found.__struct_fields__, strict=True))
    given: dict[str, Any] = {}
    for name, (word, places) in MEASURED.items():
        value = getattr(found, by_word[word])
        if value is not None:
            read = foreign.kwh if name.endswith("_kwh") else foreign.measure
            given[name] = foreign.trimmed(Decimal(read(value.scaleb(-places), f"{path}.{word}")))
    for name, word in DURATIONS.items():
        value = getattr(found, by_word[word])
        if value is not None:
            given[name] = foreign.seconds(value, f"{path}.{word}")
    return given
