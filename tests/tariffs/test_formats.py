"""Files of tariffs: which format, every way to hold one or several, and from one to another."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from foreign_samples import NATIVE, OCPI, OCPP_21

from wattledger.errors import BadInput, CantSay, Malformed
from wattledger.tariffs.formats import (
    FORMATS,
    convert,
    detect,
    left_behind,
    read_any,
    read_any_list,
)

FILES = {**{f"ocpi-{v}": raw for v, raw in OCPI.items()}, "ocpp-2.1": OCPP_21, "wattledger": NATIVE}
NAMED = pytest.mark.parametrize("form", FILES)


def test_there_is_a_file_of_each_format() -> None:
    assert tuple(FILES) == FORMATS


@NAMED
def test_each_format_is_told_by_its_fields(form: str) -> None:
    assert detect(FILES[form].encode()) == form
    tariff, warnings, found = read_any(FILES[form].encode())
    assert (found, warnings) == (form, [])
    assert tariff.elements
    # The same, where it is said instead of told.
    assert read_any(FILES[form].encode(), form=form)[0] == tariff


@NAMED
def test_a_tariff_becomes_its_own_format_and_is_the_same(form: str) -> None:
    tariff, _, _ = read_any(FILES[form].encode())
    again, warnings, found = read_any(convert(tariff, form))
    assert (again, warnings, found) == (tariff, [], form)


@NAMED
def test_what_is_written_in_our_own_form_loses_nothing(form: str) -> None:
    tariff, _, _ = read_any(FILES[form].encode())
    assert read_any(convert(tariff, "wattledger")) == (tariff, [], "wattledger")
    assert left_behind(tariff, "wattledger") == []


def test_json_for_people() -> None:
    tariff, _, _ = read_any(OCPI["2.2.1"].encode())
    text = convert(tariff, "ocpi-2.2.1").decode()
    assert text.startswith('{\n  "country_code": "NL",\n')
    assert text.endswith("}\n")
    assert '"price": 0.20' in text


def test_several_in_a_file() -> None:
    one, other = OCPI["2.2.1"], OCPP_21
    for text, paths in (
        (f"[{one}, {other}]", ("$[0]", "$[1]")),
        (f'{{"data": [{one}, {other}], "status_code": 1000}}', ("$.data[0]", "$.data[1]")),
    ):
        found = read_any_list(text.encode())
        assert [form for _, _, form in found] == ["ocpi-2.2.1", "ocpp-2.1"]
        broken = text.replace('"currency": "EUR"', '"currency": "eur"')
        with pytest.raises(BadInput) as caught:
            read_any_list(broken.encode())
        assert caught.value.path == f"{paths[0]}.currency"
        broken = text.replace('"currency": "USD"', '"currency": "usd"')
        with pytest.raises(BadInput) as caught:
            read_any_list(broken.encode())
        assert caught.value.path == f"{paths[1]}.currency"
        with pytest.raises(BadInput, match=r"2 tariffs.*expected one"):
            read_any(text.encode())
    assert len(read_any_list((NATIVE + NATIVE.replace("pasadena", "other")).encode())) == 2


def test_one_in_an_envelope() -> None:
    for text in (
        f'{{"data": {OCPI["2.1.1"]}, "status_code": 1000}}',
        f'{{"evseId": 0, "tariff": {OCPP_21}}}',
        f"  [{OCPP_21}]",
    ):
        assert read_any(text.encode())[0].elements


def test_our_own_form_as_json() -> None:
    tariff, _, _ = read_any(NATIVE.encode())
    body = json.loads(convert(tariff, "wattledger"))
    for held in (body, [body], {"tariff": [body]}):
        assert read_any(json.dumps(held).encode())[0] == tariff
    body["elements"][0]["components"][0]["price"] = 0.35
    with pytest.raises(BadInput) as caught:
        read_any(json.dumps(body).encode())
    assert caught.value.path == "$.elements[0].components[0].price"


@pytest.mark.parametrize(
    "raw",
    [b"nonsense", b"\xff", b"{", b"[1", b"[[tariff]", b"[[tariff]]\nid = 1\nid = 2", b"[" * 9999,
     b"a = " + b"[" * 9999, b"a = " + b"[" * 70 + b"]" * 70, b'{"a": NaN}'],
)  # fmt: skip
def test_what_is_neither_json_nor_toml(raw: bytes) -> None:
    for read in (detect, read_any, read_any_list):
        with pytest.raises(Malformed):
            read(raw)


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"1", b"null", b"{}", b"[1]", b'{"data": null}', b'{"elements": []}', b"a = 1",
     b'{"tariff": []}', b'{"elements": [{"foo": 1}]}', b'{"elements": [], "elements": []}'],
)  # fmt: skip
def test_what_holds_no_tariff(raw: bytes) -> None:
    for read in (detect, read_any, read_any_list):
        with pytest.raises(BadInput):
            read(raw)


def test_a_key_that_stands_twice() -> None:
    tariff, _, _ = read_any(NATIVE.encode())
    native = convert(tariff, "wattledger").replace(
        b'"price": "0.35"', b'"price": "1", "price": "2"'
    )
    for raw in (native, OCPP_21.replace('"priceFixed": 2', '"priceFixed": 2, "priceFixed": 3')):
        with pytest.raises(BadInput, match="twice"):
            read_any(raw if isinstance(raw, bytes) else raw.encode())


def test_from_one_standard_to_the_other() -> None:
    raw: dict[str, Any] = {
        "country_code": "NL", "party_id": "ABC", "id": "T", "currency": "EUR",
        "last_updated": "2026-01-01T00:00:00Z",
        "elements": [{"price_components": [
            {"type": "ENERGY", "price": 0.25, "vat": 21, "step_size": 1},
            {"type": "PARKING_TIME", "price": 6, "step_size": 1}],
            "restrictions": {"min_kwh": 2, "min_duration": 60}}],
    }  # fmt: skip
    tariff, _, _ = read_any(json.dumps(raw).encode())
    there = convert(tariff, "ocpp-2.1")
    assert json.loads(there, parse_float=Decimal) == {
        "tariffId": "T", "currency": "EUR",
        "energy": {
            "prices": [{"priceKwh": Decimal("0.25"),
                        "conditions": {"minEnergy": 2000, "minTime": 60}}],
            "taxRates": [{"type": "VAT", "tax": 21}],
        },
        # 6 an hour is 0.1 a minute.
        "idleTime": {"prices": [{"priceMinute": Decimal("0.1"),
                                 "conditions": {"minEnergy": 2000, "minTime": 60}}]},
    }  # fmt: skip
    assert left_behind(tariff, "ocpp-2.1") == ["$.country_code", "$.party_id", "$.last_updated"]
    back, _, _ = read_any(there)
    body = json.loads(
        convert(back, "ocpi-2.2.1", country_code="NL", party_id="ABC",
                last_updated=tariff.last_updated)
    )  # fmt: skip
    assert [e["price_components"][0]["price"] for e in body["elements"]] == [0.25, 6]


def test_what_cant_be_said_is_an_error_that_names_it() -> None:
    tariff, _, _ = read_any(NATIVE.encode())
    with pytest.raises(CantSay) as caught:
        convert(tariff, "ocpi-2.3.0", country_code="US", party_id="ABC")
    assert caught.value.losses == (
        "$.elements[1].restrictions.min_idle_s: OCPI 2.3.0 has no such restriction",
    )
    assert json.loads(convert(tariff, "ocpp-2.1"))["idleTime"]["prices"][0]["conditions"] == {
        "minIdleTime": 600
    }


def test_a_format_is_one_of_five() -> None:
    tariff, _, _ = read_any(NATIVE.encode())
    for call in (lambda: convert(tariff, "ocpi"), lambda: read_any(NATIVE.encode(), form="x"),
                 lambda: left_behind(tariff, "y")):  # fmt: skip
        with pytest.raises(BadInput, match=r"format: .*expected one of ocpi-2\.1\.1"):
            call()
