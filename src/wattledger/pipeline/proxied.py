"""Steps of a charge point that belongs to another CPMS: its transactions, seen as they pass, and
what that CPMS can't be told at the moment.

A transaction of 1.6 is called what the CPMS calls it. One that starts while the CPMS is away gets
a number of ours; the CPMS calls it otherwise when it hears of it, and both names are kept.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from wattledger.contract import Reason
from wattledger.db.work import Transaction
from wattledger.ids import derive
from wattledger.ingest import anomalies, relay
from wattledger.ingest.relay import Named, Waiting
from wattledger.pipeline.charging.start import (
    Opening,
    Terms,
    hear_start,
    open_session,
    terms_at,
    which,
)
from wattledger.pipeline.world import World
from wattledger.sessions import from_ocpp16
from wattledger.sessions import store as sessions
from wattledger.wire.ocpp import v16

SOURCE = "proxy"
# Late frames of a transaction still have to be said in both names.
_NAMES_KEPT = timedelta(days=7)


class Seen(msgspec.Struct, frozen=True):
    """What a start came to. ``named`` is set where its number is not the session's."""

    ref: int
    reason: Reason
    named: Named | None = None


class _Start(msgspec.Struct, frozen=True):
    """A StartTransaction to be made a session of."""

    session_id: str
    opening: Opening
    message: v16.StartTransaction
    terms: Terms


async def start(
    world: World,
    charge_point_id: str,
    message: v16.StartTransaction,
    cpms_ref: int,
    refused: Reason | None,
) -> Seen:
    """A start that the CPMS has answered with its number. ``refused``: it does not want the token,
    and whatever our own decision is, the session has no route but the policy for refused energy.

    The same start answered with another number is the same session: the charge point goes on
    with the new number, which is another name of it.
    """
    it = await _start(world, charge_point_id, message, refused)
    async with world.work.transaction("proxied_start", now=world.now) as tx:
        known = await sessions.get(tx.conn, await which(tx, it.opening))
        session_ref = int(known.transaction_ref or cpms_ref) if known else cpms_ref
        named = Named(cpms_ref, session_ref, cpms_ref) if session_ref != cpms_ref else None
        if named is not None:
            await relay.name(tx.conn, charge_point_id, named, tx.now)
        elif known is None:
            await relay.plain(tx.conn, charge_point_id, cpms_ref, tx.now)
        return await _opened(tx, world, it, session_ref, named)


async def start_alone(
    world: World, charge_point_id: str, message: v16.StartTransaction, raw: str
) -> Seen:
    """A start while the CPMS is away: session, number and place in the queue in one transaction.

    Met again it gets the same number. One that the CPMS had answered before it went away has the
    CPMS's, and is not told to it again.
    """
    it = await _start(world, charge_point_id, message, None)
    async with world.work.transaction("proxied_start_alone", now=world.now) as tx:
        session_id = await which(tx, it.opening)
        key = derive("prx", session_id)
        ref = await relay.ref_kept(tx.conn, key)
        known = await sessions.get(tx.conn, session_id)
        if ref is not None or known is not None:
            ref = ref or int((known and known.transaction_ref) or 0)
            return await _opened(tx, world, it, ref, None)
        ref = await relay.new_ref(tx.conn)
        named = Named(ref, ref)
        await relay.name(tx.conn, charge_point_id, named, tx.now)
        await relay.keep(
            tx.conn, charge_point_id=charge_point_id, action="StartTransaction",
            transaction_ref=ref, raw=raw, key=key, now=tx.now,
        )  # fmt: skip
        return await _opened(tx, world, it, ref, named)


async def _start(
    world: World, charge_point_id: str, message: v16.StartTransaction, refused: Reason | None
) -> _Start:
    said = v16.time_of(message.timestamp)
    heard = await hear_start(world, charge_point_id, said)
    session_id = from_ocpp16.session_id(charge_point_id, message, said)
    opening = Opening(
        session_id, SOURCE, charge_point_id, message.connector_id, message.id_tag, heard,
        message.meter_start, refused=refused,
    )  # fmt: skip
    return _Start(session_id, opening, message, await terms_at(world, heard))


