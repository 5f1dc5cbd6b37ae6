"""``wattledger explain ses_…``: a charge out of the database, with the version that priced it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sample_config import whole
from wattledger.cli.main import main
from wattledger.config import parse, versions
from wattledger.db import versions as store
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.importing.imports import ReadingIn, SessionIn, take
from wattledger.pipeline.world import World

START = datetime(2026, 11, 1, 10, tzinfo=UTC)
ROLES = {"dsn_env": Role.APP, "owner_dsn_env": Role.OWNER, "reader_dsn_env": Role.READER}


@pytest.fixture
def config(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A configuration file that names the test's own database."""
    lines = ["[database]"]
    for key, role in ROLES.items():
        monkeypatch.setenv(f"TEST_{role.upper()}", database.conninfo(role))
        lines.append(f'{key} = "TEST_{role.upper()}"')
    path = tmp_path / "wattledger.toml"
    path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture
async def session(work: Work) -> str:
    """The id of a session that was billed by a tariff that has another price meanwhile."""
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(whole())), datetime(2026, 1, 1, tzinfo=UTC))
    world = World(work)
    end = START + timedelta(hours=1)
    readings = (ReadingIn(START, 0), ReadingIn(end, 9_000))
    taken = await take(
        world, "api", SessionIn("S-1", "D-1", 1, "Acme-1", START, end, readings, end)
    )
    found: str = taken["session_id"]
    assert await bill(world, found) == "billed"
    dearer = whole(tariff__1__elements__0__components__0__price="0.90")
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(dearer)), datetime(2026, 11, 2, tzinfo=UTC))
    return found


async def test_a_session_is_explained_by_the_tariff_that_priced_it(
    session: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["explain", session, "--config", config]
    assert await asyncio.to_thread(main, given) == 0
    out = capsys.readouterr().out
    assert "0.40 USD per kWh" in out
    assert "Policies" in out
    assert await asyncio.to_thread(main, [*given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # 9 kWh x 0.40 less the fleet's 10 %.
    assert found["total"]["before_taxes"] == "3.24"


async def test_one_that_is_not_there_or_is_changed(
    session: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["explain", "ses_" + "a" * 20, "--config", config]
    assert await asyncio.to_thread(main, given) == 2
    assert capsys.readouterr().err.count("\n") == 1
    changed = ["explain", session, "--config", config, "--policy", "floor_wh=1"]
    assert await asyncio.to_thread(main, changed) == 2
    assert "explained as it is" in capsys.readouterr().err
