"""Opening a session: the session, its contract and its hold, in one transaction before the answer.

Every version of OCPP and the proxy open sessions here; ``start`` is the step of a 1.6
StartTransaction.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from wattledger.clock import utc_text
from wattledger.contract import Contract, Reason, Route
from wattledger.db.work import Transaction
from wattledger.entitlements import Paid, Snapshot, at_terminal, decide, make_contract
from wattledger.entitlements.model import Policies
from wattledger.ids import derive
from wattledger.ingest import anomalies
from wattledger.payments import blocks
from wattledger.payments import store as payments
from wattledger.pipeline.charging import clocks
from wattledger.pipeline.charging.authorize import record
from wattledger.pipeline.charging.clocks import Heard
from wattledger.pipeline.charging.end import close_predecessors
from wattledger.pipeline.display import shown
from wattledger.pipeline.starting import asking
from wattledger.pipeline.starting.hold_sizes import with_hold
from wattledger.pipeline.starting.starts import Beginning, began, beginning, turned_down
from wattledger.pipeline.world import World
from wattledger.sessions import Fact, from_ocpp16, lookup, starts
from wattledger.sessions import store as sessions
from wattledger.wire.numbers import device_text
from wattledger.wire.ocpp import v16


class Started(msgspec.Struct, frozen=True):
    """What a start came to: the id it gets in 1.6, and whether the token may charge."""

    transaction_id: int
    reason: Reason
    session_id: str | None = None


class Opening(msgspec.Struct, frozen=True):
    """What is known of a session when it starts. ``connector_id`` 0: not yet which; registers in
    Wh; ``offline`` is the charge point's word, where its version has one."""

    session_id: str
    source: str
    charge_point_id: str
    connector_id: int
    token: str
    heard: Heard
    meter_start_wh: int | None
    transaction_ref: str | None = None
    offline: bool = False
    action: str = "StartTransaction"
    refused: Reason | None = None
    """Somebody else has refused the token, whose word counts: whatever our own decision is."""
    token_type: str = ""
    """The charge point's word, where its version has one."""


class Terms(msgspec.Struct, frozen=True):
    """The configuration at the session's start, and the policies of now."""

    snapshot: Snapshot
    policies: Policies


async def hear_start(world: World, charge_point_id: str, said: datetime) -> Heard:
    """When a session began. A charge point that stood nowhere then, and does now, has a clock that
    is wrong: at the date on which its firmware was made, say."""
    now = world.now
    heard = clocks.hear(said, now, world.device_clocks.at_start(charge_point_id, said, now))
    if heard.lost or (await world.snapshot(heard.at)).place_of(charge_point_id) is not None:
        return heard
    if (await world.snapshot(now)).place_of(charge_point_id) is None:
        return heard
    return Heard(said, now, wrong=True, live=False, lost=True)


async def terms_at(world: World, heard: Heard) -> Terms:
    """Taken before the step's transaction begins: a step never waits for two connections."""
    return Terms(await world.snapshot(heard.at), (await world.snapshot(world.now)).policies)


async def start(world: World, charge_point_id: str, message: v16.StartTransaction) -> Started:
    """The decision is taken again (local lists and caches go stale), as of the device's time, or
    of business time where the device's clock is wrong.

    The same start again gets the same transaction id and changes nothing.
    """
    said = v16.time_of(message.timestamp)
    now = world.now
    heard = await hear_start(world, charge_point_id, said)
    session_id = from_ocpp16.session_id(charge_point_id, message, said)
    opening = Opening(
        session_id, "ocpp1.6", charge_point_id, message.connector_id, message.id_tag, heard,
        from_ocpp16.first_register(message),
    )  # fmt: skip
    terms = await terms_at(world, heard)
    async with world.work.transaction("start", now=now) as tx:
        fact = from_ocpp16.start(session_id, message, heard.at)
        started = await open_session(tx, world, terms, opening, [fact])
        await shown.started(tx, world, started.session_id)
        return started


