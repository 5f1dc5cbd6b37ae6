"""A driver is told before a card is charged for what late data add."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.ids import derive
from wattledger.money import format_minor
from wattledger.pipeline import tell as books
from wattledger.receipts.settings import MAIL, MailSettings
from wattledger.sessions.store import SessionRow


async def tell(
    tx: Transaction, snapshot: Snapshot, row: SessionRow, amount_minor: int, due_at: datetime
) -> None:
    """The webhook ``charge.notice``, and a mail where the contract has an address."""
    await books.charge_notice(tx, snapshot, row, amount_minor, due_at)
    contract = row.contract
    if contract.email is None or snapshot.get(MAIL, MAIL, MailSettings) is None:
        return
    amount = format_minor(amount_minor, contract.currency)
    local = due_at.astimezone(ZoneInfo(contract.time_zone))
    started = row.started_at.astimezone(ZoneInfo(contract.time_zone))
    key = f"{row.id}:charge_notice:{due_at.isoformat()}"
    await effects.add(
        tx.conn, kind="mail.send", subject=row.id, lane=f"mail:{row.id}", key=key,
        request={
            "to": contract.email,
            "subject": f"{amount} more for your charging session",
            "text": (
                f"The charge point of your session of {started:%Y-%m-%d %H:%M} told us of more"
                f" energy after you had been billed.\n\nYour card will be charged {amount} more on"
                f" {local:%Y-%m-%d} at {local:%H:%M}. The new bill of the session replaces the one"
                f" that you have.\n\nIf that is not right, answer this mail before then.\n"
            ),
            "message_id": derive("mail", key),
        },
        due_at=tx.now, caused_at=tx.now,
    )  # fmt: skip
