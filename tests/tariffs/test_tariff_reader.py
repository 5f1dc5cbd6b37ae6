"""Tariffs out of configuration: what is taken, and the path of what is not."""

from __future__ import annotations

import copy
import json
import math
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from wattledger.errors import BadInput
from wattledger.money import Rounding
from wattledger.tariffs import (
    Day,
    Dimension,
    Policies,
    PriceLimit,
    TaxRate,
    Unit,
    read_tariff,
    read_tariffs,
    to_body,
)
from wattledger.tariffs.reader import policy_of_text

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
ELEMENT = "$.tariff[0].elements[0]"
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
    (component(price="--0.35"), f"{COMPONENT}.price"),
    (component(price="+0.35"), f"{COMPONENT}.price"),
    (component(price=True), f"{COMPONENT}.price"),
    (component(price="1e3"), f"{COMPONENT}.price"),
    (component(price="٣"), f"{COMPONENT}.price"),
    (component(unit="minute"), f"{COMPONENT}.unit"),
    (component(unit="kwh"), f"{COMPONENT}.unit"),
    (component(dimension="power"), f"{COMPONENT}.dimension"),
    (component(step=-1), f"{COMPONENT}.step"),
    (component(step=1_000_001), f"{COMPONENT}.step"),
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
    (component(taxes="none"), f"{COMPONENT}.taxes"),
    (component(taxes=[{"name": "VAT"}]), f"{COMPONENT}.taxes[0].percent"),
    (component(taxes=[{"name": "VAT", "percent": "101"}]), f"{COMPONENT}.taxes[0].percent"),
    (component(taxes=[{"name": "VAT", "percent": "100.1"}]), f"{COMPONENT}.taxes[0].percent"),
    (component(taxes=[{"name": "VAT", "percent": 7.7}]), f"{COMPONENT}.taxes[0].percent"),
    (
        component(taxes=[{"name": "VAT", "percent": "19", "stack": 10}]),
        f"{COMPONENT}.taxes[0].stack",
    ),
    (
        lambda raw: raw["elements"][0]["components"].append(
            {"dimension": "reservation_flat", "price": "1", "unit": "session"}
        ),
        f"{ELEMENT}.components",
    ),
    (restrictions(start_season="06-01"), f"{RESTRICTIONS}.end_season"),
    (restrictions(start_season="06-01", end_season="06-01"), f"{RESTRICTIONS}.end_season"),
    (restrictions(start_season="02-29", end_season="06-01"), f"{RESTRICTIONS}.start_season"),
    (restrictions(holiday="yes"), f"{RESTRICTIONS}.holiday"),
    (restrictions(min_power_kw="-1"), f"{RESTRICTIONS}.min_power_kw"),
    (restrictions(min_power_kw="22", max_power_kw="11"), f"{RESTRICTIONS}.max_power_kw"),
    (restrictions(min_current_a=0.5), f"{RESTRICTIONS}.min_current_a"),
    (restrictions(min_charging_s=60, max_charging_s=60), f"{RESTRICTIONS}.max_charging_s"),
    (restrictions(evse_kind="ac"), f"{RESTRICTIONS}.evse_kind"),
    (restrictions(payment_brand=""), f"{RESTRICTIONS}.payment_brand"),
    (restrictions(reservation="used"), f"{RESTRICTIONS}.reservation"),
    (top(tax_included=True), "$.tariff[0].tax_included"),
    (top(price_lock="start"), "$.tariff[0].price_lock"),
    (top(min_price={}), "$.tariff[0].min_price"),
    (top(min_price="1.00"), "$.tariff[0].min_price"),
    (top(max_price={"before_tax": "1"}), "$.tariff[0].max_price.before_tax"),
    (top(max_price={"after_taxes": "-1"}), "$.tariff[0].max_price.after_taxes"),
    (top(valid_from="2026-11-24"), "$.tariff[0].valid_from"),
    (top(valid_from="2026-11-24T00:00:00"), "$.tariff[0].valid_from"),
    (
        top(valid_from="2026-11-24T00:00:00Z", valid_to="2026-11-24T01:00:00+01:00"),
        "$.tariff[0].valid_to",
    ),
    (top(holidays="2026-12-25"), "$.tariff[0].holidays"),
    (top(holidays=["2026-13-25"]), "$.tariff[0].holidays[0]"),
    (top(holidays=["2026-12-26", "2026-12-25"]), "$.tariff[0].holidays"),
    (top(policies={"rounding_increment": 0}), "$.tariff[0].policies.rounding_increment"),
    (top(policies={"minimum_energy_wh": 100}), "$.tariff[0].policies.minimum_energy_wh"),
    (top(policies={"zero_energy": "bill"}), "$.tariff[0].policies.zero_energy"),
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
        '"0.35", as a quoted string or a whole number'
    )
    component(price="0.35")(raw)
    with pytest.raises(BadInput) as caught:
        read_tariff(raw | {"min_price": {"before_taxes": "-1"}}, "$.tariff[1]")
    assert str(caught.value).endswith(", as a quoted string or a whole number, not negative")


