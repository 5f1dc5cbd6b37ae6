"""kill -9 at every checkpoint of the steps and effects that money takes: each counts once."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest

from rig.outside import Outside, outside
from rig.paying import KILLS, assert_paid, play, prepare
from rig.system import System, each_checkpoint, system


@asynccontextmanager
async def _paying(dsn: str, kills: Sequence[str]) -> AsyncIterator[tuple[System, Outside]]:
    async with (
        outside() as found,
        system(dsn, kill_at=kills, prepare=partial(prepare, found)) as running,
    ):
        yield running, found


@pytest.mark.parametrize("day", range(len(KILLS)))
async def test_killed_again_and_again_while_people_pay(dsn: str, day: int) -> None:
    """What was lost is done after the next start, up to the next kill."""
    kills = each_checkpoint(KILLS[day])
    async with _paying(dsn, kills) as (running, found):
        await play(running)
        assert running.server.kill_at == [], "the day comes by all of these"
        assert running.deaths == [-signal.SIGKILL] * len(kills)
        await assert_paid(running, found)
