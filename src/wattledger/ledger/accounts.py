"""The accounts of a legal entity, and what kind each is."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Our own account codes; an operator's chart of accounts is mapped onto them later."""

    RECEIVABLE_DRIVER = "receivable.driver"
    """Owed by card drivers between booking and the processor's own line."""
    RECEIVABLE_ACCOUNT = "receivable.account"
    """Owed by invoiced accounts."""
    RECEIVABLE_EXTERNAL = "receivable.external"
    """Held by whoever else took the money."""
    RECEIVABLE_DEBT = "receivable.debt"
    """Owed by drivers whose payment failed."""
    PAYABLE_DRIVER = "payable.driver"
    """Owed to drivers: what a card paid beyond what the adjusted session costs."""
    RECEIVABLE_DISPUTE = "receivable.dispute"
    """Withdrawn by the processor for a dispute that is not decided yet."""
    PAYABLE_WALLET = "payable.wallet"
    """Prepaid by accounts, and not used up yet."""
    PAYABLE_UNAPPLIED = "payable.unapplied"
    """Taken at terminals for sessions that nobody knows, and kept: whoever paid may still ask."""
    CLEARING_STRIPE = "clearing.stripe"
    """The processor's balance, as its balance transactions say."""
    RESERVED_STRIPE = "reserved.stripe"
    """Kept back by the processor for a while; still ours."""
    PAYOUTS_IN_TRANSIT = "payouts.in_transit"
    BANK = "bank"
    REVENUE_ENERGY = "revenue.energy"
    REVENUE_TIME = "revenue.time"
    REVENUE_IDLE = "revenue.idle"
    REVENUE_FEE = "revenue.fee"
    TAX_SALES = "tax.sales"
    EXPENSE_PROCESSING = "expense.processing"
    EXPENSE_WAIVED = "expense.waived"
    EXPENSE_GOODWILL = "expense.goodwill"
    """Given back to drivers although it was owed."""
    EXPENSE_DISPUTES = "expense.disputes"
    """Lost in disputes."""
    SUSPENSE = "suspense.processor"
    """Lines of the processor that we know no reason for: shown as breaks."""
    SUSPENSE_REFUNDS = "suspense.refunds"
    """Given back to drivers by hand, past the processor: the operator's books say from where."""


def kind(code: Code) -> str:
    """asset, liability, revenue or expense."""
    head = code.value.split(".", maxsplit=1)[0]
    return {
        "revenue": "revenue",
        "tax": "liability",
        "payable": "liability",
        "expense": "expense",
    }.get(head, "asset")
