"""What the API says since 2024-04-10, the version of the pinned document.

Each stands here with the reason why an answer of the sandbox has it, and is looked up in the
``stripe`` package that is installed (``test_stripe_answers.py``), save the previews, which are
no part of it yet.
"""

from __future__ import annotations

_TYPES = "the types are allowed by the request, the compatible ones answered"
_EXCLUDED = "payment methods can be excluded one by one"
_REGULATED = "the issuer's regulation decides the interchange fee"
_CODES = "what the network advises, and its own code of the decline"
_TAX_ID = "asked for in Brazil, null elsewhere"
_LEGACY = "a legacy field, null: the document leaves it out, the SDK has it"
_AT_READER = "more of what a reader sees of a card; null"
_NETWORK_ID = "the network's name of the transaction"
_PREVIEW = "preview: partial authorization"
_UNATTENDED = "preview: readers that nobody stands beside; answered where it was asked for"

# By schema of the document: the class of the SDK, and the fields that the schema has not.
LATER_FIELDS: dict[str, tuple[str, dict[str, str]]] = {
    "payment_intent": (
        "PaymentIntent",
        {
            "allowed_payment_method_types": _TYPES,
            "excluded_payment_method_types": _EXCLUDED,
            "source": _LEGACY,
        },
    ),
    "charge": ("Charge", {"source": _LEGACY}),
    "terminal.location": (
        "terminal.Location",
        {"attended_type": _UNATTENDED, "unattended": _UNATTENDED},
    ),
    "terminal.reader": (
        "terminal.Reader",
        {"last_seen_at": "when the reader was last heard of, in milliseconds"},
    ),
    "terminal_reader_reader_resource_reader_action": (
        "terminal.Reader.Action",
        {"api_error": "the error of the API behind a failed action"},
    ),
    "payout": (
        "Payout",
        {
            "payout_method": "the account paid out to, by its new name; null",
            "trace_id": "how the bank can find it",
        },
    ),
    "refund": ("Refund", {"pending_reason": "why a refund still waits"}),
    "setup_intent": (
        "SetupIntent",
        {
            "allowed_payment_method_types": _TYPES,
            "excluded_payment_method_types": _EXCLUDED,
        },
    ),
    "billing_details": ("PaymentMethod.BillingDetails", {"tax_id": _TAX_ID}),
    "payment_method_card": ("PaymentMethod.Card", {"regulated_status": _REGULATED}),
    "payment_method_details_card": (
        "Charge.PaymentMethodDetails.Card",
        {
            "authorization_code": "the issuer's code of the approval",
            "network_transaction_id": _NETWORK_ID,
            "regulated_status": _REGULATED,
            "amount_requested": _PREVIEW,
            "partial_authorization": _PREVIEW,
        },
    ),
    "payment_method_details_card_present": (
        "Charge.PaymentMethodDetails.CardPresent",
        {
            "brand_product": _AT_READER,
            "iin": _AT_READER,
            "issuer": _AT_READER,
            "location": "where the reader stands: joins the payment to its site",
            "network_transaction_id": _NETWORK_ID,
            "reader": "the reader: joins the payment to its charger",
            "wallet": "a phone was held to the reader: no reusable card comes of it",
        },
    ),
    "payment_method_details_card_present_offline": (
        "Charge.PaymentMethodDetails.CardPresent.Offline",
        {"type": "how an offline payment was kept; there are none that a server drives"},
    ),
    "payment_method_card_present": (
        "PaymentMethod.CardPresent",
        {
            "brand_product": _AT_READER,
            "issuer": _AT_READER,
            "offline": "null parts: none that a server drives",
            "wallet": "a phone was held to the reader",
        },
    ),
    "payment_intent_payment_method_options_card": (
        "PaymentIntent.PaymentMethodOptions.Card",
        {"request_partial_authorization": _PREVIEW},
    ),
    "charge_outcome": (
        "Charge.Outcome",
        {
            "advice_code": _CODES,
            "network_advice_code": _CODES,
            "network_decline_code": _CODES,
        },
    ),
    "balance_transaction": (
        "BalanceTransaction",
        {"balance_type": "which of the balances it is about"},
    ),
    "dispute": (
        "Dispute",
        {"enhanced_eligibility_types": "what evidence of more weight fits"},
    ),
    "dispute_evidence": (
        "Dispute.Evidence",
        {"enhanced_evidence": "evidence in the network's own form"},
    ),
    "dispute_evidence_details": (
        "Dispute.EvidenceDetails",
        {
            "enhanced_eligibility": "what the network still asks for it",
            "submission_method": "who sent the evidence",
        },
    ),
    "dispute_payment_method_details_card": (
        "Dispute.PaymentMethodDetails.Card",
        {
            "case_type": "an inquiry or a chargeback",
            "network": "the network that carried the payment",
        },
    ),
}
# By schema and field: the values it has not.
LATER_VALUES: dict[tuple[str, str], dict[str, str]] = {
    ("terminal.reader", "device_type"): {
        "simulated_stripe_s700": "2024-06-20: a reader simulated like the S700",
        "simulated_verifone_ux700": "2026-05-27: a reader simulated like the unattended UX700",
    },
}
# Operations that it has not.
LATER_PATHS: dict[tuple[str, str], str] = {}
