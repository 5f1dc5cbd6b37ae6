"""The command against the real sandbox and a stand-in for the server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wattledger.demo import command, drivers
from wattledger.demo import run as run_demo
from wattledger.errors import BadInput, ExternalFault

# The stand-in knows no cards: every driver is of the fleet, or blocked.
CAST = [drivers.Driver.FLEET] * 95 + [drivers.Driver.BLOCKED] * 5
FAKE_SERVER = Path(__file__).with_name("fake_server.py")


@pytest.fixture(autouse=True)
def _no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "_SLOTS", CAST)


def serve(how: str) -> str:
    """The Python that stands in for the server's command."""
    return (
        f"import sys, runpy; sys.path.insert(0, {str(FAKE_SERVER.parent)!r});"
        f" sys.argv.insert(1, {how!r}); runpy.run_path({str(FAKE_SERVER)!r})"
    )


def left_over(home: Path) -> list[str]:
    """Processes that still know the directory of the run."""
    found = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if str(home) in line]


def test_when_all_adds_up_it_prints_one_object_and_returns_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_SERVE", serve("right"))
    code = run_demo(sessions=100, data_dir=tmp_path / "demo", stay=False, as_json=True)
    said = capsys.readouterr()
    assert (code, said.err) == (0, "")
    result = json.loads(said.out)
    assert result["sessions"]["replayed"] == 100
    assert result["energy_wh"]["mismatched_sessions"] == 0
    assert result["money"]["external"] > 0
    assert all(check["holds"] for check in result["checks"])
    assert result["seconds"] > 0
    assert left_over(tmp_path) == []


def test_one_session_off_by_a_watt_hour_returns_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_SERVE", serve("off_by_one"))
    code = run_demo(sessions=5, data_dir=tmp_path / "demo", stay=False, as_json=False)
    said = capsys.readouterr()
    assert code == 1
    assert "mismatched sessions ≠ 0" in said.err
    assert "charge points' own" in said.err
    assert "≠" in said.out
    assert "5 of 5 sessions" in said.err


def test_a_server_that_dies_is_named_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_SERVE", serve("dies"))
    with pytest.raises(ExternalFault, match=r"(?s)server ended with code 9.*the disk is full"):
        run_demo(sessions=20, data_dir=tmp_path / "demo", stay=False, as_json=True)
    assert left_over(tmp_path) == []


def test_too_many_sessions_are_refused_before_anything_is_wiped(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--sessions"):
        run_demo(sessions=100_000, data_dir=tmp_path / "demo", stay=False, as_json=True)
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -9)],
)
def test_while_it_stays_up_a_signal_ends_it_and_its_processes(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    if number is signal.SIGKILL and shutil.which("setpriv") is None:
        pytest.skip("without util-linux' setpriv the children outlive a kill -9")
    home = tmp_path / "demo"
    script = (
        "import sys; from pathlib import Path; from wattledger.demo import command, drivers, run;"
        " drivers._SLOTS = [drivers.Driver.FLEET] * 100;"
        f" command._SERVE = {serve('right')!r};"
        f" sys.exit(run(sessions=3, data_dir=Path({str(home)!r}), stay=True, as_json=False))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as demo:
        assert demo.stderr is not None
        said = ""
        while "until you press Ctrl-C" not in said:
            line = demo.stderr.readline()
            assert line, said
            said += line
        assert "http://127.0.0.1:" in said
        demo.send_signal(number)
        assert demo.wait(30) == code
    deadline = time.monotonic() + 10
    while left_over(home) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_over(home) == []
