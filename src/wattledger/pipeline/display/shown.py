"""What follows from news of a session for who is to see it: displays and the driver.

Called by the steps, in their transactions: a message goes out if and only if what it tells of was
stored. All figures are the bill's own (``figures``), and a figure that can't be computed undoes
nothing.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal

import msgspec

from wattledger.db.work import Transaction
from wattledger.pipeline.charging.idle import prices_idle
from wattledger.pipeline.display import notices, shown_2, shown_16
from wattledger.pipeline.display.figures import Figures, figures
from wattledger.pipeline.display.station_tariffs import shows
from wattledger.pipeline.world import World
from wattledger.rating import Charge
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow
from wattledger.wire.ocpp import v2

log = logging.getLogger(__name__)


def is_told(world: World, row: SessionRow, now: datetime, *, idle: bool = False) -> bool:
    """Whether anybody may have to be told when such a session moves."""
    if row.source.startswith("ocpp2"):
        return False  # its events say it all
    if idle or row.contract.idle_below_w is not None:
        return True
    return row.source == "ocpp1.6" and shown_16.wanted(world.known(now), row.charge_point_id)


async def moved(
    tx: Transaction, world: World, row: SessionRow, *, idle: bool = False, gone: bool = False
) -> None:
    """A 1.6 session, or one behind the proxy, has a new reading, status or stop. ``idle``: it may
    say that the car asks for no more; ``gone``: it left, so that nobody has to be told."""
    if not is_told(world, row, tx.now, idle=idle):
        return
    snapshot = world.known(tx.now)
    display = row.source == "ocpp1.6" and shown_16.wanted(snapshot, row.charge_point_id)
    if not display and not prices_idle(await world.tariff(tx.conn, row.contract.tariff_digest)):
        return
    now_known = await figures(tx, world, row.id)
    if now_known is None:
        return
    async with _undoing_nothing(tx, row.id):
        if not gone:
            await notices.charging_ended(tx, snapshot, now_known)
        if display and now_known.stopped:
            await shown_16.final_cost(tx, now_known)
        elif display:
            await shown_16.running_cost(tx, now_known)


async def started(tx: Transaction, world: World, session_id: str | None) -> None:
    """A 1.6 transaction has begun: the first RunningCost goes out after the answer."""
    row = await sessions.get(tx.conn, session_id) if session_id else None
    if row is not None and row.state == "open":
        await moved(tx, world, row)


async def event(
    tx: Transaction, world: World, row: SessionRow, told: v2.TransactionEvent, version: str
) -> Decimal | None:
    """An OCPP 2.x event was taken; the total of its answer, with tax, or None. ``row`` is the
    session as it stands since."""
    snapshot, session_id = world.known(tx.now), row.id
    display = row.source != "proxy" and shows(snapshot, row.contract)
    if not display and not await _may_idle(tx, world, row, told):
        return None
    now_known = await figures(tx, world, row)
    if now_known is None:
        return None
    if row.source == "proxy":  # what its display shows is its CPMS's
        async with _undoing_nothing(tx, session_id):
            await notices.charging_ended(tx, snapshot, now_known)
        return None
    if now_known.idle_since is not None or shown_2.says_more(snapshot, now_known, told, version):
        async with _undoing_nothing(tx, session_id):
            await notices.charging_ended(tx, snapshot, now_known)
            await shown_2.told(tx, world, now_known, told, version)
    return shown_2.total(snapshot, now_known, told)


async def _may_idle(
    tx: Transaction, world: World, row: SessionRow, told: v2.TransactionEvent
) -> bool:
    """Whether a driver may have to be told that idle time costs."""
    charges = told.transaction_info.charging_state == "Charging"
    if told.event_type != "Ended" and charges and row.contract.idle_below_w is None:
        return False
    of_contract = (row.contract.tariff_digest, row.contract.display_tariff_digest)
    return any([prices_idle(await world.tariff(tx.conn, each)) for each in of_contract if each])


async def billed(tx: Transaction, world: World, row: SessionRow, charge: Charge) -> None:
    """The bill: FinalCost again, if it came to something else than was shown at the stop."""
    if row.source != "ocpp1.6" or not shown_16.wanted(world.known(tx.now), row.charge_point_id):
        return
    now_known = await figures(tx, world, row.id)
    if now_known is not None:
        final: Figures = msgspec.structs.replace(now_known, charge=charge, goes_on=False)
        async with _undoing_nothing(tx, row.id):
            await shown_16.final_cost(tx, final)


@asynccontextmanager
async def _undoing_nothing(tx: Transaction, session_id: str) -> AsyncIterator[None]:
    """A fault in what is only told undoes nothing of the step: facts and bill come first."""
    try:
        async with tx.savepoint():
            yield
    except Exception:
        log.exception("%s: displays and drivers are not told", session_id)
