"""The worker under trouble: nobody waits for somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sample_config import whole
from wattledger.clock import Clock, DrivenClock, SystemClock, utc_text
from wattledger.conductor import keeping
from wattledger.config import parse, versions
from wattledger.db import effects
from wattledger.db import versions as store
from wattledger.db.connect import Database, Pool
from wattledger.db.effects import Done, Effect, Outcome, Unknown
from wattledger.db.roles import Role
from wattledger.db.work import Work, no_checkpoint
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.importing.imports import ReadingIn, SessionIn, take
from wattledger.pipeline.world import STALE_AFTER_S, World
from wattledger.sessions import store as sessions
from wattledger.worker import Gate, Worker

START = datetime(2026, 11, 1, 10, tzinfo=UTC)


class Nobody:
    """No gate, no charge point."""

    async def gate(self, effect: Effect) -> Gate | None:
        return None

    def lanes(self) -> list[str]:
        return []


@pytest.fixture
async def small(database: Database) -> AsyncIterator[Pool]:
    """Three connections for everybody."""
    pool = await database.open_pool(Role.APP, 1, 3)
    async with pool:
        yield pool


async def _world(pool: Pool, clock: Clock, configuration: Pool | None = None) -> World:
    work = Work(pool, clock)
    async with work.transaction("apply") as tx:
        beginning = datetime(1970, 1, 1, tzinfo=UTC)
        await store.apply(tx.conn, versions(parse(whole())), beginning)
    world = World(work, configuration)
    await world.refresh()
    return world


def _worker(world: World, database: Database, gates: Any) -> Worker:
    return Worker(world, gates, lambda: database.connect(Role.APP), no_checkpoint)


async def _session(world: World, name: str) -> str:
    """10 kWh at 0.40, less 10 %: net 3.60, invoiced."""
    stop = START + timedelta(hours=1)
    session = SessionIn(
        id=name, charge_point_id="Y-1", connector_id=1, token="Acme-1", started_at=START,
        stopped_at=stop, readings=(ReadingIn(START, 0), ReadingIn(stop, 10_000)),
    )  # fmt: skip
    return str((await take(world, "api", session))["session_id"])


async def _one(world: World, query: str, *parameters: object) -> Any:
    async with world.work.pool.connection() as conn:
        return await (await conn.execute(query, parameters)).fetchone()


async def test_a_burst_after_a_quiet_time_does_not_wait_for_itself(
    small: Pool, clock: DrivenClock
) -> None:
    # Twelve steps at three connections, and the configuration in memory is too old for all of
    # them: were it read inside a step, each would wait for a connection that the others hold.
    world = await _world(small, clock)
    ids = [await _session(world, f"s{i}") for i in range(12)]
    world._confirmed_at_s -= STALE_AFTER_S
    async with asyncio.timeout(10):
        states = await asyncio.gather(*(bill(world, session_id) for session_id in ids))
    assert states == ["billed"] * 12


async def test_books_that_hang_keep_no_card_waiting(
    pool: Pool, database: Database, clock: DrivenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wattledger.worker.LEAVE_S", 0.01)  # nor whoever leaves
    seen: list[str] = []
    both = asyncio.Event()

    class Slow:
        async def call(self, effect: Effect) -> Outcome:
            await asyncio.sleep(30)
            return Unknown("no answer")

        resolve = call

    class Fast:
        async def call(self, effect: Effect) -> Outcome:
            seen.append(effect.key)
            if len(seen) == 2:
                both.set()
            return Done({"status": "canceled"})

        resolve = call

    class Both(Nobody):
        async def gate(self, effect: Effect) -> Gate | None:
            return Slow() if effect.subject == "dead" else Fast()

    world = await _world(pool, clock)
    now = clock.now()
    async with world.work.transaction("test") as tx:
        for i in range(100):
            await effects.add(
                tx.conn, kind="webhook.deliver", subject="dead", lane=f"h{i}", key=f"h{i}",
                request={}, due_at=now - timedelta(hours=1), caused_at=now,
            )  # fmt: skip
        for kind, subject in (("stripe.release", "p"), ("webhook.deliver", "alive")):
            await effects.add(
                tx.conn, kind=kind, subject=subject, lane=subject, key=subject, request={},
                due_at=now, caused_at=now,
            )  # fmt: skip
    worker = _worker(world, database, Both())
    await worker.begin()
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(10):
        await both.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await worker.end()
    assert sorted(seen) == ["alive", "p"], "served beside a hundred that hang"


async def test_who_leaves_stores_what_was_under_way(
    pool: Pool, database: Database, clock: DrivenClock
) -> None:
    called, answered = asyncio.Event(), asyncio.Event()

    class Answering(Nobody):
        async def gate(self, effect: Effect) -> Gate | None:
            return self

        async def call(self, effect: Effect) -> Outcome:
            called.set()
            await answered.wait()
            return Done({"status": 200})

        resolve = call

    world = await _world(pool, clock)
    async with world.work.transaction("test") as tx:
        await effects.add(
            tx.conn, kind="webhook.deliver", subject="t", lane="h", key="h", request={},
            due_at=tx.now, caused_at=tx.now,
        )  # fmt: skip
    worker = _worker(world, database, Answering())
    await worker.begin()
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(10):
        await called.wait()
        running.cancel()
        await asyncio.sleep(0)  # it is told to leave while the call is under way
        answered.set()
        await asyncio.gather(running, return_exceptions=True)
    await worker.end()
    assert await _one(world, "SELECT state FROM effect") == {"state": "done"}


async def test_nobody_is_claimed_for_without_kinds_or_lanes(
    pool: Pool, database: Database, clock: DrivenClock
) -> None:
    world = await _world(pool, clock)
    async with world.work.transaction("test") as tx:
        for kind, lane in (("webhook.deliver", "h"), ("ocpp.remote_stop", "cp:1")):
            await effects.add(
                tx.conn, kind=kind, subject=lane, lane=lane, key=lane, request={}, due_at=tx.now,
                caused_at=tx.now,
            )  # fmt: skip

    async def claimed(kinds: list[str], lanes: list[str]) -> list[str]:
        async with world.work.transaction("test") as tx:
            found = await effects.claim(
                tx.conn, worker=1, now=tx.now, kinds=kinds, lanes=lanes, limit=9, lease_s=60
            )
        return [effect.lane for effect in found]

    assert await claimed([], []) == []
    assert await claimed([], ["cp:1", "cp:2"]) == ["cp:1"]
    assert await claimed(["webhook.deliver"], ["cp:1"]) == ["h"]


async def test_a_session_that_can_not_even_be_read_is_held_and_the_others_go_on(
    pool: Pool, database: Database, clock: DrivenClock
) -> None:
    world = await _world(pool, clock)
    bad, good = await _session(world, "bad"), await _session(world, "good")
    async with await database.connect(Role.OWNER) as owner:
        # As a bug or a restore might leave it: a contract that is none, past all guards.
        await owner.execute("ALTER TABLE session DISABLE TRIGGER USER")
        await owner.execute("UPDATE session SET contract = '{}' WHERE id = %s", (bad,))
        await owner.execute("ALTER TABLE session ENABLE TRIGGER USER")
    worker = _worker(world, database, Nobody())
    await worker.begin()
    for desk in worker._desks:
        await worker._clear(desk)
    await worker.end()
    row = await _one(world, "SELECT state, held_reason FROM session WHERE id = %s", bad)
    assert row == {"state": "held", "held_reason": "bill.failed"}
    row = await _one(world, "SELECT state FROM session WHERE id = %s", good)
    assert row == {"state": "billed"}


async def test_an_outcome_that_can_not_be_taken_in_is_set_aside_and_shown(
    pool: Pool, database: Database, clock: DrivenClock
) -> None:
    class Nonsense(Nobody):
        async def gate(self, effect: Effect) -> Gate | None:
            return self

        async def call(self, effect: Effect) -> Outcome:
            return Done({"intent_id": "pi_1"})  # no charge_id: the step fails

        resolve = call

    world = await _world(pool, clock)
    async with world.work.transaction("test") as tx:
        await effects.add(
            tx.conn, kind="stripe.hold", subject="pay_none", lane="p", key="p", request={},
            due_at=tx.now, caused_at=tx.now,
        )  # fmt: skip
    worker = _worker(world, database, Nonsense())
    await worker.begin()
    for desk in worker._desks:
        await worker._clear(desk)
    await worker.end()
    row = await _one(world, "SELECT state, not_before > clock_timestamp() AS waits FROM effect")
    assert row["state"] == "unknown"
    row = await _one(world, "SELECT code, subject FROM anomaly")
    assert row == {"code": "effect.stuck", "subject": "pay_none"}


async def test_a_worker_whose_lock_was_lost_takes_another(
    pool: Pool, database: Database, clock: DrivenClock
) -> None:
    world = await _world(pool, clock)
    worker = _worker(world, database, Nobody())
    await worker.begin()
    first = worker.number
    assert worker._liveness is not None
    await worker._liveness.close()  # as a restart of the database does
    for _ in range(100):  # the database notices a moment later, and so do we with the next look
        await worker._keep_alive()
        if worker.number != first:
            break
        await asyncio.sleep(0.01)
    assert worker.number != first
    async with pool.connection() as conn:
        assert await effects.lives(conn, worker.number)
    await worker.end()


async def test_a_driven_clock_moves_when_all_else_is_written_down(
    pool: Pool, clock: DrivenClock
) -> None:
    seen: list[datetime] = []

    async def settle() -> None:
        seen.append(clock.now())

    began = clock.now()
    await keeping(clock, Work(pool, clock), settle)(began + timedelta(hours=1))
    assert seen == [began]
    assert clock.now() == began + timedelta(hours=1)
    async with pool.connection() as conn:
        kept = await (await conn.execute("SELECT now FROM driven_clock")).fetchone()
    assert kept == {"now": clock.now()}, "a restart goes on from there"


# --- who hears of what -----------------------------------------------------------------------


@pytest.fixture
async def attended(
    pool: Pool, database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A worker that runs by the machine's clock, hears the database, and would otherwise look once
    a minute. There is a session that is due in five."""
    monkeypatch.setattr("wattledger.worker.POLL_S", 60)
    world = await _world(pool, SystemClock())
    await _due(world, await _session(world, "s"), in_s=300)
    worker = _worker(world, database, Nobody())
    await worker.begin()

    async def hear() -> None:
        async with await database.connect(Role.APP) as conn:
            await conn.execute("LISTEN wattledger_effect")
            async for notice in conn.notifies():
                worker.hear(notice.payload)

    tasks = [asyncio.create_task(worker.run()), asyncio.create_task(hear())]
    await asyncio.sleep(0.3)  # by now every desk has looked, and found nothing
    yield world
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await worker.end()


