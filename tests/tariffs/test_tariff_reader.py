"""Tariffs out of configuration: what is taken, and the path of what is not."""

from __future__ import annotations

import copy
import json
import math
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from wattledger.errors import BadInput
from wattledger.money import Rounding
from wattledger.tariffs import Day, Dimension, Unit, read_tariff, read_tariffs, to_body

PASADENA = """
[[tariff]]
id = "pasadena"
name = "Pasadena by time of day"
currency = "USD"
caps = [{ dimension = "idle_time", amount = "12.00" }]
[[tariff.elements]]
name = "peak"
restrictions = { start_time = "16:00", end_time = "21:00", days = ["MONDAY", "FRIDAY"] }
components = [{ dimension = "energy", price = "0.35", unit = "kWh" }]
[[tariff.elements]]
name = "idle"
restrictions = { min_idle_s = 600 }
components = [{ dimension = "idle_time", price = "0.20", unit = "minute", step = 60 }]
[tariff.policies]
rounding = "half_even"
"""


@pytest.fixture
def raw() -> dict[str, Any]:
    return tomllib.loads(PASADENA)["tariff"][0]


def test_reads_the_example(raw: dict[str, Any]) -> None:
    (tariff,) = read_tariffs([raw])
    peak, idle = tariff.elements
    assert (tariff.id, tariff.currency, tariff.caps[0].amount) == ("pasadena", "USD", "12.00")
    assert peak.restrictions.days == (Day.MONDAY, Day.FRIDAY)
    assert peak.components[0].price == "0.35"
    assert idle.components[0].unit is Unit.MINUTE
    assert idle.components[0].step == 60
    assert idle.component(Dimension.ENERGY) is None
    assert idle.restrictions.min_idle_s == 600
    assert tariff.policies.rounding is Rounding.HALF_EVEN
    assert tariff.policies.idle_after_stop is True


def test_the_body_reads_back_as_the_same_tariff_also_through_json(raw: dict[str, Any]) -> None:
    tariff = read_tariff(raw, "$.tariff[0]")
    body = to_body(tariff)
    assert read_tariff(body, "$") == tariff
    assert json.loads(json.dumps(body)) == body


def test_the_name_defaults_to_the_id_and_a_whole_number_is_a_price(raw: dict[str, Any]) -> None:
    del raw["name"]
    raw["elements"][0]["components"][0]["price"] = 1
    raw["elements"][0]["restrictions"]["start_date"] = tomllib.loads("d = 2026-07-01")["d"]
    tariff = read_tariff(raw, "$")
    assert tariff.name == "pasadena"
    assert tariff.elements[0].components[0].price == "1"
    assert tariff.elements[0].restrictions.start_date == "2026-07-01"


Spoil = Callable[[dict[str, Any]], object]
COMPONENT = "$.tariff[0].elements[0].components[0]"
RESTRICTIONS = "$.tariff[0].elements[0].restrictions"


def component(**changes: object) -> Spoil:
    return lambda raw: raw["elements"][0]["components"][0].update(changes)


def restrictions(**changes: object) -> Spoil:
    return lambda raw: raw["elements"][0]["restrictions"].update(changes)


def top(**changes: object) -> Spoil:
    return lambda raw: raw.update(changes)


