"""Starts over HTTP: asked for once, seen, cancelled; only with a key of that scope."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from sample_config import whole
from starts_yard import Yard
from wattledger.api.app import make_app
from wattledger.api.keys import Keys
from wattledger.api.state import State
from wattledger.clock import DrivenClock
from wattledger.config import ApiKey, parse, versions
from wattledger.db import versions as store
from wattledger.db.connect import Pool
from wattledger.db.effects import Done
from wattledger.db.work import Work
from wattledger.pipeline.world import World

KEYS = (
    ApiKey("app", "APP", ("starts:write",)),
    ApiKey("reader", "READER", ("sessions:read",)),
)
APP = {"Authorization": "Bearer app"}
ANN = {"route": "app", "charge_point_id": "D-1", "connector_id": 1, "account_id": "ann"}
QR = {"route": "checkout", "charge_point_id": "D-1", "connector_id": 1}


@pytest.fixture
async def api(work: Work, pool: Pool) -> Any:
    config = parse(whole(plan__0__ad_hoc=True))
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(config), datetime(2026, 1, 1, tzinfo=UTC))
    state = State(World(work), pool, Keys(KEYS, str.lower), str.lower, lambda: None)
    transport = httpx.ASGITransport(app=make_app(state, []), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def _ask(api: httpx.AsyncClient, body: dict[str, Any], key: str = "k1") -> httpx.Response:
    return await api.post("/v1/starts", json=body, headers=APP | {"Idempotency-Key": key})


async def test_a_start_is_asked_for_once_and_seen(api: httpx.AsyncClient, work: Work) -> None:
    answer = await _ask(api, ANN | {"email": "ann@example.com"})
    assert answer.status_code == 201, answer.text
    start = answer.json()
    assert (start["state"], start["route"], start["needs"]) == ("paying", "app", None)
    assert start["hold"] == {
        "minor": 2500, "currency": "USD", "state": "holding", "held_minor": None, "brand": None,
        "last4": None, "decline_code": None,
    }  # fmt: skip
    assert start["price_text"] == "$0.40/kWh, plus tax"
    assert start["expires_at"] == "2026-11-02T00:10:00Z"
    assert (await _ask(api, ANN | {"email": "ann@example.com"})).json() == start
    seen = await api.get(f"/v1/starts/{start['id']}", headers=APP)
    assert seen.json() == start
    async with work.transaction("look") as tx:
        acts = await (await tx.conn.execute("SELECT actor, act, subject FROM money_act")).fetchall()
    assert acts == [{"actor": "key:app", "act": "start.ask", "subject": start["id"]}]

    cancelled = await api.post(f"/v1/starts/{start['id']}/cancel", headers=APP)
    assert (cancelled.json()["state"], cancelled.json()["why"]) == ("failed", "cancelled")


async def test_a_client_secret_is_for_a_card_that_is_waited_for(api: httpx.AsyncClient) -> None:
    start = (await _ask(api, QR)).json()
    assert start["hold"]["state"] == "waiting"
    answer = await api.get(f"/v1/starts/{start['id']}/client-secret", headers=APP)
    assert answer.status_code == 409, "the processor does not know of it yet"


async def test_who_may_not_start_is_told_why(api: httpx.AsyncClient) -> None:
    for n, (change, reason) in enumerate((
        ({"account_id": "nobody"}, "unknown_token"), ({"account_id": "lost"}, "blocked"),
        ({"charge_point_id": "X"}, "unknown_location"),
    )):  # fmt: skip
        answer = await _ask(api, ANN | change, f"k{n}")
        assert (answer.status_code, answer.json()["reason"]) == (409, reason)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"route": "card"}, "$.route"),
        ({"account_id": None}, "$.account_id"),
        ({"token": "ANN"}, "$.account_id"),
        ({"connector_id": 0}, "$.connector_id"),
        ({"connector_id": 99}, "$.connector_id"),
        ({"email": "ann"}, "$.email"),
        ({"reader": "tmr_1"}, "$.reader"),
        ({"reference": "page:x"}, "$.reference"),
        ({"amount": 1}, "$"),
        ({"route": "checkout"}, "$.account_id"),
        ({"route": "terminal", "account_id": None}, "$.reader"),
    ],
)
async def test_a_mistake_is_told_with_its_path(
    api: httpx.AsyncClient, change: dict[str, Any], path: str
) -> None:
    answer = await _ask(api, ANN | change)
    assert (answer.status_code, answer.json()["path"]) == (422, path), answer.text


async def test_a_reference_is_one_start(api: httpx.AsyncClient) -> None:
    """Under another Idempotency-Key, which stands for nothing of the start."""
    one = ANN | {"reference": "r1", "payment_method": "pm_1"}
    start = (await _ask(api, one, "k1")).json()
    same = await _ask(api, one | {"email": "kim@example.com", "consent": True}, "k2")
    assert (same.status_code, same.json()["id"]) == (201, start["id"])
    for n, change in enumerate((
        {"payment_method": "pm_2"}, {"payment_method": None},
        {"account_id": None, "token": "ANN"}, {"account_id": "lost"},
    )):  # fmt: skip
        other = await _ask(api, one | change, f"other{n}")
        assert (other.status_code, "another start" in other.text) == (409, True), other.text


async def test_it_needs_a_key_of_its_scope_and_a_reference(api: httpx.AsyncClient) -> None:
    for method, path in (
        ("POST", "/v1/starts"), ("GET", "/v1/starts/x"), ("POST", "/v1/starts/x/cancel"),
        ("POST", "/v1/starts/x/look"), ("GET", "/v1/starts/x/client-secret"),
    ):  # fmt: skip
        assert (await api.request(method, path)).status_code == 401
        reader = {"Authorization": "Bearer reader"}
        assert (await api.request(method, path, headers=reader)).status_code == 403
    answer = await api.post("/v1/starts", json=ANN, headers=APP)
    assert answer.json()["path"] == "$.reference"
    assert (await api.get("/v1/starts/sta_none", headers=APP)).status_code == 404


async def test_a_start_at_a_terminal_leads_to_its_receipt(
    work: Work, clock: DrivenClock, pool: Pool
) -> None:
    """Nobody stands by, and the driver may have left no address: the kiosk has a link to show."""
    reader = {"id": "door", "site": "depot", "provider": "stripe", "serves": ["D-1"],
              "reader": "tmr_1"}  # fmt: skip
    yard = await Yard.open(work, clock, terminal=[reader])
    yard.world.receipt_link = lambda session_id: f"https://pay.example.com/r/{session_id}-proof"
    state = State(yard.world, pool, Keys(KEYS, str.lower), str.lower, lambda: None)
    transport = httpx.ASGITransport(app=make_app(state, []), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as api:
        body = {"route": "terminal", "charge_point_id": "D-1", "connector_id": 1, "reader": "door"}
        start = (await _ask(api, body | {"email": "kim@example.com"})).json()
        assert (start["session_id"], start["receipt_url"]) == (None, None)
        waits = {"intent_id": "pi_1", "status": "requires_payment_method"}
        await yard.answer("stripe.intent", Done(waits))
        await yard.seen("requires_capture")
        await yard.told()
        begun = await yard.begin((await yard.start(start["id"]))["token"])
        found = (await api.get(f"/v1/starts/{start['id']}", headers=APP)).json()
    assert found["session_id"] == begun.session_id
    assert found["receipt_url"] == f"https://pay.example.com/r/{begun.session_id}-proof"
    ((contract,),) = [row.values() for row in await yard.rows("SELECT contract FROM session")]
    assert contract["email"] == "kim@example.com", "where one was given the receipt is mailed too"


async def test_where_somebody_pays_already_it_says_when_to_ask_again(
    api: httpx.AsyncClient,
) -> None:
    """A start over the API has no page: it keeps the connector as long as it waits for the card."""
    first = (await _ask(api, QR)).json()
    answer = await _ask(api, QR, "k2")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "600")
    assert answer.json()["reason"] == "connector_taken"
    assert answer.json()["retry_after_s"] == 600
    await api.post(f"/v1/starts/{first['id']}/cancel", headers=APP)
    again = await _ask(api, QR, "k2")
    assert again.status_code == 201, "the same request: nothing was kept of the refusal"


async def test_nobody_on_the_way_keeps_an_answer(api: httpx.AsyncClient) -> None:
    start = await _ask(api, ANN)
    for answer in (start, await api.get(f"/v1/starts/{start.json()['id']}", headers=APP),
                   await api.get("/v1/starts/none", headers=APP)):  # fmt: skip
        assert answer.headers["cache-control"] == "no-store"
