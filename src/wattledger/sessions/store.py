"""Sessions and their facts in the database. Nothing here commits."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from wattledger.contract import Contract
from wattledger.sessions.assemble import Anomaly, Fact, assemble
from wattledger.sessions.model import Activity, Delivery

Conn = AsyncConnection[dict[str, Any]]


class StopFact(msgspec.Struct, frozen=True):
    """The stop as it was told. ``device_time`` is set where ``at`` is not what the device said,
    because its clock was wrong."""

    at: datetime
    received_at: datetime
    register_wh: int
    device_time: datetime | None


class SessionRow(msgspec.Struct, frozen=True):
    """A session as it stands."""

    id: str
    entity_id: str
    site_id: str
    charge_point_id: str
    connector_id: int
    source: str
    transaction_id: int | None
    token: str
    state: str
    contract: Contract
    started_at: datetime
    stopped_at: datetime | None
    ended_at: datetime | None
    meter_start_wh: int
    meter_stop_wh: int | None
    bill_due_at: datetime | None
    held_reason: str | None = None

    @property
    def route(self) -> str:
        """How it is paid."""
        return str(self.contract.route)


_COLUMNS = (
    "id, entity_id, site_id, charge_point_id, connector_id, source, transaction_id, token, state,"
    " contract, started_at, stopped_at, ended_at, meter_start_wh, meter_stop_wh, bill_due_at,"
    " held_reason"
)


def _row(row: dict[str, Any]) -> SessionRow:
    contract = msgspec.convert(row["contract"], Contract)
    return SessionRow(**{**row, "contract": contract})


async def add(
    conn: Conn,
    *,
    session_id: str,
    charge_point_id: str,
    connector_id: int,
    source: str,
    token: str,
    contract: Contract,
    started_at: datetime,
    meter_start_wh: int,
) -> int | None:
    """Insert an open session; its OCPP transaction id, or None when the session is there already.

    API sessions draw a number too, so that ids never collide between the two doors.
    """
    cursor = await conn.execute(
        "INSERT INTO session (id, entity_id, site_id, charge_point_id, connector_id, source,"
        " transaction_id, token, account_id, route, contract, state, started_at, meter_start_wh)"
        " VALUES (%s, %s, %s, %s, %s, %s, nextval('transaction_number'), %s, %s, %s, %s, 'open',"
        " %s, %s) ON CONFLICT (id) DO NOTHING RETURNING transaction_id",
        (
            session_id, contract.entity_id, contract.site_id, charge_point_id, connector_id,
            source, token, contract.account_id, contract.route,
            Jsonb(msgspec.to_builtins(contract)), started_at, meter_start_wh,
        ),
    )  # fmt: skip
    row = await cursor.fetchone()
    return int(row["transaction_id"]) if row else None


async def get(conn: Conn, session_id: str, *, lock: bool = False) -> SessionRow | None:
    """A session by id, locked against other steps when asked to."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM session WHERE id = %s" + (" FOR UPDATE" if lock else ""),
        (session_id,),
    )
    row = await cursor.fetchone()
    return _row(row) if row else None


async def by_transaction(
    conn: Conn, charge_point_id: str, transaction_id: int, *, lock: bool = False
) -> SessionRow | None:
    """The session of an OCPP transaction, resolved within its charge point only."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM session WHERE charge_point_id = %s AND transaction_id = %s"
        + (" FOR UPDATE" if lock else ""),
        (charge_point_id, transaction_id),
    )
    row = await cursor.fetchone()
    return _row(row) if row else None


async def on_connector(conn: Conn, charge_point_id: str, connector_id: int) -> list[SessionRow]:
    """Sessions of a connector that are not billed yet, oldest first, locked."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM session WHERE charge_point_id = %s AND connector_id = %s"
        " AND state IN ('open', 'ended') ORDER BY started_at FOR UPDATE",
        (charge_point_id, connector_id),
    )
    return [_row(row) for row in await cursor.fetchall()]


