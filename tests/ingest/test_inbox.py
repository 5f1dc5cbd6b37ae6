"""Facts from outside: stored before they count, counted once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from wattledger.db.connect import Pool
from wattledger.errors import Conflict
from wattledger.ingest import anomalies, inbox
from wattledger.ingest.inbox import Received
from wattledger.ingest.journal import Journal, RawFrame

NOW = datetime(2026, 11, 2, tzinfo=UTC)


async def _receive(pool: Pool, body: bytes = b"{}", source: str = "api:cpms") -> Received:
    async with pool.connection() as conn:
        return await inbox.receive(
            conn, source=source, external_id="S-1", body=body, received_at=NOW
        )


async def test_a_fact_counts_once_and_its_answer_is_given_again(pool: Pool) -> None:
    first = await _receive(pool)
    assert (first.new, first.handled, first.answer) == (True, False, None)
    assert await _receive(pool) == Received(first.id, new=False, handled=False, answer=None)
    async with pool.connection() as conn:
        await inbox.handled(conn, first.id, NOW, {"session_id": "ses_1"})
    assert await _receive(pool) == Received(
        first.id, new=False, handled=True, answer={"session_id": "ses_1"}
    )


async def test_another_sender_may_use_the_same_id(pool: Pool) -> None:
    assert (await _receive(pool)).new
    assert (await _receive(pool, source="api:other")).new


async def test_another_content_under_the_same_id_is_refused_and_the_first_stays(pool: Pool) -> None:
    await _receive(pool, b"first")
    with pytest.raises(Conflict, match="'S-1' came before with another content"):
        await _receive(pool, b"second")
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT body FROM inbox")
        assert await cursor.fetchall() == [{"body": b"first"}]


async def test_two_at_once_are_one(pool: Pool) -> None:
    found = await asyncio.gather(*(_receive(pool) for _ in range(4)))
    assert sorted(r.new for r in found) == [False, False, False, True]


async def test_an_anomaly_is_recorded_once_for_each_cause(pool: Pool) -> None:
    async with pool.connection() as conn:
        for cause in ("a", "a", "b"):
            await anomalies.record(
                conn, at=NOW, code="register.fell", subject="ses_1", detail={}, cause=cause
            )
        cursor = await conn.execute("SELECT count(*) AS n FROM anomaly")
        assert await cursor.fetchone() == {"n": 2}


def _frame(raw: str, at: datetime = NOW) -> RawFrame:
    return RawFrame("CP-1", "c1", at, "in", raw)


async def _frames(pool: Pool) -> list[str]:
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT raw FROM frame ORDER BY received_at, raw")
        return [row["raw"] for row in await cursor.fetchall()]


async def test_a_frame_that_was_waited_for_is_committed(pool: Pool) -> None:
    async with Journal(pool) as journal:
        await journal.put(_frame("[2]"), wait=True)
        assert await _frames(pool) == ["[2]"]


async def test_frames_nobody_waited_for_are_written_before_the_end(pool: Pool) -> None:
    tomorrow = datetime(2026, 11, 3, tzinfo=UTC)
    async with Journal(pool) as journal:
        await journal.put(_frame("a"), wait=False)
        await journal.put(_frame("b", tomorrow), wait=False)
    assert await _frames(pool) == ["a", "b"]


async def test_a_frame_with_a_nul_is_kept_readable(pool: Pool) -> None:
    async with Journal(pool) as journal:
        await journal.put(_frame("a\0b"), wait=True)
    assert await _frames(pool) == ["a␀b"]


async def test_many_at_once_share_their_commits(pool: Pool) -> None:
    async with Journal(pool) as journal:
        await asyncio.gather(*(journal.put(_frame(f"{n:04}"), wait=True) for n in range(500)))
        assert await _frames(pool) == [f"{n:04}" for n in range(500)]
