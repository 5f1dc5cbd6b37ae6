"""Booking entries and reading balances. Nothing here commits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from wattledger.ledger.accounts import Code, kind
from wattledger.ledger.entries import Entry, Posting

Conn = AsyncConnection[dict[str, Any]]


# Accounts that are not there yet, the entry unless its cause was booked, and then its postings.
_BOOK = """
    WITH new_account AS (
        INSERT INTO account (entity_id, code, currency, kind)
        SELECT %(entity)s, code, %(currency)s, kind
          FROM unnest(%(codes)s::text[], %(kinds)s::text[]) AS a (code, kind)
            ON CONFLICT DO NOTHING),
    new_entry AS (
        INSERT INTO entry (entity_id, cause, cause_id, effective_on, booked_at, posting_count)
        VALUES (%(entity)s, %(cause)s, %(cause_id)s, %(on)s, %(at)s, %(count)s)
            ON CONFLICT (cause, cause_id) DO NOTHING RETURNING id),
    new_posting AS (
        INSERT INTO posting
               (entry_id, posting_no, entity_id, debit, credit, amount_minor, currency)
        SELECT e.id, p.no, %(entity)s, p.debit, p.credit, p.amount_minor, %(currency)s
          FROM new_entry e,
               unnest(%(debits)s::text[], %(credits)s::text[], %(amounts)s::bigint[])
               WITH ORDINALITY AS p (debit, credit, amount_minor, no))
    SELECT id FROM new_entry
"""


async def book(conn: Conn, entry: Entry | None, booked_at: datetime) -> int | None:
    """Write an entry with its postings in one statement; its number.

    None when there is nothing to book, or when this cause has been booked before: a repeated
    step books once. The accounts it needs come into being with their first use.
    """
    if entry is None:
        return None
    used = sorted({p.debit for p in entry.postings} | {p.credit for p in entry.postings})
    cursor = await conn.execute(
        _BOOK,
        {
            "entity": entry.entity_id, "currency": entry.currency,
            "codes": [c.value for c in used], "kinds": [kind(c) for c in used],
            "cause": entry.cause, "cause_id": entry.cause_id, "on": entry.effective_on,
            "at": booked_at, "count": len(entry.postings),
            "debits": [p.debit.value for p in entry.postings],
            "credits": [p.credit.value for p in entry.postings],
            "amounts": [p.amount_minor for p in entry.postings],
        },
    )  # fmt: skip
    row = await cursor.fetchone()
    return int(row["id"]) if row else None


async def booked(conn: Conn, cause: str, cause_id: str) -> Entry | None:
    """The entry of a cause as it was booked, or None when it books nothing."""
    cursor = await conn.execute(
        "SELECT e.entity_id, e.effective_on, p.debit, p.credit, p.amount_minor, p.currency"
        " FROM entry e JOIN posting p ON p.entry_id = e.id"
        " WHERE e.cause = %s AND e.cause_id = %s ORDER BY p.posting_no",
        (cause, cause_id),
    )
    rows = await cursor.fetchall()
    if not rows:
        return None
    postings = tuple(Posting(Code(r["debit"]), Code(r["credit"]), r["amount_minor"]) for r in rows)
    first = rows[0]
    return Entry(first["entity_id"], cause, cause_id, first["effective_on"], first["currency"],
                 postings)  # fmt: skip


async def balances(conn: Conn, entity_id: str | None = None) -> list[dict[str, Any]]:
    """The trial balance: entity, account, kind, currency, debit, credit, balance (Dr - Cr)."""
    cursor = await conn.execute(
        "SELECT a.entity_id, a.code, a.kind, a.currency,"
        " COALESCE(sum(l.debit_minor), 0)::bigint AS debit_minor,"
        " COALESCE(sum(l.credit_minor), 0)::bigint AS credit_minor,"
        " COALESCE(sum(l.debit_minor - l.credit_minor), 0)::bigint AS balance_minor"
        " FROM account a LEFT JOIN journal_line l"
        " ON (l.entity_id, l.account, l.currency) = (a.entity_id, a.code, a.currency)"
        " WHERE %(entity)s::text IS NULL OR a.entity_id = %(entity)s"
        " GROUP BY 1, 2, 3, 4 ORDER BY 1, 4, 2",
        {"entity": entity_id},
    )
    return await cursor.fetchall()
