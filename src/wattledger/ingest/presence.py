"""Which charge points are here, and their heartbeats: noted in memory, written in batches.

What a charge point says of itself here is no fact of billing. A second's worth is written in one
statement, so that 5,000 charge points that come back at once cost a few statements and a
heartbeat none. A process that is killed loses the last second; its gateway, started again, says
that its charge points are gone until they come back.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, Error
from psycopg_pool import AsyncConnectionPool

log = logging.getLogger(__name__)

EVERY_S = 1.0

Conn = AsyncConnection[dict[str, Any]]


@dataclass(slots=True)
class Note:
    """What is new of one charge point since the last batch. None: nothing."""

    heard_at: datetime
    connected: bool | None = None
    connected_at: datetime | None = None
    protocol: str | None = None
    vendor: str | None = None
    model: str | None = None
    heartbeats: int = 0
    heartbeat_at: datetime | None = None


class Presence:
    """Notes of one gateway, by charge point. ``gateway`` is its name, the same after a restart."""

    def __init__(self, pool: AsyncConnectionPool[Conn], gateway: str) -> None:
        self._pool = pool
        self._gateway = gateway
        self._notes: dict[str, Note] = {}
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._flushing = asyncio.Lock()

    async def begin(self) -> None:
        """Whoever was connected when this gateway's process ended is not any more."""
        async with self._pool.connection() as conn:
            await conn.execute(
                "UPDATE charge_point_state SET connected = false WHERE gateway = %s AND connected",
                (self._gateway,),
            )
        self._task = asyncio.create_task(self._run(), name="presence")

    async def end(self) -> None:
        """Write what is left."""
        self._closing.set()
        if self._task is not None:
            await self._task

    def came(self, charge_point_id: str, protocol: str, now: datetime) -> None:
        """Connected."""
        note = self._note(charge_point_id, now)
        note.connected, note.connected_at, note.protocol = True, now, protocol

    def went(self, charge_point_id: str, now: datetime) -> None:
        """Gone."""
        self._note(charge_point_id, now).connected = False

    def booted(self, charge_point_id: str, vendor: str, model: str, now: datetime) -> None:
        """What it said it is."""
        note = self._note(charge_point_id, now)
        note.vendor, note.model = vendor, model

    def beat(self, charge_point_id: str, now: datetime) -> None:
        """A heartbeat."""
        note = self._note(charge_point_id, now)
        note.heartbeats += 1
        note.heartbeat_at = now

    def _note(self, charge_point_id: str, now: datetime) -> Note:
        note = self._notes.get(charge_point_id)
        if note is None:
            note = self._notes[charge_point_id] = Note(now)
        note.heard_at = now
        return note

    async def _run(self) -> None:
        while not self._closing.is_set():
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._closing.wait()
            except TimeoutError:
                pass
            await self.flush()

    async def flush(self) -> None:
        """Write what is noted, and what another flush has in hand; what can't be written is kept
        for the next time."""
        async with self._flushing:
            notes, self._notes = self._notes, {}
            if not notes:
                return
            try:
                async with self._pool.connection() as conn:
                    # Always in the same order: two gateways can't wait for each other.
                    await _write(conn, self._gateway, dict(sorted(notes.items())))
            except Error as error:
                log.warning("who is connected could not be stored: %s", error)
                self._notes = _merged(notes, self._notes)


def _merged(older: dict[str, Note], newer: dict[str, Note]) -> dict[str, Note]:
    for charge_point_id, note in newer.items():
        before = older.get(charge_point_id)
        if before is not None:
            note.heartbeats += before.heartbeats
            for name in ("connected", "connected_at", "protocol", "vendor", "model",
                         "heartbeat_at"):  # fmt: skip
                if getattr(note, name) is None:
                    setattr(note, name, getattr(before, name))
    return older | newer


async def _write(conn: Conn, gateway: str, notes: dict[str, Note]) -> None:
    columns: list[list[Any]] = [list(notes)]
    for name in ("heard_at", "connected", "connected_at", "protocol", "vendor", "model",
                 "heartbeats", "heartbeat_at"):  # fmt: skip
        columns.append([getattr(note, name) for note in notes.values()])
    await conn.execute(_SQL, (gateway, *columns, gateway))


# Gone is said of our own connection only: it may have come back at another gateway.
_SQL = """
    INSERT INTO charge_point_state AS s (charge_point_id, heard_at, connected, connected_at,
        protocol, vendor, model, heartbeats, heartbeat_at, gateway)
    SELECT n.id, n.heard_at, coalesce(n.connected, true), n.connected_at, n.protocol, n.vendor,
        n.model, n.heartbeats, n.heartbeat_at, %s
      FROM unnest(%s::text[], %s::timestamptz[], %s::boolean[], %s::timestamptz[], %s::text[],
                  %s::text[], %s::text[], %s::bigint[], %s::timestamptz[])
        AS n (id, heard_at, connected, connected_at, protocol, vendor, model, heartbeats,
              heartbeat_at)
    ON CONFLICT (charge_point_id) DO UPDATE SET
        heard_at = GREATEST(s.heard_at, EXCLUDED.heard_at),
        connected = CASE WHEN EXCLUDED.connected THEN true
                         WHEN s.gateway IS NULL OR s.gateway = %s THEN false
                         ELSE s.connected END,
        gateway = CASE WHEN EXCLUDED.connected THEN EXCLUDED.gateway ELSE s.gateway END,
        connected_at = coalesce(EXCLUDED.connected_at, s.connected_at),
        protocol = coalesce(EXCLUDED.protocol, s.protocol),
        vendor = coalesce(EXCLUDED.vendor, s.vendor),
        model = coalesce(EXCLUDED.model, s.model),
        heartbeats = s.heartbeats + EXCLUDED.heartbeats,
        heartbeat_at = coalesce(EXCLUDED.heartbeat_at, s.heartbeat_at)
"""
