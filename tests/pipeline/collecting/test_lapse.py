"""Holds about to lapse: what was delivered by then is captured, or the charging is stopped, or a
person is shown it. The margin is 12 hours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from till_rig import Till, terms, till

from wattledger.clock import DrivenClock
from wattledger.payments import store as payments
from wattledger.pipeline.collecting import lapse
from wattledger.pipeline.handlers import Settled
from wattledger.sessions import Fact
from wattledger.sessions import store as sessions

__all__ = ["till"]

HOURS = timedelta(hours=1)


async def _watched(till: Till, state: str, hours: int, **more: Any) -> None:
    """A session in ``state``, 5 kWh read of it, whose hold lapses in so many hours."""
    now = till.world.now
    before = now + hours * HOURS
    if state == "open":
        more |= {"stop_wh": None, "started_at": now - 2 * HOURS}
    till.add(state=state, payment={"capture_before": before, **more.pop("payment", {})}, **more)
    async with till.world.work.transaction("x") as tx:
        if state == "open":
            fact = Fact("meter", now - HOURS, 6_000, origin="sample")
            await sessions.add_facts(tx.conn, "ses_1", [(fact, "read")], received_at=tx.now)
        snapshot = await till.world.snapshot(tx.now)
        payment = await payments.get(tx.conn, "pay_1")
        effect: Any = None
        await lapse.watch(Settled(tx, till.world, snapshot, effect, {}), payment)


async def _session(till: Till) -> tuple[Any, ...]:
    (found,) = await till.rows("SELECT state, stop_provisional, meter_stop_wh FROM session")
    return found


async def _stops(till: Till) -> list[str]:
    rows = await till.rows("SELECT request->>'why' FROM effect WHERE kind = 'ocpp.remote_stop'")
    return [why for (why,) in rows]


async def test_an_open_session_is_captured_for_what_was_read(
    till: Till, clock: DrivenClock
) -> None:
    await _watched(till, "open", 40)
    clock.advance(clock.now() + 27 * HOURS)
    assert await till.alarms() == 0
    clock.advance(clock.now() + HOURS)
    assert await till.alarms() == 1
    assert await _session(till) == ("ended", True, 6_000)
    assert await _stops(till) == ["hold_lapsing"]
    assert await till.rows("SELECT provisional FROM payment") == [(True,)]
    ((due_at,),) = await till.rows("SELECT bill_due_at FROM session")
    assert due_at == clock.now() + timedelta(seconds=60), "the settle window"
    assert await till.rows("SELECT code, detail->>'done' FROM anomaly") == [
        ("hold.lapsing", "captured")
    ]


async def test_it_is_only_stopped_where_that_is_agreed(till: Till, clock: DrivenClock) -> None:
    await _watched(till, "open", 40, terms=terms(lapse="stop"))
    clock.advance(clock.now() + 28 * HOURS)
    await till.alarms()
    assert (await _session(till))[0] == "open"
    assert await _stops(till) == ["hold_lapsing"]
    assert await till.rows("SELECT detail->>'done' FROM anomaly") == [("stopped",)]


async def test_a_held_session_that_has_no_price_is_shown(till: Till, clock: DrivenClock) -> None:
    """Its contract names a tariff that says nothing."""
    await _watched(till, "held", 40)
    clock.advance(clock.now() + 28 * HOURS)
    await till.alarms()
    assert (await _session(till))[0] == "held"
    assert await till.rows("SELECT code, detail->>'done' FROM anomaly") == [
        ("hold.lapsing", "shown")
    ]


async def test_a_held_session_that_has_a_price_is_captured(
    till: Till, clock: DrivenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((digest,),) = await till.rows(
        "SELECT digest FROM config_activation WHERE (kind, key) = ('tariff', 'standard')"
    )
    await _watched(till, "held", 40, tariff_digest=digest)
    clock.advance(clock.now() + 28 * HOURS)
    await till.alarms()
    assert await _session(till) == ("ended", False, 11_000)
    assert await till.rows("SELECT provisional FROM payment") == [(True,)]


async def test_an_ended_session_is_billed_at_once(till: Till, clock: DrivenClock) -> None:
    await _watched(till, "ended", 40, payment={})
    clock.advance(clock.now() + 28 * HOURS)
    await till.alarms()
    assert await till.rows("SELECT bill_due_at FROM session") == [(clock.now(),)]
    assert await till.shown() == []


@pytest.mark.parametrize("state", ["captured", "released", "releasing", "declined"])
async def test_a_hold_that_is_settled_needs_nothing(
    till: Till, clock: DrivenClock, state: str
) -> None:
    await _watched(till, "open", 40, payment={"state": state})
    clock.advance(clock.now() + 28 * HOURS)
    assert await till.alarms() == 1
    assert (await _session(till))[0] == "open"
    assert await till.shown() == []


async def test_a_parked_capture_is_shown_before_it_lapses(till: Till, clock: DrivenClock) -> None:
    parked = {"state": "parked", "parked": "{}", "parked_why": "$501 is above $500"}
    await _watched(till, "ended", 40, payment=parked)
    clock.advance(clock.now() + 28 * HOURS)
    await till.alarms()
    assert await till.rows("SELECT code, detail->>'done' FROM anomaly") == [
        ("hold.lapsing", "parked")
    ]


async def test_the_nightly_look_finds_what_an_alarm_missed(till: Till, clock: DrivenClock) -> None:
    till.add(state="open", payment={"capture_before": clock.now() + 12 * HOURS}, stop_wh=None,
             terms=terms(lapse="stop"))  # fmt: skip
    async with till.world.work.transaction("x") as tx:
        snapshot = await till.world.snapshot(tx.now)
        await lapse.mind(tx, till.world, snapshot)
        await lapse.mind(tx, till.world, snapshot)
    assert await _stops(till) == ["hold_lapsing"]
    assert await till.shown() == ["hold.lapsing"]


async def test_one_that_has_time_is_left_alone(till: Till, clock: DrivenClock) -> None:
    till.add(state="open", payment={"capture_before": clock.now() + 13 * HOURS}, stop_wh=None)
    async with till.world.work.transaction("x") as tx:
        await lapse.mind(tx, till.world, await till.world.snapshot(tx.now))
    assert await till.shown() == []
