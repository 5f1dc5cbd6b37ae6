"""A session file becomes periods: cut where a price may change, and nothing lost in between.

Registers are in Wh, of 6,000 an hour (100 a minute) where nothing else is said, so that every
minute has a whole one. Prices are chosen so that the net shows which hours were priced.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rating_samples import charging, element, energy, flat, idle, line, nets
from record_samples import session_file, sums

from wattledger.errors import BadInput, CantPrice
from wattledger.rating import Charge, Source, Terms, evidence, why
from wattledger.rating.inputs import price_file
from wattledger.tariffs import read_tariff
from wattledger.wire import exact

CHEAP = element("", energy("0.10"))


def priced(raw: bytes, *elements: dict[str, object], **head: Any) -> Charge:
    tariff = read_tariff({"id": "t", "currency": "EUR", "elements": list(elements), **head}, "$")
    charge, _ = price_file(raw, [tariff])
    check_whole(charge)
    return charge


def check_whole(charge: Charge) -> None:
    """The parts are the whole: no gap in time or on the register, and every line's uses add up."""
    sums(charge)
    periods = [period for period in charge.periods if period.activity != "reserved"]
    for one, other in pairwise(periods):
        assert one.to_at == other.from_at
        assert one.to_register_wh == other.from_register_wh
    assert sum(period.energy for period in charge.periods) == charge.energy
    for made in charge.lines:
        if made.uses:
            assert sum(quantity for _, quantity in made.uses) == made.quantity


def cuts(charge: Charge, zone: str = "UTC") -> list[str]:
    """Where one period ends and the next begins, on the local clock."""
    inner = [period.from_at for period in charge.periods[1:]]
    return [at.astimezone(ZoneInfo(zone)).strftime("%H:%M") for at in inner]


def drive(start: str, hours: int, wh_per_hour: int = 6_000, *, zone: str = "UTC") -> bytes:
    """A session with readings at its ends only; ``start`` is in UTC."""
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    end = begin + timedelta(hours=hours)
    return session_file(
        [(f"{begin:%Y-%m-%dT%H:%M:%S}", 0), (f"{end:%Y-%m-%dT%H:%M:%S}", hours * wh_per_hour)],
        zone=zone,
    )


# --- Where it is cut --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("restrictions", "start", "hours", "where", "net"),
    [
        # Time of day: 3 h of 6 kWh, one of them at 1.00, two at 0.10.
        ({"start_time": "16:00", "end_time": "17:00"}, "2026-07-01T15:00", 3,
         ["16:00", "17:00"], 600 + 120),
        ({"start_time": "16:30", "end_time": "17:00"}, "2026-07-01T16:00", 3,
         ["16:30", "17:00"], 300 + 150),
        # Past midnight, the end of the day, the start of it.
        ({"start_time": "22:00", "end_time": "01:00"}, "2026-07-01T21:00", 5,
         ["22:00", "01:00"], 1800 + 120),
        ({"start_time": "23:00", "end_time": "00:00"}, "2026-07-01T22:00", 3,
         ["23:00", "00:00"], 600 + 120),
        ({"end_time": "01:00"}, "2026-07-01T23:00", 3, ["00:00", "01:00"], 600 + 120),
        ({"start_time": "23:00"}, "2026-07-01T22:00", 3, ["23:00", "00:00"], 600 + 120),
        # Weekday (a Friday), dates (the end exclusive), season, holiday.
        ({"days": ["SATURDAY"]}, "2026-07-03T23:00", 3, ["00:00"], 1200 + 60),
        ({"start_date": "2026-07-04"}, "2026-07-03T23:00", 3, ["00:00"], 1200 + 60),
        ({"end_date": "2026-07-04"}, "2026-07-03T23:00", 3, ["00:00"], 600 + 120),
        ({"start_season": "06-01", "end_season": "09-01"}, "2026-05-31T23:00", 3, ["00:00"],
         1200 + 60),
        ({"start_season": "06-01", "end_season": "09-01"}, "2026-08-31T23:00", 3, ["00:00"],
         600 + 120),
        # A season over New Year begins with the year's last month and goes on in the first.
        ({"start_season": "12-31", "end_season": "01-01"}, "2026-12-31T23:00", 3, ["00:00"],
         600 + 120),
        ({"start_season": "12-01", "end_season": "03-01"}, "2026-12-31T23:00", 3, ["00:00"], 1800),
        ({"holiday": True}, "2026-07-03T23:00", 3, ["00:00"], 1200 + 60),
        ({"holiday": False}, "2026-07-03T23:00", 3, ["00:00"], 600 + 120),
        # 10.05 kWh come after 100.5 minutes; a limit is kept to the Wh: 7.95 of 18 at 1.00.
        ({"min_kwh": "10.05"}, "2026-07-01T10:00", 3, ["11:40"], 795 + 101),
        ({"max_kwh": "6"}, "2026-07-01T10:00", 3, ["11:00"], 600 + 120),
        # Duration and charging time.
        ({"min_duration_s": 5400}, "2026-07-01T10:00", 3, ["11:30"], 900 + 90),
        ({"max_duration_s": 5400}, "2026-07-01T10:00", 3, ["11:30"], 900 + 90),
        ({"min_charging_s": 7200}, "2026-07-01T10:00", 3, ["12:00"], 600 + 120),
        ({"max_charging_s": 7200}, "2026-07-01T10:00", 3, ["12:00"], 1200 + 60),
    ],
)  # fmt: skip
def test_every_kind_of_boundary(
    restrictions: dict[str, Any], start: str, hours: int, where: list[str], net: int
) -> None:
    dear = element("", energy("1"), **restrictions)
    charge = priced(drive(start, hours), dear, CHEAP, holidays=["2026-07-04"])
    assert cuts(charge) == where
    assert charge.net_minor == net
    assert sum(period.energy for period in charge.periods) == hours * 6_000


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Europe/Berlin", "Asia/Kolkata"])
def test_hours_are_those_of_the_site(zone: str) -> None:
    dear = element("", energy("1"), start_time="16:00", end_time="17:00")
    charge = priced(drive("2026-07-01T06:00", 24, zone=zone), dear, CHEAP)
    assert [cut for cut in cuts(charge, zone) if cut in ("16:00", "17:00")] == ["16:00", "17:00"]
    assert charge.net_minor == 600 + 23 * 60


