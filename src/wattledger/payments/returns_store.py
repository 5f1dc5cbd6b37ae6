"""Refunds, what goes back by payment, disputes and warnings. Nothing here commits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from wattledger.payments.store import Part

Conn = AsyncConnection[dict[str, Any]]
GIVEN = ("waiting", "sending", "sent", "done", "otherwise")
"""The states in which money goes, or went, back; in the others it is owed still."""


class Refund(msgspec.Struct, frozen=True):
    """A refund that somebody asked for."""

    id: str
    session_id: str
    entity_id: str
    currency: str
    kind: str
    scope: dict[str, Any]
    amount_minor: int
    reason: str
    state: str
    asked_by: str
    asked_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    why: str | None = None
    charge_id: str | None = None


class PaymentRefund(msgspec.Struct, frozen=True):
    """What goes back of a payment."""

    id: str
    payment_id: str
    refund_id: str | None
    entity_id: str
    currency: str
    amount_minor: int
    cause: str
    state: str
    created_at: datetime
    session_id: str | None = None
    """Whose documents make it due; none: a payment without a session, a wallet's top-up."""
    external_refund_id: str | None = None
    why: str | None = None
    settled_at: datetime | None = None


class Dispute(msgspec.Struct, frozen=True):
    """A dispute as the processor last said it."""

    id: str
    processor_id: str
    entity_id: str
    payment_id: str | None
    session_id: str | None
    currency: str
    amount_minor: int
    reason: str
    status: str
    inquiry: bool
    opened_at: datetime
    seen_at: datetime
    evidence_due_at: datetime | None = None
    evidence: dict[str, Any] | None = None
    submitted_at: datetime | None = None
    closed_at: datetime | None = None


_REFUND = ", ".join(Refund.__struct_fields__)
_SENT = ", ".join(PaymentRefund.__struct_fields__)
_DISPUTE = ", ".join(Dispute.__struct_fields__)
_GIVEN = ", ".join(f"'{state}'" for state in GIVEN)


async def _insert(conn: Conn, table: str, row: msgspec.Struct) -> bool:
    names = row.__struct_fields__
    values = {
        name: Jsonb(value) if isinstance(value, dict) else value
        for name, value in msgspec.structs.asdict(row).items()
    }
    cursor = await conn.execute(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES"
        f" ({', '.join(f'%({name})s' for name in names)}) ON CONFLICT DO NOTHING",
        values,
    )
    return cursor.rowcount == 1


async def _set(conn: Conn, table: str, row_id: str, values: dict[str, Any]) -> None:
    columns = ", ".join(f"{name} = %({name})s" for name in values)
    await conn.execute(f"UPDATE {table} SET {columns} WHERE id = %(id)s", {**values, "id": row_id})


async def add_refund(conn: Conn, refund: Refund) -> None:
    """Write a new one."""
    await _insert(conn, "refund", refund)


async def refund(conn: Conn, refund_id: str) -> Refund | None:
    """By id, locked."""
    cursor = await conn.execute(
        f"SELECT {_REFUND} FROM refund WHERE id = %s FOR UPDATE", (refund_id,)
    )
    row = await cursor.fetchone()
    return Refund(**row) if row else None


async def given_back_minor(conn: Conn, session_id: str) -> int:
    """What the refunds of a session that were let go come to."""
    cursor = await conn.execute(
        "SELECT COALESCE(sum(amount_minor), 0)::bigint AS minor FROM refund"
        " WHERE session_id = %s AND state IN ('approved', 'issued')",
        (session_id,),
    )
    row = await cursor.fetchone()
    assert row is not None, "an aggregate gives a row"
    return int(row["minor"])


async def set_refund(conn: Conn, refund_id: str, **values: object) -> None:
    """Move it on."""
    await _set(conn, "refund", refund_id, values)


async def gave_all(conn: Conn, credit_id: str) -> Refund | None:
    """The refund that a credit was issued by, where one was."""
    cursor = await conn.execute(f"SELECT {_REFUND} FROM refund WHERE charge_id = %s", (credit_id,))
    row = await cursor.fetchone()
    return Refund(**row) if row else None


async def add_payment_refund(conn: Conn, row: PaymentRefund) -> bool:
    """A new one; the database refuses what its payment did not take."""
    return await _insert(conn, "payment_refund", row)


async def payment_refund(conn: Conn, row_id: str) -> PaymentRefund | None:
    """By id, locked."""
    cursor = await conn.execute(
        f"SELECT {_SENT} FROM payment_refund WHERE id = %s FOR UPDATE", (row_id,)
    )
    row = await cursor.fetchone()
    return PaymentRefund(**row) if row else None


async def set_payment_refund(conn: Conn, row_id: str, **values: object) -> None:
    """Move it on."""
    await _set(conn, "payment_refund", row_id, values)


