"""``wattledger import``: its arguments and its help."""

from __future__ import annotations

import argparse
from pathlib import Path

from wattledger.cli.options import command, config_option, json_option

FORMATS = ("csv", "json", "ocpi")
_CODES = """
exit codes:
  0  all of it is taken, or was here already
  1  some of it was refused; the rest is taken, and a file names each with what to do
  2  nothing could be read: the file, the mapping or the command line is wrong
  3  the database could not be reached
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command's arguments and help."""
    parser = command(
        commands, "import", _run,
        "take finished sessions from a file: CSV or JSON by a mapping, session JSON, OCPI CDRs",
        "wattledger import sessions.csv --mapping mapping.toml --dry-run",
    )  # fmt: skip
    parser.epilog = f"{parser.epilog}\n{_CODES}"
    parser.add_argument("file", type=Path, metavar="FILE", help="the file")
    parser.add_argument("--mapping", type=Path, metavar="MAP",
                        help="what its columns or paths mean (TOML); CSV needs one")  # fmt: skip
    parser.add_argument("--format", choices=FORMATS,
                        help="default: by the file's ending, .csv or .json")  # fmt: skip
    parser.add_argument("--ocpi-version", metavar="VERSION",
                        help="2.1.1, 2.2.1 or 2.3.0; default: by what is in each CDR")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true",
                        help="check all, say what would be taken, write nothing")  # fmt: skip
    parser.add_argument("--rejected", type=Path, metavar="FILE",
                        help="where refused records go (default: FILE.rejected.csv or .json; a dry "
                        "run writes none unless this is given)")  # fmt: skip
    config_option(parser)
    json_option(parser)


def _run(options: argparse.Namespace) -> int:
    from wattledger.cli.importing import run  # noqa: PLC0415  (a fast --help)

    return run(options)
