"""What ``wattledger refund`` does: say what it comes to, ask, and give it back; and decide about
what others asked for, what failed, and what was made past us."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

import msgspec

from wattledger.cli import deciding
from wattledger.cli.seen import user, working
from wattledger.errors import BadInput, Conflict, Forbidden, NotFound
from wattledger.ids import content_digest
from wattledger.money import format_minor, parse_minor
from wattledger.payments import foreign_store
from wattledger.payments.returns_store import Refund
from wattledger.pipeline.returning import refunds
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions

ACTS = {
    "approve": "refund.approve", "refuse": "refund.refuse", "take-over": "refund.take_over",
    "again": "back.again", "paid-otherwise": "back.otherwise",
}  # fmt: skip
_MINOR = re.compile(r"\b(\d+) in minor units")


def refund(options: argparse.Namespace) -> int:
    """``wattledger refund SESSION``, and its acts on an ID: 1 where it can't be given or decided
    so."""
    if options.what in ACTS:
        return _decide(options)
    try:
        return _ask(options)
    except (Conflict, Forbidden) as error:
        return deciding.refused(options, error)
    except NotFound as error:
        expected = f"a session: `wattledger sessions` lists them ({error})"
        raise BadInput("SESSION", options.what, expected) from None


def _ask(options: argparse.Namespace) -> int:
    if options.id is not None:
        raise BadInput("ID", options.id, "nothing after a session")
    if not (options.reason or "").strip():
        raise BadInput("--reason", options.reason, "why, in words")
    actor = f"cli:{options.by or user()}"
    kind = "goodwill" if options.goodwill else "correction"

    async def look(world: World) -> tuple[dict[str, Any], str, Refund | None]:
        currency = await _currency(world, options.what)
        scope = _scope(options, currency)
        return scope, currency, await refunds.known(world, options.what, _key(scope, kind))

    def _key(scope: dict[str, Any], kind: str) -> str:
        # The same command is the same refund, however often it is given.
        said = json.dumps([options.what, scope, kind, options.reason.strip()], sort_keys=True)
        return f"cli:{content_digest(said.encode())}"

    async def weigh(world: World) -> tuple[int, str, bool]:
        return await refunds.would_give(world, options.what, scope, kind)

    async def do(world: World) -> Refund:
        return await refunds.ask(
            world, options.what, scope, kind, options.reason, actor=actor, key=_key(scope, kind)
        )

    scope, currency, known = working(options.config, look)
    if known is not None:
        _tell(options, known, new=False)
        return 0
    try:
        amount_minor, currency, above = working(options.config, weigh)
        amount = format_minor(amount_minor, currency)
        then = "it waits for a second person" if above else "it goes back at once"
        if not options.json:
            print(f"{amount} of {options.what}, as a {kind}: {then}.")
        if not options.yes and not _agreed():
            print("Nothing was given back.", file=sys.stderr)
            return 1
        _tell(options, working(options.config, do))
    except BadInput as error:
        raise _as_typed(options, error, currency) from None
    return 0


def _as_typed(options: argparse.Namespace, error: BadInput, currency: str) -> BadInput:
    """In the words of the command line: its option, and what stood behind it."""
    if error.path == "$.reason":
        return BadInput("--reason", error.got, error.expected)
    if not error.path.startswith(("$.scope", "$.terms.concessions")):
        return error
    name, got = "--whole", None
    if options.line:
        name, got = "--line", ", ".join(map(str, options.line))
    elif options.amount:
        name, got = "--amount", options.amount
    return BadInput(name, got, _in_words(error.expected, currency))


def _in_words(expected: str, currency: str) -> str:
    return _MINOR.sub(lambda at: format_minor(int(at[1]), currency), expected)


def _decide(options: argparse.Namespace) -> int:
    name = ACTS[options.what]
    if not options.id:
        raise BadInput("ID", None, f"one that `{deciding.lister(name)}` lists")
    if options.whole or options.line or options.amount:
        raise BadInput("--whole, --line, --amount", options.what, "none: what was asked counts")
    if options.goodwill and options.what != "take-over":
        raise BadInput("--goodwill", options.what, "it with a session, or with take-over")
    if options.part and options.what != "take-over":
        raise BadInput("--part", options.what, "it with take-over")
    options.act = name
    return _take_over(options) if options.what == "take-over" else deciding.decide(options)


def _take_over(options: argparse.Namespace) -> int:
    """What was given back past us, as far as its parts are said in the currency of its payment."""

    async def look(world: World) -> dict[str, Any] | None:
        async with world.work.pool.connection() as conn:
            return await foreign_store.foreign_refund(conn, options.id)

    item = working(options.config, look)
    currency = item["currency"] if item is not None else None
    options.parts = _parts(options.part or [], currency)
    try:
        return deciding.decide(options)
    except BadInput as error:
        if currency is None or not error.path.startswith("$.parts"):
            raise
        got = format_minor(error.got, currency) if isinstance(error.got, int) else None
        where = f"--part {error.path.removeprefix('$.parts').lstrip('.')}".rstrip()
        raise BadInput(where, got, _in_words(error.expected, currency)) from None


def _parts(said: list[str], currency: str | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in said:
        session_id, equals, amount = part.partition("=")
        if not (session_id and equals) or session_id in found:
            raise BadInput("--part", part, "SESSION=AMOUNT, each session once")
        if currency is not None:  # else there is no such refund, and the act itself says so
            found[session_id] = parse_minor(amount, currency, "--part")
    return found


def _tell(options: argparse.Namespace, found: Refund, *, new: bool = True) -> None:
    if options.json:
        print(json.dumps(msgspec.to_builtins(found)))
        return
    amount = format_minor(found.amount_minor, found.currency)
    words = {
        "asked": f"waits for a second person: wattledger refund approve {found.id}",
        "issued": "is given back: a credit and a new bill are written",
        "approved": "is approved",
        "refused": "was refused: nothing goes back",
    }
    before = "" if new else " The same was asked before; nothing was changed."
    print(f"{found.id}: {amount} {words[found.state]}.{before}")


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
        expected = "to be given where nobody can be asked: nothing was given back"
        raise BadInput("--yes", None, expected)
    print("Give it back? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().casefold() in ("y", "yes")
