"""Stripe's events as they arrive, and the receiver of our own signed messages."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import stripe
from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_events_arrive_signed_in_order_before_the_clock_answers(sandbox):
    intent = sandbox.hold(5000)
    sandbox.stripe.v1.payment_intents.capture(
        intent.id, {"amount_to_capture": 1234}, {"idempotency_key": "ev"}
    )
    assert sandbox.flush() == 5
    events = sandbox.catcher.events()
    assert [e.type for e in events] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]
    assert sandbox.flush() == 0
    # Snapshots: each event shows its object as it was then.
    assert [e.data.object.status for e in events if e.type.startswith("payment_intent")] == [
        "requires_payment_method",
        "requires_capture",
        "succeeded",
    ]
    assert events[-1].data.object.amount_received == 1234
    assert events[-1].api_version == "2026-10-28.endive"
    assert events[-1].request.idempotency_key == "ev"
    listed = sandbox.stripe.v1.events.list({"limit": 5})
    assert [e.id for e in reversed(listed.data)] == [e.id for e in events]
    assert sandbox.stripe.v1.events.retrieve(events[0].id).type == "payment_intent.created"
    captured = sandbox.stripe.v1.events.list({"types": ["charge.captured"], "limit": 1})
    assert captured.data[0].id == events[3].id


def test_a_wrong_secret_is_noticed(sandbox):
    sandbox.hold()
    sandbox.flush()
    signature, body = sandbox.catcher.deliveries[0]
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, signature, "whsec_other")


def test_a_delivery_is_repeated_until_it_is_accepted(sandbox):
    sandbox.catcher.answers += [500, 503]
    sandbox.stripe.v1.customers.create()
    assert sandbox.flush() == 1
    assert len({body for _, body in sandbox.catcher.deliveries}) == 1
    assert len(sandbox.catcher.deliveries) == 3


def test_webhook_faults(sandbox):
    sandbox.fault(webhooks="duplicate", times=1)
    sandbox.stripe.v1.customers.create()
    assert sandbox.flush() == 2
    first, second = sandbox.catcher.events()
    assert first.id == second.id

    sandbox.catcher.deliveries.clear()
    sandbox.fault(webhooks="reorder", times=1)
    sandbox.hold()
    assert sandbox.flush() == 3
    assert sandbox.catcher.types() == [
        "charge.succeeded",
        "payment_intent.created",
        "payment_intent.amount_capturable_updated",
    ]
    sandbox.catcher.deliveries.clear()
    sandbox.fault(webhooks="reorder", times=1)
    sandbox.stripe.v1.customers.create()
    assert sandbox.flush() == 1  # nothing to pass: it comes all the same

    sandbox.catcher.deliveries.clear()
    sandbox.fault(webhooks="drop", match="charge.*")
    sandbox.hold()
    assert sandbox.flush() == 2
    assert "charge.succeeded" not in sandbox.catcher.types()
    dropped = sandbox.stripe.v1.events.list({"types": ["charge.succeeded"], "limit": 1})
    assert dropped.data[0].type == "charge.succeeded"  # it can still be looked up


def _send(sandbox, message_id, payload, *, name="books", secret=SECRET, at=None):
    body = payload if isinstance(payload, str) else json.dumps(payload)
    at = at or datetime.now(UTC)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, body),
    }
    return sandbox.http.post(f"/receiver/{name}", content=body, headers=headers)


def _billed(total_minor, currency="USD"):
    return {
        "type": "session.billed",
        "timestamp": "2026-11-23T10:00:00Z",
        "data": {"total_minor": total_minor, "currency": currency},
    }


def test_the_receiver_counts_each_message_once(sandbox):
    assert _send(sandbox, "msg_1", _billed(1234)).status_code == 200
    assert _send(sandbox, "msg_1", _billed(1234)).status_code == 200
    assert _send(sandbox, "msg_2", _billed(100)).status_code == 200
    assert _send(sandbox, "msg_3", _billed(500, "EUR")).status_code == 200
    paid = {"type": "payout.paid", "timestamp": "2026-11-25T00:00:00Z", "data": {}}
    assert _send(sandbox, "msg_4", paid).status_code == 200
    assert sandbox.http.get("/receiver/books/_report").json() == {
        "received": 4,
        "duplicates": 1,
        "conflicting": 0,
        "rejected": 0,
        "by_type": {"session.billed": 3, "payout.paid": 1},
        "total_minor": {"USD": 1334, "EUR": 500},
    }
    assert _send(sandbox, "msg_4", _billed(9)).status_code == 200
    assert sandbox.http.get("/receiver/books/_report").json()["conflicting"] == 1
    assert sandbox.http.get("/receiver/books/_messages").json()[-1] == paid
    assert sandbox.http.get("/receiver/others/_report").json()["received"] == 0


def test_the_receiver_rejects_what_it_cannot_verify(sandbox):
    wrong = Webhook("whsec_c2FuZGJveC1yZWNlaXZlcg==")
    now = datetime.now(UTC)
    body = json.dumps(_billed(1))
    good = {
        "webhook-id": "m",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("m", now, body),
    }
    attempts = [
        ({**good, "webhook-signature": wrong.sign("m", now, body)}, body),
        ({**good, "webhook-signature": "nonsense"}, body),
        ({**good, "webhook-id": "other"}, body),
        ({}, body),
        (good, body.replace("1", "2")),
    ]
    for headers, content in attempts:
        answer = sandbox.http.post("/receiver/strict", content=content, headers=headers)
        assert answer.status_code == 400, headers
    late = now - timedelta(minutes=6)
    assert _send(sandbox, "m", _billed(1), name="strict", at=late).status_code == 400
    assert _send(sandbox, "m", "not json", name="strict").status_code == 400
    assert _send(sandbox, "m", {"type": "x"}, name="strict").status_code == 400
    report = sandbox.http.get("/receiver/strict/_report").json()
    assert (report["received"], report["rejected"]) == (0, 8)


def test_receiver_faults(sandbox):
    sandbox.fault(match="POST /receiver/*", kind="500_before")
    assert _send(sandbox, "m1", _billed(1), name="faulty").status_code == 500
    sandbox.fault(match="POST /receiver/*", kind="500_after")
    assert _send(sandbox, "m1", _billed(1), name="faulty").status_code == 500
    sandbox.fault(match="POST /receiver/*", kind="drop_after")
    with pytest.raises(httpx.RemoteProtocolError):
        _send(sandbox, "m1", _billed(1), name="faulty")
    assert _send(sandbox, "m1", _billed(1), name="faulty").status_code == 200
    report = sandbox.http.get("/receiver/faulty/_report").json()
    assert (report["received"], report["duplicates"]) == (1, 2)
