"""OCPP 1.6 messages as facts of sessions, each with the key under which it counts once.

The keys are digests of the content, because a charge point resends a message with the same or
a new message id (ocpp.md rules R2): what was said, not how often. The key has the device's time
also where that is not believed and the fact has another.
"""

from __future__ import annotations

from datetime import datetime

from wattledger.ids import derive
from wattledger.sessions.assemble import Fact
from wattledger.sessions.model import Activity
from wattledger.wire.ocpp import v16

# What a connector's status says about a running transaction (1.6 §7.7). SuspendedEVSE and a
# fault are the charger's doing: never idle time of the driver.
ACTIVITY = {
    "Charging": Activity.CHARGING,
    "SuspendedEV": Activity.VEHICLE_IDLE,
    "SuspendedEVSE": Activity.CHARGER_PAUSE,
    "Faulted": Activity.CHARGER_PAUSE,
    "Unavailable": Activity.CHARGER_PAUSE,
}
# The cable is out, or a new driver is at it: idle after a stop ends here.
UNPLUGGED = frozenset({"Available", "Preparing", "Reserved"})
# What it says once the transaction has ended: nothing charges any more.
ACTIVITY_AFTER_STOP = {
    name: activity for name, activity in ACTIVITY.items() if activity is not Activity.CHARGING
} | {"Finishing": Activity.VEHICLE_IDLE}


def session_id(charge_point_id: str, message: v16.StartTransaction, at: datetime) -> str:
    """The same start, however often it is sent, is the same session."""
    return derive(
        "ses",
        charge_point_id,
        message.connector_id,
        message.id_tag.casefold(),
        at.isoformat(),
        message.meter_start,
    )


def first_register(message: v16.StartTransaction) -> int | None:
    """meterStart, unless it is below zero: that is none, and the first sample has to do."""
    return message.meter_start if message.meter_start >= 0 else None


def start(session: str, message: v16.StartTransaction, at: datetime) -> tuple[Fact, str]:
    """meterStart is the baseline, whatever the first sample says (R11)."""
    return Fact("start", at, first_register(message)), derive("fct", session, "start")


def status(session: str, name: str, at: datetime, *, stopped: bool) -> tuple[Fact, str] | None:
    """What a status says about a transaction, running or ``stopped``, if anything."""
    activity = (ACTIVITY_AFTER_STOP if stopped else ACTIVITY).get(name)
    if activity is None:
        return None
    fact = Fact("status", at, activity=activity)
    return fact, derive("fct", session, "status", at.isoformat(), name)


def stop(session: str, message: v16.StopTransaction, at: datetime) -> tuple[Fact, str]:
    """The stop at ``at``. The readings that came along with it are ``from_samples``'s."""
    return Fact("stop", at, message.meter_stop), derive("fct", session, "stop")


def unplug(session: str, at: datetime) -> tuple[Fact, str]:
    """The first proof that the vehicle has gone; idle is billed until ``at``."""
    return Fact("unplug", at), derive("fct", session, "unplug")
