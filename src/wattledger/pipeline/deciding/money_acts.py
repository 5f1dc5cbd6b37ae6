"""The audit record: whoever moves money by hand, or lets it move, stands here with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from wattledger.db.effects import Conn
from wattledger.db.work import Transaction

# Of the request at hand: what its act writes down beside its own detail.
_key: ContextVar[dict[str, Any]] = ContextVar("key")


class Done(msgspec.Struct, frozen=True):
    """What was done, as it was written down."""

    subject: str
    detail: dict[str, Any]


@contextmanager
def under_key(key: str, said: str) -> Iterator[None]:
    """What is recorded inside is recorded with the key it came under and the digest of what was
    asked; a key is an actor's own, and the database keeps it once."""
    before = _key.set({"key": key, "said": said})
    try:
        yield
    finally:
        _key.reset(before)


@contextmanager
def without_key() -> Iterator[None]:
    """What is recorded inside is not what was asked for: who asks again is not told that it is."""
    before = _key.set({})
    try:
        yield
    finally:
        _key.reset(before)


async def done(conn: Conn, actor: str, key: str) -> Done | None:
    """What the actor did under this key."""
    cursor = await conn.execute(
        "SELECT subject, detail FROM money_act WHERE actor = %s AND detail->>'key' = %s",
        (actor, key),
    )
    row = await cursor.fetchone()
    return Done(**row) if row else None


async def first(tx: Transaction, act: str, subject: str) -> dict[str, Any] | None:
    """The detail of the first time that this was done to it."""
    cursor = await tx.conn.execute(
        "SELECT detail FROM money_act WHERE act = %s AND subject = %s ORDER BY id LIMIT 1",
        (act, subject),
    )
    row = await cursor.fetchone()
    return dict(row["detail"]) if row else None


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
        (tx.now, actor, act, subject, reason, Jsonb({**(detail or {}), **_key.get({})})),
    )


async def count(tx: Transaction, act: str, subject: str, since: datetime | None = None) -> int:
    """How often this was done to it, ever or after ``since``."""
    cursor = await tx.conn.execute(
        "SELECT count(*) AS times FROM money_act WHERE act = %s AND subject = %s"
        " AND (%s::timestamptz IS NULL OR at > %s)",
        (act, subject, since, since),
    )
    row = await cursor.fetchone()
    return int(row["times"]) if row else 0
