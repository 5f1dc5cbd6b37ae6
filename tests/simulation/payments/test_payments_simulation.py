"""Drivers on every route, cards of every behaviour, a processor that fails, and a house that dies.

For any seed: nobody pays more than their charges less refunds; no more is captured than was
authorized; every charge comes to its end; what the processor has is what the ledger says, and
until it is read the difference is what is not read yet; webhooks may come twice and in any order.

A failing seed is in the test's name:  pytest tests/simulation/payments -k 'seed-17'
More of them:                          WATTLEDGER_SEEDS=100-400 pytest tests/simulation/payments
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from simulation.payments import plan
from simulation.payments.house import Deaths, House
from simulation.payments.judge import Judge
from simulation.payments.plan import NORTH, RHINE, SECRETS_OF_THE_HOUSE
from simulation.payments.processors import Deliver, Processors, processors
from simulation.payments.street import EXPECTED, Point, Street, Visit
from wattledger.api.hooks import from_stripe
from wattledger.api.keys import Keys
from wattledger.api.state import State
from wattledger.clock import DrivenClock
from wattledger.db.connect import Database, Pool
from wattledger.pipeline.returning import refunds
from wattledger.pipeline.world import World

BEGIN = datetime(2026, 11, 2, 6, tzinfo=UTC)
VISITS = 10
AFTERWARDS = timedelta(days=16)


def _seeds() -> list[int]:
    first, _, last = os.environ.get("WATTLEDGER_SEEDS", "1-2").partition("-")
    return list(range(int(first), int(last or first) + 1))


@dataclass
class Story:
    """Everything of one seed."""

    house: House
    street: Street
    processors: Processors
    judge: Judge
    rng: Random

    async def go_on(self, until: datetime) -> None:
        """Step by step, at each of which something is due: in the house or on the street."""
        steps = 0
        while self.house.clock.now() < until:
            planned = [at for at in (await self.house.next_due(), self.street.next_at) if at]
            to = min([until, *planned])
            await self.processors.trouble()
            await self.processors.fate()
            await self.house.move(max(to, self.house.clock.now()))
            await self.street.happen(self.house.clock.now())
            await self.house.move(self.house.clock.now())
            steps += 1
            if steps % 10 == 0:
                await self.judge.step()


@asynccontextmanager
async def _story(
    seed: int, pool: Pool, database: Database, clock: DrivenClock, *, faulty: bool
) -> AsyncIterator[Story]:
    rng = Random(seed)
    clock.advance(BEGIN)
    async with processors([NORTH, RHINE], BEGIN, rng, faulty=faulty) as found:
        readers = await plan.readers(found)
        points = [
            *(Point(f"D-{n}", NORTH, readers.get(f"D-{n}")) for n in range(4)),
            *(Point(f"R-{n}", RHINE, readers.get(f"R-{n}"), "EUR") for n in range(2)),
        ]
        street = Street(rng, faulty, points, found.accounts)
        deaths = Deaths(Random(seed + 1), 0.02 if faulty else 0.0)
        house = House(pool, database, clock, deaths, street, found.follow, SECRETS_OF_THE_HOUSE)
        street.house = house
        drivers = plan.people(rng)
        customers = await plan.customers(found.accounts[NORTH], drivers)
        plan.come(street, rng, drivers, BEGIN, VISITS)
        found.deliver = _hooks(house)
        try:
            await house.opened(plan.settings(found, rng, customers, readers, drivers))
            judge = Judge(house, found, {NORTH: "north", RHINE: "rhine"})
            yield Story(house, street, found, judge, rng)
        finally:
            await house.close()


def _hooks(house: House) -> Deliver:
    """Our endpoint for the processor's events, in whatever process is alive."""
    app = Starlette(routes=[Route("/hooks/{processor_id}", from_stripe, methods=["POST"])])
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://us")

    async def deliver(account_id: str, body: bytes, signature: str) -> bool:
        app.state.wattledger = State(
            house.world, house.pool, Keys((), lambda _: ""), SECRETS_OF_THE_HOUSE.__getitem__,
            lambda: None,
        )  # fmt: skip
        answer = await http.post(
            f"/hooks/{account_id}", content=body, headers={"stripe-signature": signature}
        )
        return answer.is_success

    return deliver


async def _give_back(story: Story) -> None:
    """Support gives some of it back, where it can."""
    for visit in story.street.visits:
        if visit.refund is None or visit.transaction_id is None:
            continue
        rows = await story.house.rows(
            "SELECT id FROM session WHERE transaction_id = %s AND state IN ('billed', 'adjusted')",
            visit.transaction_id,
        )
        for row in rows:
            await story.house.do(lambda world, i=row["id"], v=visit: _ask(world, i, v))


async def _ask(world: World, session_id: str, visit: Visit) -> None:
    scope = {"whole": True} if visit.refund == "whole" else {"amount_minor": 50}
    with suppress(*EXPECTED):
        await refunds.ask(
            world, session_id, scope, "goodwill", "sorry", actor="page:Ann", key=f"r{visit.number}"
        )


async def _whole(story: Story) -> None:
    """From the first car to the end of everything."""
    last = max(at for at, _, _ in story.street._due) + timedelta(hours=6)
    await story.go_on(last)
    await _give_back(story)
    await story.go_on(last + AFTERWARDS)
    await story.processors.calm()
    await story.go_on(story.house.clock.now() + timedelta(days=2))
    assert story.street.refused == []
    await story.judge.drained()
    await story.judge.nobody_paid_too_much()
    await story.judge.over()


@pytest.mark.parametrize("seed", _seeds(), ids=lambda seed: f"seed-{seed}")
async def test_whatever_happens_to_money(
    seed: int, pool: Pool, database: Database, clock: DrivenClock
) -> None:
    async with _story(seed, pool, database, clock, faulty=True) as story:
        await _whole(story)
        before = await story.judge.fingerprint()
        story.house.deaths.stop()
        await story.house.do(lambda _: story.processors.everything_again())
        await story.go_on(story.house.clock.now() + timedelta(hours=1))
        assert await story.judge.fingerprint() == before
        await story.judge.drained()


async def test_without_faults_everybody_pays_what_it_costs(
    pool: Pool, database: Database, clock: DrivenClock
) -> None:
    async with _story(1, pool, database, clock, faulty=False) as story:
        await _whole(story)
        assert story.house.died == 0
