"""The proxy: between a charge point and a CPMS, both of them real WebSocket peers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import ocpp.messages
import pytest
import websockets
from ocpp.v16 import ChargePoint, call
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import Server, ServerConnection, serve

from sample_config import whole
from wattledger.config import parse, versions
from wattledger.db import versions as store
from wattledger.db.connect import Pool
from wattledger.db.work import Work
from wattledger.gateway import proxy, upstream
from wattledger.gateway.replay import replay
from wattledger.gateway.server import Gateway
from wattledger.ids import content_digest
from wattledger.ingest import frames as stored_frames
from wattledger.ingest.journal import Journal
from wattledger.installation import BEGINNING
from wattledger.pipeline.world import World

ocpp.messages.ASYNC_VALIDATION = False
LOGIN = "Basic " + base64.b64encode(b"Y-1:secret").decode()
START = {"connectorId": 1, "idTag": "Acme-1", "meterStart": 1000,
         "timestamp": "2026-11-02T00:00:00Z"}  # fmt: skip


class Cpms:
    """Somebody else's CPMS. ``answers`` are payloads by action, or functions of the CALL."""

    def __init__(self) -> None:
        self.seen: list[str | bytes] = []
        self.logins: list[str | None] = []
        self.closed: list[int | None] = []
        self.sockets: list[ServerConnection] = []
        self.number = 70
        self.refuse: HTTPStatus | None = None
        self.answers: dict[str, Any] = {"StartTransaction": self._start, "Authorize": ACCEPTED}
        self.port = 0
        self._server: Server | None = None

    def _start(self, _frame: list[Any]) -> dict[str, Any]:
        self.number += 1
        return {"transactionId": self.number, **ACCEPTED}

    async def begin(self) -> None:
        self._server = await serve(
            self._serve, "127.0.0.1", self.port, process_request=self._admit,
            subprotocols=[websockets.Subprotocol(v) for v in ("ocpp1.6", "ocpp2.0.1")],
            ping_interval=None,
        )  # fmt: skip
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def end(self) -> None:
        if self._server is not None:
            self._server.close()
            async with asyncio.timeout(12):
                await self._server.wait_closed()
            self._server = None

    def _admit(self, socket: ServerConnection, request: Any) -> Any:
        self.logins.append(request.headers.get("Authorization"))
        return socket.respond(self.refuse, "no\n") if self.refuse else None

    async def _serve(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in socket:
                self.seen.append(message)
                with contextlib.suppress(ValueError):
                    await self._answer(socket, json.loads(message))
        self.closed.append(socket.close_code)

    async def _answer(self, socket: ServerConnection, frame: list[Any]) -> None:
        if frame[0] != 2 or len(frame) < 4:
            return
        answer = self.answers.get(frame[2], {})
        answer = answer(frame) if callable(answer) else answer
        if answer is not None:
            text = answer if isinstance(answer, str) else json.dumps([3, frame[1], answer])
            await socket.send(text)

    def actions(self) -> list[str]:
        """What it was asked, in order."""
        frames = [json.loads(each) for each in self.seen]
        return [frame[2] for frame in frames if frame[0] == 2]

    def payload(self, action: str) -> dict[str, Any]:
        """The last CALL of an action."""
        frames = [json.loads(each) for each in self.seen]
        return [frame[3] for frame in frames if frame[0] == 2 and frame[2] == action][-1]


ACCEPTED = {"idTagInfo": {"status": "Accepted"}}


class Site:
    """A gateway in front of a CPMS."""

    def __init__(self, world: World, pool: Pool, cpms: Cpms) -> None:
        self.world, self.pool, self.cpms = world, pool, cpms
        self.gateway: Gateway | None = None
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Gateway]:
        async with Journal(self.pool) as journal:
            self.gateway = Gateway(self.world, journal)
            port, _ = await self.gateway.begin("127.0.0.1", 0)
            self.url = f"ws://127.0.0.1:{port}/ocpp"
            try:
                yield self.gateway
            finally:
                await self.gateway.end()

    async def connect(self, *protocols: str, name: str = "Y-1") -> ClientConnection:
        return await websockets.connect(
            f"{self.url}/{name}", additional_headers={"Authorization": LOGIN}, ping_interval=None,
            subprotocols=[websockets.Subprotocol(p) for p in protocols or ("ocpp1.6",)],
        )  # fmt: skip

    def passes(self) -> bool:
        """Whether the CPMS is there and has been told everything."""
        connection = self.gateway.connection("Y-1") if self.gateway else None
        return isinstance(connection, proxy.ProxyConnection) and connection.is_passing

    async def rows(self, query: str) -> list[Any]:
        async with self.pool.connection() as conn:
            cursor = await conn.execute(query.encode())
            return [tuple(row.values()) for row in await cursor.fetchall()]


