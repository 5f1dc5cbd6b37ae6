"""The arguments of what a person decides by ``wattledger payments``: one act, one subject, why."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from wattledger.cli.options import command

Commands = argparse._SubParsersAction
_CODES = """
The same again, by the same person for the same reason, is the same act.
exit codes: 0 done; 1 it can't be decided so: it was decided otherwise, or its state forbids it;
2 what was given is wrong, or it is not there; 3 the database
"""
_PAYMENT, _DEBT = "pay_fs4kwjyxnq3zqm5ab7ce", "chg_fs4kwjyxnq3zqm5ab7ce/2"
_SUSPENSE, _DISPUTE = "tpa_fs4kwjyxnq3zqm5ab7ce", "du_1PqX2LkdIwHu7ixxk"
_SESSION = "ses_fs4kwjyxnq3zqm5ab7ce"


def add_all(acts: Commands[argparse.ArgumentParser]) -> None:
    """All acts, below ``wattledger payments``."""
    payment = {"what": "the parked payment", "example": _PAYMENT}
    _act(acts, "payments", "release", "payment.release", "let a parked payment go", **payment)
    _act(acts, "payments", "refuse", "payment.refuse",
         "take nothing by a parked payment: what it should have paid is waived",
         **payment)  # fmt: skip
    _act(acts, "payments", "give-back", "payment.give_back",
         "give back what a payment took beyond all that it pays for",
         what="the payment: `wattledger payments show` says how much is too much",
         example=_PAYMENT)  # fmt: skip
    _act(acts, "payments", "stop", "payment.stop",
         "do not send a charge for late data that its driver was told of: it is owed or waived, as"
         " the contract says",
         what="the announced charge", example=_PAYMENT)  # fmt: skip
    _act(acts, "payments", "unblock", "unblock",
         "let somebody charge again who lost a dispute, or whatever is owed",
         what="the account, guest's card or token: `wattledger payments --blocks` lists them",
         example="ann")  # fmt: skip
    below = _group(acts, "debt", "what a driver owes: charge it now, or ask nobody for it")
    debt = {"what": "the debt: `wattledger payments --debts` lists them", "example": _DEBT}
    _act(below, "payments debt", "try", "debt.try",
         "charge all that its driver owes to the card, now", why="may be left out",
         **debt)  # fmt: skip
    _act(below, "payments debt", "write-off", "debt.write_off",
         "ask nobody for it any more: it is an expense", **debt)  # fmt: skip
    below = _group(acts, "suspense", "payments at terminals that fit no session")
    paid = {"what": "the payment: `wattledger payments --suspense` lists them",
            "example": _SUSPENSE}  # fmt: skip
    match = _act(below, "payments suspense", "match", "suspense.match",
                 "say which session it is for", more=f" --session {_SESSION}",
                 **paid)  # fmt: skip
    match.add_argument("--session", required=True, default=argparse.SUPPRESS, metavar="ID",
                       help="the session that it pays for")  # fmt: skip
    _act(below, "payments suspense", "return", "suspense.return",
         "give it back: a hold of ours is released, another is returned by its vendor",
         **paid)  # fmt: skip
    _act(below, "payments suspense", "keep", "suspense.keep",
         "keep it: nobody is found for it", **paid)  # fmt: skip
    below = _group(acts, "unpaid", "sessions to be paid at a terminal whose payment never came")
    session = {"what": "the session: `wattledger payments --unpaid` lists them",
               "example": _SESSION}  # fmt: skip
    _act(below, "payments unpaid", "debt", "unpaid.debt",
         "take it as it is: it is billed, and its driver owes it", **session)  # fmt: skip
    _act(below, "payments unpaid", "waive", "unpaid.waive",
         "take it as it is: it is billed, and nobody is asked for it", **session)  # fmt: skip
    below = _group(acts, "dispute", "disputes, which the bank decides")
    submit = _act(below, "payments dispute", "submit", "dispute.submit",
                  "send the evidence for a dispute: it counts once",
                  what="the dispute: `wattledger payments --disputes` lists them",
                  example=_DISPUTE, why="may be left out")  # fmt: skip
    submit.add_argument("--note", default="", metavar="TEXT",
                        help="a word before the evidence, which the bank reads")  # fmt: skip


def usual(parser: argparse.ArgumentParser, *, on_its_own: bool = False) -> None:
    """``--config`` and ``--json``. Below a command that has them too, what stands before the act
    counts: no default of its own here, unless it stands ``on_its_own``."""
    config: Any = Path("wattledger.toml") if on_its_own else argparse.SUPPRESS
    as_json: Any = False if on_its_own else argparse.SUPPRESS
    parser.add_argument("--config", type=Path, default=config, metavar="FILE",
                        help="the configuration (default: wattledger.toml)")  # fmt: skip
    parser.add_argument("--json", action="store_true", default=as_json,
                        help="print one JSON object")  # fmt: skip


def _group(
    acts: Commands[argparse.ArgumentParser], name: str, summary: str
) -> Commands[argparse.ArgumentParser]:
    parser = command(acts, name, None, summary, f"wattledger payments {name} --help")
    return parser.add_subparsers(metavar="<act>", required=True)


def _act(
    acts: Commands[argparse.ArgumentParser], above: str, name: str, act: str, summary: str, *,
    what: str, example: str, why: str = "", more: str = "",
) -> argparse.ArgumentParser:  # fmt: skip
    because = "" if why else " --reason 'asked the driver'"
    parser = command(acts, name, _run, summary,
                     f"wattledger {above} {name} {example}{more}{because}")  # fmt: skip
    parser.epilog = f"{parser.epilog}\n{_CODES}"
    parser.set_defaults(act=act)
    parser.add_argument("id", metavar="ID", help=what)
    needed: dict[str, Any] = {"default": ""} if why else {"required": True}
    parser.add_argument("--reason", metavar="TEXT", help=f"why: {why or 'kept for ever'}", **needed)
    parser.add_argument("--by", metavar="NAME",
                        help="who decides (default: the user of this machine)")  # fmt: skip
    usual(parser)
    return parser


def _run(options: argparse.Namespace) -> int:
    from wattledger.cli import deciding  # noqa: PLC0415  (a database's weight)

    return deciding.decide(options)
