"""Step import: finished sessions from another system's door (JSON, a mapped file, OCPI CDRs).

Each counts once under its sender's id, and each stands alone: what is wrong with one does not
stop the others of its batch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

from wattledger.clock import utc_text
from wattledger.contract import Contract, Decision, Reason, Route
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot, at_terminal, decide, make_contract
from wattledger.entitlements.model import Policies
from wattledger.errors import BadInput, Conflict
from wattledger.ids import content_digest, derive
from wattledger.ingest import anomalies, inbox
from wattledger.payments import store as payments
from wattledger.pipeline.charging.authorize import record
from wattledger.pipeline.world import World
from wattledger.sessions import finished
from wattledger.sessions import store as sessions
from wattledger.sessions.finished import ChangeIn, ExternalIn, ReadingIn, SessionIn

__all__ = [
    "ChangeIn", "ExternalIn", "Item", "Outcome", "ReadingIn", "SessionIn", "take",
    "take_all",
]  # fmt: skip


Conn = AsyncConnection[dict[str, Any]]
Snapshots = Callable[[datetime], Awaitable[Snapshot]]
"""What was in force when: ``World.snapshot``, or a configuration that is not applied yet."""


class Item(msgspec.Struct, frozen=True):
    """A session, where it stands in what was sent, and what was sent (else the session as read)."""

    session: SessionIn
    path: str = "$"
    raw: bytes | None = None


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of an item: its session, or why there is none. ``new`` False: it was here."""

    id: str
    session_id: str | None = None
    new: bool = False
    error: BadInput | Conflict | None = None

    @property
    def answer(self) -> dict[str, Any]:
        """Without the error."""
        return {"id": self.id, "session_id": self.session_id, "new": self.new}


async def take(world: World, source: str, session: SessionIn, path: str = "$") -> dict[str, Any]:
    """Store the raw fact and the session it describes; the answer, the same for a repetition.

    Raises Conflict for the same id with another content, BadInput for what can't be, an unknown
    charge point or a token that nobody may bill: then nothing is stored, and it can be sent again.
    """
    [outcome] = await take_all(world, source, [Item(session, path)])
    if outcome.error is not None:
        raise outcome.error
    return outcome.answer


async def take_all(world: World, source: str, items: Sequence[Item]) -> list[Outcome]:
    """As ``take`` for each, in one transaction and in the order given; nothing is raised for one
    that can't be taken."""
    now = world.now
    policies = (await world.snapshot(now)).policies
    outcomes = [Outcome(item.session.id) for item in items]
    ready: list[tuple[int, Item, Snapshot]] = []
    for i, item in enumerate(items):
        try:
            session = finished.in_utc(item.session, item.path)
            finished.check(session, item.path)
        except BadInput as error:
            outcomes[i] = Outcome(item.session.id, error=error)
            continue
        ready.append(
            (i, msgspec.structs.replace(item, session=session),
             await world.snapshot(session.started_at))
        )  # fmt: skip
    # By id: two senders of the same sessions never wait for each other crosswise.
    ready.sort(key=lambda each: each[1].session.id)
    async with world.work.transaction("import", now=now) as tx:
        known = await inbox.known(tx.conn, source, [item.session.id for _, item, _ in ready])
        twice = await elsewhere(tx.conn, source, [item.session for _, item, _ in ready])
        for i, item, snapshot in ready:
            session = item.session
            try:
                # Before anything that configuration or time decides: a repetition is answered as
                # it was before.
                if session.id in known:
                    outcomes[i] = _repeated(source, item, *known[session.id])
                    continue
                agreed = check(session, item.path, now, policies, snapshot)
                if session.id in twice:
                    raise twice[session.id]
                async with _undone_alone(tx, session):
                    outcomes[i] = await _take(tx, source, item, *agreed)
            except inbox.AnotherContent as error:
                await _show(tx, source, item)
                outcomes[i] = Outcome(session.id, error=error)
            except (BadInput, Conflict) as error:
                outcomes[i] = Outcome(session.id, error=error)
    return outcomes


