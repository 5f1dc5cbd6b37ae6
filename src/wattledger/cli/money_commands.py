"""The arguments of ``wattledger payments``, ``refund`` and ``receipt``; those of ``wallet`` and
``start`` stand beside them."""

from __future__ import annotations

import argparse
from pathlib import Path

from wattledger.cli import deciding_commands, start_commands, wallet_commands
from wattledger.cli.options import command, config_option, json_option

_LISTS = {
    "stuck": "those whose call to the processor has no answer yet",
    "lapsing": "holds that lapse within a day",
    "debts": "what drivers owe, with the next try",
    "suspense": "payments at terminals that fit no session",
    "unpaid": "sessions to be paid at a terminal whose payment never came",
    "refunds": "refunds that wait for a second person, failed, wait for a dispute, or were made in"
    " the processor's dashboard",
    "disputes": "disputes that are not closed, with their clocks",
    "blocks": "who may not charge, and why: accounts, guests' cards and tokens",
    "warnings": "early fraud warnings that a refund still helps against",
}

_FINDERS = (
    ("find", "TEXT", "that this finds: a card's last four, a day, an amount, an e-mail address, a"
     " receipt's number, any id; all of it has to fit"),
    ("last4", "DIGITS", "by a card that ends so"),
    ("amount", "AMOUNT", "that took so much, or whose session cost it: 12.34"),
    ("account", "ID", "of this account"),
    ("token", "TOKEN", "of sessions of this token"),
    ("email", "ADDRESS", "of sessions whose receipt goes there"),
    ("receipt", "NUMBER", "of the session with this receipt: chg_…/1"),
    ("since", "TIME", "made from this time or day (UTC) on"),
    ("until", "TIME", "made before this time or day (UTC)"),
)  # fmt: skip


def add_all(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """All of them."""
    _payments(commands)
    _refund(commands)
    wallet_commands.add(commands)
    start_commands.add(commands)
    _receipt(commands)


def _payments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "payments", _run_payments,
        "list payments, the newest first, or what needs somebody among them",
        "wattledger payments --stuck\n"
        "  wattledger payments --debts --json\n"
        "  wattledger payments --last4 4242 --since 2026-11-01 --amount 12.34\n"
        "  wattledger payments --find ann@example.com\n"
        "  wattledger payments show pay_fs4kwjyxnq3zqm5ab7ce",
    )  # fmt: skip
    which = parser.add_mutually_exclusive_group()
    for name, text in _LISTS.items():
        which.add_argument(f"--{name}", dest="which", action="store_const", const=name,
                           help=f"only {text}")  # fmt: skip
    parser.add_argument("--state", metavar="STATE", help="only payments in this state")
    parser.add_argument("--session", metavar="ID", help="only those of this session")
    for name, metavar, text in _FINDERS:
        parser.add_argument(f"--{name}", metavar=metavar, help=f"only those {text}")
    parser.add_argument("--limit", type=int, default=50, metavar="N",
                        help="how many at most (default: 50)")  # fmt: skip
    config_option(parser)
    json_option(parser)
    acts = parser.add_subparsers(metavar="<act>")
    deciding_commands.add_all(acts)
    show = command(acts, "show", _run_show, "show one: what was done, and what is known of it",
                   "wattledger payments show pay_fs4kwjyxnq3zqm5ab7ce")  # fmt: skip
    show.add_argument("id", metavar="ID", help="the payment")
    deciding_commands.usual(show)


