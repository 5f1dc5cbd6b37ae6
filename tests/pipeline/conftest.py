"""A world: the sample configuration in force, over the test's own database."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sample_config import whole
from wattledger.config import parse, versions
from wattledger.db import versions as store
from wattledger.db.work import Work
from wattledger.pipeline.world import World

# A folder's tests use the desks of another, also where they are run alone.
sys.path += sorted(str(each) for each in Path(__file__).parent.iterdir() if each.is_dir())


@pytest.fixture
async def world(work: Work) -> World:
    """In force since 2026-01-01; business time is 2026-11-02T00:00Z."""
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(whole())), datetime(2026, 1, 1, tzinfo=UTC))
    return World(work)
