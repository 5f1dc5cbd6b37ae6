"""Step refunded: what goes back to drivers at the processor, by payment.

The documents of a session say what is due back; this sends it, waits where a dispute has the money,
and says what became of it. What could not be given back stays owed, by name, until somebody gives
it otherwise or it is tried again.
"""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.errors import Conflict, NotFound
from wattledger.ids import derive
from wattledger.ingest import anomalies
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.money import format_minor
from wattledger.payments import returns_store as store
from wattledger.payments import store as payments
from wattledger.payments.returns_store import PaymentRefund
from wattledger.payments.store import Payment
from wattledger.payments.stripe.amounts import step_minor
from wattledger.pipeline import tell
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.pipeline.world import World
from wattledger.sessions.store import SessionRow

STEP = "refunded"
# By a dispute that ended so the driver has the money, or may have it.
TO_DRIVER = frozenset({"lost", "prevented"})
# What the processor refused for a dispute that we had not heard of.
_DISPUTED = "charge_disputed"
# What was refused because a dispute was prevented, and no line of it had withdrawn anything yet.
_PREVENTED = "dispute_prevented"
_ENDED = {"succeeded": "done", "failed": "failed", "canceled": "failed"}


async def send_due(tx: Transaction, row: SessionRow, refund_id: str | None = None) -> list[str]:
    """Give back what the documents of a session make due and that was not tried yet; the ids of
    what goes. ``refund_id``: the refund that it is of, else late data are the cause."""
    found = []
    for part in await store.due_back(tx.conn, row.id, tried=True):
        assert part.payment_id is not None, "what is due back is of a payment (the database)"
        payment = await payments.get(tx.conn, part.payment_id)
        amount = part.amount_minor - part.amount_minor % step_minor(payment.currency)
        if amount:
            cause = "refund" if refund_id else "adjustment"
            found.append(
                await give_back(
                    tx, payment, amount, cause=cause, refund_id=refund_id, session_id=row.id
                )
            )
    return found


async def give_back(
    tx: Transaction,
    payment: Payment,
    amount_minor: int,
    *,
    cause: str,
    refund_id: str | None = None,
    session_id: str | None = None,
) -> str:
    """Give an amount of a payment back: at once, or when its dispute is decided. What a lost
    dispute has given to the driver already is not given twice. ``cause``: adjustment or
    refund, of ``session_id``; suspense (what a payment took and no bill asked for) or topup."""
    lost = await store.lost_minor(tx.conn, payment.id) if cause != "topup" else 0
    lost -= lost % step_minor(payment.currency)
    if 0 < lost < amount_minor:  # a part of it only: the rest is given back as ever
        await give_back(tx, payment, lost, cause=cause, refund_id=refund_id, session_id=session_id)
        amount_minor, lost = amount_minor - lost, 0
    before = await store.of_payment(tx.conn, payment.id)
    disputed = lost >= amount_minor > 0 or await store.open_dispute(tx.conn, payment.id)
    row = PaymentRefund(
        id=derive("prf", payment.id, len(before) + 1), payment_id=payment.id, refund_id=refund_id,
        entity_id=payment.entity_id, currency=payment.currency, amount_minor=amount_minor,
        cause=cause, state="waiting" if disputed else "sending",
        why="dispute_open" if disputed else None, created_at=tx.now, session_id=session_id,
    )  # fmt: skip
    await store.add_payment_refund(tx.conn, row)
    if lost >= amount_minor > 0:
        await _lost(tx, payment, row)
    elif not disputed:
        await _send(tx, payment, row)
    return row.id


async def _send(tx: Transaction, payment: Payment, row: PaymentRefund) -> None:
    attempt = await store.times_sent(tx.conn, row.id) + 1
    metadata = {"payment_refund_id": row.id, "payment_id": payment.id}
    session_id = row.session_id or payment.session_id
    if session_id is not None:
        metadata["session_id"] = session_id
    await effects.add(
        tx.conn, kind="stripe.refund", subject=row.id, lane=payment.id,
        key=f"{payment.entity_id}:{payment.id}:refund:{row.id}:{attempt}",
        request={
            "processor_id": payment.processor_id,
            "external_charge_id": payment.external_charge_id, "intent_id": payment.intent_id,
            "amount_minor": row.amount_minor, "currency": row.currency,
            "reason": "requested_by_customer", "metadata": metadata,
        },
        due_at=tx.now, caused_at=tx.now, attempt=attempt,
    )  # fmt: skip


