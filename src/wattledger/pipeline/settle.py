"""Step settle: the processor's own lines move money in the ledger.

Webhooks only say "look"; what is booked is what was read. An item is booked once however often
it is read, and one without a payment of ours goes to suspense, where it is a break.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from wattledger.db import effects
from wattledger.db.effects import Effect
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.entitlements.model import Entity
from wattledger.ingest import anomalies, inbox
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.ledger.entries import Entry
from wattledger.payments import foreign_store, returns_store
from wattledger.payments.model import Processor
from wattledger.payments.returns_store import PaymentRefund
from wattledger.pipeline import tell
from wattledger.pipeline.collecting import hints
from wattledger.pipeline.returning import disputes, money_back
from wattledger.pipeline.world import World

# Read again what was read before, this far back: an item may appear late.
OVERLAP = timedelta(days=1)
NIGHTLY, HINTED = "nightly", "hinted"
_BATCH = "/batch:"
_REFUNDS = ("refund", "refund_failure")


async def ensure_schedule(world: World) -> None:
    """Every processor account has its next reading planned."""
    now = world.now
    snapshot = await world.snapshot(now)
    for processor in snapshot.all("processor", Processor):
        entity = snapshot.entity(processor.entity)
        if entity is None:
            continue
        async with world.work.transaction("schedule", now=now) as tx:
            await _plan_nightly(tx, snapshot, processor, entity)


def next_reading(now: datetime, time_zone: str, hour: int) -> datetime:
    """The next time that the entity's clock shows ``hour``, in UTC."""
    local = now.astimezone(ZoneInfo(time_zone))
    at = local.replace(hour=hour, minute=0, second=0, microsecond=0)
    if at <= local:
        at += timedelta(days=1)
    return at.astimezone(UTC)


async def plan_read(
    tx: Transaction, processor_id: str, due_at: datetime, *, lane: str = NIGHTLY
) -> None:
    """Read the processor's balance at ``due_at``; planned twice, it is read once.

    A reading that a webhook hints at has a lane of its own, because the nightly one is planned
    long before and would stand in its way.
    """
    cursor = await tx.conn.execute(
        "SELECT max(created_at) AS last FROM processor_item WHERE processor_id = %s",
        (processor_id,),
    )
    row = await cursor.fetchone()
    last: datetime | None = row["last"] if row else None
    since = (last or due_at - timedelta(days=30)) - OVERLAP
    await effects.add(
        tx.conn,
        kind="stripe.read",
        subject=processor_id,
        lane=f"processor:{processor_id}:{lane}",
        key=f"{processor_id}:read:{due_at.isoformat()}",
        request={
            "processor_id": processor_id,
            "since": since.isoformat(),
            "payouts": await _open_payouts(tx, processor_id),
        },
        due_at=due_at,
        caused_at=tx.now,
    )


async def _open_payouts(tx: Transaction, processor_id: str) -> list[str]:
    """Payouts of which more is to be learnt. One that failed is over, and so is one that was paid
    and whose items are known, or never will be: then only its own item is marked as its."""
    cursor = await tx.conn.execute(
        "SELECT id FROM payout o WHERE processor_id = %s AND status NOT IN ('failed', 'canceled')"
        " AND (status <> 'paid' OR NOT (items_read"
        "   OR EXISTS (SELECT FROM processor_item i WHERE i.payout_id = o.id)))"
        " ORDER BY id",
        (processor_id,),
    )
    return [row["id"] for row in await cursor.fetchall()]


async def _plan_nightly(
    tx: Transaction, snapshot: Snapshot, processor: Processor, entity: Entity
) -> None:
    """The next nightly reading, unless one is planned or under way: what follows a batch stands
    in the same lane, and would have to wait behind it for a day."""
    await _one_at_a_time(tx, processor.id)
    cursor = await tx.conn.execute(
        "SELECT FROM effect WHERE lane = %s AND settled_at IS NULL LIMIT 1",
        (f"processor:{processor.id}:{NIGHTLY}",),
    )
    if await cursor.fetchone() is None:
        hour = snapshot.policies.reconcile_hour
        due_at = next_reading(tx.now, entity.time_zone, hour)
        await plan_read(tx, processor.id, due_at)
        await hints.plan_sweep(tx, processor.id, due_at)


async def _plan_rest(tx: Transaction, effect: Effect, position: dict[str, Any]) -> None:
    """The batch after this one. It is due when its reading was: what came into being since then is
    not read by it."""
    number = int(effect.request.get("batch", 1)) + 1
    stem, _, _ = effect.key.partition(_BATCH)
    await effects.add(
        tx.conn,
        kind=effect.kind,
        subject=effect.subject,
        lane=effect.lane,
        key=f"{stem}{_BATCH}{number}",
        request={**position, "processor_id": effect.subject, "batch": number},
        due_at=effect.due_at,
        caused_at=tx.now,
    )


