"""Generated tariffs of ours: all that OCPI or OCPP 2.1 can say, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from wattledger.tariffs import (
    Component,
    Day,
    Dimension,
    Element,
    EvseKind,
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

SESSION = (Dimension.ENERGY, Dimension.CHARGING_TIME, Dimension.IDLE_TIME, Dimension.FLAT)
RESERVED = (Dimension.RESERVATION_TIME, Dimension.RESERVATION_FLAT)
TIMES = (Dimension.CHARGING_TIME, Dimension.IDLE_TIME, Dimension.RESERVATION_TIME)
FLATS = (Dimension.FLAT, Dimension.RESERVATION_FLAT)


def decimals(most: int, places: int) -> st.SearchStrategy[str]:
    """Plain decimals of so many places, none of them a zero at the end."""
    return st.builds(
        lambda digits: format(Decimal(digits).scaleb(-places).normalize(), "f"),
        st.integers(0, most * 10**places),
    )


prices = decimals(100, 4) | st.builds("-{}".format, decimals(100, 4).filter(lambda p: p != "0"))
amounts = decimals(500, 2)
percents = decimals(100, 3)
moments = st.datetimes(
    min_value=datetime(2020, 1, 1), max_value=datetime(2030, 1, 1)  # noqa: DTZ001
).map(lambda at: at.replace(tzinfo=UTC, microsecond=0))  # fmt: skip
hours = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 58))
words = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=12)


def pairs(low: str, high: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """One of two bounds, both in order, or none."""

    def ordered(two: tuple[Any, Any]) -> dict[str, Any]:
        one, other = sorted(two, key=lambda v: v if isinstance(v, int) else Decimal(v))
        return {low: one, high: other}

    both = st.tuples(values, values).filter(lambda t: Decimal(t[0]) != Decimal(t[1])).map(ordered)
    above = values.filter(lambda v: Decimal(v) > 0)
    return (
        st.just({})
        | both
        | st.builds(lambda v: {low: v}, above)
        | st.builds(lambda v: {high: v}, above)
    )


clock = st.builds(
    lambda a, b, days, dates: {
        **({"start_time": a} if a else {}),
        **({"end_time": b} if b and b != a else {}),
        "days": days,
        **dates,
    },
    st.none() | hours,
    st.none() | hours,
    st.lists(st.sampled_from(Day), unique=True, max_size=3).map(tuple),
    st.sampled_from(
        [{}, {"start_date": "2026-01-01"}, {"start_date": "2026-01-01", "end_date": "2026-06-01"},
         {"end_date": "2027-01-01"}]
    ),
)  # fmt: skip
durations = st.integers(1, 100_000)


@st.composite
def restrictions(draw: Any, ocpp: bool, flat: bool, current: bool = True) -> Restrictions:
    given = draw(clock)
    if ocpp:
        kind = draw(st.none() | st.sampled_from(EvseKind))
        given |= {"evse_kind": kind} if kind else {}
        if flat:
            if draw(st.booleans()):
                given["payment_brand"] = draw(words)
            # Only so is it asked at the start and never again.
            if any(given[name] for name in set(given) - {"evse_kind", "payment_brand"}):
                given["max_duration_s"] = 1
            return Restrictions(**given)
        given |= draw(pairs("min_charging_s", "max_charging_s", durations))
        given |= draw(pairs("min_idle_s", "max_idle_s", durations))
    given |= draw(pairs("min_kwh", "max_kwh", decimals(100, 3)))
    given |= draw(pairs("min_power_kw", "max_power_kw", decimals(350, 3)))
    if current:
        given |= draw(pairs("min_current_a", "max_current_a", decimals(500, 1)))
    given |= draw(pairs("min_duration_s", "max_duration_s", durations))
    return Restrictions(**given)


@st.composite
def ocpi_tariffs(draw: Any, version: str) -> Tariff:
    """What ``version`` of OCPI can say, in its own units."""
    old = version == "2.1.1"
    taxes = st.none() if old else st.none() | percents.map(lambda p: (TaxRate("VAT", p),))
    elements = []
    for _ in range(draw(st.integers(1, 4))):
        reserved = not old and draw(st.integers(0, 3)) == 0
        found = draw(restrictions(ocpp=False, flat=False, current=not old))
        if reserved:
            values = {n: getattr(found, n) for n in Restrictions.__struct_fields__}
            found = Restrictions(**{**values, "reservation": draw(st.sampled_from(Reservation))})
        known = RESERVED if reserved else SESSION
        components = []
        for dimension in draw(st.lists(st.sampled_from(known), unique=True, min_size=1)):
            unit = {Dimension.ENERGY: Unit.KWH}.get(dimension, Unit.HOUR)
            unit = Unit.SESSION if dimension in FLATS else unit
            step = 1 if unit is Unit.SESSION else draw(st.integers(0, 3600))
            components.append(Component(dimension, draw(prices), unit, step, draw(taxes)))
        elements.append(Element("", tuple(components), found))
    identity = draw(words)
    more: dict[str, Any] = {}
    if not old:
        more = {
            "country_code": "NL",
            "party_id": "ABC",
            "kind": draw(st.none() | st.sampled_from(["REGULAR", "AD_HOC_PAYMENT"])),
            "min_price": draw(st.none() | st.builds(PriceLimit, amounts, st.none() | amounts)),
            "valid_from": draw(st.none() | moments),
        }
    if version == "2.3.0":
        more["tax_included"] = draw(st.sampled_from(TaxIncluded))
        more["preauthorize_amount"] = draw(st.none() | amounts)
    return Tariff(
        id=identity,
        currency=draw(st.sampled_from(["EUR", "USD", "JPY"])),
        name=identity,
        elements=tuple(elements),
        texts=tuple(draw(st.lists(st.builds(Text, st.just("en"), words), max_size=2))),
        url=draw(st.none() | words),
        last_updated=draw(moments),
        policies=FOREIGN,
        **more,
    )


@st.composite
def ocpp21_tariffs(draw: Any) -> Tariff:
    """What OCPP 2.1 can say, one component an element, in its order of dimensions."""
    rate = st.builds(TaxRate, words, percents, st.integers(0, 3))
    taxes = st.none() | st.lists(rate, min_size=1, max_size=5).map(tuple)
    elements = []
    for dimension in Dimension:
        its_taxes = draw(taxes)
        for _ in range(draw(st.integers(0, 2))):
            unit = {Dimension.ENERGY: Unit.KWH}.get(dimension, Unit.MINUTE)
            unit = Unit.SESSION if dimension in FLATS else unit
            component = Component(dimension, draw(prices), unit, 1, its_taxes)
            found = draw(restrictions(ocpp=True, flat=dimension in FLATS))
            elements.append(Element("", (component,), found))
    if not elements:
        elements.append(Element("", (Component(Dimension.FLAT, "1", Unit.SESSION),)))
    limit = st.builds(PriceLimit, amounts, st.none() | amounts) | st.builds(
        PriceLimit, st.none(), amounts
    )
    identity = draw(words)
    return Tariff(
        id=identity,
        currency="USD",
        name=identity,
        policies=FOREIGN,
        elements=tuple(elements),
        min_price=draw(st.none() | limit),
        max_price=draw(st.none() | limit),
        valid_from=draw(st.none() | moments),
        texts=tuple(draw(st.lists(st.builds(Text, st.just("en"), words), max_size=2))),
    )
