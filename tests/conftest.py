"""What every test that needs a database uses: ``database``, ``pool`` and ``work``."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from wattledger.clock import DrivenClock
from wattledger.db import embedded
from wattledger.db.connect import Database, Pool
from wattledger.db.embedded import SUPERUSER, EmbeddedServer
from wattledger.db.migrate import migrate
from wattledger.db.roles import Role
from wattledger.db.work import Work

_TEMPLATE = "migrated_template"
# What starts processes, or plays whole days: begun first, it is not waited for at the end.
_LONG = ("simulation", "faults", "scenarios", "demo", "browser", "gateway")
_MEMORY, _MEMORY_BYTES = Path("/dev/shm"), 6 * 1024**3
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, each folder in its own order."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0]
        return _LONG.index(folder) if folder in _LONG else len(_LONG)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """One embedded server per test session (per worker under xdist)."""
    folder = Path(tempfile.mkdtemp(prefix="wattledger-test-", dir=_in_memory()))
    folder.chmod(0o755)  # as root the server runs as another user: so it can stay in here
    with embedded.start(folder) as running:
        with _superuser(running) as conn:
            # These data need not survive a power cut.
            conn.execute("ALTER SYSTEM SET fsync = off")
            conn.execute("ALTER SYSTEM SET full_page_writes = off")
            conn.execute("SELECT pg_reload_conf()")
        yield running
    shutil.rmtree(running.home, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server: EmbeddedServer) -> str:
    """The name of a database with all packaged migrations: copying it is faster than migrating."""
    with _superuser(server) as conn:
        conn.execute(f"CREATE DATABASE {_TEMPLATE} OWNER {Role.OWNER}".encode())
    migrate(Database.on_server(server, _TEMPLATE).conninfo(Role.OWNER))
    return _TEMPLATE


@pytest.fixture
def database(server: EmbeddedServer, template: str) -> Iterator[Database]:
    """A migrated database of this test's own."""
    name = f"test_{next(_numbers)}"
    with _superuser(server) as conn:
        how = "FILE_COPY" if _in_memory() else "WAL_LOG"
        conn.execute(
            f"CREATE DATABASE {name} TEMPLATE {template} OWNER {Role.OWNER} STRATEGY {how}".encode()
        )
        yield Database.on_server(server, name)
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """Connections to ``database`` as the app."""
    opened = await database.open_pool(Role.APP, 1, 10)
    async with opened:
        yield opened


@pytest.fixture
def clock() -> DrivenClock:
    """Business time stands at 2026-11-02T00:00Z until the test moves it."""
    return DrivenClock(datetime(2026, 11, 2, tzinfo=UTC))


@pytest.fixture
def work(pool: Pool, clock: DrivenClock) -> Work:
    """Transactions on ``pool`` at the time of ``clock``."""
    return Work(pool, clock)


def _in_memory() -> str | None:
    """Where files are memory, if there is enough of it: a database for each test is made there in a
    fifth of the time."""
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).total >= _MEMORY_BYTES:
        return str(_MEMORY)
    return None


def _superuser(server: EmbeddedServer) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(server.dsn(SUPERUSER, "postgres"), autocommit=True)
