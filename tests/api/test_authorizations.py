"""The decision over HTTP: who, where, on what terms; from memory, and logged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from sample_config import whole
from wattledger.config import parse, versions
from wattledger.db import versions as store
from wattledger.db.work import Work

ASKER = {"Authorization": "Bearer writer"}


async def _ask(api: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await api.post("/v1/authorizations", json=body, headers=ASKER)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_who_may_charge_and_on_what_terms(api: httpx.AsyncClient, work: Work) -> None:
    card = await _ask(api, token="ann", charge_point_id="D-1", connector_id=1)
    assert (card["accepted"], card["reason"], card["route"]) == (True, "accepted", "card")
    assert card["plan"] == {"id": "walk-up", "name": "Walk-up"}
    assert (card["tariff"]["id"], len(card["tariff"]["version"])) == ("standard", 64)
    assert card["price_text"] == "$0.40/kWh, plus tax"
    assert card["hold_amount"] == {"minor": 2500, "currency": "USD"}, "below 50 kW"
    assert card["valid_until"] == "2026-11-02T00:15:00Z"
    fast = await _ask(api, token="ANN", evse="D-2*1")
    assert fast["hold_amount"] == {"minor": 5000, "currency": "USD"}
    fleet = await _ask(api, token="ACME-1", location={"id": "depot"})
    assert (fleet["route"], fleet["tariff"]["id"], fleet["hold_amount"]) == (
        "invoice",
        "cheap",
        None,
    )
    assert [d["percent"] for d in fleet["discounts"]] == ["10"], "one tariff at both charge points"
    # A card's hold differs between the two: then there is no one answer to the price.
    somewhere = await _ask(api, token="ANN", location="depot")
    assert (somewhere["accepted"], somewhere["tariff"]) == (True, None)
    assert "name the charge_point_id" in somewhere["note"]
    for token, place, reason in (
        ("NOBODY", "D-1", "unknown_token"), ("LOST", "D-1", "blocked"),
        ("ANN", "Y-1", "no_payment_method"), ("ANN", "X-9", "unknown_location"),
    ):  # fmt: skip
        refused = await _ask(api, token=token, charge_point_id=place)
        assert (refused["accepted"], refused["reason"]) == (False, reason)
        told = [refused[n] for n in ("route", "tariff", "price_text", "hold_amount", "valid_until")]
        assert told == [None] * 5
    async with work.transaction("look") as tx:
        cursor = await tx.conn.execute("SELECT id, kind, token, reason FROM decision ORDER BY id")
        rows = await cursor.fetchall()
    assert {row["kind"] for row in rows} == {"api"}
    assert [row["token"] for row in rows] == [
        "ann", "ANN", "ACME-1", "ANN", "NOBODY", "LOST", "ANN", "ANN",
    ]  # fmt: skip
    assert card["decision_id"] == rows[0]["id"]


QUESTIONS: list[tuple[Any, str]] = [
    ({}, "$.token"),
    ({"token": "ANN"}, "$.charge_point_id"),
    ({"token": "", "charge_point_id": "D-1"}, "$.token"),
    ({"token": "x" * 37, "charge_point_id": "D-1"}, "$.token"),
    ({"token": "ANN", "location": "moon"}, "$.location.id"),
    ({"token": "ANN", "location": "yard", "charge_point_id": "D-1"}, "$.location.id"),
    ({"token": "ANN", "charge_point_id": "D-1", "connector_id": 0}, "$.connector_id"),
    ({"token": "ANN", "charge_point_id": "D-1", "evse": "D-2"}, "$.evse.id"),
    ({"token": "ANN", "charge_point_id": "D-1", "at": "2026-11-02T00:00:00"}, "$.at"),
    ({"token": "ANN", "charge_point_id": "D-1", "at": "2028-11-02T00:00:00Z"}, "$.at"),
    ({"token": "ANN", "charge_point_id": "D-1", "colour": "red"}, "$.colour"),
    ([], "$"),
]


async def test_a_question_that_can_not_be_answered(api: httpx.AsyncClient) -> None:
    for body, path in QUESTIONS:
        answer = await api.post("/v1/authorizations", json=body, headers=ASKER)
        assert (answer.status_code, answer.json()["path"]) == (422, path), body


async def test_the_answer_ends_when_its_terms_do(api: httpx.AsyncClient, work: Work) -> None:
    """From 18:05 at the site another tariff is offered, and connector 2 has one of its own."""
    tariffs = [*whole()["tariff"], {**whole()["tariff"][0], "id": "night"}]
    offers = [
        {"sites": ["yard"], "connectors": [2], "tariff": "cheap"},
        {"sites": ["depot"], "start_time": "18:05", "end_time": "23:00", "tariff": "night"},
    ]
    points = [{"id": "Y-1", "power_w": 22_000, "connectors": 2}]
    config = whole(tariff=tariffs, offer=offers, site__1__charge_points=points)
    config["site"][1]["processor"] = "stripe"
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(config)), datetime(2026, 11, 2, tzinfo=UTC))
    # Business time is 18:00 in Chicago.
    now = await _ask(api, token="ANN", charge_point_id="D-1")
    assert (now["tariff"]["id"], now["valid_until"]) == ("standard", "2026-11-02T00:04:00Z")
    later = await _ask(api, token="ANN", charge_point_id="D-1", at="2026-11-02T00:05:00Z")
    assert (later["tariff"]["id"], later["valid_until"]) == ("night", "2026-11-02T00:20:00Z")
    either = await _ask(api, token="ANN", charge_point_id="Y-1")
    assert (either["accepted"], either["tariff"]) == (True, None)
    assert "name the connector_id" in either["note"]
    two = await _ask(api, token="ANN", evse={"id": "Y-1*2"})
    assert (two["tariff"]["id"], two["note"]) == ("cheap", None)
