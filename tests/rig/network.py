"""The network: one legal entity, one site, two charge points, and one fed by an API."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wattledger.demo.setup import to_toml
from wattledger.gateway.auth import hash_password

Body = dict[str, Any]

PASSWORD = "correct-horse-battery"
API_KEY = "key-of-the-tests"
READ_KEY = "key-that-may-only-read"
SECRETS = {
    "RIG_STRIPE_KEY": "sk_test_rig",
    "RIG_STRIPE_WEBHOOK": "whsec_rig",
    "RIG_BOOKS": "whsec_" + base64.b64encode(b"the-books-of-the-rig-keep-it").decode(),
    "RIG_API_KEY": API_KEY,
    "RIG_READ_KEY": READ_KEY,
    "RIG_SECOND_KEY": "key-of-a-second-person",
}
ENTITY, PROCESSOR, TARGET, SITE = "acme", "stripe", "books", "yard"
CARD, DECLINED, FLEET, BLOCKED = "CARD-1", "DECLINED-1", "FLEET-1", "BLOCKED-1"
# A Monday.
STARTS_AT = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
_AUTH = hash_password(PASSWORD, b"salt-of-the-rig!")


def at(text: str, day: int = 2) -> datetime:
    """``HH:MM`` or ``HH:MM:SS`` of a day in November 2026, in UTC."""
    parts = [int(part) for part in text.split(":")]
    return datetime(2026, 11, day, *parts, tzinfo=UTC)


def charge_point(point_id: str, power_w: int = 22_000) -> Body:
    return {"id": point_id, "power_w": power_w, "auth": _AUTH}


def network(sandbox_url: str, database: Body, **server: Any) -> Body:
    """What ``wattledger.config.parse`` takes; a test changes what it is about."""
    return {
        "server": {
            "ocpp_port": 0,
            "http_port": 0,
            "clock": "driven",
            "clock_followers": [f"{sandbox_url}/_sim/clock"],
            **server,
        },
        "database": database,
        # Nobody is told what to measure, unless a test is about that.
        "policies": {"meter_interval_s": 0},
        "entity": [{"id": ENTITY, "name": "Acme", "currency": "USD", "time_zone": "UTC"}],
        "processor": [
            {
                "id": PROCESSOR,
                "entity": ENTITY,
                "kind": "stripe",
                "api_key_env": "RIG_STRIPE_KEY",
                "webhook_secret_env": "RIG_STRIPE_WEBHOOK",
                "base_url": sandbox_url,
                "timeout_s": 1,
                # The stand-in refuses nothing unless it is told to.
                "rate_per_s": 1000,
                "endpoint_rate_per_s": 1000,
                "holds": [{"below_power_w": 50_000, "amount": "25.00"}, {"amount": "50.00"}],
            }
        ],
        "target": [
            {
                "id": TARGET,
                "entity": ENTITY,
                "url": f"{sandbox_url}/receiver/{TARGET}",
                "secret_env": "RIG_BOOKS",
                "timeout_s": 1,
            }
        ],
        "api_key": [
            {
                "name": "tests",
                "key_env": "RIG_API_KEY",
                "scopes": [
                    "sessions:read",
                    "sessions:write",
                    "anomalies:write",
                    "authorizations:write",
                    "clock",
                ],
            },
            {"name": "reader", "key_env": "RIG_READ_KEY", "scopes": ["sessions:read"]},
        ],
        "plan": [
            {"id": "walk-up", "name": "Walk-up", "route": "card"},
            {"id": "fleet", "name": "Fleet", "route": "invoice"},
        ],
        "account": [
            account("card", "walk-up", CARD, payment_method="pm_card_visa"),
            account(
                "declined",
                "walk-up",
                DECLINED,
                payment_method="pm_card_chargeDeclined",
                shortfall="debt",
            ),
            account("fleet", "fleet", FLEET),
            account("blocked", "fleet", BLOCKED, blocked=True),
        ],
        # 0.30 per kWh; idle 0.20 per minute begun after ten minutes, 12.00 at most.
        "tariff": [
            {
                "id": "standard",
                "name": "Standard",
                "currency": "USD",
                "caps": [{"dimension": "idle_time", "amount": "12.00"}],
                "elements": [
                    {
                        "name": "energy",
                        "components": [{"dimension": "energy", "price": "0.30", "unit": "kWh"}],
                    },
                    {
                        "name": "idle",
                        "restrictions": {"min_idle_s": 600},
                        "components": [
                            {
                                "dimension": "idle_time",
                                "price": "0.20",
                                "unit": "minute",
                                "step": 60,
                            }
                        ],
                    },
                ],
            }
        ],
        "site": [
            {
                "id": SITE,
                "name": "Yard",
                "entity": ENTITY,
                "time_zone": "UTC",
                "tariff": "standard",
                "tax_name": "Sales tax",
                "tax_percent": "10",
                "processor": PROCESSOR,
                "charge_points": [
                    charge_point("CP-1"),
                    charge_point("CP-2"),
                    charge_point("CP-API"),
                ],
            }
        ],
    }


def account(account_id: str, plan: str, *tokens: str, **more: Any) -> Body:
    return {
        "id": account_id,
        "name": account_id.title(),
        "plan": plan,
        "tokens": list(tokens),
        **more,
    }


def write(path: Path, body: Body) -> Path:
    path.write_text(to_toml(body), encoding="utf-8")
    return path
