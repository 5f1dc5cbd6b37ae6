"""Fixtures for the conftest of each folder that uses the rig."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping

import pytest
import uvloop

from rig.network import SECRETS
from wattledger.db.connect import Database
from wattledger.db.embedded import SUPERUSER, EmbeddedServer
from wattledger.db.roles import Role


def loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """The loop of ``wattledger serve``; asyncio's own would leave Nagle's algorithm on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def dsn(database: Database, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The DSN of a migrated database, served by a server that outlives every kill."""
    name = database.conninfo(Role.APP).partition("dbname=")[2].partition(" ")[0]
    found = server.dsn(SUPERUSER, name)
    for variable, value in {**SECRETS, "RIG_DSN": found}.items():
        monkeypatch.setenv(variable, value)
    return found
