"""``wattledger terminal import``: its arguments and its help."""

from __future__ import annotations

import argparse
from pathlib import Path

from wattledger.cli.options import command, config_option, json_option

_CODES = """
exit codes:
  0  all of it is taken, or was here already
  1  some of it was refused; the rest is taken, and each is named with what to do
  2  nothing could be read: the file, the mapping or the command line is wrong
  3  the database could not be reached
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command's arguments and help."""
    parser = command(
        commands, "terminal", None,
        "payments at card terminals that their vendors report in files",
        "wattledger terminal import payments.csv --vendor acme",
    )  # fmt: skip
    below = parser.add_subparsers(dest="terminal", required=True, metavar="<command>")
    reported = command(
        below, "import", _run,
        "take a vendor's file: CSV, or a JSON object in each line",
        "wattledger terminal import payments.csv --vendor acme --mapping acme.toml",
    )  # fmt: skip
    reported.epilog = f"{reported.epilog}\n{_CODES}"
    reported.add_argument("file", type=Path, metavar="FILE", help="the file: .csv or .jsonl")
    reported.add_argument("--vendor", required=True, metavar="ID",
                          help="the [[terminal_vendor]] whose file it is")  # fmt: skip
    reported.add_argument("--mapping", type=Path, metavar="MAP",
                          help="what its columns mean (TOML); default: our own names")  # fmt: skip
    reported.add_argument("--dry-run", action="store_true",
                          help="check every line, write nothing")  # fmt: skip
    config_option(reported)
    json_option(reported)


def _run(options: argparse.Namespace) -> int:
    from wattledger.cli.terminal_importing import run  # noqa: PLC0415  (a fast --help)

    return run(options)
