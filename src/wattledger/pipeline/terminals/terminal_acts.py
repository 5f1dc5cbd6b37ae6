"""Step act: what a person decides about payments at terminals, recorded for ever.

*match*: it is for this session. *give_back*: the driver gets it back. *keep*: nobody is found for
it, and it stands in the books for whoever paid; it may be matched or given back later all the same.
*unpaid*: a session that waits for its payment, or whose payment went back, waits no more.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from wattledger.db.work import Transaction
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.ingest import anomalies
from wattledger.payments import plan
from wattledger.payments import unpaid as unpaid_store
from wattledger.payments.terminal import store
from wattledger.payments.terminal.store import TerminalPayment
from wattledger.pipeline.collecting import sending
from wattledger.pipeline.collecting.unpaid import reopen
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.terminals import unapplied
from wattledger.pipeline.terminals.terminal_match import (
    MISSING,
    SUSPENSE,
    link,
    ours,
    take_turns,
    take_up,
    terminal_of,
)
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

_OPEN = ("open", "suspense", "kept")
_BILLED = ("billed", "adjusted")
# What says of a billed session that nobody pays it any more.
_TAKEN_BACK = ("terminal.reversed", "terminal.unsettled")
_REASON_MAX = 1_000


class Acted(msgspec.Struct, frozen=True):
    """What became of it. ``new`` is False where the same had been decided before."""

    id: str
    state: str
    session_id: str | None = None
    new: bool = True


async def match(world: World, payment_id: str, session_id: str, actor: str, reason: str) -> Acted:
    """The payment is for this session. Raises NotFound, and Conflict where it can't be."""
    _check(reason)
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.transaction("act", now=now) as tx:
        row = await sessions.get(tx.conn, session_id, lock=True)
        if row is not None:  # a bill that is looking for its payment has found it, or has not
            await take_turns(tx, row.site_id)
        payment = await _payment(tx, payment_id)
        if payment.state == "matched" and payment.session_id == session_id:
            return Acted(payment.id, payment.state, session_id, new=False)
        await _check_pair(tx, payment, row, session_id)
        await unapplied.unbook(tx, snapshot, payment)
        await link(tx, payment, session_id, "person")
        await _record(tx, "terminal.match", payment, actor, reason, session_id)
        await take_up(tx, session_id, f"{actor}: it is paid by {payment.reference}.")
        return Acted(payment.id, "matched", session_id)


async def _check_pair(
    tx: Transaction, payment: TerminalPayment, row: SessionRow | None, session_id: str
) -> None:
    if row is None:
        raise NotFound(f"there is no session {session_id}")
    if payment.state not in _OPEN:
        raise Conflict(f"terminal payment {payment.id} is {payment.state}")
    if row.route != "terminal" or row.state not in ("open", "ended", "held"):
        raise Conflict(f"session {row.id} is {row.state} and paid by {row.route}: it waits for no"
                       " payment at a terminal")  # fmt: skip
    if (row.entity_id, row.contract.currency) != (payment.entity_id, payment.currency):
        raise Conflict(f"session {row.id} is of {row.entity_id} in {row.contract.currency}, the"
                       f" payment of {payment.entity_id} in {payment.currency}")  # fmt: skip
    if await store.of_session(tx.conn, row.id) is not None:
        raise Conflict(f"session {row.id} has its payment already")
    held = await ours(tx, payment)
    if held is not None and held.state != "held":
        raise Conflict(f"its hold is {held.state}: nothing can be captured of it")


async def give_back(world: World, payment_id: str, actor: str, reason: str) -> Acted:
    """The driver gets it back: a hold of ours is released; a vendor's payment is returned there,
    and noted here."""
    _check(reason)
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.transaction("act", now=now) as tx:
        await _take_turns(tx, world, payment_id)
        payment = await _payment(tx, payment_id)
        if payment.state == "returned":
            return Acted(payment.id, payment.state, new=False)
        if payment.state not in _OPEN:
            raise Conflict(f"terminal payment {payment.id} is {payment.state}")
        held = await ours(tx, payment)
        if held is not None and held.state == "held":
            await sending.release(tx, held)
        elif held is not None and held.state not in ("releasing", "released"):
            raise Conflict(f"its hold is {held.state}: it can't be released")
        await unapplied.unbook(tx, snapshot, payment)
        await _decide(tx, payment, "returned", "terminal.return", actor, reason)
        return Acted(payment.id, "returned")


