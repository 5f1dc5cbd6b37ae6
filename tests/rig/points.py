"""Charge points that speak through the PyPI ``ocpp`` package, which is not ours.

What was not answered is said again after the connection is back, with the same content.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import ocpp.messages
import websockets
from ocpp.exceptions import InternalError, OCPPError
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result

from rig.network import PASSWORD
from rig.server import Serving
from wattledger.clock import utc_text

ocpp.messages.ASYNC_VALIDATION = False
_ANSWER_S = 30
Insist = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


class Lost(Exception):
    """No answer came: the connection broke, or the server could not store what was said."""


class _Protocol(ChargePoint):
    stops: list[int]
    point: Point

    @on("RemoteStopTransaction")
    def on_remote_stop(self, transaction_id: int, **_: Any) -> call_result.RemoteStopTransaction:
        self.stops.append(transaction_id)
        return call_result.RemoteStopTransaction(status="Accepted")

    @on("RemoteStartTransaction")
    def on_remote_start(self, id_tag: str, **_: Any) -> call_result.RemoteStartTransaction:
        self.point.remote_starts.append(id_tag)
        return call_result.RemoteStartTransaction(status="Accepted")

    @on("ChangeConfiguration")
    def on_change(self, key: str, value: str) -> call_result.ChangeConfiguration:
        self.point.settings[key] = value
        return call_result.ChangeConfiguration(status="Accepted")

    @on("ClearCache")
    def on_clear_cache(self) -> call_result.ClearCache:
        self.point.cleared += 1
        return call_result.ClearCache(status="Accepted")


async def connect(
    url: str, point_id: str, password: str | None = PASSWORD
) -> websockets.ClientConnection:
    """A bare socket, for what no well-behaved charge point says."""
    headers = {}
    if password is not None:
        login = base64.b64encode(f"{point_id}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {login}"
    return await websockets.connect(
        f"{url}/{point_id}",
        subprotocols=[websockets.Subprotocol("ocpp1.6")],
        additional_headers=headers,
        compression=None,
        ping_interval=None,
        proxy=None,
        max_size=None,
    )


class Point:
    """A charge point with one connector. ``remote_stops`` are the transactions it was told to
    stop, ``remote_starts`` the tokens it was told to start, ``settings`` what it was set to. Each
    method returns when the message was answered, however often it had to be said."""

    def __init__(self, point_id: str, server: Serving, insist: Insist) -> None:
        self.id = point_id
        self.remote_stops: list[int] = []
        self.remote_starts: list[str] = []
        self.settings: dict[str, str] = {}
        self.cleared = 0
        self.said = 0
        self._server = server
        self._insist = insist
        self._socket: websockets.ClientConnection | None = None
        self._protocol: Any = None
        self._listening: asyncio.Task[None] | None = None

    async def connected(self) -> None:
        """Connect unless it is. Raises Lost when nobody listens."""
        if self._listening is not None and not self._listening.done():
            return
        await self.close()
        try:
            self._socket = await connect(self._server.ocpp_url, self.id)
        except (OSError, websockets.WebSocketException) as error:
            raise Lost(str(error)) from error
        self._protocol = _Protocol(self.id, self._socket, _ANSWER_S)
        self._protocol.stops = self.remote_stops
        self._protocol.point = self
        self._listening = asyncio.create_task(self._listen(), name=self.id)

    async def _listen(self) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            await self._protocol.start()

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
        if self._socket is not None:
            await self._socket.close()
        self._listening = self._socket = None

    async def once(self, request: Any) -> Any:
        """The answer, or Lost."""
        await self.connected()
        self.said += 1
        calling = asyncio.ensure_future(self._protocol.call(request, suppress=False))
        assert self._listening is not None
        await asyncio.wait({calling, self._listening}, return_when=asyncio.FIRST_COMPLETED)
        if not calling.done():
            calling.cancel()
            raise Lost(f"{self.id}: the connection broke")
        try:
            return calling.result()
        except InternalError as error:
            raise Lost(f"{self.id}: {error}") from error
        except (websockets.ConnectionClosed, TimeoutError) as error:
            raise Lost(f"{self.id}: {error}") from error

    async def _say(self, request: Any) -> Any:
        return await self._insist(lambda: self.once(request))

    async def boot(self) -> None:
        answer = await self._say(call.BootNotification("Model", "Vendor"))
        assert answer.status == "Accepted"

    async def status(self, status: str, when: datetime) -> None:
        await self._say(status_of(status, when))

    async def authorize(self, token: str) -> str:
        answer = await self._say(call.Authorize(token))
        return str(answer.id_tag_info["status"])

    async def start(self, token: str, when: datetime, register_wh: int) -> int:
        answer = await self._say(start_of(token, when, register_wh))
        return int(answer.transaction_id)

    async def meter(
        self, transaction_id: int, when: datetime, register_wh: int, context: str | None = None
    ) -> None:
        await self._say(meter_of(transaction_id, when, str(register_wh), context))

    async def stop(
        self, transaction_id: int, when: datetime, register_wh: int, reason: str = "Local"
    ) -> None:
        await self._say(stop_of(transaction_id, when, register_wh, reason))


def status_of(status: str, when: datetime) -> Any:
    return call.StatusNotification(
        connector_id=1, error_code="NoError", status=status, timestamp=utc_text(when)
    )


def start_of(token: str, when: datetime, register_wh: int) -> Any:
    return call.StartTransaction(
        connector_id=1, id_tag=token, meter_start=register_wh, timestamp=utc_text(when)
    )


def meter_of(transaction_id: int, when: datetime, value: str, context: str | None = None) -> Any:
    sample = {"value": value, "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    if context is not None:
        sample["context"] = context
    return call.MeterValues(
        connector_id=1,
        transaction_id=transaction_id,
        meter_value=[{"timestamp": utc_text(when), "sampled_value": [sample]}],
    )


def stop_of(transaction_id: int, when: datetime, register_wh: int, reason: str = "Local") -> Any:
    return call.StopTransaction(
        transaction_id=transaction_id,
        meter_stop=register_wh,
        timestamp=utc_text(when),
        reason=reason,
    )


__all__ = ["Lost", "OCPPError", "Point", "connect", "meter_of", "start_of", "status_of", "stop_of"]
