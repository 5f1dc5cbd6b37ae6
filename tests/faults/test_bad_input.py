"""Bad input: a clear answer, something for a person to look at, and everybody else goes on."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from rig.day import EXTERNAL
from rig.network import API_KEY, FLEET, READ_KEY, Body, at, network, write
from rig.points import connect
from rig.system import System, system
from wattledger.cli.main import main
from wattledger.clock import utc_text

# --- the configuration ---------------------------------------------------------------

CONFIGS: dict[str, tuple[Callable[[Body], Any], tuple[str, ...]]] = {
    "unknown key": (
        lambda b: b["site"][0].update(colour="red"),
        ("$.site[0]", "colour"),
    ),
    "missing key": (
        lambda b: b["entity"][0].pop("currency"),
        ("$.entity[0]", "currency"),
    ),
    "wrong type": (
        lambda b: b["server"].update(ocpp_port="many"),
        ("$.server.ocpp_port", "int"),
    ),
    "a price with a comma": (
        lambda b: b["tariff"][0]["elements"][0]["components"][0].update(price="0,3"),
        ("$.tariff[0].elements[0].components[0].price",),
    ),
    "a price that is none": (
        lambda b: b["tariff"][0]["elements"][0]["components"][0].update(price="NaN"),
        ("$.tariff[0].elements[0].components[0].price", "NaN"),
    ),
    "unknown tariff": (
        lambda b: b["site"][0].update(tariff="gone"),
        ("$.site[0].tariff", "'gone'", "standard"),
    ),
    "unknown time zone": (
        lambda b: b["entity"][0].update(time_zone="Mars/Olympus"),
        ("$.entity[0].time_zone", "Mars/Olympus", "IANA"),
    ),
    "unknown currency": (
        lambda b: b["entity"][0].update(currency="XXQ"),
        ("$.processor[0].entity", "XXQ"),
    ),
    "a tax above all": (
        lambda b: b["site"][0].update(tax_percent="101"),
        ("$.site[0].tax_percent", "101", "0 to 100"),
    ),
    "a card account without a card": (
        lambda b: b["account"][0].pop("payment_method"),
        ("$.account[0].payment_method", "by card"),
    ),
    "one token, two accounts": (
        lambda b: b["account"][1].update(tokens=["card-1"]),
        ("$.account[1].tokens", "card-1"),
    ),
    "an id twice": (
        lambda b: b["account"][1].update(id="card"),
        ("$.account.id", "'card'", "only once"),
    ),
    "a hold that is not sized": (
        lambda b: b["processor"][0].update(holds=[{"below_power_w": 50_000, "amount": "25.00"}]),
        ("$.processor[0].holds", "last step"),
    ),
    "books told in the clear": (
        lambda b: b["target"][0].update(url="http://books.example.com/"),
        ("$.target[0].url", "https://"),
    ),
    "a scope that is none": (
        lambda b: b["api_key"][0].update(scopes=["everything"]),
        ("$.api_key[0].scopes[0]", "everything"),
    ),
    "no power": (
        lambda b: b["site"][0]["charge_points"][0].update(power_w=0),
        ("$.site[0].charge_points[0].power_w", "positive"),
    ),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_broken_configuration_says_where(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, expected = CONFIGS[case]
    body = network("http://127.0.0.1:1", {"data_dir": "data"})
    change(body)
    path = write(tmp_path / "wattledger.toml", body)
    for command in ("apply", "serve", "verify"):
        assert main([command, "--config", str(path)]) == 2
        said = capsys.readouterr().err
        assert str(path) in said
        for part in expected:
            assert part in said
    assert not (tmp_path / "data").exists(), "nothing was started for it"


def test_a_file_that_is_no_toml_or_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wattledger.toml"
    assert main(["serve", "--config", str(path)]) == 2
    assert "wattledger init" in capsys.readouterr().err
    path.write_text("[server\nhost = 1")
    assert main(["serve", "--config", str(path)]) == 2
    said = capsys.readouterr().err
    assert str(path) in said
    assert "line 1" in said


def test_a_secret_that_is_not_set(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = network("http://127.0.0.1:1", {"dsn_env": "RIG_DSN"})
    path = write(tmp_path / "wattledger.toml", body)
    monkeypatch.delenv("RIG_BOOKS")
    business = ["--business-time", "2026-11-02T08:00:00Z"]
    assert main(["serve", "--config", str(path), *business]) == 2
    assert "RIG_BOOKS" in capsys.readouterr().err


# --- charge points -------------------------------------------------------------------


async def test_who_is_not_let_in(dsn: str) -> None:
    async with system(dsn) as running:
        url = running.server.ocpp_url
        with pytest.raises(websockets.InvalidStatus) as stranger:
            await connect(url, "CP-UNKNOWN")
        assert stranger.value.response.status_code == 404
        assert b"wattledger apply" in (stranger.value.response.body or b"")
        for password in ("wrong", "", None):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await connect(url, "CP-1", password)
            assert refused.value.response.status_code == 401
            assert "Basic" in refused.value.response.headers["WWW-Authenticate"]
        await running.point("CP-1").boot()


class Raw:
    """A charge point that says whatever a test wants, on one connection."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        self._number = 0

    async def send(self, raw: str) -> None:
        await self._socket.send(raw)

    async def call(self, action: str, payload: Any, message_id: str | None = None) -> list[Any]:
        """The answer's frame."""
        self._number += 1
        message_id = message_id or f"m{self._number}"
        await self.send(json.dumps([2, message_id, action, payload]))
        answer: list[Any] = json.loads(await self.answer())
        assert answer[1] == message_id
        return answer

    async def answer(self) -> str:
        return str(await asyncio.wait_for(self._socket.recv(), 10))

    async def lives(self) -> None:
        assert (await self.call("Heartbeat", {}))[0] == 3


