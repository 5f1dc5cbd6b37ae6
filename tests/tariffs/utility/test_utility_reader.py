"""A utility tariff in our own form: what is taken, and the path of what is not."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from utility_samples import at, hourly

from wattledger.errors import BadInput
from wattledger.tariffs.utility import LineKind, energy_prices, read_utility_tariff, utility_bill

# PG&E's A-10 had its boundaries at half hours.
HALF_HOURS = """
id = "half-hours"
name = "By the half hour"
currency = "USD"
time_zone = "America/Los_Angeles"
demand_window_min = 15
holidays = ["2026-12-25"]

[energy]
periods = [
  { name = "peak", tiers = [{ rate = "0.23223" }] },
  { name = "part", tiers = [{ rate = "0.1771" }] },
  { name = "off", tiers = [{ rate = "0.14903" }] },
]
[[energy.schedule.seasons]]
name = "year"
first_day = "01-01"
last_day = "12-31"
[[energy.schedule.seasons.day_rules]]
days = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"]
slots = [
  { start = "00:00", end = "08:30", period = "off" },
  { start = "08:30", end = "12:00", period = "part" },
  { start = "12:00", end = "18:00", period = "peak" },
  { start = "18:00", end = "21:30", period = "part" },
  { start = "21:30", end = "24:00", period = "off" },
]
[[energy.schedule.seasons.day_rules]]
days = ["SATURDAY", "SUNDAY"]
holidays = true
slots = [{ start = "00:00", end = "24:00", period = "off" }]

[flat_demand]
periods = [{ name = "all", tiers = [{ rate = "19.99" }] }]
months = ["all", "all", "all", "all", "all", "all", "all", "all", "all", "all", "all", "all"]

[tou_demand]
periods = [{ name = "on", tiers = [{ rate = "1" }] }]
[[tou_demand.schedule.seasons]]
name = "year"
first_day = "01-01"
last_day = "12-31"
[[tou_demand.schedule.seasons.day_rules]]
days = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
holidays = true
slots = [{ start = "00:00", end = "24:00", period = "on" }]

[[fixed]]
name = "meter"
amount = "4.60"
per = "day"