async def _show(tx: Transaction, source: str, item: Item) -> None:
    """The second record changes nothing by itself, and is shown to a person who may."""
    body = body_of(item)
    detail: dict[str, Any] = {"source": source, "id": item.session.id}
    if len(body) <= _SHOWN_MAX_BYTES:
        detail["record"] = body.decode("utf-8", "replace")
    await anomalies.record(
        tx.conn, at=tx.now, code="record.differs", subject=derive("ses", source, item.session.id),
        detail=detail, cause=content_digest(body),
    )  # fmt: skip


def _repeated(source: str, item: Item, digest: str, answer: dict[str, Any]) -> Outcome:
    if digest != content_digest(body_of(item)):
        raise inbox.AnotherContent(source, item.session.id)
    return Outcome(item.session.id, answer["session_id"])


@asynccontextmanager
async def _undone_alone(tx: Transaction, session: SessionIn) -> AsyncIterator[None]:
    """Only a payment that has paid another session is found out after something was written."""
    if session.external is None:
        yield
        return
    async with tx.savepoint():
        yield


def check(
    session: SessionIn, path: str, now: datetime, policies: Policies, snapshot: Snapshot
) -> tuple[Decision, Contract]:
    """All that can be checked without the database; who pays, and by what. Raises BadInput.

    ``policies`` are those of ``now``, ``snapshot`` is that of the session's start.
    """
    finished.check_times(
        session, path, now, session_limit_s=policies.session_limit_s,
        idle_limit_s=policies.idle_limit_s,
    )  # fmt: skip
    return _agreed(snapshot, session, now, path)


async def _take(
    tx: Transaction, source: str, item: Item, decision: Decision, contract: Contract
) -> Outcome:
    session = item.session
    session_id = derive("ses", source, session.id)
    received = await inbox.receive(
        tx.conn, source=source, external_id=session.id, body=body_of(item), received_at=tx.now,
        answer={"id": session.id, "session_id": session_id},
    )  # fmt: skip
    if not received.new:  # somebody else sent it a moment ago, or it stands twice in the batch
        return Outcome(session.id, session_id)
    await record(tx, decision, session.charge_point_id, "api")
    await sessions.add(
        tx.conn, session_id=session_id, charge_point_id=session.charge_point_id,
        connector_id=session.connector_id, source=_SOURCES.get(source, "api"), token=session.token,
        contract=contract, started_at=session.started_at,
        meter_start_wh=session.in_order[0].register_wh,
    )  # fmt: skip
    await _finish(tx, session_id, session, contract)
    return Outcome(session.id, session_id, new=True)


def body_of(item: Item) -> bytes:
    """What is kept of it, and what a repetition is compared with."""
    return item.raw or msgspec.json.encode(item.session, order="deterministic")


# Of a record that is not taken so much is shown.
_SHOWN_MAX_BYTES = 64 * 1024
# An inbox source, and the session's.
_SOURCES = {"api": "api", "ocpi": "ocpi", "import": "import"}


async def elsewhere(conn: Conn, source: str, given: Sequence[SessionIn]) -> dict[str, Conflict]:
    """Those that came through another door already. Two sessions can't start on one connector at
    one moment: it is the same one, and billing it twice is the worst that can happen."""
    cursor = await conn.execute(
        "SELECT id, source, charge_point_id, connector_id, started_at FROM session"
        " WHERE started_at = ANY(%s) AND charge_point_id = ANY(%s) AND source <> %s",
        (
            [session.started_at for session in given],
            [session.charge_point_id for session in given], _SOURCES.get(source, "api"),
        ),
    )  # fmt: skip
    there = {
        (row["charge_point_id"], row["connector_id"], row["started_at"]): row
        for row in await cursor.fetchall()
    }
    found = {}
    for session in given:
        row = there.get((session.charge_point_id, session.connector_id, session.started_at))
        if row is not None:
            found[session.id] = Conflict(
                f"{session.id!r} is here already: session {row['id']} (from {row['source']})"
                f" started on {session.charge_point_id}, connector {session.connector_id}, at the"
                " same time; send each session through one door only"
            )
    return found


