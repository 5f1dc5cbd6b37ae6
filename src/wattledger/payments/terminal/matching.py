"""Which payment at a terminal is for which session. Pure: no guess, and no order.

What two of them have in common is evidence, the strongest first: a reference, the connector that
the driver chose, the amount, and last the time alone. A pair is made where it is the only
possibility for both, after what stronger evidence has told apart is gone; then everything is looked
at anew. What is left with several possibilities is a tie: a person decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

CLOSE = timedelta(seconds=60)
"""Two payments on one terminal that are so near to each other are not told apart by time."""
BEFORE_S, AFTER_S = 300, 120
"""A card is read at most so long before its session starts, or after."""

Evse = tuple[str, int | None]
"""A charge point and its connector; None: any of it."""


class By(StrEnum):
    """What a pair was found by, the strongest first."""

    REFERENCE = "reference"
    CONNECTOR = "connector"
    AMOUNT = "amount"
    WINDOW = "window"


class Serving(msgspec.Struct, frozen=True):
    """What a terminal serves, and how far a card may be from the start of its session."""

    id: str
    evses: tuple[Evse, ...]
    before_s: int = BEFORE_S
    after_s: int = AFTER_S


class Paid(msgspec.Struct, frozen=True):
    """A payment at a terminal. ``chosen`` is what the driver picked there; ``session_id`` is the
    session that its report names; amounts in minor units, with tax."""

    id: str
    terminal_id: str
    entity_id: str
    currency: str
    authorized_at: datetime
    authorized_minor: int
    reference: str
    settled_minor: int | None = None
    chosen: Evse | None = None
    session_id: str | None = None


class Started(msgspec.Struct, frozen=True):
    """A session that somebody pays for at a terminal. ``reference`` is the payment that it names
    itself: then no other is its."""

    id: str
    entity_id: str
    currency: str
    charge_point_id: str
    connector_id: int
    started_at: datetime
    total_minor: int | None = None
    reference: str | None = None


class Pair(msgspec.Struct, frozen=True, order=True):
    """A payment and the session it is for."""

    payment_id: str
    session_id: str
    by: By


class Tie(msgspec.Struct, frozen=True, order=True):
    """A payment that may be for any of these, or has one that others may be for as well."""

    payment_id: str
    candidates: tuple[str, ...]


class Matching(msgspec.Struct, frozen=True):
    """What is known, each list in the order of its ids."""

    pairs: tuple[Pair, ...]
    ties: tuple[Tie, ...]
    payments: tuple[str, ...]
    """Payments that no session fits."""
    sessions: tuple[str, ...]
    """Sessions without a payment, also those of a tie."""

    def of_session(self, session_id: str) -> Pair | None:
        """Its pair, if any."""
        return next((pair for pair in self.pairs if pair.session_id == session_id), None)


def match(
    payments: Iterable[Paid], sessions: Iterable[Started], terminals: Iterable[Serving]
) -> Matching:
    """Pairs, ties, and what is alone. Neither the order of what comes in nor a repetition of it
    changes anything."""
    served = {terminal.id: terminal for terminal in terminals}
    paid = {p.id: p for p in payments if p.terminal_id in served}
    started = {s.id: s for s in sessions}
    evidence = {
        (p.id, s.id): found
        for p in paid.values()
        for s in started.values()
        if (found := _evidence(served[p.terminal_id], p, s)) is not None
    }
    pairs: list[Pair] = []
    left = dict(evidence)
    while found_now := _round(served, paid, started, left):
        pairs += found_now
        gone_p = {pair.payment_id for pair in found_now}
        gone_s = {pair.session_id for pair in found_now}
        left = {(p, s): e for (p, s), e in left.items() if p not in gone_p and s not in gone_s}
        paid = {key: p for key, p in paid.items() if key not in gone_p}
    ties = _ties(left)
    tied, matched = {tie.payment_id for tie in ties}, {pair.session_id for pair in pairs}
    return Matching(
        tuple(sorted(pairs)),
        ties,
        tuple(sorted(key for key in paid if key not in tied)),
        tuple(sorted(key for key in started if key not in matched)),
    )


def fits(terminal: Serving, payment: Paid, session: Started) -> bool:
    """Whether a payment can be for a session at all."""
    return _evidence(terminal, payment, session) is not None


def _round(
    served: dict[str, Serving],
    paid: dict[str, Paid],
    started: dict[str, Started],
    left: dict[tuple[str, str], frozenset[By]],
) -> list[Pair]:
    """The pairs of the strongest evidence that decides anything now."""
    for by in By:
        edges = [edge for edge, found in left.items() if by in found]
        of_payment: dict[str, list[str]] = {}
        of_session: dict[str, list[str]] = {}
        for p, s in edges:
            of_payment.setdefault(p, []).append(s)
            of_session.setdefault(s, []).append(p)
        pairs = [
            Pair(p, s, by)
            for p, s in edges
            if len(of_payment[p]) == 1
            and len(of_session[s]) == 1
            and (by is not By.WINDOW or not _confusable(served, paid, paid[p], started[s]))
        ]
        if pairs:
            return pairs
    return []


def _confusable(
    served: dict[str, Serving], paid: dict[str, Paid], payment: Paid, session: Started
) -> bool:
    """Whether another payment is so near on the same terminal that time does not tell which of the
    two the session is for."""
    return any(
        other.terminal_id == payment.terminal_id
        and other.id != payment.id
        and abs(other.authorized_at - payment.authorized_at) <= CLOSE
        and _evidence(served[other.terminal_id], other, session, CLOSE) is not None
        for other in paid.values()
    )


def _ties(left: dict[tuple[str, str], frozenset[By]]) -> tuple[Tie, ...]:
    candidates: dict[str, list[str]] = {}
    for p, s in left:
        candidates.setdefault(p, []).append(s)
    return tuple(Tie(p, tuple(sorted(some))) for p, some in sorted(candidates.items()))


def _evidence(
    terminal: Serving, payment: Paid, session: Started, more: timedelta = timedelta(0)
) -> frozenset[By] | None:
    """What speaks for the two; None where they can't belong together."""
    if (payment.entity_id, payment.currency) != (session.entity_id, session.currency):
        return None
    elsewhere = payment.chosen is not None and payment.chosen[0] != session.charge_point_id
    if payment.session_id == session.id:
        return frozenset(By)
    if payment.reference == session.reference and not elsewhere:
        return frozenset(By)
    if payment.session_id is not None or session.reference is not None:
        return None  # it says whose it is, and that is another
    if not _may_be(terminal, payment, session, more):
        return None
    found = {By.WINDOW}
    if payment.chosen is not None:
        found.add(By.CONNECTOR)
    if payment.settled_minor is not None and session.total_minor is not None:
        found.add(By.AMOUNT)
    return frozenset(found)


def _may_be(terminal: Serving, payment: Paid, session: Started, more: timedelta) -> bool:
    """Whether place, time and amount allow it."""
    evse = (session.charge_point_id, session.connector_id)
    early = timedelta(seconds=terminal.before_s) + more
    late = timedelta(seconds=terminal.after_s) + more
    return (
        any(_same(served, evse) for served in terminal.evses)
        and -early <= payment.authorized_at - session.started_at <= late
        and _can_pay(payment, session.total_minor)
        and (payment.chosen is None or _same(payment.chosen, evse))
    )


def _same(meant: Evse, evse: Evse) -> bool:
    return meant[0] == evse[0] and meant[1] in (None, evse[1])


def _can_pay(payment: Paid, total_minor: int | None) -> bool:
    """What was settled is the price; a hold covers it, if that is all that is known."""
    if total_minor is None:
        return True
    if payment.settled_minor is not None:
        return payment.settled_minor == total_minor
    return total_minor <= payment.authorized_minor
