"""One component of a tariff as a rate: exact, then in whole numbers over a denominator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from wattledger.errors import CantPrice
from wattledger.money import exponent
from wattledger.rating import weekly, words
from wattledger.rating.conditions import Special, specials
from wattledger.rating.model import LineKind
from wattledger.rating.moments import (
    CHARGING_S,
    DAY,
    ELAPSED_S,
    ENERGY_WH,
    IDLE_S,
    IDLE_WHOLE_S,
    NEVER,
    Moment,
)
from wattledger.rating.taxes import TaxKey, TaxPart, factor, of_component, percent_of
from wattledger.rating.terms import Terms
from wattledger.tariffs.model import (
    Component,
    Dimension,
    Restrictions,
    Tariff,
    TaxIncluded,
    Unit,
)
from wattledger.tariffs.policies import IdleGrace, OneSidedTime, VatOmitted

# How many Wh, seconds or sessions are in a unit.
PER_UNIT = {Unit.KWH: 1000, Unit.MINUTE: 60, Unit.HOUR: 3600, Unit.SESSION: 1}
STREAMS = ("energy", "time", "idle", "fee")
"""Where revenue goes: what the ledger books apart."""
STREAM_OF = {
    Dimension.ENERGY: 0,
    Dimension.CHARGING_TIME: 1,
    Dimension.RESERVATION_TIME: 1,
    Dimension.IDLE_TIME: 2,
    Dimension.FLAT: 3,
    Dimension.RESERVATION_FLAT: 3,
}
BASE_UNITS = {
    Dimension.ENERGY: "Wh",
    Dimension.CHARGING_TIME: "s",
    Dimension.IDLE_TIME: "s",
    Dimension.RESERVATION_TIME: "s",
    Dimension.FLAT: "session",
    Dimension.RESERVATION_FLAT: "session",
}
ORDER = {
    Dimension.RESERVATION_FLAT: 0,
    Dimension.RESERVATION_TIME: 1,
    Dimension.FLAT: 2,
    Dimension.ENERGY: 3,
    Dimension.CHARGING_TIME: 4,
    Dimension.IDLE_TIME: 5,
}
"""Reservation, fee, energy, charging time, idle."""


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """A component's price per Wh, second or session, over the tariff's denominator.

    It is in force where every check ``low <= moment[index] < high`` and every special holds.
    """

    element: int
    component: Component
    dimension: Dimension
    before: int
    after: int
    factor: Fraction
    """``after`` by ``before``, also where the price is nothing."""
    shares: tuple[tuple[TaxKey, int], ...]
    """What of ``after`` is which tax."""
    discount_percent: str
    checks: tuple[tuple[int, int, int], ...]
    specials: tuple[Special, ...]
    step: int
    taxes: tuple[tuple[str, str], ...]
    """Names and percents of all taxes."""
    text: str
    """What the bill calls it."""
    kind: LineKind
    stream: int
    """Its place in ``STREAMS``."""
    unit: str
    unit_price: str
    base_unit: str
    order: int
    """Its place on a bill."""
    always: bool
    """Whether there is nothing to ask beside the hours of the week."""

    def matches(self, at: Moment) -> bool:
        """Whether it is in force at that moment, of its hours."""
        for index, low, high in self.checks:
            if not low <= at[index] < high:
                return False
        return all(special(at) for special in self.specials)


@dataclass(frozen=True, slots=True)
class ExactRate:
    """A rate before it is brought to the common denominator."""

    element: int
    component: Component
    before: Fraction
    factor: Fraction
    parts: tuple[tuple[TaxPart, Fraction], ...]
    discount_percent: str


def exact_rates(tariff: Tariff, terms: Terms) -> list[ExactRate]:
    """Of every component, in the tariff's order; raises as ``exact_rate`` does."""
    return [
        exact_rate(tariff, terms, i, component)
        for i, element in enumerate(tariff.elements)
        for component in element.components
    ]


