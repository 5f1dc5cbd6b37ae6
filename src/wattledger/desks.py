"""The desks of a worker: places where one kind of work is taken up, each with its own hands."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

import psycopg

from wattledger.db import effects
from wattledger.db.effects import Effect
from wattledger.pipeline.agenda import SESSION
from wattledger.pipeline.billing.adjust import adjust, adjust_failed
from wattledger.pipeline.billing.adjust import due as adjustments_due
from wattledger.pipeline.billing.bill import bill, hold_failed
from wattledger.pipeline.charging.unheard import look_after, look_failed
from wattledger.pipeline.world import World
from wattledger.sessions import lookup
from wattledger.sessions import store as sessions

log = logging.getLogger(__name__)

LEASE_S = 60
# What nobody was told of is found after so long: a notice that was lost, a time that was put off.
POLL_S = 1.0
_BILL_SLOTS = 6


class Desk(Protocol):
    """A place where one kind of work is taken up."""

    async def take(self, free: int) -> list[Awaitable[None]]:
        """Up to ``free`` pieces of work that are due, claimed for this worker."""
        ...

    def does(self, what: str) -> bool:
        """Whether it is this desk that a notice of ``what`` is for: a kind of effect, or
        ``session``."""
        ...

    slots: int


class Hands(Protocol):
    """What a desk needs of its worker."""

    world: World
    number: int

    def lanes(self) -> list[str]:
        """Lanes of the charge points connected here."""
        ...

    async def carry_out(self, effect: Effect) -> None:
        """Call, and take the outcome in."""
        ...


class BillDesk:
    """Ended sessions whose time to be billed has come, issued bills to be looked at again, and
    running sessions that were not heard of."""

    def __init__(self, worker: Hands) -> None:
        self.slots = _BILL_SLOTS
        self._world = worker.world
        self._at_it: set[str] = set()

    async def take(self, free: int) -> list[Awaitable[None]]:
        limit = free + len(self._at_it)
        async with self._world.work.alone() as conn:
            first = await sessions.due(conn, self._world.now, limit)
            again = await adjustments_due(conn, self._world.now, limit)
            silent = await lookup.unheard(conn, self._world.now, limit)
        due: list[Awaitable[None]] = []
        for step, failed, found in (
            (bill, hold_failed, first),
            (adjust, adjust_failed, again),
            (look_after, look_failed, silent),
        ):
            due += [self._do(key, step, failed) for key in self._new(found, free - len(due))]
        return due

    def does(self, what: str) -> bool:
        return what == SESSION

    def _new(self, due: list[str], free: int) -> list[str]:
        new = [session_id for session_id in due if session_id not in self._at_it][:free]
        self._at_it.update(new)
        return new

    async def _do(
        self,
        session_id: str,
        step: Callable[[World, str], Awaitable[str]],
        failed: Callable[[World, str, str], Awaitable[None]],
    ) -> None:
        try:
            await step(self._world, session_id)
        except psycopg.OperationalError:
            log.exception("%s stays due: the database's trouble, not the session's", session_id)
            await asyncio.sleep(POLL_S)
        except Exception as error:
            log.exception("%s can't be billed", session_id)
            await failed(self._world, session_id, f"{type(error).__name__}: {error}")
        finally:
            self._at_it.discard(session_id)


class EffectDesk:
    """Effects of some kinds; at most ``per_subject`` at a time for one of their subjects."""

    def __init__(
        self, worker: Hands, kinds: list[str], *, slots: int, per_subject: int | None = None
    ) -> None:
        self.slots = slots
        self._worker = worker
        self._kinds = kinds
        self._per_subject = per_subject
        self._at_it: Counter[str] = Counter()

    async def take(self, free: int) -> list[Awaitable[None]]:
        world = self._worker.world
        busy: list[str] = []
        if self._per_subject is not None:
            busy = [s for s, count in self._at_it.items() if count >= self._per_subject]
            free = min(free, self._per_subject)
        async with world.work.alone() as conn:
            claimed = await effects.claim(
                conn, worker=self._worker.number, now=world.now, kinds=self._kinds,
                lanes=self._lanes(), busy=busy, limit=free, lease_s=LEASE_S,
            )  # fmt: skip
        self._at_it.update(effect.subject for effect in claimed)
        return [self._carry_out(effect) for effect in claimed]

    def does(self, what: str) -> bool:
        return what in self._kinds

    def _lanes(self) -> list[str]:
        return []

    async def _carry_out(self, effect: Effect) -> None:
        try:
            await self._worker.carry_out(effect)
        finally:
            self._at_it[effect.subject] -= 1
            if not self._at_it[effect.subject]:
                del self._at_it[effect.subject]


class CommandDesk(EffectDesk):
    """Commands to the charge points that are connected to this process."""

    def __init__(self, worker: Hands) -> None:
        super().__init__(worker, [], slots=64)

    async def take(self, free: int) -> list[Awaitable[None]]:
        return await super().take(free) if self._lanes() else []

    def does(self, what: str) -> bool:
        return what.startswith("ocpp.")

    def _lanes(self) -> list[str]:
        return self._worker.lanes()
