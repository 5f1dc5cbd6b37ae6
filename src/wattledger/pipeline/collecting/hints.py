"""Hints that the processor has something new: its object is fetched, and what is fetched counts.

Webhooks may come twice, late, in any order, or never. So many hints at one object make one fetch
that waits; and each night everything that is new is listed, and what is not over is fetched, so
that what no webhook told is found.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from wattledger.db import effects
from wattledger.db.work import Transaction

FETCH, SWEEP = "stripe.fetch", "stripe.sweep"
# Read again what the sweep before has listed, this far back: an object may be listed late.
OVERLAP = timedelta(days=1)
_FIRST = timedelta(days=30)
WHAT = ["intents", "refunds", "disputes", "warnings"]
# A hint that came in time has been followed long before.
_QUIET = timedelta(hours=1)


async def plan_fetch(
    tx: Transaction, processor_id: str, kind: str, object_id: str, cause: str
) -> bool:
    """Look at an object of the processor (``payment_intent``, ``dispute``, ``refund``,
    ``fraud_warning``, ``reader``, ``payout``). One that waits to be sent is enough: it will see
    what is there by now. One that is under way may have read it before."""
    lane = f"fetch:{processor_id}:{object_id}"
    cursor = await tx.conn.execute(
        "SELECT FROM effect WHERE lane = %s AND state = 'pending' LIMIT 1", (lane,)
    )
    if await cursor.fetchone() is not None:
        return False
    return await effects.add(
        tx.conn, kind=FETCH, subject=object_id, lane=lane, key=f"{lane}:{cause}",
        request={"processor_id": processor_id, "object": kind, "id": object_id, "cause": cause},
        due_at=tx.now, caused_at=tx.now,
    )  # fmt: skip


# That an intent was made says nothing where it is ours: nobody else makes one in our name.
MADE = "made"
# What an intent may be and tell nothing: by what our payment is, or its own call is about to make
# it, for then that call's answer counts.
_KNOWN = {
    "requires_capture": ("holding", "held"),
    "succeeded": ("charging", "capturing", "captured"),
    "canceled": ("releasing", "released"),
}


async def is_news(
    tx: Transaction,
    processor_id: str,
    *,
    intent_id: str,
    payment_id: str | None,
    status: str | None,
    held_minor: int | None,
) -> bool:
    """Whether an event about an intent says another thing than we know. One that says the same
    is not looked at: most are echoes of our own calls. ``status``: the intent's, or ``MADE``;
    None: it says nothing of that. Of a hold ``held_minor`` has to be the same, too."""
    if status != MADE and status not in _KNOWN:
        return True
    cursor = await tx.conn.execute(
        "SELECT state, COALESCE(authorized_minor, hold_minor) AS held_minor FROM payment"
        " WHERE processor_id = %s AND (intent_id = %s OR (id = %s AND intent_id IS NULL))"
        " ORDER BY intent_id NULLS LAST LIMIT 1",
        (processor_id, intent_id, payment_id),
    )
    ours = await cursor.fetchone()
    if ours is None or status == MADE:
        return ours is None
    if ours["state"] not in _KNOWN[status]:
        return True
    return bool(ours["state"] == "held" and ours["held_minor"] != held_minor)


async def plan_sweep(tx: Transaction, processor_id: str, due_at: datetime) -> None:
    """The next nightly sweep, unless one is planned."""
    lane = f"processor:{processor_id}:sweep"
    cursor = await tx.conn.execute(
        "SELECT FROM effect WHERE lane = %s AND settled_at IS NULL LIMIT 1", (lane,)
    )
    if await cursor.fetchone() is not None:
        return
    cursor = await tx.conn.execute(
        "SELECT max(due_at) AS last FROM effect WHERE lane = %s AND state = 'done'", (lane,)
    )
    row = await cursor.fetchone()
    last: datetime | None = row["last"] if row else None
    since = (last - OVERLAP) if last else due_at - _FIRST
    await effects.add(
        tx.conn, kind=SWEEP, subject=processor_id, lane=lane,
        key=f"{processor_id}:sweep:{due_at.isoformat()}",
        request={
            "processor_id": processor_id, "since": since.isoformat(),
            "until": due_at.isoformat(), "what": WHAT, "batch": 1,
        },
        due_at=due_at, caused_at=tx.now,
    )  # fmt: skip


async def sweep_on(
    tx: Transaction, processor_id: str, request: dict[str, Any], following: dict[str, Any],
    due_at: datetime,
) -> None:  # fmt: skip
    """The batch after one. It is due when its sweep was."""
    number = int(request.get("batch", 1)) + 1
    await effects.add(
        tx.conn, kind=SWEEP, subject=processor_id, lane=f"processor:{processor_id}:sweep",
        key=f"{processor_id}:sweep:{request['until']}/batch:{number}",
        request={**following, "processor_id": processor_id, "batch": number},
        due_at=due_at, caused_at=tx.now,
    )  # fmt: skip


async def fetch_open(tx: Transaction, processor_id: str) -> None:
    """Whatever of ours is not over is looked at, however long ago it was made."""
    cause = f"sweep:{tx.now.isoformat()}"
    cursor = await tx.conn.execute(
        "SELECT 'payment_intent' AS kind, intent_id AS id FROM payment WHERE processor_id = %(p)s"
        " AND intent_id IS NOT NULL"
        " AND state IN ('waiting', 'holding', 'held', 'parked', 'releasing')"
        " AND COALESCE(created_at, %(before)s) <= %(before)s"
        " UNION ALL SELECT 'dispute', id FROM dispute WHERE processor_id = %(p)s"
        " AND closed_at IS NULL"
        " UNION ALL SELECT 'refund', r.external_refund_id FROM payment_refund r JOIN payment p"
        " ON p.id = r.payment_id WHERE p.processor_id = %(p)s AND r.state = 'sent'"
        " AND r.external_refund_id IS NOT NULL ORDER BY 1, 2",
        {"p": processor_id, "before": tx.now - _QUIET},
    )
    for row in await cursor.fetchall():
        await plan_fetch(tx, processor_id, row["kind"], row["id"], cause)
