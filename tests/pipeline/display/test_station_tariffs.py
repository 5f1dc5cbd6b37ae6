"""A driver's own tariff in the answer to Authorize: from memory, and only where it is another."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from four_models import FLEET, GUEST, MEMBER, MONDAY, in_force, network, raw
from wattledger.config import parse
from wattledger.entitlements import Snapshot, decide
from wattledger.pipeline.display.station_tariffs import of_driver
from wire import ocpp_schemas

KWH = {"dimension": "energy", "price": "0.50", "unit": "kWh"}


def _network(**site: Any) -> Snapshot:
    """One price per kWh everywhere, so that OCPP 2.1 has words for it."""
    config = raw()
    config["tariff"][0]["elements"] = [{"name": "", "components": [KWH]}]
    config["site"][0] |= site
    return in_force(parse(config))


def _own(snapshot: Snapshot, token: str) -> dict[str, Any] | None:
    decision = decide(snapshot, token, "PLAZA-1", MONDAY)
    return of_driver(snapshot, decision, "PLAZA-1", MONDAY)


def test_a_driver_with_other_prices_gets_them() -> None:
    """Mia's plan takes 25 % off 0.50: 0.375."""
    found = _own(_network(), MEMBER)
    assert found is not None
    assert found["energy"]["prices"] == [{"priceKwh": Decimal("0.375")}]
    ocpp_schemas.check(
        "ocpp2.1", "AuthorizeResponse", {"idTokenInfo": {"status": "Accepted"}, "tariff": found}
    )


def test_whoever_has_the_default_or_no_right_gets_none() -> None:
    assert _own(_network(), "nobody") is None
    assert _own(_network(show_cost=False), MEMBER) is None
    assert _own(in_force(network()), MEMBER) is None, "its idle price has steps"
    assert _own(_network(), GUEST) is None, "a fee for the terminal is on no price list"
    assert _own(_network(), FLEET) is not None, "exempt from the tax that the default has"
