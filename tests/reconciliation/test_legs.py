"""Each difference in each leg has its code, its amount and a sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from wattledger.reconciliation.legs import (
    TITLES,
    explain,
    leg_of,
    meter_breaks,
    movement_breaks,
    reading_age,
)
from wattledger.reconciliation.match import match
from wattledger.reconciliation.model import Break, Item, Leg, Side


def _item(key: str, amount: int, currency: str | None = "USD", name: str = "i") -> Item:
    return Item(name, key, amount, "north", currency, f"Payment of session {key}")


@pytest.mark.parametrize(
    ("leg", "only_ours", "only_theirs", "differ"),
    [
        ("session", "missing.charge", "missing.session", "energy.mismatch"),
        ("processor", "missing.external", "missing.internal", "amount.capture_mismatch"),
        ("payout", "missing.items", "missing.payout", "amount.payout_mismatch"),
        ("external", "missing.external", "missing.internal", "amount.external_mismatch"),
        ("books", "missing.acknowledgement", "missing.internal", "amount.books_mismatch"),
    ],
)
def test_each_difference_has_its_code(
    leg: str, only_ours: str, only_theirs: str, differ: str
) -> None:
    _, breaks = match(
        [_item("a", 440), _item("b", 440), _item("same", 1)],
        [_item("b", 439), _item("c", 440), _item("same", 1)],
        explain(leg),
    )
    assert [(b.leg, b.code) for b in breaks] == [
        (leg, only_ours),
        (leg, differ),
        (leg, only_theirs),
    ]
    assert all(b.proposal for b in breaks)


def test_every_leg_but_the_meter_can_be_explained() -> None:
    """The meter's breaks are found by ``meter_breaks``."""
    for leg in set(TITLES) - {"meter", "holds"}:
        explain(leg)("k", [_item("k", 1)], [])


@pytest.mark.parametrize("code", ["hold.gone_charged", "hold.gone_owed", "hold.gone_waived"])
def test_what_pays_for_a_hold_that_was_gone_names_the_break(code: str) -> None:
    _, (found,) = match([_item(f"{code}|pay_1", 440, name="pay_1")], [], explain("holds"))
    assert (found.code, found.item_id, found.amount_minor) == (code, "pay_1", -440)
    assert found.proposal


def test_a_cent_is_a_break_with_its_amount_and_both_sides() -> None:
    _, breaks = match([_item("ses_1", 440)], [_item("ses_1", 439)], explain("processor"))
    assert breaks == [
        Break(
            leg="processor", code="amount.capture_mismatch", entity_id="north", item_id="i",
            cause="Payment of session ses_1: captured $4.40, processor $4.39",
            proposal="Give back what is too much, or find what is missing", currency="USD",
            amount_minor=-1,
        )
    ]  # fmt: skip


def test_a_difference_of_energy_is_in_wh() -> None:
    ours, theirs = _item("ses_1", 10_000, None), _item("ses_1", 10_001, None)
    _, (found,) = match([ours], [theirs], explain("session"))
    assert (found.code, found.energy_wh, found.amount_minor) == ("energy.mismatch", 1, None)
    assert "10.000 kWh" in found.cause
    assert "10.001 kWh" in found.cause


def test_items_of_two_entities_or_currencies_never_match() -> None:
    south = Item("t", "k", 440, "south", "USD")
    euro = Item("t", "k", 440, "north", "EUR")
    for other in (south, euro):
        matches, breaks = match([_item("k", 440)], [other], explain("processor"))
        assert (matches, len(breaks)) == ([], 1)


def test_several_items_of_one_payment_match_by_their_sum() -> None:
    """Charged 25.00, reversed 20.60: 4.40 were captured."""
    theirs = [_item("p", 2_500, name="t1"), _item("p", -2_060, name="t2")]
    (found,), breaks = match([_item("p", 440, name="o")], theirs, explain("processor"))
    assert (found.ours, found.theirs, breaks) == (("o",), ("t1", "t2"), [])


def _session(name: str, connector: str, start: int, stop: int) -> Item:
    return Item(name, f"{connector}|{start}|{stop}", stop - start, "north")


def test_a_register_that_goes_on_where_it_stopped_is_no_break() -> None:
    rows = [_session("s1", "CP/1", 0, 500), _session("s2", "CP/2", 70, 90),
            _session("s3", "CP/1", 500, 800)]  # fmt: skip
    assert meter_breaks(rows) == []


@pytest.mark.parametrize(
    ("start", "code", "energy_wh"), [(510, "meter.gap", -10), (490, "meter.overlap", 10)]
)
def test_a_register_that_moved_between_sessions(start: int, code: str, energy_wh: int) -> None:
    """A gap is energy nobody is billed for: 10 Wh less on the bills than on the meter."""
    rows = [_session("s1", "CP/1", 0, 500), _session("s2", "CP/1", start, 800)]
    (found,) = meter_breaks(rows)
    assert (found.code, found.item_id, found.energy_wh) == (code, "s2", energy_wh)
    assert "0.500 kWh after session s1" in found.cause


def test_a_leg_that_is_tied() -> None:
    ours, theirs = [_item("a", 440)], [_item("a", 440)]
    assert leg_of("processor", ours, theirs, 1, []) == Leg(
        leg="processor", title="Captured and processor",
        ours=Side("Captured", 1, amount_minor=440), theirs=Side("Processor", 1, amount_minor=440),
        matched=1, breaks=0, tied=True,
        sentence="1 matched one by one, captured with processor, to the last digit.", compared=1,
    )  # fmt: skip


def test_a_leg_with_a_break_is_not_tied() -> None:
    _, breaks = match([_item("a", 440)], [], explain("processor"))
    leg = leg_of("processor", [_item("a", 440)], [], 0, breaks)
    assert (leg.tied, leg.breaks, leg.sentence) == (False, 1, "1 of 1 do not agree.")


@pytest.mark.parametrize("leg", list(TITLES))
def test_an_empty_leg_claims_nothing(leg: str) -> None:
    empty = leg_of(leg, [], [], 0, [])
    assert (empty.sentence, empty.compared) == ("Nothing to compare yet.", 0)


def test_a_register_that_moved_otherwise_than_its_sessions_say() -> None:
    """CP/1 went from 0 to 800, gap included, which is what was told; CP/2 is off by 5 Wh."""
    sessions = [_session("s1", "CP/1", 0, 500), _session("s2", "CP/1", 510, 800),
                _session("s3", "CP/2", 70, 90)]  # fmt: skip
    moved = [Item("CP/1", "CP/1", 800, "north"), Item("CP/2", "CP/2", 25, "north")]
    (found,) = movement_breaks(moved, sessions)
    assert (found.code, found.item_id, found.energy_wh) == ("meter.mismatch", "CP/2", -5)
    assert "moved by 0.025 kWh, the sessions on it say 0.020 kWh" in found.cause


def test_a_reading_that_is_old_is_said_to_be() -> None:
    now = datetime(2026, 11, 2, tzinfo=UTC)
    assert reading_age(now, None) == ""
    assert reading_age(now, now - timedelta(hours=36)) == ""
    said = reading_age(now, now - timedelta(hours=36, minutes=1))
    assert said == "The last reading of the processor is 36 h old."
    leg = leg_of("processor", [], [], 0, [], said)
    assert leg.sentence == "Nothing to compare yet. The last reading of the processor is 36 h old."
