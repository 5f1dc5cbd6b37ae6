"""The pages over a seeded database, as the server has them: reading as the reader."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest
from seed_config import NOW
from seed_troubles import network
from starlette.applications import Starlette

from wattledger.clock import DrivenClock
from wattledger.db.connect import Database, Pool
from wattledger.db.roles import Role
from wattledger.web import page_routes


@pytest.fixture
def seeded(database: Database) -> Database:
    """The whole network."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        network(conn)
    return database


@pytest.fixture
async def reader(database: Database) -> AsyncIterator[Pool]:
    """A pool that may only read."""
    opened = await database.open_pool(Role.READER, 1, 4)
    async with opened:
        yield opened


@pytest.fixture
async def page(reader: Pool) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the pages."""
    app = Starlette(routes=page_routes(reader, DrivenClock(NOW), None))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
