"""Step adjust: late data, or a person, change what a session that was billed comes to.

What was issued stays. On paper the whole charge is taken back by a credit, and a new charge
follows; in the money only what lies between them moves: down it is given back, up it is waived,
owed, or charged after notice, as the contract says. Both documents carry the date of the
adjustment: nothing is booked into the period that the first bill is in.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.errors import CantPrice
from wattledger.ingest import anomalies
from wattledger.payments import plan, returns, returns_store
from wattledger.payments import store as payments
from wattledger.payments.store import Part
from wattledger.payments.stripe.amounts import least_minor
from wattledger.pipeline import tell
from wattledger.pipeline.billing import bill, receipts_step, reissue
from wattledger.pipeline.billing.reissue import Document
from wattledger.pipeline.collecting import charge_notice, parts, sending
from wattledger.pipeline.returning import money_back
from wattledger.pipeline.tell import Issued
from wattledger.pipeline.world import World
from wattledger.rating import Charge, carried, decode, with_concessions
from wattledger.sessions import Delivery
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

STATES = ("billed", "free", "adjusted")
# While the processor has not answered, nobody knows what there is to settle.
WAIT = timedelta(minutes=1)


async def due(conn: sessions.Conn, now: datetime, limit: int) -> list[str]:
    """Sessions whose issued bill is to be looked at again."""
    cursor = await conn.execute(
        "SELECT id FROM session WHERE adjust_due_at <= %s AND state = ANY(%s)"
        " ORDER BY adjust_due_at, id LIMIT %s",
        (now, list(STATES), limit),
    )
    return [row["id"] for row in await cursor.fetchall()]


async def adjust(world: World, session_id: str) -> str:
    """Price a session anew from all its facts, by the contract, tariff and draws it was billed by;
    the state it is in afterwards.

    The same result issues nothing. What can't be priced leaves the issued bill as it is, and is
    shown to a person. While a hold or a capture waits for its answer, this waits for it too.
    """
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.transaction("adjust", now=now) as tx:
        row = await sessions.get(tx.conn, session_id, lock=True)
        if row is None or not _is_due(row, tx.now):
            return row.state if row else "unknown"
        if row.discarded is not None:  # somebody decided: nobody is billed, whatever comes later
            return await _answered(tx, row, row.state)
        if await _unanswered(tx, row):
            await tx.conn.execute(
                "UPDATE session SET adjust_due_at = %s WHERE id = %s", (tx.now + WAIT, row.id)
            )
            return row.state
        documents = await reissue.documents(tx, row)
        try:
            delivery, charge = await _priced(tx, world, row, documents)
        except CantPrice as error:
            await _held(tx, row, error.code, str(error))
            return await _answered(tx, row, row.state)
        issued = await _issue(tx, snapshot, row, documents, charge)
        if not issued:
            return await _answered(tx, row, row.state, delivery)
        await tell.session_adjusted(tx, snapshot, row, charge, issued)
        for document in issued:
            await receipts_step.issued(tx, snapshot, row, document.id)
        tx.seen()
        return await _answered(tx, row, "adjusted", delivery)


async def adjust_failed(world: World, session_id: str, why: str) -> None:
    """A fault of ours kept a session from being adjusted: its bill stands, and it is shown."""
    async with world.work.transaction("adjust") as tx:
        await tx.conn.execute(
            "UPDATE session SET adjust_due_at = NULL WHERE id = %s", (session_id,)
        )
        await _show(tx, session_id, "adjustment.failed", {"why": why}, tx.now.isoformat())


def _is_due(row: SessionRow, now: datetime) -> bool:
    return row.state in STATES and row.adjust_due_at is not None and row.adjust_due_at <= now


async def _unanswered(tx: Transaction, row: SessionRow) -> bool:
    return (
        await payments.unanswered(tx.conn, row.id)
        or await payments.pending_charge(tx.conn, row.id) is not None
    )


async def _priced(
    tx: Transaction, world: World, row: SessionRow, documents: list[Document]
) -> tuple[Delivery, Charge]:
    """With the draws of the last charge: what came after it in the month was counted without. What
    was given back of it stays given."""
    charges = [decode(found.document) for found in documents if found.kind == "charge"]
    draws = charges[-1].terms.draws if charges else ()
    delivery, charge = await bill.priced(tx, world, row, draws)
    if not charges:
        return delivery, charge
    kept = carried(charges[-1], charge)
    if documents[-1].kind == "credit":
        refund = await returns_store.gave_all(tx.conn, documents[-1].id)
        if refund is not None:
            kept = (*kept, returns.concession_of({"whole": True}, refund.kind))
    return delivery, with_concessions(charge, kept) if kept else charge


async def _issue(
    tx: Transaction,
    snapshot: Snapshot,
    row: SessionRow,
    documents: list[Document],
    charge: Charge,
) -> list[Issued]:
    """The credit and the new charge, as far as there is anything to take back or to charge; none
    where it all comes to the same. What was paid too much goes back."""
    standing = reissue.standing_of(documents)
    costs = not bill.is_free(row.contract, charge)
    before = decode(standing.document) if standing else None
    if _figures(before) == _figures(charge if costs else None):
        return []

    async def parts_of(collected: list[Part]) -> list[Part]:
        more_minor = charge.total_minor - (before.total_minor if before else 0)
        back = await returns_store.due_back(tx.conn, row.id)
        terms = row.contract.payment
        hold = await payments.of_session(tx.conn, row.id)
        if hold is not None and hold.provisional:
            # It was captured before its end was told: what was missing is no surprise to anybody.
            return plan.in_the_end(charge.total_minor, row.contract, hold, back, collected)
        # What is to be charged, and can't be, is owed.
        up = "waive" if terms.more == "waive" else "debt"
        more = plan.more_is(row.contract, more_minor, up, terms.more_least_minor)
        found = plan.anew(
            charge.total_minor, row.contract.route, back, collected, more,
            await parts.in_wallet(tx, row),
        )  # fmt: skip
        return await _charged(tx, snapshot, row, found, more_minor)

    reason = await _reason(tx, row, documents[-1] if documents else None)
    await sending.take_turns(tx, row)  # the credit may lift a block before the rest is charged
    issued = await reissue.reissue(tx, row, documents, charge if costs else None, reason, parts_of)
    await money_back.send_due(tx, row)
    return issued


async def _charged(
    tx: Transaction, snapshot: Snapshot, row: SessionRow, parts: list[Part], more_minor: int
) -> list[Part]:
    """Where the contract says ``charge``: what late data add is charged to the card some hours
    after its driver is told. Never to a guest's, who has no account."""
    contract, terms = row.contract, row.contract.payment
    if (
        terms.more != "charge"
        or contract.account_id is None
        or not contract.route.by_card
        or not parts
        or parts[-1].state != "debt"
    ):
        return parts
    amount = min(parts[-1].amount_minor, more_minor)
    if amount < max(terms.more_least_minor, least_minor(contract.currency)):
        return parts
    due_at = tx.now + timedelta(hours=terms.more_notice_hours)
    payment_id = await sending.charge_off_session(
        tx, row=row, leg="more", amount_minor=amount, due_at=due_at
    )
    if payment_id is None:
        return parts
    await charge_notice.tell(tx, snapshot, row, amount, due_at)
    owed = parts[-1].amount_minor - amount
    rest = [msgspec.structs.replace(parts[-1], amount_minor=owed)] if owed else []
    return [*parts[:-1], *rest, Part("pending", amount, payment_id)]


