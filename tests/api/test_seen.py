"""What can be seen over the API, and what can be decided there."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from wattledger.db.work import Work
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.world import World

READER = {"Authorization": "Bearer reader"}
WRITER = {"Authorization": "Bearer writer"}
T0 = datetime(2026, 11, 1, 10, tzinfo=UTC)


def _session(key: str, token: str, point: str, hours: int, *registers: int) -> dict[str, Any]:
    """Of an hour, ``hours`` after T0, its registers at equal distances."""
    start = T0 + timedelta(hours=hours)
    step = timedelta(hours=1) / (len(registers) - 1)
    return {
        "session_id": key, "charge_point_id": point, "connector_id": 1, "token": token,
        "started_at": start.isoformat(), "ended_at": (start + timedelta(hours=1)).isoformat(),
        "readings": [
            {"at": (start + n * step).isoformat(), "energy_wh": wh}
            for n, wh in enumerate(registers)
        ],
    }  # fmt: skip


@pytest.fixture
async def network(api: httpx.AsyncClient, work: Work) -> dict[str, str]:
    """By the sender's ids: two billed sessions at two sites, and one whose register fell, held."""
    answer = await api.post(
        "/v1/sessions",
        json=[
            _session("S-1", "ACME-1", "D-1", 0, 1_000, 11_000),
            _session("S-2", "ACME-2", "Y-1", 2, 0, 5_000),
            _session("S-3", "ACME-1", "D-1", 4, 11_000, 20_000, 19_000),
        ],
        headers=WRITER,
    )
    found = {row["id"]: row["session_id"] for row in answer.json()["sessions"]}
    states = {key: await bill(World(work), session_id) for key, session_id in found.items()}
    assert states == {"S-1": "billed", "S-2": "billed", "S-3": "held"}
    return found


async def _items(api: httpx.AsyncClient, path: str, **params: str) -> list[dict[str, Any]]:
    answer = await api.get(path, params=params, headers=READER)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_sessions_are_found_by_where_who_when_and_how_they_stand(
    api: httpx.AsyncClient, network: dict[str, str]
) -> None:
    for params, expected in (
        ({}, "S-1 S-2 S-3"),
        ({"site": "depot"}, "S-1 S-3"),
        ({"charge_point": "Y-1"}, "S-2"),
        ({"token": "acme-1"}, "S-1 S-3"),
        ({"state": "held"}, "S-3"),
        ({"from": "2026-11-01T12:00:00Z"}, "S-2 S-3"),
        ({"from": "2026-11-01T13:00:00+01:00", "to": "2026-11-01T14:00:00Z"}, "S-2"),
        ({"site": "depot", "state": "billed", "to": "2026-11-02T00:00:00Z"}, "S-1"),
        ({"site": "nowhere"}, ""),
    ):
        found = await _items(api, "/v1/sessions", **params)
        assert sorted(s["external_id"] for s in found) == expected.split(), params
    for name, value in (("state", "new"), ("from", "monday"), ("to", "2026-11-01T00:00:00"),
                        ("limit", "0"), ("site", "a\0b")):  # fmt: skip
        answer = await api.get("/v1/sessions", params={name: value}, headers=READER)
        assert (answer.status_code, answer.json()["path"]) == (422, name), value


async def test_a_session_shows_its_anomalies_and_the_frames_of_its_time(
    api: httpx.AsyncClient, work: Work, network: dict[str, str]
) -> None:
    path = f"/v1/sessions/{network['S-3']}"
    now = work.clock.now()
    async with work.pool.connection() as conn:
        await conn.execute("SELECT ensure_frame_day(%s)", (date(2026, 11, 2),))
        await conn.execute("SELECT ensure_frame_day(%s)", (date(2026, 11, 1),))
        for at, point, raw in (
            (now, "D-1", "this one"), (now - timedelta(minutes=2), "D-1", "before"),
            (now, "D-2", "another's"),
        ):  # fmt: skip
            await conn.execute(
                "INSERT INTO frame VALUES (%s, 'c1', %s, 'in', %s)", (point, at, raw)
            )
    found = (await api.get(path, headers=READER)).json()
    assert "frames" not in found
    assert (found["state"], found["held_reason"], found["open_anomalies"]) == (
        "held", "register.fell", 1,
    )  # fmt: skip
    [anomaly] = found["anomalies"]
    assert (anomaly["code"], anomaly["state"], anomaly["act"]) == ("register.fell", "open", None)
    assert anomaly["severity"] == "holds a session"
    assert [f["register_wh"] for f in found["facts"]] == [11_000, 20_000, 19_000]
    whole = (await api.get(path, params={"frames": "true"}, headers=READER)).json()
    assert [frame["raw"] for frame in whole["frames"]] == ["this one"]
    wrong = await api.get(path, params={"frames": "yes"}, headers=READER)
    assert (wrong.status_code, wrong.json()["path"]) == (422, "frames")


