"""The receipt as a page: one file, nothing from elsewhere, for every screen and for paper."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from wattledger.receipts.model import Receipt
from wattledger.receipts.words import SOFTWARE, fingerprint, words

_HERE = Path(__file__).parent / "templates"


def html(receipt: Receipt, at: str | None = None, asked: int | None = None) -> str:
    """The page. ``at`` is its address, where it has one: then it leads to the PDF, the signed
    records and the session's other documents. ``asked`` is the revision that was asked for."""
    return _template().render(
        r=receipt, cur=receipt.currency, zone=receipt.time_zone, at=at, asked=asked,
        w=words(receipt.language), fingerprint=fingerprint, SOFTWARE=SOFTWARE,
        style=Markup(_style()),
    )  # fmt: skip


def not_yet(place: str, language: str) -> str:
    """The page of a session at a place that has no bill yet."""
    return _template("waiting.html").render(place=place, w=words(language), style=Markup(_style()))


@cache
def policy() -> str:
    """The Content-Security-Policy of the page: its own style, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _style() -> str:
    return (_HERE / "receipt.css").read_text(encoding="utf-8")


@cache
def _template(name: str = "receipt.html") -> jinja2.Template:
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return env.get_template(name)
