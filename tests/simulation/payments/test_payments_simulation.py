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
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from rig.outside import outside
from simulation.payments import plan
from simulation.payments.breaks import assert_as_planned
from simulation.payments.house import Deaths, House
from simulation.payments.judge import Judge
from simulation.payments.others import Others
from simulation.payments.people import People
from simulation.payments.plan import NORTH, RHINE, SECRETS_OF_THE_HOUSE
from simulation.payments.processors import Deliver, Processors, processors
from simulation.payments.street import Street
from simulation.payments.vendors import Terminals
from wattledger.api.hooks import from_stripe
from wattledger.api.keys import Keys
from wattledger.api.state import State
from wattledger.clock import DrivenClock
from wattledger.db.connect import Database, Pool

BEGIN = datetime(2026, 11, 2, 6, tzinfo=UTC)
VISITS = 12
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
    others: Others
    people: People
    judge: Judge
    rng: Random

    async def go_on(self, until: datetime) -> None:
        """Step by step, at each of which something is due: in the house or on the street."""
        steps = 0
        while self.house.clock.now() < until:
            planned = [at for at in (await self.house.next_due(), self.street.next_at) if at]
            to = min([until, *planned])
            await self.processors.fate()
            await self.people.look()
            await self.processors.trouble()
            if self.street.faulty and self.rng.random() < 0.02:
                await self.house.sleep(self._awake(until))
            else:
                await self.house.move(max(to, self.house.clock.now()))
            await self.street.happen(self.house.clock.now())
            await self.house.move(self.house.clock.now())
            steps += 1
            if steps % 10 == 0:
                await self.judge.step()

    def _awake(self, until: datetime) -> datetime:
        """When a house that does nothing does something again: whoever needs it wakes it up."""
        days = timedelta(hours=self.rng.randint(1, 72))
        return min(at for at in (until, self.street.next_at, self.house.clock.now() + days) if at)


@asynccontextmanager
async def _story(
    seed: int, pool: Pool, database: Database, clock: DrivenClock, *, faulty: bool
) -> AsyncIterator[Story]:
    rng = Random(seed)
    clock.advance(BEGIN)
    others = Others(rng=rng, faulty=faulty)
    async with outside(others), processors([NORTH, RHINE], BEGIN, rng, faulty=faulty) as found:
        readers = await plan.readers(found)
        street = Street(rng, faulty, plan.points(readers), found.accounts)
        street.vendors = Terminals(street, others, rng)
        deaths = Deaths(Random(seed + 1), 0.02 if faulty else 0.0)
        house = House(pool, database, clock, deaths, street, found.follow, SECRETS_OF_THE_HOUSE)
        street.house = house
        drivers = plan.people(rng)
        customers = await plan.customers(found.accounts[NORTH], drivers)
        plan.come(street, rng, drivers, BEGIN, VISITS)
        found.deliver = _hooks(house)
        people = People(house, found, others, street, rng)
        settings = plan.settings(found, others, rng, customers, readers, drivers, faulty=faulty)
        try:
            await house.opened(settings)
            judge = Judge(house, found, others, people)
            yield Story(house, street, found, others, people, judge, rng)
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


SCOPES: dict[str, dict[str, Any]] = {
    "whole": {"whole": True}, "some": {"amount_minor": 50}, "line": {"lines": [1]},
}  # fmt: skip


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
            await story.people.give_back(row["id"], SCOPES[visit.refund], f"r{visit.number}")


async def _whole(story: Story) -> None:
    """From the first car to the end of everything."""
    last = max(at for at, _, _ in story.street._due) + timedelta(hours=6)
    await story.go_on(last)
    await _give_back(story)
    await story.go_on(last + AFTERWARDS)
    await story.processors.calm()
    story.others.calm()
    while await story.people.finish():
        await story.house.move(story.house.clock.now())
    await story.go_on(story.house.clock.now() + timedelta(days=2))
    while await story.people.finish():
        await story.house.move(story.house.clock.now())
    await story.processors.calm()
    await story.house.move(story.house.clock.now() + timedelta(days=2))
    assert story.street.refused == []
    await story.judge.drained()
    await story.judge.nobody_paid_too_much()
    await story.judge.over()
    await story.judge.mails()
    await assert_as_planned(
        story.house, story.processors, story.others, story.people, story.street.visits
    )


@pytest.mark.parametrize("seed", _seeds(), ids=lambda seed: f"seed-{seed}")
async def test_whatever_happens_to_money(
    seed: int, pool: Pool, database: Database, clock: DrivenClock
) -> None:
    async with _story(seed, pool, database, clock, faulty=True) as story:
        await _whole(story)
        before = await story.judge.fingerprint()
        story.house.deaths.begin_again()
        died = story.house.died
        await story.processors.everything_again()
        await story.house.move(story.house.clock.now() + timedelta(hours=1))
        assert await story.judge.fingerprint() == before
        await story.judge.drained()
        assert died
        assert story.house.died > died, "it dies of the mail, too"
        assert min(story.processors.mail[how] for how in ("lost", "twice", "late")) > 0


async def test_without_faults_everybody_pays_what_it_costs(
    pool: Pool, database: Database, clock: DrivenClock
) -> None:
    async with _story(1, pool, database, clock, faulty=False) as story:
        await _whole(story)
        assert story.house.died == 0
