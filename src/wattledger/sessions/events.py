"""The events of 2.x transactions in the database. Nothing here commits."""

from __future__ import annotations

from datetime import datetime

import msgspec

from wattledger.sessions.store import Conn


class Event(msgspec.Struct, frozen=True):
    """An event as it stands. ``payload`` is there while its session was not known."""

    seq_no: int
    event_type: str
    at: datetime
    received_at: datetime
    payload: str | None


async def add(
    conn: Conn,
    *,
    charge_point_id: str,
    transaction_ref: str,
    generation: int,
    event: Event,
    offline: bool,
    trigger_reason: str,
    key: str,
) -> bool:
    """False when it is there already: the same content, however often it is sent."""
    cursor = await conn.execute(
        "INSERT INTO transaction_event (charge_point_id, transaction_ref, generation, seq_no,"
        " event_type, at, received_at, offline, trigger_reason, payload, dedupe)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (dedupe) DO NOTHING",
        (
            charge_point_id, transaction_ref, generation, event.seq_no, event.event_type, event.at,
            event.received_at, offline, trigger_reason, event.payload, key,
        ),
    )  # fmt: skip
    return cursor.rowcount == 1


async def of(
    conn: Conn, charge_point_id: str, transaction_ref: str, generation: int
) -> list[Event]:
    """All events of a transaction, by number and then as they came."""
    cursor = await conn.execute(
        "SELECT seq_no, event_type, at, received_at, payload FROM transaction_event"
        " WHERE charge_point_id = %s AND transaction_ref = %s AND generation = %s"
        " ORDER BY seq_no, id",
        (charge_point_id, transaction_ref, generation),
    )
    return [Event(**row) for row in await cursor.fetchall()]


async def generation_of(conn: Conn, key: str) -> int | None:
    """Of which transaction an event is that is there already."""
    cursor = await conn.execute(
        "SELECT generation FROM transaction_event WHERE dedupe = %s", (key,)
    )
    row = await cursor.fetchone()
    return row["generation"] if row else None


async def latest(conn: Conn, charge_point_id: str, transaction_ref: str) -> int | None:
    """The generation of the latest transaction that a station gave this id."""
    cursor = await conn.execute(
        "SELECT max(generation) AS generation FROM transaction_event"
        " WHERE charge_point_id = %s AND transaction_ref = %s",
        (charge_point_id, transaction_ref),
    )
    row = await cursor.fetchone()
    found: int | None = row["generation"] if row else None
    return found


async def started_at(
    conn: Conn, charge_point_id: str, transaction_ref: str, generation: int
) -> datetime | None:
    """When a transaction was said to start, if it was."""
    cursor = await conn.execute(
        "SELECT max(at) AS at FROM transaction_event WHERE charge_point_id = %s"
        " AND transaction_ref = %s AND generation = %s AND event_type = 'Started'",
        (charge_point_id, transaction_ref, generation),
    )
    row = await cursor.fetchone()
    found: datetime | None = row["at"] if row else None
    return found


class Waiting(msgspec.Struct, frozen=True):
    """A transaction without a session, as yet: what is missing of it is waited for until then."""

    session_id: str
    charge_point_id: str
    transaction_ref: str
    generation: int
    version: str
    due_at: datetime


async def wait(conn: Conn, waiting: Waiting) -> None:
    """Wait for what is missing of a transaction; of one that waits already, until then."""
    await conn.execute(
        "INSERT INTO transaction_wait (session_id, charge_point_id, transaction_ref, generation,"
        " version, due_at) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (session_id) DO UPDATE SET due_at = EXCLUDED.due_at",
        (
            waiting.session_id, waiting.charge_point_id, waiting.transaction_ref,
            waiting.generation, waiting.version, waiting.due_at,
        ),
    )  # fmt: skip


async def waiting(conn: Conn, session_id: str) -> Waiting | None:
    """The transaction that waits to become this session."""
    cursor = await conn.execute(
        "SELECT session_id, charge_point_id, transaction_ref, generation, version, due_at"
        " FROM transaction_wait WHERE session_id = %s",
        (session_id,),
    )
    row = await cursor.fetchone()
    return Waiting(**row) if row else None


async def wait_no_more(conn: Conn, session_id: str) -> None:
    """It has been opened, or there is nothing to open."""
    await conn.execute("DELETE FROM transaction_wait WHERE session_id = %s", (session_id,))


async def wait_until(conn: Conn, session_id: str, due_at: datetime) -> None:
    """What waits goes on then."""
    await conn.execute(
        "UPDATE transaction_wait SET due_at = %s WHERE session_id = %s", (due_at, session_id)
    )


def gaps(numbers: set[int]) -> list[int]:
    """The numbers that are missing between the first and the last; at most the first hundred. A
    station that does not count (all the same number) has none."""
    if not numbers:
        return []
    missing: list[int] = []
    for number in range(min(numbers), max(numbers)):
        if number not in numbers:
            missing.append(number)
            if len(missing) == 100:
                break
    return missing
