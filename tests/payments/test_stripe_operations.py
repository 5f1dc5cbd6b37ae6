"""Every kind of call against the stand-in: what it answers, and that it is done once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from rig.network import SECRETS, STARTS_AT
from rig.sandbox import Sandbox
from wattledger.db.effects import Done, Effect, NewAttempt, Outcome, Rejected, Unknown
from wattledger.payments.model import Processor
from wattledger.payments.stripe.client import StripeGate


@pytest.fixture
def gate(processor: Sandbox) -> StripeGate:
    account = Processor("stripe", "north", "stripe", "RIG_STRIPE_KEY", "S", (),
                        base_url=processor.url, rate_per_s=1000,
                        endpoint_rate_per_s=1000)  # fmt: skip
    return StripeGate(account, SECRETS.__getitem__)


def _effect(kind: str, request: dict[str, Any], key: str) -> Effect:
    now = datetime.now(UTC)
    return Effect(1, f"stripe.{kind}", "pay_1", "l", 1, key, request, STARTS_AT, 1, "t", now, False)


def _params(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "params": {
            "amount": 2_500, "currency": "usd", "payment_method": "pm_card_visa",
            "allowed_payment_method_types": ["card"], "confirm": True,
            "metadata": {"payment_id": f"pay_{number}", "attempt": "1"}, **more,
        }
    }  # fmt: skip


def _hold(number: int = 1, **more: Any) -> Effect:
    return _effect("hold", _params(number, capture_method="manual", **more), f"hold:{number}:1")


def _about(kind: str, held: dict[str, Any], **more: Any) -> Effect:
    """A call about a hold, under a key for this kind of it."""
    request = {"intent_id": held["intent_id"], "currency": "USD", **more}
    return _effect(kind, request, f"{kind}:{held['intent_id']}:1")


def _refund(charge: dict[str, Any], amount_minor: int = 440) -> Effect:
    request = {
        "external_charge_id": charge["charge_id"], "amount_minor": amount_minor, "currency": "USD",
        "reason": "requested_by_customer", "metadata": {"payment_refund_id": "back_1"},
    }  # fmt: skip
    return _effect("refund", request, "refund:back_1:1")


def done(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Done), outcome
    return outcome.response


async def once(processor: Sandbox, gate: StripeGate, effect: Effect, path: str) -> dict[str, Any]:
    """The outcome of a call whose answer is lost, then found by its key."""
    await processor.fault(match=f"POST {path}", kind="drop_after")
    assert isinstance(await gate.call(effect), Unknown)
    return done(await gate.resolve(msgspec.structs.replace(effect, resolving=True)))


async def test_a_hold_says_all_that_is_needed_of_its_card(gate: StripeGate) -> None:
    held = done(await gate.call(_hold()))
    assert set(held) == {
        "intent_id", "charge_id", "held_minor", "capturable_minor", "capture_before", "brand",
        "last4", "wallet", "fingerprint", "can_increment", "customer", "reusable_method",
    }  # fmt: skip
    assert (held["held_minor"], held["capturable_minor"]) == (2_500, 2_500)
    assert (held["brand"], held["last4"], held["wallet"]) == ("visa", "4242", None)
    assert (held["customer"], held["reusable_method"]) == (None, None)
    assert held["fingerprint"]
    # Seven days for a Visa that its driver is there for.
    assert held["capture_before"] == (STARTS_AT + timedelta(days=7)).isoformat()


async def test_a_hold_whose_driver_has_to_act_is_neither_held_nor_declined(
    gate: StripeGate,
) -> None:
    asked = _hold(payment_method="pm_card_authenticationRequired")
    outcome = done(await gate.call(asked))
    assert outcome["status"] == "requires_action"
    assert set(outcome) == {"status", "intent_id"}


async def test_a_decline_names_its_intent_and_the_issuers_word(gate: StripeGate) -> None:
    outcome = await gate.call(_hold(payment_method="pm_card_chargeDeclinedInsufficientFunds"))
    assert isinstance(outcome, Rejected)
    assert outcome.response["code"] == "card_declined"
    assert outcome.response["decline_code"] == "insufficient_funds"
    assert outcome.response["intent_id"].startswith("pi_")
    assert "message" not in outcome.response, "that would say that our request is wrong"


async def test_an_intent_is_made_and_waits_for_its_card(
    processor: Sandbox, gate: StripeGate
) -> None:
    params = {"amount": 2_500, "currency": "usd", "capture_method": "manual",
              "metadata": {"payment_id": "pay_1", "attempt": "1"}}  # fmt: skip
    effect = _effect("intent", {"params": params}, "intent:1:1")
    made = await once(processor, gate, effect, "/v1/payment_intents")
    assert made["status"] == "requires_payment_method"
    assert len(await processor.intents()) == 1
    secret = await gate.client_secret(made["intent_id"])
    assert secret is not None
    assert secret.startswith(made["intent_id"])
    assert await gate.client_secret("pi_gone") is None


async def test_a_charge_is_taken_once(processor: Sandbox, gate: StripeGate) -> None:
    effect = _effect("charge", _params(), "charge:1:1")
    taken = await once(processor, gate, effect, "/v1/payment_intents")
    assert set(taken) == {
        "intent_id", "charge_id", "captured_minor", "brand", "last4", "wallet", "fingerprint",
        "customer", "reusable_method",
    }  # fmt: skip
    assert taken["captured_minor"] == 2_500
    (intent,) = await processor.intents()
    assert intent["amount_received"] == 2_500


async def test_a_declined_charge_is_refused(gate: StripeGate) -> None:
    params = _params(payment_method="pm_card_chargeDeclinedExpiredCard")
    outcome = await gate.call(_effect("charge", params, "charge:1:1"))
    assert isinstance(outcome, Rejected)
    assert outcome.response["code"] == "expired_card"


@pytest.mark.parametrize("kind", ["hold", "charge"])
async def test_a_stored_500_is_looked_up_and_tried_again_under_another_key(
    processor: Sandbox, gate: StripeGate, kind: str
) -> None:
    more = {"capture_method": "manual"} if kind == "hold" else {}
    effect = _effect(kind, _params(**more), f"{kind}:1:1")
    await processor.fault(match="POST /v1/payment_intents", kind="500_stored")
    assert isinstance(await gate.call(effect), Unknown)
    assert isinstance(await gate.resolve(effect), NewAttempt)
    await processor.fault(match="POST /v1/payment_intents", kind="500_after")
    second = _effect(kind, _params(**more), f"{kind}:1:2")
    assert isinstance(await gate.call(second), Unknown)
    assert done(await gate.resolve(second))["intent_id"]
    assert len(await processor.intents()) == 1


async def test_a_refund_is_given_once(processor: Sandbox, gate: StripeGate) -> None:
    charge = done(await gate.call(_effect("charge", _params(), "charge:1:1")))
    effect = _refund(charge)
    given = await once(processor, gate, effect, "/v1/refunds")
    assert given["amount_minor"] == 440
    assert (given["status"], given["failure_reason"]) == ("succeeded", None)
    # Days later its key is worth nothing, and it is found among the refunds of its charge.
    long_ago = effect.first_sent_at - timedelta(days=2)
    later = msgspec.structs.replace(effect, first_sent_at=long_ago, resolving=True)
    assert done(await gate.resolve(later)) == given
    assert len(await processor.requests("/v1/refunds")) == 2, "the call and its replay"


async def test_what_was_captured_outside_is_given_back_by_its_intent(
    processor: Sandbox, gate: StripeGate
) -> None:
    """We were never told its charge."""
    charge = done(await gate.call(_effect("charge", _params(), "charge:1:1")))
    effect = _refund({"charge_id": None})
    request = {**effect.request, "intent_id": charge["intent_id"]}
    effect = msgspec.structs.replace(effect, request=request)
    given = done(await gate.call(effect))
    assert (given["amount_minor"], given["status"]) == (440, "succeeded")
    long_ago = effect.first_sent_at - timedelta(days=2)
    later = msgspec.structs.replace(effect, first_sent_at=long_ago, resolving=True)
    assert done(await gate.resolve(later)) == given, "found among the refunds of the intent"


async def test_more_than_was_taken_is_not_given_back(gate: StripeGate) -> None:
    charge = done(await gate.call(_effect("charge", _params(), "charge:1:1")))
    outcome = await gate.call(_refund(charge, 2_501))
    assert isinstance(outcome, Rejected)
    assert outcome.response["code"]


async def test_an_object_is_fetched_as_it_is_now(gate: StripeGate) -> None:
    held = done(await gate.call(_hold()))
    asked = {"object": "payment_intent", "id": held["intent_id"]}
    fetched = done(await gate.call(_effect("fetch", asked, "fetch:1")))
    assert fetched["object"] == "payment_intent"
    found = fetched["found"]
    assert (found["status"], found["held_minor"]) == ("requires_capture", 2_500)
    assert found["metadata"] == {"payment_id": "pay_1", "attempt": "1"}
    done(await gate.call(_about("capture", held, amount_minor=440)))
    found = done(await gate.call(_effect("fetch", asked, "fetch:2")))["found"]
    assert (found["status"], found["held_minor"], found["captured_minor"]) == ("succeeded", 0, 440)


@pytest.mark.parametrize("kind", ["payment_intent", "refund", "payout"])
async def test_what_is_not_there_is_found_to_be_nothing(gate: StripeGate, kind: str) -> None:
    fetched = done(await gate.call(_effect("fetch", {"object": kind, "id": "x_gone"}, "f:1")))
    assert fetched == {"object": kind, "found": None}


async def test_a_sweep_has_every_intent_and_refund_of_its_time_once(
    gate: StripeGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven intents and one refund, two to a page, two pages to a batch."""
    monkeypatch.setattr("wattledger.payments.stripe.operations.fetching.PAGE", 2)
    monkeypatch.setattr("wattledger.payments.stripe.operations.fetching.CALLS_MAX", 2)
    for number in range(6):
        done(await gate.call(_hold(number)))
    charge = done(await gate.call(_effect("charge", _params(7), "charge:7:1")))
    done(await gate.call(_refund(charge)))
    asked: dict[str, Any] | None = {
        "since": (STARTS_AT - timedelta(hours=1)).isoformat(),
        "until": (STARTS_AT + timedelta(hours=1)).isoformat(),
        "what": ["intents", "refunds"],
    }
    intents: list[str] = []
    refunds: list[str] = []
    batches = 0
    while asked is not None:
        found = done(await gate.call(_effect("sweep", asked, f"sweep:{batches}")))
        intents += [row["id"] for row in found["intents"]]
        refunds += [row["metadata"]["payment_refund_id"] for row in found["refunds"]]
        asked, batches = found["next"], batches + 1
    assert len(intents) == len(set(intents)) == 7
    assert refunds == ["back_1"]
    assert batches == 3, "four pages of intents and one of refunds, two to a batch"
    before = {"since": "2026-10-01T00:00:00+00:00", "until": "2026-10-02T00:00:00+00:00"}
    none = done(await gate.call(_effect("sweep", {**before, "what": "intents"}, "sweep:x")))
    assert (none["intents"], none["next"]) == ([], None)
