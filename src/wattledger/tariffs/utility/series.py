"""Prices of energy over time: a series read from CSV, and sums of two."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

import msgspec

from wattledger.errors import BadInput, Malformed
from wattledger.money import exponent
from wattledger.tariffs.utility.schedule import MINUTE_US, moment_of, us_of
from wattledger.wire.numbers import parse_time

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_PRICE = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,12})?")
_ROWS_MAX = 1_000_000
_SHORTEST_MIN, _LONGEST_MIN = 15, 60


class PerEnergy(StrEnum):
    """What a price in a file is for."""

    KWH = "kWh"
    MWH = "MWh"


class PriceInterval(msgspec.Struct, frozen=True):
    """``price`` per kWh, exact, from ``from_at`` to ``to_at`` (exclusive), in UTC."""

    from_at: datetime
    to_at: datetime
    price: Fraction


class PriceSeries(msgspec.Struct, frozen=True):
    """Prices per kWh in major units of ``currency``, in order, none overlapping, maybe negative."""

    currency: str
    intervals: tuple[PriceInterval, ...]


def read_price_series(
    raw: bytes | str,
    *,
    currency: str,
    per: PerEnergy = PerEnergy.KWH,
    gap_max_min: int = _LONGEST_MIN,
    last_min: int | None = None,
    name: str = "prices",
) -> PriceSeries:
    """Prices out of CSV with the header ``start,price``.

    ``start`` is RFC 3339 with a zone; each interval ends where the next begins, and takes from
    15 to ``gap_max_min`` minutes: more is a gap. The last one takes ``last_min``, or as long as
    the one before it. ``price`` is a plain decimal per ``per``; negative ones are taken.

    Raises BadInput whose path names ``name``, the line and the column: for another header, a
    naive time, a date that is not ISO, duplicates, disorder, gaps, and what is no number.
    """
    exponent(currency)
    _limits(gap_max_min, last_min)
    rows = list(_rows(raw, name))
    if not rows:
        raise BadInput(f"{name}, line 2", None, "at least one line start,price")
    if len(rows) == 1 and last_min is None:
        raise BadInput(f"{name}, line {rows[0][0]}, start", 1, "two lines, or last_min")
    unit = 1000 if per is PerEnergy.MWH else 1
    intervals: list[PriceInterval] = []
    for i, (line, start_us, text) in enumerate(rows):
        if i + 1 < len(rows):
            next_line, end_us, _ = rows[i + 1]
            _step(f"{name}, line {next_line}, start", start_us, end_us, gap_max_min)
        elif last_min is not None:
            end_us = start_us + last_min * MINUTE_US
        else:
            end_us = start_us + (start_us - rows[i - 1][1])
        price = Fraction(_price(text, f"{name}, line {line}, price"))
        intervals.append(
            PriceInterval(moment_of(start_us), moment_of(end_us), Fraction(price, unit))
        )
    return PriceSeries(currency, tuple(intervals))


def sum_of(first: PriceSeries, second: PriceSeries) -> PriceSeries:
    """Both prices together, such as a market's and the grid's, where both are known.

    Raises BadInput when their currencies differ.
    """
    if first.currency != second.currency:
        raise BadInput("currency", second.currency, f"{first.currency}, as in the other series")
    found: list[PriceInterval] = []
    j = 0
    for one in first.intervals:
        while j < len(second.intervals) and second.intervals[j].to_at <= one.from_at:
            j += 1
        k = j
        while k < len(second.intervals) and second.intervals[k].from_at < one.to_at:
            other = second.intervals[k]
            start, end = max(one.from_at, other.from_at), min(one.to_at, other.to_at)
            found.append(PriceInterval(start, end, one.price + other.price))
            k += 1
    return PriceSeries(first.currency, tuple(found))


def _limits(gap_max_min: int, last_min: int | None) -> None:
    for key, value, least in (
        ("gap_max_min", gap_max_min, _SHORTEST_MIN),
        ("last_min", last_min, 1),
    ):
        if value is not None and not least <= value <= 1440:
            raise BadInput(key, value, f"minutes from {least} to 1440")


def _rows(raw: bytes | str, name: str) -> Iterator[tuple[int, int, str]]:
    """Line number, start, price as text."""
    try:
        text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw.removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Malformed(name, raw[:40], f"text in UTF-8 ({error.reason})") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        if header != ["start", "price"]:
            raise BadInput(f"{name}, line 1", ",".join(header), "the header start,price")
        empty: int | None = None
        for count, row in enumerate(reader):
            line = reader.line_num
            if count >= _ROWS_MAX:
                raise BadInput(f"{name}, line {line}", count, f"{_ROWS_MAX} lines at most")
            if not row:  # fine at the end
                empty = empty or line
                continue
            if empty is not None:
                raise BadInput(f"{name}, line {empty}", "", "two columns: start,price")
            if len(row) != 2:
                raise BadInput(f"{name}, line {line}", ",".join(row), "two columns: start,price")
            yield line, _start(row[0], f"{name}, line {line}, start"), row[1]
    except csv.Error as error:
        raise Malformed(f"{name}, line {reader.line_num}", str(error), "CSV") from None


def _start(text: str, path: str) -> int:
    if not _RFC3339.fullmatch(text):
        expected = "an ISO date and time with its zone (RFC 3339), such as 2026-01-01T00:00:00Z"
        raise BadInput(path, text, expected)
    return us_of(parse_time(text, path))


def _price(text: str, path: str) -> str:
    if not _PRICE.fullmatch(text):
        raise BadInput(path, text, "a plain decimal such as 0.0812 or -12.5")
    return text


def _step(path: str, start_us: int, end_us: int, gap_max_min: int) -> None:
    start, end = moment_of(start_us).isoformat(), moment_of(end_us).isoformat()
    if end_us == start_us:
        raise BadInput(path, end, "each start once")
    if end_us < start_us:
        raise BadInput(path, end, f"a start after {start}: lines are in order")
    if end_us - start_us < _SHORTEST_MIN * MINUTE_US:
        raise BadInput(path, end, f"a start {_SHORTEST_MIN} minutes after {start} at least")
    if end_us - start_us > gap_max_min * MINUTE_US:
        expected = f"a start within {gap_max_min} minutes after {start}: there is a gap"
        raise BadInput(path, end, expected)
