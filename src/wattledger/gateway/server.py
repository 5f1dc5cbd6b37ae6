"""The OCPP listener: WebSockets at ``/ocpp/{charge_point_id}``, plain and by TLS, one connection
for each charge point; and the gate by which commands reach the charge points that are here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket as sockets
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import websockets.asyncio.server as ws
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from wattledger.config import Server
from wattledger.db.effects import Effect, NotSent, Outcome
from wattledger.errors import ExternalFault
from wattledger.gateway import commands, v2, v16
from wattledger.gateway.admission import PREFIX, Admission
from wattledger.gateway.connection import Connection
from wattledger.gateway.limits import Bucket, Limits, Pace, raise_file_limit
from wattledger.gateway.protocol import Protocol
from wattledger.gateway.proxies import Proxies
from wattledger.gateway.tls import Certificate
from wattledger.ingest.journal import Journal
from wattledger.ingest.presence import Presence
from wattledger.pipeline.world import World

log = logging.getLogger(__name__)

PROTOCOLS: Mapping[str, Protocol] = {each.version: each for each in (v16.PROTOCOL, v2.V201, v2.V21)}
"""By WebSocket subprotocol."""

# For an answer that is being worked on, when we stop or a newer connection takes over.
_FINISH_WITHIN_S = 10
# For the other side's part of closing: a peer that is dead has none.
_CLOSE_WITHIN_S = 5
# TCP connections beside those of charge points: handshakes in progress.
_OPENING_MAX = 2_000


class Gateway:
    """Listens, and knows which charge points are connected to this process."""

    def __init__(self, world: World, journal: Journal, limits: Limits | None = None) -> None:
        self._world = world
        self._journal = journal
        self._limits = limits or Limits.of(Server())
        self._admission = Admission(world, self._limits)
        self._proxies = Proxies(world, journal, self._limits)
        self._in_all = Bucket(self._limits.frames_per_s_in_all, self._limits.frames_per_s_in_all)
        self._connections: dict[str, Connection] = {}
        self._open = 0
        self._servers: list[ws.Server] = []
        self._presence: Presence | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(
        self, host: str, port: int | None, tls_port: int | None = None,
        certificate: Certificate | None = None,
    ) -> tuple[int | None, int | None]:  # fmt: skip
        """Listen on ``port``, and with TLS on ``tls_port``; None is off, 0 is chosen by the system.

        The ports that were chosen.
        """
        able = raise_file_limit()
        if able < self._limits.connections_max + _OPENING_MAX:
            log.warning("this process may open %d files only: raise the limit (ulimit -n), or lower"
                        " server.ocpp_connections_max", able)  # fmt: skip
        name = f"{sockets.gethostname()}:{port or tls_port or 0}"
        self._presence = Presence(self._world.work.pool, name)
        await self._presence.begin()
        plain = secure = None
        if port is not None:
            plain = await self._listen(host, port, None, "ocpp_port")
        if tls_port is not None and certificate is not None:
            secure = await self._listen(host, tls_port, certificate.live, "ocpp_tls_port")
            self._spawn(certificate.watch())
        return plain, secure

    async def _listen(self, host: str, port: int, tls: ssl.SSLContext | None, setting: str) -> int:
        limits = self._limits
        try:
            server = await ws.serve(
                self._serve,
                host,
                port,
                ssl=tls,
                process_request=self._admit,
                select_subprotocol=self._proxies.choosing(_subprotocol),
                max_size=limits.frame_max_bytes,
                compression=None,
                ping_interval=limits.ping_s,
                ping_timeout=limits.pong_s,
                open_timeout=limits.handshake_wait_s + _CLOSE_WITHIN_S,
                close_timeout=_CLOSE_WITHIN_S,
                create_connection=_counted(limits.connections_max + _OPENING_MAX),
                backlog=4096,
            )
        except OSError as error:
            raise ExternalFault(
                f"can't listen for charge points on {host}:{port}: {error.strerror};"
                f" set server.{setting}"
            ) from None
        self._servers.append(server)
        return int(next(iter(server.sockets)).getsockname()[1])

    async def end(self) -> None:
        """Stop listening; answer what is in hand; close what is open (1001, going away)."""
        for server in self._servers:
            server.close(close_connections=False)
        leaving = [
            asyncio.create_task(connection.leave(CloseCode.GOING_AWAY, "the server stops"))
            for connection in list(self._connections.values())
        ]
        if leaving:
            _done, late = await asyncio.wait(leaving, timeout=_FINISH_WITHIN_S)
            for task in late:
                task.cancel()
        for task in self._tasks:
            task.cancel()
        for server in self._servers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_WITHIN_S):
                    await server.wait_closed()
        if self._presence is not None:
            await self._presence.end()

    async def settle(self) -> None:
        """Who is connected is written down now."""
        if self._presence is not None:
            await self._presence.flush()

    def lanes(self) -> list[str]:
        """The lanes of the charge points that are connected here, and not another's to command."""
        return [f"cp:{name}" for name, each in self._connections.items() if each.takes_commands]

    def connection(self, charge_point_id: str) -> Connection | None:
        """The charge point's connection, if it is here."""
        return self._connections.get(charge_point_id)

    async def call(self, effect: Effect) -> Outcome:
        """Give the command to the charge point, or find out what became of it."""
        connection = self._connections.get(effect.request["charge_point_id"])
        if connection is None:
            return NotSent("the charge point is not connected")
        return await commands.give(connection, effect, self._world.now)

    async def resolve(self, effect: Effect) -> Outcome:
        """The same: ``effect.resolving`` says that it was given before."""
        return await self.call(effect)

    async def _serve(self, socket: ws.ServerConnection) -> None:
        charge_point_id = _charge_point_id(socket.request)
        if charge_point_id is None or self._presence is None:
            return
        if socket.subprotocol is None:
            # OCPP-J 1.6 §3.1.2, 2.0.1 part 4 §3.1.2: complete the handshake, then close.
            log.warning("%s offered no version of OCPP that we speak", charge_point_id)
            await socket.close(CloseCode.PROTOCOL_ERROR, f"expected {', '.join(PROTOCOLS)}")
            return
        protocol, pace = PROTOCOLS[socket.subprotocol], Pace(self._limits, self._in_all)
        connection = self._proxies.connection(
            socket, charge_point_id, protocol, self._presence, pace
        ) or Connection(
            self._world, self._journal, charge_point_id, socket, protocol,
            presence=self._presence, pace=pace,
        )  # fmt: skip
        before = self._connections.get(charge_point_id)
        self._connections[charge_point_id] = connection
        self._open += 1
        self._presence.came(charge_point_id, socket.subprotocol, self._world.now)
        try:
            if before is not None:
                await self._replace(before)
            await connection.serve()
        except ConnectionClosed:
            pass
        finally:
            self._open -= 1
            if self._connections.get(charge_point_id) is connection:
                del self._connections[charge_point_id]
                self._presence.went(charge_point_id, self._world.now)

    async def _replace(self, before: Connection) -> None:
        """A charge point that lost its link comes back before we notice: the new one counts, once
        what the earlier one has in hand is done, so that its frames stay in their order."""
        log.info("%s connected again; its earlier connection is closed", before.charge_point_id)
        reason = "connected again"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FINISH_WITHIN_S):
                await before.finish(CloseCode.NORMAL_CLOSURE, reason)
        self._spawn(before.leave(CloseCode.NORMAL_CLOSURE, reason))

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _admit(self, socket: ws.ServerConnection, request: Request) -> Response | None:
        address = socket.remote_address
        refusal = await self._admission.refusal(
            _charge_point_id(request),
            request.path,
            request.headers.get("Authorization"),
            str(address[0]) if address else "",
            self._open,
        )
        if refusal is None:
            name = _charge_point_id(request)
            before = self._connections.get(name or "")
            await self._proxies.prepare(socket, request, name, PROTOCOLS, before)
            return None
        response = socket.respond(refusal.status, refusal.text)
        for name, value in refusal.headers:
            response.headers[name] = value
        return response


def _counted(most: int) -> type[ws.ServerConnection]:
    """Connections of which there are at most so many, handshake or not: more are dropped."""
    now = 0

    class Counted(ws.ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            nonlocal now
            now += 1
            super().connection_made(transport)
            if now > most and isinstance(transport, asyncio.Transport):
                transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            nonlocal now
            now -= 1
            super().connection_lost(exc)

    return Counted


def _charge_point_id(request: Request | None) -> str | None:
    path = request.path.partition("?")[0] if request else ""
    name = unquote(path.removeprefix(PREFIX)) if path.startswith(PREFIX) else ""
    return name if name and "/" not in name else None


def _subprotocol(socket: ws.ServerConnection, offered: Sequence[str]) -> Subprotocol | None:
    """OCPP-J §3.1.2: the charge point offers, best first; the first that we speak is chosen."""
    return next((Subprotocol(each) for each in offered if each in PROTOCOLS), None)