@pytest.fixture
async def cpms() -> AsyncIterator[Cpms]:
    it = Cpms()
    await it.begin()
    yield it
    await it.end()


@pytest.fixture
async def site(
    work: Work, pool: Pool, cpms: Cpms, request: Any, monkeypatch: pytest.MonkeyPatch
) -> Site:
    """Y-1 belongs to the CPMS, as the test's parameter says; business time is 2026-11-02T00:00Z."""
    quick = upstream.Backoff(first_s=0.02, most_s=0.02, refused_s=0.05, jitter=lambda *_: 1.0)
    monkeypatch.setattr(proxy, "BACKOFF", quick)
    section = {"url": f"ws://127.0.0.1:{cpms.port}/" + "{charge_point_id}"}
    section |= getattr(request, "param", {})
    config = parse(whole(site__1__proxy=section))
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(config), BEGINNING)
    return Site(World(work), pool, cpms)


async def until(done: Callable[[], Any | Awaitable[Any]]) -> None:
    async with asyncio.timeout(5):
        while True:
            found = done()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.01)


async def heard(socket: ClientConnection) -> str | bytes:
    """The next message."""
    async with asyncio.timeout(5):
        return await socket.recv()


async def ask(socket: ClientConnection, action: str, payload: Any, number: str = "m") -> Any:
    """The payload of the answer."""
    number = f"{number}-{content_digest(json.dumps([action, payload]).encode())[:8]}"
    await socket.send(json.dumps([2, number, action, payload]))
    answer = json.loads(await heard(socket))
    assert answer[:2] == [3, number]
    return answer[2]


def meter(ref: int, wh: int, at: str) -> dict[str, Any]:
    values = [{"timestamp": at, "sampledValue": [{"value": str(wh)}]}]
    return {"connectorId": 1, "transactionId": ref, "meterValue": values}


def stop(ref: int, wh: int, at: str) -> dict[str, Any]:
    return {"transactionId": ref, "meterStop": wh, "timestamp": at, "idTag": "Acme-1"}


SESSIONS = (
    "SELECT source, transaction_ref, state, meter_start_wh, meter_stop_wh FROM session ORDER BY"
    " transaction_id"
)
ODD = [
    '[2 ,"a-1",\t"Heartbeat" , { } ]',
    '[2,"b\\u00e9","DataTransfer",{"vendorId":"Zoë ⚡","data":"\\u0041\\/ é","n":1.50e0}]',
    '\n[2,"c","StatusNotification",{"status":"Available","errorCode":"NoError",'
    '"connectorId":1,"vendorErrorCode":"","extra":[ 1,2 , 3]}]\r\n ',
    b'[2,"d","Heartbeat",{}]',
    "this is no frame {",
    "[2]",
]


