"""Telling the books: signed webhooks as effects, written in the step that they tell of."""

from __future__ import annotations

from datetime import date
from typing import Any

from wattledger.accounting.model import Target
from wattledger.clock import utc_text
from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.ledger.entries import Entry
from wattledger.rating.model import Charge, TaxAmount
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
        "net_minor": charge.net_minor,
        "tax_minor": charge.tax_minor,
        "total_minor": charge.total_minor,
        "taxes": [_tax(tax) for tax in charge.taxes],
        "lines": [{"text": line.text, "net_minor": line.net_minor} for line in charge.lines],
        "journal": journal(entry),
    }
    await _to_targets(tx, snapshot, row.contract.entity_id, row.id, "session.billed", data)


async def session_free(
    tx: Transaction, snapshot: Snapshot, row: SessionRow, charge: Charge
) -> None:
    """``session.free``: ended, and nothing is charged."""
    data = _session(row, charge) | {"reason": charge.free_reason or str(row.contract.route)}
    await _to_targets(tx, snapshot, row.contract.entity_id, row.id, "session.free", data)


async def payout_paid(
    tx: Transaction, snapshot: Snapshot, entity_id: str, payout: dict[str, Any], entry: Entry | None
) -> None:
    """``payout.paid``: the processor says that the money is at the bank."""
    data = {
        "payout_id": payout["id"],
        "currency": payout["currency"],
        "amount_minor": payout["amount_minor"],
        "arrival_date": payout["arrival_date"],
        "journal": journal(entry),
    }
    await _to_targets(tx, snapshot, entity_id, payout["id"], "payout.paid", data)


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


def _session(row: SessionRow, charge: Charge) -> dict[str, Any]:
    return {
        "session_id": row.id,
        "entity_id": row.contract.entity_id,
        "site_id": row.contract.site_id,
        "charge_point_id": row.charge_point_id,
        "account_id": row.contract.account_id,
        "route": row.contract.route.value,
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
) -> None:
    for target in snapshot.all("target", Target):
        if target.entity != entity_id:
            continue  # one entity's books never hear of another's
        await effects.add(
            tx.conn,
            kind="webhook.deliver",
            subject=target.id,
            lane=f"hook:{target.id}:{subject}",
            key=f"{target.id}:{subject}:{kind}",
            request={"type": kind, "timestamp": utc_text(tx.now), "data": data},
            due_at=tx.now,
            caused_at=tx.now,
        )
