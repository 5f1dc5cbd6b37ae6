"""What time does: holds expire, nets become available, payouts are made and arrive.

The tests go on from each other's time: the clock never goes back. It starts on Monday,
2026-11-23, 10:00 UTC.
"""

import time
from datetime import UTC, datetime

import pytest
import stripe


def _s(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def _balance(sandbox):
    found = sandbox.stripe.v1.balance.retrieve()
    return {
        name: {line.currency: line.amount for line in getattr(found, name)}
        for name in ("pending", "available")
    }


def test_a_payout_comes_two_business_days_later(sandbox):
    on_monday = [sandbox.hold(5000), sandbox.hold(3000)]
    sandbox.stripe.v1.payment_intents.capture(on_monday[0].id, {"amount_to_capture": 1234})
    sandbox.stripe.v1.payment_intents.capture(on_monday[1].id)
    # 12.34 − 0.66, and 30.00 − (0.87 + 0.30).
    net = 1168 + 2883
    assert _balance(sandbox) == {"pending": {"usd": net}, "available": {"usd": 0}}

    sandbox.clock("2026-11-24T23:59:59Z")
    assert sandbox.stripe.v1.payouts.list().data == []
    sandbox.clock("2026-11-25T00:00:00Z")
    (payout,) = sandbox.stripe.v1.payouts.list().data
    assert (payout.amount, payout.currency, payout.status) == (net, "usd", "in_transit")
    assert (payout.automatic, payout.reconciliation_status) == (True, "completed")
    assert payout.created == _s("2026-11-25T00:00:00")
    assert payout.arrival_date == _s("2026-11-26T00:00:00")
    assert _balance(sandbox) == {"pending": {"usd": 0}, "available": {"usd": 0}}

    items = sandbox.stripe.v1.balance_transactions.list({"payout": payout.id, "limit": 100}).data
    own = [e for e in items if e.type == "payout"]
    assert [(e.amount, e.fee, e.source) for e in own] == [(-net, 0, payout.id)]
    assert payout.balance_transaction == own[0].id
    assert sum(e.net for e in items if e.type != "payout") == payout.amount
    assert sorted(e.reporting_category for e in items) == [
        "charge",
        "charge",
        "partial_capture_reversal",
        "payout",
    ]
    sandbox.clock("2026-11-26T00:00:00Z")
    assert sandbox.stripe.v1.payouts.retrieve(payout.id).status == "paid"
    types = [t for t in sandbox.catcher.types() if t.startswith("payout.")]
    assert types == ["payout.created", "payout.reconciliation_completed", "payout.paid"]


def test_a_weekend_is_no_business_day(sandbox):
    made = {}
    for day in ("2026-11-26", "2026-11-27", "2026-11-28", "2026-11-29"):  # Thursday to Sunday
        sandbox.clock(f"{day}T15:00:00Z")
        intent = sandbox.stripe.v1.payment_intents.capture(
            sandbox.hold(1000).id, {"expand": ["latest_charge.balance_transaction"]}
        )
        made[day] = intent.latest_charge.balance_transaction.available_on
    assert made == {
        "2026-11-26": _s("2026-11-30T00:00:00"),
        "2026-11-27": _s("2026-12-01T00:00:00"),
        "2026-11-28": _s("2026-12-01T00:00:00"),
        "2026-11-29": _s("2026-12-01T00:00:00"),
    }
    known = {p.id for p in sandbox.stripe.v1.payouts.list().data}
    # One move over several due days: each happens at its own time.
    sandbox.clock("2026-12-03T09:00:00Z")
    new = [p for p in sandbox.stripe.v1.payouts.list().data if p.id not in known]
    # 10.00 − (0.29 + 0.30) each.
    assert [(p.created, p.amount, p.status) for p in reversed(new)] == [
        (_s("2026-11-30T00:00:00"), 941, "paid"),
        (_s("2026-12-01T00:00:00"), 3 * 941, "paid"),
    ]


def test_opening_plus_nets_is_closing_in_two_currencies(sandbox):
    for currency in ("usd", "eur"):
        for amount in (900, 1700, 12_345):
            intent = sandbox.hold(amount, currency=currency)
            sandbox.stripe.v1.payment_intents.capture(intent.id, {"amount_to_capture": amount - 77})
    sandbox.stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 5000})
    opening = _s("2026-12-03T09:00:00")
    for now in ("2026-12-04T00:00:00Z", "2026-12-08T00:00:00Z", "2026-12-09T12:00:00Z"):
        sandbox.clock(now)
        nets = {"usd": 0, "eur": 0}
        found = sandbox.stripe.v1.balance_transactions.list(
            {"created": {"gte": opening, "lt": _s(now[:-1]) + 1}, "limit": 7}
        )
        for entry in found.auto_paging_iter():
            nets[entry.currency] += entry.net
        closing = _balance(sandbox)
        for currency, net in nets.items():  # opening is 0: everything before was paid out
            assert net == closing["pending"][currency] + closing["available"][currency]
    for payout in sandbox.stripe.v1.payouts.list({"limit": 100}).auto_paging_iter():
        items = sandbox.stripe.v1.balance_transactions.list({"payout": payout.id, "limit": 100})
        assert sum(e.net for e in items.data if e.type != "payout") == payout.amount
    state = sandbox.state()
    for currency, totals in state["totals"].items():
        left = sum(state["balance"][currency].values())
        kept = totals["captured_minor"] - totals["refunded_minor"] - totals["fees_minor"]
        assert kept == left + totals["paid_out_minor"]


