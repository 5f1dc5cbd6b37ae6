"""What is asked for with a preview's version, and that nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from rig.network import SECRETS, STARTS_AT
from rig.sandbox import Sandbox
from wattledger.contract import PaymentTerms, Route
from wattledger.db.effects import Done, Effect, Outcome, Rejected
from wattledger.payments.model import Processor
from wattledger.payments.stripe import preview
from wattledger.payments.stripe.client import StripeGate
from wattledger.pipeline.starting.asking import card_options

DAY_S = 86_400
PARTIAL = PaymentTerms(partial_authorization=True)
LONGER = PaymentTerms(extended_authorization=True)


def test_the_previews_version_has_the_date_of_the_sdks_own() -> None:
    date, word = preview.VERSION.split(".")
    assert (date, word) == (stripe.api_version.split(".")[0], "preview")


@pytest.mark.parametrize(
    ("params", "early"),
    [
        ({"amount": 1}, False),
        ({"payment_method_options": {"card": {"request_overcapture": "if_available"}}}, False),
        (card_options(LONGER, Route.APP), False),
        (card_options(LONGER, Route.TERMINAL), False),
        (card_options(PARTIAL, Route.APP), True),
        ({"attended_type": "UNATTENDED"}, True),
    ],
)
def test_only_what_needs_it_is_asked_for_so(params: dict[str, Any], *, early: bool) -> None:
    assert preview.options(params) == ({"stripe_version": preview.VERSION} if early else {})


def test_what_a_rule_wants_is_asked_for_when_the_hold_is_made() -> None:
    assert card_options(LONGER, Route.CARD) == {
        "payment_method_options": {"card": {"request_extended_authorization": "if_available"}}
    }
    assert card_options(LONGER, Route.TERMINAL) == {
        "payment_method_options": {"card_present": {"request_extended_authorization": True}}
    }
    # Stripe documents partial approvals for cards online only.
    assert card_options(PARTIAL, Route.TERMINAL) == {}
    assert card_options(PaymentTerms(), Route.CARD) == {}


async def _held(processor: Sandbox, terms: PaymentTerms, card: str) -> Outcome:
    """What becomes of a hold of 50.01."""
    account = Processor("stripe", "north", "stripe", "RIG_STRIPE_KEY", "S", (),
                        base_url=processor.url)  # fmt: skip
    params = {
        "amount": 5_001, "currency": "usd", "payment_method": f"pm_card_{card}", "confirm": True,
        "capture_method": "manual", "allowed_payment_method_types": ["card"],
        "metadata": {"payment_id": "pay_1", "attempt": "1"}, **card_options(terms, Route.CARD),
    }  # fmt: skip
    now = datetime.now(UTC)
    effect = Effect(1, "stripe.hold", "pay_1", "l", 1, "hold:1", {"params": params},
                    STARTS_AT, 1, "t", now, False)  # fmt: skip
    return await StripeGate(account, SECRETS.__getitem__).call(effect)


async def test_a_part_is_held_where_it_was_asked_for(processor: Sandbox) -> None:
    outcome = await _held(processor, PARTIAL, "debit_partialAuthorization")
    assert isinstance(outcome, Done), outcome
    # 70 % of 50.01 is 35.007, rounded down.
    assert (outcome.response["held_minor"], outcome.response["capturable_minor"]) == (3_500, 3_500)


async def test_without_it_the_issuer_declines_the_whole(processor: Sandbox) -> None:
    outcome = await _held(processor, PaymentTerms(), "debit_partialAuthorization")
    assert isinstance(outcome, Rejected), outcome
    assert outcome.response["decline_code"] == "insufficient_funds"


@pytest.mark.parametrize(("terms", "days"), [(LONGER, 30), (PaymentTerms(), 7)])
async def test_a_mastercard_is_held_for_thirty_days_where_it_was_asked_for(
    processor: Sandbox, terms: PaymentTerms, days: int
) -> None:
    outcome = await _held(processor, terms, "mastercard")
    assert isinstance(outcome, Done), outcome
    lasts = datetime.fromisoformat(outcome.response["capture_before"]) - STARTS_AT
    assert abs(lasts.total_seconds() - days * DAY_S) < 60
