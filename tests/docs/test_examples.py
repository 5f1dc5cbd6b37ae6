"""What the documents show of commands is what the commands print, and what they name is there."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
from enum import EnumType
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from wattledger.cli.main import main
from wattledger.tariffs.formats import FORMATS
from wattledger.tariffs.policies import Policies

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PRICING = (ROOT / "docs" / "pricing.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"# exit code (\d)$")
_AS_TOOL = "| python -m json.tool"
LEFT_OUT = "..."


def _examples() -> list[Any]:
    """Each command of a console block with what is shown below it."""
    found = []
    for path in DOCUMENTS:
        for block in _BLOCK.findall(path.read_text(encoding="utf-8")):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                found.append(pytest.param(command, shown, id=f"{path.name}: {command[:60]}"))
    return found


def _run(command: str) -> tuple[int, str]:
    """Exit code and standard output."""
    as_tool = _AS_TOOL in command
    words = shlex.split(command.replace(_AS_TOOL, ""), comments=True)
    if words[0] == "cat":
        return 0, "".join(Path(name).read_text(encoding="utf-8") for name in words[1:])
    assert words[0] == "wattledger", "the documents run nothing else"
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = main(words[1:])
    printed = out.getvalue()
    if as_tool:
        printed = json.dumps(json.loads(printed), indent=4) + "\n"
    return code, printed


@pytest.mark.parametrize(("command", "shown"), _examples())
def test_a_command_prints_what_the_document_shows(
    command: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    code, printed = _run(command)
    wanted = _CODE.search(command)
    assert code == (int(wanted[1]) if wanted else 0)
    if LEFT_OUT not in shown.splitlines():
        assert printed == shown
        return
    rest = printed
    for i, piece in enumerate(re.split(rf"^\s*{re.escape(LEFT_OUT)}\n", shown, flags=re.MULTILINE)):
        place = rest.find(piece)
        assert place == 0 if i == 0 else place >= 0, f"not printed: {piece}"
        rest = rest[place + len(piece) :]
    assert piece or not rest or shown.endswith(f"{LEFT_OUT}\n")


def test_there_are_examples() -> None:
    assert len(_examples()) >= 10


def test_the_library_examples_of_pricing_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    pairs = re.findall(
        r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", PRICING, re.DOTALL | re.MULTILINE
    )
    assert len(pairs) == 2
    for code, shown in pairs:
        exec(compile(code, "docs/pricing.md", "exec"), {})
        assert capsys.readouterr().out.strip() == shown.strip()


def test_the_session_file_that_is_shown_can_be_priced(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^```json\n(.*?)^```$", PRICING, re.DOTALL | re.MULTILINE)
    (tmp_path / "session.json").write_text(shown)
    tariff = ROOT / "examples" / "pricing" / "time-of-use.toml"
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["price", str(tmp_path / "session.json"), "--tariff", str(tariff)]) == 0


@pytest.mark.parametrize("name", Policies.__struct_fields__)
def test_a_policy_is_documented_with_its_values_and_its_default_first(name: str) -> None:
    rows = re.findall(rf"^\|[^|]*\|[^|]*\| `{name}` \|.*$", PRICING, re.MULTILINE)
    assert len(rows) == 1, f"docs/pricing.md has {len(rows)} rows for the policy {name}"
    values = rows[0].split(f"| `{name}` |")[1]
    kind, default = get_type_hints(Policies)[name], getattr(Policies(), name)
    if kind is int:
        assert re.search(rf"\b{default}\b", values)
        return
    known = [member.value for member in kind] if isinstance(kind, EnumType) else ["true", "false"]
    listed = [word for word in re.findall(r"`(\w+)`", values) if word in known]
    assert sorted(listed) == sorted(known)
    assert listed[0] == (default.value if isinstance(kind, EnumType) else str(default).lower())


def test_every_question_has_its_row() -> None:
    for number in range(1, 23):
        assert f"| A{number} |" in PRICING


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_is_documented(form: str) -> None:
    text = (ROOT / "docs" / "tariff-formats.md").read_text(encoding="utf-8")
    assert f"`{form}`" in text
