"""The frame journal: raw OCPP frames, committed in COPY batches.

``put`` with ``wait`` returns when the batch that holds the frame is committed: a charge point
gets its answer to Start, Stop and MeterValues after that and not before. Others do not wait.
One task writes; while it commits, the next batch fills, so the batch grows with the load.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from psycopg import AsyncConnection, OperationalError
from psycopg_pool import AsyncConnectionPool

log = logging.getLogger(__name__)

BATCH_MAX = 2_000
_RETRY_S = 0.5


class RawFrame(NamedTuple):
    """A frame as it was on the wire. ``direction``: 'in' from the charge point, 'out' to it."""

    charge_point_id: str
    connection_id: str
    received_at: datetime
    direction: str
    raw: str


class Journal:
    """Collects frames of one process and commits them in batches."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[dict[str, Any]]],
        retention_days: int = 90,
    ) -> None:
        self._pool = pool
        self._retention = timedelta(days=retention_days)
        self._waiting: list[tuple[RawFrame, asyncio.Future[None] | None]] = []
        self._wake = asyncio.Event()
        self._days: set[date] = set()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def __aenter__(self) -> Journal:
        self._task = asyncio.create_task(self._run(), name="frame journal")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._wake.set()
        if self._task:
            await self._task

    async def put(self, frame: RawFrame, *, wait: bool) -> None:
        """Take a frame; with ``wait``, return when it is committed."""
        done = asyncio.get_running_loop().create_future() if wait else None
        self._waiting.append((frame, done))
        self._wake.set()
        if done is not None:
            await done

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch = self._waiting[:BATCH_MAX]
                try:
                    await self._write([frame for frame, _ in batch])
                except OperationalError:
                    # The frames stay and nobody is answered: charge points repeat themselves,
                    # and what waits here is written when the database is back.
                    log.exception("frames can't be written, trying again")
                    await asyncio.sleep(_RETRY_S)
                    continue
                except Exception:
                    # One frame that the database can't hold must not hold up the others.
                    log.exception("a batch of frames is written one by one")
                    await self._one_by_one(batch)
                del self._waiting[: len(batch)]
                for _, done in batch:
                    if done is not None and not done.done():
                        done.set_result(None)
            if self._closing:
                return

    async def _one_by_one(self, batch: list[tuple[RawFrame, asyncio.Future[None] | None]]) -> None:
        for frame, done in batch:
            try:
                await self._write([frame])
            except Exception as error:
                log.exception("a frame of %s is not journalled", frame.charge_point_id)
                if done is not None and not done.done():
                    done.set_exception(error)

    async def _write(self, frames: Iterable[RawFrame]) -> None:
        rows = list(frames)
        new_days = {row.received_at.date() for row in rows} - self._days
        async with self._pool.connection() as conn:
            for day in sorted(new_days):
                await conn.execute("SELECT ensure_frame_day(%s)", (day,))
                await conn.execute("SELECT drop_frames_before(%s)", (day - self._retention,))
            async with (
                conn.cursor() as cursor,
                cursor.copy(
                    "COPY frame (charge_point_id, connection_id, received_at, direction, raw)"
                    " FROM STDIN"
                ) as copy,
            ):
                for row in rows:
                    # PostgreSQL text can't hold NUL; a frame with one is not JSON anyway.
                    await copy.write_row((*row[:4], row.raw.replace("\0", "\N{SYMBOL FOR NULL}")))
        self._days |= new_days
