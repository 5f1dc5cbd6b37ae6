"""The frame journal: raw OCPP frames, and the decisions of Authorize, committed in COPY batches.

``put`` with ``wait`` returns when the batch that holds the frame is committed: a charge point
gets its answer to Start, Stop and MeterValues after that and not before. Others do not wait.
One task writes; while it commits, the next batch fills, so the batch grows with the load.

What nobody waits for is written within ``LINGER_S`` and at the end; a process that is killed
loses that much of it, and while the database is away it is kept here, up to ``HELD_MAX_BYTES``.
Then ``put`` waits for room, with or without ``wait``: charge points are read no further.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from psycopg import AsyncConnection, OperationalError
from psycopg_pool import AsyncConnectionPool

from wattledger.contract import Decision

log = logging.getLogger(__name__)

BATCH_MAX = 5_000
LINGER_S = 0.25
HELD_MAX_BYTES = 64 * 1024 * 1024
# At the end, with the database away: longer than this nobody who stops a process waits.
CLOSE_WITHIN_S = 10.0
_RETRY_S = 0.5
_ROW_BYTES = 150  # what a row takes beside its text

_NEVER = datetime(1, 1, 1, tzinfo=UTC)

Conn = AsyncConnection[dict[str, Any]]

_FRAMES = b"COPY frame (charge_point_id, connection_id, received_at, direction, raw) FROM STDIN"
_DECISIONS = (
    b"COPY decision (decided_at, kind, charge_point_id, token, accepted, reason, inputs) FROM STDIN"
)


class RawFrame(NamedTuple):
    """A frame as it was on the wire. ``direction``: 'in' from the charge point, 'out' to it."""

    charge_point_id: str
    connection_id: str
    received_at: datetime
    direction: str
    raw: str


class Journal:
    """Collects frames and decisions of one process and commits them in batches."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Conn],
        retention_days: int = 90,
        held_max_bytes: int = HELD_MAX_BYTES,
    ) -> None:
        self._pool = pool
        self._retention = timedelta(days=retention_days)
        self._held_max = held_max_bytes
        self._held = 0
        # Rows as COPY wants them. The n-th frame is committed when ``_written`` reaches n.
        self._frames: deque[str] = deque()
        self._decisions: deque[str] = deque()
        self._taken = self._written = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self.full = False
        """Whether ``put`` would have to wait for room."""
        self._room = asyncio.Event()
        self._room.set()
        self._second, self._second_text = _NEVER, ""
        self._at: datetime | None = None
        self._at_text = ""
        self._days: set[date] = set()
        self._new_days: set[date] = set()
        self._task: asyncio.Task[None] | None = None
        self._closing = self._ended = False

    async def __aenter__(self) -> Journal:
        self._task = asyncio.create_task(self._run(), name="frame journal")
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._closing = True
        self._wake.set()
        self._hurry.set()
        if self._task is None:
            return
        done, _pending = await asyncio.wait([self._task], timeout=CLOSE_WITHIN_S)
        if not done:
            self._task.cancel()
            await asyncio.wait([self._task])
            log.error("%d frames and %d decisions could not be written", len(self._frames),
                      len(self._decisions))  # fmt: skip
        self._ended = True
        self._room.set()
        for _, waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(ConnectionError("the frame was not written"))
        await asyncio.gather(*done)

    async def put(self, frame: RawFrame, *, wait: bool) -> None:
        """Take a frame; with ``wait``, return when it is committed."""
        if self.full:
            await self._room_to_be()
        if wait:
            await self.committed(frame)
        else:
            self.take(frame)

    async def room(self) -> None:
        """Return when it is not ``full``."""
        await self._room.wait()

    def committed(self, frame: RawFrame) -> asyncio.Future[None]:
        """Take a frame at once; the future is done when it is committed. As with ``take``, whoever
        uses this looks at ``full`` before."""
        self.take(frame)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._taken, waiter))
        self._hurry.set()
        return waiter

    async def _room_to_be(self) -> None:
        await self._room.wait()
        if self._ended:
            raise ConnectionError("the journal has ended, and its database is away")

    def take(self, frame: RawFrame) -> None:
        """Take a frame at once. Whoever uses this looks at ``full`` before."""
        charge_point_id, connection_id, at, direction, raw = frame
        when = self._when(at)
        parts = (_text(charge_point_id), _text(connection_id), when, direction, _text(raw))
        self._taken += 1
        self._add(self._frames, "\t".join(parts))

    async def put_decision(self, decision: Decision, charge_point_id: str, kind: str) -> None:
        """Take the record of a decision: what was asked, what was known, what came out."""
        if self.full:
            await self._room_to_be()
        inputs = msgspec.json.encode(decision).decode()
        if "\\u0000" in inputs:  # jsonb can't hold it
            inputs = inputs.replace("\\u0000", "\\u2400")
        parts = (
            self._when(decision.decided_at), kind, _text(charge_point_id), _text(decision.token),
            "t" if decision.accepted else "f", decision.reason, _text(inputs),
        )  # fmt: skip
        self._add(self._decisions, "\t".join(parts))

    def _when(self, at: datetime) -> str:
        """As text; a frame and its answer often have the same time. Sees to the day's partition."""
        if at is not self._at:
            self._at = at
            since = at - self._second
            if since.days or since.seconds:
                self._second = at.astimezone(UTC).replace(microsecond=0)
                self._second_text = f"{self._second:%Y-%m-%d %H:%M:%S}"
                since = at - self._second
                day = self._second.date()
                if day not in self._days:
                    self._new_days.add(day)
            self._at_text = f"{self._second_text}.{since.microseconds:06}+00"
        return self._at_text

    def _add(self, rows: deque[str], row: str) -> None:
        rows.append(row)
        self._held += len(row) + _ROW_BYTES
        if self._held > self._held_max:
            self.full = True
            self._room.clear()
            self._hurry.set()
        if not self._wake.is_set():
            self._wake.set()

    async def _run(self) -> None:
        while True:
            if not self._frames and not self._decisions:
                if self._closing:
                    return
                await self._wake.wait()
            self._wake.clear()
            await self._linger()
            frames = list(islice(self._frames, BATCH_MAX))
            decisions = list(islice(self._decisions, BATCH_MAX))
            try:
                await self._write(frames, decisions)
            except OperationalError:
                # The rows stay and nobody is answered: charge points repeat themselves, and what
                # waits here is written when the database is back.
                log.exception("frames can't be written, trying again")
                await asyncio.sleep(_RETRY_S)
                continue
            except Exception:
                # One row that the database can't hold must not hold up the others.
                log.exception("a batch of frames is written one by one")
                await self._one_by_one(frames, decisions)
            self._done(frames, decisions)

    async def _linger(self) -> None:
        """Let the batch grow, unless somebody waits for it."""
        if not (self._waiting or self._closing or self.full):
            self._hurry.clear()
            timer = asyncio.get_running_loop().call_later(LINGER_S, self._hurry.set)
            await self._hurry.wait()
            timer.cancel()

    def _done(self, frames: list[str], decisions: list[str]) -> None:
        for rows, done in ((self._frames, frames), (self._decisions, decisions)):
            for row in done:
                rows.popleft()
                self._held -= len(row) + _ROW_BYTES
        self._written += len(frames)
        if self._held <= self._held_max:
            self.full = False
            self._room.set()
        while self._waiting and self._waiting[0][0] <= self._written:
            waiter = self._waiting.popleft()[1]
            if not waiter.done():
                waiter.set_result(None)

    async def _one_by_one(self, frames: list[str], decisions: list[str]) -> None:
        waiting = dict(self._waiting)
        for number, row in enumerate(frames, self._written + 1):
            error = await self._alone([row], [])
            waiter = waiting.get(number)
            if error is not None and waiter is not None and not waiter.done():
                waiter.set_exception(error)
        for row in decisions:
            await self._alone([], [row])

    async def _alone(self, frames: list[str], decisions: list[str]) -> Exception | None:
        """Write a single row; what the database has against it."""
        while True:
            try:
                await self._write(frames, decisions)
            except OperationalError:
                log.exception("a frame can't be written, trying again")
                await asyncio.sleep(_RETRY_S)
            except Exception as error:
                log.exception("not journalled: %r", (frames + decisions)[0][:120])
                return error
            else:
                return None

    async def _write(self, frames: list[str], decisions: list[str]) -> None:
        new_days = set(self._new_days)
        async with self._pool.connection() as conn:
            for day in sorted(new_days):
                await conn.execute("SELECT ensure_frame_day(%s)", (day,))
                await conn.execute("SELECT drop_frames_before(%s)", (day - self._retention,))
            await _copy(conn, _FRAMES, frames)
            await _copy(conn, _DECISIONS, decisions)
        self._days |= new_days
        self._new_days -= new_days


async def _copy(conn: Conn, statement: bytes, rows: list[str]) -> None:
    if rows:
        async with conn.cursor() as cursor, cursor.copy(statement) as copy:
            text = "\n".join(rows) + "\n"
            await copy.write(text.encode("utf-8", "backslashreplace"))


def _text(value: str) -> str:
    """A value of COPY's text format. PostgreSQL text can't hold NUL; a frame with one is not JSON
    anyway."""
    if "\0" in value:
        value = value.replace("\0", "\N{SYMBOL FOR NULL}")
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if "\t" in value:
        value = value.replace("\t", "\\t")
    if "\n" in value:
        value = value.replace("\n", "\\n")
    if "\r" in value:
        value = value.replace("\r", "\\r")
    return value
