"""The arguments of ``wattledger wallet``: what an account has prepaid, and how it is filled."""

from __future__ import annotations

import argparse

from wattledger.cli import deciding_commands
from wattledger.cli.options import command

_CODES = """
With the same reference it counts once, whoever gives it again.
exit codes: 0 done; 1 there is no card that may be charged, or the reference was of another one;
2 what was given is wrong, or it is not there; 3 the database
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``wattledger wallet show`` and ``top-up``."""
    parser = command(
        commands, "wallet", None, "look at an account's prepaid wallet, or fill it",
        "wattledger wallet show ann\n"
        "  wattledger wallet top-up ann --amount 20.00 --reference inv-2026-11",
    )  # fmt: skip
    acts = parser.add_subparsers(metavar="<act>", required=True)
    show = command(acts, "show", _run_show, "show what is in it, and its last moves",
                   "wattledger wallet show ann")  # fmt: skip
    show.add_argument("account", metavar="ACCOUNT", help="the account")
    deciding_commands.usual(show, on_its_own=True)
    fill = command(
        acts, "top-up", _run_top_up,
        "charge the account's card for its wallet, or note money that came another way",
        "wattledger wallet top-up ann --amount 20.00 --reference inv-2026-11\n"
        "  wattledger wallet top-up ann --amount 50.00 --reference bank-4711 --recorded",
    )  # fmt: skip
    fill.epilog = f"{fill.epilog}\n{_CODES}"
    fill.add_argument("account", metavar="ACCOUNT", help="the account")
    fill.add_argument("--amount", required=True, metavar="AMOUNT", help="how much: 20.00")
    fill.add_argument("--reference", required=True, metavar="TEXT",
                      help="your own name for it: it counts once")  # fmt: skip
    fill.add_argument("--recorded", action="store_true",
                      help="the money came by transfer or in cash: no card is charged")  # fmt: skip
    fill.add_argument("--entity", metavar="ID",
                      help="the legal entity that holds it (default: the only one)")  # fmt: skip
    fill.add_argument("--reason", default="", metavar="TEXT", help="why: kept for ever")
    fill.add_argument("--by", metavar="NAME",
                      help="who fills it (default: the user of this machine)")  # fmt: skip
    deciding_commands.usual(fill, on_its_own=True)


def _run_show(options: argparse.Namespace) -> int:
    from wattledger.cli import filling  # noqa: PLC0415  (a database's weight)

    return filling.show(options)


def _run_top_up(options: argparse.Namespace) -> int:
    from wattledger.cli import filling  # noqa: PLC0415

    return filling.top_up(options)
