"""What the driver of a test makes happen over ``/_sim``, and what the sandbox says of itself."""

import asyncio
import json
from datetime import UTC, datetime

import httpx
import pytest

from wattledger.sandbox.app import Settings, build

KEY = {"authorization": "Bearer sk_test_sandbox"}


def _paid(sandbox, amount=5000, **more):
    intent = sandbox.hold(amount, capture_method="automatic", **more)
    return intent.latest_charge


def _sim(sandbox, path, **body):
    answer = sandbox.http.post(f"/_sim/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _report(sandbox):
    return sandbox.http.get("/_sim/report").json()


def test_the_totals_add_up_whatever_happened(sandbox):
    charges = [_paid(sandbox, amount) for amount in (5000, 4000, 3000, 2000)]
    sandbox.stripe.v1.refunds.create({"charge": charges[0], "amount": 700})
    failing = sandbox.stripe.v1.refunds.create({"charge": charges[0], "amount": 300})
    _sim(sandbox, f"refund/{failing.id}/fail", reason="lost_or_stolen_card")
    lost = _sim(sandbox, "dispute", charge=charges[1], amount=3500)
    _sim(sandbox, f"dispute/{lost['id']}/close", outcome="lost")
    won = _sim(sandbox, "dispute", charge=charges[2])
    _sim(sandbox, f"dispute/{won['id']}/close", outcome="won")
    _sim(sandbox, "dispute", charge=charges[3], inquiry=True)
    _sim(sandbox, "fee", amount=123)
    expected = {
        "captured_minor": 14_000,
        "refunded_minor": 700,
        "disputed_minor": 3500,
        # 2.9 % and 0.30 of each of the four, the lost dispute's 15.00, and the 1.23.
        "fees_minor": 406 + 4 * 30 + 1500 + 123,
        "paid_out_minor": 0,
    }
    report = _report(sandbox)
    assert report["totals"] == {"usd": expected}
    assert report["statuses"]["dispute"] == {"lost": 1, "won": 1, "warning_needs_response": 1}
    assert report["statuses"]["refund"] == {"succeeded": 1, "failed": 1}
    assert report["fraud_warnings"] == report["releases"] == 0
    sandbox.clock("2026-11-30T10:00:00Z")  # the payout is on its way or there
    report = _report(sandbox)
    total, held = report["totals"]["usd"], sum(report["balance"]["usd"].values())
    kept = total["captured_minor"] - total["refunded_minor"] - total["disputed_minor"]
    assert kept - total["fees_minor"] == held + total["paid_out_minor"]
    assert total["paid_out_minor"] == 14_000 - 700 - 3500 - expected["fees_minor"]


def test_a_dispute_can_be_for_a_payment_intent_and_escalate(sandbox):
    intent = sandbox.hold(5000, capture_method="automatic")
    made = _sim(sandbox, "dispute", payment_intent=intent.id, inquiry=True, reason="general")
    assert (made["status"], made["charge"]) == ("warning_needs_response", intent.latest_charge)
    escalated = _sim(sandbox, f"dispute/{made['id']}/escalate")
    assert (escalated["status"], len(escalated["balance_transactions"])) == ("needs_response", 1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("dispute", {}),
        ("dispute", {"charge": "ch_none"}),
        ("dispute", {"charge": "CHARGE", "reason": "bored"}),
        ("dispute", {"charge": "CHARGE", "amount": 0}),
        ("dispute", {"charge": "CHARGE", "inquiry": "yes"}),
        ("dispute/du_none/close", {"outcome": "won"}),
        ("fraud_warning", {"charge": "CHARGE", "fraud_type": "odd"}),
        ("refund/re_none/fail", {}),
        ("payouts/po_none/fail", {}),
        ("fee", {"category": "network_cost"}),
        ("fee", {"amount": 5, "category": "gift"}),
        ("reader/tmr_none/present", {}),
        ("reader/tmr_none/offline", {}),
        ("account", {"payouts": "weekly"}),
        ("account", {"colour": "red"}),
        ("account", {"later_s": -1}),
    ],
)
def test_what_cannot_happen_is_refused_with_a_reason(sandbox, path, body):
    if body.get("charge") == "CHARGE":
        body = {**body, "charge": _paid(sandbox)}
    answer = sandbox.http.post(f"/_sim/{path}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_hold_is_not_disputed(sandbox):
    answer = sandbox.http.post("/_sim/dispute", json={"payment_intent": sandbox.hold().id})
    assert answer.status_code == 400


def test_an_account_says_how_it_behaves(sandbox):
    before = _sim(sandbox, "account")
    assert sandbox.http.get("/_sim/account").json() == before
    assert _sim(sandbox, "account", later_s=5)["later_s"] == 5
    _sim(sandbox, "account", **before)


def test_faults_by_chance_are_the_same_for_the_same_seed(sandbox):
    def outcomes(seed):
        sandbox.http.delete("/_sim/faults")
        sandbox.fault(match="GET /v1/balance", kind="500_before", probability=0.5, seed=seed)
        return [sandbox.http.get("/v1/balance", headers=KEY).status_code for _ in range(40)]

    first = outcomes(7)
    assert outcomes(7) == first
    assert outcomes(8) != first
    assert 5 < first.count(500) < 35
    sandbox.http.delete("/_sim/faults")


def test_faults_by_chance_can_be_counted_too(sandbox):
    sandbox.fault(match="GET /v1/balance", kind="500_before", probability=1, times=2)
    found = [sandbox.http.get("/v1/balance", headers=KEY).status_code for _ in range(3)]
    assert found == [500, 500, 200]
    for chance in (0, 1.5, "often"):
        spec = {"match": "*", "kind": "429", "probability": chance}
        assert sandbox.http.post("/_sim/faults", json=spec).status_code == 400


def test_webhooks_get_lost_by_chance(sandbox):
    sandbox.fault(webhooks="drop", match="customer.*", probability=0.5, seed=3)
    made = [sandbox.stripe.v1.customers.create().id for _ in range(20)]
    came = sandbox.flush()
    assert 2 < came < 18
    assert len(made) == came + sandbox.state()["webhooks"]["dropped"]


async def _played() -> list[bytes]:
    """The same requests to a new sandbox: every answer, and every event."""
    app = build(
        Settings(
            start=datetime(2026, 11, 23, 10, tzinfo=UTC),
            api_key="sk_test_sandbox",
            stripe_webhook_url=None,
            stripe_webhook_secret="whsec_x",
            receiver_secret="whsec_c2FuZGJveC1yZWNlaXZlcg==",
        )
    )
    transport = httpx.ASGITransport(app=app)
    answers = []
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http,
    ):

        async def post(path, **form):
            answer = await http.post(f"/v1/{path}", data=form, headers=KEY)
            assert answer.status_code == 200, answer.text
            answers.append(answer.content)
            return json.loads(answer.content)

        async def sim(path, **body):
            answer = await http.post(f"/_sim/{path}", json=body)
            assert answer.status_code == 200, answer.text
            answers.append(answer.content)

        paid = {"amount": "5000", "currency": "usd", "confirm": "true"}
        disputed = await post("payment_intents", payment_method="pm_card_createDispute", **paid)
        failing = await post("payment_intents", payment_method="pm_card_refundFail", **paid)
        await post("refunds", payment_intent=failing["id"], amount="100")
        reader = await post("terminal/readers", registration_code="simulated-wpe")
        there = {"allowed_payment_method_types[0]": "card_present", "capture_method": "manual"}
        intent = await post("payment_intents", amount="4000", currency="usd", **there)
        path = f"terminal/readers/{reader['id']}/process_payment_intent"
        await post(path, payment_intent=intent["id"])
        await sim(f"reader/{reader['id']}/present", number="4242424242424242", wallet="apple_pay")
        await post(f"payment_intents/{intent['id']}/capture", amount_to_capture="1234")
        endpoint = {"url": "http://127.0.0.1:1/x", "enabled_events[0]": "payout.paid"}
        await post("webhook_endpoints", **endpoint)
        await sim("dispute", charge=disputed["latest_charge"])
        await sim("clock", now="2026-11-25T10:00:00Z")
        for path in ("events?limit=100", "balance_transactions?limit=100", "payouts", "balance"):
            answer = await http.get(f"/v1/{path}", headers=KEY)
            answers.append(answer.content)
    return answers


async def test_the_same_requests_are_answered_with_the_same_bytes():
    first = await _played()
    await asyncio.sleep(0.01)  # the machine's clock plays no part
    assert await _played() == first
