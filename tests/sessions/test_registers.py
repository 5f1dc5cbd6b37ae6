"""Which readings of a session count, which are left out, and what is held: figures by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattledger.sessions import Fact, registers
from wattledger.sessions.facts import MeterRules, place
from wattledger.sessions.registers import Found

T0 = datetime(2026, 11, 2, 12, tzinfo=UTC)
# 22 kW: 26,400 Wh in an hour with a fifth more, and 1,833 Wh for times that are not exact.
RULES = MeterRules(power_w=22_000)


def _at(minutes: int) -> datetime:
    return T0 + timedelta(minutes=minutes)


def _start(wh: int | None) -> Fact:
    return Fact("start", T0, wh)


def _stop(wh: int | None, minutes: int = 60) -> Fact:
    return Fact("stop", _at(minutes), wh)


def _read(minutes: int, wh: int, origin: str = "sample") -> Fact:
    return Fact("meter", _at(minutes), wh, origin=origin)


def _found(start: Fact, stop: Fact | None, *facts: Fact, rules: MeterRules = RULES) -> Found:
    ordered = sorted((*facts, start, *([stop] if stop else [])), key=place)
    end_at = stop.at if stop else max(fact.at for fact in ordered)
    return registers.readings(start, stop, ordered, end_at, rules)


def _codes(found: Found) -> list[str]:
    return [note.code for note in found.notes]


def _wh(found: Found) -> list[int]:
    assert found.held is None, found.held
    return [reading.register_wh for reading in found.readings]


# The ends.


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        # Signed, else the sample of that context, else the message; the begin: meterStart first.
        ([_read(0, 1_002, "signed_begin"), _read(60, 9_001, "signed_end"),
          _read(0, 1_001, "begin"), _read(60, 9_002, "end")], [1_002, 9_001]),
        ([_read(0, 1_001, "begin"), _read(60, 9_002, "end")], [1_000, 9_002]),
        ([_read(60, 8_995)], [1_000, 9_000]),
        ([], [1_000, 9_000]),
    ],
)  # fmt: skip
def test_what_counts_first_at_the_ends(facts: list[Fact], expected: list[int]) -> None:
    found = _found(_start(1_000), _stop(9_000), *facts)
    assert _wh(found) == expected
    assert _codes(found) == []


@pytest.mark.parametrize(
    ("meter_stop", "noted"), [(9_010, False), (9_011, True), (8_990, False), (8_989, True)]
)
def test_ten_watt_hours_apart_are_no_matter(meter_stop: int, noted: bool) -> None:
    """Of 8,000 Wh a thousandth is 8: the 10 count."""
    found = _found(_start(1_000), _stop(meter_stop), _read(60, 9_000, "end"))
    assert _wh(found)[-1] == 9_000
    assert ("meter.disagrees" in _codes(found)) is noted


@pytest.mark.parametrize(("meter_stop", "noted"), [(20_020, False), (20_021, True)])
def test_nor_is_a_thousandth(meter_stop: int, noted: bool) -> None:
    """20 of 20,000 Wh."""
    found = _found(_start(0), _stop(meter_stop), _read(60, 20_000, "end"))
    assert ("meter.disagrees" in _codes(found)) is noted


@pytest.mark.parametrize(
    ("start", "stop", "facts", "code"),
    [
        # A thousand apart, give or take two in a hundred: kWh and Wh.
        (1_000, 9, [_read(60, 9_000, "end")], "unit.doubtful"),
        (1_000, 9_000, [_read(60, 9, "end")], "unit.doubtful"),
        (1, 9_000, [_read(0, 1_000, "begin")], "unit.doubtful"),
        # Zero beside a register.
        (1_000, 0, [_read(60, 9_000, "end")], "register.doubtful"),
        (1_000, 9_000, [_read(60, 0, "end")], "register.doubtful"),
        (0, 9_000, [_read(0, 5_000, "begin")], "register.doubtful"),
        # More than 22 kW give: 26,400 + 1,833.
        (0, 28_234, [], "energy.implausible"),
        # Fallen, and no reset that could be believed.
        (1_000, 999, [], "register.fell"),
        (1_000, 0, [], "register.fell"),
        (1_000, 900, [_read(30, 950)], "register.fell"),
        (0, 7_000, [_read(30, 8_000)], "register.fell"),
    ],
)  # fmt: skip
def test_what_is_held(start: int, stop: int, facts: list[Fact], code: str) -> None:
    found = _found(_start(start), _stop(stop), *facts)
    assert found.held is not None
    assert (found.held.code, found.readings) == (code, ())


def test_a_signed_register_is_beyond_doubt() -> None:
    found = _found(_start(1_000), _stop(9), _read(60, 9_000, "signed_end"))
    assert _wh(found) == [1_000, 9_000]
    assert _codes(found) == ["meter.disagrees"]


def test_the_most_that_a_charge_point_gives_is_not_too_much() -> None:
    assert _wh(_found(_start(0), _stop(28_233))) == [0, 28_233]
    # Of which no power is known anything can be.
    assert _wh(_found(_start(0), _stop(900_000), rules=MeterRules())) == [0, 900_000]


def test_a_begin_that_nobody_read() -> None:
    found = _found(_start(None), _stop(None), _read(10, 3_000), _read(50, 9_000))
    # From the start it stands at what was read first, to the stop at what was read last.
    assert _wh(found) == [3_000, 3_000, 9_000, 9_000]
    assert _codes(found) == ["begin.missing", "end.missing"]
    # At the very moments of start and stop a context is not missed.
    found = _found(_start(None), _stop(None), _read(0, 3_000), _read(60, 9_000))
    assert (_wh(found), _codes(found)) == ([3_000, 9_000], [])
    # Without a stop (it still runs) there is none to miss.
    assert _codes(_found(_start(1_000), None, _read(10, 3_000))) == []


def test_no_register_at_all() -> None:
    found = _found(_start(None), _stop(None))
    assert found.held is not None
    assert found.held.code == "register.missing"


# Between.


def test_a_dip_is_left_out_however_long_it_is_if_it_is_made_good() -> None:
    """1,000 3,000 [20 25] 6,000 9,000"""
    facts = [_read(10, 3_000), _read(20, 20), _read(25, 25), _read(40, 6_000)]
    found = _found(_start(1_000), _stop(9_000), *facts)
    assert _wh(found) == [1_000, 3_000, 6_000, 9_000]
    assert _codes(found) == ["register.dip", "register.dip"]


def test_a_spike_is_what_nobody_can_have_delivered_by_then() -> None:
    """In ten minutes 22 kW give 4,400 + 1,833 Wh at most."""
    found = _found(_start(1_000), _stop(9_000), _read(10, 7_233))
    assert _wh(found) == [1_000, 7_233, 9_000]
    found = _found(_start(1_000), _stop(9_000), _read(10, 7_234), _read(20, 4_000))
    assert _wh(found) == [1_000, 4_000, 9_000]
    assert _codes(found) == ["register.spike"]


@pytest.mark.parametrize("last", [900, None])
def test_a_spike_hours_after_the_start_is_no_reset(last: int | None) -> None:
    """A register of the session: 50,000 Wh could flow in four hours, but not in the last 15 minutes
    of them (6,600 + 1,833), and it reads 800 after that."""
    facts = [_read(15, 400), _read(225, 500), _read(240, 50_000), _read(255, 800)]
    found = _found(_start(0), _stop(last, 270), *facts)
    assert _wh(found) == [0, 400, 500, 800, last or 800]
    assert _codes(found)[-1] == "register.spike"
    # So it is in a register that began at zero within the session, and where it comes twice.
    facts = [_read(15, 7_000), _read(30, 0), _read(225, 500), _read(235, 50_000),
             _read(240, 50_000), _read(255, 800)]  # fmt: skip
    found = _found(_start(5_000), _stop(900, 270), *facts)
    assert _wh(found)[-1] - _wh(found)[0] == 2_000 + 900
    assert _codes(found) == ["register.spike", "register.spike", "register.reset"]


def test_what_a_gap_leaves_room_for_is_no_spike_though_the_register_falls() -> None:
    """15 minutes: 8,433 Wh. 8,433 before it began at zero, and 900 since; 8,434 are a spike."""
    facts = [_read(225, 0), _read(240, 8_433), _read(255, 800)]
    found = _found(_start(0), _stop(900, 270), *facts)
    assert (_wh(found)[-1], _codes(found)) == (9_333, ["register.reset"])
    facts[1] = _read(240, 8_434)
    found = _found(_start(0), _stop(900, 270), *facts)
    assert (_wh(found)[-1], _codes(found)) == (900, ["register.spike"])


def test_what_makes_a_dip_good_is_no_spike_though_another_dip_follows() -> None:
    facts = [_read(15, 100_500), _read(30, 3), _read(45, 101_000), _read(55, 5)]
    found = _found(_start(100_000), _stop(102_000), *facts)
    assert _wh(found) == [100_000, 100_500, 101_000, 102_000]
    assert _codes(found) == ["register.dip", "register.dip"]


@pytest.mark.parametrize("stop", [_stop(None, 241), None])
def test_a_last_reading_that_leaps_is_held_where_no_other_bears_it_out(stop: Fact | None) -> None:
    """In 15 minutes 8,433 Wh at most: 1,500 + 8,433 = 9,933."""
    before = [_read(15, 1_400), _read(225, 1_500)]
    held = _found(_start(0), stop, *before, _read(240, 9_934)).held
    assert held is not None
    assert held.code == "energy.implausible"
    assert _wh(_found(_start(0), stop, *before, _read(240, 9_933)))[-1] == 9_933
    # A register of the end does: what was read before it may have stood still.
    for end in ([_read(241, 9_950, "end")], [_read(241, 9_950, "signed_end")]):
        assert (
            _wh(_found(_start(0), _stop(None, 241), *before, _read(240, 9_934), *end))[-1] == 9_950
        )
    assert _wh(_found(_start(0), _stop(9_950, 241), *before, _read(240, 9_934)))[-1] == 9_950


def test_two_signed_registers_are_the_measurement() -> None:
    """1,000 Wh, though another register that was read between went from 3,300 to 4,000."""
    ends = [_read(0, 0, "signed_begin"), _read(60, 1_000, "signed_end")]
    between = [_read(15, 3_300), _read(20, 300), _read(45, 4_000)]
    found = _found(_start(3_000), _stop(4_000), *ends, *between)
    assert _wh(found) == [0, 300, 1_000]
    # Both ends were said otherwise too, and two readings are left out.
    assert _codes(found) == ["meter.disagrees"] * 3
    # One alone is no measurement: the register that was read may have begun at zero.
    found = _found(_start(3_000), _stop(None), *ends[1:], *between[::2])
    assert _wh(found) == [3_000, 3_300, 4_000, 5_000]


def test_a_register_that_began_at_zero() -> None:
    """4,900 until it did and 3,000 after it: 7,900."""
    found = _found(_start(100), _stop(3_000), _read(30, 5_000), _read(45, 1_200))
    assert _wh(found) == [100, 5_000, 6_200, 8_000]
    assert _codes(found) == ["register.reset"]
    # A sample at the end may say it alone; meterStop alone may not.
    found = _found(_start(100), _stop(None), _read(30, 5_000), _read(60, 3_000, "end"))
    assert _wh(found) == [100, 5_000, 8_000]


def test_it_may_begin_anew_twice() -> None:
    """100 to 5,000, 0 to 2,000, 0 to 1,500: 4,900 + 2,000 + 1,500."""
    facts = [_read(20, 5_000), _read(30, 800), _read(40, 2_000), _read(50, 300)]
    found = _found(_start(100), _stop(1_500), *facts)
    assert _wh(found)[-1] - _wh(found)[0] == 8_400
    assert _codes(found) == ["register.reset"] * 2


def test_a_register_that_passed_its_last_digit() -> None:
    """1,000,000 − 999,000 + 1,200 = 2,200; of a seventh digit 9,999,900 and 100: 200."""
    found = _found(_start(999_000), _stop(1_200))
    assert _wh(found) == [999_000, 1_001_200]
    assert _codes(found) == ["register.rollover"]
    assert _wh(_found(_start(9_999_900), _stop(100))) == [9_999_900, 10_000_100]
    # What is below zero is none.
    for start in (999_999, 0):
        below = _found(_start(start), _stop(-5)).held
        assert below is not None
        assert below.code == "register.fell"
    # 899,999 is not near the last digit.
    held = _found(_start(899_999), _stop(1_200)).held
    assert held is not None
    assert held.code == "register.fell"


@pytest.mark.parametrize(
    ("before", "end", "held"),
    [
        (9_800, 10, True),  # 10 kWh: 200 Wh more, two minutes at 22 kW give 2,713
        (9_800, 9, True),  # rounded down
        (9_800, 8, False),  # 1,800 less than there was: it began anew
        (9_800, 15, False),  # 5,200 more than there was, too much for two minutes
        (900, 1, False),  # too little to tell
    ],
)
def test_a_thousandth_at_the_end_is_kwh_or_a_reset(before: int, end: int, held: bool) -> None:
    found = _found(_start(0), _stop(None), _read(58, before), _read(60, end, "end"))
    assert (found.held is not None) is held
    if found.held:
        assert found.held.code == "unit.doubtful"


def test_what_goes_on_as_wh_was_no_kwh() -> None:
    found = _found(_start(0), _stop(700), _read(30, 5_000), _read(32, 5), _read(40, 300))
    assert _wh(found) == [0, 5_000, 5_005, 5_300, 5_700]


# Intervals.


def _used(minutes: int, wh: int) -> Fact:
    return Fact("meter", _at(minutes), wh, origin="interval")


def test_intervals_are_summed_where_there_is_no_register() -> None:
    found = _found(_start(None), _stop(None), _used(20, 2_500), _used(40, 3_500), _used(60, 4_000))
    assert (_wh(found), _codes(found)) == ([0, 2_500, 6_000, 10_000], [])
    # From a register at the start they go on.
    found = _found(_start(1_000), _stop(None), _used(30, 2_500), _used(60, 3_500))
    assert (_wh(found), _codes(found)) == ([1_000, 3_500, 7_000], [])
    # What was used before the start is another's.
    found = _found(_start(None), _stop(None), _used(0, 9_999), _used(60, 4_000))
    assert _wh(found)[-1] == 4_000


def _by_the_clock(minutes: int, wh: int) -> Fact:
    return Fact("meter", _at(minutes), wh, origin="interval_clock")


def test_what_is_said_by_the_clock_too_counts_once() -> None:
    """4 times 1,000 Wh twice: 4,000. Where one has more of it the other lacks some."""
    quarters = (15, 30, 45, 60)
    own = [_used(minutes, 1_000) for minutes in quarters]
    clock = [_by_the_clock(minutes - 2, 1_000) for minutes in quarters]
    for facts in ([*own, *clock], own, clock):
        assert _wh(_found(_start(0), _stop(None), *facts))[-1] == 4_000
    assert _wh(_found(_start(0), _stop(None), *own[:2], *clock[:3]))[-1] == 3_000
    assert _wh(_found(_start(0), _stop(None), *own[:3], *clock[:2]))[-1] == 3_000
    # Of one moment the higher counts.
    assert _wh(_found(_start(0), _stop(None), *own, _used(30, 900)))[-1] == 4_000


def test_registers_go_before_intervals() -> None:
    found = _found(_start(1_000), _stop(9_000), _read(30, 5_000), _used(30, 7_000), _used(60, 1))
    assert _wh(found) == [1_000, 5_000, 9_000]


# Whatever comes.


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 3_000),
    st.integers(0, 30_000),
    st.lists(
        st.tuples(
            st.integers(1, 59),
            st.integers(0, 30_000),
            st.sampled_from(("sample", "begin", "end", "signed_end", "interval")),
        ),
        max_size=6,
    ),
)
def test_never_falling_and_never_more_than_can_be(
    start: int, stop: int, between: list[tuple[int, int, str]]
) -> None:
    facts = [_read(minutes, wh, origin) for minutes, wh, origin in between]
    found = _found(_start(start), _stop(stop), *facts)
    assert found == _found(_start(start), _stop(stop), *reversed(facts))
    if found.held is None:
        told = _wh(found)
        assert told == sorted(told)
        assert told[-1] - told[0] <= 28_233
        assert [r.at for r in found.readings] == sorted({r.at for r in found.readings})
