"""What a receipt says in each language: all of it, in the form of that language."""

from __future__ import annotations

import re
import string
from typing import Any

import msgspec
import psycopg
import pytest
from handmade_receipts import END, everything, receipt
from psycopg.types.json import Jsonb
from seed import FULL, OPEN
from seed_config import digest

from pdf_text import text_of
from wattledger import receipts
from wattledger.db.connect import Connection, Database
from wattledger.db.roles import Role
from wattledger.errors import BadInput
from wattledger.pipeline.billing.receipts_step import message
from wattledger.rating import words as bill
from wattledger.receipts import paid, store, words
from wattledger.receipts.model import Receipt
from wattledger.receipts.page import not_yet
from wattledger.receipts.words import check_language, languages
from wattledger.tariffs.model import Unit

OTHERS = [language for language in languages() if language != "en"]
# What documents say in English: the names of lines, of parts and legs of payments, and reasons.
KNOWN = {
    *bill._NAMES.values(), *bill._CAPS.values(), "Minimum price", "Maximum price", "Rounding",
    "Not charged", "included", "no energy was delivered",
    "less than the least amount was delivered", "corrected by a person", "priced anew", "late data",
    "Card", *filter(None, paid._LEGS.values()), *(what for what, _ in paid._PARTS.values()),
    *(what for state, (what, _) in paid._REFUNDS.items() if state != "failed"),
    "Still to be refunded", "a refund failed; we try another way",
    "while the card’s bank looks at a dispute", "at the terminal",
}  # fmt: skip


def _data() -> dict[str, Any]:
    return words._data()


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_there_are_six() -> None:
    assert set(languages()) == {"en", "de", "fr", "nl", "es", "it"}


@pytest.mark.parametrize("language", OTHERS)
def test_every_key_is_in_every_language_with_the_same_places_in_it(language: str) -> None:
    english, other = _data()["en"], _data()[language]
    assert set(other) - {"known"} == set(english)
    for key, text in english.items():
        if isinstance(text, str):
            assert _places(other[key]) == _places(text), key
            assert other[key].strip(), key
    assert set(other["form"]) == set(english["form"])
    assert set(other["units"]) == set(english["units"]) == {unit.value for unit in Unit}
    assert len(other["form"]["months"]) in (0, 12)
    assert set(other["known"]) == KNOWN


@pytest.mark.parametrize(
    ("language", "amount", "energy", "day", "percent"),
    [
        ("en", "−€1,234.50", "1034.511 kWh", "3 Nov 2026", "5.5%"),
        ("de", "−1.234,50 €", "1034,511 kWh", "03.11.2026", "5,5 %"),
        ("fr", "−1\u202f234,50 €", "1034,511 kWh", "3 nov. 2026", "5,5 %"),
        ("nl", "−€ 1.234,50", "1034,511 kWh", "3 nov 2026", "5,5%"),
        ("es", "−1.234,50 €", "1034,511 kWh", "3 nov 2026", "5,5 %"),
        ("it", "−1.234,50 €", "1034,511 kWh", "3 nov 2026", "5,5%"),
    ],
)
def test_figures_and_dates_have_the_form_of_the_language(
    language: str, amount: str, energy: str, day: str, percent: str
) -> None:
    w = words.words(language)

    def plain(text: str) -> str:
        return text.replace("\u00a0", " ")

    assert plain(w.amount(-123_450, "EUR")) == amount
    assert w.kwh(1_034_511) == energy
    assert w.day(END, "Europe/Berlin") == day
    assert plain(w.percent("5.5")) == percent


def test_a_currency_without_a_sign_keeps_its_code() -> None:
    assert words.words("en").amount(1_500, "KWD") == "KWD 1.500"
    assert words.words("de").amount(1_500, "KWD") == "1,500\u00a0KWD"
    assert words.words("fr").price("0.405", "hour", "CHF") == "0,405\u00a0CHF / heure"


def test_what_documents_say_in_english_is_said_in_the_language() -> None:
    w = words.words("de")
    assert w.known("Energy, off-peak") == "Energie, off-peak"  # a name that its operator gave
    assert w.known("Energy, included: 50 kWh a month") == "Energie, enthalten: 50 kWh a month"
    assert w.known("Card •••• 4242") == "Karte •••• 4242"
    assert w.known("at the terminal, PT-1") == "am Terminal, PT-1"
    assert w.known("Visa •••• 4242") == "Visa •••• 4242"
    assert words.words("en").known("Energy, off-peak") == "Energy, off-peak"


