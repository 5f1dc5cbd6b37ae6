"""Turns at an account: no more calls in a second than its processor takes. Machine time.

Stripe refuses what is above its limits, for the account and for each endpoint. A call waits for
its turn here instead, and is never refused. Whoever has a driver waiting goes first, but nobody
waits for ever: a rank is a handicap in time, not a place at the end of the queue.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from urllib.parse import urlsplit

_SECOND_NS = 1_000_000_000
_HANDICAP_NS = 3 * _SECOND_NS
# Of a second's calls this part may go out at once. More, and two bursts would meet in one second.
_BURST = 10
_ID = re.compile(r"(pi|ch|py|re|pyr|dp|du|issfr|tmr|po|txn|cus|pm|seti|evt|file)_\w+")


class Rank(IntEnum):
    """Who goes first when turns are short."""

    DRIVER = 0
    """Somebody stands at a charger: holds, increments, readers."""
    MONEY = 1
    """Captures, releases, charges, refunds."""
    OBJECT = 2
    """What a webhook hinted at."""
    SWEEP = 3
    """Readings of the balance and the nightly sweep."""


def endpoint(method: str, url: str) -> str:
    """The endpoint of a call: its method and path, without the ids in it."""
    steps = urlsplit(url).path.split("/")
    return f"{method.upper()} {'/'.join('{id}' if _ID.fullmatch(s) else s for s in steps)}"


@dataclass(slots=True)
class _Bucket:
    """``full_at_ns``: when it would be full again if nobody took anything."""

    rate_per_s: int
    full_at_ns: int = 0

    def free_at_ns(self) -> int:
        """When there is a turn, whatever the time is now."""
        spare_ns = (max(1, self.rate_per_s // _BURST) - 1) * self._apart_ns()
        return self.full_at_ns - spare_ns

    def take(self, now_ns: int) -> None:
        self.full_at_ns = max(self.full_at_ns, now_ns) + self._apart_ns()

    def pause(self, until_ns: int) -> None:
        """Nobody's turn comes before then."""
        spare_ns = (max(1, self.rate_per_s // _BURST) - 1) * self._apart_ns()
        self.full_at_ns = max(self.full_at_ns, until_ns + spare_ns)

    def _apart_ns(self) -> int:
        return -(-_SECOND_NS // self.rate_per_s)


@dataclass(slots=True)
class _Waiting:
    endpoint: str
    due_ns: int
    number: int
    turn: asyncio.Future[None] = field(repr=False)


class Pacing:
    """The turns of one account in this process."""

    def __init__(self, rate_per_s: int, endpoint_rate_per_s: int) -> None:
        self.rates = (rate_per_s, endpoint_rate_per_s)
        self._all = _Bucket(rate_per_s)
        self._of: defaultdict[str, _Bucket] = defaultdict(lambda: _Bucket(endpoint_rate_per_s))
        self._waiting: list[_Waiting] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, of_endpoint: str, rank: int) -> None:
        """Wait until a call may go out to this endpoint."""
        self._count += 1
        due_ns = time.monotonic_ns() + rank * _HANDICAP_NS
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(of_endpoint, due_ns, self._count, turn))
        self._waiting.sort(key=lambda w: (w.due_ns, w.number))
        self._serve()
        await turn

    def refused(self, of_endpoint: str, pause: timedelta) -> None:
        """The processor refused a call to this endpoint: others have its turns too. Nobody goes
        there for a while."""
        pause_ns = 1000 * (pause // timedelta(microseconds=1))
        self._of[of_endpoint].pause(time.monotonic_ns() + pause_ns)

    def _serve(self) -> None:
        """Give turns to those whose time has come, in order, and wake up for the next.

        Who waits for a busy endpoint keeps nobody from another."""
        now_ns = time.monotonic_ns()
        still: list[_Waiting] = []
        next_ns: int | None = None
        for waiting in self._waiting:
            if waiting.turn.done():  # whoever waited has given up
                continue
            free_ns = max(self._all.free_at_ns(), self._of[waiting.endpoint].free_at_ns())
            if free_ns <= now_ns:
                self._all.take(now_ns)
                self._of[waiting.endpoint].take(now_ns)
                waiting.turn.set_result(None)
                continue
            still.append(waiting)
            next_ns = free_ns if next_ns is None else min(next_ns, free_ns)
        self._waiting = still
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if next_ns is not None:
            wait = timedelta(microseconds=-(-(next_ns - now_ns) // 1000))
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(wait.total_seconds(), self._serve)