def exact_rate(tariff: Tariff, terms: Terms, element: int, component: Component) -> ExactRate:
    """The price per Wh, second or session before and after taxes, discount taken off.

    Raises BadInput for a percentage out of 0 to 100 in the terms, CantPrice where the policy
    vat_omitted refuses.
    """
    percent, keep = "", Fraction(1)
    for discount in terms.discounts:
        if not discount.dimensions or component.dimension in discount.dimensions:
            percent = discount.percent
            keep = 1 - percent_of(percent, "$.terms.discount_percent")
            break
    scale = 10 ** exponent(tariff.currency)
    price = Fraction(component.price) * scale * keep / PER_UNIT[component.unit]
    if (
        component.taxes is None
        and not terms.taxes
        and terms.assessed is None
        and tariff.tax_included is not TaxIncluded.NOT_APPLICABLE
        and tariff.policies.vat_omitted is VatOmitted.REFUSE
    ):
        raise CantPrice(
            "tax_not_stated",
            f"tariff {tariff.id!r}: element {element} says nothing of tax on its "
            f"{component.dimension.value}, and neither do the terms: state a rate, 0 if there is "
            "none, or set the policy vat_omitted=terms",
        )
    parts = of_component(tariff, terms, component)
    whole = factor(parts)
    before = price / whole if tariff.tax_included is TaxIncluded.YES else price
    return ExactRate(
        element=element,
        component=component,
        before=before,
        factor=whole,
        parts=tuple((part, before * part.share) for part in parts),
        discount_percent=percent,
    )


def whole_rate(tariff: Tariff, exact: ExactRate, denominator: int) -> Rate:
    """``exact`` over ``denominator``, which all of a tariff's rates share."""
    given = tariff.elements[exact.element].restrictions
    dimension = exact.component.dimension
    checks = tuple(_checks(tariff, exact.component, given))
    more = specials(tariff, given)
    return Rate(
        element=exact.element,
        component=exact.component,
        dimension=dimension,
        before=int(exact.before * denominator),
        after=int(exact.before * exact.factor * denominator),
        factor=exact.factor,
        shares=tuple((part.key, int(share * denominator)) for part, share in exact.parts),
        discount_percent=exact.discount_percent,
        checks=checks,
        specials=more,
        step=exact.component.step,
        taxes=tuple((part.name, part.percent) for part, _ in exact.parts),
        text=words.line_text(dimension, tariff.elements[exact.element].name),
        kind=LineKind(dimension.value),
        stream=STREAM_OF[dimension],
        unit=exact.component.unit.value,
        unit_price=exact.component.price,
        base_unit=BASE_UNITS[dimension],
        order=ORDER[dimension],
        always=not checks and not more,
    )


def _checks(
    tariff: Tariff, component: Component, given: Restrictions
) -> Iterator[tuple[int, int, int]]:
    """What is restricted, as bounds on a moment's whole numbers."""
    policies = tariff.policies
    one_sided = bool(given.start_time) != bool(given.end_time)
    if one_sided and policies.one_sided_time is OneSidedTime.REFUSE:
        raise CantPrice(
            "one_sided_time",
            f"tariff {tariff.id!r}: an element has a start_time without an end_time, or the other "
            "way round: give both, or set the policy one_sided_time=day_bounds",
        )
    if not weekly.is_continuous(given, policies) and (given.start_date or given.end_date):
        yield (
            DAY,
            date.fromisoformat(given.start_date).toordinal() if given.start_date else 0,
            date.fromisoformat(given.end_date).toordinal() if given.end_date else NEVER,
        )
    least_idle_s = given.min_idle_s or 0
    if component.dimension is Dimension.IDLE_TIME:
        least_idle_s = max(least_idle_s, policies.idle_grace_s)
    if least_idle_s and policies.idle_grace is IdleGrace.WAIVE_IF_WITHIN:
        yield IDLE_WHOLE_S, least_idle_s + 1, NEVER
        least_idle_s = 0
    limits = (
        (ENERGY_WH, _wh(given.min_kwh), _wh(given.max_kwh)),
        (ELAPSED_S, given.min_duration_s, given.max_duration_s),
        (CHARGING_S, given.min_charging_s, given.max_charging_s),
        (IDLE_S, least_idle_s, given.max_idle_s),
    )
    for index, low, high in limits:
        if low or high is not None:
            # Before anything was counted is still "below the maximum": V2G counts downwards.
            yield index, low or -NEVER, NEVER if high is None else high


def _wh(kwh: str | None) -> int | None:
    return None if kwh is None else int(Fraction(kwh) * 1000)
