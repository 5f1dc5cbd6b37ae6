"""CDRs of OCPI 2.1.1, 2.2.1 and 2.3.0: what is read, what is warned of and what is refused."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from cdr_samples import (
    CDR_211,
    CDR_221,
    CDR_230,
    MINIMAL,
    PERIODS,
    SAMPLES,
    at,
    path_of,
    places,
    put,
)

from wattledger.errors import BadInput, Malformed
from wattledger.wire.ocpi import cdrs, v211, v221, v230
from wattledger.wire.ocpi.cdrs import decode_cdr, each_cdr
from wattledger.wire.ocpi.common import AuthMethod, DimensionType, PowerType, TokenType

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
TEN = datetime(2026, 3, 2, 10, tzinfo=UTC)
VERSIONS = pytest.mark.parametrize("version", SAMPLES)


def minimal(**changed: Any) -> bytes:
    return json.dumps({**MINIMAL, **changed}).encode()


def with_volume(text: str) -> bytes:
    return minimal().replace(b'"volume": 1', b'"volume": ' + text.encode())


def slow(text: str) -> tuple[Any, list[str]]:
    """What the slow way makes of it: an unknown field sends it there."""
    _, cdr, warnings = decode_cdr(text.replace('"id"', '"foo": 1, "id"', 1).encode())
    return cdr, warnings


def refusal(raw: bytes, version: str) -> BadInput | None:
    try:
        decode_cdr(raw, version)
    except BadInput as error:
        return error
    return None


@VERSIONS
def test_every_field_of_a_version_is_known_and_tells_the_version(version: str) -> None:
    found, cdr, warnings = decode_cdr(SAMPLES[version].encode())
    assert (found, warnings) == (version, [])
    assert (cdr.id, cdr.currency) == ("cdr-1", "EUR")
    assert (cdr.start_date_time, cdr.end_date_time) == (NINE, TEN)
    first, second = cdr.charging_periods
    assert [(d.type, d.volume) for d in first.dimensions] == [
        (DimensionType.ENERGY, Decimal("11.5")),
        (DimensionType.TIME, Decimal("0.75")),
        (DimensionType.MAX_POWER, Decimal(22)),
    ]
    assert (first.tariff_id, second.tariff_id) == ("DAY", None)
    assert json.loads(bytes(cdr.tariffs[0]))["id"] == "DAY"
    assert cdr.country == "NLD"
    assert cdr.before_taxes == Decimal("4.10")
    assert cdr.last_updated == datetime(2026, 3, 2, 10, 1, tzinfo=UTC)


@VERSIONS
def test_the_slow_way_reads_the_same_and_warns(version: str) -> None:
    _, fast, _ = decode_cdr(SAMPLES[version].encode())
    cdr, warnings = slow(SAMPLES[version])
    # The tariff's bytes are written anew there; what they say is the same.
    assert [json.loads(bytes(t)) for t in cdr.tariffs] == [
        json.loads(bytes(t)) for t in fast.tariffs
    ]
    for name in fast.__struct_fields__:
        if name not in ("tariffs", "location"):
            assert getattr(cdr, name) == getattr(fast, name), name
    assert warnings == ["$.foo: unknown field, not read"] * len(warnings)
    assert len(warnings) == 1


def test_what_only_one_version_has() -> None:
    _, old, _ = decode_cdr(CDR_211.encode())
    assert isinstance(old, v211.Cdr)
    assert (old.after_taxes, old.time_zone) == (None, "Europe/Amsterdam")
    assert old.location is not None
    assert old.location.evses[0].connectors[0].power_type is PowerType.DC
    _, middle, _ = decode_cdr(CDR_221.encode())
    assert isinstance(middle, v221.Cdr)
    assert (middle.after_taxes, middle.time_zone) == (Decimal("4.96"), None)
    assert middle.cdr_token is not None
    assert middle.cdr_token.type is TokenType.RFID
    assert middle.auth_method is AuthMethod.WHITELIST
    _, new, _ = decode_cdr(CDR_230.encode())
    assert isinstance(new, v230.Cdr)
    # 4.10 + 0.861 + 0.10
    assert (new.after_taxes, new.booking_id) == (Decimal("5.061"), "b-1")


def test_a_total_without_named_taxes_says_nothing_of_them() -> None:
    _, cdr, _ = decode_cdr(minimal(total_cost={"before_taxes": 2}))
    assert (cdr.before_taxes, cdr.after_taxes) == (Decimal(2), None)


def test_only_what_prices_is_required() -> None:
    version, cdr, warnings = decode_cdr(minimal())
    assert (version, warnings, cdr.tariffs, cdr.before_taxes) == ("2.2.1", [], (), None)
    for key in MINIMAL:
        raw = {k: v for k, v in MINIMAL.items() if k != key}
        with pytest.raises(BadInput) as caught:
            decode_cdr(json.dumps(raw).encode())
        assert (caught.value.path, caught.value.got) == (f"$.{key}", None)


@pytest.mark.parametrize(
    ("changed", "version"),
    [
        ({"total_cost": 3.5}, "2.1.1"),
        ({"auth_id": "a"}, "2.1.1"),
        ({"total_cost": {"excl_vat": 3}}, "2.2.1"),
        ({"total_cost": {"before_taxes": 3}}, "2.3.0"),
        ({"tariffs": [{"tax_included": "NO"}]}, "2.3.0"),
        ({"total_cost": {"excl_vat": 3}, "remark": 'says "before_taxes"'}, "2.2.1"),
        ({"remark": 'the key "stop_date_time"'}, "2.2.1"),
        ({}, "2.2.1"),
    ],
)
def test_the_version_is_told_by_what_only_one_has(changed: dict[str, Any], version: str) -> None:
    raw = {**MINIMAL, **changed}
    if version == "2.1.1":
        raw["stop_date_time"] = raw.pop("end_date_time")
    found, _, _ = decode_cdr(json.dumps(raw).encode())
    assert found == version


def test_a_version_that_is_given_is_not_guessed() -> None:
    assert decode_cdr(minimal(), "2.3.0")[0] == "2.3.0"
    with pytest.raises(BadInput, match=r"stop_date_time: got None"):
        decode_cdr(minimal(), "2.1.1")
    with pytest.raises(BadInput, match=r"version: got '2\.4', expected one of 2\.1\.1, 2\.2\.1"):
        decode_cdr(minimal(), "2.4")


@VERSIONS
def test_every_unknown_field_is_warned_of_with_its_path(version: str) -> None:
    sample = json.loads(SAMPLES[version])
    unread = {"tariffs", "operator", "suboperator", "owner", "opening_times", "energy_mix",
              "related_locations"}  # fmt: skip
    seen = 0
    for place in places(sample):
        if isinstance(at(sample, place), dict) and not unread & set(place):
            raw = copy.deepcopy(sample)
            at(raw, place)["foo"] = {"bar": [1, None]}
            _, _, warnings = decode_cdr(json.dumps(raw).encode(), version)
            assert warnings == [f"{path_of(place)}.foo: unknown field, not read"]
            seen += 1
    assert seen >= 10


def test_all_unknown_fields_are_warned_of_at_once() -> None:
    raw = minimal().replace(b'"volume"', b'"a": 1, "volume"').replace(b'"id"', b'"b": 2, "id"')
    assert decode_cdr(raw)[2] == [
        "$.b: unknown field, not read",
        "$.charging_periods[0].dimensions[0].a: unknown field, not read",
    ]


@VERSIONS
def test_null_is_absence_but_for_what_is_required(version: str) -> None:
    sample = json.loads(SAMPLES[version])
    refused = set()
    for place in places(sample):
        if place and isinstance(place[-1], str) and "tariffs" not in place:
            error = refusal(json.dumps(put(sample, place, None)).encode(), version)
            if error is not None:
                assert (error.path, error.got) == (path_of(place), None)
                refused.add(place[-1])
    always = {"id", "currency", "start_date_time", "charging_periods", "dimensions", "type",
              "volume"}  # fmt: skip
    texts = {"latitude", "longitude"}
    signed = {"encoding_method", "signed_values", "nature", "plain_data", "signed_data"}
    assert refused == {
        "2.1.1": always | texts | {"stop_date_time", "language", "text"},
        "2.2.1": always | texts | signed | {"end_date_time", "uid", "excl_vat"},
        "2.3.0": always | texts | signed
        | {"end_date_time", "uid", "before_taxes", "name", "amount"},
    }[version]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["2026-03-02T09:00:00", "2026-03-02T09:00:00Z", "2026-03-02T10:00:00+01:00",
     "2026-03-02T04:00:00-05:00", "2026-03-02T09:00:00.000Z"],
)  # fmt: skip
def test_times_are_in_utc_whatever_offset_they_had(text: str) -> None:
    periods = [{"start_date_time": text, "dimensions": []}]
    for more in ({}, {"foo": 1}):
        raw = minimal(start_date_time=text, charging_periods=periods, last_updated=text, **more)
        _, cdr, _ = decode_cdr(raw)
        for at_ in (cdr.start_date_time, cdr.charging_periods[0].start_date_time, cdr.last_updated):
            assert at_ == NINE
            assert at_ is not None
            assert at_.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-03-02", "20260302T090000Z", "2026-13-02T09:00:00Z",
     "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z",
     "2200-01-01T00:00:00Z", "2026-03-02T09:00:60Z", "2026-03-02T25:00:00Z", "1772442000"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["start_date_time", "end_date_time", "last_updated"])
def test_what_is_no_time_is_refused_with_its_path(text: str, key: str) -> None:
    with pytest.raises(BadInput) as caught:
        decode_cdr(minimal(**{key: text}))
    assert caught.value.path == f"$.{key}"
    assert "2026-11-24T10:15:00Z" in caught.value.expected


def test_an_unknown_dimension_is_left_out_with_a_warning() -> None:
    raw = with_volume('2}, {"type": "HEAT", "volume": 3}, {"type": "TIME", "volume": 4')
    _, cdr, warnings = decode_cdr(raw)
    assert [d.type for d in cdr.charging_periods[0].dimensions] == ["ENERGY", "TIME"]
    assert warnings == [
        "$.charging_periods[0].dimensions[1].type: 'HEAT' is unknown, its entry is not read"
    ]


@pytest.mark.parametrize("kind", list(DimensionType))
def test_dimensions_of_every_version_and_of_sessions_are_read(kind: DimensionType) -> None:
    raw = with_volume("2").replace(b'"ENERGY"', f'"{kind}"'.encode())
    _, cdr, warnings = decode_cdr(raw)
    assert (cdr.charging_periods[0].dimensions[0].type, warnings) == (kind, [])


def test_an_unknown_word_that_prices_nothing_is_left_out_with_a_warning() -> None:
    _, cdr, warnings = decode_cdr(CDR_221.replace("WHITELIST", "TELEPATHY").encode())
    assert isinstance(cdr, v221.Cdr)
    assert cdr.auth_method is None
    assert warnings == [
        "$.auth_method: 'TELEPATHY' is not one of AUTH_REQUEST, COMMAND, WHITELIST, not read"
    ]
    _, _, warnings = decode_cdr(CDR_221.replace("AC_3_PHASE", "AC_9_PHASE").encode())
    assert warnings[0].startswith("$.cdr_location.connector_power_type: 'AC_9_PHASE' is not one")


@pytest.mark.parametrize(
    "text", ["11.5000", "0", "-3.25", "1e3", "0.0000000000000001", "9999999999"]
)
def test_volumes_are_exact(text: str) -> None:
    for quoted in (text, f'"{text}"'):
        _, cdr, _ = decode_cdr(with_volume(quoted))
        volume = cdr.charging_periods[0].dimensions[0].volume
        assert volume == Decimal(text)
        assert str(volume) == str(Decimal(text))


@pytest.mark.parametrize(
    "text",
    ["1e999999", "-1e999999", "1e-999999", "0e-999999", "1e10", "9" * 1000, "0." + "1" * 1000,
     '"NaN"', '"Infinity"', '"-Infinity"', '"1_000"', '" 5 "', '"\uff11"', '""', '"abc"', "true",
     "[]", "{}", "1e99999999999999999999999", '"1e9999999999999999999"'],
)  # fmt: skip
def test_a_volume_that_is_no_bounded_number_is_refused_with_its_path(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        decode_cdr(with_volume(text))
    assert caught.value.path == "$.charging_periods[0].dimensions[0].volume"


@pytest.mark.parametrize("number", ["1e999999", '"NaN"', "0e-999999", "9" * 40])
def test_totals_are_bounded_too(number: str) -> None:
    for place in ('"excl_vat": 4.10', '"incl_vat": 4.96', '"total_parking_time": 0.25'):
        key = place.split(":", maxsplit=1)[0]
        with pytest.raises(BadInput):
            decode_cdr(CDR_221.replace(place, f"{key}: {number}").encode())
    for place in ('"amount": 0.861', '"percentage": 21', '"before_taxes": 4.10'):
        key = place.split(":", maxsplit=1)[0]
        with pytest.raises(BadInput):
            decode_cdr(CDR_230.replace(place, f"{key}: {number}").encode())


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "0x10"])
def test_what_is_no_json_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        decode_cdr(with_volume(text))


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff\xfe", b"{", b"[1", b"nul", b'{"id": "\\ud800"}', b"[" * 100_000,
     b'{"a":' * 5000, b"[" * 70 + b"]" * 70, b"\xef\xbb\xbf{}"],
)  # fmt: skip
def test_bytes_that_do_not_parse_are_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        decode_cdr(raw)


@pytest.mark.parametrize("raw", [b"[]", b"null", b"1", b'"cdr"', b"true"])
def test_another_json_value_is_no_cdr(raw: bytes) -> None:
    with pytest.raises(BadInput, match="JSON object"):
        decode_cdr(raw)


@pytest.mark.parametrize(
    ("once", "twice", "path"),
    [
        ('"volume": 1', '"volume": 1, "volume": 2', "$.charging_periods[0].dimensions[0].volume"),
        ('"volume": 1}]', '"volume": 1}], "dimensions": []', "$.charging_periods[0].dimensions"),
        ('"id": "m"', f'"id": "m", "charging_periods": {PERIODS}', "$.charging_periods"),
        ('"volume": 1', '"volume": 1, "vol\\u0075me": 2',
         "$.charging_periods[0].dimensions[0].volume"),
    ],
)  # fmt: skip
def test_no_volume_gets_lost_in_a_key_that_stands_twice(once: str, twice: str, path: str) -> None:
    with pytest.raises(BadInput, match="twice") as caught:
        decode_cdr(minimal().replace(once.encode(), twice.encode()))
    assert caught.value.path == path


@VERSIONS
def test_the_slow_way_refuses_every_key_that_stands_twice(version: str) -> None:
    sample = json.loads(SAMPLES[version])
    for place in places(sample):
        if place and isinstance(place[-1], str):
            value = at(sample, place)
            raw = json.dumps(put(sample, place, "\ue000"), ensure_ascii=False)
            key = json.dumps(place[-1])
            twice = raw.replace('"\ue000"', f"{json.dumps(value)}, {key}: {json.dumps(value)}")
            with pytest.raises(BadInput, match="twice") as caught:
                cdrs._slow(twice.encode(), version, "$")
            assert caught.value.path == path_of(place)


def test_texts_have_no_nul_and_an_id_is_never_empty() -> None:
    for bad in ("", "\x00", "x" * 101):
        with pytest.raises(BadInput) as caught:
            decode_cdr(minimal(id=bad))
        assert caught.value.path == "$.id"
    with pytest.raises(BadInput) as caught:
        decode_cdr(minimal(remark="a\x00b"))
    assert caught.value.path == "$.remark"
    assert decode_cdr(minimal(remark="the text \\u0000"))[2] == []


@pytest.mark.parametrize("currency", ["eur", "EURO", "EUR\n", "", "€", 978])
def test_a_currency_is_an_iso_4217_code(currency: object) -> None:
    with pytest.raises(BadInput) as caught:
        decode_cdr(minimal(currency=currency))
    assert caught.value.path == "$.currency"


def test_a_cdr_has_a_period() -> None:
    with pytest.raises(BadInput) as caught:
        decode_cdr(minimal(charging_periods=[]))
    assert caught.value.path == "$.charging_periods"


def test_a_path_of_its_own() -> None:
    with pytest.raises(BadInput) as caught:
        decode_cdr(minimal(id=5), path="$.data[3]")
    assert (caught.value.path, caught.value.got) == ("$.data[3].id", 5)


def test_the_records_of_a_file_with_their_paths() -> None:
    one, two = minimal(), minimal(id="n")
    assert each_cdr(one) == [("$", one)]
    assert each_cdr(b" [" + one + b", " + two + b"]") == [("$[0]", one), ("$[1]", two)]
    answer = b'{"status_code": 1000, "data": [' + one + b'], "timestamp": null}'
    assert each_cdr(answer) == [("$.data[0]", one)]
    assert each_cdr(b'{"data": ' + one + b"}") == [("$.data", one)]
    assert each_cdr(b"[]") == []
    for bad in (b"", b"{", b"[1", b"7"):
        with pytest.raises(Malformed):
            each_cdr(bad)
