"""The embedded server: found, started, shared, survived, stopped; as root and as anybody.

Servers are held by processes of their own (``Holder``), so that they can be killed.
"""

from __future__ import annotations

import functools
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from wattledger.db import binaries, embedded, places
from wattledger.db.connect import Database
from wattledger.db.embedded import SUPERUSER, start
from wattledger.db.places import Account
from wattledger.db.roles import Role
from wattledger.errors import DatabaseFault

_IS_ROOT = os.geteuid() == 0
_SOURCES = [str(Path(place).resolve()) for place in sys.path if place]
_HOLD = """
import sys
from pathlib import Path
from wattledger.db.embedded import start
from wattledger.errors import DatabaseFault
try:
    server = start(Path(sys.argv[1]))
except DatabaseFault as fault:
    sys.exit(f"fault: {fault}")
print(server.home, flush=True)
print(server.dsn("wattledger_owner"), flush=True)
sys.stdin.readline()
server.release()
print("released", flush=True)
"""
only_root = pytest.mark.skipif(not _IS_ROOT, reason="only root can become another user")


@functools.cache
def _python_for(user: str | None) -> str:
    """An interpreter ``user`` may execute: ours may lie in somebody's 0700 home."""
    minor = f"python{sys.version_info.major}.{sys.version_info.minor}"
    reasons = []
    for python in (sys.executable, f"/usr/bin/{minor}", f"/usr/local/bin/{minor}"):
        command = [python, "-c", "import psycopg, wattledger.db.embedded"]
        try:
            done = subprocess.run(command, check=False, capture_output=True, **_as(user))
        except OSError as error:
            reasons.append(f"{python}: {error.strerror}")
            continue
        if done.returncode == 0:
            return python
        reasons.append(f"{python}: {done.stderr.decode()[-200:]}")
    pytest.skip(f"no Python that {user} can run: {'; '.join(reasons)}")


def _as(user: str | None, **more: str) -> dict[str, object]:
    env = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    env |= {"PYTHONPATH": os.pathsep.join(_SOURCES), "PYTHONDONTWRITEBYTECODE": "1", **more}
    if user is None:
        return {"env": env, "cwd": "/"}
    group = pwd.getpwnam(user).pw_gid
    return {"env": env, "cwd": "/", "user": user, "group": group, "extra_groups": []}


