"""Step start: the session, its contract and its hold, in one transaction before the answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from wattledger.contract import Contract, Reason, Route
from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot, decide, make_contract
from wattledger.ids import derive
from wattledger.ingest import anomalies
from wattledger.payments import store as payments
from wattledger.payments.model import Processor, hold_minor
from wattledger.pipeline import clocks
from wattledger.pipeline.authorize import record
from wattledger.pipeline.end import close_predecessors
from wattledger.pipeline.world import World
from wattledger.sessions import from_ocpp16
from wattledger.sessions import store as sessions
from wattledger.wire.ocpp import v16

# A start that reaches us this much later than the device's clock says was made offline.
OFFLINE_AFTER = timedelta(minutes=5)


class Started(msgspec.Struct, frozen=True):
    """The answer to StartTransaction."""

    transaction_id: int
    reason: Reason


async def start(world: World, charge_point_id: str, message: v16.StartTransaction) -> Started:
    """The decision is taken again (local lists and caches go stale), as of the device's time, or
    of business time where the device's clock is wrong.

    The same start again gets the same transaction id and changes nothing.
    """
    said = v16.time_of(message.timestamp, "StartTransaction.timestamp")
    now = world.now
    at = clocks.believed(said, now)
    policies = (await world.snapshot(now)).policies
    snapshot = await world.snapshot(at)
    connector_id = message.connector_id
    decision = decide(
        snapshot, message.id_tag, charge_point_id, now, at=at, connector_id=connector_id
    )
    session_id = from_ocpp16.session_id(charge_point_id, message, said)
    async with world.work.transaction("start", now=now) as tx:
        known = await sessions.get(tx.conn, session_id)
        if known is not None and known.transaction_id is not None:
            return Started(known.transaction_id, known.contract.refused or Reason.ACCEPTED)
        await record(tx, decision, charge_point_id, "start")
        try:
            contract = make_contract(
                snapshot, decision, charge_point_id, as_of=at, known_at=now,
                connector_id=connector_id,
            )  # fmt: skip
        except LookupError as error:
            return await _without_contract(tx, charge_point_id, session_id, message, str(error))
        contract = _with_hold(snapshot, contract, offline=now - at > OFFLINE_AFTER)
        await close_predecessors(tx, world, policies, charge_point_id, message.connector_id, at)
        transaction_id = await sessions.add(
            tx.conn, session_id=session_id, charge_point_id=charge_point_id,
            connector_id=message.connector_id, source="ocpp1.6", token=message.id_tag,
            contract=contract, started_at=at, meter_start_wh=message.meter_start,
        )  # fmt: skip
        assert transaction_id is not None, "it was not there a statement ago, in this transaction"
        detail = await clocks.shown(tx, charge_point_id, "StartTransaction", session_id, said)
        await sessions.add_facts(
            tx.conn, session_id, [from_ocpp16.start(session_id, message, at)], received_at=now,
            detail=detail,
        )  # fmt: skip
        await add_hold(tx, session_id, contract)
        return Started(transaction_id, decision.reason)


def _with_hold(snapshot: Snapshot, contract: Contract, *, offline: bool) -> Contract:
    size = 0
    if contract.route is Route.CARD and contract.processor_id:
        processor = snapshot.get("processor", contract.processor_id, Processor)
        size = hold_minor(processor, contract.power_w, contract.currency) if processor else 0
    return msgspec.structs.replace(contract, hold_minor=size, offline=offline)


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
            intent_id=None,
            external_charge_id=None,
            capture_before=None,
            captured_minor=0,
            decline_code=None,
        ),
    )
    params: dict[str, Any] = {
        "amount": contract.hold_minor,
        "currency": contract.currency.lower(),
        "capture_method": "manual",
        "confirm": True,
        "payment_method": contract.payment_method,
        "allowed_payment_method_types": ["card"],
        "error_on_requires_action": True,
        "description": f"EV charging {session_id}",
        "metadata": {"payment_id": payment_id, "session_id": session_id, "attempt": "1"},
    }
    if contract.customer:
        params |= {"customer": contract.customer, "off_session": True}
    await effects.add(
        tx.conn,
        kind="stripe.hold",
        subject=payment_id,
        lane=payment_id,
        key=f"{contract.entity_id}:{payment_id}:hold:1",
        request={"processor_id": contract.processor_id, "params": params},
        due_at=tx.now,
        caused_at=tx.now,
    )


async def _without_contract(
    tx: Transaction,
    charge_point_id: str,
    session_id: str,
    message: v16.StartTransaction,
    why: str,
) -> Started:
    """Nothing is in force to contract by: answered, refused, and shown to a person."""
    await anomalies.record(
        tx.conn,
        at=tx.now,
        code="contract.missing",
        subject=charge_point_id,
        detail={"why": why, "token": message.id_tag, "timestamp": message.timestamp},
        cause=session_id,
    )
    cursor = await tx.conn.execute("SELECT nextval('transaction_number') AS id")
    row = await cursor.fetchone()
    assert row is not None
    return Started(int(row["id"]), Reason.NO_TARIFF)
