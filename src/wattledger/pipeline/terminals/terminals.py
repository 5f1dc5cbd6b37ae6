"""Sessions that are paid for at a terminal: who has paid, and what is done with it.

A session that we started ourselves has its hold already, and nothing here is asked. One that began
with the tag of a card reader, or with a payment's own reference, is matched when it has its price:
with a hold of ours it is captured like any other; a vendor's payment is external, told its amount
where it waits for it. Without a payment the session is held until one comes, or until somebody
decides that none will.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.entitlements.terminals import Terminal
from wattledger.errors import Conflict
from wattledger.ingest import anomalies
from wattledger.payments import store as payments
from wattledger.payments.store import Part
from wattledger.payments.terminal import store
from wattledger.payments.terminal.matching import By
from wattledger.payments.terminal.store import TerminalPayment
from wattledger.pipeline import timed
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.pipeline.terminals import terminal_match, unapplied
from wattledger.pipeline.terminals.readers import (
    present,
    present_again,
    reader_seen,
    withdraw,
)
from wattledger.pipeline.terminals.terminal_acts import give_back, keep, match, unpaid
from wattledger.pipeline.terminals.terminal_match import (
    MISSING,
    TAKE_UP,
    as_started,
    link,
    near,
    suspend,
    take_turns,
    take_up,
    take_up_soon,
    terminal_of,
)
from wattledger.pipeline.timed import What
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

__all__ = [
    "HANDLERS",
    "MISSING",
    "WHATS",
    "PaidBy",
    "give_back",
    "keep",
    "look_later",
    "match",
    "missing",
    "paid_by",
    "present",
    "present_again",
    "reader_seen",
    "unpaid",
    "withdraw",
]

LOOK = "terminal.look"
# A charge point that was offline says later that a session began.
_GRACE = timedelta(minutes=10)
_AGAIN = timedelta(hours=6)
_PATIENCE = timedelta(days=1)
_BILLED = ("billed", "free", "adjusted")
_OWED = {"debt": "debt", "waive": "waived"}


class PaidBy(msgspec.Struct, frozen=True):
    """What pays a session. ``parts`` None: a hold of ours, which is the session's by now, pays it
    as every hold does."""

    parts: tuple[Part, ...] | None = None
    terminal_payment_id: str | None = None


async def paid_by(
    tx: Transaction, world: World, row: SessionRow, total_minor: int
) -> PaidBy | None:
    """Who pays ``total_minor`` for a session of the terminal route that has no hold; None: nobody
    yet. For nothing at all nobody has to, but a payment that waits is told so."""
    if row.contract.start_id is not None:
        return PaidBy()  # what we started ourselves stands or falls with its own hold
    await take_turns(tx, row.site_id)
    payment = await store.of_session(tx.conn, row.id)
    if payment is None:
        payment = await _found(tx, world, row, total_minor)
    if payment is not None:
        return await _terms(tx, row, payment, total_minor)
    if total_minor <= 0:
        return None
    decided = await store.decided(tx.conn, row.id, row.contract.shortfall)
    return (
        None if decided is None else PaidBy((Part(_OWED[decided], total_minor, why="nobody_paid"),))
    )


async def _found(
    tx: Transaction, world: World, row: SessionRow, total_minor: int
) -> TerminalPayment | None:
    named = await store.naming(tx.conn, row.entity_id, row.id, row.charge_point_id, row.token,
                               row.transaction_ref)  # fmt: skip
    named = [
        each
        for each in named
        if store.may_be_at(
            each, terminal_of(world, each, tx.now), row.charge_point_id, row.connector_id
        )
    ]
    if len(named) == 1:
        return await link(tx, named[0], row.id, By.REFERENCE.value)
    snapshot = world.known(row.started_at)
    found = await near(tx, snapshot, row.site_id, row.started_at, [as_started(row, total_minor)])
    pair = found.matching.of_session(row.id)
    if pair is None:
        for payment_id in found.candidates(row.id):
            await _tie(tx, found, payment_id)
        return None
    return await link(tx, found.payments[pair.payment_id], row.id, pair.by.value)


async def _tie(tx: Transaction, found: terminal_match.Near, payment_id: str) -> None:
    """A payment that may be for several sessions, all of which have their price: no later amount
    will tell them apart. After a day nobody waits for the last price."""
    tie = next(tie for tie in found.matching.ties if tie.payment_id == payment_id)
    payment = found.payments[payment_id]
    priced = all(found.sessions[each].total_minor is not None for each in tie.candidates)
    if priced or tx.now - payment.authorized_at > _PATIENCE:
        await suspend(tx, payment, "tie", tie.candidates)


async def _terms(
    tx: Transaction, row: SessionRow, payment: TerminalPayment, total_minor: int
) -> PaidBy:
    """A hold of ours is captured by the bill; a vendor's payment is external."""
    if payment.mode == "we_capture":
        return PaidBy(None, payment.id)
    if payment.mode == "we_send" and payment.settled_minor is None:
        await _send(tx, payment, total_minor)
    if payment.settled_minor is not None:
        await paid_outside(tx, payment, row.id)
    parts = (Part("external", total_minor),) if total_minor else ()
    return PaidBy(parts, payment.id)


