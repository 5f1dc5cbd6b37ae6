"""What ``wattledger refund`` does: say what it comes to, ask, and give it back."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import msgspec

from wattledger.cli.seen import user, working
from wattledger.errors import BadInput, Conflict, Forbidden, NotFound
from wattledger.ids import content_digest
from wattledger.money import format_minor, parse_minor
from wattledger.payments.returns_store import Refund
from wattledger.pipeline.returning import refunds
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions


def refund(options: argparse.Namespace) -> int:
    """``wattledger refund SESSION`` and ``wattledger refund approve|refuse ID``: 1 where it can't
    be given or decided so."""
    try:
        if options.what in ("approve", "refuse"):
            return _decide(options)
        return _ask(options)
    except (Conflict, Forbidden) as error:
        if options.json:
            print(json.dumps({"error": str(error)}))
        print(f"wattledger: {error}", file=sys.stderr)
        return 1
    except NotFound as error:
        what = "ID" if options.what in ("approve", "refuse") else "SESSION"
        raise BadInput(what, options.id or options.what, f"one that is there ({error})") from None


def _ask(options: argparse.Namespace) -> int:
    if options.id is not None:
        raise BadInput("ID", options.id, "nothing after a session")
    if not (options.reason or "").strip():
        raise BadInput("--reason", options.reason, "why, in words")
    by = options.by or user()
    kind = "goodwill" if options.goodwill else "correction"

    async def look(world: World) -> tuple[dict[str, Any], int, str, bool]:
        scope = _scope(options, await _currency(world, options.what))
        return scope, *await refunds.would_give(world, options.what, scope, kind)

    scope, amount_minor, currency, above = working(options.config, look)
    amount = format_minor(amount_minor, currency)
    then = "it waits for a second person" if above else "it goes back at once"
    told = f"{amount} of {options.what}, as a {kind}: {then}."
    if not options.json:
        print(told)
    if not options.yes and not _agreed():
        print("Nothing was given back.", file=sys.stderr)
        return 1
    # The same command is the same refund, however often it is given.
    said = json.dumps([options.what, scope, kind, options.reason.strip()], sort_keys=True)
    key = f"cli:{content_digest(said.encode())}"

    async def do(world: World) -> Refund:
        return await refunds.ask(
            world, options.what, scope, kind, options.reason, actor=f"cli:{by}", key=key
        )

    _tell(options, working(options.config, do))
    return 0


def _decide(options: argparse.Namespace) -> int:
    if not options.id:
        raise BadInput("ID", None, "a refund: `wattledger payments --refunds` lists them")
    if options.whole or options.line or options.amount:
        raise BadInput("--whole, --line, --amount", options.what, "none: what was asked counts")
    actor, reason = f"cli:{options.by or user()}", options.reason or ""

    async def do(world: World) -> Refund:
        if options.what == "approve":
            return await refunds.approve(world, options.id, actor=actor, reason=reason)
        return await refunds.refuse(world, options.id, actor=actor, reason=reason)

    _tell(options, working(options.config, do))
    return 0


def _tell(options: argparse.Namespace, found: Refund) -> None:
    if options.json:
        print(json.dumps(msgspec.to_builtins(found)))
        return
    amount = format_minor(found.amount_minor, found.currency)
    words = {
        "asked": f"waits for a second person: wattledger refund approve {found.id}",
        "issued": "is given back: a credit and a new bill are written",
        "approved": "is approved",
        "refused": "is refused: nothing goes back",
    }
    print(f"{found.id}: {amount} {words[found.state]}.")


def _scope(options: argparse.Namespace, currency: str) -> dict[str, Any]:
    if options.whole:
        return {"whole": True}
    if options.line:
        return {"lines": sorted(set(options.line))}
    if options.amount:
        return {"amount_minor": parse_minor(options.amount, currency, "--amount")}
    raise BadInput("--whole, --line, --amount", None, "one of them: how much")


async def _currency(world: World, session_id: str) -> str:
    async with world.work.pool.connection() as conn:
        row = await sessions.get(conn, session_id)
    if row is None:
        raise NotFound(f"there is no session {session_id}")
    return row.contract.currency


def _agreed() -> bool:
    """A person says yes. Raises BadInput where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise BadInput("--yes", None, "it, where nobody can be asked: nothing was given back")
    print("Give it back? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().casefold() in ("y", "yes")
