"""Commands over a real socket, to charge points that speak through the PyPI ``ocpp`` package."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import ocpp.messages
import ocpp.v16
import ocpp.v201
import pytest
import websockets
from ocpp.routing import on
from ocpp.v16 import call as call16
from ocpp.v201 import call as call201

from sample_config import whole
from wattledger.api.app import make_app
from wattledger.api.keys import Keys
from wattledger.api.state import State
from wattledger.clock import utc_text
from wattledger.config import ApiKey, parse, versions
from wattledger.db import versions as store
from wattledger.db.connect import Database, Pool
from wattledger.db.effects import Effect
from wattledger.db.roles import Role
from wattledger.db.work import Work, no_checkpoint
from wattledger.gateway.server import Gateway
from wattledger.ingest.journal import Journal
from wattledger.pipeline.world import World
from wattledger.worker import Worker

ocpp.messages.ASYNC_VALIDATION = False
KEY = ApiKey("app", "APP", ("sessions:read", "commands:write"))
APP = {"Authorization": "Bearer app"}


class Old(ocpp.v16.ChargePoint):
    """1.6, with a connector that takes remote starts and a cache."""

    heard: list[tuple[str, dict[str, Any]]]

    @on("ChangeConfiguration")
    def on_change(self, **said: Any) -> Any:
        self.heard.append(("ChangeConfiguration", said))
        return ocpp.v16.call_result.ChangeConfiguration(status="Accepted")

    @on("RemoteStartTransaction")
    def on_start(self, **said: Any) -> Any:
        self.heard.append(("RemoteStartTransaction", said))
        return ocpp.v16.call_result.RemoteStartTransaction(status="Accepted")

    @on("RemoteStopTransaction")
    def on_stop(self, **said: Any) -> Any:
        self.heard.append(("RemoteStopTransaction", said))
        return ocpp.v16.call_result.RemoteStopTransaction(status="Accepted")


class New(ocpp.v201.ChargePoint):
    """2.0.1, whose EVSE is out of order; the cache is not there at all."""

    heard: list[tuple[str, dict[str, Any]]]

    @on("SetVariables")
    def on_set(self, set_variable_data: list[dict[str, Any]]) -> Any:
        self.heard.append(("SetVariables", set_variable_data[0]))
        result = {
            "attribute_status": "Accepted",
            "component": set_variable_data[0]["component"],
            "variable": set_variable_data[0]["variable"],
        }
        return ocpp.v201.call_result.SetVariables(set_variable_result=[result])

    @on("RequestStartTransaction")
    def on_start(self, **said: Any) -> Any:
        self.heard.append(("RequestStartTransaction", said))
        return ocpp.v201.call_result.RequestStartTransaction(status="Rejected")


class Gates:
    """The gateway alone."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def gate(self, effect: Effect) -> Gateway:
        return self._gateway

    def lanes(self) -> list[str]:
        return self._gateway.lanes()


class House:
    """Gateway, worker and API over one database; what falls due is done when a test says so."""

    def __init__(self, worker: Worker, http: httpx.AsyncClient, url: str) -> None:
        self.worker, self.http, self.url = worker, http, url

    @asynccontextmanager
    async def point(self, kind: Any, point_id: str, version: str) -> AsyncIterator[Any]:
        async with websockets.connect(
            f"{self.url}/{point_id}", subprotocols=[websockets.Subprotocol(version)], proxy=None
        ) as socket:
            point = kind(point_id, socket, 10)
            point.heard = []
            listening = asyncio.create_task(point.start())
            yield point
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, websockets.ConnectionClosed):
                await listening

    async def post(self, path: str, body: Any, status: int = 202) -> dict[str, Any]:
        answer = await self.http.post(f"/v1/charge-points/{path}", json=body, headers=APP)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    async def command(self, command_id: str) -> dict[str, Any]:
        await self.worker.drain(10)
        answer = await self.http.get(f"/v1/commands/{command_id}", headers=APP)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@pytest.fixture
async def house(work: Work, pool: Pool, database: Database) -> AsyncIterator[House]:
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(whole())), datetime(2026, 1, 1, tzinfo=UTC))
    world = World(work)
    async with Journal(pool, 30) as journal:
        gateway = Gateway(world, journal)
        port, _ = await gateway.begin("127.0.0.1", 0)
        worker = Worker(
            world, Gates(gateway), lambda: database.connect(Role.APP), no_checkpoint, outside=False
        )
        await worker.begin()
        state = State(world, pool, Keys((KEY,), str.lower), str.lower, worker.wake)
        transport = httpx.ASGITransport(app=make_app(state, []))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            yield House(worker, http, f"ws://127.0.0.1:{port}/ocpp")
        await gateway.end()
        await worker.end()


