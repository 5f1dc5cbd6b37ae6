"""What stands on a receipt, and that it is the document's and nobody else's figure."""

from __future__ import annotations

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import psycopg
import pytest
from handmade_receipts import receipt
from psycopg.types.json import Jsonb
from seed import FULL, HELD, OPEN
from seed_config import NOW, digest
from seed_payments import DEBTOR

from pdf_text import text_of
from wattledger import receipts
from wattledger.db.connect import Connection, Database
from wattledger.db.roles import Role
from wattledger.errors import NotFound
from wattledger.receipts import store
from wattledger.receipts.build import _place
from wattledger.receipts.model import Document, Seller
from wattledger.receipts.paid import Settling, method, paid
from wattledger.tariffs.jurisdictions import ReceiptField, of_sessions, read_jurisdictions


async def test_it_says_who_sold_what_where_and_when(reading: Connection) -> None:
    found = await store.read(reading, FULL)
    assert found.seller == Seller(
        "Lindehaven Charging", ("Kade 12", "3011 AA Rotterdam", "The Netherlands"),
        ("VAT NL001234567B01", "KvK 24123456"), "help@lindehaven.example, +31 10 123 45 67",
    )  # fmt: skip
    assert (found.place.name, found.place.charge_point_id) == ("Lindehaven Noord", "noord-02")
    assert found.place.address == ("Lindehaven Noordstraat 1", "3011 AA Rotterdam")
    assert found.start is not None
    assert found.stop is not None
    assert found.stop.register_wh - found.start.register_wh == found.energy_wh == 56_671
    assert found.number == f"{found.documents[0].number}/1"
    assert (found.started_at.hour, found.ended_at.hour) == (13, 15)  # UTC; 14 and 16 on the spot


def test_a_site_that_says_its_address_in_parts_only_has_it_on_receipts() -> None:
    parts = {"line1": "Kai 7", "city": "Hamburg", "postal_code": "20457", "country": "DE"}
    facts: Any = SimpleNamespace(
        session={"site_id": "depot", "charge_point_id": "D-1", "connector_id": 1},
        contract=SimpleNamespace(power_w=22_000), site={"postal_address": parts},
    )  # fmt: skip
    assert _place(facts).address == ("Kai 7", "20457 Hamburg")
    facts.site["address"] = "Kai 7, back door"
    assert _place(facts).address == ("Kai 7, back door",)


async def test_its_lines_and_taxes_are_the_documents(reading: Connection) -> None:
    found = await store.read(reading, FULL)
    assert sum(line.net_minor for line in found.lines) == found.net_minor
    assert sum(line.total_minor for line in found.lines) == found.total_minor == 4400
    assert [(t.name, t.percent, t.net_minor, t.tax_minor) for t in found.taxes] == [
        ("VAT", "21", found.net_minor, found.tax_minor)
    ]
    energy = next(line for line in found.lines if line.text == "Energy, off-peak")
    assert (energy.quantity, energy.unit_price, energy.unit) == ("32.391 kWh", "0.49", "kWh")
    # 44.00 over 56.671 kWh is 0.77641…
    assert found.price_per_kwh == "0.7764"


async def test_how_it_was_paid_comes_to_the_total(reading: Connection) -> None:
    found = await store.read(reading, FULL)
    assert [(p.what, p.amount_minor, p.settled) for p in found.paid] == [
        ("Apple Pay, Mastercard •••• 4444", 4400, True)
    ]
    owing = await store.read(reading, DEBTOR)
    assert owing.open_minor == 150
    assert sum(part.amount_minor for part in owing.paid) == owing.total_minor
    fleet = await store.read(reading, "ses_3_01")
    assert [part.what for part in fleet.paid] == ["On the account’s invoice"]


def test_second_charges_refunds_and_debts_each_have_their_line() -> None:
    """25.00 held and captured, 6.00 more charged, 1.50 owed; 4.00 back, of which 3.00 is back."""

    def row(key: str, leg: str, minor: int) -> dict[str, Any]:
        return {"id": key, "leg": leg, "captured_minor": minor, "brand": "visa", "last4": "4242",
                "wallet": None}  # fmt: skip

    def back(minor: int, state: str) -> dict[str, Any]:
        return {"amount_minor": minor, "state": state, "settled_at": None, "why": None}

    found = Settling(
        payments=[row("a", "hold", 2500), row("b", "second", 600), row("c", "hold", 0)],
        refunds=[back(300, "done"), back(100, "failed")],
        parts=[{"state": "captured", "amount_minor": 3100}, {"state": "debt", "amount_minor": 150},
               {"state": "refund_due", "amount_minor": -400}],
    )  # fmt: skip
    lines = paid(found, 3100 + 150 - 400)
    assert [(p.what, p.amount_minor, p.settled) for p in lines] == [
        ("Visa •••• 4242", 2500, True), ("Visa •••• 4242", 600, True), ("Refunded", -300, True),
        ("Still to be paid", 150, False), ("Still to be refunded", -100, False),
    ]  # fmt: skip
    assert lines[1].note == "above what was reserved"


