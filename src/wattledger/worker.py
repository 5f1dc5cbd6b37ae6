"""The worker: claims what is due, calls the world outside, and takes the outcomes in.

Work is done at desks, side by side: bills, money, reading, books and commands. Each has its own
slots, so that a receiver that hangs keeps nobody's card waiting.

In production it runs for ever, woken by the database and by a slow poll. With a driven clock
it runs only when the clock is moved, so that business time stands still until all work that is
due at it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol

import psycopg
from psycopg import AsyncConnection

from wattledger.db import effects
from wattledger.db.effects import Done, Effect, NotSent, Outcome, Unknown
from wattledger.db.work import Checkpoint
from wattledger.desks import LEASE_S, POLL_S, BillDesk, CommandDesk, Desk, EffectDesk
from wattledger.errors import Conflict, ExternalFault
from wattledger.pipeline import kinds, outcomes
from wattledger.pipeline.agenda import Agenda, agenda
from wattledger.pipeline.world import World

log = logging.getLogger(__name__)

_NAP_S = 0.01
# A desk looks at most so often: in a rush, what has come meanwhile is taken up together.
_PACE_S = 0.01
# Of what falls due later than this nobody is told in time: the poll finds it.
_AHEAD_S = 600
# The machine's two clocks may differ by so much: never look a moment before it is due.
_LATE_S = 0.002
# What is under way when we are asked to leave has so long to store its outcome.
LEAVE_S = 5


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

    async def gate(self, effect: Effect) -> Gate | None:
        """None: there is no such gate any more (a removed target)."""
        ...

    def lanes(self) -> list[str]:
        """Lanes of the charge points connected here."""
        ...


class Worker:
    """One per process, alive as long as a connection of its own holds its advisory lock.

    ``outside``: whether it bills and serves processors and targets, beside the charge points
    that are connected here.
    """

    def __init__(
        self,
        world: World,
        gates: Gates,
        connect: Callable[[], Awaitable[AsyncConnection[dict[str, Any]]]],
        checkpoint: Checkpoint,
        *,
        outside: bool = True,
    ) -> None:
        self.world = world
        self.gates = gates
        self.number = 0
        self._connect = connect
        self._liveness: AsyncConnection[dict[str, Any]] | None = None
        self._checkpoint = checkpoint
        self._alive_at_s = 0.0
        self._bells: dict[Desk, asyncio.Event] = {}
        self._desks: list[Desk] = [CommandDesk(self)]
        if outside:
            self._desks += [
                BillDesk(self),
                EffectDesk(self, kinds.MONEY, slots=16),
                EffectDesk(self, kinds.READING, slots=2),
                EffectDesk(self, kinds.FETCHING, slots=4),
                EffectDesk(self, kinds.TIMED, slots=4),
                EffectDesk(self, kinds.MAIL, slots=2),
                EffectDesk(self, ["webhook.deliver"], slots=32, per_subject=8),
            ]

    async def begin(self) -> None:
        """Draw a number and hold its lock: while the lock is held, this worker lives."""
        await self.end()
        self._liveness = await self._connect()
        cursor = await self._liveness.execute("SELECT nextval('worker_number')::integer AS number")
        row = await cursor.fetchone()
        assert row is not None
        self.number = row["number"]
        await self._liveness.execute(
            "SELECT pg_advisory_lock(%s, %s)", (effects.LIVENESS, self.number)
        )

    async def end(self) -> None:
        """Let go of the lock: what is claimed is anybody's to resolve."""
        if self._liveness is not None:
            await self._liveness.close()
            self._liveness = None

    def lanes(self) -> list[str]:
        """Lanes of the charge points connected here."""
        return self.gates.lanes()

    def wake(self) -> None:
        """There may be work."""
        for bell in self._bells.values():
            bell.set()

    def hear(self, notice: str) -> None:
        """What the database says of new work: the kind of an effect that is due, or ``session``
        and when it is due, in business time. An empty notice says nothing, and wakes everybody."""
        what, _, due_text = notice.partition(" ")
        wait_s = 0.0
        if due_text:
            wait_s = (datetime.fromisoformat(due_text) - self.world.now).total_seconds()
        if wait_s > _AHEAD_S:
            return
        loop = asyncio.get_running_loop()
        for desk, bell in self._bells.items():
            if what and not desk.does(what):
                continue
            if wait_s > 0:
                loop.call_later(wait_s + _LATE_S, bell.set)
            else:
                bell.set()

    async def run(self) -> None:
        """For ever: every desk on its own, and a watch over claims that nobody settles."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            for desk in self._desks:
                group.create_task(self._attend(desk))

    async def drain(self, give_up_s: float) -> int:
        """Work until nothing is due at the present business time; how much was done.

        Raises ExternalFault, saying what waits for what, when something due can't be done in
        ``give_up_s``.
        """
        return (await self.work_off(give_up_s))[0]

    async def work_off(self, give_up_s: float) -> tuple[int, Agenda]:
        """The same, with what is on the agenda afterwards."""
        total, done = 0, 0
        now_s = asyncio.get_running_loop().time
        give_up_at_s = now_s() + give_up_s
        # At most steps of a driven clock nothing is due: one question then, not one of each desk.
        while (found := await self.agenda()).due:
            if now_s() > give_up_at_s:
                raise ExternalFault(f"work due can't be done: {await self._stuck()}")
            if not done or now_s() - self._alive_at_s > POLL_S:
                await self._keep_alive()
            done = sum(await asyncio.gather(*(self._clear(d) for d in self._desks_of(found))))
            total += done
            if not done:  # others are at it
                await asyncio.sleep(_NAP_S)
        return total, found

    def _desks_of(self, found: Agenda) -> list[Desk]:
        return [desk for desk in self._desks if any(map(desk.does, found.whats))]

    async def agenda(self) -> Agenda:
        """What is due now and next."""
        async with self.world.work.alone() as conn:
            return await agenda(conn, self.world.now, self.lanes())

    async def carry_out(self, effect: Effect) -> None:
        """Call, and take the outcome in. What goes wrong here is logged and shown, never raised."""
        self._checkpoint(f"effect.{effect.kind}.claimed")
        outcome = await self._outcome(effect)
        self._checkpoint(f"effect.{effect.kind}.called")
        log.debug("%s %s: %s", effect.kind, effect.key, outcomes.sent_text(outcome))
        try:
            await outcomes.take(self.world, effect, outcome)
        except Conflict as error:
            log.warning("%s", error)
        except psycopg.OperationalError:
            # The database's trouble: the claim runs out, and the outcome is looked up again.
            log.exception("%s %s: the outcome could not be stored", effect.kind, effect.key)
        except Exception as error:
            log.exception("%s %s: the outcome can't be taken in", effect.kind, effect.key)
            await outcomes.set_aside(self.world, effect, f"{type(error).__name__}: {error}")

    async def _outcome(self, effect: Effect) -> Outcome:
        if effect.kind in kinds.TIMED:
            return Done({})  # nothing outside is called: its time has come, that is all
        try:
            gate = await self.gates.gate(effect)
            if gate is None:
                return NotSent(f"nothing is configured any more to send {effect.kind} to")
            async with asyncio.timeout(LEASE_S / 2):
                return await (gate.resolve(effect) if effect.resolving else gate.call(effect))
        except Exception as error:
            # Whatever went wrong on our side, the other side may have seen the call.
            log.exception("%s %s", effect.kind, effect.key)
            return Unknown(f"{type(error).__name__}: {error}")

    async def _clear(self, desk: Desk) -> int:
        """All that is due at a desk, until there is nothing more."""
        total = 0
        while taken := await desk.take(desk.slots):
            await asyncio.gather(*taken)
            total += len(taken)
        return total

    async def _attend(self, desk: Desk) -> None:
        """A desk, for ever: take up what is due as slots come free."""
        bell = self._bells[desk] = asyncio.Event()
        running: set[asyncio.Future[None]] = set()
        try:
            while True:
                await self._serve(desk, bell, running)
        finally:
            if running:  # else each would find the database closed
                _, late = await asyncio.wait(running, timeout=LEAVE_S)
                for future in late:  # as if we had died: its claim runs out, and it is looked up
                    future.cancel()

    async def _serve(
        self, desk: Desk, bell: asyncio.Event, running: set[asyncio.Future[None]]
    ) -> None:
        """One round at a desk; ``running`` is what is under way there."""
        bell.clear()
        looks_again_at = asyncio.get_running_loop().time() + _PACE_S
        try:
            taken = await desk.take(desk.slots - len(running))
        except Exception:
            # The database is away, or a bug: either way the work stays in its tables.
            log.exception("nothing can be taken up; the next try is in %s s", POLL_S)
            await asyncio.sleep(POLL_S)
            return
        for work in taken:
            future = asyncio.ensure_future(work)
            future.add_done_callback(lambda _: bell.set())
            running.add(future)
        if not taken:
            # Not wait_for: until Python 3.12 it takes a bell that rings while we are asked to leave
            # for an answer, and the desk would stay for ever.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await bell.wait()
        elif len(running) >= desk.slots:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(max(looks_again_at - asyncio.get_running_loop().time(), 0))
        running -= {future for future in running if future.done()}

    async def _watch(self) -> None:
        while True:
            try:
                await self._keep_alive()
            except Exception:
                log.exception("claims can't be looked after; the next try is in %s s", POLL_S)
            await asyncio.sleep(POLL_S)

    async def _keep_alive(self) -> None:
        """Our lock is held, and the claims of the dead and the overdue are unknown."""
        self._alive_at_s = asyncio.get_running_loop().time()
        async with self.world.work.alone() as conn:
            alive = await effects.lives(conn, self.number)
        if not alive:
            # The database was away, and our lock went with its session: others take us for dead.
            await self.begin()
        async with self.world.work.alone() as conn:
            await effects.expire_claims(conn, self.number)

    async def _stuck(self) -> str:
        async with self.world.work.pool.connection() as conn:
            cursor = await conn.execute(
                "SELECT kind, state, tries, response->>'why' AS why FROM effect"
                " WHERE settled_at IS NULL AND due_at <= %s ORDER BY id LIMIT 3",
                (self.world.now,),
            )
            rows = await cursor.fetchall()
        return "; ".join(
            f"{r['kind']} is {r['state']} after {r['tries']} tries ({r['why']})" for r in rows
        )
