"""Step reconcile: all legs of a legal entity, in one snapshot.

Two runs of one entity (the API's and a worker's) come one after the other, and the later one
sees what the earlier one did: else a run on an older snapshot could reopen what it resolved.
"""

from __future__ import annotations

import logging

from psycopg.errors import SerializationFailure

from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.entitlements.model import Entity
from wattledger.errors import Conflict
from wattledger.payments.model import Processor
from wattledger.pipeline.world import World
from wattledger.reconciliation import legs as rules
from wattledger.reconciliation import store
from wattledger.reconciliation.match import match
from wattledger.reconciliation.model import Break, Item, Leg, Match

log = logging.getLogger(__name__)

TRIES_MAX = 10


async def reconcile(world: World) -> int:
    """Match everything of every entity; how many breaks are open.

    Raises Conflict when other runs have had an entity to themselves ``TRIES_MAX`` times.
    """
    snapshot = await world.snapshot(world.now)
    entities = snapshot.all("entity", Entity)
    return sum([await _entity(world, snapshot, entity.id) for entity in entities])


async def _entity(world: World, snapshot: Snapshot, entity_id: str) -> int:
    for _ in range(TRIES_MAX):
        try:
            breaks = await _alone(world, snapshot, entity_id)
        except SerializationFailure as error:
            log.info("%s is reconciled again: %s", entity_id, error)
            continue
        if breaks is not None:
            return breaks
        async with world.work.pool.connection() as conn:
            await store.until_free(conn, entity_id)
    raise Conflict(f"the entity {entity_id} is being reconciled by others: try again later")


async def _alone(world: World, snapshot: Snapshot, entity_id: str) -> int | None:
    """One run in one snapshot, or None when another run has the entity."""
    async with world.work.transaction("reconcile") as tx:
        await tx.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        if not await store.alone(tx.conn, entity_id):
            return None
        found: list[Leg] = []
        breaks: list[Break] = []
        for leg in rules.TITLES:
            ours, theirs, matches, leg_breaks = await _compare(tx, leg, entity_id)
            await store.write_matches(tx.conn, leg, matches, tx.now)
            # The meter is compared by its sessions, each with the one before.
            matched = len(matches) if leg != "meter" else max(0, len(theirs) - len(leg_breaks))
            note = await _age(tx, snapshot, entity_id) if leg == "processor" else ""
            found.append(rules.leg_of(leg, ours, theirs, matched, leg_breaks, note))
            breaks += leg_breaks
        await store.write_breaks(tx.conn, entity_id, breaks, tx.now)
        await store.write_run(tx.conn, entity_id, found, len(breaks), tx.now)
        tx.seen()
        return len(breaks)


async def _compare(
    tx: Transaction, leg: str, entity_id: str
) -> tuple[list[Item], list[Item], list[Match], list[Break]]:
    told_by = tx.now - rules.TOLD_WITHIN
    ours = await store.side(tx.conn, leg, "ours", entity_id, told_by=told_by)
    theirs = await store.side(tx.conn, leg, "theirs", entity_id, told_by=told_by)
    if leg == "meter":
        return ours, theirs, [], rules.meter_breaks(theirs) + rules.movement_breaks(ours, theirs)
    return ours, theirs, *match(ours, theirs, rules.explain(leg))


async def _age(tx: Transaction, snapshot: Snapshot, entity_id: str) -> str:
    accounts = snapshot.all("processor", Processor)
    own = [account.id for account in accounts if account.entity == entity_id]
    return rules.reading_age(tx.now, await store.last_read(tx.conn, own))
