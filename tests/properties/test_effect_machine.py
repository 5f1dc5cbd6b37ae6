"""Any order of adding, claiming, settling, failing, crashing: the lanes hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from psycopg.rows import dict_row

from wattledger.db import effects
from wattledger.db.connect import Database
from wattledger.db.effects import Effect
from wattledger.db.roles import Role
from wattledger.errors import Conflict

NOW = datetime(2026, 11, 2, tzinfo=UTC)
LANES = ["a", "b"]


class _Async:
    """The effects module is async; this awaits nothing, so that hypothesis can drive it."""

    def __init__(self, conn: psycopg.Connection[dict[str, Any]]) -> None:
        self._conn = conn

    async def execute(self, query: str, values: object = None) -> _Cursor:
        return _Cursor(self._conn.execute(query.encode(), values))  # type: ignore[arg-type]


class _Cursor:
    def __init__(self, cursor: psycopg.Cursor[dict[str, Any]]) -> None:
        self._cursor = cursor
        self.rowcount = cursor.rowcount

    async def fetchall(self) -> list[dict[str, Any]]:
        return self._cursor.fetchall()


def run(step: Any) -> Any:
    """The value of a coroutine that never has to wait."""
    try:
        step.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


class Lanes(RuleBasedStateMachine):
    """Two lanes, two workers, and a model that is three dicts."""

    conninfo: ClassVar[str]
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.raw = psycopg.connect(self.conninfo, autocommit=False, row_factory=dict_row)
        self.conn: Any = _Async(self.raw)
        self.added: dict[str, list[str]] = {lane: [] for lane in LANES}
        self.settled: dict[str, tuple[str, str]] = {}
        self.settled_order: dict[str, list[str]] = {lane: [] for lane in LANES}

    def teardown(self) -> None:
        self.raw.rollback()
        self.raw.close()

    @rule(lane=st.sampled_from(LANES))
    def add(self, lane: str) -> None:
        key = f"{lane}{len(self.added[lane])}"
        assert run(self._add(key, lane)) is True
        assert run(self._add(key, lane)) is False
        self.added[lane].append(key)

    def _add(self, key: str, lane: str) -> Any:
        return effects.add(
            self.conn, kind="k", subject="s", lane=lane, key=key, request={"key": key},
            due_at=NOW, caused_at=NOW,
        )  # fmt: skip

    @rule(target=claims, worker=st.sampled_from([1, 2]), lease_s=st.sampled_from([0, 3600]))
    def claim(self, worker: int, lease_s: int) -> list[Effect]:
        found = run(
            effects.claim(
                self.conn, worker=worker, now=NOW, kinds=["k"], lanes=[], limit=9, lease_s=lease_s
            )
        )
        for effect in found:
            first_open = next(k for k in self.added[effect.lane] if k not in self.settled)
            assert effect.key == first_open, "only the head of a lane"
        return list(found)

    @rule(claimed=consumes(claims), state=st.sampled_from(["done", "rejected"]))
    def settle(self, claimed: list[Effect], state: str) -> None:
        for effect in claimed:
            mine = self._token(effect) == effect.claim_token
            try:
                run(effects.settle(self.conn, effect, state, {"try": effect.tries}, NOW))
            except Conflict:
                assert not mine
                continue
            assert mine
            self.settled[effect.key] = (state, effect.claim_token)
            self.settled_order[effect.lane].append(effect.key)

    @rule(claimed=consumes(claims), state=st.sampled_from(["pending", "unknown"]))
    def put_back(self, claimed: list[Effect], state: str) -> None:
        for effect in claimed:
            mine = self._token(effect) == effect.claim_token
            try:
                run(effects.put_back(self.conn, effect, state, wait_ms=0, why="x"))
            except Conflict:
                assert not mine
            else:
                assert mine

    @rule(worker=st.sampled_from([1, 2]))
    def expire_after_a_crash(self, worker: int) -> None:
        """No lock is held: every other worker is dead, and leases of 0 s have run out."""
        run(effects.expire_claims(self.conn, worker))
        rows = self.raw.execute("SELECT claimed_by FROM effect WHERE state = 'claimed'").fetchall()
        assert all(row["claimed_by"] == worker for row in rows)

    def _token(self, effect: Effect) -> str | None:
        row = self.raw.execute(
            "SELECT claim_token FROM effect WHERE id = %s", (effect.id,)
        ).fetchone()
        token: str | None = row["claim_token"] if row else None
        return token

    @invariant()
    def at_most_one_claim_in_a_lane(self) -> None:
        rows = self.raw.execute(
            "SELECT lane FROM effect WHERE state = 'claimed' GROUP BY lane HAVING count(*) > 1"
        ).fetchall()
        assert rows == []

    @invariant()
    def lanes_settle_in_order(self) -> None:
        for lane in LANES:
            order = self.settled_order[lane]
            assert order == self.added[lane][: len(order)]

    @invariant()
    def what_is_settled_stays_settled(self) -> None:
        rows = self.raw.execute(
            "SELECT key, state FROM effect WHERE state IN ('done', 'rejected')"
        ).fetchall()
        assert {row["key"]: row["state"] for row in rows} == {
            key: state for key, (state, _) in self.settled.items()
        }


@pytest.mark.usefixtures("database")
def test_lanes_hold_whatever_happens(database: Database) -> None:
    class Here(Lanes):
        conninfo = database.conninfo(Role.APP)

    case = Here.TestCase
    case.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
    case().runTest()
