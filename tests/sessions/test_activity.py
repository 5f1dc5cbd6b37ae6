"""Who is idle: by what was said, held against what flowed (R13)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wattledger.energy import Reading
from wattledger.sessions import Activity, Change, Fact, activity
from wattledger.sessions.facts import MeterRules

T0 = datetime(2026, 11, 2, 12, tzinfo=UTC)
CHARGING, IDLE, PAUSE = Activity.CHARGING, Activity.VEHICLE_IDLE, Activity.CHARGER_PAUSE
START = Fact("start", T0, 0)


def _at(minutes: int) -> datetime:
    return T0 + timedelta(minutes=minutes)


def _said(*told: tuple[int, Activity]) -> list[Fact]:
    return [Fact("status", _at(minutes), activity=what) for minutes, what in told]


def _changes(*told: tuple[int, Activity]) -> list[Change]:
    return [Change(_at(minutes), what) for minutes, what in told]


def _readings(*read: tuple[int, int]) -> list[Reading]:
    return [Reading(_at(minutes), wh) for minutes, wh in read]


@pytest.mark.parametrize(
    ("told", "ended", "expected"),
    [
        # Charging until something else is said; what is said again changes nothing.
        ([], 60, [(0, CHARGING)]),
        ([(20, IDLE), (30, IDLE), (40, CHARGING)], 60, [(0, CHARGING), (20, IDLE), (40, CHARGING)]),
        ([(0, PAUSE)], 60, [(0, PAUSE)]),
        # After the stop a car that stays is idle, and nothing charges.
        ([], 90, [(0, CHARGING), (60, IDLE)]),
        ([(70, CHARGING)], 90, [(0, CHARGING), (60, IDLE)]),
        # What the charger had stopped it still has, until the car is said to be idle.
        ([(50, PAUSE)], 90, [(0, CHARGING), (50, PAUSE)]),
        ([(50, PAUSE), (70, IDLE)], 90, [(0, CHARGING), (50, PAUSE), (70, IDLE)]),
        ([(70, PAUSE)], 90, [(0, CHARGING), (60, IDLE), (70, PAUSE)]),
        # Nothing after the end, nothing before the start.
        ([(-5, IDLE), (95, PAUSE)], 90, [(0, CHARGING), (60, IDLE)]),
    ],
)  # fmt: skip
def test_by_what_was_said(
    told: list[tuple[int, Activity]], ended: int, expected: list[tuple[int, Activity]]
) -> None:
    """The transaction stops at 60."""
    found = activity.changes(START, _said(*told), _at(60), _at(ended))
    assert found == _changes(*expected)


RULES = MeterRules(power_w=22_000)


@pytest.mark.parametrize(
    ("said", "read", "expected", "told"),
    [
        # 250 W are flowing energy: 125 Wh in half an hour.
        ([(0, CHARGING), (30, IDLE)], [(0, 0), (30, 9_000), (60, 9_124)],
         [(0, CHARGING), (30, IDLE)], False),
        ([(0, CHARGING), (30, IDLE)], [(0, 0), (30, 9_000), (60, 9_125)],
         [(0, CHARGING), (60, IDLE)], True),
        # Only the stretch that is contradicted: then the car is idle as it was said.
        ([(0, CHARGING), (10, IDLE)], [(0, 0), (10, 2_000), (40, 9_000), (60, 9_000)],
         [(0, CHARGING), (40, IDLE)], True),
        # The charger's pause too.
        ([(0, PAUSE)], [(0, 0), (60, 9_000)], [(0, CHARGING), (60, PAUSE)], True),
        # Said within a stretch: two minutes give 880 Wh and 1,833 for times that are not exact.
        ([(0, CHARGING), (12, IDLE)], [(0, 0), (10, 2_000), (40, 4_713)],
         [(0, CHARGING), (12, IDLE)], False),
        ([(0, CHARGING), (12, IDLE)], [(0, 0), (10, 2_000), (40, 4_714)],
         [(0, CHARGING), (40, IDLE)], True),
        # A car that is said to charge and takes nothing is not idle for that.
        ([(0, CHARGING)], [(0, 0), (30, 9_000), (60, 9_000)], [(0, CHARGING)], False),
    ],
)  # fmt: skip
def test_what_the_meter_contradicts_loses(
    said: list[tuple[int, Activity]],
    read: list[tuple[int, int]],
    expected: list[tuple[int, Activity]],
    told: bool,
) -> None:
    found, notes = activity.checked(_changes(*said), _readings(*read), RULES)
    assert found == _changes(*expected)
    assert [note.code for note in notes] == ["status.contradicted"] * told


def test_after_a_stretch_that_was_put_right_goes_on_what_was_said_by_then() -> None:
    """Idle from 10 to 25, contradicted until 20; a pause from 30, contradicted from 40 to 60."""
    said = _changes((0, CHARGING), (10, IDLE), (25, CHARGING), (30, PAUSE), (50, IDLE), (60, PAUSE))
    read = _readings((0, 0), (10, 3_000), (20, 6_000), (40, 8_000), (60, 14_000), (90, 14_000))
    found, notes = activity.checked(said, read, RULES)
    assert found == _changes(
        (0, CHARGING), (20, IDLE), (25, CHARGING), (30, PAUSE), (40, CHARGING), (60, PAUSE)
    )
    assert len(notes) == 1


def test_a_day_of_changing_minds_is_passed_once() -> None:
    """1,440 readings and as many statuses: each is looked at a few times, not each for each."""
    looked_at = 0

    class Watched(list[Change]):
        def __getitem__(self, key: Any) -> Any:
            nonlocal looked_at
            looked_at += len(range(*key.indices(len(self)))) if isinstance(key, slice) else 1
            return super().__getitem__(key)

        def __iter__(self) -> Iterator[Change]:
            nonlocal looked_at
            looked_at += len(self)
            return super().__iter__()

    minutes = range(1, 1_440)
    said = Watched(_changes((0, CHARGING), *((m, (IDLE, CHARGING)[m % 2]) for m in minutes)))
    read = _readings(*((m, 10 * m) for m in range(1_441)))
    found, _ = activity.checked(said, read, RULES)
    # 10 Wh a minute are 600 W: no idle that is not contradicted.
    assert found == _changes((0, CHARGING), (1_439, CHARGING))[:1]
    assert looked_at < 10 * 1_440


def test_a_car_that_trickles_is_idle_where_that_is_wanted() -> None:
    """Below 1,000 W: 499 Wh in half an hour; and not before anything has flowed."""
    rules = MeterRules(22_000, idle_below_w=1_000)
    read = _readings((0, 0), (10, 0), (30, 9_000), (60, 9_499), (90, 9_999))
    found, notes = activity.checked(_changes((0, CHARGING)), read, rules)
    assert found == _changes((0, CHARGING), (30, IDLE), (60, CHARGING))
    assert notes == []


def test_without_a_status_the_meter_alone_makes_nobody_idle() -> None:
    read = _readings((0, 0), (30, 9_000), (60, 9_000))
    assert activity.checked(_changes((0, CHARGING)), read, RULES)[0] == _changes((0, CHARGING))


def test_of_two_at_one_moment_the_later_counts() -> None:
    assert activity.merged(_changes((0, CHARGING), (10, IDLE), (10, CHARGING))) == _changes(
        (0, CHARGING)
    )
