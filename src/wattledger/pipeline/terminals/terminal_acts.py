"""Step act: what a person decides about payments at terminals, recorded for ever.

*match*: it is for this session. *give_back*: the driver gets it back. *keep*: it stays where it is,
in suspense, and is looked at no more. *unpaid*: a session that waits for its payment waits no more.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from wattledger.db.work import Transaction
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.ingest import anomalies
from wattledger.payments.terminal import store
from wattledger.payments.terminal.store import TerminalPayment
from wattledger.pipeline.collecting import sending
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.terminals.terminal_match import MISSING, SUSPENSE, link, ours, take_up
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

_OPEN = ("open", "suspense")
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
    async with world.work.transaction("act", now=now) as tx:
        row = await sessions.get(tx.conn, session_id, lock=True)
        payment = await _payment(tx, payment_id)
        if payment.state == "matched" and payment.session_id == session_id:
            return Acted(payment.id, payment.state, session_id, new=False)
        await _check_pair(tx, payment, row, session_id)
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
    async with world.work.transaction("act") as tx:
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
        await _decide(tx, payment, "returned", "terminal.return", actor, reason)
        return Acted(payment.id, "returned")


async def keep(world: World, payment_id: str, actor: str, reason: str) -> Acted:
    """Nobody is found for it and it is not given back: it stays in suspense for good. Not one that
    is only held: that lapses by itself."""
    _check(reason)
    async with world.work.transaction("act") as tx:
        payment = await _payment(tx, payment_id)
        if payment.state == "kept":
            return Acted(payment.id, payment.state, new=False)
        if payment.state != "suspense" or payment.payment_id is not None:
            raise Conflict(f"terminal payment {payment.id} is {payment.state} ({payment.mode}):"
                           " only a vendor's in suspense can be kept")  # fmt: skip
        await _decide(tx, payment, "kept", "terminal.keep", actor, reason)
        return Acted(payment.id, "kept")


async def unpaid(
    world: World, session_id: str, what: Literal["debt", "waive"], actor: str, reason: str
) -> Acted:
    """Nobody has paid this session and nobody will: its price is a debt, or waived."""
    _check(reason)
    if what not in ("debt", "waive"):
        raise BadInput("$.what", what, "debt or waive")
    async with world.work.transaction("act") as tx:
        row = await sessions.get(tx.conn, session_id, lock=True)
        if row is None:
            raise NotFound(f"there is no session {session_id}")
        if row.state != "held" or row.held_reason != MISSING:
            raise Conflict(f"session {row.id} is {row.state}: it waits for no payment")
        await store.decide(tx.conn, session_id, what, actor, tx.now)
        await money_acts.record(
            tx, actor=actor, act="terminal.unpaid", subject=session_id, reason=reason.strip(),
            detail={"what": what},
        )  # fmt: skip
        await take_up(tx, session_id, f"{actor}: {reason.strip()}")
        return Acted(session_id, "ended", session_id)


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