async def dispute_over(tx: Transaction, payment_id: str, status: str) -> None:
    """What waited for a dispute, or was refused for one that we had not heard of, goes back now, or
    has gone back by it. One that was prevented gave the money to the driver before anybody disputed
    it, or kept it: where no line of the processor says which, a person has to look."""
    if await store.open_dispute(tx.conn, payment_id) is not None:
        return  # another one
    payment = await payments.get(tx.conn, payment_id)
    for row in await store.of_payment(tx.conn, payment_id):
        if (row.state, row.why) == ("refused", _DISPUTED):
            await _refused_before(tx, payment, row, status)
            continue
        if row.state != "waiting" and (row.state, row.why) != ("sending", "dispute_open"):
            continue
        if status not in TO_DRIVER:
            await store.set_payment_refund(tx.conn, row.id, state="sending", why=None)
            await _send(tx, payment, row)
            continue
        why = "dispute_lost_in_part" if status == "lost" else f"dispute_{status}"
        await store.set_payment_refund(tx.conn, row.id, state="refused", why=why, settled_at=tx.now)
        if await store.lost_minor(tx.conn, payment_id) >= row.amount_minor:
            await _lost(tx, payment, row)
        else:
            await _show(tx, row, "refund.refused", {"why": why})


async def line_came(tx: Transaction, payment_id: str, status: str) -> None:
    """A line of a dispute that gave the money to the driver was booked, perhaps long after that was
    known: what was refused for the dispute has gone back by it, where the line is of as much."""
    payment = await payments.get(tx.conn, payment_id)
    for row in await store.of_payment(tx.conn, payment_id):
        if row.state == "refused" and row.why in (_DISPUTED, _PREVENTED):
            await _refused_before(tx, payment, row, status)


async def _refused_before(
    tx: Transaction, payment: Payment, row: PaymentRefund, status: str
) -> None:
    """Refused before we heard of the dispute, and shown. Unless somebody saw to it meanwhile, or
    it is not owed any more, it is sent now, or has gone back by the dispute."""
    if await store.tried_again(tx.conn, row.id) or await _left(tx, payment, row) < row.amount_minor:
        return
    if status not in TO_DRIVER:
        await store.set_payment_refund(tx.conn, row.id, state="sending", why=None, settled_at=None)
        await _send(tx, payment, row)
    elif await store.lost_minor(tx.conn, payment.id) >= row.amount_minor:
        await _lost(tx, payment, row)
    else:
        return
    await anomalies.settle(
        tx.conn, "refund.refused", payment.id, f"the dispute is {status}", tx.now,
        payment_refund_id=row.id,
    )  # fmt: skip


async def _left(tx: Transaction, payment: Payment, row: PaymentRefund) -> int:
    """How much is owed still of what did not reach its driver: of the session, or the payment."""
    if row.cause == "suspense":
        return await store.excess_minor(tx.conn, payment.id)
    if row.session_id is not None:
        due = await store.due_back(tx.conn, row.session_id)
        return sum(part.amount_minor for part in due if part.payment_id == payment.id)
    return payment.captured_minor - sum(
        each.amount_minor for each in await store.of_payment(tx.conn, payment.id)
        if each.state in store.GIVEN
    )  # fmt: skip


async def _lost(tx: Transaction, payment: Payment, row: PaymentRefund) -> None:
    """The driver has the money by a dispute: what was lost is that much less."""
    await store.set_payment_refund(
        tx.conn, row.id, state="otherwise", why="dispute_lost", settled_at=tx.now
    )
    entry = entries.refund_otherwise(
        row.entity_id, row.id, await _day(tx, payment), row.currency, row.amount_minor,
        disputed=True, owed=row.session_id is not None,
    )  # fmt: skip
    await ledger.book(tx.conn, entry, tx.now)


# --- what became of it ---------------------------------------------------------------------------


async def refund_done(settled: Settled) -> None:
    """The processor took it: done, on its way, or failed already."""
    found = {**settled.response, "id": settled.response["refund_id"]}
    await _became(settled.tx, settled.snapshot, settled.effect.subject, found)


async def refund_refused(settled: Settled) -> None:
    """The processor gives nothing back: the driver is owed it. What a dispute came before waits for
    that, as what is asked for later does."""
    tx, response = settled.tx, settled.response
    row = await store.payment_refund(tx.conn, settled.effect.subject)
    if row is None or row.state != "sending":
        return
    why = str(response.get("code", "refused"))
    if await store.open_dispute(tx.conn, row.payment_id) is not None:
        await store.set_payment_refund(tx.conn, row.id, why="dispute_open")
        return
    await store.set_payment_refund(tx.conn, row.id, state="refused", why=why, settled_at=tx.now)
    await _show(tx, row, "refund.refused", dict(response))
    over = await store.over_since(tx.conn, row.payment_id, settled.effect.due_at)
    if why == _DISPUTED and over is not None:  # decided while the answer was on its way
        refused = msgspec.structs.replace(row, state="refused", why=why)
        payment = await payments.get(tx.conn, row.payment_id)
        await _refused_before(tx, payment, refused, over.status)


async def refund_seen(settled: Settled, found: dict[str, Any]) -> None:
    """A refund of the processor as it is now. One that is not ours is found by its item."""
    processor_id = settled.effect.request["processor_id"]
    ours = found.get("metadata", {}).get("payment_refund_id")
    for row in await store.by_external(settled.tx.conn, processor_id, found["id"], ours):
        await _became(settled.tx, settled.snapshot, row.id, found)


