"""The journal's rows: what they hold, when they are kept, and what happens when they can't be."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from wattledger.contract import Decision, Reason
from wattledger.db.connect import Pool
from wattledger.ingest import frames, journal, presence
from wattledger.ingest.journal import Journal, RawFrame
from wattledger.ingest.presence import Presence

NOW = datetime(2026, 11, 2, 9, 30, 15, 123456, tzinfo=UTC)


def _frame(raw: str, at: datetime = NOW) -> RawFrame:
    return RawFrame("CP\t1", "ocpp2.1/c1", at, "in", raw)


async def _raws(pool: Pool) -> list[str]:
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT raw FROM frame ORDER BY received_at, ctid")
        return [row["raw"] for row in await cursor.fetchall()]


async def test_rows_come_back_as_they_went_in(pool: Pool) -> None:
    raws = ["a\tb\nc\rd\\e", "\\.", "\\N", "", "é\U0001f50c", '[2,"\\u0000"]']
    async with Journal(pool) as kept:
        for raw in raws:
            kept.take(_frame(raw))
        for token in ("T\t\\1", "nul\0"):
            decision = Decision(False, Reason.UNKNOWN_TOKEN, token, NOW, 7)
            await kept.put_decision(decision, "CP\t1", "authorize")
    assert await _raws(pool) == raws
    async with pool.connection() as conn:
        found = await frames.of(conn, "CP\t1", NOW, NOW + timedelta(seconds=1))
        assert [frame.raw for frame in found] == raws
        assert (found[0].received_at, found[0].version) == (NOW, "ocpp2.1")
        assert await frames.last(conn, "CP\t1", NOW) is None
        cursor = await conn.execute(
            "SELECT decided_at, token, accepted, reason, inputs->>'known_seq' AS seq FROM decision"
            " ORDER BY id"
        )
        assert await cursor.fetchall() == [
            {"decided_at": NOW, "token": token, "accepted": False, "reason": "unknown_token",
             "seq": "7"}
            for token in ("T\t\\1", "nul\N{SYMBOL FOR NULL}")
        ]  # fmt: skip


async def test_frames_are_kept_for_the_days_that_are_asked_for(pool: Pool) -> None:
    async with Journal(pool, retention_days=40) as kept:
        for days in (50, 41, 40, 1, 0):
            await kept.put(_frame(str(days), NOW - timedelta(days=days)), wait=True)
        # A partition is dropped when a later day begins: 50 and 41 with today's.
        assert await _raws(pool) == ["40", "1", "0"]


async def test_what_the_database_refuses_does_not_hold_up_the_rest(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_RETRY_S", 0.01)
    away = 2
    write = Journal._write

    async def shaky(self: Journal, some: list[str], decisions: list[str]) -> None:
        nonlocal away
        if away:
            away -= 1
            raise psycopg.OperationalError("the server has gone")
        if any("bad" in row for row in some):
            raise psycopg.DataError("no such thing can be kept")
        await write(self, some, decisions)

    monkeypatch.setattr(Journal, "_write", shaky)
    async with Journal(pool) as kept:
        tasks = [asyncio.create_task(kept.put(_frame(raw), wait=True)) for raw in ("a", "bad", "b")]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[0] is answers[2] is None
    assert isinstance(answers[1], psycopg.DataError)
    assert await _raws(pool) == ["a", "b"]


async def test_with_the_database_away_it_fills_up_waits_and_gives_up_at_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal, "_RETRY_S", 0.01)
    monkeypatch.setattr(journal, "CLOSE_WITHIN_S", 0.05)

    async def away(self: Journal, some: list[str], decisions: list[str]) -> None:
        raise psycopg.OperationalError("the server has gone")

    monkeypatch.setattr(Journal, "_write", away)
    async with Journal(None, held_max_bytes=1_000) as kept:  # type: ignore[arg-type]
        durable = asyncio.create_task(kept.put(_frame("stop"), wait=True))
        await asyncio.sleep(0)
        for _ in range(2):  # 500 bytes each, with what a row takes beside its text
            await kept.put(_frame("x" * 300), wait=False)
        assert kept.full
        late = asyncio.create_task(kept.put(_frame("late"), wait=False))
        await asyncio.sleep(0.02)
        assert not late.done()
        assert not durable.done()  # nobody is told that it is kept
    for waiting in (durable, late):
        with pytest.raises(ConnectionError):
            await waiting
    assert "3 frames and 0 decisions could not be written" in caplog.text


async def test_presence_is_merged_while_it_can_not_be_written(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = Presence(pool, "a:1"), Presence(pool, "b:1")
    here.came("CP-1", "ocpp1.6", NOW)
    here.beat("CP-1", NOW)
    write = presence._write

    async def away(*_: object) -> None:
        raise psycopg.OperationalError("the server has gone")

    monkeypatch.setattr(presence, "_write", away)
    await here.flush()
    here.beat("CP-1", NOW + timedelta(seconds=5))
    monkeypatch.setattr(presence, "_write", write)
    await here.flush()
    # It moves to another gateway: the first one's notice that it has gone comes late.
    there.came("CP-1", "ocpp2.1", NOW + timedelta(seconds=8))
    await there.flush()
    here.went("CP-1", NOW + timedelta(seconds=9))
    await here.flush()

    async def state() -> dict[str, object] | None:
        async with pool.connection() as conn:
            cursor = await conn.execute(
                "SELECT connected, protocol, gateway, heartbeats, heartbeat_at, connected_at"
                " FROM charge_point_state"
            )
            return await cursor.fetchone()

    expected = {
        "connected": True, "protocol": "ocpp2.1", "gateway": "b:1", "heartbeats": 2,
        "heartbeat_at": NOW + timedelta(seconds=5), "connected_at": NOW + timedelta(seconds=8),
    }  # fmt: skip
    assert await state() == expected
    # That gateway is killed; when it starts again its charge points are gone until they come.
    again = Presence(pool, "b:1")
    await again.begin()
    await again.end()
    assert await state() == {**expected, "connected": False}


async def test_a_flush_is_over_when_what_another_has_in_hand_is_written(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Business time that is driven goes on only then: what a later step sees of a charge point
    must not depend on how fast the machine is."""
    here = Presence(pool, "a:1")
    here.came("CP-1", "ocpp1.6", NOW)
    write, go_on = presence._write, asyncio.Event()

    async def slow(*of: Any) -> None:
        await go_on.wait()
        await write(*of)

    monkeypatch.setattr(presence, "_write", slow)
    first = asyncio.create_task(here.flush())
    await asyncio.sleep(0)
    second = asyncio.create_task(here.flush())
    await asyncio.sleep(0.01)
    assert not second.done()
    go_on.set()
    await second
    assert first.done()
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT connected FROM charge_point_state")
        assert await cursor.fetchall() == [{"connected": True}]
