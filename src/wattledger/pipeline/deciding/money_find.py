"""Why was I charged this? What a driver has in hand finds the session and its payments: the card's
last four, a day, an amount, a token, an e-mail address, the number of a receipt, an id.

A text is words, and all of them have to fit. Each word is looked up in the indexes of all that it
can be (migration 0031), so that a million sessions take no longer than a hundred. Read only.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import msgspec
from psycopg import AsyncConnection

from wattledger.errors import BadInput
from wattledger.money import exponent, parse_minor

Conn = AsyncConnection[dict[str, Any]]

# What has to be known before it is looked up: how a word can be read.
_SESSIONS = {
    "text": """SELECT id FROM session WHERE id = %(text)s
        UNION ALL SELECT id FROM session WHERE lower(token) = lower(%(text)s)
        UNION ALL SELECT id FROM session WHERE account_id = %(text)s
        UNION ALL SELECT id FROM session WHERE lower(charge_point_id) = lower(%(text)s)
        UNION ALL SELECT session_id FROM external_payment WHERE reference = %(text)s
        UNION ALL SELECT session_id FROM terminal_payment
            WHERE reference = %(text)s AND session_id IS NOT NULL""",
    "beginning": "SELECT id FROM session WHERE id LIKE %(beginning)s",
    "number": "SELECT id FROM session WHERE transaction_id = %(number)s",
    "email": """SELECT id FROM session WHERE lower(contract->>'email') = lower(%(email)s)
        AND contract->>'email' IS NOT NULL""",
    "document": "SELECT session_id FROM charge WHERE id = %(document)s",
    "minor": "SELECT session_id FROM charge WHERE total_minor = ANY(%(minor)s)",
    "last4": """SELECT session_id FROM terminal_payment
        WHERE last4 = %(last4)s AND session_id IS NOT NULL""",
}
_PAYMENTS = {
    "text": """SELECT id FROM payment WHERE id = %(text)s
        UNION ALL SELECT id FROM payment WHERE intent_id = %(text)s
        UNION ALL SELECT id FROM payment WHERE external_charge_id = %(text)s
        UNION ALL SELECT id FROM payment WHERE account_id = %(text)s
        UNION ALL SELECT payment_id FROM processor_item
            WHERE id = %(text)s AND payment_id IS NOT NULL
        UNION ALL SELECT payment_id FROM processor_item
            WHERE payout_id = %(text)s AND payment_id IS NOT NULL""",
    "minor": """SELECT id FROM payment
        WHERE captured_minor = ANY(%(minor)s) AND captured_minor > 0""",
    "last4": "SELECT id FROM payment WHERE last4 = %(last4)s",
}
# By the site's clock; a session may end the day after, and is on the statement of that day.
_DAY = """s.started_at BETWEEN %(day)s::date - 8 AND %(day)s::date + 2
    AND %(day)s::date BETWEEN (s.started_at AT TIME ZONE (s.contract->>'time_zone'))::date
    AND (COALESCE(s.ended_at, s.stopped_at, s.started_at)
         AT TIME ZONE (s.contract->>'time_zone'))::date"""
_BULLETS = "•*·xX#"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ID_MIN = 6
"""An id is found by its beginning, but not everything by the beginning of all ids."""
_WORDS_MAX = 6


FILTERS = {
    "since": "p.created_at >= %(since)s",
    "until": "p.created_at < %(until)s",
    "last4": "p.last4 = %(last4)s",
    "amount": """p.id = ANY(ARRAY(SELECT id FROM payment WHERE captured_minor = ANY(%(amount)s)
        AND captured_minor > 0 UNION ALL SELECT f.id FROM payment f JOIN charge c
        ON c.session_id = f.session_id WHERE c.total_minor = ANY(%(amount)s)))""",
    "token": """p.session_id = ANY(ARRAY(SELECT id FROM session
        WHERE lower(token) = lower(%(token)s)))""",
    "email": """p.session_id = ANY(ARRAY(SELECT id FROM session
        WHERE contract->>'email' IS NOT NULL
        AND lower(contract->>'email') = lower(%(email)s)))""",
    "receipt": """p.session_id = ANY(ARRAY(SELECT session_id FROM charge
        WHERE id = split_part(%(receipt)s, '/', 1)))""",
}
"""One thing at a time, of payments: for who knows what it is."""
_CARD = re.compile(r"[0-9]{4}")


class Finder(msgspec.Struct, frozen=True):
    """Conditions on ``s`` (a session) and ``p`` (a payment), and the values that they need."""

    sessions: str
    payments: str
    values: dict[str, Any]


def check(given: dict[str, Any]) -> None:
    """Raises BadInput where a filter can't be one."""
    if not _CARD.fullmatch(given.get("last4", "0000")):
        raise BadInput("last4", given["last4"], "the last four digits of a card, as 4242")


