"""Idempotency keys and every ordered fault, as the official SDK sees them."""

import threading

import httpx
import pytest
import stripe

CREATE = {
    "amount": 5000,
    "currency": "usd",
    "capture_method": "manual",
    "payment_method": "pm_card_visa",
    "confirm": True,
}
CAPTURE = "POST /v1/payment_intents/*/capture"


def _intents(sandbox):
    return sandbox.state()["counts"].get("payment_intent", 0)


def _create(sandbox, key, client=None, **more):
    return (client or sandbox.stripe).v1.payment_intents.create(
        {**CREATE, **more}, {"idempotency_key": key}
    )


def test_the_same_key_and_params_replay_the_answer(sandbox):
    first = _create(sandbox, "replay")
    count = _intents(sandbox)
    sandbox.stripe.v1.payment_intents.capture(first.id)
    again = _create(sandbox, "replay")
    # The stored answer, not the object as it is by now.
    assert (again.id, again.status, _intents(sandbox)) == (first.id, "requires_capture", count)
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.last_response.headers
    log = sandbox.http.get("/_sim/requests", params={"path": "/v1/payment_intents"}).json()
    mine = [e for e in log if e["idempotency_key"] == "replay"]
    assert [(e["status"], e["replayed"]) for e in mine] == [(200, False), (200, True)]


def test_the_same_key_with_other_params_or_endpoint_is_refused(sandbox):
    intent = _create(sandbox, "mismatch")
    with pytest.raises(stripe.IdempotencyError) as other:
        _create(sandbox, "mismatch", amount=5001)
    assert other.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        sandbox.stripe.v1.payment_intents.capture(intent.id, {}, {"idempotency_key": "mismatch"})


def test_a_decline_is_replayed_and_a_failed_validation_is_not(sandbox):
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            _create(sandbox, "declined", payment_method="pm_card_chargeDeclined")
    count = _intents(sandbox)
    with pytest.raises(stripe.InvalidRequestError):
        _create(sandbox, "invalid", capture_method="manuall")
    assert _create(sandbox, "invalid").status == "requires_capture"
    assert _intents(sandbox) == count + 1


def test_a_key_is_forgotten_after_a_day(sandbox):
    sandbox.clock("2026-11-24T10:00:00Z")
    first = _create(sandbox, "day")
    sandbox.clock("2026-11-25T09:59:59Z")
    assert _create(sandbox, "day").id == first.id
    sandbox.clock("2026-11-25T10:00:00Z")
    assert _create(sandbox, "day").id != first.id


def test_500_after_is_stored_under_the_key(sandbox):
    intent = sandbox.hold()
    sandbox.fault(match=CAPTURE, kind="500_after")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            sandbox.stripe.v1.payment_intents.capture(intent.id, {}, {"idempotency_key": "c500"})
        assert failed.value.http_status == 500
    assert sandbox.stripe.v1.payment_intents.retrieve(intent.id).status == "succeeded"


@pytest.mark.parametrize(
    ("kind", "error"), [("500_before", stripe.APIError), ("429", stripe.RateLimitError)]
)
def test_before_nothing_happened_and_the_same_key_executes(sandbox, kind, error):
    count = _intents(sandbox)
    sandbox.fault(match="POST /v1/payment_intents", kind=kind)
    with pytest.raises(error):
        _create(sandbox, kind)
    assert _intents(sandbox) == count
    assert _create(sandbox, kind).status == "requires_capture"
    assert _intents(sandbox) == count + 1


@pytest.mark.parametrize(("kind", "made"), [("drop_before", 0), ("drop_after", 1)])
def test_a_dropped_connection(sandbox, kind, made):
    count = _intents(sandbox)
    sandbox.fault(match="POST /v1/payment_intents", kind=kind)
    with pytest.raises(stripe.APIConnectionError):
        _create(sandbox, kind)
    assert _intents(sandbox) == count + made
    # The same key is the look-up: exactly one intent, whichever way it went.
    answer = _create(sandbox, kind)
    assert ("idempotent-replayed" in answer.last_response.headers) == bool(made)
    assert _intents(sandbox) == count + 1


@pytest.mark.parametrize(("kind", "made"), [("hang", 1), ("hang_before", 0), ("slow_ms:900", 1)])
def test_silence_until_the_client_gives_up(sandbox, kind, made):
    impatient = sandbox.client(http_client=stripe.RequestsClient(timeout=0.3))
    count = _intents(sandbox)
    sandbox.fault(match="POST /v1/payment_intents", kind=kind)
    with pytest.raises(stripe.APIConnectionError):
        _create(sandbox, kind, impatient)
    if kind.startswith("slow"):
        # Still in flight: the client is gone, the work goes on.
        # (The SDK makes an APIError of every 409.)
        with pytest.raises(stripe.APIError) as busy:
            _create(sandbox, kind)
        assert (busy.value.http_status, busy.value.error.code) == (409, "idempotency_key_in_use")
        wait = threading.Event()
        while _intents(sandbox) == count:
            wait.wait(0.02)
    assert _intents(sandbox) == count + made
    assert _create(sandbox, kind).status == "requires_capture"
    assert _intents(sandbox) == count + 1


async def test_a_dropped_connection_in_the_async_client(sandbox):
    sandbox.fault(match="POST /v1/payment_intents", kind="drop_after")
    client = sandbox.client(http_client=stripe.HTTPXClient())
    with pytest.raises(stripe.APIConnectionError):
        await client.v1.payment_intents.create_async(CREATE, {"idempotency_key": "async"})
    answer = await client.v1.payment_intents.create_async(CREATE, {"idempotency_key": "async"})
    assert answer.last_response.headers["idempotent-replayed"] == "true"


def test_times_and_skip(sandbox):
    sandbox.fault(match="GET /v1/balance", kind="500_before", times=2, skip=1)
    outcomes = []
    for _ in range(5):
        try:
            sandbox.stripe.v1.balance.retrieve()
            outcomes.append("ok")
        except stripe.APIError:
            outcomes.append("500")
    assert outcomes == ["ok", "500", "500", "ok", "ok"]


def test_an_impossible_fault_is_refused(sandbox):
    for spec in (
        {"match": "*", "kind": "explode"},
        {"match": "*", "kind": "slow_ms:soon"},
        {"kind": "429"},
        {"webhooks": "lose"},
        {"match": "*", "kind": "429", "times": 0},
    ):
        assert sandbox.http.post("/_sim/faults", json=spec).status_code == 400, spec
    assert sandbox.http.post("/_sim/faults", content=b"[").status_code == 400


def test_a_drop_is_no_answer_at_all(sandbox):
    sandbox.fault(match="GET /v1/balance", kind="drop_after")
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.http.get("/v1/balance", headers={"authorization": "Bearer sk_test_sandbox"})
