"""The ledger as an accountant reads it, and what was sent out."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from wattledger.web.places import Conn, Entity

ROWS = 60
WORDS = {
    "receivable.driver": "Owed by drivers",
    "receivable.account": "Owed by accounts",
    "receivable.external": "Owed by the other system",
    "receivable.debt": "Drivers’ debts",
    "payable.driver": "Owed to drivers",
    "revenue.energy": "Revenue, energy",
    "revenue.time": "Revenue, charging time",
    "revenue.idle": "Revenue, idle time",
    "revenue.fee": "Revenue, session fees",
    "tax.sales": "Sales tax payable",
    "clearing.stripe": "Processor clearing",
    "payouts.in_transit": "Payouts in transit",
    "bank": "Bank",
    "expense.processing": "Processing fees",
    "expense.waived": "Waived",
}
KINDS = ("asset", "liability", "revenue", "expense")
_EFFECT_WORDS = {
    "pending": ("Due", "wait"),
    "claimed": ("Being sent", "wait"),
    "unknown": ("Sent, no answer", "warn"),
    "done": ("Answered", "ok"),
    "rejected": ("Refused", "bad"),
}

_TRIAL = """
    SELECT a.code, a.kind, a.currency, COALESCE(d.amount, 0)::bigint AS debit_minor,
           COALESCE(c.amount, 0)::bigint AS credit_minor
      FROM account a
      LEFT JOIN (SELECT debit, currency, sum(amount_minor) AS amount FROM posting
                  WHERE entity_id = %(entity)s GROUP BY 1, 2) d
             ON d.debit = a.code AND d.currency = a.currency
      LEFT JOIN (SELECT credit, currency, sum(amount_minor) AS amount FROM posting
                  WHERE entity_id = %(entity)s GROUP BY 1, 2) c
             ON c.credit = a.code AND c.currency = a.currency
     WHERE a.entity_id = %(entity)s
     ORDER BY array_position(ARRAY['asset', 'liability', 'revenue', 'expense'], a.kind), a.code
"""
_POSTINGS = f"""
    SELECT e.id AS entry_id, e.cause, e.cause_id, e.effective_on, p.posting_no, p.debit, p.credit,
           p.amount_minor, p.currency,
           COALESCE(g.session_id, pay.session_id) AS session_id
      FROM posting p JOIN entry e ON e.id = p.entry_id
      LEFT JOIN charge g ON g.id = e.cause_id
      LEFT JOIN processor_item i ON e.cause = 'processor_item' AND i.id = e.cause_id
      LEFT JOIN payment pay ON pay.id = i.payment_id
     WHERE p.entity_id = %(entity)s
       AND (%(account)s::text IS NULL OR p.debit = %(account)s OR p.credit = %(account)s)
       AND (%(before)s::bigint IS NULL OR e.id < %(before)s)
     ORDER BY e.id DESC, p.posting_no LIMIT {ROWS}
"""
_EFFECTS = f"""
    SELECT id, kind, subject, lane, attempt, key, state, caused_at, due_at, settled_at, tries,
           request, response
      FROM effect
     WHERE (%(kind)s::text IS NULL OR kind = %(kind)s)
       AND (%(state)s::text IS NULL OR state = %(state)s)
       AND (%(late)s::timestamptz IS NULL
            OR (state IN ('pending', 'claimed') AND due_at < %(late)s))
       AND (%(before)s::bigint IS NULL OR id < %(before)s)
     ORDER BY id DESC LIMIT {ROWS}
"""
_EFFECT_COUNTS = """
    SELECT kind, state, count(*) AS n FROM effect GROUP BY kind, state ORDER BY kind, state
"""


class Balance(msgspec.Struct, frozen=True):
    """An account of the trial balance."""

    code: str
    name: str
    kind: str
    currency: str
    debit_minor: int
    credit_minor: int

    @property
    def balance_minor(self) -> int:
        """Debits less credits."""
        return self.debit_minor - self.credit_minor


class Posting(msgspec.Struct, frozen=True):
    """One posting of the journal."""

    entry_id: int
    posting_no: int
    cause: str
    cause_id: str
    effective_on: date
    debit: str
    credit: str
    amount_minor: int
    currency: str
    session_id: str | None


class Sent(msgspec.Struct, frozen=True):
    """An effect: a call to the world outside."""

    id: int
    kind: str
    what: str
    subject: str
    state: tuple[str, str]
    attempt: int
    tries: int
    caused_at: datetime
    due_at: datetime
    settled_at: datetime | None
    answer: str


async def read_trial(conn: Conn, entity: Entity) -> list[Balance]:
    """All accounts, assets first."""
    rows = await (await conn.execute(_TRIAL, {"entity": entity.id})).fetchall()
    return [
        Balance(
            row["code"],
            account_name(row["code"]),
            row["kind"],
            row["currency"],
            row["debit_minor"],
            row["credit_minor"],
        )
        for row in rows
    ]


async def read_postings(
    conn: Conn, entity: Entity, account: str | None, before: int | None
) -> tuple[list[Posting], int | None]:
    """The newest postings, of one account or all, and the key of the next page."""
    given = {"entity": entity.id, "account": account, "before": before}
    rows = await (await conn.execute(_POSTINGS, given)).fetchall()
    more = len(rows) == ROWS
    if (
        more
    ):  # an entry is never torn in two: its last, perhaps incomplete one goes to the next page
        cut = rows[-1]["entry_id"]
        rows = [row for row in rows if row["entry_id"] > cut] or rows
    found = [Posting(**row) for row in rows]
    return found, found[-1].entry_id if more and found else None


async def read_sent(
    conn: Conn, kind: str, state: str, before: int | None, now: datetime
) -> tuple[list[Sent], dict[str, dict[str, int]], int | None]:
    """Effects of a kind ('all' for every one), how many there are, and the next page's key."""
    given = {
        "kind": None if kind == "all" else kind,
        "state": state if state and state != "late" else None,
        "late": now - timedelta(minutes=10) if state == "late" else None,
        "before": before,
    }
    rows = await (await conn.execute(_EFFECTS, given)).fetchall()
    counts: dict[str, dict[str, int]] = {}
    for row in await (await conn.execute(_EFFECT_COUNTS)).fetchall():
        counts.setdefault(row["kind"], {})[row["state"]] = row["n"]
    return [_sent(row) for row in rows], counts, rows[-1]["id"] if len(rows) == ROWS else None


def account_name(code: str) -> str:
    """The word for an account; its code where there is none."""
    return WORDS.get(code, code)


def _sent(row: dict[str, Any]) -> Sent:
    request, response = row["request"] or {}, row["response"] or {}
    answer = ""
    if isinstance(response, dict):
        status = response.get("status") or response.get("status_code") or response.get("http")
        answer = str(status) if status else str(response.get("error") or response.get("code") or "")
    return Sent(
        id=row["id"],
        kind=row["kind"],
        what=str(request.get("type") or request.get("event") or row["kind"])
        if isinstance(request, dict)
        else row["kind"],
        subject=row["subject"],
        state=_EFFECT_WORDS[row["state"]],
        attempt=row["attempt"],
        tries=row["tries"],
        caused_at=row["caused_at"],
        due_at=row["due_at"],
        settled_at=row["settled_at"],
        answer=answer,
    )
