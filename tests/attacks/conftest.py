"""Who attacks: the application, with what it is granted, and the owner, with everything."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from handmade import Conn
from wattledger.db.connect import Database
from wattledger.db.roles import Role


@pytest.fixture
def app(database: Database) -> Iterator[Conn]:
    """The application's own connection, in autocommit."""
    with psycopg.connect(database.conninfo(Role.APP), autocommit=True) as conn:
        yield conn


@pytest.fixture
def owner(database: Database) -> Iterator[Conn]:
    """The owner's, which has every privilege."""
    with psycopg.connect(database.conninfo(Role.OWNER), autocommit=True) as conn:
        yield conn
