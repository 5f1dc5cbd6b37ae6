"""Whatever stands in a tariff of any format, the outcome is a tariff or one of our errors.

What is taken is sound: our own reader takes it too, unless an element can never apply, and no
price is there that was not written.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from foreign_samples import NATIVE, OCPI, OCPP_21
from hypothesis import given, settings
from hypothesis import strategies as st

from wattledger.errors import BadInput, CantSay, WattledgerError
from wattledger.tariffs import read_tariff, to_body
from wattledger.tariffs.formats import FORMATS, convert, read_any, read_any_list

Place = tuple[str | int, ...]
SAMPLES = {
    **{f"ocpi-{version}": text for version, text in OCPI.items()},
    "ocpp-2.1": OCPP_21,
    "wattledger": convert(read_any(NATIVE.encode())[0], "wattledger").decode(),
}
NAMED = pytest.mark.parametrize("form", SAMPLES)
BAD = (
    "NaN", "Infinity", "-Infinity", "1e999999", "-1e999999", "1e-999999", "-1", "0", "1.5", "1e30",
    "9" * 5000, '""', "null", "[]", "{}", "true", '"2026-03-02T09:00:00"', '"NaN"', '"Infinity"',
    '"1e999999"', '"\\u0000"', '"\\ud800"', '"' + "x" * 100_000 + '"', "[null]", "[[]]", "[{}]",
    '{"a": 1, "a": 2}', "[" * 80 + "]" * 80, '"0001-01-01T00:00:00+14:00"', '"\u202e"', '"24:00"',
    '"9999-12-31"', "",
)  # fmt: skip


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    yield place
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from places(item, (*place, key))


def path_of(place: Place) -> str:
    return "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place)


def put(sample: Any, place: Place, text: str) -> bytes:
    """The sample as JSON with ``text`` at ``place``, whatever it is."""
    if not place:
        return text.encode()
    body = copy.deepcopy(sample)
    held = body
    for step in place[:-1]:
        held = held[step]
    held[place[-1]] = "\ue000"
    return json.dumps(body).replace(json.dumps("\ue000"), text).encode()


def outcome(raw: bytes, form: str | None) -> Any:
    try:
        return read_any(raw, form=form)
    except WattledgerError as error:
        return error


def check(raw: bytes, form: str | None) -> bool:
    """Whether it was taken; if so, soundly."""
    found = outcome(raw, form)
    if isinstance(found, WattledgerError):
        assert isinstance(found, BadInput)
        assert found.path.startswith("$")
        assert found.expected
        assert len(str(found)) < 20_000
        return False
    tariff, warnings, _ = found
    assert all(isinstance(w, str) and w.startswith("$") for w in warnings)
    if not any("never applies" in warning for warning in warnings):
        assert read_tariff(to_body(tariff), "$") == tariff
    for element in tariff.elements:
        for component in element.components:
            assert re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", component.price)
            assert 0 <= component.step <= 1_000_000
            assert all(0 <= Decimal(t.percent) <= 100 for t in component.taxes or ())
    for target in FORMATS:
        assert written(tariff, target)
    return True


def written(tariff: Any, target: str) -> Any:
    """Another format takes it or says what it can't say; nothing else."""
    try:
        return convert(tariff, target)
    except CantSay as error:
        return error.losses


@NAMED
def test_any_value_at_any_place(form: str) -> None:
    sample = json.loads(SAMPLES[form])
    taken = 0
    for place in places(sample):
        for text in BAD:
            taken += check(put(sample, place, text), form)
            check(put(sample, place, text), None)
    assert taken > 0


# Where null is no absence: what is required, and the entries of lists.
REQUIRED = {
    "ocpi": {"id", "currency", "elements", "price_components", "type", "price", "step_size",
             "language", "text", "excl_vat", "before_taxes"},
    "ocpp-2.1": {"tariffId", "currency", "prices", "priceKwh", "priceMinute", "priceFixed",
                 "type", "tax", "format", "content"},
    # Our own form is strict: absence is absence, and null only where the model has it.
    "wattledger": {"id", "currency", "elements", "components", "dimension", "price", "unit",
                   "name", "policies", "restrictions", "min_idle_s", "step"},
}  # fmt: skip


