"""Stripe's URLs about charges, refunds, disputes, the balance, payouts, events and webhooks."""

from __future__ import annotations

from dataclasses import dataclass

from stripe.params._balance_retrieve_params import BalanceRetrieveParams
from stripe.params._balance_transaction_list_params import BalanceTransactionListParams
from stripe.params._balance_transaction_retrieve_params import BalanceTransactionRetrieveParams
from stripe.params._charge_list_params import ChargeListParams
from stripe.params._charge_retrieve_params import ChargeRetrieveParams
from stripe.params._dispute_close_params import DisputeCloseParams
from stripe.params._dispute_list_params import DisputeListParams
from stripe.params._dispute_retrieve_params import DisputeRetrieveParams
from stripe.params._dispute_update_params import DisputeUpdateParams
from stripe.params._event_list_params import EventListParams
from stripe.params._event_retrieve_params import EventRetrieveParams
from stripe.params._payout_cancel_params import PayoutCancelParams
from stripe.params._payout_create_params import PayoutCreateParams
from stripe.params._payout_list_params import PayoutListParams
from stripe.params._payout_retrieve_params import PayoutRetrieveParams
from stripe.params._refund_cancel_params import RefundCancelParams
from stripe.params._refund_create_params import RefundCreateParams
from stripe.params._refund_list_params import RefundListParams
from stripe.params._refund_retrieve_params import RefundRetrieveParams
from stripe.params._refund_update_params import RefundUpdateParams
from stripe.params._webhook_endpoint_create_params import WebhookEndpointCreateParams
from stripe.params._webhook_endpoint_delete_params import WebhookEndpointDeleteParams
from stripe.params._webhook_endpoint_list_params import WebhookEndpointListParams
from stripe.params._webhook_endpoint_retrieve_params import WebhookEndpointRetrieveParams
from stripe.params._webhook_endpoint_update_params import WebhookEndpointUpdateParams
from stripe.params.radar._early_fraud_warning_list_params import EarlyFraudWarningListParams
from stripe.params.radar._early_fraud_warning_retrieve_params import (
    EarlyFraudWarningRetrieveParams,
)

from wattledger.sandbox import webhooks
from wattledger.sandbox.balance import Balance
from wattledger.sandbox.disputes import Disputes
from wattledger.sandbox.listed import Row, newest, one
from wattledger.sandbox.payouts import Payouts
from wattledger.sandbox.refunds import Refunds
from wattledger.sandbox.webhooks import Endpoints


@dataclass(frozen=True, slots=True)
class Money:
    """The parts of the account that move its money or tell of it."""

    balance: Balance
    refunds: Refunds
    disputes: Disputes
    payouts: Payouts
    endpoints: Endpoints


def table(money: Money) -> list[Row]:
    """What we stand in for."""
    return [*_charges(money), *_disputes(money), *_account(money), *_events(money.endpoints)]


def _charges(money: Money) -> list[Row]:
    refunds = money.refunds
    return [
        ("GET", "charges", ChargeListParams, newest("charge", "charges")),
        ("GET", "charges/{id}", ChargeRetrieveParams, one("charge")),
        ("POST", "refunds", RefundCreateParams, refunds.create),
        ("GET", "refunds", RefundListParams, newest("refund", "refunds")),
        ("GET", "refunds/{id}", RefundRetrieveParams, one("refund")),
        ("POST", "refunds/{id}", RefundUpdateParams, refunds.update),
        ("POST", "refunds/{id}/cancel", RefundCancelParams, refunds.cancel),
    ]


def _disputes(money: Money) -> list[Row]:
    disputes = money.disputes
    warnings, kind = "radar/early_fraud_warnings", "radar.early_fraud_warning"
    return [
        ("GET", "disputes", DisputeListParams, newest("dispute", "disputes")),
        ("GET", "disputes/{id}", DisputeRetrieveParams, one("dispute")),
        ("POST", "disputes/{id}", DisputeUpdateParams, disputes.update),
        ("POST", "disputes/{id}/close", DisputeCloseParams, disputes.accept),
        ("GET", warnings, EarlyFraudWarningListParams, newest(kind, warnings)),
        ("GET", f"{warnings}/{{id}}", EarlyFraudWarningRetrieveParams, one(kind)),
    ]


def _account(money: Money) -> list[Row]:
    payouts, entries = money.payouts, "balance_transactions"
    return [
        ("GET", "balance", BalanceRetrieveParams, money.balance.retrieve),
        ("GET", entries, BalanceTransactionListParams, payouts.list_transactions),
        (
            "GET",
            f"{entries}/{{id}}",
            BalanceTransactionRetrieveParams,
            one("balance_transaction"),
        ),
        ("POST", "payouts", PayoutCreateParams, payouts.create),
        ("GET", "payouts", PayoutListParams, newest("payout", "payouts")),
        ("GET", "payouts/{id}", PayoutRetrieveParams, one("payout")),
        ("POST", "payouts/{id}/cancel", PayoutCancelParams, payouts.cancel),
    ]


def _events(endpoints: Endpoints) -> list[Row]:
    url, kind = "webhook_endpoints", "webhook_endpoint"
    return [
        ("GET", "events", EventListParams, webhooks.list_events),
        ("GET", "events/{id}", EventRetrieveParams, webhooks.retrieve_event),
        ("POST", url, WebhookEndpointCreateParams, endpoints.create),
        ("GET", url, WebhookEndpointListParams, newest(kind, url)),
        ("GET", f"{url}/{{id}}", WebhookEndpointRetrieveParams, one(kind)),
        ("POST", f"{url}/{{id}}", WebhookEndpointUpdateParams, endpoints.update),
        ("DELETE", f"{url}/{{id}}", WebhookEndpointDeleteParams, endpoints.delete),
    ]