async def _anomalies(running: System) -> dict[str, int]:
    return dict((await running.report())["anomalies"])


START = {"connectorId": 1, "idTag": FLEET, "meterStart": 0, "timestamp": "2026-11-02T08:00:00Z"}
STOP = {"transactionId": 1, "meterStop": 10, "timestamp": "2026-11-02T08:10:00Z"}


def _meter(transaction_id: int = 1, **sample: Any) -> Body:
    return {
        "connectorId": 1,
        "transactionId": transaction_id,
        "meterValue": [
            {"timestamp": "2026-11-02T08:05:00Z", "sampledValue": [{"value": "5", **sample}]}
        ],
    }


UNREADABLE = {
    "no json": ("{[", None),
    "no array": ('{"a": 1}', None),
    "empty": ("", None),
    "a number": ("17", None),
    "an empty array": ("[]", None),
    "another kind": ('[9, "m", "Heartbeat", {}]', None),
    "a result nobody asked for": ('[3, "m", {}]', None),
    "no payload": ('[2, "m", "Heartbeat"]', "m"),
    "a payload that is none": ('[2, "m", "Heartbeat", 5]', "m"),
    "an action that is none": ('[2, "m", 5, {}]', "m"),
    "an id that is too long": (f'[2, "{"m" * 37}", "Heartbeat", {{}}]', None),
    "nested too deep": ("[" * 5_000 + "]" * 5_000, None),
    "NaN": ('[2, "m", "Heartbeat", {"a": NaN}]', "m"),
    "a zero byte": ('[2, "m", "Heartbeat", {"a": "\0"}]', "m"),
}


@pytest.mark.parametrize("case", UNREADABLE)
async def test_a_malformed_frame(dsn: str, case: str) -> None:
    raw, answered_as = UNREADABLE[case]
    async with system(dsn) as running:
        other = running.point("CP-2")
        async with await connect(running.server.ocpp_url, "CP-1") as socket:
            point = Raw(socket)
            await point.send(raw)
            if answered_as is not None:
                answer = json.loads(await point.answer())
                assert answer[:2] == [4, answered_as]
                assert answer[2] == "FormationViolation"
                assert "expected" in answer[3]
            await point.lives()
            if case != "a result nobody asked for":
                assert (await _anomalies(running)) == {"frame.malformed": 1}
            await other.start(FLEET, at("08:00"), 0)


WRONG_CALLS: dict[str, tuple[str, Any, str, tuple[str, ...]]] = {
    "unknown action": ("Teleport", {}, "NotImplemented", ("Teleport",)),
    "register without end": (
        "StartTransaction", START | {"meterStart": 10**18}, "FormationViolation", ("meterStart",),
    ),
    "negative connector": (
        "StartTransaction", START | {"connectorId": -1}, "FormationViolation", ("connectorId",),
    ),
    "connector beyond all": (
        "StartTransaction", START | {"connectorId": 2**40}, "FormationViolation",
        ("connectorId",),
    ),
    "token with a zero byte": (
        "StartTransaction", START | {"idTag": "A\0B"}, "FormationViolation", ("idTag",),
    ),
    "missing field": (
        "StartTransaction", {"connectorId": 1}, "FormationViolation", ("StartTransaction",),
    ),
}  # fmt: skip


