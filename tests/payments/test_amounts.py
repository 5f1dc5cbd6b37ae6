"""Our smallest units and Stripe's: the same amount of money, or nothing is sent.

The currencies that differ are those of docs.stripe.com/currencies.
"""

from __future__ import annotations

import pytest

import handmade as hand
from wattledger import money
from wattledger.contract import Route
from wattledger.errors import BadInput
from wattledger.payments.model import HoldStep, Processor, check_processor
from wattledger.payments.plan import parts
from wattledger.payments.store import Part, Payment
from wattledger.payments.stripe import amounts


@pytest.mark.parametrize(
    ("text", "currency", "stripes"),
    [
        ("25.00", "USD", 2_500),
        ("500", "JPY", 500),
        ("2500", "ISK", 250_000),  # no decimals, said with two
        ("100", "UGX", 10_000),
        ("5.120", "KWD", 5_120),  # three decimals, the last a zero
        ("5000.00", "MGA", 5_000),  # two decimals at ISO, none at Stripe
        ("10.45", "HUF", 1_045),  # odd in payouts only
        ("800.45", "TWD", 80_045),
    ],
)
def test_an_amount_is_the_same_money_on_both_sides(text: str, currency: str, stripes: int) -> None:
    ours = money.parse_minor(text, currency)
    assert amounts.to_stripe(ours, currency) == stripes
    assert amounts.from_stripe(stripes, currency) == ours


@pytest.mark.parametrize(
    ("amount", "currency"), [(5_124, "KWD"), (100_050, "MGA"), (100, "IQD"), (100, "XXX")]
)
def test_what_cant_be_said_exactly_is_not_said(amount: int, currency: str) -> None:
    with pytest.raises(BadInput):
        amounts.to_stripe(amount, currency)


def test_what_is_finer_than_our_unit_is_not_rounded() -> None:
    with pytest.raises(BadInput, match="whole ISK"):
        amounts.from_stripe(250_050, "ISK")
    assert amounts.from_stripe(-43, "KWD") == -43, "a fee may be finer than a charge"
    assert amounts.at_most(250_050, "ISK") == 2_500
    assert amounts.at_most(2_555, "USD") == 2_555


@pytest.mark.parametrize("currency", sorted(amounts.KNOWN))
def test_every_currency_comes_back_as_it_went_out(currency: str) -> None:
    ours = 12 * amounts.step_minor(currency) * 100
    assert amounts.from_stripe(amounts.to_stripe(ours, currency), currency) == ours


@pytest.mark.parametrize(
    ("currency", "hold", "why"),
    [
        ("IQD", "25.000", "whose currency Stripe charges in, not IQD"),
        ("XXX", "25.00", "whose currency Stripe charges in, not XXX"),
        ("KWD", "25.005", r"a multiple of 0\.010 KWD"),
        ("MGA", "25.50", r"a multiple of 1\.00 MGA"),
    ],
)
def test_a_processor_we_could_not_ask_is_refused(currency: str, hold: str, why: str) -> None:
    processor = Processor("stripe", "north", "stripe", "K", "S", (HoldStep(hold),))
    with pytest.raises(BadInput, match=why):
        check_processor("$.processor[0]", processor, currency)


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (1_230, [Part("pending", 1_230, "p")]),
        # No card can ever be asked for the 4: waived, and nobody's debt.
        (1_234, [Part("pending", 1_230, "p"), Part("waived", 4)]),
        # Nothing of it can be taken: the capture is refused, and that gives the hold back.
        (7, [Part("pending", 7, "p")]),
    ],
)
def test_a_card_pays_what_can_be_asked_for(total: int, expected: list[Part]) -> None:
    held = Payment("p", "s", "north", "stripe", "KWD", 25_000, "held", None, None, None, 0, None)
    contract = hand.contract(route=Route.CARD, currency="KWD", shortfall="debt")
    found = parts(total, contract, held)
    assert [Part(part.state, part.amount_minor, part.payment_id) for part in found] == expected
