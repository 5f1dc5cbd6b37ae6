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


# The document's energy in whole Wh, rounded down; NULL where it says none.
_WHOLE_WH = (
    "CASE WHEN jsonb_typeof(d->'energy') = 'number'"
    " AND COALESCE(d->'quantity_scale', '1') BETWEEN '1' AND '1000000000000' THEN to_jsonb("
    "div((d->>'energy')::numeric, COALESCE((d->>'quantity_scale')::numeric, 1))"
    " - (mod((d->>'energy')::numeric, COALESCE((d->>'quantity_scale')::numeric, 1)) < 0)::int) END"
)
# What the parts of some states move in the ledger.
_OWED = (
    "(VALUES ('debt', 'debt', 'receivable.debt'), ('waived', 'waiver', 'expense.waived'),"
    " ('refund_due', 'refund_due', 'payable.driver')) o (state, cause, account)"
)
_MOVED = "COALESCE(sum(l.debit_minor - l.credit_minor), 0)"
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
        " LEFT JOIN entry e ON e.cause = c.kind AND e.cause_id = c.id"
        " LEFT JOIN posting p ON p.entry_id = e.id"
        " GROUP BY c.id HAVING COALESCE(sum(CASE WHEN p.debit LIKE 'receivable.%'"
        " THEN p.amount_minor ELSE -p.amount_minor END), 0) <> c.total_minor",
    ),
    (
        "charge.entry",
        "SELECT c.id AS subject, 'is booked for another entity or in another currency' AS message"
        " FROM charge c JOIN entry e ON e.cause = c.kind AND e.cause_id = c.id"
        " WHERE e.entity_id <> c.entity_id OR EXISTS (SELECT FROM posting p WHERE p.entry_id = e.id"
        "   AND (p.entity_id <> c.entity_id OR p.currency <> c.currency))",
    ),
    (
        "charge.split",
        "SELECT c.id AS subject, 'is booked with revenue ' || b.net || ' and tax ' || b.tax"
        " || ', the charge says ' || c.net_minor || ' and ' || c.tax_minor AS message FROM charge c"
        " JOIN (SELECT e.cause_id AS id, e.cause AS kind,"
        "   COALESCE(sum(l.credit_minor - l.debit_minor)"
        "     FILTER (WHERE l.account LIKE 'revenue.%'), 0) AS net,"
        "   COALESCE(sum(l.credit_minor - l.debit_minor)"
        "     FILTER (WHERE l.account LIKE 'tax.%'), 0) AS tax"
        "   FROM entry e LEFT JOIN journal_line l ON l.entry_id = e.id"
        "   WHERE e.cause IN ('charge', 'credit') GROUP BY e.cause_id, e.cause)"
        " b USING (id, kind)"
        " WHERE b.net <> c.net_minor OR b.tax <> c.tax_minor",
    ),
    (
        "charge.session",
        "SELECT c.id AS subject, 'its session is ' || s.state || ', not '"
        " || CASE WHEN c.revision = 1 THEN 'billed' ELSE 'adjusted' END AS message"
        " FROM charge c JOIN session s ON s.id = c.session_id WHERE s.state <> 'adjusted'"
        " AND (s.state <> 'billed' OR c.revision > 1)",
    ),
    (
        "session.charged",
        "SELECT s.id AS subject, 'is ' || s.state || ' and has no charge' AS message"
        " FROM session s LEFT JOIN charge c ON c.session_id = s.id"
        " WHERE s.state IN ('billed', 'adjusted') AND c.id IS NULL",
    ),
    (
        "credit.reverses",
        # Amounts, energy, lines' sums by the ledger: each the charge's own, negated.
        "SELECT r.id AS subject, 'does not take back what charge '"
        " || COALESCE(r.reverses, 'of none') || ' was' AS message FROM charge r"
        " LEFT JOIN charge c ON c.id = r.reverses LEFT JOIN document_json(r.document) d ON true"
        " WHERE r.kind = 'credit' AND ((c.kind, c.session_id, c.entity_id, c.currency,"
        "   c.revision + 1, -c.net_minor, -c.tax_minor, -c.total_minor, -c.energy_wh)"
        "   IS DISTINCT FROM ('charge', r.session_id, r.entity_id, r.currency, r.revision,"
        "   r.net_minor, r.tax_minor, r.total_minor, r.energy_wh)"
        "   OR to_jsonb(c.id) IS DISTINCT FROM d->'credit_of'"
        "   OR to_jsonb(c.document_digest) IS DISTINCT FROM d->'credit_of_digest'"
        "   OR EXISTS (SELECT 1 FROM journal_line l WHERE (l.cause, l.cause_id)"
        "     IN (('charge', c.id), ('credit', r.id)) GROUP BY l.account, l.currency"
        "     HAVING sum(l.debit_minor) <> sum(l.credit_minor)))",
    ),
    (
        "documents.turns",
        "SELECT c.id AS subject, 'stands as number ' || c.revision || ' of its session, a ' ||"
        " c.kind AS message FROM charge c LEFT JOIN charge b ON b.session_id = c.session_id"
        " AND b.revision = c.revision - 1 WHERE (c.kind = 'credit') <> (c.revision % 2 = 0)"
        " OR (c.revision > 1 AND b.id IS NULL)",
    ),
    (
        "entry.cause",
        "SELECT id::text AS subject, 'books a ' || cause || ' that does not exist' AS message"
        " FROM entry WHERE CASE cause"
        "   WHEN 'charge' THEN NOT EXISTS"
        "     (SELECT FROM charge c WHERE c.id = cause_id AND c.kind = cause)"
        "   WHEN 'credit' THEN NOT EXISTS"
        "     (SELECT FROM charge c WHERE c.id = cause_id AND c.kind = cause)"
        "   WHEN 'processor_item'"
        "     THEN NOT EXISTS (SELECT FROM processor_item i WHERE i.id = cause_id)"
        "   WHEN 'payout' THEN NOT EXISTS (SELECT FROM payout o WHERE o.id = cause_id)"
        "   ELSE false END",
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
        # One that was paid and failed later stands with both its entries, which cancel out.
        "SELECT o.id AS subject, 'moved the bank by ' || COALESCE(sum(l.debit_minor"
        " - l.credit_minor), 0) || ', the processor says ' || o.amount_minor || ' ' || o.status"
        " AS message FROM payout o LEFT JOIN journal_line l ON l.cause_id = o.id"
        " AND l.cause IN ('payout', 'payout_failed') AND l.account = 'bank' GROUP BY o.id"
        " HAVING COALESCE(sum(l.debit_minor - l.credit_minor), 0)"
        " <> CASE o.status WHEN 'paid' THEN o.amount_minor ELSE 0 END",
    ),
    (
        "part.booked",
        # The account that a part of each state moves: debited, or credited by a part below zero.
        f"SELECT k.charge_id || '/' || k.part AS subject, 'is ' || k.state || ' with ' ||"
        f" k.amount_minor || ' and booked with ' || {_MOVED} AS message"
        f" FROM collection k JOIN {_OWED} USING (state)"
        " LEFT JOIN journal_line l ON l.cause = o.cause AND l.account = o.account"
        " AND l.cause_id = k.charge_id || '/' || k.part"
        f" GROUP BY k.charge_id, k.part HAVING {_MOVED} <> k.amount_minor",
    ),
    (
        "part.entry",
        "SELECT e.id::text AS subject, 'books a ' || e.cause || ' of ' || e.cause_id"
        f" || ', which is no such part' AS message FROM entry e JOIN {_OWED} USING (cause)"
        " LEFT JOIN collection k ON k.charge_id || '/' || k.part = e.cause_id"
        " AND k.state = o.state WHERE k.charge_id IS NULL",
    ),
    (
        "refund.due",
        "SELECT p.id AS subject, 'captured ' || p.captured_minor || ', of which '"
        " || -sum(k.amount_minor) || ' is due back' AS message FROM payment p"
        " JOIN collection k ON k.payment_id = p.id AND k.state = 'refund_due'"
        " GROUP BY p.id HAVING sum(k.amount_minor) NOT BETWEEN -p.captured_minor AND 0",
    ),
    (
        "captured.parts",
        "SELECT p.id AS subject, 'is ' || p.state || ' with ' || p.captured_minor"
        " || ', its captured parts sum to ' || COALESCE(sum(k.amount_minor), 0) AS message"
        " FROM payment p LEFT JOIN collection k ON k.payment_id = p.id AND k.state = 'captured'"
        " GROUP BY p.id HAVING COALESCE(sum(k.amount_minor), 0)"
        " <> CASE p.state WHEN 'captured' THEN p.captured_minor ELSE 0 END",
    ),
    (
        "charge.document",
        "SELECT id AS subject, 'its document does not have its digest any more' AS message"
        " FROM charge WHERE encode(sha256(document), 'hex') <> document_digest",
    ),
    (
        "document.totals",
        "SELECT c.id AS subject, 'is in its columns not what it is in its document' AS message"
        " FROM charge c, document_json(c.document) d WHERE to_jsonb(c.session_id)"
        " IS DISTINCT FROM d->'session_id' OR to_jsonb(c.currency) IS DISTINCT FROM d->'currency'"
        f" OR to_jsonb(c.energy_wh) IS DISTINCT FROM {_WHOLE_WH}"
        " OR to_jsonb(c.net_minor) IS DISTINCT FROM d->'net_minor'"
        " OR to_jsonb(c.tax_minor) IS DISTINCT FROM d->'tax_minor'"
        " OR to_jsonb(c.total_minor) IS DISTINCT FROM d->'total_minor'",
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
