"""Receipts by e-mail: planned with the document, made and sent outside of any transaction.

``issued`` is called by the step that issues a document, and writes an effect where the driver left
an address and a mail server is configured. What is sent is read from the database when it is sent:
nothing of a driver but the address stands in the effect.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from wattledger import receipts
from wattledger.db import effects
from wattledger.db.connect import Pool
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.entitlements.payment_checks import is_address
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.ids import content_digest
from wattledger.ingest import anomalies
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.handlers import Handler, Settled
from wattledger.pipeline.world import World
from wattledger.receipts import store
from wattledger.receipts.mail import Attachment, Load, MailGate, Message
from wattledger.receipts.model import Receipt
from wattledger.receipts.settings import MAIL, RECEIPTS, MailSettings, ReceiptSettings
from wattledger.receipts.words import words
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

SEND = "mail.send"
# Of one session, by hand: whoever may ask for it is not to fill somebody's mailbox.
AGAIN_A_DAY_MAX = 5
_DAY = timedelta(days=1)


async def issued(tx: Transaction, snapshot: Snapshot, row: SessionRow, charge_id: str) -> bool:
    """A document was issued: its receipt goes to the driver, once. Whether one is sent."""
    to = row.contract.email
    if to is None or snapshot.get(MAIL, MAIL, MailSettings) is None:
        return False
    key = f"receipt:{charge_id}:1"
    request = {"to": to, "session_id": row.id, "charge_id": charge_id}
    return await effects.add(
        tx.conn, kind=SEND, subject=row.id, lane=f"mail:{row.id}", key=key, request=request,
        due_at=tx.now, caused_at=tx.now,
    )  # fmt: skip


async def mail_again(
    world: World, session_id: str, *, to: str | None, actor: str, reason: str = "",
    key: str | None = None,
) -> str:  # fmt: skip
    """Mail the receipt of a session once more: to its driver's address, or to another one, which is
    recorded with who gave it. Under the same ``key`` once. The address.

    Raises NotFound, BadInput, and Conflict without a mail server, without a bill, or where it was
    mailed ``AGAIN_A_DAY_MAX`` times within 24 hours.
    """
    snapshot = await world.snapshot(world.now)
    async with world.work.transaction("act") as tx:
        row = await sessions.get(tx.conn, session_id, lock=True)
        if row is None:
            raise NotFound(f"there is no session {session_id}")
        if snapshot.get(MAIL, MAIL, MailSettings) is None:
            raise Conflict("no mail server is configured: it stands under [mail]")
        address = (to or "").strip() or row.contract.email
        if address is None or not is_address(address):
            raise BadInput("$.to", address, "an e-mail address: its driver left none"
                           if address is None else "an e-mail address")  # fmt: skip
        charge_id = await _in_force(tx, row)
        before = await money_acts.count(tx, "receipt.mail", session_id)
        said = json.dumps([actor, key or str(before + 1)])
        added = await effects.add(
            tx.conn, kind=SEND, subject=row.id, lane=f"mail:{row.id}",
            key=f"receipt:{row.id}:again:{content_digest(said.encode())}",
            request={"to": address, "session_id": row.id, "charge_id": charge_id},
            due_at=tx.now, caused_at=tx.now,
        )  # fmt: skip
        if added:
            lately = await money_acts.count(tx, "receipt.mail", session_id, tx.now - _DAY)
            if lately >= AGAIN_A_DAY_MAX:
                raise Conflict(
                    f"the receipt of {session_id} was mailed {lately} times within 24 hours already"
                )
            await money_acts.record(
                tx, actor=actor, act="receipt.mail", subject=row.id, reason=reason,
                detail={"charge_id": charge_id,
                        **({"to": address} if address != row.contract.email else {})},
            )  # fmt: skip
        return address


async def _in_force(tx: Transaction, row: SessionRow) -> str | None:
    """The last document; None for what is free, which has none and a receipt all the same."""
    cursor = await tx.conn.execute(
        "SELECT id FROM charge WHERE session_id = %s ORDER BY revision DESC LIMIT 1", (row.id,)
    )
    found = await cursor.fetchone()
    if found is None and row.state not in ("free", "adjusted"):
        raise Conflict(f"session {row.id} has no bill yet: it is {row.state}")
    return found["id"] if found else None


def mail_gate(
    world: World, snapshot: Snapshot, secrets: Callable[[str], str]
) -> tuple[str, Callable[[], MailGate]] | None:
    """The way out for mails, under the digest of its configuration; None where there is none."""
    settings, digest = snapshot.get(MAIL, MAIL, MailSettings), snapshot.digest(MAIL, MAIL)
    if settings is None or digest is None:
        return None
    load = loader(world.work.pool, lambda: world.known(world.now), secrets)
    return digest, lambda: MailGate(settings, secrets, load)


def loader(pool: Pool, snapshot: Callable[[], Snapshot], secrets: Callable[[str], str]) -> Load:
    """What makes a message of a request, for the gate: it reads, and nothing is stored."""

    async def load(request: dict[str, Any]) -> Message:
        if "text" in request:  # a notice, which says all there is
            return Message(request["subject"], request["text"])
        async with pool.connection() as conn:
            revision = await _revision(conn, request["charge_id"])
            receipt = await store.read(conn, request["session_id"], revision)
        settings = snapshot().get(RECEIPTS, RECEIPTS, ReceiptSettings) or ReceiptSettings()
        link = link_of(settings, secrets, receipt.session_id)
        # Paper takes long enough to keep charge points waiting.
        return await asyncio.to_thread(message, receipt, link)

    return load


def link_of(
    settings: ReceiptSettings, secrets: Callable[[str], str], session_id: str
) -> str | None:
    """The link to a receipt, where there are any."""
    if settings.base_url is None or settings.link_secret_env is None:
        return None
    return receipts.link(settings.base_url, secrets(settings.link_secret_env), session_id)


def message(receipt: Receipt, link: str | None) -> Message:
    """What a driver is written."""
    w, zone, cur = words(receipt.language), receipt.time_zone, receipt.currency
    place = receipt.place
    at = w.say("charge_point", id=place.charge_point_id, connector=place.connector_id)
    lines = [
        f"{w.title(receipt)} {receipt.number}",
        "",
        place.name,
        at,
        f"{w.moment(receipt.started_at, zone)}, {w.duration(receipt.duration_s)}",
        w.kwh(receipt.energy_wh),
        f"{w.total(receipt)}: {w.amount(receipt.total_minor, cur)}",
    ]
    if receipt.document and receipt.document.reason:
        lines += ["", w.say("mail_why", reason=w.known(receipt.document.reason))]
    if link:
        lines += ["", w.say("mail_more"), link]
    lines += ["", f"{receipt.seller.name}"]
    if receipt.seller.support:
        lines += [w.say("questions", support=receipt.seller.support)]
    name = "credit-note" if receipt.is_credit else "receipt"
    number = receipt.document.number if receipt.document else receipt.session_id
    paper = Attachment(f"{name}-{number}.pdf", "application/pdf", receipts.pdf(receipt))
    return Message(w.heading(receipt), "\n".join(lines) + "\n", (paper,))


async def _revision(conn: store.Conn, charge_id: str | None) -> int | None:
    cursor = await conn.execute("SELECT revision FROM charge WHERE id = %s", (charge_id,))
    row = await cursor.fetchone()
    return row["revision"] if row else None


async def _sent(settled: Settled) -> None:
    """Step mailed. Where nobody knows whether it arrived, a person is told."""
    if settled.response.get("delivery") == "unknown":
        await _show(settled, "mail.unknown")


async def _refused(settled: Settled) -> None:
    await _show(settled, "mail.refused")


async def _show(settled: Settled, code: str) -> None:
    effect = settled.effect
    detail = {"to": effect.request["to"], "charge_id": effect.request.get("charge_id"),
              **settled.response}  # fmt: skip
    await anomalies.record(
        settled.tx.conn, at=settled.tx.now, code=code, subject=effect.subject, detail=detail,
        cause=effect.key,
    )  # fmt: skip


HANDLERS = {SEND: Handler("mailed", _sent, _refused)}
