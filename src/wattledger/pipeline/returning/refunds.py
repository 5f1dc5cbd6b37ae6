"""Refunds that people ask for (step act): on paper the credit of the charge that stands and a new
one that says what was given back; in the money what that makes due, by ``money_back``.

Above the policy ``refund_limit``, counted over the session, a second person approves. Whoever asked
can approve it only where the policy ``self_approval`` says so, and that stands in the record. With
``approve_by = "key"`` it takes a key of the API: on the page a name is only what somebody typed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.errors import BadInput, Conflict, Forbidden, NotFound
from wattledger.ids import derive
from wattledger.money import format_minor, parse_minor
from wattledger.payments import returns
from wattledger.payments import returns_store as store
from wattledger.payments import store as payments
from wattledger.payments.returns_store import PaymentRefund, Refund, of_payment
from wattledger.payments.store import Part
from wattledger.pipeline import tell
from wattledger.pipeline.billing import receipts_step, reissue
from wattledger.pipeline.billing.reissue import Document
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.returning.money_back import again, paid_otherwise, send_due
from wattledger.pipeline.world import World
from wattledger.rating import Charge, decode, one_more
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

__all__ = [
    "again",
    "approve",
    "ask",
    "known",
    "of_payment",
    "paid_otherwise",
    "refuse",
    "send_due",
]
KINDS = ("correction", "goodwill")
_REASON_MAX = 1_000


class Given(msgspec.Struct, frozen=True):
    """What a refund comes to as things stand: the charge before it, and after it (none: nothing is
    left of it)."""

    documents: list[Document]
    before: Charge
    after: Charge | None
    amount_minor: int


async def ask(
    world: World,
    session_id: str,
    scope: dict[str, Any],
    kind: str,
    reason: str,
    *,
    actor: str,
    key: str,
) -> Refund:
    """Give back some of a session that was billed, or all of it: ``{"whole": true}``, ``{"lines":
    [2]}`` (as on the bill, the first is 1) or ``{"amount_minor": 250}``, with tax.

    ``kind``: a ``correction`` of what was never owed, or ``goodwill``. Asked again with the same
    ``key`` it is the same refund. Raises NotFound, BadInput, and Conflict: nothing is charged, its
    money is on its way, it is disputed, or the key is another's.
    """
    check(kind, reason)
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.transaction("act", now=now) as tx:
        row = await _session(tx, session_id)
        refund_id = derive("rfd", session_id, key)
        known = await store.refund(tx.conn, refund_id)
        if known is not None:
            return _same(known, scope, kind, reason)
        given = await comes_to(tx, row, scope, kind)
        above = await _is_above(tx, snapshot, row, given.amount_minor)
        refund = Refund(
            id=refund_id, session_id=row.id, entity_id=row.contract.entity_id,
            currency=row.contract.currency, kind=kind, scope=scope,
            amount_minor=given.amount_minor, reason=reason.strip(),
            state="asked" if above else "approved", asked_by=actor, asked_at=tx.now,
            decided_by=None if above else actor, decided_at=None if above else tx.now,
        )  # fmt: skip
        await store.add_refund(tx.conn, refund)
        await money_acts.record(
            tx, actor=actor, act="refund.ask", subject=refund_id, reason=reason,
            detail={"session_id": row.id, "scope": scope, "kind": kind,
                    "amount_minor": given.amount_minor, "currency": refund.currency,
                    "needs_approval": above},
        )  # fmt: skip
        return refund if above else await issue(tx, snapshot, row, refund, given)


async def known(world: World, session_id: str, key: str) -> Refund | None:
    """The refund that was asked for with this key, if there is one."""
    async with world.work.pool.connection() as conn:
        return await store.refund(conn, derive("rfd", session_id, key))


async def would_give(
    world: World, session_id: str, scope: dict[str, Any], kind: str
) -> tuple[int, str, bool]:
    """What ``ask`` would give back now, in which currency, and whether a second person would have
    to approve it; nothing is written. Raises as ``ask`` does."""
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.transaction("act", now=now) as tx:
        row = await _session(tx, session_id)
        amount_minor = (await comes_to(tx, row, scope, kind)).amount_minor
        above = await _is_above(tx, snapshot, row, amount_minor)
    return amount_minor, row.contract.currency, above


async def approve(world: World, refund_id: str, *, actor: str, reason: str = "") -> Refund:
    """A second person lets a refund go. Raises Forbidden where it is the one who asked, unless the
    policy ``self_approval`` lets that be, or it takes a key; NotFound; Conflict where it was
    decided, or does not come to the same any more."""
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.transaction("act", now=now) as tx:
        row, refund = await _asked(tx, refund_id)
        if snapshot.policies.approve_by == "key" and not actor.startswith("key:"):
            raise Forbidden(
                f"the policy approve_by is key: {refund_id} is approved by the API alone, with a"
                " key that has refunds:approve"
            )
        alone = _person(actor) == _person(refund.asked_by)
        if alone and not snapshot.policies.self_approval:
            raise Forbidden(
                f"{refund.asked_by} asked for {refund_id}: a second person has to approve it, or"
                " the policy self_approval to allow otherwise"
            )
        given = await comes_to(tx, row, refund.scope, refund.kind)
        if given.amount_minor != refund.amount_minor:
            now_is = format_minor(given.amount_minor, refund.currency)
            raise Conflict(
                f"{refund_id} came to {format_minor(refund.amount_minor, refund.currency)} and"
                f" comes to {now_is} now: refuse it, and ask anew"
            )
        await store.set_refund(
            tx.conn, refund.id, state="approved", decided_by=actor, decided_at=tx.now
        )
        await money_acts.record(
            tx, actor=actor, act="refund.approve", subject=refund_id, reason=reason,
            detail={"self_approval": alone, "amount_minor": refund.amount_minor},
        )  # fmt: skip
        decided = msgspec.structs.replace(
            refund, state="approved", decided_by=actor, decided_at=tx.now
        )
        return await issue(tx, snapshot, row, decided, given)


async def refuse(world: World, refund_id: str, *, actor: str, reason: str) -> Refund:
    """It is not given. Raises NotFound, Conflict, BadInput without a reason."""
    _check_reason(reason)
    async with world.work.transaction("act") as tx:
        _, refund = await _asked(tx, refund_id)
        values: dict[str, Any] = {
            "state": "refused", "decided_by": actor, "decided_at": tx.now, "why": reason.strip(),
        }  # fmt: skip
        await store.set_refund(tx.conn, refund.id, **values)
        await money_acts.record(
            tx, actor=actor, act="refund.refuse", subject=refund_id, reason=reason
        )
        return msgspec.structs.replace(refund, **values)


def check(kind: str, reason: str) -> None:
    """Raises BadInput where it can't stand on a document so."""
    if kind not in KINDS:
        raise BadInput("$.kind", kind, "correction or goodwill")
    _check_reason(reason)


def _check_reason(reason: str) -> None:
    """It stands on the credit for ever, on paper too."""
    if not 1 <= len(reason.strip()) <= _REASON_MAX or "\0" in reason:
        raise BadInput("$.reason", reason, f"why, in 1 to {_REASON_MAX} characters")


async def _session(tx: Transaction, session_id: str) -> SessionRow:
    row = await sessions.get(tx.conn, session_id, lock=True)
    if row is None:
        raise NotFound(f"there is no session {session_id}")
    return row


async def _asked(tx: Transaction, refund_id: str) -> tuple[SessionRow, Refund]:
    """A refund that waits for a decision; its session is locked first, as everywhere."""
    cursor = await tx.conn.execute("SELECT session_id FROM refund WHERE id = %s", (refund_id,))
    found = await cursor.fetchone()
    if found is None:
        raise NotFound(f"there is no refund {refund_id}")
    row = await _session(tx, found["session_id"])
    refund = await store.refund(tx.conn, refund_id)
    assert refund is not None, "refunds are never removed"
    if refund.state != "asked":
        raise Conflict(f"the refund {refund_id} is {refund.state} already")
    return row, refund


def _same(known: Refund, scope: dict[str, Any], kind: str, reason: str) -> Refund:
    if (known.scope, known.kind, known.reason) != (scope, kind, reason.strip()):
        raise Conflict(f"this key asked for another refund of the session: {known.id}")
    return known


