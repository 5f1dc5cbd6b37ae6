"""Terminals and their vendors in the file: each mistake with its path."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sample_config import whole
from wattledger.config import Config, parse, versions
from wattledger.entitlements.terminals import evse
from wattledger.errors import BadInput
from wattledger.payments.terminal.files import read_map

GUESTS = {"id": "guest", "name": "Guests", "route": "terminal", "ad_hoc": True}
VENDOR = {"id": "acme", "entity": "north", "kind": "http", "url": "https://acme.example.com",
          "secret_env": "ACME"}  # fmt: skip
TERMINAL = {"id": "door", "site": "depot", "provider": "acme", "serves": ["D-1", "D-2/1"],
            "mode": "vendor_captures", "tokens": ["CARD"]}  # fmt: skip
STRIPE = {"id": "desk", "site": "depot", "provider": "stripe", "reader": "tmr_1",
          "serves": ["D-1"]}  # fmt: skip


def config(
    terminals: list[dict[str, Any]], vendors: list[dict[str, Any]] | None = None, **changes: Any
) -> Config:
    found = whole(**changes)
    found["plan"].append(GUESTS)
    found["terminal"] = terminals
    found["terminal_vendor"] = [VENDOR] if vendors is None else vendors
    return parse(found)


def test_a_terminal_and_its_vendor_are_versions_of_their_own() -> None:
    found = versions(config([TERMINAL, STRIPE]))
    assert {(v.kind, v.key) for v in found if v.kind.startswith("terminal")} == {
        ("terminal", "door"), ("terminal", "desk"), ("terminal_vendor", "acme"),
    }  # fmt: skip


def test_what_it_serves() -> None:
    door = config([TERMINAL]).terminal[0]
    assert door.evses == (("D-1", None), ("D-2", 1))
    assert (door.at("D-1", 2), door.at("D-2", 1)) == (True, True)
    assert (door.at("D-2", 2), door.at("Y-1", None)) == (False, False)
    assert door.at("D-2", None)  # which connector is not known yet
    for wrong in ("D-1/", "D-1/0", "D-1/x", "D-1/-1"):
        with pytest.raises(ValueError, match="D-1"):
            evse(wrong)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"site": "gone"}, "$.terminal[0].site"),
        ({"provider": "gone"}, "$.terminal[0].provider"),
        ({"serves": []}, "$.terminal[0].serves"),
        ({"serves": ["D-1", "Y-1"]}, "$.terminal[0].serves[1]"),  # of another site
        ({"serves": ["D-1/x"]}, "$.terminal[0].serves[0]"),
        ({"serves": ["D-1/2"]}, "$.terminal[0].serves[0]"),  # it has one
        ({"mode": "we_capture"}, "$.terminal[0].mode"),  # it is not our account
        ({"mode": "barter"}, "$.terminal[0].mode"),
        ({"tokens": [""]}, "$.terminal[0].tokens[0]"),
        ({"tokens": ["x" * 37]}, "$.terminal[0].tokens[0]"),
        ({"tokens": ["ann"]}, "$.terminal[0].tokens[0]"),  # an account's
        ({"before_s": 3_601}, "$.terminal[0].before_s"),
        ({"colour": "red"}, "$.terminal[0]"),
    ],
)
def test_what_is_wrong_with_a_terminal(change: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput) as error:
        config([TERMINAL | change])
    assert error.value.path == path


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"reader": None}, "$.terminal[0].reader"),
        ({"mode": "we_send"}, "$.terminal[0].mode"),
        ({"mode": "vendor_captures"}, "$.terminal[0].mode"),
        ({"site": "yard", "serves": ["Y-1"]}, "$.terminal[0].provider"),  # without a processor
    ],
)
def test_stripe_is_our_own_account(change: dict[str, Any], path: str) -> None:
    given = {name: value for name, value in (STRIPE | change).items() if value is not None}
    with pytest.raises(BadInput) as error:
        config([given])
    assert error.value.path == path


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"id": "stripe"}, "$.terminal_vendor[0].id"),
        ({"entity": "gone"}, "$.terminal_vendor[0].entity"),
        ({"url": "ftp://x"}, "$.terminal_vendor[0].url"),
        ({"secret_env": None}, "$.terminal_vendor[0].secret_env"),
        ({"kind": "file"}, "$.terminal_vendor[0].url"),
        ({"timeout_s": 0}, "$.terminal_vendor[0].timeout_s"),
    ],
)
def test_what_is_wrong_with_a_vendor(change: dict[str, Any], path: str) -> None:
    given = {name: value for name, value in (VENDOR | change).items() if value is not None}
    with pytest.raises(BadInput) as error:
        config([], [given])
    assert error.value.path == path


def test_two_legal_entities_share_no_vendor() -> None:
    with pytest.raises(BadInput) as error:
        config([TERMINAL], [VENDOR | {"entity": "rhine"}])
    assert error.value.path == "$.terminal[0].provider"


def test_one_token_is_of_one_site() -> None:
    yard = TERMINAL | {"id": "gate", "site": "yard", "serves": ["Y-1"], "tokens": ["card"]}
    with pytest.raises(BadInput) as error:
        config([TERMINAL, yard])
    assert error.value.path == "$.terminal[1].tokens[0]"
    # Two terminals of one site may well send the same.
    config([TERMINAL, TERMINAL | {"id": "side"}])


def test_a_reader_is_one_terminals() -> None:
    with pytest.raises(BadInput) as error:
        config([STRIPE, STRIPE | {"id": "other"}])
    assert error.value.path == "$.terminal[1].reader"


def test_shared_tags_need_a_plan_for_guests() -> None:
    found = whole(terminal=[TERMINAL], terminal_vendor=[VENDOR])
    with pytest.raises(BadInput) as error:
        parse(found)
    assert error.value.path == "$.terminal[0].tokens"


def test_amounts_that_are_found_in_files_need_a_directory() -> None:
    files = {"id": "acme", "entity": "north", "kind": "file"}
    with pytest.raises(BadInput) as error:
        config([TERMINAL | {"mode": "we_send"}], [files])
    assert error.value.path == "$.terminal[0].mode"
    config([TERMINAL | {"mode": "we_send"}], [files | {"directory": "acme"}])
    config([TERMINAL], [files])


def test_the_documents_examples_can_be_read() -> None:
    """docs/terminals.md: the configuration, and the mapping of a vendor's file."""
    text = (Path(__file__).parents[1] / "docs" / "terminals.md").read_text(encoding="utf-8")
    first, mapping = re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S)
    found = tomllib.loads(first)
    changes = {"site": "depot", "serves": ["D-1", "D-2/1"]}
    config([found["terminal"][0] | changes], found["terminal_vendor"])
    assert read_map(mapping.encode()).field("amount").from_ == "Amount"
