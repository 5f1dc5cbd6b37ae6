"""The list of sessions, found by what a person has in hand, and the refused attempts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import sql

from wattledger.errors import BadInput
from wattledger.pipeline.deciding import money_find
from wattledger.web.models import ROUTES, model_name, model_of
from wattledger.web.places import Conn, Entity, Places

PAGE_ROWS = 50
STATES = {
    "open": ("Charging", "wait"),
    "ended": ("Ended, not billed yet", "wait"),
    "billed": ("Billed", "ok"),
    "free": ("Free", ""),
    "adjusted": ("Adjusted", "ok"),
    "held": ("Held", "bad"),
}
COLLECTED = {
    "captured": ("Captured", "ok"),
    "invoiced": ("Invoiced", "ok"),
    "external": ("Paid elsewhere", "ok"),
    "wallet": ("From the wallet", "ok"),
    "roaming": ("By roaming record", "ok"),
    "pending": ("Being collected", "wait"),
    "waived": ("Waived", ""),
    "debt": ("Debt", "bad"),
    "refund_due": ("Refund due", "warn"),
}
MONEY_FILTERS = {key: word for key, (word, _) in COLLECTED.items()} | {
    "lapsing": "Hold lapses within a day"
}

_SELECT = """
    SELECT s.id, s.site_id, s.charge_point_id, s.connector_id, s.token, s.account_id, s.route,
           s.state, s.held_reason, s.started_at, s.ended_at, s.stopped_at, s.meter_start_wh,
           s.contract->>'discount_percent' AS discount, v.body AS tariff,
           c.total_minor, c.currency, COALESCE(NULLIF(c.energy_wh, 0),
           s.meter_stop_wh - s.meter_start_wh,
           last.register_wh - s.meter_start_wh) AS energy_wh, parts.states
      FROM session s
      -- All documents of the session: a credit takes its charge back.
      LEFT JOIN LATERAL (SELECT sum(total_minor)::bigint AS total_minor,
                                sum(energy_wh)::bigint AS energy_wh, max(currency) AS currency,
                                array_agg(id) AS ids, array_agg(entity_date) AS days
                           FROM charge WHERE session_id = s.id) c ON true
      LEFT JOIN config_version v ON v.digest = s.contract->>'tariff_digest'
      LEFT JOIN LATERAL (SELECT array_agg(state ORDER BY state) AS states
                           FROM (SELECT state FROM collection WHERE charge_id = ANY(c.ids)
                                  GROUP BY state HAVING sum(amount_minor) <> 0) net) parts ON true
      LEFT JOIN LATERAL (SELECT register_wh FROM session_fact f
                          WHERE f.session_id = s.id AND f.register_wh IS NOT NULL
                            AND s.state IN ('open', 'held')
                          ORDER BY f.at DESC, f.id DESC LIMIT 1) last ON true
"""
_CONDITIONS = {
    "site": "s.site_id = %(site)s",
    "state": "s.state = %(state)s",
    "route": "s.route = %(route)s",
    "day": "%(day)s = ANY(c.days)",
    "before": "(s.started_at, s.id) < (%(before_at)s, %(before_id)s)",
    "lapsing": "EXISTS (SELECT FROM payment p WHERE p.session_id = s.id AND p.state = 'held'"
    " AND p.capture_before < %(hold_before)s)",
    "money": "EXISTS (SELECT FROM charge g JOIN collection col ON col.charge_id = g.id"
    " WHERE g.session_id = s.id AND col.amount_minor <> 0 AND col.state = %(money)s"
    " GROUP BY g.session_id HAVING sum(col.amount_minor) <> 0)",
}


class Row(msgspec.Struct, frozen=True):
    """A session in the list."""

    id: str
    started_at: datetime
    zone: str
    site: str
    charge_point: str
    token: str
    model: str
    energy_wh: int | None
    total_minor: int | None
    currency: str
    state: tuple[str, str]
    held_reason: str | None
    money: list[tuple[str, str]]


class Listed(msgspec.Struct, frozen=True):
    """A page of the list; ``next`` is where the following one begins."""

    rows: list[Row]
    next: str | None
    refused: int


async def read_sessions(
    conn: Conn, places: Places, entity: Entity, wanted: dict[str, Any]
) -> Listed:
    """The newest sessions that match all of ``wanted``: the keys of the conditions above.

    ``before`` is a key as ``next`` gives it; ``q`` what a person has in hand (``money_find``).
    """
    given = {key: value for key, value in wanted.items() if value not in (None, "")}
    values: dict[str, Any] = {**given, "entity": entity.id}
    if "before" in given:
        values |= _key(given["before"])
    if given.get("money") == "lapsing":
        del given["money"]
        given["lapsing"] = True
    conditions = ["s.entity_id = %(entity)s"]
    conditions += [text for key, text in _CONDITIONS.items() if key in given]
    if "q" in given:
        found = money_find.finder(given["q"], [entity.currency])
        conditions.append(found.sessions)
        values |= found.values
    query = sql.SQL(
        _SELECT
        + " WHERE "
        + " AND ".join(conditions)
        + f" ORDER BY s.started_at DESC, s.id DESC LIMIT {PAGE_ROWS + 1}"
    )
    rows = await (await conn.execute(query, values)).fetchall()
    refused = await (
        await conn.execute("SELECT count(*) AS n FROM decision WHERE NOT accepted")
    ).fetchone()
    shown = rows[:PAGE_ROWS]
    follow = None
    if len(rows) > PAGE_ROWS:
        follow = f"{shown[-1]['started_at'].isoformat()}~{shown[-1]['id']}"
    return Listed(
        [_row(row, places, entity) for row in shown], follow, refused["n"] if refused else 0
    )


async def read_refused(conn: Conn, before: int | None) -> tuple[list[dict[str, Any]], int | None]:
    """Attempts that were turned away, newest first, and the key of the next page."""
    cursor = await conn.execute(
        "SELECT id, decided_at, kind, charge_point_id, token, reason FROM decision"
        " WHERE NOT accepted AND (%(before)s::bigint IS NULL OR id < %(before)s)"
        f" ORDER BY id DESC LIMIT {PAGE_ROWS + 1}",
        {"before": before},
    )
    rows = await cursor.fetchall()
    return rows[:PAGE_ROWS], rows[PAGE_ROWS - 1]["id"] if len(rows) > PAGE_ROWS else None


def _key(text: str) -> dict[str, Any]:
    at, _, session_id = text.partition("~")
    try:
        return {"before_at": datetime.fromisoformat(at), "before_id": session_id}
    except ValueError:
        raise BadInput("?before", text, "the key that the link to the next page has") from None


def _row(row: dict[str, Any], places: Places, entity: Entity) -> Row:
    model = model_of(row["route"], row["discount"], row["tariff"])
    return Row(
        id=row["id"],
        started_at=row["started_at"],
        zone=places.zone(row["site_id"], entity.time_zone),
        site=places.site(row["site_id"]),
        charge_point=f"{row['charge_point_id']}/{row['connector_id']}",
        token=row["token"],
        model=model_name(model),
        energy_wh=row["energy_wh"],
        total_minor=row["total_minor"],
        currency=row["currency"] or entity.currency,
        state=STATES[row["state"]],
        held_reason=row["held_reason"],
        money=[COLLECTED[state] for state in row["states"] or []],
    )


def route_names() -> dict[str, str]:
    """For the filter."""
    return {route.value: name for route, name in ROUTES.items()}
