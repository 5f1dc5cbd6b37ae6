"""Small records and session files for the tests of rating, as other parties would send them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from wattledger.rating import Charge
from wattledger.wire import exact

DAY = "2026-07-01"


def component(kind: str, price: str, step: int = 1, vat: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"type": kind, "price": Decimal(price), "step_size": step}
    return found | ({} if vat is None else {"vat": Decimal(vat)})


def part(*components: dict[str, Any], **restrictions: Any) -> dict[str, Any]:
    """An element of a tariff."""
    found: dict[str, Any] = {"price_components": list(components)}
    return found | ({"restrictions": restrictions} if restrictions else {})


def ocpi_tariff(*elements: dict[str, Any], key: str = "t", **more: Any) -> dict[str, Any]:
    return {
        "country_code": "DE", "party_id": "ALL", "id": key, "currency": "EUR",
        "elements": list(elements), "last_updated": "2026-01-01T00:00:00Z", **more,
    }  # fmt: skip


def period(clock: str, tariff: str | None = "t", **volumes: str) -> dict[str, Any]:
    """``period("10:00", energy="12", time="0.5")``; a clock without a date is on the day."""
    found: dict[str, Any] = {
        "start_date_time": when(clock),
        "dimensions": [
            {"type": kind.upper(), "volume": Decimal(volume)} for kind, volume in volumes.items()
        ],
    }
    return found | ({} if tariff is None else {"tariff_id": tariff})


def when(clock: str) -> str:
    return f"{clock}Z" if "T" in clock else f"{DAY}T{clock}:00Z"


def record(
    tariffs: list[dict[str, Any]], periods: list[dict[str, Any]], end: str, **more: Any
) -> bytes:
    return exact.dump(
        {
            "id": "c", "country_code": "DE", "party_id": "ALL",
            "start_date_time": periods[0]["start_date_time"], "end_date_time": when(end),
            "currency": "EUR", "tariffs": tariffs, "cdr_location": {"country": "ISL"},
            "charging_periods": periods, "last_updated": "2026-08-01T00:00:00Z", **more,
        }
    )  # fmt: skip


def session_file(
    readings: list[tuple[str, int]],
    states: tuple[tuple[str, str], ...] = (),
    *,
    zone: str = "UTC",
    ended: str | None = None,
    **more: Any,
) -> bytes:
    return exact.dump(
        {
            "session_id": "s", "location": {"time_zone": zone}, "started_at": when(readings[0][0]),
            "ended_at": when(ended or readings[-1][0]),
            "readings": [{"at": when(at), "energy_wh": wh} for at, wh in readings],
            "states": [{"at": when(at), "state": state} for at, state in states], **more,
        }
    )  # fmt: skip


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def sums(charge: Charge) -> tuple[int, int, int]:
    """Net, tax, total; checked to be those of the lines, the taxes and the streams."""
    lines = charge.lines
    assert sum(line.net_minor for line in lines) == charge.net_minor
    assert sum(line.tax_minor for line in lines) == charge.tax_minor
    assert sum(line.total_minor for line in lines) == charge.total_minor
    assert sum(amount for _, amount in charge.streams) == charge.net_minor
    assert sum(tax.tax_minor for tax in charge.taxes) == charge.tax_minor
    return charge.net_minor, charge.tax_minor, charge.total_minor
