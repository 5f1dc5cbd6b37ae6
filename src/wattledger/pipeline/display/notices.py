"""Telling a driver in time that idle time will cost, and the proof that it was told."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from typing import Any

import msgspec
from psycopg import AsyncConnection

from wattledger.accounting.model import Target
from wattledger.clock import utc_text
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.money import signed_text
from wattledger.pipeline import tell
from wattledger.pipeline.charging.clocks import LIVE_WITHIN
from wattledger.pipeline.display.cost_messages import plain
from wattledger.pipeline.display.figures import Figures
from wattledger.rating.outlook import Price
from wattledger.tariffs import Dimension, Unit

CHARGING_ENDED = "session.charging_ended"
_SHORT = {Unit.MINUTE: "min", Unit.HOUR: "h"}


class Notice(msgspec.Struct, frozen=True):
    """A message about a session to one target. ``told_at`` is when the receiver acknowledged it;
    None while it did not."""

    type: str
    target: str
    written_at: datetime
    told_at: datetime | None
    state: str
    tries: int
    data: dict[str, Any]


async def charging_ended(tx: Transaction, snapshot: Snapshot, figures: Figures) -> None:
    """``session.charging_ended``, once for each time that the car falls idle, where that will cost.

    In the step that learns of it: what was only told long afterwards warns nobody, and is not sent.
    """
    since = figures.idle_since
    if since is None or not figures.goes_on or tx.now - figures.at > LIVE_WITHIN:
        return
    if figures.stopped and figures.charge.free_reason is not None:
        return  # a session without energy: its idle time is free too
    begins = figures.idle_from(since)
    if begins is None:
        return
    currency = figures.charge.currency
    caps = [c.amount for c in figures.tariff.caps if c.dimension is Dimension.IDLE_TIME]
    data = {
        "token": figures.row.token,
        "connector_id": figures.row.connector_id,
        "currency": currency,
        "at": utc_text(since),
        "grace_ends_at": utc_text(begins.costs_from),
        "rate": _rate(begins.price, currency),
        "cap": {"amount": caps[0], "text": signed_text(caps[0], currency)} if caps else None,
        "cost_so_far_minor": figures.total_minor,
    }
    await tell.charging_ended(tx, snapshot, figures.row, data, f":{utc_text(since)}")


def _rate(price: Price, currency: str) -> dict[str, str]:
    gross = plain(price.gross)
    return {
        "unit": price.unit.value,
        "before_tax": plain(price.net),
        "with_tax": gross,
        "text": f"{signed_text(_shown(price.gross), currency)}/{_SHORT[price.unit]}",
    }


def _shown(value: Fraction) -> str:
    """With two places at least, as a price is written."""
    whole, _, places = plain(value).partition(".")
    return f"{whole}.{places.ljust(2, '0')}"


async def of_session(
    conn: AsyncConnection[dict[str, Any]], snapshot: Snapshot, session_id: str
) -> list[Notice]:
    """What was told of a session to whom, and when it was acknowledged."""
    lanes = [f"hook:{target.id}:{session_id}" for target in snapshot.all("target", Target)]
    cursor = await conn.execute(
        "SELECT request->>'type' AS type, subject AS target, caused_at AS written_at,"
        " CASE WHEN state = 'done' THEN settled_at END AS told_at, state, tries,"
        " request->'data' AS data FROM effect WHERE lane = ANY(%s) AND kind = 'webhook.deliver'"
        " AND request->>'type' = %s ORDER BY id",
        (lanes, CHARGING_ENDED),
    )
    return [Notice(**row) for row in await cursor.fetchall()]
