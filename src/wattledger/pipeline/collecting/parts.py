"""What the parts of a charge do: what is captured is sent, what is charged again gets its payment,
what nobody pays is booked by its name, and a debt has a debtor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from zoneinfo import ZoneInfo

import msgspec

from wattledger.contract import Route
from wattledger.db.work import Transaction
from wattledger.ids import derive
from wattledger.ingest import anomalies
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.payments import plan, wallets
from wattledger.payments import store as payments
from wattledger.payments.store import Part, Payment
from wattledger.pipeline.collecting import debts, sending
from wattledger.sessions.store import SessionRow

# The states of a part that move something in the ledger.
_BOOKS = {
    "debt": entries.debt,
    "waived": entries.waiver,
    "refund_due": entries.refund_due,
    "wallet": entries.wallet_drawn,
    "external": entries.paid_outside,
}
Rest = Callable[[int], list[Part]]


async def plan_for(
    tx: Transaction, row: SessionRow, total_minor: int, payment: Payment | None
) -> list[Part]:
    """The parts of a charge of a session, as its money stands now."""
    return plan.parts(total_minor, row.contract, payment, await in_wallet(tx, row))


async def in_wallet(tx: Transaction, row: SessionRow) -> int:
    """What a session that is paid by a wallet may draw until the transaction ends; 0 of others."""
    contract = row.contract
    if contract.route is not Route.WALLET or contract.account_id is None:
        return 0
    return await wallets.balance(
        tx.conn, contract.entity_id, contract.account_id, contract.currency, lock=True
    )


async def write(
    tx: Transaction,
    row: SessionRow,
    charge_id: str,
    parts: Sequence[Part],
    payment: Payment | None,
    on: date,
    *,
    replace: bool = False,
) -> None:
    """Write the parts of a document and do what they say; with ``replace`` they take the place of
    what was pending."""
    made = [await _made(tx, row, part) for part in parts]
    entity_id = row.contract.entity_id
    if replace:
        await payments.replace_pending(tx.conn, charge_id, entity_id, made, tx.now)
    else:
        await payments.set_parts(tx.conn, charge_id, entity_id, made, tx.now)
    for number, part in enumerate(made, start=1):
        of_hold = payment is not None and part.payment_id == payment.id
        if part.state == "pending" and of_hold and payment and payment.state == "held":
            await sending.capture(tx, payment, part.amount_minor)
        await owe(tx, row, charge_id, number, part, on)
    if payment is not None and payment.gone_why is not None:
        await show_gone(tx, row, payment, parts)


async def settle(
    tx: Transaction, row: SessionRow, payment: Payment, taken_minor: int, rest: Rest
) -> list[Part]:
    """What a payment was to pay and did not: its pending parts are captured for what was taken, and
    what is missing becomes what ``rest`` says; the parts of that."""
    on = tx.now.astimezone(ZoneInfo(row.contract.entity_time_zone)).date()
    found: list[Part] = []
    for of in await payments.take_pending(tx.conn, payment.id):
        captured = min(taken_minor, of["amount_minor"])
        taken_minor -= captured
        if captured:
            await payments.add_part(tx.conn, of, Part("captured", captured, payment.id), tx.now)
        missing = of["amount_minor"] - captured
        for planned in rest(missing) if missing else []:
            part = await _made(tx, row, planned)
            number = await payments.add_part(tx.conn, of, part, tx.now)
            await owe(tx, row, of["charge_id"], number, part, on)
            found.append(planned)
    return found


async def _made(tx: Transaction, row: SessionRow, part: Part) -> Part:
    """A part that is charged again gets its payment, where that may be done."""
    if part.leg is None:
        return part
    payment_id = await sending.charge_off_session(
        tx, row=row, leg=part.leg, amount_minor=part.amount_minor
    )
    if payment_id is None:
        (owed,) = plan.owed(part.amount_minor, row.contract, "no_method")
        return owed
    return msgspec.structs.replace(part, payment_id=payment_id)


async def owe(
    tx: Transaction, row: SessionRow, charge_id: str, number: int, part: Part, on: date
) -> None:
    """Book a part that no card pays now: a debt of the driver, a waiver of ours, money due back, a
    wallet's money; and open the debt, or move the wallet."""
    book = _BOOKS.get(part.state)
    if book is None:
        return
    contract, part_id = row.contract, f"{charge_id}/{number}"
    entry = book(
        contract.entity_id, part_id, on, contract.currency, contract.route, part.amount_minor
    )
    await ledger.book(tx.conn, entry, tx.now)
    if part.state == "debt":
        await debts.of_part(tx, row, charge_id, number, part)
    elif part.state == "wallet":
        assert contract.account_id is not None, "a wallet is an account's"
        await wallets.move(
            tx.conn, "draw" if part.amount_minor > 0 else "back", -part.amount_minor,
            entity_id=contract.entity_id, account_id=contract.account_id,
            currency=contract.currency, cause_id=part_id, at=tx.now,
            detail={"session_id": row.id},
        )  # fmt: skip


async def show_gone(
    tx: Transaction, row: SessionRow, payment: Payment, parts: Sequence[Part]
) -> None:
    """What became of money whose hold was no more when it was to be captured: each has its code."""
    if any(part.leg is not None for part in parts):
        how = "hold.gone_charged"
    elif any(part.state == "debt" for part in parts):
        how = "hold.gone_owed"
    else:
        how = "hold.gone_waived"
    await anomalies.record(
        tx.conn, at=tx.now, code=how, subject=payment.id,
        detail={"session_id": row.id, "why": payment.gone_why,
                "amount_minor": sum(part.amount_minor for part in parts),
                "currency": payment.currency},
        cause=derive("gone", payment.id, how),
    )  # fmt: skip
