"""Both sides of each leg out of the database, and the result back into it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from wattledger.ids import derive
from wattledger.reconciliation.model import Break, Item, Leg, Match

Conn = AsyncConnection[dict[str, Any]]

# The last time that each processor was read to the end: what happened after it is not read yet.
_READ = (
    "WITH read AS (SELECT subject AS processor_id, max(due_at) AS at FROM effect"
    " WHERE kind = 'stripe.read' AND state = 'done' AND response->>'next' IS NULL GROUP BY subject)"
)
# Not those of which somebody told the energy alone: their registers count from 0 each time.
_ABSOLUTE = (
    "NOT EXISTS (SELECT FROM session_fact f WHERE f.session_id = session.id AND f.kind = 'start'"
    " AND f.detail->>'register' = 'relative')"
)
# The sessions whose register is known from end to end, by connector.
_METERED = (
    "WITH metered AS (SELECT id, entity_id, charge_point_id || '/' || connector_id AS connector,"
    " started_at FROM session WHERE entity_id = %(entity)s AND meter_stop_wh IS NOT NULL"
    f" AND {_ABSOLUTE})"
)
# What each payment has paid for here, and since when: parts of charges, or a wallet; and what it
# took beyond that, once it went back.
_BOOKED = (
    f"{_READ}, booked AS (SELECT payment_id, sum(amount_minor)::bigint AS amount, max(at) AS at"
    " FROM (SELECT payment_id, amount_minor, changed_at AS at FROM collection"
    "   WHERE state = 'captured' AND payment_id IS NOT NULL"
    " UNION ALL SELECT payment_id, amount_minor, settled_at FROM payment_refund"
    "   WHERE cause = 'suspense' AND state IN ('done', 'otherwise')"
    " UNION ALL SELECT cause_id, amount_minor, at FROM wallet_move WHERE kind = 'topup') paid"
    " GROUP BY payment_id)"
)
# Of the processor's lines those that are about no payment, and those with legs of their own.
_NO_CHARGE = (
    "('payout', 'payout_reversal', 'payout_failure', 'fee', 'network_cost', 'tax', 'topup',"
    " 'topup_reversal', 'risk_reserved_funds', 'payout_minimum_balance_hold',"
    " 'payout_minimum_balance_release', 'refund', 'refund_failure', 'dispute',"
    " 'dispute_reversal')"
)
# A refund that failed moved nothing in the end; one that reached its driver otherwise neither.
_GAVE = "CASE WHEN r.state = 'done' THEN r.amount_minor ELSE 0 END"
# A dispute as its last change says; one that was decided after the last reading is on its way.
_DECIDED = "COALESCE(d.closed_at, d.opened_at)"
# The parts of standing charges whose hold was gone when they were to be captured, by what they
# became. What a person wrote off, or accepted, or what is paid by now, is settled.
_GONE = (
    "WITH gone AS (SELECT p.id, p.entity_id, p.currency, p.session_id, p.gone_why, k.amount_minor,"
    " k.state = 'captured' OR d.state = 'written_off' OR EXISTS (SELECT FROM anomaly a"
    "   WHERE a.subject = p.id AND a.code LIKE 'hold.gone\\_%%' AND a.resolved_at IS NOT NULL)"
    "   AS settled, CASE WHEN d.state IS NOT NULL THEN 'hold.gone_owed'"
    "   WHEN k.state = 'waived' THEN 'hold.gone_waived' ELSE 'hold.gone_charged' END AS code"
    " FROM payment p JOIN standing_charge c ON c.session_id = p.session_id"
    " JOIN collection k ON k.charge_id = c.id"
    " LEFT JOIN debt d ON d.charge_id = k.charge_id AND d.part = k.part"
    " WHERE p.entity_id = %(entity)s AND p.leg = 'hold' AND p.state = 'released'"
    " AND p.gone_why IS NOT NULL AND k.state IN ('pending', 'captured', 'waived', 'debt')"
    " AND NOT EXISTS (SELECT FROM payment q WHERE q.session_id = p.session_id"
    "   AND q.leg = 'hold' AND q.number > p.number))"
    " SELECT id, code || '|' || id AS key, sum(amount_minor)::bigint AS amount, entity_id,"
    " currency, 'Hold ' || id || ' (' || gone_why || ') of session ' || session_id AS what"
    " FROM gone"
)
_BY_GONE = " GROUP BY id, code, entity_id, currency, gone_why, session_id"
# What a terminal's vendor took for a session ``s`` and gave back: that is none of theirs any more.
_GONE_BACK = (
    "EXISTS (SELECT FROM terminal_payment t WHERE t.session_id = s.id"
    " AND t.reversed_at IS NOT NULL)"
)
# The documents that messages to the books told of: one, or those of an adjustment.
_MESSAGES = (
    "SELECT e.id, e.subject AS target, e.state, d.number, d.told->>'charge_id' AS charge_id,"
    " (d.told->>'total_minor')::bigint AS total_minor, e.request->'data'->>'currency' AS currency,"
    " e.request->'data'->>'entity_id' AS entity_id FROM effect e CROSS JOIN LATERAL"
    " jsonb_array_elements(COALESCE(e.request->'data'->'documents',"
    "   jsonb_build_array(e.request->'data'))) WITH ORDINALITY AS d (told, number)"
    " WHERE e.kind = 'webhook.deliver'"
    " AND e.request->>'type' IN ('session.billed', 'session.adjusted', 'session.refunded')"
)
# Each query gives id, key, amount, entity_id, currency, what. %(entity)s restricts to a legal
# entity, because two of them never share an item; what was issued from %(told_by)s on may still
# be on its way to the books.
_SIDES = {
    # From the facts as they came; the other side is from the sessions made of them.
    ("meter", "ours"): (
        f"{_METERED}, first AS (SELECT DISTINCT ON (connector) * FROM metered"
        "   ORDER BY connector, started_at, id),"
        " last AS (SELECT DISTINCT ON (connector) * FROM metered"
        "   ORDER BY connector, started_at DESC, id DESC)"
        " SELECT connector AS id, connector AS key,"
        " COALESCE(b.register_wh, 0) - COALESCE(a.register_wh, 0) AS amount, first.entity_id,"
        " NULL::text AS currency, 'Connector ' || connector AS what"
        " FROM first JOIN last USING (connector)"
        " LEFT JOIN LATERAL (SELECT f.register_wh FROM session_fact f WHERE f.session_id = first.id"
        "   AND f.register_wh IS NOT NULL ORDER BY f.kind <> 'start', f.at, f.id LIMIT 1) a ON true"
        " LEFT JOIN LATERAL (SELECT f.register_wh FROM session_fact f WHERE f.session_id = last.id"
        "   AND f.register_wh IS NOT NULL ORDER BY f.kind <> 'stop', f.at DESC, f.id DESC LIMIT 1)"
        "   b ON true"
        " ORDER BY connector"
    ),
    ("meter", "theirs"): (
        "SELECT id, charge_point_id || '/' || connector_id || '|' || meter_start_wh || '|'"
        " || meter_stop_wh AS key, meter_stop_wh - meter_start_wh AS amount, entity_id,"
        " NULL::text AS currency, id AS what FROM session"
        f" WHERE entity_id = %(entity)s AND meter_stop_wh IS NOT NULL AND {_ABSOLUTE}"
        " ORDER BY charge_point_id, connector_id, started_at, id"
    ),
    ("session", "ours"): (
        # One whose charge was credited, and that nothing is charged for, comes to nothing.
        "SELECT id, id AS key, CASE WHEN state = 'billed' OR EXISTS"
        " (SELECT FROM standing_charge c WHERE c.session_id = session.id)"
        " THEN meter_stop_wh - meter_start_wh - explained_wh ELSE 0 END AS amount, entity_id,"
        " NULL::text AS currency, 'Session ' || id AS what FROM session"
        " WHERE entity_id = %(entity)s AND state IN ('billed', 'adjusted')"
    ),
    ("session", "theirs"): (
        "SELECT id, session_id AS key, energy_wh AS amount, entity_id, NULL::text AS currency,"
        " 'Charge ' || id AS what FROM charge WHERE entity_id = %(entity)s"
    ),
    # What we booked: the parts, not the processor's own word for it. What was captured after the
    # processor was last read is on its way, not a difference.
    ("processor", "ours"): (
        f"{_BOOKED} SELECT p.id, p.id AS key, b.amount, p.entity_id, p.currency,"
        " CASE WHEN p.session_id IS NULL THEN 'Payment ' || p.id"
        "   ELSE 'Payment of session ' || p.session_id END AS what"
        " FROM booked b JOIN payment p ON p.id = b.payment_id JOIN read USING (processor_id)"
        " WHERE p.entity_id = %(entity)s AND b.at < read.at"
    ),
    ("processor", "theirs"): (
        f"{_BOOKED} SELECT i.id, COALESCE(i.payment_id, i.id) AS key, i.amount_minor AS amount,"
        " i.entity_id, i.currency, 'Item ' || i.id || ' (' || i.category || ')' AS what"
        " FROM processor_item i LEFT JOIN read USING (processor_id)"
        f" WHERE i.entity_id = %(entity)s AND i.category NOT IN {_NO_CHARGE}"
        " AND NOT EXISTS (SELECT FROM booked b WHERE b.payment_id = i.payment_id"
        "   AND b.at >= read.at)"
    ),
    ("refunds", "ours"): (
        # One at the processor may be of several sessions: together they are it.
        f"{_READ} SELECT r.id, COALESCE(r.external_refund_id, r.id) AS key, {_GAVE} AS amount,"
        " r.entity_id, r.currency,"
        " 'Refund of payment ' || r.payment_id AS what FROM payment_refund r"
        " JOIN payment p ON p.id = r.payment_id JOIN read USING (processor_id)"
        " WHERE r.entity_id = %(entity)s AND r.settled_at < read.at AND (r.state = 'done'"
        "   OR EXISTS (SELECT FROM processor_item i WHERE i.payment_refund_id = r.id))"
    ),
    ("refunds", "theirs"): (
        # One that was made at the processor may have become ours since.
        f"{_READ} SELECT i.id, COALESCE(r.external_refund_id, r.id, i.id) AS key,"
        " -i.amount_minor AS amount,"
        " i.entity_id, i.currency, 'Item ' || i.id || ' (' || i.category || ')' AS what"
        " FROM processor_item i LEFT JOIN LATERAL (SELECT * FROM payment_refund r"
        "   WHERE r.id = i.payment_refund_id OR r.external_refund_id = i.source"
        "   ORDER BY r.id LIMIT 1) r ON true LEFT JOIN read USING (processor_id)"
        " WHERE i.entity_id = %(entity)s AND i.category IN ('refund', 'refund_failure')"
        " AND (r.settled_at < read.at OR (r.id IS NULL"
        # Past us, and it failed: out and back in.
        "   AND (i.source IS NULL OR 0 <> (SELECT sum(f.amount_minor) FROM processor_item f"
        "     WHERE f.source = i.source AND f.processor_id = i.processor_id"
        "     AND f.category IN ('refund', 'refund_failure')))))"
    ),
    ("disputes", "ours"): (
        f"{_READ} SELECT d.id, d.id AS key, CASE d.status WHEN 'won' THEN 0 ELSE d.amount_minor"
        " END AS amount, d.entity_id, d.currency, 'Dispute ' || d.id || ' of payment '"
        " || d.payment_id AS what FROM dispute d JOIN read USING (processor_id)"
        " WHERE d.entity_id = %(entity)s AND NOT d.inquiry AND d.payment_id IS NOT NULL"
        f" AND {_DECIDED} < read.at AND (d.status NOT IN ('won', 'prevented', 'charge_refunded')"
        "   OR EXISTS (SELECT FROM processor_item i WHERE i.source = d.id))"
    ),
    ("disputes", "theirs"): (
        f"{_READ} SELECT i.id, COALESCE(i.source, i.id) AS key, -i.amount_minor AS amount,"
        " i.entity_id, i.currency, 'Item ' || i.id || ' (' || i.category || ')' AS what"
        " FROM processor_item i LEFT JOIN read USING (processor_id)"
        " WHERE i.entity_id = %(entity)s AND i.category IN ('dispute', 'dispute_reversal')"
        " AND NOT EXISTS (SELECT FROM dispute d WHERE d.id = i.source"
        f"   AND {_DECIDED} >= read.at)"
    ),
    ("payout", "ours"): (
        "SELECT id, id AS key, amount_minor AS amount, entity_id, currency, 'Payout ' || id AS what"
        " FROM payout WHERE entity_id = %(entity)s AND items_read"
    ),
    ("payout", "theirs"): (
        "SELECT id, payout_id AS key, net_minor AS amount, entity_id, currency,"
        " 'Item ' || id AS what FROM processor_item"
        " WHERE entity_id = %(entity)s AND payout_id IS NOT NULL AND category <> 'payout'"
    ),
    ("holds", "ours"): f"{_GONE}{_BY_GONE}",
    ("holds", "theirs"): f"{_GONE} WHERE settled{_BY_GONE}",
    ("external", "ours"): (
        # Who named no tax is compared without it. A CDR is compared whoever it is settled with. At
        # a terminal what its vendor pays: the rest of it went back, and is owed or waived.
        "SELECT c.id, c.session_id AS key, CASE WHEN s.route = 'terminal' THEN k.minor"
        "   WHEN x.without_tax THEN c.net_minor ELSE c.total_minor END AS amount, c.entity_id,"
        " c.currency, 'Session ' || c.session_id AS what FROM charge c"
        " JOIN session s ON s.id = c.session_id LEFT JOIN external_payment x ON x.session_id = s.id"
        " CROSS JOIN LATERAL (SELECT COALESCE(sum(amount_minor), 0)::bigint AS minor"
        "   FROM collection WHERE charge_id = c.id AND state = 'external') k"
        " WHERE c.entity_id = %(entity)s AND CASE WHEN s.route = 'terminal' THEN k.minor <> 0"
        f"   AND NOT ({_GONE_BACK} AND (SELECT sum(e.amount_minor) FROM collection e"
        "     JOIN charge g ON g.id = e.charge_id WHERE g.session_id = s.id"
        "     AND e.state = 'external') = 0)"
        "   ELSE s.route = 'external' OR x.session_id IS NOT NULL OR k.minor <> 0 END"
        # What was given up again, and nobody has taken anything for, is no difference.
        " AND (x.session_id IS NOT NULL OR (SELECT sum(t.total_minor) FROM charge t"
        "   WHERE t.session_id = c.session_id) <> 0)"
        # What was kept of suspense is booked, and taken.
        " UNION ALL SELECT t.id, t.id, sum(l.debit_minor - l.credit_minor)::bigint, t.entity_id,"
        " t.currency, 'Kept payment ' || t.reference FROM terminal_payment t"
        " JOIN journal_line l ON l.cause IN ('kept', 'unkept') AND l.cause_id = t.id"
        "   AND l.account = 'receivable.external' WHERE t.entity_id = %(entity)s GROUP BY t.id"
        " HAVING sum(l.debit_minor - l.credit_minor) <> 0"
    ),
    ("external", "theirs"): (
        "SELECT x.reference AS id, x.session_id AS key, x.amount_minor AS amount, x.entity_id,"
        " x.currency, 'Payment ' || x.reference AS what FROM external_payment x"
        " JOIN session s ON s.id = x.session_id"
        " WHERE x.entity_id = %(entity)s AND s.state NOT IN ('open', 'ended')"
        f" AND NOT {_GONE_BACK}"
        " UNION ALL SELECT t.id, t.id, t.settled_minor, t.entity_id, t.currency,"
        " 'Kept payment ' || t.reference FROM terminal_payment t"
        " WHERE t.entity_id = %(entity)s AND t.state = 'kept' AND t.settled_minor > 0"
    ),
    # Every charge for every receiver its entity had when it was issued, or was told all the same.
    ("books", "ours"): (
        f"WITH told AS (SELECT m.charge_id, m.target FROM ({_MESSAGES}) m),"
        " due AS (SELECT id AS charge_id, t.key AS target FROM charge c CROSS JOIN LATERAL"
        "   (SELECT DISTINCT ON (key) key, digest FROM config_activation"
        "     WHERE kind = 'target' AND valid_from <= c.issued_at"
        "     ORDER BY key, valid_from DESC, seq DESC) t"
        "   JOIN config_version v ON v.digest = t.digest AND v.body->>'entity' = c.entity_id"
        "   WHERE c.entity_id = %(entity)s)"
        " SELECT c.id || '/' || t.target AS id, c.id || '/' || t.target AS key,"
        " c.total_minor AS amount, c.entity_id, c.currency, 'Session ' || c.session_id AS what"
        " FROM charge c JOIN (SELECT * FROM due UNION SELECT * FROM told) t ON t.charge_id = c.id"
        " WHERE c.entity_id = %(entity)s AND c.issued_at < %(told_by)s"
    ),
    ("books", "theirs"): (
        "SELECT m.id::text || CASE WHEN m.number > 1 THEN '/' || m.number ELSE '' END AS id,"
        " m.charge_id || '/' || m.target AS key, m.total_minor AS amount,"
        " %(entity)s AS entity_id, COALESCE(m.currency, c.currency) AS currency,"
        f" 'Message to ' || m.target AS what FROM ({_MESSAGES}) m"
        " LEFT JOIN charge c ON c.id = m.charge_id"
        " WHERE m.state = 'done' AND (c.id IS NULL OR c.issued_at < %(told_by)s)"
        " AND COALESCE(c.entity_id, m.entity_id) = %(entity)s"
    ),
}


async def side(
    conn: Conn, leg: str, which: str, entity_id: str, *, told_by: datetime
) -> list[Item]:
    """The items of one side of a leg. ``told_by``: charges issued before it have been told."""
    cursor = await conn.execute(_SIDES[leg, which], {"entity": entity_id, "told_by": told_by})
    return [Item(**row) for row in await cursor.fetchall()]


async def last_read(conn: Conn, processors: list[str]) -> datetime | None:
    """Since when at least one of these has not been read, or None when none ever was."""
    cursor = await conn.execute(
        "SELECT min(at) AS at FROM (SELECT max(settled_at) AS at FROM effect"
        " WHERE kind = 'stripe.read' AND state = 'done' AND response->>'next' IS NULL"
        " AND subject = ANY(%s) GROUP BY subject) read",
        (processors,),
    )
    row = await cursor.fetchone()
    return row["at"] if row else None


async def alone(conn: Conn, entity_id: str) -> bool:
    """Take the entity for this transaction; False when another run has it. Never waits: a
    snapshot that was taken before a wait would not show what the other run did."""
    cursor = await conn.execute(
        "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 3)) AS taken", (entity_id,)
    )
    row = await cursor.fetchone()
    return bool(row and row["taken"])


async def until_free(conn: Conn, entity_id: str) -> None:
    """Wait for the run that has the entity to end."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 3))", (entity_id,))


