"""A payment at a terminal and its session: by evidence, one to one, or not at all."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattledger.payments.terminal.matching import (
    By,
    Evse,
    Matching,
    Paid,
    Pair,
    Serving,
    Started,
    Tie,
    match,
)

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
# One terminal at the entrance, six connectors.
TERMINAL = Serving("T", tuple((f"CP{n}", connector) for n in (1, 2, 3) for connector in (1, 2)))


def paid(name: str, after_s: int = 0, **more: object) -> Paid:
    """Read so many seconds after noon, a hold of 50.00."""
    given = Paid(name, "T", "north", "USD", NOON + timedelta(seconds=after_s), 5_000, f"ref-{name}")
    return msgspec.structs.replace(given, **more)


def session(name: str, after_s: int = 60, evse: Evse = ("CP1", 1), **more: object) -> Started:
    """Started so many seconds after noon."""
    at = NOON + timedelta(seconds=after_s)
    return msgspec.structs.replace(Started(name, "north", "USD", evse[0], evse[1] or 1, at), **more)


def matched(payments: list[Paid], sessions: list[Started], *terminals: Serving) -> Matching:
    return match(payments, sessions, terminals or (TERMINAL,))


def test_one_payment_and_one_session_in_the_window() -> None:
    assert matched([paid("p")], [session("s")]).pairs == (Pair("p", "s", By.WINDOW),)


@pytest.mark.parametrize(
    ("start_after_s", "found"),
    # The card is read at most 300 s before the start and 120 s after it.
    [(300, True), (301, False), (-120, True), (-121, False)],
)
def test_the_window_reaches_from_5_minutes_before_the_start_to_2_after(
    start_after_s: int, found: bool
) -> None:
    result = matched([paid("p")], [session("s", start_after_s)])
    assert bool(result.pairs) is found
    assert result.payments == (() if found else ("p",))
    assert result.sessions == (() if found else ("s",))


def test_the_window_is_the_terminals_own() -> None:
    wide = msgspec.structs.replace(TERMINAL, before_s=900)
    assert matched([paid("p")], [session("s", 900)], wide).pairs


def test_only_what_the_terminal_serves() -> None:
    assert not matched([paid("p")], [session("s", evse=("CP9", 1))]).pairs
    all_of_it = Serving("T", (("CP9", None),))
    assert matched([paid("p")], [session("s", evse=("CP9", 2))], all_of_it).pairs


@pytest.mark.parametrize("other", [{"entity_id": "rhine"}, {"currency": "EUR"}])
def test_two_entities_and_two_currencies_never_meet(other: dict[str, str]) -> None:
    assert not matched([paid("p", **other)], [session("s")]).pairs
    # Not by a reference either.
    assert not matched([paid("p", session_id="s", **other)], [session("s")]).pairs


def test_a_reference_counts_above_all_else() -> None:
    # Hours away, at a connector the terminal does not serve, another amount: it is named.
    far = session("s", 9_000, ("CP9", 1), reference="ref-p", total_minor=1_111)
    near = session("n")
    result = matched([paid("p", settled_minor=999)], [far, near])
    assert result.pairs == (Pair("p", "s", By.REFERENCE),)
    assert result.sessions == ("n",)


def test_who_names_another_is_nobody_elses() -> None:
    assert not matched([paid("p", session_id="elsewhere")], [session("s")]).pairs
    assert not matched([paid("p")], [session("s", reference="another")]).pairs


def test_the_chosen_connector_tells_two_sessions_apart() -> None:
    result = matched(
        [paid("p", chosen=("CP2", 1)), paid("q", 30)],
        [session("s", evse=("CP1", 1)), session("t", evse=("CP2", 1))],
    )
    # q is what is left once p is gone.
    assert result.pairs == (Pair("p", "t", By.CONNECTOR), Pair("q", "s", By.WINDOW))


def test_a_chosen_connector_is_no_other() -> None:
    assert not matched([paid("p", chosen=("CP2", 1))], [session("s", evse=("CP1", 1))]).pairs


def test_the_settled_amount_tells_two_payments_of_one_minute_apart() -> None:
    result = matched(
        [paid("p", settled_minor=812), paid("q", 40, settled_minor=1_530)],
        [session("s", total_minor=1_530), session("t", total_minor=812)],
    )
    assert result.pairs == (Pair("p", "t", By.AMOUNT), Pair("q", "s", By.AMOUNT))


def test_an_amount_that_is_not_the_price_is_no_match() -> None:
    result = matched([paid("p", settled_minor=1_531)], [session("s", total_minor=1_530)])
    assert (result.pairs, result.payments, result.sessions) == ((), ("p",), ("s",))


def test_payments_md_1_8_a_hold_must_cover_the_price() -> None:
    """1.8 (b): "amount >= ..." where only the hold is known."""
    assert matched([paid("p")], [session("s", total_minor=5_000)]).pairs
    assert not matched([paid("p")], [session("s", total_minor=5_001)]).pairs


def test_two_payments_within_a_minute_are_not_told_apart_by_time() -> None:
    # q is read 130 s after s began, outside the window: time alone would say p. But the two were
    # read within 60 s of each other, and which of the two drivers it was time does not say.
    result = matched([paid("p", 110), paid("q", 130)], [session("s", 0)])
    assert result.pairs == ()
    assert result.ties == (Tie("p", ("s",)),)
    assert result.payments == ("q",)
    # With 61 seconds between them it does.
    assert matched([paid("p", 69), paid("q", 130)], [session("s", 0)]).pairs == (
        Pair("p", "s", By.WINDOW),
    )


def test_two_that_fit_two_are_a_tie_with_their_candidates() -> None:
    result = matched([paid("p"), paid("q", 100)], [session("s"), session("t", 90)])
    assert result.pairs == ()
    assert result.ties == (Tie("p", ("s", "t")), Tie("q", ("s", "t")))
    assert result.sessions == ("s", "t")


def test_what_is_told_apart_makes_the_next_clear() -> None:
    # p chose the connector of s. q settled the price of s and of t: of t, once s is gone. r fits
    # t and u by its time: u, once t is gone.
    result = matched(
        [paid("p", chosen=("CP1", 1)), paid("q", 150, settled_minor=700), paid("r", 430)],
        [
            session("s", 60, ("CP1", 1), total_minor=700),
            session("t", 320, ("CP1", 2), total_minor=700),
            session("u", 700, ("CP2", 1)),
        ],
    )
    assert result.pairs == (
        Pair("p", "s", By.CONNECTOR), Pair("q", "t", By.AMOUNT), Pair("r", "u", By.WINDOW),
    )  # fmt: skip


def test_two_terminals_of_one_site_keep_to_what_they_serve() -> None:
    left, right = Serving("L", (("CP1", None),)), Serving("R", (("CP2", None),))
    result = matched(
        [paid("p", terminal_id="L"), paid("q", 5, terminal_id="R")],
        [session("s", evse=("CP2", 1)), session("t", evse=("CP1", 1))],
        left, right,
    )  # fmt: skip
    assert result.pairs == (Pair("p", "t", By.WINDOW), Pair("q", "s", By.WINDOW))


# --- for any of them -------------------------------------------------------------------------

_EVSES = [("CP1", 1), ("CP1", 2), ("CP2", 1)]


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[Paid], list[Started]]:
    """A few payments and sessions near noon, some with what tells them apart."""
    payments = [
        paid(
            f"p{n}",
            draw(st.integers(-400, 400)),
            chosen=draw(st.sampled_from([None, None, *_EVSES])),
            settled_minor=draw(st.sampled_from([None, 500, 700])),
            session_id=draw(st.sampled_from([None, None, None, "s0"])),
        )
        for n in range(draw(st.integers(0, 5)))
    ]
    sessions = [
        session(
            f"s{n}",
            draw(st.integers(-400, 400)),
            draw(st.sampled_from(_EVSES)),
            total_minor=draw(st.sampled_from([None, 500, 700])),
            reference=draw(st.sampled_from([None, None, None, "ref-p0"])),
        )
        for n in range(draw(st.integers(0, 5)))
    ]
    return payments, sessions


@given(crowds(), st.integers(0, 2**32))
def test_order_and_repetition_change_nothing(
    crowd: tuple[list[Paid], list[Started]], seed: int
) -> None:
    payments, sessions = crowd
    shuffled_p, shuffled_s = [*payments, *payments[:1]], [*sessions, *sessions[:1]]
    random.Random(seed).shuffle(shuffled_p)
    random.Random(seed + 1).shuffle(shuffled_s)
    assert matched(payments, sessions) == matched(shuffled_p, shuffled_s)


@given(crowds())
def test_nobody_is_matched_twice_and_nobody_is_lost(
    crowd: tuple[list[Paid], list[Started]],
) -> None:
    payments, sessions = crowd
    result = matched(payments, sessions)
    in_pairs = [pair.payment_id for pair in result.pairs]
    tied = [tie.payment_id for tie in result.ties]
    assert sorted([*in_pairs, *tied, *result.payments]) == sorted(p.id for p in payments)
    assert sorted([*(pair.session_id for pair in result.pairs), *result.sessions]) == sorted(
        s.id for s in sessions
    )


@given(crowds())
def test_a_pair_of_known_amounts_agrees_unless_it_is_named(
    crowd: tuple[list[Paid], list[Started]],
) -> None:
    payments, sessions = {p.id: p for p in crowd[0]}, {s.id: s for s in crowd[1]}
    for pair in matched(*crowd).pairs:
        p, s = payments[pair.payment_id], sessions[pair.session_id]
        if pair.by is not By.REFERENCE and p.settled_minor is not None:
            assert s.total_minor in (None, p.settled_minor)


@st.composite
def told_apart(draw: st.DrawFn) -> tuple[list[Paid], list[Started], set[tuple[str, str]]]:
    """A busy quarter of an hour whose truth can be found: each pair by a connector of its own, an
    amount of its own, or a reference."""
    payments, sessions, truth = [], [], set()
    for n in range(draw(st.integers(1, 6))):
        evse = TERMINAL.evses[n]
        read_s = draw(st.integers(0, 900))
        start_s = read_s + draw(st.integers(-120, 300))
        how = draw(st.sampled_from(["connector", "amount", "reference"]))
        total = 1_000 + n
        payments.append(
            paid(
                f"p{n}", read_s,
                chosen=evse if how == "connector" else None,
                settled_minor=total if how == "amount" else None,
                session_id=f"s{n}" if how == "reference" else None,
            )
        )  # fmt: skip
        sessions.append(session(f"s{n}", start_s, evse, total_minor=total))
        truth.add((f"p{n}", f"s{n}"))
    return payments, sessions, truth


@given(told_apart())
def test_a_truth_with_enough_evidence_is_found(
    planted: tuple[list[Paid], list[Started], set[tuple[str, str]]],
) -> None:
    payments, sessions, truth = planted
    found = {(pair.payment_id, pair.session_id) for pair in matched(payments, sessions).pairs}
    assert found == truth