[[minimums]]
amount = "10"
per = "month"
"""


@pytest.fixture
def raw() -> dict[str, Any]:
    return tomllib.loads(HALF_HOURS)


def test_half_hours_by_hand(raw: dict[str, Any]) -> None:
    # December 2026 has 23 weekdays, one of them a holiday: 22 days of 6 h peak and 7 h part.
    # At 1 kW: 132 x 0.23223 + 154 x 0.1771 + (744 - 286 = 458) x 0.14903
    #        = 30.65436 + 27.2734 + 68.25574 = 126.1835; 31 x 4.60 = 142.60; 19.99 and 1.
    tariff = read_utility_tariff(raw)
    (month,) = utility_bill(tariff, hourly(at("2026-12-01 08:00"), 744)).months
    assert month.exact_of(LineKind.ENERGY) == Fraction("126.1835")
    assert month.exact == Fraction("126.1835") + Fraction("142.60") + Fraction("19.99") + 1


def test_the_price_changes_on_the_half_hour(raw: dict[str, Any]) -> None:
    # Monday, 8 June 2026, 08:30 in Los Angeles is 15:30Z.
    prices = energy_prices(read_utility_tariff(raw), at("2026-06-08 15:00"), at("2026-06-08 16:00"))
    assert [(x.to_at, x.price) for x in prices.intervals] == [
        (at("2026-06-08 15:30"), Fraction("0.14903")),
        (at("2026-06-08 16:00"), Fraction("0.1771")),
    ]


def test_it_goes_through_json(raw: dict[str, Any]) -> None:
    tariff = read_utility_tariff(raw)
    assert read_utility_tariff(json.loads(msgspec.json.encode(tariff))) == tariff


Spoil = Callable[[dict[str, Any]], object]
SEASONS = "$.energy.schedule.seasons"
RULES = f"{SEASONS}[0].day_rules"


def top(**changes: Any) -> Spoil:
    return lambda raw: raw.update(changes)


def energy(**changes: Any) -> Spoil:
    return lambda raw: raw["energy"].update(changes)


def season(**changes: Any) -> Spoil:
    return lambda raw: raw["energy"]["schedule"]["seasons"][0].update(changes)


def rule(number: int, **changes: Any) -> Spoil:
    return lambda raw: raw["energy"]["schedule"]["seasons"][0]["day_rules"][number].update(changes)


def slot(number: int, **changes: Any) -> Spoil:
    return lambda raw: raw["energy"]["schedule"]["seasons"][0]["day_rules"][0]["slots"][
        number
    ].update(changes)


def tier(**changes: Any) -> Spoil:
    return lambda raw: raw["energy"]["periods"][0]["tiers"][0].update(changes)


def a_season_more(raw: dict[str, Any]) -> None:
    seasons = raw["energy"]["schedule"]["seasons"]
    seasons.append(copy.deepcopy(seasons[0]) | {"first_day": "12-31"})


BAD: list[tuple[Spoil, str]] = [
    (top(id=" "), "$.id"),
    (top(name=7), "$.name"),
    (top(currency="usd"), "currency"),
    (top(time_zone="Mars/Olympus"), "$.time_zone"),
    (top(colour="red"), "$.colour"),
    (lambda raw: raw.pop("time_zone"), "$.time_zone"),
    (top(holidays=["25.12.2026"]), "$.holidays[0]"),
    (top(holidays="2026-12-25"), "$.holidays"),
    (top(demand_window_min=None), "$.demand_window_min"),
    (top(demand_window_min=7), "$.demand_window_min"),
    (top(demand_window_min=0), "$.demand_window_min"),
    (top(demand_window_min=True), "$.demand_window_min"),
    (top(day_count="lunar"), "$.day_count"),
    (top(energy=[]), "$.energy"),
    (energy(periods=[]), "$.energy.periods"),
    (energy(tier_scope="both"), "$.energy.tier_scope"),
    (tier(rate=0.23223), "$.energy.periods[0].tiers[0].rate"),
    (tier(rate="NaN"), "$.energy.periods[0].tiers[0].rate"),
    (tier(rate="1e999999"), "$.energy.periods[0].tiers[0].rate"),
    (tier(rate="abc"), "$.energy.periods[0].tiers[0].rate"),
    (tier(adj="-"), "$.energy.periods[0].tiers[0].adj"),
    (tier(ceiling="100"), "$.energy.periods[0].tiers[0].ceiling"),
    (tier(max="100"), "$.energy.periods[0].tiers[0].max"),
    (lambda raw: raw["energy"]["periods"][1].update(name="peak"), "$.energy.periods[1].name"),
    (lambda raw: raw["energy"]["periods"][1].update(tiers=[]), "$.energy.periods[1].tiers"),
    (season(first_day="02-30"), f"{SEASONS}[0].first_day"),
    (season(last_day="31-12"), f"{SEASONS}[0].last_day"),
    (season(first_day="01-02"), SEASONS),  # 1 January is in none
    (a_season_more, SEASONS),  # 31 December is in two
    (rule(0, days=["MONDAY"]), RULES),  # a gap: Tuesday
    # As in acnportal's A-10: both rules say they hold on all days.
    (rule(1, days=["MONDAY", "SATURDAY", "SUNDAY"]), RULES),
    (rule(1, holidays=False), RULES),
    (rule(0, holidays=True), RULES),
    (rule(0, days=["Monday"]), f"{RULES}[0].days[0]"),
    (rule(0, slots=[]), f"{RULES}[0].slots"),
    (slot(0, start="00:30"), f"{RULES}[0].slots[0].start"),
    (slot(1, start="08:00"), f"{RULES}[0].slots[1].start"),  # an overlap
    (slot(1, start="09:00"), f"{RULES}[0].slots[1].start"),  # a gap
    (slot(4, end="23:30"), f"{RULES}[0].slots"),
    (slot(4, end="24:30"), f"{RULES}[0].slots[4].end"),
    (slot(4, end="06:00"), f"{RULES}[0].slots[4].end"),
    (slot(1, start="8:30"), f"{RULES}[0].slots[1].start"),
    (slot(1, period="shoulder"), f"{RULES}[0].slots[1].period"),
    (lambda raw: raw["flat_demand"].update(months=["all"] * 11), "$.flat_demand.months"),
    (lambda raw: raw["flat_demand"]["months"].__setitem__(3, "x"), "$.flat_demand.months[3]"),
    (lambda raw: raw["fixed"][0].update(amount="4,60"), "$.fixed[0].amount"),
    (lambda raw: raw["fixed"][0].update(per="week"), "$.fixed[0].per"),
    (lambda raw: raw["minimums"][0].update(amount="-1"), "$.minimums[0].amount"),
    (lambda raw: raw["minimums"].append({"amount": "1", "per": "day"}), "$.minimums[1].per"),
]


@pytest.mark.parametrize(("spoil", "path"), BAD, ids=[f"{p}-{i}" for i, (_, p) in enumerate(BAD)])
def test_what_is_wrong_is_named_with_its_path(raw: dict[str, Any], spoil: Spoil, path: str) -> None:
    spoil(raw)
    with pytest.raises(BadInput) as caught:
        read_utility_tariff(raw)
    assert caught.value.path == path


def test_a_demand_period_begins_with_a_window(raw: dict[str, Any]) -> None:
    rules = raw["tou_demand"]["schedule"]["seasons"][0]["day_rules"][0]
    rules["slots"] = [
        {"start": "00:00", "end": "08:10", "period": "on"},
        {"start": "08:10", "end": "24:00", "period": "on"},
    ]
    with pytest.raises(BadInput, match="a multiple of the 15 min window"):
        read_utility_tariff(raw)


def test_the_message_says_what_came_and_what_was_expected(raw: dict[str, Any]) -> None:
    slot(1, start="09:00")(raw)
    with pytest.raises(BadInput) as caught:
        read_utility_tariff(raw, "$.utility[2]")
    assert str(caught.value) == (
        "$.utility[2].energy.schedule.seasons[0].day_rules[0].slots[1].start: got '09:00', "
        "expected 08:30, where the day or the slot before leaves off: no gap and no overlap"
    )
    with pytest.raises(BadInput, match="got 7, expected another value"):
        read_utility_tariff(7)
