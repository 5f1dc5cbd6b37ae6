"""Starts that are paid for first, from their hold to their session.

A start that fails keeps its hold for another try of its driver, ``retry_window_s`` long; then it is
given back. Whatever began although we gave up is paid by the hold while it lives, and is priced and
owed as any other session where it does not. How they are asked for is ``ask_start``'s.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from wattledger.db import effects
from wattledger.db.effects import Conn
from wattledger.db.work import Transaction
from wattledger.errors import Conflict, NotFound
from wattledger.payments import blocks, starts_store
from wattledger.payments import store as payments
from wattledger.payments.starts_store import StartRequest
from wattledger.payments.store import Payment
from wattledger.pipeline import timed
from wattledger.pipeline.collecting import collect
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.pipeline.stations import commands
from wattledger.pipeline.world import World

EXPIRE, RELEASE, LEFT = "start.expire", "hold.release", "start.left"
"""What is put off (``timed``)."""
KEPT = timedelta(seconds=90)
"""A page that is not heard of for so long is taken to be closed. One in the background may be
silent: its driver confirms in the bank's app."""
_COMES_BACK = timedelta(seconds=15)
"""A page that is loaded again says first that it is left."""
# A hold in one of these states is being made, or stands: a session may be paid by it.
_ATTACHED = ("holding", "held")

of_token = starts_store.of_token


async def tell(tx: Transaction, start: StartRequest) -> StartRequest:
    """The remote start, by the start's own token."""
    key = start.command_key or f"{start.id}:remote_start:1"
    expires_at = tx.now + timedelta(seconds=start.wait_s)
    wanted: dict[str, Any] = {"token": start.token, "connector_id": start.connector_id}
    if start.token_type is not None:
        wanted["token_type"] = start.token_type
    await commands.command(
        tx, start.charge_point_id, "remote_start",
        {**wanted, "after": await last_number(tx.conn, start.charge_point_id)},
        subject=start.id, key=key, life=timedelta(seconds=start.wait_s),
    )  # fmt: skip
    await starts_store.starting(tx.conn, start.id, key, expires_at)
    await timed.put_off(tx, EXPIRE, start.id, expires_at)
    return msgspec.structs.replace(start, state="starting", command_key=key, expires_at=expires_at)


async def last_number(conn: Conn, charge_point_id: str) -> int:
    """What is started later has a higher one, whatever the charge point's clock says."""
    cursor = await conn.execute(
        "SELECT COALESCE(max(transaction_id), 0) AS n FROM session WHERE charge_point_id = %s",
        (charge_point_id,),
    )
    row = await cursor.fetchone()
    return int(row["n"]) if row else 0


async def hold_settled(settled: Settled, payment: Payment) -> None:
    """A payment without a session has its answer, and is ``held``, ``declined`` or gone: its start
    goes on, or is over."""
    tx = settled.tx
    start = await starts_store.of_payment(tx.conn, payment.id)
    if start is None or payment.session_id is not None:
        return
    if payment.state != "held":
        if start.state == "paying":
            await starts_store.move(
                tx.conn, start.id, "declined", why=payment.decline_code or payment.gone_why
            )
        return
    await starts_store.guest(tx.conn, start.id, payment.driver)
    if start.state != "paying":
        await give_back(tx, payment)  # cancelled or over meanwhile
        return
    why = await _against(tx, start, payment)
    if why is not None:
        await starts_store.move(tx.conn, start.id, "declined", why=why)
        await give_back(tx, payment)
        return
    # A guest is known by the card only now: of several tries one hold is left. Not one that
    # another try of theirs is just taking over.
    if payment.driver is not None:
        await starts_store.take_turns(tx.conn, payment.driver)
    for other in await starts_store.other_holds(tx.conn, payment):
        await give_back(tx, other)
    await tell(tx, start)


async def _against(tx: Transaction, start: StartRequest, payment: Payment) -> str | None:
    """Why nothing starts although the card holds: it holds too little, or its guest, who is known
    by it only now, may not charge."""
    if payment.held_minor < min(start.least_hold_minor, payment.hold_minor):
        return "held_too_little"
    if payment.account_id is not None or payment.driver is None:
        return None
    return await blocks.why(tx.conn, None, None, payment.driver)


async def give_back(tx: Transaction, payment: Payment) -> None:
    """What is held, or waits for a card, for nothing. What the processor does not know yet is given
    back when it does."""
    if payment.session_id is None and payment.state in ("held", "waiting") and payment.intent_id:
        await collect.release(tx, payment)


async def told(settled: Settled) -> None:
    """The charge point has accepted: a session is awaited from now on."""
    tx = settled.tx
    start = await starts_store.get(tx.conn, settled.effect.subject, lock=True)
    if start is None or start.state != "starting":
        return
    expires_at = tx.now + timedelta(seconds=start.wait_s)
    await starts_store.awaited(tx.conn, start.id, expires_at)
    await timed.put_off(tx, EXPIRE, start.id, expires_at)


async def not_told(settled: Settled) -> None:
    """The charge point refused, or could not be told. Of one that nobody paid for first, whoever
    asked for it asks what became of it."""
    start = await starts_store.get(settled.tx.conn, settled.effect.subject, lock=True)
    if start is not None and start.state == "starting":
        code = settled.response.get("code") or settled.response.get("status")
        await _failed(settled.tx, start, "failed", str(code))


