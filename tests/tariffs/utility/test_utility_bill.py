"""A month's bill, line by line, against arithmetic on paper."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from utility_samples import at, bare, by_time, drawn, every_day, flat, hourly, series

from wattledger.errors import BadInput, CantPrice
from wattledger.tariffs.utility import (
    DayCount,
    EnergyCharge,
    FixedCharge,
    FlatDemand,
    Gaps,
    LineKind,
    LoadInterval,
    MinimumCharge,
    MonthBill,
    Per,
    PriceSeries,
    RatePeriod,
    Tier,
    TierScope,
    TouDemand,
    UtilityTariff,
    energy_prices,
    utility_bill,
)


def one_month(tariff: UtilityTariff, *load: LoadInterval, **more: object) -> MonthBill:
    (month,) = utility_bill(tariff, load, gaps=Gaps.ZERO, **more).months  # type: ignore[arg-type]
    return month


def tiered(scope: TierScope | None) -> UtilityTariff:
    """The same ceilings, cumulative: 100 kWh, 300 kWh, none."""
    day = (Tier("0.10", ceiling="100"), Tier("0.20", ceiling="300"), Tier("0.30"))
    night = (Tier("0.05", ceiling="100"), Tier("0.10", ceiling="300"), Tier("0.15"))
    return bare(
        energy=EnergyCharge(
            (RatePeriod("day", day), RatePeriod("night", night)),
            every_day(
                ("00:00", "08:00", "night"), ("08:00", "20:00", "day"), ("20:00", "24:00", "night")
            ),
            scope,
        )
    )


# 240 kWh by day and 160 kWh by night, 400 in all.
TIER_LOAD = (
    drawn("2026-06-01 08:00", "2026-06-01 20:00", 240_000),
    drawn("2026-06-01 20:00", "2026-06-01 22:00", 160_000),
)


def test_tiers_filled_by_the_months_total() -> None:
    # The total fills 100 + 200 + 100. Day has 240/400 of each tier: 60, 120, 60 kWh:
    # 6 + 24 + 18 = 48. Night has 40, 80, 40 kWh: 2 + 8 + 6 = 16.
    month = one_month(tiered(TierScope.MONTH_TOTAL_PRORATA), *TIER_LOAD)
    found = [(x.period, x.tier, x.quantity, x.exact) for x in month.lines]
    assert found == [
        ("day", 1, 60, 6),
        ("day", 2, 120, 24),
        ("day", 3, 60, 18),
        ("night", 1, 40, 2),
        ("night", 2, 80, 8),
        ("night", 3, 40, 6),
    ]
    assert month.total_minor == 6400


def test_tiers_filled_by_each_period() -> None:
    # Day: 100 x 0.10 + 140 x 0.20 = 38. Night: 100 x 0.05 + 60 x 0.10 = 11.
    month = one_month(tiered(TierScope.PER_PERIOD), *TIER_LOAD)
    assert [(x.period, x.tier, x.exact) for x in month.lines] == [
        ("day", 1, 10), ("day", 2, 28), ("night", 1, 5), ("night", 2, 6),
    ]  # fmt: skip
    assert month.exact == 49


def test_a_tariff_made_by_hand_needs_its_scope_too() -> None:
    with pytest.raises(BadInput) as caught:
        one_month(tiered(None), *TIER_LOAD)
    assert caught.value.path == "tariff.energy.tier_scope"


def test_a_tier_that_is_just_full_has_no_line_above_it() -> None:
    month = one_month(
        tiered(TierScope.PER_PERIOD), drawn("2026-06-01 08:00", "2026-06-01 20:00", 100_000)
    )
    assert [(x.period, x.tier, x.exact) for x in month.lines] == [("day", 1, 10)]


def test_the_average_price_of_a_tiered_month_costs_the_same() -> None:
    # Day: 48 / 240 = 0.20; night: 16 / 160 = 0.10.
    tariff = tiered(TierScope.MONTH_TOTAL_PRORATA)
    month = one_month(tariff, *TIER_LOAD)
    prices = energy_prices(tariff, at("2026-06-01 00:00"), at("2026-06-02 00:00"), [month])
    assert [x.price for x in prices.intervals] == [
        Fraction("0.1"), Fraction("0.2"), Fraction("0.1"),
    ]  # fmt: skip
    with pytest.raises(CantPrice, match="depends on all of 2026-07") as caught:
        energy_prices(tariff, at("2026-06-30 23:00"), at("2026-07-01 01:00"), [month])
    assert caught.value.code == "cost.tiers_need_the_month"


def test_demand_is_energy_over_the_window() -> None:
    # 2.5 kWh in a quarter hour are 10 kW; over the whole hour with 0.5 more, 3 kW.
    load = (
        drawn("2026-06-03 10:00", "2026-06-03 10:15", 2_500),
        drawn("2026-06-03 10:15", "2026-06-03 11:00", 500),
    )
    # In half an hour 2500 + 500 / 3 Wh.
    for minutes, kw in ((15, 10), (60, 3), (30, Fraction(16, 3))):
        tariff = bare(
            flat_demand=FlatDemand((flat("all", "2"),), ("all",) * 12), demand_window_min=minutes
        )
        month = one_month(tariff, *load)
        (line,) = month.lines
        assert (line.quantity, line.exact) == (kw, 2 * kw)
        assert line.peak_from == at("2026-06-03 10:00")
        assert line.peak_to == at("2026-06-03 10:00") + timedelta(minutes=minutes)


def test_of_equal_windows_the_first_is_the_peak() -> None:
    tariff = bare(flat_demand=FlatDemand((flat("a", "1"),), ("a",) * 12), demand_window_min=60)
    load = (
        drawn("2026-06-03 10:00", "2026-06-03 11:00", 5_000),
        drawn("2026-06-09 10:00", "2026-06-09 11:00", 5_000),
    )
    assert one_month(tariff, *load).lines[0].peak_from == at("2026-06-03 10:00")


def test_demand_in_tiers() -> None:
    # 25 kW: 10 x 1 + 10 x 2 + 5 x 3 = 45.
    period = RatePeriod("all", (Tier("1", ceiling="10"), Tier("2", ceiling="20"), Tier("3")))
    tariff = bare(flat_demand=FlatDemand((period,), ("all",) * 12), demand_window_min=60)
    month = one_month(tariff, drawn("2026-06-03 10:00", "2026-06-03 11:00", 25_000))
    assert [x.exact for x in month.lines] == [10, 20, 15]


def test_demand_by_time_of_use_is_the_peak_within_each_period() -> None:
    tariff = bare(
        tou_demand=TouDemand(
            (flat("off", "1"), flat("peak", "10")),
            every_day(
                ("00:00", "16:00", "off"), ("16:00", "21:00", "peak"), ("21:00", "24:00", "off")
            ),
        ),
        demand_window_min=15,
    )
    month = one_month(
        tariff,
        drawn("2026-06-03 15:45", "2026-06-03 16:15", 10_000),  # 20 kW across the boundary
        drawn("2026-06-04 03:00", "2026-06-04 03:15", 7_500),  # 30 kW
    )
    assert [(x.period, x.quantity, x.exact, x.peak_from) for x in month.lines] == [
        ("off", 30, 30, at("2026-06-04 03:00")),
        ("peak", 20, 200, at("2026-06-03 16:00")),
    ]


def test_an_interval_longer_than_the_window_is_remarked() -> None:
    tariff = bare(flat_demand=FlatDemand((flat("a", "1"),), ("a",) * 12), demand_window_min=15)
    bill = utility_bill(tariff, hourly(at("2026-06-01 00:00"), 720))
    assert [x.path for x in bill.remarks] == ["load[0]"]
    assert "720 intervals are longer" in bill.remarks[0].text


@pytest.mark.parametrize(
    ("per", "day_count", "february"),
    [
        (Per.MONTH, DayCount.ACTUAL, Fraction(12)),
        (Per.DAY, DayCount.ACTUAL, Fraction(12 * 28)),
        (Per.DAY, DayCount.YEAR_OVER_12, Fraction(12 * 365, 12)),
        (Per.YEAR, DayCount.ACTUAL, Fraction(1)),
    ],
)
def test_fixed_charges(per: Per, day_count: DayCount, february: Fraction) -> None:
    tariff = bare(fixed=(FixedCharge("meter", "12", per),), day_count=day_count)
    assert one_month(tariff, drawn("2026-02-03 00:00", "2026-02-03 01:00", 1)).exact == february


def test_a_monthly_minimum_tops_up_and_no_more() -> None:
    fixed = (FixedCharge("meter", "12", Per.MONTH),)
    tariff = bare(fixed=fixed, minimums=(MinimumCharge("20", Per.MONTH),))
    month = one_month(tariff, drawn("2026-02-03 00:00", "2026-02-03 01:00", 1))
    assert [(x.kind, x.exact) for x in month.lines] == [
        (LineKind.FIXED, 12), (LineKind.MINIMUM, 8),
    ]  # fmt: skip
    lower = bare(fixed=fixed, minimums=(MinimumCharge("0.4", Per.DAY),))  # 28 x 0.4 = 11.2
    assert one_month(lower, drawn("2026-02-03 00:00", "2026-02-03 01:00", 1)).exact == 12


def test_a_yearly_minimum_is_settled_with_december() -> None:
    # 12 x 5 = 60 of 100.
    tariff = bare(
        fixed=(FixedCharge("meter", "5", Per.MONTH),), minimums=(MinimumCharge("100", Per.YEAR),)
    )
    bill = utility_bill(tariff, [], gaps=Gaps.ZERO, first_month="2025-12", last_month="2026-12")
    assert [m.exact for m in bill.months] == [5] * 12 + [45]
    assert [x.path for x in bill.remarks] == ["tariff.minimums[0]"]
    assert "2025" in bill.remarks[0].text


def test_a_price_series_beside_a_tariff_with_negative_prices() -> None:
    # 2 kWh at -0.05 and 2 kWh at 0.25: 0.40, and 30 per month.
    tariff = bare(fixed=(FixedCharge("meter", "30", Per.MONTH),))
    prices = series(
        ("2026-06-01 00:00", "2026-06-01 01:00", "-0.05"),
        ("2026-06-01 01:00", "2026-06-01 02:00", "0.25"),
    )
    month = one_month(tariff, drawn("2026-06-01 00:00", "2026-06-01 02:00", 4_000), prices=prices)
    assert [(x.kind, x.exact) for x in month.lines] == [
        (LineKind.MARKET_ENERGY, Fraction("0.4")), (LineKind.FIXED, 30),
    ]  # fmt: skip
    assert month.lines[0].price == Fraction("0.1")
    cheap = one_month(bare(), drawn("2026-06-01 00:00", "2026-06-01 01:00", 999), prices=prices)
    assert (cheap.exact, cheap.total_minor) == (Fraction("-0.04995"), -5)


def test_energy_at_a_time_without_a_price_is_no_bill() -> None:
    prices = series(("2026-06-01 00:00", "2026-06-01 01:00", "0.05"))
    with pytest.raises(CantPrice) as caught:
        one_month(bare(), drawn("2026-06-01 00:30", "2026-06-01 01:30", 4), prices=prices)
    assert caught.value.code == "cost.no_price"
    with pytest.raises(BadInput, match=r"prices\.currency"):
        one_month(
            bare(), prices=PriceSeries("EUR", ()), first_month="2026-06", last_month="2026-06"
        )


def test_lines_are_rounded_each_and_the_total_once() -> None:
    # 15 Wh at 0.10 and 15 Wh at 0.30: 0.0015 + 0.0045 = 0.006, that is 0.00 + 0.00 and 0.01.
    month = one_month(
        by_time(),
        drawn("2026-06-01 05:00", "2026-06-01 06:00", 15),
        drawn("2026-06-01 06:00", "2026-06-01 07:00", 15),
    )
    assert [x.amount_minor for x in month.lines] == [0, 0]
    assert (month.total_minor, month.rounding_minor) == (1, 1)


def test_months_are_those_of_the_site() -> None:
    # 2026-07-01 05:00Z is still June in Los Angeles.
    tariff = by_time("America/Los_Angeles")
    assert one_month(tariff, drawn("2026-07-01 05:00", "2026-07-01 06:00", 1)).month == "2026-06"
    both = utility_bill(
        tariff, [drawn("2026-07-01 06:00", "2026-07-01 08:00", 2_000)], gaps=Gaps.ZERO
    )
    assert [(m.month, m.energy_wh) for m in both.months] == [("2026-06", 1000), ("2026-07", 1000)]


def test_load_outside_the_months_asked_for_is_left_out() -> None:
    load = hourly(at("2026-01-01 00:00"), 24 * 90)
    bill = utility_bill(by_time(), load, first_month="2026-02", last_month="2026-02")
    assert [(m.month, m.energy_wh) for m in bill.months] == [("2026-02", 672_000)]


BAD_LOADS = [
    ([LoadInterval(datetime(2026, 6, 1), at("2026-06-02 00:00"), 1)], "load[0].from_at"),  # noqa: DTZ001
    ([LoadInterval(at("2026-06-01 00:00"), datetime(2026, 6, 2), 1)], "load[0].to_at"),  # noqa: DTZ001
    ([LoadInterval("2026-06-01T00:00:00Z", at("2026-06-01 00:00"), 1)], "load[0].from_at"),  # type: ignore[arg-type]
    ([drawn("2026-06-01 00:00", "2026-06-01 00:00", 1)], "load[0].to_at"),
    ([drawn("2026-06-01 01:00", "2026-06-01 00:00", 1)], "load[0].to_at"),
    ([drawn("2026-06-01 00:00", "2026-06-01 01:00", -1)], "load[0].energy_wh"),
    ([drawn("2026-06-01 00:00", "2026-06-01 01:00", True)], "load[0].energy_wh"),
    ([drawn("2026-06-01 00:00", "2026-06-01 01:00", 10**11)], "load[0].energy_wh"),
    ([drawn("2026-06-01 00:00", "2026-06-01 01:00", "7")], "load[0].energy_wh"),  # type: ignore[arg-type]
    (
        [drawn("2026-06-01 00:00", "2026-06-01 01:00", 1)] * 2,
        "load[1].from_at",
    ),
    (
        [
            drawn("2026-06-02 00:00", "2026-06-02 01:00", 1),
            drawn("2026-06-01 00:00", "2026-06-01 01:00", 1),
        ],
        "load[1].from_at",
    ),
    ([], "load"),
]


@pytest.mark.parametrize(("load", "path"), BAD_LOADS)
def test_a_load_that_is_not_sound(load: list[LoadInterval], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        utility_bill(by_time(), load, gaps=Gaps.ZERO)
    assert caught.value.path == path


@pytest.mark.parametrize("hour", [0, 100, 719])
def test_a_missing_hour_is_no_bill(hour: int) -> None:
    load = hourly(at("2026-06-01 00:00"), 720)
    missing = load.pop(hour)
    with pytest.raises(BadInput, match=r"a load that covers all of 2026-06") as caught:
        utility_bill(by_time(), load)
    assert missing.from_at.isoformat() in str(caught.value.got)


def test_months_that_are_none() -> None:
    for first, last, path in (
        ("2026-13", "2026-12", "first_month"),
        ("2026-01", "June", "last_month"),
        ("2026-02", "2026-01", "last_month"),
    ):
        with pytest.raises(BadInput) as caught:
            utility_bill(by_time(), [], gaps=Gaps.ZERO, first_month=first, last_month=last)
        assert caught.value.path == path


ZONES = ("UTC", "America/Los_Angeles", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu")


@st.composite
def loads(draw: st.DrawFn) -> list[LoadInterval]:
    """Whole watt-hours for each minute, so that a cut at a whole minute is exact."""
    moment = draw(
        st.sampled_from([at("2026-03-07 20:00"), at("2026-10-31 20:00"), at("2026-04-04 07:00")])
    )
    found = []
    for _ in range(draw(st.integers(1, 6))):
        moment += timedelta(minutes=draw(st.sampled_from([0, 0, 7, 60])))
        minutes = draw(st.integers(1, 500))
        end = moment + timedelta(minutes=minutes)
        found.append(LoadInterval(moment, end, minutes * draw(st.integers(0, 3000))))
        moment = end
    return found


@st.composite
def cuts(draw: st.DrawFn) -> tuple[list[LoadInterval], list[LoadInterval]]:
    """A load, and the same load in more intervals."""
    whole = draw(loads())
    parts = []
    for one in whole:
        minutes = (one.to_at - one.from_at) // timedelta(minutes=1)
        ends = sorted(draw(st.sets(st.integers(0, minutes), max_size=4)) | {0, minutes})
        per_minute = one.energy_wh // minutes
        parts += [
            LoadInterval(
                one.from_at + timedelta(minutes=a), one.from_at + timedelta(minutes=b),
                per_minute * (b - a),
            )
            for a, b in itertools.pairwise(ends)
        ]  # fmt: skip
    return whole, parts


def everything(zone: str, scope: TierScope) -> UtilityTariff:
    tariff = tiered(scope)
    assert tariff.energy is not None
    return msgspec.structs.replace(
        tariff,
        time_zone=zone,
        flat_demand=FlatDemand((flat("all", "2"),), ("all",) * 12),
        tou_demand=TouDemand(tuple(flat(n, "3") for n in ("day", "night")), tariff.energy.schedule),
        demand_window_min=15,
    )


@settings(max_examples=60, deadline=None)
@given(cuts(), st.sampled_from(ZONES), st.sampled_from(TierScope))
def test_however_a_load_is_cut_it_costs_the_same(
    both: tuple[list[LoadInterval], list[LoadInterval]], zone: str, scope: TierScope
) -> None:
    whole, parts = both
    tariff = everything(zone, scope)
    months = utility_bill(tariff, whole, gaps=Gaps.ZERO).months
    assert utility_bill(tariff, parts, gaps=Gaps.ZERO).months == months
    for month in months:
        assert sum(x.exact for x in month.lines) == month.exact
        assert sum(x.amount_minor for x in month.lines) + month.rounding_minor == month.total_minor
        kwh = sum(x.quantity for x in month.lines if x.kind is LineKind.ENERGY)
        assert kwh * 1000 == month.energy_wh
    assert sum(m.energy_wh for m in months) == sum(x.energy_wh for x in whole)


@settings(max_examples=40, deadline=None)
@given(loads(), st.sampled_from(ZONES), st.sampled_from(["00:30", "01:30", "02:15", "06:00"]))
def test_an_independent_walk_minute_by_minute_comes_to_the_same(
    load: list[LoadInterval], zone: str, split: str
) -> None:
    expected = Fraction(0)
    for one in load:
        minutes = (one.to_at - one.from_at) // timedelta(minutes=1)
        for n in range(minutes):
            local = (one.from_at + timedelta(minutes=n)).astimezone(ZoneInfo(zone))
            price = Fraction("0.1") if f"{local:%H:%M}" < split else Fraction("0.3")
            expected += price * Fraction(one.energy_wh, minutes * 1000)
    tariff = by_time(zone, split=split)
    assert utility_bill(tariff, load, gaps=Gaps.ZERO).exact == expected
    prices = energy_prices(tariff, load[0].from_at, load[-1].to_at.astimezone(UTC))
    market = bare(**{"energy": None})
    zoned = msgspec.structs.replace(market, time_zone=zone)
    assert utility_bill(zoned, load, gaps=Gaps.ZERO, prices=prices).exact == expected
