"""``/v1/charge-points``: which there are, whether they are connected, and what they last said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from wattledger.api import query
from wattledger.api.answers import json_answer
from wattledger.api.state import State
from wattledger.entitlements import Snapshot
from wattledger.entitlements.model import Site
from wattledger.errors import NotFound

Conn = AsyncConnection[dict[str, Any]]
_STATES = """
    SELECT charge_point_id, connected, protocol, connected_at, vendor, model, heard_at,
           heartbeats, heartbeat_at, connectors
      FROM charge_point_state WHERE %(id)s::text IS NULL OR charge_point_id = %(id)s
"""
_OPEN = """
    SELECT charge_point_id, array_agg(id ORDER BY started_at) AS ids FROM session
     WHERE state = 'open' AND (%(id)s::text IS NULL OR charge_point_id = %(id)s)
     GROUP BY charge_point_id
"""
# An anomaly is about a charge point itself, or about a session of it.
_ANOMALIES = """
    SELECT COALESCE(s.charge_point_id, a.subject) AS charge_point_id, count(*) AS n
      FROM anomaly a LEFT JOIN session s ON s.id = a.subject
     WHERE a.resolved_at IS NULL
       AND (%(id)s::text IS NULL OR COALESCE(s.charge_point_id, a.subject) = %(id)s)
     GROUP BY 1
"""
_NEVER: dict[str, Any] = {
    "connected": False, "protocol": None, "connected_at": None, "vendor": None, "model": None,
    "heard_at": None, "heartbeats": 0, "heartbeat_at": None, "connectors": {},
}  # fmt: skip


async def get_many(request: Request) -> Response:
    """``?site=&connected=true|false&after=<id>&limit=``: charge points by id."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "sessions:read")
    site, after = query.text(request, "site"), query.text(request, "after") or ""
    asked = query.text(request, "connected")
    connected = query.flag(request, "connected") if asked else None
    limit = query.limit(request)
    snapshot = await state.world.snapshot(state.world.now)
    async with state.reader.connection() as conn:
        found = await read_charge_points(conn, snapshot)
    rows = [
        row for row in found
        if row["id"] > after and site in (None, row["site_id"])
        and connected in (None, row["connected"])
    ][:limit]  # fmt: skip
    return json_answer({"items": rows, "after": rows[-1]["id"] if len(rows) == limit else None})


async def get_one(request: Request) -> Response:
    """One charge point."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "sessions:read")
    point_id = query.an_id(request.path_params["charge_point_id"], "charge_point_id")
    snapshot = await state.world.snapshot(state.world.now)
    async with state.reader.connection() as conn:
        found = await read_charge_points(conn, snapshot, point_id)
    if not found:
        raise NotFound(f"no charge point {point_id} is configured or was ever heard of")
    return json_answer(found[0])


async def read_charge_points(
    conn: Conn, snapshot: Snapshot, only: str | None = None
) -> list[dict[str, Any]]:
    """All that are configured and all that were ever heard of, or ``only`` one, by id."""
    given = {"id": only}
    states = {
        row.pop("charge_point_id"): row
        for row in await (await conn.execute(_STATES, given)).fetchall()
    }
    opened = {
        row["charge_point_id"]: row["ids"]
        for row in await (await conn.execute(_OPEN, given)).fetchall()
    }
    counts = {
        row["charge_point_id"]: row["n"]
        for row in await (await conn.execute(_ANOMALIES, given)).fetchall()
    }
    places = dict(_places(snapshot))
    ids = sorted({*places, *states}) if only is None else [only]
    return [
        {
            "id": point_id,
            "site_id": places[point_id][0] if point_id in places else None,
            "power_w": places[point_id][1] if point_id in places else None,
            **states.get(point_id, _NEVER),
            "open_sessions": opened.get(point_id, []),
            "open_anomalies": counts.get(point_id, 0),
        }
        for point_id in ids
        if point_id in places or point_id in states
    ]


def _places(snapshot: Snapshot) -> Iterator[tuple[str, tuple[str, int]]]:
    for site in snapshot.all("site", Site):
        for point in site.charge_points:
            yield point.id, (site.id, point.power_w)
