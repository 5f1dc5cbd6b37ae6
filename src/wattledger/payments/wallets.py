"""Prepaid balances, by account, legal entity and currency. Nothing here commits.

The database lets none fall below zero, and lets two draws of one wallet take turns.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

Conn = AsyncConnection[dict[str, Any]]


async def balance(
    conn: Conn, entity_id: str, account_id: str, currency: str, *, lock: bool = False
) -> int:
    """What is in it; with ``lock`` it stays so until the transaction ends."""
    if lock:
        await conn.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 5))",
            (f"{entity_id}/{account_id}/{currency}",),
        )
    cursor = await conn.execute(
        "SELECT COALESCE(sum(amount_minor), 0)::bigint AS minor FROM wallet_move"
        " WHERE (entity_id, account_id, currency) = (%s, %s, %s)",
        (entity_id, account_id, currency),
    )
    row = await cursor.fetchone()
    return int(row["minor"]) if row else 0


async def move(
    conn: Conn,
    kind: str,
    amount_minor: int,
    *,
    entity_id: str,
    account_id: str,
    currency: str,
    cause_id: str,
    at: datetime,
    detail: dict[str, Any] | None = None,
) -> bool:
    """``topup``, ``draw``, ``back`` or ``paid_out``; above zero the wallet has more. False when its
    cause has moved it before."""
    cursor = await conn.execute(
        "INSERT INTO wallet_move (entity_id, account_id, currency, kind, amount_minor, cause_id,"
        " detail, at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (kind, cause_id) DO NOTHING",
        (entity_id, account_id, currency, kind, amount_minor, cause_id, Jsonb(detail or {}), at),
    )
    return cursor.rowcount == 1


async def moved_by(conn: Conn, kind: str, cause_id: str) -> tuple[str, int] | None:
    """The account that a cause has moved the wallet of, and by how much."""
    cursor = await conn.execute(
        "SELECT account_id, amount_minor FROM wallet_move WHERE (kind, cause_id) = (%s, %s)",
        (kind, cause_id),
    )
    row = await cursor.fetchone()
    return (str(row["account_id"]), int(row["amount_minor"])) if row else None


async def balances(conn: Conn, account_id: str) -> list[dict[str, Any]]:
    """What an account has with each legal entity."""
    cursor = await conn.execute(
        "SELECT entity_id, currency, sum(amount_minor)::bigint AS balance_minor FROM wallet_move"
        " WHERE account_id = %s GROUP BY entity_id, currency ORDER BY entity_id, currency",
        (account_id,),
    )
    return await cursor.fetchall()


async def moves(conn: Conn, account_id: str, limit: int = 100) -> list[dict[str, Any]]:
    """The last moves of an account's wallets."""
    cursor = await conn.execute(
        "SELECT entity_id, currency, kind, amount_minor, cause_id, detail, at FROM wallet_move"
        " WHERE account_id = %s ORDER BY id DESC LIMIT %s",
        (account_id, limit),
    )
    return await cursor.fetchall()
