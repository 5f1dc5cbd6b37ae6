"""How much is held: by the rule, by what sessions cost at the site, by the processor's steps; and
who may not charge at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

import handmade as hand
from starts_yard import POINT, Yard, of
from wattledger.clock import DrivenClock
from wattledger.contract import Reason, Route
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.payments.blocks import Blocks
from wattledger.pipeline.charging.authorize import authorize
from wattledger.pipeline.charging.quote import Question, quote
from wattledger.pipeline.stations import local_list

HISTORY = {"hold_percentile": 90, "hold_min": "3.00", "hold_max": "60.00", "history_days": 30,
           "history_least": 10}  # fmt: skip


def _sessions(database: Database, yard: Yard, costs: list[int], days_ago: int) -> None:
    """Sessions of the site that have cost so much, that many days before business time."""
    at = yard.world.now - timedelta(days=days_ago)
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        for number, cost in enumerate(costs):
            key = f"{days_ago}_{number}"
            hand.add_session(conn, f"ses_{key}", charge_point=f"CP-{key}", started_at=at)
            hand.add_charge(conn, f"chg_{key}", f"ses_{key}", net=cost, tax=0)


async def _held(yard: Yard, reference: str = "a") -> int:
    of(await yard.ask(reference))
    return int((await yard.asked_of("stripe.hold"))[-1]["params"]["amount"])


async def test_without_a_rule_the_processors_steps_count(work: Work, clock: DrivenClock) -> None:
    assert await _held(await Yard.open(work, clock)) == 2_500


@pytest.mark.parametrize(
    ("rule", "held"),
    [({"hold": "12.00"}, 1_200), ({"holds": [{"amount": "7.00", "below_power_w": 22_000},
                                             {"amount": "9.00"}]}, 900)],
)  # fmt: skip
async def test_a_rule_says_how_much(
    work: Work, clock: DrivenClock, rule: dict[str, Any], held: int
) -> None:
    assert await _held(await Yard.open(work, clock, payment=[rule])) == held


async def test_by_what_nine_of_ten_sessions_have_cost(
    work: Work, clock: DrivenClock, database: Database
) -> None:
    yard = await Yard.open(work, clock, payment=[HISTORY])
    # Of 10.00, 20.00 … 100.00 minor units times a hundred the ninth: 900, in 3.00 … 60.00.
    _sessions(database, yard, [100 * n for n in range(1, 11)], 2)
    # What is older than 30 days, or began today, says nothing.
    _sessions(database, yard, [5_000] * 10, 31)
    _sessions(database, yard, [5_000] * 10, 0)
    assert await _held(yard) == 900
    # The same all day, whatever is billed meanwhile.
    _sessions(database, yard, [5_900] * 30, 1)
    assert await _held(yard, "b") == 900
    clock.advance(yard.world.now + timedelta(days=1))
    # 10 of the first, 30 of 59.00 and 10 of today's, which was yesterday's: the 45th is 59.00.
    assert await _held(yard, "c") == 5_900


async def test_too_few_sessions_say_nothing(
    work: Work, clock: DrivenClock, database: Database
) -> None:
    yard = await Yard.open(work, clock, payment=[HISTORY])
    _sessions(database, yard, [100] * 9, 2)
    assert await _held(yard) == 2_500, "by power then"


async def test_what_is_told_before_is_what_is_held(work: Work, clock: DrivenClock) -> None:
    yard = await Yard.open(work, clock, payment=[{"hold": "12.00"}])
    told = await quote(yard.world, Question("ANN", POINT, 1))
    assert told.hold_amount == {"minor": 1_200, "currency": "USD"}


async def test_a_session_of_somebody_who_needs_none_holds_nothing(
    work: Work, clock: DrivenClock
) -> None:
    yard = await Yard.open(work, clock, payment=[{"hold": "0", "plans": ["walk-up"]}])
    start = of(await yard.ask())
    assert (start.state, start.payment_id) == ("starting", None)
    begun = await yard.begin("ANN")
    assert begun.session_id is not None
    assert await yard.payments() == []


async def test_a_charge_point_that_asks_about_a_starts_token(
    work: Work, clock: DrivenClock
) -> None:
    yard = await Yard.open(work, clock)
    start = of(await yard.ask(route=Route.CHECKOUT))
    decision = await authorize(yard.world, start.token, POINT)
    assert (decision.accepted, decision.route) == (True, Route.CHECKOUT)
    assert not (await authorize(yard.world, start.token, "D-2")).accepted, "only where it is for"
    assert not (await authorize(yard.world, "WL" + "A" * 18, POINT)).accepted


async def test_whoever_is_in_debt_is_on_no_charge_points_own_list(
    work: Work, clock: DrivenClock
) -> None:
    yard = await Yard.open(work, clock, site__0__local_list=True)
    assert (await local_list.tokens(yard.world, POINT))[0] == ["ANN", "Acme-1", "Acme-2"]
    yard.world.blocks = Blocks(accounts={"ann": "owes 12.00"})
    assert (await local_list.tokens(yard.world, POINT))[0] == ["Acme-1", "Acme-2"]
    asked = await yard.ask()
    assert (asked.reason, asked.start) == (Reason.IN_DEBT, None)
