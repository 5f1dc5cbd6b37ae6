"""A receipt from a document and the facts around it: nothing is read, nothing is priced."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from wattledger import money
from wattledger.contract import Contract
from wattledger.entitlements.addresses import PostalAddress
from wattledger.rating import Charge, Credit, LineKind, decode, decode_credit, evidence
from wattledger.rating.model import Line as ChargeLine
from wattledger.rating.words import quantity_text
from wattledger.receipts.missing import missing
from wattledger.receipts.model import (
    Document,
    Line,
    Place,
    Receipt,
    Register,
    Seller,
    Signed,
    TaxLine,
)
from wattledger.receipts.paid import Settling, paid
from wattledger.receipts.words import DEFAULT

Row = dict[str, Any]


class Facts(msgspec.Struct, frozen=True):
    """What is stored of a session, rows as the database has them."""

    session: Row
    contract: Contract
    documents: list[Row]
    """All charges and credits, in their order."""
    entity: Row
    """The configuration's body of the legal entity, and of the site, when it was issued."""
    site: Row
    tariff: Row
    signed: list[Row]
    signed_origins: frozenset[str]
    """``signed_begin`` and ``signed_end``, where the facts have registers of them."""
    settling: Settling
    asked: tuple[str, ...] = ()
    """What the rules of the place ask of a receipt."""


def build(facts: Facts, revision: int | None = None) -> Receipt:
    """The receipt of the document with this revision, or of the one in force."""
    row = _chosen(facts.documents, revision)
    if row is None:
        return _complete(facts, _base(facts, None, None), None)
    document = bytes(row["document"])
    found = decode_credit(document) if row["kind"] == "credit" else decode(document)
    receipt = _base(facts, row, found)
    return _complete(facts, receipt, found)


def _chosen(documents: list[Row], revision: int | None) -> Row | None:
    """The charge in force, or where there is none the last document; one that is asked for is
    there."""
    if revision is not None:
        return next(row for row in documents if row["revision"] == revision)
    return documents[-1] if documents else None


def _base(facts: Facts, row: Row | None, found: Charge | Credit | None) -> Receipt:
    session, contract = facts.session, facts.contract
    started_at: datetime = found.started_at if found else session["started_at"]
    ended_at: datetime = found.ended_at if found else (session["ended_at"] or started_at)
    energy_wh = found.energy_wh if found else _by_registers(session)
    start, stop = _registers(facts, found)
    told_wh = stop.register_wh - start.register_wh if start and stop else energy_wh
    net_minor, tax_minor = (found.net_minor, found.tax_minor) if found else (0, 0)
    return Receipt(
        session_id=session["id"],
        currency=contract.currency,
        time_zone=contract.time_zone,
        seller=_seller(facts.entity, contract.entity_id),
        place=_place(facts),
        document=_document(row) if row else None,
        started_at=started_at,
        ended_at=ended_at,
        duration_s=int((ended_at - started_at).total_seconds()),
        energy_wh=energy_wh,
        start=start,
        stop=stop,
        not_billed_wh=told_wh - abs(energy_wh),
        signed=tuple(_signed(each, contract) for each in facts.signed),
        lines=_lines(found) if found else (),
        taxes=_taxes(found) if found else (),
        net_minor=net_minor,
        tax_minor=tax_minor,
        total_minor=net_minor + tax_minor,
        tax_included=str(facts.tariff.get("tax_included", "no")),
        price_per_kwh=_per_kwh(net_minor + tax_minor, energy_wh, contract.currency),
        tariff=found.tariff_name if isinstance(found, Charge) else facts.tariff.get("name") or "",
        token=session["token"][-4:] if len(session["token"]) > 4 else "",
        asked=facts.asked,
        free_reason=_free_reason(found) if isinstance(found, Charge) else "",
        language=facts.site.get("language") or facts.entity.get("language") or DEFAULT,
    )


def _free_reason(charge: Charge) -> str:
    """In words, also where the payment rule cancels what has no energy (``zero_energy``)."""
    said = charge.free_reason or ""
    return "no energy was delivered" if said == "zero_energy" else said


def _complete(facts: Facts, receipt: Receipt, found: Charge | Credit | None) -> Receipt:
    documents = tuple(_document(row) for row in facts.documents)
    charged_minor = sum(each.total_minor for each in documents)
    settled = () if receipt.is_credit else paid(facts.settling, charged_minor)
    receipt = msgspec.structs.replace(
        receipt, documents=documents, charged_minor=charged_minor, paid=settled
    )
    known = isinstance(found, Charge)
    return msgspec.structs.replace(receipt, missing=missing(receipt) if known else ())


def _seller(entity: Row, entity_id: str) -> Seller:
    return Seller(
        name=str(entity.get("name", entity_id)),
        address=_lines_of(entity.get("address")),
        tax_ids=tuple(entity.get("tax_ids", ())),
        support=entity.get("support") or "",
        note=entity.get("receipt_note") or "",
    )