STOP_NOW = STOP | {"timestamp": utc_text(at("08:00"))}
# What is wrong in these must not lose the message: it is taken, and what was wrong is shown.
TAKEN_ALL_THE_SAME: dict[str, tuple[str, Any, dict[str, int]]] = {
    "naive time": ("StartTransaction", {"timestamp": "2026-11-02T08:00:00"}, {"clock.wrong": 1}),
    "no time": ("StartTransaction", {"timestamp": "yesterday"}, {"clock.wrong": 1}),
    "a time that overflows": (
        "StartTransaction", {"timestamp": "0001-01-01T00:00:00+14:00", "meterStart": 1},
        {"clock.wrong": 1},
    ),
    "negative register": ("StartTransaction", {"meterStart": -1}, {}),
    "half a watt-hour": ("StartTransaction", {"meterStart": 1.5}, {}),
    "no connector": ("StartTransaction", {"connectorId": 0}, {}),
    "NaN reading": ("MeterValues", _meter(value="NaN"), {"sample.invalid": 1}),
    "reading without end": ("MeterValues", _meter(value="1e999"), {"sample.invalid": 1}),
    "negative reading": ("MeterValues", _meter(value="-1"), {"sample.invalid": 1}),
    "no reading": ("MeterValues", _meter(value="full"), {"sample.invalid": 1}),
    "a unit of something else": ("MeterValues", _meter(unit="W"), {"sample.invalid": 1}),
    "a reason with a zero byte": ("StopTransaction", STOP_NOW | {"reason": "\0"}, {}),
    "a meter value without a time": (
        "StopTransaction",
        STOP_NOW | {"transactionData": [{}, *_meter(value="4")["meterValue"]], "reason": 5},
        {"sample.invalid": 1},
    ),
    "status of nothing": (
        "StatusNotification", {"connectorId": 1, "status": "A\0", "errorCode": "NoError"}, {},
    ),
}  # fmt: skip


async def test_what_is_wrong_in_a_message_does_not_lose_it(dsn: str) -> None:
    async with system(dsn) as running, await connect(running.server.ocpp_url, "CP-1") as socket:
        point = Raw(socket)
        before: Counter[str] = Counter()
        for n, (case, (action, changed, shown)) in enumerate(TAKEN_ALL_THE_SAME.items()):
            start = START | {"timestamp": utc_text(at("08:00") - timedelta(minutes=20 - n))}
            if action == "StartTransaction":
                answer = await point.call(action, start | changed)
                assert answer[2]["transactionId"] > 0, case
            else:
                started = await point.call("StartTransaction", start)
                number = {"transactionId": started[2]["transactionId"]}
                answer = await point.call(action, changed | number)
            assert answer[0] == 3, (case, answer)
            after = Counter(await _anomalies(running))
            news = {code: n for code, n in (after - before).items() if code in CODES_HERE}
            assert news == shown, case
            before = after


CODES_HERE = ("clock.wrong", "sample.invalid", "frame.invalid", "frame.failed")


async def test_messages_that_say_something_impossible(dsn: str) -> None:
    async with system(dsn) as running, await connect(running.server.ocpp_url, "CP-1") as socket:
        point = Raw(socket)
        refused = 0
        for n, (case, (action, payload, code, said)) in enumerate(WRONG_CALLS.items()):
            # Each beside a session that runs, which is none the worse for it.
            start = START | {"timestamp": utc_text(at("08:00") - timedelta(minutes=30 - n))}
            started = await point.call("StartTransaction", start)
            assert started[2]["idTagInfo"]["status"] == "Accepted"
            number = {"transactionId": started[2]["transactionId"]}
            if payload.get("transactionId") == 1:
                payload = payload | number  # noqa: PLW2901
            answer = await point.call(action, payload)
            assert (answer[0], answer[2]) == (4, code), (case, answer)
            for part in said:
                assert part in answer[3], case
            refused += code == "FormationViolation"
            assert (await _anomalies(running)).get("frame.invalid", 0) == refused, case
            ended = await point.call("StopTransaction", STOP | number)
            assert ended[0] == 3
            frames = await running.rows(
                "SELECT raw FROM frame WHERE direction = 'in' AND raw LIKE %s", f"%{action}%"
            )
            assert frames, "what came is kept as it came"


