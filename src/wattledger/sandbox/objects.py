"""How the objects of the money side look when they are new."""

from __future__ import annotations

from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj


def entry_object(
    store: Store,
    source: Obj,
    *,
    amount_minor: int,
    fee: int,
    kind: str,
    category: str,
    description: str | None,
    fee_name: str = "Stripe processing fees",
) -> Obj:
    """A balance transaction, available at once."""
    detail = {
        "amount": fee,
        "application": None,
        "currency": source["currency"],
        "description": fee_name,
        "type": "stripe_fee",
    }
    return {
        "id": store.new_id("txn"),
        "object": "balance_transaction",
        "amount": amount_minor,
        "available_on": store.now_s,
        "balance_type": "payments",
        "created": store.now_s,
        "currency": source["currency"],
        "description": description,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [detail] if fee else [],
        "net": amount_minor - fee,
        "reporting_category": category,
        "source": source.get("id"),
        "status": "available",
        "type": kind,
    }


def refund_object(
    store: Store, charge: Obj, amount_minor: int, reason: str | None, metadata: Obj
) -> Obj:
    """A refund that succeeded; its balance transaction is still to be named."""
    card = {
        "reference_status": "pending",
        "reference_type": "acquirer_reference_number",
        "type": "refund",
    }
    return {
        "id": store.new_id("re"),
        "object": "refund",
        "amount": amount_minor,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": store.now_s,
        "currency": charge["currency"],
        "destination_details": {"card": card, "type": "card"},
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def payout_object(store: Store, amount_minor: int, currency: str, arrival_s: int) -> Obj:
    """An automatic payout on its way."""
    return {
        "id": store.new_id("po"),
        "object": "payout",
        "amount": amount_minor,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": arrival_s,
        "automatic": True,
        "balance_transaction": None,
        "created": store.now_s,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": "ba_sbx_000001",
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "in_progress",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "in_transit",
        "trace_id": None,
        "type": "bank_account",
    }


_EVIDENCE = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)
_NETWORK_CODES = {
    "fraudulent": "10.4",
    "unrecognized": "10.4",
    "duplicate": "12.6",
    "product_not_received": "13.1",
    "subscription_canceled": "13.2",
    "product_unacceptable": "13.3",
    "credit_not_processed": "13.6",
}


def dispute_object(
    store: Store, charge: Obj, *, reason: str, amount_minor: int, inquiry: bool, due_s: int
) -> Obj:
    """A dispute, or the inquiry that may become one; nothing is withdrawn yet."""
    details = charge["payment_method_details"]
    brand = details[details["type"]]["brand"]
    network_code = _NETWORK_CODES.get(reason)
    if inquiry and network_code:
        network_code = network_code.partition(".")[0]
    return {
        "id": store.new_id("du"),
        "object": "dispute",
        "amount": amount_minor,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": store.now_s,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(_EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": due_s,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": brand,
                "case_type": "inquiry" if inquiry else "chargeback",
                "network": brand,
                "network_reason_code": network_code,
            },
            "type": "card",
        },
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }
