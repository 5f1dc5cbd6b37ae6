"""The receipt of a card payment that left no address: found by the card, the place and the time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from starlette.applications import Starlette

import handmade as hand
from starts_yard import Yard
from wattledger.clock import DrivenClock
from wattledger.contract import Route
from wattledger.db.connect import Database, Pool
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.receipts import links
from wattledger.web.driver import Driver

SECRET = "a secret of links that nobody guesses"
# 09:00 on 1 November in Chicago, where the depot is; the clock was put back seven hours before.
BEGAN = datetime(2026, 11, 1, 15, tzinfo=UTC)
HERE = "2026-11-01T09:30"
PAGE = "/q/-/receipt/D-1"


@pytest.fixture
async def yard(work: Work, clock: DrivenClock) -> Yard:
    return await Yard.open(work, clock)


@pytest.fixture
async def page(yard: Yard, reader: Pool) -> AsyncIterator[httpx.AsyncClient]:
    routes = Driver(yard.world, reader, lambda _: SECRET, lambda: None, "LINKS").routes()
    transport = httpx.ASGITransport(app=Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as found:
        yield found


def paid(
    database: Database, key: str, *, last4: str = "4242", route: Route = Route.TERMINAL,
    began: datetime = BEGAN, point: str = "D-1", vendor: bool = False,
) -> None:  # fmt: skip
    """A session from ``began`` to 12:00 UTC on 2 November, paid by that card."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        hand.add_session(conn, f"ses_{key}", charge_point=point, route=route, started_at=began)
        if vendor:
            conn.execute(
                "INSERT INTO terminal_payment (id, entity_id, provider, terminal_id, reference,"
                " mode, currency, authorized_at, authorized_minor, last4, received_at, state,"
                " session_id, matched_by) VALUES (%(id)s, 'north', 'acme', 'door', %(id)s,"
                " 'vendor_captures', 'USD', %(at)s, 2500, %(last4)s, %(at)s, 'matched', %(ses)s,"
                " 'window')",
                {"id": f"tpa_{key}", "at": began, "last4": last4, "ses": f"ses_{key}"},
            )
            return
        hand.insert(
            conn, "payment", id=f"pay_{key}", session_id=f"ses_{key}", entity_id="north",
            processor_id="stripe", currency="USD", hold_minor=2_500, state="held", last4=last4,
            route=route.value, authorized_minor=2_500, created_at=began,
        )  # fmt: skip


async def _find(page: httpx.AsyncClient, at: str = PAGE, **form: str) -> httpx.Response:
    return await page.post(at, data={"last4": "4242", "time": HERE, **form})


def _link(key: str) -> str:
    return f"/r/{links.token(SECRET, f'ses_{key}')}"


@pytest.mark.parametrize("vendor", [False, True])
async def test_who_paid_at_the_terminal_is_led_to_the_receipt(
    page: httpx.AsyncClient, database: Database, vendor: bool
) -> None:
    paid(database, "a", vendor=vendor)
    answer = await _find(page)
    assert (answer.status_code, answer.headers["location"]) == (303, _link("a"))
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("at", "found"),
    # From 09:00 to 06:00 of the next day there; an hour more on both sides.
    [("2026-11-01T07:59", False), ("2026-11-01T08:00", True), ("2026-11-02T07:00", True),
     ("2026-11-02T07:01", False), ("2026-10-31T09:30", False), ("0001-01-01T00:00", False)],
)  # fmt: skip
async def test_the_time_is_the_places_and_right_to_within_an_hour(
    page: httpx.AsyncClient, database: Database, at: str, found: bool
) -> None:
    paid(database, "a")
    assert (await _find(page, time=at)).status_code == (303 if found else 404)


async def test_an_hour_that_comes_twice_is_both(
    page: httpx.AsyncClient, database: Database
) -> None:
    """01:30 on 1 November was at 06:30 and at 07:30 UTC."""
    paid(database, "a", began=datetime(2026, 11, 1, 8, 29, tzinfo=UTC))
    assert (await _find(page, time="2026-11-01T01:30")).status_code == 303
    assert (await _find(page, time="2026-11-01T00:30")).status_code == 404


