"""Rows written by hand, for tests that look at what the database holds or refuses.

One session of 10 kWh at 0.40 a kWh, invoiced: 4.00 net, 0.40 tax (10 %), 4.40 in all.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from wattledger.contract import Contract, Route
from wattledger.ids import content_digest
from wattledger.ledger.accounts import Code, kind

Conn = psycopg.Connection[Any]
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
TODAY = date(2026, 11, 2)
TARIFF = "a" * 64


# The database has a payment begin, and the rest is a way through states: the one before the last.
_WAYS = {
    "held": ("waiting",), "declined": ("charging",), "capturing": ("waiting", "held"),
    "captured": ("charging",), "releasing": ("waiting",), "released": ("waiting",),
}  # fmt: skip


def contract(entity: str = "north", route: Route = Route.INVOICE, **changes: Any) -> Contract:
    """A contract at 10 % tax."""
    plain = Contract(
        entity_id=entity, site_id="depot", time_zone="America/New_York",
        entity_time_zone="America/New_York", currency="USD", route=route, tariff_id="standard",
        tariff_digest=TARIFF, tax_name="Sales tax", tax_percent="10", as_of=NOW, known_at=NOW,
        known_seq=1,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def insert(conn: Conn, table: str, **values: Any) -> None:
    """A row; dicts become jsonb."""
    names = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    plain = {k: Jsonb(v) if isinstance(v, dict) else v for k, v in values.items()}
    way = _WAYS.get(str(values.get("state"))) if table == "payment" else None
    if way is None:
        conn.execute(f"INSERT INTO {table} ({names}) VALUES ({places})".encode(), plain)
        return
    captured = plain.get("captured_minor", 0)
    begun = plain | {"state": way[0]} | ({"captured_minor": 0} if captured else {})
    conn.execute(f"INSERT INTO payment ({names}) VALUES ({places})".encode(), begun)
    for state in way[1:]:
        conn.execute("UPDATE payment SET state = %s WHERE id = %s", (state, values["id"]))
    conn.execute(
        "UPDATE payment SET state = %s, captured_minor = %s WHERE id = %s",
        (values["state"], captured, values["id"]),
    )


def add_session(
    conn: Conn,
    key: str = "ses_1",
    *,
    entity: str = "north",
    route: Route = Route.INVOICE,
    state: str = "billed",
    start_wh: int = 1_000,
    stop_wh: int | None = 11_000,
    charge_point: str = "CP-1",
    started_at: datetime = NOW,
    promised: dict[str, Any] | None = None,
    **more: Any,
) -> str:
    """A session with its start and its stop as facts; its id. ``promised`` are changes to its
    contract."""
    conn.execute(
        "INSERT INTO config_version VALUES (%s, 'tariff', 'standard', '{}') ON CONFLICT DO NOTHING",
        (TARIFF,),
    )
    ended = NOW if stop_wh is not None else None
    insert(
        conn, "session", id=key, entity_id=entity, site_id="depot", charge_point_id=charge_point,
        connector_id=1, source="api", token="T1", route=route.value,
        contract=msgspec.to_builtins(contract(entity, route, **(promised or {}))), state=state,
        held_reason="register.fell" if state == "held" else None, started_at=started_at,
        stopped_at=ended, ended_at=ended, meter_start_wh=start_wh, meter_stop_wh=stop_wh, **more,
    )  # fmt: skip
    for fact, register_wh in (("start", start_wh), ("stop", stop_wh)):
        if register_wh is not None:
            insert(
                conn, "session_fact", session_id=key, kind=fact, at=started_at, received_at=NOW,
                register_wh=register_wh, dedupe=f"{key}:{fact}",
            )  # fmt: skip
    return key


def add_charge(
    conn: Conn,
    key: str = "chg_1",
    session_id: str = "ses_1",
    *,
    entity: str = "north",
    net: int = 400,
    tax: int = 40,
    total: int | None = None,
    energy_wh: int = 10_000,
    currency: str = "USD",
    **more: Any,
) -> str:
    """A charge with a document of its figures; its id."""
    whole = net + tax if total is None else total
    document = json.dumps(
        {"session_id": session_id, "currency": currency, "energy": energy_wh,
         "net_minor": net, "tax_minor": tax, "total_minor": whole}
    ).encode()  # fmt: skip
    insert(
        conn, "charge", id=key, session_id=session_id, entity_id=entity, currency=currency,
        net_minor=net, tax_minor=tax, total_minor=whole,
        energy_wh=energy_wh, supply_ended_at=NOW, site_date=TODAY, entity_date=TODAY,
        issued_at=NOW, tariff_digest=TARIFF, document=document,
        document_digest=content_digest(document), **more,
    )  # fmt: skip
    return key


def add_credit(
    conn: Conn, key: str = "crd_2", of: str = "chg_1", *, parts: bool = True, **changes: Any
) -> str:
    """The credit of a charge, with its parts; its id. ``changes`` are columns."""
    row = conn.execute(
        "SELECT session_id, revision, entity_id, currency, net_minor, tax_minor, total_minor,"
        " energy_wh, document_digest FROM charge WHERE id = %s",
        (of,),
    ).fetchone()
    assert row is not None
    session_id, revision, entity, currency, net, tax, total, energy_wh, digest = row
    figures = {"net_minor": -net, "tax_minor": -tax, "total_minor": -total}
    document = json.dumps(
        {"session_id": session_id, "currency": currency, "energy": -energy_wh, "reason": "late",
         "credit_of": of, "credit_of_digest": digest, **figures}
    ).encode()  # fmt: skip
    values: dict[str, Any] = {
        "id": key, "session_id": session_id, "revision": revision + 1, "kind": "credit",
        "reverses": of, "reason": "late data", "entity_id": entity, "currency": currency, **figures,
        "energy_wh": -energy_wh, "supply_ended_at": NOW, "site_date": TODAY, "entity_date": TODAY,
        "issued_at": NOW, "tariff_digest": TARIFF, "document": document,
        "document_digest": content_digest(document),
    }  # fmt: skip
    with conn.transaction():
        insert(conn, "charge", **(values | changes))
        if parts:
            conn.execute(
                "INSERT INTO collection SELECT %s, part, entity_id, CASE state WHEN 'captured'"
                " THEN 'refund_due' ELSE state END, -amount_minor, payment_id, changed_at"
                " FROM collection WHERE charge_id = %s",
                (key, of),
            )
    return key


def add_part(
    conn: Conn,
    charge_id: str = "chg_1",
    number: int = 1,
    *,
    amount: int = 440,
    state: str = "invoiced",
    entity: str = "north",
    payment_id: str | None = None,
) -> None:
    """Where a part of a charge's money stands."""
    insert(
        conn, "collection", charge_id=charge_id, part=number, entity_id=entity, state=state,
        amount_minor=amount, payment_id=payment_id, changed_at=NOW,
    )  # fmt: skip


