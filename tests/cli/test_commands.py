"""The command line: what it prints, and the code it ends with."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from wattledger.cli.main import main
from wattledger.gateway.auth import verify


def _run(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as end:  # argparse's own errors
        return int(end.code or 0)


def test_without_a_command_it_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run() == 2
    assert "usage: wattledger" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["demo", "init", "apply", "serve", "verify", "reconcile", "hash-password"]
)
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(command, "--help") == 0
    assert "example:\n  " in capsys.readouterr().out


def test_a_configuration_that_is_not_there_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "none.toml")
    for command in ("apply", "verify", "reconcile"):
        assert _run(command, "--config", path, "--json") == 2
        captured = capsys.readouterr()
        assert "no such file" in json.loads(captured.out)["error"]
        assert captured.err.startswith("wattledger: ")


def test_a_time_that_is_none_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("apply", "--valid-from", "tomorrow") == 2
    assert "--valid-from: got 'tomorrow'" in capsys.readouterr().err


def test_a_password_is_hashed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct-horse-battery\n"))
    assert _run("hash-password") == 0
    assert verify("correct-horse-battery", capsys.readouterr().out.strip())


def test_a_short_password_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert _run("hash-password") == 2
    captured = capsys.readouterr()
    assert "16 characters at least" in captured.err
    assert "short" not in captured.out


def test_from_init_to_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Init never overwrites; apply says what changed, and nothing the second time."""
    tmp_path.chmod(0o755)
    config = ("--config", str(tmp_path / "wattledger.toml"))
    assert _run("init", *config) == 0
    before = (tmp_path / "wattledger.toml").read_text()
    assert _run("init", *config) == 2
    assert (tmp_path / "wattledger.toml").read_text() == before
    capsys.readouterr()
    assert _run("apply", *config, "--json") == 0
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert {(c["kind"], c["key"], c["what"]) for c in changes} == {
        ("account", "acme", "added"), ("entity", "main", "added"), ("plan", "fleet", "added"),
        ("plan", "member", "added"), ("policies", "policies", "added"),
        ("site", "depot", "added"), ("tariff", "standard", "added"),
    }  # fmt: skip
    assert _run("apply", *config) == 0
    assert "Nothing changed" in capsys.readouterr().out
    assert _run("reconcile", *config, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"breaks": []}
    assert _run("verify", *config) == 0
    assert "proved" in capsys.readouterr().out