async def _due(world: World, session_id: str, *, in_s: int) -> datetime:
    due_at = world.now + timedelta(seconds=in_s)
    async with world.work.transaction("test") as tx:
        await sessions.bill_at(tx.conn, session_id, due_at)
    return due_at


async def _the_session(world: World) -> str:
    return str((await _one(world, "SELECT id FROM session"))["id"])


async def _billed(world: World, session_id: str) -> datetime:
    """When it was: within ten seconds, the poll being a minute away."""
    for _ in range(500):
        row = await _one(world, "SELECT state FROM session WHERE id = %s", session_id)
        if row["state"] == "billed":
            break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError(f"{session_id} is not billed: {row}")
    return world.now


async def test_a_session_is_billed_when_it_falls_due_and_not_at_the_next_look(
    attended: World,
) -> None:
    """It was to be in five minutes; then in a second: no desk sleeps until what it knew before."""
    session_id = await _the_session(attended)
    due_at = await _due(attended, session_id, in_s=1)
    assert await _billed(attended, session_id) >= due_at, "nor before"


async def test_what_nobody_was_told_of_is_found_by_looking(
    pool: Pool, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wattledger.worker.POLL_S", 0.05)
    world = await _world(pool, SystemClock())
    worker = _worker(world, database, Nobody())
    await worker.begin()
    running = asyncio.create_task(worker.run())  # and nobody hears the database
    session_id = await _session(world, "s")
    async with world.work.transaction("test") as tx:
        await sessions.bill_at(tx.conn, session_id, world.now)
    await _billed(world, session_id)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await worker.end()


async def test_a_notice_wakes_the_desk_that_it_is_for(
    pool: Pool, database: Database, clock: DrivenClock
) -> None:
    worker = _worker(await _world(pool, clock), database, Nobody())
    worker._bells = {desk: asyncio.Event() for desk in worker._desks}

    def woken(notice: str) -> int:
        for bell in worker._bells.values():
            bell.clear()
        worker.hear(notice)
        return sum(bell.is_set() for bell in worker._bells.values())

    assert woken("") == len(worker._desks), "an empty notice may be of anything"
    for notice in ("stripe.capture", "webhook.deliver", "money.due", "ocpp.remote_stop",
                   f"session {utc_text(clock.now())}"):  # fmt: skip
        assert woken(notice) == 1
    assert woken(f"session {utc_text(clock.now() + timedelta(seconds=1))}") == 0, "not yet"
    assert woken("nobody.does") == 0


@pytest.mark.parametrize("turns", range(5))
async def test_whoever_is_asked_to_leave_as_the_bell_rings_leaves(
    pool: Pool, database: Database, clock: DrivenClock, turns: int
) -> None:
    """However many turns of the loop lie between the two: a desk that took the one for the other
    would stay for ever, and the server with it."""
    worker = _worker(await _world(pool, clock), database, Nobody())
    await worker.begin()
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.3)  # by now every desk waits for its bell
    worker.wake()
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=3)
    assert done == {running}
    await worker.end()
