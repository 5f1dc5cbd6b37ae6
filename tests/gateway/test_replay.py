"""Stored frames handled again: what a fault did not take is taken, what was right stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway_edge import Edge, Listening, ask
from wattledger.clock import DrivenClock
from wattledger.gateway import v16
from wattledger.gateway.replay import replay, replayable
from wattledger.ingest import frames
from wattledger.ingest.journal import Journal


def _reading(transaction: int, at: str, wh: int) -> dict[str, Any]:
    value = {"timestamp": at, "sampledValue": [{"value": str(wh)}]}
    return {"connectorId": 1, "transactionId": transaction, "meterValue": [value]}


async def _facts(edge: Edge) -> list[dict[str, Any]]:
    return await edge.rows("SELECT kind, at, register_wh FROM session_fact ORDER BY at, kind")


async def test_a_fault_is_repaired_from_the_frames(
    listening: Listening, monkeypatch: pytest.MonkeyPatch, pool: Any, clock: DrivenClock
) -> None:
    begun = clock.now()
    async with Journal(pool) as journal, listening(journal) as edge:
        socket = await edge.connect()
        await ask(socket, "Authorize", {"idTag": "Acme-1"})
        start = {"connectorId": 1, "idTag": "Acme-1", "meterStart": 100,
                 "timestamp": "2026-11-02T00:00:00Z"}  # fmt: skip
        transaction = (await ask(socket, "StartTransaction", start))[2]["transactionId"]
        right = _reading(transaction, "2026-11-02T00:05:00Z", 600)
        assert (await ask(socket, "MeterValues", right))[0] == 3

        with monkeypatch.context() as fault:

            async def broken(*_: object) -> None:
                raise RuntimeError("a fault of ours")

            fault.setattr(v16, "meter_step", broken)
            clock.advance(clock.now() + timedelta(minutes=10))
            lost = _reading(transaction, "2026-11-02T00:10:00Z", 1100)
            answer = await ask(socket, "MeterValues", lost, "lost")
            # Said again it would fail again, and then be thrown away: it is kept for the replay.
            assert answer == [3, "lost", {}]
        await ask(socket, "Heartbeat", {})
        before = await _facts(edge)
        assert 1100 not in [fact["register_wh"] for fact in before]
        assert await edge.rows("SELECT code FROM anomaly") == [{"code": "frame.failed"}]
    sessions = await edge.rows("SELECT id, state, started_at FROM session")
    decisions = await edge.rows("SELECT * FROM decision")

    async with pool.connection() as conn:
        stored = await frames.of(conn, "D-1", begun, begun + timedelta(days=1))
    assert [message.action for _, _, message in replayable(stored)] == [
        "StartTransaction", "MeterValues", "MeterValues",
    ]  # fmt: skip
    for _ in range(2):  # once repairs, twice changes nothing more
        done = await replay(pool, "D-1", stored)
        assert (done.handled, done.failed) == ({"StartTransaction": 1, "MeterValues": 2}, ())
        after = await _facts(edge)
        assert [fact for fact in after if fact in before] == before
        assert [fact["register_wh"] for fact in after if fact not in before] == [1100]
        assert await edge.rows("SELECT id, state, started_at FROM session") == sessions
    assert await edge.rows("SELECT * FROM decision") == decisions
