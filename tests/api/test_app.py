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
from wattledger.ids import content_digest
from wattledger.pipeline.billing.bill import bill
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


def _event(kind: str, number: int, **about: Any) -> bytes:
    return json.dumps(
        {"id": f"evt_{number}", "object": "event", "type": kind, "data": {"object": about}}
    ).encode()


async def test_what_a_payer_confirms_by_is_not_kept(api: httpx.AsyncClient, work: Work) -> None:
    event = _event("payment_intent.created", 1, id="pi_1", client_secret="pi_1_secret_x")
    assert (await api.post(HOOK, content=event, headers=_signed(event))).status_code == 200
    async with work.transaction("look") as tx:
        [row] = await (await tx.conn.execute("SELECT body FROM inbox")).fetchall()
    assert json.loads(row["body"])["data"]["object"] == {"id": "pi_1"}


async def test_of_an_event_only_what_it_points_at_is_kept(
    api: httpx.AsyncClient, work: Work
) -> None:
    """Names and addresses stay at the processor; the same event again is no other one."""
    about = {"id": "ch_1", "object": "charge", "metadata": {"payment_id": "pay_1"},
             "billing_details": {"name": "Ann", "email": "ann@example.com"}}  # fmt: skip
    head = {"id": "evt_7", "object": "event", "type": "charge.updated", "created": 1_790_000_000,
            "api_version": "2026-01-01", "data": {"object": about}}  # fmt: skip
    for pending in (2, 1):
        event = json.dumps(head | {"pending_webhooks": pending}).encode()
        assert (await api.post(HOOK, content=event, headers=_signed(event))).status_code == 200
    async with work.transaction("look") as tx:
        [row] = await (await tx.conn.execute("SELECT body, digest FROM inbox")).fetchall()
    kept = {"id": "ch_1", "object": "charge", "metadata": {"payment_id": "pay_1"}}
    assert json.loads(row["body"]) == {
        "id": "evt_7", "type": "charge.updated", "created": 1_790_000_000,
        "api_version": "2026-01-01", "data": {"object": kept},
    }  # fmt: skip
    assert row["digest"] == content_digest(bytes(row["body"]))


async def test_an_event_says_only_what_is_to_be_fetched(api: httpx.AsyncClient, work: Work) -> None:
    """Many about one object are one fetch, as long as it waits; a charge's is its intent."""
    events = [
        ("payment_intent.succeeded", {"id": "pi_1"}), ("payment_intent.canceled", {"id": "pi_1"}),
        ("charge.captured", {"id": "ch_1", "payment_intent": "pi_1"}),
        ("charge.failed", {"id": "ch_2"}),
        ("charge.dispute.funds_withdrawn", {"id": "du_1", "payment_intent": "pi_1"}),
        ("refund.failed", {"id": "re_1"}), ("charge.refund.updated", {"id": "re_1"}),
        ("radar.early_fraud_warning.created", {"id": "issfr_1"}),
        ("terminal.reader.action_succeeded", {"id": "tmr_1"}),
        ("customer.created", {"id": "cus_1"}), ("payout.created", {"id": "po_1"}),
    ]  # fmt: skip
    for number, (kind, about) in enumerate(events):
        body = _event(kind, number, **about)
        assert (await api.post(HOOK, content=body, headers=_signed(body))).status_code == 200
    async with work.transaction("look") as tx:
        cursor = await tx.conn.execute(
            "SELECT request->>'object' AS object, subject, kind FROM effect ORDER BY id"
        )
        found = [tuple(row.values()) for row in await cursor.fetchall()]
    assert found == [
        ("payment_intent", "pi_1", "stripe.fetch"), ("dispute", "du_1", "stripe.fetch"),
        ("refund", "re_1", "stripe.fetch"), ("fraud_warning", "issfr_1", "stripe.fetch"),
        ("reader", "tmr_1", "stripe.fetch"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "kind", "about", "fetched"),
    [
        ("held", "payment_intent.amount_capturable_updated", {"amount_capturable": 2_500}, False),
        ("holding", "charge.succeeded", {"captured": False, "amount": 2_500}, False),
        ("captured", "charge.updated", {"captured": True}, False),
        ("capturing", "payment_intent.succeeded", {}, False),
        ("releasing", "payment_intent.canceled", {}, False),
        ("held", "payment_intent.created", {}, False),
        # What is not as we know it is looked at.
        (None, "payment_intent.created", {}, True),
        (None, "payment_intent.succeeded", {}, True),
        ("held", "payment_intent.amount_capturable_updated", {"amount_capturable": 2_600}, True),
        ("held", "payment_intent.succeeded", {}, True),
        ("held", "payment_intent.canceled", {}, True),
        ("held", "charge.captured", {"captured": True}, True),
        ("held", "charge.expired", {"captured": False}, True),
        ("waiting", "payment_intent.amount_capturable_updated", {"amount_capturable": 2_500}, True),
        ("released", "payment_intent.succeeded", {}, True),
        ("captured", "payment_intent.canceled", {}, True),
    ],
)
async def test_an_event_that_says_what_is_known_is_not_looked_at(
    api: httpx.AsyncClient,
    work: Work,
    state: str | None,
    kind: str,
    about: dict[str, Any],
    fetched: bool,
) -> None:
    """``state``: of our payment with that intent; None: there is none."""
    async with work.transaction("x") as tx:
        await tx.conn.execute(
            "INSERT INTO payment (id, entity_id, processor_id, currency, hold_minor, state,"
            " intent_id) SELECT 'pay_1', 'north', 'stripe', 'USD', 2500,"
            " CASE s WHEN 'captured' THEN 'charging' ELSE 'waiting' END, 'pi_1'"
            " FROM (SELECT %s::text AS s) given WHERE s IS NOT NULL",
            (state,),
        )
        for step in (*(("held",) if state == "capturing" else ()), state):
            await tx.conn.execute("UPDATE payment SET state = %s", (step,))
    statuses = {"succeeded": "succeeded", "canceled": "canceled",
                "amount_capturable_updated": "requires_capture"}  # fmt: skip
    named = {"id": "pi_1", "status": statuses.get(kind.split(".")[1], "")}
    if kind.startswith("charge."):
        named = {"id": "ch_1", "payment_intent": "pi_1", "status": "succeeded"}
    body = _event(kind, 1, **named, currency="usd", **about)
    assert (await api.post(HOOK, content=body, headers=_signed(body))).status_code == 200
    async with work.transaction("look") as tx:
        cursor = await tx.conn.execute("SELECT subject FROM effect WHERE kind = 'stripe.fetch'")
        assert await cursor.fetchall() == [{"subject": "pi_1"}] * fetched


async def test_an_event_that_stripe_did_not_sign_is_refused(api: httpx.AsyncClient) -> None:
    beyond_ascii = {"stripe-signature": f"t={int(time.time())},v1=\xff".encode("latin-1")}
    for headers in ({}, _signed(EVENT, "wrong"), _signed(EVENT + b" "),
                    _signed(EVENT, at=int(time.time()) - 3_600), beyond_ascii):  # fmt: skip
        assert (await api.post(HOOK, content=EVENT, headers=headers)).status_code == 400
    other = await api.post("/v1/webhooks/stripe/who", content=EVENT, headers=_signed(EVENT))
    assert other.status_code == 404
    long = await api.post(HOOK, content=b"x" * (512 * 1024 + 1))
    assert long.status_code == 422
