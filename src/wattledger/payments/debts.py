"""Debts: parts of charges that nobody has paid, with who owes them. Nothing here commits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

Conn = AsyncConnection[dict[str, Any]]


class Debt(msgspec.Struct, frozen=True):
    """A debt as it stands. It is named by its part: ``chg_…/2``."""

    charge_id: str
    part: int
    session_id: str
    entity_id: str
    account_id: str | None
    token: str
    currency: str
    amount_minor: int
    why: str
    carried: bool
    """Below what the processor takes: it waits for more."""
    state: str
    tries: int
    next_try_at: datetime | None
    payment_id: str | None
    opened_at: datetime
    closed_at: datetime | None

    @property
    def id(self) -> str:
        """The name of its part."""
        return f"{self.charge_id}/{self.part}"


_COLUMNS = ", ".join(Debt.__struct_fields__)
_ORDER = "ORDER BY opened_at, charge_id, part"


async def add(conn: Conn, debt: Debt) -> bool:
    """A new debt; False when it is there already."""
    places = ", ".join(f"%({name})s" for name in Debt.__struct_fields__)
    cursor = await conn.execute(
        f"INSERT INTO debt ({_COLUMNS}) VALUES ({places}) ON CONFLICT DO NOTHING",
        msgspec.structs.asdict(debt),
    )
    return cursor.rowcount == 1


async def get(conn: Conn, debt_id: str) -> Debt | None:
    """By its name, locked. Whoever asks for debts of one debtor takes turns: else two that each
    hold one would wait for the other's. Its session comes first, as with whoever credits it: the
    payment that collects it is the session's."""
    charge_id, _, number = debt_id.rpartition("/")
    part = int(number) if number.isascii() and number.isdigit() else 0
    await conn.execute(
        "SELECT FROM session WHERE id = (SELECT session_id FROM debt WHERE charge_id = %s"
        " AND part = %s) FOR KEY SHARE",
        (charge_id, part),
    )
    # As ``take_turns``, of whoever owes it.
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended("
        "entity_id || '/' || COALESCE('a/' || account_id, 't/' || lower(token)), 7))"
        " FROM debt WHERE charge_id = %s AND part = %s",
        (charge_id, part),
    )
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM debt WHERE charge_id = %s AND part = %s FOR UPDATE",
        (charge_id, part),
    )
    row = await cursor.fetchone()
    return Debt(**row) if row else None


async def open_of(conn: Conn, debt: Debt) -> list[Debt]:
    """All that the same driver owes the same entity in the same currency and is not being
    collected, oldest first, locked. Without an account that is what one session left: a tag may be
    a terminal's, which all who pay there share."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM debt WHERE state = 'open' AND (entity_id, currency) = (%s, %s)"
        " AND CASE WHEN %s::text IS NULL THEN account_id IS NULL AND session_id = %s"
        f" ELSE account_id = %s END {_ORDER} FOR UPDATE",
        (debt.entity_id, debt.currency, debt.account_id, debt.session_id, debt.account_id),
    )
    return [Debt(**row) for row in await cursor.fetchall()]


async def take_turns(conn: Conn, entity_id: str, account_id: str) -> None:
    """Nobody else asks for debts of this account until the transaction ends."""
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", (f"{entity_id}/a/{account_id}",)
    )


async def of_wallet(conn: Conn, entity_id: str, account_id: str, currency: str) -> list[Debt]:
    """What an account owes for sessions that its wallet pays and is not being collected, oldest
    first, locked."""
    cursor = await conn.execute(
        f"SELECT {', '.join(f'd.{name}' for name in Debt.__struct_fields__)} FROM debt d"
        " JOIN session s ON s.id = d.session_id WHERE d.state = 'open' AND s.route = 'wallet'"
        " AND (d.entity_id, d.account_id, d.currency) = (%s, %s, %s)"
        " ORDER BY d.opened_at, d.charge_id, d.part FOR UPDATE OF d",
        (entity_id, account_id, currency),
    )
    return [Debt(**row) for row in await cursor.fetchall()]


async def of_payment(conn: Conn, payment_id: str) -> list[Debt]:
    """What a payment is collecting, locked."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM debt WHERE payment_id = %s AND state = 'collecting'"
        f" {_ORDER} FOR UPDATE",
        (payment_id,),
    )
    return [Debt(**row) for row in await cursor.fetchall()]


async def of_session(conn: Conn, session_id: str) -> list[Debt]:
    """All debts of a session, locked."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM debt WHERE session_id = %s {_ORDER} FOR UPDATE", (session_id,)
    )
    return [Debt(**row) for row in await cursor.fetchall()]


async def of_charge(conn: Conn, charge_id: str) -> list[Debt]:
    """The open debts of a charge, locked."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM debt WHERE charge_id = %s AND state = 'open' {_ORDER} FOR UPDATE",
        (charge_id,),
    )
    return [Debt(**row) for row in await cursor.fetchall()]


async def owes(conn: Conn, account_id: str | None, token: str, card: str | None = None) -> bool:
    """Whether anything that blocks is still owed: what is carried does not. A guest owes by the
    card, where it is known."""
    where = "account_id IS NULL AND lower(token) = lower(%s)"
    if account_id is not None:
        where = "account_id = %s"
    elif card is not None:
        where = (
            "account_id IS NULL AND session_id IN (SELECT session_id FROM payment"
            " WHERE driver = %s AND leg = 'hold' AND account_id IS NULL)"
        )
    cursor = await conn.execute(
        f"SELECT FROM debt WHERE {where} AND state IN ('open', 'collecting') AND NOT carried"
        " LIMIT 1",
        (account_id or card or token,),
    )
    return await cursor.fetchone() is not None


async def collecting(conn: Conn, debts: list[Debt], payment_id: str) -> None:
    """They are collected by one payment."""
    for debt in debts:
        await conn.execute(
            "UPDATE debt SET state = 'collecting', payment_id = %s, tries = tries + 1,"
            " next_try_at = NULL WHERE charge_id = %s AND part = %s",
            (payment_id, debt.charge_id, debt.part),
        )


async def try_at(conn: Conn, debt: Debt, at: datetime | None) -> None:
    """Open, to be tried again then; None: nobody tries it again by itself."""
    await conn.execute(
        "UPDATE debt SET state = 'open', next_try_at = %s WHERE charge_id = %s AND part = %s",
        (at, debt.charge_id, debt.part),
    )


async def close(conn: Conn, debt: Debt, state: str, at: datetime) -> None:
    """Paid, written off, or credited."""
    await conn.execute(
        "UPDATE debt SET state = %s, closed_at = %s, next_try_at = NULL"
        " WHERE charge_id = %s AND part = %s",
        (state, at, debt.charge_id, debt.part),
    )


async def part_moves(
    conn: Conn, debt: Debt, state: str, at: datetime, payment_id: str | None = None
) -> None:
    """The part of its charge says what became of it: captured by a payment, or waived."""
    await conn.execute(
        "UPDATE collection SET state = %s, changed_at = %s,"
        " payment_id = COALESCE(%s, payment_id) WHERE charge_id = %s AND part = %s",
        (state, at, payment_id, debt.charge_id, debt.part),
    )
