"""Files and values out of a command line, read strictly: an error says which file, and where."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from wattledger.errors import BadInput
from wattledger.tariffs.formats import Found, read_any_list
from wattledger.tariffs.model import Tariff

STDIN = "-"
_BOM = b"\xef\xbb\xbf"


def read_file(name: str, expected: str) -> bytes:
    """The bytes of a file, or of standard input for ``-``. Raises BadInput naming the file."""
    try:
        raw = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except FileNotFoundError:
        raise BadInput(shown(name), "no such file", expected) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadInput(shown(name), reason.lower(), expected) from None
    return raw.removeprefix(_BOM)


def shown(name: str) -> str:
    """What a file is called in a message."""
    return "standard input" if name == STDIN else name


@contextmanager
def inside(name: str, path: str = "$") -> Iterator[None]:
    """An error in there says in which file, and at which place of it: ``path`` is where what was
    read begins."""
    try:
        yield
    except BadInput as error:
        where = path + error.path[1:] if error.path.startswith("$") else error.path
        raise type(error)(f"{shown(name)}: {where}", error.got, error.expected) from None


def read_tariff_file(name: str, form: str | None = None) -> list[Found]:
    """Every tariff in a file of any format, with its warnings."""
    raw = read_file(name, "a tariff: OCPI, OCPP 2.1 or our own")
    with inside(name):
        return read_any_list(raw, "$", form)


def read_tariff_files(names: Sequence[str]) -> tuple[list[Tariff], tuple[str, ...]]:
    """The tariffs of all files in their order, and their warnings, each with its file."""
    tariffs: list[Tariff] = []
    said: list[str] = []
    for name in names:
        for tariff, warnings, _ in read_tariff_file(name):
            tariffs.append(tariff)
            said += [f"{shown(name)}: {warning}" for warning in warnings]
    return tariffs, tuple(said)
