"""Debts: opened with the part that nobody paid, tried again by the contract's days, closed by
money, a card's or a wallet's that is filled, by a person, or by a credit. Whoever owes may be kept
from charging until nothing is owed.

One charge collects all that a driver owes a legal entity in one currency: what is below the
processor's minimum waits until it is enough.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from wattledger.contract import Reason, Route
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.entitlements.model import Account
from wattledger.errors import Conflict, NotFound
from wattledger.ids import derive
from wattledger.ingest import anomalies
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.money import format_minor
from wattledger.payments import blocks, plan, wallets
from wattledger.payments import debts as store
from wattledger.payments import store as payments
from wattledger.payments.debts import Debt
from wattledger.payments.model import Processor
from wattledger.payments.store import Part, Payment
from wattledger.payments.stripe.amounts import least_minor, step_minor
from wattledger.pipeline.collecting import sending
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.handlers import Settled
from wattledger.pipeline.timed import put_off
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

DUN = "debt.dun"


class Means(msgspec.Struct, frozen=True):
    """By what a debt can be collected: a card that may be used without its holder."""

    processor_id: str
    method: str
    customer: str


# --- opened and closed -----------------------------------------------------------------------


async def of_part(
    tx: Transaction, row: SessionRow, charge_id: str, number: int, part: Part
) -> None:
    """A part that is owed opens a debt; that of a credit (below zero) closes what it takes back."""
    if part.amount_minor > 0:
        await open_debt(tx, row, charge_id, number, part)
        return
    cursor = await tx.conn.execute("SELECT reverses FROM charge WHERE id = %s", (charge_id,))
    credit = await cursor.fetchone()
    for debt in await store.of_charge(tx.conn, credit["reverses"]) if credit else []:
        await store.close(tx.conn, debt, "credited", tx.now)
        await _over(tx, debt, "Its charge was credited.")


async def open_debt(
    tx: Transaction, row: SessionRow, charge_id: str, number: int, part: Part
) -> None:
    """Somebody owes it from now on. What is too little for the processor blocks nobody."""
    contract = row.contract
    carried = part.why == "below_minimum" or part.amount_minor < least_minor(contract.currency)
    debt = Debt(
        charge_id=charge_id, part=number, session_id=row.id, entity_id=contract.entity_id,
        account_id=contract.account_id, token=row.token, currency=contract.currency,
        amount_minor=part.amount_minor, why=part.why or "unpaid", carried=carried, state="open",
        tries=0, next_try_at=_next(row, tx.now, tx.now), payment_id=None, opened_at=tx.now,
        closed_at=None,
    )  # fmt: skip
    if not await store.add(tx.conn, debt):
        return
    if debt.next_try_at is not None:
        await put_off(tx, DUN, debt.id, debt.next_try_at)
    card = await blocks.card_of(tx.conn, row.id)
    # The tag that a terminal's guests share is nobody's: the next one owes nothing.
    shared = contract.route is Route.TERMINAL and debt.account_id is None and card is None
    if contract.payment.block_on_debt and not carried and not shared:
        await blocks.set_block(
            tx.conn, debt.account_id, debt.token, card, blocked=True,
            why_text=str(Reason.IN_DEBT), cause=debt.id, at=tx.now,
        )  # fmt: skip


async def _over(tx: Transaction, debt: Debt, why: str) -> None:
    """Nobody has to look at it any more, and it blocks nobody."""
    await anomalies.settle(tx.conn, "debt.final", debt.id, why, tx.now)
    await _unblock(tx, debt)


async def _unblock(tx: Transaction, debt: Debt) -> None:
    """With the last debt its block goes. One that a person set stays."""
    whose = (debt.account_id, debt.token, await blocks.card_of(tx.conn, debt.session_id))
    if await store.owes(tx.conn, *whose):
        return
    if await blocks.why(tx.conn, *whose) != Reason.IN_DEBT:
        return
    await blocks.set_block(
        tx.conn, *whose, blocked=False, why_text="nothing is owed any more", cause=debt.id,
        at=tx.now,
    )  # fmt: skip


def _next(row: SessionRow, opened_at: datetime, now: datetime) -> datetime | None:
    """When it is tried again, by the contract's days; None: no more."""
    days = (opened_at + timedelta(days=n) for n in row.contract.payment.dunning_days)
    return next((at for at in days if at > now), None)


# --- tried again -----------------------------------------------------------------------------


async def dun(settled: Settled) -> None:
    """Its day has come: all that its debtor owes is charged once."""
    tx = settled.tx
    debt = await store.get(tx.conn, settled.effect.subject)
    if debt is None or debt.state != "open" or _not_yet(debt, tx.now):
        return
    why = await collect(tx, settled.snapshot, debt)
    if why is not None:
        await _again_later(tx, [debt], why)


