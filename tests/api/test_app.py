"""The door over HTTP: who may, what is taken, and errors that say where."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import time
from typing import Any

import httpx
import pytest

from wattledger.db.work import Work
from wattledger.pipeline.bill import bill
from wattledger.pipeline.world import World

READER = {"Authorization": "Bearer reader"}
WRITER = {"Authorization": "Bearer writer"}
SESSION: dict[str, Any] = {
    "session_id": "S-1", "charge_point_id": "D-1", "connector_id": 1, "token": "ACME-1",
    "started_at": "2026-11-01T10:00:00Z", "ended_at": "2026-11-01T11:00:00Z",
    "readings": [
        {"at": "2026-11-01T10:00:00Z", "energy_wh": 1_000},
        {"at": "2026-11-01T11:00:00Z", "energy_wh": 11_000},
    ],
}  # fmt: skip
ELSEWHERE = {"reference": "R-1", "amount_minor": 440, "currency": "USD"}


def _session(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SESSION), **changes}


async def _post(api: httpx.AsyncClient, body: Any, headers: Any = WRITER) -> httpx.Response:
    return await api.post("/v1/sessions", json=body, headers=headers)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/sessions", "sessions:read"),
        ("GET", "/v1/sessions/x", "sessions:read"),
        ("GET", "/v1/report", "sessions:read"),
        ("POST", "/v1/sessions", "sessions:write"),
        ("POST", "/v1/cdrs", "sessions:write"),
        ("POST", "/v1/authorizations", "authorizations:write"),
        ("GET", "/v1/anomalies", "sessions:read"),
        ("GET", "/v1/anomalies/1", "sessions:read"),
        ("POST", "/v1/anomalies/1/acts", "anomalies:write"),
        ("GET", "/v1/charge-points", "sessions:read"),
        ("GET", "/v1/charge-points/x", "sessions:read"),
        ("POST", "/v1/reconciliations", "sessions:write"),
        ("POST", "/v1/clock", "clock"),
    ],
)
async def test_every_door_asks_for_a_key_with_its_scope(
    api: httpx.AsyncClient, method: str, path: str, scope: str
) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "},
                    {"Authorization": "Basic reader"}, {"Authorization": "reader"}):  # fmt: skip
        answer = await api.request(method, path, headers=headers)
        assert answer.status_code == 401
        assert "Authorization: Bearer" in answer.json()["error"]
    if scope != "sessions:read":
        answer = await api.request(method, path, headers=READER)
        assert answer.status_code == 403
        assert answer.json() == {"error": f"the key 'reader' does not have the scope {scope!r}"}


async def test_health_needs_no_key(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/health")
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "now": "2026-11-02T00:00:00Z"})


async def test_a_session_counts_once(api: httpx.AsyncClient) -> None:
    first, again = await _post(api, SESSION), await _post(api, SESSION)
    assert (first.status_code, again.status_code) == (201, 200)
    (one,), (two,) = first.json()["sessions"], again.json()["sessions"]
    assert (one.pop("new"), two.pop("new")) == (True, False)
    assert one == two
    found = (await api.get("/v1/sessions", headers=READER)).json()["items"]
    assert [(s["external_id"], s["energy_wh"], s["state"]) for s in found] == [
        ("S-1", 10_000, "ended")
    ]


async def test_the_same_id_with_another_content_is_a_conflict(api: httpx.AsyncClient) -> None:
    await _post(api, SESSION)
    answer = await _post(api, _session(token="ACME-2"))
    assert answer.status_code == 409
    assert "came before with another content" in answer.json()["error"]


async def test_readings_in_any_order_are_the_same_energy(api: httpx.AsyncClient) -> None:
    await _post(api, _session(readings=SESSION["readings"][::-1]))
    (found,) = (await api.get("/v1/sessions", headers=READER)).json()["items"]
    assert (found["meter_start_wh"], found["energy_wh"]) == (1_000, 10_000)


async def test_one_payment_taken_elsewhere_pays_one_session(api: httpx.AsyncClient) -> None:
    assert (await _post(api, _session(external=ELSEWHERE))).status_code == 201
    answer = await _post(api, _session(session_id="S-2", external=ELSEWHERE))
    assert answer.status_code == 409
    assert answer.json() == {"error": "the payment 'R-1' has paid another session already"}


def _reading(n: int, **changes: Any) -> list[dict[str, Any]]:
    readings: list[dict[str, Any]] = copy.deepcopy(SESSION["readings"])
    readings[n] |= changes
    return readings


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"charge_point_id": "X-9"}, "$.charge_point_id"),
    ({"started_at": "2026-11-01T10:00:00"}, "$.started_at"),
    ({"ended_at": "2026-11-01T09:00:00Z"}, "$.ended_at"),
    ({"ended_at": None}, "$.ended_at"),
    ({"stopped_at": "2026-11-01T11:00:00Z"}, "$.stopped_at"),
    ({"readings": SESSION["readings"][:1]}, "$.readings"),
    ({"readings": _reading(1, energy_wh=-1)}, "$.readings[1].energy_wh"),
    ({"readings": _reading(1, energy_wh=10**30)}, "$.readings[1].energy_wh"),
    ({"readings": _reading(0, at="2026-11-01T10:00:00")}, "$.readings[0].at"),
    ({"connector_id": 2**40}, "$.connector_id"),
    ({"session_id": ""}, "$.session_id"),
    ({"session_id": "x" * 65}, "$.session_id"),
    ({"session_id": "a\0b"}, "$.session_id"),
    ({"token": ""}, "$.token"),
    ({"token": "a\0b"}, "$.token"),
    ({"external": {**ELSEWHERE, "amount_minor": -1}}, "$.external.amount_minor"),
    ({"external": {**ELSEWHERE, "amount_minor": 10**30}}, "$.external.amount_minor"),
    ({"external": {**ELSEWHERE, "currency": "EUR"}}, "$.external.currency"),
    ({"external": {**ELSEWHERE, "reference": ""}}, "$.external.reference"),
]


async def test_a_session_that_can_not_be_taken_is_told_where(api: httpx.AsyncClient) -> None:
    for changes, path in WRONG:
        answer = await _post(api, _session(**changes))
        assert answer.status_code == 422
        body = answer.json()
        assert set(body) == {"error", "path", "got", "expected"}
        assert body["path"] == path


async def test_a_mistake_in_a_list_names_its_place_and_stops_no_other(
    api: httpx.AsyncClient,
) -> None:
    bad = [_session(session_id="S-2", connector_id=-1), {"session_id": "S-3"}, 7]
    answer = await _post(api, [SESSION, *bad])
    body = answer.json()
    assert (answer.status_code, body["taken"], body["rejected"]) == (201, 1, 3)
    assert [row["id"] for row in body["sessions"]] == ["S-1", "S-2", "S-3", None]
    told = [row.get("error", {}).get("path") for row in body["sessions"]]
    assert told == [None, "$[1].connector_id", "$[2].started_at", "$[3]"]
    assert set(body["sessions"][1]["error"]) == {"error", "path", "got", "expected"}
    again = await _post(api, [SESSION, *bad])
    assert (again.status_code, again.json()["sessions"][0]["new"]) == (200, False)
    none = await _post(api, bad)
    assert (none.status_code, none.json()["taken"], none.json()["rejected"]) == (422, 0, 3)
    changed = await _post(api, [_session(token="ACME-2")])
    assert (changed.status_code, changed.json()["rejected"]) == (409, 1)


async def test_what_is_no_session_is_refused(api: httpx.AsyncClient) -> None:
    for raw in (b"", b"{", b"\xff", b"null", b'{"session_id": 1}', b"[" * 100_000):
        answer = await api.post("/v1/sessions", content=raw, headers=WRITER)
        assert answer.status_code == 422
        assert answer.json()["expected"]


async def test_a_charge_says_why_line_by_line(api: httpx.AsyncClient, work: Work) -> None:
    """10 kWh at 0.40, the half of them read, at 8.875 % tax: 4.00 and 0.355, in all 4.355."""
    middle = {"at": "2026-11-01T10:30:00Z", "energy_wh": 6_000}
    body = _session(readings=[*SESSION["readings"], middle], token="ANN",
                    external={**ELSEWHERE, "amount_minor": 436})  # fmt: skip
    [taken] = (await _post(api, body)).json()["sessions"]
    assert await bill(World(work), taken["session_id"]) == "billed"
    found = (await api.get(f"/v1/sessions/{taken['session_id']}", headers=READER)).json()
    [charge] = found["charges"]
    assert (charge["tariff_id"], charge["energy_wh"], charge["quantity_scale"]) == (
        "standard", 10_000, 1,
    )  # fmt: skip
    assert (charge["charging_s"], charge["idle_s"], charge["pause_s"]) == (3_600, 0, 0)
    assert (charge["net_minor"], charge["tax_minor"], charge["total_minor"]) == (400, 36, 436)
    assert charge["taxes"] == [{"name": "Sales tax", "percent": "8.875", "tax_minor": 36}]
    [line] = charge["lines"]
    assert (line["kind"], line["quantity"], line["net_minor"]) == ("energy", 10_000, 400)
    assert line["step_quantity"] == 0, "what the document leaves out is said"
    assert line["why"] == ["0.40 USD per kWh, at any time."]
    assert line["evidence"] == [
        {
            "from_at": "2026-11-01T10:00:00Z", "to_at": "2026-11-01T11:00:00Z",
            "quantity": 10_000, "source": "metered", "error_wh": 0,
            "from_register_wh": 1_000, "to_register_wh": 11_000,
        }
    ]  # fmt: skip


async def test_a_session_that_is_not_there(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/sessions/ses_x", headers=READER)
    assert (answer.status_code, answer.json()) == (404, {"error": "no session ses_x"})


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "²"])
async def test_a_limit_out_of_bounds(api: httpx.AsyncClient, limit: str) -> None:
    answer = await api.get("/v1/sessions", params={"limit": limit}, headers=READER)
    assert (answer.status_code, answer.json()["path"]) == (422, "limit")


async def test_pages_follow_each_other(api: httpx.AsyncClient) -> None:
    await _post(api, [_session(session_id=f"S-{n}") for n in range(3)])
    first = (await api.get("/v1/sessions?limit=2", headers=READER)).json()
    rest = (await api.get(f"/v1/sessions?limit=2&after={first['after']}", headers=READER)).json()
    assert (len(first["items"]), len(rest["items"]), rest["after"]) == (2, 1, None)


async def test_a_clock_that_is_the_machines_can_not_be_moved(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/clock", json={"now": "2026-11-03T00:00:00Z"}, headers=WRITER)
    assert answer.status_code == 404


def _signed(body: bytes, secret: str = "secret", at: int | None = None) -> dict[str, str]:
    """Stripe's scheme: t=…,v1=HMAC-SHA256(t.body)."""
    at = int(time.time()) if at is None else at
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={at},v1={digest}"}


EVENT = json.dumps({"id": "evt_1", "object": "event", "type": "payout.paid"}).encode()
HOOK = "/v1/webhooks/stripe/stripe"


async def test_a_signed_event_plans_one_reading(api: httpx.AsyncClient, work: Work) -> None:
    for _ in range(2):
        answer = await api.post(HOOK, content=EVENT, headers=_signed(EVENT))
        assert (answer.status_code, answer.json()) == (200, {"received": "evt_1"})
    async with work.transaction("look") as tx:
        cursor = await tx.conn.execute("SELECT kind, subject FROM effect")
        assert await cursor.fetchall() == [{"kind": "stripe.read", "subject": "stripe"}]


async def test_an_event_that_stripe_did_not_sign_is_refused(api: httpx.AsyncClient) -> None:
    for headers in ({}, _signed(EVENT, "wrong"), _signed(EVENT + b" "),
                    _signed(EVENT, at=int(time.time()) - 3_600)):  # fmt: skip
        assert (await api.post(HOOK, content=EVENT, headers=headers)).status_code == 400
    other = await api.post("/v1/webhooks/stripe/who", content=EVENT, headers=_signed(EVENT))
    assert other.status_code == 404