async def expire(settled: Settled) -> None:
    """Its time is over, unless it got more."""
    tx = settled.tx
    start = await starts_store.get(tx.conn, settled.effect.subject, lock=True)
    if start is None or not start.live or tx.now < start.expires_at:
        return
    await _failed(tx, start, "expired", "no_card" if start.state == "paying" else "no_session")


async def seen(world: World, start: StartRequest) -> None:
    """Its page is still open, and says so every few seconds; now and then it is written down."""
    if start.state != "paying" or start.kept_until is None:
        return
    now = world.now
    if start.kept_until < now + KEPT * 2 // 3:
        async with world.work.transaction("ask", now=now) as tx:
            await starts_store.keep(tx.conn, start.id, now + KEPT)


async def page_left(world: World, start: StartRequest) -> None:
    """Its page is closed: from now on the next driver may have the connector. Without one it is
    given up in a moment, unless the page comes back."""
    if start.state != "paying" or start.kept_until is None:
        return
    async with world.work.transaction("ask") as tx:
        await starts_store.keep(tx.conn, start.id, tx.now)
        await timed.put_off(tx, LEFT, start.id, tx.now + _COMES_BACK)


async def left(settled: Settled) -> None:
    """It is given up, unless its page was opened again."""
    await leave(settled.tx, settled.effect.subject)


async def leave(tx: Transaction, start_id: str) -> None:
    """Given up at once where its page is closed and no card is held: what it asked the processor
    for is cancelled there, also where the card was confirmed in this same moment."""
    start = await starts_store.get(tx.conn, start_id, lock=True)
    if start is not None and start.left_by(tx.now):
        await _failed(tx, start, "expired", "left")


async def _failed(tx: Transaction, start: StartRequest, state: str, why: str) -> None:
    """The hold is kept for another try, a little while; a card that never came is not waited for
    any longer."""
    await starts_store.move(tx.conn, start.id, state, why=why)
    if start.payment_id is None:
        return
    payment = await payments.get(tx.conn, start.payment_id)
    if payment.state == "held" and start.keep_s:
        at = tx.now + timedelta(seconds=start.keep_s)
        await starts_store.awaited(tx.conn, start.id, at)
        await timed.put_off(tx, RELEASE, payment.id, at)
    else:
        await give_back(tx, payment)


async def release(settled: Settled) -> None:
    """Nobody came back: the hold is given back, unless it pays for something now, or was kept for
    another try again."""
    tx = settled.tx
    payment = await payments.get(tx.conn, settled.effect.subject)
    start = await starts_store.of_payment(tx.conn, payment.id)
    if start is None or not (start.live or tx.now < start.expires_at):
        await give_back(tx, payment)


async def cancel(world: World, start_id: str, *, actor: str) -> StartRequest:
    """Its driver does not want it any more. What the charge point was told already may begin all
    the same, and is then paid by the hold while it lives.

    Raises NotFound, and Conflict where a session runs.
    """
    async with world.work.transaction("ask") as tx:
        start = await starts_store.get(tx.conn, start_id, lock=True)
        if start is None:
            raise NotFound(f"no start {start_id}")
        if start.state == "started":
            raise Conflict(f"start {start_id} has begun session {start.session_id}: stop that")
        if start.live:
            untold = start.state == "paying" or await effects.supersede(
                tx.conn, kind="ocpp.remote_start", subject=start.id, message_id=None, but="",
                now=tx.now,
            )  # fmt: skip
            if untold:
                start = msgspec.structs.replace(start, keep_s=0)
            await _failed(tx, start, "failed", "cancelled")
            await money_acts.record(tx, actor=actor, act="start.cancel", subject=start.id)
        found = await starts_store.get(tx.conn, start_id)
        assert found is not None, "it was there"
        return found


class Beginning(msgspec.Struct, frozen=True):
    """The start whose token a session begins with, and the hold that pays for it, if one lives."""

    start: StartRequest
    payment: Payment | None


async def beginning(tx: Transaction, token: str, charge_point_id: str) -> Beginning | None:
    """None where the token is no start's, or is none that may be used (again) there."""
    start = await starts_store.of_token(tx.conn, token, lock=True)
    if start is None or start.charge_point_id != charge_point_id:
        return None
    if start.state in ("started", "declined"):
        return None
    payment = await payments.get(tx.conn, start.payment_id) if start.payment_id else None
    if payment is not None:
        last = await starts_store.of_payment(tx.conn, payment.id)
        mine = last is None or last.id == start.id or not last.live
        if payment.state not in _ATTACHED or payment.session_id is not None or not mine:
            payment = None
    return Beginning(start, payment)


async def began(tx: Transaction, found: Beginning, session_id: str) -> None:
    """The session has begun: it is paid by the hold, and by no second one."""
    await starts_store.move(tx.conn, found.start.id, "started", session_id=session_id)
    if found.payment is not None:
        await starts_store.attach(tx.conn, found.payment.id, session_id)


async def turned_down(tx: Transaction, found: Beginning, why: str) -> None:
    """The session is refused all the same: the terms changed meanwhile."""
    if found.start.live:
        await _failed(tx, found.start, "failed", why)


HANDLERS = {"ocpp.remote_start": Handler("commanded", told, not_told)}
WHATS = {EXPIRE: expire, RELEASE: release, LEFT: left}
