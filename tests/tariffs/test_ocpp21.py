"""OCPP 2.1 tariffs: read, written, checked against the standard's own schema, losses named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources
from typing import Any

import jsonschema
import msgspec
import pytest
from foreign_samples import OCPP_21
from foreign_strategies import ocpp21_tariffs
from hypothesis import given, settings

from wattledger.errors import BadInput, CantSay, Malformed
from wattledger.tariffs import (
    Cap,
    Component,
    Day,
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
    Text,
    Unit,
    read_tariff,
    to_body,
)
from wattledger.tariffs.ocpp21 import read_ocpp21
from wattledger.tariffs.ocpp21_writer import left_behind, write_ocpp21
from wattledger.tariffs.policies import FOREIGN, IdleGrace, IdleScope
from wattledger.wire import exact

_SCHEMA = json.loads(
    (resources.files("ocpp.v21") / "schemas" / "SetDefaultTariffRequest.json").read_text(
        "utf-8-sig"
    )
)
VALIDATOR = jsonschema.validators.validator_for(_SCHEMA)(_SCHEMA)


def valid(tariff: dict[str, Any]) -> None:
    VALIDATOR.validate({"evseId": 0, "tariff": tariff})


def written(found: Tariff) -> Any:
    """What was written, once the standard's schema has taken it."""
    raw = exact.dump(write_ocpp21(found))
    valid(json.loads(raw))
    return json.loads(raw, parse_float=Decimal)


def tariff(*elements: Element, **more: Any) -> Tariff:
    return Tariff(id="T", currency="USD", name="T", elements=elements, **more)


def one(
    dimension: Dimension, price: str, unit: Unit, restrictions: Any = None, **more: Any
) -> Element:
    return Element("", (Component(dimension, price, unit, **more),), restrictions or Restrictions())


ENERGY = one(Dimension.ENERGY, "0.35", Unit.KWH)


def losses(found: Tariff) -> tuple[str, ...]:
    with pytest.raises(CantSay) as caught:
        write_ocpp21(found)
    assert caught.value.form == "OCPP 2.1"
    return caught.value.losses


def lost_paths(*elements: Element, **more: Any) -> set[str]:
    return {loss.split(":")[0] for loss in losses(tariff(*elements, **more))}


def raw(**changed: Any) -> bytes:
    body = {"tariffId": "T", "currency": "USD", "energy": {"prices": [{"priceKwh": 0.25}]}}
    return json.dumps({**body, **changed}).encode()


def taxed(**rate: Any) -> dict[str, Any]:
    return {"prices": [{"priceKwh": 1}], "taxRates": [rate]}


def with_conditions(**conditions: Any) -> bytes:
    return raw(energy={"prices": [{"priceKwh": 0.25, "conditions": conditions}]})


def refused(body: bytes) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_ocpp21(body)
    return caught.value


def test_the_sample_is_what_the_standard_takes() -> None:
    valid(json.loads(OCPP_21))
    with pytest.raises(jsonschema.ValidationError):
        valid({**json.loads(OCPP_21), "foo": 1})