def test_idle_time_is_cut_at_its_limits_and_counted_anew() -> None:
    """Ten minutes free, then 0.10 a minute up to half an hour, then 0.50; twice."""
    raw = session_file(
        [("10:00", 0), ("12:00", 6_000)],
        (
            ("10:10", "suspended_ev"),
            ("10:50", "charging"),
            ("11:00", "suspended_ev"),
            ("11:15", "charging"),
        ),
    )
    charge = priced(
        raw,
        element("", idle("0.10"), min_idle_s=600, max_idle_s=1800),
        element("", idle("0.50"), min_idle_s=1800),
        CHEAP,
    )
    assert cuts(charge) == ["10:10", "10:20", "10:40", "10:50", "11:00", "11:10", "11:15"]
    # 20 and 5 minutes at 0.10, 10 at 0.50; 6 kWh at 0.10.
    assert [made.net_minor for made in charge.lines] == [60, 0, 250, 500]
    assert charge.net_minor == 250 + 500 + 60


def test_charging_time_so_far_stands_still_while_the_car_is_idle() -> None:
    raw = session_file(
        [("10:00", 0), ("12:00", 6_000)],
        (("10:30", "suspended_ev"), ("11:00", "charging")),
    )
    charge = priced(raw, element("", charging("1"), min_charging_s=3600), element("", flat("0")))
    assert cuts(charge) == ["10:30", "11:00", "11:30"]
    assert charge.net_minor == 30 * 100


POWERS = (
    element("", energy("0.20"), max_power_kw="16"),
    element("", energy("0.35"), max_power_kw="32"),
    element("", energy("0.50")),
)


def with_measures(*readings: tuple[str, int, dict[str, int]]) -> bytes:
    return exact.dump(
        {
            "session_id": "s", "location": {"time_zone": "UTC"},
            "started_at": f"2026-07-01T{readings[0][0]}:00Z",
            "ended_at": f"2026-07-01T{readings[-1][0]}:00Z",
            "readings": [
                {"at": f"2026-07-01T{clock}:00Z", "energy_wh": wh} | more
                for clock, wh, more in readings
            ],
        }
    )  # fmt: skip


