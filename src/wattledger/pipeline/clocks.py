"""A device's time: when it is believed, and what is done where it is not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from wattledger.clock import utc_text
from wattledger.db.work import Transaction
from wattledger.ingest import anomalies
from wattledger.wire.numbers import clock_is_wrong

# What reaches us within this time of when the device says it happened was told live.
LIVE_WITHIN = timedelta(minutes=5)


def believed(said: datetime, now: datetime) -> datetime:
    """The device's time, or business time where its clock is wrong."""
    return now if clock_is_wrong(said, now) else said


def is_live(said: datetime, received_at: datetime) -> bool:
    """Whether it was told as it happened, by a clock that is right: else the time is no proof."""
    return not clock_is_wrong(said, received_at) and received_at - said <= LIVE_WITHIN


async def shown(
    tx: Transaction, charge_point_id: str, action: str, session_id: str, said: datetime
) -> dict[str, Any]:
    """Where the clock is wrong a person is shown it, once for a session and action.

    What the device said, for the detail of a fact; empty where it is believed.
    """
    if not clock_is_wrong(said, tx.now):
        return {}
    detail = {"device_time": utc_text(said), "business_time": utc_text(tx.now)}
    await anomalies.record(
        tx.conn,
        at=tx.now,
        code="clock.wrong",
        subject=charge_point_id,
        detail={"action": action, "session_id": session_id, **detail},
        cause=f"{action}:{session_id}",
    )
    return detail
