"""Receipts over the pages' seeded network."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wattledger.db.connect import Connection, Database
from wattledger.db.embedded import EmbeddedServer
from wattledger.db.roles import Role

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
from paid_template import paid_template


@pytest.fixture(scope="session")
def template(server: EmbeddedServer, template: str) -> str:
    """Every database of these tests is the seeded network."""
    return paid_template(server, template)


@pytest.fixture
def seeded(database: Database) -> Database:
    """The whole network, and payments of every kind."""
    return database


@pytest.fixture
async def reading(seeded: Database) -> AsyncIterator[Connection]:
    """A connection that may only read."""
    async with await seeded.connect(Role.READER) as conn:
        yield conn