async def _one_at_a_time(tx: Transaction, processor_id: str) -> None:
    """A nightly and a hinted reading may come in at once: they book one after the other."""
    await tx.conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", (processor_id,))


async def read_done(
    tx: Transaction, snapshot: Snapshot, effect: Effect, response: dict[str, Any]
) -> None:
    """Book what is new; plan the next batch at once, or the next reading when it is complete.

    Raises LookupError when the account is not configured any more: what was read is not lost but
    read again when it is.
    """
    await _one_at_a_time(tx, effect.subject)
    processor = snapshot.get("processor", effect.subject, Processor)
    entity = snapshot.entity(processor.entity) if processor else None
    if processor is None or entity is None:
        raise LookupError(f"no [[processor]] {effect.subject!r} to book its items for")
    refunds = {item["source"] for item in response["items"] if item["category"] in _REFUNDS}
    for source in sorted(filter(None, refunds)):  # nobody takes one over while its failure is read
        await foreign_store.take_turns(tx.conn, source)
    for item in sorted(response["items"], key=lambda i: (i["created_at"], i["id"])):
        await _book_item(tx, snapshot, processor, entity, item)
    for payout in response["payouts"]:
        await _payout(tx, snapshot, processor, entity, payout)
    for unreadable in response.get("unreadable", []):
        await anomalies.record(
            tx.conn, at=tx.now, code="processor_item.unreadable", subject=processor.id,
            detail=unreadable, cause=unreadable["id"],
        )  # fmt: skip
    if response.get("next") is not None:
        await _plan_rest(tx, effect, response["next"])
    else:
        await _plan_nightly(tx, snapshot, processor, entity)


async def _book_item(
    tx: Transaction,
    snapshot: Snapshot,
    processor: Processor,
    entity: Entity,
    item: dict[str, Any],
) -> None:
    raw = msgspec.json.encode(item, order="deterministic")
    cursor = await tx.conn.execute("SELECT FROM processor_item WHERE id = %s", (item["id"],))
    if await cursor.fetchone() is not None:
        return
    received = await inbox.receive(
        tx.conn, source=f"stripe:{processor.id}", external_id=item["id"], body=raw,
        received_at=tx.now,
    )  # fmt: skip
    cursor = await tx.conn.execute(
        "SELECT id FROM payment WHERE external_charge_id = %s AND processor_id = %s",
        (item["charge"], processor.id),
    )
    payment = await cursor.fetchone()
    refunds: list[PaymentRefund] = []
    if item["category"] in _REFUNDS:
        refunds = await returns_store.by_external(
            tx.conn, processor.id, item["source"], item.get("payment_refund_id")
        )
    await tx.conn.execute(
        "INSERT INTO processor_item (id, processor_id, entity_id, category, currency,"
        " amount_minor, fee_minor, net_minor, external_charge_id, payment_id, created_at,"
        " available_at, read_at, source, payment_refund_id)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            item["id"], processor.id, entity.id, item["category"], item["currency"],
            item["amount_minor"], item["fee_minor"], item["net_minor"], item["charge"],
            payment["id"] if payment else None, item["created_at"], item["available_at"], tx.now,
            item["source"], refunds[0].id if refunds else None,
        ),
    )  # fmt: skip
    on = _day(datetime.fromisoformat(item["created_at"]), entity)
    of_refund = item["category"] in _REFUNDS
    entry = entries.processor_item(
        entity.id, item["id"], on, item["currency"], item["category"], item["amount_minor"],
        item["fee_minor"], known=bool(refunds if of_refund else payment),
        beyond_minor=_beyond(item["amount_minor"], refunds),
    )  # fmt: skip
    await ledger.book(tx.conn, entry, tx.now)
    if of_refund:
        payment_id = payment["id"] if payment else None
        await _refund_read(tx, snapshot, item, payment_id, refunds, entry)
    elif item["category"] in disputes.WITHDRAWALS:
        await disputes.item_read(tx, snapshot, processor.id, item)
    await inbox.handled(tx.conn, received.id, tx.now)


def _beyond(amount_minor: int, refunds: Sequence[PaymentRefund]) -> int:
    """What of a line no bill had asked for: all of it, or of one that was divided its own part."""
    beyond = [refund for refund in refunds if refund.cause not in ("adjustment", "refund")]
    if len(beyond) == len(refunds):
        return amount_minor if refunds else 0
    whole = sum(refund.amount_minor for refund in beyond)
    return whole if amount_minor > 0 else -whole


