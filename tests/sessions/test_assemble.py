"""From facts to a delivery: what counts, what does not, and what is held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from wattledger.energy import Reading
from wattledger.sessions import Activity, Anomaly, Change, Delivery, Fact, assemble

T0 = datetime(2026, 11, 2, 12, tzinfo=UTC)


def _at(minutes: int) -> datetime:
    return T0 + timedelta(minutes=minutes)


START = Fact("start", T0, 100)
STOP = Fact("stop", _at(60), 900)
IDLE = Fact("status", _at(40), activity=Activity.VEHICLE_IDLE)


def _assemble(*facts: Fact, idle: bool = True) -> Delivery | Anomaly:
    found = assemble("ses_1", "UTC", facts, idle_after_stop=idle)
    return found.delivery or found.held  # type: ignore[return-value]


def _delivery(*facts: Fact, idle: bool = True) -> Delivery:
    found = _assemble(*facts, idle=idle)
    assert isinstance(found, Delivery), found
    return found


def test_a_whole_session() -> None:
    facts = (START, Fact("meter", _at(30), 500), IDLE, STOP, Fact("unplug", _at(75)))
    assert _delivery(*facts) == Delivery(
        "ses_1", "UTC", T0, _at(75),
        (Reading(T0, 100), Reading(_at(30), 500), Reading(_at(60), 900)),
        (Change(T0, Activity.CHARGING), Change(_at(40), Activity.VEHICLE_IDLE)),
    )  # fmt: skip
    assert _delivery(*facts).energy_wh == 800


def test_where_idle_after_the_stop_does_not_count_the_bill_ends_with_it() -> None:
    assert _delivery(START, STOP, Fact("unplug", _at(75)), idle=False).ended_at == _at(60)


def test_a_car_that_stays_after_the_stop_is_idle() -> None:
    found = _delivery(START, STOP, Fact("unplug", _at(75)))
    assert found.changes[-1] == Change(_at(60), Activity.VEHICLE_IDLE)


def test_an_unplug_before_the_stop_closes_nothing() -> None:
    assert _delivery(START, STOP, Fact("unplug", _at(50))).ended_at == _at(60)


def test_readings_after_the_stop_and_before_the_start_are_ignored() -> None:
    found = _delivery(Fact("meter", _at(-5), 50), START, STOP, Fact("meter", _at(61), 950))
    assert [r.register_wh for r in found.readings] == [100, 900]


def test_the_stops_register_counts_over_a_reading_of_the_same_moment() -> None:
    found = _delivery(START, Fact("meter", _at(60), 850), STOP)
    assert found.readings == (Reading(T0, 100), Reading(_at(60), 900))


def test_of_two_readings_of_one_moment_the_higher_counts() -> None:
    for first, second in ((400, 500), (500, 400)):
        found = _delivery(
            START, Fact("meter", _at(30), first), Fact("meter", _at(30), second), STOP
        )
        assert found.readings[1] == Reading(_at(30), 500)


def test_without_a_stop_the_delivery_runs_to_the_last_reading() -> None:
    found = _delivery(START, Fact("meter", _at(30), 500))
    assert (found.ended_at, found.readings[-1]) == (_at(30), Reading(_at(30), 500))
    assert _delivery(START).energy_wh == 0


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ([STOP], "start.missing"),
        ([], "start.missing"),
        ([Fact("start", T0), STOP], "start.missing"),
        ([START, Fact("stop", _at(-1), 900)], "stop.before_start"),
        ([START, Fact("stop", _at(60), 99)], "register.fell"),
        ([START, Fact("meter", _at(30), 901), STOP], "register.fell"),
    ],
)
def test_what_contradicts_itself_is_held_with_its_reason(facts: list[Fact], code: str) -> None:
    found = _assemble(*facts)
    assert isinstance(found, Anomaly)
    assert found.code == code
    assert found.message


def test_a_status_repeated_is_one_change() -> None:
    again = Fact("status", _at(45), activity=Activity.VEHICLE_IDLE)
    assert len(_delivery(START, IDLE, again, STOP).changes) == 2


def test_a_fault_after_the_stop_is_the_chargers_until_it_says_otherwise() -> None:
    fault = Fact("status", _at(65), activity=Activity.CHARGER_PAUSE)
    well = Fact("status", _at(70), activity=Activity.VEHICLE_IDLE)
    found = _delivery(START, STOP, fault, well, Fact("unplug", _at(75)))
    assert found.changes[1:] == (
        Change(_at(60), Activity.VEHICLE_IDLE),
        Change(_at(65), Activity.CHARGER_PAUSE),
        Change(_at(70), Activity.VEHICLE_IDLE),
    )
    before = Fact("status", _at(50), activity=Activity.CHARGER_PAUSE)
    found = _delivery(START, before, STOP, Fact("unplug", _at(75)))
    assert found.changes[1:] == (Change(_at(50), Activity.CHARGER_PAUSE),)


def test_what_was_read_between_does_not_stand_against_a_persons_ends() -> None:
    """9,000 Wh were read on the way, and a person says 8,500 at the stop: 8,400 Wh, no reading."""
    read = (START, Fact("meter", _at(30), 9_000), Fact("stop", _at(60), 50))
    held = _assemble(*read)
    assert isinstance(held, Anomaly)
    found = _delivery(
        *read,
        Fact("correct_start", T0, 100, origin="person"),
        Fact("correct_stop", _at(60), 8_500, origin="person"),
    )
    assert [r.register_wh for r in found.readings] == [100, 8_500]
