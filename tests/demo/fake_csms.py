"""A tiny server for the charge points: OCPP by the PyPI package, the clock by hand.

What a 2.0.1 station says is kept by the names that 1.6 has for it, with its ``version`` beside it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import ocpp.messages
import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v201 import ChargePoint as Station
from ocpp.v201 import call as call201
from ocpp.v201 import call_result as result201
from websockets.asyncio.server import Server, ServerConnection, serve

from wattledger.demo.setup import charger_password

ocpp.messages.ASYNC_VALIDATION = False
SUBPROTOCOLS = [websockets.Subprotocol("ocpp1.6"), websockets.Subprotocol("ocpp2.0.1")]
SECRET = "the charge points' secret"


@dataclass
class Fake:
    """What arrived, in order: (business time, charge point, action, payload)."""

    secret: str = SECRET
    blocked: set[str] = field(default_factory=set)
    """Prefixes of tokens that Authorize refuses."""
    refused_at_start: set[str] = field(default_factory=set)
    declined: set[str] = field(default_factory=set)
    """Prefixes of tokens whose transaction is stopped from here, at the next clock call."""
    dropped_at_stop: set[str] = field(default_factory=set)
    """Charge points whose connection is cut instead of answering StopTransaction."""
    frames: list[tuple[datetime, str, str, dict[str, Any]]] = field(default_factory=list)
    clock: list[datetime] = field(default_factory=list)
    posted: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    tokens: dict[int | str, str] = field(default_factory=dict)
    clock_breaks_after: int = 10**9
    offered: list[dict[str, Any]] = field(default_factory=list)
    """The starts at terminals, in order."""
    no_card: bool = False
    """Cards are held against readers, and nothing comes of it."""
    captured: list[dict[str, Any]] = field(default_factory=list)
    """What GET /v1/payments lists."""
    desk: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """What the support desk and the bank asked for: path, body."""
    centrals: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    """Of each charge point that has connected."""
    _due: list[Callable[[], Awaitable[Any]]] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return self.clock[-1] if self.clock else datetime.min.replace(tzinfo=UTC)

    def actions(self, point: str) -> list[str]:
        return [
            payload.get("status", action)
            for _, of, action, payload in self.frames
            if of == point and action != "MeterValues"
        ]

    async def http(self, request: httpx.Request) -> httpx.Response:
        path, body = request.url.path, json.loads(request.content or b"{}")
        if path == "/v1/sessions":
            self.posted.append((dict(request.headers), body))
            return httpx.Response(201, json={})
        if path != "/v1/clock":
            return self.money(request, path, body)
        assert request.headers["Authorization"] == "Bearer clock key"
        if len(self.clock) >= self.clock_breaks_after:
            return httpx.Response(500, text="no more time")
        due, self._due = self._due, []
        for command in due:
            self.commands.append((await command()).status)
        self.clock.append(datetime.fromisoformat(body["now"]))
        return httpx.Response(200, json={"now": body["now"], "executed": 0, "next_due_at": None})

    def money(self, request: httpx.Request, path: str, body: dict[str, Any]) -> httpx.Response:
        """Starts at terminals, cards at readers, and the support desk."""
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        items: list[dict[str, Any]] = []
        if path == "/v1/starts":
            assert key == "support key"
            self.offered.append(body)
        elif path.endswith("/present_payment_method"):
            assert key == "stripe key"
            start = next(s for s in reversed(self.offered) if s["reader"] == path.split("/")[-2])
            central = self.centrals[start["charge_point_id"]]
            if not self.no_card:
                self._due.append(lambda: central.call(central.begin(start["reference"])))
        elif request.method == "GET":
            assert key == "support key"
            items = self.captured if path == "/v1/payments" else [{"id": "du_1"}]
        else:
            assert path.startswith("/_sim/") or key == "support key"
            self.desk.append((path, body))
        return httpx.Response(200, json={"items": items})

    def decline(self, central: Any, transaction_id: Any) -> None:
        self._due.append(lambda: central.call(central.stop(transaction_id=transaction_id)))

    async def listen(self) -> Server:
        return await serve(self.connected, "127.0.0.1", 0, subprotocols=SUBPROTOCOLS)

    async def connected(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        point_id = connection.request.path.rsplit("/", 1)[1]
        login = base64.b64encode(
            f"{point_id}:{charger_password(self.secret, point_id)}".encode()
        ).decode()
        assert connection.request.headers["Authorization"] == f"Basic {login}"
        self.versions[point_id] = str(connection.subprotocol)
        old = connection.subprotocol == "ocpp1.6"
        central: Any = (Central if old else Central201)(point_id, connection)
        central.fake = self
        self.centrals[point_id] = central
        with contextlib.suppress(websockets.ConnectionClosed):
            await central.start()

    def hit(self, prefixes: set[str], token: str) -> bool:
        return any(token.startswith(prefix) for prefix in prefixes)


class Central(ChargePoint):
    """The server's side of one connection."""

    fake: Fake
    stop = call.RemoteStopTransaction

    def begin(self, token: str) -> Any:
        return call.RemoteStartTransaction(id_tag=token, connector_id=1)

    def _take(self, action: str, payload: dict[str, Any]) -> None:
        self.fake.frames.append((self.fake.now, self.id, action, payload))

    @on("BootNotification")
    def on_boot(self, **payload: Any) -> Any:
        self._take("BootNotification", payload)
        return call_result.BootNotification(
            current_time="2026-01-01T00:00:00Z", interval=86_400, status="Accepted"
        )

    @on("StatusNotification")
    def on_status(self, **payload: Any) -> Any:
        self._take("StatusNotification", payload)
        return call_result.StatusNotification()

    @on("Authorize")
    def on_authorize(self, id_tag: str) -> Any:
        self._take("Authorize", {"id_tag": id_tag})
        status = "Blocked" if self.fake.hit(self.fake.blocked, id_tag) else "Accepted"
        return call_result.Authorize(id_tag_info={"status": status})

    @on("StartTransaction")
    def on_start(self, **payload: Any) -> Any:
        self._take("StartTransaction", payload)
        token, transaction_id = payload["id_tag"], len(self.fake.tokens) + 1
        self.fake.tokens[transaction_id] = token
        if self.fake.hit(self.fake.declined, token):
            self.fake.decline(self, transaction_id)
        refused = self.fake.hit(self.fake.refused_at_start, token)
        return call_result.StartTransaction(
            transaction_id=transaction_id,
            id_tag_info={"status": "Blocked" if refused else "Accepted"},
        )

    @on("MeterValues")
    def on_meter(self, **payload: Any) -> Any:
        self._take("MeterValues", payload)
        return call_result.MeterValues()

    @on("StopTransaction")
    async def on_stop(self, **payload: Any) -> Any:
        self._take("StopTransaction", payload)
        if self.id in self.fake.dropped_at_stop:
            await self._connection.close()
            await asyncio.sleep(0.01)
        return call_result.StopTransaction()


