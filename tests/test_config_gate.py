"""The gate before publication sees every way a price comes in: offers, routes, fees, plans."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from sample_config import whole
from wattledger.config import Config, parse
from wattledger.contract import Route
from wattledger.entitlements import publication
from wattledger.entitlements.publication import Objection, combinations, objections
from wattledger.errors import BadInput
from wattledger.tariffs.findings import Severity

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NO_KWH = {"id": "harbour", "rules": [
    {"id": "no-kwh", "text": "No sale by the kWh.", "forbidden": ["energy"]}]}  # fmt: skip
NO_FEE = {"id": "harbour", "rules": [
    {"id": "no-fee", "text": "No fee per session.", "forbidden": ["flat"]}]}  # fmt: skip
BY_TIME = {
    "id": "standard", "currency": "USD",
    "elements": [{"name": "time", "components": [
        {"dimension": "charging_time", "price": "0.30", "unit": "minute"}]}],
}  # fmt: skip
# The yard sells time by its own tariff; "cheap" is per kWh.
YARD = {"site__1__jurisdiction": "harbour", "tariff__0": BY_TIME}


def config(*own: dict[str, Any], **changes: Any) -> Config:
    return parse(whole(jurisdiction=list(own), **changes))


def errors(found: tuple[Objection, ...]) -> list[tuple[Any, ...]]:
    return [
        (o.path, o.site, o.plan, o.power_w, o.on, o.finding.rule_id)
        for o in found if o.finding.severity is Severity.ERROR
    ]  # fmt: skip


def ways(found: Config, site: str = "yard") -> list[tuple[Any, ...]]:
    return [
        (c.plan.id if c.plan else None, c.route.value, c.tariff.id, c.path)
        for c in combinations(found) if c.site.id == site
    ]  # fmt: skip


def test_a_per_kwh_member_rate_that_comes_in_by_an_offer_is_refused() -> None:
    offer = [{"tariff": "cheap", "plans": ["fleet"], "start_time": "22:00", "end_time": "06:00"}]
    found = objections(config(NO_KWH, **YARD, offer=offer), NOW)
    assert errors(found) == [
        ("$.offer[0].tariff", "yard", "fleet", 22_000, date(2026, 11, 24), "no-kwh"),
    ]  # fmt: skip
    with pytest.raises(BadInput) as caught:
        publication.refuse(found)
    assert str(caught.value).startswith(
        "$.offer[0].tariff: got 'cheap', expected a tariff that may be sold at site 'yard', 22000 W"
        " under plan 'fleet' from 2026-11-24 on"
    )
    elsewhere = [{**offer[0], "sites": ["depot"]}]
    publication.refuse(objections(config(NO_KWH, **YARD, offer=elsewhere), NOW))


def test_an_offer_is_looked_at_on_its_own_days() -> None:
    """Allowed from March on, and offered from March on."""
    until = {"id": "harbour", "rules": [{**NO_KWH["rules"][0], "effective_to": "2027-03-01"}]}
    offer = {"tariff": "cheap", "sites": ["yard"]}
    for start, count in (("2027-03-01", 0), ("2027-02-28", 1)):
        found = config(until, **YARD, offer=[{**offer, "start_date": start}])
        assert len({o[0] for o in errors(objections(found, NOW))}) == count
    before = config(until, **YARD, offer=[{**offer, "end_date": "2026-11-24"}])
    assert errors(objections(before, NOW)) == []


def test_what_an_offer_keeps_from_being_sold_is_not_looked_at() -> None:
    """The site's own tariff is per kWh, and two offers leave no time for it."""
    per_minute = {**BY_TIME, "id": "by-time"}
    changes: dict[str, Any] = {
        "site__1__jurisdiction": "harbour", "tariff": [*whole()["tariff"], per_minute],
    }  # fmt: skip
    halves = [{"tariff": "by-time", "sites": ["yard"], "end_time": "12:00"},
              {"tariff": "by-time", "sites": ["yard"], "start_time": "12:00"}]  # fmt: skip
    assert errors(objections(config(NO_KWH, **changes, offer=halves), NOW)) == []
    assert errors(objections(config(NO_KWH, **changes, offer=halves[:1]), NOW)) != []
    ends = {**per_minute, "valid_to": "2027-01-01T00:00:00Z"}
    changes["tariff"] = [*whole()["tariff"], ends]
    assert errors(objections(config(NO_KWH, **changes, offer=halves), NOW)) != []


