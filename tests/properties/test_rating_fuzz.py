"""Whatever stands in a record or a session file, the outcome is a charge or one of our errors.

What is priced is sound: it adds up, is the same bytes after decoding, and every explanation of it
can be rendered.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattledger.errors import BadInput, CantPrice, WattledgerError
from wattledger.rating import Charge, decode, driver_text, encode
from wattledger.rating.inputs import price_file
from wattledger.rating.report import report
from wattledger.tariffs import Tariff, read_tariff

Place = tuple[str | int, ...]

TARIFF_221 = {
    "country_code": "DE", "party_id": "ALL", "id": "t", "currency": "EUR",
    "min_price": {"excl_vat": 0.5, "incl_vat": 0.55},
    "start_date_time": "2020-01-01T00:00:00Z", "end_date_time": "2030-01-01T00:00:00Z",
    "elements": [
        {
            "price_components": [
                {"type": "TIME", "price": 5, "vat": 20, "step_size": 300},
                {"type": "FLAT", "price": 2, "vat": 20, "step_size": 1},
            ],
            "restrictions": {"reservation": "RESERVATION"},
        },
        {
            "price_components": [{"type": "ENERGY", "price": 0.4, "vat": 10, "step_size": 100}],
            "restrictions": {
                "start_time": "10:30", "end_time": "17:00", "start_date": "2026-01-01",
                "end_date": "2027-01-01", "min_kwh": 1, "max_kwh": 50, "min_power": 1,
                "max_power": 60, "min_current": 1, "max_current": 90, "min_duration": 0,
                "max_duration": 86400, "day_of_week": ["WEDNESDAY"],
            },
        },
        {
            "price_components": [
                {"type": "FLAT", "price": 0.5, "vat": 20, "step_size": 1},
                {"type": "ENERGY", "price": 0.25, "vat": 10, "step_size": 1},
                {"type": "PARKING_TIME", "price": 2, "vat": 20, "step_size": 900},
                {"type": "TIME", "price": 1, "step_size": 60},
            ]
        },
    ],
    "last_updated": "2026-01-01T00:00:00Z",
}  # fmt: skip
CDR_221 = {
    "country_code": "DE", "party_id": "ALL", "id": "c", "session_id": "s",
    "start_date_time": "2026-07-01T10:00:00Z", "end_date_time": "2026-07-01T12:00:00Z",
    "cdr_token": {"uid": "1", "type": "RFID", "contract_id": "C"}, "auth_method": "WHITELIST",
    "cdr_location": {"id": "L", "country": "DEU", "connector_power_type": "DC"},
    "currency": "EUR", "tariffs": [TARIFF_221],
    "charging_periods": [
        {"start_date_time": "2026-07-01T10:00:00Z", "tariff_id": "t",
         "dimensions": [{"type": "RESERVATION_TIME", "volume": 0.25}]},
        {"start_date_time": "2026-07-01T10:15:00Z", "tariff_id": "t",
         "dimensions": [{"type": "ENERGY", "volume": 12.345}, {"type": "TIME", "volume": 0.75},
                        {"type": "MIN_POWER", "volume": 10}, {"type": "MAX_POWER", "volume": 20},
                        {"type": "MIN_CURRENT", "volume": 16},
                        {"type": "MAX_CURRENT", "volume": 32}]},
        {"start_date_time": "2026-07-01T11:00:00Z",
         "dimensions": [{"type": "PARKING_TIME", "volume": 1}], "tariff_id": "t"},
    ],
    "total_cost": {"excl_vat": 8.61, "incl_vat": 9.9}, "total_energy": 12.345, "total_time": 2,
    "total_parking_time": 1, "last_updated": "2026-07-01T12:00:00Z",
}  # fmt: skip
CDR_230 = CDR_221 | {
    "tariffs": [
        {key: value for key, value in TARIFF_221.items() if key != "min_price"}
        | {"tax_included": "YES", "max_price": {"before_taxes": 90, "after_taxes": 99}}
    ],
    "total_cost": {"before_taxes": 8, "taxes": [{"name": "VAT", "percentage": 20, "amount": 1}]},
}
CDR_211 = {
    "id": "c", "start_date_time": "2026-07-01T10:00:00Z", "stop_date_time": "2026-07-01T12:00:00Z",
    "auth_id": "A", "auth_method": "WHITELIST", "currency": "EUR",
    "location": {"id": "L", "time_zone": "Europe/Berlin", "country": "DEU"},
    "tariffs": [
        {"id": "t", "currency": "EUR", "last_updated": "2026-01-01T00:00:00Z", "elements": [
            {"price_components": [{"type": "ENERGY", "price": 0.25, "step_size": 1},
                                  {"type": "PARKING_TIME", "price": 2, "step_size": 900}]}]}
    ],
    "charging_periods": [
        {"start_date_time": "2026-07-01T10:00:00Z",
         "dimensions": [{"type": "ENERGY", "volume": 12.345}]},
        {"start_date_time": "2026-07-01T11:00:00Z",
         "dimensions": [{"type": "PARKING_TIME", "volume": 1}]},
    ],
    "total_cost": 4, "total_energy": 12.345, "total_time": 2,
    "last_updated": "2026-07-01T12:00:00Z",
}  # fmt: skip
SESSION = {
    "session_id": "s", "location": {"id": "L", "country": "DEU", "time_zone": "Europe/Berlin"},
    "evse": {"id": "E", "max_power_w": 22000, "kind": "AC"},
    "started_at": "2026-07-01T10:00:00Z", "ended_at": "2026-07-01T12:00:00Z",
    "readings": [
        {"at": "2026-07-01T10:00:00Z", "energy_wh": 1000, "power_w": 7000, "current_a": 16},
        {"at": "2026-07-01T10:40:00Z", "energy_wh": 5432.1, "power_w": 7000.5, "current_a": 16.2},
        {"at": "2026-07-01T11:00:00+00:00", "energy_wh": 9999},
    ],
    "states": [
        {"at": "2026-07-01T10:00:00Z", "state": "charging"},
        {"at": "2026-07-01T10:20:00Z", "state": "suspended_evse"},
        {"at": "2026-07-01T10:30:00Z", "state": "charging"},
        {"at": "2026-07-01T10:50:00Z", "state": "suspended_ev"},
        {"at": "2026-07-01T11:00:00Z", "state": "finished"},
    ],
    "reservation": {"from": "2026-07-01T09:30:00Z", "to": "2026-07-01T10:00:00Z",
                    "expired": False},
}  # fmt: skip
FOR_SESSIONS = read_tariff(
    {
        "id": "t", "currency": "EUR",
        "elements": [
            {"components": [{"dimension": "energy", "price": "0.50", "unit": "kWh"}],
             "restrictions": {"start_time": "12:30", "end_time": "13:00", "min_kwh": "0.5",
                              "max_power_kw": "11", "min_current_a": "6", "evse_kind": "AC",
                              "start_season": "06-01", "end_season": "09-01"}},
            {"components": [{"dimension": "energy", "price": "0.30", "unit": "kWh"},
                            {"dimension": "charging_time", "price": "0.01", "unit": "minute"},
                            {"dimension": "flat", "price": "1", "unit": "session"}]},
            {"components": [{"dimension": "idle_time", "price": "0.20", "unit": "minute"}],
             "restrictions": {"min_idle_s": 600}},
            {"components": [{"dimension": "reservation_time", "price": "0.05", "unit": "minute"}]},
        ],
        "caps": [{"dimension": "idle_time", "amount": "6"}],
    },
    "$",
)  # fmt: skip
SAMPLES: dict[str, tuple[Any, tuple[Tariff, ...]]] = {
    "cdr-2.1.1": (CDR_211, ()),
    "cdr-2.2.1": (CDR_221, ()),
    "cdr-2.3.0": (CDR_230, ()),
    "session": (SESSION, (FOR_SESSIONS,)),
}
NAMED = pytest.mark.parametrize("name", SAMPLES)
BAD = (
    "NaN", "Infinity", "-Infinity", "1e999999", "-1e999999", "1e-999999", "0e-999999", "-1", "0",
    "1.5", "1e30", "1e9", "9" * 5000, "0." + "1" * 50, "null", "true", "[]", "{}", "[null]", "[[]]",
    "[{}]", '""', '"NaN"', '"1e999999"', '"-0"', '"2026-07-01T10:15:00"', '"2026-07-01"',
    '"2026-07-01T10:15:00+14:00"', '"1969-12-31T23:59:59Z"', '"9999-12-31T23:59:59Z"',
    '"0001-01-01T00:00:00+14:00"', '"2026-07-01T11:59:60Z"', '"2026-07-01T11:30:00.999999Z"',
    '"2036-07-01T11:30:00Z"', '"24:00"', '"25:61"', '"00:00"', '"\\u0000"', '"\\ud800"',
    '"\u202e"', '"' + "x" * 20_000 + '"', '{"a": 1, "a": 2}', "[" * 80 + "]" * 80, '"USD"',
    '"XXX"', '"Europe"', '"RESERVATION_EXPIRES"', "",
)  # fmt: skip


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    yield place
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from places(item, (*place, key))


def put(sample: Any, *changes: tuple[Place, str]) -> bytes:
    """The sample as JSON with texts at places, whatever they are."""
    body = copy.deepcopy(sample)
    for i, (place, text) in enumerate(changes):
        if not place:
            return text.encode("utf-8", "replace")
        held = body
        try:
            for step in place[:-1]:
                held = held[step]
            held[place[-1]] = chr(0xE000 + i)
        except (TypeError, KeyError, IndexError):
            continue  # another change took the place away
    raw = json.dumps(body, ensure_ascii=False)
    for i, (_, text) in enumerate(changes):
        raw = raw.replace(f'"{chr(0xE000 + i)}"', text)
    return raw.encode("utf-8", "replace")


def check(raw: bytes, tariffs: tuple[Tariff, ...]) -> bool:
    """Whether it was priced."""
    found = outcome(raw, tariffs)
    if isinstance(found, WattledgerError):
        assert isinstance(found, BadInput | CantPrice)
        assert 10 < len(str(found)) < 20_000
        if isinstance(found, BadInput):
            assert found.path
            assert found.expected
        return False
    sound(*found)
    return True


def outcome(
    raw: bytes, tariffs: tuple[Tariff, ...]
) -> tuple[Charge, tuple[Tariff, ...]] | WattledgerError:
    try:
        return price_file(raw, tariffs, policies={"negative_energy": "credit"})
    except WattledgerError as error:
        return error


def sound(charge: Charge, tariffs: tuple[Tariff, ...]) -> None:
    assert decode(encode(charge)) == charge
    assert sum(line.net_minor for line in charge.lines) == charge.net_minor
    assert sum(line.total_minor for line in charge.lines) == charge.total_minor
    assert sum(tax.tax_minor for tax in charge.taxes) == charge.tax_minor
    assert sum(amount for _, amount in charge.streams) == charge.net_minor
    assert charge.started_at <= charge.ended_at
    assert driver_text(charge, tariffs, reasons=True)
    assert msgspec.json.encode(report(charge, tariffs))


@NAMED
def test_the_sample_is_priced(name: str) -> None:
    sample, tariffs = SAMPLES[name]
    assert check(json.dumps(sample).encode(), tariffs)


@NAMED
def test_any_value_at_any_place(name: str) -> None:
    sample, tariffs = SAMPLES[name]
    priced = 0
    for place in places(sample):
        for text in BAD:
            priced += check(put(sample, (place, text)), tariffs)
    assert priced > 100


@NAMED
def test_anything_left_out_or_there_twice(name: str) -> None:
    sample, tariffs = SAMPLES[name]
    for place in places(sample):
        if not place:
            continue
        body = copy.deepcopy(sample)
        held = body
        for step in place[:-1]:
            held = held[step]
        if isinstance(place[-1], int):
            held.insert(place[-1], copy.deepcopy(held[place[-1]]))
            check(json.dumps(body).encode(), tariffs)
            held.pop(place[-1])
            held.pop(place[-1])
        else:
            key = json.dumps(place[-1])
            twice = json.dumps(held).replace(f"{key}: ", f"{key}: 1, {key}: ", 1)
            check(put(sample, (place[:-1], twice)), tariffs)
            del held[place[-1]]
        check(json.dumps(body).encode(), tariffs)


@NAMED
def test_what_is_not_known_is_said(name: str) -> None:
    """A field that we do not read is a warning with its path."""
    sample, tariffs = SAMPLES[name]
    for place in places(sample):
        body = copy.deepcopy(sample)
        held = body
        for step in place:
            held = held[step]
        if not isinstance(held, dict):
            continue
        held["flavour"] = "sweet"
        charge, _ = price_file(json.dumps(body).encode(), tariffs)
        path = "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place)
        assert any(warning.startswith(f"{path}.flavour") for warning in charge.warnings), path


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(list(SAMPLES)))
def test_several_at_once(data: st.DataObject, name: str) -> None:
    sample, tariffs = SAMPLES[name]
    found = list(places(sample))[1:]
    texts = st.one_of(
        st.sampled_from(BAD),
        st.integers(-(10**12), 10**12).map(str),
        st.decimals(-100, 1000, places=3).map(str),
        st.datetimes().map(lambda at: f'"{at.isoformat()}Z"'),
        st.text(max_size=5).map(json.dumps),
    )
    changes = data.draw(st.lists(st.tuples(st.sampled_from(found), texts), min_size=1, max_size=4))
    check(put(sample, *changes), tariffs)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(list(SAMPLES)))
def test_bytes_that_are_anything(raw: bytes, name: str) -> None:
    _, tariffs = SAMPLES[name]
    check(raw, tariffs)
    check(b'{"charging_periods":' + raw, tariffs)
    check(b'{"readings":' + raw + b"}", tariffs)