def _person(actor: str) -> str:
    """``page:Ann`` and ``cli:ann`` are one person."""
    return actor.rpartition(":")[2].strip().casefold()


async def _is_above(
    tx: Transaction, snapshot: Snapshot, row: SessionRow, amount_minor: int
) -> bool:
    """Together with what the session's refunds gave back before: many small ones are one."""
    limit = snapshot.policies.refund_limit
    if limit is None:
        return False
    before_minor = await store.given_back_minor(tx.conn, row.id)
    most_minor = parse_minor(limit, row.contract.currency, "refund_limit")
    return before_minor + amount_minor > most_minor


async def comes_to(tx: Transaction, row: SessionRow, scope: dict[str, Any], kind: str) -> Given:
    """What it would come to now. Raises BadInput, and Conflict where it can't be."""
    concession = returns.concession_of(scope, kind)
    documents = await reissue.documents(tx, row)
    standing = reissue.standing_of(documents)
    if standing is None or row.state not in ("billed", "adjusted"):
        raise Conflict(f"nothing is charged for session {row.id}: it is {row.state}")
    dispute = await store.open_dispute_of(tx.conn, row.id)
    if dispute is not None:
        raise Conflict(
            f"the payment is disputed ({dispute.id}, {dispute.status}): nothing is refunded until"
            " that is decided, or it would be paid twice"
        )
    if (
        await payments.unanswered(tx.conn, row.id)
        or await payments.pending_charge(tx.conn, row.id) is not None
    ):
        raise Conflict(f"the payment of session {row.id} is under way: ask again once it is done")
    before = decode(standing.document)
    given = {line for kept in before.terms.concessions for line in kept.lines}
    if given.intersection(concession.lines):
        raise BadInput("$.scope.lines", scope["lines"], "lines that were not given back before")
    after = one_more(before, concession)
    amount = before.total_minor - after.total_minor
    most = returns.paid_or_owed_minor(await payments.parts(tx.conn, standing.id))
    asked = concession.amount or amount
    if amount <= 0 or (not concession.whole and max(amount, asked) > most):
        raise BadInput(
            "$.scope", scope,
            f"at most {most} in minor units: what of the session was paid or is owed",
        )  # fmt: skip
    left = after if after.total_minor else None
    return Given(documents, before, left, amount)


async def issue(
    tx: Transaction,
    snapshot: Snapshot,
    row: SessionRow,
    refund: Refund,
    given: Given,
    made: PaymentRefund | None = None,
) -> Refund:
    """The documents, the money, the books. ``made``: what has gone back for it past us."""
    after = given.after

    async def parts_of(standing: list[Part]) -> list[Part]:
        assert after is not None, "asked for a charge only"
        back = await store.due_back(tx.conn, row.id)
        if made is not None:  # it has gone: nothing is paid out of it any more
            back = returns.less(back, made.payment_id, made.amount_minor)
        return returns.after_refund(after.total_minor, back, standing)

    issued = await reissue.reissue(
        tx, row, given.documents, after, f"{refund.kind}: {refund.reason}", parts_of
    )
    credit = issued[0]
    await store.set_refund(tx.conn, refund.id, state="issued", charge_id=credit.id)
    await reissue.adjusted(tx, row)
    if made is not None:
        await store.add_payment_refund(tx.conn, made)
    await send_due(tx, row, refund.id)
    await tell.session_refunded(tx, snapshot, row, after or given.before, issued, refund)
    for document in issued:
        await receipts_step.issued(tx, snapshot, row, document.id)
    tx.seen()
    return msgspec.structs.replace(refund, state="issued", charge_id=credit.id)
