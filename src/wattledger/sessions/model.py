"""What was delivered: the values a session is made of."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from wattledger.energy import Reading

__all__ = ["Activity", "Change", "Delivery", "Reading", "Reserved"]


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


class Reserved(msgspec.Struct, frozen=True):
    """A connector that was kept: until charging began, or, ``expired``, until it did not."""

    from_at: datetime
    to_at: datetime
    expired: bool = False


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that pricing needs to know of a session. Times in UTC, both lists in time order.

    ``readings`` start with the register at ``started_at``; the last one is the register when
    the transaction stopped, unless ``stopped_at`` says when it did. Registers never fall: what
    does is an anomaly long before this. ``ended_at`` is when the bill ends: the stop, or the
    unplug where idle after it counts. ``time_zone`` is the site's IANA zone. ``max_power_w`` is
    what the EVSE can give at most: it tightens the error bounds. ``evse_kind`` is AC or DC.
    """

    session_id: str
    time_zone: str
    started_at: datetime
    ended_at: datetime
    readings: tuple[Reading, ...]
    changes: tuple[Change, ...]
    stopped_at: datetime | None = None
    max_power_w: int | None = None
    evse_kind: str | None = None
    reserved: Reserved | None = None

    @property
    def charged_until(self) -> datetime:
        """The end of the last time in which energy can have flowed, or the last reading if that
        is later: from there on the register stands."""
        last = self.readings[-1].at
        stop = self.stopped_at or last
        until, activity, since = last, Activity.CHARGING, self.started_at
        for change in (*self.changes, Change(stop, Activity.VEHICLE_IDLE)):
            if activity is Activity.CHARGING and since < stop:
                until = max(until, min(change.at, stop))
            activity, since = change.activity, change.at
        return until

    @property
    def energy_wh(self) -> int:
        """Last register minus first."""
        if not self.readings:
            return 0
        return self.readings[-1].register_wh - self.readings[0].register_wh
