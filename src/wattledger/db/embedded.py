"""The embedded PostgreSQL: started with us, shared between our processes, gone with the last.

Three locks (flock: the kernel drops them when a process dies, however it dies) in the home:

- ``start.lock``   exclusive while somebody decides to start or stop the server;
- ``in-use.lock``  shared, one per EmbeddedServer: whoever gets it exclusively is the last;
- ``running.lock`` exclusive, inherited by the postmaster and all its children: as long as it
  is held, some process of the server lives. Neither a reused pid nor an orphaned backend of
  a killed postmaster can deceive it.

A killed owner leaves the server running: the next start attaches to it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg.conninfo import make_conninfo

from wattledger.db.binaries import Binaries, find_binaries, server_environment
from wattledger.db.places import SOCKET_NAME, Place, make_private, settle, socket_directory
from wattledger.db.roles import Role
from wattledger.errors import DatabaseFault

SUPERUSER = "postgres"
DATABASE = "wattledger"
_PORT = 5432  # only a part of SOCKET_NAME: no TCP is listened on
_START_TIMEOUT_S = 300  # crash recovery may have much to replay
_STOP_TIMEOUT_S = 60
_NO_SOCKET_S = 5
_LOG_KEEP_BYTES = 10_000_000

# Written once into a new postgresql.conf, where an operator may change them.
_SETTINGS = """
# Wattledger
max_connections = 100
shared_buffers = 128MB
wal_level = replica
fsync = on
synchronous_commit = on
autovacuum_naptime = 10s
timezone = 'UTC'
log_timezone = 'UTC'
"""


class EmbeddedServer:
    """Our share of a running server. Each process starts its own: a fork shares its parent's."""

    def __init__(self, place: Place, socket_dir: Path, held: int) -> None:
        self.home = place.home
        self.socket_dir = socket_dir
        self._place = place
        self._held: int | None = held

    def dsn(self, role: str, dbname: str = DATABASE) -> str:
        """A libpq conninfo over the Unix socket that logs in as ``role``."""
        return _conninfo(self.socket_dir, role, dbname)

    def revive(self) -> None:
        """Bring the server up again if it died under us; one that runs is left alone."""
        with _deciding(self._place):
            if self._held is not None:
                self.socket_dir = _bring_up(self._place)

    def release(self) -> None:
        """Give up our share; the last one stops the server. A second call does nothing."""
        if self._held is None:
            return
        held, self._held = self._held, None
        with _deciding(self._place):
            _let_go(self._place, held)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def start(data_dir: Path) -> EmbeddedServer:
    """The server on ``data_dir``: attached to when it runs, else started, created if need be.

    Raises DatabaseFault saying why it can't be had.
    """
    place = settle(data_dir)
    with _deciding(place):
        held = place.open_file("in-use.lock", os.O_RDWR)
        try:
            fcntl.flock(held, fcntl.LOCK_SH)
            socket_dir = _bring_up(place)
        except BaseException:
            _let_go(place, held)
            raise
    return EmbeddedServer(place, socket_dir, held)


@contextlib.contextmanager
def _deciding(place: Place) -> Iterator[None]:
    """Hold start.lock: nobody else starts or stops this server meanwhile."""
    fd = place.open_file("start.lock", os.O_RDWR)
    try:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _try_lock(fd):
            if time.monotonic() > deadline:
                raise DatabaseFault(
                    f"another process has been starting or stopping the server in {place.home} for "
                    f"{_START_TIMEOUT_S} s: see {place.log}, end that process and try again"
                )
            time.sleep(0.02)
        yield
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _let_go(place: Place, held: int) -> None:
    """Drop the share ``held`` and stop the server if there is no other; start.lock is held."""
    try:
        if _try_lock(held):
            socket_dir = _live_socket_dir(place)
            _stop(place)
            if socket_dir is not None and socket_dir.name == place.key:
                with contextlib.suppress(OSError):  # not empty, or gone already
                    socket_dir.rmdir()
    finally:
        os.close(held)


