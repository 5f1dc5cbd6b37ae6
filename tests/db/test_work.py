"""The unit of work: all or nothing, one reading of the clock, checkpoints where they should be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from wattledger.clock import DrivenClock
from wattledger.db.connect import Database, Pool
from wattledger.db.roles import Role
from wattledger.db.work import Work, kill_at
from wattledger.errors import DatabaseFault


@pytest.fixture(autouse=True)
def _table(database: Database) -> None:
    with psycopg.connect(database.conninfo(Role.OWNER)) as conn:
        conn.execute("CREATE TABLE probe (n integer PRIMARY KEY)")
        conn.execute("GRANT USAGE ON SCHEMA wattledger TO wattledger_app, wattledger_reader")
        conn.execute("GRANT SELECT, INSERT ON probe TO wattledger_app")
        conn.execute("GRANT SELECT ON probe TO wattledger_reader")


async def _rows(work: Work) -> list[int]:
    async with work.transaction("read") as tx:
        found = await tx.conn.execute("SELECT n FROM probe ORDER BY n")
        return [row["n"] for row in await found.fetchall()]


async def _add(work: Work, n: int, step: str = "add") -> None:
    async with work.transaction(step) as tx:
        await tx.conn.execute("INSERT INTO probe VALUES (%s)", (n,))
        tx.checkpoint("inserted")


async def test_a_block_that_ends_is_committed(work: Work) -> None:
    await _add(work, 1)
    assert await _rows(work) == [1]


async def test_an_error_rolls_everything_back_and_the_pool_goes_on(work: Work) -> None:
    with pytest.raises(RuntimeError, match="boom"):  # noqa: PT012
        async with work.transaction("step") as tx:
            await tx.conn.execute("INSERT INTO probe VALUES (1)")
            raise RuntimeError("boom")
    assert await _rows(work) == []


async def test_a_failing_statement_rolls_everything_back(work: Work) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):  # noqa: PT012
        async with work.transaction("step") as tx:
            await tx.conn.execute("INSERT INTO probe VALUES (1)")
            await tx.conn.execute("INSERT INTO probe VALUES (1)")
    assert await _rows(work) == []


async def test_a_savepoint_undoes_only_its_own(work: Work) -> None:
    async with work.transaction("step") as tx:
        await tx.conn.execute("INSERT INTO probe VALUES (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):  # noqa: PT012
            async with tx.savepoint():
                await tx.conn.execute("INSERT INTO probe VALUES (2)")
                await tx.conn.execute("INSERT INTO probe VALUES (1)")
        async with tx.savepoint():
            await tx.conn.execute("INSERT INTO probe VALUES (3)")
    assert await _rows(work) == [1, 3]


async def test_a_store_can_not_commit(work: Work) -> None:
    with pytest.raises(psycopg.ProgrammingError):
        async with work.transaction("step") as tx:
            await tx.conn.commit()


async def test_checkpoints_fire_in_order_on_either_side_of_the_commit(
    pool: Pool, clock: DrivenClock
) -> None:
    seen: list[tuple[str, list[int]]] = []
    with psycopg.connect(pool.conninfo, autocommit=True) as other:

        def checkpoint(name: str) -> None:
            rows = other.execute("SELECT n FROM probe").fetchall()
            seen.append((name, [n for (n,) in rows]))

        await _add(Work(pool, clock, checkpoint), 1, "start")
    assert seen == [
        ("start.inserted", []),
        ("start.before_commit", []),
        ("start.after_commit", [1]),
    ]


async def test_an_error_at_before_commit_loses_the_rows_and_at_after_commit_does_not(
    pool: Pool, clock: DrivenClock, work: Work
) -> None:
    def failing(at: str) -> Work:
        def checkpoint(name: str) -> None:
            if name == at:
                raise RuntimeError(name)

        return Work(pool, clock, checkpoint)

    with pytest.raises(RuntimeError):
        await _add(failing("add.before_commit"), 1)
    with pytest.raises(RuntimeError):
        await _add(failing("add.after_commit"), 2)
    assert await _rows(work) == [2]


async def test_business_time_is_read_once_or_given(work: Work, clock: DrivenClock) -> None:
    start = clock.now()
    async with work.transaction("step") as tx:
        clock.advance(start + timedelta(hours=1))
        assert tx.now == start
    given = datetime(2026, 11, 5, tzinfo=UTC)
    async with work.transaction("step", now=given) as tx:
        assert tx.now == given


async def test_a_time_without_a_zone_is_refused(work: Work) -> None:
    with pytest.raises(ValueError, match="zone"):
        async with work.transaction("step", now=datetime(2026, 11, 5)):  # noqa: DTZ001
            pass


_VICTIM = """
import asyncio, sys
from datetime import UTC, datetime
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from wattledger.clock import DrivenClock
from wattledger.db.work import Work, kill_at

