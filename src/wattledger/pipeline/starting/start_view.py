"""A start as its driver sees it: the hold, the price, the session. Read only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

from wattledger.db.work import Transaction, no_checkpoint
from wattledger.entitlements import Snapshot, decide, make_contract
from wattledger.errors import Conflict
from wattledger.payments.model import Processor
from wattledger.payments.starts_store import StartRequest
from wattledger.payments.store import Payment
from wattledger.pipeline.collecting.hints import plan_fetch
from wattledger.pipeline.display.figures import figures
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions
from wattledger.tariffs.text import price_text

Conn = AsyncConnection[dict[str, Any]]


class Running(msgspec.Struct, frozen=True):
    """The session of a start, as far as it can be priced."""

    session_id: str
    state: str
    energy_wh: int | None = None
    total_minor: int | None = None
    charging: bool = False


class Seen(msgspec.Struct, frozen=True):
    """A start, its payment and its session."""

    start: StartRequest
    payment: Payment | None
    currency: str
    price_text: str | None
    running: Running | None
    receipt_url: str | None = None
    """Where its receipt will be, once there is a session."""


async def see(world: World, conn: Conn, start: StartRequest) -> Seen:
    """As it stands."""
    payment = await _payment(conn, start)
    snapshot = await world.snapshot(start.asked_at)
    entity = snapshot.entity(start.entity_id)
    return Seen(
        start, payment, entity.currency if entity else "XXX", price_of(snapshot, start),
        await _running(world, conn, start, world.now),
        world.receipt_link(start.session_id) if start.session_id else None,
    )  # fmt: skip


def price_of(snapshot: Snapshot, start: StartRequest) -> str | None:
    """The price in words, as it was when it was asked for."""
    decision = decide(
        snapshot, start.token, start.charge_point_id, start.asked_at,
        connector_id=start.connector_id, paid=start.paid,
    )  # fmt: skip
    try:
        contract = make_contract(
            snapshot, decision, start.charge_point_id, as_of=start.asked_at,
            known_at=start.asked_at, connector_id=start.connector_id, paid=start.paid,
        )  # fmt: skip
    except LookupError:
        return None
    tariff = snapshot.tariff(contract.tariff_id)
    return price_text(tariff, start.asked_at, contract.time_zone) if tariff else None


async def _payment(conn: Conn, start: StartRequest) -> Payment | None:
    if start.payment_id is None:
        return None
    columns = ", ".join(Payment.__struct_fields__)
    cursor = await conn.execute(f"SELECT {columns} FROM payment WHERE id = %s", (start.payment_id,))
    row = await cursor.fetchone()
    return Payment(**row) if row else None


async def _running(world: World, conn: Conn, start: StartRequest, now: datetime) -> Running | None:
    if start.session_id is None:
        return None
    row = await sessions.get(conn, start.session_id)
    if row is None:
        return None
    found = await figures(Transaction(conn, now, "shown", no_checkpoint), world, row)
    if found is None:
        return Running(row.id, row.state)
    return Running(
        row.id, row.state, found.charge.energy_wh, found.total_minor, row.state == "open"
    )


async def processor_of(world: World, start: Seen) -> tuple[Processor, str]:
    """The account that its intent is at, and the intent's id. Raises Conflict where it has none
    that waits for its driver."""
    payment = start.payment
    if payment is None or payment.intent_id is None or payment.state != "waiting":
        raise Conflict(f"start {start.start.id} waits for nothing of its driver at the processor")
    snapshot = await world.snapshot(world.now)
    processor = snapshot.get("processor", payment.processor_id, Processor)
    if processor is None:
        raise Conflict(f"the processor of start {start.start.id} is not configured any more")
    return processor, payment.intent_id


async def look(world: World, start: StartRequest) -> bool:
    """Its driver says that the card is confirmed: the intent is read, whether or not a webhook
    comes. False where a reading is on its way, or nothing is waited for."""
    async with world.work.transaction("ask") as tx:
        payment = await _payment(tx.conn, start)
        if payment is None or payment.state != "waiting" or payment.intent_id is None:
            return False
        cursor = await tx.conn.execute(
            "SELECT count(*) AS n FROM effect WHERE subject = %s", (payment.intent_id,)
        )
        before = await cursor.fetchone()
        assert before is not None, "an aggregate gives a row"
        return await plan_fetch(
            tx, payment.processor_id, "payment_intent", payment.intent_id, f"driver:{before['n']}"
        )


def needs(seen: Seen) -> str | None:
    """What the driver has to do now: ``card`` at the page or the reader, ``authentication`` in the
    app; None: nothing."""
    payment = seen.payment
    if seen.start.state != "paying" or payment is None or payment.state != "waiting":
        return None
    if payment.intent_id is None:
        return None
    return "authentication" if seen.start.route == "app" else "card"


def is_of_page(reference: str) -> bool:
    """Whether a driver's browser asked for it, and knows it by a key of its own."""
    return reference.startswith("page:")