# --- bringing it up -------------------------------------------------------------------


def _bring_up(place: Place) -> Path:
    """Attach or start; the directory of the socket. Called with start.lock held."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    no_socket_deadline = time.monotonic() + _NO_SOCKET_S
    launched = False
    while time.monotonic() < deadline:
        running = place.open_file("running.lock", os.O_RDWR)
        try:
            if _try_lock(running):  # no process of a server lives
                if launched:
                    raise DatabaseFault(f"PostgreSQL did not start.{_log_tail(place)}")
                _launch(place, running)
                launched = True
        finally:
            os.close(running)
        socket_dir = _live_socket_dir(place)
        if socket_dir is not None and _ready(socket_dir):
            if launched:
                _prepare(socket_dir)
            return socket_dir
        if not launched and _lost_its_socket(place) and time.monotonic() > no_socket_deadline:
            # A cleaner of /tmp or a logout took the directory: nobody can connect any more.
            _stop(place)
        time.sleep(0.01)
    raise DatabaseFault(
        f"PostgreSQL in {place.home} did not answer in {_START_TIMEOUT_S} s.{_log_tail(place)}"
    )


def _launch(place: Place, running: int) -> None:
    """Start a postmaster that holds ``running``, creating the data first if there are none."""
    binaries = find_binaries(place.account)
    if not place.pgdata.exists():
        _create_data(place, binaries)
    found = (place.pgdata / "PG_VERSION").read_text().strip()
    if found != str(binaries.major):
        raise DatabaseFault(
            f"the data in {place.pgdata} are of PostgreSQL {found}, the binaries in "
            f"{binaries.folder} are {binaries.version}. Set WATTLEDGER_PG_BIN to the bin directory "
            f"of a PostgreSQL {found}, or move the data with pg_upgrade or pg_dump"
        )
    socket_dir = socket_directory(place)
    _remove_stale_pid_files(place, socket_dir)
    command = [
        *(str(binaries.folder / "postgres"), "-D", str(place.pgdata), "-p", str(_PORT)),
        *("-c", "listen_addresses="),
        *("-c", f'unix_socket_directories="{socket_dir}"'),
        *("-c", "unix_socket_permissions=0700"),
    ]
    if place.log.exists() and place.log.stat().st_size > _LOG_KEEP_BYTES:
        place.log.replace(place.log.with_suffix(".log.1"))
    log = place.open_file(place.log.name, os.O_WRONLY | os.O_APPEND)
    try:
        # Through a shell that ends at once: the postmaster is nobody's child, so it outlives us
        # and nobody has to reap it.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=server_environment(),
            start_new_session=True,
            pass_fds=(running,),
            **place.account.become(),
        )
    finally:
        os.close(log)


def _create_data(place: Place, binaries: Binaries) -> None:
    """initdb beside, then one rename: a creation cut short leaves nothing to be mistaken."""
    draft = place.home / "pgdata.new"
    shutil.rmtree(draft, ignore_errors=True)
    make_private(draft, place.account)
    # trust: the guard is the 0700 directory of the socket. Peer authentication would lock out
    # root, who is no user of the server's and yet the one that starts it.
    _run_as(
        place,
        *(str(binaries.folder / "initdb"), "-D", str(draft), "-U", SUPERUSER),
        *("--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C"),
        "--data-checksums",
    )
    _run_as(place, "/bin/sh", "-c", 'cat >> "$1"', "sh", f"{draft}/postgresql.conf", said=_SETTINGS)
    draft.rename(place.pgdata)
    folder = os.open(place.home, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _run_as(place: Place, *command: str, said: str = "") -> None:
    done = subprocess.run(
        command,
        input=said,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=server_environment(),
        **place.account.become(),
    )
    if done.returncode:
        raise DatabaseFault(
            f"{Path(command[0]).name} failed in {place.home} as {place.account.name} with exit "
            f"status {done.returncode}:\n{done.stderr.strip() or done.stdout.strip()}"
        )


def _prepare(socket_dir: Path) -> None:
    """The three roles and the database, whichever of them are missing."""
    with psycopg.connect(_conninfo(socket_dir, SUPERUSER, "postgres"), autocommit=True) as conn:
        for role in Role:
            if not conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                conn.execute(f'CREATE ROLE "{role}" LOGIN NOSUPERUSER'.encode())
        known = conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
        if not known.fetchone():
            conn.execute(f'CREATE DATABASE "{DATABASE}" OWNER "{Role.OWNER}"'.encode())


def _conninfo(socket_dir: Path, role: str, dbname: str) -> str:
    return make_conninfo(host=str(socket_dir), port=_PORT, user=role, dbname=dbname)


def _ready(socket_dir: Path) -> bool:
    if not (socket_dir / SOCKET_NAME).exists():
        return False
    try:
        with psycopg.connect(_conninfo(socket_dir, SUPERUSER, "postgres"), connect_timeout=5):
            return True
    except psycopg.OperationalError:  # starting up, recovering, or a socket left by a dead one
        return False


# --- the running one ------------------------------------------------------------------


def _pid_file(place: Place) -> list[str]:
    """The lines of postmaster.pid (pid, data, time, port, socket directory, …), or none."""
    try:
        return (place.pgdata / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []
    except PermissionError:
        raise DatabaseFault(
            f"{place.pgdata} can't be read: it belongs to {place.account.name}; run as that user"
        ) from None


def _live_socket_dir(place: Place) -> Path | None:
    """Where the server put its socket, in its own words: XDG_RUNTIME_DIR may have changed."""
    lines = _pid_file(place)
    return Path(lines[4]) if len(lines) > 4 and lines[4] else None


def _lost_its_socket(place: Place) -> bool:
    lines = _pid_file(place)
    socket_dir = _live_socket_dir(place)
    return (
        socket_dir is not None
        and lines[-1].strip() == "ready"
        and not (socket_dir / SOCKET_NAME).exists()
    )


def _postmaster_pid(place: Place) -> int | None:
    """The living postmaster's pid: that of postmaster.pid if that process works in our data."""
    lines = _pid_file(place)
    if not lines or not lines[0].strip().isdecimal():
        return None
    pid = int(lines[0])
    try:
        inside = Path(f"/proc/{pid}/cwd").readlink()
    except OSError:  # gone, a zombie, or somebody else's
        return None
    return pid if inside == place.pgdata else None


