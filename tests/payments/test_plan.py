"""How a charge is collected: every route, every answer of the card."""

from __future__ import annotations

import pytest

from wattledger.contract import Route
from wattledger.errors import BadInput
from wattledger.payments.model import HoldStep, Processor, hold_minor
from wattledger.payments.plan import parts
from wattledger.payments.store import Part, Payment


def _payment(state: str, hold: int = 2_500) -> Payment:
    return Payment("pay_1", "ses_1", "north", "stripe", "USD", hold, state,
                   None, None, None, 0, None)  # fmt: skip


@pytest.mark.parametrize(
    ("total", "route", "payment", "shortfall", "expected"),
    [
        (0, Route.CARD, _payment("held"), "waive", []),
        (440, Route.INVOICE, None, "waive", [Part("invoiced", 440)]),
        (440, Route.EXTERNAL, None, "debt", [Part("external", 440)]),
        (440, Route.ROAMING, None, "waive", [Part("roaming", 440)]),
        (440, Route.NONE, None, "waive", [Part("waived", 440)]),
        (440, Route.NONE, None, "debt", [Part("debt", 440)]),
        (440, Route.CARD, None, "debt", [Part("debt", 440)]),
        (440, Route.CARD, _payment("holding"), "debt", [Part("pending", 440, "pay_1")]),
        (9_999, Route.CARD, _payment("holding"), "debt", [Part("pending", 9_999, "pay_1")]),
        (440, Route.CARD, _payment("held"), "waive", [Part("pending", 440, "pay_1")]),
        (2_500, Route.CARD, _payment("held"), "waive", [Part("pending", 2_500, "pay_1")]),
        # 25.01 cost, 25.00 held: one cent is waived, or owed
        (2_501, Route.CARD, _payment("held"), "waive",
         [Part("pending", 2_500, "pay_1"), Part("waived", 1)]),
        (2_501, Route.CARD, _payment("held"), "debt",
         [Part("pending", 2_500, "pay_1"), Part("debt", 1)]),
        (440, Route.CARD, _payment("declined"), "waive", [Part("waived", 440)]),
        (440, Route.CARD, _payment("declined"), "debt", [Part("debt", 440)]),
        (440, Route.CARD, _payment("released"), "debt", [Part("debt", 440)]),
    ],
)  # fmt: skip
def test_the_parts_of_a_charge(
    total: int, route: Route, payment: Payment | None, shortfall: str, expected: list[Part]
) -> None:
    found = parts(total, route, payment, shortfall)
    assert found == expected
    assert sum(part.amount_minor for part in found) == total


STEPS = (HoldStep("25.00", 50_000), HoldStep("50.00"))


@pytest.mark.parametrize(
    ("power_w", "currency", "held"),
    [(11_000, "USD", 2_500), (49_999, "USD", 2_500), (50_000, "USD", 5_000),
     (350_000, "USD", 5_000), (11_000, "KWD", 25_000)],
)  # fmt: skip
def test_the_size_of_a_hold(power_w: int, currency: str, held: int) -> None:
    processor = Processor("p", "north", "stripe", "K", "S", STEPS)
    assert hold_minor(processor, power_w, currency) == held


def test_steps_that_leave_a_gap_size_no_hold() -> None:
    with pytest.raises(BadInput, match="a last step without below_power_w"):
        hold_minor(Processor("p", "north", "stripe", "K", "S", STEPS[:1]), 50_000, "USD")
