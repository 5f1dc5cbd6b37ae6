"""What holds for every amount, register, id and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattledger.clock import utc_text
from wattledger.energy import kwh_text, register_wh
from wattledger.errors import BadInput
from wattledger.ids import derive
from wattledger.money import Rounding, allocate, divide, major_text, parse_minor
from wattledger.wire.numbers import parse_time

AMOUNTS = st.integers(-(10**16), 10**16)
# Naive: the zone is drawn beside it.
EARLIEST, LATEST = (datetime(year, 1, 1) for year in (1970, 2200))  # noqa: DTZ001
CURRENCIES = st.sampled_from(["USD", "EUR", "JPY", "KWD", "CLF"])


@given(AMOUNTS, st.integers(1, 10**9), st.sampled_from(Rounding))
def test_divide_is_the_nearest_integer_on_the_side_its_name_says(
    numerator: int, denominator: int, rounding: Rounding
) -> None:
    exact = Fraction(numerator, denominator)
    got = divide(numerator, denominator, rounding)
    if rounding is Rounding.DOWN:
        assert abs(exact) - 1 < abs(got) <= abs(exact)
    elif rounding is Rounding.UP:
        assert abs(exact) <= abs(got) < abs(exact) + 1
    else:
        assert abs(exact - got) <= Fraction(1, 2)
        if abs(exact - got) == Fraction(1, 2):
            assert abs(got) > abs(exact) if rounding is Rounding.HALF_UP else got % 2 == 0
    assert got == 0 or (got > 0) == (numerator > 0)


@given(AMOUNTS, st.integers(1, 10**9), st.sampled_from(Rounding))
def test_divide_knows_no_difference_between_debit_and_credit(
    numerator: int, denominator: int, rounding: Rounding
) -> None:
    assert divide(-numerator, denominator, rounding) == -divide(numerator, denominator, rounding)


@given(AMOUNTS, st.lists(st.integers(0, 10**9), min_size=1, max_size=8))
def test_allocate_loses_nothing_and_is_off_by_less_than_a_unit(
    total: int, weights: list[int]
) -> None:
    parts = allocate(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    if whole:
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - Fraction(total * weight, whole)) < 1
            assert weight or part == 0


@given(st.integers(-(10**14), 10**14), CURRENCIES)
def test_an_amount_written_and_read_is_the_same(amount: int, currency: str) -> None:
    assert parse_minor(major_text(amount, currency), currency) == amount


@given(st.text(max_size=30) | st.from_regex(r"[-+ ]?[0-9_.eE]{1,30}", fullmatch=True), CURRENCIES)
def test_an_amount_is_read_exactly_or_refused(text: str, currency: str) -> None:
    try:
        minor = parse_minor(text, currency)
    except BadInput:
        return
    places = {"JPY": 0, "KWD": 3, "CLF": 4}.get(currency, 2)
    assert Fraction(minor, 10**places) == Fraction(Decimal(text))


@given(st.text(max_size=30) | st.from_regex(r"[-+ ]?[0-9_.eE]{1,30}", fullmatch=True))
def test_a_register_is_read_to_the_nearest_wh_or_refused(text: str) -> None:
    try:
        wh = register_wh(text, "kWh")
    except BadInput:
        return
    exact = Fraction(Decimal(text.strip())) * 1000
    assert abs(exact - wh) <= Fraction(1, 2)
    assert 0 <= wh <= 10**10


@given(st.integers(0, 10**10))
def test_energy_written_in_kwh_and_read_is_the_same(wh: int) -> None:
    assert register_wh(kwh_text(wh), "kWh") == wh


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_two_ids_are_equal_only_for_equal_parts(left: list[str], right: list[str]) -> None:
    assert (derive("x", *left) == derive("x", *right)) == (left == right)


def test_parts_do_not_run_together() -> None:
    ids = {derive("x", "ab", "c"), derive("x", "a", "bc"), derive("x", "abc"),
           derive("x", "", "abc"), derive("x", "1:a"), derive("xa", "bc")}  # fmt: skip
    assert len(ids) == 6


@given(st.datetimes(EARLIEST, LATEST), st.integers(-14 * 60, 14 * 60))
def test_a_time_written_and_read_is_the_same_moment(naive: datetime, minutes: int) -> None:
    at = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_time(utc_text(at), "at") == at
    assert parse_time(at.isoformat(), "at") == at


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{1,9}[Z+-:0-9]*"))
def test_a_time_is_read_in_utc_or_refused(text: str) -> None:
    try:
        found = parse_time(text, "at")
    except BadInput:
        return
    assert found.tzinfo is UTC


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_outside_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="the years 1 to 9999"):
        parse_time(text, "at")
