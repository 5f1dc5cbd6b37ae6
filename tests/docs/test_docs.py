"""The documents say what is there, and what they name exists."""

from __future__ import annotations

import argparse
import ast
import re
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

from wattledger.cli.main import _parser
from wattledger.tariffs import (
    Component,
    Dimension,
    Policies,
    PriceLimit,
    PriceLock,
    Restrictions,
    Tariff,
    TaxIncluded,
    Unit,
    read_tariffs,
)

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def _commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """All of them, ``tariff convert`` too."""

    def of(
        parser: argparse.ArgumentParser, before: str
    ) -> Iterator[tuple[str, argparse.ArgumentParser]]:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, inner in action.choices.items():
                    yield f"{before}{name}", inner
                    yield from of(inner, f"{before}{name} ")

    yield from of(_parser(), "")


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [
        max(action.option_strings, key=len)
        for action in parser._actions
        if action.option_strings and action.help != argparse.SUPPRESS and action.dest != "help"
    ]


CLI = (DOCS / "cli.md").read_text(encoding="utf-8") if (DOCS / "cli.md").exists() else ""


@pytest.mark.parametrize("name", [name for name, _ in _commands()])
def test_a_command_and_its_options_are_documented(name: str) -> None:
    parser = dict(_commands())[name]
    assert f"wattledger {name}" in CLI, f"docs/cli.md says nothing of `wattledger {name}`"
    missing = [option for option in _options(parser) if f"`{option}" not in CLI]
    assert missing == [], f"docs/cli.md says nothing of these options of {name}"


def test_the_documents_name_no_command_that_is_not_there() -> None:
    known = {name for name, _ in _commands()}
    named = {
        (path.name, word)
        for path in (ROOT / "README.md", *DOCS.glob("*.md"))
        for word in re.findall(r"(?:^|`|\$ |bin/)wattledger ([a-z][a-z-]+)", path.read_text(), re.M)
    }
    assert {(file, word) for file, word in named if word not in known} == set()


def _policy_rows() -> dict[str, list[str]]:
    """The values of each policy in docs/configuration.md, the default first."""
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (`[^|]*`) \| .* \|$", text.partition("## Policies")[2], re.M)
    return {name: re.findall(r"`(\w+)`", values) for name, values in rows}


def test_every_policy_is_documented_with_its_values_and_its_default() -> None:
    rows, kinds = _policy_rows(), get_type_hints(Policies)
    usual = msgspec.to_builtins(Policies())
    assert list(rows) == list(usual)
    for name, values in rows.items():
        first = usual[name]
        assert values[0] == (str(first).lower() if isinstance(first, bool) else str(first)), name
        kind = kinds[name]
        if issubclass(kind, StrEnum):
            assert set(values) == {member.value for member in kind}, name


def test_every_key_and_restriction_of_a_tariff_is_documented() -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    section = text.partition("## Tariffs")[2].partition("## Policies")[0]
    words = [*Tariff.__struct_fields__, *Restrictions.__struct_fields__]
    words += [*Component.__struct_fields__, *PriceLimit.__struct_fields__]
    words += [member.value for kind in (Dimension, Unit, TaxIncluded, PriceLock) for member in kind]
    assert [word for word in words if f"`{word}`" not in section] == []


def test_the_documents_configuration_can_be_read() -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S)
    (block,) = [block for block in blocks if "[[tariff]]" in block]
    (tariff,) = read_tariffs(tomllib.loads(block)["tariff"])
    assert tariff.policies.floor_wh == 100


def test_the_readmes_two_commands_are_in_the_makefile() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in ("demo", "test"):
        assert f"make {command}" in readme
        assert re.search(rf"^{command}:", makefile, re.M)


def _named_tests() -> list[str]:
    """``tests/…::test_name`` as docs/guarantees.md names them."""
    path = DOCS / "guarantees.md"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return sorted(set(re.findall(r"tests/[\w/.-]+\.py(?:::\w+)*", text)))


@pytest.mark.parametrize("name", _named_tests())
def test_a_test_that_stands_behind_a_guarantee_exists(name: str) -> None:
    file, _, function = name.partition("::")
    path = ROOT / file
    assert path.exists(), f"docs/guarantees.md names {name}, and there is no such file"
    if function:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        assert function.rpartition("::")[2] in names, (
            f"docs/guarantees.md names {name}, and {file} has no such test"
        )


@pytest.mark.parametrize(
    "path", [p for p in (ROOT / "README.md", *sorted(DOCS.rglob("*.md"))) if p.exists()],
    ids=lambda p: p.relative_to(ROOT).as_posix(),
)  # fmt: skip
def test_a_link_to_a_file_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []
