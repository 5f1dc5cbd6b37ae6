"""Step adjust: late data, or a person, change what a session that was billed comes to.

What was issued stays. On paper the whole charge is taken back by a credit, and a new charge
follows; in the money only what lies between them moves, and never up on a card by itself. Both
carry the date of the adjustment: nothing is booked into the period that the first bill is in.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from wattledger.contract import Route
from wattledger.db.work import Transaction
from wattledger.entitlements.model import Policies
from wattledger.errors import CantPrice
from wattledger.ids import derive
from wattledger.ingest import anomalies
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.payments import plan
from wattledger.payments import store as payments
from wattledger.payments.store import Part, Payment
from wattledger.pipeline import bill, tell
from wattledger.pipeline.tell import Issued
from wattledger.pipeline.world import World
from wattledger.rating import Charge, credit_of, decode, encode_credit
from wattledger.sessions import Delivery
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

STATES = ("billed", "free", "adjusted")
# While the processor has not answered, nobody knows what there is to settle.
WAIT = timedelta(minutes=1)


class _Document(msgspec.Struct, frozen=True):
    """A document of the session as it was issued."""

    id: str
    revision: int
    kind: str
    issued_at: datetime
    document: bytes
    document_digest: str


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
    policies = await _promised(world, session_id)
    async with world.work.transaction("adjust", now=now) as tx:
        row = await sessions.get(tx.conn, session_id, lock=True)
        if row is None or not _is_due(row, tx.now):
            return row.state if row else "unknown"
        if row.discarded is not None:  # somebody decided: nobody is billed, whatever comes later
            return await _answered(tx, row, row.state)
        payment = await payments.of_session(tx.conn, row.id)
        if await _unanswered(tx, row, payment):
            await tx.conn.execute(
                "UPDATE session SET adjust_due_at = %s WHERE id = %s", (tx.now + WAIT, row.id)
            )
            return row.state
        documents = await _documents(tx, row)
        try:
            delivery, charge = await _priced(tx, world, row, documents)
        except CantPrice as error:
            await _held(tx, row, error.code, str(error))
            return await _answered(tx, row, row.state)
        issued = await _issue(tx, policies, row, documents, charge)
        if not issued:
            return await _answered(tx, row, row.state, delivery)
        await tell.session_adjusted(tx, snapshot, row, charge, issued)
        await tx.conn.execute("SELECT pg_notify('wattledger_live', '')")
        return await _answered(tx, row, "adjusted", delivery)


async def adjust_failed(world: World, session_id: str, why: str) -> None:
    """A fault of ours kept a session from being adjusted: its bill stands, and it is shown."""
    async with world.work.transaction("adjust") as tx:
        await tx.conn.execute(
            "UPDATE session SET adjust_due_at = NULL WHERE id = %s", (session_id,)
        )
        await _show(tx, session_id, "adjustment.failed", {"why": why}, tx.now.isoformat())


async def _promised(world: World, session_id: str) -> Policies:
    """The policies in force when the session was contracted."""
    async with world.work.pool.connection() as conn:
        row = await sessions.get(conn, session_id)
    return (await world.snapshot(row.contract.as_of if row else world.now)).policies


def _is_due(row: SessionRow, now: datetime) -> bool:
    return row.state in STATES and row.adjust_due_at is not None and row.adjust_due_at <= now


async def _unanswered(tx: Transaction, row: SessionRow, payment: Payment | None) -> bool:
    waiting = payment is not None and payment.state in ("holding", "capturing")
    return waiting or await payments.pending_charge(tx.conn, row.id) is not None


async def _documents(tx: Transaction, row: SessionRow) -> list[_Document]:
    cursor = await tx.conn.execute(
        "SELECT id, revision, kind, issued_at, document, document_digest FROM charge"
        " WHERE session_id = %s ORDER BY revision",
        (row.id,),
    )
    return [
        _Document(**{**found, "document": bytes(found["document"])})
        for found in await cursor.fetchall()
    ]


async def _priced(
    tx: Transaction, world: World, row: SessionRow, documents: list[_Document]
) -> tuple[Delivery, Charge]:
    """With the draws of the last charge: what came after it in the month was counted without."""
    charges = [found for found in documents if found.kind == "charge"]
    draws = decode(charges[-1].document).terms.draws if charges else ()
    return await bill.priced(tx, world, row, draws)


async def _issue(
    tx: Transaction,
    policies: Policies,
    row: SessionRow,
    documents: list[_Document],
    charge: Charge,
) -> list[Issued]:
    """The credit and the new charge, as far as there is anything to take back or to charge; none
    where it all comes to the same."""
    last = documents[-1] if documents else None
    standing = last if last is not None and last.kind == "charge" else None
    costs = charge.total_minor != 0 and row.contract.route is not Route.FREE
    before = decode(standing.document) if standing else None
    if _figures(before) == _figures(charge if costs else None):
        return []
    on = bill.day(tx.now, row.contract.entity_time_zone)
    revision = last.revision if last else 0
    reason = await _reason(tx, row, last)
    issued: list[Issued] = []
    parts: list[Part] = []
    if standing and before:
        revision += 1
        parts = await payments.parts(tx.conn, standing.id)
        issued.append(await _credit(tx, row, standing, before, parts, revision, on, reason))
    if costs:
        charge_id = derive("chg", row.id, revision + 1)
        entry = await bill.issue(
            tx, row, charge, charge_id, on, revision=revision + 1, reason=reason
        )
        more_minor = charge.total_minor - (before.total_minor if before else 0)
        more = plan.more_is(
            row.contract, more_minor, policies.adjust_up, policies.adjust_up_least_minor
        )
        back = await payments.due_back(tx.conn, row.id)
        new = plan.anew(charge.total_minor, row.contract.route, back, parts, more)
        await bill.collect_by(tx, charge_id, row.contract, new, None, on)
        issued.append(Issued(charge_id, "charge", revision + 1, reason, on, charge, entry))
    await _show_refund(tx, row, issued[0].id)
    return issued


def _figures(charge: Charge | None) -> object:
    """What makes one bill the same as another: its energy and the amounts of its lines."""
    if charge is None:
        return None
    lines = [(line.net_minor, line.tax_minor, line.total_minor) for line in charge.lines]
    return charge.total_minor, charge.energy_wh, lines


async def _credit(
    tx: Transaction,
    row: SessionRow,
    standing: _Document,
    before: Charge,
    parts: list[Part],
    revision: int,
    on: date,
    reason: str,
) -> Issued:
    credit = credit_of(before, standing.id, standing.document_digest, reason)
    credit_id = derive("crd", row.id, revision)
    await bill.write(
        tx, row, credit, encode_credit(credit), on, id=credit_id, revision=revision,
        kind="credit", reverses=standing.id, reason=reason,
    )  # fmt: skip
    booked = await ledger.booked(tx.conn, "charge", standing.id)
    entry = entries.credit_issued(booked, credit_id, on) if booked else None
    await ledger.book(tx.conn, entry, tx.now)
    await bill.collect_by(tx, credit_id, row.contract, plan.taken_back(parts), None, on)
    return Issued(credit_id, "credit", revision, reason, on, credit, entry, standing.id)


async def _reason(tx: Transaction, row: SessionRow, last: _Document | None) -> str:
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
    columns = ", ".join(f"{name} = %({name})s" for name in values)
    await tx.conn.execute(
        f"UPDATE session SET {columns} WHERE id = %(id)s", values | {"id": row.id}
    )
    return state


async def _held(tx: Transaction, row: SessionRow, code: str, message: str) -> None:
    asked = row.adjust_due_at.isoformat() if row.adjust_due_at else ""
    await _show(tx, row.id, "adjustment.held", {"code": code, "why": message}, asked)


async def _show_refund(tx: Transaction, row: SessionRow, document_id: str) -> None:
    """What a card paid too much is owed to its driver until it is refunded."""
    for part in await payments.due_back(tx.conn, row.id):
        detail = {
            "payment_id": part.payment_id,
            "amount_minor": part.amount_minor,
            "currency": row.contract.currency,
        }
        await _show(tx, row.id, "refund.due", detail, document_id)


async def _show(
    tx: Transaction, session_id: str, code: str, detail: dict[str, Any], cause: str
) -> None:
    await anomalies.record(
        tx.conn, at=tx.now, code=code, subject=session_id, detail=detail, cause=cause
    )