async def main(conninfo, spec):
    pool = AsyncConnectionPool(conninfo, open=False, min_size=1, kwargs={"row_factory": dict_row})
    async with pool:
        work = Work(pool, DrivenClock(datetime(2026, 11, 2, tzinfo=UTC)), kill_at(spec))
        for n in range(1, 6):
            async with work.transaction("start") as tx:
                await tx.conn.execute("INSERT INTO probe VALUES (%s)", (n,))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("spec", "left"),
    [
        ("start.before_commit", []),
        ("start.before_commit:3", [1, 2]),
        ("start.after_commit:3", [1, 2, 3]),
    ],
)
async def test_kill_at_kills_at_the_nth_hit(
    database: Database, work: Work, spec: str, left: list[int]
) -> None:
    command = [sys.executable, "-c", _VICTIM, database.conninfo(Role.APP), spec]
    done = subprocess.run(command, check=False, timeout=30, env=dict(os.environ))  # noqa: ASYNC221
    assert done.returncode == -signal.SIGKILL
    assert await _rows(work) == left


@pytest.mark.parametrize("spec", ["", ":2", "start.x:0", "start.x:", "start.x:two"])
def test_kill_at_refuses_what_it_can_not_read(spec: str) -> None:
    with pytest.raises(ValueError, match="expected a checkpoint"):
        kill_at(spec)


async def test_the_roles_are_who_they_say_and_see_utc(database: Database) -> None:
    for role in Role:
        conn = await database.connect(role)
        async with conn:
            found = await conn.execute(
                "SELECT current_user AS me, current_setting('timezone') AS zone, "
                "current_schema() AS schema, current_setting('application_name') AS name"
            )
            assert await found.fetchone() == {
                "me": role.value,
                "zone": "UTC",
                "schema": "wattledger",
                "name": role.replace("_", "-"),
            }


async def test_the_reader_can_not_write(database: Database) -> None:
    conn = await database.connect(Role.READER)
    async with conn:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await conn.execute("INSERT INTO probe VALUES (1)")


async def test_a_database_that_is_not_there_is_named() -> None:
    gone = Database.served("postgresql://app:hunter2@127.0.0.1:9/books?connect_timeout=2")
    with pytest.raises(DatabaseFault) as caught:
        await gone.open_pool(Role.APP, 1, 2)
    assert "host=127.0.0.1 port=9 dbname=books user=app" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_a_step_of_one_statement_has_both_checkpoints_and_leaves_no_trace(pool: Pool) -> None:
    reached: list[str] = []
    work = Work(pool, DrivenClock(datetime(2026, 11, 2, tzinfo=UTC)), reached.append)
    async with work.statement("add", now=work.clock.now()) as tx:
        await tx.conn.execute("INSERT INTO probe VALUES (1)")
    assert reached == ["add.before_commit", "add.after_commit"]
    with pytest.raises(psycopg.errors.UniqueViolation):
        async with work.statement("add", now=work.clock.now()) as tx:
            await tx.conn.execute("INSERT INTO probe VALUES (1)")
    async with pool.connection() as conn:
        assert not conn.autocommit, "whoever has the connection next works in a transaction"
    assert await _rows(work) == [1]


async def test_a_connection_that_the_database_closed_is_replaced_before_it_is_used(
    pool: Pool, database: Database
) -> None:
    async with pool.connection() as conn:
        pid = conn.info.backend_pid
    async with await database.connect(Role.APP) as other:
        await other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT pg_backend_pid() AS pid")
        row = await cursor.fetchone()
    assert row is not None
    assert row["pid"] != pid


async def test_pages_are_told_once_for_what_is_done_within_a_moment(
    database: Database, work: Work
) -> None:
    async with await database.connect(Role.READER) as listening:
        await listening.execute("LISTEN wattledger_live")
        for n in (1, 2):
            async with work.transaction("step") as tx:
                await tx.conn.execute("INSERT INTO probe VALUES (%s)", (n,))
                tx.seen()
        told = [notice async for notice in listening.notifies(timeout=1)]
        assert len(told) == 1


async def test_pages_are_not_told_of_what_was_rolled_back(database: Database, work: Work) -> None:
    async with await database.connect(Role.READER) as listening:
        await listening.execute("LISTEN wattledger_live")
        with pytest.raises(psycopg.errors.UniqueViolation):  # noqa: PT012
            async with work.transaction("step") as tx:
                tx.seen()
                await tx.conn.execute("INSERT INTO probe VALUES (1), (1)")
        assert [notice async for notice in listening.notifies(timeout=1)] == []