def add_payment(
    conn: Conn,
    key: str = "pay_1",
    session_id: str = "ses_1",
    *,
    entity: str = "north",
    hold: int = 2_500,
    captured: int = 0,
    state: str = "held",
    **more: Any,
) -> str:
    """A payment; its id."""
    insert(
        conn, "payment", id=key, session_id=session_id, entity_id=entity, processor_id="stripe",
        currency="USD", hold_minor=hold, state=state, captured_minor=captured, **more,
    )  # fmt: skip
    return key


def add_account(conn: Conn, code: Code, entity: str = "north", currency: str = "USD") -> None:
    """An account, if it is not there."""
    conn.execute(
        "INSERT INTO account VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (entity, code, currency, kind(code)),
    )


def add_header(
    conn: Conn,
    cause: str = "charge",
    cause_id: str = "chg_1",
    *,
    count: int = 1,
    entity: str = "north",
) -> int:
    """The header of an entry; its number."""
    row = conn.execute(
        "INSERT INTO entry (entity_id, cause, cause_id, effective_on, booked_at, posting_count)"
        " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
        (entity, cause, cause_id, TODAY, NOW, count),
    ).fetchone()
    assert row is not None
    return int(row[0])


def add_posting(
    conn: Conn,
    entry_id: int,
    number: int = 1,
    *,
    debit: Code = Code.RECEIVABLE_ACCOUNT,
    credit: Code = Code.REVENUE_ENERGY,
    amount: int = 440,
    entity: str = "north",
    currency: str = "USD",
) -> None:
    """A posting of an entry."""
    insert(
        conn, "posting", entry_id=entry_id, posting_no=number, entity_id=entity, debit=debit,
        credit=credit, amount_minor=amount, currency=currency,
    )  # fmt: skip


def book(
    conn: Conn,
    cause: str,
    cause_id: str,
    *postings: tuple[Code, Code, int],
    entity: str = "north",
) -> int:
    """A whole entry with the accounts it needs; its number."""
    for debit, credit, _ in postings:
        add_account(conn, debit, entity)
        add_account(conn, credit, entity)
    entry_id = add_header(conn, cause, cause_id, count=len(postings), entity=entity)
    for number, (debit, credit, amount) in enumerate(postings, start=1):
        add_posting(
            conn, entry_id, number, debit=debit, credit=credit, amount=amount, entity=entity
        )
    return entry_id


def billed(conn: Conn, number: int = 1, *, entity: str = "north") -> None:
    """A billed session with all that belongs to it, in one transaction."""
    with conn.transaction():
        add_session(conn, f"ses_{number}", entity=entity, charge_point=f"CP-{number}")
        add_charge(conn, f"chg_{number}", f"ses_{number}", entity=entity)
        add_part(conn, f"chg_{number}", entity=entity)
        book(
            conn, "charge", f"chg_{number}",
            (Code.RECEIVABLE_ACCOUNT, Code.REVENUE_ENERGY, 400),
            (Code.RECEIVABLE_ACCOUNT, Code.TAX_SALES, 40),
            entity=entity,
        )  # fmt: skip