BAD: list[tuple[Spoil, str]] = [
    (component(price="abc"), f"{COMPONENT}.price"),
    (component(price=0.35), f"{COMPONENT}.price"),
    (component(price=math.nan), f"{COMPONENT}.price"),
    (component(price="NaN"), f"{COMPONENT}.price"),
    (component(price="Infinity"), f"{COMPONENT}.price"),
    (component(price="-0.35"), f"{COMPONENT}.price"),
    (component(price=-1), f"{COMPONENT}.price"),
    (component(price=True), f"{COMPONENT}.price"),
    (component(price="1e3"), f"{COMPONENT}.price"),
    (component(price="٣"), f"{COMPONENT}.price"),
    (component(unit="minute"), f"{COMPONENT}.unit"),
    (component(unit="kwh"), f"{COMPONENT}.unit"),
    (component(dimension="power"), f"{COMPONENT}.dimension"),
    (component(step=0), f"{COMPONENT}.step"),
    (component(step=True), f"{COMPONENT}.step"),
    (component(dimension="flat", unit="session", step=60), f"{COMPONENT}.step"),
    (component(prize="0.35"), f"{COMPONENT}.prize"),
    (restrictions(start_time="24:00"), f"{RESTRICTIONS}.start_time"),
    (restrictions(start_time="7:00"), f"{RESTRICTIONS}.start_time"),
    (restrictions(end_time="16:00"), f"{RESTRICTIONS}.end_time"),
    (restrictions(days=["Monday"]), f"{RESTRICTIONS}.days[0]"),
    (restrictions(days=["MONDAY", "MONDAY"]), f"{RESTRICTIONS}.days[1]"),
    (restrictions(days=[]), f"{RESTRICTIONS}.days"),
    (restrictions(start_date="2026-02-30"), f"{RESTRICTIONS}.start_date"),
    (restrictions(start_date="2026-02-03", end_date="2026-02-03"), f"{RESTRICTIONS}.end_date"),
    (restrictions(min_kwh="10", max_kwh="9.5"), f"{RESTRICTIONS}.max_kwh"),
    (restrictions(min_kwh="0.0001"), f"{RESTRICTIONS}.min_kwh"),
    (restrictions(min_duration_s=-1), f"{RESTRICTIONS}.min_duration_s"),
    (restrictions(max_idle_s=0), f"{RESTRICTIONS}.max_idle_s"),
    (restrictions(time_zone="Mars/Olympus"), f"{RESTRICTIONS}.time_zone"),
    (top(currency="usd"), "$.tariff[0].currency"),
    (top(id=""), "$.tariff[0].id"),
    (top(elements=[]), "$.tariff[0].elements"),
    (top(elements="peak"), "$.tariff[0].elements"),
    (top(caps=[{"dimension": "energy", "amount": "1.005"}]), "$.tariff[0].caps[0].amount"),
    (top(caps=[{"dimension": "energy", "amount": "1"}] * 2), "$.tariff[0].caps[1].dimension"),
    (top(policies={"rounding": "nearest"}), "$.tariff[0].policies.rounding"),
    (top(policies={"idle_after_stop": 1}), "$.tariff[0].policies.idle_after_stop"),
    (top(policies=[]), "$.tariff[0].policies"),
    (lambda raw: raw.pop("currency"), "$.tariff[0].currency"),
    (
        lambda raw: raw["elements"][0]["components"].append(raw["elements"][0]["components"][0]),
        "$.tariff[0].elements[0].components[1].dimension",
    ),
    (lambda raw: raw["elements"][0].update(components=[]), "$.tariff[0].elements[0].components"),
]


@pytest.mark.parametrize(("spoil", "path"), BAD, ids=[f"{p}-{i}" for i, (_, p) in enumerate(BAD)])
def test_what_is_wrong_is_named_with_its_path(raw: dict[str, Any], spoil: Spoil, path: str) -> None:
    spoil(raw)
    with pytest.raises(BadInput) as caught:
        read_tariffs([raw])
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: got ")


def test_the_message_says_what_came_and_what_was_expected(raw: dict[str, Any]) -> None:
    component(price="abc")(raw)
    with pytest.raises(BadInput) as caught:
        read_tariff(raw, "$.tariff[1]")
    assert str(caught.value) == (
        "$.tariff[1].elements[0].components[0].price: got 'abc', expected a price such as "
        '"0.35", as a quoted string or a whole number, not negative'
    )


def test_an_id_is_used_once(raw: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as caught:
        read_tariffs([raw, copy.deepcopy(raw)])
    assert caught.value.path == "$.tariff[1].id"


def test_a_tariff_is_a_table_in_a_list() -> None:
    with pytest.raises(BadInput, match=r"\$\.tariff\[0\]: got 'x', expected a table"):
        read_tariffs(["x"])
    with pytest.raises(BadInput, match=r"\$\.tariff: got .*, expected a list of tables"):
        read_tariffs({"id": "x"})
