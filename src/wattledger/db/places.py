"""Who runs the embedded server, where its data are and where its socket is.

PostgreSQL refuses to run as root, and its data must be where its user can reach them. As
root we therefore run it as an unprivileged system user, and where that user can't reach the
wanted directory (a home is mostly 0700) the data go to /var/lib/wattledger. No directory
of anybody else has its mode changed for that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from wattledger.errors import DatabaseFault

SYSTEM_DIR = Path("/var/lib/wattledger")
NOTE = "DATA-IS-ELSEWHERE.txt"
SOCKET_NAME = ".s.PGSQL.5432"
_SUN_PATH_BYTES = 107  # Linux: sun_path is 108 bytes with its closing zero


class Become(TypedDict):
    """The arguments of ``subprocess`` that make a child run as an account."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


@dataclass(frozen=True, slots=True)
class Account:
    """The user the server runs as; ``drops`` when we are root and must become it."""

    uid: int
    gid: int
    name: str
    drops: bool

    def become(self) -> Become:
        if not self.drops:
            return {"user": None, "group": None, "extra_groups": None}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one embedded server lives: ``home`` holds the data, the locks and the log."""

    home: Path
    account: Account

    @property
    def pgdata(self) -> Path:
        return self.home / "pgdata"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    @property
    def key(self) -> str:
        """8 hex digits that name the place where a path would be too long."""
        return hashlib.sha256(os.fsencode(self.home)).hexdigest()[:8]

    def open_file(self, name: str, flags: int) -> int:
        """A descriptor of ``home/name``, created for the server's user; no symlink is followed."""
        path = self.home / name
        try:
            fd = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseFault(
                f"{path} can't be opened as {_user_name(os.geteuid())}: {error.strerror}. The data "
                f"belong to {self.account.name}: run as that user or as root, or use another data "
                "directory"
            ) from None
        if self.account.drops:
            os.fchown(fd, self.account.uid, self.account.gid)
        return fd


def settle(data_dir: Path) -> Place:
    """Where the server for ``data_dir`` lives. Data that are there already stay where they are."""
    data_dir = data_dir.absolute().resolve()
    try:
        data_dir.mkdir(mode=0o700 if os.geteuid() else 0o755, parents=True, exist_ok=True)
        owner_uid = _owner(data_dir / "pgdata")
    except OSError as error:
        raise DatabaseFault(
            f"the data directory {data_dir} can't be used as {_user_name(os.geteuid())}: "
            f"{error.strerror}. Give a directory this user may write to"
        ) from None
    if os.geteuid() != 0:
        if owner_uid not in (None, os.geteuid()):
            raise DatabaseFault(
                f"{data_dir}/pgdata belongs to {_user_name(owner_uid or 0)}, and this process runs "
                f"as {_user_name(os.geteuid())}: run as that user, or use another data directory"
            )
        me = Account(os.geteuid(), os.getegid(), _user_name(os.geteuid()), drops=False)
        return Place(data_dir, me)
    if owner_uid is not None:
        return Place(data_dir, _account_of(owner_uid, data_dir))
    return _settle_as_root(data_dir)


def _settle_as_root(data_dir: Path) -> Place:
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    elsewhere = SYSTEM_DIR / "data" / digest
    owner_uid = _owner(elsewhere / "pgdata")
    if owner_uid is not None:
        place = Place(elsewhere, _account_of(owner_uid, elsewhere))
    else:
        account = _system_account()
        place = Place(data_dir if _reachable(data_dir, account) else elsewhere, account)
    if place.home == elsewhere:
        _refuse_moved(data_dir, elsewhere)
        for path in (SYSTEM_DIR, SYSTEM_DIR / "data", elsewhere):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)  # ours; pgdata inside is 0700
        _leave_note(data_dir, place)
    return place


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return None


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _account_of(uid: int, home: Path) -> Account:
    """Whoever owns the data goes on running them: also when root takes over a user's."""
    if uid == 0:
        raise DatabaseFault(
            f"{home}/pgdata belongs to root, and PostgreSQL refuses to run as root: "
            f"give it to another user (chown -R postgres {home}/pgdata)"
        )
    try:
        gid = pwd.getpwuid(uid).pw_gid
    except KeyError:
        gid = (home / "pgdata").lstat().st_gid
    return Account(uid, gid, _user_name(uid), drops=True)


