"""Disputes and the early fraud warnings that may come before them.

A chargeback takes the money at once, with a fee; an inquiry moves none, unless it escalates.
Evidence is sent once and decides nothing: the network does, told by ``/_sim`` or by the texts
that Stripe's test mode knows. Who lets the time for it pass has lost.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from wattledger.sandbox import files, objects
from wattledger.sandbox.balance import Balance, card_behind
from wattledger.sandbox.refunds import Refunds
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, invalid, merged

FEE_MINOR = 1500
REASONS = frozenset(
    {
        "credit_not_processed",
        "duplicate",
        "fraudulent",
        "general",
        "noncompliant",
        "product_not_received",
        "product_unacceptable",
        "subscription_canceled",
        "unrecognized",
    }
)
FRAUD_TYPES = frozenset(
    {
        "card_never_received",
        "fraudulent_card_application",
        "made_with_counterfeit_card",
        "made_with_lost_card",
        "made_with_stolen_card",
        "misc",
        "unauthorized_use_of_card",
    }
)
_LETTERS_A_PAGE = 4_000
_PAGES_MAX = {"mastercard": 19}
_OTHER_PAGES_MAX = 50
_FILES = frozenset(
    {
        "cancellation_policy",
        "customer_communication",
        "customer_signature",
        "duplicate_charge_documentation",
        "receipt",
        "refund_policy",
        "service_documentation",
        "shipping_documentation",
        "uncategorized_file",
    }
)
_LONGEST_FIELD = 20_000
_LONGEST_EVIDENCE = 150_000
_DAY_S = 86_400
_INQUIRY_DAYS = 120
_CLOSED = frozenset({"won", "lost", "warning_closed"})


class Disputes:
    """``/v1/disputes``, ``/v1/radar/early_fraud_warnings`` and the networks behind them."""

    def __init__(self, balance: Balance, refunds: Refunds) -> None:
        self.store = balance.store
        self.balance = balance
        balance.captured.append(self._deeds)
        refunds.given_back.append(self._refunded)

    def _deeds(self, charge: Obj) -> None:
        """What the test card is there for, right after the request that captured it."""
        card = card_behind(self.store, charge)
        if card is None:
            return
        for reason in card.disputes:
            inquiry = reason == "inquiry"
            named = "fraudulent" if inquiry else reason
            self._soon(partial(self.open, charge, reason=named, inquiry=inquiry))
        if card.warns:
            self._soon(partial(self.warn, charge, "made_with_stolen_card"))

    def _soon(self, action: Callable[[], object]) -> None:
        def happen() -> None:
            action()

        self.store.schedule(self.store.now_s, happen)

    def warn(self, charge: Obj, fraud_type: str) -> Obj:
        """The issuer says the payment may be fraud."""
        warning = self.store.add(
            {
                "id": self.store.new_id("issfr"),
                "object": "radar.early_fraud_warning",
                "actionable": not (charge["refunded"] or charge["disputed"]),
                "charge": charge["id"],
                "created": self.store.now_s,
                "fraud_type": fraud_type,
                "livemode": False,
                "payment_intent": charge["payment_intent"],
            }
        )
        self.store.emit("radar.early_fraud_warning.created", warning)
        return warning

    def open(
        self,
        charge: Obj,
        *,
        reason: str,
        amount_minor: int | None = None,
        inquiry: bool = False,
        due_days: int | None = None,
    ) -> Obj:
        """The cardholder disputes what was captured, or less, or (with costs) more."""
        store = self.store
        if due_days is None:
            due_days = self.balance.habits.evidence_due_days
        due_s = (store.now_s // _DAY_S + due_days + 1) * _DAY_S - 1
        if amount_minor is None:
            amount_minor = charge["amount_captured"]
        dispute = store.add(
            objects.dispute_object(
                store,
                charge,
                reason=reason,
                amount_minor=amount_minor,
                inquiry=inquiry,
                due_s=due_s,
            )
        )
        charge["disputed"] = True
        store.emit("charge.dispute.created", dispute)
        self._calm(charge)
        if inquiry:
            ends_s = store.now_s + _INQUIRY_DAYS * _DAY_S
            store.schedule(ends_s, lambda: self._inquiry_ends(dispute))
        else:
            self._withdraw(dispute)
        store.schedule(due_s, lambda: self._due(dispute))
        return dispute

    def _withdraw(self, dispute: Obj) -> None:
        self._move(dispute, -dispute["amount"], FEE_MINOR, "dispute", "Chargeback withdrawal")
        self.store.emit("charge.dispute.funds_withdrawn", dispute)

    def _move(self, dispute: Obj, amount_minor: int, fee: int, category: str, text: str) -> None:
        entry = self.balance.book(
            dispute,
            amount_minor=amount_minor,
            fee=fee,
            kind="adjustment",
            category=category,
            description=f"{text} for {dispute['charge']}",
            fee_name="Dispute fee",
        )
        dispute["balance_transactions"].append(entry)

    def _inquiry_ends(self, dispute: Obj) -> None:
        if dispute["status"].startswith("warning_") and dispute["status"] not in _CLOSED:
            self._close(dispute, "warning_closed")

    def _due(self, dispute: Obj) -> None:
        """The last second for evidence: a chargeback without any is lost."""
        if not dispute["status"].endswith("needs_response"):
            return
        dispute["evidence_details"]["past_due"] = True
        if dispute["status"] == "needs_response":
            self._close(dispute, "lost")
        else:
            self.store.emit("charge.dispute.updated", dispute)

    def update(self, store: Store, path: Obj, p: Obj) -> Obj:
        """Stage evidence (``submit`` false), or send it: once, for good."""
        dispute = self._open_one(path["id"])
        evidence = dict(p.get("evidence") or {})
        sent = dispute["evidence_details"]["submission_count"] > 0
        if sent and (evidence or p.get("submit")):
            raise invalid("Evidence for this dispute has already been submitted.", "evidence")
        whole = {**dispute["evidence"], **evidence}
        _check_evidence(store, whole)
        _check_pages(store, dispute, whole)
        details = dispute["evidence_details"]
        if details["past_due"] and evidence:
            raise invalid("The time to submit evidence for this dispute has passed.", "evidence")
        enhanced = evidence.pop("enhanced_evidence", None) or {}
        dispute["evidence"] |= {name: value or None for name, value in evidence.items()}
        dispute["evidence"]["enhanced_evidence"] |= enhanced
        dispute["metadata"] = merged(dispute["metadata"], p.get("metadata"))
        details["has_evidence"] = any(dispute["evidence"].values())
        # Without a word about it evidence is sent; metadata alone sends nothing.
        if p.get("submit", bool(evidence or enhanced)):
            details |= {"submission_count": 1, "submission_method": "manual"}
            dispute["status"] = dispute["status"].replace("needs_response", "under_review")
            store.emit("charge.dispute.updated", dispute)
            self._magic(dispute)
        else:
            store.emit("charge.dispute.updated", dispute)
        return dispute

    def _magic(self, dispute: Obj) -> None:
        """The texts that decide in Stripe's test mode."""
        text = dispute["evidence"]["uncategorized_text"]
        inquiry = dispute["status"].startswith("warning_")
        if text == "escalate_inquiry_evidence" and inquiry:
            self.escalate(dispute)
        elif text in ("winning_evidence", "losing_evidence"):
            self.decide(dispute, won=text == "winning_evidence")

    def escalate(self, dispute: Obj) -> None:
        """The inquiry becomes a chargeback: the money goes, and evidence is asked for anew."""
        if not dispute["status"].startswith("warning_") or dispute["status"] in _CLOSED:
            raise invalid(f"Dispute {dispute['id']} is {dispute['status']}: no open inquiry.")
        details = dispute["evidence_details"]
        due_days = self.balance.habits.evidence_due_days
        due_s = (self.store.now_s // _DAY_S + due_days + 1) * _DAY_S - 1
        details |= {"due_by": due_s, "submission_count": 0, "past_due": False}
        details["submission_method"] = "not_submitted"
        dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
        dispute |= {"status": "needs_response", "is_charge_refundable": False}
        self.store.emit("charge.dispute.updated", dispute)
        self._withdraw(dispute)
        self.store.schedule(due_s, lambda: self._due(dispute))

    def decide(self, dispute: Obj, *, won: bool) -> None:
        """The network decides. Won: what was taken comes back, as in test mode with the fee."""
        if dispute["status"] in _CLOSED:
            raise invalid("This dispute is already closed")
        if dispute["status"].startswith("warning_"):
            self._close(dispute, "warning_closed")
            return
        if won:
            text = "Chargeback reversal"
            self._move(dispute, dispute["amount"], -FEE_MINOR, "dispute_reversal", text)
            dispute |= {"status": "won", "is_charge_refundable": True}
            self.store.emit("charge.dispute.funds_reinstated", dispute)
        self._close(dispute, "won" if won else "lost")

    def accept(self, store: Store, path: Obj, _: Obj) -> Obj:
        """POST /v1/disputes/{id}/close: there is nothing to say against it."""
        dispute = self._open_one(path["id"])
        self.decide(dispute, won=False)
        return dispute

    def _refunded(self, charge: Obj) -> None:
        """Given back whole, there is nothing left to ask or to warn of."""
        self._calm(charge)
        for dispute in self.store.tables["dispute"].values():
            if dispute["charge"] == charge["id"]:
                self._inquiry_ends(dispute)

    def _calm(self, charge: Obj) -> None:
        """Refunding can't prevent the dispute any more: the warning asks for nothing now."""
        for warning in self.store.tables["radar.early_fraud_warning"].values():
            if warning["charge"] == charge["id"] and warning["actionable"]:
                warning["actionable"] = False
                self.store.emit("radar.early_fraud_warning.updated", warning)

    def _close(self, dispute: Obj, status: str) -> None:
        dispute["status"] = status
        self.store.emit("charge.dispute.closed", dispute)

    def _open_one(self, dispute_id: str) -> Obj:
        dispute = self.store.get("dispute", dispute_id, "dispute")
        if dispute["status"] in _CLOSED:
            raise invalid("This dispute is already closed")
        return dispute


def _check_pages(store: Store, dispute: Obj, evidence: Obj) -> None:
    """Since 2026-09-30. How Stripe estimates the pages of a text it does not say."""
    brand = dispute["payment_method_details"]["card"]["brand"]
    most = _PAGES_MAX.get(brand, _OTHER_PAGES_MAX)
    letters = sum(len(v) for n, v in evidence.items() if isinstance(v, str) and n not in _FILES)
    pages = letters // _LETTERS_A_PAGE + sum(store.pages.get(evidence[n], 0) for n in _FILES)
    if pages > most:
        raise invalid(
            f"The evidence is {pages} pages long; {brand} takes {most} at most.",
            "evidence",
            "dispute_evidence_page_limit_exceeded",
        )


def _check_evidence(store: Store, evidence: Obj) -> None:
    texts = [value for value in evidence.values() if isinstance(value, str)]
    if sum(map(len, texts)) > _LONGEST_EVIDENCE:
        raise invalid(
            f"The combined character count of the evidence is above {_LONGEST_EVIDENCE}.",
            "evidence",
        )
    for name, value in evidence.items():
        if isinstance(value, str) and len(value) > _LONGEST_FIELD:
            raise invalid(
                f"Invalid string: must be at most {_LONGEST_FIELD} characters",
                f"evidence[{name}]",
            )
    for name in _FILES:
        value = evidence.get(name)
        if value:
            files.check(store, name, value)
