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
