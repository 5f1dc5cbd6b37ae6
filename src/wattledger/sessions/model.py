"""What was delivered: the values a session is made of."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from wattledger.energy import Reading

__all__ = ["Activity", "Change", "Delivery", "Reading"]


class Activity(StrEnum):
    """What car and charger were doing, as far as billing cares."""

    CHARGING = "charging"
    """Energy flows, or is about to."""
    VEHICLE_IDLE = "vehicle_idle"
    """The car asks for nothing (OCPP SuspendedEV), or the transaction ended and it stays."""
    CHARGER_PAUSE = "charger_pause"
    """The charger offers nothing (OCPP SuspendedEVSE, Faulted): never the driver's idle time."""


class Change(msgspec.Struct, frozen=True):
    """From ``at`` on the connector does ``activity``, until the next change."""

    at: datetime
    activity: Activity


class Delivery(msgspec.Struct, frozen=True):
    """All that pricing needs to know of a session. Times in UTC, both lists in time order.

    ``readings`` start with the register at ``started_at``; the last one is the register when
    the transaction stopped. Registers never fall: what does is an anomaly long before this.
    ``ended_at`` is when the bill ends: the stop, or the unplug where idle after it counts.
    ``time_zone`` is the site's IANA zone.
    """

    session_id: str
    time_zone: str
    started_at: datetime
    ended_at: datetime
    readings: tuple[Reading, ...]
    changes: tuple[Change, ...]

    @property
    def energy_wh(self) -> int:
        """Last register minus first."""
        return self.readings[-1].register_wh - self.readings[0].register_wh
