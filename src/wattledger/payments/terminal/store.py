"""Payments at terminals, and sessions that wait for theirs. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from wattledger.entitlements.terminals import Terminal
from wattledger.payments.terminal.matching import Paid, Started

Conn = AsyncConnection[dict[str, Any]]


class TerminalPayment(msgspec.Struct, frozen=True):
    """A payment at a terminal as it stands."""

    id: str
    entity_id: str
    provider: str
    terminal_id: str
    reference: str
    mode: str
    currency: str
    authorized_at: datetime
    authorized_minor: int
    received_at: datetime
    charge_point_id: str | None = None
    connector_id: int | None = None
    settled_at: datetime | None = None
    settled_minor: int | None = None
    brand: str | None = None
    last4: str | None = None
    state: str = "open"
    session_id: str | None = None
    payment_id: str | None = None
    matched_by: str | None = None
    why: str | None = None
    candidates: list[str] = []
    transaction_ref: str | None = None
    reversed_at: datetime | None = None

    @property
    def external_reference(self) -> str:
        """What it is called beside the payments of others."""
        return f"{self.provider}:{self.reference}"

    def paid(self, named: str | None = None) -> Paid:
        """As it is matched; ``named`` is the session that its report names."""
        chosen = None
        if self.charge_point_id is not None:
            chosen = (self.charge_point_id, self.connector_id)
        return Paid(
            self.id, self.terminal_id, self.entity_id, self.currency, self.authorized_at,
            self.authorized_minor, self.reference, self.settled_minor, chosen, named,
        )  # fmt: skip


_COLUMNS = ", ".join(TerminalPayment.__struct_fields__)


async def add(conn: Conn, payment: TerminalPayment) -> bool:
    """A new one; False where it is there."""
    values = {**msgspec.structs.asdict(payment), "candidates": Jsonb(payment.candidates)}
    places = ", ".join(f"%({name})s" for name in values)
    cursor = await conn.execute(
        f"INSERT INTO terminal_payment ({_COLUMNS}) VALUES ({places}) ON CONFLICT DO NOTHING",
        values,
    )
    return cursor.rowcount == 1


async def get(conn: Conn, payment_id: str) -> TerminalPayment | None:
    """One by its id, locked."""
    return await _one(conn, "id = %s FOR UPDATE", (payment_id,))


async def look(conn: Conn, payment_id: str) -> TerminalPayment | None:
    """One by its id as it stands, not locked."""
    return await _one(conn, "id = %s", (payment_id,))


async def find(conn: Conn, provider: str, entity_id: str, reference: str) -> TerminalPayment | None:
    """One by its provider's name for it, locked."""
    return await _one(
        conn, "provider = %s AND entity_id = %s AND reference = %s FOR UPDATE",
        (provider, entity_id, reference),
    )  # fmt: skip


async def of_session(conn: Conn, session_id: str) -> TerminalPayment | None:
    """The one that is for a session, locked."""
    return await _one(conn, "session_id = %s FOR UPDATE", (session_id,))


async def is_gone(conn: Conn, payment: TerminalPayment) -> bool:
    """Whether its session is billed with money that went back, or never came."""
    if payment.reversed_at is not None:
        return True
    cursor = await conn.execute(
        "SELECT FROM anomaly WHERE code = 'terminal.unsettled' AND subject = %s LIMIT 1",
        (payment.session_id,),
    )
    return payment.settled_minor is None and await cursor.fetchone() is not None


async def _one(conn: Conn, where: str, values: tuple[Any, ...]) -> TerminalPayment | None:
    cursor = await conn.execute(f"SELECT {_COLUMNS} FROM terminal_payment WHERE {where}", values)
    row = await cursor.fetchone()
    return TerminalPayment(**row) if row else None


async def listed(
    conn: Conn, states: Sequence[str], *, limit: int = 200, entity_id: str | None = None
) -> list[TerminalPayment]:
    """Those in these states, the oldest first."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM terminal_payment WHERE state = ANY(%(states)s)"
        " AND (%(entity)s::text IS NULL OR entity_id = %(entity)s)"
        " ORDER BY received_at, id LIMIT %(limit)s",
        {"states": list(states), "entity": entity_id, "limit": limit},
    )
    return [TerminalPayment(**row) for row in await cursor.fetchall()]


async def change(conn: Conn, payment_id: str, **values: Any) -> None:
    """Set these columns; what may change, and how, the database knows."""
    if "candidates" in values:
        values["candidates"] = Jsonb(values["candidates"])
    places = ", ".join(f"{name} = %({name})s" for name in values)
    await conn.execute(
        f"UPDATE terminal_payment SET {places} WHERE id = %(id)s", {**values, "id": payment_id}
    )


# --- who may belong together -----------------------------------------------------------------


async def unmatched(
    conn: Conn, terminal_ids: Sequence[str], since: datetime, until: datetime
) -> list[TerminalPayment]:
    """Payments on these terminals, read between two times, that are for no session yet. What was
    refused is none until it is settled all the same."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM terminal_payment WHERE terminal_id = ANY(%s)"
        " AND state IN ('open', 'suspense') AND authorized_at BETWEEN %s AND %s"
        " AND (why IS DISTINCT FROM 'refused' OR settled_minor IS NOT NULL)"
        " ORDER BY authorized_at, id",
        (list(terminal_ids), since, until),
    )
    return [TerminalPayment(**row) for row in await cursor.fetchall()]


