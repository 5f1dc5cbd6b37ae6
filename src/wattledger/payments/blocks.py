"""Who may not charge for now, beside what the configuration says. Nothing here commits.

A block is a row, and so is its end; the last row of an account counts, without one that of a
guest's card, and where no card is known that of a token. What a person has to lift is not lifted by
money.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

from wattledger.contract import Reason

Conn = AsyncConnection[dict[str, Any]]


class Blocks(msgspec.Struct, frozen=True):
    """The blocks in force, as of the row ``last_id``."""

    last_id: int = 0
    accounts: dict[str, str] = {}
    tokens: dict[str, str] = {}

    def why(self, account_id: str | None, token: str | None) -> str | None:
        """Why it may not charge; None: it may. Tokens are compared without their case."""
        if account_id is not None:
            return self.accounts.get(account_id)
        return self.tokens.get(token.lower()) if token is not None else None


async def latest_id(conn: Conn) -> int:
    """The last row: there is something new where it is another."""
    cursor = await conn.execute("SELECT COALESCE(max(id), 0) AS id FROM token_block")
    row = await cursor.fetchone()
    return int(row["id"]) if row else 0


async def load(conn: Conn) -> Blocks:
    """All that are in force."""
    last_id = await latest_id(conn)
    cursor = await conn.execute(
        "SELECT DISTINCT ON (account_id, lower(token)) account_id, lower(token) AS token, blocked,"
        " why FROM token_block WHERE id <= %s AND driver IS NULL"
        " ORDER BY account_id, lower(token), id DESC",
        (last_id,),
    )
    rows = [row for row in await cursor.fetchall() if row["blocked"]]
    return Blocks(
        last_id,
        {row["account_id"]: row["why"] for row in rows if row["account_id"] is not None},
        {row["token"]: row["why"] for row in rows if row["token"] is not None},
    )


async def fresh(conn: Conn, known: Blocks | None) -> Blocks:
    """As the table says now: what is in memory may be some seconds old."""
    if known is not None and await latest_id(conn) == known.last_id:
        return known
    return await load(conn)


async def why(
    conn: Conn, account_id: str | None, token: str | None, card: str | None = None
) -> str | None:
    """Why it may not charge, as the table says now; None: it may."""
    where, value = _whose(account_id, token, card)
    cursor = await conn.execute(
        f"SELECT blocked, why FROM token_block WHERE {where} ORDER BY id DESC LIMIT 1", (value,)
    )
    row = await cursor.fetchone()
    return str(row["why"]) if row and row["blocked"] else None


async def listed(conn: Conn, *, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
    """Who may not charge now, whatever for: ``id`` is the account, the guest's card or the token,
    ``number`` that of the block, by which they are sorted."""
    cursor = await conn.execute(
        "SELECT number, id, kind, why, cause, at FROM"
        " (SELECT DISTINCT ON (account_id, driver, lower(token)) id AS number,"
        "   COALESCE(account_id, driver, token) AS id, CASE WHEN account_id IS NOT NULL"
        "     THEN 'account' WHEN driver IS NOT NULL THEN 'card' ELSE 'token' END AS kind,"
        "   blocked, why, cause, at FROM token_block"
        "   ORDER BY account_id, driver, lower(token), token_block.id DESC) last"
        " WHERE blocked AND number > %s ORDER BY number LIMIT %s",
        (after, limit),
    )
    return await cursor.fetchall()


async def set_block(
    conn: Conn,
    account_id: str | None,
    token: str | None,
    card: str | None = None,
    *,
    blocked: bool,
    why_text: str,
    cause: str,
    at: datetime,
) -> bool:
    """Block it, or lift its block; False where it is so already. A card is only asked for where
    there is no account, a token where there is no card either. Whoever asks has its turn, and takes
    no other after it: who charges, too, has had the driver's turn before."""
    where, value = _whose(account_id, token, card)
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 6))", (f"block/{where}/{value}",)
    )
    now = await why(conn, account_id, token, card)
    if (now is not None) == blocked and (not blocked or now in (why_text, Reason.BLOCKED)):
        return False
    card = None if account_id else card
    await conn.execute(
        "INSERT INTO token_block (account_id, token, driver, blocked, why, cause, at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (account_id, None if account_id or card else token, card, blocked, why_text, cause, at),
    )
    return True


async def card_of(conn: Conn, session_id: str) -> str | None:
    """The card of a session's guest, where it was held; None of an account's."""
    cursor = await conn.execute(
        "SELECT driver FROM payment WHERE session_id = %s AND leg = 'hold' AND account_id IS NULL"
        " ORDER BY number DESC LIMIT 1",
        (session_id,),
    )
    row = await cursor.fetchone()
    return row["driver"] if row else None


def _whose(account_id: str | None, token: str | None, card: str | None) -> tuple[str, str | None]:
    if account_id is not None:
        return "account_id = %s", account_id
    if card is not None:
        return "driver = %s", card
    return "lower(token) = lower(%s)", token