def test_power_as_it_was_measured() -> None:
    raw = with_measures(
        ("10:00", 0, {"power_w": 15_999}), ("10:10", 1_000, {"power_w": 16_000}),
        ("10:20", 2_000, {"power_w": 32_000}), ("10:30", 3_000, {}),
    )  # fmt: skip
    assert priced(raw, *POWERS).net_minor == 20 + 35 + 50


def test_power_that_nobody_measured_is_what_the_register_moved_with() -> None:
    """2.5 kWh in ten minutes are 15 kW, 5 are 30, 6 are 36."""
    raw = with_measures(
        ("10:00", 0, {}), ("10:10", 2_500, {}), ("10:20", 7_500, {}), ("10:30", 13_500, {})
    )
    assert priced(raw, *POWERS).net_minor == 50 + 175 + 300


def test_current_has_to_be_measured() -> None:
    limits = (element("", energy("0.20"), max_current_a="32"), element("", energy("0.50")))
    raw = with_measures(
        ("10:00", 0, {"current_a": 31}), ("10:10", 1_000, {"current_a": 32}), ("10:20", 2_000, {})
    )
    assert priced(raw, *limits).net_minor == 20 + 50
    unknown = with_measures(("10:00", 0, {}), ("10:10", 1_000, {}))
    with pytest.raises(CantPrice) as caught:
        priced(unknown, *limits)
    assert caught.value.code == "missing_measurement"


@pytest.mark.parametrize(
    ("start", "id_"), [("2026-07-14T23:00", "old"), ("2026-07-15T00:00", "new")]
)
def test_the_tariff_of_the_start_prices_all_of_it(start: str, id_: str) -> None:
    """Its end does not cut a session that began before."""
    offers = [
        read_tariff({"id": "old", "currency": "EUR", "elements": [element("", energy("1"))],
                     "valid_to": "2026-07-15T00:00:00Z"}, "$"),
        read_tariff({"id": "new", "currency": "EUR", "elements": [element("", energy("2"))],
                     "valid_from": "2026-07-15T00:00:00Z"}, "$"),
    ]  # fmt: skip
    charge, _ = price_file(drive(start, 2), offers)
    assert (charge.tariff_id, charge.net_minor) == (id_, 1200 if id_ == "old" else 2400)


# --- What is known, and how well --------------------------------------------------------------

AT_FOUR = (element("", energy("1"), start_time="16:00", end_time="20:00"), CHEAP)


def test_a_reading_at_the_boundary_is_metered() -> None:
    charge = priced(session_file([("15:00", 0), ("16:00", 1_000), ("17:00", 9_000)]), *AT_FOUR)
    assert [period.source for period in charge.periods] == [Source.METERED] * 2
    assert charge.net_minor == 10 + 800


@pytest.mark.parametrize(
    ("max_power_w", "error"),
    [
        # Between 15:00 and 17:00 flowed 10 kWh, 5 of them before four by the line. Without a
        # bound on the power it can have been none or all of them.
        (None, 5_000),
        # With 7 kW at most, at least 3 and at most 7 before four: 2 either way.
        (7_000, 2_000),
        # With 20 kW, it is 0 to 10 again.
        (20_000, 5_000),
        # 5 kW is just what flowed: exact. 4 kW can't have given it, and then bounds nothing.
        (5_000, 0),
        (4_000, 5_000),
    ],
)
def test_a_boundary_between_two_readings(max_power_w: int | None, error: int) -> None:
    more = {} if max_power_w is None else {"evse": {"max_power_w": max_power_w}}
    charge = priced(session_file([("15:00", 0), ("17:00", 10_000)], **more), *AT_FOUR)
    assert charge.net_minor == 50 + 500
    one, other = charge.periods
    assert one.source is Source.INTERPOLATED
    assert (one.to_register_wh, one.to_error_wh) == (5_000, error)
    assert (other.from_error_wh, other.to_error_wh) == (error, 0)
    for made in charge.lines:
        (part,) = evidence(charge, made)
        assert (part.source, part.error_wh) == (Source.INTERPOLATED, error)


def test_a_quarter_of_the_interval() -> None:
    """The hard bound f (1 - f) P D: a quarter into an hour at 8 kW, of which 4 kWh flowed.

    Before the cut at least max(0, 4 - 6) = 0 and at most min(4, 2) = 2, and the line says 1.
    """
    raw = session_file([("15:45", 0), ("16:45", 4_000)], evse={"max_power_w": 8_000})
    charge = priced(raw, *AT_FOUR)
    assert (charge.periods[0].to_register_wh, charge.periods[0].to_error_wh) == (1_000, 1_000)