async def waiting(conn: Conn, site_id: str, since: datetime, until: datetime) -> list[Started]:
    """Sessions of a site that started between two times, are paid for at a terminal, and have no
    payment: running, ended or held, and nobody has decided that none will come. Each with its token
    as the payment that it names."""
    cursor = await conn.execute(
        "SELECT s.id, s.entity_id, s.contract->>'currency' AS currency, s.charge_point_id,"
        " s.connector_id, s.started_at, w.total_minor, s.token AS reference FROM session s"
        " LEFT JOIN terminal_wait w ON w.session_id = s.id"
        " WHERE s.site_id = %s AND s.route = 'terminal' AND s.started_at BETWEEN %s AND %s"
        " AND s.state IN ('open', 'ended', 'held') AND s.contract->>'start_id' IS NULL"
        " AND w.decided IS NULL"
        " AND NOT EXISTS (SELECT FROM terminal_payment t WHERE t.session_id = s.id)"
        " ORDER BY s.started_at, s.id",
        (site_id, since, until),
    )
    return [Started(**row) for row in await cursor.fetchall()]


async def named(conn: Conn, payment: TerminalPayment, terminal: Terminal | None) -> str | None:
    """The session that a payment is said to be for, or that names it by its token: also one that
    was billed before its settlement was heard of. A token names no card read elsewhere, and who
    says no charge point names nothing that its ``terminal`` does not serve."""
    cursor = await conn.execute(
        "SELECT s.id, s.charge_point_id, s.connector_id FROM session s"
        " WHERE s.entity_id = %(entity)s AND s.route = 'terminal'"
        " AND (s.id = %(named)s"
        "   OR (s.transaction_ref = %(named)s AND s.charge_point_id = %(point)s)"
        "   OR (lower(s.token) = lower(%(reference)s)"
        "     AND COALESCE(%(point)s, s.charge_point_id) = s.charge_point_id))"
        " AND NOT EXISTS (SELECT FROM terminal_payment t WHERE t.session_id = s.id)"
        " ORDER BY s.id = %(named)s DESC, s.started_at DESC",
        {
            "entity": payment.entity_id, "named": payment.transaction_ref,
            "point": payment.charge_point_id, "reference": payment.reference,
        },
    )  # fmt: skip
    return next(
        (
            str(row["id"])
            for row in await cursor.fetchall()
            if may_be_at(payment, terminal, row["charge_point_id"], row["connector_id"])
        ),
        None,
    )


def may_be_at(
    payment: TerminalPayment,
    terminal: Terminal | None,
    charge_point_id: str,
    connector_id: int | None,
) -> bool:
    """Whether a payment may be for a session there: it says where it is for, or its terminal serves
    it. Of a terminal that nobody knows nothing is known against it."""
    if payment.charge_point_id is not None or terminal is None:
        return True
    return terminal.at(charge_point_id, connector_id)


async def naming(
    conn: Conn,
    entity_id: str,
    session_id: str,
    charge_point_id: str,
    token: str,
    transaction_ref: str | None,
) -> list[TerminalPayment]:
    """The payments that name a session, or that it names by its token; locked."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM terminal_payment WHERE entity_id = %(entity)s"
        " AND state IN ('open', 'suspense')"
        " AND (why IS DISTINCT FROM 'refused' OR settled_minor IS NOT NULL)"
        " AND (transaction_ref = %(id)s OR (transaction_ref = %(ref)s"
        "   AND charge_point_id = %(point)s) OR (lower(reference) = lower(%(token)s)"
        "   AND COALESCE(charge_point_id, %(point)s) = %(point)s))"
        " ORDER BY id FOR UPDATE",
        {
            "entity": entity_id, "id": session_id, "ref": transaction_ref,
            "point": charge_point_id, "token": token,
        },
    )  # fmt: skip
    return [TerminalPayment(**row) for row in await cursor.fetchall()]


# --- sessions without their payment ----------------------------------------------------------


async def wait(
    conn: Conn, session_id: str, entity_id: str, currency: str, total_minor: int, now: datetime
) -> None:
    """A session has its price, and nobody has paid it yet."""
    await conn.execute(
        "INSERT INTO terminal_wait (session_id, entity_id, currency, total_minor, since)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (session_id) DO UPDATE"
        " SET total_minor = EXCLUDED.total_minor",
        (session_id, entity_id, currency, total_minor, now),
    )


async def fitting(conn: Conn, session_id: str) -> list[str]:
    """The references of payments in suspense that may be for a session."""
    cursor = await conn.execute(
        "SELECT reference FROM terminal_payment WHERE state = 'suspense' AND candidates ? %s"
        " ORDER BY reference",
        (session_id,),
    )
    return [str(row["reference"]) for row in await cursor.fetchall()]


async def decide(conn: Conn, session_id: str, what: str, by: str, now: datetime) -> None:
    """No payment is waited for any more."""
    await conn.execute(
        "UPDATE terminal_wait SET decided = %s, decided_by = %s, decided_at = %s"
        " WHERE session_id = %s AND decided IS NULL",
        (what, by, now, session_id),
    )


async def decided(conn: Conn, session_id: str, accepted: str) -> str | None:
    """What somebody decided of a session that nobody paid: ``debt`` or ``waive``. Whoever accepted
    that its payment is missing left it to the contract, which says ``accepted``."""
    cursor = await conn.execute(
        "SELECT decided FROM terminal_wait WHERE session_id = %s", (session_id,)
    )
    row = await cursor.fetchone()
    if row is not None and row["decided"] is not None:
        return str(row["decided"])
    cursor = await conn.execute(
        "SELECT FROM anomaly a JOIN anomaly_act t ON t.anomaly_id = a.id"
        " WHERE a.code = 'payment.missing' AND a.subject = %s AND t.act = 'accept'"
        " AND t.actor <> 'wattledger'",
        (session_id,),
    )
    return accepted if await cursor.fetchone() is not None else None


async def take_turns(conn: Conn, site_id: str) -> None:
    """Until the transaction ends: two sessions could both find the same payment free."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 8))", (site_id,))
