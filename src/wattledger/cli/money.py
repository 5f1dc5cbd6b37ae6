"""What ``wattledger payments`` and ``wattledger receipt`` do."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec

from wattledger import installation, receipts
from wattledger.cli import deciding, money_one, money_text
from wattledger.cli.running import business_now
from wattledger.cli.seen import limit_of, reading, time_of
from wattledger.db.connect import Connection
from wattledger.db.roles import Role
from wattledger.errors import BadInput, NotFound
from wattledger.payments import blocks
from wattledger.pipeline.billing.receipts_step import link_of
from wattledger.pipeline.deciding import money_find, money_view
from wattledger.receipts import missing, store

Rows = list[dict[str, Any]]


def payments(options: argparse.Namespace) -> int:
    """``wattledger payments``: the list, or one of what needs somebody."""
    limit = limit_of(options)
    which = options.which or "payments"
    given = [f"--{name}" for name in ("state", "session", *_FINDERS) if getattr(options, name)]
    if given and which not in ("payments", "stuck", "lapsing"):
        raise BadInput(given[0], f"--{which}", "a list of payments: that one has no such filter")
    if which == "refunds":
        return _refunds(options, limit)
    rows, now = asyncio.run(_listed(options, which, limit))
    if options.json:
        print(json.dumps({which if which in _OTHERS else "payments": _plain(rows)}))
    else:
        money_text.LISTS[which](rows, limit, now)
    return 0


_OTHERS: dict[str, Callable[..., Awaitable[Rows]]] = {
    "debts": money_view.debts, "suspense": money_view.suspense, "unpaid": money_view.unpaid,
    "disputes": money_view.disputes, "warnings": money_view.warnings, "blocks": blocks.listed,
}  # fmt: skip
_FINDERS = ("account", "last4", "amount", "token", "email", "receipt", "since", "until", "find")
"""What the support desk has in hand."""
_NOT_GIVEN = ("failed", "refused", "waiting")
"""What of a refund is not with its driver yet, and not on its way either."""


def _refunds(options: argparse.Namespace, limit: int) -> int:
    """Those that wait for a second person, what was given and did not arrive, and what was made
    past us."""

    async def ask(conn: Connection) -> tuple[Rows, Rows, Rows]:
        asked = await money_view.refunds(conn, state="asked", limit=limit)
        unsent = await money_view.unsent(conn, states=_NOT_GIVEN, limit=limit)
        return asked, unsent, await money_view.foreign(conn, limit=limit)

    asked, back, foreign = reading(options.config, ask)
    if options.json:
        print(json.dumps({"refunds": _plain(asked), "payment_refunds": _plain(back),
                          "made_outside": _plain(foreign)}))  # fmt: skip
    else:
        money_text.refunds(asked, limit)
        money_text.unsent(back, limit)
        money_text.foreign(foreign, limit)
    return 0


async def _listed(options: argparse.Namespace, which: str, limit: int) -> tuple[Rows, datetime]:
    async with installation.opened(options.config) as (_, database):
        now = await business_now(database)
        async with await database.connect(Role.READER) as conn:
            if which in _OTHERS:
                return await _OTHERS[which](conn, limit=limit), now
            wanted = await _wanted(options, conn)
            wanted |= {which: True} if which != "payments" else {}
            try:
                return await money_view.payments(conn, wanted, now, limit, newest_first=True), now
            except BadInput as error:
                name = {"q": "--find"}.get(error.path, f"--{error.path}")
                raise BadInput(name, error.got, error.expected) from None


async def _wanted(options: argparse.Namespace, conn: Connection) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("state", "session", "account", "last4", "token", "email", "receipt")
    }
    wanted["q"] = (options.find or "").strip()
    wanted |= {name: time_of(getattr(options, name), f"--{name}") for name in ("since", "until")}
    if options.amount:
        known = await money_find.currencies(conn)
        minor = {money_find.amount(options.amount, currency) for currency in known} - {None}
        if not minor:
            raise BadInput("--amount", options.amount, "an amount such as 12.34, in "
                           + (" or ".join(known) or "a currency of the configuration"))  # fmt: skip
        wanted["amount"] = list(minor)
    return wanted


def show(options: argparse.Namespace) -> int:
    """``wattledger payments show``"""

    async def run() -> tuple[dict[str, Any], datetime]:
        async with installation.opened(options.config) as (_, database):
            now = await business_now(database)
            async with await database.connect(Role.READER) as conn:
                return await money_view.payment(conn, options.id, now), now

    try:
        found, now = asyncio.run(run())
    except NotFound:
        raise BadInput("ID", options.id, "the id of a payment: `wattledger payments` lists them"
                       ) from None  # fmt: skip
    if options.json:
        print(json.dumps(_plain(found)))
    else:
        money_one.payment(found, now)
    return 0


def receipt(options: argparse.Namespace) -> int:
    """``wattledger receipt``: to a file, or its link."""
    if options.mail:
        return deciding.mail(options)
    if options.to or options.by:
        raise BadInput("--to, --by", options.to or options.by, "--mail with it")
    if options.link:
        return _link(options)

    async def ask(conn: Connection) -> receipts.Receipt:
        return await store.read(conn, options.session, options.document)

    try:
        found = reading(options.config, ask)
    except NotFound as error:
        raise BadInput("SESSION", options.session, f"a session with a bill ({error})") from None
    if options.out is None:
        print(json.dumps({**_plain(found), "number": found.number}))
        return 0
    kinds = {".pdf": receipts.pdf, ".html": receipts.html, ".xml": receipts.xml}
    write = kinds.get(options.out.suffix.lower())
    if write is None:
        raise BadInput("--out", str(options.out), "a file ending in .pdf, .html or .xml")
    if write is receipts.xml and not found.records:
        raise BadInput("--out", str(options.out), "another ending: its meter signed nothing")
    made: Any = write(found)  # type: ignore[operator]
    try:
        options.out.write_bytes(made if isinstance(made, bytes) else made.encode())
    except OSError as error:
        raise BadInput("--out", str(options.out), f"a file to write ({error.strerror})") from None
    name = "credit note" if found.is_credit else "receipt"
    print(f"Wrote {options.out}: {name} {found.number}.")
    for name in found.missing:
        print(f"Its place asks for {name}, and nobody has told: {missing.words(name)}.")
    return 0


def _link(options: argparse.Namespace) -> int:
    async def run() -> str | None:
        async with (
            installation.opened(options.config) as (config, database),
            await database.connect(Role.READER) as conn,
        ):
            if await store.place_of(conn, options.session) is None:
                raise BadInput("SESSION", options.session, "a session: `wattledger sessions`"
                               " lists them")  # fmt: skip
            return link_of(config.receipts, installation.secret, options.session)

    found = asyncio.run(run())
    if found is None:
        raise BadInput("$.receipts", None, "base_url and link_secret_env, which links are made of")
    print(found)
    return 0


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
