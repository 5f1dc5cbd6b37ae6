"""The OCPP listener: WebSockets at ``/ocpp/{charge_point_id}``, Basic auth, one connection for
each charge point; and the gate by which commands reach the charge points that are here."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import websockets.asyncio.server as ws
from psycopg import OperationalError
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from wattledger.db.effects import Done, Effect, NotSent, Outcome, Rejected, Unknown
from wattledger.errors import ExternalFault
from wattledger.gateway import auth
from wattledger.gateway.connection import Connection
from wattledger.ingest.journal import Journal
from wattledger.pipeline.world import World
from wattledger.wire.ocpp.frames import FRAME_MAX_BYTES, CallError

log = logging.getLogger(__name__)

_PREFIX = "/ocpp/"
_CALL_TIMEOUT_S = 30


class Gateway:
    """Listens, and knows which charge points are connected to this process."""

    def __init__(self, world: World, journal: Journal) -> None:
        self._world = world
        self._journal = journal
        self._connections: dict[str, Connection] = {}
        self._server: ws.Server | None = None

    async def begin(self, host: str, port: int) -> int:
        """Listen; the port, which the system chooses for 0."""
        try:
            self._server = await ws.serve(
                self._serve,
                host,
                port,
                process_request=self._admit,
                select_subprotocol=_subprotocol,
                max_size=FRAME_MAX_BYTES,
                compression=None,
                ping_interval=60,
            )
        except OSError as error:
            raise ExternalFault(
                f"can't listen for charge points on {host}:{port}: {error.strerror};"
                " set server.ocpp_port"
            ) from None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def end(self) -> None:
        """Stop listening and close what is open."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def lanes(self) -> list[str]:
        """The lanes of the charge points that are connected here."""
        return [f"cp:{charge_point_id}" for charge_point_id in self._connections]

    async def call(self, effect: Effect) -> Outcome:
        """RemoteStopTransaction. It expires in business time."""
        request = effect.request
        if datetime.fromisoformat(request["expires_at"]) <= self._world.now:
            return Rejected({"code": "expired"})
        connection = self._connections.get(request["charge_point_id"])
        if connection is None:
            return NotSent("the charge point is not connected")
        payload = {"transactionId": request["transaction_id"]}
        try:
            answer = await connection.call(
                f"e{effect.id}-{effect.tries}", "RemoteStopTransaction", payload, _CALL_TIMEOUT_S
            )
        except (TimeoutError, ConnectionError) as error:
            return Unknown(str(error) or "no answer in time")
        if isinstance(answer, CallError):
            return Rejected({"code": answer.code, "message": answer.description})
        accepted = answer.payload.get("status") == "Accepted"
        return Done(answer.payload) if accepted else Rejected(answer.payload)

    async def resolve(self, effect: Effect) -> Outcome:
        """Ask again: to stop a transaction that has stopped is harmless."""
        return await self.call(effect)

    async def _serve(self, socket: ws.ServerConnection) -> None:
        charge_point_id = _charge_point_id(socket.request)
        if charge_point_id is None:
            return
        connection = Connection(self._world, self._journal, charge_point_id, socket)
        before = self._connections.get(charge_point_id)
        self._connections[charge_point_id] = connection
        if before is not None:
            # A charge point that lost its link comes back before we notice: the new one counts.
            log.info("%s connected again; its earlier connection is dropped", charge_point_id)
        try:
            await connection.serve()
        except ConnectionClosed:
            pass
        finally:
            if self._connections.get(charge_point_id) is connection:
                del self._connections[charge_point_id]
                await self._gone(charge_point_id)

    async def _gone(self, charge_point_id: str) -> None:
        try:
            async with self._world.work.pool.connection() as conn:
                await conn.execute(
                    "UPDATE charge_point_state SET connected = false WHERE charge_point_id = %s",
                    (charge_point_id,),
                )
        except OperationalError as error:  # PoolClosed too: it left while we were closing
            log.info("%s has gone, which could not be stored: %s", charge_point_id, error)

    async def _admit(self, socket: ws.ServerConnection, request: Request) -> Response | None:
        charge_point_id = _charge_point_id(request)
        snapshot = await self._world.snapshot(self._world.now)
        place = snapshot.place_of(charge_point_id) if charge_point_id else None
        if place is None:
            log.warning("refused: %s is no charge point of ours", request.path)
            return socket.respond(
                HTTPStatus.NOT_FOUND,
                f"{request.path}: expected {_PREFIX}<charge point id> with an id of a [[site]] in"
                " the configuration; add it and run `wattledger apply`\n",
            )
        given = auth.basic(request.headers.get("Authorization"))
        stored = place[1].auth
        if stored is None:
            return None
        known = given is not None and given[0] == charge_point_id
        if not known or given is None or not await _verified(given[1], stored):
            log.warning("refused: %s gave no valid password", charge_point_id)
            refusal = socket.respond(
                HTTPStatus.UNAUTHORIZED, "expected HTTP Basic auth: charge point id and password\n"
            )
            refusal.headers["WWW-Authenticate"] = 'Basic realm="OCPP"'
            return refusal
        return None


async def _verified(password: str, stored: str) -> bool:
    return await asyncio.to_thread(auth.verify, password, stored)


def _charge_point_id(request: Request | None) -> str | None:
    path = request.path.partition("?")[0] if request else ""
    name = unquote(path.removeprefix(_PREFIX)) if path.startswith(_PREFIX) else ""
    return name if name and "/" not in name else None


def _subprotocol(socket: ws.ServerConnection, offered: Any) -> Subprotocol | None:
    """OCPP-J §3.1.2: the charge point offers, we choose; without ours in common none is chosen."""
    return Subprotocol("ocpp1.6") if "ocpp1.6" in offered else None
