"""What a person can do about an anomaly as things stand: read only, for whoever shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

from wattledger.contract import Route
from wattledger.errors import WattledgerError
from wattledger.ingest.anomalies import Anomaly
from wattledger.ingest.codes import Severity, describe
from wattledger.pipeline.billing.judged import as_shown, require_signed
from wattledger.pipeline.charging import clocks
from wattledger.pipeline.charging.idle import idle_counts_on
from wattledger.pipeline.world import World
from wattledger.rating import Charge, Terms, price
from wattledger.sessions import Delivery
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

Conn = AsyncConnection[dict[str, Any]]
_BILLED = ("billed", "free", "adjusted")


class Look(msgspec.Struct, frozen=True):
    """What a session's facts come to: a delivery and its charge, or ``why`` they don't."""

    delivery: Delivery | None
    charge: Charge | None
    why: str = ""


class Known(msgspec.Struct, frozen=True):
    """Start and stop as they count now: told, or corrected by somebody."""

    start_at: datetime
    start_wh: int | None
    stop_at: datetime | None
    stop_wh: int | None


class Offers(msgspec.Struct, frozen=True):
    """The acts that work now. ``holding``: a session waits for the decision; ``bills`` is what it
    would be billed if it were accepted, ``why`` why it can't be. ``known`` goes with correct."""

    acts: tuple[str, ...]
    holding: bool = False
    bills: Charge | None = None
    why: str = ""
    known: Known | None = None
    state: str | None = None
    time_zone: str | None = None


async def offers(world: World, conn: Conn, anomaly: Anomaly) -> Offers:
    """What can be done about ``anomaly``; nothing where it is resolved."""
    if anomaly.act is not None or anomaly.resolved_at is not None:
        return Offers(())
    row = await sessions.get(conn, anomaly.session_id) if anomaly.session_id else None
    if row is None:
        return Offers(("accept",))
    acts: list[str] = []
    found = Look(None, None)
    holding = holds(anomaly, row)
    if holding:
        found = await look(world, conn, row)
    if not holding or found.charge is not None:
        acts.append("accept")
    if can_correct(row):
        acts.append("correct")
    if row.state == "held":
        acts.append("discard")
    told = await known(conn, row) if "correct" in acts else None
    return Offers(
        tuple(acts), holding, found.charge, found.why, told, row.state, row.contract.time_zone
    )


def holds(anomaly: Anomaly, row: SessionRow) -> bool:
    """Whether the session waits for a decision about this one."""
    about = anomaly.subject == row.id and row.state == "held"
    return about and describe(anomaly.code).severity is Severity.HOLDS


def can_correct(row: SessionRow) -> bool:
    """Before it ends its facts still come; what was discarded stays so."""
    return row.state in ("held", *_BILLED) and row.discarded is None


async def look(world: World, conn: Conn, row: SessionRow) -> Look:
    """Price the session as bill would. Draws nothing: what is counted in order is counted then."""
    try:
        tariff = await world.tariff(conn, row.contract.tariff_digest)
        await clocks.one_scale(conn, row)
        found = await sessions.assembled(conn, row, idle_after_stop=idle_counts_on(tariff))
        if found.delivery is None:
            return Look(None, None, found.held.message if found.held else "nothing is known")
        if row.contract.signed_required:
            await require_signed(conn, row)
        terms = Terms.of(row.contract)
        charge = price(found.delivery, tariff, terms)
        charge = await as_shown(conn, world, row, found.delivery, charge, terms)
    except WattledgerError as error:
        return Look(None, None, str(error))
    if charge.total_minor < 0 and row.contract.route is not Route.FREE:
        return Look(found.delivery, None, "the total is below zero")
    return Look(found.delivery, charge)


async def known(conn: Conn, row: SessionRow) -> Known:
    """As it counts now; a person's last word before what was told."""
    cursor = await conn.execute(
        "SELECT DISTINCT ON (kind) kind, at, register_wh FROM session_fact WHERE session_id = %s"
        " AND kind IN ('correct_start', 'correct_stop', 'start', 'stop')"
        # Of corrections the last, of what was told the first.
        " ORDER BY kind, CASE WHEN kind LIKE 'correct%%' THEN -id ELSE id END",
        (row.id,),
    )
    told = {fact["kind"]: fact for fact in await cursor.fetchall()}
    start = told.get("correct_start") or told.get("start")
    stop = told.get("correct_stop") or told.get("stop")
    return Known(
        start_at=start["at"] if start else row.started_at,
        start_wh=start["register_wh"] if start else row.meter_start_wh,
        stop_at=stop["at"] if stop else row.stopped_at,
        stop_wh=stop["register_wh"] if stop else row.meter_stop_wh,
    )
