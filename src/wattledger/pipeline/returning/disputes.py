"""Disputes and early fraud warnings (steps fetched, evidenced, due): what the processor says, what
its lines move, what is said against it and by when.

An inquiry moves no money. What a dispute withdraws is a receivable until it is decided, by the
processor's own lines alone; lost, it is an expense. Only forward: an answer that is older than what
is known changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from wattledger.clock import utc_text
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.errors import Conflict, NotFound
from wattledger.ingest import anomalies
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.ledger.entries import Entry
from wattledger.payments import dispute_files
from wattledger.payments import returns_store as store
from wattledger.payments.model import Processor
from wattledger.payments.returns_store import Conn, Dispute
from wattledger.pipeline import tell
from wattledger.pipeline.collecting import hints
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.pipeline.returning import evidence as evidences
from wattledger.pipeline.returning import evidence_files, money_back, unblock
from wattledger.pipeline.timed import What, put_off
from wattledger.pipeline.world import World

DUE = "dispute.due"
CLOSED = frozenset({"won", "lost", "warning_closed", "charge_refunded", "prevented"})
# Of a status that ranks lower than what is known nothing is taken.
_RANK = {
    "warning_needs_response": 0,
    "warning_under_review": 1,
    "needs_response": 2,
    "under_review": 3,
}
_OVER = 4
# So long before the evidence is due somebody is told, where none was sent.
_BEFORE = (timedelta(days=3), timedelta(days=1))
# What asks a person to do something while it is open.
_ASKS = ("dispute.opened", "dispute.inquiry", "dispute.due")
WITHDRAWALS = ("dispute", "dispute_reversal")


async def dispute_seen(settled: Settled, found: dict[str, Any]) -> None:
    """A dispute as it is now."""
    tx, snapshot = settled.tx, settled.snapshot
    processor_id = settled.effect.request["processor_id"]
    known = await store.dispute(tx.conn, found["id"])
    if known is not None and not _goes_on(known, found["status"]):
        return
    row = await _written(tx, snapshot, processor_id, known, found)
    if row is None:
        return
    if known is None:
        await tell.disputed(tx, snapshot, "dispute.opened", row)
    elif known.status != row.status and row.closed_at is None:
        await tell.disputed(tx, snapshot, "dispute.updated", row, which=f":{row.status}")
    if known is None or (known.inquiry and not row.inquiry):
        await _show_open(tx, row)
        if not row.inquiry:
            await _seen_to(tx, row, ("dispute.inquiry",), "it became a dispute")
    if row.closed_at is None:
        await _clocks(tx, row)
    elif known is None or known.closed_at is None:
        await _over(tx, snapshot, row)
    await tell_items(tx, snapshot, row)
    tx.seen()


def _goes_on(known: Dispute, status: str) -> bool:
    """Whether a status may follow. The same one again may bring another amount, or a later date."""
    now, then = _RANK.get(status, _OVER), _RANK.get(known.status, _OVER)
    return now > then or (now == then and (now != _OVER or status == known.status))


async def _written(
    tx: Transaction,
    snapshot: Snapshot,
    processor_id: str,
    known: Dispute | None,
    found: dict[str, Any],
) -> Dispute | None:
    processor = snapshot.get("processor", processor_id, Processor)
    if processor is None:
        raise LookupError(f"no [[processor]] {processor_id!r} to keep its disputes for")
    payment = await store.payment_of(tx.conn, processor_id, found["charge_id"], found["intent_id"])
    closed = found["status"] in CLOSED
    due = found["evidence_due_at"]
    opened_at = datetime.fromisoformat(found["created_at"])
    row = Dispute(
        id=found["id"], processor_id=processor_id, entity_id=processor.entity,
        payment_id=(known and known.payment_id) or (payment["id"] if payment else None),
        session_id=(known and known.session_id) or (payment["session_id"] if payment else None),
        currency=found["currency"], amount_minor=found["amount_minor"], reason=found["reason"],
        status=found["status"],
        # What began as an inquiry and was closed as one never moved money.
        inquiry=found["status"].startswith("warning_"),
        opened_at=known.opened_at if known else opened_at, seen_at=tx.now,
        evidence_due_at=datetime.fromisoformat(due) if due else None,
        evidence=known.evidence if known else None,
        submitted_at=known.submitted_at if known else None,
        closed_at=(known and known.closed_at) or (tx.now if closed else None),
    )  # fmt: skip
    if known is None:
        await store.add_dispute(tx.conn, row)
    else:
        names = ("payment_id", "session_id", "amount_minor", "reason", "status", "inquiry",
                 "evidence_due_at", "closed_at", "seen_at")  # fmt: skip
        await store.set_dispute(tx.conn, row.id, **{name: getattr(row, name) for name in names})
    return row


async def _show_open(tx: Transaction, row: Dispute) -> None:
    await anomalies.record(
        tx.conn, at=tx.now, code="dispute.inquiry" if row.inquiry else "dispute.opened",
        subject=row.payment_id or row.id,
        detail={"dispute_id": row.id, "reason": row.reason, "amount_minor": row.amount_minor,
                "currency": row.currency, "session_id": row.session_id,
                "evidence_due_at": utc_text(row.evidence_due_at) if row.evidence_due_at else None},
        cause=row.id,
    )  # fmt: skip


async def _seen_to(tx: Transaction, row: Dispute, codes: tuple[str, ...], why: str) -> None:
    """Nothing of this is left to do. Its payment may have been learnt after it was shown."""
    for subject in filter(None, (row.id, row.payment_id)):
        for code in codes:
            await anomalies.settle(tx.conn, code, subject, why, tx.now, dispute_id=row.id)


async def _clocks(tx: Transaction, row: Dispute) -> None:
    if row.evidence_due_at is None or row.submitted_at is not None:
        return
    for before in _BEFORE:
        at = row.evidence_due_at - before
        await put_off(tx, DUE, row.id, max(at, tx.now))


async def due(settled: Settled) -> None:
    """Evidence is due soon: a person is told, where none was sent."""
    tx = settled.tx
    row = await store.dispute(tx.conn, settled.effect.subject)
    if row is None or row.closed_at or row.submitted_at or row.evidence_due_at is None:
        return
    await anomalies.record(
        tx.conn, at=tx.now, code="dispute.due", subject=row.payment_id or row.id,
        detail={"dispute_id": row.id, "evidence_due_at": utc_text(row.evidence_due_at)},
        cause=f"{row.id}:{row.evidence_due_at.isoformat()}",
    )  # fmt: skip


async def _over(tx: Transaction, snapshot: Snapshot, row: Dispute) -> None:
    """Decided. Lost, what was withdrawn is an expense, and whose payment it was does not charge
    until somebody has looked at it; what waited to be refunded goes, or has gone by the dispute."""
    await tell.disputed(tx, snapshot, "dispute.closed", row)
    await _seen_to(tx, row, _ASKS, f"the dispute is {row.status}")
    if row.status == "lost":
        if snapshot.policies.block_on_lost_dispute:
            await unblock.block_disputed(tx, row)
        await anomalies.record(
            tx.conn, at=tx.now, code="dispute.lost", subject=row.payment_id or row.id,
            detail={"dispute_id": row.id, "reason": row.reason, "amount_minor": row.amount_minor,
                    "currency": row.currency, "session_id": row.session_id},
            cause=row.id,
        )  # fmt: skip
    if row.payment_id is not None and not row.inquiry:
        await money_back.dispute_over(tx, row.payment_id, row.status)


# --- its money -----------------------------------------------------------------------------------


async def item_read(
    tx: Transaction, snapshot: Snapshot, processor_id: str, item: dict[str, Any]
) -> None:
    """A line of the processor about a dispute was booked. One that is not known yet is fetched."""
    source = item["source"]
    row = await store.dispute(tx.conn, source) if source else None
    if row is not None:
        await tell_items(tx, snapshot, row)
    elif source:
        await hints.plan_fetch(tx, processor_id, "dispute", source, item["id"])


async def tell_items(tx: Transaction, snapshot: Snapshot, row: Dispute) -> None:
    """Tell the books of each line of a dispute, and book the loss of each where it is lost: once,
    however often, and in whatever order line and decision come. What was withdrawn for one that was
    prevented is gone as it is for one that was lost, and settles what was refused for it."""
    entity = snapshot.entity(row.entity_id)
    cursor = await tx.conn.execute(
        "SELECT id, amount_minor, currency, payment_id FROM processor_item WHERE source = %s"
        " AND category = ANY(%s) ORDER BY created_at, id",
        (row.id, list(WITHDRAWALS)),
    )
    for item in await cursor.fetchall():
        kind = "dispute.withdrawn" if item["amount_minor"] < 0 else "dispute.reinstated"
        entry = await ledger.booked(tx.conn, "processor_item", item["id"])
        await tell.disputed(tx, snapshot, kind, row, entry, f":{item['id']}")
        if row.status not in money_back.TO_DRIVER or item["payment_id"] is None or entity is None:
            continue
        on = tx.now.astimezone(ZoneInfo(entity.time_zone)).date()
        lost: Entry | None = entries.dispute_lost(
            row.entity_id, item["id"], on, item["currency"], -item["amount_minor"]
        )
        if await ledger.book(tx.conn, lost, tx.now) is not None:
            await tell.disputed(tx, snapshot, "dispute.lost", row, lost, f":{item['id']}")
            await money_back.line_came(tx, item["payment_id"], row.status)


# --- what is said against it ---------------------------------------------------------------------


async def evidence(conn: Conn, dispute_id: str) -> dict[str, Any]:
    """The pack as plain data (``pipeline.evidence``), and what of it goes to Stripe. Raises
    NotFound."""
    found = await evidences.pack(conn, dispute_id)
    files = await dispute_files.listed(conn, dispute_id)
    return found | {"stripe": evidences.texts(found), "files": files}


async def submit(
    world: World, dispute_id: str, *, actor: str, reason: str = "", note: str = ""
) -> dict[str, Any]:
    """Send the evidence as it is now with its files, for good: the bank sees it once. ``note`` is
    put before it, in words. Raises NotFound; Conflict where it was sent, is closed or of no session
    of ours."""
    async with world.work.transaction("act") as tx:
        row = await store.dispute(tx.conn, dispute_id)
        if row is None:
            raise NotFound(f"there is no dispute {dispute_id}")
        if row.closed_at is not None:
            raise Conflict(f"the dispute {dispute_id} is {row.status}")
        if row.evidence is not None:
            raise Conflict(f"evidence for {dispute_id} was sent already: the bank sees it once")
        found = await evidence(tx.conn, dispute_id)
        texts: dict[str, str] = dict(found["stripe"])
        if note.strip():
            said = f"{note.strip()}\n\n{texts.get('uncategorized_text', '')}"
            texts["uncategorized_text"] = said[: evidences.FIELD_MAX]
        if not texts:
            raise Conflict(f"{dispute_id} is of no session of ours: answer it at the processor")
        found = {**found, "stripe": texts, "note": note.strip()}
        await store.set_dispute(tx.conn, dispute_id, evidence=found)
        await evidence_files.plan(tx, row, found)
        await money_acts.record(
            tx, actor=actor, act="dispute.submit", subject=dispute_id, reason=reason
        )
        return found


async def submitted(settled: Settled) -> None:
    """The processor has it."""
    tx, dispute_id = settled.tx, settled.effect.subject
    await store.set_dispute(tx.conn, dispute_id, submitted_at=tx.now)
    if (row := await store.dispute(tx.conn, dispute_id)) is not None:
        await _seen_to(tx, row, ("dispute.due",), "the evidence was sent")
    await hints.plan_fetch(
        tx, settled.effect.request["processor_id"], "dispute", dispute_id, settled.effect.key
    )


# --- early fraud warnings ------------------------------------------------------------------------


async def warning_seen(settled: Settled, found: dict[str, Any]) -> None:
    """An issuer thinks that a payment is fraud, and nobody has disputed it yet: giving it back now
    costs less than a dispute."""
    tx, processor_id = settled.tx, settled.effect.request["processor_id"]
    processor = settled.snapshot.get("processor", processor_id, Processor)
    if processor is None:
        raise LookupError(f"no [[processor]] {processor_id!r} to keep its warnings for")
    payment = await store.payment_of(tx.conn, processor_id, found["charge_id"], found["intent_id"])
    new = await store.see_warning(
        tx.conn,
        {
            "id": found["id"], "processor_id": processor_id, "entity_id": processor.entity,
            "payment_id": payment["id"] if payment else None,
            "session_id": payment["session_id"] if payment else None,
            "fraud_type": found["fraud_type"], "actionable": found["actionable"],
            "created_at": datetime.fromisoformat(found["created_at"]), "seen_at": tx.now,
        },
    )  # fmt: skip
    if new and found["actionable"]:
        await anomalies.record(
            tx.conn, at=tx.now, code="fraud.warning",
            subject=payment["id"] if payment else found["id"],
            detail={"warning_id": found["id"], "fraud_type": found["fraud_type"],
                    "session_id": payment["session_id"] if payment else None},
            cause=found["id"],
        )  # fmt: skip


HANDLERS = {"stripe.evidence": Handler("evidenced", submitted, evidence_files.too_long)}
WHATS: dict[str, What] = {DUE: due}
