"""Samples of a session into its facts: registers, power, signed records. Part of several steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from wattledger.db.work import Transaction
from wattledger.entitlements.model import Policies
from wattledger.ids import content_digest
from wattledger.ingest import anomalies
from wattledger.pipeline.charging import clocks, signatures
from wattledger.pipeline.charging.clocks import Heard
from wattledger.sessions import from_samples
from wattledger.sessions import store as sessions
from wattledger.sessions.from_samples import Read
from wattledger.sessions.store import SessionRow
from wattledger.wire.ocpp.samples import Sample


async def take(
    tx: Transaction, row: SessionRow, samples: Sequence[Sample], heard: Heard, action: str
) -> int:
    """How many facts were new. A value that is none is left out and shown to a person."""
    read = facts_of(row, samples, heard, tx.now)
    added = await sessions.add_facts(tx.conn, row.id, read.facts, received_at=tx.now)
    return added + await take_rest(tx, row, samples, read, action)


def facts_of(row: SessionRow, samples: Sequence[Sample], heard: Heard, now: datetime) -> Read:
    """What the samples of a message say of its session."""
    believe = clocks.believer(row, heard, now)
    return from_samples.read(row.id, samples, believe, unit=row.contract.meter_unit)


async def take_rest(
    tx: Transaction, row: SessionRow, samples: Sequence[Sample], read: Read, action: str
) -> int:
    """What samples say beside their own facts: signed records, of which so many facts more were
    new; and what of it is wrong."""
    for sample in {sample.at: sample for sample in samples}.values():
        said = clocks.hear(sample.at, tx.now)
        await clocks.shown(tx, row.charge_point_id, action, row.id, said)
    for note in read.notes:
        await anomalies.record(
            tx.conn, at=tx.now, code=note.code, subject=row.id,
            detail={"why": note.message, "action": action},
            cause=content_digest(note.message.encode())[:16],
        )  # fmt: skip
    added = 0
    for signed in read.signed:
        added += await signatures.take(tx, row, signed)
    return added


async def says_more(tx: Transaction, row: SessionRow, samples: Sequence[Sample]) -> bool:
    """Whether readings without a transaction's id are of the session that we asked after. A meter
    that stands where it stood says nothing of it: it may be over, and be read because we asked."""
    if row.check_why != "asked":
        return True
    read = from_samples.read(row.id, samples, lambda at: at, unit=row.contract.meter_unit)
    now_wh = [f.register_wh for f, _ in read.facts if f.register_wh is not None]
    known = await sessions.facts(tx.conn, row.id)
    return bool(now_wh) and max(now_wh) > max((f.register_wh or 0 for f in known), default=0)


async def late(
    tx: Transaction, row: SessionRow, policies: Policies, added: int, cause: str
) -> None:
    """What became known of a session after it had ended: an issued bill is looked at again, one
    that was held is tried again; and a person is shown it.

    Where no stop was told the session may go on: its bill is not adjusted with every reading."""
    if not added or row.state in ("open", "ended"):
        return
    due_at = tx.now + (policies.silence if row.stop_provisional else policies.settle_window)
    await anomalies.record(
        tx.conn, at=tx.now, code="data.late", subject=row.id,
        detail={"state": row.state, "facts": added}, cause=cause,
    )  # fmt: skip
    if row.state == "held":
        if row.stopped_at is not None:
            await sessions.take_up(tx.conn, row.id, due_at)
    else:
        await sessions.adjust_at(tx.conn, row.id, due_at)
