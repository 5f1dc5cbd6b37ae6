"""How a receipt says things: one ``Words`` for each language, the same in HTML, PDF and mail.

What is said stands in ``languages.toml``. Nothing is computed or rounded here: digits are those of
the document, in the form that the language gives them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from wattledger.energy import kwh_text
from wattledger.errors import BadInput
from wattledger.ids import content_digest
from wattledger.money import format_minor, signed_text
from wattledger.rating.words import duration_text
from wattledger.receipts.model import Document, Receipt, Signed, TaxLine

SOFTWARE = "https://www.safe-ev.de"
DEFAULT = "en"
_LEAST = re.compile(r" of \d+ Wh\b")
_DATA = Path(__file__).with_name("languages.toml")


class Words:
    """What a receipt says in one language."""

    def __init__(self, language: str, said: Mapping[str, Any]) -> None:
        self.language = language
        self._said = said
        self._form: Mapping[str, Any] = said["form"]
        self._known: Mapping[str, str] = said.get("known", {})

    def say(self, key: str, **values: object) -> str:
        """A text of the catalogue with its values in it."""
        return str(self._said[key]).format(**values)

    def markup(self, key: str, **values: object) -> Markup:
        """The same for a page: what is no markup yet is escaped."""
        return escape(self._said[key]).format(**values)

    def known(self, text: str) -> str:
        """What documents say in English for good; what is not known stays as it is.
        ``Energy, off-peak``: the name of a price is its operator's."""
        if text in self._known or not self._known:
            return self._known.get(text, text)
        for between in (", ", ": ", " •••• "):
            head, found, rest = text.partition(between)
            if found and head in self._known:
                return f"{self._known[head]}{between}{self.known(rest)}"
        return text

    # --- times -----------------------------------------------------------------------------------

    def day(self, at: datetime, zone: str) -> str:
        """``3 Nov 2026``"""
        here = at.astimezone(ZoneInfo(zone))
        months = self._form["months"]
        return str(self._form["day"]).format(
            d=here.day, dd=f"{here.day:02d}", mm=f"{here.month:02d}", y=here.year,
            month=months[here.month - 1] if months else "",
        )  # fmt: skip

    def moment(self, at: datetime, zone: str) -> str:
        """``3 Nov 2026, 14:21:08``"""
        return f"{self.day(at, zone)}, {self.clock(at, zone)}"

    @staticmethod
    def clock(at: datetime, zone: str) -> str:
        """``14:21:08``"""
        return f"{at.astimezone(ZoneInfo(zone)):%H:%M:%S}"

    def zone(self, receipt: Receipt) -> str:
        """``Europe/Berlin (CET, UTC+01:00)``: which hour it was, where the clock showed one
        twice."""
        zone = receipt.time_zone
        start, end = _offset(receipt.started_at, zone), _offset(receipt.ended_at, zone)
        more = "" if end == start else f"; {self.say('at_the_end', offset=end)}"
        return f"{zone} ({start}{more})"

    @staticmethod
    def duration(seconds: int) -> str:
        """``1 h 46 min``"""
        return duration_text(max(seconds, 0))

    # --- figures ---------------------------------------------------------------------------------

    def kwh(self, energy_wh: int) -> str:
        """``34.021 kWh``"""
        return f"{'−' if energy_wh < 0 else ''}{self._number(kwh_text(abs(energy_wh)))} kWh"

    def quantity(self, text: str) -> str:
        """``34.021 kWh``, as the document has it."""
        return self._number(text)

    def amount(self, amount_minor: int, currency: str) -> str:
        """``€1,234.00``"""
        return self._signed(format_minor(amount_minor, currency))

    def price(self, text: str, unit: str, currency: str) -> str:
        """``€0.67 / kWh``; empty for what has none."""
        if not text:
            return ""
        named = self._said["units"].get(unit, unit)
        return f"{self._signed(signed_text(text, currency))} / {named}"

    def percent(self, text: str) -> str:
        """``21%``"""
        return str(self._form["percent"]).format(number=self._number(text))

    def power(self, power_w: int) -> str:
        """``150 kW``"""
        return f"{self._number(kwh_text(power_w).rstrip('0').rstrip('.'))} kW"

    def _number(self, text: str) -> str:
        """As English writes it, in the signs of the language."""
        signs = {",": self._form["group"], ".": self._form["decimal"]}
        return "".join(signs.get(letter, letter) for letter in text)

    def _signed(self, text: str) -> str:
        """An amount with its currency, as English writes it, in the form of the language."""
        if self.language == DEFAULT:
            return text
        minus, text = ("−", text[1:]) if text.startswith("−") else ("", text)
        first = next(i for i, letter in enumerate(text) if letter.isdigit())
        sign, number = text[:first].strip(), self._number(text[first:])
        return minus + str(self._form["amount"]).format(sign=sign, number=number)

    # --- sentences -------------------------------------------------------------------------------

    def title(self, receipt: Receipt) -> str:
        """What the document is called."""
        return self.say("credit" if receipt.is_credit else "receipt")

    def name(self, document: Document) -> str:
        """A document of the session, by what it is and its number."""
        title = self.say("credit" if document.kind == "credit" else "receipt")
        return f"{title} {document.number}/{document.revision}"

    def heading(self, receipt: Receipt) -> str:
        """For a mail's subject and a page's title."""
        on = self.day(receipt.started_at, receipt.time_zone)
        return f"{self.title(receipt)}: {receipt.place.name}, {on}"

    def total(self, receipt: Receipt) -> str:
        """What the sum is called."""
        return self.say("credited" if receipt.is_credit else "total")

    def about(self, receipt: Receipt) -> str:
        """What it takes back or replaces, and why; empty for what does neither."""
        document = receipt.document
        if document is None:
            return ""
        reason = self.known(document.reason)
        if receipt.is_credit:
            key = "takes_back_why" if reason else "takes_back"
            number = next((f"{each.number}/{each.revision}" for each in receipt.documents
                           if each.number == document.reverses), document.reverses)  # fmt: skip
            return self.say(key, number=number, reason=reason)
        return self.say("replaces", reason=reason) if reason else ""

    def tax_name(self, tax: TaxLine) -> str:
        """``VAT 21%``"""
        return f"{tax.name} {self.percent(tax.percent)}" if tax.percent else tax.name

    def tax_on(self, tax: TaxLine, currency: str) -> str:
        """What a tax is on, and why it is not charged."""
        on = "" if tax.net_minor is None else self.amount(tax.net_minor, currency)
        said = [self.say("of", amount=on)] if on else []
        said += [self.say("exempt", why=tax.exempt)] if tax.exempt else []
        return ", ".join(said)

    def verdict(self, receipt: Receipt) -> str:
        """What is known of the signatures, in a sentence; empty where nothing was signed."""
        records = receipt.records
        if not records:
            return ""
        if all(each.verified for each in records):
            return self.say("all_verified")
        if any(each.verified for each in records):
            return self.say("some_verified")
        return self.say("none_verified" if any(each.key for each in records) else "no_key")

    def context(self, record: Signed) -> str:
        """When a record was made, or as the charge point calls it."""
        known = {"Transaction.Begin": "record_start", "Transaction.End": "record_end"}
        key = known.get(record.context)
        return self.say(key) if key else record.context

    def prices_are(self, receipt: Receipt) -> str:
        """The tariff, and what its unit prices have in them."""
        said = [self.say("tariff", name=receipt.tariff)] if receipt.tariff else []
        if receipt.tax_included != "not_applicable":
            included = receipt.tax_included == "yes"
            said.append(self.say("tax_included" if included else "tax_excluded"))
        return " ".join(said)

    def nothing(self, receipt: Receipt) -> str:
        """Why there are no lines."""
        why = receipt.free_reason
        if self._known:
            why = self.known(_LEAST.sub("", why))
        return f"{self.say('nothing')} {why[:1].upper()}{why[1:]}.".removesuffix(" .")

    def last_line(self, receipt: Receipt) -> str:
        """What is still to be done about the money."""
        open_minor = receipt.open_minor
        if not open_minor:
            return self.say("settled")
        key = "open" if open_minor > 0 else "give_back"
        return self.say(key, amount=self.amount(abs(open_minor), receipt.currency))

    def session(self, receipt: Receipt) -> str:
        """Which session it was, and by which token."""
        said = self.say("session", id=receipt.session_id)
        token = f" · {self.say('started_with', token=receipt.token)}" if receipt.token else ""
        return said + token


def languages() -> tuple[str, ...]:
    """Those that there are words for."""
    return tuple(_data())


def words(language: str) -> Words:
    """Those of a language; of English where there are none."""
    known = _data()
    chosen = language if language in known else DEFAULT
    return Words(chosen, known[chosen])


def check_language(path: str, value: str | None) -> None:
    """Raises BadInput for a language that there are no words for."""
    if value is not None and value not in languages():
        raise BadInput(path, value, f"one of {', '.join(languages())}")


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(_DATA.read_text(encoding="utf-8"))


def fingerprint(key: str) -> str:
    """Enough of a public key's digest to tell it from others."""
    digest = content_digest("".join(key.split()).encode())
    return " ".join(digest[i : i + 4] for i in range(0, 16, 4))


def _offset(at: datetime, zone: str) -> str:
    """``CET, UTC+01:00``"""
    here = at.astimezone(ZoneInfo(zone))
    behind = here.utcoffset() or timedelta()
    minutes = int(behind.total_seconds()) // 60
    sign = "-" if minutes < 0 else "+"
    apart = f"UTC{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    name = here.tzname() or ""
    return f"{name}, {apart}" if name.isalpha() else apart