def _remove_stale_pid_files(place: Place, socket_dir: Path) -> None:
    """running.lock is ours, so no server of ours lives.

    PostgreSQL itself would refuse to start when the pid in such a file is alive, which it is
    when the pid went to another program or stands for a zombie. A postmaster that somebody
    started by hand on these data is left to PostgreSQL's own check.
    """
    if _postmaster_pid(place) is None:
        (place.pgdata / "postmaster.pid").unlink(missing_ok=True)
        (socket_dir / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)


def _stop(place: Place) -> None:
    """Fast shutdown, waited for; an immediate one if that takes too long. start.lock is held."""
    running = place.open_file("running.lock", os.O_RDWR)
    try:
        for how in (signal.SIGINT, signal.SIGQUIT):
            if _try_lock(running):
                return
            pid = _postmaster_pid(place)
            if pid is not None:
                try:
                    os.kill(pid, how)
                except OSError as error:
                    if error.errno != errno.ESRCH:
                        raise
            deadline = time.monotonic() + _STOP_TIMEOUT_S
            while time.monotonic() < deadline:
                if _try_lock(running):
                    return
                time.sleep(0.005)
    finally:
        os.close(running)
    raise DatabaseFault(
        f"PostgreSQL in {place.home} did not stop in {2 * _STOP_TIMEOUT_S} s.{_log_tail(place)}"
    )


def _log_tail(place: Place, lines: int = 15) -> str:
    try:
        text = place.log.read_text(errors="replace")
    except OSError:
        return ""
    return f" {place.log} ends with:\n" + "\n".join(text.splitlines()[-lines:])
