"""The session JSON at the door: the form of a priced file, what it rests on, and its key."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from wattledger.api import idempotency
from wattledger.db.work import Work
from wattledger.errors import BadInput
from wattledger.sessions import sent
from wattledger.sessions.finished import ReadingIn, SessionIn
from wattledger.wire import exact

WRITER = {"Authorization": "Bearer writer"}
READER = {"Authorization": "Bearer reader"}
START, STOP, END = "2026-11-01T10:00:00Z", "2026-11-01T11:00:00Z", "2026-11-01T12:00:00Z"
# As `wattledger price` takes it, from a site two hours away, with who charged.
FILE: dict[str, Any] = {
    "session_id": "S-1", "token": "ACME-1",
    "location": {"id": "depot", "country": "US", "time_zone": "America/Chicago"},
    "evse": {"id": "D-1*2", "max_power_w": 22000},
    "started_at": "2026-11-01T04:00:00-06:00", "ended_at": END,
    "readings": [
        {"at": START, "energy_wh": 1000, "power_w": 10500.5},
        {"at": "2026-11-01T10:30:00Z", "energy_wh": "6000.4"},
        {"at": STOP, "energy_wh": 11000.5},
        {"at": END, "energy_wh": 11000.5},
    ],
    "states": [
        {"at": START, "state": "charging"},
        {"at": "2026-11-01T10:55:00Z", "state": "suspended_ev"},
        {"at": STOP, "state": "finished"},
    ],
}  # fmt: skip


def _file(**changes: Any) -> dict[str, Any]:
    return {**FILE, **changes}


def _read(body: dict[str, Any]) -> SessionIn:
    return sent.read(exact.parse(json.dumps(body).encode()), "$")


async def test_what_can_be_priced_can_be_sent(api: httpx.AsyncClient) -> None:
    """The registers are rounded half up: 11000.5 - 1000 is 10001 Wh; the car left at noon."""
    answer = await api.post("/v1/sessions", json=FILE, headers=WRITER)
    assert answer.status_code == 201, answer.text
    [taken] = answer.json()["sessions"]
    found = (await api.get(f"/v1/sessions/{taken['session_id']}", headers=READER)).json()
    assert (found["charge_point_id"], found["connector_id"], found["site_id"]) == (
        "D-1", 2, "depot",
    )  # fmt: skip
    assert (found["energy_wh"], found["external_id"]) == (10_001, "S-1")
    assert (found["stopped_at"], found["ended_at"]) == (STOP, END)
    facts = [(f["kind"], f["at"], f["register_wh"], f["activity"]) for f in found["facts"]]
    assert sorted(facts, key=str) == sorted(
        [
            ("start", START, 1_000, None),
            ("status", START, None, "charging"),
            ("meter", "2026-11-01T10:30:00Z", 6_000, None),
            ("status", "2026-11-01T10:55:00Z", None, "vehicle_idle"),
            ("meter", STOP, 11_001, None),
            ("status", STOP, None, "vehicle_idle"),
            ("stop", STOP, 11_001, None),
            ("unplug", END, None, None),
        ],
        key=str,
    )
    for changes, path in (
        ({"location": {"id": "yard"}}, "$.location.id"),
        ({"location": {"time_zone": "America/New_York"}}, "$.location.time_zone"),
        ({"connector_id": 3}, "$.evse.id"),
        ({"charge_point_id": "D-2"}, "$.evse.id"),
    ):
        answer = await api.post(
            "/v1/sessions", json=_file(**changes, session_id="S-2"), headers=WRITER
        )
        assert (answer.status_code, answer.json()["path"]) == (422, path)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"evse": {}}, "$.charge_point_id"),
        ({"externl": {}}, "$.externl"),
        ({"evse": {"id": "D-1", "colour": "red"}}, "$.evse.colour"),
        ({"reservation": {"from": STOP}}, "$.reservation.to"),
        ({"ended_at": "2026-11-01T09:00:00Z"}, "$.ended_at"),
        ({"started_at": "2026-11-01T10:00:00"}, "$.started_at"),
        ({"states": [{"at": START, "state": "parked"}]}, "$.states[0].state"),
        ({"readings": [*FILE["readings"][:3], {"at": END, "energy_wh": 12000}]},
         "$.readings[3].energy_wh"),
        ({"readings": [*FILE["readings"], {"at": "2026-11-01T12:00:01Z", "energy_wh": 11000.5}]},
         "$.readings[4].at"),
        ({"external": {"reference": "R", "amount_minor": "a lot", "currency": "USD"}},
         "$.external.amount_minor"),
    ],
)  # fmt: skip
def test_a_form_that_contradicts_itself(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        _read(_file(**changes))
    assert caught.value.path == path


def test_the_register_at_the_stop_is_the_last_one_even_if_it_was_read_later() -> None:
    readings = [FILE["readings"][0], FILE["readings"][3]]
    found = _read(_file(readings=readings))
    assert found.readings[1] == ReadingIn(found.stopped_at, 11_001)


@pytest.mark.parametrize(
    ("text", "found"),
    [("D-1*2", ("D-1", 2)), ("D-1", ("D-1", None)), ("*2", ("*2", None)),
     ("D-1*x", ("D-1*x", None)), ("D-1*²", ("D-1*²", None)), ("D*1*2", ("D*1", 2))],
)  # fmt: skip
def test_an_evse_and_its_connector(text: str, found: tuple[str, int | None]) -> None:
    assert sent.split_evse(text) == found


async def test_the_same_key_gets_the_same_answer(api: httpx.AsyncClient, work: Work) -> None:
    """Draft RFC: same request, same answer; another request with the key, 422."""
    key = {**WRITER, "Idempotency-Key": '"batch-1"'}
    body = [FILE, _file(session_id="S-2", token="NOBODY")]
    first = await api.post("/v1/sessions", json=body, headers=key)
    assert (first.status_code, first.json()["rejected"]) == (201, 1)
    for headers in (key, {**WRITER, "Idempotency-Key": "batch-1"}):
        again = await api.post("/v1/sessions", json=body, headers=headers)
        assert (again.status_code, again.content) == (201, first.content), "new still says true"
    for path, other in (("/v1/sessions", [FILE]), ("/v1/cdrs", body)):
        answer = await api.post(path, json=other, headers=key)
        assert (answer.status_code, answer.json()["path"]) == (422, "Idempotency-Key")
    # Of a request of which nothing was taken no answer is kept: once mended it is taken.
    nothing = {**WRITER, "Idempotency-Key": "batch-2"}
    lost = _file(session_id="S-3", token="NOBODY")
    for _ in range(2):
        assert (await api.post("/v1/sessions", json=lost, headers=nothing)).status_code == 422
    async with work.transaction("look") as tx:
        cursor = await tx.conn.execute(
            "SELECT external_id, handled_at IS NOT NULL AS kept FROM inbox"
            " WHERE source = 'api:idempotency:writer' ORDER BY id"
        )
        kept = [(row["external_id"], row["kept"]) for row in await cursor.fetchall()]
    assert kept == [("batch-1", True), ("batch-2", False)]
    for bad in ("", '""', "x" * 256, "a\tb"):
        answer = await api.post(
            "/v1/sessions", json=FILE, headers={**WRITER, "Idempotency-Key": bad}
        )
        assert (answer.status_code, answer.json()["path"]) == (422, "Idempotency-Key")


async def test_a_second_request_while_the_first_is_at_work(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()
    look = idempotency.look

    async def slow(*given: Any) -> Any:
        reached.set()
        await go_on.wait()
        return await look(*given)

    monkeypatch.setattr(idempotency, "look", slow)
    key = {**WRITER, "Idempotency-Key": "k"}
    first = asyncio.create_task(api.post("/v1/sessions", json=FILE, headers=key))
    await reached.wait()
    second = await api.post("/v1/sessions", json=FILE, headers=key)
    assert (second.status_code, "is at work" in second.json()["error"]) == (409, True)
    go_on.set()
    assert (await first).status_code == 201
    assert (await api.post("/v1/sessions", json=FILE, headers=key)).status_code == 201


async def test_one_session_through_two_doors_is_billed_once(
    api: httpx.AsyncClient, work: Work
) -> None:
    """The charger told us itself, and the CPMS sends its record of the same session."""
    assert (await api.post("/v1/sessions", json=FILE, headers=WRITER)).status_code == 201
    cdr = {
        "id": "CDR-1", "currency": "USD", "start_date_time": START, "end_date_time": STOP,
        "cdr_token": {"uid": "ACME-1"}, "total_energy": 10,
        "cdr_location": {"evse_uid": "D-1", "connector_id": "2"},
        "charging_periods": [{"start_date_time": START, "dimensions": []}],
    }  # fmt: skip
    answer = await api.post("/v1/cdrs", json=cdr, headers=WRITER)
    assert answer.status_code == 409
    assert "one door only" in answer.json()["error"]
    async with work.transaction("look") as tx:
        rows = await (await tx.conn.execute("SELECT FROM session")).fetchall()
    assert len(rows) == 1
