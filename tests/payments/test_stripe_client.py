"""The gate to Stripe against the stand-in: what is asked, and what is known of each answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
import stripe

from rig.network import SECRETS, STARTS_AT
from rig.sandbox import Sandbox
from wattledger.db.effects import Done, Effect, NewAttempt, NotSent, Outcome, Rejected, Unknown
from wattledger.payments.model import Processor
from wattledger.payments.stripe import operation, reading
from wattledger.payments.stripe.client import StripeGate
from wattledger.payments.stripe.operations.holds import held

PROCESSING = {
    "id": "pi_1", "status": "processing", "currency": "usd", "amount": 2_500,
    "amount_received": 0, "metadata": {}, "latest_charge": None, "created": 1_793_600_000,
}  # fmt: skip


@pytest.fixture
def gate(processor: Sandbox) -> StripeGate:
    """The account, with its key."""
    account = Processor("stripe", "north", "stripe", "RIG_STRIPE_KEY", "S", (),
                        base_url=processor.url, rate_per_s=1000,
                        endpoint_rate_per_s=1000)  # fmt: skip
    return StripeGate(account, SECRETS.__getitem__)


def _effect(kind: str, request: dict[str, Any], key: str = "k:1", **more: Any) -> Effect:
    now = datetime.now(UTC)
    plain = Effect(
        1, f"stripe.{kind}", "pay_1", "l", 1, key, request, STARTS_AT, 1, "t", now, False
    )
    return msgspec.structs.replace(plain, **more)


def _hold(amount: int = 2_500, currency: str = "usd", number: int = 1, **more: Any) -> Effect:
    params = {
        "amount": amount, "currency": currency, "capture_method": "manual", "confirm": True,
        "payment_method": "pm_card_visa", "metadata": {"payment_id": f"pay_{number}"},
    }  # fmt: skip
    return _effect("hold", {"params": params}, f"hold:{number}", **more)


def _done(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Done), outcome
    return outcome.response


async def _clock(processor: Sandbox, to: datetime) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{processor.url}/_sim/clock", json={"now": to.isoformat()})
    assert answer.status_code == 200, answer.text


async def _captured(gate: StripeGate, number: int) -> str:
    """A hold of 25.00 and a capture of 4.40; the intent."""
    held = _done(await gate.call(_hold(number=number)))
    asked = {"intent_id": held["intent_id"], "amount_minor": 440, "currency": "USD"}
    taken = _done(await gate.call(_effect("capture", asked, f"capture:{number}")))
    assert taken["captured_minor"] == 440
    return str(held["intent_id"])


async def test_a_currency_without_decimals_is_asked_for_with_two(
    processor: Sandbox, gate: StripeGate
) -> None:
    held = _done(await gate.call(_hold(2_500, "isk")))
    assert held["held_minor"] == 2_500
    asked = {"intent_id": held["intent_id"], "amount_minor": 440, "currency": "ISK"}
    assert _done(await gate.call(_effect("capture", asked)))["captured_minor"] == 440
    (intent,) = await processor.intents()
    assert (intent["amount"], intent["amount_received"]) == (250_000, 44_000)


async def test_an_amount_that_cant_be_said_is_refused_before_anything_is_sent(
    processor: Sandbox, gate: StripeGate
) -> None:
    for effect in (
        _hold(2_505, "kwd"),
        _effect("capture", {"intent_id": "pi_1", "amount_minor": 7, "currency": "KWD"}),
    ):
        outcome = await gate.call(effect)
        assert isinstance(outcome, Rejected)
        assert outcome.response["code"] == "amount_unsayable"
    assert await processor.requests("*") == []


@pytest.mark.parametrize("kind", ["capture", "release"])
async def test_an_intent_that_the_key_does_not_see_writes_nothing_off(
    gate: StripeGate, kind: str
) -> None:
    asked = {"intent_id": "pi_of_another_account", "amount_minor": 440, "currency": "USD"}
    effect = _effect(kind, asked)
    assert isinstance(await gate.call(effect), NotSent)
    long_ago = effect.first_sent_at - timedelta(days=2)
    looked_up = msgspec.structs.replace(effect, first_sent_at=long_ago)
    assert isinstance(await gate.resolve(looked_up), NotSent)


async def test_a_hold_that_is_never_confirmed_is_no_obstacle_to_its_release(
    gate: StripeGate,
) -> None:
    params = {"amount": 2_500, "currency": "usd", "capture_method": "manual"}
    intent = await gate._client.v1.payment_intents.create_async(params)  # type: ignore[arg-type]
    effect = _effect("release", {"intent_id": intent.id})
    long_ago = effect.first_sent_at - timedelta(days=2)
    found = await gate.resolve(msgspec.structs.replace(effect, first_sent_at=long_ago))
    assert isinstance(found, NewAttempt)
    assert _done(await gate.call(effect)) == {"status": "canceled"}


def test_an_intent_in_process_is_not_declined() -> None:
    outcome = held(stripe.PaymentIntent.construct_from(PROCESSING, "key"))
    assert isinstance(outcome, Unknown)
    assert outcome.look_up, "the stored answer would say the same for ever"


async def test_a_hold_is_looked_for_around_its_time_only(
    processor: Sandbox, gate: StripeGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred later ones fill the first page of the list; there is only that one page."""
    lost = _hold(number=0, first_sent_at=STARTS_AT)
    held = _done(await gate.call(lost))
    await _clock(processor, STARTS_AT + timedelta(days=3))
    for number in range(1, 101):
        await gate.call(_hold(number=number))
    monkeypatch.setattr(operation, "PAGES_MAX", 1)
    assert _done(await gate.resolve(lost))["intent_id"] == held["intent_id"]
    never = _hold(number=999, first_sent_at=STARTS_AT)
    assert isinstance(await gate.resolve(never), NewAttempt)