async def add_facts(
    conn: Conn,
    session_id: str,
    facts: Iterable[tuple[Fact, str]],
    *,
    received_at: datetime,
    detail: dict[str, Any] | None = None,
) -> int:
    """Append facts with their dedupe keys; how many were new."""
    rows = list(facts)
    if not rows:
        return 0
    cursor = await conn.execute(
        "INSERT INTO session_fact"
        " (session_id, kind, at, received_at, register_wh, activity, detail, dedupe)"
        " SELECT %s, f.kind, f.at, %s, f.register_wh, f.activity, %s, f.dedupe"
        " FROM unnest(%s::text[], %s::timestamptz[], %s::bigint[], %s::text[], %s::text[])"
        " AS f (kind, at, register_wh, activity, dedupe)"
        " ON CONFLICT (dedupe) DO NOTHING",
        (
            session_id, received_at, Jsonb(detail or {}),
            [f.kind for f, _ in rows], [f.at for f, _ in rows],
            [f.register_wh for f, _ in rows], [f.activity for f, _ in rows],
            [key for _, key in rows],
        ),
    )  # fmt: skip
    return cursor.rowcount


async def facts(conn: Conn, session_id: str) -> list[Fact]:
    """All facts of a session."""
    cursor = await conn.execute(
        "SELECT kind, at, register_wh, activity FROM session_fact"
        " WHERE session_id = %s ORDER BY at, id",
        (session_id,),
    )
    return [
        Fact(
            row["kind"],
            row["at"],
            row["register_wh"],
            Activity(row["activity"]) if row["activity"] else None,
        )
        for row in await cursor.fetchall()
    ]


async def stop_fact(conn: Conn, session_id: str) -> StopFact | None:
    """The stop of a session, if one was told."""
    cursor = await conn.execute(
        "SELECT at, received_at, register_wh, detail->>'device_time' AS device_time"
        " FROM session_fact WHERE session_id = %s AND kind = 'stop'",
        (session_id,),
    )
    row = await cursor.fetchone()
    return msgspec.convert(row, StopFact) if row else None


async def delivery(
    conn: Conn, session_id: str, *, idle_after_stop: bool = True
) -> Delivery | Anomaly:
    """The delivery that the session's facts describe so far."""
    row = await get(conn, session_id)
    if row is None:
        raise LookupError(f"no session {session_id}")
    found = await facts(conn, session_id)
    zone = row.contract.time_zone
    made = assemble(session_id, zone, found, idle_after_stop=idle_after_stop)
    if isinstance(made, Delivery) and row.contract.power_w:
        # What the charge point can give at most tightens the error bounds of what was not read.
        return msgspec.structs.replace(made, max_power_w=row.contract.power_w)
    return made


async def stop(
    conn: Conn,
    session_id: str,
    *,
    stopped_at: datetime,
    meter_stop_wh: int,
    reason: str,
    bill_due_at: datetime,
) -> bool:
    """Open, or held because no stop was known -> ended. False when it had ended before."""
    cursor = await conn.execute(
        "UPDATE session SET state = 'ended', held_reason = NULL, stopped_at = %s, ended_at = %s,"
        " meter_stop_wh = %s, stop_reason = %s, bill_due_at = %s WHERE id = %s"
        " AND (state = 'open' OR (state = 'held' AND held_reason = 'stop.missing'))",
        (stopped_at, stopped_at, meter_stop_wh, reason, bill_due_at, session_id),
    )
    return cursor.rowcount == 1


async def close_idle(
    conn: Conn, session_id: str, *, ended_at: datetime, bill_due_at: datetime
) -> None:
    """The vehicle left (or something proves it): the bill ends here."""
    await conn.execute(
        "UPDATE session SET ended_at = %s, bill_due_at = LEAST(bill_due_at, %s)"
        " WHERE id = %s AND state = 'ended'",
        (ended_at, bill_due_at, session_id),
    )


async def move(conn: Conn, session_id: str, state: str, *, held_reason: str | None = None) -> None:
    """To billed, free or held: the end of a session's way, until a person or late data moves it."""
    await conn.execute(
        "UPDATE session SET state = %s, held_reason = %s WHERE id = %s",
        (state, held_reason, session_id),
    )


async def due(conn: Conn, now: datetime, limit: int) -> list[str]:
    """Ended sessions whose time to be billed has come."""
    cursor = await conn.execute(
        "SELECT id FROM session WHERE state = 'ended' AND bill_due_at <= %s"
        " ORDER BY bill_due_at, id LIMIT %s",
        (now, limit),
    )
    return [row["id"] for row in await cursor.fetchall()]
