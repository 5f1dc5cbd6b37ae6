"""A real Chromium on a real server. What is missing for it is installed where we may, or named."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import uvicorn
from playwright.sync_api import Browser, sync_playwright
from starlette.applications import Starlette

from wattledger.clock import DrivenClock
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.pipeline.world import World
from wattledger.web import Live, page_routes

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
from seed_config import NOW
from seed_troubles import network

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; as root with apt-get it is installed when there is none."""
    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not Path(path).exists() and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", *command], check=False, capture_output=True)
    if not Path(path).exists():
        pytest.fail(
            f"no browser at {path}: install chromium, or set CHROMIUM to its path", pytrace=False
        )
    return path


# Of the module, not the session: while it is up, Playwright's event loop counts as running in this
# thread, and no asynchronous test of another module could start one.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One browser for all tests of a module."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture
def address(serving: tuple[str, threading.Event]) -> str:
    """Where the pages are."""
    return serving[0]


@pytest.fixture
def serving(database: Database) -> Iterator[tuple[str, threading.Event]]:
    """The pages over the seeded network, live, on a free port; and what stops their server."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        network(conn)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(database, port, stop)), daemon=True)
    thread.start()
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}", stop
    stop.set()
    thread.join(10)


async def _serve(database: Database, port: int, stop: threading.Event) -> None:
    pool = await database.open_pool(Role.READER, 1, 5)
    writing = await database.open_pool(Role.APP, 1, 2)
    live = Live(database.conninfo(Role.READER))
    async with pool, writing, live:
        clock = DrivenClock(NOW)
        world = World(Work(writing, clock))
        app = Starlette(routes=page_routes(pool, clock, live, world=world))
        config = uvicorn.Config(app, port=port, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        await asyncio.to_thread(stop.wait)
        live.close()
        server.should_exit = True
        server.force_exit = True
        await task
