"""The proof of the ledger: questions whose every answer must be "none".

The database refuses what these look for; they look all the same, because a superuser, a
restore or a bug below us could have put it there.
"""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg import AsyncConnection

Conn = AsyncConnection[dict[str, Any]]


class Finding(msgspec.Struct, frozen=True):
    """A check that failed, and on what."""

    check: str
    subject: str
    message: str


class Proof(msgspec.Struct, frozen=True):
    """What was looked at, and what was found."""

    entries: int
    postings: int
    charges: int
    checks: int
    findings: tuple[Finding, ...]

    @property
    def proved(self) -> bool:
        """No check found anything."""
        return not self.findings


# name, what is wrong (a row each: subject, message)
_CHECKS = (
    (
        "entry.count",
        "SELECT e.id::text AS subject,"
        " 'has ' || count(p.*) || ' postings, its header says ' || e.posting_count AS message"
        " FROM entry e LEFT JOIN posting p ON p.entry_id = e.id"
        " GROUP BY e.id HAVING count(p.*) <> e.posting_count",
    ),
    (
        "entry.seal",
        "SELECT e.id::text AS subject, 'posting ' || p.posting_no || ' was written in another"
        " transaction than its entry' AS message"
        " FROM posting p JOIN entry e ON e.id = p.entry_id WHERE p.xid <> e.xid",
    ),
    (
        "ledger.balance",
        "SELECT entity_id || ' ' || currency AS subject,"
        " 'debits and credits differ by ' || sum(debit_minor - credit_minor) AS message"
        " FROM journal_line GROUP BY entity_id, currency"
        " HAVING sum(debit_minor) <> sum(credit_minor)",
    ),
    (
        "charge.booked",
        "SELECT c.id AS subject, 'is booked with ' || COALESCE(sum(p.amount_minor), 0)"
        " || ', the charge is ' || c.total_minor AS message FROM charge c"
        " LEFT JOIN entry e ON e.cause = 'charge' AND e.cause_id = c.id"
        " LEFT JOIN posting p ON p.entry_id = e.id"
        " GROUP BY c.id HAVING COALESCE(sum(CASE WHEN p.debit LIKE 'receivable.%'"
        " THEN p.amount_minor ELSE -p.amount_minor END), 0) <> c.total_minor",
    ),
    (
        "session.charged",
        "SELECT s.id AS subject, 'is billed and has no charge' AS message FROM session s"
        " LEFT JOIN charge c ON c.session_id = s.id WHERE s.state = 'billed' AND c.id IS NULL",
    ),
    (
        "entry.cause",
        "SELECT e.id::text AS subject, 'books a charge that does not exist' AS message FROM entry e"
        " LEFT JOIN charge c ON c.id = e.cause_id WHERE e.cause = 'charge' AND c.id IS NULL",
    ),
    (
        "collection.sum",
        "SELECT c.id AS subject, 'its parts sum to ' || COALESCE(sum(k.amount_minor), 0)"
        " || ', the charge is ' || c.total_minor AS message FROM charge c"
        " LEFT JOIN collection k ON k.charge_id = c.id"
        " GROUP BY c.id HAVING COALESCE(sum(k.amount_minor), 0) <> c.total_minor",
    ),
    (
        "processor_item.booked",
        "SELECT i.id AS subject, 'moved clearing by ' || COALESCE(sum(l.debit_minor"
        " - l.credit_minor), 0) || ', the processor says ' || i.net_minor AS message"
        " FROM processor_item i LEFT JOIN journal_line l ON l.cause = 'processor_item'"
        " AND l.cause_id = i.id AND l.account LIKE 'clearing.%' GROUP BY i.id"
        " HAVING COALESCE(sum(l.debit_minor - l.credit_minor), 0) <> i.net_minor",
    ),
    (
        "payout.booked",
        "SELECT o.id AS subject, 'moved the bank by ' || COALESCE(sum(l.debit_minor"
        " - l.credit_minor), 0) || ', the processor paid ' || o.amount_minor AS message"
        " FROM payout o LEFT JOIN journal_line l ON l.cause = 'payout' AND l.cause_id = o.id"
        " AND l.account = 'bank' WHERE o.status = 'paid' GROUP BY o.id"
        " HAVING COALESCE(sum(l.debit_minor - l.credit_minor), 0) <> o.amount_minor",
    ),
    (
        "part.booked",
        "SELECT k.charge_id || '/' || k.part AS subject, 'is ' || k.state || ' with ' ||"
        " k.amount_minor || ' and booked with ' || COALESCE(sum(p.amount_minor), 0) AS message"
        " FROM collection k LEFT JOIN entry e ON e.cause_id = k.charge_id || '/' || k.part"
        " AND e.cause = CASE k.state WHEN 'debt' THEN 'debt' ELSE 'waiver' END"
        " LEFT JOIN posting p ON p.entry_id = e.id WHERE k.state IN ('debt', 'waived')"
        " GROUP BY k.charge_id, k.part"
        " HAVING COALESCE(sum(p.amount_minor), 0) <> k.amount_minor",
    ),
    (
        "charge.document",
        "SELECT id AS subject, 'its document does not have its digest any more' AS message"
        " FROM charge WHERE encode(sha256(document), 'hex') <> document_digest",
    ),
)


async def prove(conn: Conn) -> Proof:
    """Ask every question in one snapshot."""
    await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    findings: list[Finding] = []
    for name, query in _CHECKS:
        cursor = await conn.execute(query)
        findings += [Finding(name, r["subject"], r["message"]) for r in await cursor.fetchall()]
    cursor = await conn.execute(
        "SELECT (SELECT count(*) FROM entry) AS entries,"
        " (SELECT count(*) FROM posting) AS postings, (SELECT count(*) FROM charge) AS charges"
    )
    row = await cursor.fetchone()
    counts = row or {"entries": 0, "postings": 0, "charges": 0}
    return Proof(**counts, checks=len(_CHECKS), findings=tuple(findings))
