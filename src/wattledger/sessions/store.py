"""Sessions and their facts in the database. Nothing here commits."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import args_row
from psycopg.types.json import Jsonb

from wattledger.contract import Contract
from wattledger.sessions.assemble import Anomaly, Assembled, Fact, MeterRules, assemble
from wattledger.sessions.from_samples import SignedSample
from wattledger.sessions.model import Activity, Delivery, Reserved

Conn = AsyncConnection[dict[str, Any]]


class StopFact(msgspec.Struct, frozen=True):
    """The stop as it was told. ``device_time`` is set where ``at`` is not what the device said,
    because its clock was wrong; ``live`` whether it was told as it happened (None: not known)."""

    at: datetime
    received_at: datetime
    register_wh: int | None
    device_time: datetime | None
    live: bool | None = None


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
    meter_start_wh: int | None
    meter_stop_wh: int | None
    bill_due_at: datetime | None
    held_reason: str | None = None
    transaction_ref: str | None = None
    stop_provisional: bool = False
    adjust_due_at: datetime | None = None
    discarded: str | None = None
    check_due_at: datetime | None = None
    check_why: str | None = None
    named: bool = False
    clock_shift_us: int = 0

    @property
    def route(self) -> str:
        """How it is paid."""
        return str(self.contract.route)


COLUMNS = (
    "id, entity_id, site_id, charge_point_id, connector_id, source, transaction_id, token, state,"
    " contract::text AS contract, started_at, stopped_at, ended_at, meter_start_wh, meter_stop_wh,"
    " bill_due_at, held_reason, transaction_ref, stop_provisional, adjust_due_at, discarded,"
    " check_due_at, check_why, named, clock_shift_us"
)


@lru_cache(maxsize=2_000)
def _contract(text: str) -> Contract:
    """A contract never changes, and is read again with each message of its session."""
    return msgspec.json.decode(text, type=Contract)


def as_row(row: dict[str, Any]) -> SessionRow:
    """A row of ``COLUMNS``."""
    return SessionRow(**{**row, "contract": _contract(row["contract"])})


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
    meter_start_wh: int | None,
    transaction_ref: str | None = None,
    check_due_at: datetime | None = None,
    clock_shift_us: int = 0,
) -> int | None:
    """Insert an open session; its OCPP transaction id, or None when the session is there already.

    API sessions draw a number too, so that ids never collide between the two doors.
    ``transaction_ref`` is what the charge point calls it; where it has no name for it (1.6) it
    gets our number.
    """
    cursor = await conn.execute(
        "WITH n AS (SELECT nextval('transaction_number')::integer AS number)"
        "INSERT INTO session (id, entity_id, site_id, charge_point_id, connector_id, source,"
        " transaction_id, token, account_id, route, contract, state, started_at, meter_start_wh,"
        " clock_shift_us, transaction_ref, check_due_at)"
        " SELECT %s, %s, %s, %s, %s, %s, n.number, %s, %s, %s, %s, 'open', %s, %s, %s,"
        " COALESCE(%s, CASE WHEN %s = 'ocpp1.6' THEN n.number::text END), %s FROM n"
        " ON CONFLICT (id) DO NOTHING RETURNING transaction_id",
        (
            session_id, contract.entity_id, contract.site_id, charge_point_id, connector_id,
            source, token, contract.account_id, contract.route,
            Jsonb(msgspec.to_builtins(contract)), started_at, meter_start_wh, clock_shift_us,
            transaction_ref, source, check_due_at,
        ),
    )  # fmt: skip
    row = await cursor.fetchone()
    return int(row["transaction_id"]) if row else None


async def get(conn: Conn, session_id: str, *, lock: bool = False) -> SessionRow | None:
    """A session by id, locked against other steps when asked to."""
    cursor = await conn.execute(
        f"SELECT {COLUMNS} FROM session WHERE id = %s" + (" FOR UPDATE" if lock else ""),
        (session_id,),
    )
    row = await cursor.fetchone()
    return as_row(row) if row else None


async def by_transaction(
    conn: Conn, charge_point_id: str, transaction_ref: str | int, *, lock: bool = False
) -> SessionRow | None:
    """The session of an OCPP transaction, resolved within its charge point only; the latest, where
    a station used an id twice. With ``lock`` a charge point has named it, which is noted."""
    cursor = await conn.execute(
        f"SELECT {COLUMNS} FROM session WHERE charge_point_id = %s AND transaction_ref = %s"
        " ORDER BY transaction_id DESC LIMIT 1" + (" FOR UPDATE" if lock else ""),
        (charge_point_id, str(transaction_ref)),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    if lock and not row["named"] and row["state"] == "open":
        await conn.execute("UPDATE session SET named = true WHERE id = %s", (row["id"],))
    return as_row(row)


async def on_connector(conn: Conn, charge_point_id: str, connector_id: int) -> list[SessionRow]:
    """Sessions of a connector that are not billed yet, oldest first, locked."""
    cursor = await conn.execute(
        f"SELECT {COLUMNS} FROM session WHERE charge_point_id = %s AND connector_id = %s"
        " AND state IN ('open', 'ended') ORDER BY started_at, id FOR UPDATE",
        (charge_point_id, connector_id),
    )
    return [as_row(row) for row in await cursor.fetchall()]


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
        "INSERT INTO session_fact (session_id, kind, at, received_at, register_wh, activity,"
        " origin, power_mw, unit, detail, dedupe)"
        " SELECT %s, f.kind, f.at, %s, f.register_wh, f.activity, f.origin, f.power_mw, f.unit, %s,"
        " f.dedupe FROM unnest(%s::text[], %s::timestamptz[], %s::bigint[], %s::text[], %s::text[],"
        " %s::bigint[], %s::text[], %s::text[])"
        " AS f (kind, at, register_wh, activity, origin, power_mw, unit, dedupe)"
        " ON CONFLICT (dedupe) DO NOTHING",
        (
            session_id, received_at, Jsonb(detail or {}),
            [f.kind for f, _ in rows], [f.at for f, _ in rows],
            [f.register_wh for f, _ in rows], [f.activity for f, _ in rows],
            [f.origin for f, _ in rows], [f.power_mw for f, _ in rows],
            [f.unit for f, _ in rows], [key for _, key in rows],
        ),
    )  # fmt: skip
    return cursor.rowcount


async def facts(conn: Conn, session_id: str) -> list[Fact]:
    """All facts of a session, as they came."""
    async with conn.cursor(row_factory=args_row(_fact)) as cursor:
        await cursor.execute(
            "SELECT kind, at, register_wh, activity, origin, power_mw, unit FROM session_fact"
            " WHERE session_id = %s ORDER BY id",
            (session_id,),
        )
        return await cursor.fetchall()


def _fact(kind: str, at: datetime, wh: int | None, activity: str | None, *more: Any) -> Fact:
    return Fact(kind, at, wh, Activity(activity) if activity else None, *more)


async def add_signed(
    conn: Conn,
    session_id: str,
    signed: SignedSample,
    *,
    verified: bool,
    reason: str,
    received_at: datetime,
    key: str,
) -> bool:
    """A signed record with its verdict; False when it is there already."""
    cursor = await conn.execute(
        "INSERT INTO signed_value (session_id, context, at, received_at, data, encoding,"
        " public_key, verified, reason, dedupe) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (dedupe) DO NOTHING",
        (
            session_id, signed.context, signed.at, received_at, signed.signed.data,
            signed.signed.encoding, signed.signed.public_key, verified, reason, key,
        ),
    )  # fmt: skip
    return cursor.rowcount == 1


async def stop_fact(conn: Conn, session_id: str) -> StopFact | None:
    """The stop of a session, if one was told."""
    cursor = await conn.execute(
        "SELECT at, received_at, register_wh, (detail->>'said')::timestamptz AS device_time,"
        " (detail->>'live')::boolean AS live FROM session_fact"
        " WHERE session_id = %s AND kind = 'stop'",
        (session_id,),
    )
    row = await cursor.fetchone()
    return msgspec.convert(row, StopFact) if row else None


async def assembled(conn: Conn, row: SessionRow, *, idle_after_stop: bool = True) -> Assembled:
    """What the session's facts describe so far, with all that there is to say of them."""
    rules = MeterRules(row.contract.power_w or None, row.contract.idle_below_w)
    found = assemble(
        row.id, row.contract.time_zone, await facts(conn, row.id),
        idle_after_stop=idle_after_stop, rules=rules,
    )  # fmt: skip
    return await _with_told(conn, row, found) if row.source in DOORS else found


