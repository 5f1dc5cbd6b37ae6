"""What a hold does not pay, and how much more is held: every step of it, and that it always adds
up."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import handmade as hand
from wattledger.contract import Contract, PaymentTerms, Route
from wattledger.payments import plan
from wattledger.payments.store import Part, Payment
from wattledger.payments.stripe.amounts import least_minor, step_minor

HELD = Payment("pay_1", "ses_1", "north", "stripe", "USD", 2_500, "held", authorized_minor=2_500)


def _contract(**changes: Any) -> Contract:
    """Ann's, who agreed to be charged again and owes what she does not pay."""
    terms = {name: changes.pop(name) for name in list(changes)
             if name in PaymentTerms.__struct_fields__}  # fmt: skip
    base: dict[str, Any] = {
        "route": Route.CARD, "account_id": "ann", "processor_id": "stripe", "customer": "cus_1",
        "payment_method": "pm_1", "consent": True, "shortfall": "debt", "hold_minor": 2_500,
        "payment": PaymentTerms(**terms),
    }  # fmt: skip
    return hand.contract(**(base | changes))


def _held(**changes: Any) -> Payment:
    return msgspec.structs.replace(HELD, **changes)


def _plain(parts: list[Part]) -> list[tuple[str, int, str | None]]:
    return [(part.state, part.amount_minor, part.leg) for part in parts]


@pytest.mark.parametrize(
    ("total", "contract", "payment", "expected"),
    [
        # Up to the hold, and above it by a second charge, a debt, or a waiver.
        (2_500, {"second_charge": True}, {}, [("pending", 2_500, None)]),
        (3_000, {"second_charge": True}, {},
         [("pending", 2_500, None), ("pending", 500, "second")]),
        (3_000, {}, {}, [("pending", 2_500, None), ("debt", 500, None)]),
        (3_000, {"shortfall": "waive"}, {}, [("pending", 2_500, None), ("waived", 500, None)]),
        (3_000, {"second_charge": True, "consent": False}, {},
         [("pending", 2_500, None), ("debt", 500, None)]),
        # A partial approval of 10.00.
        (3_000, {}, {"authorized_minor": 1_000}, [("pending", 1_000, None), ("debt", 2_000, None)]),
        # Raised to 50.00.
        (3_000, {}, {"authorized_minor": 5_000}, [("pending", 3_000, None)]),
        # Overcapture by 15 %.
        (3_000, {"overcapture": True}, {"capturable_minor": 2_875},
         [("pending", 2_875, None), ("debt", 125, None)]),
        (2_600, {"overcapture": True}, {"capturable_minor": 2_875}, [("pending", 2_600, None)]),
        (2_600, {"overcapture": True}, {}, [("pending", 2_500, None), ("debt", 100, None)]),
        # What can't be charged: 0.49.
        (2_549, {"second_charge": True}, {}, [("pending", 2_500, None), ("waived", 49, None)]),
        (2_549, {"second_charge": True, "below_minimum": "carry"}, {},
         [("pending", 2_500, None), ("debt", 49, None)]),
        (2_550, {"second_charge": True}, {}, [("pending", 2_500, None), ("pending", 50, "second")]),
        # Gone.
        (1_000, {}, {"state": "released", "gone_why": "automatic"}, [("pending", 1_000, "second")]),
        (1_000, {"gone": "debt"}, {"state": "released"}, [("debt", 1_000, None)]),
        (1_000, {"gone": "waive"}, {"state": "released"}, [("waived", 1_000, None)]),
        (1_000, {"consent": False}, {"state": "released"}, [("debt", 1_000, None)]),
        # Captured outside.
        (1_000, {}, {"state": "captured", "captured_minor": 1_200}, [("captured", 1_000, None)]),
        (1_000, {"consent": False}, {"state": "captured", "captured_minor": 900},
         [("captured", 900, None), ("debt", 100, None)]),
        # Nobody knows yet.
        (1_000, {}, {"state": "parked"}, [("pending", 1_000, None)]),
        (1_000, {}, {"state": "waiting"}, [("pending", 1_000, None)]),
        (1_000, {}, {"state": "declined"}, [("debt", 1_000, None)]),
    ],
)  # fmt: skip
def test_the_parts(
    total: int, contract: dict[str, Any], payment: dict[str, Any],
    expected: list[tuple[str, int, str | None]],
) -> None:  # fmt: skip
    assert _plain(plan.parts(total, _contract(**contract), _held(**payment))) == expected


