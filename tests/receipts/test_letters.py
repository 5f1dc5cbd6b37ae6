"""Names in any script on paper: drawn, found again, and never left out."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec
import pytest
from handmade_receipts import receipt

from pdf_text import text_of
from wattledger import receipts
from wattledger.receipts import letters
from wattledger.receipts.letters import lacks, printable
from wattledger.receipts.model import Receipt
from wattledger.receipts.words import languages

FONTS = Path(letters.__file__).parent / "fonts"
NAMES = (
    "Zażółć gęślą jaźń, Łódź", "Příliš žluťoučký kůň", "Árvíztűrő tükörfúrógép", "București, Iași",
    "İstanbul ığdır şeker", "Ξεσκεπάζω την ψυχοφθόρα", "Съешь же ещё этих мягких булок",
    "Київ ґанок їжак", "Þórður Æðey", "Ŝanĝo ĵaŭdo", "Tiếng Việt",
    "12 € 5 £ 3 ₺ 4 ₴ 9 zł − № • … –",
)  # fmt: skip


def _at(name: str) -> Receipt:
    plain = receipt()
    seller = msgspec.structs.replace(plain.seller, name=name)
    return msgspec.structs.replace(plain, seller=seller)


@pytest.mark.parametrize("name", NAMES)
def test_latin_greek_and_cyrillic_names_are_on_paper_as_they_are(name: str) -> None:
    assert printable(name) == name
    assert not lacks(name)
    assert " ".join(name.split()) in text_of(receipts.pdf(_at(name)))


def test_what_the_font_has_no_letter_for_is_written_as_numbers_and_said_to_be() -> None:
    """北 is U+5317, 京 U+4EAC; م is U+0645."""
    assert printable("北京 Süd م") == "[U+5317 U+4EAC] Süd [U+0645]"
    text = text_of(receipts.pdf(_at("北京 Charging")))
    assert "[U+5317 U+4EAC] Charging" in text
    assert "the page of this receipt has them" in text
    assert "北京 Charging" in receipts.html(_at("北京 Charging"))
    assert "the page of this receipt has them" not in text_of(receipts.pdf(receipt()))


def test_a_letter_in_another_form_is_the_letter() -> None:
    assert printable("Lo\u0301dz\u0301") == "Lódź"  # a mark of its own
    assert printable("ＡＢ１") == "AB1"
    assert printable("a\x07b\u2066c") in ("a bc", "a b\u2066c")
    assert lacks("[U+5317]") is False  # as somebody wrote it


def test_the_same_receipt_is_the_same_bytes_whatever_was_printed_before() -> None:
    first = receipts.pdf(_at(NAMES[0]))
    receipts.pdf(_at(NAMES[6]))
    assert receipts.pdf(_at(NAMES[0])) == first


def test_a_pdf_carries_the_letters_that_it_uses_and_no_more() -> None:
    raw = receipts.pdf(_at(NAMES[0]))
    assert len(raw) < 60_000
    assert set(re.findall(rb"/FontName /\w+\+([\w-]+)", raw)) == {
        b"NotoSans-Regular", b"NotoSans-Bold",
    }  # fmt: skip


@pytest.mark.parametrize("language", languages())
def test_every_word_of_the_catalogue_can_be_printed(language: str) -> None:
    written = (Path(receipts.__file__).parent / "languages.toml").read_text(encoding="utf-8")
    assert not lacks(written)
    assert not lacks(text_of(receipts.pdf(receipt(language))))


@pytest.mark.parametrize("file", ["NotoSans-Regular.ttf", "NotoSans-Bold.ttf"])
def test_a_font_is_the_one_that_its_readme_names(file: str) -> None:
    found = hashlib.sha256((FONTS / file).read_bytes()).hexdigest()
    assert f"| `{file}` | `{found}` |" in (FONTS / "README.md").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE Version 1.1" in (FONTS / "OFL.txt").read_text(encoding="utf-8")


def test_what_looks_like_markup_is_text() -> None:
    shown = text_of(receipts.pdf(_at("<b>&amp; Söhne")))
    assert "<b>&amp;Söhne" in shown.replace(" ", "")