async def open_session(
    tx: Transaction, world: World, terms: Terms, opening: Opening, facts: list[tuple[Fact, str]]
) -> Started:
    """The session with its first facts; met again, what was answered then."""
    session_id, at = await which(tx, opening), opening.heard.at
    known = await sessions.get(tx.conn, session_id)
    if known is not None and known.transaction_id is not None:
        reason = known.contract.refused or Reason.ACCEPTED
        return Started(known.transaction_id, reason, session_id)
    if session_id != opening.session_id:
        opening = msgspec.structs.replace(opening, session_id=session_id)
        facts = [(fact, derive("fct", session_id, key)) for fact, key in facts]
    connector_id = opening.connector_id or None
    asked = await beginning(tx, opening.token, opening.charge_point_id)
    paid = _paid(terms.snapshot, opening, asked)
    decision = decide(
        terms.snapshot, opening.token, opening.charge_point_id, tx.now, at=at,
        connector_id=connector_id, paid=paid, blocks=await blocks.fresh(tx.conn, world.blocks),
    )  # fmt: skip
    if opening.refused is not None and decision.accepted:
        decision = msgspec.structs.replace(decision, accepted=False, reason=opening.refused)
    await record(tx, decision, opening.charge_point_id, "start")
    try:
        contract = make_contract(
            terms.snapshot, decision, opening.charge_point_id, as_of=at, known_at=tx.now,
            connector_id=connector_id, paid=paid,
        )  # fmt: skip
    except LookupError as error:
        return await _without_contract(tx, opening, str(error))
    offline = opening.offline or tx.now - at > clocks.LIVE_WITHIN
    contract = _with_display(terms.snapshot, contract, offline=offline)
    contract = await _with_hold(tx, world, terms.snapshot, contract, opening, asked)
    if connector_id is not None:
        await close_predecessors(
            tx, world, terms.policies, opening.charge_point_id, connector_id, at
        )
        before = await lookup.last_on_connector(tx.conn, opening.charge_point_id, connector_id, at)
        await _continuity(tx, opening, before)
    transaction_id = await sessions.add(
        tx.conn, session_id=session_id, charge_point_id=opening.charge_point_id,
        connector_id=opening.connector_id, source=opening.source, token=opening.token,
        contract=contract, started_at=at, meter_start_wh=opening.meter_start_wh,
        transaction_ref=opening.transaction_ref, check_due_at=tx.now + terms.policies.silence,
        clock_shift_us=clocks.shift_us(opening.heard),
    )  # fmt: skip
    assert transaction_id is not None, "who starts takes turns: it was not there before"
    detail = await clocks.shown(
        tx, opening.charge_point_id, opening.action, session_id, opening.heard
    )
    if await _may_be_the_clock(tx, world, opening):
        detail["as_late_as_status"] = True
    await sessions.add_facts(tx.conn, session_id, facts, received_at=tx.now, detail=detail)
    if asked is not None and decision.accepted:
        await began(tx, asked, session_id)
    elif asked is not None:
        await turned_down(tx, asked, str(decision.reason))
    if asked is None or asked.payment is None:
        await add_hold(tx, session_id, contract)
    return Started(transaction_id, decision.reason, session_id)


def _paid(snapshot: Snapshot, opening: Opening, asked: Beginning | None) -> Paid | None:
    """Whose the token is, beside any account's: a start's own, or a guest's at a terminal."""
    if asked is not None:
        return asked.start.paid
    return at_terminal(snapshot, opening.token, opening.charge_point_id, opening.token_type)


async def which(tx: Transaction, opening: Opening) -> str:
    """The id of the session that starts; whoever asks has its turn. A clock that begins anew says
    the same time again: then the one of that start that still runs is meant, or it is another."""
    await starts.take_turns(tx.conn, opening.charge_point_id)
    session_id, heard = opening.session_id, opening.heard
    if not heard.lost or await sessions.get(tx.conn, session_id) is None:
        return session_id
    running = await starts.running(
        tx.conn, opening.charge_point_id, opening.connector_id, token=opening.token,
        register_wh=opening.meter_start_wh, said=heard.said, now=tx.now,
    )  # fmt: skip
    return running or derive("ses", session_id, utc_text(tx.now))


