"""The rules that are shipped, how they are read, and what they say of a tariff."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from wattledger.errors import BadInput
from wattledger.tariffs import Dimension, Tariff, read_tariff
from wattledger.tariffs.findings import Finding, Severity
from wattledger.tariffs.jurisdictions import (
    Confidence,
    Customer,
    ReceiptField,
    Rules,
    Sold,
    check,
    load,
    read_jurisdictions,
    rules_for,
    shipped,
    taxes_for,
    value_of,
)

TODAY = date(2026, 11, 24)
UNITS = {"energy": "kWh", "charging_time": "minute", "idle_time": "minute", "flat": "session"}


def tariff(*dimensions: str, price: str = "0.40", **more: Any) -> Tariff:
    components = [{"dimension": d, "price": price, "unit": UNITS[d]} for d in dimensions]
    raw = {"id": "t", "currency": "USD", "elements": [{"name": "all", "components": components}]}
    return read_tariff({**raw, **more}, "$")


def errors(found: tuple[Finding, ...]) -> set[tuple[str, str]]:
    return {(f.code, f.rule_id) for f in found if f.severity is Severity.ERROR}


def warnings(found: tuple[Finding, ...]) -> set[tuple[str, str]]:
    return {(f.code, f.rule_id) for f in found if f.severity is Severity.WARNING}


# Shipped data


def test_everything_shipped_has_a_source_an_address_and_a_parent_that_is_there() -> None:
    known = load()
    ids: list[str] = []
    for jurisdiction in shipped():
        assert jurisdiction.inherits is None or jurisdiction.inherits in known
        for row in (*jurisdiction.rules, *jurisdiction.taxes):
            assert row.url.startswith("https://")
            assert row.source
            ids.append(row.id)
    assert len(ids) == len(set(ids)) > 25


def test_a_rule_that_nobody_has_verified_only_warns() -> None:
    loose = [r for j in shipped() for r in j.rules if r.confidence is not Confidence.VERIFIED]
    assert len(loose) > 8
    assert not any(rule.enforced for rule in loose)


def test_no_real_place_forbids_selling_by_the_kwh_today() -> None:
    for jurisdiction in shipped():
        for rule in load().rules_for(jurisdiction.id, TODAY, None):
            assert Dimension.ENERGY not in rule.forbidden, rule.id
        found = check(tariff("energy", tax_included="yes"), jurisdiction.id, TODAY, 150_000)
        assert errors(found) == set()


def test_the_table_in_the_documents_is_that_of_the_data() -> None:
    text = (Path(__file__).parents[2] / "docs" / "jurisdictions.md").read_text(encoding="utf-8")
    for jurisdiction in shipped():
        for row in (*jurisdiction.rules, *jurisdiction.taxes):
            since, until = row.effective_from or "", row.effective_to or ""
            assert (
                f"| {jurisdiction.id} | `{row.id}` | {row.confidence} | {since} | {until} |"
                f" [{row.source}]({row.url}) | {row.text} |\n"
            ) in text


# Nesting


def test_a_state_has_the_rules_of_the_federation_and_a_programme_adds_its_own() -> None:
    ids = [rule.id for rule in rules_for("US-CA", TODAY, 150_000, ("US-NEVI",))]
    assert ids == ["us-ca-receipt", "us-hb130-unit", "us-hb44-receipt",
                   "us-nevi-per-kwh", "us-nevi-price-lock", "us-nevi-fees"]  # fmt: skip
    assert [r.id for r in rules_for("US", TODAY, 150_000)] == ids[1:3]


def test_germany_has_the_rules_of_the_union_but_one_it_says_better() -> None:
    ids = {rule.id for rule in rules_for("DE", TODAY, 22_000)}
    assert {"eu-afir-order", "de-pangv-per-kwh", "de-pangv-tax-included"} <= ids
    assert "eu-tax-included" not in ids
    assert "eu-afir-50kw-per-kwh" not in ids


def test_an_unknown_place_is_permissive_and_says_so() -> None:
    (found,) = check(tariff("charging_time"), "XX", TODAY, 22_000)
    assert (found.code, found.severity) == ("unknown_jurisdiction", Severity.WARNING)
    assert "nothing is checked" in found.message
    found = check(tariff("energy"), "US-TX", TODAY, 22_000)[0]
    assert "only the rules of 'US' are checked" in found.message
    assert [r.id for r in rules_for("US-TX", TODAY, 1)] == [r.id for r in rules_for("US", TODAY, 1)]


# AFIR, Article 5(4): 50 kW is inside


@pytest.mark.parametrize(
    ("dimensions", "power_w", "expected"),
    [
        (("energy",), 50_000, set()),
        (("energy", "idle_time"), 150_000, set()),
        (("charging_time",), 49_999, set()),
        (("charging_time",), 50_000, {
            ("component_missing", "eu-afir-50kw-per-kwh"),
            ("component_not_allowed", "eu-afir-50kw-components"),
        }),
        (("energy", "flat"), 22_000, set()),
        (("energy", "flat"), 50_000, {("component_not_allowed", "eu-afir-50kw-components")}),
        (("energy", "charging_time"), 150_000,
         {("component_not_allowed", "eu-afir-50kw-components")}),
    ],
)  # fmt: skip
def test_afir(dimensions: tuple[str, ...], power_w: int, expected: set[Any]) -> None:
    offer = tariff(*dimensions, tax_included="yes")
    assert errors(check(offer, "FR", TODAY, power_w)) == expected
    assert check(offer, "FR", TODAY, power_w, ad_hoc=False) == ()
    assert errors(check(offer, "FR", date(2024, 4, 12), power_w)) == set()


def test_what_depends_on_a_power_that_is_not_known_warns() -> None:
    found = check(tariff("flat", tax_included="yes"), "EU", TODAY, None)
    assert errors(found) == set()
    assert ("component_not_allowed", "eu-afir-50kw-components") in warnings(found)


def test_who_charges_for_nothing_owes_no_price_per_kwh() -> None:
    assert errors(check(tariff("flat", price="0.00"), "FR", TODAY, 150_000)) == set()


@pytest.mark.parametrize(
    ("price", "plain"), [("2.50", False), ("6.00", True), ("0.03", True), ("1", False)]
)
def test_an_hourly_price_that_three_does_not_divide_has_no_minute(price: str, plain: bool) -> None:
    """2.50 an hour is 0.041666… a minute; 6.00 is 0.10, and 0.03 is 0.0005."""
    a_minute = Fraction(price) / 60
    assert ((a_minute * 10**6).denominator == 1) is plain
    components = [
        {"dimension": "energy", "price": "0.40", "unit": "kWh"},
        {"dimension": "idle_time", "price": price, "unit": "hour"},
    ]
    offer = tariff("energy", tax_included="yes", elements=[{"components": components}])
    found = warnings(check(offer, "FR", TODAY, 150_000))
    assert (("not_per_minute", "eu-afir-per-minute") in found) is not plain


def test_germany_wants_a_price_per_kwh_at_any_power() -> None:
    offer = tariff("charging_time", tax_included="yes")
    assert errors(check(offer, "DE", TODAY, 22_000)) == {("component_missing", "de-pangv-per-kwh")}
    assert errors(check(offer, "DE", date(2022, 5, 27), 22_000)) == set()
    assert errors(check(offer, "DE", TODAY, 22_000, ad_hoc=False)) == set()


def test_a_price_changes_on_the_quarter_of_an_hour_in_germany() -> None:
    element = {
        "restrictions": {"start_time": "08:10", "end_time": "20:00"},
        "components": [{"dimension": "energy", "price": "0.40", "unit": "kWh"}],
    }
    found = check(
        tariff("energy", tax_included="yes", elements=[element],
               valid_from="2026-01-01T00:05:00Z", valid_to="2027-01-01T00:15:00Z"),
        "DE", TODAY, 22_000,
    )  # fmt: skip
    assert [(f.code, f.path) for f in found] == [
        ("off_grid", "$.valid_from"), ("off_grid", "$.elements[0].restrictions.start_time"),
    ]  # fmt: skip


def test_prices_without_tax_are_told_where_consumers_see_prices_with_it() -> None:
    assert ("tax_included", "gb-tax-included") in warnings(
        check(tariff("energy"), "GB", TODAY, 7_000)
    )
    found = check(tariff("energy", tax_included="not_applicable"), "GB", TODAY, 7_000)
    assert warnings(found) == set()


# 23 CFR 680.116


def peak(**more: Any) -> Tariff:
    elements = [
        {
            "name": name,
            "restrictions": {"start_time": "16:00", "end_time": "21:00"} if name == "peak" else {},
            "components": [{"dimension": "energy", "price": price, "unit": "kWh"}],
        }
        for name, price in (("peak", "0.60"), ("rest", "0.40"))
    ]
    return tariff("energy", elements=elements, **more)


def nevi(offer: Tariff, on: date = TODAY, **more: Any) -> tuple[Finding, ...]:
    return check(offer, "US-CA", on, 150_000, programmes=("US-NEVI",), **more)


def test_the_price_of_a_session_cannot_change_during_it() -> None:
    found = nevi(peak())
    assert errors(found) == {("price_not_locked", "us-nevi-price-lock")}
    assert found[0].path == "$.elements[0].restrictions.start_time"
    assert found[0].source == "23 CFR 680.116(a)(2)"
    assert errors(nevi(peak(price_lock="session_start"))) == set()
    assert errors(check(peak(), "US-CA", TODAY, 150_000)) == set()


def test_a_price_that_changes_with_the_energy_is_not_locked_either() -> None:
    element = {"name": "first", "restrictions": {"max_kwh": "10"},
               "components": [{"dimension": "energy", "price": "0.30", "unit": "kWh"}]}  # fmt: skip
    offer = tariff("energy", price_lock="session_start", elements=[element])
    assert errors(nevi(offer)) == {("price_not_locked", "us-nevi-price-lock")}


def test_nevi_gave_a_year_for_the_price_per_kwh() -> None:
    by_time = tariff("charging_time")
    assert errors(nevi(by_time)) == {("component_missing", "us-nevi-per-kwh")}
    assert errors(nevi(by_time, date(2024, 2, 28))) != set()
    year = nevi(by_time, date(2024, 2, 27))
    assert errors(year) == set()
    assert ("component_missing", "us-nevi-per-kwh-new") in warnings(year)
    assert not [f for f in nevi(by_time, date(2023, 2, 27)) if "nevi" in f.rule_id]


def test_a_fee_that_nobody_explains_is_told() -> None:
    components = [
        {"dimension": "energy", "price": "0.40", "unit": "kWh"},
        {"dimension": "flat", "price": "1", "unit": "session"},
    ]
    nameless = tariff("energy", elements=[{"components": components}])
    assert ("fee_unexplained", "us-nevi-fees") in warnings(nevi(nameless))
    assert warnings(nevi(tariff("energy", "flat"))) == set()


# History, and policies of one's own


@pytest.mark.parametrize(
    ("place", "last_day", "rule"),
    [
        ("US-NE", date(2024, 5, 12), "us-ne-no-per-kwh"),
        ("US-WI", date(2024, 3, 21), "us-wi-no-per-kwh"),
        ("US-MI", date(2024, 2, 12), "us-mi-no-per-kwh"),
        ("US-TN", date(2023, 12, 31), "us-tn-no-per-kwh"),
    ],
)
def test_where_the_kwh_could_not_be_sold_it_says_so_up_to_a_day(
    place: str, last_day: date, rule: str
) -> None:
    found = check(tariff("energy"), place, last_day, 50_000)
    assert errors(found) == set()
    assert ("component_forbidden", rule) in warnings(found)
    after = date.fromordinal(last_day.toordinal() + 1)
    assert check(tariff("energy"), place, after, 50_000) == ()


def test_wisconsin_exempts_from_regulation_who_sells_by_the_kwh() -> None:
    found = warnings(check(tariff("charging_time"), "US-WI", TODAY, 50_000))
    assert ("component_missing", "us-wi-per-kwh") in found


OWN: dict[str, Any] = {
    "id": "harbour",
    "inherits": "US-CA",
    "rules": [{"id": "no-kwh", "text": "Not before the harbour allows it.",
               "forbidden": ["energy"], "effective_to": "2027-03-01"}],
}  # fmt: skip


def own(*raw: dict[str, Any]) -> Rules:
    return load(read_jurisdictions(list(raw)))


def test_a_policy_of_ones_own_is_data_and_enforced() -> None:
    rules = own(OWN)
    (found,) = check(tariff("energy"), "harbour", date(2027, 2, 28), 7_000, rules=rules)
    assert (found.code, found.severity) == ("component_forbidden", Severity.ERROR)
    assert (found.rule_id, found.path) == ("no-kwh", "$.elements[0].components[0].dimension")
    assert "Not before the harbour allows it. (this configuration)" in found.message
    assert check(tariff("energy"), "harbour", date(2027, 3, 1), 7_000, rules=rules) == ()
    assert value_of(rules.rules_for("harbour", TODAY, 7_000), "receipt_fields") is not None


def test_under_the_id_of_one_of_ours_it_adds() -> None:
    rules = own(
        {
            "id": "US-CA",
            "rules": [
                {
                    "id": "grace",
                    "text": "Ten minutes are free.",
                    "idle_grace_s": 600,
                    "confidence": "secondary",
                }
            ],
        }
    )
    (found,) = check(tariff("energy", "idle_time"), "US-CA", TODAY, 7_000, rules=rules)
    assert (found.code, found.severity) == ("idle_grace", Severity.WARNING)
    assert [r.id for r in rules.rules_for("US-CA", TODAY, 7_000)][:2] == ["grace", "us-ca-receipt"]
    waiting = tariff("energy", "idle_time", policies={"idle_grace_s": 600})
    assert check(waiting, "US-CA", TODAY, 7_000, rules=rules) == ()


def test_one_of_ours_can_be_replaced_where_it_does_not_fit() -> None:
    rules = own({"id": "old-points", "inherits": "FR", "rules": [
        {"id": "before-2024", "text": "These points were put into operation in 2019.",
         "replaces": ["eu-afir-50kw-components"]}]})  # fmt: skip
    offer = tariff("energy", "flat", tax_included="yes")
    assert errors(check(offer, "old-points", TODAY, 50_000, rules=rules)) == set()
    assert errors(check(offer, "FR", TODAY, 50_000, rules=rules)) != set()


def test_decimals_are_those_of_the_price_after_the_discount() -> None:
    rules = own({"id": "x", "rules": [{"id": "two", "text": "Whole cents.",
                                        "price_decimals_max": 2}]})  # fmt: skip
    offer = tariff("energy", price="0.40")
    assert check(offer, "x", TODAY, 1, rules=rules) == ()
    assert check(offer, "x", TODAY, 1, rules=rules, discount_percent="10") == ()
    # 0.40 x 0.875 = 0.35; 0.40 x 0.99 = 0.396
    assert check(offer, "x", TODAY, 1, rules=rules, discount_percent="12.5") == ()
    (found,) = check(offer, "x", TODAY, 1, rules=rules, discount_percent="1")
    assert "0.396" in found.message


def test_rounding_and_the_least_decimals_can_be_asked_for() -> None:
    rules = own({"id": "x", "rules": [
        {"id": "r", "text": "Per line, to five.", "rounding": "half_up", "rounding_level": "line",
         "rounding_increment": 5, "price_decimals_min": 2}]})  # fmt: skip
    found = check(tariff("energy", price="0.4"), "x", TODAY, 1, rules=rules)
    assert {(f.code, f.path) for f in found} == {
        ("rounding", "$.policies.rounding_level"), ("rounding", "$.policies.rounding_increment"),
        ("price_decimals", "$.elements[0].components[0].price"),
    }  # fmt: skip


def test_what_printers_need_is_found_by_name() -> None:
    rules = rules_for("US-CA", TODAY, 7_000)
    assert ReceiptField.EVSE_ID in value_of(rules, "receipt_fields")
    german = rules_for("DE", TODAY, 22_000)
    assert value_of(german, "signed_meter") is True
    assert value_of(german, "kwh_decimals") == 2
    assert value_of(german, "component_order")[:4] == (
        Dimension.ENERGY, Dimension.CHARGING_TIME, Dimension.IDLE_TIME, Dimension.FLAT,
    )  # fmt: skip
    assert value_of(rules, "signed_meter") is None


def test_the_days_on_which_rules_change() -> None:
    dates = load().dates("US-WI", ("US-NEVI",), date(2023, 1, 1), date(2025, 1, 1))
    assert dates == (date(2023, 2, 28), date(2024, 2, 28), date(2024, 3, 22))
    assert load().rules_for("US-NE", None, 1, (), Sold.AD_HOC) == load().rules_for("US", None, 1)


# Taxes


def test_one_session_in_two_states_that_see_its_parts_otherwise() -> None:
    """1.00 + 20 x 0.30 + 5 x 0.40 = 9.00: nothing in Georgia, 0.54 at 6 % in South Carolina."""
    parts = {
        Dimension.FLAT: Decimal("1.00"), Dimension.CHARGING_TIME: 20 * Decimal("0.30"),
        Dimension.IDLE_TIME: 5 * Decimal("0.40"),
    }  # fmt: skip
    assert sum(parts.values()) == Decimal("9.00")
    on = date(2024, 1, 1)
    owed = {}
    for place in ("US-GA", "US-SC"):
        owed[place] = sum(
            amount * Decimal(tax.percent or 0) / 100
            for dimension, amount in parts.items()
            for tax in taxes_for(place, on, dimension, rates={"us-sc-sales": "6"})
        )
    assert owed == {"US-GA": 0, "US-SC": Decimal("0.54")}


def test_a_row_that_says_not_taxable_is_told_from_no_row() -> None:
    rows = load().tax_rows("US-GA", TODAY, Dimension.FLAT)
    assert [row.taxable for row in rows] == [False]
    assert load().tax_rows("US-CA", TODAY, Dimension.FLAT) == ()


def test_a_local_rate_is_named_and_never_guessed() -> None:
    (tax,) = taxes_for("US-SC", TODAY, Dimension.ENERGY)
    assert (tax.percent, tax.per_kwh, tax.rate) == (None, None, "us-sc-sales")
    assert Dimension.FLAT in tax.dimensions
    with pytest.raises(BadInput) as caught:
        taxes_for("US-SC", TODAY, Dimension.ENERGY, rates={})
    assert caught.value.path == "$.rates.us-sc-sales"
    with pytest.raises(BadInput):
        taxes_for("US-SC", TODAY, Dimension.ENERGY, rates={"us-sc-sales": "106"})
    assert taxes_for("US-SC", TODAY, Dimension.ENERGY, Customer.EXEMPT) == ()


@pytest.mark.parametrize(
    ("place", "day", "power_w", "amount"),
    [
        ("US-IA", "2023-06-30", 7_000, None),
        ("US-IA", "2023-07-01", 7_000, "0.026"),
        ("US-KY", "2024-01-01", 7_000, "0.03"),
        ("US-KY", "2025-01-01", 7_000, None),
        ("US-KY", "2025-01-01", 20_000, "0.03"),
        ("US-OK", "2024-01-01", 50_000, "0.03"),
        ("US-OK", "2024-01-01", 49_999, None),
        ("US-WI", "2024-12-31", 50_000, None),
        ("US-WI", "2025-01-01", 50_000, "0.03"),
        ("US-NE", "2027-12-31", 50_000, None),
        ("US-NE", "2028-01-01", 50_000, "0.03"),
    ],
)
def test_excises_per_kwh(place: str, day: str, power_w: int, amount: str | None) -> None:
    found = taxes_for(place, date.fromisoformat(day), Dimension.ENERGY, power_w=power_w)
    assert [tax.per_kwh for tax in found] == ([] if amount is None else [amount])
    for dimension in (Dimension.FLAT, Dimension.CHARGING_TIME):
        assert taxes_for(place, date.fromisoformat(day), dimension) == ()


def test_excise_on_the_month_is_not_that_of_its_sessions() -> None:
    """1,000 sessions of 9.537 kWh: 0.247962 each, 0.25 rounded, 247.96 on the return."""
    (tax,) = taxes_for("US-IA", TODAY, Dimension.ENERGY)
    one = Decimal(tax.per_kwh or 0) * Decimal("9.537")
    assert one == Decimal("0.247962")
    assert 1000 * one.quantize(Decimal("0.01")) - (1000 * one).quantize(Decimal("0.01")) == (
        Decimal("2.04")
    )


def test_a_surtax_on_the_states_own_land_comes_on_top() -> None:
    found = taxes_for("US-KY-STATE", date(2024, 6, 1), Dimension.ENERGY, power_w=150_000)
    assert [tax.per_kwh for tax in found] == ["0.03", "0.03"]


def test_an_amount_for_eleven_kwh_stays_exact() -> None:
    assert taxes_for("US-GA", date(2026, 12, 31), Dimension.ENERGY) == ()
    (tax,) = taxes_for("US-GA", date(2027, 1, 1), Dimension.ENERGY)
    assert (tax.per_kwh, tax.unit_kwh) == ("0.26", 11)
    assert Fraction(tax.per_kwh) / tax.unit_kwh * 22 == Fraction("0.52")
    assert tax.confidence is Confidence.UNVERIFIED


def test_utah_taxes_the_sale_by_kwh_and_by_time() -> None:
    for dimension, percent in ((Dimension.ENERGY, ["12.5"]), (Dimension.CHARGING_TIME, ["12.5"]),
                               (Dimension.IDLE_TIME, [])):  # fmt: skip
        assert [tax.percent for tax in taxes_for("US-UT", TODAY, dimension)] == percent


# Reading

RULE = "$.jurisdiction[0].rules[0]"
TAX = "$.jurisdiction[0].taxes[0]"
FULL: dict[str, Any] = {
    "id": "x", "name": "X", "inherits": "US",
    "rules": [{"id": "r", "text": "Words.", "forbidden": ["flat"]}],
    "taxes": [{"id": "t", "name": "Tax", "text": "Words.", "dimensions": ["energy"],
               "per_kwh": "0.01"}],
}  # fmt: skip


def rule(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw["rules"][0].update(changes)


def tax(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw["taxes"][0].update(changes)


def top(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw.update(changes)


BAD = [
    (top(colour="red"), "$.jurisdiction[0].colour"),
    (top(id="no spaces"), "$.jurisdiction[0].id"),
    (top(inherits="Atlantis"), "$.jurisdiction[0].inherits"),
    (top(inherits="x"), "$.jurisdiction[0].inherits"),
    (top(id="DE", inherits="US"), "$.jurisdiction[0].inherits"),
    (rule(colour="red"), f"{RULE}.colour"),
    (rule(text=""), f"{RULE}.text"),
    (rule(forbidden=["power"]), f"{RULE}.forbidden[0]"),
    (rule(forbidden=["flat", "flat"]), f"{RULE}.forbidden"),
    (rule(forbidden="flat"), f"{RULE}.forbidden"),
    (rule(confidence="sure"), f"{RULE}.confidence"),
    (rule(effective_from="2026-02-30"), f"{RULE}.effective_from"),
    (rule(effective_from="2026-01-01", effective_to="2026-01-01"), f"{RULE}.effective_to"),
    (rule(min_power_w=50_000, max_power_w=50_000), f"{RULE}.max_power_w"),
    (rule(min_power_w="50"), f"{RULE}.min_power_w"),
    (rule(price_units={"energy": "minute"}), f"{RULE}.price_units.energy"),
    (rule(price_units={"power": "minute"}), f"{RULE}.price_units.power"),
    (rule(receipt_fields=["colour"]), f"{RULE}.receipt_fields[0]"),
    (rule(replaces=["nothing"]), f"{RULE}.replaces[0]"),
    (rule(replaces="us-hb130-unit"), f"{RULE}.replaces"),
    (rule(id="us-hb130-unit"), f"{RULE}.id"),
    (lambda raw: raw["rules"].append(raw["rules"][0]), "$.jurisdiction[0].rules[1].id"),
    (lambda raw: raw["rules"][0].pop("forbidden"), RULE),
    (tax(percent="5"), TAX),
    (tax(taxable=False), TAX),
    (tax(per_kwh="-0.01"), f"{TAX}.per_kwh"),
    (tax(per_kwh=0.01), f"{TAX}.per_kwh"),
    (tax(dimensions=["energy", "flat"]), f"{TAX}.dimensions"),
    (tax(customers=["me"]), f"{TAX}.customers[0]"),
]


@pytest.mark.parametrize(("spoil", "path"), BAD, ids=[f"{p}-{i}" for i, (_, p) in enumerate(BAD)])
def test_what_is_wrong_is_named_with_its_path(spoil: Callable[..., object], path: str) -> None:
    raw = copy.deepcopy(FULL)
    own(raw)
    spoil(raw)
    with pytest.raises(BadInput) as caught:
        own(raw)
    assert caught.value.path == path


def test_a_circle_is_refused() -> None:
    with pytest.raises(BadInput, match="no circle"):
        own({"id": "a", "inherits": "b"}, {"id": "b", "inherits": "a"})


def test_ours_say_where_they_are_from() -> None:
    with pytest.raises(BadInput) as caught:
        read_jurisdictions([FULL], own=False)
    assert caught.value.path == f"{RULE}.source"
