"""A contract's tariff as a charge point of OCPP 2.1 can calculate by it, or what it can't say.

A station knows a price list and nothing else: discounts are taken off its prices, and the place's
taxes are put on them. What neither can express is a loss like those of the format itself.
"""

from __future__ import annotations

from decimal import Context, Decimal

import msgspec

from wattledger.errors import CantSay
from wattledger.ids import content_digest
from wattledger.rating.terms import Terms
from wattledger.tariffs.model import Component, Element, Tariff, TaxIncluded, TaxRate
from wattledger.tariffs.ocpp21_writer import write_ocpp21
from wattledger.wire import exact

_ID_MAX, _DIGEST = 60, 12
_EXACT = Context(prec=60)


class StationTariff(msgspec.Struct, frozen=True):
    """``text`` is the TariffType as JSON. ``id`` is of the content: a station may keep what it
    knows by that name for ever (I08.FR.08)."""

    id: str
    text: str


def station_tariff(tariff: Tariff, terms: Terms, *, more: tuple[str, ...] = ()) -> StationTariff:
    """Raises CantSay, with what else the contract has (``more``) among the losses."""
    losses = [*more, *_losses(terms)]
    try:
        found = write_ocpp21(_with_terms(tariff, terms))
    except CantSay as error:
        raise CantSay(error.form, [*error.losses, *losses]) from None
    if losses:
        raise CantSay("OCPP 2.1", losses)
    digest = content_digest(exact.dump(found))[:_DIGEST]
    name = f"{found['tariffId']}-{digest}"
    return StationTariff(name, exact.dump({**found, "tariffId": name}).decode())


def _losses(terms: Terms) -> list[str]:
    found = [f"$.terms.fees[{i}]: {fee.text}" for i, fee in enumerate(terms.fees)]
    found += [
        f"$.terms.taxes[{i}]: {tax.name} is an amount per kWh"
        for i, tax in enumerate(terms.taxes)
        if tax.per_kwh is not None and not tax.exempt
    ]
    found += [f"$.terms.draws[{i}]: {draw.text}" for i, draw in enumerate(terms.draws)]
    return found


def _with_terms(tariff: Tariff, terms: Terms) -> Tariff:
    return msgspec.structs.replace(
        tariff,
        id=tariff.id[: _ID_MAX - _DIGEST - 1],
        elements=tuple(
            Element(
                element.name,
                tuple(_component(tariff, each, terms) for each in element.components),
                element.restrictions,
            )
            for element in tariff.elements
        ),
    )


def _component(tariff: Tariff, given: Component, terms: Terms) -> Component:
    taxes = given.taxes
    if taxes is None and tariff.tax_included is TaxIncluded.NO:
        taxes = tuple(
            TaxRate(tax.name, tax.percent, tax.stack)
            for tax in terms.taxes
            if tax.percent is not None
            and not tax.exempt
            and Decimal(tax.percent)
            and (not tax.dimensions or given.dimension in tax.dimensions)
        )
    return msgspec.structs.replace(given, price=_price(given, terms), taxes=taxes or None)


def _price(given: Component, terms: Terms) -> str:
    """Discount taken off: of several the first that names the dimension."""
    for discount in terms.discounts:
        if not discount.dimensions or given.dimension in discount.dimensions:
            keep = _EXACT.subtract(Decimal(100), Decimal(discount.percent)).scaleb(-2)
            return f"{_EXACT.multiply(Decimal(given.price), keep).normalize(_EXACT):f}"
    return given.price
