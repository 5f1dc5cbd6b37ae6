"""Prices on the displays of charge points that speak through the PyPI ``ocpp`` package, which holds
every message in either direction against the standard's schemas.

$0.40/kWh with a tenth of tax; 5 kWh cost $2.20.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import ocpp.messages
import ocpp.v16
import ocpp.v21
import ocpp.v201
import pytest
import websockets
from ocpp.routing import on

from sample_config import whole
from wattledger.clock import DrivenClock, utc_text
from wattledger.config import parse, versions
from wattledger.contract import Reason
from wattledger.db import versions as store
from wattledger.db.connect import Database, Pool
from wattledger.db.effects import Effect
from wattledger.db.roles import Role
from wattledger.db.work import Work, no_checkpoint
from wattledger.gateway import v16
from wattledger.gateway.server import Gateway
from wattledger.ingest.journal import Journal
from wattledger.pipeline.charging.start import Started
from wattledger.pipeline.world import World
from wattledger.worker import Worker

ocpp.messages.ASYNC_VALIDATION = False
T0 = datetime(2026, 11, 2, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)
Point = Callable[..., Any]


class Gates:
    """The gateway alone."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def gate(self, effect: Effect) -> Gateway:
        return self._gateway

    def lanes(self) -> list[str]:
        return self._gateway.lanes()


def _listening_to(package: ModuleType, *actions: str) -> Any:
    """A charge point of that version that takes what it is told and keeps it."""

    def take(action: str) -> Any:
        def taken(self: Any, **said: Any) -> Any:
            self.heard.append((action, said))
            answer = getattr(package.call_result, action)
            return answer() if action == "CostUpdated" else answer(status="Accepted")

        taken.__name__ = f"on_{action}"  # by which the package finds it again
        return on(action)(taken)

    return type("Listening", (package.ChargePoint,), {f"on_{a}": take(a) for a in actions})


class House:
    """Gateway and worker over one database; what falls due is done when a test says so."""

    def __init__(self, worker: Worker, clock: DrivenClock, url: str) -> None:
        self.clock, self._worker, self._url = clock, worker, url

    async def due(self) -> None:
        await self._worker.drain(10)

    @asynccontextmanager
    async def point(self, kind: Any, version: str) -> AsyncIterator[Any]:
        async with websockets.connect(
            f"{self._url}/Y-1", subprotocols=[websockets.Subprotocol(version)], proxy=None
        ) as socket:
            point = kind("Y-1", socket, 10)
            point.heard = []
            listening = asyncio.create_task(point.start())
            yield point
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, websockets.ConnectionClosed):
                await listening


@pytest.fixture
async def house(
    work: Work, pool: Pool, database: Database, clock: DrivenClock
) -> AsyncIterator[House]:
    config = whole(
        site__1__tax_percent="10", site__1__california_pricing=True, site__1__meter_interval_s=0,
        plan__1__discount_percent="0",
    )  # fmt: skip
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(config)), datetime(2026, 1, 1, tzinfo=UTC))
    world = World(work)
    async with Journal(pool, 30) as journal:
        gateway = Gateway(world, journal)
        port, _ = await gateway.begin("127.0.0.1", 0)
        worker = Worker(
            world, Gates(gateway), lambda: database.connect(Role.APP), no_checkpoint, outside=False
        )
        await worker.begin()
        yield House(worker, clock, f"ws://127.0.0.1:{port}/ocpp")
        await gateway.end()
        await worker.end()


async def _soon(house: House, condition: Callable[[], bool]) -> None:
    """What is written beside an answer may come after it."""

    async def work() -> None:
        while not condition():
            await house.due()
            await asyncio.sleep(0.02)

    async with asyncio.timeout(10):
        await work()


def _data(point: Any, name: str) -> list[Any]:
    return [
        json.loads(said["data"], parse_float=str)
        for action, said in point.heard
        if action == "DataTransfer" and said["message_id"] == name
    ]


async def test_a_1_6_charge_point(house: House) -> None:
    call = ocpp.v16.call
    kind = _listening_to(ocpp.v16, "ChangeConfiguration", "DataTransfer")
    async with house.point(kind, "ocpp1.6") as point:
        await point.call(call.BootNotification("Model", "Vendor"))
        await house.due()
        [(_, key)] = point.heard
        assert key["key"] == "DefaultPrice"
        assert json.loads(key["value"], parse_float=str)["chargingPrice"]["kWhPrice"] == "0.440"
        await point.call(call.Authorize("Acme-1"))
        await _soon(house, lambda: bool(_data(point, "SetUserPrice")))
        assert _data(point, "SetUserPrice")[0]["idToken"] == "Acme-1"

        begun = await point.call(call.StartTransaction(1, "Acme-1", 0, utc_text(T0)))
        number = begun.transaction_id
        await house.due()
        house.clock.advance(T0 + HALF_AN_HOUR)
        at = utc_text(T0 + HALF_AN_HOUR)
        values = [{"timestamp": at, "sampled_value": [{"value": "5000"}]}]
        await point.call(call.MeterValues(1, values, number))
        await house.due()
        costs = [(each["transactionId"], each["cost"]) for each in _data(point, "RunningCost")]
        assert costs == [(number, "0.000"), (number, "2.200")]
        await point.call(call.StopTransaction(5000, at, number))
        await house.due()
        [final] = _data(point, "FinalCost")
        assert (final["cost"], final["priceText"]) == ("2.200", "$2.20: Energy, all day $2.20")

        gone = json.dumps({"transactionId": number, "timestamp": at})
        vendor = "org.openchargealliance.costmsg"
        for message_id, data, status in (
            ("ConnectorUnplugged", gone, "Accepted"), ("Another", None, "UnknownMessageId"),
        ):  # fmt: skip
            answer = await point.call(call.DataTransfer(vendor, message_id, data))
            assert answer.status == status
        answer = await point.call(call.DataTransfer("com.example", "x", None))
        assert answer.status == "UnknownVendorId"


