"""The demo's data directory: fresh at each start, and nobody else's."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from wattledger.db import embedded, places
from wattledger.errors import ConfigError

DEFAULT = Path(".wattledger/demo")
DATABASE = "data"
# Its presence says that the directory is a demo's and may be wiped; its lock, that one runs.
_MARK = "demo.lock"


@contextlib.contextmanager
def fresh(data_dir: Path) -> Iterator[Path]:
    """The directory, emptied, ours alone until we leave it.

    Raises ConfigError for a directory that holds something else, or another running demo.
    """
    data_dir = data_dir.absolute().resolve()
    if data_dir.exists() and not data_dir.is_dir():
        raise ConfigError(f"{data_dir} is no directory: name another with --data")
    if data_dir.is_dir() and any(data_dir.iterdir()) and not (data_dir / _MARK).exists():
        raise ConfigError(
            f"{data_dir} is not empty and was not made by the demo, which wipes its directory at "
            "each start: name another with --data"
        )
    data_dir.mkdir(parents=True, exist_ok=True)
    fd = os.open(data_dir / _MARK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another demo runs in {data_dir}: end it, or name another with --data"
            ) from None
        _wipe(data_dir)
        yield data_dir
    finally:
        os.close(fd)


def _wipe(data_dir: Path) -> None:
    """Remove all but the mark; a database left running by a killed run is stopped first."""
    if (data_dir / DATABASE).is_dir():
        place = places.settle(data_dir / DATABASE)
        if (place.pgdata / "postmaster.pid").exists():
            # Whoever attaches and is the last to leave stops it.
            embedded.start(data_dir / DATABASE).release()
            if (place.pgdata / "postmaster.pid").exists():
                raise ConfigError(
                    f"the database in {place.home} is in use by a server of an earlier run: "
                    "end that server, or name another directory with --data"
                )
        # Run as root, the data may be where their unprivileged user can reach them.
        if place.home != data_dir / DATABASE:
            shutil.rmtree(place.home)
    for entry in data_dir.iterdir():
        if entry.name == _MARK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
