"""The demo's directory and its child processes."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from wattledger.demo import workspace
from wattledger.demo.processes import Child, Children, free_ports, read_lines
from wattledger.errors import ConfigError, ExternalFault

PYTHON = [sys.executable, "-c"]
READY = 'import time; print(\'{"ready": true, "port": 7}\', flush=True); time.sleep(60)'


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ready_is_waited_for_and_all_are_stopped(tmp_path: Path) -> None:
    with Children(tmp_path, os.environ) as children:
        child = children.start("server", [*PYTHON, READY])
        assert child.ready(20)["port"] == 7
        children.check()
        assert child.running
    assert not child.running


def test_on_an_error_they_are_stopped_too_with_their_own_children(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys; c = subprocess.Popen(['sleep', '60']);"
        ' print(\'{"ready": true, "pid": %d}\' % c.pid, flush=True); c.wait()'
    )
    pids = []

    def fail() -> None:
        with Children(tmp_path, os.environ) as children:
            pids.append(children.start("server", [*PYTHON, script]).ready(20)["pid"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    deadline = time.monotonic() + 10
    while alive(pids[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pids[0])


def test_one_that_dies_is_shown_with_its_last_words(tmp_path: Path) -> None:
    with Children(tmp_path, os.environ) as children:
        child = children.start("server", [*PYTHON, "import sys; sys.exit('no such table')"])
        with pytest.raises(ExternalFault, match=r"(?s)server ended with code 1.*no such table"):
            child.ready(20)
        with pytest.raises(ExternalFault, match=r"server\.log"):
            children.check()


def test_while_lines_are_read_the_others_are_watched(tmp_path: Path) -> None:
    with Children(tmp_path, os.environ) as children:
        children.start("server", [*PYTHON, "import sys; sys.exit(3)"])
        child = children.start("chargers", [*PYTHON, READY])
        with pytest.raises(ExternalFault, match="server ended with code 3"):
            read_lines(child, children, lambda _: None, 20)


def test_what_is_no_json_line_is_passed_over(tmp_path: Path) -> None:
    script = "print('hello'); print('[1]'); print('{\"done\": 1}')"
    lines = []
    with Children(tmp_path, os.environ) as children:
        child: Child = children.start("chargers", [*PYTHON, script])
        read_lines(child, children, lines.append, 20)
        assert child.wait(20) == 0
    assert lines == [{}, {}, {"done": 1}]


def test_free_ports_differ() -> None:
    assert len(set(free_ports(5))) == 5


def test_the_directory_is_wiped_at_each_start(tmp_path: Path) -> None:
    with workspace.fresh(tmp_path / "demo") as home:
        (home / "old.log").write_text("old")
        (home / "folder").mkdir()
    with workspace.fresh(tmp_path / "demo") as home:
        assert [entry.name for entry in home.iterdir()] == ["demo.lock"]


def test_a_directory_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="not made by the demo"), workspace.fresh(tmp_path):
        pass
    assert (tmp_path / "thesis.tex").exists()
    with (
        pytest.raises(ConfigError, match="no directory"),
        workspace.fresh(tmp_path / "thesis.tex"),
    ):
        pass


def test_two_demos_do_not_share_one(tmp_path: Path) -> None:
    with workspace.fresh(tmp_path / "demo") as home:
        (home / "running.log").write_text("mine")
        second = workspace.fresh(tmp_path / "demo")
        with pytest.raises(ConfigError, match="another demo runs"):
            second.__enter__()
        assert (home / "running.log").exists()
