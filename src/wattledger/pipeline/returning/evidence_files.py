"""The files of a dispute's evidence (steps uploaded, due): the receipt as the driver has it, and
the record of the session.

They are made once, when somebody sends the evidence, and kept to the byte. Each is uploaded by an
effect of its own; when the last one is settled, the evidence follows in the same lane and names
those that the processor has. It waits for none of them longer than until its time runs out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from reportlab.platypus.doctemplate import LayoutError

from wattledger.db import effects
from wattledger.db.connect import Pool
from wattledger.db.work import Transaction
from wattledger.errors import NotFound
from wattledger.ids import content_digest
from wattledger.ingest import anomalies
from wattledger.payments import dispute_files as files
from wattledger.payments import returns_store as store
from wattledger.payments.returns_store import Conn, Dispute
from wattledger.payments.stripe.operation import Load
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.pipeline.returning import evidence
from wattledger.pipeline.timed import What, put_off
from wattledger.receipts import paper, record
from wattledger.receipts import store as receipts

log = logging.getLogger(__name__)

FILE, WITHOUT = "stripe.file", "evidence.without_files"
# Stripe takes 5 MB a file, and the networks less of all of them together: this is not half of it.
FILE_MAX = 2_250_000
# So long before the evidence is due it goes without what could not be uploaded; but that much time
# each upload has.
_BEFORE_DUE, _AT_LEAST = timedelta(hours=12), timedelta(minutes=5)
_WITHOUT_DUE = timedelta(days=1)
_AGAIN = timedelta(minutes=1)
# A network takes so many pages of all evidence together (Mastercard: 19), and Stripe refuses more.
# Beside the files, which have the whole of it, a text is two pages long.
_IN_SHORT_MAX = 6_000
_TOO_LONG = "dispute_evidence_page_limit_exceeded"


async def plan(tx: Transaction, row: Dispute, pack: dict[str, Any]) -> None:
    """Make the files, and upload each before the evidence; without any it is sent at once."""
    for field, content in (await _made(tx.conn, row, pack)).items():
        name = f"{field.replace('_', '-')}-{row.id}-{content_digest(content)[:32]}.pdf"
        await files.add(tx.conn, row.id, field, name, content, tx.now)
        await effects.add(
            tx.conn, kind=FILE, subject=row.id, lane=_lane(row.id),
            key=f"{row.entity_id}:{row.id}:{field}:1",
            request={"processor_id": row.processor_id, "dispute_id": row.id, "field": field,
                     "name": name, "size": len(content)},
            due_at=tx.now, caused_at=tx.now,
        )  # fmt: skip
    if row.evidence_due_at is None:
        at = tx.now + _WITHOUT_DUE
    else:
        at = max(row.evidence_due_at - _BEFORE_DUE, tx.now + _AT_LEAST)
    if not await _send(tx, row.id):
        await put_off(tx, WITHOUT, row.id, at)


async def _made(conn: Conn, row: Dispute, pack: dict[str, Any]) -> dict[str, bytes]:
    """By the field of Stripe's evidence. What there is nothing for, or too much, is left out."""
    if row.session_id is None:
        return {}
    found = {"service_documentation": await _drawn(record.pdf, pack)}
    with contextlib.suppress(NotFound):  # never billed: then there is no receipt either
        receipt = await receipts.read(conn, row.session_id)
        found = {"receipt": await _drawn(paper.pdf, receipt), **found}
    return {field: made for field, made in found.items() if made and len(made) <= FILE_MAX}


async def _drawn(draw: Callable[[Any], bytes], what: Any) -> bytes | None:
    """On paper; None for what no page is large enough for. That keeps no evidence back."""
    try:
        return await asyncio.to_thread(draw, what)
    except LayoutError:
        log.exception("a file for the evidence can't be drawn")
        return None


async def _uploaded(settled: Settled) -> None:
    """Step uploaded: the processor has one more."""
    request = settled.effect.request
    await files.uploaded(
        settled.tx.conn, request["dispute_id"], request["field"], settled.response["file_id"]
    )
    await _send(settled.tx, request["dispute_id"])


async def _refused(settled: Settled) -> None:
    """The processor does not take it: the evidence goes without it."""
    request, said = settled.effect.request, settled.response
    if "superseded" in said:
        return
    await _left_out(settled.tx, request["dispute_id"], request["field"], said)
    await _send(settled.tx, request["dispute_id"])


