"""JSON read exactly: digits kept, keys single, numbers bounded, nesting shallow."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from wattledger.errors import BadInput, Malformed
from wattledger.wire import exact


def test_numbers_keep_their_digits_there_and_back() -> None:
    raw = b'{"a":0.10,"b":[1,-2.50],"c":1E+2,"d":"x"}'
    assert exact.dump(exact.parse(raw)) == raw


def test_whole_numbers_are_int_and_others_decimal() -> None:
    assert exact.parse(b"[1, 1.0]") == [1, Decimal("1.0")]
    assert [type(n) for n in exact.parse(b"[1, 1.0]")] == [int, Decimal]
    assert exact.parse(b"9" * 5000) == Decimal("9" * 5000)


@pytest.mark.parametrize(
    ("text", "sound"),
    [("0", True), ("-9999999999", True), ("1e9", True), ("1e10", False), ("1e-40", True),
     ("1e-41", False), ("9" * 34, False), ("1." + "1" * 33, True), ("1." + "1" * 34, False),
     ("NaN", False), ("sNaN", False), ("Infinity", False), ("0e-999", False)],
)  # fmt: skip
def test_bounds(text: str, sound: bool) -> None:
    assert exact.bounded(Decimal(text)) is sound


def test_a_key_that_stands_twice_is_found_however_deep() -> None:
    value = exact.parse(b'{"a": [{"b": {"c": 1, "d": 2, "c": 3}}]}')
    with pytest.raises(BadInput) as caught:
        exact.check_plain(value, "$")
    assert caught.value.path == "$.a[0].b.c"
    exact.check_plain(exact.parse(b'{"a": [{"a": 1}, {"a": 1}]}'), "$")


def test_a_number_that_is_unbounded_is_found_however_deep() -> None:
    with pytest.raises(BadInput) as caught:
        exact.check_plain(exact.parse(b'{"a": [1, 1e999999]}'), "$")
    assert (caught.value.path, caught.value.got) == ("$.a[1]", "1E+999999")


@pytest.mark.parametrize("depth", [1, exact.DEPTH_MAX, exact.DEPTH_MAX + 1, 900, 100_000])
def test_nesting(depth: int) -> None:
    raw = b"[" * depth + b"]" * depth
    if depth <= exact.DEPTH_MAX:
        assert json.dumps(exact.parse(raw)) == raw.decode()
        return
    with pytest.raises(Malformed):
        exact.parse(raw)


def test_many_shallow_lists_are_no_nesting() -> None:
    assert len(exact.parse(b"[" + b"[]," * 5000 + b"[]]")) == 5001