def _refund(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "refund", _run_refund,
        "give back some of a session, or all of it; decide about refunds that wait for somebody",
        "wattledger refund ses_fs4kwjyxnq3zqm5ab7ce --amount 3.50 --reason 'wrong price'\n"
        "  wattledger refund ses_fs4kwjyxnq3zqm5ab7ce --line 2 --goodwill --reason 'slow' --yes\n"
        "  wattledger refund approve rfd_5ab7cefs4kwjyxnq3zqm\n"
        "  wattledger refund refuse rfd_5ab7cefs4kwjyxnq3zqm --reason 'paid in cash'\n"
        "  wattledger refund take-over txn_1PqX2LkdIwHu7ixxk --reason 'given in the dashboard'\n"
        "  wattledger refund again prf_fs4kwjyxnq3zqm5ab7ce --reason 'the card works again'\n"
        "  wattledger refund paid-otherwise prf_fs4kwjyxnq3zqm5ab7ce --reason 'by transfer'\n\n"
        "approve, refuse: a refund that waits for a second person. take-over: one that was made\n"
        "in the processor's dashboard becomes one of its session, or leaves its wallet; nothing\n"
        "is sent. again, paid-otherwise: what failed on the card is sent anew, or paid by hand.\n"
        "`wattledger payments --refunds` lists all of them.\n\n"
        "It says first what it comes to, and asks; the same command again is the same refund.\n"
        "exit codes: 0 given, or waiting for a second person; 1 it can't be given or decided so,\n"
        "or you said no; 2 what was given is wrong; 3 the database",
    )  # fmt: skip
    parser.add_argument("what", metavar="SESSION|approve|refuse|take-over|again|paid-otherwise",
                        help="the session, or what to do with a refund")  # fmt: skip
    parser.add_argument("id", nargs="?", metavar="ID", help="after a word: what it is done to")
    much = parser.add_mutually_exclusive_group()
    much.add_argument("--whole", action="store_true", help="all of it")
    much.add_argument("--line", type=int, action="append", metavar="N",
                      help="a line of the bill, from 1 on; may come more than once")  # fmt: skip
    much.add_argument("--amount", metavar="AMOUNT", help="so much, with tax: 3.50")
    parser.add_argument("--part", action="append", metavar="SESSION=AMOUNT",
                        help="with take-over: how much of it is of which session, where the amount"
                             " does not say so; may come more than once")  # fmt: skip
    parser.add_argument("--goodwill", action="store_true",
                        help="it was owed, and is let go (default: a correction); also of what is"
                             " taken over")  # fmt: skip
    parser.add_argument("--reason", metavar="TEXT", help="why: kept for ever")
    parser.add_argument("--by", metavar="NAME",
                        help="who asks or decides (default: the user of this machine)")  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="do it without asking")
    config_option(parser)
    json_option(parser)


def _receipt(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "receipt", _run_receipt,
        "write the receipt of a session, print the link to it, or mail it once more",
        "wattledger receipt ses_fs4kwjyxnq3zqm5ab7ce --out receipt.pdf\n"
        "  wattledger receipt ses_fs4kwjyxnq3zqm5ab7ce --link\n"
        "  wattledger receipt ses_fs4kwjyxnq3zqm5ab7ce --mail --to ann@example.com\n\n"
        "exit codes: 0 done; 1 it can't be mailed: there is no bill or no mail server; 2 what was\n"
        "given is wrong; 3 the database",
    )  # fmt: skip
    parser.add_argument("session", metavar="SESSION", help="the session")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--out", type=Path, metavar="FILE",
                     help="where to: .pdf, .html, or .xml for the signed records")  # fmt: skip
    how.add_argument("--link", action="store_true", help="the link for its driver")
    how.add_argument("--json", action="store_true", help="print it as one JSON object")
    how.add_argument("--mail", action="store_true", help="mail it to its driver once more")
    parser.add_argument("--to", metavar="ADDRESS",
                        help="with --mail: to another address, which is written down")  # fmt: skip
    parser.add_argument("--by", metavar="NAME",
                        help="with --mail: who asks (default: this machine's user)")  # fmt: skip
    parser.add_argument("--document", type=int, metavar="N",
                        help="the revision of another document than the one in force")  # fmt: skip
    config_option(parser)


def _run_payments(options: argparse.Namespace) -> int:
    from wattledger.cli import money  # noqa: PLC0415  (a database's weight)

    return money.payments(options)


def _run_show(options: argparse.Namespace) -> int:
    from wattledger.cli import money  # noqa: PLC0415

    return money.show(options)


def _run_refund(options: argparse.Namespace) -> int:
    from wattledger.cli import refunding  # noqa: PLC0415

    return refunding.refund(options)


def _run_receipt(options: argparse.Namespace) -> int:
    from wattledger.cli import money  # noqa: PLC0415

    return money.receipt(options)
