"""The demo's configuration: a ``wattledger.toml`` as an operator would write one.

Secrets are drawn for each run and handed to the processes in the environment; the file names
the variables, and holds nothing but the hashes of the charge points' passwords.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wattledger.demo import drivers
from wattledger.demo.paying import Prepared
from wattledger.demo.plan import Plan
from wattledger.demo.sample import BURBANK, NEW_YORK, PASADENA, ZONES
from wattledger.gateway.auth import hash_password

ENTITY = "wattledger-demo"
PROCESSOR = "stripe-demo"
TARGET = "books"

STRIPE_KEY_ENV = "STRIPE_SANDBOX_KEY"
STRIPE_WEBHOOK_ENV = "WATTLEDGER_STRIPE_WEBHOOK_SECRET"
RECEIVER_ENV = "WATTLEDGER_BOOKS_SECRET"
DRIVER_KEY_ENV = "WATTLEDGER_DEMO_KEY"
CPMS_KEY_ENV = "WATTLEDGER_CPMS_KEY"
SUPPORT_KEY_ENV = "WATTLEDGER_SUPPORT_KEY"
CHARGERS_ENV = "WATTLEDGER_CHARGERS_SECRET"

BURBANK_PRICE_PER_KWH = "0.31"
BURBANK_TAX_PERCENT = "9.5"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the three listeners of a run are, all on loopback."""

    http: int
    ocpp: int
    sandbox: int

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def ocpp_url(self) -> str:
        return f"ws://127.0.0.1:{self.ocpp}/ocpp"

    @property
    def sandbox_url(self) -> str:
        return f"http://127.0.0.1:{self.sandbox}"


def draw_secrets() -> dict[str, str]:
    """Fresh secrets by the variables that carry them."""
    return {
        STRIPE_KEY_ENV: f"sk_test_{secrets.token_hex(16)}",
        STRIPE_WEBHOOK_ENV: f"whsec_{secrets.token_hex(16)}",
        # Standard Webhooks: the secret is base64 behind its prefix.
        RECEIVER_ENV: f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}",
        DRIVER_KEY_ENV: f"wlk_{secrets.token_hex(20)}",
        CPMS_KEY_ENV: f"wlk_{secrets.token_hex(20)}",
        SUPPORT_KEY_ENV: f"wlk_{secrets.token_hex(20)}",
        CHARGERS_ENV: secrets.token_hex(32),
    }


def charger_password(secret: str, charge_point_id: str) -> str:
    """Each charge point has its own: 32 hex digits, within OCPP's 16 to 40 characters."""
    return hmac.new(secret.encode(), charge_point_id.encode(), "sha256").hexdigest()[:32]


def write_config(
    path: Path,
    plan: Plan,
    ports: Ports,
    environment: Mapping[str, str],
    data_dir: Path,
    prepared: Prepared,
) -> None:
    """Write the configuration of a run to ``path``; the database's files go to ``data_dir``."""
    body = configuration(plan, ports, environment[CHARGERS_ENV], data_dir, prepared)
    head = "# Written by `wattledger demo`; the next run writes it anew.\n\n"
    path.write_text(head + to_toml(body), encoding="utf-8")


def configuration(
    plan: Plan, ports: Ports, chargers_secret: str, data_dir: Path, prepared: Prepared
) -> dict[str, Any]:
    """What ``wattledger.config.parse`` takes."""
    return {
        "server": {
            "ocpp_port": ports.ocpp,
            "http_port": ports.http,
            "clock": "driven",
            "clock_followers": [f"{ports.sandbox_url}/_sim/clock"],
        },
        "database": {"data_dir": str(data_dir)},
        "entity": [
            {
                "id": ENTITY,
                "name": "Wattledger Demo Charging, Inc.",
                "currency": "USD",
                "time_zone": ZONES[PASADENA],
            }
        ],
        "processor": [
            {
                "id": PROCESSOR,
                "entity": ENTITY,
                "kind": "stripe",
                "api_key_env": STRIPE_KEY_ENV,
                "webhook_secret_env": STRIPE_WEBHOOK_ENV,
                "base_url": ports.sandbox_url,
                "rate_per_s": 1000,  # the stand-in's clock stands still between two steps
                "endpoint_rate_per_s": 1000,
                "holds": [{"below_power_w": 50_000, "amount": "25.00"}, {"amount": "50.00"}],
            }
        ],
        "target": [
            {
                "id": TARGET,
                "entity": ENTITY,
                "url": f"{ports.sandbox_url}/receiver/{TARGET}",
                "secret_env": RECEIVER_ENV,
            }
        ],
        "api_key": _API_KEYS,
        "plan": _PLANS,
        "payment": _PAYMENT,
        "terminal": [_terminal(site, plan, reader) for site, reader in prepared.readers.items()],
        "account": [_account(a, prepared) for a in accounts_of(plan)],
        "tariff": _TARIFFS,
        "site": [_site(site, plan, chargers_secret) for site in _SITES],
    }


