"""Prepaid balances: filled by a card, or by money that somebody else has taken. Sessions draw them
when they are booked (pipeline.parts); what an account owes for such sessions is paid first."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.entitlements.model import Account, Entity
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.ids import derive
from wattledger.ingest import anomalies
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.money import format_minor
from wattledger.payments import plan, returns_store
from wattledger.payments import store as payments
from wattledger.payments import unpaid as unpaid_store
from wattledger.payments import wallets as store
from wattledger.payments.model import Processor
from wattledger.payments.returns_store import PaymentRefund
from wattledger.payments.store import Payment
from wattledger.payments.stripe.amounts import least_minor, step_minor
from wattledger.pipeline.collecting import debts, sending
from wattledger.pipeline.collecting.unpaid import reopen
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

_AMOUNT_MAX = 10**12
_REFERENCE_MAX, _REASON_MAX = 400, 1_000


async def top_up(
    world: World,
    account_id: str,
    amount_minor: int,
    reference: str,
    *,
    entity_id: str,
    actor: str,
    reason: str = "",
) -> str:
    """Charge the account's card for its wallet with a legal entity: the payment's id. The balance
    grows when it is captured; the same ``reference`` again changes nothing.

    Raises NotFound, BadInput for an amount that can't be charged, Conflict without a card.
    """
    now = world.now
    snapshot = await world.snapshot(now)
    account, entity = _known(snapshot, account_id, entity_id)
    processor = next(
        (p for p in snapshot.all("processor", Processor) if p.entity == entity_id), None
    )
    if processor is None or not (account.payment_method and account.customer and account.consent):
        raise Conflict(
            f"account {account_id} has no card that may be charged for {entity_id}: that takes its"
            " customer, payment_method and consent, and a [[processor]] of the entity"
        )
    least, step = least_minor(entity.currency), step_minor(entity.currency)
    if amount_minor < least or amount_minor % step:
        raise BadInput("$.amount_minor", amount_minor, f"{least} or more, in steps of {step}")
    _check(amount_minor, reference, reason)
    payment = Payment(
        id=derive("pay", "topup", entity_id, account_id, reference), session_id=None,
        entity_id=entity_id, processor_id=processor.id, currency=entity.currency,
        hold_minor=amount_minor, state="charging", leg="topup", account_id=account_id,
        driver=account_id, customer=account.customer, reusable_method=account.payment_method,
        consent=True,
    )  # fmt: skip
    async with world.work.transaction("act", now=now) as tx:
        if await _is_there(tx, payment):
            return payment.id
        if not await sending.charge(tx, payment, f"EV charging, prepaid {reference}"):
            await _is_there(tx, payment)  # asked for at the same moment: of another amount, perhaps
            return payment.id
        await money_acts.record(
            tx, actor=actor, act="wallet.top_up", subject=account_id, reason=reason,
            detail=_told(payment.id, reference, amount_minor, entity),
        )  # fmt: skip
    return payment.id


def least_text(currency: str) -> str:
    """What a card can be charged for a wallet, for people."""
    text = f"{format_minor(least_minor(currency), currency)} or more"
    step = step_minor(currency)
    return text if step == 1 else f"{text}, in steps of {format_minor(step, currency)}"


async def _is_there(tx: Transaction, payment: Payment) -> bool:
    """Asked for before. Raises Conflict where it was another amount."""
    try:
        known = await payments.get(tx.conn, payment.id)
    except LookupError:
        return False
    if known.hold_minor != payment.hold_minor:
        before = format_minor(known.hold_minor, payment.currency)
        now = format_minor(payment.hold_minor, payment.currency)
        raise Conflict(f"this reference was {before} before, not {now}: take another one")
    return True


async def record(
    world: World,
    account_id: str,
    amount_minor: int,
    reference: str,
    *,
    entity_id: str,
    actor: str,
    reason: str = "",
) -> bool:
    """Money that somebody else has taken for the wallet: a bank transfer, cash. False when the
    reference was recorded before. Raises NotFound, BadInput, and Conflict where the reference was
    for another account or amount."""
    now = world.now
    snapshot = await world.snapshot(now)
    _, entity = _known(snapshot, account_id, entity_id)
    _check(amount_minor, reference, reason)
    cause_id = f"{entity_id}:{reference}"
    async with world.work.transaction("act", now=now) as tx:
        if not await _fill(tx, entity, account_id, amount_minor, cause_id, by_card=False):
            before = await store.moved_by(tx.conn, "topup", cause_id)
            if before != (account_id, amount_minor):
                assert before is not None, "it has moved a wallet"
                known = f"{format_minor(before[1], entity.currency)} of account {before[0]}"
                raise Conflict(f"{reference!r} was recorded before, as another one: {known}")
            return False
        await money_acts.record(
            tx, actor=actor, act="wallet.record", subject=account_id, reason=reason,
            detail=_told(cause_id, reference, amount_minor, entity),
        )  # fmt: skip
    return True


async def take_over(
    tx: Transaction, snapshot: Snapshot, item: dict[str, Any], reason: str, *, actor: str
) -> PaymentRefund:
    """What went back of a top-up at the processor (``foreign_store.taken_back``) leaves the wallet.
    What of it is used up had paid for sessions, the last ones first: they are open again, and owed
    or waived as their contracts say. Raises Conflict where it was taken over."""
    whose = await _whose(tx, item["payment_id"])
    used_up = await _used_up(tx, item["amount_minor"], *whose.values())
    payment = await payments.get(tx.conn, item["payment_id"])
    entity = snapshot.entity(payment.entity_id)
    if entity is None:
        raise Conflict(f"no [[entity]] {payment.entity_id!r} to book {item['id']} for")
    lost = item["category"] == "dispute"
    row = PaymentRefund(
        id=derive("prf", payment.id, item["id"]), payment_id=payment.id, refund_id=None,
        entity_id=payment.entity_id, currency=payment.currency,
        amount_minor=item["amount_minor"], cause="topup",
        state="otherwise" if lost else "done", why="dispute_lost" if lost else None,
        created_at=tx.now, settled_at=tx.now,
        external_refund_id=None if lost else item["source"],
    )  # fmt: skip
    if not await returns_store.add_payment_refund(tx.conn, row):
        raise Conflict(f"{item['id']} was taken over already: {row.id}")
    left = await store.balance(tx.conn, *whose.values(), lock=True)
    opened = await _reopen(tx, whose, used_up, row.amount_minor - left, item["id"])
    await store.move(
        tx.conn, "paid_out", -row.amount_minor, cause_id=item["id"], at=tx.now,
        detail={"payment_id": payment.id}, **whose,
    )  # fmt: skip
    entry = entries.topup_taken_back(
        entity.id, item["id"], _today(tx, entity), row.currency, row.amount_minor, disputed=lost
    )
    await ledger.book(tx.conn, entry, tx.now)
    if opened:
        await anomalies.record(
            tx.conn, at=tx.now, code="wallet.owed", subject=payment.id,
            detail={"account_id": payment.account_id, "item_id": item["id"],
                    "amount_minor": row.amount_minor - left, "currency": row.currency,
                    "sessions": opened},
            cause=item["id"],
        )  # fmt: skip
    await anomalies.settle(
        tx.conn, "refund.foreign", payment.id, f"taken over by {actor}", tx.now, item_id=item["id"]
    )
    await money_acts.record(
        tx, actor=actor, act="refund.take_over", subject=row.id, reason=reason,
        detail={"item_id": item["id"], "payment_id": payment.id, "amount_minor": row.amount_minor,
                "opened": opened},
    )  # fmt: skip
    return row


async def _whose(tx: Transaction, payment_id: str) -> dict[str, str]:
    """The wallet that a top-up has filled."""
    cursor = await tx.conn.execute(
        "SELECT entity_id, account_id, currency FROM payment WHERE id = %s", (payment_id,)
    )
    row = await cursor.fetchone()
    assert row is not None, "a line of it was found"
    return row


async def _used_up(
    tx: Transaction, amount_minor: int, entity_id: str, account_id: str, currency: str
) -> dict[str, SessionRow]:
    """The sessions, locked, that have used up what of an amount a wallet has not any more, as far
    as can be seen before its turn is taken: who books a session has that first."""
    owed = amount_minor - await store.balance(tx.conn, entity_id, account_id, currency)
    wanted: set[str] = set()
    for part in await unpaid_store.by_wallet(tx.conn, entity_id, account_id, currency):
        if owed <= 0:
            break
        wanted.add(part.session_id)
        owed -= part.amount_minor
    rows = {}
    for session_id in sorted(wanted):
        row = await sessions.get(tx.conn, session_id, lock=True)
        assert row is not None, "sessions are never removed"
        rows[session_id] = row
    return rows


async def _reopen(
    tx: Transaction,
    whose: dict[str, str],
    rows: dict[str, SessionRow],
    owed_minor: int,
    item_id: str,
) -> list[str]:
    """What a wallet that has had its turn has paid by what is not there: the last sessions are open
    again; their ids. Raises Conflict where the wallet was drawn meanwhile."""
    opened: list[str] = []
    for part in await unpaid_store.by_wallet(tx.conn, **whose):
        amount = min(owed_minor, part.amount_minor)
        if amount <= 0:
            break
        row = rows.get(part.session_id)
        if row is None:
            raise Conflict(f"session {part.session_id} has drawn the wallet just now: ask again")
        rest = plan.owed(amount, row.contract, "topup_back")
        await reopen(tx, row, part, amount, rest, item_id)
        owed_minor -= amount
        opened.append(part.session_id)
    return opened


async def filled(tx: Transaction, snapshot: Snapshot, payment: Payment, taken_minor: int) -> None:
    """A top-up is captured: the balance grows by what was taken. Raises LookupError where its
    entity is not configured (so) any more: it is taken in when it is."""
    entity = snapshot.entity(payment.entity_id)
    if entity is None or entity.currency != payment.currency:
        raise LookupError(f"no [[entity]] {payment.entity_id!r} with {payment.currency} wallets")
    if payment.account_id is not None and taken_minor:
        await _fill(tx, entity, payment.account_id, taken_minor, payment.id, by_card=True)


async def _fill(
    tx: Transaction,
    entity: Entity,
    account_id: str,
    amount_minor: int,
    cause_id: str,
    *,
    by_card: bool,
) -> bool:
    owed = await debts.of_wallet(tx, entity.id, account_id, entity.currency)
    moved = await store.move(
        tx.conn, "topup", amount_minor, entity_id=entity.id, account_id=account_id,
        currency=entity.currency, cause_id=cause_id, at=tx.now,
    )  # fmt: skip
    if moved:
        entry = entries.wallet_filled(
            entity.id, cause_id, _today(tx, entity), entity.currency, amount_minor,
            by_card=by_card,
        )  # fmt: skip
        await ledger.book(tx.conn, entry, tx.now)
        await debts.drawn(tx, owed)
    return moved


def _check(amount_minor: int, reference: str, reason: str) -> None:
    """What the books and the record can hold."""
    if not 0 < amount_minor <= _AMOUNT_MAX:
        raise BadInput("$.amount_minor", amount_minor, f"above zero, up to {_AMOUNT_MAX}")
    if not 1 <= len(reference) <= _REFERENCE_MAX or not reference.isprintable():
        raise BadInput("$.reference", reference, f"1 to {_REFERENCE_MAX} printable characters")
    if len(reason) > _REASON_MAX or "\0" in reason:
        raise BadInput("$.reason", reason, f"why, in {_REASON_MAX} characters at most")


def _known(snapshot: Snapshot, account_id: str, entity_id: str) -> tuple[Account, Entity]:
    account = snapshot.get("account", account_id, Account)
    entity = snapshot.entity(entity_id)
    if account is None or entity is None:
        raise NotFound(f"there is no account {account_id} with a legal entity {entity_id}")
    return account, entity


def _today(tx: Transaction, entity: Entity) -> date:
    return tx.now.astimezone(ZoneInfo(entity.time_zone)).date()


def _told(subject: str, reference: str, amount_minor: int, entity: Entity) -> dict[str, Any]:
    return {"id": subject, "reference": reference, "amount_minor": amount_minor,
            "currency": entity.currency}  # fmt: skip