async def keep(world: World, payment_id: str, actor: str, reason: str) -> Acted:
    """Nobody is found for it and it is not given back: what the vendor took stands in the books as
    theirs who paid, and nobody looks at it any more. Not one that is only held: that lapses by
    itself."""
    _check(reason)
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.transaction("act", now=now) as tx:
        await _take_turns(tx, world, payment_id)
        payment = await _payment(tx, payment_id)
        if payment.state == "kept":
            return Acted(payment.id, payment.state, new=False)
        if payment.state != "suspense" or payment.payment_id is not None:
            raise Conflict(f"terminal payment {payment.id} is {payment.state} ({payment.mode}):"
                           " only a vendor's in suspense can be kept")  # fmt: skip
        await unapplied.book(tx, snapshot, payment)
        await _decide(tx, payment, "kept", "terminal.keep", actor, reason)
        return Acted(payment.id, "kept")


async def unpaid(
    world: World, session_id: str, what: Literal["debt", "waive"], actor: str, reason: str
) -> Acted:
    """Nobody has paid this session and nobody will, or who had paid it has the money back: its
    price is a debt, or waived."""
    _check(reason)
    if what not in ("debt", "waive"):
        raise BadInput("$.what", what, "debt or waive")
    async with world.work.transaction("act") as tx:
        row = await sessions.get(tx.conn, session_id, lock=True)
        if row is None:
            raise NotFound(f"there is no session {session_id}")
        billed = row.state in _BILLED
        if billed:
            await _reopen(tx, row, what, f"{actor}: {reason.strip()}")
        elif row.state != "held" or row.held_reason != MISSING:
            raise Conflict(f"session {row.id} is {row.state}: it waits for no payment")
        else:
            await store.decide(tx.conn, session_id, what, actor, tx.now)
        await money_acts.record(
            tx, actor=actor, act="terminal.unpaid", subject=session_id, reason=reason.strip(),
            detail={"what": what},
        )  # fmt: skip
        if not billed:
            await take_up(tx, session_id, f"{actor}: {reason.strip()}")
        return Acted(session_id, row.state if billed else "ended", session_id)


async def _reopen(
    tx: Transaction, row: SessionRow, what: Literal["debt", "waive"], why: str
) -> None:
    """Of a session that is billed: what its vendor pays no more is owed, or waived. Raises Conflict
    where its payment was neither reversed nor refused."""
    await take_turns(tx, row.site_id)
    payment = await store.of_session(tx.conn, row.id)
    if payment is None or not await store.is_gone(tx.conn, payment):
        raise Conflict(f"session {row.id} is {row.state}, and its payment did not go back")
    paid = await unpaid_store.by_vendor(tx.conn, row.id)
    if not paid:
        raise Conflict(f"session {row.id}: nothing of it stands as paid at a terminal any more")
    contract = msgspec.structs.replace(row.contract, shortfall=what)
    for part in paid:
        rest = plan.owed(part.amount_minor, contract, "reversed")
        await reopen(tx, row, part, part.amount_minor, rest, payment.id)
    for code in _TAKEN_BACK:
        await anomalies.settle(tx.conn, code, row.id, why, tx.now)
    await tx.conn.execute("SELECT pg_notify('wattledger_live', '')")


async def _take_turns(tx: Transaction, world: World, payment_id: str) -> None:
    """Before the payment: a bill of its site that may be about to take it is done by then."""
    seen = await store.look(tx.conn, payment_id)
    terminal = terminal_of(world, seen, tx.now) if seen is not None else None
    if terminal is not None:
        await take_turns(tx, terminal.site)


async def _payment(tx: Transaction, payment_id: str) -> TerminalPayment:
    found = await store.get(tx.conn, payment_id)
    if found is None:
        raise NotFound(f"there is no terminal payment {payment_id}")
    return found


async def _decide(
    tx: Transaction, payment: TerminalPayment, state: str, act: str, actor: str, reason: str
) -> None:
    if payment.state == "open" and state == "kept":
        raise Conflict(f"terminal payment {payment.id} is open")
    await store.change(tx.conn, payment.id, state=state)
    await anomalies.settle(tx.conn, SUSPENSE, payment.id, f"{actor}: {reason.strip()}", tx.now)
    await _record(tx, act, payment, actor, reason)


async def _record(
    tx: Transaction, act: str, payment: TerminalPayment, actor: str, reason: str,
    session_id: str | None = None,
) -> None:  # fmt: skip
    amount = payment.authorized_minor if payment.settled_minor is None else payment.settled_minor
    await money_acts.record(
        tx, actor=actor, act=act, subject=payment.id, reason=reason.strip(),
        detail={"session_id": session_id, "reference": payment.reference,
                "amount_minor": amount, "currency": payment.currency},
    )  # fmt: skip


def _check(reason: str) -> None:
    if not 1 <= len(reason.strip()) <= _REASON_MAX or "\0" in reason:
        raise BadInput("$.reason", reason, f"why, in 1 to {_REASON_MAX} characters")
