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

_MESSAGES = (
    "SELECT e.id::text AS id, e.key, (e.request->'data'->>'total_minor')::bigint AS amount,"
    " c.entity_id, c.currency, 'Message of session ' || c.session_id AS what"
    " FROM effect e JOIN charge c ON c.id = e.request->'data'->>'charge_id'"
    " WHERE c.entity_id = %(entity)s AND e.kind = 'webhook.deliver'"
    " AND e.request->>'type' = 'session.billed'"
)
# Each query gives id, key, amount, entity_id, currency, what. %(entity)s restricts to a legal
# entity, because two of them never share an item.
_SIDES = {
    ("meter", "ours"): (
        "SELECT id, charge_point_id || '/' || connector_id || '|' || meter_start_wh || '|'"
        " || meter_stop_wh AS key, meter_stop_wh - meter_start_wh AS amount, entity_id,"
        " NULL::text AS currency, id AS what FROM session"
        " WHERE entity_id = %(entity)s AND meter_stop_wh IS NOT NULL"
        " ORDER BY charge_point_id, connector_id, started_at, id"
    ),
    ("session", "ours"): (
        "SELECT id, id AS key, meter_stop_wh - meter_start_wh AS amount, entity_id,"
        " NULL::text AS currency, 'Session ' || id AS what FROM session"
        " WHERE entity_id = %(entity)s AND state = 'billed'"
    ),
    ("session", "theirs"): (
        "SELECT id, session_id AS key, energy_wh AS amount, entity_id, NULL::text AS currency,"
        " 'Charge ' || id AS what FROM charge WHERE entity_id = %(entity)s"
    ),
    # What was captured after the processor was last read is on its way, not a difference.
    ("processor", "ours"): (
        "SELECT p.id, p.id AS key, p.captured_minor AS amount, p.entity_id, p.currency,"
        " 'Payment of session ' || p.session_id AS what FROM payment p"
        " WHERE p.entity_id = %(entity)s AND p.state = 'captured' AND EXISTS (SELECT FROM effect e"
        "   WHERE e.subject = p.id AND e.kind = 'stripe.capture' AND e.state = 'done'"
        "   AND e.settled_at < (SELECT max(r.due_at) FROM effect r WHERE r.kind = 'stripe.read'"
        "     AND r.subject = p.processor_id AND r.state = 'done'))"
    ),
    ("processor", "theirs"): (
        "SELECT i.id, COALESCE(i.payment_id, i.id) AS key, i.amount_minor AS amount, i.entity_id,"
        " i.currency, 'Item ' || i.id || ' (' || i.category || ')' AS what FROM processor_item i"
        " LEFT JOIN payment p ON p.id = i.payment_id WHERE i.entity_id = %(entity)s"
        " AND i.category NOT IN ('payout', 'payout_reversal', 'fee', 'network_cost')"
        " AND (p.id IS NULL OR NOT EXISTS (SELECT FROM effect e WHERE e.subject = p.id"
        "   AND e.kind = 'stripe.capture' AND e.state = 'done'"
        "   AND e.settled_at >= (SELECT max(r.due_at) FROM effect r WHERE r.kind = 'stripe.read'"
        "     AND r.subject = p.processor_id AND r.state = 'done')))"
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
    ("external", "ours"): (
        "SELECT c.id, c.session_id AS key, c.total_minor AS amount, c.entity_id, c.currency,"
        " 'Session ' || c.session_id AS what FROM charge c JOIN session s ON s.id = c.session_id"
        " WHERE c.entity_id = %(entity)s AND s.route = 'external'"
    ),
    ("external", "theirs"): (
        "SELECT x.reference AS id, x.session_id AS key, x.amount_minor AS amount, x.entity_id,"
        " x.currency, 'Payment ' || x.reference AS what FROM external_payment x"
        " JOIN session s ON s.id = x.session_id"
        " WHERE x.entity_id = %(entity)s AND s.state NOT IN ('open', 'ended')"
    ),
    # A message that is still on its way is no difference; one that was refused for good is.
    ("books", "ours"): _MESSAGES + " AND e.state IN ('done', 'rejected')",
    ("books", "theirs"): _MESSAGES + " AND e.state = 'done'",
}


async def side(conn: Conn, leg: str, which: str, entity_id: str) -> list[Item]:
    """The items of one side of a leg."""
    cursor = await conn.execute(_SIDES[leg, which], {"entity": entity_id})
    return [Item(**row) for row in await cursor.fetchall()]


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