async def test_frames_pass_byte_for_byte_in_both_directions(site: Site, cpms: Cpms) -> None:
    """Whatever they look like, CALLs, answers and what is neither; and we keep them all."""
    cpms.answers = dict.fromkeys(("Heartbeat", "DataTransfer", "StatusNotification"))
    async with site.running():
        socket = await site.connect("ocpp9", "ocpp2.0.1", "ocpp1.6")
        assert socket.subprotocol == "ocpp1.6"  # what the CPMS has chosen: its own first
        assert cpms.logins == [LOGIN]
        for message in ODD:
            await socket.send(message)
        await until(lambda: len(cpms.seen) == len(ODD))
        assert cpms.seen == ODD
        down = [
            '[ 3,"a-1",{"currentTime":"2026-11-02T00:00Z" }]', '[3,"b\\u00e9",{"status":"R"}]',
            '[4,"c","InternalError","\\u00fc ü",{}]', b"\x00\xff binary",
            '[2,"x","Reset",{ "type":"Soft"}]', '[3,"nobody asked",{}]', "neither {",
        ]  # fmt: skip
        for message in down:
            await cpms.sockets[0].send(message)
        assert [await heard(socket) for _ in down] == down
        await socket.send('[ 3,"x",{"status":"Accepted"}]')
        await until(lambda: len(cpms.seen) == len(ODD) + 1)
        assert cpms.seen[-1] == '[ 3,"x",{"status":"Accepted"}]'
        await socket.close(4321, "enough")
        await until(lambda: cpms.closed == [4321])
    kept = await site.rows("SELECT direction, raw FROM frame ORDER BY ctid")
    # Heartbeats are counted; all else is here as it was.
    ins = [raw for direction, raw in kept if direction == "in"]
    assert ins == [*(m for m in ODD if "Heartbeat" not in str(m)), '[ 3,"x",{"status":"Accepted"}]']
    outs = [raw for direction, raw in kept if direction == "out"]
    assert outs == [down[1], down[2], "\N{SYMBOL FOR NULL}\ufffd binary", *down[4:]]


class Point(ChargePoint):
    """The PyPI package's charge point."""


async def test_a_session_of_the_cpms_is_a_session_of_ours(site: Site, cpms: Cpms) -> None:
    async with site.running() as gateway:
        socket = await site.connect()
        point: Any = Point("Y-1", socket)
        listening = asyncio.create_task(point.start())
        started = await point.call(call.StartTransaction(1, "Acme-1", 1000, START["timestamp"]))
        assert started.transaction_id == 71
        values = meter(71, 3000, "2026-11-02T00:00:01Z")
        await point.call(call.MeterValues(1, values["meterValue"], 71))
        await point.call(call.StopTransaction(6000, "2026-11-02T00:00:02Z", 71))
        assert await site.rows(SESSIONS) == [("proxy", "71", "ended", 1000, 6000)]
        facts = "SELECT kind, register_wh FROM session_fact ORDER BY at"
        assert await site.rows(facts) == [("start", 1000), ("meter", 3000), ("stop", 6000)]
        assert gateway.lanes() == []  # of two masters we are the silent one
        listening.cancel()


async def test_the_cpms_decides_where_nothing_else_is_configured(site: Site, cpms: Cpms) -> None:
    """A token that it refuses has no route; what it delivers all the same is not the driver's. One
    that it answers with an error has not started. A number that it gives twice is the later one."""
    async with site.running():
        socket = await site.connect()
        cpms.answers["StartTransaction"] = {"transactionId": 5, "idTagInfo": {"status": "Blocked"}}
        assert (await ask(socket, "StartTransaction", START))["transactionId"] == 5
        cpms.answers["StartTransaction"] = lambda frame: json.dumps(
            [4, frame[1], "GenericError", "", {}]
        )
        later = {**START, "timestamp": "2026-11-02T00:00:10Z"}
        await socket.send(json.dumps([2, "e", "StartTransaction", later]))
        assert json.loads(await heard(socket))[:2] == [4, "e"]
        cpms.answers["StartTransaction"] = {"transactionId": 5, **ACCEPTED}
        await ask(socket, "StartTransaction", later)
        await ask(socket, "StopTransaction", stop(5, 1400, "2026-11-02T00:00:20Z"))
    await until(lambda: cpms.closed == [1001])  # we have stopped
    rows = (
        "SELECT route, state, contract->>'refused', meter_stop_wh FROM session ORDER BY started_at"
    )
    first, second = await site.rows(rows)
    assert first[0] == "none"
    assert first[2] == "blocked"
    assert second == ("invoice", "ended", None, 1400)