def test_a_negative_balance_is_not_paid_out_but_lessens_the_next(sandbox):
    intent = sandbox.hold(2000)
    sandbox.stripe.v1.payment_intents.capture(intent.id)  # Wednesday, 2026-12-09
    sandbox.clock("2026-12-14T10:00:00Z")
    before = len(sandbox.stripe.v1.payouts.list({"limit": 100}).data)
    sandbox.stripe.v1.refunds.create({"payment_intent": intent.id})
    sandbox.clock("2026-12-16T10:00:00Z")
    assert _balance(sandbox)["available"]["usd"] == -2000
    assert len(sandbox.stripe.v1.payouts.list({"limit": 100}).data) == before
    sandbox.stripe.v1.payment_intents.capture(sandbox.hold(5000).id)
    sandbox.clock("2026-12-18T10:00:00Z")
    latest = sandbox.stripe.v1.payouts.list({"limit": 1}).data[0]
    assert latest.amount == 4825 - 2000


def test_a_hold_expires_at_capture_before(sandbox):
    kept = sandbox.hold(5000, expand=["latest_charge"])
    captured = sandbox.hold(5000)
    sandbox.stripe.v1.payment_intents.capture(captured.id)
    customer = sandbox.stripe.v1.customers.create().id
    off_session = sandbox.hold(5000, customer=customer, off_session=True)
    assert kept.created == _s("2026-12-18T10:00:00")

    sandbox.clock("2026-12-23T03:59:59Z")  # 4 days 18 hours but one second
    assert sandbox.stripe.v1.payment_intents.retrieve(off_session.id).status == "requires_capture"
    sandbox.clock("2026-12-23T04:00:00Z")
    assert sandbox.stripe.v1.payment_intents.retrieve(off_session.id).status == "canceled"
    assert sandbox.stripe.v1.payment_intents.retrieve(kept.id).status == "requires_capture"
    sandbox.catcher.deliveries.clear()
    sandbox.clock("2026-12-25T10:00:00Z")
    intent = sandbox.stripe.v1.payment_intents.retrieve(kept.id, {"expand": ["latest_charge"]})
    assert (intent.status, intent.cancellation_reason) == ("canceled", "automatic")
    assert intent.canceled_at == kept.latest_charge.payment_method_details.card.capture_before
    assert (intent.amount_capturable, intent.latest_charge.balance_transaction) == (0, None)
    assert sandbox.catcher.types()[-2:] == ["charge.expired", "payment_intent.canceled"]
    assert sandbox.stripe.v1.payment_intents.retrieve(captured.id).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.stripe.v1.payment_intents.capture(kept.id)


