"""One session: its bill, how the money came, its postings, and what proves them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from wattledger.contract import Contract
from wattledger.errors import BadInput, CantPrice, NotFound
from wattledger.ids import content_digest
from wattledger.rating import Charge, Terms, decode, encode, price
from wattledger.sessions.model import Delivery
from wattledger.sessions.store import delivery
from wattledger.tariffs import read_tariff
from wattledger.web.places import Conn

_SESSION = "SELECT * FROM session WHERE id = %s"
_CHARGES = "SELECT * FROM charge WHERE session_id = %s ORDER BY revision"
_FACTS = "SELECT * FROM session_fact WHERE session_id = %s ORDER BY at, id"
_PARTS = """
    SELECT k.* FROM collection k JOIN charge g ON g.id = k.charge_id
     WHERE g.session_id = %s AND k.amount_minor <> 0 ORDER BY g.revision, k.part
"""
# Of several the hold; the others stand among the session's payments.
_PAYMENT = """
    SELECT * FROM payment WHERE session_id = %s ORDER BY leg = 'hold' DESC, number DESC LIMIT 1
"""
_EXTERNAL = "SELECT * FROM external_payment WHERE session_id = %s"
_ITEMS = """
    SELECT i.*, p.status AS payout_status, p.arrival_date
      FROM processor_item i LEFT JOIN payout p ON p.id = i.payout_id
     WHERE i.payment_id = %s ORDER BY i.created_at, i.id
"""
_EFFECTS = """
    SELECT id, kind, state, attempt, tries, caused_at, settled_at, due_at, lane_seq
      FROM effect WHERE subject = ANY(%s) ORDER BY id
"""
# An account's postings of one entry and one side are one line, as in a journal on paper.
_JOURNAL = """
    SELECT j.entry_id, j.cause, j.cause_id, j.effective_on, j.account, j.currency,
           sum(j.debit_minor)::bigint AS debit_minor, sum(j.credit_minor)::bigint AS credit_minor
      FROM journal_line j WHERE j.cause_id = ANY(%s)
     GROUP BY j.entry_id, j.cause, j.cause_id, j.effective_on, j.account, j.currency,
              j.debit_minor = 0
     ORDER BY j.entry_id, min(j.posting_no), j.debit_minor = 0
"""
_TARIFF = "SELECT key, body FROM config_version WHERE digest = %s"
_ANOMALIES = "SELECT * FROM anomaly WHERE subject = ANY(%s) ORDER BY at, id"
_PAYOUT_ENTRIES = """
    SELECT cause_id, id FROM entry WHERE cause = 'payout' AND cause_id = ANY(%s) ORDER BY id
"""


class Proof(msgspec.Struct, frozen=True):
    """Why the total may carry the double rule, point by point."""

    lines_sum: bool
    net_and_tax: bool
    in_ledger: bool
    document: bool
    replays: bool

    @property
    def holds(self) -> bool:
        """All of it, or no double rule."""
        return (
            self.lines_sum
            and self.net_and_tax
            and self.in_ledger
            and self.document
            and self.replays
        )

    def missing(self) -> list[str]:
        """What does not hold, in words."""
        return [
            text
            for held, text in (
                (self.lines_sum, "the lines do not add up to the net"),
                (self.net_and_tax, "net and tax do not make the total"),
                (self.in_ledger, "the ledger has no entry over the total"),
                (self.document, "the stored document is not the one that was issued"),
                (self.replays, "pricing the facts again gives another document"),
            )
            if not held
        ]


class Bill(msgspec.Struct, frozen=True):
    """Everything that is known of one session. Rows are as the database has them."""

    session: dict[str, Any]
    contract: Contract
    charge_row: dict[str, Any] | None
    """The charge in force; None where there is none, or all of it is credited."""
    charge: Charge | None
    documents: list[dict[str, Any]]
    """All charges and credits, in the order they were issued in."""
    facts: list[dict[str, Any]]
    parts: list[dict[str, Any]]
    payment: dict[str, Any] | None
    external: dict[str, Any] | None
    items: list[dict[str, Any]]
    effects: list[dict[str, Any]]
    journal: list[dict[str, Any]]
    payout_entries: list[dict[str, Any]]
    anomalies: list[dict[str, Any]]
    tariff: dict[str, Any]
    proof: Proof | None

    @property
    def registers(self) -> list[dict[str, Any]]:
        """The facts that carry a reading."""
        return [fact for fact in self.facts if fact["register_wh"] is not None]

    @property
    def energy_wh(self) -> int:
        """Billed, or by the registers so far."""
        if self.charge is not None:
            return self.charge.energy_wh
        last = self.registers[-1]["register_wh"] if self.registers else None
        return max((last or 0) - int(self.session["meter_start_wh"]), 0) if last else 0

    @property
    def facts_digest(self) -> str:
        """Over the digests of all facts in their order: another fact, another digest."""
        return content_digest("\n".join(fact["dedupe"] for fact in self.facts).encode())

    @property
    def revisions(self) -> int:
        """How many documents there are."""
        return len(self.documents)

    @property
    def sum_minor(self) -> int:
        """What all documents come to: the charge in force, or nothing."""
        return sum(row["total_minor"] for row in self.documents)

    @property
    def debit_minor(self) -> int:
        """The sum of the debit column."""
        return sum(line["debit_minor"] for line in self.journal)

    @property
    def credit_minor(self) -> int:
        """The sum of the credit column."""
        return sum(line["credit_minor"] for line in self.journal)

    @property
    def rounding(self) -> str:
        """The tariff's way of rounding, in words."""
        rule = str(self.tariff.get("policies", {}).get("rounding", "half_up"))
        return f"once, {rule.replace('_', ' ')}"


