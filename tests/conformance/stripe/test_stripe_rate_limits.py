"""Rule 1.12: how many requests are taken. Stripe asks not to test its limits: here only."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
import stripe


@pytest.fixture(autouse=True)
def _ours(account):
    account.only_here("be tested for its limits without harm")


def _refused_after(act, most):
    """How many requests went through before one was refused."""
    for done in range(most + 1):
        try:
            act()
        except stripe.RateLimitError:
            return done
    raise AssertionError(f"{most} requests and none was refused")


def _reason(account):
    *_, status, answer = account.recording.answers[-1]
    assert (status, answer["error"]["code"]) == (429, "rate_limit")
    headers = account.recording.headers
    assert headers["stripe-should-retry"] == "true"
    return headers["stripe-rate-limited-reason"]


@pytest.mark.parametrize(("mode", "per_s"), [("test", 25), ("live", 100)])
def test_rule_1_12_so_many_requests_a_second(account, mode, per_s):
    account.sim("limits", limits=mode)
    # In turns over five endpoints, so that no one's own limit comes first.
    v1 = account.v1
    turns = [
        v1.customers.list,
        v1.payment_intents.list,
        v1.charges.list,
        v1.refunds.list,
        v1.payouts.list,
    ]
    turn = itertools.cycle(turns)

    def act():
        next(turn)()

    assert _refused_after(act, per_s + 1) == per_s
    assert _reason(account) == "global-rate"
    account.pass_time(seconds=1)
    assert _refused_after(act, per_s + 1) == per_s


def test_rule_1_12_the_bucket_fills_evenly(account):
    account.sim("limits", limits="test")
    _refused_after(account.v1.refunds.list, 26)
    account.pass_time(milliseconds=200)
    # 25 a second is 5 in a fifth of it.
    assert _refused_after(account.v1.refunds.list, 6) == 5


def test_rule_1_12_each_endpoint_takes_25(account):
    account.sim("limits", limits="live")
    assert _refused_after(account.v1.refunds.list, 26) == 25
    assert _reason(account) == "endpoint-rate"
    account.v1.charges.list()


def test_rule_1_12_searches_take_20(account):
    account.sim("limits", limits="live")
    query = {"query": "status:'succeeded'"}
    assert _refused_after(lambda: account.v1.payment_intents.search(query), 21) == 20


def test_rule_1_12_an_intent_is_updated_a_thousand_times_an_hour(account):
    intent = account.hold()
    account.sim("limits", limits="live", per_s=10_000)

    def update(intent_id=intent.id):
        # Plain HTTP, for speed.
        answer = account.http.post(
            f"/v1/payment_intents/{intent_id}",
            data={"description": "again"},
            headers={"authorization": f"Bearer {account.key}"},
        )
        return answer.headers.get("stripe-rate-limited-reason")

    for _ in range(40):  # at the endpoint's own 25 a second
        assert {update() for _ in range(25)} == {None}
        account.pass_time(seconds=1)
    assert update() == "resource-specific"
    assert update(account.hold().id) is None  # another one is free
    account.pass_time(hours=1)
    assert update() is None


def test_rule_1_12_a_429_is_kept_under_no_key(account):
    account.sim("limits", limits="test")
    _refused_after(account.v1.refunds.list, 26)
    key = account.key_of("limited")
    given = {"amount": 1000, "currency": "usd"}
    with pytest.raises(stripe.RateLimitError):
        account.v1.payment_intents.create(given, {"idempotency_key": key})
    account.pass_time(seconds=1)
    assert account.v1.payment_intents.create(given, {"idempotency_key": key}).amount == 1000
    assert "idempotent-replayed" not in account.recording.headers


def test_rule_1_12_off_until_switched_on(account):
    for _ in range(120):
        account.v1.customers.list({"limit": 1})
    assert account.http.get("/_sim/limits").json() == {"limits": "off", "per_s": 0, "refused": 0}


def test_rule_1_12_one_writer_to_an_object_at_a_time(account):
    intent = account.hold()
    match = f"POST /v1/payment_intents/{intent.id}/capture"
    account.sim("faults", match=match, kind="slow_ms:700")
    done: list[stripe.PaymentIntent] = []
    slow = threading.Thread(
        target=lambda: done.append(account.v1.payment_intents.capture(intent.id))
    )
    slow.start()
    time.sleep(0.3)
    with pytest.raises(stripe.RateLimitError) as locked:
        account.v1.payment_intents.cancel(intent.id)
    assert (locked.value.http_status, locked.value.error.code) == (429, "lock_timeout")
    assert "stripe-rate-limited-reason" not in locked.value.headers
    assert locked.value.headers["stripe-should-retry"] == "true"
    # Reading it is free, and another object too.
    assert account.v1.payment_intents.retrieve(intent.id).status == "requires_capture"
    account.v1.payment_intents.cancel(account.hold().id)
    slow.join()
    assert done[0].status == "succeeded"