async def test_transactions_that_nobody_started(dsn: str) -> None:
    async with system(dsn) as running:
        async with await connect(running.server.ocpp_url, "CP-1") as socket:
            point = Raw(socket)
            assert await point.call("StopTransaction", STOP | {"transactionId": 4711}) == [
                3, "m1", {},
            ]  # fmt: skip
            assert await point.call("MeterValues", _meter(4711)) == [3, "m2", {}]
            # Said again it is not another one.
            await point.call("StopTransaction", STOP | {"transactionId": 4711})
            # Nor is it an error that no session can have the number.
            assert await point.call("MeterValues", _meter(2**63 - 1)) == [3, "m4", {}]
            stop = await point.call("StopTransaction", STOP | {"transactionId": 2**40})
            assert stop == [3, "m5", {}]
        assert (await _anomalies(running)) == {"transaction.unknown": 4}


async def test_a_stop_below_the_start_ends_the_session_and_is_held(dsn: str) -> None:
    async with system(dsn) as running:
        point = running.point("CP-1")
        transaction = await point.start(FLEET, at("08:00"), 5_000)
        await point.stop(transaction, at("08:10"), -1)
        await point.status("Available", at("08:10"))
        await running.clock(at("08:12"))
        rows = await running.rows("SELECT state, held_reason FROM session")
        assert rows == [{"state": "held", "held_reason": "register.fell"}]


async def test_a_transaction_of_another_charge_point(dsn: str) -> None:
    async with system(dsn) as running:
        mine = await running.point("CP-1").start(FLEET, at("08:00"), 0)
        await running.point("CP-2").stop(mine, at("08:10"), 9_000)
        rows = await running.rows("SELECT state FROM session")
        assert [row["state"] for row in rows] == ["open"]
        assert (await _anomalies(running)) == {"transaction.unknown": 1}