class Holder:
    """A process that holds the server on a directory until told otherwise."""

    def __init__(self, data_dir: Path, user: str | None = None, **env: str) -> None:
        self.process = subprocess.Popen(
            [_python_for(user), "-c", _HOLD, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **_as(user, **env),
        )

    def wait(self) -> Holder:
        assert self.process.stdout
        self.home = Path(self.process.stdout.readline().strip())
        self.dsn = self.process.stdout.readline().strip()
        assert self.dsn, "the holder did not get its server"
        return self

    def release(self) -> None:
        out, _ = self.process.communicate("\n", timeout=60)
        assert out == "released\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=10)


@pytest.fixture(params=[None, pytest.param("nobody", marks=only_root)])
def user(request: pytest.FixtureRequest) -> str | None:
    """Whoever runs the tests, and, when that is root, an ordinary user as well."""
    return request.param


@pytest.fixture(params=["default", "15"])
def release(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The binaries found by default, and Debian's 15 by the environment."""
    if request.param != "default":
        if request.getfixturevalue("user"):
            pytest.skip("one user is enough for the other release")
        folder = Path(f"/usr/lib/postgresql/{request.param}/bin")
        if not folder.exists():
            pytest.skip(f"no PostgreSQL {request.param} in {folder}")
        monkeypatch.setenv("WATTLEDGER_PG_BIN", str(folder))
    return request.param


@pytest.fixture
def make_dir() -> Iterator[Callable[..., Path]]:
    """Data directories that are cleaned of server and files, wherever those are."""
    made: list[Path] = []

    def make(user: str | None = None, mode: int = 0o755, below: str = "") -> Path:
        top = Path(tempfile.mkdtemp(prefix="wattledger-test-"))
        made.append(top)
        top.chmod(mode)
        data_dir = top / below if below else top / "data"
        if user:
            shutil.chown(top, user)
        homes.append((data_dir, user))
        return data_dir

    homes: list[tuple[Path, str | None]] = []
    yield make
    for data_dir, user in homes:
        if data_dir.exists() and _pid_or_none(data_dir):
            Holder(data_dir, user).wait().release()
        note = data_dir / places.NOTE
        if note.exists():
            shutil.rmtree(note.read_text().splitlines()[0], ignore_errors=True)
    for top in made:
        shutil.rmtree(top)


def _home(data_dir: Path) -> Path:
    note = data_dir / places.NOTE
    return Path(note.read_text().splitlines()[0]) if note.exists() else data_dir


def _pid_or_none(data_dir: Path) -> int | None:
    try:
        text = (_home(data_dir) / "pgdata/postmaster.pid").read_text()
    except FileNotFoundError:
        return None
    return int(text.splitlines()[0])


def _pid(data_dir: Path) -> int:
    pid = _pid_or_none(data_dir)
    assert pid
    return pid


def _alive(pid: int) -> bool:
    """Whether it runs; a zombie, as a container without a reaper leaves it, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _count(dsn: str) -> int:
    with psycopg.connect(dsn) as conn:
        row = conn.execute("SELECT count(*) FROM kept.kept").fetchone()
    assert row
    return row[0]


def _first(data_dir: Path, user: str | None) -> Holder:
    """A holder of a new server with rows 1 to 100 committed."""
    holder = Holder(data_dir, user).wait()
    with psycopg.connect(holder.dsn, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA kept CREATE TABLE kept (n integer PRIMARY KEY)")
        for n in range(100):
            conn.execute("INSERT INTO kept.kept VALUES (%s)", (n,))
    return holder


# --- living and dying -----------------------------------------------------------------


def test_a_restart_keeps_the_rows(
    make_dir: Callable[..., Path], user: str | None, release: str
) -> None:
    data_dir = make_dir(user)
    _first(data_dir, user).release()
    assert _pid_or_none(data_dir) is None
    again = Holder(data_dir, user).wait()
    assert _count(again.dsn) == 100
    again.release()


def test_only_the_last_exit_stops_the_server(
    make_dir: Callable[..., Path], user: str | None
) -> None:
    data_dir = make_dir(user)
    first, second = Holder(data_dir, user).wait(), Holder(data_dir, user).wait()
    pid = _pid(data_dir)
    first.release()
    psycopg.connect(second.dsn).close()
    assert _pid(data_dir) == pid
    second.release()
    assert not _alive(pid)
    assert _pid_or_none(data_dir) is None


def test_two_starts_at_once_get_one_server(make_dir: Callable[..., Path], user: str | None) -> None:
    data_dir = make_dir(user)
    holders = [Holder(data_dir, user) for _ in range(3)]
    backends = set()
    for holder in holders:
        with psycopg.connect(holder.wait().dsn) as conn:
            backends.add(conn.execute("SELECT pg_postmaster_start_time()").fetchone())
    assert len(backends) == 1
    for holder in holders:
        holder.release()
    assert _pid_or_none(data_dir) is None


def test_after_kill_9_of_the_owner_the_next_start_attaches(
    make_dir: Callable[..., Path], user: str | None, release: str
) -> None:
    data_dir = make_dir(user)
    _first(data_dir, user).kill()
    pid = _pid(data_dir)
    assert _alive(pid)
    again = Holder(data_dir, user).wait()
    assert _pid(data_dir) == pid
    assert _count(again.dsn) == 100
    again.release()
    assert not _alive(pid)


def test_after_kill_9_of_owner_and_postmaster_committed_rows_are_there(
    make_dir: Callable[..., Path], user: str | None, release: str
) -> None:
    data_dir = make_dir(user)
    owner = _first(data_dir, user)
    pid = _pid(data_dir)
    uncommitted = psycopg.connect(owner.dsn)
    uncommitted.execute("INSERT INTO kept.kept VALUES (1000)")
    os.kill(pid, signal.SIGKILL)
    owner.kill()
    assert _pid(data_dir) == pid  # stale
    again = Holder(data_dir, user).wait()
    assert _pid(data_dir) != pid
    assert _count(again.dsn) == 100
    uncommitted.close()
    again.release()
    assert "not properly shut down" in (_home(data_dir) / "server.log").read_text()


def test_a_busy_backend_that_outlives_its_postmaster_is_waited_for(
    make_dir: Callable[..., Path],
) -> None:
    data_dir = make_dir()
    owner = _first(data_dir, None)
    busy = psycopg.connect(owner.dsn)
    # No latch is looked at in here: the backend does not notice the death for a while.
    busy_sql = b"SELECT count(*) FROM generate_series(1, 3000000)"
    busy.pgconn.send_query(busy_sql)
    time.sleep(0.1)
    os.kill(_pid(data_dir), signal.SIGKILL)
    again = Holder(data_dir).wait()
    assert _count(again.dsn) == 100
    again.release()
    busy.close()
    owner.release()  # its server is gone: nothing to stop


def test_a_pid_file_whose_pid_went_to_another_program_does_not_hinder(
    make_dir: Callable[..., Path],
) -> None:
    data_dir = make_dir()
    owner = _first(data_dir, None)
    os.kill(_pid(data_dir), signal.SIGKILL)
    owner.kill()
    pid_file = _home(data_dir) / "pgdata/postmaster.pid"
    account = pid_file.stat().st_uid
    other = subprocess.Popen(["sleep", "60"], **({"user": account} if _IS_ROOT else {}))
    text = pid_file.read_text()
    pid_file.write_text(re.sub(r"\A\d+", str(other.pid), text))
    again = Holder(data_dir).wait()
    assert _count(again.dsn) == 100
    again.release()
    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_server_whose_socket_was_cleaned_away_is_started_anew(
    make_dir: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_NO_SOCKET_S", 0.2)
    data_dir = make_dir()
    _first(data_dir, None).kill()
    lines = (_home(data_dir) / "pgdata/postmaster.pid").read_text().splitlines()
    shutil.rmtree(lines[4])
    with start(data_dir) as server:
        assert _pid(data_dir) != int(lines[0])
        psycopg.connect(server.dsn(Role.APP)).close()


def test_one_process_may_start_twice_and_release_twice(make_dir: Callable[..., Path]) -> None:
    data_dir = make_dir()
    first, second = start(data_dir), start(data_dir)
    first.release()
    first.release()
    psycopg.connect(second.dsn(Role.READER)).close()
    second.release()
    assert _pid_or_none(data_dir) is None


# --- places ---------------------------------------------------------------------------


def test_a_long_data_path_works(make_dir: Callable[..., Path], user: str | None) -> None:
    data_dir = make_dir(user, below="/".join(["a-folder-with-a-long-name"] * 12))
    assert len(os.fsencode(data_dir)) > 300
    Holder(data_dir, user).wait().release()


def test_the_socket_is_behind_a_0700_directory_and_there_is_no_tcp(
    make_dir: Callable[..., Path],
) -> None:
    with start(make_dir()) as server:
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
        with psycopg.connect(server.dsn(SUPERUSER)) as conn:
            shown = [
                conn.execute(f"SHOW {name}".encode()).fetchone()
                for name in ("listen_addresses", "data_checksums", "fsync", "server_encoding")
            ]
            assert shown == [("",), ("on",), ("on",), ("UTF8",)]
            roles = conn.execute(
                "SELECT count(*) FROM pg_roles WHERE rolname = ANY(%s) AND NOT rolsuper "
                "AND NOT rolcreaterole AND NOT rolcreatedb AND rolcanlogin",
                (list(Role),),
            )
            assert roles.fetchone() == (3,)


@only_root
def test_a_0700_home_as_root_puts_the_data_where_the_server_can_read_them(
    make_dir: Callable[..., Path],
) -> None:
    data_dir = make_dir(mode=0o700)
    _first(data_dir, None).release()
    home = _home(data_dir)
    assert home.is_relative_to(places.SYSTEM_DIR)
    assert stat.S_IMODE(data_dir.parent.stat().st_mode) == 0o700
    assert not (data_dir / "pgdata").exists()
    data_dir.parent.chmod(0o755)  # reachable now: the data stay where they are
    again = Holder(data_dir).wait()
    assert again.home == home
    assert _count(again.dsn) == 100
    again.release()
    data_dir.parent.chmod(0o700)
    moved = data_dir.with_name("moved")
    shutil.copytree(data_dir, moved)
    with pytest.raises(DatabaseFault, match="was moved or copied"):
        start(moved)


@only_root
def test_root_attaches_to_a_users_server_and_the_user_to_it(make_dir: Callable[..., Path]) -> None:
    data_dir = make_dir("nobody")
    theirs = _first(data_dir, "nobody")
    with start(data_dir) as ours:
        theirs.release()
        assert _count(ours.dsn(Role.OWNER)) == 100
        Holder(data_dir, "nobody").wait().release()
        assert _count(ours.dsn(Role.OWNER)) == 100
    assert _pid_or_none(data_dir) is None
    with start(data_dir):  # started by root: still the user's
        assert Path(f"/proc/{_pid(data_dir)}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
        Holder(data_dir, "nobody").wait().release()


@only_root
def test_an_ordinary_user_is_told_that_the_data_are_somebody_elses(
    make_dir: Callable[..., Path],
) -> None:
    data_dir = make_dir()
    start(data_dir).release()
    command = [_python_for("nobody"), "-c", _HOLD, str(data_dir)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, **_as("nobody"))
    assert re.search(
        r"fault: .*pgdata belongs to \w+, and this process runs as nobody", done.stderr
    )


@only_root
def test_the_binaries_are_copied_with_their_libraries(tmp_path: Path) -> None:
    """From a 0700 home with a strict umask; the copy runs as nobody."""
    me = Account(0, 0, "root", drops=False)
    source = binaries.find_binaries(me).folder
    package = source.parent.parent
    hidden = tmp_path / "hidden"
    shutil.copytree(source.parent, hidden / package.name / source.parent.name)
    libs = package.with_name(f"{package.name}.libs")
    if libs.exists():
        shutil.copytree(libs, hidden / libs.name)
    hidden.chmod(0o700)
    below = Path(tempfile.mkdtemp(prefix="wattledger-test-"))
    before = os.umask(0o077)
    try:
        below.chmod(0o755)
        folder = hidden / package.name / source.parent.name / source.name
        copy = binaries.copy_install(folder, below / "pg")
        assert binaries.copy_install(folder, below / "pg") == copy
        for program in ("postgres", "initdb"):
            subprocess.run([copy / program, "--version"], check=True, **_as("nobody"))
    finally:
        os.umask(before)
        shutil.rmtree(below)


def _me() -> Account:
    if _IS_ROOT:
        entry = pwd.getpwnam("nobody")
        return Account(entry.pw_uid, entry.pw_gid, "nobody", drops=True)
    return Account(os.geteuid(), os.getegid(), "me", drops=False)


def test_a_socket_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    for mode in (0o777, 0o720, 0o702, 0o755):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(mode)
        with pytest.raises(DatabaseFault, match=f"mode {mode:04o}, expected .* mode 0700"):
            places.make_private(folder, _me())


def test_a_socket_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(DatabaseFault, match="is no directory of"):
        places.make_private(tmp_path / "link", _me())


@only_root
def test_a_foreign_owned_socket_directory_is_refused(
    make_dir: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "foreign"
    folder.mkdir(mode=0o700)
    shutil.chown(folder, "daemon")
    with pytest.raises(DatabaseFault, match="directory of daemon with mode 0700, expected a "):
        places.make_private(folder, _me())
    # And by a whole start: the directory in the user's runtime directory is somebody else's.
    data_dir = make_dir("nobody")
    runtime = data_dir.parent / "run"
    (runtime / "wattledger").mkdir(parents=True)
    shutil.chown(runtime, "nobody")
    shutil.chown(runtime / "wattledger", "daemon")
    command = [_python_for("nobody"), "-c", _HOLD, str(data_dir)]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        **_as("nobody", XDG_RUNTIME_DIR=str(runtime)),
    )
    assert re.search("fault: .*wattledger is a directory of daemon", done.stderr)


def test_the_runtime_directory_is_used_when_it_is_the_users_and_short(
    make_dir: Callable[..., Path], user: str | None
) -> None:
    if user is None and _IS_ROOT:
        pytest.skip("root's server runs as another user: root's runtime directory is not for it")
    data_dir = make_dir(user)
    runtime = data_dir.parent / "run"
    runtime.mkdir(mode=0o700)
    if user:
        shutil.chown(runtime, user)
    holder = Holder(data_dir, user, XDG_RUNTIME_DIR=str(runtime)).wait()
    assert f"host={runtime}/wattledger/" in holder.dsn
    elsewhere = Holder(data_dir, user).wait()  # without the variable: attaches all the same
    assert elsewhere.dsn == holder.dsn
    elsewhere.release()
    holder.release()
    long = runtime / ("x" * 100)
    long.mkdir(mode=0o700)
    if user:
        shutil.chown(long, user)
    holder = Holder(data_dir, user, XDG_RUNTIME_DIR=str(long)).wait()
    assert "host=/tmp/wattledger-" in holder.dsn
    holder.release()


# --- faults that say what to do -------------------------------------------------------


def test_data_of_another_major_version_are_refused(make_dir: Callable[..., Path]) -> None:
    data_dir = make_dir()
    start(data_dir).release()
    (_home(data_dir) / "pgdata/PG_VERSION").write_text("14\n")
    with pytest.raises(DatabaseFault, match=r"are of PostgreSQL 14, the binaries .*pg_upgrade"):
        start(data_dir)


def test_a_failed_start_shows_the_end_of_the_log(make_dir: Callable[..., Path]) -> None:
    data_dir = make_dir()
    start(data_dir).release()
    with (_home(data_dir) / "pgdata/postgresql.conf").open("a") as conf:
        conf.write("max_connections = many\n")
    with pytest.raises(DatabaseFault, match=r'(?s)did not start.*"max_connections": "many"'):
        start(data_dir)


def test_a_creation_cut_short_is_begun_again(make_dir: Callable[..., Path]) -> None:
    data_dir = make_dir()
    (data_dir / "pgdata.new").mkdir(parents=True)
    (data_dir / "pgdata.new" / "PG_VERSION").write_text("18\n")
    start(data_dir).release()


def test_binaries_that_are_not_there_are_named(
    make_dir: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WATTLEDGER_PG_BIN", str(tmp_path))
    with pytest.raises(DatabaseFault, match=r"WATTLEDGER_PG_BIN is .* holds no postgres"):
        start(make_dir())
    monkeypatch.delenv("WATTLEDGER_PG_BIN")
    monkeypatch.setattr(binaries, "_WHEEL", "no_such_package")
    monkeypatch.setattr(binaries, "_DEBIAN", tmp_path)
    with pytest.raises(DatabaseFault, match=r"pip install 'wattledger\[embedded\]'"):
        start(make_dir())


def test_debians_are_found_without_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATTLEDGER_PG_BIN", raising=False)
    monkeypatch.setattr(binaries, "_WHEEL", "no_such_package")
    if not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        pytest.skip("no PostgreSQL of Debian's here")
    me = Account(os.geteuid(), os.getegid(), "me", drops=False)
    assert binaries.find_binaries(me).folder.is_relative_to("/usr/lib/postgresql")


async def test_database_embedded_starts_and_close_stops(make_dir: Callable[..., Path]) -> None:
    data_dir = make_dir()
    with Database.embedded(data_dir) as database:
        conn = await database.connect(Role.APP)
        await conn.close()
        pid = _pid(data_dir)
    assert not _alive(pid)
