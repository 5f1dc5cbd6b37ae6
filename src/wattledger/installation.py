"""One installation: its configuration file, its database, its secrets."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from wattledger.config import Config, read, versions
from wattledger.db import versions as store
from wattledger.db.connect import Database
from wattledger.db.migrate import migrate
from wattledger.db.roles import Role
from wattledger.entitlements import publication
from wattledger.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def secret(name: str) -> str:
    """A secret from the environment; an unset one is an error that names it."""
    value = os.environ.get(name)
    if not value:
        raise ConfigError(f"the environment variable {name} is not set, and the configuration"
                          " takes a secret from it")  # fmt: skip
    return value


def open_database(config: Config, beside: Path) -> Database:
    """The served database where the configuration names one, else the embedded one, its data
    relative to the configuration file."""
    section = config.database
    if section.dsn_env is not None:
        return Database.served(
            secret(section.dsn_env),
            secret(section.owner_dsn_env) if section.owner_dsn_env else None,
            secret(section.reader_dsn_env) if section.reader_dsn_env else None,
        )
    return Database.embedded(Path(os.path.abspath(beside / section.data_dir)))


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[tuple[Config, Database]]:
    """The configuration and its migrated database; our share of it is given up at the end."""
    config = read(path)
    database = open_database(config, path.parent)
    try:
        migrate(database.conninfo(Role.OWNER))
        yield config, database
    finally:
        database.close()


# The first configuration of all holds for all time before, too: sessions that began before the
# operator installed us have nothing else to be billed by.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


async def apply(
    config: Config, database: Database, now: datetime, valid_from: datetime | None = None
) -> list[store.Change]:
    """Write what changed as versions in force from ``valid_from`` on.

    Without it: from ``now`` on, and the very first configuration from the beginning. Raises
    BadInput, and writes nothing, where a price fails the rules of its place; what is published
    already stays so, or a restart would fail when a rule changes.
    """
    async with await database.connect(Role.APP) as conn, conn.transaction():
        first = await store.latest_seq(conn) == 0
        at = valid_from or (BEGINNING if first else now)
        changes = await store.apply(conn, versions(config), at, keep_plans=valid_from is None)
        if changes:
            publication.refuse(objections(config, now, valid_from))
        return changes


def objections(
    config: Config, now: datetime, valid_from: datetime | None = None
) -> tuple[publication.Objection, ...]:
    """What the rules of its places have against a configuration, from when it is in force on."""
    return publication.objections(config, valid_from or now, now)