async def test_a_1_6_charge_point_is_set_started_and_stopped(house: House) -> None:
    async with house.point(Old, "Y-1", "ocpp1.6") as point:
        await point.call(call16.BootNotification("Model", "Vendor"))
        await house.worker.drain(10)
        assert {name for name, _ in point.heard} == {"ChangeConfiguration"}
        assert {"key": "ClockAlignedDataInterval", "value": "900"} in [s for _, s in point.heard]
        point.heard.clear()

        start = {"token": "Acme-1", "connector_id": 1, "reference": "app-1"}
        asked = await house.post("Y-1/remote-start", start)
        for _ in range(2):
            assert await house.post("Y-1/remote-start", start) == asked
            found = await house.command(asked["id"])
        assert found["state"] == "accepted"
        assert found["session_id"] is None
        assert point.heard == [
            ("RemoteStartTransaction", {"id_tag": "Acme-1", "connector_id": 1})
        ], "once"
        begun = await point.call(
            call16.StartTransaction(1, "Acme-1", 0, utc_text(house.worker.world.now))
        )
        found = await house.command(asked["id"])
        stop = {"session_id": found["session_id"]}
        stopping = await house.post("Y-1/remote-stop", stop)
        assert (await house.command(stopping["id"]))["state"] == "accepted"
        assert point.heard[1:] == [
            ("RemoteStopTransaction", {"transaction_id": begun.transaction_id})
        ]
        # It has no trigger: the package says NotImplemented, or NotSupported.
        trigger = await house.post("Y-1/trigger", {"message": "MeterValues", "connector_id": 1})
        refused = await house.command(trigger["id"])
        assert refused["state"] == "refused"
        assert refused["answer"]["code"].startswith("Not")


async def test_a_2_0_1_station_refuses(house: House) -> None:
    async with house.point(New, "D-1", "ocpp2.0.1") as point:
        station = {"model": "M", "vendor_name": "V"}
        await point.call(call201.BootNotification(charging_station=station, reason="PowerUp"))
        await house.worker.drain(10)
        assert {name for name, _ in point.heard} == {"SetVariables"}
        point.heard.clear()
        start = {"token": "Acme-1", "connector_id": 1, "token_type": "ISO14443"}
        asked = await house.http.post(
            "/v1/charge-points/D-1/remote-start", json=start,
            headers={**APP, "Idempotency-Key": "k1"},
        )  # fmt: skip
        assert asked.status_code == 202, asked.text
        found = await house.command(asked.json()["id"])
        assert (found["state"], found["answer"]["code"]) == ("refused", "Rejected")
        ((_, said),) = point.heard
        assert (said["evse_id"], said["id_token"]["type"]) == (1, "ISO14443")
        cleared = await house.post("D-1/clear-cache", {})
        assert (await house.command(cleared["id"]))["state"] == "refused"


async def test_what_is_not_asked_for_rightly(house: House) -> None:
    """Nothing of it becomes a command."""
    wrong: list[tuple[str, dict[str, Any], int, str | None]] = [
        ("Y-1/remote-start", {"token": "Acme-1"}, 422, "$.reference"),
        ("Y-1/remote-start", {"token": "", "reference": "r"}, 422, "$.token"),
        ("Y-1/remote-start", {"token": "A", "reference": "r", "connector_id": 0}, 422,
         "$.connector_id"),
        ("Y-1/remote-start", {"token": "A", "reference": "r", "token_type": "RFID"}, 422,
         "$.token_type"),
        ("Y-1/remote-start", {"token": "A", "reference": "r", "colour": "red"}, 422, "$"),
        ("Y-1/remote-start", {"token": "LOST", "reference": "r"}, 409, None),
        ("Y-1/remote-stop", {"session_id": "ses_none"}, 404, None),
        ("Y-1/trigger", {"message": "SignCertificate"}, 422, "$.message"),
        ("X-1/clear-cache", {}, 404, None),
    ]  # fmt: skip
    for path, body, status, where in wrong:
        found = await house.post(path, body, status)
        assert found.get("path") == where, (path, body, found)
    assert (await house.http.get("/v1/commands/nothing", headers=APP)).status_code == 404
    stranger = await house.http.post("/v1/charge-points/Y-1/clear-cache", json={})
    assert stranger.status_code == 401
    assert (await house.worker.agenda()).due == 0
    async with house.worker.world.work.pool.connection() as conn:
        assert await (await conn.execute("SELECT 1 FROM effect")).fetchall() == []
