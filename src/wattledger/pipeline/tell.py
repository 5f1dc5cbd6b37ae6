"""Telling the books: signed webhooks as effects, written in the step that they tell of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from wattledger.accounting.model import Target
from wattledger.clock import utc_text
from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.ledger.entries import Entry
from wattledger.payments.returns_store import Dispute, PaymentRefund, Refund
from wattledger.rating import Charge, Credit, TaxAmount
from wattledger.sessions.store import SessionRow


async def session_billed(
    tx: Transaction,
    snapshot: Snapshot,
    row: SessionRow,
    charge: Charge,
    charge_id: str,
    entity_date: date,
    entry: Entry | None,
) -> None:
    """``session.billed``: the charge with its lines and the journal that booked it."""
    data = _session(row, charge) | {
        "charge_id": charge_id,
        "entity_date": entity_date.isoformat(),
        **_amounts(charge),
        "journal": journal(entry),
    }
    await _to_targets(tx, snapshot, row.contract.entity_id, row.id, "session.billed", data)


class Issued(msgspec.Struct, frozen=True):
    """A document of an adjustment, with the entry that booked it. ``reverses`` is the charge that
    a credit takes back."""

    id: str
    kind: str
    revision: int
    reason: str
    entity_date: date
    figures: Charge | Credit
    entry: Entry | None
    reverses: str | None = None


async def session_adjusted(
    tx: Transaction,
    snapshot: Snapshot,
    row: SessionRow,
    charge: Charge,
    issued: Sequence[Issued],
) -> None:
    """``session.adjusted``: the credit and the new charge, each with its lines and journal, and by
    how much all of it changes what the session costs."""
    data = _session(row, charge) | {
        "change": {
            name: sum(getattr(document.figures, name) for document in issued)
            for name in ("net_minor", "tax_minor", "total_minor", "energy_wh")
        },
        "documents": [_document(document) for document in issued],
    }
    await _to_targets(tx, snapshot, row.contract.entity_id, row.id, "session.adjusted", data,
                      f":{issued[-1].revision}")  # fmt: skip


async def session_refunded(
    tx: Transaction,
    snapshot: Snapshot,
    row: SessionRow,
    charge: Charge,
    issued: Sequence[Issued],
    refund: Refund,
) -> None:
    """``session.refunded``: as ``session.adjusted``, with who gave back what, and why. Where all of
    it was given back there is a credit alone."""
    data = _session(row, charge) | {
        "refund": {
            "refund_id": refund.id,
            "kind": refund.kind,
            "scope": refund.scope,
            "amount_minor": refund.amount_minor,
            "reason": refund.reason,
        },
        "change": {
            name: sum(getattr(document.figures, name) for document in issued)
            for name in ("net_minor", "tax_minor", "total_minor", "energy_wh")
        },
        "documents": [_document(document) for document in issued],
    }
    await _to_targets(tx, snapshot, row.contract.entity_id, row.id, "session.refunded", data,
                      f":{issued[-1].revision}")  # fmt: skip


async def money_back(
    tx: Transaction,
    snapshot: Snapshot,
    kind: str,
    row: PaymentRefund,
    entry: Entry | None,
    why: str | None = None,
    which: str = "",
) -> None:
    """``refund.paid`` once the processor's own line books it, ``refund.returned`` when that is
    taken back, ``refund.failed`` as soon as it is known."""
    data = {
        "entity_id": row.entity_id,
        "payment_refund_id": row.id,
        "payment_id": row.payment_id,
        "refund_id": row.refund_id,
        "cause": row.cause,
        "currency": row.currency,
        "amount_minor": row.amount_minor,
        "why": why,
        "journal": journal(entry),
    }
    await _to_targets(tx, snapshot, row.entity_id, row.id, kind, data, which)


async def disputed(
    tx: Transaction,
    snapshot: Snapshot,
    kind: str,
    row: Dispute,
    entry: Entry | None = None,
    which: str = "",
) -> None:
    """``dispute.opened``, ``.updated`` and ``.closed`` as the processor says; ``.withdrawn``,
    ``.reinstated`` and ``.lost`` with the journals of its lines."""
    data = {
        "entity_id": row.entity_id,
        "dispute_id": row.id,
        "payment_id": row.payment_id,
        "session_id": row.session_id,
        "currency": row.currency,
        "amount_minor": row.amount_minor,
        "reason": row.reason,
        "status": row.status,
        "inquiry": row.inquiry,
        "evidence_due_at": utc_text(row.evidence_due_at) if row.evidence_due_at else None,
        "journal": journal(entry),
    }
    await _to_targets(tx, snapshot, row.entity_id, row.id, kind, data, which)


async def charge_notice(
    tx: Transaction, snapshot: Snapshot, row: SessionRow, amount_minor: int, due_at: datetime
) -> None:
    """``charge.notice``: late data made the session dearer, and its card is charged then."""
    data = _place(row) | {
        "currency": row.contract.currency,
        "amount_minor": amount_minor,
        "charged_at": utc_text(due_at),
        "email": row.contract.email,
    }
    await _to_targets(tx, snapshot, row.contract.entity_id, row.id, "charge.notice", data,
                      f":{utc_text(due_at)}")  # fmt: skip


def _document(issued: Issued) -> dict[str, Any]:
    return {
        "charge_id": issued.id,
        "kind": issued.kind,
        "reverses": issued.reverses,
        "reason": issued.reason,
        "entity_date": issued.entity_date.isoformat(),
        "energy_wh": issued.figures.energy_wh,
        **_amounts(issued.figures),
        "journal": journal(issued.entry),
    }


def _amounts(figures: Charge | Credit) -> dict[str, Any]:
    return {
        "net_minor": figures.net_minor,
        "tax_minor": figures.tax_minor,
        "total_minor": figures.total_minor,
        "taxes": [_tax(tax) for tax in figures.taxes],
        "lines": [{"text": line.text, "net_minor": line.net_minor} for line in figures.lines],
    }


async def session_free(
    tx: Transaction, snapshot: Snapshot, row: SessionRow, charge: Charge
) -> None:
    """``session.free``: ended, and nothing is charged."""
    data = _session(row, charge) | {"reason": charge.free_reason or str(row.contract.route)}
    await _to_targets(tx, snapshot, row.contract.entity_id, row.id, "session.free", data)


async def session_discarded(
    tx: Transaction,
    snapshot: Snapshot,
    row: SessionRow,
    ended_at: datetime,
    energy_wh: int,
    kind: str,
) -> None:
    """``session.free`` of a session that was held: somebody decided that nobody is billed."""
    data = _place(row) | {
        "currency": row.contract.currency,
        "energy_wh": energy_wh,
        "started_at": utc_text(row.started_at),
        "ended_at": utc_text(ended_at),
        "reason": f"discarded: {kind.replace('_', ' ')}",
    }
    await _to_targets(tx, snapshot, row.contract.entity_id, row.id, "session.free", data)


async def charging_ended(
    tx: Transaction, snapshot: Snapshot, row: SessionRow, data: dict[str, Any], which: str
) -> None:
    """``session.charging_ended``: the car is idle, and from when on that costs how much."""
    data = _place(row) | data
    await _to_targets(
        tx, snapshot, row.contract.entity_id, row.id, "session.charging_ended", data, which
    )


async def payout_paid(
    tx: Transaction, snapshot: Snapshot, entity_id: str, payout: dict[str, Any], entry: Entry | None
) -> None:
    """``payout.paid``: the processor says that the money is at the bank. Below zero it took it from
    there."""
    await _payout(tx, snapshot, entity_id, payout, entry, "payout.paid")


async def payout_failed(
    tx: Transaction, snapshot: Snapshot, entity_id: str, payout: dict[str, Any], entry: Entry | None
) -> None:
    """``payout.failed``: what was told as paid is not at the bank after all."""
    await _payout(tx, snapshot, entity_id, payout, entry, "payout.failed")


async def _payout(
    tx: Transaction,
    snapshot: Snapshot,
    entity_id: str,
    payout: dict[str, Any],
    entry: Entry | None,
    kind: str,
) -> None:
    data = {
        "payout_id": payout["id"],
        "currency": payout["currency"],
        "amount_minor": payout["amount_minor"],
        "arrival_date": payout["arrival_date"],
        "journal": journal(entry),
    }
    await _to_targets(tx, snapshot, entity_id, payout["id"], kind, data)


def journal(entry: Entry | None) -> list[dict[str, Any]]:
    """An entry as the books read it."""
    return [
        {"debit": p.debit.value, "credit": p.credit.value, "amount_minor": p.amount_minor}
        for p in (entry.postings if entry else ())
    ]


def _tax(tax: TaxAmount) -> dict[str, Any]:
    return {
        "name": tax.name,
        "percent": tax.percent,
        "tax_minor": tax.tax_minor,
        "exempt": tax.exempt,
    }


def _place(row: SessionRow) -> dict[str, Any]:
    return {
        "session_id": row.id,
        "entity_id": row.contract.entity_id,
        "site_id": row.contract.site_id,
        "charge_point_id": row.charge_point_id,
        "account_id": row.contract.account_id,
        "route": row.contract.route.value,
    }


def _session(row: SessionRow, charge: Charge) -> dict[str, Any]:
    return {
        **_place(row),
        "currency": charge.currency,
        "energy_wh": charge.energy_wh,
        "started_at": utc_text(charge.started_at),
        "ended_at": utc_text(charge.ended_at),
    }


async def _to_targets(
    tx: Transaction,
    snapshot: Snapshot,
    entity_id: str,
    subject: str,
    kind: str,
    data: dict[str, Any],
    which: str = "",
) -> None:
    """``which`` tells one message of a kind about ``subject`` from another."""
    for target in snapshot.all("target", Target):
        if target.entity != entity_id:
            continue  # one entity's books never hear of another's
        await effects.add(
            tx.conn,
            kind="webhook.deliver",
            subject=target.id,
            lane=f"hook:{target.id}:{subject}",
            key=f"{target.id}:{subject}:{kind}{which}",
            request={"type": kind, "timestamp": utc_text(tx.now), "data": data},
            due_at=tx.now,
            caused_at=tx.now,
        )
