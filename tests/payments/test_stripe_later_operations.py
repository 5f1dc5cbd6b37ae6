"""Calls about what stands: holds that grow or are taken for more, readers, and disputes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from rig.network import SECRETS, STARTS_AT
from rig.sandbox import Sandbox
from wattledger.db.effects import Done, Effect, NewAttempt, Outcome, Rejected, Unknown
from wattledger.payments.model import Processor
from wattledger.payments.stripe.client import StripeGate, _addresses

_GROWS = {"card": {"request_incremental_authorization": "if_available",
                   "request_overcapture": "if_available"}}  # fmt: skip


@pytest.fixture
def gate(processor: Sandbox) -> StripeGate:
    account = Processor("stripe", "north", "stripe", "RIG_STRIPE_KEY", "S", (),
                        base_url=processor.url, rate_per_s=1000,
                        endpoint_rate_per_s=1000)  # fmt: skip
    return StripeGate(account, SECRETS.__getitem__, load=_content)


async def _content(_: dict[str, Any]) -> bytes:
    return b"%PDF-1.4 of a session"


def _effect(kind: str, request: dict[str, Any], attempt: int = 1) -> Effect:
    now = datetime.now(UTC)
    return Effect(1, f"stripe.{kind}", "pay_1", "l", attempt, f"{kind}:{attempt}", request,
                  STARTS_AT, 1, "t", now, False)  # fmt: skip


def _done(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Done), outcome
    return outcome.response


async def _hold(gate: StripeGate, card: str = "visa") -> dict[str, Any]:
    """25.00, of which more may be asked for."""
    params = {
        "amount": 2_500, "currency": "usd", "payment_method": f"pm_card_{card}", "confirm": True,
        "capture_method": "manual", "allowed_payment_method_types": ["card"],
        "payment_method_options": _GROWS, "metadata": {"payment_id": "pay_1", "attempt": "1"},
    }  # fmt: skip
    return _done(await gate.call(_effect("hold", {"params": params})))


def _more(held: dict[str, Any], total_minor: int, attempt: int = 1) -> Effect:
    asked = {"intent_id": held["intent_id"], "amount_minor": total_minor, "currency": "USD"}
    return _effect("increment", asked, attempt)


def _capture(held: dict[str, Any], amount_minor: int) -> Effect:
    asked = {"intent_id": held["intent_id"], "amount_minor": amount_minor, "currency": "USD"}
    return _effect("capture", asked)


async def test_a_hold_says_that_it_can_grow_and_how_much_may_be_taken(gate: StripeGate) -> None:
    held = await _hold(gate)
    assert held["can_increment"] is True
    # 15 % more than 25.00.
    assert (held["held_minor"], held["capturable_minor"]) == (2_500, 2_875)


async def test_more_than_was_held_is_taken_where_the_card_allows_it(
    processor: Sandbox, gate: StripeGate
) -> None:
    held = await _hold(gate)
    assert _done(await gate.call(_capture(held, 2_875)))["captured_minor"] == 2_875
    (intent,) = await processor.intents()
    assert intent["amount_received"] == 2_875


async def test_a_hold_grows_once_however_often_it_is_asked(
    processor: Sandbox, gate: StripeGate
) -> None:
    held = await _hold(gate)
    effect = _more(held, 4_000)
    path = "POST /v1/payment_intents/*/increment_authorization"
    await processor.fault(match=path, kind="drop_after")
    assert isinstance(await gate.call(effect), Unknown)
    grown = _done(await gate.resolve(effect))
    assert grown["held_minor"] == 4_000
    assert grown["capture_before"] == held["capture_before"], "it lives no longer"
    # Days later the key is worth nothing; the intent's amount says it.
    later = msgspec.structs.replace(effect, first_sent_at=effect.first_sent_at - timedelta(days=2))
    assert _done(await gate.resolve(later)) == grown
    calls = await processor.requests("/v1/payment_intents/*/increment_authorization")
    assert [call["replayed"] for call in calls] == [False, True]


async def test_an_increment_that_is_declined_leaves_what_was_held(gate: StripeGate) -> None:
    held = await _hold(gate, "credit_disableEnterpriseCardFeatures")
    effect = _more(held, 4_000)
    outcome = await gate.call(effect)
    assert isinstance(outcome, Rejected)
    assert outcome.response["code"] == "card_declined"
    assert _done(await gate.call(_capture(held, 2_500)))["captured_minor"] == 2_500


async def test_an_increment_whose_500_is_stored_is_looked_up(
    processor: Sandbox, gate: StripeGate
) -> None:
    held = await _hold(gate)
    path = "POST /v1/payment_intents/*/increment_authorization"
    await processor.fault(match=path, kind="500_stored")
    assert isinstance(await gate.call(_more(held, 4_000)), Unknown)
    assert isinstance(await gate.resolve(_more(held, 4_000)), NewAttempt)
    assert _done(await gate.call(_more(held, 4_000, 2)))["held_minor"] == 4_000


async def _sim(processor: Sandbox, path: str, **body: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{processor.url}/_sim/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture
async def at_reader(gate: StripeGate) -> dict[str, str]:
    """A reader, and an intent for it."""
    terminal = gate._client.v1.terminal
    address: Any = {"country": "US", "line1": "1 Main St", "city": "X", "state": "NY",
                    "postal_code": "10001"}  # fmt: skip
    place = await terminal.locations.create_async({"display_name": "Yard", "address": address})
    reader = await terminal.readers.create_async(
        {"registration_code": "simulated-wpe", "location": place.id}
    )
    params = {
        "amount": 2_500, "currency": "usd", "capture_method": "manual",
        "allowed_payment_method_types": ["card_present"],
        "metadata": {"payment_id": "pay_1", "attempt": "1"},
    }  # fmt: skip
    made = _done(await gate.call(_effect("intent", {"params": params})))
    return {"reader_id": reader.id, "intent_id": made["intent_id"]}


async def test_a_card_at_a_reader(
    processor: Sandbox, gate: StripeGate, at_reader: dict[str, str]
) -> None:
    said = _done(await gate.call(_effect("reader", at_reader)))
    assert said == {"action_status": "in_progress"}
    await _sim(processor, f"reader/{at_reader['reader_id']}/present", number="5555555555554444")
    asked = {"object": "reader", "id": at_reader["reader_id"]}
    reader = _done(await gate.call(_effect("fetch", asked)))["found"]
    assert reader["action"] == {
        "type": "process_payment_intent", "status": "succeeded", "failure_code": None,
        "intent_id": at_reader["intent_id"],
    }  # fmt: skip
    asked = {"object": "payment_intent", "id": at_reader["intent_id"]}
    found = _done(await gate.call(_effect("fetch", asked, 2)))["found"]
    assert (found["status"], found["held_minor"], found["method"]) == (
        "requires_capture", 2_500, "card_present",
    )  # fmt: skip
    assert found["reader_id"] == at_reader["reader_id"]
    # Two days for a Mastercard at a terminal.
    assert found["capture_before"] == (STARTS_AT + timedelta(days=2)).isoformat()


@pytest.mark.parametrize("received", [True, False])
async def test_a_reader_that_does_not_answer_in_time_may_have_heard(
    processor: Sandbox, gate: StripeGate, at_reader: dict[str, str], received: bool
) -> None:
    await _sim(processor, f"reader/{at_reader['reader_id']}/timeout", received=received)
    effect = _effect("reader", at_reader)
    assert isinstance(await gate.call(effect), Unknown)
    outcome = await gate.resolve(effect)
    if received:
        assert outcome == Done({"action_status": "in_progress"})
    else:
        assert isinstance(outcome, NewAttempt)
        again = _done(await gate.call(_effect("reader", at_reader, 2)))
        assert again == {"action_status": "in_progress"}


async def test_a_busy_reader_refuses(
    processor: Sandbox, gate: StripeGate, at_reader: dict[str, str]
) -> None:
    await _sim(processor, f"reader/{at_reader['reader_id']}/busy", busy=True)
    outcome = await gate.call(_effect("reader", at_reader))
    assert isinstance(outcome, Rejected)
    assert outcome.response["code"] == "terminal_reader_busy"


async def test_a_reader_is_freed_and_freeing_it_again_is_no_error(
    gate: StripeGate, at_reader: dict[str, str]
) -> None:
    _done(await gate.call(_effect("reader", at_reader)))
    freed = {"reader_id": at_reader["reader_id"]}
    assert _done(await gate.call(_effect("reader_cancel", freed))) == {}
    assert _done(await gate.call(_effect("reader_cancel", freed, 2))) == {}
    reader = _done(await gate.call(
        _effect("fetch", {"object": "reader", "id": at_reader["reader_id"]})))  # fmt: skip
    assert reader["found"]["action"] is None


async def test_evidence_is_submitted_once(processor: Sandbox, gate: StripeGate) -> None:
    held = await _hold(gate)
    _done(await gate.call(_capture(held, 2_500)))
    opened = await _sim(processor, "dispute", payment_intent=held["intent_id"])
    asked = {"object": "dispute", "id": opened["id"]}
    dispute = _done(await gate.call(_effect("fetch", asked)))["found"]
    assert (dispute["status"], dispute["amount_minor"], dispute["inquiry"]) == (
        "needs_response", 2_500, False,
    )  # fmt: skip
    assert dispute["charge_id"] == held["charge_id"]
    request = {"dispute_id": opened["id"], "submit": True,
               "evidence": {"uncategorized_text": "12.5 kWh at D-1"}}  # fmt: skip
    effect = _effect("evidence", request)
    await processor.fault(match="POST /v1/disputes/*", kind="drop_after")
    assert isinstance(await gate.call(effect), Unknown)
    said = _done(await gate.resolve(effect))
    assert said["status"] == "under_review"
    later = msgspec.structs.replace(effect, first_sent_at=effect.first_sent_at - timedelta(days=2))
    assert _done(await gate.resolve(later)) == said
    fresh = _effect("evidence", request, 2)
    fresh = msgspec.structs.replace(fresh, first_sent_at=later.first_sent_at)
    assert isinstance(await gate.resolve(fresh), NewAttempt), "it was another call's evidence"


async def test_a_file_is_uploaded_once_and_named_in_the_evidence(
    processor: Sandbox, gate: StripeGate
) -> None:
    """The answer is lost, also past the key's life: it is found by its name."""
    held = await _hold(gate)
    _done(await gate.call(_capture(held, 2_500)))
    opened = await _sim(processor, "dispute", payment_intent=held["intent_id"])
    name = f"receipt-{opened['id']}-0a1b.pdf"
    effect = _effect("file", {"dispute_id": opened["id"], "field": "receipt", "name": name})
    await processor.fault(match="POST /v1/files", kind="drop_after")
    assert isinstance(await gate.call(effect), Unknown)
    said = _done(await gate.resolve(effect))
    later = msgspec.structs.replace(effect, first_sent_at=effect.first_sent_at - timedelta(days=2))
    assert _done(await gate.resolve(later)) == said
    assert [each["filename"] for each in await processor.all_of("files")].count(name) == 1
    named = {"uncategorized_text": "t", "receipt": said["file_id"]}
    request = {"dispute_id": opened["id"], "submit": True, "evidence": named}
    assert _done(await gate.call(_effect("evidence", request)))["status"] == "under_review"


