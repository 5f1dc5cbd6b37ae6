"""The cost on the display of an OCPP 2.x station: in the answer to an event, and by CostUpdated
where it changes without one.

Between events only time makes it grow. When idle time begins to cost, or the clock changes its
price, the display is told once: an effect ``cost.due`` waits for that moment, and what is sent is
worked out then.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from wattledger.clock import utc_text
from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.errors import WattledgerError
from wattledger.ids import content_digest
from wattledger.pipeline.display import cost_details, cost_messages, station_tariffs
from wattledger.pipeline.display.figures import Figures, figures
from wattledger.pipeline.display.shown_16 import wanted
from wattledger.pipeline.display.station_tariffs import shows
from wattledger.pipeline.stations import commands
from wattledger.pipeline.world import World
from wattledger.sessions import Activity
from wattledger.wire import exact
from wattledger.wire.ocpp import costmsg, v2

DUE = "cost.due"
_LIFE = timedelta(minutes=5)
# Of these fields the message has its own (2.0.1: totalCost, transactionId).
_OF_THE_MESSAGE = frozenset({"cost", "transactionId"})


def total(snapshot: Snapshot, now_known: Figures, event: v2.TransactionEvent) -> Decimal | None:
    """Of the answer to an event (2.0.1 E02, E06): running after an Updated, final after an Ended,
    with tax; None where it is not to be shown."""
    if event.event_type == "Started" or not shows(snapshot, now_known.row.contract):
        return None
    return now_known.total


def says_more(
    snapshot: Snapshot, now_known: Figures, event: v2.TransactionEvent, version: str
) -> bool:
    """Whether an event of a car that charges has more to be told than its total."""
    calculated = event.cost_details is not None or event.transaction_info.tariff_id is not None
    return (version == "ocpp2.1" and calculated) or wanted(snapshot, now_known.row.charge_point_id)


async def told(
    tx: Transaction, world: World, now_known: Figures, event: v2.TransactionEvent, version: str
) -> None:
    """What follows from an event, beside its answer."""
    row = now_known.row
    snapshot = world.known(tx.now)
    if not shows(snapshot, row.contract):
        return
    if wanted(snapshot, row.charge_point_id) and event.event_type != "Ended":
        await _cost_updated(tx, now_known, with_prices=True)
    await _wait(tx, now_known)
    if version == "ocpp2.1":
        await _calculated(tx, world, now_known, event)


async def _calculated(
    tx: Transaction, world: World, now_known: Figures, event: v2.TransactionEvent
) -> None:
    tariff_id = event.transaction_info.tariff_id
    if tariff_id is None and event.cost_details is None:
        return
    ours_id = await station_tariffs.of_transaction(tx, world, now_known, tariff_id)
    metered = event.event_type == "Ended" or bool(event.values)
    if event.cost_details is not None and metered and _is_last(now_known, event):
        await cost_details.compare(
            tx, now_known, event.cost_details, event.event_type, tariff_id, ours_id
        )


def _is_last(now_known: Figures, event: v2.TransactionEvent) -> bool:
    """Whether our figures are of this event, and not of one that overtook it."""
    times = [v2.time_of(event.timestamp), *(s.at for s in v2.samples(event.values, ""))]
    return now_known.at <= max(times)


async def due(tx: Transaction, world: World, session_id: str) -> None:
    """The moment has come at which the price changes: the cost as of now, if it is still so."""
    now_known = await figures(tx, world, session_id)
    if now_known is None or not now_known.goes_on or now_known.idle_since is None:
        return
    snapshot = world.known(tx.now)
    if not shows(snapshot, now_known.row.contract):
        return
    try:
        later = now_known.later(tx.now)
    except WattledgerError:
        return
    with_prices = wanted(snapshot, now_known.row.charge_point_id)
    await _cost_updated(tx, later, with_prices=with_prices)
    await _wait(tx, later)


async def _wait(tx: Transaction, now_known: Figures) -> None:
    """For the next moment at which idle time costs something else. It is looked for from now on:
    what was told late is no reason to wait for the past."""
    since, row = now_known.idle_since, now_known.row
    if since is None or not now_known.goes_on:
        return
    after = max(tx.now, now_known.at)
    stretches = now_known.ahead(Activity.VEHICLE_IDLE, since)
    at = next((s.from_at for s in stretches[1:] if s.from_at > after), None)
    if at is None:
        return
    key = f"{row.id}:{DUE}:{utc_text(at)}"
    # A lane of its own: what waits for ten o'clock keeps nothing waiting.
    await effects.add(
        tx.conn, kind=DUE, subject=row.id, lane=key, key=key, request={}, due_at=at,
        caused_at=tx.now,
    )  # fmt: skip


async def _cost_updated(tx: Transaction, now_known: Figures, *, with_prices: bool) -> None:
    """CostUpdated (I02); with the prices in its customData where the station understands them."""
    row = now_known.row
    if row.transaction_ref is None:
        return
    request: dict[str, Any] = {
        "transaction_id": row.transaction_ref,
        "total_cost": str(now_known.total),
    }
    if with_prices and row.state == "open":
        request["custom_data"] = _prices(now_known)
    digest = content_digest(msgspec.json.encode([request, utc_text(now_known.at)]))[:16]
    key = f"{row.id}:cost_updated:{digest}"
    await effects.supersede(
        tx.conn, kind="ocpp.cost_updated", subject=row.id, message_id=None, but=key, now=tx.now
    )
    await commands.command(
        tx, row.charge_point_id, "cost_updated", request, subject=row.id, key=key, life=_LIFE
    )


def _prices(now_known: Figures) -> str:
    """RunningCost as customData, as JSON: numbers stay as exact as they are."""
    message = cost_messages.running_cost(now_known, 0)
    data = exact.parse(costmsg.request(message)["data"].encode())
    kept = {name: value for name, value in data.items() if name not in _OF_THE_MESSAGE}
    return exact.dump({"vendorId": costmsg.VENDOR_ID, **kept}).decode()
