"""What the configuration says of receipts and mail, and what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from sample_config import whole
from wattledger.config import parse, versions
from wattledger.errors import BadInput
from wattledger.receipts.settings import MAIL, RECEIPTS

MAILED = {"host": "smtp.example.com", "sender": "North <r@example.com>", "user": "u",
          "password_env": "MAIL"}  # fmt: skip
LINKED = {"base_url": "https://pay.example.com", "link_secret_env": "LINKS"}


def test_what_is_not_said_is_no_version() -> None:
    kinds = {version.kind for version in versions(parse(whole()))}
    assert not kinds & {MAIL, RECEIPTS}


def test_receipts_and_mail_are_versions_without_a_secret() -> None:
    config = parse(whole() | {"receipts": LINKED, "mail": MAILED})
    found = {version.kind: version.body for version in versions(config)}
    assert found[RECEIPTS] == LINKED
    assert found[MAIL] == MAILED  # the password's name, not the password


def test_a_language_that_there_are_no_words_for_is_refused() -> None:
    given = whole(site__0__language="de")
    given["entity"][0]["language"] = "nl"
    config = parse(given)
    assert (config.entity[0].language, config.site[0].language) == ("nl", "de")
    with pytest.raises(BadInput, match=r"site\[0\]\.language.*'xx'.*en, de, fr, nl, es, it"):
        parse(whole(site__0__language="xx"))


def test_what_a_receipt_says_of_its_seller_and_site() -> None:
    seller = {"address": "Kai 7\nHamburg", "tax_ids": ["VAT DE1"], "support": "a@b.c",
              "receipt_note": "Thanks"}  # fmt: skip
    given = whole(site__0__address="Kai 8", site__0__charge_points__0__current_kind="DC")
    given["entity"][0] |= seller
    config = parse(given)
    assert config.entity[0].tax_ids == ("VAT DE1",)
    assert (config.site[0].address, config.site[0].charge_points[0].current_kind) == (
        "Kai 8", "DC",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"receipts": {"base_url": "http://pay.example.com"}}, "$.receipts.base_url"),
        ({"receipts": {"secret": "x"}}, "$.receipts"),
        ({"mail": MAILED | {"security": "none"}}, "$.mail.security"),
        ({"mail": MAILED | {"port": 0}}, "$.mail.port"),
        ({"mail": {"host": "h"}}, "$.mail"),
    ],
)
def test_what_it_may_not_say(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(whole() | changes)
    assert caught.value.path.startswith(path)


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("entity", {"name": "x" * 201}),
        ("entity", {"receipt_note": "x" * 201}),
        ("entity", {"address": "Kai 7\n" + "x" * 201}),
        ("entity", {"address": "\n" * 11}),
        ("entity", {"tax_ids": ["x" * 201]}),
        ("site", {"name": "x" * 201}),
        ("site", {"address": "x" * 201}),
    ],
)
def test_what_no_receipt_has_room_for(section: str, text: dict[str, Any]) -> None:
    given = whole()
    given[section][0] |= text
    with pytest.raises(BadInput) as caught:
        parse(given)
    [name] = text
    assert caught.value.path.startswith(f"$.{section}[0].{name}")
    longest = {name: "x" * 200} if name != "tax_ids" else {name: ["x" * 200]}
    given[section][0] |= longest
    parse(given)
