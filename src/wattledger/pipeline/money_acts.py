"""The audit record: whoever moves money by hand, or lets it move, stands here with a reason."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from wattledger.db.work import Transaction


async def record(
    tx: Transaction,
    *,
    actor: str,
    act: str,
    subject: str,
    reason: str = "",
    detail: dict[str, Any] | None = None,
) -> None:
    """``actor`` as ``key:support``, ``page:Ann`` or ``cli:ann``; ``act`` as ``refund.approve``."""
    await tx.conn.execute(
        "INSERT INTO money_act (at, actor, act, subject, reason, detail)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (tx.now, actor, act, subject, reason, Jsonb(detail or {})),
    )