def test_every_field_is_read() -> None:
    found, warnings = read_ocpp21(OCPP_21.encode())
    assert warnings == []
    assert (found.id, found.name, found.currency) == ("CITY", "CITY", "USD")
    assert found.valid_from == datetime(2026, 1, 1, tzinfo=UTC)
    assert found.texts == (Text("en", "Idle fee after ten minutes"),)
    assert found.min_price == PriceLimit("0.50", "0.55")
    assert found.max_price == PriceLimit(None, "100")
    peak, energy, charging, idle, weekend, fee, reserved, kept = found.elements
    assert [e.components[0].dimension for e in found.elements] == [
        Dimension.ENERGY, Dimension.ENERGY, Dimension.CHARGING_TIME, Dimension.IDLE_TIME,
        Dimension.FLAT, Dimension.FLAT, Dimension.RESERVATION_TIME, Dimension.RESERVATION_FLAT,
    ]  # fmt: skip
    taxes = (TaxRate("State", "7.25"), TaxRate("City", "2", 1))
    assert peak.components == (Component(Dimension.ENERGY, "0.45", Unit.KWH, 1, taxes),)
    assert energy.components[0].taxes == taxes
    assert charging.components == (Component(Dimension.CHARGING_TIME, "0.02", Unit.MINUTE),)
    assert idle.restrictions == Restrictions(min_idle_s=600)
    # 500 Wh, 80 000 Wh, 1400 W and 150 000 W in our kWh and kW.
    assert peak.restrictions == Restrictions(
        start_time="16:00", end_time="21:00", days=(Day.MONDAY, Day.FRIDAY),
        start_date="2026-06-01", end_date="2026-10-01", evse_kind=EvseKind.DC,
        min_kwh="0.5", max_kwh="80", min_current_a="6", max_current_a="200.5",
        min_power_kw="1.4", max_power_kw="150", min_duration_s=60, max_duration_s=7200,
        min_charging_s=30, max_charging_s=3600, min_idle_s=1, max_idle_s=900,
    )  # fmt: skip
    # Asked at the start only: within the first second or not at all.
    assert weekend.restrictions == Restrictions(
        start_time="08:00", end_time="00:00", days=(Day.SATURDAY,), start_date="2026-01-01",
        end_date="2027-01-01", evse_kind=EvseKind.AC, payment_brand="VISA",
        payment_recognition="CC", max_duration_s=1,
    )  # fmt: skip
    assert fee.restrictions == Restrictions()
    assert reserved.components[0].unit is Unit.MINUTE
    assert kept.components == (Component(Dimension.RESERVATION_FLAT, "2", Unit.SESSION),)


def test_what_is_read_is_a_tariff_that_our_own_reader_takes() -> None:
    found, _ = read_ocpp21(OCPP_21.encode())
    assert read_tariff(to_body(found), "$") == found


def test_the_sample_is_written_as_it_was_read() -> None:
    found, _ = read_ocpp21(OCPP_21.encode())
    assert written(found) == json.loads(OCPP_21, parse_float=Decimal)


@settings(max_examples=100, deadline=None)
@given(found=ocpp21_tariffs())
def test_what_is_written_is_valid_and_read_again(found: Tariff) -> None:
    body = exact.dump(write_ocpp21(found))
    valid(json.loads(body))
    assert read_ocpp21(body) == (found, [])


def test_elements_split_by_dimension_and_keep_their_order() -> None:
    night = Restrictions(start_time="22:00", end_time="06:00")
    found = tariff(
        Element("", (
            Component(Dimension.IDLE_TIME, "0.10", Unit.MINUTE),
            Component(Dimension.ENERGY, "0.20", Unit.KWH),
        ), night),
        Element("", (
            Component(Dimension.ENERGY, "0.30", Unit.KWH),
            Component(Dimension.IDLE_TIME, "0.40", Unit.MINUTE),
        )),
    )  # fmt: skip
    conditions = {"startTimeOfDay": "22:00", "endTimeOfDay": "06:00"}
    body = written(found)
    assert body["energy"]["prices"] == [
        {"priceKwh": Decimal("0.20"), "conditions": conditions}, {"priceKwh": Decimal("0.30")},
    ]  # fmt: skip
    assert body["idleTime"]["prices"] == [
        {"priceMinute": Decimal("0.10"), "conditions": conditions},
        {"priceMinute": Decimal("0.40")},
    ]


@pytest.mark.parametrize(
    ("hour", "minute"),
    [("3.00", "0.05"), ("0.60", "0.01"), ("6", "0.1"), ("-1.2", "-0.02"), ("0", "0"),
     ("0.000000003", "0.00000000005"), ("999999999", "16666666.65")],
)  # fmt: skip
def test_a_price_an_hour_is_a_sixtieth_a_minute_where_that_is_exact(hour: str, minute: str) -> None:
    (price,) = written(tariff(one(Dimension.IDLE_TIME, hour, Unit.HOUR)))["idleTime"]["prices"]
    assert price["priceMinute"] == Decimal(minute)
    assert Decimal(minute) * 60 == Decimal(hour)


