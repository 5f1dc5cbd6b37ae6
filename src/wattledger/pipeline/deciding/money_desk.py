"""What a person can decide about money, by name: one place for the API, the page and the command
line. Each is a step of its own, with its record of who did it and why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from psycopg.errors import DeadlockDetected, UniqueViolation

from wattledger.db.effects import Conn
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.ids import content_digest
from wattledger.payments import returns_store
from wattledger.payments.terminal import store as terminal_store
from wattledger.pipeline.billing import receipts_step
from wattledger.pipeline.collecting import announced, debts, excess, parked
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.deciding.money_acts import Done
from wattledger.pipeline.returning import disputes, money_back, refunds, taken_over, unblock
from wattledger.pipeline.terminals import terminal_acts
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions

REASON_MAX = 1_000
NOTE_MAX = 10_000
_ID_MAX = 200
_TURNS_MAX = 5


class Asked(msgspec.Struct, frozen=True):
    """What somebody wants done. ``session_id`` is for what a payment is matched with, ``note`` for
    what goes before the evidence of a dispute, ``kind`` and ``parts`` (how much of it is of which
    session) for a refund that is taken over, ``to`` for the address of a receipt. Under the same
    ``key`` an actor does it once."""

    subject: str
    actor: str
    reason: str = ""
    session_id: str | None = None
    note: str = ""
    kind: str = "correction"
    parts: dict[str, int] = {}
    to: str | None = None
    key: str | None = None


async def _same(_: Conn, a: Asked, __: Done) -> dict[str, Any]:
    return {"id": a.subject}


async def _payment_of(_: Conn, a: Asked, done: Done) -> dict[str, Any]:
    return {"id": a.subject, "payment_id": done.detail["payment_id"]}


async def _new_try(_: Conn, __: Asked, done: Done) -> dict[str, Any]:
    return {"id": done.detail["payment_refund_id"]}


async def _back_of(_: Conn, a: Asked, done: Done) -> dict[str, Any]:
    return {"id": a.subject, "payment_refund_id": done.detail["payment_refund_id"]}


async def _kind(_: Conn, a: Asked, done: Done) -> dict[str, Any]:
    return {"id": a.subject, "kind": done.detail["kind"]}


async def _refund(conn: Conn, _: Asked, done: Done) -> dict[str, Any]:
    found = await returns_store.refund(conn, done.subject)
    return _plain(found or await returns_store.payment_refund(conn, done.subject))


async def _taken(conn: Conn, a: Asked, done: Done) -> dict[str, Any]:
    names = done.detail.get("taken") or [done.subject]
    return _of_all([
        await _refund(conn, a, msgspec.structs.replace(done, subject=name)) for name in names
    ])  # fmt: skip


def _of_all(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The first; of one that was divided with all that it became."""
    return {**found[0], "taken": found} if len(found) > 1 else found[0]


async def _terminal(conn: Conn, _: Asked, done: Done) -> dict[str, Any]:
    payment = await terminal_store.get(conn, done.subject)
    assert payment is not None, "payments stay"
    return _plain(terminal_acts.Acted(payment.id, payment.state, done.detail["session_id"]))


async def _session(conn: Conn, a: Asked, _: Done) -> dict[str, Any]:
    row = await sessions.get(conn, a.subject)
    assert row is not None, "sessions stay"
    return _plain(terminal_acts.Acted(row.id, row.state, row.id))


def _plain(found: msgspec.Struct | None) -> dict[str, Any]:
    return dict(msgspec.to_builtins(found))


class Act(msgspec.Struct, frozen=True):
    """How it is done, the word for it, and what it gives who asks again under its key, of the
    subject as it stands then (None: the act itself sees to its key); whether it needs a reason, and
    the scope of the API that lets it be done."""

    do: Callable[[World, Asked], Awaitable[dict[str, Any]]]
    done: str
    find: Callable[[Conn, Asked, Done], Awaitable[dict[str, Any]]] | None = _same
    scope: str = "payments:write"
    reason: bool = True


