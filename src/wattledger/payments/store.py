"""Payments and where each charge's money stands. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from wattledger.errors import Conflict

Conn = AsyncConnection[dict[str, Any]]


class Payment(msgspec.Struct, frozen=True):
    """A hold and what became of it."""

    id: str
    session_id: str | None
    """None: it came before its session, or has none (a wallet's top-up)."""
    entity_id: str
    processor_id: str
    currency: str
    hold_minor: int
    """What was asked for first."""
    state: str
    intent_id: str | None = None
    external_charge_id: str | None = None
    capture_before: datetime | None = None
    captured_minor: int = 0
    decline_code: str | None = None
    leg: str = "hold"
    number: int = 1
    route: str | None = None
    account_id: str | None = None
    driver: str | None = None
    method: str = "card"
    reader_id: str | None = None
    authorized_minor: int | None = None
    """What the processor holds now."""
    capturable_minor: int | None = None
    """The most that it lets be captured."""
    can_increment: bool = False
    increments: int = 0
    customer: str | None = None
    reusable_method: str | None = None
    consent: bool = False
    provisional: bool = False
    brand: str | None = None
    last4: str | None = None
    wallet: str | None = None
    gone_why: str | None = None
    parked_why: str | None = None
    created_at: datetime | None = None

    @property
    def held_minor(self) -> int:
        """What may be captured without more than was authorized."""
        return self.hold_minor if self.authorized_minor is None else self.authorized_minor


class Part(msgspec.Struct, frozen=True):
    """A part of a charge and where its money stands."""

    state: str
    amount_minor: int
    payment_id: str | None = None


_COLUMNS = ", ".join(Payment.__struct_fields__)


async def add(conn: Conn, payment: Payment) -> bool:
    """A new payment; False when it is there already (by id, or as this leg of its session)."""
    places = ", ".join(f"%({name})s" for name in Payment.__struct_fields__)
    cursor = await conn.execute(
        f"INSERT INTO payment ({_COLUMNS}) VALUES ({places}) ON CONFLICT DO NOTHING",
        msgspec.structs.asdict(payment),
    )
    return cursor.rowcount == 1


async def get(conn: Conn, payment_id: str) -> Payment:
    """A payment by id, locked."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM payment WHERE id = %s FOR UPDATE", (payment_id,)
    )
    row = await cursor.fetchone()
    if row is None:
        raise LookupError(f"no payment {payment_id}")
    return Payment(**row)


async def of_session(conn: Conn, session_id: str) -> Payment | None:
    """The hold of a session, locked; of several the last."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM payment WHERE session_id = %s AND leg = 'hold'"
        " ORDER BY number DESC LIMIT 1 FOR UPDATE",
        (session_id,),
    )
    row = await cursor.fetchone()
    return Payment(**row) if row else None


async def held(
    conn: Conn,
    payment_id: str,
    *,
    intent_id: str,
    external_charge_id: str,
    capture_before: datetime | None,
) -> None:
    """The processor holds the money."""
    await conn.execute(
        "UPDATE payment SET state = 'held', intent_id = %s, external_charge_id = %s,"
        " capture_before = %s WHERE id = %s",
        (intent_id, external_charge_id, capture_before, payment_id),
    )


async def declined(conn: Conn, payment_id: str, *, intent_id: str | None, code: str) -> None:
    """The hold was refused."""
    await conn.execute(
        "UPDATE payment SET state = 'declined', intent_id = %s, decline_code = %s WHERE id = %s",
        (intent_id, code, payment_id),
    )


async def move(
    conn: Conn, payment_id: str, state: str, *, captured_minor: int | None = None
) -> None:
    """To capturing, captured, releasing or released."""
    await conn.execute(
        "UPDATE payment SET state = %s, captured_minor = COALESCE(%s, captured_minor)"
        " WHERE id = %s",
        (state, captured_minor, payment_id),
    )


async def set_parts(
    conn: Conn, charge_id: str, entity_id: str, parts: Sequence[Part], now: datetime
) -> None:
    """Write the parts of a new charge; the database refuses parts that don't sum to it."""
    for number, part in enumerate(parts, start=1):
        await conn.execute(
            "INSERT INTO collection"
            " (charge_id, part, entity_id, state, amount_minor, payment_id, changed_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (charge_id, number, entity_id, part.state, part.amount_minor, part.payment_id, now),
        )


async def parts(conn: Conn, charge_id: str) -> list[Part]:
    """What a document is collected by, in order."""
    cursor = await conn.execute(
        "SELECT state, amount_minor, payment_id FROM collection WHERE charge_id = %s ORDER BY part",
        (charge_id,),
    )
    return [Part(**row) for row in await cursor.fetchall()]


