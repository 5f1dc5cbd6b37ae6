"""OCPI tariffs into ours: every field, every warning, and the path of what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from foreign_samples import OCPI, OCPI_211, OCPI_221, OCPI_230

from wattledger.errors import BadInput, Malformed
from wattledger.tariffs import (
    Component,
    Day,
    Dimension,
    PriceLimit,
    Reservation,
    Tariff,
    TaxIncluded,
    TaxRate,
    Text,
    Unit,
    read_tariff,
    to_body,
)
from wattledger.tariffs.ocpi import read_ocpi, version_of

RESTRICTED = "$.elements[0].restrictions"
PRICED = "$.elements[0].price_components[0]"


def tariff(
    restrictions: dict[str, Any] | None = None, component: dict[str, Any] | None = None, **more: Any
) -> bytes:
    """A 2.2.1 tariff of 0.25 per kWh, with changes."""
    priced = {"type": "ENERGY", "price": 0.25, "step_size": 1, **(component or {})}
    element = {"price_components": [priced], "restrictions": restrictions or {}}
    raw = {"country_code": "NL", "party_id": "ABC", "id": "T", "currency": "EUR",
           "elements": [element], **more}  # fmt: skip
    return json.dumps(raw).encode()


def refused(raw: bytes, version: str | None = None) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_ocpi(raw, version)
    return caught.value


def test_every_field_of_2_2_1() -> None:
    found, warnings = read_ocpi(OCPI_221.encode())
    assert warnings == []
    assert (found.id, found.name, found.currency) == ("DAY", "DAY", "EUR")
    assert (found.country_code, found.party_id, found.kind) == ("NL", "ABC", "REGULAR")
    assert found.texts == (Text("en", "Cheap at night"),)
    assert found.url == "https://example.com/day"
    assert found.min_price == PriceLimit("0.50", "0.61")
    assert found.max_price == PriceLimit("50", None)
    assert found.valid_from == datetime(2026, 1, 1, tzinfo=UTC)
    assert found.valid_to == datetime(2027, 1, 1, tzinfo=UTC)
    assert found.last_updated == datetime(2025, 12, 1, 8, tzinfo=UTC)
    assert found.energy_mix is not None
    assert json.loads(found.energy_mix)["energy_sources"][0]["percentage"] == 99.5
    assert found.tax_included is TaxIncluded.NO

    night, day, used, expired = found.elements
    assert night.components == (
        Component(Dimension.ENERGY, "0.20", Unit.KWH, 1, (TaxRate("VAT", "21.0"),)),
        Component(Dimension.FLAT, "0.5", Unit.SESSION),
    )
    r = night.restrictions
    assert (r.start_time, r.end_time) == ("22:00", "06:00")
    assert (r.start_date, r.end_date) == ("2026-01-01", "2027-01-01")
    assert (r.min_kwh, r.max_kwh) == ("0.5", "80")
    assert (r.min_current_a, r.max_current_a) == ("6", "32.5")
    assert (r.min_power_kw, r.max_power_kw) == ("1.4", "22")
    assert (r.min_duration_s, r.max_duration_s) == (0, 86400)
    assert r.days == (Day.MONDAY, Day.SUNDAY)
    assert [(c.dimension, c.price, c.unit, c.step) for c in day.components] == [
        (Dimension.ENERGY, "0.35", Unit.KWH, 100),
        (Dimension.CHARGING_TIME, "1.20", Unit.HOUR, 60),
        (Dimension.IDLE_TIME, "6", Unit.HOUR, 300),
    ]
    # Nothing said about tax is another thing than a tax of nothing.
    assert [c.taxes for c in day.components] == [
        (TaxRate("VAT", "21.0"),), None, (TaxRate("VAT", "0"),),
    ]  # fmt: skip
    assert used.restrictions.reservation is Reservation.USED
    assert [c.dimension for c in used.components] == [
        Dimension.RESERVATION_TIME, Dimension.RESERVATION_FLAT,
    ]  # fmt: skip
    assert expired.restrictions.reservation is Reservation.EXPIRED


def test_what_2_3_0_has_beside() -> None:
    found, warnings = read_ocpi(OCPI_230.encode())
    assert warnings == []
    assert found.tax_included is TaxIncluded.YES
    assert found.preauthorize_amount == "60"
    assert found.min_price == PriceLimit("0.50", "0.61")


def test_what_2_1_1_has_of_it() -> None:
    found, warnings = read_ocpi(OCPI_211.encode())
    assert warnings == []
    assert [c.price for e in found.elements for c in e.components] == [
        "0.20",
        "0.5",
        "1.20",
        "6.00",
    ]
    assert all(c.taxes is None for e in found.elements for c in e.components)
    # A flat fee has no step, whatever was written.
    assert found.elements[0].components[1].step == 1


@pytest.mark.parametrize("version", OCPI)
def test_the_version_is_told_by_the_fields(version: str) -> None:
    assert version_of(json.loads(OCPI[version])) == version
    assert read_ocpi(OCPI[version].encode(), version) == read_ocpi(OCPI[version].encode())


@pytest.mark.parametrize("version", OCPI)
def test_what_is_read_is_a_tariff_that_our_own_reader_takes(version: str) -> None:
    found, _ = read_ocpi(OCPI[version].encode())
    assert read_tariff(to_body(found), "$") == found


@pytest.mark.parametrize(
    ("part", "version"),
    [
        ({"tax_included": "NO"}, "2.3.0"),
        ({"preauthorize_amount": 5}, "2.3.0"),
        ({"min_price": {"before_taxes": 1}}, "2.3.0"),
        ({"min_price": {"excl_vat": 1}}, "2.2.1"),
        ({"type": "REGULAR"}, "2.2.1"),
        ({"elements": [{"price_components": [{"vat": 1}]}]}, "2.2.1"),
        ({"elements": [{"restrictions": {"reservation": "RESERVATION"}}]}, "2.2.1"),
        ({"elements": [{"restrictions": {"min_current": 1}}]}, "2.2.1"),
        ({"elements": [{"restrictions": {"min_kwh": 1}}]}, "2.1.1"),
        ({"elements": [1, {"price_components": [2], "restrictions": 3}]}, "2.1.1"),
        ({"elements": 1}, "2.1.1"),
        ({}, "2.1.1"),
    ],
)
def test_the_version_of_parts(part: dict[str, Any], version: str) -> None:
    assert version_of(part) == version


def test_a_later_versions_price_is_not_skipped_because_of_the_label() -> None:
    found, warnings = read_ocpi(tariff(tax_included="YES"), "2.2.1")
    assert found.tax_included is TaxIncluded.YES
    assert warnings == ["$: has fields of OCPI 2.3.0 and is read as that"]
    found, warnings = read_ocpi(tariff({}, {"vat": 10}), "2.1.1")
    assert found.elements[0].components[0].taxes == (TaxRate("VAT", "10"),)
    assert warnings == ["$: has fields of OCPI 2.2.1 and is read as that"]


def test_a_missing_tax_included_is_warned_of_where_it_is_required() -> None:
    found, warnings = read_ocpi(tariff(), "2.3.0")
    assert found.tax_included is TaxIncluded.NO
    assert warnings == ["$.tax_included: missing, prices are read as without tax"]
    assert read_ocpi(tariff(), "2.2.1")[1] == []


@pytest.mark.parametrize(
    ("word", "ours"),
    [("YES", TaxIncluded.YES), ("NO", TaxIncluded.NO), ("N/A", TaxIncluded.NOT_APPLICABLE)],
)
def test_tax_included(word: str, ours: TaxIncluded) -> None:
    assert read_ocpi(tariff(tax_included=word))[0].tax_included is ours
    error = refused(tariff(tax_included=word.lower() + "?"))
    assert (error.path, error.expected) == ("$.tax_included", "one of N/A, NO, YES")


@pytest.mark.parametrize(
    ("text", "kept"),
    [("0.25", "0.25"), ("0.2500", "0.2500"), ("-0.10", "-0.10"), ("1e2", "100"), ("0", "0"),
     ("25E-2", "0.25"), ("0.1000000000000", "0.1"), ('"2.00"', "2.00"), ("123456789", "123456789"),
     ("0.123456789", "0.123456789")],
)  # fmt: skip
def test_prices_are_kept_as_they_were_written(text: str, kept: str) -> None:
    raw = tariff().replace(b"0.25", text.encode())
    assert read_ocpi(raw)[0].elements[0].components[0].price == kept


@pytest.mark.parametrize(
    "text",
    ["1e999999", "1e-999999", "0.30000000000000004", "1234567890", '"NaN"', '"Infinity"', '"1_0"',
     '""', "true", "[]", "{}", "9" * 1000, "0.1234567891"],
)  # fmt: skip
def test_prices_that_we_cant_keep_exactly_are_refused(text: str) -> None:
    assert refused(tariff().replace(b"0.25", text.encode())).path == f"{PRICED}.price"


@pytest.mark.parametrize("text", ["NaN", "Infinity", "0x1", ".5"])
def test_what_is_no_json_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        read_ocpi(tariff().replace(b"0.25", text.encode()))


@pytest.mark.parametrize("vat", [-1, 100.5, 101, 1e9, "x", True])
def test_vat_is_a_percentage(vat: object) -> None:
    assert refused(tariff({}, {"vat": vat})).path == f"{PRICED}.vat"


def test_steps() -> None:
    for step in (0, 1, 1_000_000, 60.0):
        found, _ = read_ocpi(tariff({}, {"step_size": step}))
        assert found.elements[0].components[0].step == step
    for bad in (-1, 1_000_001, 1.5, "1", True):
        assert refused(tariff({}, {"step_size": bad})).path == f"{PRICED}.step_size"


@pytest.mark.parametrize("kind", ["ENERGY", "PARKING_TIME"])
def test_a_reservation_is_priced_by_time_and_flat_fees_only(kind: str) -> None:
    error = refused(tariff({"reservation": "RESERVATION"}, {"type": kind}))
    assert (error.path, error.got) == (f"{PRICED}.type", kind)
    assert "TIME or FLAT" in error.expected


def test_a_second_component_of_a_type_is_not_read() -> None:
    parts = [{"type": "TIME", "price": price, "step_size": 1} for price in (1, 2)]
    found, warnings = read_ocpi(tariff(elements=[{"price_components": parts}]))
    assert [c.price for c in found.elements[0].components] == ["1"]
    assert warnings == ["$.elements[0].price_components[1]: a second TIME in one element, not read"]


@pytest.mark.parametrize(
    ("restrictions", "name", "expected"),
    [
        ({"end_time": "24:00"}, "end_time", "00:00"),
        ({"end_time": "24:00:00"}, "end_time", "00:00"),
        ({"start_time": "24:00"}, "start_time", "local time"),
        ({"start_time": "8:00"}, "start_time", "local time"),
        ({"start_time": "08:00:00"}, "start_time", "local time"),
        ({"start_time": "08:00", "end_time": "08:00"}, "end_time", "another time"),
        ({"start_date": "2026-02-30"}, "start_date", "date"),
        ({"start_date": "20260201"}, "start_date", "date"),
        ({"end_date": "2026-01-01T00:00:00Z"}, "end_date", "date"),
        ({"min_kwh": 0.0001}, "min_kwh", "3 decimal places"),
        ({"min_kwh": -1}, "min_kwh", "not negative"),
        ({"max_power": -1}, "max_power", "not negative"),
        ({"max_current": 1e30}, "max_current", "number"),
        ({"min_duration": -1}, "min_duration", "from 0"),
        ({"max_duration": 366 * 86400 + 1}, "max_duration", "from 0"),
        ({"max_duration": 1.5}, "max_duration", "whole number"),
        ({"day_of_week": ["monday"]}, "day_of_week[0]", "one of FRIDAY"),
        ({"day_of_week": "MONDAY"}, "day_of_week", "a list"),
        ({"day_of_week": [None]}, "day_of_week[0]", "an entry"),
        ({"reservation": "RESERVATION_OVERTIME"}, "reservation", "one of RESERVATION"),
    ],
)
def test_restrictions_that_cant_be_taken(
    restrictions: dict[str, Any], name: str, expected: str
) -> None:
    error = refused(tariff(restrictions))
    assert error.path == f"{RESTRICTED}.{name}"
    assert expected in error.expected


@pytest.mark.parametrize(
    ("restrictions", "words"),
    [
        ({"end_time": "23:59"}, "end_time: 23:59 leaves out the day's last minute"),
        ({"day_of_week": ["MONDAY", "MONDAY"]}, "day_of_week: a weekday stands twice"),
        ({"min_kwh": 20, "max_kwh": 10}, "never applies: max_kwh is 10, expected more than 20"),
        (
            {"min_power": 5, "max_power": 5},
            "never applies: max_power_kw is 5, expected more than 5",
        ),
        ({"max_duration": 0}, "never applies: max_duration_s is 0, expected more than 0"),
        ({"start_date": "2026-02-01", "end_date": "2026-02-01"}, "the element never applies"),
        ({"min_soc": 20}, "min_soc: unknown field, not read"),
    ],
)
def test_restrictions_that_can_hardly_be_meant_are_warned_of(
    restrictions: dict[str, Any], words: str
) -> None:
    found, warnings = read_ocpi(tariff(restrictions))
    assert len(warnings) == 1
    assert warnings[0].startswith(RESTRICTED)
    assert words in warnings[0]
    # The element stays, and with it the place of the others.
    assert len(found.elements) == 1


def test_no_days_are_all_days_and_trailing_zeros_are_no_precision() -> None:
    found, warnings = read_ocpi(tariff({"day_of_week": [], "min_kwh": "20.00000"}))
    assert (found.elements[0].restrictions.days, warnings) == ((), [])
    assert found.elements[0].restrictions.min_kwh == "20"


def test_unknown_fields_are_warned_of_with_their_paths() -> None:
    raw = json.loads(OCPI_230)
    raw["foo"] = 1
    raw["min_price"]["foo"] = {}
    raw["elements"][0]["foo"] = []
    raw["elements"][0]["price_components"][1]["foo"] = None
    raw["tariff_alt_text"][0]["foo"] = "x"
    found, warnings = read_ocpi(json.dumps(raw).encode())
    assert found == read_ocpi(json.dumps(json.loads(OCPI_230)).encode())[0]
    assert sorted(warnings) == [
        "$.elements[0].foo: unknown field, not read",
        "$.elements[0].price_components[1].foo: unknown field, not read",
        "$.foo: unknown field, not read",
        "$.min_price.foo: unknown field, not read",
        "$.tariff_alt_text[0].foo: unknown field, not read",
    ]


def test_what_only_informs_never_stops_a_tariff() -> None:
    found, warnings = read_ocpi(
        tariff(
            type="SOMETHING_NEW",
            tariff_alt_text=[
                {"language": "en-GB", "text": "a"},
                {"language": "en", "text": "a\nb"},
            ],
            tariff_alt_url="x" * 300,
            id="i" * 40,
        )
    )
    assert (found.texts, found.url, found.kind) == ((), None, "SOMETHING_NEW")
    assert [w.split(":")[0] for w in sorted(warnings)] == [
        "$.id", "$.tariff_alt_text[0].language", "$.tariff_alt_text[1].text", "$.tariff_alt_url",
        "$.type",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"id": ""}, "$.id"),
        ({"id": "x" * 101}, "$.id"),
        ({"id": "a\nb"}, "$.id"),
        ({"currency": "eur"}, "$.currency"),
        ({"elements": []}, "$.elements"),
        ({"elements": [{"price_components": []}]}, "$.elements[0].price_components"),
        ({"country_code": "NLD"}, "$.country_code"),
        ({"party_id": "ABCD"}, "$.party_id"),
        ({"min_price": {"excl_vat": -1}}, "$.min_price.excl_vat"),
        ({"min_price": {"incl_vat": 1}}, "$.min_price.excl_vat"),
        ({"min_price": 1}, "$.min_price"),
        ({"tax_included": "NO", "min_price": {"excl_vat": 1}}, "$.min_price.before_taxes"),
        ({"preauthorize_amount": -5}, "$.preauthorize_amount"),
        ({"start_date_time": "2026-01-01T00:00:00Z", "end_date_time": "2026-01-01T00:00:00Z"},
         "$.end_date_time"),
        ({"last_updated": "today"}, "$.last_updated"),
    ],
)  # fmt: skip
def test_values_that_cant_be_taken(changed: dict[str, Any], path: str) -> None:
    assert refused(tariff(**changed)).path == path


def test_a_component_of_an_unknown_type_is_refused() -> None:
    error = refused(tariff({}, {"type": "HEAT"}))
    assert (error.path, error.got) == (f"{PRICED}.type", "HEAT")


def test_a_key_that_stands_twice_is_refused() -> None:
    raw = tariff().replace(b'"price": 0.25', b'"price": 0.25, "price": 0.01')
    error = refused(raw)
    assert error.path == f"{PRICED}.price"
    assert refused(b'{"id": "a", "id": "b"}').path == "$.id"


def test_times_without_a_zone_are_in_utc() -> None:
    found, _ = read_ocpi(tariff(start_date_time="2026-01-01T00:00:00"))
    assert found.valid_from == datetime(2026, 1, 1, tzinfo=UTC)


def test_another_value_is_no_tariff() -> None:
    for raw in (b"[]", b"1", b"null", b'"x"'):
        assert refused(raw).path == "$"
    with pytest.raises(BadInput, match="version"):
        read_ocpi(tariff(), "2.0")


def test_the_same_bytes_are_the_same_tariff() -> None:
    raw = OCPI_230.encode()
    one, other = read_ocpi(raw), read_ocpi(msgspec.Raw(raw))
    assert one == other
    assert isinstance(one[0], Tariff)
