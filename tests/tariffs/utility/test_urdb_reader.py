"""URDB records: what is taken, what is told, and the path of what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from utility_samples import at, hourly, urdb

from wattledger.errors import BadInput, Malformed
from wattledger.tariffs.utility import (
    LineKind,
    Per,
    TierScope,
    UrdbRate,
    read_urdb,
    utility_bill,
)

TIERS = [
    [{"unit": "kWh", "rate": "0.1", "max": 100}, {"unit": "kWh", "rate": "0.2"}],
    [{"unit": "kWh", "rate": "0.4"}],
]


def read(record: dict[str, Any], **more: Any) -> UrdbRate:
    return read_urdb(record, **{"time_zone": "UTC", **more})


def test_a_record_from_text_keeps_every_digit() -> None:
    text = json.dumps(urdb()).replace('"0.10"', "0.1000000000000000055511151231257827")
    tariff = read_urdb(text, time_zone="UTC").tariff
    assert tariff.energy is not None
    assert tariff.energy.periods[0].tiers[0].rate == "0.1000000000000000055511151231257827"


def test_the_month_by_hand() -> None:
    # January 2026, 1 kW throughout: 744 kWh, 22 weekdays x 5 h = 110 kWh at peak.
    # 634 x (0.10 + 0.02) + 110 x 0.40 = 76.08 + 44.00; 1 kW x 5; 12.50 fixed: 137.58.
    tariff = read(urdb()).tariff
    (month,) = utility_bill(tariff, hourly(at("2026-01-01 00:00"), 744, 1000)).months
    assert month.exact_of(LineKind.ENERGY) == Fraction("120.08")
    assert month.exact_of(LineKind.FLAT_DEMAND) == 5
    assert (month.exact, month.total_minor) == (Fraction("137.58"), 13758)


def test_flat_demand_is_that_of_its_month() -> None:
    tariff = read(urdb()).tariff
    (june,) = utility_bill(tariff, hourly(at("2026-06-01 00:00"), 720, 2000)).months
    assert june.exact_of(LineKind.FLAT_DEMAND) == 16  # 2 kW x 8


def test_holidays_are_weekend() -> None:
    # Friday, 25 December 2026: without it 22 + 1 = 23 weekdays, 5 h at 1 kW cost 0.28 less each.
    load = hourly(at("2026-12-01 00:00"), 744, 1000)
    plain = utility_bill(read(urdb()).tariff, load).exact
    kept = utility_bill(read(urdb(), holidays=["2026-12-25"]).tariff, load).exact
    assert plain - kept == 5 * Fraction("0.28")


def test_validity_currency_and_label() -> None:
    rate = read(urdb(startdate=1727762400, enddate=None))
    assert rate.valid_from == datetime(2024, 10, 1, 6, tzinfo=UTC)
    assert rate.valid_to is None
    assert rate.tariff.currency == "USD"
    assert read(urdb(country="CAN"), currency="CAD").tariff.currency == "CAD"
    rate = read(urdb(startdate="2020-01-01T00:00:00.000Z"))
    assert rate.valid_from == datetime(2020, 1, 1, tzinfo=UTC)
    assert read_urdb(json.dumps([urdb()]), time_zone="UTC").tariff.name == "TOU-1"
    two = {"items": [urdb(label="a"), urdb(label="b", name="Second")]}
    assert read(two, label="b").tariff.name == "Second"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"fixedchargefirstmeter": "0.5", "fixedchargeunits": "$/day"}, ("0.5", Per.DAY)),
        ({"fixedchargefirstmeter": 120, "fixedchargeunits": "$/year"}, ("120", Per.YEAR)),
        ({"fixedchargefirstmeter": ..., "fixedmonthlycharge": 7}, ("7", Per.MONTH)),
    ],
)
def test_fixed_charges(fields: dict[str, Any], expected: tuple[str, Per]) -> None:
    (fixed,) = read(urdb(**fields)).tariff.fixed
    assert (fixed.amount, fixed.per) == expected


def test_minimums_old_and_new() -> None:
    tariff = read(urdb(mincharge=20, minchargeunits="$/month", annualmincharge=300)).tariff
    assert [(m.amount, m.per) for m in tariff.minimums] == [("20", Per.MONTH), ("300", Per.YEAR)]
    tariff = read(urdb(minmonthlycharge="9.99", mincharge=0)).tariff
    assert [(m.amount, m.per) for m in tariff.minimums] == [("9.99", Per.MONTH)]


def test_tou_demand() -> None:
    record = urdb(
        demandratestructure=[[{"rate": 0}], [{"rate": "8.83", "adj": "0.17"}]],
        demandweekdayschedule=[[0] * 16 + [1] * 5 + [0] * 3] * 12,
        demandweekendschedule=[[0] * 24] * 12,
        demandrateunit="kW",
    )
    (month,) = utility_bill(read(record).tariff, hourly(at("2026-01-01 00:00"), 744, 3000)).months
    assert month.exact_of(LineKind.TOU_DEMAND) == 27  # 3 kW x 9.00 at peak, 3 x 0 else


def test_tiers_need_their_scope_where_they_meet_several_periods() -> None:
    with pytest.raises(BadInput, match="tier_scope") as caught:
        read(urdb(energyratestructure=TIERS))
    assert caught.value.path == "$.energyratestructure"
    rate = read(urdb(energyratestructure=TIERS), tier_scope=TierScope.PER_PERIOD)
    assert rate.tariff.energy is not None
    assert rate.tariff.energy.tier_scope is TierScope.PER_PERIOD
    # One period alone: both mean the same, and nobody is asked.
    alone = urdb(energyratestructure=TIERS[:1], energyweekdayschedule=[[0] * 24] * 12)
    read(alone)


TOLD: list[tuple[dict[str, Any], str]] = [
    ({"nonsense": 1}, "$.nonsense"),
    ({"nonsense": None}, "$.nonsense"),
    ({"usenetmetering": True}, "$.usenetmetering"),
    ({"dgrules": "Net Metering"}, "$.dgrules"),
    ({"fixedchargeeaaddl": 3}, "$.fixedchargeeaaddl"),
    ({"energyattrs": [{"Fuel": "$0.01/kWh"}]}, "$.energyattrs"),
    ({"lookbackmonths": [1] * 12}, "$.lookbackmonths"),
    ({"flatdemandunit": ...}, "$.flatdemandunit"),
    ({"demandweekdayschedule": [[1] * 24] * 12}, "$.demandweekdayschedule"),
    (
        {"energyratestructure": [[{"rate": 1, "unit": "kWh", "sell": "0.05"}]] * 2},
        "$.energyratestructure[0][0].sell",
    ),
    ({"energyratestructure": [[{"rate": 1}]] * 2}, "$.energyratestructure[0][0].unit"),
    (
        {"energyratestructure": [[{"rate": 1, "unit": "kWh", "x": 1}]] * 2},
        "$.energyratestructure[0][0].x",
    ),
    (
        {"energyratestructure": [[{"rate": 1, "unit": "kWh", "max": "1e38"}]] * 2},
        "$.energyratestructure[0][0].max",
    ),
    ({"energyratestructure": []}, "$.energyratestructure"),
]


@pytest.mark.parametrize(("changes", "path"), TOLD, ids=[f"{p}-{i}" for i, (_, p) in enumerate(TOLD)])  # noqa: E501  # fmt: skip
def test_what_is_not_billed_is_told(changes: dict[str, Any], path: str) -> None:
    assert path in [remark.path for remark in read(urdb(**changes)).remarks]


def test_what_says_nothing_is_not_told() -> None:
    quiet = {
        "usenetmetering": False,
        "dgrules": None,
        "demandratchetpercentage": [0] * 12,
        "lookbackpercent": "0.0",
        "coincidentratestructure": [[{"rate": 0}]],
        "coincidentrateschedule": [[0] * 24] * 12,
        "demandreactivepowercharge": 0,
        "demandweekdayschedule": [[0] * 24] * 12,
        "voltagecategory": "Secondary",
    }
    assert read(urdb(**quiet)).remarks == ()


def tier(**changes: Any) -> dict[str, Any]:
    first = {"unit": "kWh", "rate": "0.1", **changes}
    kept = {key: value for key, value in first.items() if value is not ...}
    return {"energyratestructure": [[kept], [{"unit": "kWh", "rate": "0.4"}]]}


FIRST = "$.energyratestructure[0][0]"
SCHEDULE = "$.energyweekdayschedule"
BAD: list[tuple[dict[str, Any], str]] = [
    (tier(rate="abc"), f"{FIRST}.rate"),
    (tier(rate="NaN"), f"{FIRST}.rate"),
    (tier(rate="Infinity"), f"{FIRST}.rate"),
    (tier(rate="1e999999"), f"{FIRST}.rate"),
    (tier(rate="1e-99"), f"{FIRST}.rate"),
    (tier(rate=0.1), f"{FIRST}.rate"),
    (tier(rate=True), f"{FIRST}.rate"),
    (tier(rate="٣"), f"{FIRST}.rate"),
    (tier(rate=[1]), f"{FIRST}.rate"),
    (tier(rate=...), f"{FIRST}.rate"),
    (tier(rate=10**40), f"{FIRST}.rate"),
    (tier(adj="x"), f"{FIRST}.adj"),
    (tier(max="x"), f"{FIRST}.max"),
    (tier(unit="kWh daily"), f"{FIRST}.unit"),
    (tier(unit="kWh/kW"), f"{FIRST}.unit"),
    (tier(unit="kWh/kW daily"), f"{FIRST}.unit"),
    (tier(sell="free"), f"{FIRST}.sell"),
    ({"energyratestructure": {"period0": []}}, "$.energyratestructure"),
    ({"energyratestructure": [[]]}, "$.energyratestructure[0]"),
    ({"energyratestructure": [["x"]]}, FIRST),
    ({"energyratestructure": [[{"rate": 1, "unit": "kWh"}] * 2]}, f"{FIRST}.max"),
    (
        {"energyratestructure": [[{"rate": 1, "max": 9}, {"rate": 1, "max": 9}, {"rate": 2}]]},
        "$.energyratestructure[0][1].max",
    ),
    ({"energyweekdayschedule": ...}, SCHEDULE),
    ({"energyweekdayschedule": [[0] * 24] * 11}, SCHEDULE),
    ({"energyweekdayschedule": [[0] * 24] * 11 + [[0] * 23]}, f"{SCHEDULE}[11]"),
    ({"energyweekdayschedule": [[2] + [0] * 23] + [[0] * 24] * 11}, f"{SCHEDULE}[0][0]"),
    ({"energyweekdayschedule": [[-1] + [0] * 23] + [[0] * 24] * 11}, f"{SCHEDULE}[0][0]"),
    ({"energyweekdayschedule": [["0"] + [0] * 23] + [[0] * 24] * 11}, f"{SCHEDULE}[0][0]"),
    ({"energyweekdayschedule": [[True] + [0] * 23] + [[0] * 24] * 11}, f"{SCHEDULE}[0][0]"),
    ({"energyweekendschedule": "all"}, "$.energyweekendschedule"),
    ({"flatdemandmonths": ...}, "$.flatdemandmonths"),
    ({"flatdemandmonths": [0] * 11 + [2]}, "$.flatdemandmonths[11]"),
    ({"flatdemandunit": "kVA"}, "$.flatdemandunit"),
    ({"flatdemandunit": "kW daily"}, "$.flatdemandunit"),
    ({"flatdemandunit": 1}, "$.flatdemandunit"),
    ({"flatdemandstructure": [[{"rate": 1, "unit": "hp"}]] * 2}, "$.flatdemandstructure[0][0].unit"),  # noqa: E501
    ({"demandratestructure": [[{"rate": 1}]]}, "$.demandweekdayschedule"),
    ({"demandratestructure": [[{"rate": 1}]], "demandunits": "kVA"}, "$.demandunits"),
    ({"demandratestructure": [[{"rate": 1}]], "demandrateunit": "hp"}, "$.demandrateunit"),
    ({"demandwindow": ...}, "$.demandwindow"),
    ({"demandwindow": 7}, "$.demandwindow"),
    ({"demandwindow": "NaN"}, "$.demandwindow"),
    ({"fixedchargeunits": ...}, "$.fixedchargeunits"),
    ({"fixedchargeunits": "$/week"}, "$.fixedchargeunits"),
    ({"fixedchargefirstmeter": "12,50"}, "$.fixedchargefirstmeter"),
    ({"fixedchargefirstmeter": -1}, "$.fixedchargefirstmeter"),
    ({"fixedmonthlycharge": 1}, "$.fixedmonthlycharge"),
    ({"mincharge": 5}, "$.minchargeunits"),
    ({"mincharge": "NaN"}, "$.mincharge"),
    ({"mincharge": 5, "minchargeunits": "$/day", "minmonthlycharge": 5}, "$.minmonthlycharge"),
    ({"mincharge": 5, "minchargeunits": "$/year", "annualmincharge": 5}, "$.annualmincharge"),
    ({"startdate": "2024-10-01"}, "$.startdate"),
    ({"startdate": 10**20}, "$.startdate"),
    ({"country": "CAN"}, "$.country"),
    ({"name": 7}, "$.name"),
    ({"coincidentratestructure": [[{"rate": 3}]]}, "$.coincidentratestructure"),
    ({"coincidentrateschedule": [[1] * 24] * 12}, "$.coincidentrateschedule"),
    ({"demandratchetpercentage": [0] * 11 + ["0.5"]}, "$.demandratchetpercentage"),
    ({"lookbackpercent": "0.8"}, "$.lookbackpercent"),
    ({"demandreactivepowercharge": "0.3"}, "$.demandreactivepowercharge"),
    ({"energyRateStrux": []}, "$.energyRateStrux"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "path"), BAD, ids=[f"{p}-{i}" for i, (_, p) in enumerate(BAD)])
def test_what_is_wrong_or_not_supported_is_refused_with_its_path(
    changes: dict[str, Any], path: str
) -> None:
    with pytest.raises(BadInput) as caught:
        read(urdb(**changes))
    assert caught.value.path == path
    with pytest.raises(BadInput) as caught:
        read({"items": [urdb(**changes)]})
    assert caught.value.path == path.replace("$", "$.items[0]")


ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"time_zone": "Mars/Olympus"}, "time_zone"),
    ({"time_zone": "America"}, "time_zone"),
    ({"time_zone": ""}, "time_zone"),
    ({"demand_window_min": 30}, "demand_window_min"),  # the record says 15
    ({"holidays": ["25.12.2026"]}, "urdb.holidays[0]"),
    ({"holidays": ["2026-02-30"]}, "urdb.holidays[0]"),
    ({"currency": "usd"}, "currency"),
    ({"label": "other"}, "$.items"),
]


@pytest.mark.parametrize(("arguments", "path"), ARGUMENTS)
def test_what_the_caller_says_is_checked_too(arguments: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        read({"items": [urdb()]}, **arguments)
    assert caught.value.path == path


WRAPPERS: list[tuple[Any, str, Callable[..., object]]] = [
    ('{"rate": NaN}', "$", read_urdb),
    ("not json", "$", read_urdb),
    ("[1]", "$[0]", read_urdb),
    ("7", "$", read_urdb),
    ('{"items": {}}', "$.items", read_urdb),
    ('{"items": []}', "$.items", read_urdb),
    ('{"items": [7]}', "$.items[0]", read_urdb),
]


@pytest.mark.parametrize(("raw", "path", "reader"), WRAPPERS)
def test_what_is_no_record(raw: Any, path: str, reader: Callable[..., object]) -> None:
    with pytest.raises(BadInput) as caught:
        reader(raw, time_zone="UTC")
    assert caught.value.path == path
    assert isinstance(caught.value, Malformed) == ("NaN" in raw or raw == "not json")


def test_several_records_need_a_label() -> None:
    with pytest.raises(BadInput, match="name its label"):
        read({"items": [urdb(label="a"), urdb(label="b")]})
