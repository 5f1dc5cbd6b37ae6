"""Step command, where no session is behind it: what charge points have to know, told when they
boot and when the configuration changes, each once.

A charge point that is not connected is told when it comes: the command waits in its lane.
"""

from __future__ import annotations

import logging

from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.pipeline.gathered import Gathered
from wattledger.pipeline.stations import commands, local_list, metering
from wattledger.pipeline.stations.commands import STANDING_LIFE, Told
from wattledger.pipeline.stations.local_list import Lists
from wattledger.pipeline.world import World

log = logging.getLogger(__name__)

_NAMES = (metering.COMMAND, local_list.COMMAND, local_list.CLEAR)
# Every lane that is appended to is a lock until the commit; the database has room for some.
_AT_ONCE = 100


async def booted(world: World, charge_point_id: str) -> None:
    """Metering settings and the local list, where they are not what it was told last. A fault here
    never keeps a charge point from booting: it is told at its next boot."""
    try:
        await _booted(world, charge_point_id)
    except Exception:
        log.exception("%s is not told its settings", charge_point_id)


async def _booted(world: World, charge_point_id: str) -> None:
    now = world.now
    snapshot = await world.snapshot(now)
    if not _is_ours(snapshot, charge_point_id):
        return
    settings = metering.wanted(snapshot, charge_point_id, now)
    listed = local_list.wants_list(snapshot, charge_point_id)
    if settings is None and not listed:
        return
    due: dict[str, str] = {}
    if settings is not None:
        due[metering.COMMAND] = settings.digest
    if listed:
        due[local_list.COMMAND] = Lists(snapshot, now, world.blocks).digest(charge_point_id)
    if world.told.get(charge_point_id) == due:
        return
    told = await _was_told(world, charge_point_id)
    if all(name in told and told[name].says(digest) for name, digest in due.items()):
        if all(each.state in ("done", "rejected") for each in told.values()):
            # Remembered, so that charge points that come back all at once cost nothing more.
            world.told[charge_point_id] = due
        return
    async with world.work.transaction("command", now=now) as tx:
        before = await commands.told(tx.conn, [charge_point_id], _NAMES)
        if settings is not None:
            last = before.get((charge_point_id, metering.COMMAND))
            await metering.configure(tx, charge_point_id, settings, last)
        if listed:
            last = before.get((charge_point_id, local_list.COMMAND))
            await _send_list(tx, charge_point_id, Lists(snapshot, now, world.blocks), last)


async def _was_told(world: World, charge_point_id: str) -> dict[str, Told]:
    """By command; of charge points that boot together in one statement."""

    async def ask(charge_point_ids: list[str]) -> dict[str, dict[str, Told]]:
        async with world.work.pool.connection() as conn:
            found: dict[str, dict[str, Told]] = {}
            for (name, kind), told in (await commands.told(conn, charge_point_ids, _NAMES)).items():
                found.setdefault(name, {})[kind] = told
            return found

    if world.was_told is None:
        world.was_told = Gathered(ask)
    return await world.was_told.about(charge_point_id) or {}


def _is_ours(snapshot: Snapshot, charge_point_id: str) -> bool:
    """Whether it stands somewhere, and no CPMS beside us commands it."""
    place = snapshot.place_of(charge_point_id)
    return place is not None and place[0].proxy_of(place[1]) is None


async def changed(world: World) -> None:
    """A configuration came into force: every charge point that has ever been here is told what is
    new to it; and where a token was withdrawn, to forget what its cache knows."""
    try:
        await _changed(world)
    except Exception:
        log.exception("charge points are not told what is new")


async def _changed(world: World) -> None:
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT charge_point_id FROM charge_point_state ORDER BY charge_point_id"
        )
        known = [row["charge_point_id"] for row in await cursor.fetchall()]
        gone = await local_list.withdrawn(conn, snapshot, world.blocks) if known else None
    here = [point_id for point_id in known if _is_ours(snapshot, point_id)]
    lists = Lists(snapshot, now, world.blocks)
    for first in range(0, len(here), _AT_ONCE):
        some = here[first : first + _AT_ONCE]
        async with world.work.transaction("command", now=now) as tx:
            before = await commands.told(tx.conn, some, _NAMES)
            for point_id in some:
                await _renew(tx, snapshot, point_id, lists, gone, before)


async def _renew(
    tx: Transaction,
    snapshot: Snapshot,
    point_id: str,
    lists: Lists,
    gone: str | None,
    before: dict[tuple[str, str], Told],
) -> None:
    if gone is not None:
        last = before.get((point_id, local_list.CLEAR))
        await commands.tell(
            tx, point_id, local_list.CLEAR, gone, {}, before=last, life=STANDING_LIFE
        )
    last = before.get((point_id, local_list.COMMAND))
    if local_list.wants_list(snapshot, point_id):
        await _send_list(tx, point_id, lists, last)
    # Settings are told at a boot first: a charge point whose boots another system answers is not
    # ours to set.
    last = before.get((point_id, metering.COMMAND))
    settings = metering.wanted(snapshot, point_id, tx.now)
    if last is not None and settings is not None:
        await metering.configure(tx, point_id, settings, last)


async def _send_list(tx: Transaction, point_id: str, lists: Lists, last: Told | None) -> bool:
    """The effect names the list by its digest: the tokens are looked up when it is sent, and stand
    in the frame alone."""
    return await commands.tell(
        tx, point_id, local_list.COMMAND, lists.digest(point_id), {}, before=last,
        life=STANDING_LIFE,
    )  # fmt: skip
