"""The effect table: lanes, claims, what becomes of a dead worker's claim, and both clocks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wattledger.db import effects
from wattledger.db.connect import Connection, Database
from wattledger.db.effects import LIVENESS, Effect
from wattledger.db.roles import Role
from wattledger.errors import Conflict
from wattledger.pipeline.agenda import Agenda, agenda

NOW = datetime(2026, 11, 2, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    """A connection in autocommit: each statement is a transaction of its own."""
    async with await database.connect(Role.APP) as opened:
        yield opened


async def _add(
    conn: Connection, key: str, lane: str = "lane", due_at: datetime = NOW, **more: Any
) -> bool:
    return await effects.add(
        conn, kind=more.pop("kind", "webhook.deliver"), subject="books", lane=lane, key=key,
        request={"key": key}, due_at=due_at, caused_at=NOW, **more,
    )  # fmt: skip


async def _claim(
    conn: Connection, worker: int = 1, now: datetime = NOW, limit: int = 32, lease_s: int = 60,
    kinds: tuple[str, ...] = ("webhook.deliver",), lanes: tuple[str, ...] = (),
) -> list[Effect]:  # fmt: skip
    return await effects.claim(
        conn, worker=worker, now=now, kinds=list(kinds), lanes=list(lanes), limit=limit,
        lease_s=lease_s,
    )  # fmt: skip


async def _done(conn: Connection, effect: Effect) -> None:
    await effects.settle(conn, effect, "done", {"ok": True}, NOW)


def _keys(found: list[Effect]) -> list[str]:
    return [effect.key for effect in found]


async def _row(conn: Connection, key: str) -> dict[str, Any]:
    cursor = await conn.execute("SELECT * FROM effect WHERE key = %s", (key,))
    row = await cursor.fetchone()
    assert row is not None
    return row


# Lanes.


async def test_a_lane_goes_out_in_order_one_at_a_time(conn: Connection) -> None:
    for key in ("a1", "a2", "a3"):
        await _add(conn, key)
    for key in ("a1", "a2", "a3"):
        claimed = await _claim(conn)
        assert _keys(claimed) == [key]
        assert await _claim(conn) == [], "while the head is out, nothing of the lane can follow"
        await _done(conn, claimed[0])
    assert await _claim(conn) == []


async def test_lanes_do_not_wait_for_each_other(conn: Connection) -> None:
    await _add(conn, "a1", "a")
    await _add(conn, "a2", "a")
    await _add(conn, "b1", "b")
    assert _keys(await _claim(conn)) == ["a1", "b1"]
    await _add(conn, "c1", "c")
    assert _keys(await _claim(conn)) == ["c1"]


async def test_a_head_that_is_not_due_holds_its_lane_and_no_other(conn: Connection) -> None:
    await _add(conn, "a1", "a", due_at=LATER)
    await _add(conn, "a2", "a", due_at=NOW)
    await _add(conn, "b1", "b", due_at=NOW)
    assert _keys(await _claim(conn)) == ["b1"]
    assert _keys(await _claim(conn, now=LATER)) == ["a1"]


async def test_a_rejected_head_lets_the_next_one_go(conn: Connection) -> None:
    await _add(conn, "a1")
    await _add(conn, "a2")
    (head,) = await _claim(conn)
    await effects.settle(conn, head, "rejected", {"code": "declined"}, NOW)
    assert _keys(await _claim(conn)) == ["a2"]


async def test_the_longest_due_goes_first_up_to_the_limit(conn: Connection) -> None:
    await _add(conn, "late", "a", due_at=NOW)
    await _add(conn, "early", "b", due_at=NOW - timedelta(days=1))
    assert _keys(await _claim(conn, limit=1)) == ["early"]
    assert _keys(await _claim(conn, limit=1)) == ["late"]


async def test_only_kinds_and_lanes_asked_for_are_claimed(conn: Connection) -> None:
    """A gateway claims commands for the charge points that are connected to it."""
    await _add(conn, "here", "cp:1", kind="ocpp.remote_stop")
    await _add(conn, "elsewhere", "cp:2", kind="ocpp.remote_stop")
    await _add(conn, "hook", "x")
    assert _keys(await _claim(conn, kinds=(), lanes=("cp:1",))) == ["here"]
    assert _keys(await _claim(conn)) == ["hook"]


async def test_a_key_counts_once(conn: Connection) -> None:
    assert await _add(conn, "a1", "a") is True
    assert await _add(conn, "a1", "b") is False
    assert await _add(conn, "a2", "a") is True
    assert [(await _row(conn, key))["lane_seq"] for key in ("a1", "a2")] == [1, 2]


# Claims.


async def test_two_workers_never_claim_the_same(database: Database, conn: Connection) -> None:
    """The first has not committed its claims: the second passes over them and does not wait."""
    for number in range(4):
        await _add(conn, f"k{number}", f"lane{number}")
    async with await database.connect(Role.APP) as other:
        async with conn.transaction():
            first = await _claim(conn, worker=1, limit=2)
            await other.execute("SET lock_timeout = '2s'")
            second = await _claim(other, worker=2)
        assert (_keys(first), _keys(second)) == (["k0", "k1"], ["k2", "k3"])


async def test_the_next_of_a_lane_is_not_claimed_beside_an_uncommitted_head(
    database: Database, conn: Connection
) -> None:
    await _add(conn, "a1")
    await _add(conn, "a2")
    async with await database.connect(Role.APP) as other, conn.transaction():
        assert _keys(await _claim(conn, worker=1)) == ["a1"]
        assert await _claim(other, worker=2) == []


async def test_a_claim_says_what_is_to_be_sent(conn: Connection) -> None:
    await _add(conn, "a1")
    (claimed,) = await _claim(conn, worker=7)
    assert (claimed.key, claimed.request, claimed.attempt, claimed.tries, claimed.resolving) == (
        "a1", {"key": "a1"}, 1, 1, False,
    )  # fmt: skip
    row = await _row(conn, "a1")
    assert (row["state"], row["claimed_by"], row["claim_token"]) == (
        "claimed", 7, claimed.claim_token,
    )  # fmt: skip


async def test_a_result_without_its_claim_is_refused(conn: Connection) -> None:
    """The lease ran out, another worker resolved it: the slow worker's answer is not taken."""
    await _add(conn, "a1")
    (slow,) = await _claim(conn, worker=1, lease_s=0)
    assert await effects.expire_claims(conn, 1) == 1
    (quick,) = await _claim(conn, worker=2)
    with pytest.raises(Conflict, match="no longer claimed by this worker"):
        await _done(conn, slow)
    with pytest.raises(Conflict):
        await effects.put_back(conn, slow, "pending", wait_ms=0, why="late")
    await _done(conn, quick)
    assert (await _row(conn, "a1"))["response"] == {"ok": True}
    with pytest.raises(Conflict):
        await _done(conn, quick)


