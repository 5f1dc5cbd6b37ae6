"""What is put together against a dispute: everything that is known of its session, and the same in
the text fields that Stripe takes. Read only.

Nothing of a card stands in it but what the processor has itself. The signed meter values are there
to the letter, with whether they were verified: anybody can do it again.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from wattledger.clock import utc_text
from wattledger.contract import Contract
from wattledger.energy import kwh_text
from wattledger.errors import NotFound
from wattledger.money import format_minor
from wattledger.payments import returns_store as store
from wattledger.payments.returns_store import Dispute
from wattledger.rating import Charge, decode, driver_text
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow

Conn = AsyncConnection[dict[str, Any]]
# Stripe's: each text, and all of them together, in characters.
FIELD_MAX, ALL_MAX = 20_000, 150_000
_CUT = "\n[cut: the whole is kept with us]"
_READINGS_MAX = 200


async def pack(conn: Conn, dispute_id: str) -> dict[str, Any]:
    """Everything, as plain data. Raises NotFound where there is no such dispute; one of a payment
    without a session says so."""
    dispute = await store.dispute(conn, dispute_id, lock=False)
    if dispute is None:
        raise NotFound(f"there is no dispute {dispute_id}")
    found: dict[str, Any] = {"dispute": _dispute(dispute), "session": None}
    row = await sessions.get(conn, dispute.session_id) if dispute.session_id else None
    if row is None:
        return found
    return found | {
        "session": _session(row),
        "authorization": await _authorization(conn, row),
        "bill": await _bill(conn, row),
        "readings": await _readings(conn, row),
        "signed_values": await _signed(conn, row),
        "notices": await _notices(conn, row),
        "refunds": await _refunds(conn, dispute),
    }


def _dispute(dispute: Dispute) -> dict[str, Any]:
    return {
        "id": dispute.id,
        "reason": dispute.reason,
        "status": dispute.status,
        "inquiry": dispute.inquiry,
        "amount_minor": dispute.amount_minor,
        "currency": dispute.currency,
        "payment_id": dispute.payment_id,
        "evidence_due_at": _text(dispute.evidence_due_at),
    }


def _session(row: SessionRow) -> dict[str, Any]:
    contract = row.contract
    return {
        "id": row.id,
        "site_id": contract.site_id,
        "charge_point_id": row.charge_point_id,
        "connector_id": row.connector_id,
        "time_zone": contract.time_zone,
        "route": str(contract.route),
        "account_id": contract.account_id,
        "token": row.token,
        "started_by": contract.start_id,
        "told_by": row.source,
        "transaction": row.transaction_ref,
        "started_at": utc_text(row.started_at),
        "stopped_at": _text(row.stopped_at),
        "ended_at": _text(row.ended_at),
        "meter_start_wh": row.meter_start_wh,
        "meter_stop_wh": row.meter_stop_wh,
        "price_shown": list(contract.choice),
        "tariff": {"id": contract.tariff_id, "digest": contract.tariff_digest},
        "consent": contract.consent,
    }


async def _authorization(conn: Conn, row: SessionRow) -> dict[str, Any] | None:
    """The last time that the token was let in there before the session, or at its start."""
    cursor = await conn.execute(
        "SELECT decided_at, kind, accepted, reason FROM decision WHERE lower(token) = lower(%s)"
        " AND (charge_point_id = %s OR charge_point_id IS NULL) AND accepted"
        " AND decided_at <= %s ORDER BY decided_at DESC, id DESC LIMIT 1",
        (row.token, row.charge_point_id, row.contract.known_at),
    )
    found = await cursor.fetchone()
    return {**found, "decided_at": utc_text(found["decided_at"])} if found else None


async def _bill(conn: Conn, row: SessionRow) -> dict[str, Any] | None:
    """The last charge, with every line and the digest of its document."""
    cursor = await conn.execute(
        "SELECT id, revision, issued_at, document, document_digest FROM charge"
        " WHERE session_id = %s AND kind = 'charge' ORDER BY revision DESC LIMIT 1",
        (row.id,),
    )
    found = await cursor.fetchone()
    if found is None:
        return None
    charge = decode(bytes(found["document"]))
    return {
        "charge_id": found["id"],
        "issued_at": utc_text(found["issued_at"]),
        "document_digest": found["document_digest"],
        "currency": charge.currency,
        "net_minor": charge.net_minor,
        "tax_minor": charge.tax_minor,
        "total_minor": charge.total_minor,
        "energy_wh": charge.energy_wh,
        "lines": [
            {"text": line.text, "net_minor": line.net_minor, "tax_minor": line.tax_minor,
             "total_minor": line.total_minor}
            for line in charge.lines
        ],
        "text": driver_text(charge),
        "summary": _summary(charge, row.contract),
    }  # fmt: skip


def _summary(charge: Charge, contract: Contract) -> str:
    total = format_minor(charge.total_minor, charge.currency)
    return (
        f"Charging of an electric vehicle: {kwh_text(charge.energy_wh)} kWh at site"
        f" {contract.site_id}, {utc_text(charge.started_at)} to {utc_text(charge.ended_at)},"
        f" {total} with tax."
    )


async def _readings(conn: Conn, row: SessionRow) -> list[dict[str, Any]]:
    """What the charge point told, in order; of very many the first and the last."""
    cursor = await conn.execute(
        "SELECT kind, at, received_at, register_wh, activity, origin FROM session_fact"
        " WHERE session_id = %s ORDER BY at, id",
        (row.id,),
    )
    rows = await cursor.fetchall()
    if len(rows) > _READINGS_MAX:
        half = _READINGS_MAX // 2
        rows = rows[:half] + rows[-half:]
    return [
        {**fact, "at": utc_text(fact["at"]), "received_at": utc_text(fact["received_at"])}
        for fact in rows
    ]


async def _signed(conn: Conn, row: SessionRow) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        "SELECT context, at, data, encoding, verified, reason FROM signed_value"
        " WHERE session_id = %s AND context IN ('Transaction.Begin', 'Transaction.End')"
        " ORDER BY at, id",
        (row.id,),
    )
    return [
        {**value, "at": utc_text(value["at"]), "keys": list(row.contract.meter_keys)}
        for value in await cursor.fetchall()
    ]


async def _notices(conn: Conn, row: SessionRow) -> list[dict[str, Any]]:
    """What the driver was told, and when that was acknowledged."""
    cursor = await conn.execute(
        "SELECT kind, COALESCE(request->>'type', request->>'subject', 'receipt') AS what,"
        " caused_at, settled_at, state"
        " FROM effect WHERE (lane = %s AND kind = 'mail.send')"
        " OR (kind = 'webhook.deliver' AND lane LIKE %s AND request->>'type' IN"
        "   ('session.charging_ended', 'charge.notice')) ORDER BY id",
        (f"mail:{row.id}", f"hook:%:{row.id}"),
    )
    return [
        {
            "what": found["what"],
            "by": "e-mail" if found["kind"] == "mail.send" else "the operator's app",
            "sent_at": utc_text(found["caused_at"]),
            "acknowledged_at": _text(found["settled_at"] if found["state"] == "done" else None),
        }
        for found in await cursor.fetchall()
    ]


async def _refunds(conn: Conn, dispute: Dispute) -> list[dict[str, Any]]:
    if dispute.payment_id is None:
        return []
    return [
        {"id": row.id, "external_id": row.external_refund_id, "amount_minor": row.amount_minor,
         "state": row.state, "at": utc_text(row.created_at)}
        for row in await store.of_payment(conn, dispute.payment_id)
    ]  # fmt: skip


def texts(found: dict[str, Any]) -> dict[str, str]:
    """The pack in Stripe's fields of a dispute's ``evidence``, within what it takes: 20,000
    characters each and 150,000 in all. A field without anything in it is left out."""
    session, bill = found["session"], found.get("bill")
    if session is None:
        return {}
    fields = {
        "product_description": _description(session, bill),
        "service_date": session["started_at"][:10],
        "access_activity_log": _log(found),
        "uncategorized_text": _rest(found),
    }
    cut = {name: _cut(text, FIELD_MAX) for name, text in fields.items() if text}
    left = ALL_MAX
    for name, text in list(cut.items()):
        cut[name] = _cut(text, left)
        left -= len(cut[name])
    return cut


def _description(session: dict[str, Any], bill: dict[str, Any] | None) -> str:
    said = [
        bill["summary"] if bill else "Charging of an electric vehicle.",
        f"Charge point {session['charge_point_id']}, connector {session['connector_id']}, site"
        f" {session['site_id']} ({session['time_zone']}). Energy is delivered to a vehicle that is"
        " plugged in there and then, while its driver is present.",
        *session["price_shown"],
    ]
    return "\n".join(said)


def _log(found: dict[str, Any]) -> str:
    session, authorization = found["session"], found["authorization"]
    said = [f"Session {session['id']}, as the charge point reported it (UTC):"]
    if authorization:
        said.append(
            f"{authorization['decided_at']} authorization {authorization['reason']}"
            f" ({authorization['kind']})"
        )
    for fact in found["readings"]:
        register = f" register {fact['register_wh']} Wh" if fact["register_wh"] is not None else ""
        activity = f" {fact['activity']}" if fact["activity"] else ""
        said.append(f"{fact['at']} {fact['kind']}{register}{activity}")
    for notice in found["notices"]:
        seen = notice["acknowledged_at"] or "not acknowledged"
        said.append(f"{notice['sent_at']} notice {notice['what']} by {notice['by']}, {seen}")
    return "\n".join(said)


def _rest(found: dict[str, Any]) -> str:
    """The bill to the line, and the signed values with what came of verifying them."""
    said: list[str] = []
    bill = found["bill"]
    if bill:
        said += [f"Bill {bill['charge_id']}, SHA-256 {bill['document_digest']}:", bill["text"]]
    for refund in found["refunds"]:
        said.append(f"Refund {refund['external_id'] or refund['id']}: {refund['amount_minor']}"
                    f" minor units, {refund['state']}, {refund['at']}")  # fmt: skip
    for value in found["signed_values"]:
        verdict = "verified" if value["verified"] else "not verified"
        said += [
            f"Signed meter value {value['context']} at {value['at']}, {verdict}: {value['reason']}",
            f"Keys: {', '.join(value['keys']) or 'none configured'}",
            value["data"],
        ]
    return "\n".join(said)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(0, most - len(_CUT))] + _CUT


def _text(at: Any) -> str | None:
    return utc_text(at) if at is not None else None
