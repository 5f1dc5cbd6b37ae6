"""Receipts that nobody has charged for: what stands on them is written here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from wattledger.receipts.model import (
    Document,
    Line,
    Paid,
    Place,
    Receipt,
    Register,
    Seller,
    Signed,
    TaxLine,
)

START = datetime(2026, 11, 3, 13, 21, 8, tzinfo=UTC)
STOP = START + timedelta(minutes=106)
END = START + timedelta(minutes=116)


def receipt(language: str = "en", **more: Any) -> Receipt:
    """34.021 kWh at 0.49 are 16.67, with 19 % 19.84; 10 min idle at 0.35 are 3.50, with 19 %
    4.17."""
    lines = (
        _line("Energy, off-peak", "34.021 kWh", "0.49", "kWh", 1667, 317, START, STOP),
        _line("Idle", "10 min", "0.35", "minute", 350, 67, STOP, END),
    )
    document = Document("chg_1", 1, "charge", END, 2401)
    values: dict[str, Any] = {
        "session_id": "ses_1", "currency": "EUR", "time_zone": "Europe/Berlin",
        "seller": Seller("North Charging GmbH", ("Hafenstraße 1", "20457 Hamburg"),
                         ("USt-IdNr. DE123456789",), "help@example.com"),
        "place": Place("Hafen", ("Kai 7", "20457 Hamburg"), "DE*NOR*E42", 2, 150_000, "DC"),
        "document": document, "started_at": START, "ended_at": END, "duration_s": 6960,
        "energy_wh": 34_021, "start": Register(START, 1_034_511, True),
        "stop": Register(STOP, 1_068_532, True), "not_billed_wh": 0,
        "signed": (Signed("Transaction.Begin", START, "OCMF|{}|{}", "OCMF", "3059", True, "good"),),
        "lines": lines, "taxes": (TaxLine("MwSt.", "19", 384, 2017),), "net_minor": 2017,
        "tax_minor": 384, "total_minor": 2401, "tax_included": "no", "price_per_kwh": "0.7057",
        "tariff": "City", "token": "C3D4", "paid": (Paid("Visa •••• 4242", 2401, END),),
        "documents": (document,), "charged_minor": 2401, "language": language,
    }  # fmt: skip
    return Receipt(**{**values, **more})


def everything(language: str) -> Receipt:
    """What takes the most room: a receipt and what replaced it, with every kind of line."""
    plain = receipt(language)
    first = plain.lines[0]
    names = ("Charging time", "Session fee", "Reservation fee cap", "Minimum price", "Rounding")
    more = tuple(msgspec.structs.replace(first, text=name, discount_percent="7.5")
                 for name in names)  # fmt: skip
    credit = Document("crd_1", 2, "credit", END, -2401, "late data: 1 stop", "chg_1")
    return msgspec.structs.replace(
        plain, lines=plain.lines + more, not_billed_wh=120,
        documents=(*plain.documents, credit, Document("chg_2", 3, "charge", END, 2401)),
        paid=(*plain.paid, Paid("Still to be refunded", -100, None,
                                "a refund failed; we try another way", settled=False)),
    )  # fmt: skip


def _line(text: str, quantity: str, price: str, unit: str, net: int, tax: int,
          begin: datetime, end: datetime) -> Line:  # fmt: skip
    return Line(text, quantity, price, unit, "", net, tax, net + tax, ("19",), begin, end)