async def _became(tx: Transaction, snapshot: Snapshot, row_id: str, found: dict[str, Any]) -> None:
    """Only forward: done may still fail, and what failed stays so."""
    row = await store.payment_refund(tx.conn, row_id)
    if row is None or row.state not in ("sending", "sent", "done"):
        return
    if row.external_refund_id is None:
        await store.set_payment_refund(tx.conn, row.id, external_refund_id=found["id"])
    state = _ENDED.get(str(found["status"]), "sent")
    if state == row.state or (row.state == "done" and state == "sent"):
        return
    if state == "failed":
        await failed(tx, snapshot, row, str(found.get("failure_reason") or "unknown"))
        return
    settled_at = tx.now if state == "done" else None
    await store.set_payment_refund(tx.conn, row.id, state=state, settled_at=settled_at)


async def failed(tx: Transaction, snapshot: Snapshot, row: PaymentRefund, why: str) -> None:
    """The card's bank sent it back: the driver is owed it again."""
    await store.set_payment_refund(tx.conn, row.id, state="failed", why=why, settled_at=tx.now)
    await _show(tx, row, "refund.failed", {"why": why})
    await tell.money_back(tx, snapshot, "refund.failed", row, None, why)


async def _show(tx: Transaction, row: PaymentRefund, code: str, detail: dict[str, Any]) -> None:
    shown = {"payment_refund_id": row.id, "amount_minor": row.amount_minor,
             "currency": row.currency, **detail}  # fmt: skip
    await anomalies.record(
        tx.conn, at=tx.now, code=code, subject=row.payment_id, detail=shown, cause=row.id
    )


# --- what a person does about it -----------------------------------------------------------------


async def again(world: World, row_id: str, *, actor: str, reason: str) -> str:
    """Try anew what failed or was refused; the id of the new try. Raises NotFound, Conflict."""
    async with world.work.transaction("act") as tx:
        row, payment, left = await _still_owed(tx, row_id)
        new_id = await give_back(
            tx, payment, min(left, row.amount_minor), cause=row.cause, refund_id=row.refund_id,
            session_id=row.session_id,
        )  # fmt: skip
        await money_acts.record(
            tx, actor=actor, act="refund.again", subject=row_id, reason=reason,
            detail={"payment_refund_id": new_id},
        )  # fmt: skip
        return new_id


async def paid_otherwise(world: World, row_id: str, *, actor: str, reason: str) -> None:
    """The driver got what failed or was refused past the processor, by a transfer from the bank:
    Dr payable.driver / Cr suspense.refunds. Raises NotFound, Conflict."""
    async with world.work.transaction("act") as tx:
        row, payment, left = await _still_owed(tx, row_id)
        if left < row.amount_minor:
            owed = format_minor(left, row.currency)
            raise Conflict(f"of payment {payment.id} {owed} are owed still, and {row_id} is more")
        await store.set_payment_refund(
            tx.conn, row.id, state="otherwise", why="by_hand", settled_at=tx.now
        )
        entry = entries.refund_otherwise(
            row.entity_id, row.id, await _day(tx, payment), row.currency, row.amount_minor,
            disputed=False, owed=row.session_id is not None,
        )  # fmt: skip
        await ledger.book(tx.conn, entry, tx.now)
        await money_acts.record(
            tx, actor=actor, act="refund.paid_otherwise", subject=row_id, reason=reason,
            detail={"amount_minor": row.amount_minor, "currency": row.currency},
        )  # fmt: skip


async def _still_owed(tx: Transaction, row_id: str) -> tuple[PaymentRefund, Payment, int]:
    """One that did not reach its driver, and how much is owed still of its payment: later data, or
    another try, may have used it up."""
    row = await store.payment_refund(tx.conn, row_id)
    if row is None:
        raise NotFound(f"there is no refund {row_id} of a payment")
    if row.state not in ("failed", "refused"):
        raise Conflict(f"the refund {row_id} is {row.state}")
    payment = await payments.get(tx.conn, row.payment_id)
    left = await _left(tx, payment, row)
    if left <= 0:
        raise Conflict(f"nothing of payment {payment.id} is owed still: {row_id} is settled")
    if await store.tried_again(tx.conn, row_id):
        raise Conflict(f"{row_id} was tried again: what became of that counts")
    return row, payment, left


async def _day(tx: Transaction, payment: Payment) -> date:
    """The entity's day; the session's contract knows it, else UTC has to do."""
    cursor = await tx.conn.execute(
        "SELECT contract->>'entity_time_zone' AS zone FROM session WHERE id = %s",
        (payment.session_id,),
    )
    row = await cursor.fetchone()
    return tx.now.astimezone(ZoneInfo(row["zone"] if row and row["zone"] else "UTC")).date()


HANDLERS = {"stripe.refund": Handler(STEP, refund_done, refund_refused)}