@NAMED
def test_null_is_absence_but_for_what_is_required(form: str) -> None:
    sample = json.loads(SAMPLES[form])
    required = REQUIRED["ocpi" if form.startswith("ocpi") else form]
    for place in places(sample):
        # The tariff's own type is optional, that of a component is not; a policy is never null.
        if not place or isinstance(place[-1], int) or place[0] in ("policies", "energy_mix"):
            continue
        # A limit of one side needs that side.
        if place == ("maxCost", "inclTax"):
            continue
        needed = place[-1] in required and place != ("type",)
        found = outcome(put(sample, place, "null"), form)
        assert isinstance(found, BadInput) == needed, place
        if needed:
            assert found.path == path_of(place)


@NAMED
def test_no_entry_of_a_list_is_null(form: str) -> None:
    sample = json.loads(SAMPLES[form])
    for place in places(sample):
        if place and isinstance(place[-1], int) and "energy_mix" not in place:
            found = outcome(put(sample, place, "null"), form)
            assert isinstance(found, BadInput)
            assert found.path == path_of(place)


# What decides a price takes no value of another kind. (name, what it takes out of BAD)
PRICING = {
    "price": {"-1", "0", "1.5"}, "vat": {"0", "1.5", "null"}, "tax": {"0", "1.5"},
    "priceKwh": {"-1", "0", "1.5"}, "priceMinute": {"-1", "0", "1.5"},
    "priceFixed": {"-1", "0", "1.5"}, "step_size": {"0"}, "stack": {"0", "null"},
    "currency": set(), "dimension": set(), "unit": set(),
    "tax_included": {"null"}, "reservation": {"null"}, "evseKind": {"null"},
    "start_time": {"null"}, "end_time": {"null"}, "startTimeOfDay": {"null"},
    "endTimeOfDay": {"null"}, "min_kwh": {"0", "1.5", "null"}, "max_kwh": {"0", "1.5", "null"},
    "minEnergy": {"0", "null"}, "maxEnergy": {"0", "null"},
    "min_power": {"0", "1.5", "null"}, "maxPower": {"0", "1.5", "null"},
    "min_current": {"0", "1.5", "null"}, "maxCurrent": {"0", "1.5", "null"},
    "min_duration": {"0", "null"}, "maxTime": {"0", "null"}, "minIdleTime": {"0", "null"},
    "start_date": {"null", '"9999-12-31"'}, "validToDate": {"null", '"9999-12-31"'},
    "day_of_week": {"null", "[]"}, "dayOfWeek": {"null", "[]"},
}  # fmt: skip


@NAMED
def test_what_prices_takes_no_other_kind_of_value(form: str) -> None:
    sample = json.loads(SAMPLES[form])
    seen = 0
    for place in places(sample):
        good = PRICING.get(str(place[-1])) if place else None
        if good is None:
            continue
        if form == "wattledger":
            good = {"price": {"-1", "0"}, "tax_included": {"null"}}.get(str(place[-1]), set())
        taken = {
            t for t in BAD if t and not isinstance(outcome(put(sample, place, t), form), Exception)
        }
        assert taken <= good, place
        seen += 1
    assert seen >= 5


@NAMED
def test_a_key_that_stands_twice_is_refused_with_its_path(form: str) -> None:
    sample = json.loads(SAMPLES[form])
    for place in places(sample):
        if not place or isinstance(place[-1], int):
            continue
        body: Any = sample
        for step in place:
            body = body[step]
        value, key = json.dumps(body), json.dumps(place[-1])
        found = outcome(put(sample, place, f"{value}, {key}: {value}"), form)
        assert isinstance(found, BadInput), place
        assert "twice" in str(found)
        assert found.path == path_of(place)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), form=st.sampled_from(list(SAMPLES)))
def test_generated_values_at_generated_places(data: Any, form: str) -> None:
    sample = json.loads(SAMPLES[form])
    place = data.draw(st.sampled_from(list(places(sample))))
    check(
        put(sample, place, json.dumps(data.draw(json_values))),
        data.draw(st.sampled_from([form, None])),
    )


@settings(max_examples=200, deadline=None)
@given(data=st.data(), form=st.sampled_from(list(SAMPLES)))
def test_damaged_bytes(data: Any, form: str) -> None:
    raw = bytearray(SAMPLES[form].encode())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(raw), None)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_toml(data: Any) -> None:
    raw = bytearray(NATIVE.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(raw), None)


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=60))
def test_any_bytes(raw: bytes) -> None:
    check(raw, None)
    try:
        found: Any = read_any_list(raw)
    except WattledgerError as error:
        found = error
    assert found
