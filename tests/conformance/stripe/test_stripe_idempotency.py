"""Rule 1.9: a key stands for one execution, for a day."""

from __future__ import annotations

import threading
import time

import pytest
import stripe

HOLD = {
    "amount": 1000,
    "currency": "usd",
    "capture_method": "manual",
    "confirm": True,
    "payment_method": "pm_card_visa",
    "allowed_payment_method_types": ["card"],
}


def _create(account, key, **more):
    return account.v1.payment_intents.create({**HOLD, **more}, {"idempotency_key": key})


def test_rule_1_9_the_same_key_gives_the_same_answer(account):
    key = account.key_of("same")
    first = _create(account, key)
    assert "idempotent-replayed" not in account.recording.headers
    account.v1.payment_intents.cancel(first.id)
    again = _create(account, key)
    # What was answered then, not how it stands now.
    assert (again.id, again.status) == (first.id, "requires_capture")
    assert account.recording.headers["idempotent-replayed"] == "true"
    assert account.recording.headers["idempotency-key"] == key


def test_rule_1_9_a_decline_is_kept_too(account):
    key = account.key_of("decline")
    seen = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refusal:
            _create(account, key, payment_method="pm_card_visa_chargeDeclined")
        seen.add(refusal.value.error.payment_intent.id)
    assert len(seen) == 1


def test_rule_1_9_other_parameters_are_an_error(account):
    key = account.key_of("other")
    _create(account, key)
    with pytest.raises(stripe.IdempotencyError) as refusal:
        _create(account, key, amount=1001)
    assert refusal.value.http_status == 400
    assert refusal.value.error.type == "idempotency_error"


def test_rule_1_9_another_endpoint_is_an_error(account):
    key = account.key_of("endpoint")
    held = _create(account, key)
    with pytest.raises(stripe.IdempotencyError):
        account.v1.payment_intents.cancel(held.id, {}, {"idempotency_key": key})
    assert account.v1.payment_intents.retrieve(held.id).status == "requires_capture"


def test_rule_1_9_a_request_that_fails_validation_keeps_nothing(account):
    key = account.key_of("invalid")
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        _create(account, key, capture_method="manuall")
    assert refusal.value.http_status == 400
    assert _create(account, key).status == "requires_capture"
    assert "idempotent-replayed" not in account.recording.headers


def test_rule_1_9_a_key_has_at_most_255_characters(account):
    assert _create(account, account.key_of("k").ljust(255, "x")).status == "requires_capture"
    with pytest.raises(stripe.StripeError) as refusal:
        _create(account, account.key_of("k").ljust(256, "x"))
    assert refusal.value.http_status == 400


def test_rule_1_9_get_takes_no_key(account):
    held = account.hold()
    options = {"idempotency_key": account.key_of("get")}
    account.v1.payment_intents.retrieve(held.id, {}, options)
    account.v1.payment_intents.cancel(held.id)
    assert account.v1.payment_intents.retrieve(held.id, {}, options).status == "canceled"


def test_rule_1_9_a_500_is_kept(account):
    account.only_here("make it fail")
    key = account.key_of("500")
    account.sim("faults", match="POST /v1/payment_intents", kind="500_stored")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failure:
            _create(account, key)
        assert failure.value.http_status == 500
    assert account.recording.headers["idempotent-replayed"] == "true"
    assert _create(account, account.key_of("500")).status == "requires_capture"


def test_rule_1_9_after_a_500_the_same_key_tells_that_it_was_done(account):
    account.only_here("make it fail")
    key, name = account.key_of("after"), account.key_of("n")
    account.sim("faults", match="POST /v1/payment_intents", kind="drop_after")
    with pytest.raises(stripe.APIConnectionError):
        _create(account, key, description=name)
    done = _create(account, key, description=name)
    listed = account.v1.payment_intents.list({"limit": 10}).data
    assert [intent.id for intent in listed if intent.description == name] == [done.id]


def test_rule_1_9_a_day_later_the_key_is_forgotten(account):
    key = account.key_of("day")
    first = _create(account, key)
    account.pass_time(hours=24, seconds=-1)
    assert _create(account, key).id == first.id
    account.pass_time(seconds=1)
    assert _create(account, key).id != first.id  # it was executed a second time


def test_rule_1_9_a_request_in_flight_is_a_conflict_and_keeps_nothing(account):
    account.only_here("slow a request down")
    key = account.key_of("flight")
    account.sim("faults", match="POST /v1/payment_intents", kind="slow_ms:700")
    first: list[stripe.PaymentIntent] = []
    slow = threading.Thread(target=lambda: first.append(_create(account, key)))
    slow.start()
    time.sleep(0.3)
    with pytest.raises(stripe.StripeError) as conflict:
        _create(account, key)
    assert (conflict.value.http_status, conflict.value.error.code) == (
        409,
        "idempotency_key_in_use",
    )
    slow.join()
    assert _create(account, key).id == first[0].id
