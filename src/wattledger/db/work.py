"""The unit of work: one step, one database transaction. Stores never commit, only Work does."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from wattledger.clock import Clock, require_utc

_TOLD_AFTER_S = 0.1

Checkpoint = Callable[[str], None]
"""Called with the name of each place where a process may die; does nothing in production."""


def no_checkpoint(name: str) -> None:
    """Nothing happens at ``name``: production."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What a step works with. psycopg itself refuses ``conn.commit()`` inside of it."""

    conn: psycopg.AsyncConnection[dict[str, Any]]
    now: datetime
    """Business time, read once: the same through the whole step."""
    step: str
    _checkpoint: Checkpoint
    _show: Callable[[], None] = lambda: None

    def seen(self) -> None:
        """Pages that are open show what this step does: they are told once it is done."""
        self._show()

    def checkpoint(self, name: str) -> None:
        """A place inside the step where a test may kill the process: ``<step>.<name>``."""
        self._checkpoint(f"{self.step}.{name}")

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """What happens inside is undone by an error that leaves the block; the step can go on."""
        async with self.conn.transaction():
            yield


class Work:
    """Opens the transactions of steps, over one pool and one clock."""

    def __init__(
        self,
        pool: AsyncConnectionPool[psycopg.AsyncConnection[dict[str, Any]]],
        clock: Clock,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> None:
        self.pool = pool
        self.clock = clock
        self._checkpoint = checkpoint
        self._telling: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def transaction(
        self, step: str, *, now: datetime | None = None
    ) -> AsyncIterator[Transaction]:
        """One database transaction: committed when the block ends, rolled back on any error.

        Checkpoints ``<step>.before_commit`` and ``<step>.after_commit`` are on either side of
        the COMMIT: what the block wrote is lost at the first and there at the second.
        """
        at = self.clock.now() if now is None else require_utc(now)
        shown: list[str] = []
        async with self.pool.connection() as conn:
            async with conn.transaction():
                yield Transaction(conn, at, step, self._checkpoint, partial(shown.append, step))
                self._checkpoint(f"{step}.before_commit")
            self._checkpoint(f"{step}.after_commit")
        if shown:
            self._tell_pages()

    @asynccontextmanager
    async def statement(self, step: str, *, now: datetime) -> AsyncIterator[Transaction]:
        """A transaction of one statement, which the database commits by itself: one round trip in
        place of three. The block runs that one, and nothing else.

        Both checkpoints are there: what the statement writes is lost at the first.
        """
        async with self.alone() as conn:
            self._checkpoint(f"{step}.before_commit")
            yield Transaction(conn, require_utc(now), step, self._checkpoint, self._tell_pages)
            self._checkpoint(f"{step}.after_commit")

    def _tell_pages(self) -> None:
        """Once for all that is done within a moment, and in no step: commits that notify stand in
        line, each behind the other's disk. What is lost here the pages find by themselves."""
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._soon())

    async def _soon(self) -> None:
        await asyncio.sleep(_TOLD_AFTER_S)
        with suppress(psycopg.Error, PoolClosed, PoolTimeout):
            async with self.alone() as conn:
                await conn.execute("SELECT pg_notify('wattledger_live', '')")

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[psycopg.AsyncConnection[dict[str, Any]]]:
        """A connection on which each statement is a transaction of its own: for what the worker
        asks and claims, which is no step."""
        async with self.pool.connection() as conn:
            await conn.set_autocommit(True)
            try:
                yield conn
            finally:
                try:
                    await conn.set_autocommit(False)
                except psycopg.Error:
                    await conn.close()  # broken, or still busy: nobody else may get it so


def kill_at(spec: str) -> Checkpoint:
    """``"start.before_commit:3"`` kills this process (SIGKILL) at the third such checkpoint.

    Without a number at the first. For tests of what a dead process leaves behind.
    """
    name, colon, number = spec.partition(":")
    if not name or (colon and not (number.isdecimal() and int(number) >= 1)):
        raise ValueError(f"got {spec!r}, expected a checkpoint such as start.before_commit:3")
    left = int(number) if colon else 1

    def checkpoint(reached: str) -> None:
        nonlocal left
        if reached == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return checkpoint
