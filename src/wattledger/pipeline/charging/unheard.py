"""Step look_after: what was not heard of for too long, a session or a transaction that waits to
become one; and what the station says when it is asked about it."""

from __future__ import annotations

from wattledger.db.work import Transaction
from wattledger.entitlements.model import Policies
from wattledger.pipeline.charging import end, events
from wattledger.pipeline.charging.billable import wait_no_more
from wattledger.pipeline.world import World
from wattledger.sessions import events as waits
from wattledger.sessions import store as sessions


async def look_after(world: World, session_id: str) -> str:
    """What was done: nothing, later, asked, over, opened, dropped."""
    done = await end.look_after(world, session_id)
    return await events.wait_is_over(world, session_id) if done == "unknown" else done


async def look_failed(world: World, session_id: str, why: str) -> None:
    """A fault of ours: it is looked after again later, and a person is shown it."""
    await end.look_failed(world, session_id, why)
    await events.wait_failed(world, session_id)


async def status_answered(
    tx: Transaction,
    world: World,
    policies: Policies,
    session_id: str,
    answer: dict[str, object],
) -> None:
    """The answer to GetTransactionStatus (E14): whether it still runs, and whether more is to
    come. What will not come is not waited for."""
    row = await sessions.get(tx.conn, session_id, lock=True)
    queued = bool(answer.get("messagesInQueue"))
    if row is None:
        if not queued:
            await waits.wait_until(tx.conn, session_id, tx.now)
    elif row.state == "ended" and not queued and row.check_due_at is not None:
        await wait_no_more(tx, world, policies, row)
    elif row.state == "open" and answer.get("ongoingIndicator"):
        await sessions.check_at(tx.conn, row.id, tx.now + policies.silence, "silence")
    elif row.state == "open" and not queued and answer.get("ongoingIndicator") is False:
        await end.presume_over(tx, policies, row, "the station knows of no end of it", wait=False)
