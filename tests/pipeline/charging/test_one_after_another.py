"""Two drivers one after the other, and what must not go from one to the other: statuses, stops,
tokens and ids. Charge point Y-1, 0.40 a kWh, idle 0.20 a minute, no tax."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from test_end import ELEMENTS, HOUR, MINUTE, T0

from sample_config import whole
from wattledger.clock import DrivenClock, utc_text
from wattledger.config import parse, versions
from wattledger.db import versions as store
from wattledger.db.work import Work
from wattledger.gateway.connection import Peer
from wattledger.gateway.server import PROTOCOLS
from wattledger.pipeline.billing.adjust import adjust
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.world import World
from wattledger.wire.ocpp.frames import Call, CallResult

ANN, BOB = "Acme-1", "Acme-2"


class Post:
    """Y-1 as it speaks; each message is told when it happens, unless ``told`` says later."""

    def __init__(self, world: World, clock: DrivenClock, version: str) -> None:
        self.world, self.clock = world, clock
        self._peer = Peer(world, "Y-1", PROTOCOLS[version])

    async def say(self, at: datetime, action: str, **payload: Any) -> dict[str, Any]:
        self.clock.advance(max(at, self.world.now))
        answer = await self._peer.answer(Call("m", action, payload))
        assert isinstance(answer, CallResult), answer
        return answer.payload

    async def event(
        self, kind: str, ref: str, seq: int, at: datetime, wh: int, token: str | None = None,
        told: datetime | None = None, **info: Any,
    ) -> None:  # fmt: skip
        context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind)
        sample = {"value": wh} | ({"context": context} if context else {})
        more = {"idToken": {"idToken": token, "type": "ISO14443"}} if token else {}
        await self.say(
            told or at, "TransactionEvent", eventType=kind, timestamp=utc_text(at), seqNo=seq,
            triggerReason="MeterValuePeriodic", evse={"id": 1, "connectorId": 1},
            transactionInfo={"transactionId": ref, "chargingState": "Charging", **info},
            meterValue=[{"timestamp": utc_text(at), "sampledValue": [sample]}], **more,
        )  # fmt: skip

    async def available(self, at: datetime) -> None:
        await self.say(at, "StatusNotification", timestamp=utc_text(at), evseId=1, connectorId=1,
                       connectorStatus="Available")  # fmt: skip

    async def start(self, at: datetime, wh: int, token: str, connector_id: int = 1) -> int:
        answer = await self.say(at, "StartTransaction", connectorId=connector_id, idTag=token,
                                meterStart=wh, timestamp=utc_text(at))  # fmt: skip
        return int(answer["transactionId"])

    async def meter(self, number: int, at: datetime, wh: int) -> None:
        value = [{"timestamp": utc_text(at), "sampledValue": [{"value": str(wh)}]}]
        await self.say(at, "MeterValues", connectorId=1, transactionId=number, meterValue=value)

    async def status(self, at: datetime, name: str) -> None:
        await self.say(at, "StatusNotification", connectorId=1, status=name, errorCode="NoError",
                       timestamp=utc_text(at))  # fmt: skip

    async def stop(self, number: int, at: datetime, wh: int, **more: Any) -> None:
        await self.say(at, "StopTransaction", transactionId=number, meterStop=wh,
                       timestamp=utc_text(at), **more)  # fmt: skip

    async def rows(self, query: str) -> list[dict[str, Any]]:
        async with self.world.work.pool.connection() as conn:
            return await (await conn.execute(query.encode())).fetchall()

    async def billed(self, after: timedelta = 26 * HOUR) -> list[tuple[str, str, int]]:
        """Whom, how, and what is charged in all, once nothing more is waited for."""
        self.clock.advance(self.world.now + after)
        for row in await self.rows("SELECT id FROM session ORDER BY started_at"):
            await bill(self.world, row["id"])
            await adjust(self.world, row["id"])
        found = await self.rows(
            "SELECT token, state, (SELECT COALESCE(sum(net_minor), 0)::bigint FROM charge"
            " WHERE session_id = s.id) AS net FROM session s ORDER BY started_at"
        )
        return [(row["token"], row["state"], row["net"]) for row in found]


@pytest.fixture
async def posts(work: Work, clock: DrivenClock) -> Any:
    config = parse(whole(tariff__0__elements=ELEMENTS, plan__1__discount_percent="0"))
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(config), datetime(2026, 1, 1, tzinfo=UTC))
    world = World(work)
    return lambda version: Post(world, clock, version)


async def test_an_end_that_comes_after_the_next_start_waits_for_no_unplug(posts: Any) -> None:
    """Ann: 9 kWh. Bob, who came two minutes after her, stays 60 minutes after his 1 kWh."""
    post = posts("ocpp2.0.1")
    await post.event("Started", "a", 0, T0, 0, ANN)
    await post.event("Started", "b", 0, T0 + 61 * MINUTE, 9_000, BOB)
    await post.event("Ended", "a", 1, T0 + 59 * MINUTE, 9_000, told=T0 + 62 * MINUTE)
    await post.event("Ended", "b", 1, T0 + 120 * MINUTE, 10_000)
    await post.available(T0 + 180 * MINUTE)
    assert await post.billed() == [(ANN, "billed", 9 * 40), (BOB, "billed", 40 + 60 * 20)]


async def test_what_the_next_car_does_is_not_the_one_befores_idle(posts: Any) -> None:
    """Ann's stop is lost after 2 kWh; Bob's car idles for half an hour of his 7 kWh."""
    post = posts("ocpp1.6")
    ann = await post.start(T0, 0, ANN)
    await post.meter(ann, T0 + 10 * MINUTE, 2_000)
    bob = await post.start(T0 + 20 * MINUTE, 2_000, BOB)
    await post.status(T0 + 40 * MINUTE, "SuspendedEV")
    await post.status(T0 + 70 * MINUTE, "Charging")
    await post.stop(bob, T0 + 71 * MINUTE, 9_000)
    await post.status(T0 + 71 * MINUTE, "Available")
    assert await post.billed() == [(ANN, "billed", 80), (BOB, "billed", 7 * 40 + 30 * 20)]


async def test_of_two_different_stops_nothing_of_the_second_is_billed(posts: Any) -> None:
    post = posts("ocpp1.6")
    ann = await post.start(T0, 0, ANN)
    await post.stop(ann, T0 + HOUR, 9_000)
    await post.status(T0 + HOUR, "Available")
    said = [{"timestamp": utc_text(T0 + HOUR),
             "sampledValue": [{"value": "15000", "context": "Transaction.End"}]}]  # fmt: skip
    await post.stop(ann, T0 + HOUR, 15_000, transactionData=said)
    assert await post.billed() == [(ANN, "billed", 9 * 40)]
    assert [row["code"] for row in await post.rows("SELECT code FROM anomaly")] == ["stop.differs"]


async def test_an_id_used_again_after_a_power_cut_is_another_session(posts: Any) -> None:
    """Ann's end was never told: 2 kWh were read. The station counts anew, and Bob is "1" too."""
    post = posts("ocpp2.0.1")
    await post.event("Started", "1", 0, T0, 0, ANN)
    await post.event("Updated", "1", 1, T0 + 10 * MINUTE, 2_000)
    await post.event("Started", "1", 0, T0 + 40 * MINUTE, 2_000, BOB)
    await post.event("Ended", "1", 1, T0 + 60 * MINUTE, 8_000)
    await post.available(T0 + 60 * MINUTE)
    assert await post.billed() == [(ANN, "billed", 80), (BOB, "billed", 6 * 40)]


