"""A contract's tariff for a station that calculates itself: discount off, the place's tax on."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from rating_samples import NO_TAX, element, energy, flat, idle, tariff

from wattledger.errors import CantSay
from wattledger.rating import Discount, Fee, Tax, Terms
from wattledger.rating.station import station_tariff
from wattledger.tariffs import Dimension

GIVEN = tariff(
    element("", energy("0.405"), flat("1.00")), element("", idle("0.20"), min_idle_s=600)
)


def test_prices_are_the_contracts() -> None:
    """0.405 less 10 % is 0.3645; the fee is not discounted, and has the tax alone."""
    terms = Terms(
        taxes=(Tax("Sales tax", "8.25"), Tax("Levy", "2", dimensions=(Dimension.ENERGY,))),
        discounts=(Discount("10", (Dimension.ENERGY,)),),
    )
    found = json.loads(station_tariff(GIVEN, terms).text, parse_float=Decimal)
    assert found["energy"] == {
        "prices": [{"priceKwh": Decimal("0.3645")}],
        "taxRates": [{"type": "Sales tax", "tax": Decimal("8.25")}, {"type": "Levy", "tax": 2}],
    }
    assert found["fixedFee"]["prices"] == [{"priceFixed": Decimal("1.00")}]
    assert found["fixedFee"]["taxRates"] == [{"type": "Sales tax", "tax": Decimal("8.25")}]
    assert found["idleTime"]["prices"][0]["conditions"] == {"minIdleTime": 600}


def test_an_id_is_of_its_content() -> None:
    first = station_tariff(GIVEN, NO_TAX)
    assert station_tariff(GIVEN, NO_TAX) == first
    assert station_tariff(GIVEN, Terms.simple("Sales tax", "8")).id != first.id
    assert len(station_tariff(msgspec.structs.replace(GIVEN, id="x" * 64), NO_TAX).id) == 60


@pytest.mark.parametrize(
    "terms",
    [Terms(fees=(Fee("Terminal", "0.35"),)), Terms(taxes=(Tax("Excise", per_kwh="0.03"),))],
)
def test_what_a_price_list_can_not_have(terms: Terms) -> None:
    with pytest.raises(CantSay):
        station_tariff(GIVEN, terms)
    with pytest.raises(CantSay, match="allowance"):
        station_tariff(GIVEN, NO_TAX, more=("an allowance",))