async def by_external(
    conn: Conn, processor_id: str, external_id: str | None, ours: str | None
) -> list[PaymentRefund]:
    """Ours behind a refund of the processor, locked: by its name for it, or by the name that we
    gave it (``ours``). Several where one was divided among sessions. A refund of another account's
    payment is none of ours."""
    cursor = await conn.execute(
        f"SELECT {', '.join(f'r.{name}' for name in PaymentRefund.__struct_fields__)}"
        " FROM payment_refund r JOIN payment p ON p.id = r.payment_id"
        " WHERE p.processor_id = %s AND (r.external_refund_id = %s OR (r.id = %s"
        "   AND COALESCE(r.external_refund_id, %s) = %s)) ORDER BY r.id FOR UPDATE OF r",
        (processor_id, external_id, ours, external_id, external_id),
    )
    return [PaymentRefund(**row) for row in await cursor.fetchall()]


async def of_payment(conn: Conn, payment_id: str) -> list[PaymentRefund]:
    """All that went, goes or should have gone back of a payment, oldest first."""
    cursor = await conn.execute(
        f"SELECT {_SENT} FROM payment_refund WHERE payment_id = %s ORDER BY created_at, id",
        (payment_id,),
    )
    return [PaymentRefund(**row) for row in await cursor.fetchall()]


async def due_back(conn: Conn, session_id: str, *, tried: bool = False) -> list[Part]:
    """What the documents of a session make due back to its driver, less what goes back already:
    amounts above zero, by payment. With ``tried``, less what was tried in vain, too, and not
    again since."""
    states = f" AND r.state IN ({_GIVEN})"
    if tried:
        states = (
            f" AND (r.state IN ({_GIVEN}) OR NOT EXISTS"
            " (SELECT FROM money_act m WHERE m.subject = r.id AND m.act = 'refund.again'))"
        )
    cursor = await conn.execute(
        "SELECT 'refund_due' AS state, d.due - COALESCE((SELECT sum(r.amount_minor)"
        "   FROM payment_refund r WHERE r.payment_id = d.payment_id"
        f"   AND r.session_id = %(session)s{states}), 0)::bigint AS amount_minor,"
        " d.payment_id FROM (SELECT k.payment_id, -sum(k.amount_minor)::bigint AS due"
        "   FROM collection k JOIN charge g ON g.id = k.charge_id WHERE g.session_id = %(session)s"
        "   AND k.state = 'refund_due' GROUP BY k.payment_id) d ORDER BY d.payment_id",
        {"session": session_id},
    )
    parts = [
        Part(row["state"], int(row["amount_minor"]), row["payment_id"])
        for row in await cursor.fetchall()
    ]
    return [part for part in parts if part.amount_minor > 0]


async def excess_minor(conn: Conn, payment_id: str) -> int:
    """What a payment took beyond all that it pays for, less what of that goes back already."""
    cursor = await conn.execute(
        "SELECT p.captured_minor - COALESCE((SELECT sum(k.amount_minor) FROM collection k"
        "   WHERE k.payment_id = p.id AND k.state = 'captured'), 0)"
        " - COALESCE((SELECT sum(r.amount_minor) FROM payment_refund r WHERE r.payment_id = p.id"
        f"   AND r.cause = 'suspense' AND r.state IN ({_GIVEN})), 0) AS minor"
        " FROM payment p WHERE p.id = %s AND p.leg <> 'topup'",
        (payment_id,),
    )
    row = await cursor.fetchone()
    return int(row["minor"]) if row else 0


async def tried_again(conn: Conn, row_id: str) -> bool:
    """Whether somebody has tried one anew that failed or was refused: then that one counts."""
    cursor = await conn.execute(
        "SELECT FROM money_act WHERE subject = %s AND act = 'refund.again' LIMIT 1", (row_id,)
    )
    return await cursor.fetchone() is not None


async def times_sent(conn: Conn, row_id: str) -> int:
    """How often the processor was asked for it."""
    cursor = await conn.execute(
        "SELECT count(*) AS n FROM effect WHERE lane = (SELECT payment_id FROM payment_refund"
        " WHERE id = %s) AND subject = %s AND kind = 'stripe.refund'",
        (row_id, row_id),
    )
    row = await cursor.fetchone()
    return int(row["n"]) if row else 0


async def dispute(conn: Conn, dispute_id: str, *, lock: bool = True) -> Dispute | None:
    """By id, locked unless it is only looked at."""
    how = " FOR UPDATE" if lock else ""
    cursor = await conn.execute(
        f"SELECT {_DISPUTE} FROM dispute WHERE id = %s{how}".encode(), (dispute_id,)
    )
    row = await cursor.fetchone()
    return Dispute(**row) if row else None


async def add_dispute(conn: Conn, row: Dispute) -> bool:
    """A new one; False when it is there already."""
    return await _insert(conn, "dispute", row)


async def set_dispute(conn: Conn, dispute_id: str, **values: object) -> None:
    """What the processor says of it now."""
    plain = {k: Jsonb(v) if isinstance(v, dict) else v for k, v in values.items()}
    await _set(conn, "dispute", dispute_id, plain)


async def open_dispute(conn: Conn, payment_id: str) -> Dispute | None:
    """A dispute of a payment that moves money and is not decided. An inquiry is none: giving the
    money back is one answer to it."""
    cursor = await conn.execute(
        f"SELECT {_DISPUTE} FROM dispute WHERE payment_id = %s AND closed_at IS NULL"
        " AND NOT inquiry ORDER BY opened_at, id LIMIT 1",
        (payment_id,),
    )
    row = await cursor.fetchone()
    return Dispute(**row) if row else None


