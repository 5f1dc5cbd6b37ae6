"""OCPP 2.x transaction events as facts of sessions (2.0.1 part 2, E01 to E16).

A station names its transactions itself and counts their events; both are only as good as the
station. So an event counts once by its content, never by its id and number alone.
"""

from __future__ import annotations

from datetime import datetime

from wattledger.ids import derive
from wattledger.sessions.facts import Fact
from wattledger.sessions.model import Activity
from wattledger.wire.ocpp import v2

_CHARGING_STATE = {
    "Charging": Activity.CHARGING,
    "SuspendedEV": Activity.VEHICLE_IDLE,
    "SuspendedEVSE": Activity.CHARGER_PAUSE,
}
# What ends a transaction because the car went.
_GONE = frozenset({"EVDisconnected", "EVDeparted"})


def session_id(charge_point_id: str, transaction_id: str, generation: int) -> str:
    """The same transaction of a station is the same session. A station that uses an id again for
    another transaction begins another ``generation``."""
    return derive("ses", charge_point_id, "2", transaction_id, generation)


def event_key(charge_point_id: str, event: v2.TransactionEvent, digest: str) -> str:
    """Under which an event counts once (R3)."""
    return derive(
        "evt", charge_point_id, event.transaction_info.transaction_id, event.seq_no,
        event.event_type, event.timestamp, digest,
    )  # fmt: skip


def start(session: str, at: datetime) -> tuple[Fact, str]:
    """The first event. Its register stands among its meter values."""
    return Fact("start", at), derive("fct", session, "start")


def stop(session: str, at: datetime) -> tuple[Fact, str]:
    """The last event."""
    return Fact("stop", at), derive("fct", session, "stop")


def state(
    session: str, event: v2.TransactionEvent, at: datetime, *, charged: bool
) -> tuple[Fact, str] | None:
    """What the charging state of an event says. EVConnected is a car that is about to charge, or,
    once it has ``charged``, one that only stays."""
    name = event.transaction_info.charging_state
    if name is None:
        return None
    activity = _CHARGING_STATE.get(name)
    if name == "EVConnected" and charged:
        activity = Activity.VEHICLE_IDLE
    if activity is None:
        return None
    return Fact("status", at, activity=activity), derive(
        "fct", session, "status", at.isoformat(), name
    )


def departed(event: v2.TransactionEvent) -> bool:
    """Whether the event itself says that the car has gone: nothing is plugged in any more."""
    info = event.transaction_info
    return (
        info.stopped_reason in _GONE
        or event.trigger_reason in _GONE
        or (event.event_type == "Ended" and info.charging_state == "Idle")
    )