class Event(msgspec.Struct, frozen=True):
    """A moment of the money. ``done`` False is still to come: a dashed ring."""

    at: datetime | None
    what: str
    note: str
    amount_minor: int | None
    done: bool = True
    strong: bool = False


async def read_bill(conn: Conn, session_id: str) -> Bill:
    """Raises NotFound where there is no such session."""
    session = await _one(conn, _SESSION, session_id)
    if session is None:
        raise NotFound(f"there is no session {session_id!r}: find it by token or charge point")
    contract = msgspec.convert(session["contract"], Contract)
    charges = await _all(conn, _CHARGES, session_id)
    charge_row = charges[-1] if charges and charges[-1]["kind"] == "charge" else None
    charge = decode(bytes(charge_row["document"])) if charge_row else None
    payment = await _one(conn, _PAYMENT, session_id)
    items = await _all(conn, _ITEMS, payment["id"]) if payment else []
    parts = await _all(conn, _PARTS, session_id)
    causes = [session_id, *(row["id"] for row in charges), *(row["id"] for row in items)]
    causes += [f"{part['charge_id']}/{part['part']}" for part in parts]
    journal = await _all(conn, _JOURNAL, causes)
    payouts = sorted({row["payout_id"] for row in items if row["payout_id"]})
    subjects = [session_id, *([payment["id"]] if payment else [])]
    tariff = await _one(conn, _TARIFF, contract.tariff_digest)
    replayed = None
    if charge and tariff:
        replayed = await replay(conn, session_id, contract, charge, tariff["body"])
    return Bill(
        session=session,
        contract=contract,
        charge_row=charge_row,
        charge=charge,
        documents=charges,
        facts=await _all(conn, _FACTS, session_id),
        parts=_net(parts),
        payment=payment,
        external=await _one(conn, _EXTERNAL, session_id),
        items=items,
        effects=await _all(conn, _EFFECTS, subjects),
        journal=journal,
        payout_entries=await _all(conn, _PAYOUT_ENTRIES, payouts),
        anomalies=await _all(conn, _ANOMALIES, subjects),
        tariff=tariff["body"] if tariff else {},
        proof=prove(charge_row, charge, journal, replayed) if charge_row and charge else None,
    )


def _net(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where the money stands after all documents: a part of each state and payment, if any."""
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    for part in parts:
        key = part["state"], part["payment_id"]
        before = found[key]["amount_minor"] if key in found else 0
        found[key] = {**part, "amount_minor": before + part["amount_minor"]}
    return [part for part in found.values() if part["amount_minor"]]


async def replay(
    conn: Conn, session_id: str, contract: Contract, charge: Charge, body: dict[str, Any]
) -> bytes | None:
    """The document that the facts and the contract give today; None where they give none. What
    was drawn on an allowance depends on what came before: it is taken as the charge has it, and so
    is what people gave back."""
    try:
        tariff = read_tariff(body, "$")
        found = await delivery(conn, session_id, idle_after_stop=tariff.policies.idle_after_stop)
        if not isinstance(found, Delivery):
            return None
        terms = Terms.of(contract, charge.terms.draws)
        terms = msgspec.structs.replace(terms, concessions=charge.terms.concessions)
        return encode(price(found, tariff, terms))
    except (BadInput, CantPrice):
        return None


def prove(
    row: dict[str, Any], charge: Charge, journal: list[dict[str, Any]], replayed: bytes | None
) -> Proof:
    """Check document, sums and the ledger's entry of the charge against each other.

    In the ledger the charge stands as what is owed: the debits of its entry less its credits
    to receivables, which a credited line would bring.
    """
    owed = sum(
        line["debit_minor"] - line["credit_minor"]
        for line in journal
        if line["cause"] == "charge"
        and line["cause_id"] == row["id"]
        and line["account"].startswith("receivable.")
    )
    net, tax, total = row["net_minor"], row["tax_minor"], row["total_minor"]
    lines = charge.lines
    return Proof(
        lines_sum=sum(line.net_minor for line in lines) == net == charge.net_minor
        and sum(line.total_minor for line in lines) == total,
        net_and_tax=net + tax == total
        and (tax, total) == (charge.tax_minor, charge.total_minor)
        and sum(each.tax_minor for each in charge.taxes) == tax,
        in_ledger=owed == total,
        document=content_digest(bytes(row["document"])) == row["document_digest"],
        replays=replayed == bytes(row["document"]),
    )


async def _one(conn: Conn, query: str, key: object) -> dict[str, Any] | None:
    cursor = await conn.execute(query, (key,))
    return await cursor.fetchone()


async def _all(conn: Conn, query: str, key: object) -> list[dict[str, Any]]:
    cursor = await conn.execute(query, (key,))
    return await cursor.fetchall()
