"""When an ended session is billed, and until when its car is known to have stayed (ADR 0005)."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from wattledger.clock import utc_text
from wattledger.db.work import Transaction
from wattledger.entitlements.model import Policies
from wattledger.errors import WattledgerError
from wattledger.payments import store as payments
from wattledger.pipeline.charging.idle import idle_counts_on
from wattledger.pipeline.world import World
from wattledger.rating import Terms, price
from wattledger.sessions import Activity, Change, Delivery, from_ocpp16
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow
from wattledger.tariffs import Tariff

# A connector that says one of these has a car at it.
_OCCUPIED = frozenset({"Finishing", "Charging", "SuspendedEV", "SuspendedEVSE", "Occupied"})
_MINUTE = timedelta(minutes=1)


async def billable_at(
    tx: Transaction, world: World, policies: Policies, row: SessionRow, *, live: bool
) -> datetime:
    """When the session is billed if nothing more is heard: after the settle window, or where
    idle counts on once it can't cost more, after the limit at the latest, but in time for the hold.

    In business time only: a device's clock can't put a bill off. After a stop that was not ``live``
    no idle can be proved.
    """
    tariff = await world.tariff(tx.conn, row.contract.tariff_digest)
    settled_at = tx.now + policies.settle_window
    if not live or not idle_counts_on(tariff):
        return settled_at
    limit_s = policies.idle_limit_s
    found = await sessions.assembled(tx.conn, row)
    if found.delivery is not None:
        limit_s = costs_no_more_after_s(found.delivery, tariff, Terms.of(row.contract), limit_s)
    latest = tx.now + timedelta(seconds=limit_s)
    payment = await payments.of_session(tx.conn, row.id)
    if payment is not None and payment.capture_before is not None:
        margin = timedelta(seconds=policies.hold_margin_s)
        latest = min(latest, payment.capture_before - margin)
    return max(settled_at, latest)


def costs_no_more_after_s(delivery: Delivery, tariff: Tariff, terms: Terms, limit_s: int) -> int:
    """After how many seconds of idle after the stop a cap is reached and nothing is added any
    more, to the minute; ``limit_s`` where none is."""

    def total(minutes: int) -> int:
        until = delivery.ended_at + minutes * _MINUTE
        idle = Change(delivery.ended_at, Activity.VEHICLE_IDLE)
        return price(
            msgspec.structs.replace(delivery, ended_at=until, changes=(*delivery.changes, idle)),
            tariff, terms,
        ).total_minor  # fmt: skip

    low, high = 0, -(-limit_s // 60)
    try:
        most = total(high)
        if high < 2 or total(high - 1) != most:
            return limit_s
        # What an idle hour adds may fall to nothing for a while (a free night) and rise again: only
        # a cap holds for good, so every later minute has to cost the same.
        while low < high:
            middle = (low + high) // 2
            if total(middle) == most:
                high = middle
            else:
                low = middle + 1
    except WattledgerError:
        return limit_s  # it will be held: no bill comes sooner for that
    return min(limit_s, high * 60)


async def wait_no_more(tx: Transaction, world: World, policies: Policies, row: SessionRow) -> None:
    """No more events are to come: the bill is due as if none had been missing."""
    facts = await sessions.facts(tx.conn, row.id)
    stop = await sessions.stop_fact(tx.conn, row.id)
    due_at = tx.now + policies.settle_window
    if stop is not None and not any(fact.kind == "unplug" for fact in facts):
        due_at = await billable_at(tx, world, policies, row, live=bool(stop.live))
    await sessions.bill_at(tx.conn, row.id, due_at)


async def still_there(tx: Transaction, row: SessionRow) -> datetime | None:
    """The moment up to which the car is known to have stayed, where nobody has seen it leave: now,
    if its connector says so, and the charge point was here to say otherwise ever since the stop,
    or has said so since it came back. Recorded as the end of idle; None where it is not known."""
    stop = await sessions.stop_fact(tx.conn, row.id)
    if stop is None or stop.device_time is not None or row.bill_due_at is None:
        return None
    cursor = await tx.conn.execute(
        "SELECT connected, connected_at, connectors->%s->>'status' AS status,"
        " (connectors->%s->>'at')::timestamptz AS at"
        " FROM charge_point_state WHERE charge_point_id = %s",
        (str(row.connector_id), str(row.connector_id), row.charge_point_id),
    )
    said = await cursor.fetchone()
    if said is None or not said["connected"] or said["connected_at"] is None:
        return None
    told_since = said["at"] is not None and said["at"] >= said["connected_at"]
    if said["status"] not in _OCCUPIED or not (
        said["connected_at"] <= stop.received_at or told_since
    ):
        return None
    until = max(stop.at, row.bill_due_at)
    added = await sessions.add_facts(
        tx.conn, row.id, [from_ocpp16.unplug(row.id, until)], received_at=tx.now,
        detail={"still_there": True, "status": said["status"], "said_at": utc_text(said["at"])},
    )  # fmt: skip
    return until if added else None
