"""The text of a PDF as a search finds it: what its pages show, by each font's ToUnicode."""

from __future__ import annotations

import base64
import re
import zlib

_OBJECT = re.compile(rb"(\d+) 0 obj\s(.*?)\sendobj", re.DOTALL)
_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\n?endstream", re.DOTALL)
_FONT = re.compile(rb"/(F\d+\+\d+) (\d+) 0 R")
_SHOWN = re.compile(rb"/(F[\d+]+) [\d.]+ Tf|\(((?:[^\\()]|\\.)*)\) Tj", re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)


def text_of(raw: bytes) -> str:
    """All of it, in the order in which it is drawn, a space between two pieces."""
    objects = {int(number): body for number, body in _OBJECT.findall(raw)}
    fonts: dict[bytes, dict[int, str]] = {}
    for name, number in _FONT.findall(raw):
        points_to = re.search(rb"/ToUnicode (\d+) 0 R", objects[int(number)])
        assert points_to is not None, f"{name!r} says nothing of its letters"
        fonts[name] = _letters(_content(objects[int(points_to[1])]))
    shown: list[str] = []
    for body in objects.values():
        if b"stream" in body and b"/Length1" not in body:
            shown += _shown(_content(body), fonts)
    return re.sub(r"[ \u00a0]+", " ", " ".join(shown))


def _content(body: bytes) -> bytes:
    match = _STREAM.search(body)
    assert match is not None
    found = match[1]
    if b"ASCII85Decode" in body:
        found = base64.a85decode(found.strip().removesuffix(b"~>"))
    return zlib.decompress(found) if b"FlateDecode" in body else found


def _letters(table: bytes) -> dict[int, str]:
    """``<01> <01> [<0041>…]`` and ``<01> <0041>``: what each code of a font stands for."""
    found: dict[int, str] = {}
    for first, listed in re.findall(rb"<(\w+)> <\w+> \[(.*?)\]", table, re.DOTALL):
        for at, letter in enumerate(re.findall(rb"<(\w+)>", listed)):
            found[int(first, 16) + at] = bytes.fromhex(letter.decode()).decode("utf-16-be")
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", table, re.DOTALL):
        for code, letter in re.findall(rb"<(\w+)> <(\w+)>", block):
            found[int(code, 16)] = bytes.fromhex(letter.decode()).decode("utf-16-be")
    return found


def _shown(content: bytes, fonts: dict[bytes, dict[int, str]]) -> list[str]:
    found: list[str] = []
    letters: dict[int, str] = {}
    for font, text in _SHOWN.findall(content):
        if font:
            letters = fonts.get(font, {})
            continue
        codes = _ESCAPE.sub(_unescaped, text)
        found.append("".join(letters[code] for code in codes))
    return found


def _unescaped(match: re.Match[bytes]) -> bytes:
    given = match[1]
    if given.isdigit():
        return bytes([int(given, 8)])
    return {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}.get(given, given)
