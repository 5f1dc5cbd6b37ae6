"""Stripe's URLs about charges, refunds, the balance, payouts and events."""

from __future__ import annotations

from stripe.params._balance_retrieve_params import BalanceRetrieveParams
from stripe.params._balance_transaction_list_params import BalanceTransactionListParams
from stripe.params._balance_transaction_retrieve_params import BalanceTransactionRetrieveParams
from stripe.params._charge_list_params import ChargeListParams
from stripe.params._charge_retrieve_params import ChargeRetrieveParams
from stripe.params._event_list_params import EventListParams
from stripe.params._event_retrieve_params import EventRetrieveParams
from stripe.params._payout_list_params import PayoutListParams
from stripe.params._payout_retrieve_params import PayoutRetrieveParams
from stripe.params._refund_create_params import RefundCreateParams
from stripe.params._refund_list_params import RefundListParams
from stripe.params._refund_retrieve_params import RefundRetrieveParams

from wattledger.sandbox import views
from wattledger.sandbox.balance import Balance
from wattledger.sandbox.listed import Row, newest, one
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj


def table(balance: Balance) -> list[Row]:
    """What we stand in for."""
    return [
        ("GET", "charges", ChargeListParams, newest("charge", "charges")),
        ("GET", "charges/{id}", ChargeRetrieveParams, one("charge")),
        ("POST", "refunds", RefundCreateParams, balance.create_refund),
        ("GET", "refunds", RefundListParams, newest("refund", "refunds")),
        ("GET", "refunds/{id}", RefundRetrieveParams, one("refund")),
        ("GET", "balance", BalanceRetrieveParams, balance.retrieve),
        (
            "GET",
            "balance_transactions",
            BalanceTransactionListParams,
            balance.list_transactions,
        ),
        (
            "GET",
            "balance_transactions/{id}",
            BalanceTransactionRetrieveParams,
            one("balance_transaction"),
        ),
        ("GET", "payouts", PayoutListParams, newest("payout", "payouts")),
        ("GET", "payouts/{id}", PayoutRetrieveParams, one("payout")),
        ("GET", "events", EventListParams, _events),
        ("GET", "events/{id}", EventRetrieveParams, one("event")),
    ]


def _events(store: Store, _: Obj, p: Obj) -> Obj:
    """``types`` is a choice of types, and ``delivery_success`` asks what was acknowledged."""
    types = p.pop("types", None)
    delivered = p.pop("delivery_success", None)
    rows = [
        event
        for event in reversed(store.tables["event"].values())
        if (types is None or event["type"] in types)
        and (delivered is None or delivered == (event["pending_webhooks"] == 0))
    ]
    return views.page(store, rows, p, "/v1/events")
