"""The page that decides: what it offers, what it takes, and from whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb
from seed import FULL, HELD
from seed_config import NOW
from starlette.applications import Starlette

from wattledger.clock import DrivenClock
from wattledger.db.connect import Database, Pool
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.pipeline.world import World
from wattledger.web import page_routes

HERE = {"origin": "http://test"}


@pytest.fixture
async def desk(seeded: Database, reader: Pool, pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    """A client of pages that may decide. Anomaly 1 holds a session whose registers are fine by
    now, 2 is a malformed frame, 3 is about a billed session."""
    with psycopg.connect(seeded.conninfo(Role.APP)) as conn:
        conn.execute(
            "INSERT INTO anomaly (at, code, subject, detail, dedupe)"
            " VALUES (%s, 'stop.differs', %s, %s, 'a3')",
            (NOW, FULL, Jsonb({"kept": ["15:08", 118350], "came": ["15:09", 118400]})),
        )
    clock = DrivenClock(NOW)
    routes = page_routes(reader, clock, None, world=World(Work(pool, clock)))
    transport = httpx.ASGITransport(app=Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def _post(
    desk: httpx.AsyncClient, number: int, headers: dict[str, str] = HERE, **form: str
) -> httpx.Response:
    whole = {"reason": "it was a test", "by": "Ann Ünlü", "back": "/anomalies", **form}
    return await desk.post(
        f"/anomalies/{number}",
        content=urlencode(whole),
        headers={"content-type": "application/x-www-form-urlencoded", **headers},
    )


async def _states(database: Database) -> list[tuple[Any, ...]]:
    async with await database.connect(Role.READER) as conn:
        cursor = await conn.execute(
            "SELECT a.id, t.act, t.actor, t.reason FROM anomaly a"
            " LEFT JOIN anomaly_act t ON t.anomaly_id = a.id ORDER BY a.id"
        )
        return [tuple(row.values()) for row in await cursor.fetchall()]


OPEN = [(n, None, None, None) for n in (1, 2, 3)]


async def test_the_list_says_what_each_means_and_offers_what_works(
    desk: httpx.AsyncClient, page: httpx.AsyncClient
) -> None:
    html = (await desk.get("/anomalies")).text
    assert html.count("<article") == 3
    held, billed, frame = (html.split(f'id="a{n}"')[1].split("</article>")[0] for n in (1, 3, 2))
    assert "The register fell during the session." in held
    assert "Holds a session" in held
    for button in ("Bill it", "Correct the session", "Discard the session"):
        assert f">{button}</button>" in held
    # 25.002 kWh of HELD at 0.49 are 12.25, the fee 0.35; with 21 % VAT 15.25.
    assert '<data class="m" value="15.25">' in held
    assert ">Accept</button>" in billed
    assert "Discard" not in billed
    assert "kept 15:08, 118350" in billed.replace("</dt><dd>", " ")
    assert "Correct" not in frame
    only = (await desk.get("/anomalies?code=frame.malformed")).text
    assert only.count("<article") == 1
    none = (await desk.get("/anomalies?code=clock.wrong")).text
    assert "No clock.wrong is open" in none
    assert "Show all open" in none
    session = (await desk.get(f"/sessions/{HELD}")).text
    assert '<a href="#anomalies">Decide what becomes of it</a>' in session
    assert ">Discard the session</button>" in session
    # Pages without a pipeline behind them only read.
    html = (await page.get("/anomalies/1")).text
    assert "wattledger anomalies show 1" in html
    assert "<form method" not in html
    assert (await _post(page, 1, act="accept")).status_code == 404


async def test_a_decision_is_taken_from_our_own_form_once_and_said(
    desk: httpx.AsyncClient, seeded: Database
) -> None:
    elsewhere: tuple[dict[str, str], ...] = (
        {},
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"origin": "http://test:81"},
        {"sec-fetch-site": "cross-site", "origin": "http://test"},
        {"sec-fetch-site": "same-site", "origin": "http://test"},
    )
    for headers in elsewhere:
        answer = await _post(desk, 2, headers, act="accept")
        assert answer.status_code == 403, headers
        assert "came from elsewhere" in answer.text
    for form, status in (
        ({"act": "delete"}, 422),
        ({"act": "accept", "by": " "}, 422),
        ({"act": "accept", "by": "x" * 101}, 422),
        ({"act": "accept", "reason": ""}, 422),
        ({"act": "discard", "kind": "stolen"}, 422),
        ({"act": "accept", "reason": "x" * 20_001}, 400),
    ):
        assert (await _post(desk, 2, **form)).status_code == status, form
    assert (await _post(desk, 99, act="accept")).status_code == 404
    assert await _states(seeded) == OPEN

    answer = await _post(desk, 2, act="accept")
    assert (answer.status_code, answer.headers["location"]) == (303, "/anomalies?done=2#done")
    cookie = answer.headers["set-cookie"]
    assert "wattledger_by=Ann%20%C3%9Cnl%C3%BC" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    said = (await desk.get("/anomalies?done=2")).text
    assert "<b>Accepted:</b> <code>frame.malformed</code>, by Ann Ünlü: it was a test." in said
    assert 'autocomplete="name" value="Ann Ünlü"' in said, "the name is remembered"
    assert (await _post(desk, 2, act="accept")).status_code == 303, "a double click"
    again = await _post(desk, 2, act="accept", reason="another")
    assert again.status_code == 409
    assert "was resolved at" in again.text
    assert (await _states(seeded))[1] == (2, "accept", "page:Ann Ünlü", "it was a test")
    resolved = (await desk.get("/anomalies?which=resolved")).text
    assert "Accepted by Ann Ünlü" in resolved
    for back in ("//evil.example", "https://evil.example/anomalies", "/anomalies\\@evil", "/x"):
        answer = await _post(desk, 2, act="accept", back=back)
        assert answer.headers["location"] == "/anomalies?done=2#done", back


async def test_a_correction_in_the_sites_time_bills_the_session(
    desk: httpx.AsyncClient, seeded: Database
) -> None:
    page = (await desk.get("/anomalies/1")).text
    # It starts five hours before 15:42:08Z, in Amsterdam 11:42:08, and lasts half an hour.
    assert 'name="start_at" value="2026-11-03T11:42:08"' in page
    assert 'name="stop_kwh" inputmode="decimal" autocomplete="off" value="125.002"' in page
    form = {
        "act": "correct", "back": f"/sessions/{HELD}",
        "start_at": "2026-11-03T11:42:08", "start_at_was": "2026-11-03T11:42:08",
        "start_kwh": "100.000", "stop_at": "2026-11-03T12:20:00",
        "stop_at_was": "2026-11-03T12:12:08", "stop_kwh": "20",
    }  # fmt: skip
    refused = await _post(desk, 1, **form)
    assert refused.status_code == 422
    said = "The register at the stop: this was 20.000 kWh, expected 100.000 kWh or more"
    assert said in refused.text
    assert 'name="stop_kwh" inputmode="decimal" autocomplete="off" value="20"' in refused.text
    assert ">it was a test</textarea>" in refused.text, "what was typed stays"
    twice = await _post(desk, 1, **form | {"stop_at": "2026-10-25T02:30:00"})
    assert "outside the hour of the clock change" in twice.text
    assert await _states(seeded) == OPEN
    taken = await _post(desk, 1, **form | {"stop_kwh": "126,5"})
    assert taken.status_code == 422, "a comma is no thousands and no decimals: it is asked again"
    taken = await _post(desk, 1, **form | {"stop_kwh": "126.5"})
    assert taken.headers["location"] == f"/sessions/{HELD}?done=1#done"
    async with await seeded.connect(Role.READER) as conn:
        cursor = await conn.execute(
            "SELECT s.state, f.kind, f.at AT TIME ZONE 'UTC' AS at, f.register_wh"
            " FROM session s JOIN session_fact f ON f.session_id = s.id"
            " WHERE s.id = %s AND f.kind = 'correct_stop'",
            (HELD,),
        )
        [row] = await cursor.fetchall()
    assert (row["state"], str(row["at"]), row["register_wh"]) == (
        "ended", "2026-11-03 11:20:00", 126_500,
    )  # fmt: skip