def test_the_clock_never_goes_back(sandbox):
    now = sandbox.http.get("/_sim/clock").json()["now"]
    assert sandbox.http.post("/_sim/clock", json={"now": now}).status_code == 200
    for wrong in ("2026-11-23T10:00:00Z", "2030-01-01T00:00:00", "soon"):
        assert sandbox.http.post("/_sim/clock", json={"now": wrong}).status_code == 400
    assert sandbox.http.get("/_sim/clock").json()["now"] == now


def test_a_move_with_nothing_due_is_quick(sandbox):
    year = 2027
    started = time.perf_counter()
    for i in range(500):
        sandbox.clock(f"{year}-01-{1 + i // 60 // 24:02d}T{i // 60:02d}:{i % 60:02d}:00Z")
    # The client's own cost is in it: several times the server's millisecond.
    assert (time.perf_counter() - started) / 500 < 0.006


def test_a_payout_that_fails_is_available_again_and_goes_out_with_the_next(sandbox):
    v1 = sandbox.stripe.v1
    sandbox.clock("2027-02-01T10:00:00Z")  # a Monday
    v1.payment_intents.capture(sandbox.hold(5000).id)
    sandbox.clock("2027-02-04T10:00:00Z")
    failed = v1.payouts.list({"limit": 1}).data[0]
    # 50.00 − (1.45 + 0.30)
    assert (failed.status, failed.amount) == ("paid", 4825)
    sandbox.catcher.deliveries.clear()
    answer = sandbox.http.post(f"/_sim/payouts/{failed.id}/fail")
    assert (answer.json()["id"], answer.json()["status"]) == (failed.id, "failed")
    assert sandbox.http.post(f"/_sim/payouts/{failed.id}/fail").status_code == 400
    assert sandbox.http.post("/_sim/payouts/po_none/fail").status_code == 400

    entry = v1.balance_transactions.list({"limit": 1}).data[0]
    assert (entry.type, entry.reporting_category) == ("payout_failure", "payout_reversal")
    assert (entry.amount, entry.fee, entry.source) == (4825, 0, failed.id)
    assert v1.payouts.retrieve(failed.id).failure_balance_transaction == entry.id
    assert _balance(sandbox)["available"]["usd"] == 4825
    v1.payment_intents.capture(sandbox.hold(5000).id)  # Thursday
    sandbox.clock("2027-02-08T10:00:00Z")
    assert sandbox.catcher.types()[0] == "payout.failed"
    following = v1.payouts.list({"limit": 1}).data[0]
    assert following.amount == 2 * 4825
    members = v1.balance_transactions.list({"payout": following.id}).data
    assert entry.id in {member.id for member in members}


def test_a_payout_that_fails_on_its_way_never_arrives(sandbox):
    v1 = sandbox.stripe.v1
    v1.payment_intents.capture(sandbox.hold(5000).id)  # Monday
    sandbox.clock("2027-02-10T10:00:00Z")
    payout = v1.payouts.list({"limit": 1}).data[0]
    assert payout.status == "in_transit"
    assert sandbox.http.post(f"/_sim/payouts/{payout.id}/fail").status_code == 200
    sandbox.clock("2027-02-12T10:00:00Z")
    assert v1.payouts.retrieve(payout.id).status == "failed"
    totals = sandbox.state()["totals"]["usd"]
    kept = totals["captured_minor"] - totals["refunded_minor"] - totals["fees_minor"]
    held = _balance(sandbox)
    assert kept == totals["paid_out_minor"] + held["pending"]["usd"] + held["available"]["usd"]