async def test_an_anomaly_is_decided_over_the_api(
    api: httpx.AsyncClient, work: Work, network: dict[str, str]
) -> None:
    """From 11.0 to 20.5 kWh: 9.5 at 0.40 less 10 % are 3.42; 8.875 % tax 0.303525: 3.72."""
    [listed] = await _items(api, "/v1/anomalies", code="register.fell")
    path = f"/v1/anomalies/{listed['id']}"
    offers = (await api.get(path, headers=READER)).json()["offers"]
    assert offers["acts"] == ["correct", "discard"]
    assert offers["known"]["stop"] == {"at": "2026-11-01T15:00:00Z", "register_wh": 19_000}
    assert offers["bills"] is None
    assert "20000 Wh" in offers["why_not_accepted"]

    asked = {"act": "correct", "reason": "display", "stop": {"register_wh": 20_500}}
    done = [await api.post(f"{path}/acts", json=asked, headers=WRITER) for _ in range(2)]
    assert [answer.status_code for answer in done] == [201, 200]
    assert done[0].json() == {
        "anomaly_id": listed["id"], "act": "correct", "at": "2026-11-02T00:00:00Z",
        "actor": "key:writer", "reason": "display", "new": True, "session_id": network["S-3"],
        "session_state": "ended",
    }  # fmt: skip
    assert await bill(World(work), network["S-3"]) == "billed"
    found = (await api.get(f"/v1/sessions/{network['S-3']}", headers=READER)).json()
    assert (found["total_minor"], found["charges"][0]["energy_wh"]) == (372, 9_500)
    [anomaly] = found["anomalies"]
    assert (anomaly["state"], anomaly["act"]["by"], anomaly["act"]["reason"]) == (
        "resolved", "key:writer", "display",
    )  # fmt: skip
    assert anomaly["act"]["detail"]["before"]["stop_wh"] == 19_000
    assert await _items(api, "/v1/anomalies") == []
    assert len(await _items(api, "/v1/anomalies", state="resolved")) == 1
    assert len(await _items(api, "/v1/anomalies", state="all", subject=network["S-3"])) == 1

    otherwise = await api.post(
        f"{path}/acts", json={"act": "accept", "reason": "x"}, headers=WRITER
    )
    assert otherwise.status_code == 409
    for body, where in (
        ({"act": "ignore", "reason": "x"}, "$.act"),
        ({"act": "accept"}, "$"),
        ({"act": "accept", "reason": "x", "more": 1}, "$"),
        ({"act": "accept", "reason": " "}, "$.reason"),
        ({"act": "correct", "reason": "x", "stop": {"at": "2026-11-01T15:00:00"}}, "$.stop.at"),
    ):
        answer = await api.post(f"{path}/acts", json=body, headers=WRITER)
        assert (answer.status_code, answer.json()["path"]) == (422, where), body
    assert (await api.get("/v1/anomalies/999", headers=READER)).status_code == 404
    assert (await api.get("/v1/anomalies/x", headers=READER)).status_code == 422
    assert (await api.get("/v1/anomalies?state=new", headers=READER)).status_code == 422


async def test_charge_points_configured_and_heard_of(
    api: httpx.AsyncClient, work: Work, network: dict[str, str]
) -> None:
    async with work.pool.connection() as conn:
        await conn.execute(
            "INSERT INTO charge_point_state (charge_point_id, connected, protocol, vendor, model,"
            " heard_at, connectors) VALUES ('D-1', true, 'ocpp2.0.1', 'Acme', 'X', %s,"
            """ '{"1": {"status": "Available"}}'), ('GONE', false, NULL, NULL, NULL, %s, '{}')""",
            (T0, T0),
        )
    rows = {row["id"]: row for row in await _items(api, "/v1/charge-points")}
    assert sorted(rows) == ["D-1", "D-2", "GONE", "Y-1"]
    told = rows["D-1"]
    assert (told["site_id"], told["power_w"], told["connected"], told["protocol"]) == (
        "depot", 22_000, True, "ocpp2.0.1",
    )  # fmt: skip
    assert (told["connectors"]["1"]["status"], told["open_anomalies"]) == ("Available", 1)
    never = (rows["D-2"]["connected"], rows["D-2"]["heard_at"], rows["GONE"]["site_id"])
    assert never == (False, None, None)
    for params, expected in (
        ({"site": "depot"}, ["D-1", "D-2"]),
        ({"connected": "true"}, ["D-1"]),
        ({"after": "D-1", "limit": "1"}, ["D-2"]),
    ):
        found = await _items(api, "/v1/charge-points", **params)
        assert [row["id"] for row in found] == expected
    one = await api.get("/v1/charge-points/D-1", headers=READER)
    assert one.json() == told
    assert (await api.get("/v1/charge-points/NONE", headers=READER)).status_code == 404
