"""Steps presented and withdrawn: Stripe's readers, driven by us: a start shown at a terminal.

What a reader says is never what counts: the intent is fetched, and its state does (payments at
terminals are ``holds``' as others are). A reader does one thing at a time: one that is busy or away
is asked again while the start lives. A call that was not answered is looked up, not repeated; a
card that was declined may be followed by another one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.entitlements.terminals import STRIPE, Terminal
from wattledger.errors import Conflict
from wattledger.payments import starts_store
from wattledger.payments import store as payments
from wattledger.payments.starts_store import StartRequest
from wattledger.payments.store import Payment
from wattledger.pipeline import timed
from wattledger.pipeline.collecting import sending
from wattledger.pipeline.collecting.hints import plan_fetch
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.pipeline.starting import holds
from wattledger.pipeline.timed import What
from wattledger.pipeline.world import World

POLL = "terminal.poll"
POLL_EVERY = timedelta(seconds=15)
"""How often a reader is asked while it waits for a card: its webhook may be lost."""
CARDS_MAX = 3
"""So many cards may be tried at an unattended reader for one start."""
# The reader can't now; another time it can. "rate_limit" and "lock_timeout" are the gate's to wait.
_LATER = frozenset({"terminal_reader_offline", "terminal_reader_busy", "terminal_reader_timeout"})
_WAITS_S = (2, 4, 8, 15, 30)
# The driver has gone, or said no: nobody is asked for another card.
_GONE = frozenset({"customer_canceled", "canceled", "timeout", "connection_error"})


async def present(
    tx: Transaction, start: StartRequest, payment: Payment, *, wait_s: int = 0
) -> None:
    """Show the intent of a start at its reader, or show it again."""
    assert start.reader_id is not None, "asked for at a terminal"
    number = await _count(tx, payment.id, "stripe.reader") + 1
    await effects.add(
        tx.conn, kind="stripe.reader", subject=payment.id, lane=f"reader:{start.reader_id}",
        key=f"{payment.entity_id}:{payment.id}:reader{number}:1",
        request={"processor_id": payment.processor_id, "reader_id": start.reader_id,
                 "intent_id": payment.intent_id},
        due_at=tx.now + timedelta(seconds=wait_s), caused_at=tx.now,
    )  # fmt: skip


async def present_again(tx: Transaction, start_id: str) -> StartRequest:
    """Another card, as whoever stands at the terminal asks for it. Raises Conflict where nobody
    waits for one."""
    start = await starts_store.get(tx.conn, start_id, lock=True)
    payment = None
    if start is not None and start.payment_id is not None:
        payment = await payments.get(tx.conn, start.payment_id)
    waits = start is not None and start.state == "paying" and start.expires_at > tx.now
    if start is None or payment is None or not waits or payment.state != "waiting":
        raise Conflict(f"start {start_id} waits for no card")
    if start.reader_id is None or await _is_at_reader(tx, payment):
        raise Conflict(f"start {start_id} is at its reader already")
    await present(tx, start, payment)
    return start


async def show_again(world: World, start_id: str, actor: str) -> StartRequest:
    """Step ask: whoever stands at the terminal asks for another card. Raises Conflict."""
    async with world.work.transaction("ask") as tx:
        start = await present_again(tx, start_id)
        await money_acts.record(tx, actor=actor, act="start.present", subject=start_id)
        return start


async def withdraw(tx: Transaction, payment: Payment) -> None:
    """Nobody waits for the card any more: the reader is looked at, and freed if it still shows
    this payment."""
    if payment.reader_id is not None:
        cause = f"withdraw:{payment.id}"
        await plan_fetch(tx, payment.processor_id, "reader", payment.reader_id, cause)


async def intent_made(settled: Settled) -> None:
    """The intent is there: at a terminal its reader shows it now."""
    found = await holds.intent_made(settled)
    if found is None:
        return
    start, payment = found
    if start.route == "terminal" and start.reader_id is not None:
        await present(settled.tx, start, payment)


async def presented(settled: Settled) -> None:
    """The reader waits for a card, or has had one already."""
    tx, effect = settled.tx, settled.effect
    payment = await payments.get(tx.conn, effect.subject)
    status = settled.response.get("action_status")
    start = await starts_store.of_payment(tx.conn, payment.id)
    if status == "failed" and start is not None and payment.state == "waiting":
        code = str(settled.response.get("failure_code") or "declined")
        await _failed(settled, start, payment, code)
        return
    if status != "in_progress":
        await _fetch_intent(tx, payment, effect.key)
        return
    await _poll(tx, payment.id, str(effect.request["reader_id"]))


async def not_presented(settled: Settled) -> None:
    """The reader is away or busy: again while the start lives. Anything else is looked up: the
    intent may have its card."""
    tx, effect = settled.tx, settled.effect
    code = str(settled.response.get("code", "reader_refused"))
    payment = await payments.get(tx.conn, effect.subject)
    start = await starts_store.of_payment(tx.conn, payment.id)
    if payment.state != "waiting" or start is None:
        return
    if code not in _LATER:
        await _fetch_intent(tx, payment, effect.key)
        await _decline(settled, start, payment, code)
        return
    tries = await _count(tx, payment.id, "stripe.reader")
    wait_s = _WAITS_S[min(tries, len(_WAITS_S)) - 1]
    if start.state != "paying" or tx.now + timedelta(seconds=wait_s) >= start.expires_at:
        await _decline(settled, start, payment, code)
    else:
        await present(tx, start, payment, wait_s=wait_s)


async def reader_seen(settled: Settled, found: dict[str, Any] | None) -> None:
    """A reader as it stands at the processor (normalised): what it says of a payment of ours."""
    action = (found or {}).get("action")
    if found is None or not action or not action.get("intent_id"):
        return
    tx = settled.tx
    payment = await _of_intent(tx, str(action["intent_id"]))
    if payment is None or payment.state not in ("waiting", "releasing", "released", "declined"):
        return
    start = await starts_store.of_payment(tx.conn, payment.id)
    live = start is not None and start.state == "paying" and start.expires_at > tx.now
    if action["status"] == "succeeded":
        await _fetch_intent(tx, payment, f"reader:{found['id']}:{settled.effect.key}")
    elif action["status"] == "in_progress":
        if live and payment.state == "waiting":
            await _poll(tx, payment.id, str(found["id"]))
        else:
            await _cancel(tx, payment, str(found["id"]))
    elif action["status"] == "failed" and start is not None and payment.state == "waiting":
        await _failed(settled, start, payment, str(action.get("failure_code") or "declined"))


async def _failed(settled: Settled, start: StartRequest, payment: Payment, code: str) -> None:
    """The card said no, or its holder: the same intent may be shown again. Where somebody stands
    beside the reader it is they who do so."""
    tx = settled.tx
    if await _is_at_reader(tx, payment):
        return  # an older failure: it is being shown again
    await _fetch_intent(tx, payment, f"failed:{settled.effect.key}")
    await tx.conn.execute("UPDATE payment SET decline_code = %s WHERE id = %s", (code, payment.id))
    if start.state != "paying" or start.expires_at <= tx.now:
        return
    if code in _GONE:
        await _decline(settled, start, payment, code)
    elif not _attended(settled.snapshot, start):
        if await _cards(tx, payment.id) >= CARDS_MAX:
            await _decline(settled, start, payment, code)
        else:
            await present(tx, start, payment)


async def _decline(settled: Settled, start: StartRequest, payment: Payment, code: str) -> None:
    """No card any more: the start is over, and the intent cancelled: nothing is held later."""
    if start.state == "paying":
        await starts_store.move(settled.tx.conn, start.id, "declined", why=code)
    if payment.state == "waiting" and payment.intent_id is not None:
        await sending.release(settled.tx, payment)


def _attended(snapshot: Snapshot, start: StartRequest) -> bool:
    return any(
        terminal.attended
        for terminal in snapshot.all("terminal", Terminal)
        if (terminal.provider, terminal.reader) == (STRIPE, start.reader_id)
    )


async def _polled(settled: Settled) -> None:
    """Its webhook may be lost: the reader is asked. One that shows a payment which nobody waits
    for any more is freed."""
    tx = settled.tx
    payment = await payments.get(tx.conn, settled.effect.subject)
    if payment.state in ("waiting", "releasing", "released", "declined"):
        reader_id = str(settled.effect.request["reader_id"])
        await plan_fetch(tx, payment.processor_id, "reader", reader_id, settled.effect.key)


async def _poll(tx: Transaction, payment_id: str, reader_id: str) -> None:
    await timed.put_off(tx, POLL, payment_id, tx.now + POLL_EVERY, {"reader_id": reader_id})


async def _cancel(tx: Transaction, payment: Payment, reader_id: str) -> None:
    """Once for each time that it was shown."""
    number = await _count(tx, payment.id, "stripe.reader")
    await effects.add(
        tx.conn, kind="stripe.reader_cancel", subject=payment.id, lane=f"reader:{reader_id}",
        key=f"{payment.entity_id}:{payment.id}:reader_cancel{max(number, 1)}:1",
        request={"processor_id": payment.processor_id, "reader_id": reader_id},
        due_at=tx.now, caused_at=tx.now,
    )  # fmt: skip


async def withdrawn(settled: Settled) -> None:
    """The reader is free. A card may have come in the same moment: the intent says."""
    payment = await payments.get(settled.tx.conn, settled.effect.subject)
    await _fetch_intent(settled.tx, payment, settled.effect.key)


async def _fetch_intent(tx: Transaction, payment: Payment, cause: str) -> None:
    if payment.intent_id is not None:
        await plan_fetch(tx, payment.processor_id, "payment_intent", payment.intent_id, cause)


async def _of_intent(tx: Transaction, intent_id: str) -> Payment | None:
    cursor = await tx.conn.execute("SELECT id FROM payment WHERE intent_id = %s", (intent_id,))
    row = await cursor.fetchone()
    return await payments.get(tx.conn, row["id"]) if row else None


async def _count(tx: Transaction, payment_id: str, kind: str) -> int:
    """How often a payment was to be shown."""
    cursor = await tx.conn.execute(
        "SELECT count(*) AS n FROM effect WHERE subject = %s AND kind = %s", (payment_id, kind)
    )
    row = await cursor.fetchone()
    return int(row["n"]) if row else 0


async def _cards(tx: Transaction, payment_id: str) -> int:
    """How often a reader waited for a card."""
    cursor = await tx.conn.execute(
        "SELECT count(*) AS n FROM effect WHERE subject = %s AND kind = 'stripe.reader'"
        " AND state = 'done'",
        (payment_id,),
    )
    row = await cursor.fetchone()
    return int(row["n"]) if row else 0


async def _is_at_reader(tx: Transaction, payment: Payment) -> bool:
    """Whether a call that shows it is still to be answered."""
    cursor = await tx.conn.execute(
        "SELECT FROM effect WHERE subject = %s AND kind = 'stripe.reader'"
        " AND settled_at IS NULL LIMIT 1",
        (payment.id,),
    )
    return await cursor.fetchone() is not None


HANDLERS = {
    "stripe.intent": Handler("held", intent_made, holds.intent_refused),
    "stripe.reader": Handler("presented", presented, not_presented),
    "stripe.reader_cancel": Handler("withdrawn", withdrawn, withdrawn),
}
WHATS: dict[str, What] = {POLL: _polled}
