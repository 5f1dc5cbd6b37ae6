"""Plan, route, site, connector and time decide the tariff; the first offer that matches counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_config import whole
from wattledger.config import parse, versions
from wattledger.contract import Reason, Route
from wattledger.entitlements import Directory, Snapshot, decide, make_contract, windows
from wattledger.entitlements.model import Offer
from wattledger.section import Activation

NOW = datetime(2026, 11, 2, 18, tzinfo=UTC)  # a Monday, 12:00 in Chicago, 13:00 in New York
SITE = "Tariff 'standard': the tariff of site Depot."


def snapshot(*offers: dict[str, Any], **changes: Any) -> Snapshot:
    found = versions(parse(whole(offer=list(offers), **changes)))
    return Directory([
        Activation(seq, v.kind, v.key, NOW - timedelta(days=900), v.digest, v.body)
        for seq, v in enumerate(found, start=1)
    ]).at(NOW)  # fmt: skip


def said(
    state: Snapshot,
    token: str = "ANN",
    point: str = "D-1",
    connector: int | None = 1,
    at: datetime = NOW,
    route: Route | None = None,
) -> tuple[str, ...]:
    """What decision and contract say of the choice, which is the same."""
    decision = decide(state, token, point, NOW, at=at, connector_id=connector, route=route)
    contract = make_contract(
        state, decision, point, as_of=at, known_at=NOW, route=route, connector_id=connector
    )
    assert decision.choice == contract.choice
    assert contract.tariff_digest == state.digest("tariff", contract.tariff_id)
    assert f"'{contract.tariff_id}'" in contract.choice[-1]
    return contract.choice


def chosen(state: Snapshot, *args: Any, **kwargs: Any) -> str:
    return said(state, *args, **kwargs)[-1].split("'")[1]


@pytest.mark.parametrize(
    ("offer", "matching", "others"),
    [
        ({"plans": ["walk-up"]}, [{}], [{"token": "LOST", "point": "Y-1"}]),
        ({"routes": ["card"]}, [{}], [{"route": Route.EXTERNAL}]),
        ({"routes": ["external"]}, [{"route": Route.EXTERNAL}], [{}]),
        ({"sites": ["depot"]}, [{}, {"point": "D-2"}], [{"token": "WHO", "point": "Y-1"}]),
        ({"charge_points": ["D-2"]}, [{"point": "D-2"}], [{"point": "D-1"}]),
        ({"connectors": [2, 3]}, [{"connector": 2}, {"connector": 3}], [{"connector": 1}]),
        ({"min_power_w": 150_000}, [{"point": "D-2"}], [{"point": "D-1"}]),
        ({"max_power_w": 150_000}, [{"point": "D-1"}], [{"point": "D-2"}]),
        ({"ad_hoc": True}, [{"token": "WHO"}], [{"token": "ANN"}]),
        ({"ad_hoc": False}, [{"token": "ANN"}], [{"token": "WHO"}]),
        ({"start_time": "12:00", "end_time": "13:00"},
         [{}, {"at": NOW + timedelta(minutes=59, seconds=59)}],
         [{"at": NOW + timedelta(hours=1)}, {"at": NOW - timedelta(seconds=1)}]),
        ({"start_time": "22:00", "end_time": "12:30"}, [{}, {"at": NOW + timedelta(hours=11)}],
         [{"at": NOW + timedelta(minutes=30)}]),
        ({"start_time": "12:00"}, [{"at": NOW + timedelta(hours=11, minutes=59)}],
         [{"at": NOW + timedelta(hours=12)}]),
        ({"end_time": "00:00", "days": ["MONDAY"]}, [{}], [{"at": NOW + timedelta(days=1)}]),
        ({"days": ["SUNDAY"]}, [{"at": NOW - timedelta(hours=12, seconds=1)}], [{}]),
        ({"start_date": "2026-11-02"}, [{}], [{"at": NOW - timedelta(hours=13)}]),
        ({"end_date": "2026-11-03"}, [{}], [{"at": NOW + timedelta(hours=12)}]),
    ],
)  # fmt: skip
def test_each_selector(
    offer: dict[str, Any], matching: list[dict[str, Any]], others: list[dict[str, Any]]
) -> None:
    state = snapshot({"tariff": "special", **offer}, **also(_tariff("special")))
    assert {chosen(state, **each) for each in matching} == {"special"}
    assert "special" not in {chosen(state, **each) for each in others}


def _tariff(tariff_id: str, **more: Any) -> dict[str, Any]:
    return {**whole()["tariff"][0], "id": tariff_id, **more}


def also(*tariffs: dict[str, Any]) -> dict[str, Any]:
    """The sample's tariffs and these."""
    return {"tariff": [*whole()["tariff"], *tariffs]}


