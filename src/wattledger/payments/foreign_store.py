"""What was given back at the processor past us, and what of its payment it may be. Nothing here
commits."""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg import AsyncConnection

Conn = AsyncConnection[dict[str, Any]]


class Share(msgspec.Struct, frozen=True):
    """What a session is paid by a payment; of no session: what it took beyond all that it pays."""

    session_id: str | None
    amount_minor: int


async def foreign_refund(conn: Conn, item_id: str) -> dict[str, Any] | None:
    """A refund that was made at the processor, and did not fail: its line, and its payment."""
    cursor = await conn.execute(
        "SELECT i.id, i.source, -i.amount_minor AS amount_minor, i.currency, i.payment_id,"
        " i.processor_id, i.entity_id FROM processor_item i JOIN payment p ON p.id = i.payment_id"
        " WHERE i.id = %s AND i.category = 'refund' AND i.payment_refund_id IS NULL"
        " AND p.leg <> 'topup' AND NOT EXISTS (SELECT FROM processor_item f"
        "   WHERE f.source = i.source AND f.category = 'refund_failure')",
        (item_id,),
    )
    return await cursor.fetchone()


async def waiting(conn: Conn, payment_id: str) -> list[str]:
    """The lines of what was given back of a payment past us, did not fail, and nobody has taken
    over."""
    cursor = await conn.execute(
        "SELECT i.id FROM processor_item i WHERE i.payment_id = %s AND i.category = 'refund'"
        " AND i.payment_refund_id IS NULL AND NOT EXISTS (SELECT FROM payment_refund b"
        "   WHERE b.external_refund_id = i.source) AND NOT EXISTS (SELECT FROM processor_item f"
        "   WHERE f.source = i.source AND f.category = 'refund_failure') ORDER BY i.id",
        (payment_id,),
    )
    return [str(row["id"]) for row in await cursor.fetchall()]


async def take_turns(conn: Conn, source: str) -> None:
    """Nobody else takes this refund of the processor over, or reads a line of it, until the
    transaction ends. Before its sessions and payments: who has these asks for none."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 10))", (source,))


async def source_of(conn: Conn, item_id: str) -> str | None:
    """The processor's object behind a line."""
    cursor = await conn.execute("SELECT source FROM processor_item WHERE id = %s", (item_id,))
    row = await cursor.fetchone()
    return row["source"] if row else None


async def shares(conn: Conn, payment_id: str) -> list[Share]:
    """What each session is still paid by a payment, by session: what was captured for it, less what
    its credits made due back. Late data and debts make it several."""
    cursor = await conn.execute(
        "SELECT g.session_id, sum(k.amount_minor)::bigint AS amount_minor FROM collection k"
        " JOIN charge g ON g.id = k.charge_id WHERE k.payment_id = %s"
        " AND k.state IN ('captured', 'refund_due') GROUP BY g.session_id"
        " HAVING sum(k.amount_minor) > 0 ORDER BY g.session_id",
        (payment_id,),
    )
    return [Share(**row) for row in await cursor.fetchall()]


async def taken_back(conn: Conn, item_id: str) -> dict[str, Any] | None:
    """What was given back of a wallet's top-up at the processor, past us, or by a dispute that is
    lost, and did not come back: its line, and the payment."""
    cursor = await conn.execute(
        "SELECT i.id, i.source, i.category, -i.amount_minor AS amount_minor, i.currency,"
        " i.payment_id FROM processor_item i JOIN payment p ON p.id = i.payment_id"
        " WHERE i.id = %s AND p.leg = 'topup' AND p.account_id IS NOT NULL"
        " AND i.payment_refund_id IS NULL AND i.amount_minor < 0 AND i.currency = p.currency"
        " AND (i.category = 'refund' OR (i.category = 'dispute' AND EXISTS (SELECT FROM dispute d"
        "   WHERE d.id = i.source AND d.status IN ('lost', 'prevented'))))"
        " AND NOT EXISTS (SELECT FROM processor_item f WHERE f.source = i.source"
        "   AND f.category IN ('refund_failure', 'dispute_reversal'))",
        (item_id,),
    )
    return await cursor.fetchone()


async def listed(conn: Conn, entity_id: str | None, limit: int) -> list[dict[str, Any]]:
    """The refunds that were made past us and that nobody has taken over, of one legal entity or
    all, the oldest first, each with the ``shares`` of its payment."""
    cursor = await conn.execute(
        "SELECT i.id, i.source, -i.amount_minor AS amount_minor, i.currency, i.created_at,"
        " i.payment_id, p.session_id, p.account_id, p.leg FROM processor_item i"
        " JOIN payment p ON p.id = i.payment_id WHERE COALESCE(i.entity_id = %s, true)"
        " AND i.category = 'refund'"
        " AND i.payment_refund_id IS NULL AND NOT EXISTS (SELECT FROM payment_refund b"
        "   WHERE b.external_refund_id = i.source) AND NOT EXISTS (SELECT FROM processor_item f"
        "   WHERE f.source = i.source AND f.category = 'refund_failure')"
        " ORDER BY i.created_at, i.id LIMIT %s",
        (entity_id, limit),
    )
    rows = await cursor.fetchall()
    return [row | {"shares": await shares(conn, row["payment_id"])} for row in rows]
