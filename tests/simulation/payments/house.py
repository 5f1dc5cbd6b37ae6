"""The operator's process: it dies wherever a checkpoint is, and begins again with its database.

What a process has in memory goes with it: the worker, the world, the connections to processors.
Calls that were under way are cut off in the middle, as a kill would cut them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from random import Random
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

import httpx
import msgspec

from simulation.payments.others import TIMEOUT_S
from wattledger.clock import DrivenClock
from wattledger.conductor import Conductor
from wattledger.config import parse, versions
from wattledger.db import versions as store
from wattledger.db.connect import Database, Pool
from wattledger.db.effects import Effect
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.entitlements import Snapshot
from wattledger.entitlements.terminals import TerminalVendor
from wattledger.payments.model import Processor
from wattledger.payments.stripe.client import StripeGate
from wattledger.payments.terminal.vendor import HttpVendor
from wattledger.pipeline.billing import receipts_step
from wattledger.pipeline.returning import evidence_files
from wattledger.pipeline.settle import ensure_schedule
from wattledger.pipeline.world import World
from wattledger.receipts.mail import MailGate
from wattledger.receipts.settings import MAIL, MailSettings
from wattledger.section import Section
from wattledger.worker import Gate, Worker

T = TypeVar("T")
S = TypeVar("S", bound=Section)
_PATIENCE_S = 60.0
_of_the_house: ContextVar[bool] = ContextVar("of_the_house", default=False)


class Crash(BaseException):
    """The process died at a checkpoint. No error: nothing catches it on its way out."""


class Deaths:
    """Dies at checkpoints drawn from the seed, twice at each of them at most."""

    def __init__(self, rng: Random, chance: float) -> None:
        self._rng = rng
        self._chance = chance
        self.at: dict[str, int] = {}
        self.seen: set[str] = set()

    def begin_again(self) -> None:
        """As if it had died nowhere yet."""
        self.at.clear()

    def checkpoint(self, name: str) -> None:
        self.seen.add(name)
        if self.at.get(name, 0) < 2 and self._rng.random() < self._chance:
            self.at[name] = self.at.get(name, 0) + 1
            raise Crash(name)


class Street(Protocol):
    """The charge points, as far as commands go."""

    def lanes(self) -> list[str]: ...

    async def call(self, effect: Effect) -> Any: ...

    async def resolve(self, effect: Effect) -> Any: ...


class _Ways:
    """Every way out of the house. Nobody waits long for an answer."""

    def __init__(self, world: World, street: Street, secrets: dict[str, str]) -> None:
        self._world = world
        self._street = street
        self._secrets = secrets.__getitem__
        self._accounts: dict[str, StripeGate] = {}
        self._http = httpx.AsyncClient(trust_env=False)

    def lanes(self) -> list[str]:
        return self._street.lanes()

    async def gate(self, effect: Effect) -> Gate | None:
        snapshot = await self._world.snapshot(self._world.now)
        find: dict[str, Callable[[Snapshot, Effect], Gate | None]] = {
            "ocpp": lambda *_: self._street,
            "stripe": self._stripe,
            "vendor": self._vendor,
            "mail": self._mail,
        }
        return find[effect.kind.partition(".")[0]](snapshot, effect)

    def _stripe(self, snapshot: Snapshot, effect: Effect) -> Gate:
        name = str(effect.request["processor_id"])
        if name not in self._accounts:
            processor = _in_a_hurry(snapshot.get("processor", name, Processor))
            load = evidence_files.loader(self._world.work.pool)
            self._accounts[name] = StripeGate(processor, self._secrets, load=load)
        return self._accounts[name]

    def _vendor(self, snapshot: Snapshot, effect: Effect) -> Gate:
        vendor = snapshot.get("terminal_vendor", effect.request["vendor_id"], TerminalVendor)
        return HttpVendor(_in_a_hurry(vendor), self._secrets, self._http)

    def _mail(self, snapshot: Snapshot, _: Effect) -> Gate:
        settings = _in_a_hurry(snapshot.get(MAIL, MAIL, MailSettings))
        load = receipts_step.loader(self._world.work.pool, lambda: snapshot, self._secrets)
        return MailGate(settings, self._secrets, load)


def _in_a_hurry(section: S | None) -> S:
    """As it is configured, with a shorter time-out than anybody could configure."""
    assert section is not None, "it is configured for good"
    return msgspec.structs.replace(section, timeout_s=TIMEOUT_S)


class House:
    """Database, clock and configuration stay; the rest is made anew after each death."""

    world: World

    def __init__(
        self,
        pool: Pool,
        database: Database,
        clock: DrivenClock,
        deaths: Deaths,
        street: Street,
        follow: Callable[[datetime], Awaitable[int]],
        secrets: dict[str, str],
    ) -> None:
        self.pool = pool
        self.clock = clock
        self.deaths = deaths
        self.died = 0
        self._database = database
        self._street = street
        self._follow = follow
        self._secrets = secrets
        self._tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._worker: Worker | None = None
        asyncio.get_running_loop().set_task_factory(self._make_task)

    async def opened(self, config: dict[str, Any]) -> None:
        """The configuration in force, and a first process."""
        work = Work(self.pool, self.clock)
        async with work.transaction("apply") as tx:
            valid_from = self.clock.now() - timedelta(days=1)
            await store.apply(tx.conn, versions(parse(config)), valid_from)
        await self._begin()

    async def close(self) -> None:
        await self._end()
        asyncio.get_running_loop().set_task_factory(None)

    async def do(self, action: Callable[[World], Awaitable[T]]) -> T:
        """Until it is answered: whoever asked asks again after a death."""
        while True:
            try:
                return await self._inside(lambda: action(self.world))
            except Crash:
                await self._die()

    async def move(self, to: datetime) -> None:
        """Business time goes on, and all that falls due on the way is done."""
        while True:
            try:
                await self._inside(lambda: self._conductor.move(to))
            except Crash:
                await self._die()
            else:
                return

    async def sleep(self, to: datetime) -> None:
        """Nobody does anything until then; then all of it falls due at once."""
        self.clock.advance(to)
        await self.do(lambda _: self._follow(to))

    async def next_due(self) -> datetime | None:
        """When the house has something to do next."""
        assert self._worker is not None
        return (await self._worker.agenda()).next_due_at

    async def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        async with self.pool.connection() as conn:
            return await (await conn.execute(query.encode(), values)).fetchall()

    async def _inside(self, action: Callable[[], Awaitable[T]]) -> T:
        async def run() -> T:
            _of_the_house.set(True)
            return await action()

        return await asyncio.create_task(run())

    def _make_task(self, loop: Any, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **more)
        if _of_the_house.get():
            self._tasks.add(task)
        return task

    async def _begin(self) -> None:
        self.world = World(Work(self.pool, self.clock, self.deaths.checkpoint))
        await self.world.refresh()
        ways = _Ways(self.world, self._street, self._secrets)
        connect = lambda: self._database.connect(Role.APP)  # noqa: E731
        self._worker = Worker(self.world, ways, connect, self.deaths.checkpoint)
        await self._worker.begin()
        self._conductor = Conductor(
            self._worker, self._advance, self.clock.now, self._follow, _PATIENCE_S
        )
        while True:
            try:
                await self._inside(lambda: ensure_schedule(self.world))
            except Crash:
                self.died += 1
            else:
                return

    async def _advance(self, to: datetime) -> None:
        self.clock.advance(to)

    async def _die(self) -> None:
        self.died += 1
        await self._end()
        await self._begin()

    async def _end(self) -> None:
        left = [task for task in self._tasks if not task.done()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        self._tasks.clear()
        if self._worker is not None:
            await self._worker.end()