DOORS = ("api", "ocpi", "import")


async def _with_told(conn: Conn, row: SessionRow, found: Assembled) -> Assembled:
    """What another system's record says beside its facts: a reservation, the kind of the EVSE."""
    cursor = await conn.execute(
        "SELECT detail FROM session_fact WHERE session_id = %s AND kind = 'start' ORDER BY id"
        " LIMIT 1",
        (row.id,),
    )
    start = await cursor.fetchone()
    if start is None or found.delivery is None:
        return found
    reserved = start["detail"].get("reserved")
    delivery = msgspec.structs.replace(
        found.delivery,
        reserved=msgspec.convert(reserved, Reserved) if reserved else None,
        evse_kind=start["detail"].get("evse_kind"),
    )
    return msgspec.structs.replace(found, delivery=delivery)


async def delivery(
    conn: Conn, session_id: str, *, idle_after_stop: bool = True
) -> Delivery | Anomaly:
    """The delivery that the session's facts describe so far, or what it is held for."""
    row = await get(conn, session_id)
    if row is None:
        raise LookupError(f"no session {session_id}")
    found = await assembled(conn, row, idle_after_stop=idle_after_stop)
    return found.delivery or found.held or Anomaly("start.missing", "nothing is known")


async def stop(
    conn: Conn,
    session_id: str,
    *,
    stopped_at: datetime,
    meter_stop_wh: int,
    reason: str,
    bill_due_at: datetime,
    provisional: bool = False,
    meter_start_wh: int | None = None,
) -> bool:
    """Open, held because no stop was known, or ended by a stop that nobody told -> ended. False
    when it had ended before.

    ``provisional``: nobody told it; the real one may still come and take its place.
    ``meter_start_wh`` is taken where none was known.
    """
    cursor = await conn.execute(
        "UPDATE session SET state = 'ended', held_reason = NULL, stopped_at = %s, ended_at = %s,"
        " meter_stop_wh = %s, stop_reason = %s, bill_due_at = %s, stop_provisional = %s,"
        " check_due_at = NULL, check_why = NULL,"
        " meter_start_wh = COALESCE(meter_start_wh, %s) WHERE id = %s"
        " AND (state = 'open' OR (state = 'ended' AND stop_provisional)"
        " OR (state = 'held' AND (stop_provisional OR held_reason = 'stop.missing')))",
        (
            stopped_at, stopped_at, meter_stop_wh, reason, bill_due_at, provisional,
            meter_start_wh if meter_start_wh is not None else meter_stop_wh, session_id,
        ),
    )  # fmt: skip
    return cursor.rowcount == 1


