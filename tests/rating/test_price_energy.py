"""Energy by time of day, weekday, date and amount, across midnight and daylight saving."""

from __future__ import annotations

import pytest
from rating_samples import (
    NO_TAX,
    at,
    delivery,
    element,
    energy,
    evidence,
    line,
    nets,
    sources,
    tariff,
)

from wattledger.rating import Source, price, why

TIME_OF_DAY = tariff(
    element("peak", energy("0.35"), start_time="16:00", end_time="21:00"),
    element("off-peak", energy("0.25")),
)


def test_a_register_between_two_readings_is_interpolated() -> None:
    # 15:30 to 16:30 is 10,001 Wh; at 16:00 half of it, rounded down: 5,000 and 5,001 Wh.
    charge = price(
        delivery(("2026-07-01 15:30", 1000), ("2026-07-01 16:30", 11001)), TIME_OF_DAY, NO_TAX
    )
    before, after = line(charge, "Energy, off-peak"), line(charge, "Energy, peak")
    assert (before.quantity, after.quantity) == (5000, 5001)
    # 5.000 x 0.25 = 1.25; 5.001 x 0.35 = 1.75035
    assert (before.net_minor, after.net_minor) == (125, 175)
    assert charge.exact_total == "3.000350000000"
    assert charge.total_minor == 300
    (part,) = evidence(charge, "Energy, off-peak")
    assert part.source is Source.INTERPOLATED
    # Registers never fall: at 16:00 it was from 1,000 to 11,001, and 6,000 is taken. The truth is
    # 5,000 below at the least and 5,001 above at the most.
    assert part.error_wh == 5001
    assert (part.from_register_wh, part.to_register_wh) == (1000, 6000)
    assert (part.from_at, part.to_at) == (at("2026-07-01 15:30"), at("2026-07-01 16:00"))
    assert any("straight line" in sentence for sentence in why(charge, before, TIME_OF_DAY))


def test_a_reading_at_the_boundary_is_metered() -> None:
    charge = price(
        delivery(("2026-07-01 15:30", 0), ("2026-07-01 16:00", 8000), ("2026-07-01 16:30", 10000)),
        TIME_OF_DAY,
        NO_TAX,
    )
    # 8 x 0.25 = 2.00; 2 x 0.35 = 0.70
    assert nets(charge) == {"Energy, off-peak": 200, "Energy, peak": 70}
    assert sources(charge) == {Source.METERED}


def test_one_line_gathers_all_times_of_an_element() -> None:
    # 15:00 to 22:00 at 1 kWh an hour: 1 h + 1 h off-peak, 5 h peak.
    charge = price(
        delivery(("2026-07-01 15:00", 0), ("2026-07-01 22:00", 7000)), TIME_OF_DAY, NO_TAX
    )
    assert [part.quantity for part in evidence(charge, "Energy, off-peak")] == [1000, 1000]
    # 2 x 0.25 = 0.50; 5 x 0.35 = 1.75
    assert nets(charge) == {"Energy, off-peak": 50, "Energy, peak": 175}


def test_an_end_before_the_start_wraps_past_midnight() -> None:
    night = tariff(
        element("night", energy("0.10"), start_time="22:00", end_time="06:00"),
        element("day", energy("0.30")),
    )
    # 21:00 to 07:00 at 1 kWh an hour: 1 h day, 8 h night, 1 h day.
    charge = price(delivery(("2026-07-01 21:00", 0), ("2026-07-02 07:00", 10000)), night, NO_TAX)
    assert nets(charge) == {"Energy, day": 60, "Energy, night": 80}


def test_midnight_as_the_end_is_the_end_of_the_day() -> None:
    late = tariff(
        element("late", energy("0.10"), start_time="22:00", end_time="00:00"),
        element("else", energy("0.30")),
    )
    # 23:00 to 01:00: 1 kWh before midnight, 1 kWh after.
    charge = price(delivery(("2026-07-01 23:00", 0), ("2026-07-02 01:00", 2000)), late, NO_TAX)
    assert nets(charge) == {"Energy, late": 10, "Energy, else": 30}