def _not_yet(debt: Debt, now: datetime) -> bool:
    return debt.next_try_at is None or debt.next_try_at > now


async def collect(tx: Transaction, snapshot: Snapshot, debt: Debt) -> str | None:
    """Charge all that the debtor owes, off-session; None once it is asked for, else why not."""
    owed = chargeable(await store.open_of(tx.conn, debt), step_minor(debt.currency))
    total_minor = sum(each.amount_minor for each in owed)
    if total_minor < least_minor(debt.currency) or debt.id not in {each.id for each in owed}:
        return "below_minimum"
    row = await _session(tx, debt)
    means = await _means(tx, snapshot, row)
    if means is None:
        return "no_method"
    hold = None if debt.account_id else await payments.of_session(tx.conn, debt.session_id)
    driver = debt.account_id or (hold and hold.driver) or debt.token
    number = await payments.next_number(tx.conn, debt.session_id, "debt")
    payment = Payment(
        id=derive("pay", debt.session_id, "debt", number), session_id=debt.session_id,
        entity_id=debt.entity_id, processor_id=means.processor_id, currency=debt.currency,
        hold_minor=total_minor, state="charging", leg="debt", number=number,
        route=str(row.contract.route), account_id=debt.account_id,
        driver=driver, customer=means.customer, reusable_method=means.method, consent=True,
    )  # fmt: skip
    await sending.charge(tx, payment, f"EV charging, {len(owed)} unpaid")
    await store.collecting(tx.conn, owed, payment.id)
    return None


def chargeable(owed: list[Debt], step: int) -> list[Debt]:
    """What one charge can be of: all, or where that comes to what the processor has no unit for,
    those that it has one for."""
    if sum(each.amount_minor for each in owed) % step == 0:
        return owed
    return [each for each in owed if each.amount_minor % step == 0]


async def _means(tx: Transaction, snapshot: Snapshot, row: SessionRow) -> Means | None:
    """The account's card as it is now; else what paid, or should have paid, for the session."""
    contract = row.contract
    processor_id = contract.processor_id or next(
        (each.id for each in snapshot.all("processor", Processor)
         if each.entity == contract.entity_id), None,
    )  # fmt: skip
    if processor_id is None:
        return None
    if contract.account_id is not None:
        account = snapshot.get("account", contract.account_id, Account)
        if account and account.consent and account.payment_method and account.customer:
            return Means(processor_id, account.payment_method, account.customer)
    if not contract.consent:
        return None
    method, customer = plan.reusable(contract, await payments.of_session(tx.conn, row.id))
    return Means(processor_id, method, customer) if method and customer else None


async def of_session(tx: Transaction, session_id: str) -> list[Debt]:
    """What is owed for a session, locked."""
    return await store.of_session(tx.conn, session_id)


async def paid(
    tx: Transaction, payment: Payment, taken_minor: int, owed: list[Debt] | None = None
) -> None:
    """What it collected (or ``owed``) is paid: Dr receivable.driver / Cr receivable.debt, and no
    block is left of it."""
    for debt in await store.of_payment(tx.conn, payment.id) if owed is None else owed:
        if debt.amount_minor > taken_minor:  # shown with the payment: it took less than was asked
            await store.try_at(tx.conn, debt, None)
            continue
        taken_minor -= debt.amount_minor
        row = await _session(tx, debt)
        entry = entries.debt_paid(
            debt.entity_id, debt.id, _day(row, tx.now), debt.currency, row.contract.route,
            debt.amount_minor,
        )  # fmt: skip
        await ledger.book(tx.conn, entry, tx.now)
        await store.part_moves(tx.conn, debt, "captured", tx.now, payment.id)
        await store.close(tx.conn, debt, "paid", tx.now)
        await _over(tx, debt, "It was paid.")


async def of_wallet(tx: Transaction, entity_id: str, account_id: str, currency: str) -> list[Debt]:
    """What an account owes for sessions that its wallet pays, locked, oldest first. It is asked for
    before the wallet's turn is taken, as by whoever books a session."""
    await store.take_turns(tx.conn, entity_id, account_id)
    return await store.of_wallet(tx.conn, entity_id, account_id, currency)