def test_all_that_a_tariff_can_say_reads_back_the_same(raw: dict[str, Any]) -> None:
    table = tomllib.loads("""
    tax_included = "yes"
    price_lock = "session_start"
    min_price = { before_taxes = "1.00", after_taxes = "1.19" }
    max_price = { after_taxes = "60" }
    valid_from = 2026-01-01T00:00:00-08:00
    valid_to = 2027-01-01T00:00:00-08:00
    holidays = ["2026-07-03", 2026-12-25]
    policies = { floor_s = 120, zero_energy = "idle_only", idle_after_stop = false }
    """)
    component(taxes=[{"name": "State", "percent": "7.25"},
                     {"name": "City", "percent": 1, "stack": 1}])(raw)  # fmt: skip
    restrictions(
        start_season="06-01", end_season="10-01", holiday=False, min_power_kw="7.4",
        max_current_a="32", max_charging_s=3600, evse_kind="AC", payment_brand="Visa",
    )(raw)  # fmt: skip
    tariff = read_tariff(raw | table, "$")
    assert tariff.valid_from == datetime(2026, 1, 1, 8, tzinfo=UTC)
    assert tariff.holidays == ("2026-07-03", "2026-12-25")
    assert tariff.min_price == PriceLimit("1.00", "1.19")
    assert tariff.max_price == PriceLimit(None, "60")
    assert tariff.elements[0].components[0].taxes == (
        TaxRate("State", "7.25"), TaxRate("City", "1", 1),
    )  # fmt: skip
    body = to_body(tariff)
    assert read_tariff(body, "$") == tariff
    assert json.loads(json.dumps(body)) == body


def test_every_policy_is_read_from_a_command_line_too() -> None:
    for name, usual in msgspec.to_builtins(Policies()).items():
        text = str(usual).lower() if isinstance(usual, bool) else str(usual)
        assert policy_of_text(name, text, "--policy") == getattr(Policies(), name)
    with pytest.raises(BadInput, match="the name of a policy: rounding, "):
        policy_of_text("minimum_energy_wh", "1", "--policy")
    with pytest.raises(BadInput, match="true or false"):
        policy_of_text("idle_after_stop", "yes", "--policy")


def test_a_price_may_be_below_zero_and_a_step_none(raw: dict[str, Any]) -> None:
    for price in ("-0.35", -1, "-0"):
        component(price=price, step=0)(raw)
        (found, *_) = read_tariff(raw, "$").elements[0].components
        assert (found.price, found.step) == (str(price), 0)


def test_an_id_is_used_once(raw: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as caught:
        read_tariffs([raw, copy.deepcopy(raw)])
    assert caught.value.path == "$.tariff[1].id"


def test_a_tariff_is_a_table_in_a_list() -> None:
    with pytest.raises(BadInput, match=r"\$\.tariff\[0\]: got 'x', expected a table"):
        read_tariffs(["x"])
    with pytest.raises(BadInput, match=r"\$\.tariff: got .*, expected a list of tables"):
        read_tariffs({"id": "x"})
