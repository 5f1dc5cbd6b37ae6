"""Commands to charge points, as effects: written here, claimed by the gateway that holds the
connection, one outstanding CALL each, given up when their time is over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from wattledger.clock import utc_text
from wattledger.db import effects
from wattledger.db.effects import Conn, Effect
from wattledger.db.work import Transaction
from wattledger.ingest import anomalies
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

# A command that could not be given within this time is given up: the session is over or the
# charge point is gone.
COMMAND_LIFE = timedelta(minutes=15)

# What a charge point is to be told once, whenever it comes: its list, its cache.
STANDING_LIFE = timedelta(days=30)
# Rejected so, it may never have reached the charge point: it is told again at the next occasion.
NOT_REACHED = frozenset({"expired", "no_answer"})

KINDS = (
    "remote_start", "remote_stop", "get_transaction_status", "trigger_message", "configure",
    "send_local_list", "clear_cache", "data_transfer", "cost_updated", "set_tariff",
    "default_price",
)  # fmt: skip


async def command(
    tx: Transaction,
    charge_point_id: str,
    name: str,
    request: dict[str, Any],
    *,
    subject: str,
    key: str,
    life: timedelta = COMMAND_LIFE,
) -> bool:
    """Append ``ocpp.<name>`` to the charge point's lane; False where the key is there already."""
    return await effects.add(
        tx.conn,
        kind=f"ocpp.{name}",
        subject=subject,
        lane=f"cp:{charge_point_id}",
        key=key,
        request={
            "charge_point_id": charge_point_id,
            **request,
            "expires_at": (tx.now + life).isoformat(),
        },
        due_at=tx.now,
        caused_at=tx.now,
    )


async def remote_stop(tx: Transaction, row: SessionRow, why: str) -> None:
    """A RemoteStopTransaction or RequestStopTransaction, unless one of this session is on its way,
    or another CPMS alone may stop it: then a person is shown what should have been stopped.

    One that was rejected or expired is followed by another; one that was accepted has
    ``COMMAND_LIFE`` to end the transaction.
    """
    if not row.contract.may_stop:
        await anomalies.record(
            tx.conn, at=tx.now, code="stop.not_ours", subject=row.id, detail={"why": why}, cause=why
        )
        return
    cursor = await tx.conn.execute(
        "SELECT count(*) AS n, COALESCE(bool_or(state NOT IN ('done', 'rejected')"
        " OR (state = 'done' AND settled_at > %s)), false) AS awaited"
        " FROM effect WHERE subject = %s AND kind = 'ocpp.remote_stop'",
        (tx.now - COMMAND_LIFE, row.id),
    )
    earlier = await cursor.fetchone()
    assert earlier is not None, "an aggregate always has a row"
    if earlier["awaited"]:
        return
    await command(
        tx, row.charge_point_id, "remote_stop",
        {"transaction_id": row.transaction_ref or str(row.transaction_id), "why": why},
        subject=row.id, key=f"{row.id}:remote_stop:{why}:{earlier['n'] + 1}",
    )  # fmt: skip


async def ask_after(tx: Transaction, row: SessionRow) -> None:
    """A session that was not heard of, or of which events are missing: what does the station know
    of it? In 1.6 it can only be asked for its meter."""
    number = utc_text(tx.now)
    if row.source.startswith("ocpp2"):
        await command(
            tx, row.charge_point_id, "get_transaction_status",
            {"transaction_id": row.transaction_ref}, subject=row.id,
            key=f"{row.id}:get_transaction_status:{number}",
        )  # fmt: skip
    elif row.source == "ocpp1.6":
        await command(
            tx, row.charge_point_id, "trigger_message",
            {"message": "MeterValues", "connector_id": row.connector_id}, subject=row.id,
            key=f"{row.id}:trigger_message:{number}",
        )  # fmt: skip


class Told(msgspec.Struct, frozen=True):
    """The last of its kind that a charge point was to be told, and how many there were."""

    count: int = 0
    digest: str | None = None
    state: str | None = None
    code: str | None = None

    def says(self, digest: str) -> bool:
        """Whether it said just this, and reached the charge point or still may."""
        return self.digest == digest and not (self.state == "rejected" and self.code in NOT_REACHED)