async def _opened(tx: Transaction, world: World, it: _Start, ref: int, named: Named | None) -> Seen:
    opening = msgspec.structs.replace(it.opening, transaction_ref=str(ref))
    fact = from_ocpp16.start(it.session_id, it.message, it.opening.heard.at)
    started = await open_session(tx, world, it.terms, opening, [fact])
    return Seen(named.charge_point_ref if named else ref, started.reason, named)


async def keep(
    world: World, charge_point_id: str, action: str, raw: str, payload: bytes, ref: int | None
) -> None:
    """A transaction message that was answered in the CPMS's stead, for the CPMS to be told later.

    ``payload`` is its content: by it the message is queued once, however often it is sent.
    """
    key = derive("prx", charge_point_id, action, payload.decode("utf-8", "replace"))
    async with world.work.transaction("proxied_keep", now=world.now) as tx:
        await relay.keep(
            tx.conn, charge_point_id=charge_point_id, action=action, transaction_ref=ref,
            raw=raw, key=key, now=tx.now,
        )  # fmt: skip


async def to_tell(world: World, charge_point_id: str) -> Waiting | None:
    """What the CPMS has to be told next."""
    async with world.work.pool.connection() as conn:
        return await relay.head(conn, charge_point_id)


async def trying(world: World, waiting: Waiting) -> None:
    """Committed before it is sent: a frame that breaks the connection each time is noticed."""
    async with world.work.transaction("proxied_try", now=world.now) as tx:
        await relay.trying(tx.conn, waiting.id)


async def told(
    world: World, waiting: Waiting, answer: str, cpms_ref: int | None, status: str | None
) -> None:
    """The CPMS has taken it. ``cpms_ref`` is its number for a start, ``status`` what it says of the
    token: too late to refuse it."""
    async with world.work.transaction("proxied_told", now=world.now) as tx:
        await relay.settle(tx.conn, waiting.id, "delivered", answer, tx.now)
        if waiting.action == "StartTransaction" and waiting.transaction_ref is not None:
            ref = waiting.transaction_ref
            await relay.called(tx.conn, waiting.charge_point_id, ref, cpms_ref)
        if status not in (None, "Accepted"):
            await anomalies.record(
                tx.conn, at=tx.now, code="proxy.token_refused", subject=waiting.charge_point_id,
                detail={"status": status, "transaction_id": waiting.transaction_ref,
                        "cpms_transaction_id": cpms_ref}, cause=str(waiting.id),
            )  # fmt: skip


async def give_up(world: World, waiting: Waiting, why: str) -> None:
    """The CPMS will not be told: a person is shown it, with the frame."""
    async with world.work.transaction("proxied_give_up", now=world.now) as tx:
        await relay.settle(tx.conn, waiting.id, "given_up", None, tx.now)
        if waiting.action == "StartTransaction" and waiting.transaction_ref is not None:
            await relay.called(tx.conn, waiting.charge_point_id, waiting.transaction_ref, None)
        await anomalies.record(
            tx.conn, at=tx.now, code="proxy.undelivered", subject=waiting.charge_point_id,
            detail={"why": why, "action": waiting.action, "frame": waiting.raw[:2000]},
            cause=str(waiting.id),
        )  # fmt: skip


async def names(world: World, charge_point_id: str) -> list[Named]:
    """The transactions of a charge point that have two names."""
    async with world.work.pool.connection() as conn:
        return await relay.names(conn, charge_point_id, world.now - _NAMES_KEPT)


async def ended(world: World, charge_point_id: str, charge_point_ref: int) -> None:
    """The stop of a transaction with two names has passed."""
    async with world.work.transaction("proxied_ended", now=world.now) as tx:
        await relay.ended(tx.conn, charge_point_id, charge_point_ref, tx.now)


async def refused(world: World, charge_point_id: str, url: str, why: str) -> None:
    """The CPMS does not let the charge point in: shown once a day and reason."""
    async with world.work.transaction("proxied_refused", now=world.now) as tx:
        await anomalies.record(
            tx.conn, at=tx.now, code="proxy.refused", subject=charge_point_id,
            detail={"why": why, "url": url}, cause=f"{why}:{tx.now.date().isoformat()}",
        )  # fmt: skip
