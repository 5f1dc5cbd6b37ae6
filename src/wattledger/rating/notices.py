"""What costs nothing and is said all the same, so that a bill covers the whole time."""

from __future__ import annotations

from enum import StrEnum


class Notice(StrEnum):
    """Why it costs nothing."""

    FREE_ENERGY = "free_energy"
    NO_TARIFF = "no_tariff"
    INCLUDED = "included"
    GRACE = "grace"
    FREE_IDLE = "free_idle"
    IDLE_AFTER_STOP = "idle_after_stop"
    PAUSE = "pause"
    WAITING = "waiting"
    RESERVED = "reserved"


NOTICES = {
    Notice.INCLUDED: ("Included", "The plan's allowance covers it."),
    Notice.WAITING: (
        "Before the first energy",
        "The tariff counts charging time from the first energy on.",
    ),
    Notice.RESERVED: ("Reservation, free", "The tariff has no price for a reservation."),
    Notice.FREE_ENERGY: ("Energy, free", "The tariff has no price for energy at this time."),
    Notice.NO_TARIFF: (
        "Energy, no tariff",
        "The record names no tariff for this time: none is relevant (OCPI ChargingPeriod).",
    ),
    Notice.GRACE: ("Idle, grace period", "Idle time in the grace period is never billed."),
    Notice.FREE_IDLE: ("Idle, free", "The tariff has no price for idle time at this time."),
    Notice.IDLE_AFTER_STOP: (
        "Idle after the stop, not billed",
        "The tariff bills no idle time after the transaction stopped.",
    ),
    Notice.PAUSE: (
        "Charger pause",
        "The charger offered no power; this time is never billed to the driver.",
    ),
}
"""What the bill calls it, and why in a sentence."""
ORDER = {
    Notice.RESERVED: 1,
    Notice.INCLUDED: 3,
    Notice.FREE_ENERGY: 3,
    Notice.NO_TARIFF: 3,
    Notice.WAITING: 4,
    Notice.GRACE: 5,
    Notice.FREE_IDLE: 5,
    Notice.IDLE_AFTER_STOP: 5,
    Notice.PAUSE: 6,
}
"""Where it stands on a bill, among the priced lines."""
