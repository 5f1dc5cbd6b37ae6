"""A gateway on a real socket, over a database of the test's own."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import websockets

from sample_config import whole
from wattledger.config import Server, parse, versions
from wattledger.db import versions as store
from wattledger.db.connect import Pool
from wattledger.db.work import Work
from wattledger.gateway.auth import hash_password
from wattledger.gateway.limits import Limits
from wattledger.gateway.server import Gateway
from wattledger.ingest.journal import Journal
from wattledger.pipeline.world import World

PASSWORD = "correct-horse-battery"
NO_PASSWORD, WITH_PASSWORD = "D-1", "D-2"


class Edge:
    """A gateway that listens, and what it is made of."""

    def __init__(self, world: World, journal: Journal, gateway: Gateway, port: int) -> None:
        self.world = world
        self.journal = journal
        self.gateway = gateway
        self.port = port

    async def connect(
        self, point: str = NO_PASSWORD, password: str | None = None, *,
        offers: tuple[str, ...] = ("ocpp1.6",), **more: Any,
    ) -> websockets.ClientConnection:  # fmt: skip
        headers = {}
        if password is not None:
            login = base64.b64encode(f"{point}:{password}".encode()).decode()
            headers["Authorization"] = f"Basic {login}"
        return await websockets.connect(
            f"ws://127.0.0.1:{self.port}/ocpp/{point}",
            subprotocols=[websockets.Subprotocol(each) for each in offers] or None,
            additional_headers=headers, compression=None, ping_interval=None, proxy=None,
            max_size=None, **more,
        )  # fmt: skip

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        async with self.world.work.pool.connection() as conn:
            cursor = await conn.execute(sql.encode())
            return await cursor.fetchall()


async def ask(
    socket: websockets.ClientConnection, action: str, payload: Any, id_: str = "1"
) -> Any:
    """Send a CALL; the answer to it."""
    await socket.send(json.dumps([2, id_, action, payload]))
    async with asyncio.timeout(10):
        while True:
            answer = json.loads(await socket.recv())
            if answer[1] == id_:
                return answer


async def until(condition: Callable[[], bool], seconds: float = 8) -> None:
    """Return once it holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0.01)


Listening = Callable[..., Any]


@pytest.fixture
async def listening(pool: Pool, work: Work) -> Listening:
    """``async with listening(frames_per_s=1) as edge``: D-1 needs no password, D-2 has one."""
    config = parse(
        whole(site__0__charge_points__1__auth=hash_password(PASSWORD, b"salt-of-the-edge"))
    )
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(config), datetime(2026, 1, 1, tzinfo=UTC))

    @asynccontextmanager
    async def listen(journal: Journal | None = None, **limits: Any) -> AsyncIterator[Edge]:
        async with AsyncExitStack() as stack:
            kept = journal or await stack.enter_async_context(Journal(pool))
            world = World(work)
            gateway = Gateway(world, kept, replace(Limits.of(Server()), **limits))
            stack.push_async_callback(gateway.end)
            port, _ = await gateway.begin("127.0.0.1", 0)
            assert port is not None
            yield Edge(world, kept, gateway, port)

    return listen