@pytest.mark.parametrize("hour", ["1.00", "0.10", "2", "0.01"])
def test_a_price_an_hour_without_an_exact_price_a_minute_is_a_loss(hour: str) -> None:
    (loss,) = losses(tariff(one(Dimension.CHARGING_TIME, hour, Unit.HOUR)))
    assert loss == (
        f"$.elements[0].components[0].price: {hour} an hour has no exact price per minute"
    )


def test_every_loss_is_named_at_once() -> None:
    restrictions = Restrictions(
        start_season="06-01", end_season="10-01", holiday=True, payment_brand="VISA",
        payment_recognition="CC",
    )  # fmt: skip
    under = "$.elements[0].restrictions."
    assert lost_paths(
        one(Dimension.ENERGY, "1", Unit.KWH, restrictions, step=100),
        one(
            Dimension.RESERVATION_FLAT, "1", Unit.SESSION,
            Restrictions(reservation=Reservation.EXPIRED),
        ),
        caps=(Cap(Dimension.ENERGY, "5"),),
        holidays=("2026-12-25",),
        tax_included=TaxIncluded.YES,
        price_lock=PriceLock.SESSION_START,
        valid_to=datetime(2027, 1, 1, tzinfo=UTC),
        kind="REGULAR",
        preauthorize_amount="60",
        policies=Policies(idle_grace=IdleGrace.WAIVE_IF_WITHIN, idle_grace_s=60),
        texts=(Text("en", "x"),) * 11,
    ) == {
        "$.caps[0]", "$.holidays", "$.tax_included", "$.price_lock", "$.valid_to", "$.kind",
        "$.preauthorize_amount", "$.policies.idle_grace", "$.policies.idle_grace_s", "$.texts",
        "$.elements[0].components[0].step", "$.elements[1].restrictions.reservation",
        under + "start_season", under + "end_season", under + "holiday", under + "payment_brand",
        under + "payment_recognition",
    }  # fmt: skip


def test_one_list_of_taxes_a_dimension() -> None:
    tax = (TaxRate("State", "7"),)
    first = one(Dimension.ENERGY, "1", Unit.KWH, Restrictions(min_kwh="5"), taxes=tax)
    assert lost_paths(first, ENERGY) == {"$.elements[1].components[0].taxes"}
    # Another dimension has its own.
    fee = one(Dimension.FLAT, "1", Unit.SESSION)
    body = written(tariff(first, fee))
    assert body["energy"]["taxRates"] == [{"type": "State", "tax": 7}]
    assert "taxRates" not in body["fixedFee"]
    assert written(tariff(one(Dimension.ENERGY, "1", Unit.KWH, taxes=())))["energy"][
        "taxRates"
    ] == [{"type": "VAT", "tax": 0}]  # fmt: skip
    long = (TaxRate("a tax with far too long a name", "1"),) * 6
    assert len(losses(tariff(one(Dimension.ENERGY, "1", Unit.KWH, taxes=long)))) == 7


@pytest.mark.parametrize(
    ("restrictions", "lost"),
    [
        (Restrictions(start_time="20:00"), ""),
        (Restrictions(days=(Day.MONDAY,)), ""),
        (Restrictions(start_date="2026-01-01", max_duration_s=2), ""),
        (Restrictions(min_kwh="1"), ".min_kwh"),
        (Restrictions(min_duration_s=600), ".min_duration_s"),
        (Restrictions(min_idle_s=600), ".min_idle_s"),
        (Restrictions(max_power_kw="22"), ".max_power_kw"),
        (Restrictions(max_duration_s=0), ".max_duration_s"),
        (Restrictions(payment_brand="x" * 21), ".payment_brand"),
    ],
)
def test_a_flat_fee_that_may_begin_later_is_a_loss(restrictions: Restrictions, lost: str) -> None:
    fee = one(Dimension.FLAT, "1", Unit.SESSION, restrictions)
    assert lost_paths(fee) == {f"$.elements[0].restrictions{lost}"}


