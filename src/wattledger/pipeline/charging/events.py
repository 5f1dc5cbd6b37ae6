"""Step transaction_event: what an OCPP 2.x station tells of a transaction, in whatever order.

An event is stored first, by its content. The session is opened when the start is there and it is
known who charges, or when the end is there and no number is missing before it. Till then events
wait, but not for ever: then it is opened with what there is. What comes after the end counts, late.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from wattledger.contract import Reason
from wattledger.db.work import Transaction
from wattledger.entitlements import decide
from wattledger.entitlements.model import Policies
from wattledger.ids import content_digest
from wattledger.ingest import anomalies
from wattledger.pipeline.charging import clocks, meters
from wattledger.pipeline.charging.authorize import payer
from wattledger.pipeline.charging.billable import wait_no_more
from wattledger.pipeline.charging.clocks import Heard
from wattledger.pipeline.charging.end import Ending, end, unplugged
from wattledger.pipeline.charging.start import Opening, Terms, hear_start, open_session, terms_at
from wattledger.pipeline.collecting.ceiling import mind_the_money
from wattledger.pipeline.display import shown
from wattledger.pipeline.stations.commands import ask_after, command
from wattledger.pipeline.world import World
from wattledger.sessions import at_once, events, from_ocpp2, lookup
from wattledger.sessions import store as sessions
from wattledger.sessions.at_once import Known
from wattledger.sessions.events import Event, Waiting
from wattledger.sessions.from_samples import first_register
from wattledger.sessions.model import Activity
from wattledger.sessions.store import SessionRow
from wattledger.wire.numbers import decode_json
from wattledger.wire.ocpp import v2


class Told(msgspec.Struct, frozen=True):
    """What an event came to. ``reason`` is set where the event had a token to be judged;
    ``total_cost`` with tax, in major units, where it is to be shown."""

    session_id: str | None = None
    reason: Reason | None = None
    total_cost: Decimal | None = None


class _Heard(msgspec.Struct, frozen=True):  # an event and when it was
    event: v2.TransactionEvent
    heard: Heard
    received_at: datetime


async def take(
    world: World,
    charge_point_id: str,
    version: str,
    event: v2.TransactionEvent,
    raw: bytes,
    refused: Reason | None = None,
) -> Told:
    """Store the event and what it says. Sent again it changes nothing and is answered the same.

    ``raw`` is the payload as JSON: by it the event counts once, and from it an event that has to
    wait is read again. ``refused``: another has refused its token (Opening).
    """
    v2.samples(event.values, "meterValue")  # what can't be read is refused before it is stored
    now = world.now
    heard = await hear_start(world, charge_point_id, v2.time_of(event.timestamp))
    terms = await terms_at(world, heard)
    it = _Heard(event, heard, now)
    known = world.known_sessions.get(charge_point_id, event.transaction_info.transaction_id)
    if known is not None and _goes_on(known, event):
        async with world.work.transaction("transaction_event", now=now) as tx:
            step = _Step(tx, world, terms, charge_point_id, version, refused)
            row = await step.take_known(known, it, raw)
            if row is not None:
                cost = await shown.event(tx, world, row, event, version)
                return Told(row.id, step.said_of(row, event), cost)
        world.known_sessions.forget(known.row)
    async with world.work.transaction("transaction_event", now=now) as tx:
        step = _Step(tx, world, terms, charge_point_id, version, refused)
        told = await step.take(it, raw)
        row = await sessions.get(tx.conn, told.session_id) if told.session_id else None
        if row is None:
            return told
        cost = await shown.event(tx, world, row, event, version)
        return msgspec.structs.replace(told, total_cost=cost)


def _goes_on(known: Known, event: v2.TransactionEvent) -> bool:
    """Whether an event only adds to what is known of a running session."""
    return (
        known.generation is not None
        and event.event_type == "Updated"
        and event.transaction_info.charging_state != "EVConnected"
        and not (known.row.connector_id == 0 and event.evse is not None)
    )


class _Step:
    """One event in its transaction."""

    def __init__(
        self, tx: Transaction, world: World, terms: Terms, charge_point_id: str, version: str,
        refused: Reason | None,
    ) -> None:  # fmt: skip
        self.tx, self.world, self.terms = tx, world, terms
        self.charge_point_id, self.version = charge_point_id, version
        self.refused = refused

    @property
    def policies(self) -> Policies:
        return self.terms.policies

    async def take_turns(self, ref: str) -> None:
        """Events of one transaction: two could both find that nobody opened it yet."""
        await self.tx.conn.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))",
            (f"{self.charge_point_id}:{ref}",),
        )

    async def take(self, it: _Heard, raw: bytes) -> Told:
        event, tx = it.event, self.tx
        ref = event.transaction_info.transaction_id
        await self.take_turns(ref)
        key = from_ocpp2.event_key(self.charge_point_id, event, content_digest(raw))
        generation = await events.generation_of(tx.conn, key)
        if generation is None:
            generation = await self._generation(it, ref)
        session_id = from_ocpp2.session_id(self.charge_point_id, ref, generation)
        row = await sessions.get(tx.conn, session_id, lock=True)
        new = await events.add(
            tx.conn, charge_point_id=self.charge_point_id, transaction_ref=ref,
            generation=generation, offline=bool(event.offline),
            event=Event(event.seq_no, event.event_type, it.heard.at, tx.now,
                        None if row else raw.decode("utf-8", "replace")),
            trigger_reason=event.trigger_reason,
            key=key,
        )  # fmt: skip
        if row is None:
            waiting = Waiting(
                session_id, self.charge_point_id, ref, generation, self.version, tx.now
            )
            told = await self.open(waiting) if new else None
            if event.id_token is None:
                return Told(told.session_id if told else None)
            return told or Told(None, await self._judged(it))
        if row.state == "open" and event.event_type != "Ended":
            self.world.known_sessions.note(Known(row, generation))
        if new:
            await self._apply(row, it)
            if row.state != "open" or event.event_type == "Ended":
                await self._mind_gaps(await self._fresh(row), ref, generation)
        return Told(row.id, self.said_of(row, event))

    async def take_known(self, known: Known, it: _Heard, raw: bytes) -> SessionRow | None:
        """An event of a session that goes on: found, locked and written in one statement, so that
        nobody has to take turns. None, with nothing done: it has to be looked at closer."""
        event, tx, row = it.event, self.tx, known.row
        samples = v2.samples(event.values, "meterValue")
        heard = clocks.within(row, it.heard, tx.now)
        read = meters.facts_of(row, samples, heard, tx.now)
        said = from_ocpp2.state(row.id, event, heard.at, charged=False)
        facts = [*read.facts, said] if said is not None else read.facts
        if len(facts) > at_once.FACTS_MAX:
            return None
        found = await at_once.add_event(
            tx.conn, known,
            Event(event.seq_no, event.event_type, it.heard.at, tx.now, None),
            from_ocpp2.event_key(self.charge_point_id, event, content_digest(raw)), facts,
            offline=bool(event.offline), trigger_reason=event.trigger_reason,
        )  # fmt: skip
        if found is None:
            return None
        row, added = found
        added += await meters.take_rest(tx, row, samples, read, "TransactionEvent")
        await self._follow(row, added, event)
        if row.state != "open":
            self.world.known_sessions.forget(row)
            ref = event.transaction_info.transaction_id
            await self._mind_gaps(await self._fresh(row), ref, known.generation or 1)
        return row

    def said_of(self, row: SessionRow, event: v2.TransactionEvent) -> Reason | None:
        """What is said of the token of an event, if it has one."""
        return None if event.id_token is None else row.contract.refused or Reason.ACCEPTED

    async def _generation(self, it: _Heard, ref: str) -> int:
        """A Started that is later than the one we know is another transaction: the station forgot
        that it had used the id, by beginning to count anew."""
        known = await events.latest(self.tx.conn, self.charge_point_id, ref)
        if known is None:
            return 1
        if it.event.event_type != "Started":
            return known
        before = await events.started_at(self.tx.conn, self.charge_point_id, ref, known)
        if before is None or it.heard.at <= before:
            return known
        await anomalies.record(
            self.tx.conn, at=self.tx.now, code="transaction.reused", subject=self.charge_point_id,
            detail={"transaction_id": ref, "timestamp": it.event.timestamp},
            cause=f"{ref}:{known + 1}",
        )  # fmt: skip
        return known + 1

    async def open(self, it: Waiting, *, now: bool = False) -> Told | None:
        """Open the session with every event that waited, if all that it takes is there, or ``now``;
        None: it waits for the rest."""
        ref, session_id, generation = it.transaction_ref, it.session_id, it.generation
        waiting = [
            self._again(found)
            for found in await events.of(self.tx.conn, self.charge_point_id, ref, generation)
        ]
        started = next((w for w in waiting if w.event.event_type == "Started"), None)
        ended = next((w for w in waiting if w.event.event_type == "Ended"), None)
        all_there = ended is not None and not events.gaps({w.event.seq_no for w in waiting})
        # The token of an end is whoever's stopped it: it counts only where no other will come.
        token = next(
            (w.event.id_token for w in waiting if w.event.id_token is not None
             and (w.event.event_type != "Ended" or all_there or now)), None,
        )  # fmt: skip
        if not now and (started is None or not (token is not None or all_there)):
            await self._wait(it, ended=ended is not None)
            return None
        await events.wait_no_more(self.tx.conn, session_id)
        first = started or min(waiting, key=lambda w: w.heard.at)
        told = [(w.heard, w.received_at) for w in waiting]
        first = msgspec.structs.replace(first, heard=clocks.earliest(first.heard, told))
        # What was in force at the start, where this event is not the start; from memory.
        terms = Terms(await self.world.snapshot(first.heard.at), self.policies)
        opened = await open_session(
            self.tx, self.world, terms, self._opening(
                first, waiting, session_id, ref, token or v2.IdToken("")),
            [from_ocpp2.start(session_id, first.heard.at)],
        )  # fmt: skip
        row = await sessions.get(self.tx.conn, session_id, lock=True)
        if row is None:
            return Told(None, opened.reason)
        if started is None or token is None:
            await anomalies.record(
                self.tx.conn, at=self.tx.now,
                code="start.missing" if started is None else "token.missing", subject=row.id,
                detail={"transaction_id": ref}, cause="open",
            )  # fmt: skip
        for waited in waiting:
            await self._apply(await self._fresh(row), waited)
        await self._mind_gaps(await self._fresh(row), ref, generation)
        return Told(row.id, opened.reason)

    async def _wait(self, it: Waiting, *, ended: bool) -> None:
        """For what is missing: after the end not for long, and the station is asked whether it has
        more; before it until nothing is heard of it any more."""
        wait = self.policies.late_stop_wait if ended else self.policies.silence
        await events.wait(self.tx.conn, msgspec.structs.replace(it, due_at=self.tx.now + wait))
        if ended:
            await command(
                self.tx, self.charge_point_id, "get_transaction_status",
                {"transaction_id": it.transaction_ref}, subject=it.session_id,
                key=f"{it.session_id}:get_transaction_status:open",
            )  # fmt: skip

    async def _judged(self, it: _Heard) -> Reason:
        """What is to be said of a token while its session waits to be opened."""
        if (token := it.event.id_token) is None or self.refused is not None:
            return self.refused or Reason.UNKNOWN_TOKEN
        evse, whose = it.event.evse, (self.terms.snapshot, token.id_token, self.charge_point_id)
        return decide(
            *whose, self.tx.now, at=it.heard.at, connector_id=evse.id or None if evse else None,
            paid=await payer(self.tx.conn, *whose, token.type), blocks=self.world.blocks,
        ).reason  # fmt: skip

    async def wait_is_over(self, it: Waiting) -> str:
        """Open what waited long enough, if it ended, or energy flowed, or it is known for whom. A
        car that only stands there may still be let in: it waits no more, and is not forgotten."""
        known = await events.of(
            self.tx.conn, self.charge_point_id, it.transaction_ref, it.generation
        )
        told = [self._again(found).event for found in known]
        registers = [first_register(v2.samples(event.values, "meterValue")) for event in told]
        if (
            any(e.event_type == "Ended" or e.id_token is not None for e in told)
            or len({register_wh for register_wh in registers if register_wh is not None}) > 1
        ):
            await self.open(it, now=True)
            return "opened"
        await events.wait_no_more(self.tx.conn, it.session_id)
        return "dropped"

    def _again(self, found: Event) -> _Heard:
        payload = decode_json(found.payload or "{}", "TransactionEvent")
        event = v2.read(payload, v2.TransactionEvent)
        heard = clocks.heard_then(v2.time_of(event.timestamp), found.at, found.received_at)
        return _Heard(event, heard, found.received_at)

    def _opening(
        self, first: _Heard, waiting: list[_Heard], session_id: str, ref: str, token: v2.IdToken
    ) -> Opening:
        evse = next((w.event.evse for w in waiting if w.event.evse is not None), None)
        return Opening(
            session_id, self.version, self.charge_point_id, evse.id if evse else 0, token.id_token,
            first.heard, first_register(v2.samples(first.event.values, "meterValue")),
            transaction_ref=ref, offline=bool(first.event.offline), action="TransactionEvent",
            refused=self.refused, token_type=token.type,
        )  # fmt: skip

    async def _fresh(self, row: SessionRow) -> SessionRow:
        return await sessions.get(self.tx.conn, row.id, lock=True) or row

    async def _apply(self, row: SessionRow, it: _Heard) -> None:
        """What one event says, into a session that is there."""
        event, tx, begins = it.event, self.tx, it.event.event_type == "Started"
        heard = clocks.within(row, it.heard, it.received_at, begins=begins)
        if row.connector_id == 0 and event.evse is not None and event.evse.id:
            await lookup.at_connector(tx.conn, row.id, event.evse.id)
        if begins and heard.at < row.started_at:
            # The start came after what followed it: it counts, whenever the session was opened.
            await sessions.add_facts(
                tx.conn, row.id, [from_ocpp2.start(f"{row.id}:late", heard.at)], received_at=tx.now
            )
        said = from_ocpp2.state(row.id, event, heard.at, charged=await self._charged(row, event))
        samples = v2.samples(event.values, "meterValue")
        if event.event_type == "Ended":
            ending = Ending(
                heard, None, event.transaction_info.stopped_reason or "Local",
                from_ocpp2.stop(row.id, heard.at), "TransactionEvent",
            )  # fmt: skip
            if said is not None:
                await sessions.add_facts(tx.conn, row.id, [said], received_at=tx.now)
            await end(tx, self.world, self.policies, row, ending, samples)
            if from_ocpp2.departed(event):
                await unplugged(tx, self.world, self.policies, await self._fresh(row), heard)
            return
        added = await meters.take(tx, row, samples, heard, "TransactionEvent")
        if said is not None:
            added += await sessions.add_facts(tx.conn, row.id, [said], received_at=tx.now)
        await self._follow(row, added, event)

    async def _follow(self, row: SessionRow, added: int, event: v2.TransactionEvent) -> None:
        """What follows from so many new facts of an event that ends nothing."""
        if row.state == "open" and row.contract.hold_minor:
            await mind_the_money(self.tx, self.world, self.policies, row, added)
        await meters.late(self.tx, row, self.policies, added, event.timestamp)

    async def _charged(self, row: SessionRow, event: v2.TransactionEvent) -> bool:
        """Whether it had charged before: asked only where it makes a difference."""
        if event.transaction_info.charging_state != "EVConnected":
            return False
        facts = await sessions.facts(self.tx.conn, row.id)
        return any(fact.activity is Activity.CHARGING for fact in facts)

    async def _mind_gaps(self, row: SessionRow, ref: str, generation: int) -> None:
        """An end with events missing before it: the bill waits for them, and the station is asked
        whether it still has them. Once all are there the wait is over."""
        if row.state != "ended":
            return
        known = await events.of(self.tx.conn, self.charge_point_id, ref, generation)
        missing = events.gaps({event.seq_no for event in known})
        if not missing:
            await anomalies.settle(self.tx.conn, "events.missing", row.id, "they came", self.tx.now)
            if row.check_due_at is not None:
                await wait_no_more(self.tx, self.world, self.policies, row)
            return
        await anomalies.record(
            self.tx.conn, at=self.tx.now, code="events.missing", subject=row.id,
            detail={"seq_no": missing}, cause="events",
        )  # fmt: skip
        wait_until = self.tx.now + self.policies.late_stop_wait
        if row.check_due_at is None:
            await ask_after(self.tx, row)
        await sessions.bill_not_before(self.tx.conn, row.id, wait_until)


async def wait_is_over(world: World, session_id: str) -> str:
    """A transaction that has waited long enough for what is missing: opened with what there is, or
    dropped where nothing was delivered. What was done: nothing, opened, dropped."""
    async with world.work.pool.connection() as conn:
        it = await events.waiting(conn, session_id)
    if it is None:
        return "nothing"
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.transaction("look_after", now=now) as tx:
        terms = Terms(snapshot, snapshot.policies)
        step = _Step(tx, world, terms, it.charge_point_id, it.version, None)
        await step.take_turns(it.transaction_ref)
        it = await events.waiting(tx.conn, session_id)
        if it is None or it.due_at > tx.now:
            return "nothing"
        return await step.wait_is_over(it)


async def wait_failed(world: World, session_id: str) -> None:
    """A fault of ours: it is tried again later."""
    policies = (await world.snapshot(world.now)).policies
    async with world.work.transaction("look_after") as tx:
        await events.wait_until(tx.conn, session_id, tx.now + policies.silence)