def test_who_needs_no_hold_is_charged_at_the_end() -> None:
    assert _plain(plan.parts(1_000, _contract(), None)) == [("pending", 1_000, "second")]
    assert _plain(plan.parts(1_000, _contract(consent=False), None)) == [("debt", 1_000, None)]


@pytest.mark.parametrize(
    ("balance", "expected"),
    [(1_000, [("wallet", 440, None)]), (440, [("wallet", 440, None)]),
     (300, [("wallet", 300, None), ("debt", 140, None)]), (0, [("debt", 440, None)])],
)  # fmt: skip
def test_a_wallet_pays_as_far_as_it_goes(
    balance: int, expected: list[tuple[str, int, str | None]]
) -> None:
    assert _plain(plan.parts(440, _contract(route=Route.WALLET), None, balance)) == expected


def test_a_wallet_is_drawn_again_for_what_it_got_back() -> None:
    """4.40 were drawn and given back; 5.00 are charged now, and 0.60 more are owed."""
    found = plan.anew(500, Route.WALLET, [], [Part("wallet", 440)], "debt")
    assert found == [Part("wallet", 440), Part("debt", 60)]


@pytest.mark.parametrize(
    ("balance", "expected"),
    [
        # With what the credit gave back, 4.40 or 0.40 above it, or 9.00.
        (440, [("wallet", 440, None), ("debt", 60, None)]),
        (480, [("wallet", 440, None), ("wallet", 40, None), ("debt", 20, None)]),
        (900, [("wallet", 440, None), ("wallet", 60, None)]),
    ],
)
def test_what_more_it_costs_is_drawn_before_it_is_owed(
    balance: int, expected: list[tuple[str, int, str | None]]
) -> None:
    assert _plain(plan.anew(500, Route.WALLET, [], [Part("wallet", 440)], "debt", balance)) == (
        expected
    )
    # Of another route no wallet pays.
    assert plan.anew(500, Route.CARD, [], [], "debt", balance) == [Part("debt", 500)]


@pytest.mark.parametrize(
    ("method", "wallet", "reusable", "may"),
    [("card", None, None, True), ("card", "apple_pay", "pm_2", True),
     ("card_present", None, "pm_2", True), ("card_present", None, None, False),
     ("card_present", "google_pay", "pm_2", False)],
)  # fmt: skip
def test_a_phone_at_a_terminal_is_never_charged_again(
    method: str, wallet: str | None, reusable: str | None, may: bool
) -> None:
    payment = _held(method=method, wallet=wallet, reusable_method=reusable, customer="cus_2")
    assert plan.may_charge_again(_contract(), payment) is may


@pytest.mark.parametrize(
    ("total", "contract", "expected"),
    [
        # 5.00 were captured before the lapse, and are due back: they pay first.
        (500, {}, [("refund_due", 500, None)]),
        (300, {}, [("refund_due", 300, None)]),
        (800, {}, [("refund_due", 500, None), ("pending", 300, "second")]),
        (800, {"gone": "debt"}, [("refund_due", 500, None), ("debt", 300, None)]),
        (800, {"gone": "waive"}, [("refund_due", 500, None), ("waived", 300, None)]),
    ],
)
def test_what_comes_after_a_provisional_capture(
    total: int, contract: dict[str, Any], expected: list[tuple[str, int, str | None]]
) -> None:
    hold = _held(state="captured", captured_minor=500, provisional=True)
    back, stood = [Part("refund_due", 500, "pay_1")], [Part("captured", 500, "pay_1")]
    found = plan.in_the_end(total, _contract(**contract), hold, back, stood)
    assert _plain(found) == expected


