"""Step import: a finished session from another system's door (``POST /v1/sessions``)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from wattledger.clock import utc_text
from wattledger.contract import Contract, Decision, Reason, Route
from wattledger.db.work import Transaction
from wattledger.energy import REGISTER_MAX_WH
from wattledger.entitlements import Snapshot, decide, make_contract
from wattledger.entitlements.model import Policies
from wattledger.errors import BadInput
from wattledger.ids import derive
from wattledger.ingest import inbox
from wattledger.payments import store as payments
from wattledger.pipeline.authorize import record
from wattledger.pipeline.world import World
from wattledger.section import Section
from wattledger.sessions import Activity, Fact
from wattledger.sessions import store as sessions
from wattledger.wire.numbers import CLOCK_AHEAD_MAX, CLOCK_NEVER_SET

READINGS_MAX = 20_000
CONNECTOR_MAX = 1_000
MINOR_MAX = 10**15
# The first reading stands at the start and the last at the stop, or this close to it.
READING_OFF_MAX = timedelta(minutes=5)


class ReadingIn(Section, frozen=True):
    """A register reading."""

    at: datetime
    register_wh: int


class ChangeIn(Section, frozen=True):
    """From ``at`` on, what car and charger did."""

    at: datetime
    activity: Activity


class ExternalIn(Section, frozen=True):
    """What was taken elsewhere."""

    reference: str
    amount_minor: int
    currency: str


class SessionIn(Section, frozen=True):
    """A finished session. ``id`` is the sender's; sent again it changes nothing."""

    id: str
    charge_point_id: str
    connector_id: int
    token: str
    started_at: datetime
    stopped_at: datetime
    readings: tuple[ReadingIn, ...]
    unplugged_at: datetime | None = None
    changes: tuple[ChangeIn, ...] = ()
    external: ExternalIn | None = None


def check(session: SessionIn, path: str) -> None:
    """Raises BadInput for what contradicts itself, whenever it is sent."""
    if session.stopped_at < session.started_at:
        raise BadInput(
            f"{path}.stopped_at", session.stopped_at.isoformat(), "a time after the start"
        )
    if not 2 <= len(session.readings) <= READINGS_MAX:
        raise BadInput(
            f"{path}.readings", len(session.readings),
            f"2 to {READINGS_MAX} readings: the register at the start, at the end, and between",
        )  # fmt: skip
    if session.unplugged_at is not None and session.unplugged_at < session.stopped_at:
        raise BadInput(
            f"{path}.unplugged_at", session.unplugged_at.isoformat(), "a time after the stop"
        )
    for i, reading in enumerate(session.readings):
        _whole(f"{path}.readings[{i}].register_wh", reading.register_wh, REGISTER_MAX_WH)
    _whole(f"{path}.connector_id", session.connector_id, CONNECTOR_MAX)
    _named(f"{path}.id", session.id, 64)
    _named(f"{path}.token", session.token, 36)
    if session.external is not None:
        _named(f"{path}.external.reference", session.external.reference, 255)
        _whole(f"{path}.external.amount_minor", session.external.amount_minor, MINOR_MAX)


def in_utc(session: SessionIn, path: str) -> SessionIn:
    """All times in UTC. Raises BadInput for one without a zone."""

    def utc(name: str, at: datetime) -> datetime:
        if at.tzinfo is None:
            raise BadInput(f"{path}.{name}", at.isoformat(), "a time with a zone: append Z for UTC")
        try:
            return at.astimezone(UTC)
        except OverflowError:
            raise BadInput(f"{path}.{name}", str(at), "a time in the years 1 to 9999") from None

    replace = msgspec.structs.replace
    unplugged_at = session.unplugged_at
    return replace(
        session,
        started_at=utc("started_at", session.started_at),
        stopped_at=utc("stopped_at", session.stopped_at),
        unplugged_at=utc("unplugged_at", unplugged_at) if unplugged_at else None,
        readings=tuple(
            replace(r, at=utc(f"readings[{i}].at", r.at)) for i, r in enumerate(session.readings)
        ),
        changes=tuple(
            replace(c, at=utc(f"changes[{i}].at", c.at)) for i, c in enumerate(session.changes)
        ),
    )


def _times(session: SessionIn) -> list[tuple[str, datetime]]:
    times = [("started_at", session.started_at), ("stopped_at", session.stopped_at)]
    times += [(f"readings[{i}].at", r.at) for i, r in enumerate(session.readings)]
    times += [(f"changes[{i}].at", c.at) for i, c in enumerate(session.changes)]
    if session.unplugged_at is not None:
        times.append(("unplugged_at", session.unplugged_at))
    return times


def check_times(session: SessionIn, path: str, now: datetime, policies: Policies) -> None:
    """Raises BadInput for a time that a wrong clock made, or a reading outside the session."""
    for name, at in _times(session):
        if not CLOCK_NEVER_SET <= at <= now + CLOCK_AHEAD_MAX:
            raise BadInput(
                f"{path}.{name}", utc_text(at),
                f"a time from {utc_text(CLOCK_NEVER_SET)} to now ({utc_text(now)})",
            )  # fmt: skip
    started_at, stopped_at = session.started_at, session.stopped_at
    if stopped_at - started_at > timedelta(seconds=policies.session_limit_s):
        raise BadInput(
            f"{path}.stopped_at", utc_text(stopped_at),
            f"a session of {policies.session_limit_s} s at most (session_limit_s)",
        )  # fmt: skip
    idle_limit = timedelta(seconds=policies.idle_limit_s)
    if session.unplugged_at is not None and session.unplugged_at > stopped_at + idle_limit:
        raise BadInput(
            f"{path}.unplugged_at", utc_text(session.unplugged_at),
            f"a time within {policies.idle_limit_s} s of the stop (idle_limit_s)",
        )  # fmt: skip
    ordered = sorted(
        (r.at, r.register_wh, f"{path}.readings[{i}].at") for i, r in enumerate(session.readings)
    )
    for (at, _, name), end, what in (
        (ordered[0], started_at, "start"),
        (ordered[-1], stopped_at, "stop"),
    ):
        if abs(at - end) > READING_OFF_MAX:
            raise BadInput(
                name, utc_text(at), f"a reading within 5 minutes of the {what} {utc_text(end)}"
            )
    for at, _, name in ordered[1:-1]:
        if not started_at <= at <= stopped_at:
            raise BadInput(name, utc_text(at), "a time from the start to the stop")