def test_a_flat_fee_that_is_asked_at_the_start() -> None:
    for restrictions, conditions in (
        (Restrictions(start_time="20:00", max_duration_s=1), {"startTimeOfDay": "20:00"}),
        (Restrictions(max_duration_s=3600), None),
        (Restrictions(min_kwh="0", min_duration_s=0), None),
        (Restrictions(evse_kind=EvseKind.DC), {"evseKind": "DC"}),
    ):
        body = written(tariff(one(Dimension.FLAT, "1", Unit.SESSION, restrictions)))
        assert body["fixedFee"]["prices"][0].get("conditions") == conditions


def test_the_grace_of_a_policy_becomes_a_condition_of_every_idle_price() -> None:
    found = tariff(
        one(Dimension.IDLE_TIME, "0.1", Unit.MINUTE, Restrictions(max_idle_s=300)),
        one(Dimension.IDLE_TIME, "0.2", Unit.MINUTE, Restrictions(max_idle_s=1800)),
        one(Dimension.IDLE_TIME, "0.3", Unit.MINUTE, Restrictions(min_idle_s=3600)),
        one(Dimension.IDLE_TIME, "0.4", Unit.MINUTE),
        ENERGY,
        policies=Policies(idle_grace_s=600),
    )
    body = written(found)
    # The first lies within the grace altogether.
    assert body["idleTime"]["prices"] == [
        {"priceMinute": Decimal("0.2"), "conditions": {"minIdleTime": 600, "maxIdleTime": 1800}},
        {"priceMinute": Decimal("0.3"), "conditions": {"minIdleTime": 3600}},
        {"priceMinute": Decimal("0.4"), "conditions": {"minIdleTime": 600}},
    ]
    assert "conditions" not in body["energy"]["prices"][0]
    over_all = msgspec.structs.replace(
        found, policies=Policies(idle_grace_s=600, idle_scope=IdleScope.SESSION)
    )
    assert {loss.split(":")[0] for loss in losses(over_all)} == {
        "$.policies.idle_grace_s", "$.policies.idle_scope",
    }  # fmt: skip


def test_steps_of_one_and_of_nothing_round_nothing() -> None:
    for step in (0, 1):
        assert "energy" in written(tariff(one(Dimension.ENERGY, "1", Unit.KWH, step=step)))


def test_what_is_shown_only_stays_behind() -> None:
    found = tariff(
        msgspec.structs.replace(ENERGY, name="energy"),
        url="https://example.com", energy_mix="{}", country_code="US", policies=FOREIGN,
    )  # fmt: skip
    assert left_behind(found) == [
        "$.country_code", "$.url", "$.energy_mix", "$.elements[0].name",
    ]  # fmt: skip
    assert written(found)["tariffId"] == "T"


def test_an_id_of_60_characters_and_no_more() -> None:
    found = msgspec.structs.replace(tariff(ENERGY), id="x" * 60)
    assert written(found)["tariffId"] == "x" * 60
    assert losses(msgspec.structs.replace(found, id="x" * 61)) == (
        "$.id: longer than 60 characters",
    )


@pytest.mark.parametrize(
    ("conditions", "name", "expected"),
    [
        ({"endTimeOfDay": "24:00"}, "endTimeOfDay", "00:00"),
        ({"startTimeOfDay": "8:00"}, "startTimeOfDay", "local time"),
        ({"startTimeOfDay": "08:00", "endTimeOfDay": "08:00"}, "endTimeOfDay", "startTimeOfDay"),
        ({"validFromDate": "2026-02-30"}, "validFromDate", "date"),
        ({"dayOfWeek": ["MONDAY"]}, "dayOfWeek[0]", "one of Friday"),
        ({"evseKind": "ac"}, "evseKind", "one of AC, DC"),
        ({"minEnergy": 0.5}, "minEnergy", "3 decimal places"),
        ({"minEnergy": -1000}, "minEnergy", "not negative"),
        ({"maxPower": -50000}, "maxPower", "not negative"),
        ({"minCurrent": 1e30}, "minCurrent", "number"),
        ({"minTime": -1}, "minTime", "from 0"),
        ({"maxIdleTime": 1.5}, "maxIdleTime", "whole number"),
        ({"minChargingTime": "60"}, "minChargingTime", "whole number"),
    ],
)
def test_conditions_that_cant_be_taken(
    conditions: dict[str, Any], name: str, expected: str
) -> None:
    error = refused(with_conditions(**conditions))
    assert error.path == f"$.energy.prices[0].conditions.{name}"
    assert expected in error.expected