def test_a_card_at_a_terminal_that_a_vendor_took_has_its_name() -> None:
    found = Settling(
        parts=[{"state": "external", "amount_minor": 1830}],
        external={"reference": "PT-1"},
        terminal={"reference": "PT-1", "brand": "visa", "last4": "1881", "settled_at": None},
    )
    (line,) = paid(found, 1830)
    assert (line.what, line.note) == ("Visa •••• 1881", "at the terminal, PT-1")


def test_a_card_has_its_name() -> None:
    assert method({"brand": None, "last4": None, "wallet": None}) == "Card"
    assert method({"brand": "cartes_bancaires", "last4": "1", "wallet": "google_pay"}) == (
        "Google Pay, Cartes Bancaires •••• 1"
    )


async def test_without_a_bill_there_is_none(reading: Connection) -> None:
    for session in (OPEN, HELD, "ses_nobody"):
        with pytest.raises(NotFound):
            await store.read(reading, session)
    with pytest.raises(NotFound, match="no document 2"):
        await store.read(reading, FULL, 2)


async def test_page_and_paper_are_the_same_bytes_for_the_same_receipt(reading: Connection) -> None:
    found = await store.read(reading, FULL)
    assert receipts.html(found) == receipts.html(found)
    first, second = receipts.pdf(found), receipts.pdf(found)
    assert first == second
    assert first.startswith(b"%PDF-")


async def test_the_page_takes_nothing_from_elsewhere(reading: Connection) -> None:
    page = receipts.html(await store.read(reading, FULL), "/r/x")
    assert not re.search(r"<(script|iframe|object)", page)
    assert not re.search(r'(src|url\(|href="data:[^,])', page.partition("</style>")[0])
    assert 'href="/r/x.pdf"' in page
    assert "€44.00" in page
    assert "Europe/Amsterdam (CET, UTC+01:00)" in page


async def test_what_somebody_wrote_is_no_markup(seeded: Database, reading: Connection) -> None:
    with psycopg.connect(seeded.conninfo(Role.APP)) as conn:
        conn.execute("UPDATE payment SET brand = '<b>x' WHERE session_id = %s", (FULL,))
    found = await store.read(reading, FULL)
    assert "&lt;b&gt;x" in receipts.html(found)
    assert receipts.pdf(found)


async def test_the_place_asks_and_what_is_missing_is_named(
    seeded: Database, reading: Connection
) -> None:
    """In Germany a receipt has the seller's address and the meter's signature; the first is
    known."""
    assert await _in_place(seeded, reading, "DE") == ("signed_record",)
    # California asks for the kind of current, which nobody has configured.
    assert "current_kind" in await _in_place(seeded, reading, "US-CA")


async def test_what_the_operator_asks_of_a_receipt_counts_too(
    seeded: Database, reading: Connection
) -> None:
    raw = {"id": "harbour", "rules": [{"id": "harbour-paper", "text": "The kind of current.",
                                       "receipt_fields": ["current_kind"]}]}  # fmt: skip
    (own,) = read_jurisdictions([raw])
    body = msgspec.to_builtins(of_sessions(own))
    with psycopg.connect(seeded.conninfo(Role.OWNER)) as conn:
        known = digest("jurisdiction", "harbour", body)
        conn.execute("INSERT INTO config_version VALUES (%s, 'jurisdiction', 'harbour', %s)",
                     (known, Jsonb(body)))  # fmt: skip
        conn.execute(
            "INSERT INTO config_activation (kind, key, valid_from, digest)"
            " VALUES ('jurisdiction', 'harbour', %s, %s)", (NOW - timedelta(days=9), known),
        )  # fmt: skip
    assert await _in_place(seeded, reading, "harbour") == ("current_kind",)


async def _in_place(seeded: Database, reading: Connection, place: str) -> tuple[str, ...]:
    key = f"ses_{place}"
    with psycopg.connect(seeded.conninfo(Role.OWNER)) as conn:
        conn.execute(
            "INSERT INTO session SELECT (jsonb_populate_record(s, jsonb_build_object('id',"
            " %s::text, 'transaction_id', NULL, 'state', 'open', 'contract', s.contract || %s))).*"
            " FROM session s WHERE id = %s",
            (key, Jsonb({"jurisdiction": place}), FULL),
        )
        conn.execute("UPDATE session SET state = 'ended' WHERE id = %s", (key,))
        conn.execute("UPDATE session SET state = 'billed' WHERE id = %s", (key,))
        conn.execute(
            "INSERT INTO charge SELECT (jsonb_populate_record(c, jsonb_build_object('id', %s::text,"
            " 'session_id', %s::text))).* FROM charge c WHERE session_id = %s",
            (f"chg_{place}", key, FULL),
        )
    return (await store.read(reading, key)).missing


