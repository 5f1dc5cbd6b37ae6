"""Commands about money over the seeded network: the fixtures ``template`` and ``wattledger``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest

from wattledger.cli.main import main
from wattledger.db.connect import Database
from wattledger.db.embedded import EmbeddedServer
from wattledger.db.roles import Role

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
from paid_template import paid_template
from seed_config import NOW

ROLES = {"dsn_env": Role.APP, "owner_dsn_env": Role.OWNER, "reader_dsn_env": Role.READER}
SECRET = "0123456789abcdef0123456789abcdef"
Command = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture(scope="session")
def template(server: EmbeddedServer, template: str) -> str:
    """Every database of these tests is the seeded network."""
    return paid_template(server, template)


@pytest.fixture
def wattledger(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run a command over the seeded network: its exit code and what it printed."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        conn.execute("INSERT INTO driven_clock (now) VALUES (%s)", (NOW,))
    lines = ["[database]"]
    for key, role in ROLES.items():
        monkeypatch.setenv(f"TEST_{role.upper()}", database.conninfo(role))
        lines.append(f'{key} = "TEST_{role.upper()}"')
    monkeypatch.setenv("LINKS", SECRET)
    lines += ["[receipts]", 'base_url = "https://pay.example.com"', 'link_secret_env = "LINKS"']
    config = tmp_path / "wattledger.toml"
    config.write_text("\n".join(lines))

    async def run(*arguments: str) -> tuple[int, str, str]:
        given = [*arguments, "--config", str(config)]
        code = await asyncio.to_thread(main, given)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
