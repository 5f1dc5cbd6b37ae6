"""By which model a session was charged: the word and the colour it has on every page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wattledger.contract import Route

# In this order in every chart, each with the name of its colour token.
MODELS: dict[str, tuple[str, str]] = {
    "kwh": ("Per kWh", "m-kwh"),
    "minute": ("Per minute", "m-minute"),
    "members": ("Members", "m-members"),
    "fleet": ("Fleet", "m-fleet"),
    "roaming": ("Roaming", "m-roaming"),
    "external": ("Paid elsewhere", "m-neutral"),
    "wallet": ("Wallet", "m-neutral"),
    "free": ("Free", "m-neutral"),
    "none": ("No payer", "bad"),
}
_BY_ROUTE = {
    Route.INVOICE: "fleet",
    Route.ROAMING: "roaming",
    Route.EXTERNAL: "external",
    Route.WALLET: "wallet",
    Route.FREE: "free",
    Route.NONE: "none",
}
ROUTES = {
    Route.CARD: "Card",
    Route.APP: "App",
    Route.CHECKOUT: "QR page",
    Route.TERMINAL: "Terminal",
    Route.INVOICE: "Invoice",
    Route.EXTERNAL: "Paid elsewhere",
    Route.WALLET: "Wallet",
    Route.ROAMING: "Roaming",
    Route.FREE: "Free",
    Route.NONE: "No payer",
}


def model_of(route: str, discount_percent: str | None, tariff: Mapping[str, Any] | None) -> str:
    """The key of a model.

    The route decides first. Of those who pay by card, a discount makes a member; for the rest
    the tariff says whether energy is priced at all.
    """
    found = _BY_ROUTE.get(Route(route))
    if found:
        return found
    if (discount_percent or "0").strip("0.") != "":
        return "members"
    elements = (tariff or {}).get("elements", [])
    dimensions = {c.get("dimension") for e in elements for c in e.get("components", [])}
    timed = dimensions & {"charging_time"} and "energy" not in dimensions
    return "minute" if timed else "kwh"


def model_name(key: str) -> str:
    """The word for a model."""
    return MODELS[key][0]