def _system_account() -> Account:
    for name in ("wattledger", "postgres"):
        if account := _account_named(name):
            return account
    # Better a user of our own than nobody, whose other processes could reach the socket too.
    if useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin"):
        subprocess.run(
            [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "wattledger"],
            check=False,
            capture_output=True,
        )
    for name in ("wattledger", "nobody"):
        if account := _account_named(name):
            return account
    raise DatabaseFault(
        "PostgreSQL refuses to run as root, and there is no user wattledger, postgres or nobody "
        "to run it as: create one (useradd --system wattledger) or run as an ordinary user"
    )


def _account_named(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid, name, drops=True)


def _reachable(path: Path, account: Account) -> bool:
    """Whether ``account`` can walk into ``path``, and only it and root decide what is there.

    Read off owners and modes; where an access list says more, /var/lib is the safe answer.
    """
    for step in (path, *path.parents):
        about = step.stat()
        if about.st_uid not in (0, account.uid):
            return False
        if about.st_uid == account.uid:
            may = about.st_mode & stat.S_IXUSR
        elif about.st_gid == account.gid:
            may = about.st_mode & stat.S_IXGRP
        else:
            may = about.st_mode & stat.S_IXOTH
        if not may:
            return False
    return True


def _leave_note(data_dir: Path, place: Place) -> None:
    text = (
        f"{place.home}\n\nThe database of this directory is there: PostgreSQL does not run as root,"
        f"\nand the user it runs as ({place.account.name}) can't reach this directory."
        "\nTo delete the database, delete that directory as well.\n"
    )
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(data_dir / NOTE, flags, 0o644), "w") as note:
            note.write(text)
    except FileExistsError:
        pass


def _refuse_moved(data_dir: Path, elsewhere: Path) -> None:
    """A note that names another place: the directory was moved or copied. No empty ledger then."""
    try:
        said = Path((data_dir / NOTE).read_text().partition("\n")[0])
    except FileNotFoundError:
        return
    if said != elsewhere and not (elsewhere / "pgdata").exists():
        raise DatabaseFault(
            f"{data_dir / NOTE} says that the data are in {said}, but those of {data_dir} would be "
            f"in {elsewhere}: the directory was moved or copied. Move the data there too, or "
            "delete the note to begin with an empty database"
        )


def socket_directory(place: Place) -> Path:
    """A short directory only the server's user (and root) can enter, made if need be.

    The guard of the server: whoever can enter may connect as anyone. So one that is not the
    user's own, or open to others, is refused: in /tmp somebody may have made it in advance.
    """
    account = place.account
    tops = [Path(f"/tmp/wattledger-{account.uid}")]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if not account.drops and _is_own(Path(runtime), account):
        tops.insert(0, Path(runtime) / "wattledger")
    top = next(top for top in tops if _fits(top / place.key))
    make_private(top, account)
    make_private(top / place.key, account)
    return top / place.key


def _is_own(path: Path, account: Account) -> bool:
    if not path.is_absolute() or '"' in str(path):  # a quote: not to be had in postgres' setting
        return False
    try:
        about = path.stat()
    except OSError:
        return False
    return about.st_uid == account.uid and not about.st_mode & 0o022


def _fits(directory: Path) -> bool:
    return len(os.fsencode(directory / SOCKET_NAME)) <= _SUN_PATH_BYTES


def make_private(path: Path, account: Account) -> None:
    """``path`` is a directory of ``account`` with mode 0700, or DatabaseFault."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    about = path.lstat()
    is_folder = stat.S_ISDIR(about.st_mode)
    if is_folder and account.drops and about.st_uid == 0:
        # Just made, by us or by another start of root's; nobody else can swap it under us.
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
        about = path.lstat()
    mode = stat.S_IMODE(about.st_mode)
    if not is_folder or about.st_uid != account.uid or mode & 0o077:
        kind = "a directory" if is_folder else "no directory"
        raise DatabaseFault(
            f"{path} is {kind} of {_user_name(about.st_uid)} with mode {mode:04o}, expected a "
            f"directory of {account.name} with mode 0700: others could put a server of theirs "
            "there. Find out who made it and remove it"
        )
