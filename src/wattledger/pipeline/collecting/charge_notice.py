"""A driver is told before a card is charged for what late data add."""

from __future__ import annotations

from datetime import datetime

from wattledger.contract import Contract
from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.ids import derive
from wattledger.pipeline import tell as books
from wattledger.receipts.settings import MAIL, MailSettings
from wattledger.receipts.words import DEFAULT, Words, words
from wattledger.sessions.store import SessionRow


async def tell(
    tx: Transaction, snapshot: Snapshot, row: SessionRow, amount_minor: int, due_at: datetime
) -> None:
    """The webhook ``charge.notice``, and a mail where the contract has an address."""
    await books.charge_notice(tx, snapshot, row, amount_minor, due_at)
    contract = row.contract
    if contract.email is None or snapshot.get(MAIL, MAIL, MailSettings) is None:
        return
    w = _words(snapshot, contract)
    amount = w.amount(amount_minor, contract.currency)
    started = w.moment(row.started_at, contract.time_zone)
    due = w.moment(due_at, contract.time_zone)
    said = (
        w.say("notice_why", started=started), w.say("notice_what", amount=amount, due=due),
        w.say("notice_else"),
    )  # fmt: skip
    key = f"{row.id}:charge_notice:{due_at.isoformat()}"
    await effects.add(
        tx.conn, kind="mail.send", subject=row.id, lane=f"mail:{row.id}", key=key,
        request={
            "to": contract.email,
            "subject": w.say("notice", amount=amount),
            "text": "\n\n".join(said) + "\n",
            "message_id": derive("mail", key),
        },
        due_at=tx.now, caused_at=tx.now,
    )  # fmt: skip


def _words(snapshot: Snapshot, contract: Contract) -> Words:
    """The language of the receipts of that place."""
    site, entity = snapshot.site(contract.site_id), snapshot.entity(contract.entity_id)
    return words((site and site.language) or (entity and entity.language) or DEFAULT)
