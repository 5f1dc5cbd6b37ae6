"""What sessions cost and leave, by arithmetic on paper and by properties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattledger.errors import BadInput, CantPrice
from wattledger.money import Rounding
from wattledger.rating.cost import (
    DemandRule,
    EnergyPart,
    SessionMargin,
    session_cost,
    session_margin,
    site_month,
)
from wattledger.tariffs import Day
from wattledger.tariffs.utility import (
    DayRule,
    EnergyCharge,
    FixedCharge,
    FlatDemand,
    Gaps,
    LoadInterval,
    MonthBill,
    Per,
    PriceInterval,
    PriceSeries,
    RatePeriod,
    Schedule,
    Season,
    Slot,
    Tier,
    TouDemand,
    UtilityTariff,
    energy_prices,
    utility_bill,
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-06-{text}").replace(tzinfo=UTC)


def part(from_text: str, to_text: str, energy_wh: Any) -> EnergyPart:
    return EnergyPart(at(from_text), at(to_text), energy_wh)


def prices(*rows: tuple[str, str, str], currency: str = "USD") -> PriceSeries:
    return PriceSeries(
        currency, tuple(PriceInterval(at(a), at(b), Fraction(p)) for a, b, p in rows)
    )


TWO_HOURS = prices(("01 10:00", "01 11:00", "0.10"), ("01 11:00", "01 12:00", "0.40"))


def test_a_part_is_split_where_the_price_changes() -> None:
    # 10 kWh in an hour, 20 minutes of it before eleven: 3,333 Wh and the remaining 6,667.
    # 3.333 x 0.10 + 6.667 x 0.40 = 0.3333 + 2.6668 = 3.0001
    cost = session_cost("s", [part("01 10:40", "01 11:40", 10_000)], TWO_HOURS)
    assert [(x.from_at, x.to_at, x.energy_wh, x.exact) for x in cost.parts] == [
        (at("01 10:40"), at("01 11:00"), 3_333, Fraction("0.3333")),
        (at("01 11:00"), at("01 11:40"), 6_667, Fraction("2.6668")),
    ]
    assert (cost.energy_wh, cost.exact, cost.amount_minor) == (10_000, Fraction("3.0001"), 300)


def test_the_sum_is_rounded_once() -> None:
    # 2 x 0.004 = 0.008: each alone would be nothing.
    parts = [part("01 10:00", "01 10:10", 40), part("01 10:20", "01 10:30", 40)]
    assert session_cost("s", parts, TWO_HOURS).amount_minor == 1
    assert session_cost("s", parts, TWO_HOURS, Rounding.DOWN).amount_minor == 0


def test_negative_prices_pay_the_operator() -> None:
    cheap = prices(("01 10:00", "01 11:00", "-0.30"))
    cost = session_cost("s", [part("01 10:00", "01 11:00", 5_000)], cheap)
    assert cost.amount_minor == -150
    assert session_margin(cost, 200).margin_minor == 350


def test_a_part_without_time_has_the_price_of_its_instant() -> None:
    cost = session_cost("s", [part("01 11:00", "01 11:00", 1_000)], TWO_HOURS)
    assert cost.exact == Fraction("0.4")


def test_time_without_energy_needs_no_price() -> None:
    cost = session_cost("s", [part("02 00:00", "03 00:00", 0)], TWO_HOURS)
    assert (cost.parts, cost.amount_minor) == ((), 0)


@pytest.mark.parametrize(
    "one",
    [
        part("01 09:30", "01 10:30", 10),
        part("01 11:30", "01 12:30", 10),
        part("02 00:00", "02 01:00", 10),
        part("01 12:00", "01 12:00", 10),
    ],
)
def test_energy_at_a_time_without_a_price_can_not_be_costed(one: EnergyPart) -> None:
    with pytest.raises(CantPrice) as caught:
        session_cost("s", [one], TWO_HOURS)
    assert caught.value.code == "cost.no_price"
    with pytest.raises(CantPrice):
        session_cost("s", [one], PriceSeries("USD", ()))


NAIVE = datetime(2026, 6, 1, 10)  # noqa: DTZ001
BAD: list[tuple[list[EnergyPart], str]] = [
    ([EnergyPart(NAIVE, at("01 11:00"), 1)], "parts[0].from_at"),
    ([EnergyPart(at("01 10:00"), NAIVE, 1)], "parts[0].to_at"),
    ([EnergyPart("2026-06-01T10:00:00Z", at("01 10:00"), 1)], "parts[0].from_at"),  # type: ignore[arg-type]
    ([part("01 11:00", "01 10:00", 1)], "parts[0].to_at"),
    ([part("01 10:00", "01 11:00", -1)], "parts[0].energy_wh"),
    ([part("01 10:00", "01 11:00", True)], "parts[0].energy_wh"),
    ([part("01 10:00", "01 11:00", float("nan"))], "parts[0].energy_wh"),
    ([part("01 10:00", "01 11:00", "7")], "parts[0].energy_wh"),
    ([part("01 10:30", "01 11:00", 1), part("01 10:00", "01 10:30", 1)], "parts[1].from_at"),
]


@pytest.mark.parametrize(("parts", "path"), BAD)
def test_parts_that_are_not_sound(parts: list[EnergyPart], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        session_cost("s", parts, TWO_HOURS)
    assert caught.value.path == path


# A site: 0.20 per kWh, 10 per kW of the month, 3 per kW from 16 to 21, 25 fixed.
ALL_DAY = Schedule(
    (Season("y", "01-01", "12-31", (DayRule((Slot("00:00", "24:00", "all"),), tuple(Day)),)),)
)
EVENING = Schedule(
    (
        Season(
            "y", "01-01", "12-31",
            (
                DayRule(
                    (
                        Slot("00:00", "16:00", "off"),
                        Slot("16:00", "21:00", "peak"),
                        Slot("21:00", "24:00", "off"),
                    ),
                    tuple(Day),
                ),
            ),
        ),
    )
)  # fmt: skip
SITE = UtilityTariff(
    id="site",
    name="Site",
    currency="USD",
    time_zone="UTC",
    energy=EnergyCharge((RatePeriod("all", (Tier("0.20"),)),), ALL_DAY),
    flat_demand=FlatDemand((RatePeriod("all", (Tier("10"),)),), ("all",) * 12),
    tou_demand=TouDemand(
        (RatePeriod("off", (Tier("0"),)), RatePeriod("peak", (Tier("3"),))), EVENING
    ),
    demand_window_min=60,
    fixed=(FixedCharge("meter", "25", Per.MONTH),),
)
SESSIONS = {
    "a": [part("01 10:00", "01 11:00", 20_000)],
    "b": [part("01 10:30", "01 11:30", 20_000)],
    "c": [part("02 17:00", "02 18:00", 9_000)],
}
# At ten: a's 20 kWh and half of b's, 30 kWh in the hour. At seventeen: c's 9, and 1 for light.
LOAD = [
    LoadInterval(at("01 10:00"), at("01 11:00"), 30_000),
    LoadInterval(at("01 11:00"), at("01 12:00"), 10_000),
    LoadInterval(at("02 17:00"), at("02 18:00"), 10_000),
]


def the_bill() -> MonthBill:
    (month,) = utility_bill(SITE, LOAD, gaps=Gaps.ZERO).months
    return month


def the_sessions() -> list[SessionMargin]:
    series = energy_prices(SITE, at("01 00:00"), at("30 00:00"))
    return [
        session_margin(session_cost(name, parts, series), 2_000) for name, parts in SESSIONS.items()
    ]


def test_a_sites_month_by_hand() -> None:
    # Energy 50 kWh x 0.20 = 10.00. Flat demand 30 kW x 10 = 300.00: a 20 of 30, b 10 of 30.
    # Evening 10 kW x 3 = 30.00: c 9 of 10, the light 1 of 10. Fixed 25.00. In all 365.00.
    month = site_month(the_bill(), the_sessions())
    assert (month.energy_minor, month.demand_minor, month.fixed_minor) == (1_000, 33_000, 2_500)
    assert (month.cost_minor, month.retail_net_minor) == (36_500, 6_000)
    assert month.margin_minor == -30_500
    assert [(s.cost.amount_minor, s.demand_minor, s.margin_minor) for s in month.sessions] == [
        (400, 20_000, 2_000 - 20_400),
        (400, 10_000, 2_000 - 10_400),
        (180, 2_700, 2_000 - 2_880),
    ]
    # What no session bears: the fixed charge, the light's energy and its share of the evening.
    assert month.unallocated_minor == 2_500 + 20 + 300


def test_demand_by_the_energy_of_the_month() -> None:
    # 20, 20, 9 and 1 of 50 kWh: 300 -> 120, 120, 54 (and 6); 30 -> 12, 12, 5.40 (and 0.60).
    month = site_month(the_bill(), the_sessions(), DemandRule.MONTH_ENERGY)
    assert [s.demand_minor for s in month.sessions] == [13_200, 13_200, 5_940]


def test_the_last_cent_goes_by_largest_remainder() -> None:
    # Three equal sessions make 1.000 kW for 10.00: 3.34, 3.33, 3.33.
    load = [LoadInterval(at("01 10:00"), at("01 11:00"), 999)]
    tariff = UtilityTariff(
        "t", "T", "USD", "UTC",
        flat_demand=FlatDemand((RatePeriod("a", (Tier("10.01001001001"),)),), ("a",) * 12),
        demand_window_min=60,
    )  # fmt: skip
    (bill,) = utility_bill(tariff, load, gaps=Gaps.ZERO).months
    assert bill.total_minor == 1_000
    each = [
        session_margin(
            session_cost(name, [part("01 10:00", "01 11:00", 333)], TWO_HOURS), 0
        )
        for name in "abc"
    ]  # fmt: skip
    assert [s.demand_minor for s in site_month(bill, each).sessions] == [334, 333, 333]


def test_a_month_without_sessions_is_all_the_sites() -> None:
    month = site_month(the_bill(), [])
    assert (month.cost_minor, month.unallocated_minor, month.margin_minor) == (
        36_500, 36_500, -36_500,
    )  # fmt: skip


def test_another_currency_or_a_session_twice_is_refused() -> None:
    euro = prices(("01 10:00", "01 11:00", "0.1"), currency="EUR")
    foreign = session_margin(session_cost("x", [part("01 10:00", "01 11:00", 1)], euro), 0)
    with pytest.raises(BadInput) as caught:
        site_month(the_bill(), [foreign])
    assert caught.value.path == "sessions[0].cost.currency"
    with pytest.raises(BadInput) as caught:
        site_month(the_bill(), [the_sessions()[0]] * 2)
    assert caught.value.path == "sessions[1].cost.session_id"


START = at("01 00:00")
MINUTES = st.integers(0, 600)


@st.composite
def any_parts(draw: st.DrawFn) -> list[EnergyPart]:
    ends = sorted(draw(st.lists(MINUTES, min_size=2, max_size=6)))
    return [
        EnergyPart(
            START + timedelta(minutes=a), START + timedelta(minutes=b), draw(st.integers(0, 99_999))
        )
        for a, b in pairwise(ends)
    ]


@st.composite
def any_series(draw: st.DrawFn) -> PriceSeries:
    ends = sorted({0, 601, *draw(st.lists(MINUTES, max_size=12))})
    return PriceSeries(
        "USD",
        tuple(
            PriceInterval(
                START + timedelta(minutes=a),
                START + timedelta(minutes=b),
                Fraction(draw(st.integers(-500, 900)), 1000),
            )
            for a, b in pairwise(ends)
        ),
    )


@given(any_parts(), any_series())
def test_the_parts_sum_to_the_whole(parts: list[EnergyPart], series: PriceSeries) -> None:
    cost = session_cost("s", parts, series)
    assert cost.energy_wh == sum(x.energy_wh for x in parts)
    assert cost.exact == sum(x.energy_wh * x.price for x in cost.parts) / 1000
    low = min(x.price for x in series.intervals)
    high = max(x.price for x in series.intervals)
    assert low * cost.energy_wh <= cost.exact * 1000 <= high * cost.energy_wh


@given(any_parts(), any_series(), st.integers(0, 600))
def test_a_cut_where_the_price_stays_changes_nothing(
    parts: list[EnergyPart], series: PriceSeries, minute: int
) -> None:
    cut = START + timedelta(minutes=minute)
    finer: list[PriceInterval] = []
    for one in series.intervals:
        if one.from_at < cut < one.to_at:
            finer.append(PriceInterval(one.from_at, cut, one.price))
            finer.append(PriceInterval(cut, one.to_at, one.price))
        else:
            finer.append(one)
    cost = session_cost("s", parts, PriceSeries("USD", tuple(finer)))
    assert cost.exact == session_cost("s", parts, series).exact


@given(any_parts(), any_series())
def test_a_part_cut_where_the_price_changes_costs_the_same(
    parts: list[EnergyPart], series: PriceSeries
) -> None:
    whole = session_cost("s", parts, series)
    again = [EnergyPart(x.from_at, x.to_at, x.energy_wh) for x in whole.parts]
    assert session_cost("s", again, series) == whole


@given(st.lists(any_parts(), min_size=1, max_size=6), st.sampled_from(DemandRule))
def test_a_months_figures_always_add_up(sold: list[list[EnergyPart]], rule: DemandRule) -> None:
    quarter = timedelta(minutes=15)
    load = [LoadInterval(START + n * quarter, START + (n + 1) * quarter, 2_000) for n in range(44)]
    (bill,) = utility_bill(SITE, load, gaps=Gaps.ZERO).months
    series = energy_prices(SITE, START, START + timedelta(days=1))
    sessions = [
        session_margin(session_cost(f"s{n}", parts, series), 100 * n)
        for n, parts in enumerate(sold)
    ]
    month = site_month(bill, sessions, rule)
    assert month.energy_minor + month.demand_minor + month.fixed_minor == month.cost_minor
    assert sum(s.cost_minor for s in month.sessions) + month.unallocated_minor == month.cost_minor
    margins = sum(s.margin_minor for s in month.sessions)
    assert margins - month.unallocated_minor == month.margin_minor
    assert 0 <= sum(s.demand_minor for s in month.sessions) <= month.demand_minor
