"""A year's bill of NREL's System Advisor Model (PySAM 7.1.1, utilityrate5), to its last digit."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from utility_samples import sam_load

from wattledger.tariffs.utility import (
    Bill,
    LineKind,
    LoadInterval,
    energy_prices,
    read_urdb,
    utility_bill,
)

# Off-peak, super off-peak from 9 to 14, peak from 16 to 21, every day; demand 95.56 / 50 per kW.
ROW = [0] * 9 + [1] * 5 + [0] * 2 + [2] * 5 + [0] * 3
RATE = """{"items": [{
  "label": "anchor", "name": "By time, with demand",
  "energyratestructure": [
    [{"unit": "kWh", "rate": 0.20199}],
    [{"unit": "kWh", "rate": 0.17872}],
    [{"unit": "kWh", "rate": 0.41522}]
  ],
  "energyweekdayschedule": %(rows)s, "energyweekendschedule": %(rows)s,
  "flatdemandunit": "kW", "flatdemandstructure": [[{"rate": 1.9112}]],
  "flatdemandmonths": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}]}""" % {"rows": json.dumps([ROW] * 12)}  # noqa: UP031

MONTH_KWH = [26124, 23856, 26556, 25560, 26508, 32904, 33756, 33132, 25800, 26124, 25608, 26508]
ENERGY = [
    "7428.1683", "6772.1514", "7532.5244", "7255.8765", "7520.9293", "9029.9299",
    "9271.7924", "9121.0559", "7313.8521", "7428.1683", "7267.4716", "7520.9293",
]  # fmt: skip
DEMAND = ["175.8304"] * 4 + ["183.4752"] + ["194.9424"] * 3 + ["175.8304"] * 4


@pytest.fixture(scope="module")
def bill() -> Bill:
    rate = read_urdb(RATE, time_zone="UTC", demand_window_min=60)
    assert rate.remarks == ()
    return utility_bill(rate.tariff, sam_load())


def _places(exact: Fraction, places: str) -> Decimal:
    decimal = Decimal(exact.numerator) / Decimal(exact.denominator)
    return decimal.quantize(Decimal(places), ROUND_HALF_UP)  # August is 9121.05585


def test_the_load_is_the_one_that_was_run(bill: Bill) -> None:
    assert [month.energy_wh for month in bill.months] == [1000 * kwh for kwh in MONTH_KWH]
    assert sum(MONTH_KWH) == 332_436


def test_the_year(bill: Bill) -> None:
    assert _places(bill.exact, "0.000001") == Decimal("95637.794990")


def test_each_month(bill: Bill) -> None:
    energy = [_places(month.exact_of(LineKind.ENERGY), "0.0001") for month in bill.months]
    demand = [_places(month.exact_of(LineKind.FLAT_DEMAND), "0.0001") for month in bill.months]
    assert energy == [Decimal(text) for text in ENERGY]
    assert demand == [Decimal(text) for text in DEMAND]


def test_the_peaks_are_where_they_can_be_read_off_the_load(bill: Bill) -> None:
    # 80 kW at 18 h, 12 more on Sundays, 10 more from day 150 to 239: 92, or 102 in summer. Day
    # 150 is Thursday, 31 May: 80 + 6 + 10 = 96.
    peaks = [int(m.exact_of(LineKind.FLAT_DEMAND) / Fraction("1.9112")) for m in bill.months]
    assert peaks == [92, 92, 92, 92, 96, 102, 102, 102, 92, 92, 92, 92]
    (may,) = [x for x in bill.months[4].lines if x.kind is LineKind.FLAT_DEMAND]
    assert may.peak_from is not None
    assert may.peak_from.isoformat() == "2018-05-31T18:00:00+00:00"


def test_quarter_hours_of_the_same_power_cost_the_same(bill: Bill) -> None:
    quarter = timedelta(minutes=15)
    finer = [
        LoadInterval(x.from_at + n * quarter, x.from_at + (n + 1) * quarter, x.energy_wh // 4)
        for x in sam_load()[: 31 * 24]
        for n in range(4)
    ]
    rate = read_urdb(RATE, time_zone="UTC", demand_window_min=15)
    (january,) = utility_bill(rate.tariff, finer).months
    assert january.exact == bill.months[0].exact


def test_the_hours_priced_one_by_one_come_to_the_same_energy(bill: Bill) -> None:
    rate = read_urdb(RATE, time_zone="UTC", demand_window_min=60)
    load = sam_load()
    prices = energy_prices(rate.tariff, load[0].from_at, load[-1].to_at)
    market = utility_bill(
        read_urdb(
            {"label": "none", "fixedchargefirstmeter": 0}, time_zone="UTC"
        ).tariff,
        load,
        prices=prices,
    )  # fmt: skip
    assert market.exact == sum(m.exact_of(LineKind.ENERGY) for m in bill.months)
