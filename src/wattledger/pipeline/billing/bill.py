"""Step bill: rate and book, in one transaction.

Charge, balanced entry, the parts it is collected by, the effects that collect it and tell the
books, and the session's move to billed: all of it or nothing. Rating, writing and collecting a
document are the same for an adjustment (pipeline.adjust).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from wattledger.contract import Contract, Route
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.errors import CantPrice
from wattledger.ids import content_digest, derive
from wattledger.ingest import anomalies
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.ledger.entries import Entry
from wattledger.money import format_minor
from wattledger.payments import store as payments
from wattledger.pipeline import tell
from wattledger.pipeline.billing import receipts_step
from wattledger.pipeline.billing.judged import assembled, no_more_than_shown
from wattledger.pipeline.charging.billable import still_there
from wattledger.pipeline.charging.idle import idle_counts_on
from wattledger.pipeline.collecting import parts
from wattledger.pipeline.collecting.sending import release
from wattledger.pipeline.display import shown
from wattledger.pipeline.terminals import terminals
from wattledger.pipeline.terminals.terminals import PaidBy
from wattledger.pipeline.world import World
from wattledger.rating import Charge, Credit, Draw, Terms, encode, price
from wattledger.sessions import Delivery
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow


async def bill(world: World, session_id: str, draws: tuple[Draw, ...] = ()) -> str:
    """Price an ended session and book it; the state it is in afterwards.

    ``draws`` is what it gets of its plan's allowances; nobody counts them yet, so it gets none.
    What can't be priced safely is held with its reason. Called again it changes nothing.
    """
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.transaction("bill", now=now) as tx:
        row = await sessions.get(tx.conn, session_id, lock=True)
        if row is None or row.state != "ended" or row.bill_due_at is None:
            return row.state if row else "unknown"
        if row.bill_due_at > tx.now:
            return row.state
        try:
            delivery, charge = await priced(tx, world, row, draws)
        except CantPrice as error:
            await _hold(tx, row, error.code, str(error))
            return "held"
        await _explain(tx, row, delivery)
        paid = await _paid_at_terminal(tx, world, row, charge)
        if paid is None:
            why = await terminals.missing(tx, row, charge.total_minor)
            await _hold(tx, row, terminals.MISSING, why)
            return "held"
        if is_free(row.contract, charge):
            charge = _why_free(row.contract, charge)
            await _free(tx, snapshot, row, charge)
            await shown.billed(tx, world, row, charge)
            return "free"
        await _issue(tx, snapshot, row, charge, paid)
        await shown.billed(tx, world, row, charge)
        return "billed"


def is_free(contract: Contract, charge: Charge) -> bool:
    """Whether nothing is charged: by the price, by the route, or because no energy was delivered
    and the contract cancels that."""
    no_energy = contract.payment.zero_energy == "cancel" and charge.energy_wh == 0
    return charge.total_minor == 0 or contract.route is Route.FREE or no_energy


def _why_free(contract: Contract, charge: Charge) -> Charge:
    if charge.total_minor == 0 or contract.route is Route.FREE:
        return charge
    return msgspec.structs.replace(charge, free_reason="zero_energy")


async def _paid_at_terminal(
    tx: Transaction, world: World, row: SessionRow, charge: Charge
) -> PaidBy | None:
    """Who has paid a session of the terminal route that has no hold of ours yet; None: nobody."""
    if row.contract.route is not Route.TERMINAL:
        return PaidBy()
    if await payments.of_session(tx.conn, row.id) is not None:
        return PaidBy()
    total_minor = 0 if is_free(row.contract, charge) else charge.total_minor
    found = await terminals.paid_by(tx, world, row, total_minor)
    return PaidBy() if found is None and not total_minor else found


async def hold_failed(world: World, session_id: str, why: str) -> None:
    """A session that a fault of ours kept from being billed is held, and the others go on.

    It is not read again for that: it may be the reading that fails.
    """
    async with world.work.transaction("bill") as tx:
        await tx.conn.execute(
            "UPDATE session SET state = 'held', held_reason = 'bill.failed'"
            " WHERE id = %s AND state = 'ended'",
            (session_id,),
        )
        await anomalies.record(
            tx.conn,
            at=tx.now,
            code="bill.failed",
            subject=session_id,
            detail={"why": why},
            cause="bill",
        )


async def priced(
    tx: Transaction, world: World, row: SessionRow, draws: tuple[Draw, ...]
) -> tuple[Delivery, Charge]:
    """What the session's facts say was delivered, and what it costs by its contract. Raises
    CantPrice."""
    tariff = await world.tariff(tx.conn, row.contract.tariff_digest)
    counts_on = idle_counts_on(tariff)
    if counts_on and row.ended_at == row.stopped_at and row.state == "ended":
        until = await still_there(tx, row)
        if until is not None:
            await sessions.close_idle(tx.conn, row.id, ended_at=until, bill_due_at=tx.now)
            row = msgspec.structs.replace(row, ended_at=until)
    found = await assembled(tx, row, idle_after_stop=counts_on)
    if counts_on and row.source.startswith(("ocpp", "proxy")) and row.ended_at == row.stopped_at:
        await _without_unplug(tx, row)
    terms = Terms.of(row.contract, draws)
    charge = await no_more_than_shown(tx, world, row, found, price(found, tariff, terms), terms)
    if charge.total_minor < 0 and row.contract.route is not Route.FREE:
        raise CantPrice(
            "total_below_zero",
            f"session {row.id} comes to {format_minor(charge.total_minor, charge.currency)}: no "
            "way of collecting pays a driver; settle it by hand, or give the tariff a min_price",
        )
    return found, charge


async def _without_unplug(tx: Transaction, row: SessionRow) -> None:
    """Nobody saw the vehicle leave: idle after the stop is not billed on a guess, but shown."""
    cursor = await tx.conn.execute(
        "SELECT FROM session_fact WHERE session_id = %s AND kind = 'unplug'", (row.id,)
    )
    if await cursor.fetchone() is None:
        await anomalies.record(
            tx.conn, at=tx.now, code="unplug.missing", subject=row.id, detail={}, cause="bill"
        )


async def _explain(tx: Transaction, row: SessionRow, delivery: Delivery) -> None:
    """What was told of the registers and is not billed: a reset, a reading that disagrees."""
    apart_wh = not_billed_wh(row, row.meter_stop_wh, delivery)
    if apart_wh:
        await tx.conn.execute(
            "UPDATE session SET explained_wh = %s WHERE id = %s", (apart_wh, row.id)
        )


def not_billed_wh(row: SessionRow, stop_wh: int | None, delivery: Delivery) -> int:
    """The registers as they were told, less what is billed of them."""
    return (stop_wh or 0) - (row.meter_start_wh or 0) - delivery.energy_wh


async def _hold(tx: Transaction, row: SessionRow, code: str, message: str) -> None:
    await sessions.move(tx.conn, row.id, "held", held_reason=code)
    await anomalies.record(
        tx.conn, at=tx.now, code=code, subject=row.id, detail={"why": message}, cause="bill"
    )


async def _free(tx: Transaction, snapshot: Snapshot, row: SessionRow, charge: Charge) -> None:
    payment = await payments.of_session(tx.conn, row.id)
    if payment is not None and payment.state == "held":
        await release(tx, payment)
    await sessions.move(tx.conn, row.id, "free")
    await tell.session_free(tx, snapshot, row, charge)


async def _issue(
    tx: Transaction, snapshot: Snapshot, row: SessionRow, charge: Charge, paid: PaidBy
) -> None:
    contract = row.contract
    charge_id = derive("chg", row.id, 1)
    entity_date = day(charge.ended_at, contract.entity_time_zone)
    entry = await issue(tx, row, charge, charge_id, entity_date)
    payment = await payments.of_session(tx.conn, row.id)
    planned = list(paid.parts) if paid.parts is not None else None
    if planned is None:
        planned = await parts.plan_for(tx, row, charge.total_minor, payment)
    await parts.write(tx, row, charge_id, planned, payment, entity_date)
    await sessions.move(tx.conn, row.id, "billed")
    await tell.session_billed(tx, snapshot, row, charge, charge_id, entity_date, entry)
    await receipts_step.issued(tx, snapshot, row, charge_id)
    tx.seen()


async def issue(
    tx: Transaction,
    row: SessionRow,
    charge: Charge,
    charge_id: str,
    entity_date: date,
    *,
    revision: int = 1,
    reason: str | None = None,
) -> Entry | None:
    """Write a charge and book it; its entry."""
    await write(tx, row, charge, encode(charge), entity_date, id=charge_id, revision=revision,
                reason=reason)  # fmt: skip
    entry = entries.charge_issued(
        row.contract.entity_id, charge_id, entity_date, charge.currency, row.contract.route,
        charge.streams, charge.tax_minor,
    )  # fmt: skip
    if await ledger.book(tx.conn, entry, tx.now) is None:
        raise CantPrice("charge.booked_before", f"{charge_id} stands in the ledger already")
    return entry


async def write(
    tx: Transaction,
    row: SessionRow,
    figures: Charge | Credit,
    document: bytes,
    entity_date: date,
    **more: object,
) -> None:
    """Insert the canonical bytes of a document beside its ``figures``; ``more`` are columns."""
    values: dict[str, Any] = {
        **more,
        "session_id": row.id,
        "entity_id": row.contract.entity_id,
        "currency": figures.currency,
        "net_minor": figures.net_minor,
        "tax_minor": figures.tax_minor,
        "total_minor": figures.total_minor,
        "energy_wh": figures.energy_wh,
        "supply_ended_at": figures.ended_at,
        "site_date": day(figures.ended_at, row.contract.time_zone),
        "entity_date": entity_date,
        "issued_at": tx.now,
        "tariff_digest": _tariff_of(row.contract, figures),
        "document": document,
        "document_digest": content_digest(document),
    }
    columns = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    await tx.conn.execute(f"INSERT INTO charge ({columns}) VALUES ({places})", values)


def _tariff_of(contract: Contract, figures: Charge | Credit) -> str:
    """The version it was priced by: the contract's, unless the display had shown less."""
    shown = contract.display_tariff_digest
    by_display = isinstance(figures, Charge) and figures.tariffs[0].id != contract.tariff_id
    return shown if shown is not None and by_display else contract.tariff_digest


def day(at: datetime, zone: str) -> date:
    """The date in a time zone."""
    return at.astimezone(ZoneInfo(zone)).date()