async def test_a_reading_goes_on_batch_by_batch_until_everything_is_read_once(
    processor: Sandbox, gate: StripeGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven captures of two items each, paid out in one payout of fifteen items."""
    monkeypatch.setattr(reading, "CALLS_MAX", 2)
    monkeypatch.setattr(reading, "_PAGE", 3)
    for number in range(7):
        await _captured(gate, number)
    await _clock(processor, STARTS_AT + timedelta(days=4))
    state: dict[str, Any] | None = {"since": STARTS_AT.isoformat(), "payouts": []}
    items: list[str] = []
    payouts: list[dict[str, Any]] = []
    batches = 0
    while state is not None:
        before = len(await processor.requests("*", "GET"))
        found = _done(await gate.call(_effect("read", {**state, "processor_id": "stripe"})))
        assert len(await processor.requests("*", "GET")) - before <= 2
        items += [item["id"] for item in found["items"]]
        payouts += found["payouts"]
        assert found["unreadable"] == []
        state = found["next"]
        batches += 1
    # 15 items are 5 pages; the payout is asked for in each batch that goes on in it.
    assert batches >= 6
    assert len(items) == len(set(items)) == 15
    assert {p["id"] for p in payouts} == {"po_sbx_000001"}
    members = [member for p in payouts for member in p["items"]]
    assert sorted(members) == sorted(items)
    assert [p["items_read"] for p in payouts] == [False] * (len(payouts) - 1) + [True]
    assert {p["alone"] for p in payouts} == {False}


async def test_a_payout_that_fails_is_read_again_because_its_item_names_it(
    processor: Sandbox, gate: StripeGate
) -> None:
    await _captured(gate, 1)
    paid_at = STARTS_AT + timedelta(days=4)
    await _clock(processor, paid_at)
    async with httpx.AsyncClient(trust_env=False) as http:
        url = f"{processor.url}/_sim/payouts/po_sbx_000001/fail"
        assert (await http.post(url)).json()["status"] == "failed"
        assert (await http.post(url)).status_code == 400, "it fails once"
    later = {"since": (paid_at - timedelta(hours=1)).isoformat(), "payouts": []}
    found = _done(await gate.call(_effect("read", later)))
    (item,) = found["items"]
    assert (item["category"], item["source"]) == ("payout_reversal", "po_sbx_000001")
    (payout,) = found["payouts"]
    assert (payout["status"], payout["failed_item"]) == ("failed", item["id"])


async def test_a_payout_that_is_not_there_keeps_no_other_from_being_read(gate: StripeGate) -> None:
    asked = {"since": STARTS_AT.isoformat(), "payouts": ["po_gone"]}
    found = _done(await gate.call(_effect("read", asked)))
    assert [row["id"] for row in found["unreadable"]] == ["po_gone"]
    assert found["next"] is None
