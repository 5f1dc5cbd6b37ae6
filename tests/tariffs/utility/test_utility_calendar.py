"""Local calendars: days of 23 and 25 hours, half hours, holidays, seasons, windows."""

from __future__ import annotations

from datetime import date, datetime
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from utility_samples import at, bare, by_time, every_day, flat, hourly

from wattledger.errors import BadInput, CantPrice
from wattledger.tariffs import Day
from wattledger.tariffs.utility import (
    DayRule,
    EnergyCharge,
    Schedule,
    Season,
    Slot,
    energy_prices,
    utility_bill,
)
from wattledger.tariffs.utility.schedule import moment_of, spans, windows

LOS_ANGELES = ZoneInfo("America/Los_Angeles")


def hours_of(schedule: Schedule, day: date, zone: str = "America/Los_Angeles") -> dict[str, float]:
    """How long each period holds on a day, in hours."""
    end = date.fromordinal(day.toordinal() + 1)
    found: dict[str, float] = {}
    for span in spans(schedule, frozenset(), ZoneInfo(zone), day, end):
        hours = (span.to_us - span.from_us) / 3_600_000_000
        found[span.period] = found.get(span.period, 0) + hours
    return found


@pytest.mark.parametrize(
    ("month", "begins", "hours", "expected"),
    [
        # Night is 00 to 06. 8 March 2026 has 23 h: 31 x 6 - 1 = 185 and 31 x 18 = 558 kWh.
        ("2026-03", "2026-03-01 08:00", 743, 185 * Fraction("0.1") + 558 * Fraction("0.3")),
        # 1 November 2026 has 25 h: 30 x 6 + 1 = 181 and 30 x 18 = 540 kWh.
        ("2026-11", "2026-11-01 07:00", 721, 181 * Fraction("0.1") + 540 * Fraction("0.3")),
    ],
)
def test_a_month_with_a_change_of_the_clocks(
    month: str, begins: str, hours: int, expected: Fraction
) -> None:
    (bill,) = utility_bill(by_time("America/Los_Angeles"), hourly(at(begins), hours)).months
    assert (bill.month, bill.exact) == (month, expected)


def test_a_boundary_inside_the_repeated_hour_is_passed_twice() -> None:
    # 1 November 2026: 00:00-01:30, then 01:30-02:00, then 01:00-01:30 again, then the rest.
    schedule = every_day(("00:00", "01:30", "a"), ("01:30", "24:00", "b"))
    found = spans(schedule, frozenset(), LOS_ANGELES, date(2026, 11, 1), date(2026, 11, 2))
    assert [(moment_of(x.from_us).strftime("%H:%M"), x.period) for x in found] == [
        ("07:00", "a"), ("08:30", "b"), ("09:00", "a"), ("09:30", "b"),
    ]  # fmt: skip
    assert hours_of(schedule, date(2026, 11, 1)) == {"a": 2.0, "b": 23.0}


def test_a_boundary_inside_the_skipped_hour_is_where_the_clock_goes_on() -> None:
    # 8 March 2026: at 02:00 the clock shows 03:00.
    schedule = every_day(("00:00", "02:30", "a"), ("02:30", "24:00", "b"))
    assert hours_of(schedule, date(2026, 3, 8)) == {"a": 2.0, "b": 21.0}
    inside = every_day(("00:00", "02:00", "a"), ("02:00", "03:00", "x"), ("03:00", "24:00", "b"))
    assert hours_of(inside, date(2026, 3, 8)) == {"a": 2.0, "b": 21.0}


def test_a_change_of_the_clocks_at_midnight_and_one_of_half_an_hour() -> None:
    schedule = every_day(("00:00", "06:00", "a"), ("06:00", "24:00", "b"))
    # In Cairo 24 April 2026 begins at 01:00; Lord Howe goes back by 30 minutes on 5 April 2026.
    assert hours_of(schedule, date(2026, 4, 24), "Africa/Cairo") == {"a": 5.0, "b": 18.0}
    assert hours_of(schedule, date(2026, 4, 5), "Australia/Lord_Howe") == {"a": 6.5, "b": 18.0}


