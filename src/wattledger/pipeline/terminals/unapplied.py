"""What a vendor has taken at a terminal for no session that we know, and a person keeps: the vendor
will pay it out to us, and whoever paid may still ask. So it is in our books, apart."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.payments.terminal.store import TerminalPayment


async def book(tx: Transaction, snapshot: Snapshot, payment: TerminalPayment) -> None:
    """It is kept, and settled: Dr receivable.external / Cr payable.unapplied."""
    entry = entries.kept(
        payment.entity_id, payment.id, _today(tx, snapshot, payment), payment.currency,
        payment.settled_minor or 0,
    )  # fmt: skip
    await ledger.book(tx.conn, entry, tx.now)


async def unbook(tx: Transaction, snapshot: Snapshot, payment: TerminalPayment) -> None:
    """It is kept no more: its session was found, or it went back."""
    if payment.state != "kept":
        return
    entry = entries.unkept(
        payment.entity_id, payment.id, _today(tx, snapshot, payment), payment.currency,
        payment.settled_minor or 0,
    )  # fmt: skip
    await ledger.book(tx.conn, entry, tx.now)


def _today(tx: Transaction, snapshot: Snapshot, payment: TerminalPayment) -> date:
    entity = snapshot.entity(payment.entity_id)
    return tx.now.astimezone(ZoneInfo(entity.time_zone if entity else "UTC")).date()
