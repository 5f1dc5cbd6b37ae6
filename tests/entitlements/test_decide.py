"""The decision and the contract, case by case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sample_config import whole
from wattledger.config import parse, versions
from wattledger.contract import Contract, Decision, Reason, Route, TaxTerm
from wattledger.entitlements import Directory, Snapshot, decide, make_contract
from wattledger.section import Activation

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def snapshot(ended: str | None = None, **changes: Any) -> Snapshot:
    """The sample configuration in force, but for one tariff that has ended."""
    found = versions(parse(whole(**changes)))
    entries = [
        Activation(seq, v.kind, v.key, NOW - timedelta(days=9), v.digest, v.body)
        for seq, v in enumerate(found, start=1)
    ]
    if ended:
        entries.append(Activation(len(found) + 1, "tariff", ended, NOW, None, None))
    return Directory(entries).at(NOW)


@pytest.mark.parametrize(
    ("token", "charge_point", "reason", "route"),
    [
        ("ANN", "D-1", Reason.ACCEPTED, Route.CARD),
        ("ann", "D-1", Reason.ACCEPTED, Route.CARD),
        ("ACME-2", "D-1", Reason.ACCEPTED, Route.INVOICE),
        ("ACME-2", "Y-1", Reason.ACCEPTED, Route.INVOICE),
        ("ANN", "Y-1", Reason.NO_PAYMENT_METHOD, Route.CARD),  # the yard has no processor
        ("LOST", "D-1", Reason.BLOCKED, Route.INVOICE),
        ("WHO", "D-1", Reason.UNKNOWN_TOKEN, Route.NONE),
        ("", "D-1", Reason.UNKNOWN_TOKEN, Route.NONE),
        ("ANN", "X-1", Reason.UNKNOWN_LOCATION, Route.CARD),
        ("WHO", "X-1", Reason.UNKNOWN_LOCATION, Route.NONE),
    ],
)
def test_who_may_charge_where(token: str, charge_point: str, reason: Reason, route: Route) -> None:
    found = decide(snapshot(), token, charge_point, NOW)
    assert (found.accepted, found.reason, found.route) == (
        reason is Reason.ACCEPTED, reason, route,
    )  # fmt: skip


def test_a_decision_says_on_what_it_was_taken() -> None:
    state = snapshot()
    assert decide(state, "acme-1", "D-1", NOW) == Decision(
        accepted=True, reason=Reason.ACCEPTED, token="acme-1", decided_at=NOW,
        known_seq=state.seq, account_id="acme", plan_id="fleet", route=Route.INVOICE,
        choice=("Tariff 'cheap': plan Fleet has its own at site Depot.",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("token", "ended", "reason"),
    [
        ("ANN", "standard", Reason.NO_TARIFF),
        ("ANN", "cheap", Reason.ACCEPTED),
        ("ACME-1", "cheap", Reason.ACCEPTED),  # the fleet's own tariff there; the site's is left
        ("ACME-1", "standard", Reason.ACCEPTED),
    ],
)
def test_without_a_tariff_in_force_nobody_charges(token: str, ended: str, reason: Reason) -> None:
    assert decide(snapshot(ended), token, "D-1", NOW).reason is reason


def _contract(
    token: str, point: str = "D-1", route: Route | None = None, **changes: Any
) -> Contract:
    state = snapshot(**changes)
    decision = decide(state, token, point, NOW)
    return make_contract(state, decision, point, as_of=NOW, known_at=NOW, route=route)


def test_a_card_contract_names_the_card_and_the_processor() -> None:
    state = snapshot()
    assert _contract("ANN") == Contract(
        entity_id="north", site_id="depot", time_zone="America/Chicago",
        entity_time_zone="America/New_York", currency="USD", route=Route.CARD,
        tariff_id="standard", tariff_digest=str(state.digest("tariff", "standard")),
        tax_name="Sales tax", tax_percent="8.875", as_of=NOW, known_at=NOW, known_seq=state.seq,
        account_id="ann", plan_id="walk-up", processor_id="stripe", payment_method="pm_1",
        customer="cus_1", shortfall="debt", power_w=22_000,
        choice=("Tariff 'standard': the tariff of site Depot.",),
        taxes=(TaxTerm("Sales tax", "8.875"),), discounts=(),
    )  # fmt: skip


def test_a_fleet_contract_has_its_discount_its_tariff_and_no_card() -> None:
    found = _contract("ACME-1", "D-2")
    assert (found.route, found.tariff_id, found.discount_percent) == (Route.INVOICE, "cheap", "10")
    assert (found.processor_id, found.payment_method, found.customer) == (None, None, None)
    assert (found.shortfall, found.power_w) == ("waive", 150_000)


@pytest.mark.parametrize("policy", ["waive", "debt"])
def test_a_refused_token_gets_a_contract_that_nobody_pays(policy: str) -> None:
    found = _contract("LOST", policies__refused_energy=policy)
    assert (found.route, found.refused, found.shortfall) == (Route.NONE, Reason.BLOCKED, policy)
    assert (found.processor_id, found.payment_method) == (None, None)
    assert found.tariff_id == "cheap"


def test_somebody_else_may_have_taken_the_money() -> None:
    found = _contract("ANN", route=Route.EXTERNAL)
    assert (found.route, found.processor_id, found.payment_method) == (Route.EXTERNAL, None, None)


def test_no_contract_for_a_place_or_tariff_that_is_not_there() -> None:
    state = snapshot()
    decision = decide(state, "ANN", "X-1", NOW)
    with pytest.raises(LookupError, match="charge point X-1 stands at no site"):
        make_contract(state, decision, "X-1", as_of=NOW, known_at=NOW)
    state = snapshot("standard")
    decision = decide(state, "ANN", "D-1", NOW)
    with pytest.raises(LookupError, match="no tariff or entity is in force for site depot"):
        make_contract(state, decision, "D-1", as_of=NOW, known_at=NOW)
