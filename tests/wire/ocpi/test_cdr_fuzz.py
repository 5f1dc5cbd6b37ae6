"""Whatever stands in a CDR, the outcome is a value or one of our errors, and nothing unbounded."""

from __future__ import annotations

import json
from datetime import UTC
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from cdr_samples import SAMPLES, places, put_text
from hypothesis import given, settings
from hypothesis import strategies as st

from wattledger.errors import BadInput, WattledgerError
from wattledger.wire.ocpi.cdrs import decode_cdr

BAD = (
    "NaN", "Infinity", "-Infinity", "1e999999", "-1e999999", "1e-999999", "-1", "0", "1.5",
    "9" * 5000, '""', "null", "[]", "{}", "true", '"2026-03-02T09:00:00"', '"NaN"', '"Infinity"',
    '"1e999999"', '"\\u0000"', '"\\ud800"', '"' + "x" * 200_000 + '"', "[null]", "[[]]", "[{}]",
    '{"a": 1, "a": 2}', '{"type": "ENERGY", "volume": 1, "volume": 2}', "[" * 80 + "]" * 80,
    '"0001-01-01T00:00:00+14:00"', '"\u202e"', "",
)  # fmt: skip


def outcome(raw: bytes, version: str | None) -> Any:
    try:
        return decode_cdr(raw, version)
    except WattledgerError as error:
        return error


def check(raw: bytes, version: str | None) -> bool:
    """Whether it was taken; what was taken is bounded and in UTC."""
    found = outcome(raw, version)
    if isinstance(found, WattledgerError):
        assert isinstance(found, BadInput)
        assert found.path.startswith("$")
        assert found.expected
        assert len(str(found)) < 10_000
        return False
    _, cdr, warnings = found
    assert all(isinstance(w, str) and w.startswith("$") for w in warnings)
    numbers = [n for n in cdr.numbers if n is not None]
    times = [cdr.start_date_time, cdr.end_date_time]
    for period in cdr.charging_periods:
        times.append(period.start_date_time)
        numbers += [d.volume for d in period.dimensions]
    assert all(at.tzinfo is UTC for at in times)
    for number in numbers:
        assert abs(number) < Decimal(10**10)
        assert max(number.as_integer_ratio()) < 10**80
    assert cdr.id
    assert len(cdr.currency) == 3
    # What was read is JSON again.
    assert msgspec.json.encode(cdr)
    return True


@pytest.mark.parametrize("version", SAMPLES)
def test_any_value_at_any_place(version: str) -> None:
    sample = json.loads(SAMPLES[version])
    taken = sum(
        check(put_text(sample, place, text), asked)
        for place in places(sample)
        for text in BAD
        for asked in (version, None)
    )
    # Most of what is informative takes any text; what prices takes next to nothing.
    assert taken > 0


PRICING = ("charging_periods", "start_date_time", "end_date_time", "stop_date_time", "currency")


@pytest.mark.parametrize("version", SAMPLES)
def test_what_prices_takes_no_other_kind_of_value(version: str) -> None:
    sample = json.loads(SAMPLES[version])
    for place in places(sample):
        if not place or place[0] not in PRICING:
            continue
        good: set[str] = set()
        if place[-1] == "volume":
            good = {"-1", "0", "1.5"}
        elif place[-1] in ("start_date_time", "end_date_time", "stop_date_time"):
            good = {'"2026-03-02T09:00:00"'}
        elif place[-1] == "tariff_id":
            good = {'""', "null", '"2026-03-02T09:00:00"', '"NaN"', '"Infinity"', '"1e999999"',
                    '"\u202e"', '"0001-01-01T00:00:00+14:00"'}  # fmt: skip
        elif place[-1] == "dimensions":
            good = {"[]"}
        elif place[-1] == "type":
            # An unknown dimension is left out with a warning.
            good = {t for t in BAD if t.startswith('"') and t not in ('"\\ud800"',)}
        # Nothing at all in a list of one leaves an empty list, which is JSON.
        taken = {text for text in BAD if text and check(put_text(sample, place, text), version)}
        assert taken <= good, place


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner,
                                                                max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(data=st.data(), version=st.sampled_from(list(SAMPLES)))
def test_generated_values_at_generated_places(data: Any, version: str) -> None:
    sample = json.loads(SAMPLES[version])
    place = data.draw(st.sampled_from(list(places(sample))))
    check(put_text(sample, place, json.dumps(data.draw(json_values))), version)


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=60))
def test_any_bytes(raw: bytes) -> None:
    check(raw, None)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), version=st.sampled_from(list(SAMPLES)))
def test_damaged_bytes(data: Any, version: str) -> None:
    raw = bytearray(SAMPLES[version].encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] = data.draw(st.integers(0, 255))
    check(bytes(raw), None)


@settings(max_examples=200, deadline=None)
@given(
    digits=st.integers(-(10**9), 10**9),
    places_=st.integers(0, 9),
    version=st.sampled_from(list(SAMPLES)),
)
def test_a_volume_is_what_was_written(digits: int, places_: int, version: str) -> None:
    text = format(Decimal(digits).scaleb(-places_), "f")
    raw = SAMPLES[version].replace("11.5}", text + "}").encode()
    _, cdr, _ = decode_cdr(raw)
    assert str(cdr.charging_periods[0].dimensions[0].volume) == str(Decimal(text))