async def _send(tx: Transaction, payment: TerminalPayment, amount_minor: int) -> None:
    await effects.add(
        tx.conn, kind="vendor.settle", subject=payment.id, lane=payment.id,
        key=f"{payment.entity_id}:{payment.id}:settle:1",
        request={"vendor_id": payment.provider, "reference": payment.reference,
                 "amount_minor": amount_minor, "currency": payment.currency},
        due_at=tx.now, caused_at=tx.now,
    )  # fmt: skip


async def paid_outside(tx: Transaction, payment: TerminalPayment, session_id: str) -> None:
    """What the vendor took stands beside the price: a difference is a break of the external leg."""
    assert payment.settled_minor is not None, "asked of what is settled"
    try:
        await payments.add_external(
            tx.conn, session_id, payment.entity_id, payment.external_reference,
            payment.settled_minor, payment.currency,
        )  # fmt: skip
    except Conflict as error:
        await anomalies.record(
            tx.conn, at=tx.now, code="terminal.differs", subject=session_id,
            detail={"why": str(error), "reference": payment.reference}, cause=payment.id,
        )  # fmt: skip


async def missing(tx: Transaction, row: SessionRow, total_minor: int) -> str:
    """A session has its price and nobody's payment: it waits. What is to be said of it."""
    others = await store.fitting(tx.conn, row.id)
    await store.wait(tx.conn, row.id, row.entity_id, row.contract.currency, total_minor, tx.now)
    if others:
        return f"payments {', '.join(others)} fit it, and other sessions as well"
    return "no payment at its terminal fits it yet"


# --- later -----------------------------------------------------------------------------------


async def look_later(tx: Transaction, payment: TerminalPayment, before_s: int) -> None:
    """Once its session must have started, somebody is shown a payment that has none."""
    at = max(tx.now, payment.authorized_at + timedelta(seconds=before_s)) + _GRACE
    await timed.put_off(tx, LOOK, payment.id, at)


async def _look(settled: Settled) -> None:
    tx = settled.tx
    seen = await store.look(tx.conn, settled.effect.subject)
    if seen is None:
        return
    terminal = settled.world.known(seen.authorized_at).get("terminal", seen.terminal_id, Terminal)
    if terminal is not None:
        await take_turns(tx, terminal.site)
    payment = await store.get(tx.conn, seen.id)
    if payment is not None and payment.state == "open":
        await fit(tx, settled.world, payment, last=True)


async def _take_up(settled: Settled) -> None:
    await take_up(settled.tx, settled.effect.subject, "Its payment has come.")