async def due_back(conn: Conn, session_id: str) -> list[Part]:
    """What the credits of a session made due back to the driver, and no charge after them was paid
    out of: amounts above zero, by payment."""
    cursor = await conn.execute(
        "SELECT k.state, -sum(k.amount_minor)::bigint AS amount_minor, k.payment_id"
        " FROM collection k JOIN charge g ON g.id = k.charge_id"
        " WHERE g.session_id = %s AND k.state = 'refund_due' GROUP BY k.state, k.payment_id"
        " HAVING sum(k.amount_minor) <> 0 ORDER BY k.payment_id",
        (session_id,),
    )
    return [Part(**row) for row in await cursor.fetchall()]


async def move_pending(
    conn: Conn, payment_id: str, state: str, now: datetime
) -> list[dict[str, Any]]:
    """The pending parts of a payment go to ``state``; the rows as they now are."""
    cursor = await conn.execute(
        "UPDATE collection SET state = %s, changed_at = %s WHERE payment_id = %s"
        " AND state = 'pending' RETURNING charge_id, part, entity_id, amount_minor",
        (state, now, payment_id),
    )
    return await cursor.fetchall()


async def split_pending(
    conn: Conn, payment_id: str, taken_minor: int, state: str, now: datetime
) -> list[dict[str, Any]]:
    """Less was taken than the pending parts ask for: they make room for parts that are captured,
    ``taken_minor`` in all, and for parts of the rest in ``state``; the rows of the rest."""
    cursor = await conn.execute(
        "DELETE FROM collection WHERE payment_id = %s AND state = 'pending'"
        " RETURNING charge_id, part, entity_id, amount_minor",
        (payment_id,),
    )
    rest: list[dict[str, Any]] = []
    for row in sorted(await cursor.fetchall(), key=lambda r: (r["charge_id"], r["part"])):
        captured = min(taken_minor, row["amount_minor"])
        taken_minor -= captured
        missing = row["amount_minor"] - captured
        if captured:
            await _add_part(conn, row, Part("captured", captured, payment_id), now)
        if missing:
            part = await _add_part(conn, row, Part(state, missing), now)
            rest.append({**row, "part": part, "amount_minor": missing})
    return rest


async def _add_part(conn: Conn, of: dict[str, Any], part: Part, now: datetime) -> int:
    """A further part of the charge of the part ``of``; its number, which no other has had."""
    cursor = await conn.execute(
        "INSERT INTO collection"
        " (charge_id, part, entity_id, state, amount_minor, payment_id, changed_at)"
        " SELECT %(charge)s, GREATEST(COALESCE(max(part), 0), %(past)s) + 1, %(entity)s, %(state)s,"
        " %(amount)s, %(payment)s, %(now)s FROM collection WHERE charge_id = %(charge)s"
        " RETURNING part",
        {
            "charge": of["charge_id"], "past": of["part"], "entity": of["entity_id"],
            "state": part.state, "amount": part.amount_minor, "payment": part.payment_id,
            "now": now,
        },
    )  # fmt: skip
    row = await cursor.fetchone()
    assert row is not None, "an aggregate gives a row"
    return int(row["part"])


async def replace_pending(
    conn: Conn, charge_id: str, entity_id: str, parts: Sequence[Part], now: datetime
) -> None:
    """A charge that waited for its hold gets the parts it is really collected by."""
    await conn.execute(
        "DELETE FROM collection WHERE charge_id = %s AND state = 'pending'", (charge_id,)
    )
    await set_parts(conn, charge_id, entity_id, parts, now)


async def pending_charge(conn: Conn, session_id: str) -> dict[str, Any] | None:
    """The charge of a session whose money waits for its hold, or None."""
    cursor = await conn.execute(
        "SELECT g.* FROM charge g WHERE g.session_id = %s AND EXISTS"
        " (SELECT FROM collection c WHERE c.charge_id = g.id AND c.state = 'pending')",
        (session_id,),
    )
    return await cursor.fetchone()


async def add_external(
    conn: Conn,
    session_id: str,
    entity_id: str,
    reference: str,
    amount_minor: int,
    currency: str,
    *,
    without_tax: bool = False,
) -> None:
    """What somebody else has taken for a session, or says of it ``without_tax``. Raises Conflict
    when the same payment paid another session already."""
    try:
        await conn.execute(
            "INSERT INTO external_payment"
            " (session_id, entity_id, reference, amount_minor, currency, without_tax)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (session_id) DO NOTHING",
            (session_id, entity_id, reference, amount_minor, currency, without_tax),
        )
    except UniqueViolation:
        raise Conflict(f"the payment {reference!r} has paid another session already") from None
