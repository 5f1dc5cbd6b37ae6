"""Step reconcile: all legs of a legal entity, in one snapshot."""

from __future__ import annotations

from wattledger.entitlements.model import Entity
from wattledger.pipeline.world import World
from wattledger.reconciliation import legs as rules
from wattledger.reconciliation import store
from wattledger.reconciliation.match import match
from wattledger.reconciliation.model import Break, Leg


async def reconcile(world: World) -> int:
    """Match everything of every entity; how many breaks are open."""
    snapshot = await world.snapshot(world.now)
    return sum([await _entity(world, entity.id) for entity in snapshot.all("entity", Entity)])


async def _entity(world: World, entity_id: str) -> int:
    async with world.work.transaction("reconcile") as tx:
        found: list[Leg] = []
        breaks: list[Break] = []
        for leg in rules.TITLES:
            ours = await store.side(tx.conn, leg, "ours", entity_id)
            if leg == "meter":
                leg_breaks, theirs = rules.meter_breaks(ours), ours
                matched = len(ours) - len(leg_breaks)
            else:
                theirs = await store.side(tx.conn, leg, "theirs", entity_id)
                matches, leg_breaks = match(ours, theirs, rules.explain(leg))
                await store.write_matches(tx.conn, leg, matches, tx.now)
                matched = len(matches)
            found.append(rules.leg_of(leg, ours, theirs, matched, leg_breaks))
            breaks += leg_breaks
        await store.write_breaks(tx.conn, entity_id, breaks, tx.now)
        await store.write_run(tx.conn, entity_id, found, len(breaks), tx.now)
        await tx.conn.execute("SELECT pg_notify('wattledger_live', '')")
        return len(breaks)
