"""When a bill ends: by what was seen, never by a guess, and never by a wrong clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sample_config import whole
from wattledger.clock import DrivenClock, utc_text
from wattledger.config import parse, versions
from wattledger.db import versions as store
from wattledger.db.work import Work
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.charging.end import stop
from wattledger.pipeline.charging.running import meter, status
from wattledger.pipeline.charging.start import start
from wattledger.pipeline.world import World
from wattledger.wire.ocpp import v16

T0 = datetime(2026, 11, 2, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ELEMENTS = [
    {"name": "energy", "components": [{"dimension": "energy", "price": "0.40", "unit": "kWh"}]},
    {"name": "idle", "components": [{"dimension": "idle_time", "price": "0.20", "unit": "minute"}]},
]


class Yard:
    """Charge point Y-1, 22 kW, an invoiced driver, no tax: 0.40 a kWh, idle 0.20 a minute."""

    def __init__(self, world: World, clock: DrivenClock) -> None:
        self.world, self.clock = world, clock

    async def start(self, said: datetime, register_wh: int = 0, token: str = "Acme-1") -> int:
        message = v16.StartTransaction(1, token, register_wh, utc_text(said))
        return (await start(self.world, "Y-1", message)).transaction_id

    async def stop(self, number: int, said: datetime, register_wh: int) -> None:
        await stop(self.world, "Y-1", v16.StopTransaction(register_wh, utc_text(said), number))

    async def meter(self, number: int, said: datetime, register_wh: int) -> None:
        value = v16.MeterValue(utc_text(said), [v16.SampledValue(str(register_wh))])
        await meter(self.world, "Y-1", v16.MeterValues(1, [value], number))

    async def status(self, name: str, said: datetime) -> None:
        message = v16.StatusNotification(1, name, "NoError", utc_text(said))
        await status(self.world, "Y-1", message, self.world.now)

    async def rows(self, query: str) -> list[dict[str, Any]]:
        async with self.world.work.pool.connection() as conn:
            return await (await conn.execute(query.encode())).fetchall()

    async def billed(self, after: timedelta = timedelta(seconds=60)) -> tuple[str, int | None]:
        """The first session, after the settle window: its state and its net."""
        self.clock.advance(self.world.now + after)
        [row, *_] = await self.rows("SELECT id FROM session ORDER BY transaction_id")
        state = await bill(self.world, row["id"])
        found = await self.rows("SELECT net_minor FROM charge")
        return state, found[0]["net_minor"] if found else None

    async def codes(self) -> list[str]:
        return [r["code"] for r in await self.rows("SELECT code FROM anomaly ORDER BY code")]


@pytest.fixture
async def yard(work: Work, clock: DrivenClock) -> Yard:
    config = parse(whole(tariff__0__elements=ELEMENTS, plan__1__discount_percent="0"))
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(config), datetime(2026, 1, 1, tzinfo=UTC))
    return Yard(World(work), clock)


async def _charged(yard: Yard, wh: int = 10_000) -> tuple[int, datetime]:
    """An hour with 10 kWh, stopped live."""
    number = await yard.start(T0)
    yard.clock.advance(T0 + HOUR)
    await yard.stop(number, T0 + HOUR, wh)
    return number, T0 + HOUR


async def test_an_unplug_seen_live_is_idle_until_then(yard: Yard) -> None:
    _, stopped = await _charged(yard)
    yard.clock.advance(stopped + 30 * MINUTE)
    await yard.status("Available", stopped + 30 * MINUTE)
    assert await yard.billed() == ("billed", 10 * 40 + 30 * 20)
    assert await yard.codes() == []


async def test_an_unplug_told_after_a_stop_that_was_queued_is_no_idle(yard: Yard) -> None:
    number = await yard.start(T0)
    yard.clock.advance(T0 + 70 * HOUR)
    await yard.stop(number, T0 + HOUR, 10_000)
    await yard.status("Available", T0 + 70 * HOUR)
    assert await yard.billed() == ("billed", 10 * 40)
    assert await yard.codes() == ["unplug.missing"]


async def test_an_unplug_told_late_closes_the_bill_at_the_stop_for_good(yard: Yard) -> None:
    _, stopped = await _charged(yard)
    yard.clock.advance(stopped + 30 * MINUTE)
    await yard.status("Available", stopped + 24 * MINUTE)
    await yard.status("Preparing", stopped + 30 * MINUTE)
    assert await yard.billed() == ("billed", 10 * 40)
    assert await yard.codes() == ["unplug.missing"]


async def test_idle_is_never_longer_than_its_limit(yard: Yard) -> None:
    _, stopped = await _charged(yard)
    yard.clock.advance(stopped + 30 * HOUR)
    await yard.status("Available", stopped + 30 * HOUR)
    assert await yard.billed() == ("billed", 10 * 40 + 24 * 60 * 20)


async def test_the_next_start_does_not_say_when_the_car_left(yard: Yard) -> None:
    _, stopped = await _charged(yard)
    yard.clock.advance(stopped + 2 * HOUR)
    await yard.start(stopped + 2 * HOUR, 10_000, "Acme-2")
    assert await yard.billed() == ("billed", 10 * 40)
    assert await yard.codes() == ["unplug.missing"]


async def test_a_fault_after_the_stop_is_not_the_drivers_idle(yard: Yard) -> None:
    """Idle 10 minutes, faulted 30, idle again 5."""
    _, stopped = await _charged(yard)
    for minutes, name in ((10, "Faulted"), (40, "Finishing"), (45, "Available")):
        yard.clock.advance(stopped + minutes * MINUTE)
        await yard.status(name, stopped + minutes * MINUTE)
    assert await yard.billed() == ("billed", 10 * 40 + (10 + 5) * 20)


async def test_a_stop_from_the_future_is_billed_after_the_settle_window(yard: Yard) -> None:
    number = await yard.start(T0)
    yard.clock.advance(T0 + HOUR)
    for _ in range(2):
        await yard.stop(number, datetime(2036, 1, 1, tzinfo=UTC), 10_000)
    [row] = await yard.rows("SELECT stopped_at, bill_due_at FROM session")
    assert row == {"stopped_at": T0 + HOUR, "bill_due_at": T0 + HOUR + MINUTE}
    assert await yard.billed() == ("billed", 10 * 40)
    assert await yard.codes() == ["clock.wrong", "unplug.missing"]


@pytest.mark.parametrize("said", [T0 + 6 * MINUTE, datetime(1970, 1, 1, tzinfo=UTC)])
async def test_a_start_by_a_wrong_clock_is_contracted_as_of_now(yard: Yard, said: datetime) -> None:
    number = await yard.start(said)
    assert await yard.start(said) == number, "repeated it is the same"
    [row] = await yard.rows("SELECT started_at, contract->>'as_of' AS as_of FROM session")
    assert (row["started_at"], datetime.fromisoformat(row["as_of"])) == (T0, T0)
    [fact] = await yard.rows("SELECT detail FROM session_fact")
    assert fact["detail"]["device_time"] == utc_text(said)
    assert await yard.codes() == ["clock.wrong"]


async def test_five_minutes_ahead_are_believed(yard: Yard) -> None:
    await yard.start(T0 + 5 * MINUTE)
    [row] = await yard.rows("SELECT started_at FROM session")
    assert row["started_at"] == T0 + 5 * MINUTE
    assert await yard.codes() == []


async def test_a_stop_that_comes_late_bills_what_was_held_for_want_of_it(yard: Yard) -> None:
    number = await yard.start(T0)
    yard.clock.advance(T0 + 3 * HOUR)
    await yard.start(T0 + 3 * HOUR, 10_000, "Acme-2")
    held = "SELECT state, held_reason FROM session ORDER BY transaction_id LIMIT 1"
    assert await yard.rows(held) == [{"state": "held", "held_reason": "stop.missing"}]
    await yard.stop(number, T0 + HOUR, 10_000)
    assert await yard.billed() == ("billed", 10 * 40)
    assert await yard.codes() == ["stop.late", "stop.missing", "unplug.missing"]


async def test_a_total_below_zero_is_held(work: Work, clock: DrivenClock) -> None:
    """10 kWh at -0.10 are -1.00: no way of collecting pays a driver."""
    config = parse(
        whole(
            tariff__0__elements=[
                {"components": [{"dimension": "energy", "price": "-0.10", "unit": "kWh"}]}
            ],
            plan__1__discount_percent="0",
        )
    )
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(config), datetime(2026, 1, 1, tzinfo=UTC))
    yard = Yard(World(work), clock)
    await _charged(yard)
    await yard.status("Available", T0 + HOUR)
    assert await yard.billed() == ("held", None)
    assert await yard.codes() == ["total_below_zero"]
    [row] = await yard.rows("SELECT detail FROM anomaly")
    assert "−$1.00" in row["detail"]["why"]
    assert await yard.rows("SELECT FROM entry") == []


async def _capped(work: Work, clock: DrivenClock, connected_at: datetime) -> Yard:
    """Idle 0.20 a minute, 12.00 at most: an hour. Stopped at T0 + 1 h, the cable still in."""
    config = parse(
        whole(
            tariff__0__elements=ELEMENTS,
            tariff__0__caps=[{"dimension": "idle_time", "amount": "12.00"}],
            plan__1__discount_percent="0",
        )
    )
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(config), datetime(2026, 1, 1, tzinfo=UTC))
    yard = Yard(World(work), clock)
    _, stopped = await _charged(yard)
    await yard.status("Finishing", stopped)
    async with work.transaction("connected") as tx:
        await tx.conn.execute("UPDATE charge_point_state SET connected_at = %s", (connected_at,))
    return yard


async def test_a_car_that_stays_is_billed_once_its_idle_costs_no_more(
    work: Work, clock: DrivenClock
) -> None:
    """12.00 at 0.20 a minute are reached after 60 minutes: nobody waits a day for the unplug."""
    yard = await _capped(work, clock, T0)
    (row,) = await yard.rows("SELECT bill_due_at, stopped_at FROM session")
    assert row["bill_due_at"] - row["stopped_at"] == HOUR
    assert await yard.billed(HOUR) == ("billed", 10 * 40 + 1_200)
    assert await yard.codes() == []
    (fact,) = await yard.rows("SELECT at, detail FROM session_fact WHERE kind = 'unplug'")
    assert (fact["at"], fact["detail"]["still_there"]) == (T0 + 2 * HOUR, True)


async def test_a_link_that_was_lost_after_the_stop_proves_no_idle(
    work: Work, clock: DrivenClock
) -> None:
    """It came back after the stop and has said nothing of the connector since."""
    yard = await _capped(work, clock, T0 + HOUR + 30 * MINUTE)
    assert await yard.billed(HOUR) == ("billed", 10 * 40)
    assert await yard.codes() == ["unplug.missing"]