async def test_a_frame_too_large_ends_one_connection(dsn: str) -> None:
    async with system(dsn) as running:
        other = running.point("CP-2")
        await other.connected()
        async with await connect(running.server.ocpp_url, "CP-1") as socket:
            await socket.send('[2, "m", "Heartbeat", {"a": "' + "x" * 300_000 + '"}]')
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await asyncio.wait_for(socket.recv(), 10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009
        await other.start(FLEET, at("08:00"), 0)
        assert other.said == 1
        await running.point("CP-1").boot()


# --- the API -------------------------------------------------------------------------


def _changed(**changes: Any) -> Body:
    return EXTERNAL | changes


def _readings(*registers: Any) -> list[Body]:
    return [
        {"at": f"2026-11-02T12:{10 * i:02d}:00Z", "energy_wh": register}
        for i, register in enumerate(registers)
    ]


WRONG_SESSIONS: dict[str, tuple[Any, str]] = {
    "register as words": (_changed(readings=_readings(0, "ten")), "$.readings[1].energy_wh"),
    "negative register": (_changed(readings=_readings(-1, 10)), "$.readings[0].energy_wh"),
    "register without end": (_changed(readings=_readings(0, 10**19)), "readings"),
    "register beyond any meter": (_changed(readings=_readings(0, 10**12)), "readings"),
    "one reading": (_changed(readings=_readings(0)), "$.readings"),
    "naive time": (_changed(started_at="2026-11-02T12:00:00"), "$.started_at"),
    "stopped before it started": (_changed(ended_at="2026-11-02T11:00:00Z"), "$.ended_at"),
    "unknown charge point": (_changed(charge_point_id="CP-9"), "$.charge_point_id"),
    "unknown field": (_changed(colour="red"), "colour"),
    "no id": (_changed(session_id=""), "$.session_id"),
    "a zero byte in the id": (_changed(session_id="a\0b"), "$.session_id"),
    "a zero byte in the token": (_changed(token="a\0b"), "token"),
    "connector beyond all": (_changed(connector_id=2**40), "$.connector_id"),
    "another currency": (
        _changed(external={"reference": "r", "amount_minor": 1, "currency": "EUR"}),
        "$.external.currency",
    ),
    "money without end": (
        _changed(external={"reference": "r", "amount_minor": 10**19, "currency": "USD"}),
        "amount_minor",
    ),
    "a reference with a zero byte": (
        _changed(external={"reference": "\0", "amount_minor": 1, "currency": "USD"}),
        "$.external.reference",
    ),
}


@pytest.mark.parametrize("case", WRONG_SESSIONS)
async def test_a_session_that_can_not_be(dsn: str, case: str) -> None:
    body, said = WRONG_SESSIONS[case]
    async with system(dsn) as running:
        await running.clock(at("13:00"))
        answer = await running.post("/v1/sessions", body)
        assert answer.status_code == 422, answer.text
        assert said in answer.json()["error"]
        assert await running.rows("SELECT FROM session") == []
        assert (await running.post("/v1/sessions", EXTERNAL)).status_code == 201


@pytest.mark.parametrize("raw", [b"", b"{", b"NaN", b"\xff\xfe", b"null", b'"x"', b"[1]"])
async def test_a_body_that_is_no_session(dsn: str, raw: bytes) -> None:
    async with system(dsn) as running:
        answer = await _post_raw(running, raw)
        assert answer.status_code == 422, answer.text
        body = answer.json()
        [told] = [row["error"] for row in body.get("sessions", [{"error": body}])]
        assert {"path", "got", "expected"} <= set(told)


async def test_who_may_not_post(dsn: str) -> None:
    async with system(dsn) as running:
        for key, status in ((None, 401), ("no-key-of-ours", 401), (READ_KEY, 403)):
            answer = await running.post("/v1/sessions", EXTERNAL, key)
            assert answer.status_code == status
        clock = {"now": "2026-11-03T00:00:00Z"}
        assert (await running.post("/v1/clock", clock, READ_KEY)).status_code == 403
        assert await running.rows("SELECT FROM session") == []


async def test_the_same_id_with_another_content(dsn: str) -> None:
    async with system(dsn) as running:
        await running.clock(at("13:00"))
        first = await running.post("/v1/sessions", EXTERNAL)
        again = await running.post("/v1/sessions", EXTERNAL)
        assert (first.status_code, again.status_code) == (201, 200)
        ids = {a.json()["sessions"][0]["session_id"] for a in (first, again)}
        assert len(ids) == 1
        other = await running.post("/v1/sessions", _changed(readings=_readings(0, 7)))
        assert other.status_code == 409
        assert "the first one counts" in other.json()["error"]
        assert len(await running.rows("SELECT FROM session")) == 1


async def test_one_payment_pays_one_session(dsn: str) -> None:
    async with system(dsn) as running:
        await running.clock(at("13:00"))
        assert (await running.post("/v1/sessions", EXTERNAL)).status_code == 201
        answer = await running.post("/v1/sessions", _changed(session_id="cpms-2"))
        assert answer.status_code == 409, answer.text
        assert "their-1" in answer.json()["error"]
        assert len(await running.rows("SELECT FROM session")) == 1


async def test_a_register_that_fell_is_held_and_shown(dsn: str) -> None:
    async with system(dsn) as running:
        await running.clock(at("13:00"))
        body = _changed(readings=_readings(5_000, 9_000, 8_000), ended_at="2026-11-02T12:20:00Z")
        assert (await running.post("/v1/sessions", body)).status_code == 201
        await running.clock(at("14:00"))
        rows = await running.rows("SELECT state, held_reason FROM session")
        assert rows == [{"state": "held", "held_reason": "register.fell"}]
        found = await running.report()
        assert found["sessions"]["held"] == 1
        assert found["anomalies"] == {"register.fell": 1}
        assert found["money"]["charged"] == 0


async def test_readings_in_any_order(dsn: str) -> None:
    async with system(dsn) as running:
        await running.clock(at("13:00"))
        body = _changed(readings=[*reversed(EXTERNAL["readings"])])
        assert (await running.post("/v1/sessions", body)).status_code == 201
        await running.clock(at("14:00"))
        found = await running.report()
        assert found["energy_wh"]["delivered"] == found["energy_wh"]["billed"] == 5_000


async def test_a_webhook_that_stripe_did_not_sign(dsn: str) -> None:
    async with system(dsn) as running:
        url = f"{running.server.http_url}/v1/webhooks/stripe/stripe"
        event = json.dumps({"id": "evt_1", "object": "event", "type": "payout.paid"})
        for signature in ("", "t=1,v1=00", "nonsense"):
            answer = await running.http.post(
                url, content=event, headers={"Stripe-Signature": signature}
            )
            assert answer.status_code == 400
        assert await running.rows("SELECT FROM inbox") == []
        unknown = await running.http.post(url + "-elsewhere", content=event)
        assert unknown.status_code == 404


async def _post_raw(running: System, raw: bytes) -> httpx.Response:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    return await running.http.post(
        f"{running.server.http_url}/v1/sessions", content=raw, headers=headers
    )
