"""The API over the sample configuration; keys: ``reader`` reads, ``writer`` writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from sample_config import whole
from wattledger.api.app import make_app
from wattledger.api.keys import Keys
from wattledger.api.state import State
from wattledger.config import ApiKey, parse, versions
from wattledger.db import versions as store
from wattledger.db.connect import Pool
from wattledger.db.work import Work
from wattledger.pipeline.world import World

KEYS = (
    ApiKey("reader", "READER", ("sessions:read",)),
    ApiKey(
        "writer",
        "WRITER",
        ("sessions:read", "sessions:write", "authorizations:write", "anomalies:write", "clock"),
    ),
)


@pytest.fixture
async def api(work: Work, pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(whole())), datetime(2026, 1, 1, tzinfo=UTC))
    state = State(World(work), pool, Keys(KEYS, str.lower), str.lower, lambda: None)
    transport = httpx.ASGITransport(app=make_app(state, []), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
