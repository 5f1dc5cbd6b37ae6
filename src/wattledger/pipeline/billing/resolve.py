"""Step resolve: what a person decides about an anomaly, recorded for ever.

*accept*: it is as it is. A session that is held by it is billed from its facts, where they make a
bill; for any other anomaly it says that somebody has seen it. *correct*: the registers or times
of start and stop, as facts that count before what was read; then the session is billed, or, where
it has been, adjusted. *discard*: nobody is billed for a held session, whatever comes later.

Each act is one transaction, and an anomaly takes one: the same act again changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from wattledger.clock import utc_text
from wattledger.db.work import Transaction
from wattledger.energy import REGISTER_MAX_WH
from wattledger.entitlements import Snapshot
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.ids import derive
from wattledger.ingest import anomalies
from wattledger.ingest.anomalies import Anomaly
from wattledger.ingest.codes import Severity, describe
from wattledger.payments import store as payments
from wattledger.pipeline import tell
from wattledger.pipeline.billing.decisions import Known, can_correct, holds, known, look
from wattledger.pipeline.collecting.collect import release
from wattledger.pipeline.world import World
from wattledger.section import Section
from wattledger.sessions import Delivery, Fact
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow
from wattledger.wire.numbers import OLDEST

REASON_MAX = 1_000
ACTOR_MAX = 100
T = TypeVar("T")


class Edge(Section, frozen=True):
    """What a person says of the start or the stop; what is not given stays as it is known."""

    at: datetime | None = None
    register_wh: int | None = None


class Act(Section, frozen=True):
    """What is to be done about an anomaly, and why. ``start`` and ``stop`` go with correct,
    ``kind`` with discard: whether the energy never was, or was given away."""

    act: Literal["accept", "correct", "discard"]
    reason: str
    start: Edge = Edge()
    stop: Edge = Edge()
    kind: Literal["never_delivered", "given_away"] | None = None


class Resolved(msgspec.Struct, frozen=True):
    """What became of it. ``new`` is False where the same act had been done before."""

    anomaly_id: int
    act: str
    at: datetime
    actor: str
    reason: str
    new: bool
    session_id: str | None = None
    session_state: str | None = None


async def resolve(world: World, anomaly_id: int, act: Act, actor: str) -> Resolved:
    """Do ``act`` about an anomaly. ``actor`` is who, and by which door: ``page:Ann``.

    Raises NotFound; BadInput for values that can't be; Conflict where the anomaly was resolved
    otherwise, or where the act is not offered for it.
    """
    _check(act, actor)
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.transaction("resolve", now=now) as tx:
        anomaly = await _find(tx, anomaly_id)
        row = None
        if anomaly.session_id is not None:
            # Two acts about one session take turns; what the other did is read after it.
            row = await sessions.get(tx.conn, anomaly.session_id, lock=True)
            anomaly = await _find(tx, anomaly_id)
        if anomaly.act is not None:
            return await _again(tx, anomaly, act)
        if act.act == "correct":
            await _correct(tx, world, anomaly, row, act, actor)
        elif act.act == "discard":
            await _discard(tx, snapshot, anomaly, row, act, actor)
        elif row is not None and holds(anomaly, row):
            await _bill_as_it_is(tx, world, anomaly, row, act, actor)
        elif not await _recorded(tx, anomaly, act, actor):
            return await _again(tx, await _find(tx, anomaly_id), act)
        await tx.conn.execute("SELECT pg_notify('wattledger_effect', '')")
        tx.seen()
        return await _resolved(tx, await _find(tx, anomaly_id), new=True)


# --- the acts --------------------------------------------------------------------------------


async def _bill_as_it_is(
    tx: Transaction, world: World, anomaly: Anomaly, row: SessionRow, act: Act, actor: str
) -> None:
    found = await look(world, tx.conn, row)
    if found.delivery is None or found.charge is None:
        raise Conflict(f"session {row.id} can't be billed as it is: {found.why}. Correct it, or"
                       " discard it")  # fmt: skip
    await _recorded(tx, anomaly, act, actor, row=row)
    await _others(tx, anomaly, row, act, actor)
    await _take_up(tx, row, found.delivery)


async def _correct(
    tx: Transaction,
    world: World,
    anomaly: Anomaly,
    row: SessionRow | None,
    act: Act,
    actor: str,
) -> None:
    if row is None or not can_correct(row):
        raise Conflict(_not_offered(anomaly, row, "correct"))
    before = await known(tx.conn, row)
    told = _edges(act, before, tx.now)
    # Both ends are said again, also the one that stays: a person stands for both from now on.
    await sessions.add_facts(
        tx.conn,
        row.id,
        [(fact, derive("fct", row.id, fact.kind, anomaly.id)) for fact in told],
        received_at=tx.now,
        detail={"anomaly": anomaly.id, "by": actor, "reason": act.reason.strip()},
    )
    found = await look(world, tx.conn, row)
    if found.delivery is None or found.charge is None:
        raise BadInput("$", _words(told), f"values that make a bill; {found.why}")
    if row.state == "held":
        await _take_up(tx, row, found.delivery)
        await _others(tx, anomaly, row, act, actor)
    else:
        await sessions.adjust_at(tx.conn, row.id, tx.now)
    detail = {"before": msgspec.to_builtins(before), "after": _words(told)}
    await _recorded(tx, anomaly, act, actor, row=row, detail=detail)


async def _discard(
    tx: Transaction,
    snapshot: Snapshot,
    anomaly: Anomaly,
    row: SessionRow | None,
    act: Act,
    actor: str,
) -> None:
    if row is None or row.state != "held":
        raise Conflict(_not_offered(anomaly, row, "discard"))
    await _end(tx, row, await _last_known(tx, row))
    # Before the session: the database lets it be discarded by an act, and by nothing else.
    await _recorded(tx, anomaly, act, actor, row=row)
    await _others(tx, anomaly, row, act, actor)
    payment = await payments.of_session(tx.conn, row.id)
    if payment is not None and payment.state == "held":
        # One whose answer is still open is released when it comes: the session is free by then.
        await release(tx, payment)
    cursor = await tx.conn.execute(
        "UPDATE session SET state = 'free', discarded = %(kind)s, explained_wh ="
        " CASE WHEN %(kind)s = 'never_delivered' THEN meter_stop_wh - meter_start_wh"
        " ELSE explained_wh END WHERE id = %(id)s"
        " RETURNING ended_at, meter_stop_wh - meter_start_wh AS energy_wh",
        {"kind": act.kind, "id": row.id},
    )
    ended = await cursor.fetchone()
    assert ended is not None, "it is locked"
    await tell.session_discarded(tx, snapshot, row, ended["ended_at"], ended["energy_wh"],
                                 str(act.kind))  # fmt: skip


async def _others(tx: Transaction, anomaly: Anomaly, row: SessionRow, act: Act, actor: str) -> None:
    """Whatever else held the session is decided with it."""
    for other in await anomalies.listed(tx.conn, limit=1_000, subject=row.id):
        if other.id != anomaly.id and describe(other.code).severity is Severity.HOLDS:
            await _recorded(tx, other, act, actor, row=row, detail={"with": anomaly.id})


async def _recorded(
    tx: Transaction,
    anomaly: Anomaly,
    act: Act,
    actor: str,
    *,
    row: SessionRow | None = None,
    detail: dict[str, Any] | None = None,
) -> bool:
    session_id = row.id if row else anomaly.session_id
    return await anomalies.add_act(
        tx.conn, anomaly.id, at=tx.now, actor=actor, act=act.act, reason=act.reason.strip(),
        detail={"asked": _asked(act), **(detail or {})}, session_id=session_id,
    )  # fmt: skip


# --- the session -----------------------------------------------------------------------------


async def _take_up(tx: Transaction, row: SessionRow, delivery: Delivery) -> None:
    """Held -> ended, to be billed at once."""
    first, last = delivery.readings[0], delivery.readings[-1]
    await _end(tx, row, Fact("stop", last.at, last.register_wh), first.register_wh)


async def _end(tx: Transaction, row: SessionRow, stop: Fact, start_wh: int | None = None) -> None:
    """Held -> ended. ``stop`` and ``start_wh`` are taken where none was told; a real stop may still
    replace it."""
    if row.meter_start_wh is None:
        start_wh = stop.register_wh if start_wh is None else start_wh
        await tx.conn.execute(
            "UPDATE session SET meter_start_wh = %s WHERE id = %s", (start_wh, row.id)
        )
    if row.stopped_at is None or row.stop_provisional:
        await tx.conn.execute(
            "UPDATE session SET stopped_at = %(at)s, ended_at = %(at)s, meter_stop_wh = %(wh)s,"
            " stop_provisional = true WHERE id = %(id)s",
            {"at": stop.at, "wh": stop.register_wh, "id": row.id},
        )
    await tx.conn.execute(
        "UPDATE session SET state = 'ended', held_reason = NULL, bill_due_at = %s WHERE id = %s",
        (tx.now, row.id),
    )


async def _last_known(tx: Transaction, row: SessionRow) -> Fact:
    """The last thing that was heard, with the last register: for a session that nobody stopped."""
    told = [fact for fact in await sessions.facts(tx.conn, row.id) if not fact.is_interval]
    at = max((fact.at for fact in told), default=row.started_at)
    read = [fact for fact in told if fact.register_wh is not None]
    last = max(read, key=lambda fact: (fact.at, fact.register_wh or 0), default=None)
    return Fact("stop", at, last.register_wh if last is not None else row.meter_start_wh or 0)


# --- what was asked --------------------------------------------------------------------------


def _check(act: Act, actor: str) -> None:
    if not 1 <= len(act.reason.strip()) <= REASON_MAX or "\0" in act.reason:
        raise BadInput("$.reason", act.reason, f"why, in 1 to {REASON_MAX} characters")
    if not actor.partition(":")[2].strip() or len(actor) > ACTOR_MAX or not actor.isprintable():
        raise BadInput("$.by", actor, f"a name, in {ACTOR_MAX} characters at most")
    edges = {"start": act.start, "stop": act.stop}
    if act.act != "correct":
        for name, edge in edges.items():
            if edge != Edge():
                raise BadInput(f"$.{name}", _plain(edge), f"nothing here: the act is {act.act}")
    elif all(edge == Edge() for edge in edges.values()):
        raise BadInput("$.stop", None, "what is to be corrected: a register or a time")
    if (act.kind is None) == (act.act == "discard"):
        expected = "never_delivered or given_away" if act.act == "discard" else "nothing here"
        raise BadInput("$.kind", act.kind, expected)
    for name, edge in edges.items():
        if edge.register_wh is not None and not 0 <= edge.register_wh <= REGISTER_MAX_WH:
            raise BadInput(f"$.{name}.register_wh", edge.register_wh,
                           f"a register from 0 to {REGISTER_MAX_WH} Wh")  # fmt: skip
        if edge.at is not None and edge.at.tzinfo is None:
            raise BadInput(f"$.{name}.at", edge.at.isoformat(), "a time with a zone: append Z")


def _edges(act: Act, before: Known, now: datetime) -> tuple[Fact, Fact]:
    """Start and stop as they are from now on. Raises BadInput for what can't be."""
    start_wh = _or(act.start.register_wh, before.start_wh)
    if start_wh is None:
        raise BadInput("$.start.register_wh", None, "the register at the start: none is known")
    stop_at, stop_wh = _or(act.stop.at, before.stop_at), _or(act.stop.register_wh, before.stop_wh)
    if stop_at is None:
        raise BadInput("$.stop.at", None, "the time of the stop: none is known")
    if stop_wh is None:
        raise BadInput("$.stop.register_wh", None, "the register at the stop: none is known")
    start_at = act.start.at or before.start_at
    if stop_at < start_at:
        raise BadInput("$.stop.at", utc_text(stop_at), f"a time after the start, "
                       f"{utc_text(start_at)}")  # fmt: skip
    if stop_at > now:
        raise BadInput("$.stop.at", utc_text(stop_at), f"a time that is past: {utc_text(now)}")
    if start_at < OLDEST:
        raise BadInput("$.start.at", utc_text(start_at), f"a time after {utc_text(OLDEST)}")
    if stop_wh < start_wh:
        raise BadInput("$.stop.register_wh", stop_wh, f"{start_wh} Wh or more, as at the start")
    return (
        Fact("correct_start", start_at, start_wh, origin="person"),
        Fact("correct_stop", stop_at, stop_wh, origin="person"),
    )


