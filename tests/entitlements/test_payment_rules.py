"""Which ways of paying are offered where, and how the money of a session is collected."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sample_config import whole
from wattledger.config import parse, versions
from wattledger.contract import Contract, PaymentTerms, Reason, Route
from wattledger.entitlements import Directory, Paid, Snapshot, decide, make_contract
from wattledger.entitlements.checking import ROUTES
from wattledger.entitlements.model import PaymentRule, Selector
from wattledger.entitlements.offers import Asked
from wattledger.entitlements.payment_rules import hold_policy, rule_for
from wattledger.errors import BadInput
from wattledger.section import Activation

NOW = datetime(2026, 11, 2, 18, tzinfo=UTC)  # a Monday, 12:00 in Chicago
GUEST = Paid("walk-up", Route.CHECKOUT)
APP = Paid("walk-up", Route.APP, account_id="ann")


def snapshot(*rules: dict[str, Any], **changes: Any) -> Snapshot:
    found = versions(parse(whole(**{"payment": list(rules), "plan__0__ad_hoc": True, **changes})))
    return Directory([
        Activation(seq, v.kind, v.key, NOW - timedelta(days=900), v.digest, v.body)
        for seq, v in enumerate(found, start=1)
    ]).at(NOW)  # fmt: skip


def reason(state: Snapshot, token: str, point: str = "D-1", paid: Paid | None = None) -> Reason:
    return decide(state, token, point, NOW, paid=paid).reason


def contract(
    state: Snapshot, token: str = "ANN", point: str = "D-1", paid: Paid | None = None
) -> Contract:
    decision = decide(state, token, point, NOW, connector_id=1, paid=paid)
    return make_contract(state, decision, point, as_of=NOW, known_at=NOW, connector_id=1, paid=paid)


@pytest.mark.parametrize("where", ["entity__0", "site__0", "plan__0"])
def test_each_of_entity_site_and_plan_says_what_it_offers(where: str) -> None:
    routes = ["card", "app"]
    state = snapshot(**{f"{where}__routes": routes})
    assert reason(state, "ANN") is Reason.ACCEPTED
    assert reason(state, "T", paid=APP) is Reason.ACCEPTED
    assert reason(state, "T", paid=GUEST) is Reason.NO_ROUTE
    # The plan's own list is about its own accounts; the others' are about all.
    fleet = Reason.ACCEPTED if where == "plan__0" else Reason.NO_ROUTE
    assert reason(state, "Acme-1") is fleet


def test_without_any_list_everything_that_is_configured_is_offered() -> None:
    state = snapshot()
    for token, paid in (("ANN", None), ("T", APP), ("T", GUEST), ("Acme-1", None)):
        assert reason(state, token, paid=paid) is Reason.ACCEPTED


def test_what_was_paid_elsewhere_was_paid_whoever_offers_it() -> None:
    state = snapshot(site__0__routes=["card"])
    found = decide(state, "ANN", "D-1", NOW, route=Route.EXTERNAL)
    assert found.accepted


def test_an_account_that_needs_no_card_keeps_its_route_in_an_app() -> None:
    fleet = Paid("fleet", Route.APP, account_id="acme", method=False)
    found = contract(snapshot(), "T", paid=fleet)
    assert (found.route, found.processor_id) == (Route.INVOICE, None)


def test_a_guest_has_no_account_and_the_plan_of_the_site() -> None:
    found = contract(snapshot(), "T", paid=GUEST)
    assert (found.route, found.account_id, found.plan_id) == (Route.CHECKOUT, None, "walk-up")
    assert (found.processor_id, found.payment_method) == ("stripe", None)
    other = {"id": "night", "name": "Night", "route": "checkout", "ad_hoc": True}
    two = whole(plan__0__ad_hoc=True)["plan"] + [other]
    for chosen, expected in (("night", "night"), (None, None)):
        change = {"site__0__ad_hoc_plan": chosen} if chosen else {}
        state = snapshot(plan=two, **change)
        site = state.site("depot")
        assert site is not None
        plan = state.guest_plan(site)
        assert (plan.id if plan else None) == expected, "of two nobody knows which"


def test_a_driver_in_debt_may_not_charge() -> None:
    class Blocks:
        def why(self, account_id: str | None, token: str | None) -> str | None:
            return "owes 12.00" if account_id == "ann" else None

    state = snapshot()
    for token, paid, expected in (
        ("ANN", None, Reason.IN_DEBT), ("T", APP, Reason.IN_DEBT), ("T", GUEST, Reason.ACCEPTED),
        ("LOST", None, Reason.BLOCKED),
    ):  # fmt: skip
        assert decide(state, token, "D-1", NOW, paid=paid, blocks=Blocks()).reason is expected


def test_a_block_that_a_person_lifts_is_told_as_such() -> None:
    class Blocks:
        def why(self, account_id: str | None, token: str) -> str | None:
            return "blocked"

    assert decide(snapshot(), "ANN", "D-1", NOW, blocks=Blocks()).reason is Reason.BLOCKED


def test_without_a_rule_it_is_as_the_defaults_and_the_account_say() -> None:
    found = contract(snapshot())
    assert found.payment == PaymentTerms()
    assert (found.shortfall, found.consent, found.email) == ("debt", False, None)
    later = contract(snapshot(policies={"adjust_up": "debt", "adjust_up_least_minor": 250}))
    assert (later.payment.more, later.payment.more_least_minor) == ("debt", 250)


def test_the_first_rule_that_matches_stands_in_the_contract() -> None:
    rules = (
        {"sites": ["yard"], "hold": "60.00"},
        {"routes": ["checkout"], "hold": "40.00", "second_charge": True, "least_hold": "20.00"},
        {"min_power_w": 50_000, "shortfall": "waive", "increment_at_percent": 80,
         "increment_by": "10.00", "increment_to": "120.00", "overcapture": True,
         "extended_authorization": True, "partial_authorization": True},
        {"zero_energy": "cancel", "below_minimum": "carry", "lapse": "stop", "gone": "debt",
         "more": "charge", "more_least": "2.50", "dunning_days": [2, 5]},
    )  # fmt: skip
    state = snapshot(*rules)
    guest = contract(state, "T", paid=GUEST).payment
    assert (guest.second_charge, guest.least_hold_minor) == (True, 2_000)
    fast = contract(state, point="D-2")
    assert fast.shortfall == "waive", "the rule's word, not the account's"
    terms = fast.payment
    assert (terms.increment_at_percent, terms.increment_by_minor) == (80, 1_000)
    assert (terms.increment_to_minor, terms.overcapture) == (12_000, True)
    assert (terms.extended_authorization, terms.partial_authorization) == (True, True)
    slow = contract(state)
    assert slow.shortfall == "debt", "the rule says nothing, the account does"
    assert slow.payment == PaymentTerms(
        zero_energy="cancel", below_minimum="carry", lapse="stop", gone="debt", more="charge",
        more_least_minor=250, dunning_days=(2, 5),
    )  # fmt: skip


def test_the_contract_has_who_is_told_and_what_was_agreed() -> None:
    state = snapshot(account__0__email="ann@example.com", account__0__consent=True)
    found = contract(state)
    assert (found.email, found.consent) == ("ann@example.com", True)
    once = Paid("walk-up", Route.CHECKOUT, email="guest@example.com", consent=True, start_id="s")
    guest = contract(state, "T", paid=once)
    assert (guest.email, guest.consent, guest.start_id) == ("guest@example.com", True, "s")


def test_whose_wallet_a_card_fills_agrees_to_it() -> None:
    change = {"plan__1__route": "wallet", "account__1__consent": True}
    assert parse(whole(**change)).account[1].consent is True


@pytest.mark.parametrize(
    ("rule", "by_power"),
    [
        ({"hold": "12.00"}, {22_000: 1_200, 150_000: 1_200}),
        ({"hold": "0"}, {22_000: 0, 150_000: 0}),
        ({"holds": [{"below_power_w": 50_000, "amount": "25.00"}, {"amount": "50.00"}]},
         {22_000: 2_500, 49_999: 2_500, 50_000: 5_000}),
        ({"hold_percentile": 90}, {22_000: None}),
        ({}, {22_000: None}),
    ],
)  # fmt: skip
def test_how_much_is_held(rule: dict[str, Any], by_power: dict[int, int | None]) -> None:
    state = snapshot(rule)
    place = state.place_of("D-1")
    assert place is not None
    asked = Asked(*place, state.plan("walk-up"), Route.CARD, 1, NOW)
    policy = hold_policy(rule_for(state, asked), "USD")
    assert {power: policy.by_power(power) for power in by_power} == by_power


def test_a_size_by_history_stays_within_its_bounds() -> None:
    state = snapshot({"hold_percentile": 90, "hold_min": "10.00", "hold_max": "80.00"})
    policy = hold_policy(state.payment_rules[0], "USD")
    assert [policy.within(size) for size in (999, 1_000, 4_321, 8_000, 8_001)] == [
        1_000, 1_000, 4_321, 8_000, 8_000,
    ]  # fmt: skip


STEPS = [{"below_power_w": 50_000, "amount": "25.00"}, {"amount": "50.00"}]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"payment": [{"hold": "-1.00"}]}, "$.payment[0].hold"),
        ({"payment": [{"hold": "1.005", "sites": ["depot"]}]}, "$.payment[0].hold"),
        ({"payment": [{"hold": "5.00", "holds": STEPS}]}, "$.payment[0].holds"),
        ({"payment": [{"hold": "5.00", "hold_percentile": 90}]}, "$.payment[0].hold_percentile"),
        ({"payment": [{"hold_percentile": 101}]}, "$.payment[0].hold_percentile"),
        ({"payment": [{"hold_max": "9.00"}]}, "$.payment[0].hold_max"),
        ({"payment": [{"hold_percentile": 90, "hold_min": "9.00", "hold_max": "8.00"}]},
         "$.payment[0].hold_max"),
        ({"payment": [{"holds": STEPS[:1]}]}, "$.payment[0].holds"),
        ({"payment": [{"holds": [STEPS[0], STEPS[0], STEPS[1]]}]},
         "$.payment[0].holds[1].below_power_w"),
        ({"payment": [{"hold": "5.00", "least_hold": "6.00"}]}, "$.payment[0].least_hold"),
        ({"payment": [{"increment_by": "5.00"}]}, "$.payment[0].increment_by"),
        ({"payment": [{"hold": "9.00", "increment_at_percent": 80, "increment_to": "9.00"}]},
         "$.payment[0].increment_to"),
        ({"payment": [{"dunning_days": [3, 1]}]}, "$.payment[0].dunning_days"),
        ({"payment": [{"entities": ["nobody"]}]}, "$.payment[0].entities[0]"),
        ({"payment": [{"routes": ["barter"]}]}, "$.payment[0].routes[0]"),
        ({"payment": [{"routes": ["wallet"]}]}, "$.payment[0]"),
        ({"payment": [{"hold": "5.00"}, {"sites": ["depot"]}]}, "$.payment[1]"),
        ({"payment": [{"below_minimum": "keep"}]}, "$.payment[0].below_minimum"),
        ({"site__0__routes": ["none"]}, "$.site[0].routes[0]"),
        ({"plan__0__routes": ["invoice"]}, "$.plan[0].routes"),
        ({"plan__0__route": "checkout"}, "$.plan[0].ad_hoc"),
        ({"plan__0__route": "terminal"}, "$.plan[0].ad_hoc"),
        ({"site__0__ad_hoc_plan": "fleet"}, "$.site[0].ad_hoc_plan"),
        ({"account__0__email": "ann at example"}, "$.account[0].email"),
        ({"account__1__consent": True}, "$.account[1].consent"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_path(change: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(whole(**change))
    assert caught.value.path == path


def test_amounts_are_of_one_currency() -> None:
    euro = {"id": "rhein", "name": "Rhein", "entity": "rhine", "time_zone": "Europe/Berlin",
            "tariff": "euro", "processor": "stripe-eu",
            "charge_points": [{"id": "R-1", "power_w": 22_000}]}  # fmt: skip
    sites = [*whole()["site"], euro]
    with pytest.raises(BadInput, match="one currency"):
        parse(whole(site=sites, payment=[{"hold": "25.00"}]))
    parse(whole(site=sites, payment=[{"hold": "25.00", "entities": ["north"]}]))
    parse(whole(site=sites, payment=[{"zero_energy": "cancel"}]))


def test_the_documents_rules_can_be_read_and_every_key_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "payments.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S)
    found = whole(**tomllib.loads(block))
    found["site"][0]["charge_points"].append({"id": "D-3", "power_w": 11_000})
    first, second = parse(found).payment
    assert (first.hold_percentile, first.second_charge) == (90, True)
    assert [step.amount for step in second.holds] == ["25.00", "50.00"]
    section = text.partition("## How it is collected")[2].partition("\n## ")[0]
    own = set(PaymentRule.__struct_fields__) - set(Selector.__struct_fields__)
    assert [name for name in sorted(own) if f"`{name}`" not in section] == []
    routes = text.partition("## Ways to pay")[2].partition("\n## ")[0]
    assert [route for route in ROUTES if f"`{route}`" not in routes] == []