def test_a_register_that_stood_still_is_known() -> None:
    charge = priced(session_file([("15:00", 500), ("17:00", 500), ("18:00", 700)]), *AT_FOUR)
    assert charge.periods[0].source is Source.METERED
    assert charge.net_minor == 20


def test_an_end_that_was_not_read() -> None:
    """The last reading ten minutes before the stop: at 12 kW 2 kWh can be missing."""
    raw = session_file(
        [("10:00", 0), ("10:50", 5_000)], ended="11:00", evse={"max_power_w": 12_000}
    )
    charge = priced(raw, element("", energy("1")))
    assert charge.net_minor == 500
    last = charge.periods[-1]
    assert (last.source, last.energy, last.to_error_wh) == (Source.EXTRAPOLATED, 0, 2_000)
    assert any("the register is taken to stand" in warning for warning in charge.warnings)
    without = priced(session_file([("10:00", 0), ("10:50", 5_000)], ended="11:00"),
                     element("", energy("1")))  # fmt: skip
    assert without.periods[-1].to_error_wh is None


def test_a_start_that_was_not_read() -> None:
    raw = exact.dump(
        {
            "session_id": "s", "location": {"time_zone": "UTC"},
            "started_at": "2026-07-01T10:00:00Z", "ended_at": "2026-07-01T11:00:00Z",
            "evse": {"max_power_w": 12_000},
            "readings": [{"at": "2026-07-01T10:10:00Z", "energy_wh": 100},
                         {"at": "2026-07-01T11:00:00Z", "energy_wh": 5_100}],
        }
    )  # fmt: skip
    charge = priced(raw, element("", energy("1")))
    assert charge.net_minor == 500
    first = charge.periods[0]
    assert (first.source, first.from_error_wh) == (Source.EXTRAPOLATED, 2_000)


def test_the_errors_of_two_stretches_add_up_in_the_words() -> None:
    """Half an hour before and one after the dear hour, each off by 15,000 of the 20,000 Wh."""
    raw = session_file([("15:30", 0), ("17:30", 20_000)])
    dear = element("", energy("1"), start_time="16:00", end_time="17:00")
    tariff = read_tariff({"id": "t", "currency": "EUR", "elements": [dear, CHEAP]}, "$")
    charge, _ = price_file(raw, [tariff])
    made = next(line for line in charge.lines if line.element == 1)
    parts = [part.error_wh for part in evidence(charge, made)]
    # The register can be anywhere from 0 to 20,000 at both cuts, where the line says 5,000.
    assert parts == [15_000, 15_000]
    assert any("off by 30000 Wh at most" in said for said in why(charge, made, tariff))


def test_parts_telescope_where_nothing_divides() -> None:
    """100 Wh over eleven hours, cut at every one: rounded down at each cut, and 100 in all."""
    hours = [element("", energy(f"0.{i:02d}"), start_time=f"{i:02d}:00", end_time=f"{i + 1:02d}:00")
             for i in range(10, 21)]  # fmt: skip
    charge = priced(session_file([("10:00", 0), ("21:00", 100)]), *hours)
    registers = [period.to_register_wh for period in charge.periods]
    assert registers == [100 * i // 11 for i in range(1, 12)]


# --- Clocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/Los_Angeles", "2026-03-08", 23),
        ("America/Los_Angeles", "2026-11-01", 25),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Europe/Berlin", "2026-07-01", 24),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
    ],
)
def test_a_day_has_the_hours_it_has(zone: str, day: str, hours: float) -> None:
    """From midnight to midnight, 100 Wh a minute at 1.00 on that day and nothing beside it."""
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    end = (datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=ZoneInfo(zone))
    one, other = (each.astimezone(UTC) for each in (start, end))
    minutes = (other - one) // timedelta(minutes=1)
    assert minutes == hours * 60
    raw = session_file(
        [
            (f"{one - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}", 0),
            (f"{other + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}", (minutes + 120) * 100),
        ],
        zone=zone,
    )
    that_day = element("", energy("1"), charging("0.01"), start_date=day,
                       end_date=f"{end:%Y-%m-%d}")  # fmt: skip
    charge = priced(raw, that_day, element("", energy("0")))
    assert charge.net_minor == minutes * 10 + minutes
    # Midnight, the change of the clocks where there is one, midnight.
    assert len(charge.periods) == (3 if hours == 24 else 4)


