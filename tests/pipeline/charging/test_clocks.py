"""Clocks that are wrong: a session has one scale of time, and nobody pays for what a clock says.

0.40 a kWh and 0.10 a minute of charging, idle 0.20 a minute, no tax.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sample_config import whole
from wattledger.clock import DrivenClock, utc_text
from wattledger.config import parse, versions
from wattledger.db import versions as store
from wattledger.db.work import Work
from wattledger.errors import Conflict
from wattledger.gateway.connection import Peer
from wattledger.gateway.server import PROTOCOLS
from wattledger.pipeline import proxied
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.billing.resolve import Act, Edge, resolve
from wattledger.pipeline.charging import clocks
from wattledger.pipeline.charging.clocks import Heard
from wattledger.pipeline.world import World
from wattledger.wire.ocpp import v16
from wattledger.wire.ocpp.frames import Call, CallResult

T0 = datetime(2026, 11, 2, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NEVER_SET = datetime(1970, 1, 1, tzinfo=UTC)
BEHIND = 2 * HOUR
TOKENS = {"Y-1": "Acme-1", "D-1": "ANN", "D-2": "Acme-1"}
ELEMENTS = [
    {"name": name, "components": [{"dimension": dimension, "price": price, "unit": unit}]}
    for name, dimension, price, unit in (
        ("energy", "energy", "0.40", "kWh"), ("time", "charging_time", "0.10", "minute"),
        ("idle", "idle_time", "0.20", "minute"),
    )
]  # fmt: skip


class Point:
    """A charge point: what it ``said`` of when something was, and when it told it."""

    def __init__(self, world: World, clock: DrivenClock, version: str, name: str) -> None:
        self.world, self.clock, self.name = world, clock, name
        self.token = TOKENS[name]
        self._peer = Peer(world, name, PROTOCOLS[version])

    async def say(self, told: datetime, action: str, **payload: Any) -> dict[str, Any]:
        self.clock.advance(max(told, self.world.now))
        answer = await self._peer.answer(Call("m", action, payload))
        assert isinstance(answer, CallResult), answer
        return answer.payload

    async def start(self, told: datetime, said: datetime, wh: int = 0) -> int:
        answer = await self.say(told, "StartTransaction", connectorId=1, idTag=self.token,
                                meterStart=wh, timestamp=utc_text(said))  # fmt: skip
        return int(answer["transactionId"])

    async def meter(self, number: int, told: datetime, said: datetime, wh: int) -> None:
        value = [{"timestamp": utc_text(said), "sampledValue": [{"value": str(wh)}]}]
        await self.say(told, "MeterValues", connectorId=1, transactionId=number, meterValue=value)

    async def status(self, told: datetime, said: datetime, name: str = "Preparing") -> None:
        await self.say(told, "StatusNotification", connectorId=1, status=name,
                       errorCode="NoError", timestamp=utc_text(said))  # fmt: skip

    async def stop(self, number: int, told: datetime, said: datetime, wh: int) -> None:
        await self.say(told, "StopTransaction", transactionId=number, meterStop=wh,
                       timestamp=utc_text(said))  # fmt: skip

    async def event(
        self, told: datetime, kind: str, seq: int, said: datetime, interval_wh: int | None = None,
        *, offline: bool = False, wh: int | None = None,
    ) -> None:  # fmt: skip
        if interval_wh is not None:
            sample = {"value": interval_wh, "measurand": "Energy.Active.Import.Interval"}
        else:
            context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}
            sample = {"value": wh or 0, "context": context.get(kind, "Sample.Periodic")}
        await self.say(
            told, "TransactionEvent", eventType=kind, timestamp=utc_text(said), seqNo=seq,
            triggerReason="MeterValuePeriodic", evse={"id": 1}, offline=offline,
            transactionInfo={"transactionId": "t", "chargingState": "Charging"},
            meterValue=[{"timestamp": utc_text(said), "sampledValue": [sample]}],
            **({"idToken": {"idToken": self.token, "type": "x"}} if kind == "Started" else {}),
        )  # fmt: skip

    async def rows(self, query: str) -> list[dict[str, Any]]:
        async with self.world.work.pool.connection() as conn:
            return await (await conn.execute(query.encode())).fetchall()

    async def codes(self) -> set[str]:
        return {row["code"] for row in await self.rows("SELECT code FROM anomaly")}

    async def billed(self) -> list[tuple[str, datetime, int, int | None]]:
        """Its sessions a day later: state (or what holds it), start, minutes and net."""
        self.clock.advance(self.world.now + 26 * HOUR)
        for row in await self.rows(f"SELECT id FROM session WHERE charge_point_id = '{self.name}'"):
            await bill(self.world, row["id"])
        found = await self.rows(
            "SELECT COALESCE(held_reason, state) AS state, started_at, stopped_at,"
            " (SELECT sum(net_minor)::bigint FROM charge WHERE session_id = s.id) AS net"
            f" FROM session AS s WHERE charge_point_id = '{self.name}' ORDER BY transaction_id"
        )
        return [
            (row["state"], row["started_at"],
             (row["stopped_at"] - row["started_at"]) // MINUTE, row["net"])
            for row in found
        ]  # fmt: skip


@pytest.fixture
async def point(work: Work, clock: DrivenClock) -> Any:
    config = parse(whole(tariff__0__elements=ELEMENTS, plan__1__discount_percent="0"))
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(config), datetime(2026, 1, 1, tzinfo=UTC))
    world = World(work)
    return lambda version="ocpp1.6", name="Y-1": Point(world, clock, version, name)


def test_a_message_by_a_clock_that_is_behind_is_moved_unless_that_would_be_the_future() -> None:
    def heard(late: timedelta, offset: timedelta | None = BEHIND) -> Heard:
        return clocks.hear(T0 - late, T0, offset)

    assert heard(BEHIND) == Heard(T0 - BEHIND, T0, wrong=True, live=True)
    # Kept for an hour, by the same clock.
    assert heard(3 * HOUR) == Heard(T0 - 3 * HOUR, T0 - HOUR, wrong=True, live=False)
    # The clock was put right: of now, and of half an hour ago.
    assert heard(0 * HOUR) == Heard(T0, T0, wrong=False, live=True)
    assert heard(30 * MINUTE) == Heard(T0 - 30 * MINUTE, T0 - 30 * MINUTE, wrong=False, live=False)
    assert heard(BEHIND, None).at == T0 - BEHIND
    # 2019 is before any session; so is the future.
    for said in (datetime(2019, 12, 31, tzinfo=UTC), T0 + 6 * MINUTE):
        assert clocks.hear(said, T0) == Heard(said, T0, wrong=True, live=False, lost=True)


async def test_a_clock_that_is_behind_moves_all_of_a_session(
    point: Any, work: Work, clock: DrivenClock
) -> None:
    """5 kWh in 30 minutes are 2.00 and 3.00. The first session goes on in a gateway that began
    anew, with a reading that is told late; in the second the clock is put right."""
    p, t = point(), T0 + 3 * HOUR
    await p.status(t, t - BEHIND)
    # No second status: a start that is as late as one was ten minutes ago says the same.
    t += 11 * MINUTE
    number = await p.start(t, t - BEHIND)
    again = Point(World(work), clock, "ocpp1.6", "Y-1")
    await again.meter(number, t + 25 * MINUTE, t - BEHIND + 10 * MINUTE, 1_500)
    await again.stop(number, t + 30 * MINUTE, t - BEHIND + 30 * MINUTE, 5_000)
    # A start of such a clock is said once: the same again is no other.
    assert await p.start(t + 31 * MINUTE, t - BEHIND) == number
    second = t + HOUR
    number = await p.start(second, second - BEHIND, 5_000)
    await p.stop(number, second + 30 * MINUTE, second + 30 * MINUTE, 10_000)
    assert await p.billed() == [("billed", t, 30, 500), ("billed", second, 30, 500)]
    facts = await p.rows("SELECT at FROM session_fact WHERE kind = 'meter' ORDER BY id")
    assert [row["at"] for row in facts] == [t + 10 * MINUTE]
    assert await p.codes() == {"clock.wrong", "unplug.missing"}


async def test_what_was_kept_offline_is_on_the_same_scale(point: Any) -> None:
    """Intervals of 1 and 2 kWh, one of them told a quarter of an hour later, and the end two hours
    later, all ``offline``: 3 kWh and 30 minutes are 1.20 and 3.00."""
    p, t = point("ocpp2.0.1"), T0 + 3 * HOUR
    for told in (t, t + 11 * MINUTE):
        await p.say(told, "StatusNotification", timestamp=utc_text(told - BEHIND), evseId=1,
                    connectorId=1, connectorStatus="Occupied")  # fmt: skip
    t += 12 * MINUTE
    said = t - BEHIND
    await p.event(t, "Started", 0, said, 0)
    await p.event(t + 30 * MINUTE, "Updated", 1, said + 15 * MINUTE, 1_000, offline=True)
    await p.event(t + 150 * MINUTE, "Ended", 2, said + 30 * MINUTE, 2_000, offline=True)
    assert await p.billed() == [("billed", t, 30, 420)]


async def test_times_that_cannot_be_known_hold_the_session(point: Any) -> None:
    """A clock that is behind, and was not known to be: it shows when the stop is as late. One that
    was put right meanwhile: a status was as late as the start. A start that was kept while offline
    says neither, and is billed: 5 kWh, and of a fleet the depot wants nothing for time."""
    behind, right, kept = point(), point(name="D-1"), point(name="D-2")
    t = T0 + 3 * HOUR
    for p in (behind, right):
        await p.status(t, t - BEHIND)
    numbers = [await p.start(t, t - BEHIND) for p in (behind, right, kept)]
    await behind.status(t + 12 * MINUTE, t - BEHIND + 12 * MINUTE, "SuspendedEVSE")
    await behind.status(t + 20 * MINUTE, t - BEHIND + 20 * MINUTE, "Charging")
    late = t + 30 * MINUTE
    await behind.stop(numbers[0], late, late - BEHIND, 5_000)
    await right.stop(numbers[1], late, late, 5_000)
    await kept.stop(numbers[2], late, late, 5_000)
    # On one scale all the same: 30 minutes, not 150.
    assert await behind.billed() == [("clock.changed", t - BEHIND, 30, None)]
    # A person has to say when it was; only seeing it is not enough. 2.00 and 3.00.
    [anomaly] = await behind.rows("SELECT id FROM anomaly WHERE code = 'clock.changed'")
    with pytest.raises(Conflict, match="Correct it"):
        await resolve(behind.world, anomaly["id"], Act("accept", "seen"), "page:Ann")
    told = Act("correct", "his clock", start=Edge(at=t), stop=Edge(at=late))
    await resolve(behind.world, anomaly["id"], told, "page:Ann")
    assert await behind.billed() == [("billed", t - BEHIND, 30, 500)]
    assert await right.billed() == [("clock.changed", t - BEHIND, 150, None)]
    assert await kept.billed() == [("billed", t - BEHIND, 150, 200)]


async def test_a_clock_that_was_never_set_still_measures(point: Any) -> None:
    """51 minutes and 8 kWh, told after 283 minutes: 3.20 and 5.10. A charge point that began anew
    meanwhile measures nothing: the time of receipt counts, which is an hour."""
    p, said = point(), NEVER_SET + 30 * MINUTE
    number = await p.start(T0, said)
    back = T0 + 283 * MINUTE
    await p.meter(number, back, said + 20 * MINUTE, 3_000)
    await p.stop(number, back, said + 51 * MINUTE, 8_000)
    second = T0 + 6 * HOUR
    number = await p.start(second, said, 8_000)
    await p.meter(number, second + HOUR, NEVER_SET + MINUTE, 9_000)
    await p.stop(number, second + HOUR, NEVER_SET + MINUTE, 9_000)
    assert await p.billed() == [("billed", T0, 51, 830), ("billed", second, 60, 640)]
    facts = await p.rows("SELECT at FROM session_fact WHERE kind = 'meter' ORDER BY id")
    assert [row["at"] for row in facts] == [T0 + 20 * MINUTE, second + HOUR]
    assert await p.codes() == {"clock.wrong", "unplug.missing"}


async def test_events_of_such_a_clock_that_come_in_another_order(point: Any) -> None:
    """The end first, an hour after the start. Nothing is told before it happens: so the start was
    an hour before the end came, and 9 kWh and 60 minutes are 3.60 and 6.00."""
    p = point("ocpp2.0.1")
    await p.event(T0 + HOUR, "Ended", 1, NEVER_SET + HOUR, wh=9_000)
    await p.event(T0 + HOUR + MINUTE, "Started", 0, NEVER_SET)
    assert await p.billed() == [("billed", T0, 60, 960)]


async def test_a_clock_at_the_date_of_its_firmware_is_wrong(point: Any) -> None:
    """The site is configured since 2026: 2018 and 2023 are no time of a session there."""
    p = point()
    for n, said in enumerate((datetime(2018, 6, 1, tzinfo=UTC), datetime(2023, 6, 1, tzinfo=UTC))):
        at = T0 + 3 * n * HOUR
        number = await p.start(at, said, 8_000 * n)
        await p.stop(number, at + HOUR, said + HOUR, 8_000 * (n + 1))
    assert await p.billed() == [("billed", T0, 60, 920), ("billed", T0 + 3 * HOUR, 60, 920)]
    assert "clock.wrong" in await p.codes()


async def test_the_same_start_several_times_at_once_is_one(point: Any) -> None:
    p = point()
    numbers = await asyncio.gather(*(p.start(T0, T0) for _ in range(4)))
    assert len(set(numbers)) == 1
    assert len(await p.rows("SELECT FROM decision")) == 1


async def test_a_clock_that_begins_anew_says_the_same_start_again(
    point: Any, work: Work, clock: DrivenClock
) -> None:
    """Three times the same words: a session that is over, the next, and the next again, whose
    answer was lost. Replayed, as of when they came, they are the same two, with two holds."""
    p, said = point(name="D-1"), NEVER_SET
    first = await p.start(T0, said)
    await p.stop(first, T0 + HOUR, said + HOUR, 0)
    second = await p.start(T0 + 2 * HOUR, said)
    assert second != first
    assert await p.start(T0 + 2 * HOUR + MINUTE, said) == second
    await p.stop(second, T0 + 3 * HOUR, said + HOUR, 0)
    for told, number in ((0, first), (120, second), (121, second)):
        then = DrivenClock(T0 + told * MINUTE)
        replay = Point(World(Work(work.pool, then)), then, "ocpp1.6", "D-1")
        assert await replay.start(then.now(), said) == number
    assert len(await p.rows("SELECT FROM session")) == 2
    assert len(await p.rows("SELECT FROM effect WHERE kind = 'stripe.hold'")) == 2


async def test_such_a_start_behind_a_cpms_has_the_number_of_its_own(point: Any) -> None:
    """The CPMS calls the first 7 and the second 8; the third comes while it is away."""
    p = point()
    words = v16.StartTransaction(1, p.token, 0, utc_text(NEVER_SET))
    for n, ref in enumerate((7, 8)):
        p.clock.advance(T0 + n * 2 * HOUR)
        for _ in range(2):
            seen = await proxied.start(p.world, p.name, words, ref, None)
            assert (seen.ref, seen.named) == (ref, None)
        await p.stop(ref, T0 + (2 * n + 1) * HOUR, NEVER_SET + HOUR, 0)
    p.clock.advance(T0 + 4 * HOUR)
    alone = [await proxied.start_alone(p.world, p.name, words, "raw") for _ in range(2)]
    assert alone[0].ref == alone[1].ref
    assert alone[0].ref not in (7, 8)
    refs = await p.rows("SELECT transaction_ref AS ref FROM session ORDER BY started_at")
    assert [row["ref"] for row in refs] == ["7", "8", str(alone[0].ref)]


def test_a_queue_in_which_one_is_as_late_as_the_start_is_no_clock() -> None:
    """The start came 20 minutes late. What was kept came at once, 48, 33, 18 and 3 minutes late."""
    start = {"received_at": T0, "late": 20 * MINUTE}
    at = T0 + 70 * MINUTE
    queue = [{"received_at": at, "late": late * MINUTE} for late in (48, 33, 18, 3)]
    assert not clocks._as_late_again(queue, start)
    steady = [{"received_at": at + n * MINUTE, "late": 20 * MINUTE} for n in (0, 15)]
    assert clocks._as_late_again(steady, start)
