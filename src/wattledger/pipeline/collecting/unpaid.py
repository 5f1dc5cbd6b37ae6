"""Money that had paid for a session and was taken back from us, with a wallet's top-up or at a
vendor's terminal: what it had paid is open again, and owed or waived as if nobody had paid."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from wattledger.db.work import Transaction
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.payments import store as payments
from wattledger.payments import unpaid as store
from wattledger.payments import wallets
from wattledger.payments.store import Part
from wattledger.payments.unpaid import PaidPart
from wattledger.pipeline.collecting import parts
from wattledger.sessions.store import SessionRow


async def reopen(
    tx: Transaction,
    row: SessionRow,
    paid: PaidPart,
    amount_minor: int,
    rest: Sequence[Part],
    cause: str,
) -> None:
    """Of a part of a session, which is locked, ``amount_minor`` are paid no more: ``rest`` says
    what becomes of them. A wallet has them again, for whoever takes them back; a vendor owes them
    no more. ``cause``: what took them back; it does so once."""
    contract = row.contract
    on = tx.now.astimezone(ZoneInfo(contract.entity_time_zone)).date()
    moved = f"{paid.id}#{cause}"
    await store.lessen(tx.conn, paid, amount_minor, tx.now)
    entry = entries.unpaid(
        contract.entity_id, moved, on, contract.currency, contract.route, amount_minor,
        wallet=paid.state == "wallet",
    )  # fmt: skip
    await ledger.book(tx.conn, entry, tx.now)
    if paid.state == "wallet":
        assert contract.account_id is not None, "a wallet is an account's"
        await wallets.move(
            tx.conn, "back", amount_minor, entity_id=contract.entity_id,
            account_id=contract.account_id, currency=contract.currency, cause_id=moved, at=tx.now,
            detail={"session_id": row.id},
        )  # fmt: skip
    of = {"charge_id": paid.charge_id, "part": paid.part, "entity_id": paid.entity_id}
    for part in rest:
        number = await payments.add_part(tx.conn, of, part, tx.now)
        await parts.owe(tx, row, paid.charge_id, number, part, on)