async def _refund_read(
    tx: Transaction,
    snapshot: Snapshot,
    item: dict[str, Any],
    payment_id: str | None,
    refunds: Sequence[PaymentRefund],
    entry: Entry | None,
) -> None:
    """The processor gave something back, or took it back because the card's bank sent it back. What
    is not ours was made in its dashboard: in suspense, a break, and shown, with the sessions that
    it may be of, until it comes back."""
    back = item["category"] == "refund_failure"
    subject = payment_id or item["id"]
    if not refunds and back and await anomalies.settle(
        tx.conn, "refund.foreign", subject, "It failed: the card's bank sent it back.", tx.now,
        refund=item["source"],
    ):  # fmt: skip
        return
    if not refunds:
        shares = await foreign_store.shares(tx.conn, payment_id) if payment_id else []
        await anomalies.record(
            tx.conn, at=tx.now, code="refund.foreign", subject=subject,
            detail={"item_id": item["id"], "refund": item["source"],
                    "amount_minor": item["amount_minor"], "currency": item["currency"],
                    "sessions": [share.session_id for share in shares]},
            cause=item["id"],
        )  # fmt: skip
        return
    kind = "refund.returned" if back else "refund.paid"
    for refund in refunds:
        journal = entry if refund is refunds[0] else None  # of one that was divided: told once
        await tell.money_back(tx, snapshot, kind, refund, journal, which=f":{item['id']}")
        if back and refund.state in ("sending", "sent", "done"):
            await money_back.failed(tx, snapshot, refund, "refund_failure")


async def _payout(
    tx: Transaction,
    snapshot: Snapshot,
    processor: Processor,
    entity: Entity,
    payout: dict[str, Any],
) -> None:
    status = await _stored(tx, processor, entity, payout)
    # A payout made by hand has no other member that the processor would tell us of.
    members = [payout["own_item"]] if payout["alone"] else payout["items"]
    await tx.conn.execute(
        "UPDATE processor_item SET payout_id = %s WHERE id = ANY(%s) AND payout_id IS NULL",
        (payout["id"], members),
    )
    if status == "paid":
        on = date.fromisoformat(payout["arrival_date"])
        entry = entries.payout_paid(
            entity.id, payout["id"], on, payout["currency"], payout["amount_minor"]
        )
        if await ledger.book(tx.conn, entry, tx.now) is not None:
            await tell.payout_paid(tx, snapshot, entity.id, payout, entry)
    elif status in ("failed", "canceled"):
        await _take_back(tx, snapshot, entity, payout)


async def _stored(
    tx: Transaction, processor: Processor, entity: Entity, payout: dict[str, Any]
) -> str:
    """Write what is new of it; the status it now has. A reading that was slow takes nothing back:
    paid comes after in transit, failed after paid."""
    cursor = await tx.conn.execute(
        "INSERT INTO payout (id, processor_id, entity_id, currency, amount_minor, status,"
        " arrival_date, items_read, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (id) DO UPDATE SET"
        " status = CASE WHEN payout.status IN ('failed', 'canceled') OR (payout.status = 'paid'"
        "   AND EXCLUDED.status IN ('pending', 'in_transit'))"
        "   THEN payout.status ELSE EXCLUDED.status END,"
        " arrival_date = EXCLUDED.arrival_date,"
        " items_read = payout.items_read OR EXCLUDED.items_read RETURNING status",
        (
            payout["id"], processor.id, entity.id, payout["currency"], payout["amount_minor"],
            payout["status"], payout["arrival_date"], payout["items_read"], payout["created_at"],
        ),
    )  # fmt: skip
    row = await cursor.fetchone()
    assert row is not None, "it is inserted or updated"
    return str(row["status"])


async def _take_back(
    tx: Transaction, snapshot: Snapshot, entity: Entity, payout: dict[str, Any]
) -> None:
    """It failed. Where it was booked as paid, the bank does not have the money after all."""
    cursor = await tx.conn.execute(
        "SELECT FROM entry WHERE cause = 'payout' AND cause_id = %s", (payout["id"],)
    )
    if await cursor.fetchone() is None:
        return
    cursor = await tx.conn.execute(
        "SELECT created_at FROM processor_item WHERE id = %s", (payout["failed_item"],)
    )
    row = await cursor.fetchone()
    entry = entries.payout_failed(
        entity.id, payout["id"], _day(row["created_at"] if row else tx.now, entity),
        payout["currency"], payout["amount_minor"],
    )  # fmt: skip
    if await ledger.book(tx.conn, entry, tx.now) is not None:
        await tell.payout_failed(tx, snapshot, entity.id, payout, entry)
        await anomalies.record(
            tx.conn, at=tx.now, code="payout.failed", subject=payout["id"],
            detail={"status": payout["status"], "amount_minor": payout["amount_minor"]},
            cause="failed",
        )  # fmt: skip


def _day(at: datetime, entity: Entity) -> date:
    return at.astimezone(ZoneInfo(entity.time_zone)).date()
