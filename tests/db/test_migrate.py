"""Migrations: once, in order, whole; and on a served PostgreSQL with logins that may little."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from served import Served, serve

from wattledger.clock import DrivenClock
from wattledger.db.connect import Database
from wattledger.db.embedded import SUPERUSER, EmbeddedServer
from wattledger.db.migrate import PACKAGED, migrate, read_migrations
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.errors import ConfigError, DatabaseFault

_numbers = itertools.count(1)


@pytest.fixture
def empty(server: EmbeddedServer) -> Iterator[Database]:
    """A database without the schema."""
    name = f"empty_{next(_numbers)}"
    with psycopg.connect(server.dsn(SUPERUSER, "postgres"), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} OWNER {Role.OWNER}".encode())
        yield Database.on_server(server, name)
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (n int);\n")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE second (n int); SELECT 1;\n")
    return tmp_path


def _names(database: Database) -> list[str]:
    with psycopg.connect(database.conninfo(Role.OWNER)) as conn:
        rows = conn.execute("SELECT name FROM migration ORDER BY number").fetchall()
    return [name for (name,) in rows]


def _tables(database: Database) -> set[str]:
    with psycopg.connect(database.conninfo(Role.OWNER)) as conn:
        rows = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'wattledger'")
        return {name for (name,) in rows}


def _run(database: Database, files: Path) -> list[str]:
    return migrate(database.conninfo(Role.OWNER), files)


def test_each_is_applied_once_and_in_order(empty: Database, files: Path) -> None:
    assert _run(empty, files) == ["0001_first", "0002_second"]
    assert _run(empty, files) == []
    (files / "0003_third.sql").write_text("ALTER TABLE first ADD m int;")
    assert _run(empty, files) == ["0003_third"]
    assert _names(empty) == ["0001_first", "0002_second", "0003_third"]
    with psycopg.connect(empty.conninfo(Role.OWNER)) as conn:
        owner = conn.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'first'")
        assert owner.fetchone() == (Role.OWNER,)


def test_an_empty_directory_makes_the_schema(empty: Database, tmp_path: Path) -> None:
    assert _run(empty, tmp_path) == []
    assert _tables(empty) == {"migration"}


def test_the_packaged_ones_apply(empty: Database) -> None:
    assert _run(empty, PACKAGED) == [migration.name for migration in read_migrations(PACKAGED)]


def test_the_check_of_parts_never_reads_a_whole_table(empty: Database) -> None:
    """A connection keeps the plans of its first calls, which may be those for empty tables; and a
    later file that replaces the function takes the setting away."""
    migrate(empty.conninfo(Role.OWNER))
    with psycopg.connect(empty.conninfo(Role.OWNER)) as conn:
        found = conn.execute("SELECT proconfig FROM pg_proc WHERE proname = 'check_parts'")
        assert found.fetchall() == [(["enable_seqscan=off"],)]


def test_a_changed_file_is_named(empty: Database, files: Path) -> None:
    _run(empty, files)
    (files / "0001_first.sql").write_text("CREATE TABLE first (n bigint);\n")
    with pytest.raises(DatabaseFault, match=r"0001_first\.sql was changed after it was applied"):
        _run(empty, files)


def test_a_database_newer_than_the_code_is_refused(empty: Database, files: Path) -> None:
    _run(empty, files)
    (files / "0002_second.sql").unlink()
    with pytest.raises(DatabaseFault, match="newer than this code: it has migration 0002_second"):
        _run(empty, files)


def test_a_missing_file_is_named(empty: Database, files: Path) -> None:
    _run(empty, files)
    (files / "0001_first.sql").unlink()
    with pytest.raises(DatabaseFault, match="0001_first was applied"):
        _run(empty, files)


def test_a_file_that_comes_late_is_refused(empty: Database, files: Path) -> None:
    (files / "0001_first.sql").rename(files / "0004_fourth.sql")
    _run(empty, files)
    (files / "0003_late.sql").write_text("SELECT 1;")
    with pytest.raises(DatabaseFault, match=r"0003_late\.sql comes late: number 0004"):
        _run(empty, files)


def test_a_failing_file_leaves_nothing_and_says_the_line(empty: Database, files: Path) -> None:
    (files / "0003_third.sql").write_text("CREATE TABLE third (n int);\n\nSELECT nonsense;\n")
    with pytest.raises(DatabaseFault, match=r"0003_third\.sql line 3: .*nonsense"):
        _run(empty, files)
    assert _names(empty) == ["0001_first", "0002_second"]
    assert "third" not in _tables(empty)
    (files / "0003_third.sql").write_text("CREATE TABLE third (n int);\n")
    assert _run(empty, files) == ["0003_third"]


def test_a_file_with_its_own_commit_is_refused(empty: Database, files: Path) -> None:
    (files / "0003_third.sql").write_text("CREATE TABLE third (n int);\nCOMMIT;\n")
    with pytest.raises(DatabaseFault, match=r"0003_third\.sql ends its transaction"):
        _run(empty, files)
    assert _names(empty) == ["0001_first", "0002_second"]


@pytest.mark.parametrize(
    ("name", "said"), [("3_x.sql", "expected a name"), ("0002_other.sql", "number 0002 is taken")]
)
def test_a_file_name_that_can_not_be(empty: Database, files: Path, name: str, said: str) -> None:
    (files / name).write_text("SELECT 1;")
    with pytest.raises(DatabaseFault, match=said):
        _run(empty, files)


def test_two_migrators_at_once_apply_each_file_once(empty: Database, files: Path) -> None:
    (files / "0003_slow.sql").write_text("SELECT pg_sleep(0.3);")
    _together([lambda: _run(empty, files)] * 3, expected=[[], [], _all(files)])


def _all(files: Path) -> list[str]:
    return [migration.name for migration in read_migrations(files)]


def _together(calls: list[Callable[[], list[str]]], expected: list[list[str]]) -> None:
    results: list[list[str]] = []
    threads = [threading.Thread(target=lambda call=call: results.append(call())) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == expected


# --- a served PostgreSQL --------------------------------------------------------------


@pytest.fixture(scope="module", params=["default", "15"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A PostgreSQL of somebody's own: TCP on loopback, scram passwords."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "default":
            folder = Path(f"/usr/lib/postgresql/{request.param}/bin")
            if not folder.exists():
                pytest.skip(f"no PostgreSQL {request.param} in {folder}")
            patch.setenv("WATTLEDGER_PG_BIN", str(folder))
        with serve() as running:
            yield running


@pytest.fixture
def fresh(served: Served) -> Served:
    """Without roles, logins and databases of an earlier test."""
    served.clear()
    return served


async def test_served_a_superuser_migrates_and_the_roles_are_switched_to(
    fresh: Served, files: Path, clock: DrivenClock
) -> None:
    database = Database.served(fresh.dsn("postgres") + "?options=-c%20work_mem%3D5MB")
    (files / "0003_grant.sql").write_text(
        "GRANT USAGE ON SCHEMA wattledger TO wattledger_app;\n"
        "GRANT INSERT, SELECT ON first TO wattledger_app;"
    )
    assert len(_run(database, files)) == 3
    assert _run(database, files) == []
    pool = await database.open_pool(Role.APP, 1, 2)
    async with pool, Work(pool, clock).transaction("step") as tx:
        await tx.conn.execute("INSERT INTO first VALUES (1)")
        found = await tx.conn.execute(
            "SELECT current_user AS me, session_user AS login, "
            "current_setting('work_mem') AS work_mem"
        )
        row = await found.fetchone()
        assert row == {"me": "wattledger_app", "login": "postgres", "work_mem": "5MB"}
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with tx.savepoint():
                await tx.conn.execute("SELECT * FROM second")


def test_served_a_login_with_createrole_makes_the_roles(fresh: Served, files: Path) -> None:
    fresh.login("maker", "CREATEROLE", owns_database=True)
    database = Database.served(fresh.dsn("maker"))
    assert len(_run(database, files)) == 2
    for role in Role:
        with psycopg.connect(database.conninfo(role)) as conn:
            assert conn.execute("SELECT current_user").fetchone() == (role,)


def test_served_a_login_that_may_nothing_is_told_the_sql_that_helps(
    fresh: Served, files: Path
) -> None:
    fresh.login("little")
    database = Database.served(fresh.dsn("little"))
    with pytest.raises(DatabaseFault, match="CREATE ROLE") as caught:
        _run(database, files)
    text = str(caught.value)
    statements = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    with psycopg.connect(fresh.dsn("postgres"), autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement.encode())
    assert len(_run(database, files)) == 2


def test_served_an_app_login_is_told_what_to_be_granted(fresh: Served, files: Path) -> None:
    fresh.login("appuser")
    database = Database.served(fresh.dsn("appuser"), owner_dsn=fresh.dsn("postgres"))
    _run(database, files)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(database.conninfo(Role.APP))
    with psycopg.connect(fresh.dsn("postgres"), autocommit=True) as conn:
        conn.execute("GRANT wattledger_app TO appuser")
    psycopg.connect(database.conninfo(Role.APP)).close()


async def test_served_the_fault_says_grant_and_no_password(fresh: Served, files: Path) -> None:
    fresh.login("appuser")
    database = Database.served(fresh.dsn("appuser"), owner_dsn=fresh.dsn("postgres"))
    with pytest.raises(DatabaseFault, match="Run the migrations"):
        await database.open_pool(Role.APP, 1, 1)
    _run(database, files)
    with pytest.raises(DatabaseFault, match='GRANT wattledger_app TO "appuser"') as caught:
        await database.open_pool(Role.APP, 1, 1)
    assert fresh.password not in str(caught.value)
    wrong = Database.served(make_conninfo(fresh.dsn("appuser"), password="not-it-at-all"))
    with pytest.raises(DatabaseFault, match="password authentication failed") as caught:
        await wrong.connect(Role.APP)
    assert "not-it-at-all" not in str(caught.value)


def test_served_two_migrators_at_once_make_the_roles_once(fresh: Served, files: Path) -> None:
    database = Database.served(fresh.dsn("postgres"))
    _together([lambda: _run(database, files)] * 3, expected=[[], [], _all(files)])


def test_served_the_packaged_ones_apply(fresh: Served) -> None:
    assert len(_run(Database.served(fresh.dsn("postgres")), PACKAGED)) == len(
        read_migrations(PACKAGED)
    )


def test_a_foreign_schema_is_refused(fresh: Served, files: Path) -> None:
    with psycopg.connect(fresh.dsn("postgres"), autocommit=True) as conn:
        conn.execute("CREATE SCHEMA wattledger")
    with pytest.raises(DatabaseFault, match="belongs to postgres, expected wattledger_owner"):
        _run(Database.served(fresh.dsn("postgres")), files)


def test_a_dsn_that_does_not_parse_is_not_quoted() -> None:
    with pytest.raises(ConfigError) as caught:
        Database.served("host=x pass word=hunter2")
    assert "hunter2" not in str(caught.value)
