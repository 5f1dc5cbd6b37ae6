"""Offers, fees, plans, taxes and customers in the file: each mistake with its path."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sample_config import whole
from wattledger.config import Config, parse, versions
from wattledger.errors import BadInput

CHEAP = {"tariff": "cheap"}
FEE = {"text": "Terminal", "amount": "0.35"}
TAX = {"name": "Sales tax", "percent": "9"}
ALLOWANCE = {"dimension": "energy", "quantity_wh": 1, "text": "x"}


def config(*offers: dict[str, Any], **changes: Any) -> Config:
    return parse(whole(offer=list(offers), **changes))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"offer": {"tariff": "cheap"}}, "$.offer"),
        ({"offer": [{}]}, "$.offer[0]"),
        ({"offer": [{**CHEAP, "plan": "fleet"}]}, "$.offer[0]"),
        ({"offer": [{"tariff": "gone"}]}, "$.offer[0].tariff"),
        ({"offer": [{**CHEAP, "plans": ["walk-up", "gone"]}]}, "$.offer[0].plans[1]"),
        ({"offer": [{**CHEAP, "plans": "fleet"}]}, "$.offer[0].plans"),
        ({"offer": [{**CHEAP, "sites": ["gone"]}]}, "$.offer[0].sites[0]"),
        ({"offer": [{**CHEAP, "charge_points": ["X-1"]}]}, "$.offer[0].charge_points[0]"),
        ({"offer": [{**CHEAP, "routes": ["barter"]}]}, "$.offer[0].routes[0]"),
        ({"offer": [{**CHEAP, "routes": ["none"]}]}, "$.offer[0].routes[0]"),
        ({"offer": [{**CHEAP, "connectors": [0]}]}, "$.offer[0].connectors[0]"),
        ({"offer": [{**CHEAP, "min_power_w": 50_000, "max_power_w": 50_000}]},
         "$.offer[0].max_power_w"),
        ({"offer": [{**CHEAP, "start_time": "25:00"}]}, "$.offer[0].start_time"),
        ({"offer": [{**CHEAP, "start_time": "08:00", "end_time": "08:00"}]},
         "$.offer[0].end_time"),
        ({"offer": [{**CHEAP, "days": ["FUNDAY"]}]}, "$.offer[0].days[0]"),
        ({"offer": [{**CHEAP, "start_date": "2026-02-30"}]}, "$.offer[0].start_date"),
        ({"offer": [{**CHEAP, "start_date": "2026-03-02", "end_date": "2026-03-02"}]},
         "$.offer[0].end_date"),
        # For nobody and for nothing.
        ({"offer": [{**CHEAP, "charge_points": ["D-1"], "sites": ["yard"]}]}, "$.offer[0]"),
        ({"offer": [{**CHEAP, "max_power_w": 1_000}]}, "$.offer[0]"),
        ({"offer": [{**CHEAP, "plans": ["fleet"], "routes": ["card"]}]}, "$.offer[0]"),
        ({"offer": [{**CHEAP, "plans": ["fleet"], "ad_hoc": True}]}, "$.offer[0]"),
        ({"offer": [{"tariff": "euro", "sites": ["depot"]}]}, "$.offer[0].tariff"),
        ({"fee": [{"text": "x"}]}, "$.fee[0]"),
        ({"fee": [{**FEE, "text": " "}]}, "$.fee[0].text"),
        ({"fee": [{**FEE, "amount": "-1"}]}, "$.fee[0].amount"),
        ({"fee": [{**FEE, "amount": "0.005"}]}, "$.fee[0].amount"),
        ({"fee": [{**FEE, "amount": 0.35}]}, "$.fee[0].amount"),
        ({"fee": [{**FEE, "sites": ["gone"]}]}, "$.fee[0].sites[0]"),
        ({"fee": [{**FEE, "routes": ["free"]}]}, "$.fee[0]"),
        ({"fee": [{**FEE, "taxes": [{"name": "x", "percent": "101"}]}]},
         "$.fee[0].taxes[0].percent"),
        ({"fee": [FEE], "site__1__entity": "rhine", "site__1__tariff": "euro"}, "$.fee[0].sites"),
        ({"plan__1__discount_on": ["wind"]}, "$.plan[1].discount_on[0]"),
        ({"plan__0__discount_on": ["energy"]}, "$.plan[0].discount_on"),
        ({"plan__1__discount_percent": "1e1"}, "$.plan[1].discount_percent"),
        ({"plan__1__discount_percent": "+5"}, "$.plan[1].discount_percent"),
        ({"plan__1__unlimited_sites": ["gone"]}, "$.plan[1].unlimited_sites[0]"),
        ({"plan__1__unlimited": ["idle_time"]}, "$.plan[1].unlimited_sites"),
        ({"plan__1__unlimited": [], "plan__1__unlimited_sites": ["depot"]}, "$.plan[1].unlimited"),
        ({"plan__1__allowance": [{**ALLOWANCE, "dimension": "flat"}]},
         "$.plan[1].allowance[0].dimension"),
        ({"plan__1__allowance": [{**ALLOWANCE, "dimension": "idle_time"}]},
         "$.plan[1].allowance[0].quantity_s"),
        ({"plan__1__allowance": [{**ALLOWANCE, "quantity_s": 5}]},
         "$.plan[1].allowance[0].quantity_wh"),
        ({"plan__1__allowance": [{**ALLOWANCE, "quantity_wh": 0}]},
         "$.plan[1].allowance[0].quantity_wh"),
        ({"plan__1__allowance": [ALLOWANCE, ALLOWANCE]}, "$.plan[1].allowance[1].dimension"),
        ({"site__0__tax": [TAX]}, "$.site[0].tax"),  # beside tax_percent
        ({"site__1__tax": [{"name": "x"}]}, "$.site[1].tax[0].percent"),
        ({"site__1__tax": [{**TAX, "per_kwh": "0.03"}]}, "$.site[1].tax[0].percent"),
        ({"site__1__tax": [{"name": "x", "per_kwh": "-1"}]}, "$.site[1].tax[0].per_kwh"),
        ({"site__1__tax": [{"name": "x", "per_kwh": "1", "dimensions": ["energy"]}]},
         "$.site[1].tax[0].dimensions"),
        ({"site__1__tax": [{**TAX, "unit_kwh": 11}]}, "$.site[1].tax[0].unit_kwh"),
        ({"site__1__tax": [{**TAX, "stack": 10}]}, "$.site[1].tax[0].stack"),
        ({"site__1__tax": [{**TAX, "rate": "us-sc-sales"}]}, "$.site[1].tax[0].rate"),
        ({"site__1__tax": [{**TAX, "customers": ["nobody"]}]}, "$.site[1].tax[0].customers[0]"),
        ({"account__0__customer_class": "king"}, "$.account[0].customer_class"),
        ({"account__0__customer_class": "exempt"}, "$.account[0].exemption"),
        ({"account__0__exemption": "certificate 1"}, "$.account[0].customer_class"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_path(change: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(whole(**change))
    assert caught.value.path == path
    assert caught.value.expected


UNREACHABLE = {
    "the same": [{}, {}],
    "all of them before some": [{}, {"plans": ["fleet"]}],
    "a site before its charge point": [{"sites": ["depot"]}, {"charge_points": ["D-2"]}],
    "all powers there before one": [{"min_power_w": 20_000}, {"sites": ["yard"]}],
    "a route before a plan that pays by it": [
        {"routes": ["invoice", "external"]}, {"plans": ["fleet"]}
    ],
    "contracts before a plan": [{"ad_hoc": False}, {"plans": ["walk-up"]}],
    "more connectors": [{"connectors": [1, 2]}, {"connectors": [2]}],
    "more hours": [
        {"start_time": "08:00", "end_time": "20:00"}, {"start_time": "09:00", "end_time": "20:00"}
    ],
    "more days": [
        {"days": ["MONDAY", "TUESDAY"]}, {"days": ["TUESDAY"], "end_date": "2027-01-01"}
    ],
    "more dates": [
        {"start_date": "2026-01-01"}, {"start_date": "2026-02-01", "end_date": "2026-03-01"}
    ],
}  # fmt: skip
REACHABLE = {
    "another plan": [{"plans": ["fleet"]}, {"plans": ["walk-up", "fleet"]}],
    "somebody without a plan": [{"plans": ["fleet", "walk-up"]}, {}],
    "another connector": [{"connectors": [1]}, {}],
    "an external session of that plan": [{"routes": ["invoice"]}, {"plans": ["fleet"]}],
    "the other hours": [{"start_time": "08:00", "end_time": "20:00"}, {}],
    "after its last day": [{"end_date": "2027-01-01"}, {}],
    "two that leave a minute": [
        {"start_time": "00:00", "end_time": "12:00"}, {"start_time": "12:01"}, {}
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", UNREACHABLE)
def test_an_offer_that_nobody_reaches_is_refused(case: str) -> None:
    with pytest.raises(BadInput, match="offer 1 before it is for all its sessions") as caught:
        config(*({**CHEAP, **offer} for offer in UNREACHABLE[case]))
    assert caught.value.path == "$.offer[1]"


@pytest.mark.parametrize("case", REACHABLE)
def test_an_offer_that_somebody_reaches_is_taken(case: str) -> None:
    offers = [{**CHEAP, **offer} for offer in REACHABLE[case]]
    assert len(config(*offers).offer) == len(offers)


def test_several_offers_together_may_leave_nothing() -> None:
    halves = [{"end_time": "12:00"}, {"plans": ["fleet"]}, {"start_time": "12:00"}, {}]
    with pytest.raises(BadInput, match="offers 1, 3 are for all its sessions") as caught:
        config(*({**CHEAP, **offer} for offer in halves))
    assert caught.value.path == "$.offer[3]"


def test_a_tariff_that_ends_leaves_room_for_the_next() -> None:
    ends = {"tariff__1__valid_to": "2027-01-01T00:00:00Z"}
    assert len(config(CHEAP, {"tariff": "standard"}, **ends).offer) == 2
    both = {**ends, "tariff__0__valid_from": "2026-06-01T00:00:00Z",
            "tariff__0__valid_to": "2026-12-01T00:00:00Z"}  # fmt: skip
    with pytest.raises(BadInput, match="offer 1 before it"):
        config(CHEAP, {"tariff": "standard"}, **both)


def test_the_order_of_offers_is_part_of_their_version() -> None:
    one, other = {**CHEAP, "plans": ["fleet"]}, {**CHEAP, "plans": ["walk-up"]}
    digests = [
        [v.digest for v in versions(config(*offers)) if v.kind == "offers"]
        for offers in ((one, other), (other, one), ())
    ]
    assert digests[0] != digests[1]
    assert digests[2] == []


def test_of_a_jurisdiction_of_ones_own_its_taxes_are_remembered() -> None:
    """Its rules are asked before anything is published, and need no version."""
    rule = {"id": "r", "text": "No.", "forbidden": ["flat"]}
    tax = {"id": "t", "name": "T", "text": "t", "dimensions": ["energy"], "percent": "1"}
    own = [{"id": "a", "rules": [rule]}, {"id": "b", "rules": [rule], "taxes": [tax]}]
    found = [v for v in versions(config(jurisdiction=own)) if v.kind == "jurisdiction"]
    assert [v.key for v in found] == ["b"]
    assert "rules" not in found[0].body


def test_what_says_nothing_new_has_the_version_it_had() -> None:
    """Sites, plans and accounts without anything of this are the same content as before."""
    bodies = {(v.kind, v.key): v.body for v in versions(config())}
    assert set(bodies["site", "yard"]) == {
        "id", "name", "entity", "time_zone", "tariff", "charge_points",
    }  # fmt: skip
    assert set(bodies["plan", "walk-up"]) == {"id", "name", "route"}
    assert "customer_class" not in bodies["account", "acme"]


def test_the_examples_in_the_documents_are_read() -> None:
    text = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    blocks = [tomllib.loads(b) for b in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    merged: dict[str, Any] = {}
    for block in blocks:
        for key, rows in block.items():
            merged.setdefault(key, []).extend(rows)
    assert {"offer", "fee", "plan", "site", "account"} <= set(merged)
    base = whole()
    for key, rows in merged.items():
        base[key] = [*base.get(key, []), *rows]
    found = parse(base)
    assert (len(found.offer), len(found.fee)) == (len(merged["offer"]), len(merged["fee"]))