async def do(world: World, name: str, asked: Asked) -> dict[str, Any]:
    """Do it, once under its key. Raises NotFound, BadInput, Conflict where it can't be or the key
    is another act's, Forbidden where it needs somebody else."""
    act = ACTS[name]
    reason = asked.reason.strip()
    if len(reason) > REASON_MAX or "\0" in reason or (act.reason and not reason):
        raise BadInput("$.reason", reason, f"why, in 1 to {REASON_MAX} characters")
    if len(asked.note) > NOTE_MAX or "\0" in asked.note:
        raise BadInput("$.note", asked.note, f"text, {NOTE_MAX} characters at most")
    for path, given in (("$.id", asked.subject), ("$.session_id", asked.session_id or "")):
        if len(given) > _ID_MAX or "\0" in given:
            raise BadInput(path, given, "an id")
    asked = msgspec.structs.replace(asked, reason=reason)
    found = await _once(world, name, act, asked)
    return {**found, "done": act.done}


async def do_once(world: World, name: str, asked: Asked) -> tuple[dict[str, Any], bool]:
    """As ``do``, for who has no keys: what the same actor did before, for the same reason, and what
    can't be done anew, is the same act. What it gave, and whether it was done now."""
    if ACTS[name].find is None:
        return await do(world, name, asked), True
    asked = msgspec.structs.replace(asked, reason=asked.reason.strip())
    stem = content_digest(msgspec.json.encode([name, asked]))
    times = await _times(world, asked.actor, stem)

    async def under(number: int) -> dict[str, Any]:
        return await do(world, name, msgspec.structs.replace(asked, key=f"{stem}:{number}"))

    try:
        found = await under(times)
    except (Conflict, NotFound):
        if not times:
            raise
        return await under(times - 1), False
    return found, bool(found.get("new", True))


async def _times(world: World, actor: str, stem: str) -> int:
    """How often the actor has done what is said so."""
    async with world.work.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT count(*) AS times FROM money_act WHERE actor = %s"
            " AND starts_with(detail->>'key', %s)",
            (actor, f"{stem}:"),
        )
        row = await cursor.fetchone()
    return int(row["times"]) if row else 0


async def _insist(world: World, act: Act, asked: Asked) -> dict[str, Any]:
    """Of two steps that wait for each other the database ends one, and nothing of it is left: a
    person's act is done again."""
    for left in reversed(range(_TURNS_MAX)):
        try:
            return await act.do(world, asked)
        except DeadlockDetected:
            if not left:
                raise
    raise AssertionError("the last turn returns or raises")


async def _once(world: World, name: str, act: Act, asked: Asked) -> dict[str, Any]:
    """The key is kept with the record of the act, in its own transaction: whatever happens to the
    answer, who asks again is told what was done, not that it was done already."""
    if asked.key is None or act.find is None:
        return await _insist(world, act, asked)
    said = content_digest(msgspec.json.encode([name, asked]))
    if (found := await _before(world, act, asked, said)) is not None:
        return found
    try:
        with money_acts.under_key(asked.key, said):
            return await _insist(world, act, asked)
    except (Conflict, NotFound, UniqueViolation):
        # Perhaps of the same request, which another process was at.
        if (found := await _before(world, act, asked, said)) is not None:
            return found
        raise


async def _before(world: World, act: Act, asked: Asked, said: str) -> dict[str, Any] | None:
    assert asked.key is not None, "asked for"
    assert act.find is not None, "asked for"
    async with world.work.pool.connection() as conn:
        done = await money_acts.done(conn, asked.actor, asked.key)
        if done is None:
            return None
        if done.detail["said"] != said:
            raise Conflict(f"the key {asked.key!r} came with another request of {asked.actor}")
        return await act.find(conn, asked, done)


async def _release(world: World, a: Asked) -> dict[str, Any]:
    await parked.release(world, a.subject, a.actor, a.reason)
    return {"id": a.subject}


async def _refuse(world: World, a: Asked) -> dict[str, Any]:
    await parked.refuse(world, a.subject, a.actor, a.reason)
    return {"id": a.subject}


async def _give_back(world: World, a: Asked) -> dict[str, Any]:
    row_id = await excess.give_back(world, a.subject, actor=a.actor, reason=a.reason)
    return {"id": a.subject, "payment_refund_id": row_id}


async def _stop(world: World, a: Asked) -> dict[str, Any]:
    await announced.stop(world, a.subject, actor=a.actor, reason=a.reason)
    return {"id": a.subject}


async def _try(world: World, a: Asked) -> dict[str, Any]:
    payment_id = await debts.try_now(world, a.subject, actor=a.actor, reason=a.reason)
    return {"id": a.subject, "payment_id": payment_id}