_API_KEYS: list[dict[str, Any]] = [
    {
        "name": "demo-driver",
        "key_env": DRIVER_KEY_ENV,
        "scopes": ["sessions:read", "clock"],
    },
    {"name": "burbank-cpms", "key_env": CPMS_KEY_ENV, "scopes": ["sessions:write"]},
    {
        "name": "support",
        "key_env": SUPPORT_KEY_ENV,
        "scopes": [
            *("sessions:read", "starts:write", "payments:read", "payments:write"),
            "refunds:write",
        ],
    },
]
_IDLE_CAP = [{"dimension": "idle_time", "amount": "12.00"}]
_IDLE = {
    "name": "idle",
    "restrictions": {"min_idle_s": 600},
    "components": [{"dimension": "idle_time", "price": "0.20", "unit": "minute", "step": 60}],
}
_TARIFFS: list[dict[str, Any]] = [
    {
        "id": "pasadena-tou",
        "name": "Pasadena, by time of day",
        "currency": "USD",
        "caps": _IDLE_CAP,
        "elements": [
            {
                "name": "peak",
                "restrictions": {"start_time": "16:00", "end_time": "21:00"},
                "components": [{"dimension": "energy", "price": "0.35", "unit": "kWh"}],
            },
            {
                "name": "off-peak",
                "components": [{"dimension": "energy", "price": "0.25", "unit": "kWh"}],
            },
            _IDLE,
        ],
    },
    {
        "id": "new-york-minute",
        "name": "New York, by the minute",
        "currency": "USD",
        "caps": _IDLE_CAP,
        "elements": [
            {
                "name": "charging",
                "components": [
                    {"dimension": "charging_time", "price": "0.035", "unit": "minute", "step": 60}
                ],
            },
            _IDLE,
        ],
    },
    {
        "id": "burbank-flat",
        "name": "Burbank, per kWh",
        "currency": "USD",
        "elements": [
            {
                "name": "energy",
                "components": [
                    {"dimension": "energy", "price": BURBANK_PRICE_PER_KWH, "unit": "kWh"}
                ],
            }
        ],
    },
]
_PLANS: list[dict[str, Any]] = [
    {"id": "walk-up", "name": "Walk-up", "route": "card"},
    {"id": "member", "name": "Member", "route": "card", "discount_percent": "15"},
    {"id": "fleet", "name": "Fleet", "route": "invoice"},
    {"id": "cpms", "name": "Paid at the CPMS", "route": "external"},
    {"id": "bank-card", "name": "Bank card", "route": "terminal", "ad_hoc": True},
]
# Members have a card on file and agreed to be charged for what is above a small hold.
_PAYMENT: list[dict[str, Any]] = [
    {"plans": ["member"], "hold": "6.00", "second_charge": True, "stop_at_ceiling": False},
]
_SITES: list[dict[str, Any]] = [
    {
        "id": PASADENA,
        "name": "Pasadena",
        "tariff": "pasadena-tou",
        "tax_name": "Pasadena sales tax",
        "tax_percent": "10.25",
        "processor": PROCESSOR,
    },
    {
        "id": NEW_YORK,
        "name": "New York",
        "tariff": "new-york-minute",
        "tax_name": "New York sales tax",
        "tax_percent": "8.875",
        "processor": PROCESSOR,
    },
    {
        "id": BURBANK,
        "name": "Burbank",
        "tariff": "burbank-flat",
        "tax_name": "Burbank sales tax",
        "tax_percent": BURBANK_TAX_PERCENT,
    },
]


def _site(site: Mapping[str, Any], plan: Plan, chargers_secret: str) -> dict[str, Any]:
    points = []
    for post in plan.posts:
        if post.site_id != site["id"]:
            continue
        point: dict[str, Any] = {"id": post.id, "power_w": post.power_w}
        if not post.external:  # what a CPMS keeps never connects to us
            password = charger_password(chargers_secret, post.id)
            point["auth"] = hash_password(password, secrets.token_bytes(16))
        points.append(point)
    return {
        **site,
        "entity": ENTITY,
        "time_zone": ZONES[site["id"]],
        "charge_points": points,
    }


def _terminal(site: str, plan: Plan, reader: str) -> dict[str, Any]:
    """A reader that serves all posts of a site."""
    serves = [post.id for post in plan.posts if post.site_id == site]
    return {"id": f"{site}-reader", "site": site, "provider": "stripe", "reader": reader,
            "serves": serves}  # fmt: skip


def accounts_of(plan: Plan) -> list[drivers.Account]:
    """The accounts of all who come."""
    return drivers.accounts((s.driver, s.token) for s in plan.sessions)


def _account(account: drivers.Account, prepared: Prepared) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": account.id,
        "name": account.name,
        "plan": account.plan,
        "tokens": list(account.tokens),
    }
    if account.blocked:
        body["blocked"] = True
    if account.payment_method:
        body["payment_method"] = account.payment_method
    if account.id in prepared.cards:
        body["customer"], body["payment_method"] = prepared.cards[account.id]
        body["consent"] = True
    if account.shortfall != "waive":
        body["shortfall"] = account.shortfall
    return body


def to_toml(body: Mapping[str, Any]) -> str:
    """TOML of nested dicts, lists, strings, integers and booleans; ``tomllib`` reads it back."""
    blocks = []
    for key, value in body.items():
        if isinstance(value, dict):
            blocks.append(_table(f"[{key}]", key, value))
        else:
            blocks += [_table(f"[[{key}]]", key, row) for row in value]
    return "\n".join(blocks)


def _table(header: str, path: str, table: Mapping[str, Any]) -> str:
    lines, below = [header], []
    for key, value in table.items():
        if key == "elements":
            below += [_table(f"[[{path}.{key}]]", f"{path}.{key}", row) for row in value]
        elif isinstance(value, list) and len(value) > 1 and isinstance(value[0], dict):
            lines += [f"{key} = [", *(f"  {_inline(row)}," for row in value), "]"]
        else:
            lines.append(f"{key} = {_inline(value)}")
    return "\n".join([*lines, *below]) + "\n"


def _inline(value: Any) -> str:
    if isinstance(value, bool | str | int):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(_inline(item) for item in value)}]"
    return "{ " + ", ".join(f"{key} = {_inline(item)}" for key, item in value.items()) + " }"
