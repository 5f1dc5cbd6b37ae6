"""The arguments of ``wattledger start``: a start that is paid first."""

from __future__ import annotations

import argparse

from wattledger.cli import deciding_commands
from wattledger.cli.options import Run, command

_CODES = """
exit codes: 0 done; 1 nothing can be started there so, or not any more; 2 what was given is wrong,
or it is not there; 3 the database
"""
_START = "sta_fs4kwjyxnq3zqm5ab7ce"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``ask``, ``show``, ``cancel`` and ``present``."""
    parser = command(
        commands, "start", None, "ask for a start that is paid first, look at it, or give it up",
        "wattledger start ask --route app --charge-point DEPOT-01 --account ann --reference c-17\n"
        f"  wattledger start cancel {_START}",
    )  # fmt: skip
    acts = parser.add_subparsers(metavar="<act>", required=True)
    _ask(acts)
    for name, run, summary in (
        ("show", _run_show, "show how it stands, with its hold and its session"),
        ("cancel", _run_cancel, "give it up: its hold is given back"),
        ("present", _run_present, "show it once more at its reader, for another card"),
    ):
        one = command(acts, name, run, summary, f"wattledger start {name} {_START}")
        one.epilog = f"{one.epilog}\n{_CODES}"
        one.add_argument("id", metavar="ID", help="the start")
        if name != "show":
            _by(one)
        deciding_commands.usual(one, on_its_own=True)


def _ask(acts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ask = command(
        acts, "ask", _run_ask, "hold the money, and tell the charge point once it is held",
        "wattledger start ask --route app --charge-point DEPOT-01 --account ann --reference c-17\n"
        "  wattledger start ask --route terminal --reader entrance --charge-point DEPOT-01 \\\n"
        "      --connector 2 --reference c-18",
    )  # fmt: skip
    ask.epilog = f"{ask.epilog}\n\nWith the same reference it is the same start.{_CODES}"
    ask.add_argument("--route", required=True, choices=("app", "terminal"),
                     help="by an account's card, or by a card at a reader")  # fmt: skip
    ask.add_argument("--charge-point", required=True, metavar="ID", help="where")
    ask.add_argument("--connector", type=int, metavar="N", help="which connector")
    ask.add_argument("--account", metavar="ID", help="who, by app")
    ask.add_argument("--token", metavar="TOKEN", help="who, by app: the token of an account")
    ask.add_argument("--reader", metavar="ID", help="the reader, at a terminal")
    ask.add_argument("--email", metavar="ADDRESS", help="where the receipt goes")
    ask.add_argument("--reference", required=True, metavar="TEXT",
                     help="your own name for it: it starts once")  # fmt: skip
    _by(ask)
    deciding_commands.usual(ask, on_its_own=True)


def _by(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", metavar="NAME",
                        help="who asks (default: the user of this machine)")  # fmt: skip


def _run_ask(options: argparse.Namespace) -> int:
    return _runs("ask")(options)


def _run_show(options: argparse.Namespace) -> int:
    return _runs("show")(options)


def _run_cancel(options: argparse.Namespace) -> int:
    return _runs("cancel")(options)


def _run_present(options: argparse.Namespace) -> int:
    return _runs("present")(options)


def _runs(name: str) -> Run:
    from wattledger.cli import paid_starts  # noqa: PLC0415  (a database's weight)

    found: Run = getattr(paid_starts, name)
    return found