async def test_whoever_stops_it_is_not_who_pays(posts: Any) -> None:
    """Ann's token is in an event that comes after the end, which Bob's card made. Her car stays for
    two minutes."""
    post = posts("ocpp2.0.1")
    await post.event("Started", "t", 0, T0, 0)
    await post.event("Ended", "t", 2, T0 + HOUR, 9_000, BOB)
    await post.event("Updated", "t", 1, T0 + MINUTE, 0, ANN, told=T0 + 62 * MINUTE)
    await post.available(T0 + 62 * MINUTE)
    assert await post.billed() == [(ANN, "billed", 9 * 40 + 2 * 20)]


async def test_a_stop_without_a_number_ends_nothing_where_there_are_two_connectors(
    posts: Any,
) -> None:
    post = posts("ocpp1.6")
    ann = await post.start(T0, 1_000, ANN)
    await post.say(T0 + MINUTE, "StatusNotification", connectorId=2, status="Charging",
                   errorCode="NoError")  # fmt: skip
    await post.stop(-1, T0 + 10 * MINUTE, 4_000)
    await post.stop(ann, T0 + HOUR, 20_000)
    await post.status(T0 + HOUR, "Available")
    assert await post.billed() == [(ANN, "billed", 19 * 40)]


async def test_a_stop_that_names_its_session_takes_the_place_of_one_that_did_not(
    posts: Any,
) -> None:
    post = posts("ocpp1.6")
    ann = await post.start(T0, 1_000, ANN)
    await post.stop(-1, T0 + 10 * MINUTE, 4_000)
    assert await post.billed(2 * HOUR) == [(ANN, "billed", 3 * 40)]
    await post.stop(ann, T0 + HOUR, 20_000)
    assert await post.billed() == [(ANN, "adjusted", 19 * 40)]


async def test_a_stop_that_comes_after_its_session_was_held_is_taken(posts: Any) -> None:
    """90 kWh in ten minutes can't be: held. The stop says 4 kWh."""
    post = posts("ocpp1.6")
    ann = await post.start(T0, 0, ANN)
    await post.meter(ann, T0 + 10 * MINUTE, 2_000)
    await post.meter(ann, T0 + 20 * MINUTE, 90_000)
    await post.start(T0 + 25 * MINUTE, 4_000, BOB)
    assert (await post.billed(2 * HOUR))[0] == (ANN, "held", 0)
    await post.stop(ann, T0 + 22 * MINUTE, 4_000)
    assert (await post.billed())[0] == (ANN, "billed", 4 * 40)
