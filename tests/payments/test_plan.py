"""How a charge is collected: every route, every answer of the card."""

from __future__ import annotations

import pytest

import handmade as hand
from wattledger.contract import Route
from wattledger.errors import BadInput
from wattledger.payments.model import HoldStep, Processor, hold_minor
from wattledger.payments.plan import anew, more_is, parts, taken_back
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
    found = parts(total, hand.contract(route=route, shortfall=shortfall), payment)
    assert [Part(part.state, part.amount_minor, part.payment_id) for part in found] == expected
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


def test_a_credit_takes_back_every_part_and_makes_due_back_what_was_captured() -> None:
    standing = [Part("captured", 400, "pay_1"), Part("waived", 30), Part("debt", 10, "pay_1")]
    assert taken_back(standing) == [
        Part("refund_due", -400, "pay_1"), Part("waived", -30), Part("debt", -10, "pay_1"),
    ]  # fmt: skip


BACK = [Part("refund_due", 400, "pay_1")]
STOOD = [Part("captured", 400, "pay_1"), Part("waived", 30), Part("debt", 10)]


@pytest.mark.parametrize(
    ("total", "route", "back", "stood", "expected"),
    [
        (500, Route.INVOICE, [], [Part("invoiced", 440)], [Part("invoiced", 500)]),
        (0, Route.INVOICE, [], [Part("invoiced", 440)], []),
        (300, Route.EXTERNAL, [], [Part("external", 440)], [Part("external", 300)]),
        (300, Route.CARD, BACK, STOOD, [Part("refund_due", 300, "pay_1")]),
        (400, Route.CARD, BACK, STOOD, [Part("refund_due", 400, "pay_1")]),
        # What was waived or owed is so again, before anything more is.
        (435, Route.CARD, BACK, STOOD,
         [Part("refund_due", 400, "pay_1"), Part("waived", 30), Part("debt", 5)]),
        (500, Route.CARD, BACK, STOOD,
         [Part("refund_due", 400, "pay_1"), Part("waived", 30), Part("debt", 10),
          Part("debt", 60)]),
        (500, Route.CARD, [], [], [Part("debt", 500)]),
    ],
)  # fmt: skip
def test_the_parts_of_a_charge_after_a_credit(
    total: int, route: Route, back: list[Part], stood: list[Part], expected: list[Part]
) -> None:
    found = anew(total, route, back, stood, "debt")
    assert found == expected
    assert sum(part.amount_minor for part in found) == total


@pytest.mark.parametrize(
    ("route", "account", "shortfall", "up", "least", "state"),
    [
        (Route.CARD, "ann", "waive", "debt", 88, "debt"),
        (Route.CARD, "ann", "debt", "debt", 89, "waived"),  # less than the least
        (Route.CARD, "ann", "debt", "waive", 0, "waived"),
        (Route.CARD, None, "debt", "debt", 0, "waived"),  # a guest
        (Route.NONE, None, "debt", "waive", 0, "debt"),
        (Route.NONE, "ann", "waive", "debt", 0, "waived"),
    ],
)
def test_who_pays_what_late_data_add(
    route: Route, account: str | None, shortfall: str, up: str, least: int, state: str
) -> None:
    """0.88 more."""
    contract = hand.contract(route=route, account_id=account, shortfall=shortfall)
    assert more_is(contract, 88, up, least) == state