# Unknown.


async def test_an_overdue_claim_becomes_unknown_and_is_claimed_to_be_resolved(
    conn: Connection,
) -> None:
    await _add(conn, "a1")
    (first,) = await _claim(conn, lease_s=0)
    assert await effects.expire_claims(conn, 1) == 1
    assert (await _row(conn, "a1"))["state"] == "unknown"
    (again,) = await _claim(conn)
    assert (again.resolving, again.tries, again.key) == (True, 2, "a1")
    assert again.first_sent_at == first.first_sent_at, "the other side keeps the key from then on"
    assert again.claim_token != first.claim_token


async def test_a_dead_workers_claim_becomes_unknown_at_once(
    database: Database, conn: Connection
) -> None:
    """Worker 2 holds its advisory lock while it lives; its lease has an hour to run."""
    await _add(conn, "a1")
    worker = await database.connect(Role.APP)
    await worker.execute("SELECT pg_advisory_lock(%s, 2)", (LIVENESS,))
    await _claim(worker, worker=2, lease_s=3600)
    assert await effects.expire_claims(conn, 1) == 0
    await worker.close()
    for _ in range(100):  # the server needs a moment to see that the connection is gone
        if await effects.expire_claims(conn, 1):
            break
        await conn.execute("SELECT pg_sleep(0.01)")
    assert (await _row(conn, "a1"))["state"] == "unknown"


async def test_a_worker_does_not_expire_its_own_running_claim(conn: Connection) -> None:
    """Advisory locks are re-entrant: its own lock would seem free to it."""
    await conn.execute("SELECT pg_advisory_lock(%s, 1)", (LIVENESS,))
    await _add(conn, "a1")
    await _claim(conn, worker=1, lease_s=3600)
    assert await effects.expire_claims(conn, 1) == 0
    assert (await _row(conn, "a1"))["state"] == "claimed"


async def test_unknown_holds_its_lane(conn: Connection) -> None:
    await _add(conn, "a1")
    await _add(conn, "a2")
    (head,) = await _claim(conn)
    await effects.put_back(conn, head, "unknown", wait_ms=60_000, why="no answer")
    assert await _claim(conn) == []
    assert (await _row(conn, "a1"))["response"] == {"why": "no answer"}


# The two clocks.


async def test_backoff_is_machine_time_and_due_is_business_time(conn: Connection) -> None:
    """A year of business time does not shorten the wait of a minute of machine time."""
    await _add(conn, "a1")
    (head,) = await _claim(conn)
    await effects.put_back(conn, head, "pending", wait_ms=60_000, why="rate limit")
    assert await _claim(conn, now=NOW + timedelta(days=365)) == []
    row = await _row(conn, "a1")
    assert row["due_at"] == NOW
    cursor = await conn.execute(
        "SELECT not_before BETWEEN clock_timestamp() + interval '50 s' AND"
        " clock_timestamp() + interval '60 s' AS ok FROM effect"
    )
    assert await cursor.fetchone() == {"ok": True}


