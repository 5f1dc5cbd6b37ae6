"""All of it together: the server, the sandbox, the charge points, and the operator's HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from rig.network import API_KEY, PROCESSOR, STARTS_AT, Body, network, write
from rig.points import Lost, Point
from rig.sandbox import Sandbox, sandbox
from rig.server import ServerProcess, Serving, driven, serving_here
from wattledger import pipeline
from wattledger.clock import utc_text

_PATIENCE_S = 60
Change = Callable[[Body], None]
Prepare = Callable[[Sandbox, Body], Awaitable[None]]


class System:
    """``insist`` starts a server that has died again; ``deaths`` are the exit codes of it."""

    def __init__(
        self, server: Serving, stripe: Sandbox, http: httpx.AsyncClient, dsn: Callable[[], str]
    ) -> None:
        self.server = server
        self.sandbox = stripe
        self.http = http
        self.deaths: list[int] = []
        self.points: dict[str, Point] = {}
        self._dsn = dsn

    async def up(self) -> None:
        """Start the server if it is down, and send Stripe's events to it."""
        while self.server.died is not None or not self.server.http_url:
            if self.server.died is not None:
                self.deaths.append(self.server.died)
            await self.server.start()
            hooks = f"{self.server.http_url}/v1/webhooks/stripe/{PROCESSOR}"
            await self.sandbox.events_to(hooks)

    async def insist(self, action: Callable[[], Awaitable[Any]]) -> Any:
        """Do it until it is answered."""
        give_up_at = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            await self.up()
            try:
                return await action()
            except (httpx.TransportError, Lost):
                if asyncio.get_running_loop().time() > give_up_at:
                    raise
                await asyncio.sleep(0.02)

    def point(self, point_id: str) -> Point:
        if point_id not in self.points:
            self.points[point_id] = Point(point_id, self.server, self.insist)
        return self.points[point_id]

    async def clock(self, to: datetime) -> dict[str, Any]:
        """Business time moves on, and all that falls due on the way is done."""

        async def move() -> Any:
            # A charge point that was cut off is back long before business time goes on.
            for point in self.points.values():
                await point.connected()
            return await self.post("/v1/clock", {"now": utc_text(to)})

        answer: httpx.Response = await self.insist(move)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def session(self, body: Body) -> httpx.Response:
        """A finished session by API, until it is answered."""
        answer: httpx.Response = await self.insist(lambda: self.post("/v1/sessions", body))
        return answer

    async def post(self, path: str, body: Any, key: str | None = API_KEY) -> httpx.Response:
        """One request; Lost when the server could not do it just now (5xx)."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        answer = await self.http.post(self.server.http_url + path, json=body, headers=headers)
        if answer.status_code >= 500:
            raise Lost(answer.text)
        return answer

    async def get(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {API_KEY}"}

        async def ask() -> httpx.Response:
            answer = await self.http.get(self.server.http_url + path, headers=headers)
            if answer.status_code >= 500:
                raise Lost(answer.text)
            return answer

        answer = await self.insist(ask)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def report(self) -> dict[str, Any]:
        return dict(await self.get("/v1/report"))

    async def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Straight from the database, as its superuser."""
        async with await psycopg.AsyncConnection.connect(
            self._dsn(), autocommit=True, row_factory=dict_row
        ) as conn:
            await conn.execute("SET search_path TO wattledger")
            return await (await conn.execute(query.encode(), values)).fetchall()


def each_checkpoint(steps: Iterable[str]) -> list[str]:
    """The checkpoints of steps and effects, in turn."""
    every = pipeline.checkpoints()
    return [name for step in steps for name in every if name.startswith(f"{step}.")]


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """What ``condition`` gives, as soon as it is something; in machine time."""
    for _ in range(600):
        if found := await condition():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to be")


def nothing_changed(_: Body) -> None:
    """The network as it is."""


async def nothing_prepared(_: Sandbox, __: Body) -> None:
    """The processor knows nobody."""


@asynccontextmanager
async def system(
    dsn: str,
    *,
    kill_at: str | Sequence[str] = (),
    change: Change = nothing_changed,
    prepare: Prepare = nothing_prepared,
    process: bool = False,
) -> AsyncIterator[System]:
    """On a database of its own at ``dsn`` (``RIG_DSN`` is set to it by a fixture).

    In this event loop, or, with ``process`` or ``kill_at``, as a process. ``prepare`` may change
    the network by what it has the processor make first: customers, readers.
    """
    async with _around() as (folder, stripe, http):
        body = network(stripe.url, {"dsn_env": "RIG_DSN"})
        change(body)
        await prepare(stripe, body)
        config = write(folder / "wattledger.toml", body)
        if not process and not kill_at:
            async with serving_here(config) as here:
                running = System(here, stripe, http, lambda: dsn)
                hooks = f"{here.http_url}/v1/webhooks/stripe/{PROCESSOR}"
                await stripe.events_to(hooks)
                async with _closing(running):
                    yield running
            return
        server = ServerProcess(config, {"RIG_DSN": dsn}, *driven(), kill_at=kill_at)
        running = System(server, stripe, http, lambda: dsn)
        try:
            async with _closing(running):
                yield running
        finally:
            await server.end()


@asynccontextmanager
async def embedded_system(kill_at: str | Sequence[str] = ()) -> AsyncIterator[tuple[System, Path]]:
    """As a process, on an embedded database of its own, in the folder that is given too."""
    async with _around() as (folder, stripe, http):
        config = write(folder / "wattledger.toml", network(stripe.url, {"data_dir": "data"}))
        server = ServerProcess(config, {}, *driven(), kill_at=kill_at)
        running = System(server, stripe, http, lambda: "")
        try:
            async with _closing(running):
                yield running, folder
        finally:
            await server.end()


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="wattledger-rig-"))
    folder.chmod(0o755)  # as root the database runs as another user
    return folder


@asynccontextmanager
async def _around() -> AsyncIterator[tuple[Path, Sandbox, httpx.AsyncClient]]:
    folder = _folder()
    try:
        async with (
            sandbox(STARTS_AT) as stripe,
            httpx.AsyncClient(trust_env=False, timeout=_PATIENCE_S + 30) as http,
        ):
            yield folder, stripe, http
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _closing(running: System) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for point in running.points.values():
            with contextlib.suppress(Exception):
                await point.close()
        await running.sandbox.events_to(None)