CONTRACTS = st.builds(
    _contract,
    route=st.sampled_from([Route.CARD, Route.APP, Route.CHECKOUT, Route.TERMINAL, Route.WALLET,
                           Route.NONE, Route.INVOICE]),
    second_charge=st.booleans(), overcapture=st.booleans(), consent=st.booleans(),
    below_minimum=st.sampled_from(["waive", "carry"]), shortfall=st.sampled_from(["waive", "debt"]),
    gone=st.sampled_from(["second_charge", "debt", "waive"]),
    currency=st.sampled_from(["USD", "KWD", "JPY", "HUF"]),
)  # fmt: skip
PAYMENTS = st.none() | st.builds(
    _held,
    state=st.sampled_from(["waiting", "holding", "held", "declined", "releasing", "released",
                           "parked", "captured"]),
    authorized_minor=st.none() | st.integers(0, 9_000),
    capturable_minor=st.none() | st.integers(0, 9_000),
    captured_minor=st.integers(0, 2_500),
    method=st.sampled_from(["card", "card_present"]),
    wallet=st.sampled_from([None, "apple_pay"]), reusable_method=st.sampled_from([None, "pm_2"]),
    customer=st.just("cus_2"),
)  # fmt: skip


@given(st.integers(0, 20_000), CONTRACTS, PAYMENTS, st.integers(0, 9_000))
def test_the_parts_always_add_up_and_take_no_more_than_they_may(
    total: int, contract: Contract, payment: Payment | None, wallet: int
) -> None:
    if payment is not None:
        payment = msgspec.structs.replace(payment, currency=contract.currency)
    found = plan.parts(total, contract, payment, wallet)
    assert sum(part.amount_minor for part in found) == total
    assert all(part.amount_minor > 0 for part in found)
    for part in found:
        if part.leg is not None:
            assert plan.may_charge_again(contract, payment)
            assert part.amount_minor >= least_minor(contract.currency)
            assert part.amount_minor % step_minor(contract.currency) == 0
        elif part.state == "pending" and payment is not None and payment.state == "held":
            assert part.amount_minor <= plan.ceiling_minor(contract, payment)
        elif part.state == "wallet":
            assert part.amount_minor <= wallet
        elif part.state == "captured":
            assert payment is not None
            assert part.amount_minor <= payment.captured_minor


@given(
    st.integers(0, 30_000), st.integers(1, 9_000), st.integers(0, 11), st.booleans(),
    st.integers(0, 100), st.integers(0, 5_000), st.integers(0, 20_000), st.integers(0, 60_000),
)  # fmt: skip
def test_more_is_held_only_within_every_limit(
    worst: int, now: int, tries: int, can: bool, percent: int, by: int, to: int, most: int
) -> None:
    contract = _contract(increment_at_percent=percent, increment_by_minor=by, increment_to_minor=to)
    payment = _held(authorized_minor=now, increments=tries, can_increment=can)
    total = plan.raised_minor(contract, payment, worst, most)
    if total is not None:
        assert can
        assert tries < 10
        assert percent > 0
        assert worst * 100 >= now * percent
        assert now < total <= min(to or 7_500, most, now + max(50_000, 5 * now))


def test_the_least_that_can_be_charged() -> None:
    assert [least_minor(currency) for currency in ("USD", "GBP", "JPY", "KWD", "XAF")] == [
        50, 30, 50, 10, 1,
    ]  # fmt: skip


def test_a_debt_is_of_what_the_processor_has_a_unit_for() -> None:
    """1.235 KWD: the processor takes steps of ten fils."""
    kuwait = _contract(currency="KWD", below_minimum="carry")
    assert plan.owed(1_235, kuwait, "card_declined") == [
        Part("debt", 1_230, why="card_declined"), Part("debt", 5, why="below_minimum"),
    ]  # fmt: skip
    assert plan.owed(5, kuwait, "x") == [Part("debt", 5, why="below_minimum")]
    assert plan.owed(0, kuwait, "x") == []