def test_the_connector_and_the_power_an_offer_is_for() -> None:
    offers = [{"tariff": "cheap", "charge_points": ["D-2"], "connectors": [2]}]
    found = config(offer=offers)
    told = [(c.power_w, c.path) for c in combinations(found)
            if c.site.id == "depot" and c.plan is None]  # fmt: skip
    assert told == [
        (22_000, "$.site[0].tariff"), (150_000, "$.offer[0].tariff"), (150_000, "$.site[0].tariff"),
    ]  # fmt: skip


def test_money_taken_elsewhere_is_a_way_of_its_own_where_a_route_decides() -> None:
    """Whoever's token it was: by an external session the plan's route is another."""
    found = config(offer=[{"tariff": "cheap", "routes": ["invoice"]}])
    site = "$.site[1].tariff"
    assert ways(found) == [
        (None, "none", "standard", site),
        ("walk-up", "card", "standard", site),
        ("fleet", "invoice", "cheap", "$.offer[0].tariff"),
        (None, "external", "standard", site),
        ("walk-up", "external", "standard", site),
        ("fleet", "external", "standard", site),
        ("walk-up", "app", "standard", site),
    ]
    assert {c.route for c in combinations(config())} == {Route.NONE, Route.CARD, Route.INVOICE}


def test_a_fee_per_session_where_none_is_allowed_is_refused() -> None:
    fee = [{"text": "Parking", "amount": "1", "sites": ["depot"]},
           {"text": "Terminal", "amount": "0.35", "routes": ["card"]}]  # fmt: skip
    found = objections(config(NO_FEE, site__1__jurisdiction="harbour", fee=fee), NOW)
    assert errors(found) == [
        ("$.fee[1]", "yard", "walk-up", 22_000, date(2026, 11, 24), "no-fee"),
    ]  # fmt: skip
    assert "fee 'Terminal' beside tariff 'standard'" in publication.in_words(found[0])
    with pytest.raises(BadInput) as caught:
        publication.refuse(found)
    assert str(caught.value).startswith(
        "$.fee[1]: got 'Terminal', expected a fee that may be charged at site 'yard', 22000 W under"
        " plan 'walk-up'"
    )
    nothing = [{**fee[1], "amount": "0"}]
    assert (
        errors(objections(config(NO_FEE, site__1__jurisdiction="harbour", fee=nothing), NOW)) == []
    )


def test_an_ad_hoc_price_by_card_at_a_fast_charger_in_france_has_no_fee_per_session() -> None:
    changes = {"site__0__jurisdiction": "FR", "plan__0__ad_hoc": True,
               "tariff__0__tax_included": "yes"}  # fmt: skip
    fee = [{"text": "Terminal", "amount": "0.35", "routes": ["card"]}]
    assert errors(objections(config(**changes), NOW)) == []
    found = errors(objections(config(**changes, fee=fee), NOW))
    assert found == [
        ("$.fee[0]", "depot", "walk-up", 150_000, date(2026, 11, 24), "eu-afir-50kw-components"),
    ]  # fmt: skip


def test_decimals_are_those_after_the_discount_on_what_it_is_on() -> None:
    rule = {"id": "two", "text": "Two places.", "price_decimals_max": 2, "sold": "contract"}
    places = {"id": "harbour", "rules": [rule]}
    changes = {"site__1__jurisdiction": "harbour", "plan__1__discount_percent": "12"}
    assert [o[5] for o in errors(objections(config(places, **changes), NOW))] == ["two"]
    on_time = {**changes, "plan__1__discount_on": ["charging_time"]}
    assert errors(objections(config(places, **on_time), NOW)) == []


def test_what_costs_a_member_nothing_is_not_sold() -> None:
    """The site gives energy away to the fleet, and sells it to nobody else."""
    free = {"site__1__tariff": "standard", "site__1__jurisdiction": "harbour",
            "tariff__0": BY_TIME, "plan__1__tariffs": {"yard": "cheap"}}  # fmt: skip
    assert len(errors(objections(config(NO_KWH, **free), NOW))) == 1
    unlimited = {**free, "plan__1__unlimited_sites": ["yard"]}
    assert errors(objections(config(NO_KWH, **unlimited), NOW)) == []
    whole_off = {**free, "plan__1__discount_percent": "100"}
    assert errors(objections(config(NO_KWH, **whole_off), NOW)) == []


def test_an_allowance_has_no_effect_yet_and_that_is_said() -> None:
    allowance = [{"dimension": "energy", "quantity_wh": 50_000, "text": "50 kWh a month"}]
    (found,) = objections(config(plan__1__allowance=allowance), NOW)
    assert (found.path, found.plan, found.finding.severity) == (
        "$.plan[1].allowance[0]", "fleet", Severity.WARNING,
    )  # fmt: skip
    assert "has no effect yet" in publication.in_words(found)
