"""Parts whose money may be taken back from us: what a wallet, or a terminal's vendor, has paid.
Nothing here commits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

Conn = AsyncConnection[dict[str, Any]]


class PaidPart(msgspec.Struct, frozen=True):
    """A part of a charge that stands."""

    charge_id: str
    part: int
    session_id: str
    entity_id: str
    state: str
    amount_minor: int

    @property
    def id(self) -> str:
        """Its name."""
        return f"{self.charge_id}/{self.part}"


_PAID = (
    "SELECT k.charge_id, k.part, c.session_id, k.entity_id, k.state, k.amount_minor"
    " FROM collection k JOIN standing_charge c ON c.id = k.charge_id"
    " JOIN session s ON s.id = c.session_id WHERE k.state = %(state)s AND k.amount_minor > 0"
)


async def by_wallet(conn: Conn, entity_id: str, account_id: str, currency: str) -> list[PaidPart]:
    """What a wallet has paid and pays still, the last first."""
    cursor = await conn.execute(
        f"{_PAID} AND k.entity_id = %(entity)s AND s.contract->>'account_id' = %(account)s"
        " AND c.currency = %(currency)s ORDER BY k.changed_at DESC, k.charge_id DESC, k.part DESC",
        {"state": "wallet", "entity": entity_id, "account": account_id, "currency": currency},
    )
    return [PaidPart(**row) for row in await cursor.fetchall()]


async def by_vendor(conn: Conn, session_id: str) -> list[PaidPart]:
    """What a terminal's vendor has paid of a session."""
    cursor = await conn.execute(
        f"{_PAID} AND c.session_id = %(session)s ORDER BY k.part",
        {"state": "external", "session": session_id},
    )
    return [PaidPart(**row) for row in await cursor.fetchall()]


async def lessen(conn: Conn, part: PaidPart, amount_minor: int, at: datetime) -> None:
    """So much of it is paid no more."""
    await conn.execute(
        "UPDATE collection SET amount_minor = amount_minor - %s, changed_at = %s"
        " WHERE charge_id = %s AND part = %s",
        (amount_minor, at, part.charge_id, part.part),
    )
