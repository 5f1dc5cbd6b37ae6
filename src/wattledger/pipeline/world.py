"""What steps share: the unit of work and the configuration in memory."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from wattledger.db import versions
from wattledger.db.connect import Pool
from wattledger.db.work import Work
from wattledger.entitlements import Directory, Snapshot
from wattledger.payments import blocks
from wattledger.payments.blocks import Blocks
from wattledger.pipeline.charging.clocks import ClockWatch
from wattledger.pipeline.gathered import Gathered
from wattledger.pipeline.stations.commands import Told
from wattledger.sessions import lookup
from wattledger.sessions.at_once import KnownSessions
from wattledger.tariffs import Tariff, read_tariff

log = logging.getLogger(__name__)

# A decision may rest on memory this old; past it the database is asked whether it still holds.
STALE_AFTER_S = 5.0


class World:
    """The unit of work, and a Directory that is fresh to within ``STALE_AFTER_S``.

    A step takes its snapshot before it opens its transaction: a step that waited for another
    connection while it held one could wait for itself. ``configuration`` is a pool of its own for
    the refresh, so that even then nobody waits for a connection that a waiting step holds.
    """

    def __init__(self, work: Work, configuration: Pool | None = None) -> None:
        self.work = work
        self._configuration = configuration or work.pool
        self.receipt_link: Callable[[str], str | None] = lambda _: None
        """Where the driver of a session finds its receipt, where receipts have links."""
        self._refreshing = asyncio.Lock()
        self._directory = Directory([])
        self._confirmed_at_s = time.monotonic() - STALE_AFTER_S
        self._tariffs: dict[str, Tariff] = {}
        self.device_clocks = ClockWatch()
        # Where what is said most belongs to (sessions.at_once).
        self.known_sessions = KnownSessions()
        # Whether something runs at charge points that boot (pipeline.running).
        self.runs_at = Gathered(self._runs_at)
        # What charge points were told of their upkeep, and have answered (pipeline.upkeep).
        self.told: dict[str, dict[str, str]] = {}
        self.was_told: Gathered[dict[str, Told]] | None = None
        # Who may not charge for now; None: not known yet.
        self.blocks: Blocks | None = None
        # What sessions have cost: the day it was computed for, how many, how much (hold_sizes).
        self.usual_costs: dict[tuple[str, str, int | None, int], tuple[datetime, int, int]] = {}

    @property
    def now(self) -> datetime:
        """Business time."""
        return self.work.clock.now()

    async def snapshot(self, at: datetime) -> Snapshot:
        """What is in force at ``at``; from memory, unless that was not confirmed for too long."""
        if self._is_stale():
            async with self._refreshing:
                if self._is_stale():  # whoever waited finds it done
                    await self.refresh()
        return self._directory.at(at)

    def known(self, at: datetime) -> Snapshot:
        """The same as it is in memory, for a step that took its snapshot before it began."""
        return self._directory.at(at)

    async def refresh(self) -> None:
        """Load the configuration again if the database has a newer one."""
        asked_at_s = time.monotonic()
        async with self._configuration.connection() as conn:
            if self.blocks is None or await blocks.latest_id(conn) != self.blocks.last_id:
                self.blocks = await blocks.load(conn)
            if await versions.latest_seq(conn) != self._directory.seq:
                self._directory = Directory(await versions.load(conn))
                log.info("configuration %d in force", self._directory.seq)
        self._confirmed_at_s = asked_at_s

    def _is_stale(self) -> bool:
        return time.monotonic() - self._confirmed_at_s >= STALE_AFTER_S

    async def _runs_at(self, charge_point_ids: list[str]) -> dict[str, bool]:
        async with self.work.pool.connection() as conn:
            return await lookup.where_runs(conn, charge_point_ids)

    async def tariff(self, conn: AsyncConnection[dict[str, Any]], digest: str) -> Tariff:
        """A tariff version. It never changes, so it is read once in a process's life."""
        if digest not in self._tariffs:
            body = await versions.body_of(conn, digest)
            self._tariffs[digest] = read_tariff(body, f"$.tariff[{digest[:12]}]")
        return self._tariffs[digest]
