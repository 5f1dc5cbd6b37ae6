"""Signed meter values of a session: kept to the letter, verified, and billed by before others."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

import msgspec

from wattledger.db.work import Transaction
from wattledger.ids import derive
from wattledger.ingest import anomalies
from wattledger.sessions import Fact
from wattledger.sessions import store as sessions
from wattledger.sessions.from_samples import SignedSample
from wattledger.sessions.store import SessionRow
from wattledger.wire import ocmf
from wattledger.wire.ocmf import Verdict

_EXACT = Context(prec=60)


async def take(tx: Transaction, row: SessionRow, signed: SignedSample) -> int:
    """Store the record with its verdict, and its begin and end as facts where it is in order; how
    many facts were new.

    What is not signed by the meter's key, or says itself that it may not be billed, is no fact: it
    is shown to a person, and the session held where its rules want signed values.
    """
    verdict = _verdict(row, signed)
    new = await sessions.add_signed(
        tx.conn, row.id, signed, verified=verdict.verified, reason=verdict.line,
        received_at=tx.now,
        key=derive("sgn", row.id, signed.context, signed.at.isoformat(), signed.signed.data),
    )  # fmt: skip
    if not new:
        return 0
    if not verdict.verified and _nobody_has_a_key(row, verdict):
        return 0
    if not verdict.verified or verdict.transaction.faults:
        await anomalies.record(
            tx.conn, at=tx.now,
            code="signature.not_billable" if verdict.verified else "signature.invalid",
            subject=row.id, detail={"why": verdict.line, "context": signed.context},
            cause=f"{signed.context}:{signed.at.isoformat()}",
        )  # fmt: skip
        return 0
    return await sessions.add_facts(
        tx.conn, row.id, _facts(row, signed, verdict), received_at=tx.now
    )


def _nobody_has_a_key(row: SessionRow, verdict: Verdict) -> bool:
    """It can't be verified, and nobody wants it to be: kept, and no more said."""
    keyless = verdict.record is not None and not verdict.record.key
    return keyless and not row.contract.meter_keys and not row.contract.signed_required


def _verdict(row: SessionRow, signed: SignedSample) -> Verdict:
    """By the keys that are configured for the charge point. Where there is none, by the one that
    was sent along, which only proves that nothing was lost on the way: the reason says so."""
    record, keys = signed.signed, row.contract.meter_keys
    if keys:
        verdicts = [ocmf.verify(record.data, key, beside=record.public_key) for key in keys]
        return next((v for v in verdicts if v.verified), verdicts[0])
    found = ocmf.verify(record.data, None, beside=record.public_key)
    return msgspec.structs.replace(found, reason=f"{found.reason}; no key is configured")


def _facts(row: SessionRow, signed: SignedSample, verdict: Verdict) -> list[tuple[Fact, str]]:
    found = []
    for origin, reading, at in (
        ("signed_begin", verdict.transaction.begin, row.started_at),
        ("signed_end", verdict.transaction.end, signed.at),
    ):
        if reading is not None and reading.register_wh is not None:
            register_wh = _whole(reading.register_wh)
            key = derive("fct", row.id, origin, signed.at.isoformat(), register_wh)
            found.append((Fact("meter", at, register_wh, origin=origin, unit=reading.unit), key))
    return found


def _whole(register_wh: Decimal) -> int:
    """Whole Wh, as every register."""
    return int(register_wh.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_EXACT))