def _place(facts: Facts) -> Place:
    session, contract = facts.session, facts.contract
    points = facts.site.get("charge_points", [])
    own: Row = next((p for p in points if p["id"] == session["charge_point_id"]), {})
    return Place(
        name=str(facts.site.get("name", session["site_id"])),
        address=_lines_of(facts.site.get("address")) or _postal(facts.site),
        charge_point_id=session["charge_point_id"],
        connector_id=session["connector_id"],
        power_w=contract.power_w,
        current_kind=own.get("current_kind") or "",
    )


def _lines_of(text: str | None) -> tuple[str, ...]:
    return tuple(line.strip() for line in (text or "").splitlines() if line.strip())


def _postal(site: Row) -> tuple[str, ...]:
    """What a site says in parts, where it says nothing in lines."""
    given = site.get("postal_address")
    return msgspec.convert(given, PostalAddress).lines if given else ()


def _document(row: Row) -> Document:
    return Document(
        row["id"], row["revision"], row["kind"], row["issued_at"], row["total_minor"],
        row["reason"] or "", row["reverses"] or "",
    )  # fmt: skip


def _by_registers(session: Row) -> int:
    start, stop = session["meter_start_wh"], session["meter_stop_wh"]
    return 0 if start is None or stop is None else max(stop - start - session["explained_wh"], 0)


def _registers(
    facts: Facts, found: Charge | Credit | None
) -> tuple[Register | None, Register | None]:
    """What is billed from and to: the first and the last that the document knows; else as told."""
    session = facts.session
    start, stop = session["meter_start_wh"], session["meter_stop_wh"]
    began, ended = session["started_at"], session["stopped_at"] or session["ended_at"]
    if isinstance(found, Charge):
        known = [p for p in found.periods if p.from_register_wh is not None]
        if known:
            start, began = known[0].from_register_wh, known[0].from_at
        known = [p for p in found.periods if p.to_register_wh is not None]
        if known:
            stop = known[-1].to_register_wh
            ended = min(ended or known[-1].to_at, known[-1].to_at)
    signed = facts.signed_origins
    return (
        None if start is None else Register(began, start, "signed_begin" in signed),
        None if stop is None or ended is None else Register(ended, stop, "signed_end" in signed),
    )


def _signed(row: Row, contract: Contract) -> Signed:
    """What was sent along with a record is its key only where no other is known, and proves no
    more than that nothing was lost on the way."""
    keys = contract.meter_keys
    return Signed(
        context=row["context"],
        at=row["at"],
        data=row["data"],
        encoding=row["encoding"],
        key=keys[0] if len(keys) == 1 else row["public_key"] or (keys[0] if keys else ""),
        verified=bool(row["verified"] and keys),
        reason=row["reason"],
    )


def _lines(found: Charge | Credit) -> tuple[Line, ...]:
    # What rounding leaves over is nothing to a driver where it is nothing.
    shown = [line for line in found.lines if line.kind is not LineKind.ROUNDING or line.total_minor]
    return tuple(_line(found, line) for line in shown)


def _line(found: Charge | Credit, line: ChargeLine) -> Line:
    pieces = evidence(found, line) if isinstance(found, Charge) else ()
    if line.quantity_unit not in ("Wh", "s"):
        pieces = ()  # what is counted has no time of its own
    scale = found.quantity_scale if isinstance(found, Charge) else 1
    quantity = ""
    if line.quantity_unit and line.quantity:
        quantity = quantity_text(line.billed_quantity or line.quantity, line.quantity_unit, scale)
    return Line(
        text=line.text,
        quantity=quantity,
        unit_price=line.unit_price,
        unit=line.unit,
        discount_percent=line.discount_percent if line.discount_percent.strip("0.") else "",
        net_minor=line.net_minor,
        tax_minor=line.tax_minor,
        total_minor=line.total_minor,
        tax_percents=tuple(dict.fromkeys(percent for _, percent in line.taxes)),
        from_at=pieces[0].from_at if pieces else None,
        to_at=pieces[-1].to_at if pieces else None,
        kind=line.kind.value,
    )


def _taxes(found: Charge | Credit) -> tuple[TaxLine, ...]:
    rows = []
    for tax in found.taxes:
        on = [line for line in found.lines if (tax.name, tax.percent or "") in line.taxes]
        # A tax on a tax is not on the net alone: then nothing is said of what it is on.
        alone = all(len(line.taxes) == 1 for line in on)
        net_minor = sum(line.net_minor for line in on) if on and alone else None
        rows.append(TaxLine(tax.name, tax.percent or "", tax.tax_minor, net_minor,
                            tax.exempt or ""))  # fmt: skip
    return tuple(rows)


def _per_kwh(total_minor: int, energy_wh: int, currency: str) -> str:
    """``0.5234``: all of it, over all energy."""
    if energy_wh <= 0 or total_minor < 0:
        return ""
    places = money.exponent(currency) + 2
    digits = str(money.divide(total_minor * 100_000, energy_wh)).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}"
