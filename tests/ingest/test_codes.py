"""Every code that is recorded is described, none is described that is not, and the docs agree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import wattledger
from wattledger.ingest.codes import CODES, REFUSED, UNKNOWN, Severity, describe

SOURCE = Path(wattledger.__file__).parent
DOCS = Path(__file__).parents[2] / "docs"
# Prices of what is not in the database: CDRs, session files, utility bills.
NO_SESSIONS = (
    "rating/record_sections.py", "rating/records.py", "rating/inputs.py", "rating/cost.py",
    "tariffs/utility/",
)  # fmt: skip


def _texts(node: ast.expr | None) -> Iterator[str]:
    """The constants that an expression can be: ``"a" if x else "b"`` is two."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))


def _named(function: ast.AST, name: str) -> Iterator[str]:
    """What a local name can be, where the code is not written in the call."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            yield from _texts(node.value)


def _recorded(tree: ast.Module) -> Iterator[str]:
    scopes = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    for scope in [*scopes, tree]:
        for call in (n for n in ast.walk(scope) if isinstance(n, ast.Call)):
            callee = call.func
            name = callee.attr if isinstance(callee, ast.Attribute) else getattr(callee, "id", "")
            given = {k.arg: k.value for k in call.keywords}
            places = [given.get("held_reason")]
            if name in ("record", "_record"):
                places.append(given.get("code"))
            if name in ("Anomaly", "CantPrice", "_held", "anomaly", "_anomaly") and call.args:
                places.append(call.args[0])
            if name == "_show":
                places += call.args[1:3]
            for place in places:
                yield from _texts(place)
                if isinstance(place, ast.Name):
                    yield from _named(scope, place.id)


def _sources() -> Iterator[tuple[str, str]]:
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        if not name.startswith((*NO_SESSIONS, "sandbox/", "demo/", "cli/", "ingest/codes.py")):
            yield name, path.read_text(encoding="utf-8")


def _in_source() -> set[str]:
    found: set[str] = set()
    for _, text in _sources():
        if re.search(r"anomal|Anomaly|CantPrice|_held|held_reason", text):
            found |= set(_recorded(ast.parse(text)))
        # One that SQL writes itself.
        found |= set(re.findall(r"held_reason = '([\w.]+)'", text))
    return found


def test_every_code_that_is_recorded_is_described_and_no_other() -> None:
    found = _in_source()
    assert {"register.fell", "stop.differs", "stop.late", "bill.failed", "too_long"} <= found
    assert found - set(CODES) == set(), "describe these in ingest/codes.py and docs/anomalies.md"
    words = {
        text for _, source in _sources() for text in re.findall(r"[\"'](\w+[.\w]*)[\"']", source)
    }
    assert set(CODES) - words == set(), "nothing records these any more"


def test_codes_that_are_made_of_others_are_described_too() -> None:
    assert describe("webhook.deliver.refused") is REFUSED
    assert describe("capture.refused") is CODES["capture.refused"]
    assert describe("of a version to come") is UNKNOWN


def test_the_documentation_has_every_code_as_it_is() -> None:
    text = (DOCS / "anomalies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `[\w.]+` \| .* \|$", text, re.M)
    expected = [
        f"| `{code}` | {known.meaning} | {known.severity.value} | {known.todo} |"
        for code, known in CODES.items()
    ]
    wrong = [row for row in rows if row not in expected]
    missing = [row for row in expected if row not in rows]
    assert (wrong, missing) == ([], [])
    assert all(severity.value in text for severity in Severity)
