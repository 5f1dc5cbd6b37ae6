"""Tariffs that are or were in force somewhere, with their arithmetic."""

from __future__ import annotations

import pytest
from rating_samples import charging, delivery, element, energy, flat, tariff
from record_samples import sums

from wattledger.rating import Discount, Terms, price
from wattledger.tariffs import Dimension, Tariff, read_tariff

HALF_AN_HOUR = delivery(("2026-07-01 10:00", 0), ("2026-07-01 10:30", 9_000))


def test_by_the_minute_with_a_session_fee() -> None:
    """1.00 + 30 x 0.30."""
    assert (
        price(HALF_AN_HOUR, tariff(element("", flat("1.00"), charging("0.30")))).net_minor == 1000
    )


def test_members_by_the_minute() -> None:
    """30 x 0.35 = 10.50, members 30 x 0.21 = 6.30: 40 % less."""
    by_minute = tariff(element("", charging("0.35")))
    member = Terms(discounts=(Discount("40", (Dimension.CHARGING_TIME,)),))
    assert price(HALF_AN_HOUR, by_minute).net_minor == 1050
    assert price(HALF_AN_HOUR, by_minute, member).net_minor == 630


def least_three() -> Tariff:
    """0.47 a kWh, at least 3.00; nothing for a stay of five minutes without energy."""
    raw = {
        "id": "t", "currency": "USD", "elements": [element("", energy("0.47"))],
        "min_price": {"before_taxes": "3.00", "after_taxes": "3.00"},
        "policies": {"zero_energy": "release", "floor_s": 300},
    }  # fmt: skip
    return read_tariff(raw, "$")


@pytest.mark.parametrize(
    ("minutes", "wh", "net"),
    [
        (60, 10_000, 470),
        (60, 6_382, 300),  # 2.99954
        (60, 6_383, 300),  # 3.00001
        (60, 6_394, 301),  # 3.00518
        (60, 1, 300),
        (5, 1, 300),
        (5, 0, 0),
        (6, 0, 300),
    ],
)
def test_a_least_price_and_a_change_of_mind(minutes: int, wh: int, net: int) -> None:
    session = delivery(("2026-07-01 10:00", 0), (f"2026-07-01 {10 + minutes // 60}:"
                                                 f"{minutes % 60:02d}", wh))  # fmt: skip
    assert sums(price(session, least_three()))[0] == net


@pytest.mark.parametrize(
    ("seconds", "by_second", "by_minute"), [(1_801, 901, 930), (1_800, 900, 900), (1, 1, 30)]
)
def test_begun_seconds_and_begun_minutes(seconds: int, by_second: int, by_minute: int) -> None:
    """0.30 a minute: 30 min 1 s are 30.0167 minutes or 31."""
    minutes, rest = divmod(seconds, 60)
    session = delivery(("2026-07-01 10:00:00", 0), (f"2026-07-01 10:{minutes:02d}:{rest:02d}", 99))
    assert price(session, tariff(element("", charging("0.30")))).net_minor == by_second
    assert price(session, tariff(element("", charging("0.30", step=60)))).net_minor == by_minute