async def told(
    conn: Conn, charge_point_ids: Iterable[str], names: Iterable[str]
) -> dict[tuple[str, str], Told]:
    """By charge point and command; what was never told is not in it."""
    cursor = await conn.execute(
        "SELECT DISTINCT ON (subject, kind) subject, kind, state, request->>'digest' AS digest,"
        " response->>'code' AS code, count(*) OVER (PARTITION BY subject, kind) AS count"
        " FROM effect WHERE subject = ANY(%s) AND kind = ANY(%s) ORDER BY subject, kind, id DESC",
        (list(charge_point_ids), [f"ocpp.{name}" for name in names]),
    )
    return {
        (row.pop("subject"), row.pop("kind").removeprefix("ocpp.")): Told(**row)
        for row in await cursor.fetchall()
    }


async def tell(
    tx: Transaction,
    charge_point_id: str,
    name: str,
    digest: str,
    request: dict[str, Any],
    *,
    before: Told | None,
    life: timedelta = COMMAND_LIFE,
) -> bool:
    """What a charge point has to know: told unless it is the last that it was told."""
    before = before or Told()
    if before.says(digest):
        return False
    return await command(
        tx, charge_point_id, name, {**request, "digest": digest}, subject=charge_point_id,
        key=f"{charge_point_id}:{name}:{before.count + 1}", life=life,
    )  # fmt: skip


async def settings_answered(tx: Transaction, effect: Effect, response: dict[str, Any]) -> None:
    """What a charge point did not take of its metering settings, or takes only once it has booted
    again, is shown."""
    results: dict[str, str] = response.get("results") or {}
    if not results and response.get("code") in NOT_REACHED:
        return
    refused = {name: said for name, said in results.items() if said != "Accepted"}
    if refused or not results:
        await anomalies.record(
            tx.conn, at=tx.now, code="settings.refused", subject=effect.subject,
            detail={"settings": refused or response, "wanted": effect.request.get("settings")},
            cause=str(effect.request.get("digest")),
        )  # fmt: skip


# Of what is told of prices one refusal says it for all of them.
_OF_PRICES = frozenset({"cost_updated", "data_transfer", "default_price", "set_tariff"})


async def refused(tx: Transaction, effect: Effect, response: dict[str, Any]) -> None:
    """Shown to a person, where somebody has to know of it."""
    name = effect.kind.removeprefix("ocpp.")
    code = str(response.get("code") or response.get("status"))
    subject, cause = effect.subject, effect.key
    if name == "configure":
        await settings_answered(tx, effect, response)
        return
    if name == "remote_start":
        return  # whoever asked for it asks what became of it
    if name == "remote_stop":
        row = await sessions.get(tx.conn, effect.subject)
        if row is not None and row.state != "open":
            return  # nothing runs any more that could be stopped
    elif code in NOT_REACHED:
        return  # told or asked again when there is occasion
    if name in _OF_PRICES:
        subject, cause = str(effect.request["charge_point_id"]), code
    await anomalies.record(
        tx.conn, at=tx.now, code=f"{effect.kind}.refused", subject=subject, detail=response,
        cause=cause,
    )  # fmt: skip


async def look(conn: Conn, command_id: str, now: datetime) -> dict[str, Any] | None:
    """A command as it stands, by its effect's key; None where there is none.

    ``state`` is waiting, unknown (given, and not answered), accepted, refused or expired.
    """
    cursor = await conn.execute(
        "SELECT kind, key, subject, state, request, response, caused_at, settled_at FROM effect"
        " WHERE key = %s AND kind LIKE 'ocpp.%%'",
        (command_id,),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    expires_at = datetime.fromisoformat(row["request"]["expires_at"])
    settled = row["state"] in ("done", "rejected")
    return {
        "id": row["key"],
        "command": row["kind"].removeprefix("ocpp."),
        "charge_point_id": row["request"]["charge_point_id"],
        "subject": row["subject"],
        "state": _state(row["state"], row["response"] or {}, over=expires_at <= now),
        "asked_at": utc_text(row["caused_at"]),
        "expires_at": utc_text(expires_at),
        "settled_at": utc_text(row["settled_at"]) if row["settled_at"] else None,
        "answer": row["response"] if settled else None,
        "request": row["request"],
    }


def _state(state: str, response: dict[str, Any], *, over: bool) -> str:
    if state == "done":
        return "accepted"
    if state == "rejected":
        return "expired" if response.get("code") == "expired" else "refused"
    if state == "unknown":
        return "unknown"
    return "expired" if over and state == "pending" else "waiting"