async def drawn(tx: Transaction, owed: list[Debt]) -> None:
    """A wallet was filled, and pays ``owed`` as far as it has enough for one: Dr payable.wallet /
    Cr receivable.debt, by way of the receivable."""
    for debt in owed:
        assert debt.account_id is not None, "a wallet is an account's"
        whose = {"entity_id": debt.entity_id, "account_id": debt.account_id,
                 "currency": debt.currency}  # fmt: skip
        if await wallets.balance(tx.conn, **whose, lock=True) < debt.amount_minor:
            continue
        row = await _session(tx, debt)
        of = (debt.entity_id, debt.id, _day(row, tx.now), debt.currency, row.contract.route,
              debt.amount_minor)  # fmt: skip
        await ledger.book(tx.conn, entries.debt_paid(*of), tx.now)
        await ledger.book(tx.conn, entries.wallet_drawn(*of), tx.now)
        await wallets.move(
            tx.conn, "draw", -debt.amount_minor, cause_id=debt.id, at=tx.now,
            detail={"session_id": debt.session_id}, **whose,
        )  # fmt: skip
        await store.part_moves(tx.conn, debt, "wallet", tx.now)
        await store.close(tx.conn, debt, "paid", tx.now)
        await _over(tx, debt, "The wallet paid it.")


async def refused(tx: Transaction, payment: Payment, code: str) -> None:
    """It stays owed, and is tried again as long as there are days left."""
    await _again_later(tx, await store.of_payment(tx.conn, payment.id), code)


async def _again_later(tx: Transaction, debts: list[Debt], why: str) -> None:
    """All of them at the same time, by the days of the one that was opened last."""
    times: list[datetime] = []
    for debt in debts:
        at = _next(await _session(tx, debt), debt.opened_at, tx.now)
        times += [at] if at else []
    at = max(times, default=None)
    for debt in debts:
        await store.try_at(tx.conn, debt, at)
        if at is not None:
            await put_off(tx, DUN, debt.id, at)
        elif not (debt.carried and why == "below_minimum"):
            await anomalies.record(
                tx.conn, at=tx.now, code="debt.final", subject=debt.id,
                detail={"why": why, "session_id": debt.session_id, "tries": debt.tries,
                        "amount_minor": debt.amount_minor, "currency": debt.currency},
                cause="dunning",
            )  # fmt: skip


# --- by a person -----------------------------------------------------------------------------


async def try_now(world: World, debt_id: str, *, actor: str, reason: str = "") -> str:
    """Charge what the debtor owes, now: the payment's id. Raises NotFound, and Conflict where it
    can't be charged."""
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.transaction("act", now=now) as tx:
        debt = await _open(tx, debt_id)
        why = await collect(tx, snapshot, debt)
        if why is not None:
            raise Conflict(f"the debt {debt_id} can't be charged: {_WORDS[why]}")
        tried = await store.get(tx.conn, debt_id)
        assert tried is not None, "it is locked"
        assert tried.payment_id is not None, "it is being collected"
        await money_acts.record(
            tx, actor=actor, act="debt.try", subject=debt_id, reason=reason,
            detail={"payment_id": tried.payment_id},
        )  # fmt: skip
        return tried.payment_id


async def write_off(world: World, debt_id: str, *, actor: str, reason: str) -> None:
    """Nobody is asked for it any more: Dr expense.waived / Cr receivable.debt. Raises NotFound, and
    Conflict where it is not open."""
    async with world.work.transaction("act") as tx:
        debt = await _open(tx, debt_id)
        row = await _session(tx, debt)
        entry = entries.written_off(
            debt.entity_id, debt.id, _day(row, tx.now), debt.currency, row.contract.route,
            debt.amount_minor,
        )  # fmt: skip
        await ledger.book(tx.conn, entry, tx.now)
        await store.part_moves(tx.conn, debt, "waived", tx.now)
        await store.close(tx.conn, debt, "written_off", tx.now)
        await _over(tx, debt, "It was written off.")
        await money_acts.record(
            tx, actor=actor, act="debt.write_off", subject=debt_id, reason=reason,
            detail={"amount_minor": debt.amount_minor, "currency": debt.currency},
        )  # fmt: skip


_WORDS = {
    "below_minimum": "all that is owed is less than the processor takes",
    "no_method": "there is no card that its driver agreed to",
}


async def _open(tx: Transaction, debt_id: str) -> Debt:
    debt = await store.get(tx.conn, debt_id)
    if debt is None:
        raise NotFound(f"there is no debt {debt_id}")
    if debt.state != "open":
        amount = format_minor(debt.amount_minor, debt.currency)
        raise Conflict(f"the debt {debt_id} of {amount} is {debt.state}")
    return debt


async def _session(tx: Transaction, debt: Debt) -> SessionRow:
    row = await sessions.get(tx.conn, debt.session_id)
    assert row is not None, "a debt has its session (foreign key)"
    return row


def _day(row: SessionRow, now: datetime) -> date:
    return now.astimezone(ZoneInfo(row.contract.entity_time_zone)).date()


WHATS = {DUN: dun}
