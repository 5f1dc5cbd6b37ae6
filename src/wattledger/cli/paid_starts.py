"""What ``wattledger start`` does: the requests ``/v1/starts``, by a command."""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable, Callable
from typing import Any

from wattledger.api import starts as api
from wattledger.cli import deciding, money_one
from wattledger.cli.seen import user, working
from wattledger.errors import BadInput, Conflict
from wattledger.payments import starts_store
from wattledger.payments.starts_store import StartRequest
from wattledger.pipeline.starting import ask_start, start_view, starts
from wattledger.pipeline.terminals import readers
from wattledger.pipeline.world import World

_NAMES = {
    "$.charge_point_id": "--charge-point", "$.connector_id": "--connector",
    "$.account_id": "--account", "$.token": "--token", "$.reader": "--reader",
    "$.email": "--email", "$.reference": "--reference", "$.route": "--route",
}  # fmt: skip
_WORDS = {
    "unknown_location": "there is no such charge point", "unknown_token": "there is no such account"
    " or token", "blocked": "the account is blocked: `wattledger payments --blocks` says why",
    "in_debt": "the account owes something: `wattledger payments --debts` lists it",
    "no_route": "this way of paying is not offered there, or another CPMS commands it",
    "no_payment_method": "the account has no card, or the site no processor",
    "no_tariff": "no tariff is valid there",
}  # fmt: skip


def ask(options: argparse.Namespace) -> int:
    """``wattledger start ask``: 1 where nothing can be started there so."""
    body = api.Body(
        route=options.route, charge_point_id=options.charge_point, connector_id=options.connector,
        account_id=options.account, token=options.token, reader=options.reader,
        email=options.email,
    )  # fmt: skip

    async def do(world: World) -> dict[str, Any]:
        wanted = api.wanted(body, options.reference.strip(), f"cli:{options.by or user()}")
        await api.check_connector(world, wanted)
        asked = await ask_start.ask(world, wanted)
        if asked.start is None:
            reason = str(asked.reason)
            why = _WORDS.get(reason, reason.replace("_", " "))
            raise Conflict(f"nothing can be started there so: {why} ({reason})")
        return await _shown(world, asked.start)

    return _tell(options, do)


def show(options: argparse.Namespace) -> int:
    """``wattledger start show ID``"""

    async def do(world: World) -> dict[str, Any]:
        return await _shown(world, await _start(world, options.id))

    return _tell(options, do)


def cancel(options: argparse.Namespace) -> int:
    """``wattledger start cancel ID``: 1 where a session runs."""

    async def do(world: World) -> dict[str, Any]:
        start = await _start(world, options.id)
        actor = f"cli:{options.by or user()}"
        return await _shown(world, await starts.cancel(world, start.id, actor=actor))

    return _tell(options, do)


def present(options: argparse.Namespace) -> int:
    """``wattledger start present ID``: 1 where no card is waited for."""

    async def do(world: World) -> dict[str, Any]:
        start = await _start(world, options.id)
        actor = f"cli:{options.by or user()}"
        return await _shown(world, await readers.show_again(world, start.id, actor))

    return _tell(options, do)


def _tell(options: argparse.Namespace, do: Callable[[World], Awaitable[dict[str, Any]]]) -> int:
    try:
        found = working(options.config, do)
    except BadInput as error:
        raise BadInput(_NAMES.get(error.path, error.path), error.got, error.expected) from None
    except Conflict as error:
        return deciding.refused(options, error)
    if options.json:
        print(json.dumps(found))
    else:
        money_one.start(found)
    return 0


async def _start(world: World, start_id: str) -> StartRequest:
    async with world.work.pool.connection() as conn:
        found = await starts_store.get(conn, start_id)
    if found is None:
        raise BadInput("ID", start_id, "the id of a start, as `wattledger start ask` says it")
    return found


async def _shown(world: World, start: StartRequest) -> dict[str, Any]:
    async with world.work.pool.connection() as conn:
        return api.shown(await start_view.see(world, conn, start))
