"""A world: the sample configuration in force, over the test's own database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sample_config import whole
from wattledger.config import parse, versions
from wattledger.db import versions as store
from wattledger.db.work import Work
from wattledger.pipeline.world import World


@pytest.fixture
async def world(work: Work) -> World:
    """In force since 2026-01-01; business time is 2026-11-02T00:00Z."""
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(whole())), datetime(2026, 1, 1, tzinfo=UTC))
    return World(work)