async def test_no_wait_is_claimed_again_at_once(conn: Connection) -> None:
    await _add(conn, "a1")
    (head,) = await _claim(conn)
    await effects.put_back(conn, head, "pending", wait_ms=0, why="not connected")
    (again,) = await _claim(conn)
    assert (again.tries, again.resolving) == (2, False)


def test_backoff_doubles_from_50_ms_to_a_minute() -> None:
    assert [effects.backoff_ms(n) for n in (1, 2, 3, 4, 10, 11, 12, 1000)] == [
        50, 100, 200, 400, 25_600, 51_200, 60_000, 60_000,
    ]  # fmt: skip


# The agenda.


async def test_an_empty_agenda(conn: Connection) -> None:
    assert await agenda(conn, NOW, []) == Agenda(0, None)


async def test_the_agenda_counts_what_is_due_and_names_the_next(conn: Connection) -> None:
    await _add(conn, "due", "a")
    await _add(conn, "out", "b")
    await _claim(conn, limit=1)
    await _add(conn, "next", "c", due_at=LATER)
    await _add(conn, "after", "d", due_at=LATER + timedelta(days=1))
    assert await agenda(conn, NOW, []) == Agenda(2, LATER, frozenset({"webhook.deliver"}))


async def test_commands_count_only_where_the_charge_point_is_connected(conn: Connection) -> None:
    await _add(conn, "stop", "cp:1", kind="ocpp.remote_stop")
    assert await agenda(conn, NOW, []) == Agenda(0, None)
    assert await agenda(conn, NOW, ["cp:1"]) == Agenda(1, None, frozenset({"ocpp.remote_stop"}))


async def test_what_is_settled_is_off_the_agenda(conn: Connection) -> None:
    await _add(conn, "a1")
    (head,) = await _claim(conn)
    await _done(conn, head)
    assert await agenda(conn, NOW, []) == Agenda(0, None)


async def test_what_waits_is_taken_back_when_something_newer_comes(conn: Connection) -> None:
    """But what a worker has in hand goes out, and so does what is of another kind or subject."""
    for key in ("in hand", "waits", "newer"):
        await _add(conn, key)
    await _add(conn, "other", lane="other", kind="ocpp.data_transfer")
    [taken] = await _claim(conn)
    async with conn.transaction():
        count = await effects.supersede(
            conn, kind="webhook.deliver", subject="books", message_id=None, but="newer", now=NOW
        )
    assert count == 1
    states = {
        key: (await _row(conn, key))["state"] for key in ("in hand", "waits", "newer", "other")
    }
    assert states == {
        "in hand": "claimed", "waits": "rejected", "newer": "pending", "other": "pending",
    }  # fmt: skip
    await _done(conn, taken)
    assert _keys(await _claim(conn)) == ["newer"]


# --- in a backlog ----------------------------------------------------------------------------


async def test_a_claim_reads_the_first_of_a_backlog_and_not_all_of_it(conn: Connection) -> None:
    # Never analyzed: the planner knows nothing of the table, as in the rush after a start.
    await conn.execute(
        "INSERT INTO effect (kind, subject, lane, lane_seq, key, request, due_at, caused_at)"
        " SELECT 'stripe.capture', n, n, 1, n, '{}', %s, %s FROM generate_series(1, 3000) AS n",
        (NOW, NOW),
    )
    async with conn.transaction():
        claimed = await _claim(conn, kinds=("stripe.hold", "stripe.capture"), limit=4)
        assert len(claimed) == 4
        read = await conn.execute(
            "SELECT pg_stat_get_xact_tuples_returned('effect_kind_open'::regclass) AS entries,"
            " pg_stat_get_xact_numscans('effect'::regclass) AS scans"
        )
        assert await read.fetchone() == {"entries": 4, "scans": 0}


async def test_a_claim_writes_into_no_index(conn: Connection) -> None:
    await _add(conn, "a")
    async with conn.transaction():
        await _claim(conn)
        hot = await conn.execute(
            "SELECT pg_stat_get_xact_tuples_hot_updated('effect'::regclass) AS updated"
        )
        assert await hot.fetchone() == {"updated": 1}


async def test_who_listens_is_told_the_kinds_that_are_due_at_once(
    database: Database, conn: Connection
) -> None:
    async with await database.connect(Role.APP) as listening:
        await listening.execute("LISTEN wattledger_effect")
        async with conn.transaction():
            await _add(conn, "a", kind="stripe.hold")
            await _add(conn, "b", kind="stripe.hold")
            await _add(conn, "c", kind="money.due", due_at=LATER)
        told = [n.payload async for n in listening.notifies(timeout=1)]
    assert told == ["stripe.hold"]
