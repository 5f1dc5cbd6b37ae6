"""Who may belong together at a site's terminals, out of the database, and what a match does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.entitlements.terminals import Terminal
from wattledger.ingest import anomalies
from wattledger.payments import store as payments
from wattledger.payments.terminal import store
from wattledger.payments.terminal.matching import (
    CLOSE,
    Matching,
    Serving,
    Started,
    match,
)
from wattledger.payments.terminal.store import TerminalPayment
from wattledger.pipeline import timed
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

MISSING = "payment.missing"
"""What holds a session that has its price and nobody's payment."""
SUSPENSE = "terminal.suspense"
TAKE_UP = "terminal.take_up"
# A chain of sessions and payments each near the next is followed so far.
_ROUNDS_MAX = 24


class Near(msgspec.Struct, frozen=True):
    """What was found near a time, and what belongs together of it."""

    matching: Matching
    payments: dict[str, TerminalPayment]
    sessions: dict[str, Started]

    def candidates(self, session_id: str) -> list[str]:
        """The payments that may be for a session, and may be for another."""
        return [tie.payment_id for tie in self.matching.ties if session_id in tie.candidates]


async def take_turns(tx: Transaction, site_id: str) -> None:
    """Nobody else matches at this site until the transaction ends. Whoever needs more than one
    takes a session first, then this, then payments: a bill has its session when it asks. Whoever
    begins with a payment takes this and no session: that is taken up later (``take_up_soon``).
    After the payments come the turns of their driver (``bounds.take_turns``), and last the blocks
    (``blocks.set_block``)."""
    await store.take_turns(tx.conn, f"terminal/{site_id}")


def terminal_of(world: World, payment: TerminalPayment, now: datetime) -> Terminal | None:
    """The terminal as it stood when the card was read; one that came later, as it stands."""
    for at in (payment.authorized_at, now):
        found = world.known(at).get("terminal", payment.terminal_id, Terminal)
        if found is not None:
            return found
    return None


async def near(
    tx: Transaction, snapshot: Snapshot, site_id: str, at: datetime, known: Sequence[Started] = ()
) -> Near:
    """Match all that hangs together around ``at``. ``known`` are sessions of which more is known
    than the database says; nobody else matches at this site meanwhile."""
    await take_turns(tx, site_id)
    terminals = [t for t in snapshot.all("terminal", Terminal) if t.site == site_id]
    serving = [Serving(t.id, t.evses, t.before_s, t.after_s) for t in terminals]
    reach = CLOSE + timedelta(
        seconds=max((max(t.before_s, t.after_s) for t in terminals), default=0)
    )
    since, until = at - reach, at + reach
    found: dict[str, TerminalPayment] = {}
    started: dict[str, Started] = {}
    for _ in range(_ROUNDS_MAX):
        some = await store.unmatched(tx.conn, [t.id for t in terminals], since, until)
        waits = await store.waiting(tx.conn, site_id, since, until)
        if len(some) == len(found) and len(waits) == len(started):
            break
        found = {payment.id: payment for payment in some}
        started = {session.id: _unnamed(snapshot, session) for session in waits}
        times = [*(p.authorized_at for p in some), *(s.started_at for s in waits), at]
        since, until = min(times) - reach, max(times) + reach
    started |= {session.id: _unnamed(snapshot, session) for session in known}
    known_as = {terminal.id: terminal for terminal in terminals}
    named = {
        payment.id: await store.named(tx.conn, payment, known_as.get(payment.terminal_id))
        for payment in found.values()
    }
    paid = [payment.paid(named[payment.id]) for payment in found.values()]
    return Near(match(paid, started.values(), serving), found, started)


def _unnamed(snapshot: Snapshot, session: Started) -> Started:
    """A tag that everybody sends names no payment; any other is one."""
    token = session.reference
    if token is None or not snapshot.is_terminal_token(token, session.charge_point_id):
        return session
    return msgspec.structs.replace(session, reference=None)


def as_started(row: SessionRow, total_minor: int | None) -> Started:
    """A session as it is matched."""
    return Started(
        row.id, row.entity_id, row.contract.currency, row.charge_point_id, row.connector_id,
        row.started_at, total_minor, row.token,
    )  # fmt: skip


async def link(
    tx: Transaction, payment: TerminalPayment, session_id: str, by: str
) -> TerminalPayment:
    """The payment is for this session, and so is the hold behind it, where it is ours."""
    await store.change(
        tx.conn, payment.id, state="matched", session_id=session_id, matched_by=by, why=None,
        candidates=[],
    )  # fmt: skip
    if payment.payment_id is not None:
        await tx.conn.execute(
            "UPDATE payment SET session_id = %s, route = 'terminal' WHERE id = %s",
            (session_id, payment.payment_id),
        )
    await anomalies.settle(
        tx.conn, SUSPENSE, payment.id, f"It is for session {session_id}.", tx.now
    )
    return msgspec.structs.replace(payment, state="matched", session_id=session_id, matched_by=by)


async def take_up_soon(tx: Transaction, session_id: str) -> None:
    """As a step of its own, if it was held for its payment."""
    await timed.put_off(tx, TAKE_UP, session_id, tx.now)


async def take_up(tx: Transaction, session_id: str, why: str) -> bool:
    """A session that was held for its payment is billed at once."""
    row = await sessions.get(tx.conn, session_id, lock=True)
    if row is None or row.state != "held" or row.held_reason != MISSING:
        return False
    await tx.conn.execute(
        "UPDATE session SET state = 'ended', held_reason = NULL, bill_due_at = %s WHERE id = %s",
        (tx.now, session_id),
    )
    await anomalies.settle(tx.conn, MISSING, session_id, why, tx.now)
    await tx.conn.execute("SELECT pg_notify('wattledger_effect', '')")
    return True


async def suspend(
    tx: Transaction, payment: TerminalPayment, why: str, candidates: Sequence[str]
) -> None:
    """Nobody knows whose it is: kept apart and shown."""
    if payment.state != "open" and (payment.why, payment.candidates) == (why, list(candidates)):
        return
    await store.change(tx.conn, payment.id, state="suspense", why=why, candidates=list(candidates))
    amount = payment.authorized_minor if payment.settled_minor is None else payment.settled_minor
    await anomalies.record(
        tx.conn, at=tx.now, code=SUSPENSE, subject=payment.id,
        detail={"why": why, "candidates": list(candidates), "terminal": payment.terminal_id,
                "reference": payment.reference, "amount_minor": amount,
                "currency": payment.currency},
        cause="suspense",
    )  # fmt: skip


async def ours(tx: Transaction, payment: TerminalPayment) -> payments.Payment | None:
    """The hold behind a payment at our own account, locked."""
    if payment.payment_id is None:
        return None
    return await payments.get(tx.conn, payment.payment_id)
