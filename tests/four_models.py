"""One network that sells by the kWh, by the minute, by membership and by the time of day."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from wattledger.config import Config, parse, versions
from wattledger.entitlements import Directory, Snapshot
from wattledger.section import Activation
from wattledger.sessions.model import Activity, Change, Delivery, Reading
from wattledger.tariffs import Tariff

CHICAGO = "America/Chicago"
# A Monday in winter: 08:00 in Chicago is 14:00 UTC.
MONDAY = datetime(2026, 11, 2, 14, tzinfo=UTC)
GUEST, MEMBER, COMMUTER, FLEET, PARTNER = "BANK-CARD", "RFID-7", "APP-1", "FLEET-1", "PARTNER-1"


def _energy(name: str, price: str, **restrictions: object) -> dict[str, Any]:
    components = [{"dimension": "energy", "price": price, "unit": "kWh"}]
    return {"name": name, "components": components, "restrictions": restrictions}


_IDLE = {
    "name": "idle", "restrictions": {"min_idle_s": 600},
    "components": [{"dimension": "idle_time", "price": "0.40", "unit": "minute", "step": 60}],
}  # fmt: skip
_NETWORK: dict[str, Any] = {
    "entity": [{"id": "north", "name": "North", "currency": "USD", "time_zone": CHICAGO}],
    "processor": [
        {"id": "stripe", "entity": "north", "kind": "stripe", "api_key_env": "K",
         "webhook_secret_env": "S", "holds": [{"amount": "50.00"}]}
    ],
    "tariff": [
        {"id": "per-kwh", "currency": "USD", "elements": [_energy("", "0.48"), _IDLE]},
        {"id": "per-minute", "currency": "USD",
         "policies": {"clock_starts": "first_energy", "zero_energy": "release"},
         "elements": [{"name": "", "components": [
             {"dimension": "flat", "price": "1.00", "unit": "session"},
             {"dimension": "charging_time", "price": "0.30", "unit": "minute", "step": 60}]}]},
        {"id": "by-hour", "currency": "USD", "elements": [
            _energy("peak", "0.40", start_time="16:00", end_time="21:00"),
            _energy("off-peak", "0.25")]},
        {"id": "night", "currency": "USD", "elements": [_energy("", "0.19")]},
    ],
    "plan": [
        {"id": "guest", "name": "Guest", "route": "card", "ad_hoc": True},
        {"id": "member", "name": "Member", "route": "card", "discount_percent": "25",
         "discount_on": ["energy"], "unlimited_sites": ["garage"]},
        {"id": "commuter", "name": "Commuter", "route": "invoice", "allowance": [
            {"dimension": "energy", "quantity_wh": 50_000, "text": "50 kWh a month"}]},
        {"id": "fleet", "name": "Fleet", "route": "invoice"},
        {"id": "partner", "name": "Partner", "route": "external"},
    ],
    "account": [
        {"id": "guest", "name": "Guest", "plan": "guest", "tokens": [GUEST],
         "payment_method": "pm_1"},
        {"id": "mia", "name": "Mia", "plan": "member", "tokens": [MEMBER],
         "payment_method": "pm_2"},
        {"id": "cal", "name": "Cal", "plan": "commuter", "tokens": [COMMUTER]},
        {"id": "city", "name": "City", "plan": "fleet", "tokens": [FLEET],
         "customer_class": "exempt", "exemption": "certificate TX-77"},
        {"id": "pat", "name": "Pat", "plan": "partner", "tokens": [PARTNER]},
    ],
    "site": [
        {"id": site, "name": site.title(), "entity": "north", "time_zone": CHICAGO,
         "processor": "stripe", "tariff": tariff,
         "charge_points": [{"id": f"{site.upper()}-1", "power_w": 30_000, "connectors": 2}], **more}
        for site, tariff, more in (
            ("plaza", "per-kwh", {"tax_percent": "9.5"}),
            ("harbour", "per-minute", {"tax_percent": "6", "jurisdiction": "harbour"}),
            ("garage", "per-kwh", {"tax_percent": "9.5"}),
            ("highway", "by-hour", {"tax_percent": "8"}),
        )
    ],
    "offer": [
        {"tariff": "night", "sites": ["highway"], "routes": ["external"], "start_time": "22:00",
         "end_time": "06:00"},
    ],
    "fee": [
        {"text": "Card terminal", "amount": "0.35", "routes": ["card"], "ad_hoc": True},
    ],
    # South Carolina taxes every part of a price; here nobody but a utility may sell kWh.
    "jurisdiction": [
        {"id": "harbour", "inherits": "US-SC", "rules": [
            {"id": "harbour-no-kwh", "text": "No sale by the kWh.", "forbidden": ["energy"]}]}
    ],
}  # fmt: skip


def network(**changes: Any) -> Config:
    """The configuration; each change replaces a whole section."""
    return parse({**copy.deepcopy(_NETWORK), **changes})


def raw() -> dict[str, Any]:
    """The configuration as parsed TOML, to be changed."""
    return copy.deepcopy(_NETWORK)


def in_force(config: Config) -> Snapshot:
    """The configuration as the running system knows it."""
    return Directory([
        Activation(seq, v.kind, v.key, MONDAY - timedelta(days=300), v.digest, v.body)
        for seq, v in enumerate(versions(config), start=1)
    ]).at(MONDAY)  # fmt: skip


def tariff_of(config: Config, tariff_id: str) -> Tariff:
    return next(tariff for tariff in config.tariff if tariff.id == tariff_id)


def stay(
    *readings: tuple[float, int],
    start: datetime = MONDAY,
    changes: tuple[tuple[float, Activity], ...] = (),
    ended: float | None = None,
) -> Delivery:
    """A session; moments in minutes after ``start``, registers in Wh."""

    def at(minutes: float) -> datetime:
        return start + timedelta(minutes=minutes)

    return Delivery(
        session_id="ses_1",
        time_zone=CHICAGO,
        started_at=start,
        ended_at=at(readings[-1][0] if ended is None else ended),
        readings=tuple(Reading(at(minutes), wh) for minutes, wh in readings),
        changes=tuple(Change(at(minutes), activity) for minutes, activity in changes),
    )