def test_the_first_that_matches_then_the_plans_then_the_sites() -> None:
    more = also(_tariff("late"), _tariff("any"))
    state = snapshot(
        {"tariff": "late", "start_time": "20:00", "plans": ["fleet"], "sites": ["depot"]},
        {"tariff": "any", "plans": ["fleet"], "charge_points": ["D-2"]}, **more,
    )  # fmt: skip
    evening = NOW + timedelta(hours=9)
    assert said(state, "ACME-1", "D-2", at=evening) == (
        "Tariff 'late': offer 1 of the configuration, for plan Fleet at site Depot, from 20:00 to "
        "00:00 local time.",
    )
    assert said(state, "ACME-1", "D-2") == (
        "Tariff 'any': offer 2 of the configuration, for plan Fleet, at charge point D-2.",
    )
    assert said(state, "ACME-1") == ("Tariff 'cheap': plan Fleet has its own at site Depot.",)
    assert said(state, "ANN") == (SITE,)


def test_a_tariff_that_is_not_valid_at_the_start_is_skipped_and_that_is_said() -> None:
    spring = _tariff("spring", valid_from="2027-03-01T06:00:00Z")
    past = _tariff("past", valid_to="2026-11-02T18:00:00Z")
    state = snapshot({"tariff": "spring"}, {"tariff": "past"}, **also(spring, past))
    assert said(state) == (
        "Not tariff 'spring' (offer 1 of the configuration): it is valid from "
        "2027-03-01T06:00:00Z on only.",
        "Not tariff 'past' (offer 2 of the configuration): it was valid until "
        "2026-11-02T18:00:00Z only.",
        SITE,
    )
    assert chosen(state, at=NOW - timedelta(seconds=1)) == "past"
    assert chosen(state, at=datetime(2027, 3, 1, 6, tzinfo=UTC)) == "spring"


def test_the_last_moment_of_a_tariff_is_by_its_policy() -> None:
    last = _tariff("last", valid_to="2026-11-02T18:00:00Z", policies={"tariff_end": "inclusive"})
    assert chosen(snapshot({"tariff": "last"}, **also(last))) == "last"


def test_without_a_valid_tariff_nobody_charges() -> None:
    state = snapshot(tariff__0__valid_from="2027-01-01T00:00:00Z")
    assert decide(state, "ANN", "D-1", NOW).reason is Reason.NO_TARIFF
    later = datetime(2027, 1, 1, tzinfo=UTC)
    assert decide(state, "ANN", "D-1", NOW, at=later).reason is Reason.ACCEPTED
    with pytest.raises(LookupError, match="no tariff or entity is in force for site depot"):
        make_contract(
            state, decide(state, "ANN", "D-1", NOW), "D-1", as_of=NOW, known_at=NOW
        )  # fmt: skip


def test_a_connector_that_is_not_known_yet_is_left_open() -> None:
    """Authorize names none: a tariff on some connector is enough, and that is said."""
    state = snapshot(
        {"tariff": "fast", "connectors": [2]}, **also(_tariff("fast")),
        tariff__0__valid_from="2027-01-01T00:00:00Z",
    )  # fmt: skip
    found = decide(state, "ANN", "D-1", NOW)
    assert (found.reason, found.choice) == (Reason.ACCEPTED, ())
    assert decide(state, "ANN", "D-1", NOW, connector_id=1).reason is Reason.NO_TARIFF
    assert decide(state, "ANN", "D-1", NOW, connector_id=2).reason is Reason.ACCEPTED
    both = snapshot({"tariff": "fast", "connectors": [2]}, **also(_tariff("fast")))
    assert decide(both, "ANN", "D-1", NOW).choice == (
        "Tariff 'fast' on some connectors: offer 1 of the configuration, on connector 2.", SITE,
    )  # fmt: skip


def test_a_refused_token_has_its_plans_tariff_and_no_fee_of_a_route() -> None:
    state = snapshot(
        {"tariff": "special", "plans": ["fleet"], "routes": ["invoice"]},
        **also(_tariff("special")),
        fee=[{"text": "Invoice", "amount": "1", "routes": ["invoice"]},
             {"text": "All", "amount": "2"}],
    )  # fmt: skip
    decision = decide(state, "LOST", "Y-1", NOW)
    contract = make_contract(state, decision, "Y-1", as_of=NOW, known_at=NOW)
    assert (contract.tariff_id, contract.route) == ("special", Route.NONE)
    assert [fee.text for fee in contract.fees] == ["All"]