def _event(kind: str, seq_no: int, at: datetime, wh: int, **more: Any) -> dict[str, Any]:
    return {
        "event_type": kind, "timestamp": utc_text(at), "trigger_reason": "MeterValuePeriodic",
        "seq_no": seq_no, "transaction_info": {"transaction_id": "tx", "charging_state": "Charging",
                                               **more},
        "evse": {"id": 1, "connector_id": 1},
        "meter_value": [{"timestamp": utc_text(at), "sampled_value": [{"value": wh}]}],
    }  # fmt: skip


async def _charged(
    house: House, say: Callable[[dict[str, Any]], Awaitable[Any]], **more: Any
) -> list[Any]:
    """Half an hour with 5 kWh: the totals in the answers to its three events."""
    token = {"id_token": {"id_token": "Acme-1", "type": "ISO14443"}}
    totals = []
    for n, (kind, wh) in enumerate((("Started", 0), ("Updated", 5000), ("Ended", 5000))):
        at = T0 + (HALF_AN_HOUR if n else timedelta(0))
        house.clock.advance(at)
        answer = await say(_event(kind, n, at, wh, **more) | (token if n == 0 else {}))
        totals.append(answer.total_cost)
        await house.due()
    return totals


async def test_a_2_0_1_station(house: House) -> None:
    package = ocpp.v201
    async with house.point(_listening_to(package, "CostUpdated"), "ocpp2.0.1") as point:

        async def say(event: dict[str, Any]) -> Any:
            return await point.call(package.call.TransactionEvent(**event))

        assert await _charged(house, say) == [None, 2.2, 2.2]
        [started, updated] = [said for _, said in point.heard]
        assert (started["total_cost"], updated["total_cost"]) == (0, 2.2)
        prices = updated["custom_data"]
        assert prices["vendor_id"] == "org.openchargealliance.costmsg"
        assert (prices["state"], prices["meter_value"]) == ("Charging", 5000)


async def test_a_2_1_station(house: House) -> None:
    package = ocpp.v21
    kind = _listening_to(package, "CostUpdated", "SetDefaultTariff", "ChangeTransactionTariff")
    async with house.point(kind, "ocpp2.1") as point:
        await point.call(
            package.call.BootNotification(
                charging_station={"model": "M", "vendor_name": "V"}, reason="PowerUp"
            )
        )
        await house.due()
        [(action, said)] = point.heard
        assert (action, said["evse_id"]) == ("SetDefaultTariff", 0)
        tariff = said["tariff"]
        assert tariff["energy"]["prices"] == [{"price_kwh": 0.4}]
        token = {"id_token": "Acme-1", "type": "ISO14443"}
        answer = await point.call(package.call.Authorize(id_token=token))
        assert answer.tariff is None, "Acme has the default tariff"

        async def say(event: dict[str, Any]) -> Any:
            return await point.call(package.call.TransactionEvent(**event))

        assert await _charged(house, say, tariff_id=tariff["tariff_id"]) == [None, 2.2, 2.2]
        assert "ChangeTransactionTariff" not in {action for action, _ in point.heard}


async def test_what_a_message_caused_is_said_after_its_answer(
    listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker may take up a RunningCost before the answer has the transaction's id: it waits."""
    said: list[asyncio.Task[Any]] = []
    async with listening() as edge:

        async def step(*_: Any) -> Started:
            connection = edge.gateway.connection("D-1")
            said.append(asyncio.create_task(connection.call("e1", "DataTransfer", {}, 5)))
            await asyncio.sleep(0.05)
            return Started(17, Reason.ACCEPTED)

        monkeypatch.setattr(v16, "start_step", step)
        socket = await edge.connect()
        start = {"connectorId": 1, "idTag": "ANN", "meterStart": 0, "timestamp": utc_text(T0)}
        await socket.send(json.dumps([2, "s", "StartTransaction", start]))
        answer, call = json.loads(await socket.recv()), json.loads(await socket.recv())
        assert (answer[0], answer[2]["transactionId"], call[2]) == (3, 17, "DataTransfer")
        await socket.send(json.dumps([3, "e1", {}]))
        await said[0]
        await socket.close()
