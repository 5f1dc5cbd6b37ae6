"""``POST /v1/terminal-payments``: signed, counted once, each report alone."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import standardwebhooks

from sample_config import whole
from wattledger.api.app import make_app
from wattledger.api.keys import Keys
from wattledger.api.state import State
from wattledger.config import ApiKey, parse, versions
from wattledger.db import versions as store
from wattledger.db.connect import Pool
from wattledger.db.work import Work
from wattledger.payments.terminal import signing
from wattledger.pipeline.world import World

SECRET = "whsec_c2VjcmV0LW9mLWFjbWU="
KEYS = (ApiKey("acme", "ACME-KEY", ("payments:write",)), ApiKey("reader", "READER", ()))
GUESTS = {"id": "guest", "name": "Guests", "route": "terminal", "ad_hoc": True}
VENDOR = {"id": "acme", "entity": "north", "kind": "http", "url": "https://acme.example.com",
          "secret_env": "ACME"}  # fmt: skip
DOOR = {"id": "door", "site": "yard", "provider": "acme", "serves": ["Y-1"], "tokens": ["CARD"],
        "reader": "4711", "mode": "vendor_captures"}  # fmt: skip
GATE = DOOR | {"id": "gate", "site": "depot", "serves": ["D-1"], "tokens": ["CARD-2"],
               "reader": "4712"}  # fmt: skip
PAID = {"kind": "authorization", "reference": "A1", "terminal": "4711", "amount": "50.00",
        "at": "2026-11-02T00:00:00Z"}  # fmt: skip
PATH = "/v1/terminal-payments?vendor=acme"


def _secret(name: str) -> str:
    return SECRET if name == "ACME" else name.lower()


@pytest.fixture
async def vendor(work: Work, pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the vendor's key."""
    found = whole(terminal_vendor=[VENDOR], terminal=[DOOR, GATE])
    found["plan"].append(GUESTS)
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(found)), datetime(2026, 1, 1, tzinfo=UTC))
    state = State(World(work), pool, Keys(KEYS, _secret), _secret, lambda: None)
    transport = httpx.ASGITransport(app=make_app(state, []), raise_app_exceptions=False)
    headers = {"authorization": "Bearer acme-key"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=headers
    ) as client:
        yield client


async def _send(client: httpx.AsyncClient, body: Any, **headers: str) -> httpx.Response:
    """As the vendor would: signed by an independent library."""
    raw = body if isinstance(body, str) else json.dumps(body)
    now = datetime.now(UTC)
    signed = {
        "webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": standardwebhooks.Webhook(SECRET).sign("msg_1", now, raw),
    }  # fmt: skip
    return await client.post(PATH, content=raw, headers={**signed, **headers})


async def test_a_report_counts_once(vendor: httpx.AsyncClient) -> None:
    first = await _send(vendor, PAID)
    assert first.status_code == 201
    (taken,) = first.json()["payments"]
    assert (taken["id"], taken["state"], taken["new"]) == ("A1", "open", True)
    again = await _send(vendor, PAID)
    assert (again.status_code, again.json()["payments"][0]["new"]) == (200, False)
    other = await _send(vendor, PAID | {"amount": "51.00"})
    assert other.status_code == 409


async def test_each_of_a_list_stands_alone_and_says_what_is_wrong(
    vendor: httpx.AsyncClient,
) -> None:
    wrong = PAID | {"reference": "A2", "terminal": "gone"}
    answer = await _send(vendor, [PAID, wrong, "x", PAID | {"reference": "A3"}])
    assert answer.status_code == 201
    body = answer.json()
    assert (body["taken"], body["rejected"]) == (2, 2)
    errors = [each.get("error", {}).get("path") for each in body["payments"]]
    assert errors == [None, "$[1].terminal", "$[2]", None]


async def test_an_amount_is_read_exactly(vendor: httpx.AsyncClient) -> None:
    # 0.1 + 0.2 of a float would be refused; the digits as they are written are 30 cents.
    answer = await _send(vendor, PAID | {"amount": 0.30})
    assert answer.status_code == 201
    assert (await _send(vendor, PAID | {"reference": "A9", "amount": 0.301})).status_code == 422


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"webhook-signature": "v1,bm90IGl0"}, "secret"),
        ({"webhook-signature": ""}, "expected"),
        ({"webhook-timestamp": "1"}, "seconds"),
        ({"webhook-id": "msg_2"}, "secret"),
    ],
)
async def test_what_the_vendor_did_not_sign_is_refused(
    vendor: httpx.AsyncClient, headers: dict[str, str], said: str
) -> None:
    answer = await _send(vendor, PAID, **headers)
    assert answer.status_code == 401
    assert said in answer.json()["error"]
    assert SECRET not in answer.text


async def test_a_changed_body_is_refused(vendor: httpx.AsyncClient) -> None:
    now = int(time.time())
    signed = signing.signed(SECRET, "msg_1", now, json.dumps(PAID).encode())
    body = json.dumps(PAID | {"amount": "1.00"})
    assert (await vendor.post(PATH, content=body, headers=signed)).status_code == 401


async def test_it_needs_its_scope_and_a_vendor(vendor: httpx.AsyncClient) -> None:
    assert (await _send(vendor, PAID, authorization="Bearer reader")).status_code == 403
    assert (await _send(vendor, PAID, authorization="Bearer no")).status_code == 401
    nobody = await vendor.post("/v1/terminal-payments", content="[]")
    assert nobody.status_code == 404


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"charge_point_id": "Y-1", "connector_id": "9" * 5000}, "$.connector_id"),
        ({"last4": "\u0661\u0662\u0663\u0664"}, "$.last4"),
        # The clock stands at 2026-11-02T00:00Z: five minutes are a clock's, six are not.
        ({"at": "2026-11-02T00:06:00Z"}, "$.at"),
        ({"authorized_at": "2199-12-31T00:00:00Z"}, "$.authorized_at"),
    ],
)
async def test_what_can_not_be_is_told_with_its_path(
    vendor: httpx.AsyncClient, change: dict[str, Any], path: str
) -> None:
    answer = await _send(vendor, PAID | change)
    assert answer.status_code == 422
    assert answer.json()["path"] == path


@pytest.mark.parametrize("number", ["1e9999999", "1e-99999999", "1e7777777777777"])
@pytest.mark.parametrize("name", ["amount", "connector_id"])
async def test_a_number_that_would_fill_the_memory_is_refused(
    vendor: httpx.AsyncClient, name: str, number: str
) -> None:
    """It takes ten characters to write, and a hundred million in full."""
    answer = await _send(vendor, json.dumps(PAID | {name: "@"}).replace('"@"', number))
    assert (answer.status_code, answer.json()["path"]) == (422, f"$.{name}")


async def test_a_time_without_end_is_refused(vendor: httpx.AsyncClient) -> None:
    answer = await _send(vendor, PAID, **{"webhook-timestamp": "9" * 5000})
    assert answer.status_code == 401


async def test_a_reference_of_another_sites_terminal_is_not_this_payments(
    vendor: httpx.AsyncClient,
) -> None:
    assert (await _send(vendor, PAID)).status_code == 201
    for kind in ("settlement", "reversal"):
        answer = await _send(vendor, PAID | {"kind": kind, "terminal": "4712"})
        assert (answer.status_code, answer.json()["path"]) == (422, "$.terminal")
    assert (await _send(vendor, PAID | {"kind": "settlement"})).status_code == 201