@pytest.mark.parametrize(
    ("zone", "start", "hours", "matched"),
    [
        # 01:00 to 02:00 comes twice in autumn: two hours of it.
        ("America/Los_Angeles", "2026-11-01T06:00", 6, 2),
        ("Europe/Berlin", "2026-10-24T22:00", 6, 1),
        # In spring 02:00 to 03:00 does not come at all, in Berlin too.
        ("America/Los_Angeles", "2026-03-08T06:00", 6, 1),
    ],
)
def test_an_hour_that_comes_twice(zone: str, start: str, hours: int, matched: int) -> None:
    dear = element("", energy("1"), start_time="01:00", end_time="02:00")
    charge = priced(drive(start, hours, zone=zone), dear, CHEAP)
    assert charge.net_minor == matched * 600 + (hours - matched) * 60


@pytest.mark.parametrize(
    ("zone", "start", "matched"),
    [
        ("Europe/Berlin", "2026-10-24T22:00", 2),  # 02:00 to 03:00 comes twice
        ("Europe/Berlin", "2026-03-28T22:00", 0),  # and is skipped
        ("America/Los_Angeles", "2026-03-08T06:00", 0),
    ],
)
def test_two_to_three(zone: str, start: str, matched: int) -> None:
    dear = element("", energy("1"), start_time="02:00", end_time="03:00")
    charge = priced(drive(start, 6, zone=zone), dear, CHEAP)
    assert charge.net_minor == matched * 600 + (6 - matched) * 60


@pytest.mark.parametrize("day", ["2026-01-15", "2026-03-29", "2026-07-15", "2026-10-25"])
@pytest.mark.parametrize(
    ("zone", "ahead"),
    # Ireland's standard time is that of summer; Troll's is UTC, two hours behind its summer.
    [("Europe/Berlin", 1), ("Europe/Dublin", 1), ("Antarctica/Troll", 0), ("UTC", 0)],
)
def test_standard_time_all_the_year(day: str, zone: str, ahead: int) -> None:
    """16:00 to 18:00 are the same two hours of UTC on every day."""
    dear = element("", energy("1"), start_time="16:00", end_time="18:00")
    charge = priced(
        drive(f"{day}T10:00", 12, zone=zone), dear, CHEAP, policies={"clock": "standard"}
    )
    assert charge.net_minor == 1200 + 600
    assert {f"{16 - ahead}:00", f"{18 - ahead}:00"} <= set(cuts(charge))


def test_a_leap_day() -> None:
    dear = element("", energy("1"), start_date="2028-02-29", end_date="2028-03-01")
    assert priced(drive("2028-02-28T12:00", 48), dear, CHEAP).net_minor == 24 * 600 + 24 * 60
    season = element("", energy("1"), start_season="02-28", end_season="03-01")
    assert priced(drive("2028-02-28T12:00", 48), season, CHEAP).net_minor == 36 * 600 + 12 * 60


def test_over_new_year() -> None:
    """A Thursday into a Friday, one year into the next."""
    friday = element("", energy("1"), days=["FRIDAY"], start_date="2027-01-01")
    charge = priced(drive("2026-12-31T20:00", 8), friday, CHEAP)
    assert cuts(charge) == ["00:00"]
    assert charge.net_minor == 4 * 600 + 4 * 60


def test_thirty_days() -> None:
    """720 hours, of which 30 times two are dear; on the day of the change the clock decides."""
    dear = element("", energy("1"), start_time="16:00", end_time="18:00")
    charge = priced(drive("2026-10-10T00:00", 720, zone="Europe/Berlin"), dear, CHEAP)
    assert charge.net_minor == 60 * 600 + 660 * 60
    assert charge.energy_wh == 720 * 6_000


def test_no_time_at_all() -> None:
    raw = session_file([("10:00", 4_000)])
    charge = priced(raw, element("", energy("1"), flat("0.50"), charging("1")),
                    policies={"zero_energy": "minimum"})  # fmt: skip
    assert (charge.net_minor, len(charge.periods)) == (50, 1)
    assert nets(charge) == {"Session fee": 50}
    assert priced(raw, element("", flat("0.50"))).free_reason == "no energy was delivered"


