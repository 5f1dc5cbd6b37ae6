"""Step fetched: objects of the processor as they are now, and what that changes here.

Only forward, in any order and any number of times: each object says what it is, and whoever owns
its counterpart here moves that to where it says, or not at all.
"""

from __future__ import annotations

from typing import Any

from wattledger.ingest import anomalies
from wattledger.payments import returns_store
from wattledger.payments import store as payments
from wattledger.payments.store import Payment
from wattledger.pipeline import settle
from wattledger.pipeline.collecting import collect, hints
from wattledger.pipeline.collecting.hints import plan_fetch
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.pipeline.returning import disputes, money_back
from wattledger.pipeline.starting import holds, orphans
from wattledger.pipeline.terminals import readers, terminal_intents

__all__ = ["HANDLERS", "plan_fetch"]
_WAITS = ("waiting", "holding")
_COLLECTS = ("held", "parked", "capturing", "releasing", "charging")
# What an intent says that is over here, without contradicting it.
_AGREES = {"captured": "succeeded", "released": "canceled"}
_OVER = ("captured", "released", "declined")


async def fetch_done(settled: Settled) -> None:
    """One object; None: the account does not have it."""
    request = settled.effect.request
    kind, found = request["object"], settled.response["found"]
    if kind == "payment_intent":
        await _intent(settled, request["id"], found)
    elif kind == "reader":
        if found is not None:
            await readers.reader_seen(settled, found)
    elif kind == "payout":
        if found is not None:
            await settle.plan_read(
                settled.tx, request["processor_id"], settled.tx.now, lane=settle.HINTED
            )
    elif found is not None:
        await _SEEN[kind](settled, found)


async def sweep_done(settled: Settled) -> None:
    """A batch of what is new; with the first of them, whatever is not over here.

    What says something else than we do is fetched by itself: a step that had many payments in hand
    would wait for others that wait for it.
    """
    tx, effect, response = settled.tx, settled.effect, settled.response
    for found in response.get("intents", []):
        payment = await _of_ours(settled, found["id"], found)
        if payment is None:
            await _unknown(settled, found)
        elif not _says_the_same(payment, found):
            await plan_fetch(tx, effect.subject, "payment_intent", found["id"], effect.key)
    for name, kind in (("refunds", "refund"), ("disputes", "dispute"),
                       ("warnings", "fraud_warning")):  # fmt: skip
        for found in response.get(name, []):
            if await returns_store.is_news(tx.conn, effect.subject, kind, found):
                await plan_fetch(tx, effect.subject, kind, found["id"], effect.key)
    for unreadable in response.get("unreadable", []):
        await anomalies.record(
            tx.conn, at=tx.now, code="processor_item.unreadable", subject=effect.subject,
            detail=unreadable, cause=unreadable["id"],
        )  # fmt: skip
    if int(effect.request.get("batch", 1)) == 1:
        await hints.fetch_open(tx, effect.subject)
        await orphans.look_for(tx, effect.subject)
    if response.get("next") is not None:
        await hints.sweep_on(tx, effect.subject, effect.request, response["next"], effect.due_at)


async def refused(settled: Settled) -> None:
    """The processor does not take the question: the next night asks anew."""
    tx, effect = settled.tx, settled.effect
    await anomalies.record(
        tx.conn, at=tx.now, code="fetch.refused", subject=effect.subject,
        detail={**settled.response, "kind": effect.kind}, cause=effect.key,
    )  # fmt: skip


async def _intent(settled: Settled, intent_id: str, found: dict[str, Any] | None) -> None:
    payment = await _payment(settled, intent_id, found)
    if payment is None:
        await _unknown(settled, found)
    elif payment.state in _WAITS:
        await holds.intent_seen(settled, payment, found)
    elif payment.state in _COLLECTS:
        await collect.intent_seen(settled, payment, found)
    elif payment.state in _OVER and found is not None:
        await _over(settled, payment, found)


def _says_the_same(payment: dict[str, Any], found: dict[str, Any]) -> bool:
    """Whether an intent is what we take it for."""
    if payment["state"] == "held":
        return bool(found["status"] == "requires_capture" and payment["intent_id"])
    return bool(_AGREES.get(payment["state"]) == found["status"])


async def _payment(
    settled: Settled, intent_id: str, found: dict[str, Any] | None
) -> Payment | None:
    row = await _of_ours(settled, intent_id, found)
    return await payments.get(settled.tx.conn, row["id"]) if row else None


async def _of_ours(
    settled: Settled, intent_id: str, found: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Ours behind an intent of this very account: by the intent, else by the name that we gave it
    (its answer may never have come)."""
    named = (found or {}).get("metadata", {}).get("payment_id")
    cursor = await settled.tx.conn.execute(
        "SELECT id, state, intent_id FROM payment WHERE processor_id = %s AND (intent_id = %s"
        " OR (id = %s AND intent_id IS NULL)) ORDER BY intent_id NULLS LAST LIMIT 1",
        (settled.effect.request["processor_id"], intent_id, named),
    )
    return await cursor.fetchone()


async def _unknown(settled: Settled, found: dict[str, Any] | None) -> None:
    """Somebody holds a card on our account and it was not us. What is captured so is a break of its
    own; what waits for a card, or was given up, is nothing yet."""
    if found is None or found["status"] not in ("requires_capture", "succeeded"):
        return
    if await terminal_intents.taken(settled, found):
        return
    tx = settled.tx
    await anomalies.record(
        tx.conn, at=tx.now, code="intent.unknown", subject=found["id"],
        detail={"status": found["status"], "amount_minor": found["amount_minor"],
                "currency": found["currency"], "metadata": found["metadata"]},
        cause=found["id"],
    )  # fmt: skip


async def _over(settled: Settled, payment: Payment, found: dict[str, Any]) -> None:
    """It is over here. An intent that still holds money, or took some, is looked at once more, for
    this look may be older than what we know; if it says so then, a person is shown it."""
    tx, status = settled.tx, found["status"]
    if status not in ("requires_capture", "succeeded") or status == _AGREES.get(payment.state):
        return
    processor_id = settled.effect.request["processor_id"]
    cause = f"differs:{payment.state}:{status}"
    if settled.effect.request.get("cause") != cause:
        await plan_fetch(tx, processor_id, "payment_intent", found["id"], cause)
        return
    await anomalies.record(
        tx.conn, at=tx.now, code="intent.differs", subject=payment.id,
        detail={"intent_id": found["id"], "status": status, "here": payment.state},
        cause=cause,
    )  # fmt: skip


_SEEN = {
    "refund": money_back.refund_seen,
    "dispute": disputes.dispute_seen,
    "fraud_warning": disputes.warning_seen,
}
HANDLERS = {
    hints.FETCH: Handler("fetched", fetch_done, refused),
    hints.SWEEP: Handler("fetched", sweep_done, refused),
}
