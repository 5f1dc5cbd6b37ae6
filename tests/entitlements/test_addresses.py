"""Addresses in parts: what a country needs, and how it stands on a letter."""

from __future__ import annotations

from typing import Any

import pytest

from sample_config import whole
from wattledger.config import parse, versions
from wattledger.entitlements.addresses import PostalAddress
from wattledger.errors import BadInput

US = {"line1": "1 Main St", "city": "Oakland", "state": "CA", "postal_code": "94607",
      "country": "US"}  # fmt: skip
DE = {"line1": "Kai 7", "city": "Hamburg", "postal_code": "20457", "country": "DE"}


def _parsed(address: dict[str, Any]) -> PostalAddress | None:
    return parse(whole(site__0__postal_address=address)).site[0].postal_address


def test_it_is_part_of_the_sites_version_and_a_site_without_one_is_as_before() -> None:
    def body(**changes: Any) -> dict[str, Any]:
        found = versions(parse(whole(**changes)))
        return next(v.body for v in found if (v.kind, v.key) == ("site", "depot"))

    assert body(site__0__postal_address=US)["postal_address"] == US
    assert "postal_address" not in body()


@pytest.mark.parametrize(
    ("address", "lines"),
    [
        (US, ("1 Main St", "Oakland, CA 94607")),
        ({**US, "line2": "Level 2"}, ("1 Main St", "Level 2", "Oakland, CA 94607")),
        (DE, ("Kai 7", "20457 Hamburg")),
        ({"line1": "1 Quay", "postal_code": "D01", "country": "IE"}, ("1 Quay", "D01")),
        ({"line1": "Mannerheimintie 1", "country": "FI"}, ("Mannerheimintie 1",)),
    ],
)
def test_its_lines_are_those_of_a_letter(address: dict[str, str], lines: tuple[str, ...]) -> None:
    found = _parsed(address)
    assert found is not None
    assert found.lines == lines
    assert found.parts == address


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ({**US, "country": "usa"}, "country"),
        ({**US, "country": "us"}, "country"),
        ({**US, "city": " "}, "city"),
        ({name: text for name, text in US.items() if name != "state"}, "state"),
        ({name: text for name, text in DE.items() if name != "postal_code"}, "postal_code"),
        ({**DE, "line1": ""}, "line1"),
        ({**DE, "line2": "x" * 201}, "line2"),
        ({**DE, "line2": "a\nb"}, "line2"),
    ],
)
def test_each_mistake_has_its_path(address: dict[str, str], where: str) -> None:
    with pytest.raises(BadInput) as refusal:
        _parsed(address)
    assert refusal.value.path == f"$.site[0].postal_address.{where}"


def test_what_it_does_not_know_and_what_it_lacks_is_named() -> None:
    for wrong in ({**US, "zip": "94607"}, {"line1": "1 Main St"}):
        with pytest.raises(BadInput, match="postal_address"):
            _parsed(wrong)