def _figures(charge: Charge | None) -> object:
    """What makes one bill the same as another: its energy and the amounts of its lines."""
    if charge is None:
        return None
    lines = [(line.net_minor, line.tax_minor, line.total_minor) for line in charge.lines]
    return charge.total_minor, charge.energy_wh, lines


async def _reason(tx: Transaction, row: SessionRow, last: Document | None) -> str:
    """Why: what has been told since the last document (or since the bill was due, where there is
    none)."""
    since = last.issued_at if last else row.bill_due_at
    cursor = await tx.conn.execute(
        "SELECT kind, count(*) AS n FROM session_fact WHERE session_id = %s AND received_at >= %s"
        " GROUP BY kind ORDER BY kind",
        (row.id, since or row.started_at),
    )
    told: dict[str, int] = {found["kind"]: found["n"] for found in await cursor.fetchall()}
    if any(kind.startswith("correct") for kind in told):
        return "corrected by a person"
    words = [f"{n} {kind}" for kind, n in told.items()]
    return f"late data: {', '.join(words)}" if words else "priced anew"


async def _answered(
    tx: Transaction, row: SessionRow, state: str, delivery: Delivery | None = None
) -> str:
    """It has been looked at. With a ``delivery`` the session's end is what that says, and so is a
    stop that nobody had told."""
    values: dict[str, Any] = {"state": state, "adjust_due_at": None}
    if delivery is not None:
        last = delivery.readings[-1]
        stop_wh = row.meter_stop_wh
        if row.stop_provisional:
            cursor = await tx.conn.execute(
                "SELECT register_wh FROM session_fact WHERE session_id = %s AND kind = 'stop'"
                " ORDER BY id LIMIT 1",
                (row.id,),
            )
            told = await cursor.fetchone()
            told_wh = told["register_wh"] if told else None
            stop_wh = last.register_wh if told_wh is None else told_wh
            values |= {
                "stopped_at": delivery.stopped_at or last.at,
                "meter_stop_wh": stop_wh,
                "stop_provisional": told is None,
            }
        values |= {
            "ended_at": delivery.ended_at,
            "explained_wh": bill.not_billed_wh(row, stop_wh, delivery),
        }
        if not values.get("stop_provisional", row.stop_provisional):
            await payments.complete(tx.conn, row.id)  # what comes later is a correction
    columns = ", ".join(f"{name} = %({name})s" for name in values)
    await tx.conn.execute(
        f"UPDATE session SET {columns} WHERE id = %(id)s", values | {"id": row.id}
    )
    return state


async def _held(tx: Transaction, row: SessionRow, code: str, message: str) -> None:
    asked = row.adjust_due_at.isoformat() if row.adjust_due_at else ""
    await _show(tx, row.id, "adjustment.held", {"code": code, "why": message}, asked)


async def _show(
    tx: Transaction, session_id: str, code: str, detail: dict[str, Any], cause: str
) -> None:
    await anomalies.record(
        tx.conn, at=tx.now, code=code, subject=session_id, detail=detail, cause=cause
    )
