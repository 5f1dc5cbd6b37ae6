"""``wattledger terminal``: the arguments of its commands and their help."""

from __future__ import annotations

import argparse
from pathlib import Path

from wattledger.cli.options import command, config_option, json_option

_IMPORT_CODES = """
exit codes:
  0  all of it is taken, or was here already
  1  some of it was refused; the rest is taken, and each is named with what to do
  2  nothing could be read: the file, the mapping or the command line is wrong
  3  the database could not be reached
"""


_READERS_CODES = """
exit codes:
  0  every [[terminal]] with a reader of Stripe's can work as it stands
  1  one can't: its reader is not at the account, offline, or stands where the file does not say
  2  the file is wrong, a key is not set, or Stripe does not take it
  3  Stripe does not answer
"""
_REGISTER_CODES = """
The same command again makes nothing twice. The file is never edited.
exit codes:
  0  it is registered, now or before
  2  the command line or the file is wrong, or Stripe refuses it; the message says where
  3  Stripe does not answer
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Its commands, in the order in which they are needed."""
    parser = command(
        commands, "terminal", None,
        "card terminals: register Stripe's readers and see them, take what vendors report in files",
        "wattledger terminal readers",
    )  # fmt: skip
    below = parser.add_subparsers(dest="terminal", required=True, metavar="<command>")
    _register(below)
    _readers(below)
    _import(below)


def _register(below: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        below, "register", _run_register,
        "register a reader of Stripe's at a site, and print the [[terminal]] for the file",
        "wattledger terminal register --site depot --code quick-brown-fox --label Entrance",
    )  # fmt: skip
    parser.epilog = f"{parser.epilog}\n{_REGISTER_CODES}"
    parser.add_argument("--site", required=True, metavar="ID", help="the [[site]] where it stands")
    parser.add_argument("--code", required=True, metavar="CODE",
                        help="the registration code that the reader shows; simulated-wpe in test"
                        " mode")  # fmt: skip
    parser.add_argument("--label", metavar="TEXT",
                        help="what it is called (default: the site's name)")  # fmt: skip
    parser.add_argument("--processor", metavar="ID",
                        help="the [[processor]] whose account it belongs to (default: the site's)"
                        )  # fmt: skip
    parser.add_argument("--unattended", action="store_true",
                        help="nobody stands beside it: a preview of Stripe's, by invitation"
                        )  # fmt: skip
    config_option(parser)
    json_option(parser)


def _readers(below: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        below, "readers", _run_readers,
        "list the readers of each Stripe account, what they do, and which [[terminal]] each is",
        "wattledger terminal readers --processor stripe --json",
    )  # fmt: skip
    parser.epilog = f"{parser.epilog}\n{_READERS_CODES}"
    parser.add_argument("--processor", metavar="ID",
                        help="only this [[processor]] (default: all)")  # fmt: skip
    config_option(parser)
    json_option(parser)


def _import(below: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        below, "import", _run_import,
        "take a vendor's file: CSV, or a JSON object in each line",
        "wattledger terminal import payments.csv --vendor acme --mapping acme.toml",
    )  # fmt: skip
    parser.epilog = f"{parser.epilog}\n{_IMPORT_CODES}"
    parser.add_argument("file", type=Path, metavar="FILE", help="the file: .csv or .jsonl")
    parser.add_argument("--vendor", required=True, metavar="ID",
                        help="the [[terminal_vendor]] whose file it is")  # fmt: skip
    parser.add_argument("--mapping", type=Path, metavar="MAP",
                        help="what its columns mean (TOML); default: our own names")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true",
                        help="check every line, write nothing")  # fmt: skip
    config_option(parser)
    json_option(parser)


def _run_register(options: argparse.Namespace) -> int:
    from wattledger.cli.terminal_registering import run  # noqa: PLC0415  (a fast --help)

    return run(options)


def _run_readers(options: argparse.Namespace) -> int:
    from wattledger.cli.terminal_readers import run  # noqa: PLC0415

    return run(options)


def _run_import(options: argparse.Namespace) -> int:
    from wattledger.cli.terminal_importing import run  # noqa: PLC0415

    return run(options)
