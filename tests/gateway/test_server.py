"""The edge on a real socket: who gets in, what is asked of whom, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import pytest
import websockets

from gateway_edge import PASSWORD, WITH_PASSWORD, Edge, Listening, ask, until
from wattledger.gateway import server
from wattledger.gateway.limits import raise_file_limit
from wattledger.ingest.journal import Journal


async def _closed(socket: websockets.ClientConnection) -> tuple[int | None, str | None]:
    async with asyncio.timeout(5):
        with contextlib.suppress(websockets.ConnectionClosed):
            async for _ in socket:  # else what is not read keeps the end from being seen
                pass
        await socket.wait_closed()
    return socket.close_code, socket.close_reason


async def _refused(edge: Edge, *args: str | None) -> tuple[int, str | None]:
    with pytest.raises(websockets.InvalidStatus) as caught:
        await edge.connect(*args)
    response = caught.value.response
    return response.status_code, response.headers.get("Retry-After")


async def test_the_first_version_that_is_offered_and_known_is_spoken(listening: Listening) -> None:
    async with listening() as edge:
        for offers, chosen in (
            (("ocpp1.6",), "ocpp1.6"),
            (("ocpp2.1", "ocpp1.6"), "ocpp2.1"),
            (("ocpp1.6", "ocpp2.0.1"), "ocpp1.6"),
            (("ocpp1.5", "ocpp2.0.1"), "ocpp2.0.1"),
        ):
            socket = await edge.connect(offers=offers)
            assert socket.subprotocol == chosen
            await socket.close()
        # 2.0.1 part 4 §3.1.2: the handshake is completed without one, and the connection closed.
        for offers in (("ocpp1.5",), ()):
            socket = await edge.connect(offers=offers)
            assert socket.subprotocol is None
            assert (await _closed(socket))[0] == 1002


async def test_who_is_not_known_stays_out(listening: Listening) -> None:
    async with listening(failures_per_minute=3) as edge:
        assert await _refused(edge, "nobody") == (404, None)
        assert await _refused(edge, WITH_PASSWORD) == (401, None)
        known = await edge.connect(WITH_PASSWORD, PASSWORD)
        assert await _refused(edge, WITH_PASSWORD, "wrong") == (401, None)
        # Three have failed from this address: 3 a minute are 20 s each.
        status, retry_after = await _refused(edge, WITH_PASSWORD, "wrong")
        assert (status, retry_after) == (429, "20")
        # Whose password was right before gets in all the same: others share the address.
        again = await edge.connect(WITH_PASSWORD, PASSWORD)
        assert await _closed(known) == (1000, "connected again")
        assert (await ask(again, "Heartbeat", {}))[0] == 3


async def test_a_full_gateway_says_when_to_come_back(listening: Listening) -> None:
    async with listening(connections_max=1, handshakes_max=1, handshake_wait_s=0.05) as edge:
        turn = edge.gateway._admission._turn
        await turn.acquire()
        assert await _refused(edge, "D-1") == (503, "10")
        turn.release()
        await edge.connect("D-1")
        assert await _refused(edge, WITH_PASSWORD, PASSWORD) == (503, "10")


async def test_heartbeats_are_counted_and_who_is_here_is_known(listening: Listening) -> None:
    async with listening() as edge:
        socket = await edge.connect(offers=("ocpp2.0.1", "ocpp1.6"))
        boot = {"chargingStation": {"vendorName": "Acme", "model": "M"}, "reason": "PowerUp"}
        assert (await ask(socket, "BootNotification", boot))[2]["status"] == "Accepted"
        for _ in range(3):
            assert "currentTime" in (await ask(socket, "Heartbeat", {}))[2]
        presence = edge.gateway._presence
        assert presence is not None
        await presence.flush()
        sql = ("SELECT connected, connected_at IS NOT NULL AS since, protocol, vendor, model,"
               " heartbeats, heartbeat_at = heard_at AS last FROM charge_point_state")  # fmt: skip
        assert await edge.rows(sql) == [
            {"connected": True, "since": True, "protocol": "ocpp2.0.1", "vendor": "Acme",
             "model": "M", "heartbeats": 3, "last": True}
        ]  # fmt: skip
        await ask(socket, "Heartbeat", {})
        await socket.close()
        await until(lambda: not edge.gateway.lanes())
        await presence.flush()
        assert [(r["connected"], r["heartbeats"]) for r in await edge.rows(sql)] == [(False, 4)]
    kept = await edge.rows("SELECT raw FROM frame")
    assert len(kept) == 2  # the boot and its answer
    assert all("Heartbeat" not in row["raw"] for row in kept)


async def test_what_is_too_large_or_too_much(listening: Listening) -> None:
    async with listening(frame_max_bytes=4096, frames_per_s=100, over_rate_s=0.3) as edge:
        socket = await edge.connect()
        await socket.send("x" * 5000)
        assert (await _closed(socket))[0] == 1009

        # 100 a second and four times as many at once: 440 need 0.4 s, and all are answered.
        socket = await edge.connect()
        began = time.monotonic()
        for n in range(430):
            await socket.send(json.dumps([2, str(n), "Heartbeat", {}]))
        answers = {json.loads(await socket.recv())[1] for _ in range(430)}
        assert answers == {str(n) for n in range(430)}
        assert time.monotonic() - began > 0.25
        # Whoever goes on for longer than is borne is closed, and shown.
        for n in range(100):
            await socket.send(json.dumps([2, str(n), "Heartbeat", {}]))
        assert await _closed(socket) == (1008, "too many frames")
        assert await edge.rows("SELECT code, subject FROM anomaly") == [
            {"code": "rate.exceeded", "subject": "D-1"}
        ]


async def test_a_rate_in_all_slows_everybody_and_closes_nobody(listening: Listening) -> None:
    async with listening(frames_per_s_in_all=100, over_rate_s=0.01) as edge:
        sockets = [await edge.connect(), await edge.connect(WITH_PASSWORD, PASSWORD)]
        began = time.monotonic()
        for n in range(65):
            for socket in sockets:
                await socket.send(json.dumps([2, str(n), "Heartbeat", {}]))
        for socket in sockets:
            assert len([await socket.recv() for _ in range(65)]) == 65
        assert time.monotonic() - began > 0.25  # 130 of them, 100 at once, 100 a second


async def test_what_is_in_hand_is_answered_before_we_go(listening: Listening) -> None:
    async with listening() as edge:
        busy, idle = await edge.connect(), await edge.connect(WITH_PASSWORD, PASSWORD)
        release = asyncio.Event()
        put = edge.journal.put

        async def slow(*args: object, **more: object) -> None:
            await release.wait()
            await put(*args, **more)  # type: ignore[arg-type]

        edge.journal.put = slow  # type: ignore[method-assign]
        await busy.send(json.dumps([2, "1", "MeterValues", {"connectorId": 1, "meterValue": []}]))
        await asyncio.sleep(0.05)
        ending = asyncio.create_task(edge.gateway.end())
        assert (await _closed(idle))[0] == 1001
        assert not ending.done()
        release.set()
        assert json.loads(await busy.recv()) == [3, "1", {}]
        assert (await _closed(busy))[0] == 1001
        await ending


async def test_nobody_is_let_in_without_a_record(listening: Listening, pool: object) -> None:
    """The database is away and the journal full: it waits, and goes on from there."""
    journal = Journal(pool, held_max_bytes=1)  # type: ignore[arg-type]  # nobody writes it yet
    async with listening(journal) as edge:
        socket = await edge.connect()
        asked = asyncio.create_task(ask(socket, "Authorize", {"idTag": "acme-1"}))
        await asyncio.sleep(0.1)
        assert not asked.done()
        async with journal:
            assert (await asked)[2] == {"idTagInfo": {"status": "Accepted"}}
        rows = await edge.rows("SELECT token, accepted, inputs->>'plan_id' AS plan FROM decision")
        assert rows == [{"token": "acme-1", "accepted": True, "plan": "fleet"}]


async def test_a_peer_that_is_dead_is_found_out(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_CLOSE_WITHIN_S", 0.05)
    async with listening(ping_s=0.05, pong_s=0.05) as edge:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(
            b"GET /ocpp/D-1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        assert edge.gateway.lanes() == ["cp:D-1"]
        await until(lambda: not edge.gateway.lanes())  # it says nothing: no pong either
        writer.close()


def test_as_many_sockets_as_the_system_allows() -> None:
    import resource  # noqa: PLC0415

    assert raise_file_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert raise_file_limit() >= resource.getrlimit(resource.RLIMIT_NOFILE)[0]
