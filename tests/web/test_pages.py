"""The pages over a seeded database: what they say, what they count, and what they refuse."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import httpx
import psycopg
import pytest
from seed import FULL, HELD, OPEN, Drive, write
from seed_config import NOW, configure
from starlette.applications import Starlette
from starlette.requests import Request

from wattledger.clock import DrivenClock
from wattledger.db.connect import Database, Pool
from wattledger.db.roles import Role
from wattledger.web import Live, numbers, page_routes
from wattledger.web.curve import power
from wattledger.web.events import _Last, _message
from wattledger.web.page import STATIC, Site, block

PAGES = (
    "/",
    "/sessions",
    "/sessions/refused",
    f"/sessions/{FULL}",
    f"/sessions/{HELD}",
    f"/sessions/{OPEN}",
    "/reconciliation",
    "/ledger",
    "/ledger?account=clearing.stripe",
    "/deliveries",
    "/deliveries?kind=all",
    "/anomalies",
    "/anomalies?which=resolved",
    "/?day=2026-10-30&flow=day",
)


def figures(html: str) -> list[str]:
    """The plain values of all figures, in their order."""
    return re.findall(r'<data class="m" value="([^"]*)"', html)


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("path", PAGES)
async def test_every_page_answers_with_a_strict_policy(page: httpx.AsyncClient, path: str) -> None:
    answer = await page.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    # Nothing inline that the policy would have to allow.
    assert not re.search(r"\son[a-z]+=", answer.text)
    assert " style=" not in answer.text
    assert not re.findall(r'<script(?! src="/static/| type="application/json")', answer.text)


@pytest.mark.usefixtures("seeded")
async def test_links_lead_to_pages_that_exist(page: httpx.AsyncClient) -> None:
    seen: set[str] = set()
    for path in PAGES:
        html = (await page.get(path)).text
        seen |= {href.split("#")[0] for href in re.findall(r'href="(/[^"]*)"', html)}
    for href in sorted(seen):
        status = (await page.get(href.replace("&amp;", "&"))).status_code
        assert status == 200, href


async def test_the_day_ties_and_is_proven(page: httpx.AsyncClient, seeded: Database) -> None:
    html = (await page.get("/")).text
    with psycopg.connect(seeded.conninfo(Role.READER)) as conn:
        row = conn.execute(
            "SELECT sum(total_minor), sum(net_minor), sum(tax_minor), count(*) FROM charge"
            " WHERE entity_date = '2026-11-03'"
        ).fetchone()
    assert row
    total, net, tax, count = (int(value) for value in row)
    charged = html[html.index('id="charged"') : html.index('id="through"')]
    assert figures(charged)[0] == f"{total // 100}.{total % 100:02d}"
    assert f'value="{net // 100}.{net % 100:02d}"' in charged
    assert f'value="{tax // 100}.{tax % 100:02d}"' in charged
    assert f'<data value="{count}">' in charged
    assert 'class="proven"' in charged
    data = json.loads(html.split('id="cum-data">')[1].split("</script>")[0])
    assert data["today"][-1][1] == total


@pytest.mark.usefixtures("seeded")
async def test_the_flow_loses_nothing_between_its_columns(page: httpx.AsyncClient) -> None:
    for span in ("day", "week"):
        html = (await page.get("/", params={"flow": span})).text
        flow = json.loads(html.split('id="flow-data">')[1].split("</script>")[0])
        sums = {}
        for node in flow["nodes"]:
            sums[node["depth"]] = sums.get(node["depth"], 0) + node["value"]
        assert set(sums.values()) == {flow["total"]}


async def test_a_day_without_a_session_shows_the_last_that_has_one(
    seeded: Database, reader: Pool
) -> None:
    late = DrivenClock(NOW + timedelta(days=3))
    app = Starlette(routes=page_routes(reader, late, None))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        html = (await client.get("/")).text
    assert "No session yet on 6 November 2026" in html
    assert "<h1>Tuesday 3 November 2026</h1>" in html
    assert 'rel="next"' in html


@pytest.mark.usefixtures("seeded")
async def test_what_needs_a_person_counts_what_its_link_shows(page: httpx.AsyncClient) -> None:
    html = (await page.get("/")).text
    rows = dict(
        re.findall(r'<a href="([^"]*)" data-todo="\w+"><span class="c">([\d,]+)</span>', html)
    )
    assert rows["/sessions?state=held"] == "1"
    assert rows["/reconciliation#breaks"] == "3"
    for href, count in rows.items():
        listed = (await page.get(href.replace("&amp;", "&"))).text
        if href == "/anomalies":
            assert listed.count("<article") == int(count)
            continue
        body = listed[listed.index("<tbody>", max(listed.find('id="breaks"'), 0)) :]
        assert body.split("</tbody>")[0].count("<tr") == int(count), href
    assert 'data-todo="refused"><span class="c">0</span>' in html


@pytest.mark.usefixtures("seeded")
async def test_a_bill_is_proven_against_ledger_and_replay(page: httpx.AsyncClient) -> None:
    html = (await page.get(f"/sessions/{FULL}")).text
    assert "Replays to the same cent" in html
    assert '<tr class="total"><td colspan="3">Total charged</td><td class="n">' in html
    total = html.split('<tr class="total">')[1].split("</tr>")[0]
    assert 'class="proven"' in total
    chart = json.loads(html.split('id="power-data">')[1].split("</script>")[0])
    assert chart["cost"][-1][1] == chart["total"]
    assert [state[2] for state in chart["states"]] == [
        "charging",
        "pause",
        "charging",
        "grace",
        "idle",
    ]
    assert all(a[1] <= b[1] for a, b in zip(chart["cost"], chart["cost"][1:], strict=False))


async def test_a_bill_without_its_entry_gets_no_double_rule(
    page: httpx.AsyncClient, database: Database
) -> None:
    drive = Drive("ses_unbooked", "kade", NOW - timedelta(hours=3), 9_000, 1800)
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        configure(conn)
        write(conn, drive, 1, age_days=0)
    # The owner alone can take the entry away; the page has to notice it.
    with psycopg.connect(database.conninfo(Role.OWNER)) as conn:
        conn.execute("ALTER TABLE posting DISABLE TRIGGER USER")
        conn.execute("ALTER TABLE entry DISABLE TRIGGER USER")
        conn.execute(
            "DELETE FROM posting WHERE entry_id IN (SELECT id FROM entry WHERE cause = 'charge')"
        )
        conn.execute("DELETE FROM entry WHERE cause = 'charge'")
    html = (await page.get("/sessions/ses_unbooked")).text
    total = html.split('<tr class="total">')[1].split("</tr>")[0]
    assert "proven" not in total
    assert "Not proven: the ledger has no entry over the total." in html
    assert "Not in the books" in html


@pytest.mark.usefixtures("seeded")
async def test_a_held_session_names_its_reason_and_no_price(page: httpx.AsyncClient) -> None:
    html = (await page.get(f"/sessions/{HELD}")).text
    assert "Held, not priced:" in html
    assert "register.fell" in html
    assert "Total charged" not in html


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    "find",
    [
        FULL,
        f"TOK-{FULL}",
        f"tok-{FULL}".upper(),
        f"pi_{FULL}",
        f"txn_{FULL}",
        "€44.00",
        "44,00",
        f"TOK-{FULL} 44.00",
    ],
)
async def test_find_by_whatever_is_in_hand(page: httpx.AsyncClient, find: str) -> None:
    html = (await page.get("/sessions", params={"q": find})).text
    assert f'href="/sessions/{FULL}"' in html


@pytest.mark.usefixtures("seeded")
async def test_paging_by_key_shows_every_session_once(page: httpx.AsyncClient) -> None:
    seen: list[str] = []
    href = "/sessions"
    while href:
        html = (await page.get(href)).text
        seen += re.findall(r'class="lead"><a href="/sessions/([^"]+)"', html)
        found = re.search(r'rel="next" href="([^"]+)"', html)
        href = found.group(1).replace("&amp;", "&") if found else ""
    assert len(seen) == len(set(seen)) > 50


@pytest.mark.usefixtures("seeded")
async def test_a_leg_filters_the_breaks(page: httpx.AsyncClient) -> None:
    html = (await page.get("/reconciliation?leg=processor")).text
    assert set(re.findall(r'<tr data-leg="(\w+)"', html)) == {"processor"}
    tied = (await page.get("/reconciliation?leg=payout")).text
    assert "This leg is tied" in tied
    assert "Explained" in tied


@pytest.mark.usefixtures("seeded")
async def test_what_came_from_outside_is_escaped(page: httpx.AsyncClient) -> None:
    assert "<script>alert" not in (await page.get("/anomalies")).text
    odd = (await page.get("/sessions", params={"q": '"><script>alert(1)</script>'})).text
    assert "<script>alert" not in odd
    assert str(block({"a": "</script><!--"})).isascii()
    assert "<" not in str(block({"a": "</script><!--"}))


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/sessions/ses_none", 404),
        ("/?day=yesterday", 400),
        ("/sessions?state=broken", 400),
        ("/sessions?before=x", 400),
        ("/ledger?before=-1", 400),
        ("/ledger?account=none", 404),
        ("/?entity=other", 404),
    ],
)
async def test_the_impossible_is_refused_in_words(
    page: httpx.AsyncClient, path: str, status: int
) -> None:
    answer = await page.get(path)
    assert answer.status_code == status
    assert '<div class="error" role="alert"><p>' in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]


async def test_first_run_says_what_to_do(page: httpx.AsyncClient, database: Database) -> None:
    assert "wattledger apply" in (await page.get("/")).text
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        configure(conn)
    html = (await page.get("/")).text
    assert "ws://test:8016/" in html
    assert "POST /v1/sessions" in html
    for path in ("/sessions", "/reconciliation", "/ledger", "/deliveries", "/anomalies"):
        assert 'class="' in (await page.get(path)).text


async def test_the_database_away_is_said(seeded: Database, reader: Pool) -> None:
    app = Starlette(routes=page_routes(reader, DrivenClock(NOW), None))
    await reader.close()
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/")
    assert answer.status_code == 503
    assert "The database does not answer" in answer.text


async def test_a_live_message_carries_all_that_changed(seeded: Database, reader: Pool) -> None:
    site = Site(reader, DrivenClock(NOW), None)
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    scope["server"] = ("test", 80)
    request, last = Request(scope), _Last()
    first = await _message(site, request, last)
    assert 'hx-target="#charged"' in first
    assert await _message(site, request, last) == ": still so\n\n"
    with psycopg.connect(seeded.conninfo(Role.APP)) as conn:
        drive = Drive("ses_new", "oost", datetime(2026, 11, 3, 14, 0, tzinfo=UTC), 9_000, 1800)
        write(conn, drive, 4, age_days=0)
    second = await _message(site, request, last)
    for target in ("charged", "through", "tape", "flow", "sites", "live"):
        assert f'hx-target="#{target}"' in second
    assert 'hx-target="#when"' not in second
    assert second.count('class="fresh"') == 1


async def test_live_hears_of_notifications_and_comes_back(
    database: Database,
) -> None:
    async with Live(database.conninfo(Role.READER)) as live:
        event = live.subscribe()
        async with asyncio.timeout(10):
            while not live.connected:
                await event.wait()
                event.clear()
            event.clear()
            with psycopg.connect(database.conninfo(Role.APP), autocommit=True) as conn:
                conn.execute("NOTIFY wattledger_live")
            await event.wait()
            event.clear()
            with psycopg.connect(database.conninfo(Role.READER), autocommit=True) as conn:
                conn.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
            await event.wait()
            while not live.connected:
                await event.wait()
                event.clear()


def test_figures_are_written_with_sign_grouping_and_plain_value() -> None:
    assert str(numbers.money(123456, "EUR")) == (
        '<data class="m" value="1234.56"><i>€</i>1,234.56</data>'
    )
    assert (
        str(numbers.money(-1200, "EUR")) == '<data class="m" value="-12.00">−<i>€</i>12.00</data>'
    )
    assert str(numbers.money(500, "JPY")) == '<data class="m" value="500"><i>¥</i>500</data>'
    assert str(numbers.kwh(2941162)) == (
        '<data class="q" value="2941.162">2,941<i>.162 kWh</i></data>'
    )
    assert 'value="0.4000"' in numbers.per_kwh(40, 1000, "EUR")
    assert numbers.percent(140, 1000, signed=True) == "+14.0%"
    assert numbers.percent(-5, 1000) == "−0.5%"
    assert numbers.duration(1163) == "19 min 23 s"
    assert power([(0, 0), (3600, 1000)], 3600) == [(0, 1000), (3600, 0)]
    assert power([(0, 0), (3600, 1000)], None) == [(0, 1000), (3600, 1000)]


def test_vendored_files_are_the_ones_the_notice_names() -> None:
    notice = (STATIC / "NOTICE").read_text(encoding="utf-8")
    for name in ("htmx.min.js", "hx-sse.js", "echarts.min.js"):
        assert sha256((STATIC / name).read_bytes()).hexdigest() in notice
