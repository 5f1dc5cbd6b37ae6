"""A PostgreSQL as somebody else runs it: TCP on loopback, passwords, no roles of ours."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from wattledger.db.binaries import find_binaries, server_environment
from wattledger.db.places import make_private, settle
from wattledger.db.roles import Role

_LOGINS = ("maker", "little", "appuser")


@dataclass(frozen=True)
class Served:
    port: int
    password: str

    def dsn(self, user: str, dbname: str = "books") -> str:
        return f"postgresql://{user}:{self.password}@127.0.0.1:{self.port}/{dbname}"

    def clear(self) -> None:
        """An empty database ``books``, and neither our roles nor the logins of other tests."""
        with psycopg.connect(self.dsn("postgres", "postgres"), autocommit=True) as conn:
            conn.execute("DROP DATABASE IF EXISTS books WITH (FORCE)")
            for name in (*Role, *_LOGINS):
                conn.execute(f"DROP ROLE IF EXISTS {name}".encode())
            conn.execute("CREATE DATABASE books")

    def login(self, name: str, attributes: str = "", *, owns_database: bool = False) -> None:
        with psycopg.connect(self.dsn("postgres", "postgres"), autocommit=True) as conn:
            conn.execute(
                f"CREATE ROLE {name} LOGIN {attributes} PASSWORD '{self.password}'".encode()
            )
            if owns_database:
                conn.execute(f"ALTER DATABASE books OWNER TO {name}".encode())


@contextmanager
def serve() -> Iterator[Served]:
    folder = Path(tempfile.mkdtemp(prefix="wattledger-served-"))
    folder.chmod(0o755)
    place = settle(folder)
    binaries = find_binaries(place.account)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        served = Served(probe.getsockname()[1], "correct-horse-battery")
    secret = folder / "secret"
    secret.write_text(served.password)
    secret.chmod(0o644)
    make_private(place.pgdata, place.account)
    initdb = [
        *(
            binaries.folder / "initdb",
            "-D",
            place.pgdata,
            "-U",
            "postgres",
            "--no-sync",
            "--encoding=UTF8",
        ),
        *("--encoding=UTF8", "--auth=scram-sha-256", f"--pwfile={secret}"),
    ]
    options = {"cwd": "/", "env": server_environment(), **place.account.become()}
    subprocess.run(initdb, check=True, capture_output=True, **options)
    command = [
        *(binaries.folder / "postgres", "-D", place.pgdata, "-p", str(served.port), "-F"),
        *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, **options)
    try:
        _wait_for(served)
        yield served
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def _wait_for(served: Served) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(served.dsn("postgres", "postgres")).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