async def without(settled: Settled) -> None:
    """The evidence is due soon: what is not uploaded by now is not waited for."""
    tx, dispute_id = settled.tx, settled.effect.subject
    row = await store.dispute(tx.conn, dispute_id)
    if row is None or row.closed_at is not None or await _send(tx, dispute_id):
        return
    why = "the evidence is due soon"
    if not await effects.give_up(tx.conn, kind=FILE, subject=dispute_id, why=why, now=tx.now):
        await put_off(tx, WITHOUT, dispute_id, tx.now + _AGAIN)  # one is on its way just now
        return
    for file in await files.listed(tx.conn, dispute_id):
        if file["file_id"] is None and file["why"] is None:
            said = {"code": "given_up", "why": why}
            await _left_out(tx, dispute_id, file["field"], said)
    await _send(tx, dispute_id)


async def _left_out(tx: Transaction, dispute_id: str, field: str, said: dict[str, Any]) -> None:
    await files.left_out(tx.conn, dispute_id, field, str(said.get("code", "refused")))
    await anomalies.record(
        tx.conn, at=tx.now, code="evidence.file", subject=dispute_id,
        detail={"field": field, **said}, cause=f"{dispute_id}:{field}",
    )  # fmt: skip


async def _send(tx: Transaction, dispute_id: str) -> bool:
    """The evidence, once nothing is uploaded any more: with what the processor has. Whether it was,
    or is, on its way."""
    made = await files.listed(tx.conn, dispute_id)
    if any(file["file_id"] is None and file["why"] is None for file in made):
        return False
    row = await store.dispute(tx.conn, dispute_id)
    if row is None or row.evidence is None:
        return False
    named = {file["field"]: file["file_id"] for file in made if file["file_id"]}
    texts: dict[str, str] = row.evidence["stripe"]
    if "service_documentation" in named:
        texts = _in_short(row.evidence, "the whole is in the file")
    await _add(tx, row, {**texts, **named}, "evidence")
    return True


async def too_long(settled: Settled) -> None:
    """The processor refuses the evidence. What is too many pages is sent again in short, without
    the files; everything else is a person's to look at."""
    tx, effect = settled.tx, settled.effect
    row = await store.dispute(tx.conn, effect.subject)
    short = effect.key.rpartition(":")[0].endswith(":short")
    if row is None or row.evidence is None or short or settled.response.get("code") != _TOO_LONG:
        await anomalies.record(
            tx.conn, at=tx.now, code="evidence.refused", subject=effect.subject,
            detail=settled.response, cause=effect.key,
        )  # fmt: skip
        return
    await _add(tx, row, _in_short(row.evidence, "too many pages"), "short")
    await anomalies.record(
        tx.conn, at=tx.now, code="evidence.file", subject=row.id, detail=settled.response,
        cause=effect.key,
    )  # fmt: skip


async def _add(tx: Transaction, row: Dispute, said: dict[str, str], which: str) -> None:
    await effects.add(
        tx.conn, kind="stripe.evidence", subject=row.id, lane=_lane(row.id),
        key=f"{row.entity_id}:{row.id}:{which}:1",
        request={"processor_id": row.processor_id, "dispute_id": row.id,
                 "evidence": said, "submit": True},
        due_at=tx.now, caused_at=tx.now,
    )  # fmt: skip


def _in_short(pack: dict[str, Any], why: str) -> dict[str, str]:
    """The texts, each as long as it may be; what a person wrote before them is no part of that."""
    most, mark = len(pack.get("note", "")) + _IN_SHORT_MAX, f"\n[cut: {why}]"
    return {
        name: text if len(text) <= most else text[: most - len(mark)] + mark
        for name, text in pack["stripe"].items()
    }


async def shown(conn: Conn, dispute_id: str, field: str) -> bytes:
    """The file that goes with the evidence: as it was made for it, or as it would be made now.
    Raises NotFound."""
    kept = await files.content(conn, dispute_id, field)
    if kept is not None:
        return kept
    row = await store.dispute(conn, dispute_id, lock=False)
    made = {}
    if row is not None:
        made = await _made(conn, row, await evidence.pack(conn, dispute_id))
    if field not in made:
        raise NotFound(f"there is no file {field} for the dispute {dispute_id}")
    return made[field]


def loader(pool: Pool) -> Load:
    """What an upload has in it, for the gate: it reads, and nothing is stored."""

    async def load(request: dict[str, Any]) -> bytes:
        async with pool.connection() as conn:
            found = await files.content(conn, request["dispute_id"], request["field"])
        if found is None:
            raise LookupError(f"dispute {request['dispute_id']} has no file {request['field']}")
        return found

    return load


def _lane(dispute_id: str) -> str:
    return f"dispute:{dispute_id}"


HANDLERS = {FILE: Handler("uploaded", _uploaded, _refused)}
WHATS: dict[str, What] = {WITHOUT: without}