async def currencies(conn: Conn) -> list[str]:
    """Of all legal entities: what an amount may be of."""
    cursor = await conn.execute(
        "SELECT DISTINCT v.body->>'currency' AS currency FROM config_activation a"
        " JOIN config_version v USING (digest) WHERE a.kind = 'entity' ORDER BY 1"
    )
    return [str(row["currency"]) for row in await cursor.fetchall() if row["currency"]]


def finder(text: str, money: list[str]) -> Finder:
    """What finds all of ``text``: as one name, or as words that all fit. ``money``: the currencies
    that an amount in it may be of."""
    whole = " ".join(text.replace("\0", "").split())
    words = [word for word in whole.split(" ") if word.strip(_BULLETS)] or [whole]
    days = [day for word in words if (day := _day(word))]
    names = [word for word in words if not _day(word)]
    if len(words) > _WORDS_MAX:
        raise BadInput("q", text, f"{_WORDS_MAX} words at most")
    values: dict[str, Any] = {}
    sessions, payments = [], []
    if names:
        s, p = _all_of(names, values, money)
        if len(names) > 1 and not days:
            one_s, one_p = _word(whole, values, "w", money)
            s, p = f"({s}) UNION ALL ({one_s})", f"({p}) UNION ALL ({one_p})"
        sessions.append(f"s.id = ANY(ARRAY({s}))")
        payments.append(f"p.id = ANY(ARRAY({p}))")
    for n, day in enumerate(days):
        values[f"d{n}_day"] = day
        fits = _named(_DAY, f"d{n}")
        sessions.append(fits)
        payments.append(f"p.session_id = ANY(ARRAY(SELECT s.id FROM session s WHERE {fits}))")
    return Finder(" AND ".join(sessions), " AND ".join(payments), values)


def _all_of(names: list[str], values: dict[str, Any], money: list[str]) -> tuple[str, str]:
    found = [_word(word, values, f"w{n}", money) for n, word in enumerate(names)]
    return tuple(" INTERSECT ".join(f"({each})" for each in kind)  # type: ignore[return-value]
                 for kind in zip(*found, strict=True))  # fmt: skip


def _word(word: str, values: dict[str, Any], name: str, money: list[str]) -> tuple[str, str]:
    """The ids of the sessions and of the payments that a word finds, as two queries."""
    read = _read(word, money)
    values.update({f"{name}_{key}": value for key, value in read.items()})
    of_session = " UNION ALL ".join(sql for key, sql in _SESSIONS.items() if key in read)
    of_payment = " UNION ALL ".join(sql for key, sql in _PAYMENTS.items() if key in read)
    sessions = f"""{of_session} UNION ALL SELECT f.session_id FROM payment f
        WHERE f.session_id IS NOT NULL AND f.id = ANY(ARRAY({of_payment}))"""
    payments = f"""{of_payment} UNION ALL SELECT f.id FROM payment f
        WHERE f.session_id = ANY(ARRAY({of_session}))"""
    return _named(sessions, name), _named(payments, name)


def _read(word: str, money: list[str]) -> dict[str, Any]:
    """Everything that it can be."""
    found: dict[str, Any] = {"text": word}
    if len(word) >= _ID_MIN:
        stem = word.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
        found["beginning"] = f"{stem}%"
    if word.isascii() and word.isdecimal() and len(word) < 10:
        found["number"] = int(word)
    if "@" in word:
        found["email"] = word
    document, _, revision = word.partition("/")
    if document and (not revision or revision.isdecimal()):
        found["document"] = document
    if minor := sorted({m for currency in money if (m := amount(word, currency)) is not None}):
        found["minor"] = minor
    card = word.strip(_BULLETS)
    if len(card) == 4 and card.isascii() and card.isdecimal():
        found["last4"] = card
    return found


def amount(word: str, currency: str) -> int | None:
    """An amount as people write it (``12.34``, ``€12,34``, ``1,234.50``), in minor units; None
    where it is none."""
    plain = word.strip().strip("€$£¥").removesuffix(currency).strip()
    places = exponent(currency)
    head, comma, tail = plain.rpartition(",")
    if comma and "." not in plain and len(tail) == places and places != 3:
        plain = f"{head.replace(',', '')}.{tail}"
    try:
        return parse_minor(plain.replace(",", ""), currency)
    except BadInput:
        return None


def _day(word: str) -> date | None:
    if not _DATE.fullmatch(word):
        return None
    try:
        return date.fromisoformat(word)
    except ValueError:
        return None


def _named(sql: str, name: str) -> str:
    """The values of one word, apart from those of another."""
    return sql.replace("%(", f"%({name}_")
