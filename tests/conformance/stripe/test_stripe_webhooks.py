"""Rule 1.10: webhooks, as docs.stripe.com/webhooks has them. Stripe itself can't reach this
machine, so what is about deliveries is tested on the sandbox only."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stripe
from stripe_schema import object_problems

# What an account of ours needs to hear.
SUBSCRIBED = [
    "payment_intent.amount_capturable_updated",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.requires_action",
    "payment_intent.canceled",
    "payment_intent.processing",
    "charge.captured",
    "charge.updated",
    "charge.expired",
    "charge.failed",
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
    "radar.early_fraud_warning.created",
    "payout.created",
    "payout.paid",
    "payout.failed",
    "payout.canceled",
    "payout.reconciliation_completed",
    "terminal.reader.action_succeeded",
    "terminal.reader.action_failed",
]


class Catcher:
    """What is listening at a URL, what came to it, and what it answers next."""

    def __init__(self):
        self.came, self.answers = [], []
        catcher = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                catcher.came.append((self.headers["stripe-signature"], body))
                self.send_response(catcher.answers.pop(0) if catcher.answers else 200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self, secret):
        """What came, verified by the SDK."""
        return [stripe.Webhook.construct_event(body, sign, secret) for sign, body in self.came]

    def types(self, secret):
        return [event.type for event in self.events(secret)]


@pytest.fixture
def catcher():
    running = Catcher()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def endpoint(money, catcher):
    """An endpoint for some of the events, gone after the test."""
    money.only_here("reach this machine")
    made = []

    def make(*events, url=None, **more):
        wanted = {"url": url or catcher.url, "enabled_events": list(events), **more}
        made.append(money.v1.webhook_endpoints.create(wanted))
        return made[-1]

    yield make
    for one in made:
        money.v1.webhook_endpoints.delete(one.id)


def test_rule_1_10_the_secret_is_given_once(money):
    made = money.v1.webhook_endpoints.create(
        {"url": "https://example.com/hooks", "enabled_events": SUBSCRIBED}
    )
    try:
        assert made.secret.startswith("whsec_")
        again = money.v1.webhook_endpoints.retrieve(made.id)
        assert "secret" not in again
        assert (again.status, again.enabled_events) == ("enabled", SUBSCRIBED)
        assert made.id in {e.id for e in money.v1.webhook_endpoints.list({"limit": 100}).data}
    finally:
        assert money.v1.webhook_endpoints.delete(made.id).deleted
    with pytest.raises(stripe.InvalidRequestError):
        money.v1.webhook_endpoints.retrieve(made.id)


def test_rule_1_10_an_event_that_does_not_exist_is_not_subscribed_to(money):
    with pytest.raises(stripe.InvalidRequestError):
        money.v1.webhook_endpoints.create(
            {"url": "https://example.com/hooks", "enabled_events": ["charge.paid_in_full"]}
        )


def test_rule_1_10_events_come_in_the_version_of_the_endpoint(money, catcher, endpoint):
    made = endpoint("customer.created", api_version="2024-04-10")
    assert made.api_version == "2024-04-10"
    money.v1.customers.create()
    money.later(seconds=0)
    (event,) = catcher.events(made.secret)
    assert event.api_version == "2024-04-10"


def test_rule_1_10_each_endpoint_gets_what_it_asked_for_signed_for_it(money, catcher, endpoint):
    second = Catcher()
    try:
        all_of_it = endpoint("*")
        some = endpoint("charge.succeeded", url=second.url)
        money.paid(5000)
        money.later(seconds=0)
        assert "payment_intent.succeeded" in catcher.types(all_of_it.secret)
        assert second.types(some.secret) == ["charge.succeeded"]
        with pytest.raises(stripe.SignatureVerificationError):
            second.events(all_of_it.secret)
    finally:
        second.server.shutdown()
        second.server.server_close()


def test_rule_1_10_a_signature_is_of_the_time_and_the_raw_body(money, catcher, endpoint):
    made = endpoint("customer.created")
    money.v1.customers.create()
    money.later(seconds=0)
    ((header, body),) = catcher.came
    parts = dict(part.split("=", 1) for part in header.split(","))
    # The clock of the machine: the client refuses what is older than five minutes on its own.
    assert abs(int(parts["t"]) - time.time()) < 60
    stripe.Webhook.construct_event(body, header, made.secret)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", header, made.secret)
    old = header.replace(f"t={parts['t']}", f"t={int(parts['t']) - 301}")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, old, made.secret)


def test_rule_1_10_a_delivery_is_repeated_until_it_succeeds(money, catcher, endpoint):
    made = endpoint("customer.created")
    catcher.answers += [500, 302, 503]
    customer = money.v1.customers.create()
    money.later(seconds=0)
    events = catcher.events(made.secret)
    assert [e.data.object.id for e in events] == [customer.id] * 4
    assert len({e.id for e in events}) == 1
    listed = money.v1.events.list({"type": "customer.created", "limit": 1}).data[0]
    assert listed.pending_webhooks == 0


def test_rule_1_10_an_event_may_come_twice_with_the_same_id(money, catcher, endpoint):
    made = endpoint("customer.created")
    money.account.http.post("/_sim/faults", json={"webhooks": "duplicate"})
    money.v1.customers.create()
    money.later(seconds=0)
    first, second = catcher.events(made.secret)
    assert first.id == second.id


def test_rule_1_10_events_may_come_in_any_order(money, catcher, endpoint):
    made = endpoint("payment_intent.created", "payment_intent.succeeded")
    fault = {"webhooks": "reorder", "match": "payment_intent.created"}
    money.account.http.post("/_sim/faults", json=fault)
    intent = money.paid(5000)
    money.later(seconds=0)
    assert catcher.types(made.secret) == ["payment_intent.succeeded", "payment_intent.created"]
    assert money.v1.payment_intents.retrieve(intent.id).status == "succeeded"


def test_rule_1_10_an_event_that_was_lost_is_found_in_the_list(money, catcher, endpoint):
    endpoint("customer.created")
    money.account.http.post("/_sim/faults", json={"webhooks": "drop"})
    customer = money.v1.customers.create()
    money.later(seconds=0)
    assert catcher.came == []
    assert money.events("customer.created", customer.id) == ["customer.created"]


def test_rule_1_10_what_no_endpoint_acknowledged_is_asked_for(money, catcher, endpoint):
    endpoint("customer.created")
    catcher.answers += [500] * 8  # all the tries there are
    customer = money.v1.customers.create()
    money.later(seconds=0)
    failed = money.v1.events.list({"delivery_success": False, "limit": 5}).data
    assert customer.id in {e.data.object.id for e in failed}


def test_rule_1_10_events_are_kept_for_thirty_days(money):
    customer = money.v1.customers.create()
    (kept,) = [
        e.id
        for e in money.v1.events.list({"type": "customer.created", "limit": 10}).data
        if e.data.object.id == customer.id
    ]
    money.later(days=29)
    assert money.v1.events.retrieve(kept).data.object.id == customer.id
    money.later(days=1)
    with pytest.raises(stripe.InvalidRequestError):
        money.v1.events.retrieve(kept)
    assert money.v1.events.list({"type": "customer.created"}).data == []


def test_rule_1_10_the_event_shows_the_object_as_it_was(money):
    hold = money.paid(5000, capture_method="manual")
    money.v1.payment_intents.capture(hold.id)
    kind = "payment_intent.amount_capturable_updated"
    assert money.eventually(lambda: money.events(kind, hold.id))
    event = money.v1.events.list({"type": kind, "limit": 1}).data[0]
    assert event.data.object.status == "requires_capture"
    assert money.v1.payment_intents.retrieve(hold.id).status == "succeeded"


def test_rule_1_10_every_event_is_a_documented_one_of_a_documented_object(money):
    charge = money.paid(5000, "pm_card_createDispute").latest_charge
    refunded = money.paid(5000, "pm_card_refundFail").latest_charge
    money.v1.refunds.create({"charge": refunded.id, "amount": 500})
    warned = money.paid(3000, "pm_card_createIssuerFraudRecord").latest_charge
    money.later(days=5)
    (dispute,) = money.v1.disputes.list({"charge": charge.id}).data
    money.v1.disputes.close(dispute.id)
    assert money.v1.radar.early_fraud_warnings.list({"charge": warned.id}).data
    seen = {}
    for event in money.v1.events.list({"limit": 100}).auto_paging_iter():
        shown = event.data.object.to_dict()
        assert object_problems(shown["object"], shown) == [], event.type
        seen[event.type] = shown["object"]
    assert {
        "charge.dispute.closed": "dispute",
        "charge.dispute.funds_withdrawn": "dispute",
        "refund.failed": "refund",
        "charge.refund.updated": "refund",
        "radar.early_fraud_warning.created": "radar.early_fraud_warning",
        "payout.reconciliation_completed": "payout",
        "balance.available": "balance",
    }.items() <= seen.items()
    # An endpoint can subscribe to each of them: the API refuses those that do not exist.
    made = money.v1.webhook_endpoints.create(
        {"url": "https://example.com/hooks", "enabled_events": sorted(seen)}
    )
    money.v1.webhook_endpoints.delete(made.id)
