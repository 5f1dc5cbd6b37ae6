"""Step command: what an operator's own systems ask of charge points, over the API.

A remote start is decided first: what a start would be refused for, no command is given for, and a
card that pays for it is held before. It is given within ``START_LIFE`` or not at all, since nobody
wants a car started that has left; and it is never given twice.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from wattledger.clock import utc_text
from wattledger.contract import Reason, Route
from wattledger.db.effects import Conn
from wattledger.db.work import Transaction
from wattledger.entitlements import decide
from wattledger.errors import Conflict, NotFound
from wattledger.ids import derive
from wattledger.pipeline.charging.authorize import record
from wattledger.pipeline.starting.ask_start import Wanted
from wattledger.pipeline.starting.ask_start import ask as ask_start
from wattledger.pipeline.starting.starts import last_number
from wattledger.pipeline.stations import commands
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions

START_LIFE = timedelta(minutes=2)


class Asked(msgspec.Struct, frozen=True):
    """What came of it: the command's id, or why there is none."""

    reason: Reason
    command_id: str | None


async def remote_start(
    world: World,
    charge_point_id: str,
    token: str,
    connector_id: int | None,
    reference: str,
    *,
    token_type: str | None = None,
) -> Asked:
    """Ask a charge point to start a session for ``token``. ``reference`` is the asker's own name
    for it: with the same one it counts once.

    Raises Conflict where the reference came before with something else.
    """
    now = world.now
    snapshot = await world.snapshot(now)
    decision = decide(
        snapshot, token, charge_point_id, now, connector_id=connector_id, blocks=world.blocks
    )
    key = derive("cmd", "remote_start", charge_point_id, reference)
    if decision.accepted and decision.route in (Route.CARD, Route.APP):
        # Nothing starts before the card is held: the command is written when the hold stands.
        asked = await ask_start(world, Wanted(
            Route.APP, charge_point_id, reference, nonce=token, connector_id=connector_id,
            token=token, token_type=token_type, present=False, command_key=key,
        ))  # fmt: skip
        return Asked(asked.reason, key if asked.start is not None else None)
    wanted: dict[str, Any] = {"token": token, "connector_id": connector_id}
    if token_type is not None:
        wanted["token_type"] = token_type
    async with world.work.transaction("command", now=now) as tx:
        if await _is_there(tx, key, wanted, reference):
            return Asked(Reason.ACCEPTED, key)
        await record(tx, decision, charge_point_id, "api")
        if not decision.accepted:
            return Asked(decision.reason, None)
        await commands.command(
            tx, charge_point_id, "remote_start",
            {**wanted, "after": await last_number(tx.conn, charge_point_id)},
            subject=charge_point_id, key=key, life=START_LIFE,
        )  # fmt: skip
    return Asked(Reason.ACCEPTED, key)


async def _is_there(tx: Transaction, key: str, wanted: dict[str, Any], reference: str) -> bool:
    cursor = await tx.conn.execute("SELECT request FROM effect WHERE key = %s", (key,))
    row = await cursor.fetchone()
    if row is None:
        return False
    same = all(row["request"].get(name) == value for name, value in wanted.items())
    if not same:
        raise Conflict(f"the reference {reference!r} came before with another command")
    return True


async def session_of(world: World, request: dict[str, Any]) -> str | None:
    """The session that a remote start has begun, if one has."""
    async with world.work.pool.connection() as conn:
        return await begun(conn, request)


async def begun(conn: Conn, request: dict[str, Any]) -> str | None:
    """The first session of its token at its charge point since it was asked for, on its connector
    where it names one and the session knows its own."""
    cursor = await conn.execute(
        "SELECT id FROM session WHERE charge_point_id = %s AND transaction_id > %s"
        " AND lower(token) = lower(%s) AND source <> 'api' AND source <> 'import'"
        " AND (%s::integer IS NULL OR connector_id IN (0, %s))"
        " ORDER BY transaction_id LIMIT 1",
        (
            request["charge_point_id"], request["after"], request["token"],
            request["connector_id"], request["connector_id"],
        ),
    )  # fmt: skip
    row = await cursor.fetchone()
    return str(row["id"]) if row else None


async def stop_session(world: World, charge_point_id: str, session_id: str) -> str:
    """Ask for the end of a running session; the id of the command that is on its way.

    Raises NotFound, and Conflict where nothing runs.
    """
    async with world.work.transaction("command") as tx:
        row = await sessions.get(tx.conn, session_id, lock=True)
        if row is None or row.charge_point_id != charge_point_id:
            raise NotFound(f"no session {session_id} at charge point {charge_point_id}")
        if row.state != "open":
            raise Conflict(f"session {session_id} does not run: it is {row.state}")
        if row.transaction_ref is None and row.transaction_id is None:
            raise Conflict(f"session {session_id} has no transaction that could be stopped")
        await commands.remote_stop(tx, row, "asked")
        cursor = await tx.conn.execute(
            "SELECT key FROM effect WHERE subject = %s AND kind = 'ocpp.remote_stop'"
            " ORDER BY id DESC LIMIT 1",
            (row.id,),
        )
        found = await cursor.fetchone()
        assert found is not None, "it was written, or is on its way"
        return str(found["key"])


async def ask(
    world: World, charge_point_id: str, name: str, request: dict[str, Any], reference: str | None
) -> str:
    """A command that it does no harm to give twice; its id. Without a reference each is another.

    Raises NotFound for a charge point that is not configured.
    """
    now = world.now
    if (await world.snapshot(now)).place_of(charge_point_id) is None:
        raise NotFound(f"no charge point {charge_point_id} is configured")
    key = derive("cmd", name, charge_point_id, reference or utc_text(now), str(request))
    async with world.work.transaction("command", now=now) as tx:
        await commands.command(tx, charge_point_id, name, request, subject=charge_point_id, key=key)
    return key
