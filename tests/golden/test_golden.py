"""The same input is the same charge, byte for byte, from one version of the program to the next."""

from __future__ import annotations

import pytest
from golden_cases import HERE, NAMES, load

from wattledger.rating import ENGINE, decode, encode


@pytest.mark.parametrize("name", NAMES)
def test_the_charge_is_what_it_was(name: str) -> None:
    case = load(name)
    raw, bill = case.render()
    assert raw == case.charge_path.read_bytes()
    assert bill == case.bill_path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_charge_is_read_and_is_its_bytes_again(name: str) -> None:
    raw = load(name).charge_path.read_bytes()
    charge = decode(raw)
    assert charge.engine == ENGINE
    assert encode(charge) == raw


def test_the_corpus_is_whole() -> None:
    """No case without its charge, no charge without its case."""
    stored = {path.name for path in (HERE / "charges").iterdir()}
    assert stored == {f"{name}.{kind}" for name in NAMES for kind in ("json", "txt")}
    assert len(NAMES) >= 25
