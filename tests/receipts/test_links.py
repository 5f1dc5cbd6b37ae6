"""Links to receipts: stable, unguessable, for one session each."""

from __future__ import annotations

import pytest

from wattledger import receipts
from wattledger.errors import BadInput, ConfigError
from wattledger.receipts import links
from wattledger.receipts.settings import ReceiptSettings, check_receipts

SECRET = "0123456789abcdef0123456789abcdef"


def test_a_link_is_the_same_whenever_it_is_made_and_leads_back_to_its_session() -> None:
    link = receipts.link("https://pay.example.com/", SECRET, "ses_a-b")
    assert link == receipts.link("https://pay.example.com", SECRET, "ses_a-b")
    before, _, token = link.rpartition("/")
    assert before == "https://pay.example.com/r"
    assert links.session_of(SECRET, token) == "ses_a-b"


def test_a_token_opens_no_other_session_and_needs_the_secret() -> None:
    token = links.token(SECRET, "ses_one")
    proof = token.rpartition("-")[2]
    assert len(proof) == 32  # 160 bits in base32
    for wrong in (f"ses_two-{proof}", f"ses_one-{proof[:-1]}", "ses_one-", "ses_one", "-", "",
                  f"ses_one-{'é' * 32}", f"ses_one-{proof.upper()}"):  # fmt: skip
        assert links.session_of(SECRET, wrong) is None
    assert links.session_of(SECRET[::-1], token) is None


def test_a_short_secret_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigError, match="LINKS has 8 characters"):
        links.checked("tooshort", "LINKS")


def test_links_begin_with_an_address_that_drivers_can_trust() -> None:
    check_receipts(ReceiptSettings(base_url="https://pay.example.com"))
    check_receipts(ReceiptSettings(base_url="http://127.0.0.1:8080"))
    for base in ("http://pay.example.com", "pay.example.com", "https://u@x.com", "https://x/?a=1"):
        with pytest.raises(BadInput, match="base_url"):
            check_receipts(ReceiptSettings(base_url=base))
