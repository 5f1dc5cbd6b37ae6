"""``wattledger terminal import`` as a user runs it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from wattledger.cli.main import main
from wattledger.config import read, versions
from wattledger.db import versions as store
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.installation import BEGINNING

CONFIG = """
[[entity]]
id = "north"
name = "North"
currency = "USD"
time_zone = "America/New_York"
[[tariff]]
id = "standard"
name = "standard"
currency = "USD"
[[tariff.elements]]
name = "all day"
components = [{ dimension = "energy", price = "0.40", unit = "kWh" }]
[[plan]]
id = "guest"
name = "Guests"
route = "terminal"
ad_hoc = true
[[site]]
id = "yard"
name = "Yard"
entity = "north"
time_zone = "America/New_York"
tariff = "standard"
charge_points = [{ id = "Y-1", power_w = 22000 }]
[[terminal_vendor]]
id = "acme"
entity = "north"
kind = "file"
[[terminal]]
id = "door"
site = "yard"
provider = "acme"
serves = ["Y-1"]
tokens = ["CARD"]
mode = "vendor_captures"
"""
HEADER = "kind,reference,terminal,at,amount\n"
GOOD = "settlement,A1,door,2026-11-02T00:00:00Z,12.34\n"


@pytest.fixture
async def home(
    tmp_path: Path, work: Work, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with a configuration over the test's own database, on 2026-11-02."""
    config = tmp_path / "wattledger.toml"
    config.write_text(CONFIG)
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(read(config)), BEGINNING)
    lines = ["[database]"]
    for key, role in (("dsn_env", Role.APP), ("owner_dsn_env", Role.OWNER),
                      ("reader_dsn_env", Role.READER)):  # fmt: skip
        monkeypatch.setenv(f"TEST_{role.upper()}", database.conninfo(role))
        lines.append(f'{key} = "TEST_{role.upper()}"')
    config.write_text("\n".join([*lines, CONFIG]))
    with psycopg.connect(database.conninfo(Role.OWNER)) as conn:
        conn.execute("INSERT INTO wattledger.driven_clock (now) VALUES ('2026-11-02T00:00Z')")
    return tmp_path


async def _import(
    home: Path, name: str, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, dict[str, Any]]:
    given = ["terminal", "import", str(home / name), "--vendor", "acme", "--json",
             "--config", str(home / "wattledger.toml"), *options]  # fmt: skip
    code = await asyncio.to_thread(main, given)
    return code, dict(json.loads(capsys.readouterr().out))


async def _payments(work: Work) -> list[dict[str, Any]]:
    async with work.transaction("look") as tx:
        cursor = await tx.conn.execute(
            "SELECT reference, settled_minor FROM terminal_payment ORDER BY reference"
        )
        return await cursor.fetchall()


async def test_look_take_and_take_again(
    home: Path, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = "settlement,A2,window,2026-11-02T00:00:00Z,1.00\n"
    (home / "a.csv").write_text(HEADER + GOOD + bad)
    code, found = await _import(home, "a.csv", capsys, "--dry-run")
    assert (code, found["new"], found["dry_run"]) == (1, 0, True)
    assert await _payments(work) == [], "a dry run writes nothing"
    code, found = await _import(home, "a.csv", capsys)
    assert (code, found["new"], found["known"]) == (1, 1, 0)
    [refused] = found["rejected"]
    assert (refused["place"], refused["reference"], refused["path"]) == (
        "line 3", "A2", "line 3.terminal",
    )  # fmt: skip
    assert refused["expected"] == "a terminal of acme (door)"
    (home / "b.csv").write_text(HEADER + GOOD)
    code, found = await _import(home, "b.csv", capsys)
    assert (code, found["new"], found["known"], found["rejected"]) == (0, 0, 1, [])
    assert await _payments(work) == [{"reference": "A1", "settled_minor": 1_234}]


async def test_json_lines(home: Path, work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"kind": "authorization", "reference": "A1", "terminal": "door", "amount": "50.00",
           "at": "2026-11-02T00:00:00Z"}  # fmt: skip
    (home / "a.jsonl").write_text(json.dumps(row) + "\n")
    code, found = await _import(home, "a.jsonl", capsys)
    assert (code, found["new"]) == (0, 1)
    assert await _payments(work) == [{"reference": "A1", "settled_minor": None}]


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("a.csv", HEADER, (), "no payments"),
        ("a.txt", GOOD, (), ".csv or .jsonl"),
        ("a.csv", "", (), "a header"),
        ("a.csv", HEADER + GOOD, ("--vendor", "gone"), "no [[terminal_vendor]]"),
        ("a.csv", HEADER + GOOD, ("--mapping", "gone.toml"), "no such file"),
    ],
)
async def test_what_can_not_be_read(
    home: Path, capsys: pytest.CaptureFixture[str], name: str, content: str,
    options: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    (home / name).write_text(content)
    code, found = await _import(home, name, capsys, *options)
    assert code == 2
    assert said in found["error"]
