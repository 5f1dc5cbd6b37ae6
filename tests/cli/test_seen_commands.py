"""``wattledger sessions`` and ``wattledger anomalies``, beside a database without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
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
from wattledger.ingest import anomalies
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.importing.imports import ReadingIn, SessionIn, take
from wattledger.pipeline.world import World

START = datetime(2026, 11, 1, 10, tzinfo=UTC)
ROLES = {"dsn_env": Role.APP, "owner_dsn_env": Role.OWNER, "reader_dsn_env": Role.READER}
Command = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def wattledger(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run a command on the test's own database: its exit code and what it printed."""
    lines = ["[database]"]
    for key, role in ROLES.items():
        monkeypatch.setenv(f"TEST_{role.upper()}", database.conninfo(role))
        lines.append(f'{key} = "TEST_{role.upper()}"')
    config = tmp_path / "wattledger.toml"
    config.write_text("\n".join(lines))

    async def run(*arguments: str) -> tuple[int, str, str]:
        given = [*arguments, "--config", str(config)]
        code = await asyncio.to_thread(main, given)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
async def sessions(work: Work) -> list[str]:
    """One that was billed, and one whose register fell, held. A charge point wrote to terminals."""
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(whole())), datetime(2026, 1, 1, tzinfo=UTC))
        await anomalies.record(
            tx.conn, at=START, code="frame.malformed", subject="D-1",
            detail={"raw": "\x1b[2J[red]boo"}, cause="x",
        )  # fmt: skip
    world = World(work)
    found = []
    for n, registers in enumerate(((0, 4_000, 9_000), (9_000, 18_000, 17_000))):
        start = START + timedelta(hours=2 * n)
        half = timedelta(minutes=30)
        readings = tuple(ReadingIn(start + i * half, wh) for i, wh in enumerate(registers))
        end = start + 2 * half
        session = SessionIn(f"S-{n}", "D-1", 1, "Acme-1", start, end, readings, end)
        found.append(str((await take(world, "api", session))["session_id"]))
    assert [await bill(world, each) for each in found] == ["billed", "held"]
    return found


async def test_sessions_are_listed_and_one_is_shown_whole(
    sessions: list[str], wattledger: Command
) -> None:
    code, out, _ = await wattledger("sessions")
    assert code == 0
    head, newest, oldest = out.splitlines()
    assert head.split() == ["Started", "Site", "Charge", "point", "Token", "kWh", "Charged",
                            "State", "Id"]  # fmt: skip
    assert newest.split() == ["2026-11-01T12:00:00Z", "depot", "D-1/1", "Acme-1", "8.000", "held",
                              "register.fell", "(1", "open)", sessions[1]]  # fmt: skip
    # 9 kWh at 0.40 less 10 % are 3.24; 8.875 % tax 0.29 (0.28755).
    assert oldest.split()[4:6] == ["9.000", "$3.53"]
    code, out, _ = await wattledger("sessions", "--state", "held", "--json")
    assert [row["id"] for row in json.loads(out)["sessions"]] == sessions[1:]
    since = await wattledger("sessions", "--since", "2026-11-02T00:00:00Z")
    assert since[1] == "No session matches.\n"

    code, out, _ = await wattledger("sessions", sessions[0], "--frames")
    assert code == 0
    facts = [line.split() for line in out.splitlines() if line.endswith("message")]
    assert facts[0][:4] == ["2026-11-01T10:00:00Z", "start", "0", "Wh"]
    assert "Total" in out
    assert "$3.53" in out
    assert "No frames are kept of that time." in out
    code, _, err = await wattledger("sessions", "ses_none")
    assert (code, err.count("\n")) == (2, 1)
    for wrong in (["--limit", "0"], ["--since", "monday"], ["--frames"]):
        assert (await wattledger("sessions", *wrong))[0] == 2


async def test_anomalies_are_listed_explained_and_decided(
    sessions: list[str], wattledger: Command
) -> None:
    code, out, _ = await wattledger("anomalies")
    assert code == 0
    assert "\x1b" not in out
    [line] = [line for line in out.splitlines() if "register.fell" in line]
    number = line.split()[0]
    code, out, _ = await wattledger("anomalies", "show", number)
    assert "The register fell during the session." in out
    assert "It can't be accepted: the register read 18000 Wh" in out
    assert "Start 2026-11-01T12:00:00Z, 9000 Wh; stop 2026-11-01T13:00:00Z, 17000 Wh." in out
    assert f"wattledger anomalies correct {number} --reason" in out

    correct = ["anomalies", "correct", number, "--stop-wh", "18500", "--reason", "read off",
               "--by", "ann"]  # fmt: skip
    refused = ["anomalies", "accept", number, "--reason", "x"]
    code, _, err = await wattledger(*refused)
    assert (code, "can't be billed as it is" in err) == (1, True)
    code, out, _ = await wattledger(*correct)
    assert (code, out) == (
        0, f"Anomaly {number}: corrected.\nSession {sessions[1]} is billed in the next round of"
        " the worker.\n",
    )  # fmt: skip
    code, out, _ = await wattledger(*correct, "--json")
    again = json.loads(out)
    assert (again["new"], again["actor"], again["session_state"]) == (False, "cli:ann", "ended")
    code, _, err = await wattledger(*refused, "--json")
    assert (code, "was resolved at" in err) == (1, True)

    code, out, _ = await wattledger("anomalies", "--code", "frame.malformed")
    frame = out.splitlines()[1].split()[0]
    code, out, _ = await wattledger("anomalies", "show", frame)
    assert "\ufffd[2J[red]boo" in out, "what came from outside moves no terminal"
    code, out, _ = await wattledger("anomalies", "accept", frame, "--reason", "told the maker")
    assert (code, out) == (0, f"Anomaly {frame}: accepted.\n")
    assert (await wattledger("anomalies"))[1] == "Nothing needs a person.\n"
    resolved = json.loads((await wattledger("anomalies", "--all", "--json"))[1])["anomalies"]
    assert [one["act"]["act"] for one in resolved] == ["correct", "accept"]
    for wrong in (["show", "999"], ["accept", "999", "--reason", "x"],
                  ["correct", frame, "--stop-at", "noon", "--reason", "x"]):  # fmt: skip
        assert (await wattledger("anomalies", *wrong))[0] == 2, wrong


def test_help_has_examples_and_a_discard_asks_for_its_kind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for command in (["sessions"], ["anomalies"], ["anomalies", "discard"]):
        with pytest.raises(SystemExit) as end:
            main([*command, "--help"])
        assert end.value.code == 0
        assert "example:\n  wattledger " in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["anomalies", "discard", "1", "--reason", "x"])
    assert end.value.code == 2
    assert "--never-delivered --given-away is required" in capsys.readouterr().err
