"""The configuration of the seeded network: who sells where, at which prices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from wattledger.ids import content_digest

NOW = datetime(2026, 11, 3, 15, 42, 8, tzinfo=UTC)
Conn = psycopg.Connection[Any]

ENTITY = {
    "id": "lind",
    "name": "Lindehaven Charging",
    "currency": "EUR",
    "time_zone": "Europe/Amsterdam",
    "address": "Kade 12\n3011 AA Rotterdam\nThe Netherlands",
    "tax_ids": ["VAT NL001234567B01", "KvK 24123456"],
    "support": "help@lindehaven.example, +31 10 123 45 67",
}


def _tariff(key: str, name: str, elements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": key, "currency": "EUR", "name": name, "elements": elements}


def _element(name: str, *components: tuple[str, str, str], **limits: object) -> dict[str, Any]:
    priced = [{"dimension": d, "price": p, "unit": u} for d, p, u in components]
    return {"name": name, "components": priced} | ({"restrictions": limits} if limits else {})


TARIFFS = {
    "noord-dc": _tariff(
        "noord-dc",
        "Noord DC",
        [
            _element("peak", ("energy", "0.67", "kWh"), start_time="15:00", end_time="20:00"),
            _element("off-peak", ("energy", "0.49", "kWh")),
            _element("after grace", ("idle_time", "0.20", "minute"), min_idle_s=600),
            _element("session fee", ("flat", "0.35", "session")),
        ],
    ),
    "markt-ac": _tariff("markt-ac", "Markthal", [_element("all day", ("energy", "0.39", "kWh"))]),
    "oost-time": _tariff(
        "oost-time", "Station Oost", [_element("parking", ("charging_time", "0.11", "minute"))]
    ),
}
# id, name, tariff, charge points, watts
SITES = (
    ("noord", "Lindehaven Noord", "noord-dc", 6, 100_000),
    ("markthal", "Markthal P1", "markt-ac", 20, 11_000),
    ("oost", "Station Oost", "oost-time", 10, 22_000),
    ("kade", "Lindehaven Kade", "markt-ac", 9, 22_000),
)
ACCOUNTS = (
    {"id": "ov-bus", "name": "Haven Taxi", "plan": "fleet", "tokens": ["FLEET-1"]},
    {"id": "coop", "name": "Buurtstroom", "plan": "members", "tokens": ["COOP-1"]},
)
PLANS = (
    {"id": "fleet", "name": "Fleet", "route": "invoice"},
    {"id": "members", "name": "Members", "route": "card", "discount_percent": "10"},
)
CODES = {
    "receivable.driver": "asset",
    "receivable.account": "asset",
    "receivable.external": "asset",
    "receivable.debt": "asset",
    "clearing.stripe": "asset",
    "payouts.in_transit": "asset",
    "bank": "asset",
    "tax.sales": "liability",
    "revenue.energy": "revenue",
    "revenue.time": "revenue",
    "revenue.idle": "revenue",
    "revenue.fee": "revenue",
    "expense.processing": "expense",
    "expense.waived": "expense",
}


def configure(conn: Conn) -> None:
    """Entity, sites, tariffs, plans and accounts, in force for long."""
    bodies: list[tuple[str, str, dict[str, Any]]] = [("entity", "lind", ENTITY)]
    bodies += [("tariff", key, body) for key, body in TARIFFS.items()]
    bodies += [("plan", str(p["id"]), dict(p)) for p in PLANS]
    bodies += [("account", str(a["id"]), dict(a)) for a in ACCOUNTS]
    for key, name, tariff, points, watts in SITES:
        site = {
            "id": key,
            "name": name,
            "entity": "lind",
            "time_zone": "Europe/Amsterdam",
            "tariff": tariff,
            "tax_name": "VAT",
            "tax_percent": "21",
            "address": f"{name}straat 1\n3011 AA Rotterdam",
            "charge_points": [
                {"id": f"{key}-{n:02d}", "power_w": watts} for n in range(1, points + 1)
            ],
        }
        bodies.append(("site", key, site))
    for kind, key, body in bodies:
        conn.execute(
            "INSERT INTO config_version VALUES (%s, %s, %s, %s)",
            (digest(kind, key, body), kind, key, Jsonb(body)),
        )
        conn.execute(
            "INSERT INTO config_activation (kind, key, valid_from, digest) VALUES (%s, %s, %s, %s)",
            (kind, key, NOW - timedelta(days=90), digest(kind, key, body)),
        )
    for code, account_kind in CODES.items():
        conn.execute("INSERT INTO account VALUES ('lind', %s, 'EUR', %s)", (code, account_kind))


def digest(kind: str, key: str, body: dict[str, Any]) -> str:
    """As the configuration names its versions."""
    return content_digest(msgspec.json.encode([kind, key, body], order="deterministic"))
