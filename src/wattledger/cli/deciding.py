"""What somebody decides about money by a command: the acts of the page and of the API."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from wattledger.cli.seen import user, working
from wattledger.errors import BadInput, Conflict, Forbidden, NotFound
from wattledger.pipeline.deciding import money_desk
from wattledger.pipeline.deciding.money_desk import Asked
from wattledger.pipeline.world import World

_LISTS = {"payment": "--state parked", "debt": "--debts", "suspense": "--suspense",
          "dispute": "--disputes", "unblock": "--blocks"}  # fmt: skip
_NAMES = {"$.reason": "--reason", "$.session_id": "--session", "$.to": "--to"}


def decide(options: argparse.Namespace) -> int:
    """An act on one subject: 1 where it can't be decided so."""
    asked = Asked(
        subject=options.id, actor=f"cli:{options.by or user()}", reason=options.reason,
        session_id=getattr(options, "session", None), note=getattr(options, "note", ""),
    )  # fmt: skip
    where = f"wattledger payments {_LISTS[options.act.partition('.')[0]]}"
    return act(options, options.act, asked, f"one that `{where}` lists")


def mail(options: argparse.Namespace) -> int:
    """``wattledger receipt SESSION --mail``"""
    asked = Asked(subject=options.session, actor=f"cli:{options.by or user()}", to=options.to)
    return act(options, "receipt.mail", asked, "a session: `wattledger sessions` lists them")


def act(options: argparse.Namespace, name: str, asked: Asked, expected: str) -> int:
    """Do it, and say so."""

    async def do(world: World) -> dict[str, Any]:
        return await money_desk.do(world, name, asked)

    try:
        done = working(options.config, do)
    except NotFound as error:
        raise BadInput("ID", asked.subject, f"{expected} ({error})") from None
    except BadInput as error:
        raise BadInput(_NAMES.get(error.path, error.path), error.got, error.expected) from None
    except (Conflict, Forbidden) as error:
        if options.json:
            print(json.dumps({"error": str(error)}))
        print(f"wattledger: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(done))
    else:
        to = f" to {done['to']}" if "to" in done else ""
        print(f"{asked.subject}: {done['done']}{to}.")
    return 0
