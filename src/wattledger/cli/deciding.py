"""What somebody decides about money by a command: the acts of the page and of the API."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from wattledger.cli.seen import user, working
from wattledger.errors import BadInput, Conflict, Forbidden, NotFound
from wattledger.money import format_minor
from wattledger.pipeline.deciding import money_desk
from wattledger.pipeline.deciding.money_desk import Asked
from wattledger.pipeline.world import World

_LISTS = {
    "payment.release": "--state parked", "payment.refuse": "--state parked",
    "payment.give_back": "--state captured", "payment.stop": "--state charging",
    "debt": "--debts", "suspense": "--suspense", "unpaid": "--unpaid", "dispute": "--disputes",
    "unblock": "--blocks", "refund": "--refunds", "back": "--refunds",
}  # fmt: skip
"""What lists the subjects of each act."""
_NAMES = {
    "$.reason": "--reason", "$.session_id": "--session", "$.to": "--to", "$.kind": "--goodwill",
    "$.note": "--note", "$.id": "ID",
}  # fmt: skip
_WORDS = {
    "payment.release": "released", "payment.refuse": "refused, and what it should have paid is"
    " waived", "payment.stop": "stopped", "payment.give_back": "given back",
    "unpaid.debt": "its driver owes it once it is billed",
    "unpaid.waive": "nobody is asked for it once it is billed",
}  # fmt: skip

_REFUNDED = {
    "refund.approve": "is approved and given back: a credit and a new bill are written",
    "refund.refuse": "is refused: nothing goes back",
    "refund.take_over": "is taken over: nothing is sent",
}


def decide(options: argparse.Namespace) -> int:
    """An act on one subject: 1 where it can't be decided so."""
    asked = Asked(
        subject=options.id, actor=f"cli:{options.by or user()}", reason=options.reason or "",
        session_id=getattr(options, "session", None) or None, note=getattr(options, "note", ""),
        kind="goodwill" if getattr(options, "goodwill", False) else "correction",
        parts=getattr(options, "parts", {}),
    )  # fmt: skip
    return act(options, options.act, asked, f"one that `{lister(options.act)}` lists")


def lister(name: str) -> str:
    """The command that lists what an act is done to."""
    return f"wattledger payments {_LISTS.get(name) or _LISTS[name.partition('.')[0]]}"


def mail(options: argparse.Namespace) -> int:
    """``wattledger receipt SESSION --mail``"""
    asked = Asked(subject=options.session, actor=f"cli:{options.by or user()}", to=options.to)
    return act(options, "receipt.mail", asked, "a session: `wattledger sessions` lists them")


def act(options: argparse.Namespace, name: str, asked: Asked, expected: str) -> int:
    """Do it, and say so. The same again, by the same person for the same reason, is the same."""

    async def do(world: World) -> tuple[dict[str, Any], bool]:
        return await money_desk.do_once(world, name, asked)

    try:
        done, new = working(options.config, do)
    except NotFound as error:
        raise BadInput("ID", asked.subject, f"{expected} ({error})") from None
    except BadInput as error:
        raise BadInput(_NAMES.get(error.path, error.path), error.got, error.expected) from None
    except (Conflict, Forbidden) as error:
        return refused(options, error)
    if options.json:
        print(json.dumps(done))
    else:
        print(f"{asked.subject}: {_said(name, asked, done)}{'' if new else BEFORE}.")
    return 0


BEFORE = " before, in the same way; nothing was changed"


def _said(name: str, asked: Asked, done: dict[str, Any]) -> str:
    if "to" in done:
        return f"{done['done']} to {done['to']}"
    if name == "suspense.match":
        return f"matched with {asked.session_id}"
    if name.startswith("refund.") and "amount_minor" in done:
        amount = format_minor(done["amount_minor"], done["currency"])
        return f"{amount} {_REFUNDED[name]} ({done['id']})"
    more = f" ({done['payment_refund_id']})" if "payment_refund_id" in done else ""
    more = f" ({done['payment_id']})" if "payment_id" in done else more
    return f"{_WORDS.get(name, done['done'])}{more}"


def refused(options: argparse.Namespace, error: Exception) -> int:
    """It can't be done so: one line, and 1."""
    if options.json:
        print(json.dumps({"error": str(error)}))
    print(f"wattledger: {error}", file=sys.stderr)
    return 1