async def test_an_outage_is_survived(site: Site, cpms: Cpms) -> None:
    """A session that starts, runs and ends without the CPMS, and one that it sees the end of."""
    async with site.running():
        socket = await site.connect()
        await ask(socket, "StartTransaction", START)
        await cpms.end()
        await ask(socket, "MeterValues", meter(71, 2000, "2026-11-02T00:00:01Z"))
        assert (await ask(socket, "Authorize", {"idTag": "Acme-1"})) == ACCEPTED
        assert "currentTime" in await ask(socket, "Heartbeat", {})
        await ask(socket, "StopTransaction", stop(71, 3000, "2026-11-02T00:00:02Z"))
        second = {**START, "meterStart": 3000, "timestamp": "2026-11-02T00:00:03Z"}
        own = (await ask(socket, "StartTransaction", second))["transactionId"]
        assert own >= 2_100_000_000
        # Sent again it has the same number, and is told once.
        assert (await ask(socket, "StartTransaction", second, "again"))["transactionId"] == own
        await ask(socket, "MeterValues", meter(own, 3500, "2026-11-02T00:00:04Z"))
        cpms.seen.clear()
        await cpms.begin()
        await until(lambda: len(cpms.actions()) == 4)
        assert cpms.actions() == ["MeterValues", "StopTransaction", "StartTransaction",
                                  "MeterValues"]  # fmt: skip
        assert cpms.payload("MeterValues")["transactionId"] == 72
        await until(site.passes)

        # The charge point knows its number, the CPMS another: that one field is changed.
        await cpms.sockets[-1].send(
            '[2 , "r", "RemoteStopTransaction", {"transactionId" : 72 , "ö":"\\u00f6"}]'
        )
        assert await heard(socket) == (
            f'[2 , "r", "RemoteStopTransaction", {{"transactionId" : {own} , "ö":"\\u00f6"}}]'
        )
        await socket.send('[3,"r",{"status":"Accepted"}]')
        said = (
            f'[2, "s" ,"StopTransaction",{{ "meterStop":4000,"transactionId":{own},'
            ' "timestamp":"2026-11-02T00:00:05Z"}]'
        )
        await socket.send(said)
        assert json.loads(await heard(socket)) == [3, "s", {}]
        assert cpms.seen[-1] == said.replace(str(own), "72")
        assert await site.rows(SESSIONS) == [
            ("proxy", "71", "ended", 1000, 3000), ("proxy", str(own), "ended", 3000, 4000),
        ]  # fmt: skip
    assert await site.rows(
        "SELECT cpms_ref, lost, ended_at IS NOT NULL FROM proxy_transaction"
    ) == [(72, False, True)]


async def test_the_queue_survives_a_restart_of_ours(site: Site, cpms: Cpms) -> None:
    """And what was asked of the CPMS when it went is answered by us, and told to it again."""
    cpms.answers["StartTransaction"] = None  # it goes before it answers
    async with site.running():
        socket = await site.connect()
        asking = asyncio.create_task(ask(socket, "StartTransaction", START))
        await until(lambda: cpms.actions() == ["StartTransaction"])
        await cpms.end()
        own = (await asking)["transactionId"]
    async with asyncio.timeout(5):
        await socket.wait_closed()
    assert socket.close_code == 1001
    cpms.answers["StartTransaction"] = {"transactionId": 9, "idTagInfo": {"status": "Blocked"}}
    async with site.running():
        socket = await site.connect()
        status = {"connectorId": 1, "status": "Charging", "errorCode": "NoError"}
        boot = {"chargePointVendor": "V", "chargePointModel": "M"}
        assert (await ask(socket, "BootNotification", boot))["status"] == "Accepted"
        await ask(socket, "StatusNotification", status)
        await ask(socket, "StopTransaction", stop(own, 1500, "2026-11-02T00:00:05Z"))
        cpms.seen.clear()
        await cpms.begin()
        await until(lambda: len(cpms.actions()) == 4)
        assert cpms.actions() == [
            "BootNotification", "StartTransaction", "StopTransaction", "StatusNotification",
        ]  # fmt: skip
        assert cpms.payload("StopTransaction")["transactionId"] == 9
        await until(site.passes)
    assert await site.rows(SESSIONS) == [("proxy", str(own), "ended", 1000, 1500)]
    assert await site.rows("SELECT code, detail->>'status' FROM anomaly") == [
        ("proxy.token_refused", "Blocked")
    ]
    # Nobody but its CPMS commands it, not even where we answered its boot.
    assert await site.rows("SELECT kind FROM effect WHERE kind LIKE 'ocpp.%'") == []