def _or(one: T | None, other: T | None) -> T | None:
    return other if one is None else one


def _words(told: tuple[Fact, Fact]) -> dict[str, Any]:
    start, stop = told
    return {
        "start_at": utc_text(start.at), "start_wh": start.register_wh,
        "stop_at": utc_text(stop.at), "stop_wh": stop.register_wh,
    }  # fmt: skip


def _plain(edge: Edge) -> dict[str, Any]:
    return {
        name: utc_text(value) if isinstance(value, datetime) else value
        for name in ("at", "register_wh")
        if (value := getattr(edge, name)) is not None
    }


def _asked(act: Act) -> dict[str, Any]:
    """By which the same act is known again."""
    asked = {"start": _plain(act.start), "stop": _plain(act.stop), "kind": act.kind}
    return {name: value for name, value in asked.items() if value}


# --- answers ---------------------------------------------------------------------------------


async def _find(tx: Transaction, anomaly_id: int) -> Anomaly:
    found = await anomalies.get(tx.conn, anomaly_id)
    if found is None:
        raise NotFound(f"there is no anomaly {anomaly_id}")
    return found


async def _again(tx: Transaction, anomaly: Anomaly, act: Act) -> Resolved:
    same = (anomaly.act, anomaly.reason) == (act.act, act.reason.strip())
    if same and (anomaly.act_detail or {}).get("asked") == _asked(act):
        return await _resolved(tx, anomaly, new=False)
    assert anomaly.resolved_at is not None, "an act resolves"
    raise Conflict(
        f"anomaly {anomaly.id} was resolved at {utc_text(anomaly.resolved_at)} by {anomaly.actor}"
        f" ({anomaly.act}: {anomaly.reason}); nothing was changed"
    )


async def _resolved(tx: Transaction, anomaly: Anomaly, *, new: bool) -> Resolved:
    row = await sessions.get(tx.conn, anomaly.session_id) if anomaly.session_id else None
    assert anomaly.resolved_at is not None, "an act resolves"
    return Resolved(
        anomaly_id=anomaly.id, act=str(anomaly.act), at=anomaly.resolved_at,
        actor=str(anomaly.actor), reason=str(anomaly.reason), new=new,
        session_id=row.id if row else None, session_state=row.state if row else None,
    )  # fmt: skip


def _not_offered(anomaly: Anomaly, row: SessionRow | None, act: str) -> str:
    if row is None:
        return f"anomaly {anomaly.id} is about no session: it can only be accepted"
    if act == "discard":
        return f"session {row.id} is {row.state}: only a held one can be discarded"
    return f"session {row.id} is {row.state}: it can be corrected once it is held or billed"
