"""What ``wattledger wallet`` does."""

from __future__ import annotations

import argparse
import json
from typing import Any

import msgspec

from wattledger.cli import deciding, money_one
from wattledger.cli.seen import user, working
from wattledger.entitlements import Snapshot
from wattledger.entitlements.model import Account, Entity
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.money import format_minor, parse_minor
from wattledger.pipeline.collecting import wallets
from wattledger.pipeline.deciding import money_view
from wattledger.pipeline.world import World

_NAMES = {"$.amount_minor": "--amount", "$.reference": "--reference", "$.reason": "--reason"}
_NONE = "the id of an [[account]] of the configuration"


def show(options: argparse.Namespace) -> int:
    """``wattledger wallet show ACCOUNT``"""

    async def ask(world: World) -> tuple[dict[str, Any], bool]:
        snapshot = await world.snapshot(world.now)
        async with world.work.pool.connection() as conn:
            found = await money_view.wallet(conn, options.account)
        return found, snapshot.get("account", options.account, Account) is not None

    found, known = working(options.config, ask)
    if not known and not found["moves"]:
        raise BadInput("ACCOUNT", options.account, _NONE)
    if options.json:
        print(json.dumps(msgspec.to_builtins(found)))
    else:
        money_one.wallet(found)
    return 0


def top_up(options: argparse.Namespace) -> int:
    """``wattledger wallet top-up ACCOUNT``: 1 where its card can't be charged, or its reference was
    another's."""

    async def do(world: World) -> tuple[dict[str, Any], str]:
        snapshot = await world.snapshot(world.now)
        entity = _entity(snapshot, options.entity)
        amount_minor = parse_minor(options.amount, entity.currency, "--amount")
        try:
            done = await _fill(world, options, entity, amount_minor)
            return done, format_minor(amount_minor, entity.currency)
        except BadInput as error:
            raise _as_typed(options, error, entity.currency) from None

    try:
        done, amount = working(options.config, do)
    except NotFound:
        raise BadInput("ACCOUNT", options.account, _NONE) from None
    except Conflict as error:
        return deciding.refused(options, error)
    if options.json:
        print(json.dumps(done))
        return 0
    if done["done"] == "recorded":
        before = "" if done["new"] else deciding.BEFORE
        print(f"{options.account}: {amount} recorded{before}.")
    else:
        print(f"{options.account}: {amount} being charged ({done['payment_id']}); the wallet has it"
              " once the card has paid.")  # fmt: skip
    return 0


async def _fill(
    world: World, options: argparse.Namespace, entity: Entity, amount_minor: int
) -> dict[str, Any]:
    reference, reason = options.reference.strip(), options.reason.strip()
    actor = f"cli:{options.by or user()}"
    if options.recorded:
        new = await wallets.record(
            world, options.account, amount_minor, reference, entity_id=entity.id, actor=actor,
            reason=reason,
        )  # fmt: skip
        return {"account_id": options.account, "done": "recorded", "new": new}
    payment_id = await wallets.top_up(
        world, options.account, amount_minor, reference, entity_id=entity.id, actor=actor,
        reason=reason,
    )  # fmt: skip
    return {"account_id": options.account, "payment_id": payment_id, "done": "being charged"}


def _entity(snapshot: Snapshot, asked: str | None) -> Entity:
    all_of_them = snapshot.all("entity", Entity)
    ids = ", ".join(sorted(one.id for one in all_of_them))
    if asked is None and len(all_of_them) != 1:
        raise BadInput("--entity", None, f"the legal entity that holds the wallet, one of {ids}")
    for one in all_of_them:
        if asked in (None, one.id):
            return one
    raise BadInput("--entity", asked, f"one of {ids}")


def _as_typed(options: argparse.Namespace, error: BadInput, currency: str) -> BadInput:
    if error.path != "$.amount_minor":
        return BadInput(_NAMES.get(error.path, error.path), error.got, error.expected)
    least = wallets.least_text(currency)
    expected = "above zero" if options.recorded else f"{least}, which the processor takes"
    return BadInput("--amount", options.amount, expected)
