"""The arguments of ``wattledger sessions`` and ``wattledger anomalies``."""

from __future__ import annotations

import argparse
from pathlib import Path

from wattledger.cli.options import Run, command, config_option, json_option

_STATES = ("open", "ended", "billed", "free", "held", "adjusted")


def add_all(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Both commands."""
    _sessions(commands)
    _anomalies(commands)


def _sessions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "sessions", _run_sessions,
        "list sessions, the newest first, or show all that is known of one",
        "wattledger sessions --state held --since 2026-11-01\n"
        "  wattledger sessions --find '4242 2026-11-20'\n"
        "  wattledger sessions ses_fs4kwjyxnq3zqm5ab7ce --frames",
    )  # fmt: skip
    parser.add_argument("id", nargs="?", metavar="ID",
                        help="a session: its facts, anomalies and charge lines")  # fmt: skip
    parser.add_argument("--state", choices=_STATES, help="only those in this state")
    parser.add_argument("--site", metavar="ID", help="only those of this site")
    parser.add_argument("--charge-point", metavar="ID", help="only those of this charge point")
    parser.add_argument("--token", metavar="TOKEN", help="only those of this token")
    parser.add_argument("--since", metavar="TIME",
                        help="only those started from this time or day (UTC) on")  # fmt: skip
    parser.add_argument("--find", metavar="TEXT",
                        help="what a driver has in hand: a card's last four, a day, an amount,"
                             " an e-mail address, a receipt's number; all has to fit")  # fmt: skip
    parser.add_argument("--limit", type=int, default=50, metavar="N",
                        help="how many at most (default: 50)")  # fmt: skip
    parser.add_argument("--frames", action="store_true",
                        help="with ID: the raw frames of its charge point too")  # fmt: skip
    config_option(parser)
    json_option(parser)


def _anomalies(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "anomalies", _run_anomalies,
        "list what a person should look at, and decide about it",
        "wattledger anomalies --code register.fell\n"
        "  wattledger anomalies show 12\n"
        "  wattledger anomalies correct 12 --stop-wh 118350 --reason 'read off the display'",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="resolved ones too")
    parser.add_argument("--code", metavar="CODE", help="only those with this code")
    parser.add_argument("--limit", type=int, default=50, metavar="N",
                        help="how many at most (default: 50)")  # fmt: skip
    config_option(parser)
    json_option(parser)
    acts = parser.add_subparsers(metavar="<act>")
    _one(acts, "show", _run_show, "show one: what it means, and what can be done about it",
         "wattledger anomalies show 12")  # fmt: skip
    accept = _one(
        acts, "accept", _run_act,
        "it is as it is: a session that is held by it is billed from its facts",
        "wattledger anomalies accept 12 --reason 'charger replaced, ticket 4711'",
    )  # fmt: skip
    correct = _one(
        acts, "correct", _run_act,
        "correct the registers or times of the session; it is billed, or its bill adjusted",
        "wattledger anomalies correct 12 --stop-wh 118350 --reason 'read off the display'",
    )  # fmt: skip
    for edge in ("start", "stop"):
        correct.add_argument(f"--{edge}-at", metavar="TIME", help=f"the time of the {edge}")
        correct.add_argument(f"--{edge}-wh", type=int, metavar="WH",
                             help=f"the register at the {edge}, in Wh")  # fmt: skip
    discard = _one(
        acts, "discard", _run_act, "nobody is billed for the held session; a hold is given back",
        "wattledger anomalies discard 12 --never-delivered --reason 'test of the installer'",
    )  # fmt: skip
    kind = discard.add_mutually_exclusive_group(required=True)
    kind.add_argument("--never-delivered", dest="kind", action="store_const",
                      const="never_delivered", help="the energy never was")  # fmt: skip
    kind.add_argument("--given-away", dest="kind", action="store_const", const="given_away",
                      help="the energy was delivered, and is free")  # fmt: skip
    for name, act in (("accept", accept), ("correct", correct), ("discard", discard)):
        act.set_defaults(act=name)
        act.add_argument("--reason", required=True, metavar="TEXT", help="why: kept for ever")
        act.add_argument("--by", metavar="NAME",
                         help="who decides (default: the user of this machine)")  # fmt: skip


def _one(
    acts: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Run,
    summary: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = command(acts, name, run, summary, example)
    parser.add_argument("id", type=int, metavar="NUMBER", help="the anomaly's number")
    # What stands before the act counts too: no default of its own here.
    parser.add_argument("--config", type=Path, default=argparse.SUPPRESS, metavar="FILE",
                        help="the configuration (default: wattledger.toml)")  # fmt: skip
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS,
                        help="print one JSON object")  # fmt: skip
    return parser


def _run_sessions(options: argparse.Namespace) -> int:
    from wattledger.cli import seen  # noqa: PLC0415  (a database's weight)

    return seen.sessions(options)


def _run_anomalies(options: argparse.Namespace) -> int:
    from wattledger.cli import seen  # noqa: PLC0415

    return seen.anomalies(options)


def _run_show(options: argparse.Namespace) -> int:
    from wattledger.cli import seen  # noqa: PLC0415

    return seen.show(options)


def _run_act(options: argparse.Namespace) -> int:
    from wattledger.cli import seen  # noqa: PLC0415

    return seen.act(options)
