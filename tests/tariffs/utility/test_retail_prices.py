"""Retail prices from cost: markup, adder, floor, ceiling, rounding."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from utility_samples import at, by_time, series

from wattledger.errors import BadInput
from wattledger.money import Rounding
from wattledger.tariffs.utility import Markup, PriceSeries, energy_prices, retail_prices


def costs(*prices: str) -> PriceSeries:
    return series(
        *((f"2026-06-01 {h:02d}:00", f"2026-06-01 {h + 1:02d}:00", p) for h, p in enumerate(prices))
    )


def texts(markup: Markup, *prices: str) -> list[str]:
    return [x.price_text for x in retail_prices(costs(*prices), markup)]


def test_percent_and_adder() -> None:
    # 0.20199 x 1.15 + 0.05 = 0.2822885; 0.41522 x 1.15 + 0.05 = 0.527503.
    markup = Markup(percent="15", adder="0.05")
    assert texts(markup, "0.20199", "0.41522") == ["0.2823", "0.5275"]


def test_floor_and_ceiling() -> None:
    markup = Markup(adder="0.10", floor="0.15", ceiling="0.60")
    assert texts(markup, "-0.50", "0.05", "0.30", "0.87") == [
        "0.1500", "0.1500", "0.4000", "0.6000",
    ]  # fmt: skip


def test_no_percentage_of_a_negative_cost() -> None:
    # -0.10 with 20 % stays -0.10: a markup does not make it cheaper still.
    assert texts(Markup(percent="20"), "-0.10", "0.10") == ["-0.1000", "0.1200"]


@pytest.mark.parametrize(
    ("rounding", "text"),
    [
        (Rounding.HALF_UP, "0.13"),
        (Rounding.HALF_EVEN, "0.12"),
        (Rounding.DOWN, "0.12"),
        (Rounding.UP, "0.13"),
    ],
)
def test_rounding_is_stated(rounding: Rounding, text: str) -> None:
    assert texts(Markup(places=2, rounding=rounding), "0.125") == [text]


def test_from_a_tariff_to_prices_with_their_times() -> None:
    prices = energy_prices(by_time(), at("2026-06-01 05:00"), at("2026-06-01 07:00"))
    assert retail_prices(prices, Markup(percent="50", places=2)) == [
        (at("2026-06-01 05:00"), at("2026-06-01 06:00"), "0.15"),
        (at("2026-06-01 06:00"), at("2026-06-01 07:00"), "0.45"),
    ]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"percent": "NaN"}, "markup.percent"),
    ({"percent": "-5"}, "markup.percent"),
    ({"percent": "1e999999"}, "markup.percent"),
    ({"percent": 0.15}, "markup.percent"),
    ({"adder": "x"}, "markup.adder"),
    ({"adder": "-0.01"}, "markup.adder"),
    ({"floor": "Infinity"}, "markup.floor"),
    ({"floor": "0.12345"}, "markup.floor"),
    ({"ceiling": "0.12345"}, "markup.ceiling"),
    ({"floor": "0.5", "ceiling": "0.4"}, "markup.floor"),
    ({"places": 10}, "markup.places"),
    ({"places": -1}, "markup.places"),
    ({"places": True}, "markup.places"),
]


@pytest.mark.parametrize(("fields", "path"), BAD)
def test_what_is_no_markup(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        retail_prices(costs("0.1"), Markup(**fields))
    assert caught.value.path == path


PRICES = st.decimals(-1, 1, places=5).map(str)


@given(st.lists(PRICES, min_size=1, max_size=20), st.decimals(0, 100, places=2).map(str))
def test_prices_stay_between_floor_and_ceiling_and_near_the_exact(
    prices: list[str], percent: str
) -> None:
    markup = Markup(percent=percent, adder="0.01", floor="0", ceiling="0.9")
    for cost, text in zip(prices, texts(markup, *prices), strict=True):
        exact = Fraction(cost) + Fraction("0.01") + max(Fraction(cost), 0) * Fraction(percent) / 100
        clamped = min(max(exact, Fraction(0)), Fraction("0.9"))
        assert abs(Fraction(text) - clamped) <= Fraction("0.00005")
        assert 0 <= Decimal(text) <= Decimal("0.9")