async def over_since(conn: Conn, payment_id: str, since: datetime) -> Dispute | None:
    """The last dispute of a payment that moved money and was decided after that."""
    cursor = await conn.execute(
        f"SELECT {_DISPUTE} FROM dispute WHERE payment_id = %s AND closed_at > %s AND NOT inquiry"
        " ORDER BY closed_at DESC, id LIMIT 1",
        (payment_id, since),
    )
    row = await cursor.fetchone()
    return Dispute(**row) if row else None


async def open_dispute_of(conn: Conn, session_id: str) -> Dispute | None:
    """The same of any payment of a session."""
    cursor = await conn.execute(
        f"SELECT {_DISPUTE} FROM dispute WHERE payment_id IN"
        " (SELECT id FROM payment WHERE session_id = %s) AND closed_at IS NULL AND NOT inquiry"
        " ORDER BY opened_at, id LIMIT 1",
        (session_id,),
    )
    row = await cursor.fetchone()
    return Dispute(**row) if row else None


async def lost_minor(conn: Conn, payment_id: str) -> int:
    """What lost disputes have given to the driver of a payment, less what that has settled. One
    that was prevented gave what the processor's lines of it say."""
    cursor = await conn.execute(
        "SELECT COALESCE((SELECT sum(d.amount_minor) FROM dispute d JOIN payment p"
        "   ON p.id = d.payment_id AND p.currency = d.currency"
        "   WHERE d.payment_id = %(id)s AND d.status = 'lost'), 0)"
        " + COALESCE((SELECT GREATEST(-sum(i.amount_minor), 0) FROM dispute d"
        "   JOIN processor_item i ON i.source = d.id AND i.currency = d.currency"
        "   JOIN payment p ON p.id = d.payment_id AND p.currency = d.currency"
        "   WHERE d.payment_id = %(id)s AND d.status = 'prevented'), 0)"
        " - COALESCE((SELECT sum(r.amount_minor) FROM payment_refund r"
        "   WHERE r.payment_id = %(id)s AND r.state = 'otherwise' AND r.why = 'dispute_lost'), 0)"
        " AS minor",
        {"id": payment_id},
    )
    row = await cursor.fetchone()
    return int(row["minor"]) if row else 0


async def payment_of(
    conn: Conn, processor_id: str, charge_id: str | None, intent_id: str | None
) -> dict[str, Any] | None:
    """The payment behind a charge or intent of a processor's account: id, session and entity."""
    cursor = await conn.execute(
        "SELECT id, session_id, entity_id FROM payment WHERE processor_id = %s"
        " AND (external_charge_id = %s OR intent_id = %s) LIMIT 1",
        (processor_id, charge_id, intent_id),
    )
    return await cursor.fetchone()


async def see_warning(conn: Conn, values: dict[str, Any]) -> bool:
    """An early fraud warning; True when it is new."""
    cursor = await conn.execute(
        "INSERT INTO fraud_warning (id, processor_id, entity_id, payment_id, session_id,"
        " fraud_type, actionable, created_at, seen_at) VALUES (%(id)s, %(processor_id)s,"
        " %(entity_id)s, %(payment_id)s, %(session_id)s, %(fraud_type)s, %(actionable)s,"
        " %(created_at)s, %(seen_at)s) ON CONFLICT (id) DO UPDATE SET"
        " fraud_type = EXCLUDED.fraud_type, actionable = EXCLUDED.actionable,"
        " seen_at = EXCLUDED.seen_at RETURNING xmax = 0 AS new",
        values,
    )
    row = await cursor.fetchone()
    return bool(row and row["new"])


_KNOWN = {
    "dispute": "SELECT FROM dispute WHERE id = %(id)s AND processor_id = %(processor)s"
    " AND status = %(status)s",
    "fraud_warning": "SELECT FROM fraud_warning WHERE id = %(id)s AND processor_id = %(processor)s",
    # One that is not ours is found by its line in the balance.
    "refund": "SELECT WHERE NOT EXISTS (SELECT FROM payment_refund r JOIN payment p"
    " ON p.id = r.payment_id WHERE p.processor_id = %(processor)s"
    " AND (r.external_refund_id = %(id)s OR r.id = %(ours)s)"
    " AND r.state IN ('sending', 'sent', 'done') AND r.state <> CASE %(status)s"
    "   WHEN 'succeeded' THEN 'done' WHEN 'pending' THEN 'sent' ELSE 'failed' END)",
}


async def is_news(conn: Conn, processor_id: str, kind: str, found: dict[str, Any]) -> bool:
    """Whether the processor says something of a dispute, a warning or a refund that we don't."""
    cursor = await conn.execute(
        _KNOWN[kind],
        {
            "processor": processor_id, "id": found["id"], "status": found.get("status"),
            "ours": found.get("metadata", {}).get("payment_refund_id"),
        },
    )  # fmt: skip
    return await cursor.fetchone() is None
