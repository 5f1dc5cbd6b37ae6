"""What ``wattledger payments`` and ``wattledger receipt`` do."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

import msgspec

from wattledger import installation, receipts
from wattledger.cli import deciding, money_text
from wattledger.cli.running import business_now
from wattledger.cli.seen import limit_of, reading
from wattledger.db.connect import Connection
from wattledger.db.roles import Role
from wattledger.errors import BadInput, NotFound
from wattledger.payments import blocks
from wattledger.pipeline.billing.receipts_step import link_of
from wattledger.pipeline.deciding import money_view
from wattledger.receipts import missing, store

Rows = list[dict[str, Any]]


def payments(options: argparse.Namespace) -> int:
    """``wattledger payments``: the list, or one of what needs somebody."""
    limit = limit_of(options)
    which = options.which or "payments"
    if (options.state or options.session) and which not in ("payments", "stuck", "lapsing"):
        raise BadInput("--state, --session", which, "a list of payments")
    if which == "refunds":
        return _refunds(options, limit)
    rows = asyncio.run(_listed(options, which, limit))
    if options.json:
        print(json.dumps({which if which in _OTHERS else "payments": _plain(rows)}))
    else:
        money_text.LISTS[which](rows, limit)
    return 0


_OTHERS = ("debts", "suspense", "disputes", "warnings", "blocks")
_NOT_GIVEN = ("failed", "refused", "waiting")
"""What of a refund is not with its driver yet, and not on its way either."""


def _refunds(options: argparse.Namespace, limit: int) -> int:
    """Those that wait for a second person, and what was given and did not arrive."""

    async def ask(conn: Connection) -> tuple[Rows, Rows]:
        asked = await money_view.refunds(conn, state="asked", limit=limit)
        return asked, await money_view.unsent(conn, states=_NOT_GIVEN, limit=limit)

    asked, back = reading(options.config, ask)
    if options.json:
        print(json.dumps({"refunds": _plain(asked), "payment_refunds": _plain(back)}))
    else:
        money_text.refunds(asked, limit)
        money_text.unsent(back, limit)
    return 0


async def _listed(options: argparse.Namespace, which: str, limit: int) -> Rows:
    async with installation.opened(options.config) as (_, database):
        now = await business_now(database)
        async with await database.connect(Role.READER) as conn:
            if which == "debts":
                return await money_view.debts(conn, limit=limit)
            if which == "suspense":
                return await money_view.suspense(conn, limit=limit)
            if which == "disputes":
                return await money_view.disputes(conn, limit=limit)
            if which == "warnings":
                return await money_view.warnings(conn, limit=limit)
            if which == "blocks":
                return await blocks.listed(conn, limit=limit)
            wanted = {"state": options.state, "session": options.session}
            wanted |= {which: True} if which != "payments" else {}
            return await money_view.payments(conn, wanted, now, limit, newest_first=True)


def show(options: argparse.Namespace) -> int:
    """``wattledger payments show``"""

    async def run() -> dict[str, Any]:
        async with installation.opened(options.config) as (_, database):
            now = await business_now(database)
            async with await database.connect(Role.READER) as conn:
                return await money_view.payment(conn, options.id, now)

    try:
        found = asyncio.run(run())
    except NotFound:
        raise BadInput("ID", options.id, "the id of a payment: `wattledger payments` lists them"
                       ) from None  # fmt: skip
    if options.json:
        print(json.dumps(_plain(found)))
    else:
        money_text.payment(found)
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