async def _may_be_the_clock(tx: Transaction, world: World, opening: Opening) -> bool:
    """Whether a start that is late may have a clock that is behind, and not have been kept: a
    status was as late, and the charge point was there all the time since."""
    said = opening.heard.said
    late = not opening.heard.wrong and tx.now - said > clocks.LIVE_WITHIN
    if not late or not world.device_clocks.is_as_late(opening.charge_point_id, said, tx.now):
        return False
    since = await starts.connected_at(tx.conn, opening.charge_point_id)
    return since is None or since <= said


async def _continuity(tx: Transaction, opening: Opening, before: lookup.Before | None) -> None:
    """The register goes on where the session before it left it (R8, 1.6 errata 3.77): else energy
    was delivered that nobody told us of, or is told twice. A meter that begins at zero with each
    session can't be asked."""
    start_wh = opening.meter_start_wh
    if before is None or not start_wh or not before.meter_stop_wh:
        return
    moved_wh = start_wh - before.meter_stop_wh
    if moved_wh == 0 or before.meter_start_wh == 0:
        return
    await anomalies.record(
        tx.conn, at=tx.now, code="register.moved" if moved_wh > 0 else "register.overlap",
        subject=opening.session_id,
        detail={"before": before.id, "it_stopped_at_wh": before.meter_stop_wh,
                "this_started_at_wh": start_wh, "energy_wh": moved_wh},
        cause="start",
    )  # fmt: skip


async def _with_hold(
    tx: Transaction,
    world: World,
    snapshot: Snapshot,
    contract: Contract,
    opening: Opening,
    asked: Beginning | None,
) -> Contract:
    """A session that was paid for first has the hold that is there. Else a card on file is asked
    for one; a guest's card is no more, and nobody can be asked."""
    if asked is not None and asked.payment is not None and contract.refused is None:
        return msgspec.structs.replace(contract, hold_minor=asked.payment.held_minor)
    if contract.payment_method is None or contract.route not in (Route.CARD, Route.APP):
        return contract
    return await with_hold(
        tx.conn, world, snapshot, contract, opening.charge_point_id,
        opening.connector_id or None, tx.now,
    )  # fmt: skip


def _with_display(snapshot: Snapshot, contract: Contract, *, offline: bool) -> Contract:
    """An offline start is marked, with what the display showed: more than that nobody agreed to."""
    place = snapshot.site(contract.site_id)
    shown = place and (place.display_tariff or place.tariff)
    digest = snapshot.digest("tariff", shown) if shown else None
    if not offline or digest is None:
        return msgspec.structs.replace(contract, offline=offline)
    return msgspec.structs.replace(
        contract, offline=True, display_tariff_id=shown, display_tariff_digest=digest
    )


async def add_hold(tx: Transaction, session_id: str, contract: Contract) -> None:
    """The payment and its hold as an effect, where the contract has one."""
    if not contract.hold_minor or contract.processor_id is None:
        return
    payment_id = derive("pay", session_id)
    await payments.add(
        tx.conn,
        payments.Payment(
            id=payment_id,
            session_id=session_id,
            entity_id=contract.entity_id,
            processor_id=contract.processor_id,
            currency=contract.currency,
            hold_minor=contract.hold_minor,
            state="holding",
            route=str(contract.route),
            account_id=contract.account_id,
            driver=contract.account_id,
            consent=contract.consent,
            created_at=tx.now,
        ),
    )
    params = asking.hold_params(contract, payment_id, {"session_id": session_id}) | {
        "error_on_requires_action": True,
        "description": f"EV charging {session_id}",
    }
    if contract.customer:
        params["off_session"] = True
    await asking.ask(tx, contract, payment_id, "hold", params)


async def _without_contract(tx: Transaction, opening: Opening, why: str) -> Started:
    """Nothing is in force to contract by: answered, refused, and shown to a person."""
    await anomalies.record(
        tx.conn,
        at=tx.now,
        code="contract.missing",
        subject=opening.charge_point_id,
        detail={"why": why, "token": opening.token, "timestamp": device_text(opening.heard.said)},
        cause=opening.session_id,
    )
    cursor = await tx.conn.execute("SELECT nextval('transaction_number') AS id")
    row = await cursor.fetchone()
    assert row is not None
    return Started(int(row["id"]), Reason.NO_TARIFF)