_NOBODY_PAYS = frozenset(
    {Reason.UNKNOWN_TOKEN, Reason.BLOCKED, Reason.NO_PAYMENT_METHOD, Reason.NO_ROUTE}
)


def _agreed(
    snapshot: Snapshot, session: SessionIn, now: datetime, path: str
) -> tuple[Decision, Contract]:
    """Who pays, as of the session's start, and by what."""
    at = session.started_at
    elsewhere = session.external is not None and not session.by_plan
    connector_id, route = session.connector_id, Route.EXTERNAL if elsewhere else None
    paid = None if elsewhere else at_terminal(snapshot, session.token, session.charge_point_id)
    decision = decide(
        snapshot, session.token, session.charge_point_id, now, at=at, connector_id=connector_id,
        route=route, paid=paid,
    )  # fmt: skip
    if decision.reason in _NOBODY_PAYS:
        if not elsewhere:
            # Not ours to write off: whoever sent it can say who pays.
            raise BadInput(
                f"{path}.token", session.token,
                f"a token that somebody pays for at {utc_text(at)} ({decision.reason}): correct its"
                f" account and run `wattledger apply --valid-from {utc_text(at)}`, or send"
                " `external` if the money was taken elsewhere",
            )  # fmt: skip
        # Whoever took the money knew the driver; we need not.
        decision = msgspec.structs.replace(decision, accepted=True, reason=Reason.ACCEPTED)
    try:
        contract = make_contract(
            snapshot, decision, session.charge_point_id, as_of=at, known_at=now, route=route,
            connector_id=connector_id, paid=paid,
        )  # fmt: skip
    except LookupError as error:
        raise BadInput(
            f"{path}.charge_point_id", session.charge_point_id, f"one of a site ({error})"
        ) from None
    _check_place(session, contract, path)
    return decision, contract


def _check_place(session: SessionIn, contract: Contract, path: str) -> None:
    """The sender's picture of the place is ours, or somebody has to look."""
    if session.external is not None and session.external.currency != contract.currency:
        raise BadInput(f"{path}.external.currency", session.external.currency, contract.currency)
    if session.site_id not in (None, contract.site_id):
        expected = f"{contract.site_id}, the site of {session.charge_point_id}, or none"
        raise BadInput(f"{path}.site_id", session.site_id, expected)
    if session.time_zone not in (None, contract.time_zone):
        expected = f"{contract.time_zone}, the site's, or none"
        raise BadInput(f"{path}.time_zone", session.time_zone, expected)


async def _finish(tx: Transaction, session_id: str, session: SessionIn, contract: Contract) -> None:
    await sessions.add_facts(
        tx.conn, session_id, finished.facts(session_id, session), received_at=tx.now,
        detail=session.told,
    )  # fmt: skip
    await sessions.stop(
        tx.conn, session_id, stopped_at=session.stopped_at,
        meter_stop_wh=session.in_order[-1].register_wh, reason="Local", bill_due_at=tx.now,
    )  # fmt: skip
    if session.unplugged_at is not None:
        await sessions.close_idle(
            tx.conn, session_id, ended_at=session.unplugged_at, bill_due_at=tx.now
        )
    external = session.external
    if external is not None:
        await payments.add_external(
            tx.conn, session_id, contract.entity_id, external.reference, external.amount_minor,
            external.currency, without_tax=external.without_tax,
        )  # fmt: skip
    elif contract.route.by_card and contract.route is not Route.TERMINAL:
        code = "payment.missing"
        await sessions.move(tx.conn, session_id, "held", held_reason=code)
        await anomalies.record(
            tx.conn, at=tx.now, code=code, subject=session_id, detail={}, cause="import"
        )