def test_the_price_of_the_start_is_kept() -> None:
    """A lock on hours, weekdays and dates; limits on what was counted go on counting."""
    dear = element("", energy("1"), start_time="16:00", end_time="20:00", max_kwh="9")
    raw = drive("2026-07-01T19:00", 3)
    assert priced(raw, dear, CHEAP).net_minor == 600 + 120
    locked = priced(raw, dear, CHEAP, price_lock="session_start")
    assert cuts(locked) == ["20:30"]
    assert locked.net_minor == 900 + 90


# --- Who does nothing -------------------------------------------------------------------------

MINUTES = element("", charging("0.10"), idle("1.00"))


def test_minutes_that_the_charger_pauses_are_free() -> None:
    raw = session_file(
        [("10:00", 0), ("11:00", 6_000)], (("10:20", "suspended_evse"), ("10:40", "charging"))
    )
    charge = priced(raw, MINUTES)
    assert charge.net_minor == 40 * 10
    assert (charge.charging_s, charge.idle_s, charge.pause_s) == (2400, 0, 1200)
    assert line(charge, "Charger pause").quantity == 1200


def test_a_pause_in_an_idle_stretch_ends_it() -> None:
    """Twelve idle minutes, a pause, twelve more; ten of grace on each stretch."""
    raw = session_file(
        [("10:00", 0), ("11:00", 6_000)],
        (("10:00", "suspended_ev"), ("10:12", "suspended_evse"), ("10:20", "suspended_ev"),
         ("10:32", "charging")),
    )  # fmt: skip
    charge = priced(raw, MINUTES, policies={"idle_grace_s": 600})
    assert charge.net_minor == 28 * 10 + (2 + 2) * 100


def test_finished_is_the_stop_and_the_car_stays() -> None:
    raw = session_file([("10:00", 0), ("10:30", 3_000)], (("10:30", "finished"),), ended="10:45")
    assert priced(raw, MINUTES).net_minor == 300 + 1500
    free = priced(raw, MINUTES, policies={"idle_after_stop": False})
    assert free.net_minor == 300
    assert line(free, "Idle after the stop, not billed").quantity == 900


def test_the_clock_starts_with_the_first_energy() -> None:
    """At the last reading before the register moved: 10:10."""
    raw = session_file([("10:00", 50), ("10:10", 50), ("10:20", 60), ("11:00", 6_000)])
    assert priced(raw, MINUTES).net_minor == 600
    late = priced(raw, MINUTES, policies={"clock_starts": "first_energy"})
    assert late.net_minor == 500
    assert line(late, "Before the first energy").quantity == 600
    assert late.charging_s == 3000


def test_no_energy_never_starts_the_clock() -> None:
    raw = session_file([("10:00", 50), ("11:00", 50)])
    policies = {"clock_starts": "first_energy", "zero_energy": "minimum"}
    assert priced(raw, MINUTES, policies=policies).net_minor == 0


# --- Reservations -----------------------------------------------------------------------------


def reserved(price: str, **restrictions: Any) -> dict[str, object]:
    made = {"dimension": "reservation_time", "price": price, "unit": "minute"}
    return element("", made, **restrictions)


def reserved_flat(price: str, **restrictions: Any) -> dict[str, object]:
    made = {"dimension": "reservation_flat", "price": price, "unit": "session"}
    return element("", made, **restrictions)


def test_a_reservation_that_was_used() -> None:
    raw = session_file(
        [("10:00", 0), ("11:00", 1_000)], reservation={"from": "2026-07-01T09:40:00Z"}
    )
    charge = priced(raw, reserved("0.10"), reserved_flat("2"), element("", energy("1")))
    assert charge.net_minor == 200 + 200 + 100
    assert charge.charging_s == 3600


def test_a_reservation_that_expired_is_no_session() -> None:
    raw = exact.dump(
        {
            "session_id": "s", "location": {"time_zone": "UTC"},
            "started_at": "2026-07-01T10:00:00Z", "ended_at": "2026-07-01T10:00:00Z",
            "readings": [],
            "reservation": {"from": "2026-07-01T09:00:00Z", "to": "2026-07-01T10:00:00Z",
                            "expired": True},
        }
    )  # fmt: skip
    charge = priced(
        raw, reserved_flat("4", reservation="expired"), reserved("0.10"), element("", flat("9"))
    )
    assert charge.net_minor == 400 + 600


