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
# The account that a part of each state moves. What it moved before, as a debt that was paid or
# written off, has gone back.
_OWED = (
    "(VALUES ('debt', 'receivable.debt'), ('waived', 'expense.waived'),"
    " ('refund_due', 'payable.driver'), ('wallet', 'payable.wallet')) o (state, account)"
)
_CAUSES = "('debt', 'waiver', 'refund_due', 'debt_paid', 'written_off', 'wallet', 'unpaid')"
# What was taken back of a part is named after it, and after what took it back.
_PART = "split_part({}.cause_id, '#', 1)"
# What books a part, and the states in which it may have been booked so.
_OF_PARTS = (
    "(VALUES ('debt', '{debt,captured,waived,wallet}'::text[]), ('waiver', '{waived}'),"
    " ('refund_due', '{refund_due}'), ('debt_paid', '{captured,wallet}'),"
    " ('written_off', '{waived}'), ('wallet', '{wallet}'), ('paid_outside', '{external}'),"
    " ('unpaid', '{wallet,external}')) o (cause, states)"
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
        "     FILTER (WHERE l.account LIKE 'revenue.%' OR l.account = 'expense.goodwill'), 0)"
        "   AS net,"
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
        "   WHEN 'dispute_lost' THEN NOT EXISTS (SELECT FROM processor_item i JOIN dispute d"
        "     ON d.id = i.source AND d.status IN ('lost', 'prevented') WHERE i.id = cause_id)"
        "   WHEN 'refund_taken_over' THEN NOT EXISTS"
        "     (SELECT FROM processor_item i WHERE i.id = cause_id AND i.category = 'refund')"
        "   WHEN 'kept' THEN NOT EXISTS (SELECT FROM terminal_payment t WHERE t.id = cause_id)"
        "   WHEN 'unkept' THEN NOT EXISTS (SELECT FROM terminal_payment t WHERE t.id = cause_id)"
        "   WHEN 'topup_taken_back' THEN NOT EXISTS"
        "     (SELECT FROM wallet_move w WHERE w.kind = 'paid_out' AND w.cause_id = entry.cause_id)"
        "   WHEN 'refund_otherwise' THEN NOT EXISTS"
        "     (SELECT FROM payment_refund r WHERE r.id = cause_id AND r.state = 'otherwise')"
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
        # Debited, or credited by a part below zero: its own account, and none of the others.
        f"SELECT k.charge_id || '/' || k.part AS subject, 'is ' || k.state || ' with ' ||"
        f" k.amount_minor || ' and booked with ' || {_MOVED} || ' on ' || o.account AS message"
        f" FROM collection k CROSS JOIN {_OWED}"
        f" LEFT JOIN journal_line l ON l.cause IN {_CAUSES}"
        f" AND l.account = o.account AND {_PART.format('l')} = k.charge_id || '/' || k.part"
        f" GROUP BY k.charge_id, k.part, o.state, o.account HAVING {_MOVED}"
        " <> CASE WHEN k.state = o.state THEN k.amount_minor ELSE 0 END",
    ),
    (
        "part.entry",
        "SELECT e.id::text AS subject, 'books a ' || e.cause || ' of ' || e.cause_id"
        f" || ', which is no such part' AS message FROM entry e JOIN {_OF_PARTS} USING (cause)"
        f" LEFT JOIN collection k ON k.charge_id || '/' || k.part = {_PART.format('e')}"
        " AND k.state = ANY(o.states) WHERE k.charge_id IS NULL",
    ),
    (
        "debt.part",
        # Every part that is owed has its debt (those of credits close theirs), and they agree. What
        # a wallet has paid of it may be less by now.
        "SELECT k.charge_id || '/' || k.part AS subject, 'is ' || k.state || ', its debt '"
        " || COALESCE(d.state, 'of nobody') AS message FROM collection k"
        " LEFT JOIN debt d USING (charge_id, part) WHERE k.amount_minor > 0"
        " AND (k.state = 'debt' OR d.charge_id IS NOT NULL)"
        " AND NOT (k.state = 'wallet' AND d.state = 'paid' AND d.amount_minor >= k.amount_minor)"
        " AND (d.amount_minor IS DISTINCT FROM k.amount_minor OR k.state <> CASE d.state"
        "   WHEN 'paid' THEN 'captured' WHEN 'written_off' THEN 'waived' ELSE 'debt' END)",
    ),
    (
        "terminal.kept",
        # What a vendor has taken for nobody's session stands as owed to whoever paid, and no more.
        "SELECT t.id AS subject, 'is ' || t.state || ' with ' || COALESCE(t.settled_minor, 0)"
        " || ', and unapplied with ' || COALESCE(sum(l.credit_minor - l.debit_minor), 0) AS message"
        " FROM terminal_payment t LEFT JOIN journal_line l ON l.cause IN ('kept', 'unkept')"
        "   AND l.cause_id = t.id AND l.account = 'payable.unapplied' GROUP BY t.id"
        " HAVING COALESCE(sum(l.credit_minor - l.debit_minor), 0)"
        "   <> CASE t.state WHEN 'kept' THEN COALESCE(t.settled_minor, 0) ELSE 0 END",
    ),
    (
        "wallet.balance",
        "SELECT COALESCE(w.entity_id, l.entity_id) || ' ' || COALESCE(w.currency, l.currency)"
        " AS subject, 'wallets hold ' || COALESCE(w.amount, 0) || ', the ledger owes them '"
        " || COALESCE(l.amount, 0) AS message"
        " FROM (SELECT entity_id, currency, sum(amount_minor) AS amount FROM wallet_move"
        "   GROUP BY entity_id, currency) w"
        " FULL JOIN (SELECT entity_id, currency, sum(credit_minor - debit_minor) AS amount"
        "   FROM journal_line WHERE account = 'payable.wallet' GROUP BY entity_id, currency) l"
        " ON (w.entity_id, w.currency) = (l.entity_id, l.currency)"
        " WHERE COALESCE(w.amount, 0) <> COALESCE(l.amount, 0)",
    ),
    (
        "wallet.topup",
        "SELECT p.id AS subject, 'is ' || p.state || ' with ' || p.captured_minor"
        " || ', its wallet got ' || COALESCE(w.amount_minor, 0) AS message FROM payment p"
        " LEFT JOIN wallet_move w ON w.kind = 'topup' AND w.cause_id = p.id"
        " WHERE p.leg = 'topup' AND COALESCE(w.amount_minor, 0) <> p.captured_minor",
    ),
    (
        "wallet.paid_out",
        # A wallet pays out what the processor took back of its top-up, and is booked with it.
        "SELECT w.cause_id AS subject, 'is paid out with ' || -w.amount_minor || ', and booked'"
        f" || ' with ' || {_MOVED} AS message FROM wallet_move w"
        " LEFT JOIN processor_item i ON i.id = w.cause_id"
        " LEFT JOIN payment p ON p.id = i.payment_id AND p.leg = 'topup'"
        "   AND (p.entity_id, p.account_id, p.currency) = (w.entity_id, w.account_id, w.currency)"
        " LEFT JOIN journal_line l ON l.cause = 'topup_taken_back' AND l.cause_id = w.cause_id"
        "   AND l.account = 'payable.wallet' WHERE w.kind = 'paid_out'"
        " GROUP BY w.cause_id, w.amount_minor, i.amount_minor, p.id"
        f" HAVING {_MOVED} <> -w.amount_minor OR p.id IS NULL OR w.amount_minor < i.amount_minor",
    ),
    (
        "refund.due",
        "SELECT p.id AS subject, 'captured ' || p.captured_minor || ', of which '"
        " || -sum(k.amount_minor) || ' is due back' AS message FROM payment p"
        " JOIN collection k ON k.payment_id = p.id AND k.state = 'refund_due'"
        " GROUP BY p.id HAVING sum(k.amount_minor) NOT BETWEEN -p.captured_minor AND 0",
    ),
    (
        "refund.sent",
        # Nobody's card gets back more than the session's documents say.
        "SELECT r.payment_id AS subject, 'gave back ' || sum(r.amount_minor) || ', and '"
        " || COALESCE(max(k.due), 0) || ' is due back' AS message FROM payment_refund r"
        " LEFT JOIN (SELECT payment_id, -sum(amount_minor) AS due FROM collection"
        "   WHERE state = 'refund_due' GROUP BY payment_id) k USING (payment_id)"
        " WHERE r.cause IN ('adjustment', 'refund') AND r.state NOT IN ('failed', 'refused')"
        " GROUP BY r.payment_id HAVING sum(r.amount_minor) > COALESCE(max(k.due), 0)",
    ),
    (
        "refund.issued",
        "SELECT r.id AS subject, 'was issued by ' || r.charge_id || ', which is no credit of its'"
        " || ' session' AS message FROM refund r LEFT JOIN charge c ON c.id = r.charge_id"
        "   AND c.kind = 'credit' AND c.session_id = r.session_id"
        " WHERE r.charge_id IS NOT NULL AND c.id IS NULL",
    ),
    (
        "dispute.lost",
        # What was withdrawn for one that was prevented is gone, too.
        "SELECT i.id AS subject, 'is of a lost dispute and stands as one that is open' AS message"
        " FROM processor_item i JOIN dispute d ON d.id = i.source"
        "   AND d.status IN ('lost', 'prevented')"
        " WHERE i.payment_id IS NOT NULL AND i.amount_minor <> 0 AND NOT EXISTS"
        "   (SELECT FROM entry e WHERE e.cause = 'dispute_lost' AND e.cause_id = i.id)",
    ),
    (
        "captured.parts",
        # What is not asked for by a bill, and goes back, counts too. What the processor took beyond
        # that is no mistake of ours where it was shown as such: until it goes back it is a break
        # of the reconciliation.
        "SELECT p.id AS subject, 'is ' || p.state || ' with ' || p.captured_minor"
        " || ', its captured parts sum to ' || k.sum || ', and of the rest goes back ' || r.sum"
        " AS message FROM payment p"
        " CROSS JOIN LATERAL (SELECT COALESCE(sum(amount_minor), 0) AS sum FROM collection"
        "   WHERE payment_id = p.id AND state = 'captured') k"
        " CROSS JOIN LATERAL (SELECT COALESCE(sum(amount_minor), 0) AS sum FROM payment_refund"
        "   WHERE payment_id = p.id AND cause = 'suspense'"
        "   AND state NOT IN ('failed', 'refused')) r"
        " CROSS JOIN LATERAL (SELECT CASE p.state WHEN 'captured' THEN p.captured_minor ELSE 0"
        "   END - k.sum - r.sum AS minor) rest"
        " WHERE p.leg <> 'topup' AND rest.minor <> 0 AND NOT (rest.minor > 0 AND EXISTS"
        "   (SELECT FROM anomaly a WHERE a.subject = p.id AND a.code IN ('capture.outside',"
        "     'capture.over', 'capture.differs')"
        "     AND (a.detail->>'taken_minor')::bigint >= p.captured_minor))",
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