def test_weekday_and_date_change_at_local_midnight() -> None:
    # 2026-07-03 is a Friday. Los Angeles is UTC-7: local 22:00 to 02:00 is 05:00Z to 09:00Z.
    friday = tariff(
        element("Friday", energy("0.40"), days=["FRIDAY"]),
        element("else", energy("0.20")),
    )
    session = delivery(
        ("2026-07-04 05:00", 0), ("2026-07-04 09:00", 4000), zone="America/Los_Angeles"
    )
    # 2 kWh on Friday x 0.40 = 0.80; 2 kWh on Saturday x 0.20 = 0.40
    assert nets(price(session, friday, NO_TAX)) == {"Energy, Friday": 80, "Energy, else": 40}
    until = tariff(
        element("old", energy("0.40"), end_date="2026-07-04"),
        element("new", energy("0.20"), start_date="2026-07-04"),
    )
    assert nets(price(session, until, NO_TAX)) == {"Energy, old": 80, "Energy, new": 40}


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        # New York, 2026-11-01: 25 hours from midnight to midnight, 04:00Z to 05:00Z.
        ("2026-11-01 04:00", "2026-11-02 05:00", 25),
        # 2026-03-08: 23 hours, 05:00Z to 04:00Z.
        ("2026-03-08 05:00", "2026-03-09 04:00", 23),
    ],
)
def test_the_days_on_which_the_clocks_change(start: str, end: str, hours: int) -> None:
    # 01:30 to 02:30 by the wall clock. In autumn 01:30 to 02:00 comes twice and 02:00 to 02:30
    # once: 90 minutes. In spring 01:30 to 02:00 is there and 02:00 to 02:30 is not: 30 minutes.
    minutes = {25: 90, 23: 30}[hours]
    odd = tariff(
        element("odd", energy("1.00"), start_time="01:30", end_time="02:30"),
        element("else", energy("0.50")),
    )
    session = delivery((start, 0), (end, hours * 6000), zone="America/New_York")  # 100 Wh a minute
    charge = price(session, odd, NO_TAX)
    assert line(charge, "Energy, odd").quantity == minutes * 100
    assert line(charge, "Energy, else").quantity == (hours * 60 - minutes) * 100
    assert charge.charging_s == hours * 3600


def test_a_kwh_limit_is_met_to_the_watt_hour() -> None:
    tiers = tariff(
        element("first 10 kWh", energy("0.20"), max_kwh="10"),
        element("beyond", energy("0.30")),
    )
    charge = price(delivery(("2026-07-01 10:00", 500), ("2026-07-01 10:59", 13501)), tiers, NO_TAX)
    assert line(charge, "Energy, first 10 kWh").quantity == 10000
    assert line(charge, "Energy, beyond").quantity == 3001
    # 10 x 0.20 = 2.00; 3.001 x 0.30 = 0.9003
    assert charge.exact_total == "2.900300000000"
    assert evidence(charge, "Energy, beyond")[0].error_wh == 0


def test_two_limits_in_one_second_lose_no_energy() -> None:
    tiers = tariff(
        element("a", energy("0.20"), max_kwh="0.010"),
        element("b", energy("0.30"), max_kwh="0.020"),
        element("c", energy("0.40")),
    )
    charge = price(delivery(("2026-07-01 10:00:00", 0), ("2026-07-01 10:00:01", 42)), tiers, NO_TAX)
    assert [one.quantity for one in charge.lines] == [10, 10, 22]


def test_duration_limits_count_the_whole_session() -> None:
    tiers = tariff(
        element("first hour", energy("0.20"), max_duration_s=3600),
        element("later", energy("0.30")),
    )
    # 90 minutes at 6 kWh an hour: 6 kWh x 0.20 and 3 kWh x 0.30
    charge = price(delivery(("2026-07-01 10:00", 0), ("2026-07-01 11:30", 9000)), tiers, NO_TAX)
    assert nets(charge) == {"Energy, first hour": 120, "Energy, later": 90}


def test_no_match_costs_nothing_and_is_on_the_bill() -> None:
    day_only = tariff(element("day", energy("0.30"), start_time="06:00", end_time="22:00"))
    charge = price(delivery(("2026-07-01 21:00", 0), ("2026-07-01 23:00", 2000)), day_only, NO_TAX)
    assert nets(charge) == {"Energy, day": 30, "Energy, free": 0}
    assert line(charge, "Energy, free").quantity == 1000


def test_energy_steps_round_the_total_at_the_last_price() -> None:
    # 1,250 Wh off-peak and 1,250 Wh peak are 2,500 Wh: 3 steps of 1 kWh, 500 Wh more at peak.
    stepped = tariff(
        element("peak", energy("0.40", step=1000), start_time="16:00", end_time="21:00"),
        element("off-peak", energy("0.20", step=1000)),
    )
    session = delivery(("2026-07-01 15:00", 0), ("2026-07-01 17:00", 2500))
    charge = price(session, stepped, NO_TAX)
    assert line(charge, "Energy, peak").billed_quantity == 1750
    # 1.250 x 0.20 = 0.25; 1.750 x 0.40 = 0.70
    assert nets(charge) == {"Energy, off-peak": 25, "Energy, peak": 70}


def test_a_limit_reached_just_when_the_price_changes_stays_interpolated() -> None:
    # 10 kWh from 15:30 to 16:30: the 5 kWh of the limit are reached at 16:00 by the straight
    # line only, so the split by the clock is no better known than without the limit.
    both = tariff(
        element("peak", energy("0.35"), start_time="16:00"),
        element("first", energy("0.25"), max_kwh="5"),
    )
    charge = price(delivery(("2026-07-01 15:30", 0), ("2026-07-01 16:30", 10000)), both, NO_TAX)
    # 5 x 0.25 = 1.25; 5 x 0.35 = 1.75
    assert nets(charge) == {"Energy, first": 125, "Energy, peak": 175}
    assert sources(charge) == {Source.INTERPOLATED}