@pytest.mark.parametrize(
    ("from_", "net"),
    # Until 16:00 a minute costs 1.00, then 0.10.
    [("15:30", 30 * 100 + 15 * 10), ("16:00", 15 * 10), ("15:00", 60 * 100 + 15 * 10)],
)
def test_a_reservation_is_cut_where_its_price_changes(from_: str, net: int) -> None:
    raw = session_file(
        [("16:15", 0), ("16:45", 1_000)], reservation={"from": f"2026-07-01T{from_}:00Z"}
    )
    charge = priced(
        raw, reserved("1", end_time="16:00"), reserved("0.10"), element("", energy("0"))
    )
    assert charge.net_minor == net


@pytest.mark.parametrize(("hour", "net"), [("07", 0), ("08", 400), ("19", 400), ("20", 0)])
def test_the_hours_of_an_expired_reservation(hour: str, net: int) -> None:
    """Its fee is due in the day only."""
    raw = exact.dump(
        {
            "session_id": "s", "location": {"time_zone": "UTC"},
            "started_at": f"2026-07-01T{hour}:50:00Z", "ended_at": f"2026-07-01T{hour}:50:00Z",
            "readings": [],
            "reservation": {"from": f"2026-07-01T{hour}:30:00Z", "expired": True},
        }
    )  # fmt: skip
    fee = reserved_flat("4", reservation="expired", start_time="08:00", end_time="20:00")
    assert priced(raw, fee, reserved("0")).net_minor == net


# --- What can't be, and what is turned around ---------------------------------------------------


def test_a_register_that_falls_is_refused() -> None:
    with pytest.raises(CantPrice, match="the register fell from 500 Wh") as caught:
        priced(session_file([("10:00", 0), ("10:30", 500), ("11:00", 400)]), CHEAP)
    assert caught.value.code == "falling_register"


def test_readings_in_any_order_and_more_than_once() -> None:
    ordered = [("10:00", 0), ("10:30", 2_500), ("11:00", 6_000)]
    mixed = [ordered[i] for i in (0, 2, 1, 2, 0, 1)]
    assert priced(session_file(mixed, ended="11:00"), *AT_FOUR) == priced(
        session_file(ordered), *AT_FOUR
    )


def test_without_a_time_zone_a_clock_is_not_guessed() -> None:
    raw = exact.dump(
        {
            "session_id": "s", "location": {"country": "USA"},
            "started_at": "2026-07-01T10:00:00Z", "ended_at": "2026-07-01T11:00:00Z",
            "readings": [{"at": "2026-07-01T10:00:00Z", "energy_wh": 0},
                         {"at": "2026-07-01T11:00:00Z", "energy_wh": 1_000}],
        }
    )  # fmt: skip
    with pytest.raises(CantPrice) as caught:
        priced(raw, *AT_FOUR)
    assert caught.value.code == "missing_time_zone"
    charge = priced(raw, CHEAP)
    assert (charge.net_minor, charge.time_zone) == (10, "UTC")


@pytest.mark.parametrize(
    ("states", "path"),
    [
        ((("10:10", "finished"), ("10:20", "charging")), "$.states[1].state"),
        ((("10:10", "sleeping"),), "$.states[0].state"),
    ],
)
def test_states_that_can_not_be(states: tuple[tuple[str, str], ...], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        priced(session_file([("10:00", 0), ("11:00", 1_000)], states), CHEAP)
    assert caught.value.path == path


# --- Free until something is counted ------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        element("", idle("0.20"), min_idle_s=600),
        element("", energy("0.20"), min_kwh="20"),
        element("", charging("0.20"), min_duration_s=7200),
        element("", charging("0.20"), min_charging_s=7200),
    ],
)
def test_a_tariff_that_begins_later_is_free_until_then(made: dict[str, object]) -> None:
    """A car that left in its grace is not held: free is what the tariff says."""
    raw = session_file([("10:00", 0), ("11:00", 6_000)], (("11:00", "finished"),), ended="11:05")
    charge = priced(raw, made)
    assert (charge.total_minor, charge.energy_wh) == (0, 6_000)


def test_terms_are_left_alone() -> None:
    """A session file has none of its own."""
    assert priced(drive("2026-07-01T10:00", 1), CHEAP).terms == Terms()