async def write_matches(conn: Conn, leg: str, matches: Iterable[Match], now: datetime) -> None:
    """Claim the matched items. A match that stands is left as it is."""
    rows = [
        (leg, which, item, m.key, m.entity_id, now)
        for m in matches
        for which, items in (("ours", m.ours), ("theirs", m.theirs))
        for item in items
    ]
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO match (leg, side, item_id, match_key, entity_id, matched_at)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            rows,
        )


async def write_breaks(conn: Conn, entity_id: str, breaks: Iterable[Break], now: datetime) -> None:
    """Open what is new, reopen what came back, resolve what is gone. First seen stays."""
    rows = [(derive("brk", b.leg, b.code, b.item_id), b) for b in breaks]
    for break_id, found in rows:
        values = msgspec.to_builtins(found) | {"id": break_id, "now": now}
        await conn.execute(
            "INSERT INTO break (id, leg, code, entity_id, item_id, currency, amount_minor,"
            " energy_wh, cause, proposal, first_seen_at) VALUES (%(id)s, %(leg)s, %(code)s,"
            " %(entity_id)s, %(item_id)s, %(currency)s, %(amount_minor)s, %(energy_wh)s,"
            " %(cause)s, %(proposal)s, %(now)s) ON CONFLICT (id) DO UPDATE SET resolved_at = NULL,"
            " amount_minor = EXCLUDED.amount_minor, energy_wh = EXCLUDED.energy_wh,"
            " cause = EXCLUDED.cause",
            values,
        )
    await conn.execute(
        "UPDATE break SET resolved_at = %s"
        " WHERE entity_id = %s AND resolved_at IS NULL AND NOT (id = ANY(%s))",
        (now, entity_id, [break_id for break_id, _ in rows]),
    )


async def write_run(
    conn: Conn, entity_id: str, legs: list[Leg], breaks: int, now: datetime
) -> None:
    """One row for each run: both totals of every leg as they stood."""
    await conn.execute(
        "INSERT INTO reconciliation (id, entity_id, cutoff_at, legs, breaks)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET legs = EXCLUDED.legs,"
        " breaks = EXCLUDED.breaks",
        (
            derive("rec", entity_id, now.isoformat()), entity_id, now,
            Jsonb(msgspec.to_builtins(legs)), breaks,
        ),
    )  # fmt: skip