async def fit(
    tx: Transaction, world: World, payment: TerminalPayment, *, last: bool = False
) -> None:
    """Take up the sessions that were held for a payment and have one now. ``last``: the time in
    which its session must have started is over."""
    if payment.why == "refused" and payment.settled_minor is None:
        return  # it pays nothing until it is settled all the same
    named = await store.named(tx.conn, payment, terminal_of(world, payment, tx.now))
    if named is not None:
        await _named(tx, payment, named)
        return
    snapshot = world.known(payment.authorized_at)
    terminal = snapshot.get("terminal", payment.terminal_id, Terminal)
    if terminal is None:
        if last:
            await suspend(tx, payment, "no_session", ())
        return
    site_id = terminal.site
    found = await near(tx, snapshot, site_id, payment.authorized_at)
    for pair in found.matching.pairs:
        await take_up_soon(tx, pair.session_id)
    if payment.id in found.matching.payments and last:
        await suspend(tx, found.payments[payment.id], "no_session", ())
        return
    tied = any(tie.payment_id == payment.id for tie in found.matching.ties)
    if tied:
        await _tie(tx, found, payment.id)
    if last:
        # Its session still runs, or waits for its bill: looked at again until it is matched.
        await timed.put_off(tx, LOOK, payment.id, tx.now + _AGAIN)


async def _named(tx: Transaction, payment: TerminalPayment, session_id: str) -> None:
    """Its session is named: billed at once where it waited, and where it was billed before its
    settlement failed, paid after all. A session that still runs finds it by itself."""
    row = await sessions.get(tx.conn, session_id)
    if row is None:
        return
    await take_up_soon(tx, session_id)
    if row.state in _BILLED and payment.payment_id is None and payment.state != "matched":
        linked = await link(tx, payment, session_id, By.REFERENCE.value)
        if linked.settled_minor is not None:
            await paid_outside(tx, linked, session_id)


# --- what the vendor answers -----------------------------------------------------------------


async def _settled(settled: Settled) -> None:
    """The vendor has taken the final amount; one that finds it in a file reports it later."""
    tx, taken = settled.tx, settled.response.get("captured_minor")
    payment = await store.get(tx.conn, settled.effect.subject)
    if payment is None or taken is None:
        return
    await take_settlement(tx, settled.snapshot, payment, int(taken), tx.now)


async def take_settlement(
    tx: Transaction, snapshot: Snapshot, payment: TerminalPayment, taken_minor: int, at: datetime
) -> TerminalPayment:
    """What was taken in the end; said again it changes nothing, said otherwise it is shown. What
    was kept in suspense before is in the books from now on."""
    if payment.settled_minor is not None:
        if payment.settled_minor != taken_minor:
            await anomalies.record(
                tx.conn, at=tx.now, code="terminal.differs",
                subject=payment.session_id or payment.id,
                detail={"reference": payment.reference, "said_minor": taken_minor,
                        "settled_minor": payment.settled_minor},
                cause=f"{payment.id}:{taken_minor}",
            )  # fmt: skip
        return payment
    await store.change(tx.conn, payment.id, settled_minor=taken_minor, settled_at=at)
    payment = msgspec.structs.replace(payment, settled_minor=taken_minor, settled_at=at)
    if payment.state == "kept":
        await unapplied.book(tx, snapshot, payment)
    if payment.session_id is not None and payment.mode != "we_capture":
        row = await sessions.get(tx.conn, payment.session_id)
        if row is not None and row.state in _BILLED:
            await paid_outside(tx, payment, row.id)
    return payment


async def _not_settled(settled: Settled) -> None:
    """The vendor will not take it: the session is billed, and nobody has paid it."""
    tx, effect = settled.tx, settled.effect
    payment = await store.get(tx.conn, effect.subject)
    await anomalies.record(
        tx.conn, at=tx.now, code="terminal.unsettled",
        subject=(payment.session_id if payment else None) or effect.subject,
        detail={**settled.response, "asked_minor": effect.request["amount_minor"]},
        cause=effect.key,
    )  # fmt: skip


HANDLERS = {"vendor.settle": Handler("vendor_settled", _settled, _not_settled)}
WHATS: dict[str, What] = {LOOK: _look, TAKE_UP: _take_up}