async def test_files_go_to_their_own_address_where_there_is_one() -> None:
    def of(**given: str) -> Any:
        return _addresses(Processor("stripe", "north", "stripe", "K", "S", (), **given))

    assert of() == {}
    assert of(base_url="http://a") == {"api": "http://a", "files": "http://a"}
    assert of(base_url="http://a", files_base_url="http://f") == {
        "api": "http://a", "files": "http://f",
    }  # fmt: skip
    assert of(files_base_url="http://f") == {"files": "http://f"}


async def test_a_sweep_finds_disputes_and_fraud_warnings(
    processor: Sandbox, gate: StripeGate
) -> None:
    held = await _hold(gate)
    _done(await gate.call(_capture(held, 2_500)))
    opened = await _sim(processor, "dispute", payment_intent=held["intent_id"])
    warned = await _sim(processor, "fraud_warning", payment_intent=held["intent_id"])
    asked = {
        "since": (STARTS_AT - timedelta(hours=1)).isoformat(),
        "until": (STARTS_AT + timedelta(hours=1)).isoformat(),
        "what": ["disputes", "warnings"],
    }
    found = _done(await gate.call(_effect("sweep", asked)))
    assert [row["id"] for row in found["disputes"]] == [opened["id"]]
    assert [row["id"] for row in found["warnings"]] == [warned["id"]]
    assert found["warnings"][0]["charge_id"] == held["charge_id"]
    assert found["next"] is None
