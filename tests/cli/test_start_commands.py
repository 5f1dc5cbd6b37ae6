"""``wattledger start``: a start that is paid first, asked for, seen and given up by a command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from sample_config import whole
from wattledger.cli.main import main
from wattledger.config import parse, versions
from wattledger.db import versions as store
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.db.work import Work

ROLES = {"dsn_env": Role.APP, "owner_dsn_env": Role.OWNER, "reader_dsn_env": Role.READER}
Command = Callable[..., Awaitable[tuple[int, str, str]]]
ANN = ("start", "ask", "--route", "app", "--charge-point", "D-1", "--connector", "1", "--account",
       "ann", "--by", "Mette")  # fmt: skip


@pytest.fixture
async def wattledger(
    database: Database,
    work: Work,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run a command over the sample configuration: its exit code and what it printed."""
    async with work.transaction("apply") as tx:
        await store.apply(
            tx.conn, versions(parse(whole(plan__0__ad_hoc=True))), datetime(2026, 1, 1, tzinfo=UTC)
        )
        await tx.conn.execute("INSERT INTO driven_clock (now) VALUES ('2026-11-02T00:00Z')")
    lines = ["[database]"]
    for key, role in ROLES.items():
        monkeypatch.setenv(f"TEST_{role.upper()}", database.conninfo(role))
        lines.append(f'{key} = "TEST_{role.upper()}"')
    config = tmp_path / "wattledger.toml"
    config.write_text("\n".join(lines))

    async def run(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, [*arguments, "--config", str(config)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


async def test_a_start_is_asked_for_once_seen_and_given_up(
    wattledger: Command, database: Database
) -> None:
    code, out, _ = await wattledger(*ANN, "--reference", "call-17", "--json")
    start = json.loads(out)
    assert (code, start["state"], start["hold"]["minor"]) == (0, "paying", 2500)
    code, again, _ = await wattledger(*ANN, "--reference", "call-17", "--json")
    assert (code, json.loads(again)) == (0, start)
    code, out, _ = await wattledger("start", "show", start["id"])
    assert (code, start["id"] in out, "$25.00, holding" in out) == (0, True, True)
    for _ in range(2):  # the same again is the same
        code, out, _ = await wattledger("start", "cancel", start["id"], "--by", "Mette")
        assert (code, "failed" in out, "cancelled" in out) == (0, True, True)
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        acts = conn.execute("SELECT actor, act FROM money_act ORDER BY id").fetchall()
    assert acts == [("cli:Mette", "start.ask"), ("cli:Mette", "start.cancel")]


async def test_a_start_that_can_not_be_says_why(wattledger: Command) -> None:
    start = ("start", "ask", "--reference", "r", "--by", "Mette", "--charge-point")
    for given, code, said in (
        (("D-1", "--route", "app", "--account", "nobody"), 1, "no such account"),
        (("NOWHERE", "--route", "app", "--account", "ann"), 1, "there is no such charge point"),
        (("D-1", "--route", "app"), 2, "--account: got None, expected one of"),
        (("D-1", "--route", "terminal"), 2, "--reader: got None"),
        (("D-1", "--route", "app", "--account", "ann", "--connector", "99"), 2, "--connector"),
        (("D-1", "--route", "app", "--account", "ann", "--email", "x"), 2, "--email: got 'x'"),
    ):
        found, _, err = await wattledger(*start, *given)
        assert (found, said in err) == (code, True), (given, err)
    for act in ("show", "cancel", "present"):
        code, _, err = await wattledger("start", act, "sta_none")
        assert (code, "ID: got 'sta_none'" in err) == (2, True)


async def test_only_a_start_that_waits_for_a_card_is_presented_again(wattledger: Command) -> None:
    _, out, _ = await wattledger(*ANN, "--reference", "call-18", "--json")
    code, _, err = await wattledger("start", "present", json.loads(out)["id"])
    assert (code, "waits for no card" in err) == (1, True)
