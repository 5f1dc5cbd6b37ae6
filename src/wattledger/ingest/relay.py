"""What a CPMS behind the proxy has not been told yet, and transactions with two numbers.

Nothing here commits.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

Conn = AsyncConnection[dict[str, Any]]


class Named(msgspec.Struct, frozen=True):
    """A 1.6 transaction that not all call the same. ``cpms_ref`` None: the CPMS does not know of
    it, not yet or, when ``lost``, never."""

    charge_point_ref: int
    session_ref: int
    cpms_ref: int | None = None
    lost: bool = False


class Waiting(msgspec.Struct, frozen=True):
    """A frame for the CPMS, as it came. ``tries``: how often it was sent before."""

    id: int
    charge_point_id: str
    action: str
    transaction_ref: int | None
    raw: str
    tries: int


async def new_ref(conn: Conn) -> int:
    """A number for a transaction that starts while the CPMS is away."""
    cursor = await conn.execute("SELECT nextval('proxy_transaction_number') AS ref")
    row = await cursor.fetchone()
    assert row is not None, "a sequence always answers"
    return int(row["ref"])


async def name(conn: Conn, charge_point_id: str, named: Named, now: datetime) -> None:
    """From now on the charge point's number means this."""
    await conn.execute(
        "INSERT INTO proxy_transaction"
        " (charge_point_id, charge_point_ref, session_ref, cpms_ref, made_at)"
        " VALUES (%s, %s, %s, %s, %s)",
        (charge_point_id, named.charge_point_ref, named.session_ref, named.cpms_ref, now),
    )


async def plain(conn: Conn, charge_point_id: str, ref: int, now: datetime) -> None:
    """All call it ``ref``: where that was a name of another transaction it is none any more."""
    await conn.execute(
        "INSERT INTO proxy_transaction"
        " (charge_point_id, charge_point_ref, session_ref, cpms_ref, made_at)"
        " SELECT %(cp)s, %(ref)s, %(ref)s, %(ref)s, %(now)s WHERE EXISTS (SELECT FROM"
        " proxy_transaction WHERE charge_point_id = %(cp)s AND session_ref <> %(ref)s"
        " AND %(ref)s IN (charge_point_ref, cpms_ref))",
        {"cp": charge_point_id, "ref": ref, "now": now},
    )


async def names(conn: Conn, charge_point_id: str, since: datetime) -> list[Named]:
    """The names of a charge point's transactions that run, or ended after ``since``."""
    cursor = await conn.execute(
        "SELECT DISTINCT ON (charge_point_ref) charge_point_ref, session_ref, cpms_ref, lost"
        " FROM proxy_transaction WHERE charge_point_id = %s"
        " AND (ended_at IS NULL OR ended_at > %s) ORDER BY charge_point_ref, id DESC",
        (charge_point_id, since),
    )
    return [Named(**row) for row in await cursor.fetchall()]


async def called(
    conn: Conn, charge_point_id: str, charge_point_ref: int, cpms_ref: int | None
) -> None:
    """The CPMS's name of a transaction that began without it; None: it did not take it."""
    await conn.execute(
        "UPDATE proxy_transaction SET cpms_ref = %s, lost = %s"
        " WHERE charge_point_id = %s AND charge_point_ref = %s AND cpms_ref IS NULL",
        (cpms_ref, cpms_ref is None, charge_point_id, charge_point_ref),
    )


async def ended(conn: Conn, charge_point_id: str, charge_point_ref: int, now: datetime) -> None:
    """Its stop is in."""
    await conn.execute(
        "UPDATE proxy_transaction SET ended_at = %s"
        " WHERE charge_point_id = %s AND charge_point_ref = %s AND ended_at IS NULL",
        (now, charge_point_id, charge_point_ref),
    )


async def keep(
    conn: Conn,
    *,
    charge_point_id: str,
    action: str,
    transaction_ref: int | None,
    raw: str,
    key: str,
    now: datetime,
) -> bool:
    """Into the queue, at its end; False when it is or was there."""
    cursor = await conn.execute(
        "INSERT INTO proxy_call (charge_point_id, queued_at, action, transaction_ref, raw, dedupe)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (dedupe) DO NOTHING",
        (charge_point_id, now, action, transaction_ref, raw, key),
    )
    return cursor.rowcount == 1


async def ref_kept(conn: Conn, key: str) -> int | None:
    """The number that a start was answered with, if it stands in the queue or stood there."""
    cursor = await conn.execute("SELECT transaction_ref FROM proxy_call WHERE dedupe = %s", (key,))
    row = await cursor.fetchone()
    return int(row["transaction_ref"]) if row and row["transaction_ref"] is not None else None


async def head(conn: Conn, charge_point_id: str) -> Waiting | None:
    """What the CPMS has to be told next."""
    cursor = await conn.execute(
        "SELECT id, charge_point_id, action, transaction_ref, raw, tries FROM proxy_call"
        " WHERE charge_point_id = %s AND state = 'waiting' ORDER BY id LIMIT 1",
        (charge_point_id,),
    )
    row = await cursor.fetchone()
    return Waiting(**row) if row else None


async def trying(conn: Conn, call_id: int) -> None:
    """It is sent, once more."""
    await conn.execute("UPDATE proxy_call SET tries = tries + 1 WHERE id = %s", (call_id,))


async def settle(conn: Conn, call_id: int, state: str, answer: str | None, now: datetime) -> None:
    """``delivered``, or ``given_up``."""
    await conn.execute(
        "UPDATE proxy_call SET state = %s, answer = %s, settled_at = %s"
        " WHERE id = %s AND state = 'waiting'",
        (state, answer, now, call_id),
    )
