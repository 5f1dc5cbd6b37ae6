"""What all commands are made of: a parser with its summary, an example and the usual options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

Run = Callable[[argparse.Namespace], int]


def command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Run | None,
    summary: str,
    example: str,
) -> argparse.ArgumentParser:
    """A command; without ``run`` one that only has commands of its own."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if run is not None:
        parser.set_defaults(run=run)
    return parser


def config_option(parser: argparse.ArgumentParser) -> None:
    """``--config FILE``"""
    parser.add_argument(
        "--config", type=Path, default=Path("wattledger.toml"), metavar="FILE",
        help="the configuration (default: wattledger.toml)",
    )  # fmt: skip


def json_option(parser: argparse.ArgumentParser, what: str = "print one JSON object") -> None:
    """``--json``"""
    parser.add_argument("--json", action="store_true", help=what)
