"""The page at a charge point: what it says before anybody pays, and what a browser's key opens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from starts_yard import T0, Yard
from wattledger.api.password import PagePassword
from wattledger.clock import DrivenClock
from wattledger.db.connect import Pool
from wattledger.db.effects import Done
from wattledger.db.work import Work
from wattledger.errors import ConfigError
from wattledger.rate import Rate
from wattledger.web.driver import Driver

KEY = "ab" * 24
JSON = {"content-type": "application/json"}
SECOND = {"routes": ["checkout"], "second_charge": True}


def _secret(name: str) -> str:
    if name == "MISSING":
        raise ConfigError("MISSING is not set")
    return f"{name.lower()}_1"


@pytest.fixture
async def yard(work: Work, clock: DrivenClock) -> Yard:
    found = await Yard.open(work, clock, processor__0__publishable_key_env="PUBLIC",
                            site__0__charge_points__1__connectors=2)  # fmt: skip
    await connected(found, "D-1")
    return found


async def connected(yard: Yard, point: str, status: str = "Available") -> None:
    async with yard.world.work.pool.connection() as conn:
        await conn.execute(
            "INSERT INTO charge_point_state (charge_point_id, heard_at, connected, connectors)"
            " VALUES (%s, %s, true,"
            "  jsonb_build_object('1', jsonb_build_object('status', %s::text)))"
            " ON CONFLICT (charge_point_id) DO UPDATE SET connectors = EXCLUDED.connectors",
            (point, T0, status),
        )


def client(yard: Yard, reader: Pool, password: str | None = None) -> httpx.AsyncClient:
    app: Any = Starlette(routes=Driver(yard.world, reader, _secret, lambda: None).routes())
    if password:
        app = PagePassword(app, password)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


@pytest.fixture
async def page(yard: Yard, reader: Pool) -> AsyncIterator[httpx.AsyncClient]:
    async with client(yard, reader) as found:
        yield found


async def test_what_a_driver_sees_first(page: httpx.AsyncClient) -> None:
    answer = await page.get("/q/D-1")
    assert answer.status_code == 200
    for text in ("Depot", "Charge point D-1, connector 1", "22 kW", "$0.40/kWh, plus tax",
                 "<b>$25.00</b> is reserved", "E-mail for the receipt",
                 "Pay and start"):  # fmt: skip
        assert text in answer.text
    assert 'data-key="public_1"' in answer.text
    assert 'data-amount="2500" data-currency="usd"' in answer.text
    assert "consent" not in answer.text, "nobody is charged above the hold here"
    assert 'src="https://js.stripe.com/v3/"' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self' https://js.stripe.com;" in policy
    assert "unsafe-inline" not in policy
    assert "default-src 'none'" in policy
    for name in ("driver.js", "driver.css"):
        assert (await page.get(f"/q/-/static/{name}")).status_code == 200
    assert (await page.get("/q/-/static/page.js")).status_code == 404


async def test_whoever_may_be_charged_twice_is_asked(
    work: Work, clock: DrivenClock, reader: Pool
) -> None:
    yard = await Yard.open(work, clock, processor__0__publishable_key_env="PUBLIC",
                           payment=[SECOND])  # fmt: skip
    await connected(yard, "D-1")
    async with client(yard, reader) as page:
        text = (await page.get("/q/D-1")).text
    assert 'type="checkbox"' in text
    assert "checked" not in text
    assert "If charging costs more than $25.00" in text


async def test_which_connector(page: httpx.AsyncClient, yard: Yard) -> None:
    await connected(yard, "D-2")
    asked = await page.get("/q/D-2")
    assert "Which connector" in asked.text
    assert 'href="?connector=2"' in asked.text
    chosen = await page.get("/q/D-2?connector=2")
    assert "connector 2" in chosen.text
    assert "<b>$50.00</b>" in chosen.text, "150 kW"
    assert "Which connector" in (await page.get("/q/D-2?connector=3")).text


@pytest.mark.parametrize(
    ("point", "status", "says"),
    [("NOBODY", None, "is not known"), ("D-2?connector=1", None, "is offline"),
     ("D-1", "Charging", "is in use"), ("D-1", "Faulted", "out of order"),
     ("Y-1", "Available", "not possible here")],
)  # fmt: skip
async def test_why_nobody_can_pay_here(
    page: httpx.AsyncClient, yard: Yard, point: str, status: str | None, says: str
) -> None:
    if status:
        await connected(yard, point, status)
    answer = await page.get(f"/q/{point}")
    assert answer.status_code >= 400
    assert says in answer.text
    assert "Pay and start" not in answer.text
    assert "js.stripe.com" not in answer.text


@pytest.mark.parametrize("name", [None, "MISSING"])
async def test_without_a_publishable_key_payment_is_not_set_up(
    work: Work, clock: DrivenClock, reader: Pool, name: str | None
) -> None:
    change = {"processor__0__publishable_key_env": name} if name else {}
    yard = await Yard.open(work, clock, **change)
    await connected(yard, "D-1")
    async with client(yard, reader) as page:
        assert "not possible here" in (await page.get("/q/D-1")).text


async def _start(page: httpx.AsyncClient, key: str = KEY, **more: Any) -> httpx.Response:
    body = {"charge_point_id": "D-1", "connector_id": 1, "key": key, **more}
    return await page.post("/q/-/starts", json=body)


def by(key: str) -> dict[str, str]:
    return {"x-start-key": key}


async def _look(page: httpx.AsyncClient, key: str = KEY) -> dict[str, Any]:
    answer = await page.get("/q/-/start", params={"at": "D-1"}, headers=by(key))
    return dict(answer.json())


async def _post(page: httpx.AsyncClient, what: str, key: str = KEY) -> httpx.Response:
    return await page.post(f"/q/-/start/{what}", params={"at": "D-1"}, headers=by(key))


async def test_from_the_card_to_the_stop(page: httpx.AsyncClient, yard: Yard) -> None:
    first = (await _start(page, email="guest@example.com")).json()
    assert (first["stage"], first["ready"]) == ("paying", False)
    assert (await _start(page)).json() == first, "sent again it counts once"
    await yard.answer("stripe.intent", Done({"intent_id": "pi_1", "status": "x"}))
    assert (await _look(page))["ready"] is True
    await _post(page, "paid")
    (asked,) = await yard.asked_of("stripe.fetch")
    assert (asked["object"], asked["id"]) == ("payment_intent", "pi_1")
    await yard.seen("requires_capture", fingerprint="fp_1")
    starting = await _look(page)
    assert starting["stage"] == "starting"
    await yard.told()
    (row,) = await yard.rows("SELECT token, email FROM start_request")
    assert row["email"] == "guest@example.com"
    await yard.begin(row["token"])
    running = await _look(page)
    assert running["stage"] == "charging"
    await _post(page, "stop")
    assert len(await yard.asked_of("ocpp.remote_stop")) == 1


async def test_cancelled_before_anything_was_paid(page: httpx.AsyncClient, yard: Yard) -> None:
    await _start(page)
    await yard.answer("stripe.intent", Done({"intent_id": "pi_1", "status": "x"}))
    found = (await _post(page, "stop")).json()
    assert found["stage"] == "failed"
    assert "cancelled" in found["text"]
    assert len(await yard.asked_of("stripe.release")) == 1


async def test_a_browsers_next_try_goes_on_with_its_hold(
    page: httpx.AsyncClient, yard: Yard
) -> None:
    await _start(page)
    await yard.answer("stripe.intent", Done({"intent_id": "pi_1", "status": "x"}))
    await yard.seen("requires_capture", fingerprint="fp_1")
    await yard.not_told()
    again = (await _start(page, "cd" * 24, again=KEY)).json()
    assert again["stage"] == "starting"
    assert len(await yard.payments()) == 1


async def test_only_the_browsers_key_opens_a_start(page: httpx.AsyncClient, yard: Yard) -> None:
    await _start(page)
    (row,) = await yard.rows("SELECT id, reference, token FROM start_request")
    assert KEY not in "".join(row.values()), "what we keep of it opens nothing"
    for key in ("ab" * 23 + "ac", row["id"], row["reference"], row["token"], KEY.upper()):
        answer = await page.get("/q/-/start", params={"at": "D-1"}, headers=by(key))
        assert answer.status_code in (404, 409)
        assert "stage" not in answer.json()
    elsewhere = await page.get("/q/-/start", params={"at": "D-2"}, headers=by(KEY))
    assert elsewhere.status_code == 404


async def test_another_page_can_not_start_anything(page: httpx.AsyncClient) -> None:
    body = {"charge_point_id": "D-1", "connector_id": 1, "key": KEY}
    answer = await page.post("/q/-/starts", json=body, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"charge_point_id": 1}', b'{"charge_point_id": "D-1", "key": "x"}',
     b'{"charge_point_id": "D-1", "key": "' + KEY.encode() + b'", "email": "no"}', b"x" * 5000],
)  # fmt: skip
async def test_what_the_page_does_not_send(page: httpx.AsyncClient, body: bytes) -> None:
    answer = await page.post("/q/-/starts", content=body, headers=JSON)
    assert answer.status_code == 409
    assert answer.json()["error"]


async def test_too_many_starts_from_one_address(page: httpx.AsyncClient) -> None:
    answers = [await _start(page, f"{n:048x}") for n in range(8)]
    assert [answer.status_code for answer in answers].count(429) >= 1


async def test_it_is_for_whoever_stands_there_behind_no_password(yard: Yard, reader: Pool) -> None:
    async with client(yard, reader, "secret") as page:
        assert (await page.get("/q/D-1")).status_code == 200
        assert (await page.get("/sessions")).status_code == 401


@pytest.mark.parametrize(
    ("more", "status"),
    [({"connector_id": 2**31}, 409), ({"connector_id": 0}, 409), ({"connector_id": -1}, 409),
     ({"connector_id": 3}, 409), ({"charge_point_id": "a\0b"}, 409), ({"more": 1}, 409),
     ({"connector_id": 2}, 200)],
)  # fmt: skip
async def test_a_start_is_for_a_connector_that_is_there(
    page: httpx.AsyncClient, yard: Yard, more: dict[str, Any], status: int
) -> None:
    await connected(yard, "D-2")
    body = {"charge_point_id": "D-2", "connector_id": 1, "key": KEY} | more
    assert (await page.post("/q/-/starts", json=body)).status_code == status


@pytest.mark.parametrize("status", ["Charging", "Faulted"])
async def test_a_page_that_is_open_still_starts_nothing_where_somebody_charges(
    page: httpx.AsyncClient, yard: Yard, status: str
) -> None:
    await connected(yard, "D-1", status)
    assert (await _start(page)).status_code == 409
    await connected(yard, "D-1")
    first = await _start(page)
    await connected(yard, "D-1", status)
    assert (await _start(page)).json() == first.json(), "asked for before, it goes on"


async def test_a_secret_key_is_never_shown(yard: Yard, reader: Pool) -> None:
    keys = Driver(yard.world, reader, lambda name: "sk_live_1", lambda: None).routes()
    transport = httpx.ASGITransport(app=Starlette(routes=keys))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as page:
        answer = await page.get("/q/D-1")
    assert (answer.status_code, "sk_live_1" in answer.text) == (503, False)


def test_whoever_has_an_ipv6_network_is_one_address() -> None:
    rate = Rate(per_minute=6, burst=2)
    asked = [rate.allows(f"2001:db8:1:2::{n}") for n in range(1, 4)]
    assert asked == [True, True, False]
    assert rate.allows("2001:db8:1:3::1"), "another network"
    assert [rate.allows(each) for each in ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1")] == [
        True, True, False,
    ]  # fmt: skip
