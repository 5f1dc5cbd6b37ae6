"""What a receipt is made of, out of the database. Reads only, and nothing here commits."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from psycopg import AsyncConnection

from wattledger.contract import Contract
from wattledger.errors import NotFound
from wattledger.receipts.build import Facts, build
from wattledger.receipts.model import Receipt
from wattledger.receipts.paid import Settling
from wattledger.receipts.words import DEFAULT
from wattledger.tariffs.jurisdictions import Jurisdiction, Rules, value_of

Conn = AsyncConnection[dict[str, Any]]

_DOCUMENTS = """
    SELECT id, revision, kind, issued_at, total_minor, reason, reverses, document
      FROM charge WHERE session_id = %s ORDER BY revision
"""
_PAYMENTS = """
    SELECT id, leg, number, state, captured_minor, brand, last4, wallet
      FROM payment WHERE session_id = %s ORDER BY created_at NULLS FIRST, leg, number
"""
_REFUNDS = """
    SELECT r.payment_id, r.amount_minor, r.state, r.settled_at, r.why
      FROM payment_refund r JOIN payment p ON p.id = r.payment_id
     WHERE p.session_id = %s ORDER BY r.created_at, r.id
"""
_PARTS = """
    SELECT c.state, c.amount_minor, c.payment_id
      FROM collection c JOIN charge g ON g.id = c.charge_id
     WHERE g.session_id = %s AND c.amount_minor <> 0 ORDER BY g.revision, c.part
"""
_TERMINAL = """
    SELECT reference, brand, last4, settled_at FROM terminal_payment
     WHERE session_id = %s AND payment_id IS NULL
"""
_TAKEN = """
    SELECT subject, max(settled_at) AS at FROM effect
     WHERE subject = ANY(%s) AND state = 'done' AND kind IN ('stripe.capture', 'stripe.charge')
     GROUP BY subject
"""
# As it was when the document was issued; what was configured only later is better than nothing.
_BODY = """
    SELECT v.body FROM config_activation a JOIN config_version v USING (digest)
     WHERE a.kind = %(kind)s AND a.key = %(key)s
     ORDER BY a.valid_from <= %(at)s DESC,
              CASE WHEN a.valid_from <= %(at)s THEN a.valid_from END DESC NULLS LAST,
              a.valid_from, a.seq DESC LIMIT 1
"""
_OWN_RULES = """
    SELECT DISTINCT ON (a.key) v.body FROM config_activation a LEFT JOIN config_version v
     USING (digest) WHERE a.kind = 'jurisdiction' AND a.valid_from <= %s
     ORDER BY a.key, a.valid_from DESC, a.seq DESC
"""


async def read(conn: Conn, session_id: str, revision: int | None = None) -> Receipt:
    """The receipt of a session: of the document in force, or of the one with this revision.

    Raises NotFound where there is no such session or document, or no bill yet.
    """
    session = await _one(conn, "SELECT * FROM session WHERE id = %s", session_id)
    if session is None:
        raise NotFound(f"no session {session_id}")
    documents = await _all(conn, _DOCUMENTS, session_id)
    if not documents and session["state"] not in ("free", "adjusted"):
        raise NotFound(f"session {session_id} has no bill yet: it is {session['state']}")
    if revision is not None and revision not in {row["revision"] for row in documents}:
        raise NotFound(f"session {session_id} has no document {revision}")
    contract = msgspec.convert(session["contract"], Contract)
    chosen = next((row for row in documents if row["revision"] == revision), None)
    last = chosen or (documents[-1] if documents else None)
    at: datetime = last["issued_at"] if last else session["ended_at"] or session["started_at"]
    site = await _body(conn, "site", contract.site_id, at)
    tariff = await _one(conn, "SELECT body FROM config_version WHERE digest = %s",
                        contract.tariff_digest)  # fmt: skip
    origins = await _all(conn, "SELECT DISTINCT origin FROM session_fact WHERE session_id = %s",
                         session_id)  # fmt: skip
    found = Facts(
        session=session,
        contract=contract,
        documents=documents,
        entity=await _body(conn, "entity", contract.entity_id, at),
        site=site,
        tariff=tariff["body"] if tariff else {},
        signed=await _all(conn, "SELECT * FROM signed_value WHERE session_id = %s ORDER BY at, id",
                          session_id),
        signed_origins=frozenset(row["origin"] for row in origins),
        settling=await _settling(conn, session_id),
        asked=await _asked(conn, contract, site, at),
    )  # fmt: skip
    return build(found, revision)


async def _settling(conn: Conn, session_id: str) -> Settling:
    payments = await _all(conn, _PAYMENTS, session_id)
    terminal = await _one(conn, _TERMINAL, session_id)
    taken = await _all(conn, _TAKEN, [row["id"] for row in payments])
    return Settling(
        payments=payments,
        refunds=await _all(conn, _REFUNDS, session_id),
        parts=await _all(conn, _PARTS, session_id),
        external=await _one(
            conn, "SELECT * FROM external_payment WHERE session_id = %s", session_id
        ),
        terminal=terminal,
        taken_at={row["subject"]: row["at"] for row in taken},
    )


async def _asked(
    conn: Conn, contract: Contract, site: dict[str, Any], at: datetime
) -> tuple[str, ...]:
    """The fields that the place asks for on the day: of every rule that speaks of them."""
    programmes = tuple(site.get("programmes", ()))
    if contract.jurisdiction is None and not programmes:
        return ()
    own = await _all(conn, _OWN_RULES, at)
    bodies = [msgspec.convert(row["body"], Jurisdiction) for row in own if row["body"]]
    rules = Rules(bodies, checked=False)
    day = contract.as_of.astimezone(ZoneInfo(contract.time_zone)).date()
    standing = rules.rules_for(contract.jurisdiction, day, contract.power_w or None, programmes)
    fields = [field for rule in standing for field in value_of([rule], "receipt_fields") or ()]
    return tuple(dict.fromkeys(str(field) for field in fields))


async def _body(conn: Conn, kind: str, key: str, at: datetime) -> dict[str, Any]:
    cursor = await conn.execute(_BODY, {"kind": kind, "key": key, "at": at})
    row = await cursor.fetchone()
    return row["body"] if row else {}


async def _one(conn: Conn, query: str, key: object) -> dict[str, Any] | None:
    return await (await conn.execute(query.encode(), (key,))).fetchone()


async def _all(conn: Conn, query: str, key: object) -> list[dict[str, Any]]:
    return await (await conn.execute(query.encode(), (key,))).fetchall()


async def place_of(conn: Conn, session_id: str) -> tuple[str, str] | None:
    """The name of the site of a session, and the language of its receipts; None where there is no
    such session."""
    row = await _one(
        conn,
        "SELECT site_id, contract->>'entity_id' AS entity_id, started_at FROM session"
        " WHERE id = %s",
        session_id,
    )
    if row is None:
        return None
    site = await _body(conn, "site", row["site_id"], row["started_at"])
    entity = await _body(conn, "entity", row["entity_id"], row["started_at"])
    language = site.get("language") or entity.get("language") or DEFAULT
    return str(site.get("name", row["site_id"])), language
