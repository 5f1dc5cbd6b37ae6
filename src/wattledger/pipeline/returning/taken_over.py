"""What somebody gave back at the processor, past us, becomes ours: refunds of the sessions that its
payment paid for, or of what it took too much; that of a top-up leaves its wallet. Nothing is sent.

One payment may pay the debts of several sessions. Which of them a refund is of its amount says,
where one way alone is possible (``payments.returns.divided``); else a person does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.ids import derive
from wattledger.ingest import anomalies
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.payments import foreign_store as store
from wattledger.payments import returns, returns_store
from wattledger.payments import store as payments
from wattledger.payments.foreign_store import Share
from wattledger.payments.returns_store import PaymentRefund, Refund
from wattledger.payments.store import Payment
from wattledger.pipeline.collecting import excess, wallets
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.returning import refunds
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

Taken = Refund | PaymentRefund
ACT = "refund.take_over"


async def take_over(
    world: World,
    item_id: str,
    kind: str,
    reason: str,
    *,
    actor: str,
    parts: dict[str, int] | None = None,
) -> list[Taken]:
    """The documents say it, and what stood in suspense is what was due back. ``parts``: how much of
    it is of which session, where its amount does not say so. Raises NotFound; BadInput where that
    is to be said, or can't be so; Conflict where it was taken over, or can't be refunded.
    """
    refunds.check(kind, reason)
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.transaction("act", now=now) as tx:
        source = await store.source_of(tx.conn, item_id)
        if source is None:
            raise NotFound(f"there is no refund {item_id} of a payment in suspense")
        await store.take_turns(tx.conn, source)
        topup = await store.taken_back(tx.conn, item_id)
        if topup is not None:
            return [await wallets.take_over(tx, snapshot, topup, reason.strip(), actor=actor)]
        item = await store.foreign_refund(tx.conn, item_id)
        if item is None:
            raise NotFound(f"there is no refund {item_id} of a payment in suspense")
        before = await returns_store.by_external(
            tx.conn, item["processor_id"], item["source"], None
        )
        if before:
            raise Conflict(f"{item_id} was taken over already: {before[0].refund_id}")
        payment, rows, shares = await _of(tx, item["payment_id"])
        divided = _divided(item, payment, shares, parts)
        found: list[Taken] = []
        for share in divided:
            if share.session_id is None:
                found.append(await _beyond(tx, payment, item, share))
            else:
                row = rows[share.session_id]
                alone = len(divided) == 1
                found.append(
                    await _refund(tx, snapshot, row, item, share, kind, reason, actor, alone=alone)
                )
        await _booked(tx, payment, rows, item, divided)
        await _recorded(tx, item, found, actor, reason)
        return found


async def _of(
    tx: Transaction, payment_id: str
) -> tuple[Payment, dict[str, SessionRow], list[Share]]:
    """A payment and the sessions that it pays for, all locked, and how much of it is whose."""
    paid = {share.session_id for share in await store.shares(tx.conn, payment_id)}
    cursor = await tx.conn.execute("SELECT session_id FROM payment WHERE id = %s", (payment_id,))
    its = await cursor.fetchone()
    rows = {}
    for session_id in sorted(filter(None, paid | {its["session_id"] if its else None})):
        row = await sessions.get(tx.conn, session_id, lock=True)
        assert row is not None, "sessions are never removed"
        rows[session_id] = row
    payment = await payments.get(tx.conn, payment_id)
    shares = await store.shares(tx.conn, payment_id)
    beyond = await excess.known_minor(tx, payment)
    return payment, rows, [*shares, *([Share(None, beyond)] if beyond else [])]


def _divided(
    item: dict[str, Any], payment: Payment, shares: Sequence[Share], parts: dict[str, int] | None
) -> list[Share]:
    """Which of them it is."""
    if item["currency"] != payment.currency:
        raise Conflict(f"{item['id']} is in {item['currency']}, its payment is not")
    amount_minor = item["amount_minor"]
    if parts:
        return returns.as_said(shares, amount_minor, parts, "$.parts")
    found = returns.divided(shares, amount_minor)
    if found is None:
        raise BadInput(
            "$.parts", parts,
            f"how much of {amount_minor} in minor units is of which session, by its id: payment"
            f" {payment.id} pays {returns.listed(shares)}",
        )  # fmt: skip
    return found


async def _refund(
    tx: Transaction,
    snapshot: Snapshot,
    row: SessionRow,
    item: dict[str, Any],
    share: Share,
    kind: str,
    reason: str,
    actor: str,
    *,
    alone: bool,
) -> Refund:
    """The refund of one session, and what went back for it by its payment."""
    scope = {"amount_minor": share.amount_minor}
    given = await refunds.comes_to(tx, row, scope, kind)
    refund = Refund(
        id=derive("rfd", row.id, item["id"]), session_id=row.id,
        entity_id=row.contract.entity_id, currency=row.contract.currency, kind=kind,
        scope=scope, amount_minor=given.amount_minor, reason=reason.strip(), state="approved",
        asked_by=actor, asked_at=tx.now, decided_by=actor, decided_at=tx.now,
    )  # fmt: skip
    await returns_store.add_refund(tx.conn, refund)
    made = PaymentRefund(
        id=_name(item, None if alone else row.id), payment_id=item["payment_id"],
        refund_id=refund.id, entity_id=refund.entity_id, currency=refund.currency,
        amount_minor=refund.amount_minor, cause="refund", state="done", created_at=tx.now,
        session_id=row.id, external_refund_id=item["source"], settled_at=tx.now,
    )  # fmt: skip
    return await refunds.issue(tx, snapshot, row, refund, given, made)


async def _beyond(
    tx: Transaction, payment: Payment, item: dict[str, Any], share: Share
) -> PaymentRefund:
    """What the payment took too much, and has been given back: no document asked for it."""
    made = PaymentRefund(
        id=_name(item, "beyond"), payment_id=payment.id, refund_id=None,
        entity_id=payment.entity_id, currency=payment.currency, amount_minor=share.amount_minor,
        cause="suspense", state="done", created_at=tx.now, external_refund_id=item["source"],
        settled_at=tx.now,
    )  # fmt: skip
    await returns_store.add_payment_refund(tx.conn, made)
    await excess.given_back(tx, payment.id, "given back at the processor")
    return made


def _name(item: dict[str, Any], of: str | None) -> str:
    return derive("prf", item["payment_id"], item["id"], *([of] if of else []))


async def _booked(
    tx: Transaction,
    payment: Payment,
    rows: dict[str, SessionRow],
    item: dict[str, Any],
    divided: Sequence[Share],
) -> None:
    """Out of suspense: one entry for the line."""
    zones = [row.contract.entity_time_zone for row in rows.values()]
    on = tx.now.astimezone(ZoneInfo(zones[0] if zones else "UTC")).date()
    beyond = sum(share.amount_minor for share in divided if share.session_id is None)
    entry = entries.refund_taken_over(
        payment.entity_id, item["id"], on, payment.currency, item["amount_minor"] - beyond, beyond
    )
    await ledger.book(tx.conn, entry, tx.now)


async def _recorded(
    tx: Transaction, item: dict[str, Any], found: Sequence[Taken], actor: str, reason: str
) -> None:
    """Who did it, at each refund that it became; the first has the key of the request."""
    names = [each.id for each in found]
    detail = {"item_id": item["id"], "amount_minor": item["amount_minor"], "taken": names}
    for number, each in enumerate(found):
        more = detail | {"amount_minor": each.amount_minor, "session_id": each.session_id}
        if number:
            with money_acts.without_key():
                await money_acts.record(
                    tx, actor=actor, act=ACT, subject=each.id, reason=reason, detail=more
                )
        else:
            await money_acts.record(
                tx, actor=actor, act=ACT, subject=each.id, reason=reason, detail=more
            )
    await anomalies.settle(
        tx.conn, "refund.foreign", item["payment_id"], f"taken over by {actor}", tx.now,
        item_id=item["id"],
    )  # fmt: skip