async def _write_off(world: World, a: Asked) -> dict[str, Any]:
    await debts.write_off(world, a.subject, actor=a.actor, reason=a.reason)
    return {"id": a.subject}


async def _match(world: World, a: Asked) -> dict[str, Any]:
    if not a.session_id:
        raise BadInput("$.session_id", a.session_id, "the session that it is for")
    found = await terminal_acts.match(world, a.subject, a.session_id, a.actor, a.reason)
    return _plain(found)


async def _return(world: World, a: Asked) -> dict[str, Any]:
    found = await terminal_acts.give_back(world, a.subject, a.actor, a.reason)
    return _plain(found)


async def _keep(world: World, a: Asked) -> dict[str, Any]:
    found = await terminal_acts.keep(world, a.subject, a.actor, a.reason)
    return _plain(found)


async def _unpaid_debt(world: World, a: Asked) -> dict[str, Any]:
    found = await terminal_acts.unpaid(world, a.subject, "debt", a.actor, a.reason)
    return _plain(found)


async def _unpaid_waive(world: World, a: Asked) -> dict[str, Any]:
    found = await terminal_acts.unpaid(world, a.subject, "waive", a.actor, a.reason)
    return _plain(found)


async def _approve(world: World, a: Asked) -> dict[str, Any]:
    found = await refunds.approve(world, a.subject, actor=a.actor, reason=a.reason)
    return _plain(found)


async def _refuse_refund(world: World, a: Asked) -> dict[str, Any]:
    found = await refunds.refuse(world, a.subject, actor=a.actor, reason=a.reason)
    return _plain(found)


async def _take_over(world: World, a: Asked) -> dict[str, Any]:
    found = await taken_over.take_over(
        world, a.subject, a.kind, a.reason, actor=a.actor, parts=a.parts
    )
    return _of_all([_plain(each) for each in found])


async def _again(world: World, a: Asked) -> dict[str, Any]:
    new_id = await money_back.again(world, a.subject, actor=a.actor, reason=a.reason)
    return {"id": new_id}


async def _otherwise(world: World, a: Asked) -> dict[str, Any]:
    await money_back.paid_otherwise(world, a.subject, actor=a.actor, reason=a.reason)
    return {"id": a.subject}


async def _submit(world: World, a: Asked) -> dict[str, Any]:
    await disputes.submit(world, a.subject, actor=a.actor, reason=a.reason, note=a.note)
    return {"id": a.subject}


async def _mail(world: World, a: Asked) -> dict[str, Any]:
    to = await receipts_step.mail_again(
        world, a.subject, to=a.to, actor=a.actor, reason=a.reason, key=a.key
    )
    return {"id": a.subject, "to": to}


async def _unblock(world: World, a: Asked) -> dict[str, Any]:
    kind = await unblock.lift(world, a.subject, actor=a.actor, reason=a.reason)
    return {"id": a.subject, "kind": kind}


ACTS: dict[str, Act] = {
    "payment.release": Act(_release, "released"),
    "payment.refuse": Act(_refuse, "refused"),
    "payment.give_back": Act(_give_back, "given back", _back_of, scope="refunds:write"),
    "payment.stop": Act(_stop, "stopped"),
    "debt.try": Act(_try, "being charged", _payment_of, reason=False),
    "debt.write_off": Act(_write_off, "written off"),
    "suspense.match": Act(_match, "matched", _terminal),
    "suspense.return": Act(_return, "returned", _terminal),
    "suspense.keep": Act(_keep, "kept", _terminal),
    "unpaid.debt": Act(_unpaid_debt, "made a debt", _session),
    "unpaid.waive": Act(_unpaid_waive, "waived", _session),
    "refund.approve": Act(_approve, "approved", _refund, scope="refunds:approve", reason=False),
    "refund.refuse": Act(_refuse_refund, "refused", _refund, scope="refunds:approve"),
    "refund.take_over": Act(_take_over, "taken over", _taken, scope="refunds:write"),
    "back.again": Act(_again, "sent again", _new_try, scope="refunds:write"),
    "back.otherwise": Act(_otherwise, "paid another way", scope="refunds:write"),
    "dispute.submit": Act(_submit, "evidence sent", reason=False),
    "receipt.mail": Act(_mail, "being mailed", None, reason=False),
    "unblock": Act(_unblock, "lifted", _kind),
}
