"""Money, energy, time, ids and errors: values whose right answer can be read off the standard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from wattledger.clock import DrivenClock, SystemClock, require_utc, utc_text
from wattledger.energy import kwh_text, register_wh
from wattledger.errors import BadInput, Malformed, WattledgerError
from wattledger.ids import content_digest, derive
from wattledger.money import (
    Money,
    Rounding,
    allocate,
    divide,
    exponent,
    format_minor,
    major_text,
    parse_minor,
)
from wattledger.section import check_ids, check_known, check_percent, check_zone

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)

# Money.


@pytest.mark.parametrize(
    ("numerator", "half_up", "half_even", "down", "up"),
    [(10, 5, 5, 5, 5), (11, 6, 6, 5, 6), (9, 5, 4, 4, 5), (-9, -5, -4, -4, -5),
     (1, 1, 0, 0, 1), (0, 0, 0, 0, 0)],
)  # fmt: skip
def test_halves_by_each_way_of_rounding(
    numerator: int, half_up: int, half_even: int, down: int, up: int
) -> None:
    """Divided by two: 11 / 2 is 5.5, 9 / 2 is 4.5."""
    ways = (Rounding.HALF_UP, Rounding.HALF_EVEN, Rounding.DOWN, Rounding.UP)
    assert [divide(numerator, 2, way) for way in ways] == [half_up, half_even, down, up]


@pytest.mark.parametrize("denominator", [0, -1])
def test_no_division_by_nothing_or_less(denominator: int) -> None:
    with pytest.raises(ValueError, match="denominator must be positive"):
        divide(1, denominator)


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (5, [3, 7], [2, 3]),  # 1.5 and 3.5: the tie goes to the earlier
        (7, [0, 0], [7, 0]),
        (7, [0, 5], [0, 7]),
        (0, [1, 2], [0, 0]),
    ],
)
def test_a_total_split_by_largest_remainder(
    total: int, weights: list[int], parts: list[int]
) -> None:
    assert allocate(total, weights) == parts


@pytest.mark.parametrize("weights", [[], [1, -1]])
def test_weights_that_can_not_split(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weight"):
        allocate(1, weights)


@pytest.mark.parametrize(
    ("currency", "places"), [("USD", 2), ("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)]
)
def test_the_exponents_of_iso_4217(currency: str, places: int) -> None:
    assert exponent(currency) == places


@pytest.mark.parametrize("code", ["", "US", "usd", "USDT", "U1D", "ÄÖÜ"])
def test_what_is_no_currency(code: str) -> None:
    with pytest.raises(BadInput, match="an ISO 4217 code such as USD"):
        exponent(code)


@pytest.mark.parametrize(
    ("minor", "currency", "plain", "shown"),
    [
        (123_456, "USD", "1234.56", "$1,234.56"),
        (-1_200, "USD", "-12.00", "−$12.00"),
        (5, "USD", "0.05", "$0.05"),
        (0, "EUR", "0.00", "€0.00"),
        (500, "JPY", "500", "¥500"),
        (1_500, "KWD", "1.500", "KWD 1.500"),
    ],
)
def test_amounts_as_text(minor: int, currency: str, plain: str, shown: str) -> None:
    assert major_text(minor, currency) == plain
    assert format_minor(minor, currency) == shown
    assert parse_minor(plain, currency) == minor
    assert str(Money(minor, currency)) == shown


@pytest.mark.parametrize(
    "text",
    ["", "12,00", "1e2", "1e999999", "NaN", "Infinity", "1_000", "１２", " 12", "+1", ".5", "5.",
     "0.001", "1.0000000000000000001", "9" * 16],
)  # fmt: skip
def test_what_is_no_amount_in_dollars(text: str) -> None:
    with pytest.raises(BadInput):
        parse_minor(text, "USD", "price")


def test_an_amount_of_trailing_zeros_is_not_too_fine() -> None:
    assert parse_minor("12.5000", "USD") == 1_250


def test_money_is_added_in_one_currency() -> None:
    assert Money(440, "USD") + Money(-40, "USD") - Money(1, "USD") == Money(399, "USD")
    assert -Money(5, "USD") == Money(-5, "USD")
    with pytest.raises(ValueError, match="can't add USD and EUR"):
        Money(1, "USD") + Money(1, "EUR")


# Energy.


@pytest.mark.parametrize(
    ("value", "unit", "wh"),
    [("1234", "Wh", 1_234), ("1.2345", "kWh", 1_235), ("1.2344", "kWh", 1_234), (" 7 ", "Wh", 7),
     ("0.5", "Wh", 1), ("0.49999999999999999999", "Wh", 0), ("1.5E3", "Wh", 1_500),
     ("+5", "Wh", 5), ("10000000000", "Wh", 10_000_000_000)],
)  # fmt: skip
def test_registers_in_whole_wh_rounded_half_up(value: str, unit: str, wh: int) -> None:
    assert register_wh(value, unit) == wh


@pytest.mark.parametrize(
    ("value", "unit"),
    [("-1", "Wh"), ("10000000001", "Wh"), ("10000001", "kWh"), ("1e999999", "kWh"), ("NaN", "Wh"),
     ("", "Wh"), ("1_0", "Wh"), ("0x10", "Wh"), ("1", "kvarh"), ("1", "MWh")],
)  # fmt: skip
def test_what_is_no_register(value: str, unit: str) -> None:
    with pytest.raises(BadInput, match=r"meterValue\[0\]"):
        register_wh(value, unit, "meterValue[0]")


@pytest.mark.parametrize(
    ("wh", "text"), [(34_021, "34.021"), (5, "0.005"), (0, "0.000"), (-1_500, "-1.500")]
)
def test_energy_as_text(wh: int, text: str) -> None:
    assert kwh_text(wh) == text


# Time.


def test_a_driven_clock_moves_when_it_is_moved_and_never_back() -> None:
    clock = DrivenClock(NOW)
    assert clock.now() == clock.now() == NOW
    clock.advance(NOW)
    clock.advance(NOW + timedelta(hours=1))
    with pytest.raises(ValueError, match="can't go back"):
        clock.advance(NOW)
    assert clock.now() == NOW + timedelta(hours=1)


def test_the_systems_clock_is_in_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_a_time_without_a_zone_is_an_error() -> None:
    with pytest.raises(ValueError, match="a time without a zone"):
        require_utc(datetime(2026, 11, 2))  # noqa: DTZ001
    with pytest.raises(ValueError, match="without a zone"):
        DrivenClock(datetime(2026, 11, 2))  # noqa: DTZ001


def test_times_as_text() -> None:
    berlin = timezone(timedelta(hours=1))
    assert utc_text(datetime(2026, 11, 2, 13, tzinfo=berlin)) == "2026-11-02T12:00:00Z"
    assert utc_text(NOW + timedelta(microseconds=5)) == "2026-11-02T12:00:00.000005Z"


# Ids and errors.


def test_an_id_is_derived_and_can_be_read() -> None:
    first = derive("ses", "CP-1", 7)
    assert first == derive("ses", "CP-1", 7)
    assert first != derive("ses", "CP-1", 8)
    assert first.startswith("ses_")
    assert len(first) == len("ses_") + 20
    assert first[4:].isalnum()


def test_a_digest_is_sha_256() -> None:
    """FIPS 180-4: the digest of nothing."""
    assert content_digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_an_error_says_where_what_came_and_what_was_expected() -> None:
    error = Malformed("$.a", "x" * 200, "a number")
    assert isinstance(error, BadInput)
    assert isinstance(error, WattledgerError)
    assert (error.path, error.expected) == ("$.a", "a number")
    text = str(error)
    assert text.startswith("$.a: got 'xxx")
    assert text.endswith("…, expected a number")
    assert len(text) < 120


# Checks of sections.


@pytest.mark.parametrize("bad", ["", "-a", "a b", "a/b", "ä", "x" * 65, "a\n"])
def test_ids_are_plain(bad: str) -> None:
    with pytest.raises(BadInput, match=r"\$\.site\.id"):
        check_ids("$.site", ["fine", bad])
    assert check_ids("$.site", ["a", "A-1_b.c:d"]) == {"a", "A-1_b.c:d"}


def test_an_id_that_stands_twice() -> None:
    with pytest.raises(BadInput, match="an id that stands only once"):
        check_ids("$.site", ["a", "a"])


def test_an_id_that_is_not_known_lists_what_is() -> None:
    with pytest.raises(BadInput, match=r"expected the id of a plan \(a, b\)"):
        check_known("p", "c", {"b", "a"}, "plan")
    with pytest.raises(BadInput, match="none is configured"):
        check_known("p", "c", set(), "plan")


@pytest.mark.parametrize(
    "zone", ["", "Mars/Olympus", "EST5", "../etc/passwd", "/etc/passwd", "a\0b"]
)
def test_what_is_no_time_zone(zone: str) -> None:
    with pytest.raises(BadInput, match="an IANA time zone"):
        check_zone("z", zone)


@pytest.mark.parametrize("percent", ["", "ten", "-0.1", "100.1", "NaN", "1e999999", "0.0000001"])
def test_what_is_no_percentage(percent: str) -> None:
    with pytest.raises(BadInput, match="a percentage"):
        check_percent("p", percent)


def test_percentages_to_six_places() -> None:
    for percent in ("0", "8.875", "100", "0.000001"):
        check_percent("p", percent)