def test_conditions_that_can_hardly_be_meant_are_warned_of() -> None:
    found, warnings = read_ocpp21(with_conditions(minEnergy=2000, maxEnergy=1000))
    assert len(found.elements) == 1
    assert warnings == [
        "$.energy.prices[0].conditions: the element never applies: max_kwh is 1, "
        "expected more than 2 (exclusive)"
    ]
    assert "last minute" in read_ocpp21(with_conditions(endTimeOfDay="23:59"))[1][0]
    assert "twice" in read_ocpp21(with_conditions(dayOfWeek=["Monday", "Monday"]))[1][0]


def test_unknown_fields_and_a_vendors_own_are_warned_of() -> None:
    body = json.loads(raw())
    body["customData"] = {"vendorId": "x"}
    body["energy"]["prices"][0]["foo"] = 1
    body["minCost"] = {"exclTax": 1, "taxRates": [{"type": "a", "tax": 1}]}
    _, warnings = read_ocpp21(json.dumps(body).encode())
    assert sorted(warnings) == [
        "$.customData: unknown field, not read",
        "$.energy.prices[0].foo: unknown field, not read",
        "$.minCost.taxRates: not read, each side of tax is a limit of its own",
    ]


def test_texts_that_we_have_no_place_for_are_warned_of() -> None:
    texts = [
        {"format": "HTML", "language": "en", "content": "<b>x</b>"},
        {"format": "UTF8", "content": "no language"},
        {"format": "UTF8", "language": "en-US", "content": "longer"},
        {"format": "ASCII", "language": "en", "content": "kept"},
    ]
    found, warnings = read_ocpp21(raw(description=texts))
    assert found.texts == (Text("en", "kept"),)
    assert [w.split(":")[0] for w in warnings] == [
        "$.description[0].format", "$.description[1].language", "$.description[2].language",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"tariffId": ""}, "$.tariffId"),
        ({"tariffId": None}, "$.tariffId"),
        ({"currency": "usd"}, "$.currency"),
        ({"energy": None}, "$"),
        ({"energy": {}}, "$.energy.prices"),
        ({"energy": {"prices": []}}, "$.energy.prices"),
        ({"energy": {"prices": [{}]}}, "$.energy.prices[0].priceKwh"),
        ({"energy": {"prices": [{"priceKwh": "x"}]}}, "$.energy.prices[0].priceKwh"),
        ({"fixedFee": {"prices": [{"priceFixed": True}]}}, "$.fixedFee.prices[0].priceFixed"),
        ({"validFrom": "2026-01-01T00:00:00"}, "$.validFrom"),
        ({"validFrom": "0001-01-01T00:00:00Z"}, "$.validFrom"),
        ({"minCost": {}}, "$.minCost"),
        ({"maxCost": {"exclTax": -1}}, "$.maxCost.exclTax"),
        ({"energy": taxed(type="x", tax=101)}, "$.energy.taxRates[0].tax"),
        ({"energy": taxed(type="x", tax=1, stack=-1)}, "$.energy.taxRates[0].stack"),
        ({"energy": taxed(type="", tax=1)}, "$.energy.taxRates[0].type"),
    ],
)  # fmt: skip
def test_values_that_cant_be_taken(changed: dict[str, Any], path: str) -> None:
    assert refused(raw(**changed)).path == path


def test_a_key_that_stands_twice_is_refused() -> None:
    body = raw().replace(b'"priceKwh": 0.25', b'"priceKwh": 0.25, "priceKwh": 0')
    assert refused(body).path == "$.energy.prices[0].priceKwh"
    for bad in (b"[]", b"1", b'{"tariffId": 1, "tariffId": 2}'):
        assert refused(bad).path.startswith("$")
    with pytest.raises(Malformed):
        read_ocpp21(b"{")
