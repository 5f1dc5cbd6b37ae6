"""A bill on its page: taxes by name, prices that have them, lines of every kind, and the curve."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import httpx
import msgspec
import psycopg
import pytest
from psycopg.types.json import Jsonb
from seed import FULL, Drive, add_charge, add_session, contract_of, facts_of
from seed_config import NOW, configure, digest

from wattledger.clock import DrivenClock
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.pipeline.billing.adjust import adjust
from wattledger.pipeline.world import World
from wattledger.rating import Charge, Draw, Fee, Tax, Terms, price
from wattledger.sessions.assemble import assemble
from wattledger.sessions.model import Delivery, Reading, Reserved
from wattledger.tariffs import Dimension, Tariff, read_tariff
from wattledger.web import numbers
from wattledger.web.curve import running_cost
from wattledger.wire.numbers import parse_time

KEY = "ses_bill_page"
ENERGY = {"dimension": "energy", "price": "0.60", "unit": "kWh"}
HALF = {"dimension": "energy", "price": "0.50", "unit": "kWh"}
STATE = {"name": "State", "percent": "7.25"}
CITY = {"name": "City", "percent": "1", "stack": 1}


def at(text: str) -> datetime:
    return parse_time(f"2026-11-03T{text}:00Z", "at")


def _tariff(*components: dict[str, Any], **more: Any) -> Tariff:
    raw = {"id": "markt-ac", "currency": "EUR", "elements": [{"components": list(components)}]}
    return read_tariff(raw | more, "$")


def _hour(**more: Any) -> Delivery:
    """10 kWh in an hour, evenly."""
    readings = (Reading(at("10:00"), 0), Reading(at("11:00"), 10_000))
    return Delivery("ses_1", "UTC", at("10:00"), at("11:00"), readings, (), **more)


async def _shown(
    page: httpx.AsyncClient, database: Database, tariff: Tariff, draws: tuple[Draw, ...] = ()
) -> tuple[str, Charge]:
    """The page of a session of 12 kWh within an hour under ``tariff``, and its charge."""
    drive = Drive(KEY, "kade", at("10:00"), 12_000, 3600)
    body = msgspec.to_builtins(tariff)
    contract = msgspec.structs.replace(
        contract_of(drive), tariff_digest=digest("tariff", "bill-page", body)
    )
    facts = facts_of(drive)
    found = assemble(KEY, "Europe/Amsterdam", facts, idle_after_stop=True).delivery
    assert found is not None
    found = msgspec.structs.replace(found, max_power_w=contract.power_w)
    charge = price(found, tariff, Terms.of(contract, draws))
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        configure(conn)
        conn.execute(
            "INSERT INTO config_version VALUES (%s, 'tariff', 'bill-page', %s)",
            (contract.tariff_digest, Jsonb(body)),
        )
        add_session(conn, drive, contract, facts, 1, "billed")
        add_charge(conn, drive, contract, charge, 0)
    return (await page.get(f"/sessions/{KEY}")).text, charge


def _foot(html: str) -> list[tuple[str, str]]:
    """The label and the amount of each sum under the lines."""
    foot = html[html.index("</tbody><tfoot>") : html.index("</tfoot></table>")]
    rows = re.findall(r'<tr class="\w+"><td colspan="3">(.*?)</td>.*?value="([^"]*)"', foot)
    return [(re.sub(r"<[^>]*>", "", label).strip(), amount) for label, amount in rows]


def _lines(html: str) -> list[tuple[str, str]]:
    """The name and the amount of each line."""
    body = html[html.index('<table class="bill">') : html.index("</tbody><tfoot>")]
    name, amount = r'(?:title="[^"]*">|<b>)([^<]+)<', r'value="([^"]*)"'
    return [
        (re.findall(name, row)[0], re.findall(amount, row)[-1])
        for row in body.split("<tr data-ranges")[1:]
    ]


async def test_each_tax_has_its_row(page: httpx.AsyncClient, database: Database) -> None:
    # 12 x 0.50 = 6.00; 7.25 % are 0.435; 1 % of 6.435 are 0.06435: 6.49935, so 0.50 in all. The
    # state's 0.435 is 0.44, the city's 0.06.
    html, charge = await _shown(page, database, _tariff({**HALF, "taxes": [STATE, CITY]}))
    assert charge.total_minor == 650
    assert _foot(html) == [
        ("Net", "6.00"), ("State 7.25%", "0.44"), ("City 1%", "0.06"), ("Total charged", "6.50"),
    ]  # fmt: skip
    assert "prices excl. tax, State 7.25% and City 1% at the end" in html
    assert "0.50 EUR per kWh, at any time." in html
    assert "Proven:" in html


async def test_prices_with_their_tax_in_them(page: httpx.AsyncClient, database: Database) -> None:
    # 6.00 and 1.00 with 21 % in them: 7.00 / 1.21 = 5.785, the tax 1.21.
    fee = {"dimension": "flat", "price": "1.00", "unit": "session"}
    html, _ = await _shown(page, database, _tariff(HALF, fee, tax_included="yes"))
    assert "prices incl. tax" in html
    assert '<th scope="col" class="n">Incl. tax</th>' in html
    assert _lines(html) == [("Session fee", "1.00"), ("Energy", "6.00")]
    assert _foot(html) == [("Net", "5.79"), ("VAT 21%", "1.21"), ("Total charged", "7.00")]


async def test_a_least_price_is_a_line_without_a_unit(
    page: httpx.AsyncClient, database: Database
) -> None:
    # 6.00 is 4.00 less than the least; 21 % on 10.00 are 2.10.
    least = _tariff(HALF, min_price={"before_taxes": "10.00"})
    html, _ = await _shown(page, database, least)
    assert _lines(html) == [("Energy", "6.00"), ("Minimum price", "4.00")]
    assert _foot(html) == [("Net", "10.00"), ("VAT 21%", "2.10"), ("Total charged", "12.10")]
    assert "The least a session costs is 10.00 EUR before taxes; 6.00 EUR" in html


async def test_a_tariff_that_is_not_taxed(page: httpx.AsyncClient, database: Database) -> None:
    html, _ = await _shown(page, database, _tariff(HALF, tax_included="not_applicable"))
    assert "no tax applies" in html
    assert _foot(html) == [("Net", "6.00"), ("Total charged", "6.00")]


async def test_what_an_allowance_gave_is_replayed_as_it_was(
    page: httpx.AsyncClient, database: Database
) -> None:
    # 2 of 12 kWh are the plan's: 10 x 0.50 = 5.00, 21 % on it 1.05.
    draw = Draw(Dimension.ENERGY, 2_000, "100 kWh a month")
    html, _ = await _shown(page, database, _tariff(HALF), (draw,))
    assert _lines(html) == [("Energy, included: 100 kWh a month", "0.00"), ("Energy", "5.00")]
    assert _foot(html) == [("Net", "5.00"), ("VAT 21%", "1.05"), ("Total charged", "6.05")]
    assert "Replays to the same cent" in html


@pytest.mark.parametrize("terms", [Terms(), Terms.simple("VAT", "21")])
def test_a_least_price_is_there_from_the_start(terms: Terms) -> None:
    # 7.50 at least, 6.00 an hour for 10 kWh: at 21 %, 9.08 (7.50 + 1.575) from the start on.
    charge = price(_hour(), _tariff(ENERGY, min_price={"before_taxes": "7.50"}), terms)
    least = 750 if not terms.taxes else 908
    cost = running_cost(charge, [])
    assert {amount for _, amount in cost} == {least}
    # Of 10 kWh the first 5 cost 3.00; 4.00 at least are passed after 40 minutes.
    charge = price(_hour(), _tariff(ENERGY, min_price={"before_taxes": "4.00"}), Terms())
    assert dict(running_cost(charge, []))[cost[-1][0]] == 600


def test_the_most_a_session_costs_is_reached_and_stays() -> None:
    # 0.60 a kWh, 10 kWh an hour: 4.50 after 45 minutes.
    charge = price(_hour(), _tariff(ENERGY, max_price={"before_taxes": "4.50"}), Terms())
    cost = dict(running_cost(charge, []))
    start = min(cost)
    assert [cost[start + minute * 60] for minute in (0, 30, 45, 50, 60)] == [0, 300, 450, 450, 450]


def test_fees_and_excise_come_on_top_of_a_limit() -> None:
    # 4.50 at most, the fee of 0.35 from the start, and 0.10 a kWh of excise: 0.50 after half an
    # hour, 1.00 in the end.
    terms = Terms(taxes=(Tax("Excise", per_kwh="0.10"),), fees=(Fee("Card fee", "0.35"),))
    charge = price(_hour(), _tariff(ENERGY, max_price={"before_taxes": "4.50"}), terms)
    cost = dict(running_cost(charge, []))
    start = min(cost)
    assert [cost[start + minute * 60] for minute in (0, 30, 60)] == [
        35, 300 + 35 + 50, 450 + 35 + 100,
    ]  # fmt: skip
    assert charge.total_minor == 585


def test_what_was_reserved_counts_from_the_start() -> None:
    # Half an hour at 2.00 an hour, and 1.50 once: 2.50; 10 kWh at 0.60 on top.
    reserved = [
        {"dimension": "reservation_time", "price": "2.00", "unit": "hour"},
        {"dimension": "reservation_flat", "price": "1.50", "unit": "session"},
    ]
    tariff = read_tariff(
        {
            "id": "t",
            "currency": "EUR",
            "elements": [{"components": [ENERGY]}, {"components": reserved}],
        },
        "$",
    )
    charge = price(_hour(reserved=Reserved(at("09:30"), at("10:00"))), tariff, Terms())
    cost = running_cost(charge, [])
    assert cost[0][1] == 250
    assert cost[-1][1] == charge.total_minor == 850


def test_a_credit_lets_the_cost_fall() -> None:
    charge = price(_hour(), _tariff({**ENERGY, "price": "-0.10"}), Terms())
    assert [amount for _, amount in running_cost(charge, [])] == [0, -100]


def test_a_price_is_written_with_its_sign_before_the_currency() -> None:
    assert str(numbers.price("0.60", "EUR")) == '<data class="m" value="0.60"><i>€</i>0.60</data>'
    assert str(numbers.price("-0.1", "EUR")) == '<data class="m" value="-0.1">−<i>€</i>0.1</data>'
    assert numbers.plain_price("-0.1", "EUR") == "−€0.1"
    assert numbers.quantity(90, "s") == "1 min 30 s"
    assert numbers.quantity(1_500_000, "Wh", 1000) == "1.500 kWh"
    assert numbers.quantity(0, "session") == ""
    assert str(numbers.quantity(1500, "Wh")) == str(numbers.kwh(1500))


async def test_an_adjusted_session_shows_all_its_documents(
    page: httpx.AsyncClient, seeded: Database, work: Work, clock: DrivenClock
) -> None:
    """A captured card session whose register at the start was 1 kWh higher after all."""
    clock.advance(NOW)
    with psycopg.connect(seeded.conninfo(Role.APP)) as conn:
        [(start_at, start_wh, before_minor)] = conn.execute(
            "SELECT started_at, meter_start_wh, total_minor FROM session s JOIN charge c"
            " ON c.session_id = s.id WHERE s.id = %s", (FULL,),
        ).fetchall()  # fmt: skip
        conn.execute(
            "INSERT INTO session_fact (session_id, kind, at, received_at, register_wh, origin,"
            " dedupe) VALUES (%s, 'correct_start', %s, %s, %s, 'person', 'x')",
            (FULL, start_at, NOW, start_wh + 1_000),
        )
        conn.execute("UPDATE session SET adjust_due_at = %s WHERE id = %s", (NOW, FULL))
    assert await adjust(World(work), FULL) == "adjusted"
    html = (await page.get(f"/sessions/{FULL}")).text
    with psycopg.connect(seeded.conninfo(Role.READER)) as conn:
        documents = conn.execute(
            "SELECT id, total_minor FROM charge WHERE session_id = %s ORDER BY revision", (FULL,)
        ).fetchall()
    table = html[html.index("<h2>Documents</h2>") :]
    table = table[: table.index("</table>")]
    assert re.findall(r"(Charge|Credit) <code>(\w+)</code>", table) == [
        ("Charge", documents[0][0]), ("Credit", documents[1][0]), ("Charge", documents[2][0]),
    ]  # fmt: skip
    assert documents[1][1] == -before_minor < 0 < documents[2][1] < before_minor
    assert "corrected by a person" in table
    # The bill is the one in force, and the money says what is to be given back.
    assert "Proven:" in html
    assert _foot(html)[-1] == ("Total charged", f"{documents[2][1] / 100:.2f}")
    assert "Refund due" in html
    assert "To be refunded" in html
    listed = (await page.get("/sessions?state=adjusted")).text
    assert FULL in listed
    assert f"{documents[2][1] / 100:.2f}" in listed
    assert FULL in (await page.get("/sessions?money=refund_due")).text
    assert (await page.get("/")).status_code == 200
