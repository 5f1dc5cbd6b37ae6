"""How a session was settled: cards, second charges, refunds, debts, and who else has paid."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import msgspec

from wattledger.receipts.model import Paid

Row = dict[str, Any]
_LEGS = {
    "hold": "",
    "second": "above what was reserved",
    "more": "charged after the bill was corrected",
    "debt": "what was still owed",
}
_PARTS = {
    "invoiced": ("On the account’s invoice", True),
    "external": ("Paid elsewhere", True),
    "wallet": ("From the prepaid balance", True),
    "roaming": ("By the roaming partner", True),
    "waived": ("Waived", True),
    "debt": ("Still to be paid", False),
    "pending": ("Being charged to the card", False),
}
_BRANDS = {
    "visa": "Visa", "mastercard": "Mastercard", "amex": "American Express", "discover": "Discover",
    "diners": "Diners Club", "jcb": "JCB", "unionpay": "UnionPay", "girocard": "girocard",
    "cartes_bancaires": "Cartes Bancaires", "eftpos_au": "eftpos", "interac": "Interac",
}  # fmt: skip
_WALLETS = {
    "apple_pay": "Apple Pay", "google_pay": "Google Pay", "samsung_pay": "Samsung Pay",
    "link": "Link",
}  # fmt: skip
_REFUNDS = {
    "done": ("Refunded", True), "sent": ("Refund on its way", True),
    "sending": ("Refund on its way", True), "waiting": ("To be refunded", False),
    "failed": ("A refund failed", False), "otherwise": ("Given back another way", True),
}  # fmt: skip


class Settling(msgspec.Struct, frozen=True):
    """What is stored of how a session's money came, and of what went back."""

    payments: list[Row] = []
    refunds: list[Row] = []
    """``payment_refund``"""
    parts: list[Row] = []
    """``collection``, of all documents."""
    external: Row | None = None
    terminal: Row | None = None
    """A payment at a terminal that a vendor has taken."""
    taken_at: dict[str, datetime] = {}
    """When each payment was captured, where that is known."""


def paid(found: Settling, charged_minor: int) -> tuple[Paid, ...]:
    """One line each. What they come to is what all documents come to: settled or still open."""
    rows = [_taken(found, row) for row in found.payments if row["captured_minor"]]
    rows += [_back(row) for row in found.refunds if row["state"] in _REFUNDS
             and row["state"] != "failed"]  # fmt: skip
    failed = [row for row in found.refunds if row["state"] == "failed"]
    by_state: Counter[str] = Counter()
    for part in found.parts:
        by_state[part["state"]] += part["amount_minor"]
    for state, (what, settled) in _PARTS.items():
        if by_state[state] and state == "external":
            rows.append(_elsewhere(found, by_state[state]))
        elif by_state[state]:
            rows.append(Paid(what, by_state[state], settled=settled))
    rest_minor = charged_minor - sum(row.amount_minor for row in rows)
    if rest_minor:
        what = "Still to be refunded" if rest_minor < 0 else "Still to be paid"
        note = "a refund failed; we try another way" if failed and rest_minor < 0 else ""
        rows.append(Paid(what, rest_minor, None, note, settled=False))
    return tuple(rows)


def method(row: Row) -> str:
    """``Visa •••• 4242``, ``Apple Pay, Visa •••• 4242``"""
    brand = _BRANDS.get(row["brand"] or "", (row["brand"] or "Card").replace("_", " ").capitalize())
    text = f"{brand} •••• {row['last4']}" if row["last4"] else brand
    wallet = row["wallet"]
    return f"{_WALLETS.get(wallet, wallet.replace('_', ' '))}, {text}" if wallet else text


def _taken(found: Settling, row: Row) -> Paid:
    return Paid(method(row), row["captured_minor"], found.taken_at.get(row["id"]),
                _LEGS.get(row["leg"], ""))  # fmt: skip


def _elsewhere(found: Settling, amount_minor: int) -> Paid:
    """By somebody else: with the card, where it was at a terminal."""
    if found.terminal is not None:
        card = method({**found.terminal, "wallet": None})
        note = f"at the terminal, {found.terminal['reference']}"
        return Paid(card, amount_minor, found.terminal["settled_at"], note)
    note = str(found.external["reference"]) if found.external else ""
    return Paid(_PARTS["external"][0], amount_minor, None, note)


def _back(row: Row) -> Paid:
    what, settled = _REFUNDS[row["state"]]
    note = "while the card’s bank looks at a dispute" if row["why"] == "dispute_open" else ""
    return Paid(what, -row["amount_minor"], row["settled_at"], note, settled)