@pytest.mark.parametrize("language", OTHERS)
def test_no_english_is_left_on_page_paper_and_mail(language: str) -> None:
    """Of all that English says no sentence and no name of a line, unless the language says it the
    same way."""
    english, other = everything("en"), everything(language)
    said = _data()[language]
    own = " ".join([*map(str, said.values()), *said["known"].values()])
    phrases = [text for text in _data()["en"].values() if isinstance(text, str)]
    for written in (_page, _paper, _mail):
        in_english, in_other = written(english), written(other)
        for phrase in [_head(each) for each in [*phrases, *KNOWN]]:
            if len(phrase) > 3 and phrase in in_english and phrase not in own:
                assert phrase not in in_other, f"{phrase!r} in {language}"


def _head(phrase: str) -> str:
    return phrase.partition("{")[0].strip()


def _page(made: Receipt) -> str:
    return re.sub(r"<style>.*?</style>|<[^>]+>", " ", receipts.html(made, "/r/x"), flags=re.DOTALL)


def _paper(made: Receipt) -> str:
    return text_of(receipts.pdf(made))


def _mail(made: Receipt) -> str:
    mail = message(made, "https://pay.example.com/r/x")
    return mail.subject + mail.text


@pytest.mark.parametrize("language", languages())
def test_no_word_runs_into_the_next_column(language: str) -> None:
    """A column's longest word fits: a heading that is broken is broken at a space."""
    text = text_of(receipts.pdf(everything(language)))
    said = _data()[language]
    for key in ("what", "quantity", "price", "net", "tax", "line_total", "meter_start"):
        assert said[key] in text, key


def test_a_german_receipt_is_german() -> None:
    text = text_of(receipts.pdf(receipt("de")))
    for said in ("Beleg", "Ausgestellt 03.11.2026", "Zählerstand am Anfang (signiert)",
                 "1034,511 kWh", "0,49 € / kWh", "Standzeit", "MwSt. 19 % auf 20,17 €", "24,01 €",
                 "Vollständig beglichen", "Messwerte selbst prüfen".upper()):  # fmt: skip
        assert said in text, said
    page = receipts.html(receipt("de"), "/r/x")
    assert '<html lang="de">' in page
    assert b"/Lang (de)" in receipts.pdf(receipt("de"))
    assert '<a href="/r/x.xml">die signierten Datensätze</a>' in page


def test_what_the_catalogue_puts_together_is_no_markup() -> None:
    place = msgspec.structs.replace(receipt("de").place, name="<i>x</i>", charge_point_id="<b>1")
    page = receipts.html(msgspec.structs.replace(receipt("de"), place=place))
    assert "<i>x" not in page
    assert "Ladepunkt &lt;b&gt;1" in page


async def test_the_site_says_the_language_else_its_entity(
    seeded: Database, reading: Connection
) -> None:
    assert (await store.read(reading, FULL)).language == "en"
    contract = await _contract(reading)
    _configure(seeded, "entity", contract["entity_id"], "nl")
    assert (await store.read(reading, FULL)).language == "nl"
    assert await store.place_of(reading, OPEN) is not None
    _configure(seeded, "site", contract["site_id"], "fr")
    found = await store.read(reading, FULL)
    assert found.language == "fr"
    assert "Reçu" in receipts.html(found)
    place = await store.place_of(reading, FULL)
    assert place == ("Lindehaven Noord", "fr")
    assert "Pas encore facturé" in not_yet(*place)


async def _contract(reading: Connection) -> dict[str, Any]:
    cursor = await reading.execute("SELECT contract FROM session WHERE id = %s", (FULL,))
    row = await cursor.fetchone()
    assert row is not None
    return dict(row["contract"])


def _configure(seeded: Database, kind: str, key: str, language: str) -> None:
    """As if it had been configured so from the beginning."""
    with psycopg.connect(seeded.conninfo(Role.OWNER)) as conn:
        rows = conn.execute(
            "SELECT v.body, a.valid_from FROM config_activation a JOIN config_version v"
            " USING (digest) WHERE a.kind = %s AND a.key = %s", (kind, key),
        ).fetchall()  # fmt: skip
        for body, valid_from in rows:
            said = {**body, "language": language}
            known = digest(kind, key, said)
            conn.execute("INSERT INTO config_version VALUES (%s, %s, %s, %s)"
                         " ON CONFLICT DO NOTHING", (known, kind, key, Jsonb(said)))  # fmt: skip
            conn.execute(
                "INSERT INTO config_activation (kind, key, valid_from, digest)"
                " VALUES (%s, %s, %s, %s)", (kind, key, valid_from, known),
            )  # fmt: skip


def test_a_language_without_words_is_refused() -> None:
    check_language("$.site[0].language", None)
    with pytest.raises(BadInput, match="one of en, de, fr, nl, es, it"):
        check_language("$.site[0].language", "xx")
