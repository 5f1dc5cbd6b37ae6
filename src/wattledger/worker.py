"""The worker: claims what is due, calls the world outside, and takes the outcomes in.

In production it runs for ever, woken by the database and by a slow poll. With a driven clock
it runs only when the clock is moved, so that business time stands still until all work that is
due at it is done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, Protocol

import psycopg
from psycopg import AsyncConnection

from wattledger.db import effects
from wattledger.db.effects import Effect, NotSent, Outcome, Unknown
from wattledger.db.work import Checkpoint
from wattledger.errors import Conflict, ExternalFault
from wattledger.pipeline import outcomes
from wattledger.pipeline.agenda import Agenda, agenda
from wattledger.pipeline.bill import bill, hold_failed
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions

log = logging.getLogger(__name__)

BATCH_MAX = 32
LEASE_S = 60
POLL_S = 1.0
_NAP_S = 0.01


class Gate(Protocol):
    """What calls one other side: a processor account, a webhook target, the charge points."""

    async def call(self, effect: Effect) -> Outcome:
        """Do it once."""
        ...

    async def resolve(self, effect: Effect) -> Outcome:
        """Find out what became of a call without an answer."""
        ...


class Gates(Protocol):
    """Which gate an effect goes through, and which lanes only this process can serve."""

    kinds: list[str]

    async def gate(self, effect: Effect) -> Gate | None:
        """None: there is no such gate any more (a removed target)."""
        ...

    def lanes(self) -> list[str]:
        """Lanes of the charge points connected here."""
        ...


class Worker:
    """One per process, alive as long as a connection of its own holds its advisory lock."""

    def __init__(
        self,
        world: World,
        gates: Gates,
        connect: Callable[[], Awaitable[AsyncConnection[dict[str, Any]]]],
        checkpoint: Checkpoint,
    ) -> None:
        self._world = world
        self._gates = gates
        self._connect = connect
        self._liveness: AsyncConnection[dict[str, Any]] | None = None
        self._checkpoint = checkpoint
        self._number = 0
        self.wake = asyncio.Event()

    async def begin(self) -> None:
        """Draw a number and hold its lock: while the lock is held, this worker lives."""
        await self.end()
        self._liveness = await self._connect()
        cursor = await self._liveness.execute("SELECT nextval('worker_number')::integer AS number")
        row = await cursor.fetchone()
        assert row is not None
        self._number = row["number"]
        await self._liveness.execute(
            "SELECT pg_advisory_lock(%s, %s)", (effects.LIVENESS, self._number)
        )

    async def end(self) -> None:
        """Let go of the lock: what is claimed is anybody's to resolve."""
        if self._liveness is not None:
            await self._liveness.close()
            self._liveness = None

    async def run(self) -> None:
        """For ever: what is due, then wait to be woken or for the poll."""
        while True:
            self.wake.clear()
            try:
                done = await self.round()
            except Exception:
                # The database is away, or a bug: either way the work stays in its tables.
                log.exception("a round of the worker failed; the next is in %s s", POLL_S)
                await asyncio.sleep(POLL_S)
                continue
            if not done:
                try:
                    await asyncio.wait_for(self.wake.wait(), POLL_S)
                except TimeoutError:
                    continue

    async def drain(self, give_up_s: float) -> int:
        """Work until nothing is due at the present business time; how much was done.

        Raises ExternalFault, saying what waits for what, when something due can't be done in
        ``give_up_s``.
        """
        total = 0
        give_up_at = asyncio.get_running_loop().time() + give_up_s
        while True:
            total += await self.round()
            if not (await self.agenda()).due:
                return total
            if asyncio.get_running_loop().time() > give_up_at:
                raise ExternalFault(f"work due can't be done: {await self._stuck()}")
            await asyncio.sleep(_NAP_S)

    async def _stuck(self) -> str:
        async with self._world.work.pool.connection() as conn:
            cursor = await conn.execute(
                "SELECT kind, state, tries, response->>'why' AS why FROM effect"
                " WHERE state NOT IN ('done', 'rejected') AND due_at <= %s ORDER BY id LIMIT 3",
                (self._world.now,),
            )
            rows = await cursor.fetchall()
        return "; ".join(
            f"{r['kind']} is {r['state']} after {r['tries']} tries ({r['why']})" for r in rows
        )

    async def agenda(self) -> Agenda:
        """What is due now and next."""
        async with self._world.work.pool.connection() as conn:
            return await agenda(conn, self._world.now, self._gates.lanes())

    async def round(self) -> int:
        """Everything that is due and free to be done, until there is nothing more."""
        total = 0
        while True:
            done = await self._bills() + await self._effects()
            if not done:
                return total
            total += done

    async def _bills(self) -> int:
        async with self._world.work.pool.connection() as conn:
            due = await sessions.due(conn, self._world.now, BATCH_MAX)
        return sum(await _all(self._bill(session_id) for session_id in due))

    async def _bill(self, session_id: str) -> None:
        try:
            await bill(self._world, session_id)
        except psycopg.OperationalError:
            raise  # the database's trouble, not the session's: it stays due
        except Exception as error:
            log.exception("%s can't be billed", session_id)
            await hold_failed(self._world, session_id, f"{type(error).__name__}: {error}")

    async def _effects(self) -> int:
        async with self._world.work.pool.connection() as conn:
            alive = await effects.lives(conn, self._number)
        if not alive:
            # The database was away, and our lock went with its session: others take us for dead.
            await self.begin()
        async with self._world.work.pool.connection() as conn:
            await effects.expire_claims(conn, self._number)
            claimed = await effects.claim(
                conn,
                worker=self._number,
                now=self._world.now,
                kinds=self._gates.kinds,
                lanes=self._gates.lanes(),
                limit=BATCH_MAX,
                lease_s=LEASE_S,
            )
        return sum(await _all(self._carry_out(effect) for effect in claimed))

    async def _carry_out(self, effect: Effect) -> None:
        self._checkpoint(f"effect.{effect.kind}.claimed")
        outcome = await self._outcome(effect)
        self._checkpoint(f"effect.{effect.kind}.called")
        log.debug("%s %s: %s", effect.kind, effect.key, outcomes.sent_text(outcome))
        try:
            await outcomes.take(self._world, effect, outcome)
        except Conflict as error:
            log.warning("%s", error)

    async def _outcome(self, effect: Effect) -> Outcome:
        gate = await self._gates.gate(effect)
        if gate is None:
            return NotSent(f"nothing is configured any more to send {effect.kind} to")
        try:
            async with asyncio.timeout(LEASE_S / 2):
                return await (gate.resolve(effect) if effect.resolving else gate.call(effect))
        except Exception as error:
            # Whatever went wrong on our side, the other side may have seen the call.
            log.exception("%s %s", effect.kind, effect.key)
            return Unknown(f"{type(error).__name__}: {error}")


