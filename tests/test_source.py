"""What the source may not say, read off its syntax trees.

Each exception is written out here with its reason, and one that is no longer needed fails too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "wattledger"
MODULES = sorted(SOURCE.rglob("*.py"))
EXACT = (
    "money.py", "energy.py", "clock.py", "ids.py", "contract.py", "section.py", "tariffs",
    "entitlements", "rating", "payments", "ledger", "accounting", "reconciliation", "sessions",
    "pipeline", "wire",
)  # fmt: skip
# Floats on the path of money and energy: (module, line).
FLOATS_ALLOWED = {
    ("pipeline/world.py", "STALE_AFTER_S = 5.0"),  # machine time, in seconds
    # A Fraction divided is a Fraction: exact.
    (
        "rating/rates.py",
        "price = Fraction(component.price) * scale * keep / PER_UNIT[component.unit]",
    ),
    (
        "rating/rates.py",
        "before = price / whole if tariff.tax_included is TaxIncluded.YES else price",
    ),
    ("rating/extras.py", "amount = _minor(bill, per_kwh) * energy * whole / 1000"),
    ("rating/extras.py", "before = amount / factor(some)"),
    ("rating/extras.py", "before, after = -amount / factor(low), Fraction(0)"),
    ("rating/differences.py", "apart = unit * (len(lines) + 1) / 2"),
    ("rating/extras.py", "ratio = Fraction(tax + after - before) / tax"),
    ("rating/extras.py", "return new / ratio if inverse else new * ratio"),
    ("rating/extras.py", "return other * Fraction(new) / old"),
    ("rating/taxes.py", "return Fraction(text) / 100"),
}
# Machine time: signatures, keys' lives, the system's clock itself.
NOW_ALLOWED = {"clock.py", "payments/stripe/client.py"}
# The edges that talk to a person at a terminal.
PRINTS_ALLOWED = ("cli/", "demo/", "sandbox/__main__.py")
MODULE_LINES_MAX, FUNCTION_LINES_MAX = 400, 60


def _name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _floats(path: Path) -> Iterator[tuple[str, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in ast.walk(_tree(path)):
        literal = isinstance(node, ast.Constant) and isinstance(node.value, float | complex)
        named = isinstance(node, ast.Name) and node.id == "float"
        divided = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        if literal or named or divided:
            yield _name(path), lines[node.lineno - 1].strip()


def test_no_float_and_no_true_division_comes_near_money_or_energy() -> None:
    exact = [path for path in MODULES if _name(path).split("/")[0] in EXACT]
    assert len(exact) > 40
    found = {place for path in exact for place in _floats(path)}
    assert found == FLOATS_ALLOWED


def test_the_search_for_floats_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_source.SOURCE", tmp_path)
    for line in ("x = 0.5", "x = float(y)", "x = 1 / 2", "x /= 2", "x: float = y"):
        (tmp_path / "m.py").write_text(line)
        assert set(_floats(tmp_path / "m.py")) == {("m.py", line)}


def test_modules_are_short() -> None:
    long = {
        _name(path): count
        for path in MODULES
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > MODULE_LINES_MAX
    }
    assert long == {}


def test_functions_are_short() -> None:
    long = {
        f"{_name(path)}:{node.name}": count
        for path in MODULES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (count := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_only_the_edges_print() -> None:
    printing = {
        _name(path)
        for path in MODULES
        if not _name(path).startswith(PRINTS_ALLOWED)
        and any(isinstance(c.func, ast.Name) and c.func.id == "print" for c in _calls(_tree(path)))
    }
    assert printing == set()


def test_the_time_of_day_is_read_in_one_place() -> None:
    """The sandbox and the demo stand outside: they play other people's machines."""
    reading = {
        _name(path)
        for path in MODULES
        if not _name(path).startswith(("sandbox/", "demo/"))
        and any(
            isinstance(c.func, ast.Attribute) and c.func.attr in ("now", "utcnow", "today")
            and isinstance(c.func.value, ast.Name) and c.func.value.id in ("datetime", "date")
            for c in _calls(_tree(path))
        )
    }  # fmt: skip
    assert reading == NOW_ALLOWED


def test_nothing_random_decides_anything() -> None:
    """``secrets`` makes the salt of a password hash, in the CLI, and tokens that nobody guesses, in
    the API; the sandbox plays others."""
    drawing = {
        _name(path)
        for path in MODULES
        if not _name(path).startswith(("sandbox/", "demo/"))
        and re.search(r"^(import|from) (random|uuid|secrets)\b", path.read_text(), re.MULTILINE)
    }
    assert drawing == {"cli/running.py", "api/starts.py"}


def test_no_path_of_somebodys_machine() -> None:
    pattern = re.compile(r"/(work|home|Users)/\w+|/root\b")
    root = SOURCE.parents[1]
    kinds = (".py", ".md", ".toml", ".sql", ".html", ".css", ".csv")
    folders = [root / name for name in ("src", "docs", "examples", "bench")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in kinds]
    files += [root / name for name in ("README.md", "Makefile", "pyproject.toml", "CHANGELOG.md")]
    found = [
        f"{path.relative_to(root)}: {match[0]}"
        for path in files
        if path.exists() and (match := pattern.search(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_no_business_time_is_the_databases_own() -> None:
    """A column that defaults to now() would be machine time in a business column."""
    defaults = [
        f"{path.name}: {line.strip()}"
        for path in sorted((SOURCE / "db" / "migrations").glob("*.sql"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"DEFAULT\s+(now|current_|clock_|statement_|transaction_|local)", line, re.I)
    ]
    assert defaults == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        _name(path)
        for path in MODULES
        if path.read_text(encoding="utf-8").strip() and ast.get_docstring(_tree(path)) is None
    ]
    assert silent == []