def test_all_fees_that_match_are_charged() -> None:
    state = snapshot(fee=[
        {"text": "Terminal", "amount": "0.35", "routes": ["card"]},
        {"text": "Parking", "amount": "2.00", "sites": ["depot"],
         "taxes": [{"name": "City tax", "percent": "3", "stack": 1}]},
        {"text": "Night", "amount": "1.00", "start_time": "22:00", "end_time": "06:00"},
        {"text": "Yard", "amount": "9.00", "sites": ["yard"]},
    ])  # fmt: skip

    def fees(token: str, point: str, route: Route | None = None) -> list[str]:
        decision = decide(state, token, point, NOW, route=route)
        return [
            fee.text
            for fee in make_contract(
                state, decision, point, as_of=NOW, known_at=NOW, route=route
            ).fees
        ]

    assert fees("ANN", "D-1") == ["Terminal", "Parking"]
    assert fees("ANN", "D-1", Route.EXTERNAL) == ["Parking"]
    assert fees("ACME-1", "Y-1") == ["Yard"]


# Properties: as few kinds of selector as make every overlap.

_TIMES = st.one_of(st.none(), st.sampled_from(["00:00", "06:00", "12:00", "22:30"]))


@st.composite
def selectors(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in (
        ("plans", ["walk-up", "fleet"]), ("routes", ["card", "invoice", "external"]),
        ("sites", ["depot", "yard"]), ("connectors", [1, 2]),
        ("days", ["MONDAY", "SUNDAY"]),
    ):  # fmt: skip
        some = draw(st.lists(st.sampled_from(values), max_size=2, unique=True))
        if some:
            found[name] = some
    start, end = draw(_TIMES), draw(_TIMES)
    if start != end:
        found |= {k: v for k, v in (("start_time", start), ("end_time", end)) if v}
    return found


def _matches(offer: dict[str, Any], plan: str | None, route: str, site: str, connector: int,
             local: datetime) -> bool:  # fmt: skip
    """Each selector as its own plain question."""
    wanted = (("plans", plan), ("routes", route), ("sites", site), ("connectors", connector),
              ("days", local.strftime("%A").upper()))  # fmt: skip
    if any(name in offer and value not in offer[name] for name, value in wanted):
        return False
    clock = local.strftime("%H:%M")
    start, end = offer.get("start_time", "00:00"), offer.get("end_time", "24:00")
    end = "24:00" if end == "00:00" else end
    return start <= clock < end if start < end else clock >= start or clock < end


@given(
    offers=st.lists(selectors(), max_size=4),
    token=st.sampled_from(["ANN", "ACME-1", "WHO"]),
    point=st.sampled_from(["D-1", "Y-1"]),
    connector=st.sampled_from([1, 2]),
    minutes=st.integers(0, 7 * 1440),
    external=st.booleans(),
)
def test_the_first_match_wins_and_the_choice_is_always_the_same(
    offers: list[dict[str, Any]], token: str, point: str, connector: int, minutes: int,
    external: bool,
) -> None:  # fmt: skip
    named = [Offer(tariff="x", **_typed(offer)) for offer in offers]
    at = NOW + timedelta(minutes=minutes)
    hours = 6 if point == "D-1" else 5
    local = (at - timedelta(hours=hours)).replace(tzinfo=None)
    site = "depot" if point == "D-1" else "yard"
    plan = {"ANN": "walk-up", "ACME-1": "fleet", "WHO": None}[token]
    usual = {"ANN": "card", "ACME-1": "invoice", "WHO": "none"}[token]
    route = "external" if external else usual
    expected = next(
        (f"t{i}" for i, offer in enumerate(offers)
         if _matches(offer, plan, route, site, connector, local)),
        "cheap" if (plan, site) == ("fleet", "depot") else "standard",
    )  # fmt: skip
    state = _unchecked(offers)
    override = Route.EXTERNAL if external else None
    first, again = (said(state, token, point, connector, at, override) for _ in range(2))
    assert first == again
    assert first[-1].split("'")[1] == expected
    assert all(windows.week_of(offer) for offer in named)


def _typed(offer: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in offer.items()}


def _unchecked(offers: list[dict[str, Any]]) -> Snapshot:
    """Also with offers that nobody can reach, which a file may not have."""
    found = versions(parse(whole(tariff=[
        *whole()["tariff"], *(_tariff(f"t{i}") for i in range(len(offers)))
    ])))  # fmt: skip
    entries = [
        Activation(seq, v.kind, v.key, NOW - timedelta(days=900), v.digest, v.body)
        for seq, v in enumerate(found, start=1)
    ]
    body = {"offer": [{"tariff": f"t{i}", **offer} for i, offer in enumerate(offers)]}
    entries.append(Activation(999, "offers", "offers", entries[0].valid_from, "d", body))
    return Directory(entries).at(NOW)