async def _all(calls: Iterable[Any]) -> list[int]:
    """Run side by side; one that fails is logged and does not stop the others."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            log.error("a step failed", exc_info=result)
    return [0 if isinstance(result, BaseException) else 1 for result in results]


class Conductor:
    """Moves a driven clock: only when all that is due at one time is done does the next come."""

    def __init__(
        self,
        worker: Worker,
        advance: Callable[[datetime], Any],
        now: Callable[[], datetime],
        follow: Callable[[datetime], Any],
        give_up_s: float = 60.0,
    ) -> None:
        self._worker = worker
        self._advance = advance
        self._now = now
        self._follow = follow
        self._give_up_s = give_up_s
        self._lock = asyncio.Lock()

    async def move(self, to: datetime) -> tuple[int, datetime | None]:
        """To ``to``, stopping wherever something falls due; how much was done, what is next."""
        total = 0
        async with self._lock:
            while True:
                total += await self._settle_down()
                following = (await self._worker.agenda()).next_due_at
                now = self._now()
                target = to if following is None else min(following, to)
                if target <= now:
                    return total, following
                await self._advance(target)
                await self._follow(target)

    async def _settle_down(self) -> int:
        """Ours and the followers' work, until neither has any."""
        total = 0
        while True:
            done = await self._worker.drain(self._give_up_s)
            total += done
            if not done or not await self._follow(self._now()):
                return total