async def close_idle(
    conn: Conn, session_id: str, *, ended_at: datetime, bill_due_at: datetime
) -> None:
    """The vehicle left (or something proves it): the bill ends here, and is due then, unless it
    waits for events."""
    await conn.execute(
        "UPDATE session SET ended_at = %s,"
        " bill_due_at = GREATEST(LEAST(bill_due_at, %s), check_due_at)"
        " WHERE id = %s AND state = 'ended'",
        (ended_at, bill_due_at, session_id),
    )


async def bill_at(conn: Conn, session_id: str, due_at: datetime) -> None:
    """An ended session waits for no more events, and is billed then."""
    await conn.execute(
        "UPDATE session SET bill_due_at = %s, check_due_at = NULL WHERE id = %s"
        " AND state = 'ended'",
        (due_at, session_id),
    )


async def bill_not_before(conn: Conn, session_id: str, due_at: datetime) -> None:
    """An ended session waits for events until then."""
    await conn.execute(
        "UPDATE session SET bill_due_at = GREATEST(bill_due_at, %s), check_due_at = %s"
        " WHERE id = %s AND state = 'ended'",
        (due_at, due_at, session_id),
    )


async def move(conn: Conn, session_id: str, state: str, *, held_reason: str | None = None) -> None:
    """To billed, free or held: the end of a session's way, until a person or late data moves it."""
    await conn.execute(
        "UPDATE session SET state = %s, held_reason = %s WHERE id = %s",
        (state, held_reason, session_id),
    )


async def check_at(conn: Conn, session_id: str, due_at: datetime, why: str) -> None:
    """A running session is looked after then, because of ``silence``, a ``boot``, or because it
    was ``asked`` about."""
    await conn.execute(
        "UPDATE session SET check_due_at = %s, check_why = %s WHERE id = %s AND state = 'open'",
        (due_at, why, session_id),
    )


async def due(conn: Conn, now: datetime, limit: int) -> list[str]:
    """Ended sessions whose time to be billed has come."""
    cursor = await conn.execute(
        "SELECT id FROM session WHERE state = 'ended' AND bill_due_at <= %s"
        " ORDER BY bill_due_at, id LIMIT %s",
        (now, limit),
    )
    return [row["id"] for row in await cursor.fetchall()]


async def adjust_at(conn: Conn, session_id: str, due_at: datetime) -> bool:
    """An issued bill is looked at again, then or when it already would be. False where there is
    none."""
    cursor = await conn.execute(
        "UPDATE session SET adjust_due_at = COALESCE(LEAST(adjust_due_at, %s), %s)"
        " WHERE id = %s AND state IN ('billed', 'free', 'adjusted') AND discarded IS NULL",
        (due_at, due_at, session_id),
    )
    return cursor.rowcount == 1


async def take_up(conn: Conn, session_id: str, due_at: datetime) -> bool:
    """A held session whose stop is known is tried again then."""
    cursor = await conn.execute(
        "UPDATE session SET state = 'ended', held_reason = NULL, bill_due_at = %s"
        " WHERE id = %s AND state = 'held' AND stopped_at IS NOT NULL",
        (due_at, session_id),
    )
    return cursor.rowcount == 1
