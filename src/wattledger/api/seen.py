"""``GET /v1/sessions`` and ``/v1/sessions/{id}``: how sessions stand, and all that they rest on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from wattledger.api import query
from wattledger.api.answers import json_answer
from wattledger.api.charges import issued
from wattledger.api.state import State
from wattledger.errors import BadInput, NotFound
from wattledger.ingest import anomalies
from wattledger.ingest.anomalies import Anomaly
from wattledger.ingest.codes import describe
from wattledger.pipeline.deciding import money_find
from wattledger.pipeline.display import notices

Conn = AsyncConnection[dict[str, Any]]
STATES = ("open", "ended", "billed", "free", "held", "adjusted")
FRAMES_MAX = 1_000
# Frames are those of the charge point while the session was heard of, and a little around it:
# what a station said just before a start often explains it.
_AROUND = timedelta(minutes=1)

_SELECT = """
    SELECT s.id, s.entity_id, s.site_id, s.charge_point_id, s.connector_id, s.transaction_id,
           s.transaction_ref, s.source, s.token, s.account_id, s.route, s.state, s.held_reason,
           s.discarded, s.started_at, s.stopped_at, s.ended_at, s.meter_start_wh, s.meter_stop_wh,
           s.explained_wh, s.meter_stop_wh - s.meter_start_wh AS energy_wh, i.external_id,
           c.id AS charge_id, c.revision, c.currency, c.net_minor, c.tax_minor, c.total_minor,
           (SELECT count(*) FROM anomaly a WHERE a.subject = s.id AND a.resolved_at IS NULL)
               AS open_anomalies
    FROM session s
    LEFT JOIN standing_charge c ON c.session_id = s.id
    LEFT JOIN inbox i ON s.source IN ('api', 'ocpi', 'import') AND i.source = s.source
        AND i.answer IS NOT NULL AND i.answer->>'session_id' = s.id
"""
_FILTERS = {
    "state": "s.state = %(state)s",
    "site": "s.site_id = %(site)s",
    "charge_point": "s.charge_point_id = %(charge_point)s",
    "token": "lower(s.token) = lower(%(token)s)",
    "from": "s.started_at >= %(from)s",
    "to": "s.started_at < %(to)s",
    "after": "s.id > %(after)s",
}
_FACTS = """
    SELECT kind, at, received_at, register_wh, activity, origin, power_mw, unit, detail
      FROM session_fact WHERE session_id = %s ORDER BY at, id
"""
_DOCUMENTS = """
    SELECT c.id AS charge_id, c.kind, c.revision, c.reverses, c.reason, c.entity_date, c.issued_at,
           c.document, v.body
      FROM charge c JOIN config_version v ON v.digest = c.tariff_digest
     WHERE c.session_id = %s ORDER BY c.revision
"""
_HEARD = """
    SELECT min(received_at) AS first, max(received_at) AS last FROM session_fact
     WHERE session_id = %s
"""
_FRAMES = """
    SELECT received_at, direction, connection_id, raw FROM frame
     WHERE charge_point_id = %s AND received_at BETWEEN %s AND %s
     ORDER BY received_at LIMIT %s
"""


async def get_many(request: Request) -> Response:
    """``?state=&site=&charge_point=&token=&from=&to=&q=&after=<id>&limit=``: sessions by id.

    ``from`` and ``to`` are times of the start, the second one outside.
    """
    state: State = request.app.state.wattledger
    state.keys.require(request, "sessions:read")
    wanted: dict[str, Any] = {
        name: query.time(request, name) if name in ("from", "to") else query.text(request, name)
        for name in (*_FILTERS, "q")
    }
    limit = query.limit(request)
    async with state.reader.connection() as conn:
        rows = await read_sessions(conn, wanted, limit)
    following = rows[-1]["id"] if len(rows) == limit else None
    return json_answer({"items": rows, "after": following})


async def get_one(request: Request) -> Response:
    """A session with its charges line by line, its facts, its anomalies, and the notices of it with
    the time at which each was acknowledged; with ``?frames=true`` also what the charge point and
    we said, as it was on the wire."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "sessions:read")
    session_id = query.an_id(request.path_params["session_id"], "session_id")
    frames = query.flag(request, "frames")
    snapshot = await state.world.snapshot(state.world.now)
    async with state.reader.connection() as conn:
        found = await read_session(conn, session_id, frames=frames)
        told = await notices.of_session(conn, snapshot, session_id)
    return json_answer({**found, "notices": msgspec.to_builtins(told)})


async def read_sessions(
    conn: Conn, wanted: dict[str, Any], limit: int, *, newest_first: bool = False
) -> list[dict[str, Any]]:
    """Sessions that match all of ``wanted`` (the names of the filters above), and what ``q`` finds
    (``money_find``)."""
    given = {name: value for name, value in wanted.items() if value is not None}
    if given.get("state", STATES[0]) not in STATES:
        raise BadInput("state", given["state"], f"one of {', '.join(STATES)}")
    wheres = [text for name, text in _FILTERS.items() if name in given]
    if "q" in given:
        found = money_find.finder(given["q"], await money_find.currencies(conn))
        wheres.append(found.sessions)
        given |= found.values
    conditions = " AND ".join(wheres)
    order = "s.started_at DESC, s.id DESC" if newest_first else "s.id"
    cursor = await conn.execute(
        f"{_SELECT} WHERE {conditions or 'true'} ORDER BY {order} LIMIT %(limit)s".encode(),
        {**given, "limit": limit},
    )
    return await cursor.fetchall()


async def read_session(conn: Conn, session_id: str, *, frames: bool = False) -> dict[str, Any]:
    """All that is known of a session. Raises NotFound."""
    row = await (await conn.execute(f"{_SELECT} WHERE s.id = %s", (session_id,))).fetchone()
    if row is None:
        raise NotFound(f"no session {session_id}")
    facts = await (await conn.execute(_FACTS, (session_id,))).fetchall()
    documents = await (await conn.execute(_DOCUMENTS, (session_id,))).fetchall()
    listed = await anomalies.listed(conn, limit=query.PAGE_MAX, open_only=None, subject=session_id)
    found = {
        **row,
        "facts": facts,
        "charges": [issued(document) for document in documents],
        "anomalies": [anomaly_shown(anomaly) for anomaly in listed],
    }
    return found | ({"frames": await _frames(conn, row)} if frames else {})


async def _frames(conn: Conn, row: dict[str, Any]) -> list[dict[str, Any]]:
    heard = await (await conn.execute(_HEARD, (row["id"],))).fetchone()
    if heard is None or heard["first"] is None:
        return []
    first: datetime = heard["first"] - _AROUND
    cursor = await conn.execute(
        _FRAMES, (row["charge_point_id"], first, heard["last"] + _AROUND, FRAMES_MAX)
    )
    return await cursor.fetchall()


def anomaly_shown(anomaly: Anomaly) -> dict[str, Any]:
    """An anomaly with what its code means, and the act that resolved it."""
    code = describe(anomaly.code)
    act = None
    if anomaly.act is not None:
        act = {
            "act": anomaly.act, "at": anomaly.resolved_at, "by": anomaly.actor,
            "reason": anomaly.reason, "detail": anomaly.act_detail,
        }  # fmt: skip
    return {
        "id": anomaly.id,
        "at": anomaly.at,
        "code": anomaly.code,
        "severity": code.severity,
        "meaning": code.meaning,
        "todo": code.todo,
        "subject": anomaly.subject,
        "session_id": anomaly.session_id,
        "detail": msgspec.to_builtins(anomaly.detail),
        "state": "open" if anomaly.resolved_at is None else "resolved",
        "act": act,
    }
