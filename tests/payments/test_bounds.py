"""Above how much a payment waits for a person."""

from __future__ import annotations

import pytest

from wattledger.errors import BadInput
from wattledger.payments.model import HoldStep, Processor, charge_max_minor, check_processor


def _processor(*holds: str, charge_max: str | None = None) -> Processor:
    steps = (*(HoldStep(amount, 50_000) for amount in holds[:-1]), HoldStep(holds[-1]))
    return Processor("p", "north", "stripe", "K", "S", steps, charge_max=charge_max)


@pytest.mark.parametrize(
    ("processor", "currency", "most"),
    [
        # Ten times the largest hold, and 50,000 of the smallest unit at least.
        (_processor("25.00", "50.00"), "USD", 50_000),
        (_processor("25.00", "100.00"), "USD", 100_000),
        (_processor("1.00"), "USD", 50_000),
        (_processor("70000"), "KRW", 700_000),
        (_processor("25.00", charge_max="60.00"), "USD", 6_000),
    ],
)
def test_the_bound(processor: Processor, currency: str, most: int) -> None:
    check_processor("$.processor[0]", processor, currency)
    assert charge_max_minor(processor, currency) == most


@pytest.mark.parametrize("charge_max", ["24.99", "0", "-1", "much"])
def test_a_bound_that_no_hold_would_pass(charge_max: str) -> None:
    with pytest.raises(BadInput, match=r"charge_max"):
        check_processor("$.processor[0]", _processor("25.00", charge_max=charge_max), "USD")
