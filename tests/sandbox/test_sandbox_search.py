"""Search: the query language, and the minute that the index lags behind."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import stripe

from wattledger.sandbox.search import parse
from wattledger.sandbox.wire import StripeError

ROW = {
    "amount": 5000,
    "created": 1_700_000_000,
    "currency": "usd",
    "customer": None,
    "status": "succeeded",
    "metadata": {"session": "Ses_1", "note": 'say "hi"'},
}


@pytest.mark.parametrize(
    ("query", "hit"),
    [
        ("status:'succeeded'", True),
        ('status:"succeeded"', True),
        ("status:'canceled'", False),
        ("-status:'canceled'", True),
        ("metadata['session']:'ses_1'", True),
        ('metadata["session"]:"ses_2"', False),
        ("metadata['session']~'es_'", True),
        ("metadata['none']:null", True),
        ("-metadata['session']:null", True),
        (r'metadata["note"]:"say \"hi\""', True),
        ("amount>4999", True),
        ("amount>5000", False),
        ("amount>=5000 AND amount<=5000", True),
        ("amount:5000 status:'succeeded'", True),
        ("status:'canceled' OR currency:'usd'", True),
        ("created<1700000000", False),
        ("customer:null", True),
    ],
)
def test_a_query_and_what_it_finds(query, hit):
    assert parse(query, "payment_intent")(ROW) is hit


@pytest.mark.parametrize(
    "query",
    [
        "",
        "status",
        "status:succeeded",
        "bogus:'x'",
        "status>'a'",
        "amount:'many'",
        "amount~'5'",
        "metadata['a']>'b'",
        "status:'a' AND amount:1 OR amount:2",
        " AND ".join(["amount:1"] * 11),
    ],
)
def test_what_is_no_query(query):
    with pytest.raises(StripeError) as refusal:
        parse(query, "payment_intent")
    assert refusal.value.status == 400


def _later(sandbox, seconds: int) -> None:
    now = datetime.fromisoformat(sandbox.http.get("/_sim/clock").json()["now"])
    sandbox.clock((now + timedelta(seconds=seconds)).isoformat())


def _found(sandbox, query: str) -> list[str]:
    return [i.id for i in sandbox.stripe.v1.payment_intents.search({"query": query}).data]


def test_what_was_written_is_found_a_minute_later(sandbox):
    held = sandbox.hold(metadata={"session": "lag"})
    query = "metadata['session']:'lag'"
    _later(sandbox, 59)
    assert _found(sandbox, query) == []
    _later(sandbox, 1)
    assert _found(sandbox, query) == [held.id]
    # The index still knows it as held; what comes back is as it stands.
    sandbox.stripe.v1.payment_intents.capture(held.id)
    stale = f"{query} AND status:'requires_capture'"
    found = sandbox.stripe.v1.payment_intents.search({"query": stale}).data
    assert [(i.id, i.status) for i in found] == [(held.id, "succeeded")]
    _later(sandbox, 60)
    assert _found(sandbox, stale) == []


def test_an_update_without_an_event_is_found_too(sandbox):
    held = sandbox.hold()
    sandbox.stripe.v1.payment_intents.update(held.id, {"metadata": {"session": "quiet"}})
    _later(sandbox, 60)
    assert _found(sandbox, "metadata['session']:'quiet'") == [held.id]


def test_a_search_comes_page_by_page(sandbox):
    made = [sandbox.hold(metadata={"batch": "p"}).id for _ in range(5)]
    _later(sandbox, 60)
    search = sandbox.stripe.v1.payment_intents.search
    first = search({"query": "metadata['batch']:'p'", "limit": 2})
    assert (first.object, first.has_more) == ("search_result", True)
    assert [i.id for i in first.auto_paging_iter()] == made[::-1]
    with pytest.raises(stripe.InvalidRequestError):
        search({"query": "metadata['batch']:'p'", "page": "nonsense"})


def test_customers_and_charges_are_searched(sandbox):
    v1 = sandbox.stripe.v1
    customer = v1.customers.create({"email": "search@example.org", "name": "Ann Example"})
    held = sandbox.hold(customer=customer.id)
    _later(sandbox, 60)
    by_name = v1.customers.search({"query": "name~'ann' AND email:'search@example.org'"}).data
    assert [c.id for c in by_name] == [customer.id]
    charges = v1.charges.search({"query": f"customer:'{customer.id}' AND refunded:false"}).data
    assert [c.payment_intent for c in charges] == [held.id]
    v1.customers.delete(customer.id)
    _later(sandbox, 60)
    assert v1.customers.search({"query": "email:'search@example.org'"}).data == []
