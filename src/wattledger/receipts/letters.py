"""Which letters paper has, and what stands there for those that it has not.

The font is embedded: Latin, Greek and Cyrillic with their marks (``fonts/README.md``). Nothing
vanishes: what it can't draw is written as the numbers of its characters, ``[U+5317 U+4EAC]``.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

REGULAR, BOLD = "WattledgerSans", "WattledgerSans-Bold"
_LOADING = Lock()
_FOLDER = Path(__file__).parent / "fonts"
_FACES = ((REGULAR, "NotoSans-Regular.ttf"), (BOLD, "NotoSans-Bold.ttf"))
_NUMBERED = re.compile(r"\[(?:U\+[0-9A-F]{4,6} ?)+\]")


def load() -> frozenset[int]:
    """Make the faces known to reportlab; the characters that both of them have."""
    with _LOADING:  # papers are made side by side, each in a thread
        return _loaded()


@cache
def _loaded() -> frozenset[int]:
    for name, file in _FACES:
        pdfmetrics.registerFont(TTFont(name, str(_FOLDER / file)))
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR,
                                  boldItalic=BOLD)  # fmt: skip
    known = [frozenset(pdfmetrics.getFont(name).face.charToGlyph) for name, _ in _FACES]
    return known[0] & known[1]


@lru_cache(maxsize=4096)
def printable(text: str) -> str:
    """``text`` in letters that the font has. What is the same thing in another form is written in
    the one that there is (a letter and its mark as one, a full-width letter as a plain one)."""
    known = load()
    found: list[str] = []
    numbers: list[str] = []
    for letter in unicodedata.normalize("NFC", text):
        said = _drawn(letter, known)
        if said is None:
            numbers.append(f"U+{ord(letter):04X}")
            continue
        if numbers:
            found.append(f"[{' '.join(numbers)}]")
            numbers = []
        found.append(said)
    if numbers:
        found.append(f"[{' '.join(numbers)}]")
    return "".join(found)


def lacks(text: str) -> bool:
    """Whether anything of it is written as numbers."""
    return printable(text) != text and _NUMBERED.search(printable(text)) is not None


def _drawn(letter: str, known: frozenset[int]) -> str | None:
    """As it is drawn, or None where the font has nothing for it."""
    if letter == "\n" or ord(letter) in known:
        return letter
    kind = unicodedata.category(letter)
    if kind == "Cf":
        return ""  # it only says how others stand, and has no shape of its own
    if kind == "Cc":
        return " "
    plain = unicodedata.normalize("NFKC", letter)
    return plain if plain != letter and all(ord(each) in known for each in plain) else None