class Central201(Station):
    """The same for a 2.0.1 station."""

    fake: Fake
    stop = call201.RequestStopTransaction

    def begin(self, token: str) -> Any:
        return call201.RequestStartTransaction(
            id_token={"idToken": token, "type": "Central"}, remote_start_id=1, evse_id=1
        )

    def _take(self, action: str, payload: dict[str, Any]) -> None:
        self.fake.frames.append((self.fake.now, self.id, action, payload))

    @on("BootNotification")
    def on_boot(self, **payload: Any) -> Any:
        self._take("BootNotification", payload)
        return result201.BootNotification(
            current_time="2026-01-01T00:00:00Z", interval=86_400, status="Accepted"
        )

    @on("StatusNotification")
    def on_status(self, **payload: Any) -> Any:
        self._take("StatusNotification", payload | {"status": payload["connector_status"]})
        return result201.StatusNotification()

    @on("Authorize")
    def on_authorize(self, id_token: dict[str, Any]) -> Any:
        self._take("Authorize", {"id_tag": id_token["id_token"]})
        blocked = self.fake.hit(self.fake.blocked, id_token["id_token"])
        return result201.Authorize(id_token_info={"status": "Blocked" if blocked else "Accepted"})

    @on("TransactionEvent")
    async def on_event(self, event_type: str, **payload: Any) -> Any:
        info = payload["transaction_info"]
        ref = payload["transaction_id"] = info["transaction_id"]
        if event_type == "Started":
            token = payload["id_token"]["id_token"]
            self._take("StartTransaction", payload | {"meter_start": _wh(payload)})
            self.fake.tokens[ref] = token
            if self.fake.hit(self.fake.declined, token):
                self.fake.decline(self, ref)
            refused = self.fake.hit(self.fake.refused_at_start, token)
            status = "Blocked" if refused else "Accepted"
            return result201.TransactionEvent(id_token_info={"status": status})
        if event_type == "Ended":
            more = {"meter_stop": _wh(payload), "reason": info["stopped_reason"]}
            self._take("StopTransaction", payload | more)
            if self.id in self.fake.dropped_at_stop:
                await self._connection.close()
                await asyncio.sleep(0.01)
        elif "meter_value" in payload:
            self._take("MeterValues", payload)
        else:
            self._take("StatusNotification", payload | {"status": info["charging_state"]})
        return result201.TransactionEvent()


def _wh(payload: dict[str, Any]) -> int:
    """The register of an event."""
    return int(payload["meter_value"][0]["sampled_value"][0]["value"])
