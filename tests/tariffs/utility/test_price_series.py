"""Prices out of CSV, line by line, and what is refused with its line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from utility_samples import at, series

from wattledger.errors import BadInput, Malformed
from wattledger.tariffs.utility import PerEnergy, read_price_series, sum_of

HOURS = """start,price
2026-06-01T00:00:00Z,0.10
2026-06-01T01:00:00Z,-0.025
2026-06-01T02:00:00Z,0
"""


def test_hours_and_a_negative_price() -> None:
    found = read_price_series(HOURS, currency="EUR")
    assert found == series(
        ("2026-06-01 00:00", "2026-06-01 01:00", "0.10"),
        ("2026-06-01 01:00", "2026-06-01 02:00", "-0.025"),
        ("2026-06-01 02:00", "2026-06-01 03:00", "0"),  # as long as the one before
        currency="EUR",
    )


def test_per_mwh_is_exact() -> None:
    found = read_price_series(
        "start,price\n2026-06-01T00:00:00Z,-500.0\n2026-06-01T01:00:00Z,87.31\n",
        currency="EUR",
        per=PerEnergy.MWH,
    )
    assert [x.price for x in found.intervals] == [Fraction("-0.5"), Fraction("0.08731")]


def test_quarters_and_hours_may_mix_and_the_last_length_may_be_said() -> None:
    text = (
        "start,price\r\n2026-06-01T00:00:00Z,1\r\n2026-06-01T01:00:00Z,2\r\n"
        "2026-06-01T01:15:00Z,3\r\n\r\n"
    )
    found = read_price_series(text, currency="EUR", last_min=60)
    lengths = [(x.to_at - x.from_at) // timedelta(minutes=1) for x in found.intervals]
    assert lengths == [60, 15, 60]
    alone = read_price_series("start,price\n2026-06-01T00:00:00Z,1", currency="EUR", last_min=30)
    assert alone.intervals[0].to_at == at("2026-06-01 00:30")


def test_local_times_with_their_offset_over_a_change_of_the_clocks() -> None:
    # 25 October 2026 in Berlin: 02:00 comes twice, an hour apart.
    text = (
        "start,price\n2026-10-25T01:00:00+02:00,1\n2026-10-25T02:00:00+02:00,2\n"
        "2026-10-25T02:00:00+01:00,3\n2026-10-25T03:00:00+01:00,4\n"
    )
    found = read_price_series(text.encode(), currency="EUR")
    assert [x.from_at for x in found.intervals] == [
        datetime(2026, 10, 24, 23, tzinfo=UTC) + timedelta(hours=n) for n in range(4)
    ]


def test_a_byte_order_mark_is_no_harm() -> None:
    assert read_price_series("\ufeff" + HOURS, currency="EUR") == read_price_series(
        b"\xef\xbb\xbf" + HOURS.encode(), currency="EUR"
    )


def line(number: int, text: str) -> str:
    lines = HOURS.splitlines()
    lines[number - 1] = text
    return "\n".join(lines)


BAD = [
    (line(1, "time,price"), "prices, line 1"),
    (line(1, "start;price"), "prices, line 1"),
    ("", "prices, line 1"),
    ("start,price\n", "prices, line 2"),
    ("start,price\n2026-06-01T00:00:00Z,1\n", "prices, line 2, start"),
    (line(3, "2026-06-01T01:00:00,1"), "prices, line 3, start"),  # naive
    (line(3, "01/06/2026 01:00,1"), "prices, line 3, start"),  # the format switches
    (line(3, "2026-06-01,1"), "prices, line 3, start"),
    (line(3, "20260601T010000Z,1"), "prices, line 3, start"),
    (line(3, "2026-W23-1T01:00:00Z,1"), "prices, line 3, start"),
    (line(3, "1780275600,1"), "prices, line 3, start"),
    (line(3, "2026-06-31T01:00:00Z,1"), "prices, line 3, start"),
    (line(3, "2026-06-01T00:00:00Z,1"), "prices, line 3, start"),  # a duplicate
    (line(3, "2026-05-31T23:00:00Z,1"), "prices, line 3, start"),  # disorder
    (line(3, "2026-06-01T00:10:00Z,1"), "prices, line 3, start"),  # 10 minutes
    (line(3, "2026-06-01T01:30:00Z,1"), "prices, line 3, start"),  # a gap
    (line(4, "2026-06-01T02:30:00Z,1"), "prices, line 4, start"),
    (line(3, "2026-06-01T01:00:00Z,NaN"), "prices, line 3, price"),
    (line(3, "2026-06-01T01:00:00Z,Infinity"), "prices, line 3, price"),
    (line(3, "2026-06-01T01:00:00Z,1e999999"), "prices, line 3, price"),
    (line(3, "2026-06-01T01:00:00Z,"), "prices, line 3, price"),
    (line(3, '2026-06-01T01:00:00Z,"0,10"'), "prices, line 3, price"),
    (line(3, "2026-06-01T01:00:00Z,0,10"), "prices, line 3"),
    (line(3, "2026-06-01T01:00:00Z"), "prices, line 3"),
    (line(3, ""), "prices, line 3"),
    (line(3, "2026-06-01T01:00:00Z, 1"), "prices, line 3, price"),
    (line(3, "2026-06-01T01:00:00Z,٣"), "prices, line 3, price"),
    (line(3, '2026-06-01T01:00:00Z,"1'), "prices, line 4"),
]


@pytest.mark.parametrize(("text", "path"), BAD)
def test_what_is_wrong_is_named_with_its_line(text: str, path: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_price_series(text, currency="EUR")
    assert caught.value.path == path


def test_the_messages_say_what_to_do() -> None:
    with pytest.raises(BadInput, match="append Z for UTC"):
        read_price_series(line(3, "2026-06-01T01:00:00,1"), currency="EUR")
    with pytest.raises(BadInput, match=r"within 60 minutes after .*there is a gap"):
        read_price_series(line(3, "2026-06-01T01:30:00Z,1"), currency="EUR")
    with pytest.raises(BadInput, match="an ISO date"):
        read_price_series(line(3, "01/06/2026 01:00,1"), currency="EUR")


def test_a_longer_gap_may_be_allowed() -> None:
    text = line(3, "2026-06-01T01:30:00Z,1")
    found = read_price_series(text, currency="EUR", gap_max_min=90)
    assert found.intervals[0].to_at == at("2026-06-01 01:30")


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"currency": "eur"}, "currency"),
        ({"gap_max_min": 5}, "gap_max_min"),
        ({"last_min": 0}, "last_min"),
        ({"last_min": 100_000}, "last_min"),
    ],
)
def test_arguments(arguments: dict[str, object], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_price_series(HOURS, **{"currency": "EUR", **arguments})  # type: ignore[arg-type]
    assert caught.value.path == path


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(Malformed):
        read_price_series(b"\xff\xfe", currency="EUR")


def test_the_sum_of_a_market_and_a_grid() -> None:
    market = series(
        ("2026-06-01 00:00", "2026-06-01 01:00", "0.10"),
        ("2026-06-01 01:00", "2026-06-01 02:00", "-0.02"),
    )
    grid = series(("2026-06-01 00:30", "2026-06-01 03:00", "0.05"))
    assert sum_of(market, grid) == series(
        ("2026-06-01 00:30", "2026-06-01 01:00", "0.15"),
        ("2026-06-01 01:00", "2026-06-01 02:00", "0.03"),
    )
    with pytest.raises(BadInput):
        sum_of(market, series(currency="EUR"))


@given(
    st.lists(st.tuples(st.sampled_from([15, 30, 45, 60]), st.integers(-(10**9), 10**9)), min_size=2)
)
def test_a_file_reads_back_as_it_was_written(rows: list[tuple[int, int]]) -> None:
    moment, lines, starts = at("2026-03-28 20:00"), ["start,price"], []
    for minutes, units in rows:
        sign = "-" if units < 0 else ""
        lines.append(f"{moment.isoformat()},{sign}{abs(units) // 1000}.{abs(units) % 1000:03d}")
        starts.append(moment)
        moment += timedelta(minutes=minutes)
    found = read_price_series("\n".join(lines), currency="EUR").intervals
    assert [x.from_at for x in found] == starts
    assert [x.price for x in found] == [Fraction(units, 1000) for _, units in rows]
    assert all(a.to_at == b.from_at for a, b in pairwise(found))
