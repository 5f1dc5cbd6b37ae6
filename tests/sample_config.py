"""A small whole configuration as parsed TOML, for tests that change one thing in it."""

from __future__ import annotations

import copy
from typing import Any

_WHOLE: dict[str, Any] = {
    "entity": [
        {"id": "north", "name": "North", "currency": "USD", "time_zone": "America/New_York"},
        {"id": "rhine", "name": "Rhine", "currency": "EUR", "time_zone": "Europe/Berlin"},
    ],
    "tariff": [
        {
            "id": key, "name": key, "currency": currency,
            "elements": [
                {"name": "all day",
                 "components": [{"dimension": "energy", "price": "0.40", "unit": "kWh"}]}
            ],
        }
        for key, currency in (("standard", "USD"), ("cheap", "USD"), ("euro", "EUR"))
    ],
    "processor": [
        {
            "id": key, "entity": entity, "kind": "stripe", "api_key_env": "KEY",
            "webhook_secret_env": "SECRET", "holds": [
                {"below_power_w": 50_000, "amount": "25.00"}, {"amount": "50.00"},
            ],
        }
        for key, entity in (("stripe", "north"), ("stripe-eu", "rhine"))
    ],
    "plan": [
        {"id": "walk-up", "name": "Walk-up", "route": "card"},
        {"id": "fleet", "name": "Fleet", "route": "invoice", "discount_percent": "10",
         "tariffs": {"depot": "cheap"}},
    ],
    "account": [
        {"id": "ann", "name": "Ann", "plan": "walk-up", "tokens": ["ANN"],
         "payment_method": "pm_1", "customer": "cus_1", "shortfall": "debt"},
        {"id": "acme", "name": "Acme", "plan": "fleet", "tokens": ["Acme-1", "Acme-2"]},
        {"id": "lost", "name": "Lost", "plan": "fleet", "tokens": ["LOST"], "blocked": True},
    ],
    "site": [
        {"id": "depot", "name": "Depot", "entity": "north", "time_zone": "America/Chicago",
         "tariff": "standard", "tax_percent": "8.875", "processor": "stripe",
         "charge_points": [{"id": "D-1", "power_w": 22_000}, {"id": "D-2", "power_w": 150_000}]},
        {"id": "yard", "name": "Yard", "entity": "north", "time_zone": "America/New_York",
         "tariff": "standard", "charge_points": [{"id": "Y-1", "power_w": 22_000}]},
    ],
    "target": [
        {"id": "books", "entity": "north", "url": "https://books.example.com", "secret_env": "W"}
    ],
    "api_key": [{"name": "cpms", "key_env": "K", "scopes": ["sessions:read"]}],
}  # fmt: skip


def whole(**changes: Any) -> dict[str, Any]:
    """The configuration. ``site__0__tariff="x"`` changes $.site[0].tariff."""
    found = copy.deepcopy(_WHOLE)
    for path, value in changes.items():
        *steps, last = path.split("__")
        place: Any = found
        for step in steps:
            place = place[int(step)] if step.isdecimal() else place.setdefault(step, {})
        place[int(last) if last.isdecimal() else last] = value
    return found
