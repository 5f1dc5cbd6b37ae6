"""Facts into a session that is known already, in one statement: what runs says most of what is
said. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import msgspec

from wattledger.sessions.events import Event
from wattledger.sessions.facts import Fact
from wattledger.sessions.store import Conn, SessionRow

FACTS_MAX = 4
"""More are not written so: every number of them is a statement of its own, which is prepared."""

CHANGES = (
    "connector_id", "state", "stopped_at", "ended_at", "meter_start_wh", "meter_stop_wh",
    "bill_due_at", "held_reason", "stop_provisional", "adjust_due_at", "discarded", "check_due_at",
    "check_why", "named",
)  # fmt: skip
"""What of a session can change. The rest of its row the database keeps as it was."""


class Known(msgspec.Struct, frozen=True):
    """A session as it was when it was last read. ``generation``, of a 2.x transaction only: its
    station may use the id again for another."""

    row: SessionRow
    generation: int | None = None


class KnownSessions:
    """Sessions by charge point and by what it calls the transaction, in memory: a hint only. The
    statement that uses one finds out whether it is still the one that is meant."""

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._known: dict[tuple[str, str], Known] = {}

    def get(self, charge_point_id: str, ref: str | int) -> Known | None:
        """The session that was meant last."""
        return self._known.get((charge_point_id, str(ref)))

    def note(self, known: Known) -> None:
        """One that was meant, and goes on."""
        row = known.row
        if row.transaction_ref is None:
            return
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[row.charge_point_id, row.transaction_ref] = known

    def forget(self, row: SessionRow) -> None:
        """It is another now, or over."""
        self._known.pop((row.charge_point_id, row.transaction_ref or ""), None)


async def add_running(
    conn: Conn, known: SessionRow, facts: Sequence[tuple[Fact, str]], *, received_at: datetime
) -> bool:
    """Facts of a session that runs, and that is called by its name. False, with nothing done, where
    it does not or is not, or anything else is to be done about it."""
    parameters: list[Any] = [known.id]
    _add(parameters, facts, received_at)
    cursor = await conn.execute(_running_sql(len(facts)), parameters)
    return await cursor.fetchone() is not None


async def add_facts(
    conn: Conn, known: SessionRow, facts: Sequence[tuple[Fact, str]], *, received_at: datetime
) -> tuple[SessionRow, int] | None:
    """The session, locked, as it stands, and how many facts were new. None, with nothing done,
    where it is not there or a later one is called the same.

    As with ``store.by_transaction``, its charge point has named it."""
    parameters: list[Any] = [known.id]
    _add(parameters, facts, received_at)
    cursor = await conn.execute(_facts_sql(len(facts)), parameters)
    found = _found(known, await cursor.fetchone())
    if found is not None and not found[0].named and found[0].state == "open":
        await conn.execute("UPDATE session SET named = true WHERE id = %s", (known.id,))
    return found


async def add_event(
    conn: Conn,
    known: Known,
    event: Event,
    key: str,
    facts: Sequence[tuple[Fact, str]],
    *,
    offline: bool,
    trigger_reason: str,
) -> tuple[SessionRow, int] | None:
    """The same with the 2.x event that says them; its payload is not kept. None, with nothing done,
    where the event is there already, or may be of a later transaction with the same id."""
    parameters: list[Any] = [
        known.row.id, known.generation, event.seq_no, event.event_type, event.at,
        event.received_at, offline, trigger_reason, key, known.generation,
    ]  # fmt: skip
    _add(parameters, facts, event.received_at)
    cursor = await conn.execute(_event_sql(len(facts)), parameters)
    return _found(known.row, await cursor.fetchone())


def _add(parameters: list[Any], facts: Sequence[tuple[Fact, str]], received_at: datetime) -> None:
    if facts:
        parameters.append(received_at)
    for fact, key in facts:
        parameters += (
            fact.kind, fact.at, fact.register_wh, fact.activity, fact.origin, fact.power_mw,
            fact.unit, key,
        )  # fmt: skip


def _found(known: SessionRow, row: dict[str, Any] | None) -> tuple[SessionRow, int] | None:
    if row is None:
        return None
    added = row.pop("added")
    return msgspec.structs.replace(known, **row), added


_LOCKED = f"""
    WITH s AS (
        SELECT id, charge_point_id, transaction_ref, transaction_id, {", ".join(CHANGES)}
          FROM session WHERE id = %s FOR UPDATE
    )"""
_MEANT = """, m AS (
        SELECT s.id FROM s WHERE NOT EXISTS (
            SELECT FROM session AS later WHERE later.charge_point_id = s.charge_point_id
               AND later.transaction_ref = s.transaction_ref
               AND later.transaction_id > s.transaction_id)
    )"""
_EVENT = """, m AS (
        INSERT INTO transaction_event (charge_point_id, transaction_ref, generation, seq_no,
            event_type, at, received_at, offline, trigger_reason, dedupe)
        SELECT s.charge_point_id, s.transaction_ref, %s::integer, %s::bigint, %s::text,
            %s::timestamptz, %s::timestamptz, %s::boolean, %s::text, %s::text
          FROM s WHERE NOT EXISTS (
            SELECT FROM transaction_event AS later WHERE later.charge_point_id = s.charge_point_id
               AND later.transaction_ref = s.transaction_ref AND later.generation > %s::integer)
        ON CONFLICT (dedupe) DO NOTHING RETURNING 1
    )"""
_VALUES = (
    "(%s::text, %s::timestamptz, %s::bigint, %s::text, %s::text, %s::bigint, %s::text, %s::text)"
)


def _written(count: int) -> str:
    """The facts, each once, where the session is the one that is meant."""
    if not count:
        return ""
    return f""", f AS (
        INSERT INTO session_fact (session_id, kind, at, received_at, register_wh, activity, origin,
            power_mw, unit, detail, dedupe)
        SELECT s.id, v.kind, v.at, %s::timestamptz, v.register_wh, v.activity, v.origin,
            v.power_mw, v.unit, '{{}}', v.dedupe
          FROM s, m, (VALUES {", ".join([_VALUES] * count)})
            AS v (kind, at, register_wh, activity, origin, power_mw, unit, dedupe)
        ON CONFLICT (dedupe) DO NOTHING RETURNING 1
    )"""


def _read(count: int) -> str:
    added = "(SELECT count(*) FROM f)" if count else "0"
    return f" SELECT {', '.join(f's.{name}' for name in CHANGES)}, {added} AS added FROM s, m"


@cache
def _facts_sql(count: int) -> bytes:
    return f"{_LOCKED}{_MEANT}{_written(count)}{_read(count)}".encode()


@cache
def _running_sql(count: int) -> bytes:
    meant = _MEANT.replace("WHERE NOT EXISTS", "WHERE s.state = 'open' AND s.named AND NOT EXISTS")
    return f"{_LOCKED}{meant}{_written(count)} SELECT FROM m".encode()


@cache
def _event_sql(count: int) -> bytes:
    return f"{_LOCKED}{_EVENT}{_written(count)}{_read(count)}".encode()
