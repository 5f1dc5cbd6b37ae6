"""The inbox: a fact from outside counts once, and its raw bytes stay."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from wattledger.errors import Conflict
from wattledger.ids import content_digest

Conn = AsyncConnection[dict[str, Any]]


class Received(msgspec.Struct, frozen=True):
    """An inbox row: ``new`` says whether this delivery was the first."""

    id: int
    new: bool
    handled: bool
    answer: Any


async def receive(
    conn: Conn,
    *,
    source: str,
    external_id: str,
    body: bytes,
    received_at: datetime,
    only_a_hint: bool = False,
    answer: Any = None,
) -> Received:
    """Store a fact under its sender's id.

    With ``answer`` a new one is stored as handled: the work is done in this very transaction.

    Raises Conflict when the same id came before with another content: neither is guessed right.
    ``only_a_hint``: the content decides nothing, so the first one is kept and no other minded.
    """
    digest = content_digest(body)
    cursor = await conn.execute(
        "INSERT INTO inbox (source, external_id, received_at, body, digest, handled_at, answer)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (source, external_id) DO NOTHING RETURNING id",
        (
            source, external_id, received_at, body, digest,
            None if answer is None else received_at, None if answer is None else Jsonb(answer),
        ),
    )  # fmt: skip
    row = await cursor.fetchone()
    if row is not None:
        return Received(row["id"], new=True, handled=answer is not None, answer=answer)
    cursor = await conn.execute(
        "SELECT id, digest, handled_at, answer FROM inbox"
        " WHERE source = %s AND external_id = %s FOR UPDATE",
        (source, external_id),
    )
    known = await cursor.fetchone()
    assert known is not None, "the unique key just said that it is there"
    if known["digest"] != digest and not only_a_hint:
        raise AnotherContent(source, external_id)
    return Received(
        known["id"], new=False, handled=known["handled_at"] is not None, answer=known["answer"]
    )


class AnotherContent(Conflict):
    """The same id came before with another content: the first one counts."""

    def __init__(self, source: str, external_id: str) -> None:
        super().__init__(
            f"{source}: {external_id!r} came before with another content; the first one counts, and"
            " a person can correct what it became. What is another record needs another id"
        )


async def known(conn: Conn, source: str, external_ids: list[str]) -> dict[str, tuple[str, Any]]:
    """Of these the ones that were handled: the digest of what came, and what was answered."""
    cursor = await conn.execute(
        "SELECT external_id, digest, answer FROM inbox"
        " WHERE source = %s AND external_id = ANY(%s) AND handled_at IS NOT NULL",
        (source, external_ids),
    )
    return {row["external_id"]: (row["digest"], row["answer"]) for row in await cursor.fetchall()}


async def handled(conn: Conn, inbox_id: int, now: datetime, answer: Any = None) -> None:
    """The work is done, in this very transaction."""
    await conn.execute(
        "UPDATE inbox SET handled_at = %s, answer = %s, error = NULL WHERE id = %s",
        (now, Jsonb(answer) if answer is not None else None, inbox_id),
    )
