"""A session's documents, and the pair that follows when what it comes to changes: the credit of the
whole charge that stands, and a new charge. In late data (pipeline.adjust) and refunds alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime

import msgspec

from wattledger.db.work import Transaction
from wattledger.ids import derive
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.payments import plan
from wattledger.payments import store as payments
from wattledger.payments.store import Part
from wattledger.pipeline.billing import bill
from wattledger.pipeline.collecting import parts
from wattledger.pipeline.tell import Issued
from wattledger.rating import Charge, credit_of, decode, encode_credit
from wattledger.sessions.store import SessionRow

PartsOf = Callable[[list[Part]], Awaitable[list[Part]]]
"""The parts of the new charge, from those of the charge before it (none where none stood). Asked
once the credit is written: what that makes due back is there."""


class Document(msgspec.Struct, frozen=True):
    """A document of the session as it was issued."""

    id: str
    revision: int
    kind: str
    issued_at: datetime
    document: bytes
    document_digest: str


async def documents(tx: Transaction, row: SessionRow) -> list[Document]:
    """All of them, in order."""
    cursor = await tx.conn.execute(
        "SELECT id, revision, kind, issued_at, document, document_digest FROM charge"
        " WHERE session_id = %s ORDER BY revision",
        (row.id,),
    )
    return [
        Document(**{**found, "document": bytes(found["document"])})
        for found in await cursor.fetchall()
    ]


def standing_of(issued: list[Document]) -> Document | None:
    """The charge in force; none where all is credited, or nothing was ever charged."""
    last = issued[-1] if issued else None
    return last if last is not None and last.kind == "charge" else None


async def reissue(
    tx: Transaction,
    row: SessionRow,
    issued: list[Document],
    charge: Charge | None,
    reason: str,
    parts_of: PartsOf,
) -> list[Issued]:
    """Take back the charge that stands, if one does, and issue ``charge``, if there is one; both on
    the day of now."""
    on = bill.day(tx.now, row.contract.entity_time_zone)
    standing = standing_of(issued)
    revision = issued[-1].revision if issued else 0
    found: list[Issued] = []
    before: list[Part] = []
    if standing is not None:
        revision += 1
        before = await payments.parts(tx.conn, standing.id)
        found.append(await _credit(tx, row, standing, before, revision, on, reason))
    if charge is not None:
        charge_id = derive("chg", row.id, revision + 1)
        entry = await bill.issue(
            tx, row, charge, charge_id, on, revision=revision + 1, reason=reason
        )
        await parts.write(tx, row, charge_id, await parts_of(before), None, on)
        found.append(Issued(charge_id, "charge", revision + 1, reason, on, charge, entry))
    return found


async def adjusted(tx: Transaction, row: SessionRow) -> None:
    """The session's documents changed without late data: its state is moved by the one door that
    there is for it, and a look that was due already stays due."""
    for values in (
        {"adjust_due_at": tx.now},
        {"adjust_due_at": None, "state": "adjusted"},
        {"adjust_due_at": row.adjust_due_at},
    ):
        columns = ", ".join(f"{name} = %({name})s" for name in values)
        await tx.conn.execute(
            f"UPDATE session SET {columns} WHERE id = %(id)s", {**values, "id": row.id}
        )


async def _credit(
    tx: Transaction,
    row: SessionRow,
    standing: Document,
    before: list[Part],
    revision: int,
    on: date,
    reason: str,
) -> Issued:
    credit = credit_of(decode(standing.document), standing.id, standing.document_digest, reason)
    credit_id = derive("crd", row.id, revision)
    await bill.write(
        tx, row, credit, encode_credit(credit), on, id=credit_id, revision=revision,
        kind="credit", reverses=standing.id, reason=reason,
    )  # fmt: skip
    booked = await ledger.booked(tx.conn, "charge", standing.id)
    entry = entries.credit_issued(booked, credit_id, on) if booked else None
    await ledger.book(tx.conn, entry, tx.now)
    await parts.write(tx, row, credit_id, plan.taken_back(before), None, on)
    return Issued(credit_id, "credit", revision, reason, on, credit, entry, standing.id)
