"""Prices on displays, where no session is behind them: at a boot, and beside an Authorize.

A fault here keeps no charge point from booting and no driver from charging: it is logged.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from wattledger.contract import Decision
from wattledger.pipeline.display import shown_16, station_tariffs
from wattledger.pipeline.world import World

log = logging.getLogger(__name__)

# Tasks that nobody holds may be collected before they are done.
_under_way: set[asyncio.Task[None]] = set()
# Only shown: where the database is slow, drivers go without it.
_AT_ONCE = 100


async def booted_16(world: World, charge_point_id: str) -> None:
    """DefaultPrice, where it is new to a charge point that shows it."""
    try:
        await shown_16.booted(world, charge_point_id)
    except Exception:
        log.exception("%s is not told its default price", charge_point_id)


async def booted_21(world: World, charge_point_id: str) -> None:
    """The default tariff, where it is new to a station."""
    try:
        await station_tariffs.booted(world, charge_point_id)
    except Exception:
        log.exception("%s is not told its default tariff", charge_point_id)


async def driver_tariff(
    world: World, charge_point_id: str, decision: Decision
) -> dict[str, Any] | None:
    """A driver's own tariff, from memory; None where it is the default, or can't be said."""
    try:
        now = decision.decided_at
        snapshot = await world.snapshot(now)
        return station_tariffs.of_driver(snapshot, decision, charge_point_id, now)
    except Exception:
        log.exception("%s: no tariff for %s", charge_point_id, decision.token)
        return None


def show_user(world: World, charge_point_id: str, decision: Decision) -> None:
    """SetUserPrice, while the answer to Authorize goes out: it does not wait for the database."""
    snapshot = world.known(decision.decided_at)
    if not snapshot.california_pricing or len(_under_way) >= _AT_ONCE:
        return
    if not shown_16.wanted(snapshot, charge_point_id):
        return
    task = asyncio.create_task(_show_user(world, charge_point_id, decision.token))
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)


async def _show_user(world: World, charge_point_id: str, token: str) -> None:
    try:
        await shown_16.user_price(world, charge_point_id, token)
    except Exception:
        log.exception("%s: no price for a driver", charge_point_id)
