"""Our tariffs as OCPI: back and forth without a change, and every loss named at once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from foreign_samples import OCPI
from foreign_strategies import ocpi_tariffs
from hypothesis import given, settings
from hypothesis import strategies as st

from wattledger.errors import BadInput, CantSay
from wattledger.tariffs import (
    Cap,
    Component,
    Dimension,
    Element,
    EvseKind,
    Policies,
    PriceLimit,
    PriceLock,
    Reservation,
    Restrictions,
    Tariff,
    TaxIncluded,
    TaxRate,
    Unit,
)
from wattledger.tariffs.ocpi import read_ocpi
from wattledger.tariffs.ocpi_writer import left_behind, write_ocpi
from wattledger.wire import exact

VERSIONS = pytest.mark.parametrize("version", OCPI)
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
ENERGY = Component(Dimension.ENERGY, "0.35", Unit.KWH)


def tariff(*components: Component, restrictions: Any = None, **more: Any) -> Tariff:
    element = Element("", components or (ENERGY,), restrictions or Restrictions())
    fields = {"country_code": "NL", "party_id": "ABC", "last_updated": WHEN, **more}
    return Tariff(id="T", currency="EUR", name="T", **{"elements": (element,), **fields})


def written(found: Tariff, version: str = "2.2.1") -> Any:
    return json.loads(exact.dump(write_ocpi(found, version)), parse_float=Decimal)


def losses(found: Tariff, version: str = "2.3.0") -> tuple[str, ...]:
    with pytest.raises(CantSay) as caught:
        write_ocpi(found, version)
    assert caught.value.form == f"OCPI {version}"
    assert all(loss in str(caught.value) for loss in caught.value.losses)
    return caught.value.losses


def lost_paths(found: Tariff, version: str = "2.3.0") -> set[str]:
    return {loss.split(":")[0] for loss in losses(found, version)}


@VERSIONS
def test_the_samples_are_written_as_they_were_read(version: str) -> None:
    found, _ = read_ocpi(OCPI[version].encode())
    expected = json.loads(OCPI[version], parse_float=Decimal)
    for element in expected["elements"]:
        for component in element["price_components"]:
            component["price"] = Decimal(component["price"])
            if component["type"] == "FLAT":
                component["step_size"] = 1
    assert written(found, version) == expected


@VERSIONS
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_again(version: str, data: Any) -> None:
    found = data.draw(ocpi_tariffs(version))
    raw = exact.dump(write_ocpi(found, version))
    again, warnings = read_ocpi(raw, version)
    assert (again, warnings) == (found, [])
    assert exact.dump(write_ocpi(again, version)) == raw


def test_numbers_are_json_numbers_with_their_own_digits() -> None:
    priced = Component(Dimension.ENERGY, "0.3500", Unit.KWH, 1, (TaxRate("VAT", "8.875"),))
    raw = exact.dump(write_ocpi(tariff(priced), "2.2.1"))
    assert b'"price":0.3500,"vat":8.875,"step_size":1' in raw


@pytest.mark.parametrize(
    ("minute", "hour"), [("0.20", "12.00"), ("0.333", "19.98"), ("-0.01", "-0.60"), ("0", "0")]
)
def test_a_price_per_minute_is_sixty_times_that_an_hour(minute: str, hour: str) -> None:
    idle = Component(Dimension.IDLE_TIME, minute, Unit.MINUTE, 60)
    (component,) = written(tariff(idle))["elements"][0]["price_components"]
    assert component == {"type": "PARKING_TIME", "price": Decimal(hour), "step_size": 60}


def test_what_ocpi_requires_can_be_given() -> None:
    bare = msgspec.structs.replace(tariff(), country_code=None, party_id=None, last_updated=None)
    assert losses(bare, "2.2.1") == (
        "$.country_code: missing; OCPI 2.2.1 requires it",
        "$.party_id: missing; OCPI 2.2.1 requires it",
        "$.last_updated: missing; OCPI 2.2.1 requires it",
    )
    assert lost_paths(bare, "2.1.1") == {"$.last_updated"}
    found = write_ocpi(bare, "2.3.0", country_code="DE", party_id="XYZ", last_updated=WHEN)
    assert (found["country_code"], found["party_id"]) == ("DE", "XYZ")
    assert found["last_updated"] == "2026-01-01T00:00:00Z"


def test_every_loss_is_named_at_once() -> None:
    restrictions = Restrictions(
        min_idle_s=600, max_idle_s=900, min_charging_s=60, max_charging_s=90,
        start_season="06-01", end_season="10-01", holiday=False, evse_kind=EvseKind.DC,
        payment_brand="VISA", payment_recognition="CC",
    )  # fmt: skip
    stacked = (TaxRate("State", "7"), TaxRate("City", "2", 1))
    found = tariff(
        Component(Dimension.ENERGY, "0.35", Unit.KWH, 1, stacked),
        restrictions=restrictions,
        caps=(Cap(Dimension.IDLE_TIME, "12.00"),),
        holidays=("2026-12-25",),
        price_lock=PriceLock.SESSION_START,
        policies=Policies(idle_grace_s=600, rounding_increment=5),
        min_price=PriceLimit(after_taxes="1"),
    )
    under = "$.elements[0].restrictions."
    assert lost_paths(found) == {
        "$.caps[0]", "$.holidays", "$.price_lock", "$.policies.idle_grace_s",
        "$.policies.rounding_increment", "$.min_price.before_taxes",
        "$.elements[0].components[0].taxes",
        under + "min_idle_s", under + "max_idle_s", under + "min_charging_s",
        under + "max_charging_s", under + "start_season", under + "end_season", under + "holiday",
        under + "evse_kind", under + "payment_brand", under + "payment_recognition",
    }  # fmt: skip


def test_what_2_1_1_has_no_words_for() -> None:
    found = tariff(
        Component(Dimension.ENERGY, "0.35", Unit.KWH, 1, (TaxRate("VAT", "21"),)),
        restrictions=Restrictions(min_current_a="6", max_current_a="32"),
        min_price=PriceLimit("1"),
        max_price=PriceLimit("9"),
        valid_from=WHEN,
        valid_to=WHEN.replace(year=2027),
        kind="REGULAR",
        tax_included=TaxIncluded.YES,
        preauthorize_amount="60",
    )
    assert lost_paths(found, "2.1.1") == {
        "$.kind", "$.min_price", "$.max_price", "$.valid_from", "$.valid_to", "$.tax_included",
        "$.preauthorize_amount", "$.elements[0].components[0].taxes",
        "$.elements[0].restrictions.min_current_a", "$.elements[0].restrictions.max_current_a",
    }  # fmt: skip
    assert lost_paths(found, "2.2.1") == {"$.tax_included", "$.preauthorize_amount"}
    assert written(found, "2.3.0")["tax_included"] == "YES"
    reserved = tariff(Component(Dimension.RESERVATION_FLAT, "2", Unit.SESSION))
    assert "$.elements[0]" in lost_paths(reserved, "2.1.1")


def test_no_tax_applies_is_said_in_2_3_0_only() -> None:
    found = tariff(tax_included=TaxIncluded.NOT_APPLICABLE)
    assert written(found, "2.3.0")["tax_included"] == "N/A"
    assert lost_paths(found, "2.2.1") == {"$.tax_included"}


def test_a_list_of_no_taxes_is_a_vat_of_nothing() -> None:
    found = tariff(Component(Dimension.ENERGY, "1", Unit.KWH, 1, ()))
    assert written(found)["elements"][0]["price_components"][0]["vat"] == 0


def test_a_minimum_of_nothing_is_no_loss() -> None:
    assert "restrictions" not in written(tariff(restrictions=Restrictions(min_idle_s=0)))[
        "elements"
    ][0]  # fmt: skip


def test_a_reservation_whatever_became_of_it() -> None:
    flat = Component(Dimension.RESERVATION_FLAT, "2", Unit.SESSION)
    # RESERVATION prices an expired one too, as long as nothing else does.
    (element,) = written(tariff(flat))["elements"]
    assert element["restrictions"] == {"reservation": "RESERVATION"}
    both = (
        Element("", (flat,)),
        Element("", (flat,), Restrictions(reservation=Reservation.EXPIRED)),
    )
    assert lost_paths(tariff(elements=both)) == {"$.elements[0].restrictions.reservation"}


def test_an_id_of_36_characters_and_no_more() -> None:
    found = msgspec.structs.replace(tariff(), id="x" * 37)
    assert lost_paths(found) == {"$.id"}
    assert written(msgspec.structs.replace(found, id="x" * 36))["id"] == "x" * 36


def test_what_is_shown_only_stays_behind() -> None:
    taxed = Component(Dimension.ENERGY, "1", Unit.KWH, 1, (TaxRate("MwSt", "19"),))
    found = msgspec.structs.replace(
        tariff(elements=(Element("peak", (taxed,)),), url="https://example.com"), name="Peak"
    )
    assert left_behind(found, "2.3.0") == [
        "$.name", "$.elements[0].name", "$.policies.zero_energy",
        "$.elements[0].components[0].taxes[0].name",
    ]  # fmt: skip
    assert "$.country_code" in left_behind(found, "2.1.1")
    assert written(found)["elements"][0]["price_components"][0]["vat"] == 19


def test_a_version_is_one_of_three() -> None:
    with pytest.raises(BadInput, match=r"version: got '2\.2'"):
        write_ocpi(tariff(), "2.2")
