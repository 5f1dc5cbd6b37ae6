"""Small deliveries and tariffs for the tests of rating."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from wattledger.rating import Charge, Evidence, Line, Terms
from wattledger.rating import evidence as evidence_of
from wattledger.sessions.model import Activity, Change, Delivery, Reading
from wattledger.tariffs import Tariff, read_tariff

NO_TAX = Terms.simple("Sales tax", "0")
CHARGING, IDLE, PAUSE = Activity.CHARGING, Activity.VEHICLE_IDLE, Activity.CHARGER_PAUSE


def at(text: str) -> datetime:
    """``2026-07-01 15:30`` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def delivery(
    *readings: tuple[str, int],
    changes: tuple[tuple[str, Activity], ...] = (),
    ended: str | None = None,
    zone: str = "UTC",
) -> Delivery:
    """A session from the first reading to the last, or to ``ended``."""
    return Delivery(
        session_id="ses_1",
        time_zone=zone,
        started_at=at(readings[0][0]),
        ended_at=at(ended or readings[-1][0]),
        readings=tuple(Reading(at(when), wh) for when, wh in readings),
        changes=tuple(Change(at(when), activity) for when, activity in changes),
    )


def energy(price: str, step: int = 1) -> dict[str, object]:
    return {"dimension": "energy", "price": price, "unit": "kWh", "step": step}


def charging(price: str, unit: str = "minute", step: int = 1) -> dict[str, object]:
    return {"dimension": "charging_time", "price": price, "unit": unit, "step": step}


def idle(price: str, unit: str = "minute", step: int = 1) -> dict[str, object]:
    return {"dimension": "idle_time", "price": price, "unit": unit, "step": step}


def flat(price: str) -> dict[str, object]:
    return {"dimension": "flat", "price": price, "unit": "session"}


def element(name: str, *components: dict[str, object], **restrictions: object) -> dict[str, object]:
    return {"name": name, "components": list(components), "restrictions": restrictions}


def tariff(
    *elements: dict[str, object],
    currency: str = "USD",
    caps: dict[str, str] | None = None,
    **policies: Any,
) -> Tariff:
    return read_tariff(
        {
            "id": "t",
            "name": "Test",
            "currency": currency,
            "elements": list(elements),
            "caps": [{"dimension": d, "amount": a} for d, a in (caps or {}).items()],
            "policies": policies,
        },
        "$",
    )


def line(charge: Charge, text: str) -> Line:
    """The one line with that text."""
    (found,) = [line for line in charge.lines if line.text == text]
    return found


def evidence(charge: Charge, text: str) -> tuple[Evidence, ...]:
    """What the one line with that text rests on."""
    return evidence_of(charge, line(charge, text))


def sources(charge: Charge) -> set[str]:
    """Where the quantities of all lines come from."""
    return {part.source for one in charge.lines for part in evidence_of(charge, one)}


def nets(charge: Charge) -> dict[str, int]:
    """What each line costs."""
    return {line.text: line.net_minor for line in charge.lines}