async def test_what_fits_several_is_asked(page: httpx.AsyncClient, database: Database) -> None:
    paid(database, "a")
    paid(database, "b", began=BEGAN + timedelta(hours=1))
    answer = await _find(page)
    assert answer.status_code == 200
    assert [_link(key) in answer.text for key in "ab"] == [True, True]
    assert "1 Nov 2026, 09:00:00" in answer.text
    assert "1 Nov 2026, 10:00:00" in answer.text


@pytest.mark.parametrize(
    "other",
    [{"last4": "4243"}, {"point": "D-2"}, {"route": Route.CARD}, {"route": Route.APP},
     {"began": BEGAN + timedelta(hours=2)}],
)  # fmt: skip
async def test_nobody_elses_is_found(
    page: httpx.AsyncClient, database: Database, other: dict[str, Any]
) -> None:
    """Members have an account, and their receipts by mail: theirs are not looked up by a card."""
    paid(database, "a", **other)
    answer = await _find(page)
    assert answer.status_code == 404
    assert "No payment by this card" in answer.text
    assert "/r/" not in answer.text


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"last4": "424"}, "last four digits"),
        ({"last4": "4242424242424242"}, "last four digits"),
        ({"last4": "%%%%"}, "last four digits"),
        ({"last4": "٤٢٤٢"}, "last four digits"),
        ({"time": ""}, "the day and the time"),
        ({"time": "yesterday"}, "the day and the time"),
        ({"time": "2026-11-01T09:30Z"}, "the day and the time"),
        ({"time": "9999-12-31T23:59"}, "the day and the time"),
        ({"more": "x" * 30_000}, "shorter"),
    ],
)
async def test_what_can_not_be_looked_for(
    page: httpx.AsyncClient, form: dict[str, str], says: str
) -> None:
    answer = await _find(page, **form)
    assert answer.status_code == 422
    assert says in answer.text


async def test_the_form_says_where_it_is_and_how(page: httpx.AsyncClient) -> None:
    answer = await page.get(PAGE)
    assert answer.status_code == 200
    for text in ("Depot", "Charge point D-1", "Last four digits", "America/Chicago"):
        assert text in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert f'href="{PAGE}"' in (await page.get("/q/D-1")).text, "the page at the charge point"


async def test_nobody_tries_cards_out(page: httpx.AsyncClient, database: Database) -> None:
    paid(database, "a")
    answers = [(await _find(page, last4=f"{n:04}")).status_code for n in range(8)]
    assert answers == [404] * 6 + [429] * 2
    assert (await _find(page)).status_code == 429, "nor is the right one taken then"


async def test_a_charge_point_is_not_tried_out_from_many_addresses(
    yard: Yard, reader: Pool, database: Database
) -> None:
    paid(database, "a")
    routes = Driver(yard.world, reader, lambda _: SECRET, lambda: None, "LINKS").routes()
    codes = []
    for n in range(32):
        transport = httpx.ASGITransport(app=Starlette(routes=routes), client=(f"10.0.0.{n}", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as page:
            codes.append((await _find(page, last4=f"{n:04}")).status_code)
    assert codes == [404] * 30 + [429] * 2


@pytest.mark.parametrize("point", ["NOBODY", "a/b", "%00"])
async def test_where_there_is_no_charge_point(page: httpx.AsyncClient, point: str) -> None:
    for answer in (await page.get(f"/q/-/receipt/{point}"),
                   await _find(page, f"/q/-/receipt/{point}")):  # fmt: skip
        assert answer.status_code == 404
        assert "<form" not in answer.text


async def test_without_links_there_is_nothing_to_find(
    yard: Yard, reader: Pool, database: Database
) -> None:
    paid(database, "a")
    routes = Driver(yard.world, reader, lambda _: SECRET, lambda: None).routes()
    transport = httpx.ASGITransport(app=Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as page:
        assert "Find your receipt" not in (await page.get("/q/D-1")).text
        for answer in (await page.get(PAGE), await _find(page)):
            assert answer.status_code == 404
            assert "ask there" in answer.text