def test_a_day_that_never_was() -> None:
    # Samoa had no 30 December 2011.
    schedule = every_day(("00:00", "24:00", "a"))
    assert hours_of(schedule, date(2011, 12, 30), "Pacific/Apia") == {}


def test_demand_windows_on_short_and_long_days() -> None:
    for day, count in ((date(2026, 3, 8), 92), (date(2026, 11, 1), 100), (date(2026, 6, 1), 96)):
        end = date.fromordinal(day.toordinal() + 1)
        found = windows(15, LOS_ANGELES, day, end)
        assert len(found) == count
        assert all(a[1] == b[0] for a, b in pairwise(found))


def rule(period: str, *days: Day, holidays: bool = False) -> DayRule:
    return DayRule((Slot("00:00", "24:00", period),), days, holidays)


WEEK = (Day.MONDAY, Day.TUESDAY, Day.WEDNESDAY, Day.THURSDAY, Day.FRIDAY)


def test_holidays_have_the_rule_that_says_so() -> None:
    # As a weekend, or as given: a rule of their own. 25 December 2026 is a Friday.
    own = Schedule(
        (
            Season(
                "year", "01-01", "12-31",
                (
                    rule("week", *WEEK),
                    rule("end", Day.SATURDAY, Day.SUNDAY),
                    rule("feast", holidays=True),
                ),
            ),
        )
    )  # fmt: skip
    tariff = bare(
        energy=EnergyCharge(
            tuple(flat(n, p) for n, p in (("week", "3"), ("end", "2"), ("feast", "1"))), own
        ),
        holidays=("2026-12-25",),
    )
    prices = energy_prices(tariff, at("2026-12-24 00:00"), at("2026-12-27 00:00"))
    assert [x.price for x in prices.intervals] == [3, 1, 2]


def test_a_season_begins_in_the_middle_of_a_month_and_wraps_the_year() -> None:
    schedule = Schedule(
        (
            Season("summer", "05-16", "10-15", (rule("s", *Day),)),
            Season("winter", "10-16", "05-15", (rule("w", *Day),)),
        )
    )
    tariff = bare(energy=EnergyCharge((flat("s", "2"), flat("w", "1")), schedule))
    # May 2026: 15 days of winter, 16 of summer.
    (may,) = utility_bill(tariff, hourly(at("2026-05-01 00:00"), 744)).months
    assert may.exact == 15 * 24 * 1 + 16 * 24 * 2
    # 29 February is winter, too.
    prices = energy_prices(tariff, at("2024-02-28 00:00"), at("2024-03-02 00:00"))
    assert [x.price for x in prices.intervals] == [1, 1]  # cut where March begins


def test_prices_are_cut_to_what_was_asked_for() -> None:
    prices = energy_prices(by_time(), at("2026-06-01 05:30"), at("2026-06-01 06:45"))
    assert [(x.from_at, x.to_at, x.price) for x in prices.intervals] == [
        (at("2026-06-01 05:30"), at("2026-06-01 06:00"), Fraction("0.1")),
        (at("2026-06-01 06:00"), at("2026-06-01 06:45"), Fraction("0.3")),
    ]


def test_prices_for_no_time_or_without_an_energy_charge() -> None:
    with pytest.raises(BadInput) as caught:
        energy_prices(by_time(), at("2026-06-01 00:00"), at("2026-06-01 00:00"))
    assert caught.value.path == "to_at"
    with pytest.raises(BadInput) as caught:
        energy_prices(by_time(), datetime(2026, 6, 1), at("2026-06-01 00:00"))  # noqa: DTZ001
    assert caught.value.path == "from_at"
    with pytest.raises(CantPrice):
        energy_prices(bare(), at("2026-06-01 00:00"), at("2026-06-02 00:00"))