def _whole(path: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise BadInput(path, value, f"a whole number from 0 to {most}")


def _named(path: str, value: str, longest: int) -> None:
    if not 1 <= len(value) <= longest or not value.isprintable():
        raise BadInput(path, value, f"1 to {longest} printable characters")


async def take(world: World, source: str, session: SessionIn, path: str = "$") -> dict[str, Any]:
    """Store the raw fact and the session it describes; the answer, the same for a repetition.

    Raises Conflict for the same id with another content, BadInput for what can't be, an unknown
    charge point or a token that nobody may bill: then nothing is stored, and it can be sent again.
    """
    session = in_utc(session, path)
    check(session, path)
    now = world.now
    policies = (await world.snapshot(now)).policies
    snapshot = await world.snapshot(session.started_at)
    async with world.work.transaction("import", now=now) as tx:
        body = msgspec.json.encode(session, order="deterministic")
        received = await inbox.receive(
            tx.conn, source=source, external_id=session.id, body=body, received_at=now
        )
        # Before anything that configuration or time decides: a repetition is answered as before.
        if received.handled:
            return {**received.answer, "new": False}
        check_times(session, path, now, policies)
        decision, contract = _agreed(snapshot, session, now, path)
        session_id = derive("ses", source, session.id)
        await record(tx, decision, session.charge_point_id, "api")
        await sessions.add(
            tx.conn, session_id=session_id, charge_point_id=session.charge_point_id,
            connector_id=session.connector_id, source="api", token=session.token,
            contract=contract, started_at=session.started_at,
            meter_start_wh=_in_order(session)[0].register_wh,
        )  # fmt: skip
        await _finish(tx, session_id, session, contract.route)
        answer = {"id": session.id, "session_id": session_id}
        await inbox.handled(tx.conn, received.id, now, answer)
        return {**answer, "new": True}


_NOBODY_PAYS = frozenset({Reason.UNKNOWN_TOKEN, Reason.BLOCKED, Reason.NO_PAYMENT_METHOD})


def _agreed(
    snapshot: Snapshot, session: SessionIn, now: datetime, path: str
) -> tuple[Decision, Contract]:
    """Who pays, as of the session's start, and by what."""
    at = session.started_at
    connector_id, route = session.connector_id, Route.EXTERNAL if session.external else None
    decision = decide(
        snapshot, session.token, session.charge_point_id, now, at=at, connector_id=connector_id,
        route=route,
    )  # fmt: skip
    if decision.reason in _NOBODY_PAYS:
        if session.external is None:
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
            connector_id=connector_id,
        )  # fmt: skip
    except LookupError as error:
        raise BadInput(
            f"{path}.charge_point_id", session.charge_point_id, f"one of a site ({error})"
        ) from None
    if session.external is not None and session.external.currency != contract.currency:
        raise BadInput(f"{path}.external.currency", session.external.currency, contract.currency)
    return decision, contract


async def _finish(tx: Transaction, session_id: str, session: SessionIn, route: Route) -> None:
    facts = _facts(session_id, session)
    await sessions.add_facts(tx.conn, session_id, facts, received_at=tx.now)
    last = _in_order(session)[-1]
    await sessions.stop(
        tx.conn, session_id, stopped_at=session.stopped_at, meter_stop_wh=last.register_wh,
        reason="Local", bill_due_at=tx.now,
    )  # fmt: skip
    if session.unplugged_at is not None:
        await sessions.close_idle(
            tx.conn, session_id, ended_at=session.unplugged_at, bill_due_at=tx.now + timedelta(0)
        )
    if session.external is not None:
        external = session.external
        await payments.add_external(
            tx.conn, session_id, await _entity(tx, session_id), external.reference,
            external.amount_minor, external.currency,
        )  # fmt: skip
    elif route is Route.CARD:
        await sessions.move(tx.conn, session_id, "held", held_reason="payment.missing")


async def _entity(tx: Transaction, session_id: str) -> str:
    row = await sessions.get(tx.conn, session_id)
    assert row is not None, "it was inserted in this transaction"
    return row.entity_id


def _in_order(session: SessionIn) -> list[ReadingIn]:
    """By time, whatever order the sender wrote them in."""
    return sorted(session.readings, key=lambda r: (r.at, r.register_wh))


def _facts(session_id: str, session: SessionIn) -> list[tuple[Fact, str]]:
    def key(*parts: str | int) -> str:
        return derive("fct", session_id, *parts)

    ordered = _in_order(session)
    facts = [(Fact("start", session.started_at, ordered[0].register_wh), key("start"))]
    facts += [
        (Fact("meter", r.at, r.register_wh), key("meter", r.at.isoformat(), r.register_wh))
        for r in ordered[1:-1]
    ]
    facts += [
        (Fact("status", c.at, activity=c.activity), key("status", c.at.isoformat(), c.activity))
        for c in session.changes
    ]
    facts.append((Fact("stop", session.stopped_at, ordered[-1].register_wh), key("stop")))
    if session.unplugged_at is not None:
        facts.append((Fact("unplug", session.unplugged_at), key("unplug")))
    return facts
