"""The examples in docs/energy-cost.md run, and come to what is printed there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from wattledger.tariffs.utility import PerEnergy, read_price_series, read_utility_tariff

TEXT = (Path(__file__).parents[3] / "docs" / "energy-cost.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_example_prints_what_is_written_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    (code,), (expected,) = blocks("python"), blocks("text")
    exec(compile(code, "docs/energy-cost.md", "exec"), {})
    assert capsys.readouterr().out == expected


def test_the_tariff_is_read() -> None:
    (text,) = blocks("toml")
    assert read_utility_tariff(tomllib.loads(text)).id == "ev-1"


def test_the_series_is_read() -> None:
    (text,) = blocks("csv")
    found = read_price_series(text, currency="EUR", per=PerEnergy.MWH)
    assert len(found.intervals) == 2
