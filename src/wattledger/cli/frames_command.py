"""``wattledger frames``: its arguments and its help."""

from __future__ import annotations

import argparse

from wattledger.cli.options import command, config_option, json_option


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``frames show`` and ``frames replay``."""
    parser = command(
        commands, "frames", None, "look at raw OCPP frames, or handle them once more",
        "wattledger frames show CP-1 --from 2026-11-24T00:00:00Z",
    )  # fmt: skip
    below = parser.add_subparsers(required=True, metavar="COMMAND")
    show = command(
        below, "show", _show, "print the frames of a charge point as they were on the wire",
        "wattledger frames show CP-1 --from 2026-11-24T00:00:00Z --json",
    )  # fmt: skip
    _range(show)
    again = command(
        below, "replay", _replay,
        "handle stored frames once more, after a fault is mended; what was right stays as it is",
        "wattledger frames replay CP-1 --from 2026-11-24T00:00:00Z --dry-run",
    )  # fmt: skip
    _range(again)
    again.add_argument("--dry-run", action="store_true", help="only say which would be handled")


def _range(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("charge_point", metavar="CHARGE_POINT", help="its id")
    parser.add_argument(
        "--from", dest="since", metavar="TIME",
        help="received at this time or later (default: a day before the last)",
    )  # fmt: skip
    parser.add_argument("--to", dest="until", metavar="TIME", help="received before this time")
    config_option(parser)
    json_option(parser)


def _show(options: argparse.Namespace) -> int:
    from wattledger.cli import frames  # noqa: PLC0415

    return frames.show(options)


def _replay(options: argparse.Namespace) -> int:
    from wattledger.cli import frames  # noqa: PLC0415

    return frames.replay(options)