async def test_signed_records_are_shown_with_their_key_and_can_be_taken_away(
    seeded: Database, reading: Connection
) -> None:
    record = 'OCMF|{"FV":"1.0"}|{"SD":"887F"}'
    with psycopg.connect(seeded.conninfo(Role.APP)) as conn:
        conn.execute(
            "INSERT INTO signed_value (session_id, context, at, received_at, data, encoding,"
            " public_key, verified, reason, dedupe) SELECT id, 'Transaction.End', ended_at,"
            " ended_at, %s, 'OCMF', '3059A0', true, 'good', 'd1' FROM session WHERE id = %s",
            (record, FULL),
        )
    found = await store.read(reading, FULL)
    (signed,) = found.records
    assert (signed.key, signed.verified) == ("3059A0", False)  # no key of it is configured
    assert receipts.xml(found) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<values>\n'
        f'  <value transactionId="{FULL}" context="Transaction.End">\n'
        f'    <signedData format="OCMF" encoding="plain">{record}</signedData>\n'
        '    <publicKey encoding="hex">3059A0</publicKey>\n  </value>\n</values>\n'
    )
    page = receipts.html(found)
    assert "transparency software" in page
    assert "not verified with a key known to us" in page


async def test_a_reason_of_many_lines_still_fits_on_paper(reading: Connection) -> None:
    found = await store.read(reading, FULL)
    assert found.document is not None
    reason = "a\n" * 400
    told = msgspec.structs.replace(
        found,
        documents=tuple(msgspec.structs.replace(d, reason=reason) for d in found.documents) * 2,
    )
    assert receipts.pdf(told).startswith(b"%PDF")


async def test_no_name_becomes_a_part_of_the_receipt(reading: Connection) -> None:
    """Sellers and places are named by the configuration, tokens by charge points."""
    evil = "</title></style><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    found = await store.read(reading, FULL)
    swap = msgspec.structs.replace
    found = swap(
        found, tariff=evil, token=evil, free_reason=evil,
        seller=Seller(evil, (evil,), (evil,), evil, evil),
        place=swap(found.place, name=evil, address=(evil,), charge_point_id=evil),
        lines=tuple(swap(line, text=evil) for line in found.lines),
        paid=tuple(swap(part, what=evil, note=evil) for part in found.paid),
    )  # fmt: skip
    for html in (receipts.html(found, "/r/x"), receipts.page.not_yet(evil, "en")):
        assert "&lt;script&gt;alert(1)" in html
        assert "<script" not in html
        assert "<img" not in html
    assert "script-src" not in receipts.page.policy()
    assert receipts.page.policy().startswith("default-src 'none';"), "so no script runs at all"


def test_what_a_place_may_ask_for_stands_on_paper_and_page() -> None:
    """Each field of docs/jurisdictions.md, by what is written in its place."""
    stands = {
        ReceiptField.TOTAL_KWH: ("34.021 kWh",),
        ReceiptField.UNIT_PRICES: ("€0.49 / kWh", "€0.35 / minute"),
        ReceiptField.ENERGY_AMOUNT: ("€19.84",),
        ReceiptField.MAX_POWER: ("up to 150 kW",),
        ReceiptField.CURRENT_KIND: ("DC",),
        ReceiptField.PRICE_PHASES: ("14:21:08–16:07:08", "34.021 kWh", "€0.49 / kWh", "€16.67"),
        ReceiptField.FEES: ("Idle", "10 min", "€4.17", "3 Nov 2026, 16:17:08"),
        ReceiptField.TOTAL: ("€24.01",),
        ReceiptField.EVSE_ID: ("DE*NOR*E42, connector 2",),
        ReceiptField.BUSINESS_NAME: ("North Charging GmbH",),
        ReceiptField.LOCATION: ("Kai 7", "20457 Hamburg"),
        ReceiptField.ISSUED_ON: ("Issued", "3 Nov 2026"),
        ReceiptField.SELLER_ADDRESS: ("Hafenstraße 1",),
        ReceiptField.SELLER_TAX_ID: ("USt-IdNr. DE123456789",),
        ReceiptField.TAX_BY_RATE: ("MwSt. 19%", "of €20.17", "€3.84"),
        ReceiptField.PRICE_PER_KWH: ("€0.7057 / kWh",),
        ReceiptField.SIGNED_RECORD: ("OCMF|{}|{}", "3059", "transparency software"),
    }
    assert {*stands, ReceiptField.REVERSED_DOCUMENT} == set(ReceiptField)
    paper = text_of(receipts.pdf(receipt()))
    page = " ".join(re.sub(r"<[^>]+>", " ", receipts.html(receipt())).split())
    for field, written in stands.items():
        for text in written:
            assert text in paper, field
            assert text in page, field


def test_a_credit_names_the_document_that_it_takes_back_as_that_is_numbered() -> None:
    plain = receipt()
    first = plain.documents[0]
    credit = Document("crd_1", 2, "credit", first.issued_at, -2401, "late data: 1 stop", "chg_1")
    made = msgspec.structs.replace(plain, document=credit, documents=(first, credit))
    assert "This takes back chg_1/1: late data: 1 stop." in text_of(receipts.pdf(made))
    assert "This takes back chg_1/1: late data: 1 stop." in receipts.html(made)