async def test_what_the_cpms_does_not_take_is_given_up_and_shown(
    site: Site, cpms: Cpms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three errors, and it is given up, with what belongs to it; the next is told. A CPMS that does
    not let the charge point in is an anomaly, and its charge point is served by us."""
    monkeypatch.setattr("wattledger.gateway.proxy_catching_up.RETRY_S", 0.01)
    cpms.refuse = HTTPStatus.UNAUTHORIZED
    async with site.running():
        socket = await site.connect()
        own = (await ask(socket, "StartTransaction", START))["transactionId"]
        await ask(socket, "MeterValues", meter(own, 1100, "2026-11-02T00:00:01Z"))
        await ask(socket, "StopTransaction", stop(99, 5, "2026-11-02T00:00:02Z"))
        cpms.answers["StartTransaction"] = lambda frame: json.dumps(
            [4, frame[1], "GenericError", "", {}]
        )
        cpms.refuse = None
        await until(lambda: "StopTransaction" in cpms.actions())
        assert cpms.actions() == ["StartTransaction"] * 3 + ["StopTransaction"]
        # The CPMS does not know of it: the rest of it is answered by us and told to nobody.
        await ask(socket, "StopTransaction", stop(own, 1200, "2026-11-02T00:00:03Z"))
        assert cpms.actions()[-1] == "StopTransaction"
        assert cpms.payload("StopTransaction")["transactionId"] == 99
    shown = await site.rows(
        "SELECT code, detail->>'why' FROM anomaly WHERE code LIKE 'proxy%' ORDER BY id"
    )
    assert shown == [
        ("proxy.refused", "HTTP 401"), ("proxy.undelivered", "the CPMS answers GenericError: "),
        ("proxy.undelivered", "the CPMS has not taken the start before it"),
    ]  # fmt: skip
    assert await site.rows(SESSIONS) == [("proxy", str(own), "ended", 1000, 1200)]


@pytest.mark.parametrize("site", [{"authorize": "both"}], indirect=True)
async def test_both_have_to_accept_a_token(site: Site, cpms: Cpms) -> None:
    """Where we refuse, the status is changed and not another byte; where the CPMS does, nothing."""
    odd = '[3 , "%s", { "idTagInfo" : {"expiryDate":"2030-01-01", "status" : "%s"} , "x":1.0 }]'
    async with site.running():
        socket = await site.connect()
        for token, theirs, told in (
            ("ACME-1", "Accepted", "Accepted"), ("LOST", "Accepted", "Blocked"),
            ("nobody", "Accepted", "Invalid"), ("Acme-1", "Expired", "Expired"),
        ):  # fmt: skip
            cpms.answers["Authorize"] = odd % ("m", theirs)
            await socket.send(f'[2,"m","Authorize",{{"idTag":"{token}"}}]')
            assert await heard(socket) == odd % ("m", told)


@pytest.mark.parametrize("site", [{"authorize": "wattledger", "commands": True}], indirect=True)
async def test_our_decision_alone_and_our_commands(site: Site, cpms: Cpms) -> None:
    """Authorize does not reach the CPMS; its word on a token that starts is replaced by ours. Our
    stop waits for the CPMS's command, and the CPMS's next for ours."""
    async with site.running() as gateway:
        socket = await site.connect()
        assert await ask(socket, "Authorize", {"idTag": "LOST"}) == {
            "idTagInfo": {"status": "Blocked"}
        }
        assert cpms.seen == []
        invalid = {"transactionId": 5, "idTagInfo": {"status": "Invalid"}}
        cpms.answers["StartTransaction"] = invalid
        assert await ask(socket, "StartTransaction", START) == {"transactionId": 5, **ACCEPTED}
        assert await site.rows("SELECT route FROM session") == [("invoice",)]

        assert gateway.lanes() == ["cp:Y-1"]
        connection = gateway.connection("Y-1")
        assert connection is not None
        await cpms.sockets[0].send('[2,"t1","Reset",{}]')
        assert json.loads(await heard(socket))[1] == "t1"
        stopping = asyncio.create_task(
            connection.call("e1-1", "RemoteStopTransaction", {"transactionId": 5}, 5)
        )
        await asyncio.sleep(0.02)
        await cpms.sockets[0].send('[2,"t2","Reset",{}]')
        await socket.send('[3,"t1",{"status":"Accepted"}]')
        ours = json.loads(await heard(socket))
        assert ours[1:] == ["wattledger-e1-1", "RemoteStopTransaction", {"transactionId": 5}]
        await socket.send(json.dumps([3, ours[1], {"status": "Accepted"}]))
        assert (await stopping).payload == {"status": "Accepted"}
        assert json.loads(await heard(socket))[1] == "t2"
        assert [m for m in cpms.seen if "wattledger" in str(m)] == []
        refused = await connection.call("e2-1", "ChangeConfiguration", {}, 5)
        assert refused.code == "NotSupported"


async def test_a_charge_point_that_connects_again_has_one_connection_to_its_cpms(
    site: Site, cpms: Cpms
) -> None:
    """Answers out of order find their CALLs; the earlier connection is closed before the next."""
    cpms.answers = dict.fromkeys(("Heartbeat", "StartTransaction"))
    async with site.running():
        first = await site.connect()
        await first.send('[2,"1","Heartbeat",{}]')
        await first.send(json.dumps([2, "2", "StartTransaction", START]))
        await until(lambda: len(cpms.seen) == 2)
        answer = json.dumps([3, "2", {"transactionId": 8, **ACCEPTED}])
        await cpms.sockets[0].send(answer)
        await cpms.sockets[0].send('[3,"1",{}]')
        assert [await heard(first), await heard(first)] == [answer, '[3,"1",{}]']
        second = await site.connect()
        assert cpms.closed == [1000]
        assert len(cpms.sockets) == 2
        cpms.answers.clear()
        await ask(second, "StopTransaction", stop(8, 1800, "2026-11-02T00:00:05Z"))
        assert await site.rows(SESSIONS) == [("proxy", "8", "ended", 1000, 1800)]
        with pytest.raises(websockets.ConnectionClosedOK):
            await heard(first)


def event(kind: str, number: int, at: int, wh: int, token: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "eventType": kind, "timestamp": f"2026-11-02T00:00:0{at}Z", "triggerReason": "Authorized",
        "seqNo": number, "transactionInfo": {"transactionId": "tx-1"}, "evse": {"id": 1},
        "meterValue": [{"timestamp": f"2026-11-02T00:00:0{at}Z", "sampledValue": [{"value": wh}]}],
    }  # fmt: skip
    return found | ({"idToken": {"idToken": token, "type": "ISO14443"}} if token else {})


async def test_transactions_of_2_0_1(site: Site, cpms: Cpms) -> None:
    async with site.running():
        socket = await site.connect("ocpp2.0.1")
        cpms.answers["TransactionEvent"] = {"idTokenInfo": {"status": "Accepted"}}
        await ask(socket, "TransactionEvent", event("Started", 0, 0, 1000, "Acme-1"))
        await cpms.end()
        await ask(socket, "TransactionEvent", event("Updated", 1, 1, 1500))
        await ask(socket, "TransactionEvent", event("Ended", 2, 2, 2000))
        cpms.seen.clear()
        await cpms.begin()
        await until(lambda: cpms.actions() == ["TransactionEvent"] * 2)
        assert [json.loads(each)[3]["seqNo"] for each in cpms.seen] == [1, 2]
    assert await site.rows(SESSIONS) == [("proxy", "tx-1", "ended", 1000, 2000)]


async def test_a_start_that_is_sent_again_and_gets_another_number(site: Site, cpms: Cpms) -> None:
    """It is one session, by either number, until the CPMS gives that to another transaction; of two
    transactions with one number the later is meant. Some CPMSs count so."""
    async with site.running():
        socket = await site.connect()
        assert (await ask(socket, "StartTransaction", START))["transactionId"] == 71
        assert (await ask(socket, "StartTransaction", START, "r"))["transactionId"] == 72
        await ask(socket, "StopTransaction", stop(72, 1200, "2026-11-02T00:00:05Z"))
        cpms.number = 70
        for number, second, wh in ((71, 10, 1200), (72, 20, 1300)):
            start = {**START, "meterStart": wh, "timestamp": f"2026-11-02T00:00:{second}Z"}
            assert (await ask(socket, "StartTransaction", start))["transactionId"] == number
            at = f"2026-11-02T00:00:{second + 5}Z"
            await ask(socket, "StopTransaction", stop(number, wh + 100, at))
    assert await site.rows(SESSIONS) == [
        ("proxy", "71", "ended", 1000, 1200), ("proxy", "71", "ended", 1200, 1300),
        ("proxy", "72", "ended", 1300, 1400),
    ]  # fmt: skip


@pytest.mark.parametrize("site", [{"answer_within_s": 1}], indirect=True)
async def test_a_cpms_that_does_not_answer_is_away(site: Site, cpms: Cpms) -> None:
    """And a message that we can't take in passes all the same, unchanged."""
    async with site.running():
        socket = await site.connect()
        bad = {"connectorId": "one", "transactionId": 1, "meterValue": []}
        assert await ask(socket, "MeterValues", bad) == {}
        await until(lambda: site.rows("SELECT 1 FROM anomaly WHERE code = 'frame.invalid'"))
        cpms.answers["StopTransaction"] = None
        await ask(socket, "StopTransaction", stop(99, 5, "2026-11-02T00:00:02Z"))
        cpms.answers.pop("StopTransaction")
        await until(lambda: cpms.actions() == ["MeterValues", *["StopTransaction"] * 2])
        await until(site.passes)
    assert await site.rows("SELECT state, tries FROM proxy_call") == [("delivered", 1)]


async def test_a_fault_of_ours_changes_nothing_and_is_mended_from_the_frames(
    site: Site, cpms: Cpms, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.running():
        socket = await site.connect()
        with monkeypatch.context() as fault:
            fault.setattr("wattledger.pipeline.proxied.open_session", None)
            assert await ask(socket, "StartTransaction", START) == {"transactionId": 71, **ACCEPTED}
            assert (
                await ask(socket, "StopTransaction", stop(71, 1500, "2026-11-02T00:00:05Z")) == {}
            )
    assert await site.rows(SESSIONS) == []
    async with site.pool.connection() as conn:
        now = site.world.now
        stored = await stored_frames.of(
            conn, "Y-1", now - timedelta(hours=1), now + timedelta(hours=1)
        )
    found = await replay(site.pool, "Y-1", stored)
    assert (found.handled, found.failed) == ({"StartTransaction": 1, "StopTransaction": 1}, ())
    assert await site.rows(SESSIONS) == [("proxy", "71", "ended", 1000, 1500)]
