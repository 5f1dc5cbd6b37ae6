"""Who moves a driven clock, in the demo and in simulations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import httpx
import msgspec

from wattledger.clock import DrivenClock, utc_text
from wattledger.db.work import Work
from wattledger.worker import Worker


class Conductor:
    """Moves a driven clock: only when all that is due at one time is done does the next come."""

    def __init__(
        self,
        worker: Worker,
        advance: Callable[[datetime], Awaitable[None]],
        now: Callable[[], datetime],
        follow: Callable[[datetime], Awaitable[int]],
        give_up_s: float = 60.0,
    ) -> None:
        self._worker = worker
        self._advance = advance
        self._now = now
        self._follow = follow
        self._give_up_s = give_up_s
        self._lock = asyncio.Lock()

    async def move(self, to: datetime) -> tuple[int, datetime | None]:
        """To ``to``, stopping wherever something falls due; how much was done, what is next."""
        total = 0
        async with self._lock:
            while True:
                done, following = await self._settle_down()
                total += done
                now = self._now()
                target = to if following is None else min(following, to)
                if target <= now:
                    return total, following
                await self._advance(target)
                await self._follow(target)

    async def _settle_down(self) -> tuple[int, datetime | None]:
        """Ours and the followers' work, until neither has any; how much, and what is next."""
        total = 0
        while True:
            done, agenda = await self._worker.work_off(self._give_up_s)
            total += done
            if not done or not await self._follow(self._now()):
                return total, agenda.next_due_at


async def nothing() -> None:
    """Nothing has to be written down first."""


def keeping(
    clock: DrivenClock, work: Work, settle: Callable[[], Awaitable[None]]
) -> Callable[[datetime], Awaitable[None]]:
    """Moves the clock, and keeps it in the database for a restart.

    ``settle`` first: what is otherwise written by machine time is known before business time goes
    on, else it would depend on the machine's speed what a later step sees.
    """

    async def advance(to: datetime) -> None:
        await settle()
        async with work.alone() as conn:  # and its commit waits for no disk
            await conn.execute(
                "INSERT INTO driven_clock (now)"
                " SELECT %s FROM (SELECT set_config('synchronous_commit', 'off', true)) AS quick"
                " ON CONFLICT (singleton) DO UPDATE SET now = EXCLUDED.now",
                (to,),
            )
        clock.advance(to)

    return advance


class Followers:
    """Other processes whose clock goes with ours: told each time, answering what they did."""

    def __init__(self, urls: tuple[str, ...], http: httpx.AsyncClient) -> None:
        self._urls = urls
        self._http = http

    async def to(self, now: datetime) -> int:
        """How much the followers did at ``now``: then there may be new work here."""
        done = 0
        for url in self._urls:
            answer = await self._http.post(url, json={"now": utc_text(now)}, timeout=60)
            answer.raise_for_status()
            done += int(msgspec.json.decode(answer.content).get("delivered", 0))
        return done
