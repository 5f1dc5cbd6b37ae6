"""The commands for meters, which need no configuration and no server: their arguments and help."""

from __future__ import annotations

import argparse

from wattledger.cli.options import command, json_option

_CODES = """
exit codes:
  0  every record is verified
  1  at least one is not; its line says why
  2  the file or the key can't be read, or there is nothing to verify; one line says where
"""


def add_all(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``wattledger meter`` and what is under it."""
    parser = command(commands, "meter", None, "verify signed meter values",
                     "wattledger meter verify receipt.xml")  # fmt: skip
    inner = parser.add_subparsers(dest="meter_command", required=True, metavar="<command>")
    one = command(
        inner, "verify", _run_verify,
        "say of each signed record (OCMF) whether the meter's key signed it, and its energy",
        "wattledger meter verify receipt.xml --public-key meter.pem --json",
    )  # fmt: skip
    one.epilog = f"{one.epilog}\n{_CODES}"
    one.add_argument(
        "file", metavar="FILE",
        help="OCMF records, or the XML of the transparency software; - for standard input",
    )  # fmt: skip
    one.add_argument(
        "--public-key", metavar="KEY",
        help="the meter's public key, or a file that holds it; goes before a key in FILE",
    )  # fmt: skip
    json_option(one)


def _run_verify(options: argparse.Namespace) -> int:
    from wattledger.cli import meter  # noqa: PLC0415  (a fast --help)

    return meter.verify(options)
