"""Applying a configuration: immutable versions, in force from a time on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sample_config import whole
from wattledger.config import parse, versions
from wattledger.db import versions as store
from wattledger.db.connect import Pool
from wattledger.db.versions import Change
from wattledger.entitlements import Directory
from wattledger.section import Version

T1 = datetime(2026, 11, 1, tzinfo=UTC)
T2 = T1 + timedelta(days=1)
T3 = T1 + timedelta(days=2)


def _plan(key: str, discount: str) -> Version:
    return Version("plan", key, {"id": key, "discount_percent": discount})


async def _apply(pool: Pool, wanted: list[Version], at: datetime) -> list[Change]:
    async with pool.connection() as conn:
        return await store.apply(conn, wanted, at)


async def _in_force(pool: Pool, at: datetime) -> dict[str, Any]:
    async with pool.connection() as conn:
        directory = Directory(await store.load(conn))
    found = {}
    for key in ("a", "b"):
        digest = directory.at(at).digest("plan", key)
        if digest:
            async with pool.connection() as conn:
                found[key] = (await store.body_of(conn, digest))["discount_percent"]
    return found


async def test_what_is_new_is_added_and_what_is_unchanged_stays(pool: Pool) -> None:
    a = _plan("a", "10")
    assert await _apply(pool, [a], T1) == [Change("plan", "a", "added", a.digest)]
    assert await _apply(pool, [a], T2) == []
    async with pool.connection() as conn:
        assert await store.latest_seq(conn) == 1


async def test_what_changed_gets_a_version_of_its_own_and_the_old_one_still_holds_before(
    pool: Pool,
) -> None:
    old, new = _plan("a", "10"), _plan("a", "20")
    await _apply(pool, [old], T1)
    assert await _apply(pool, [new], T2) == [Change("plan", "a", "changed", new.digest)]
    assert await _in_force(pool, T2 - timedelta(microseconds=1)) == {"a": "10"}
    assert await _in_force(pool, T2) == {"a": "20"}


async def test_what_is_gone_from_the_file_ends(pool: Pool) -> None:
    await _apply(pool, [_plan("a", "10"), _plan("b", "5")], T1)
    assert await _apply(pool, [_plan("b", "5")], T2) == [Change("plan", "a", "ended", None)]
    assert await _in_force(pool, T1) == {"a": "10", "b": "5"}
    assert await _in_force(pool, T2) == {"b": "5"}
    assert await _apply(pool, [_plan("b", "5")], T3) == [], "it ends once"


async def test_what_comes_back_is_the_same_version(pool: Pool) -> None:
    a, b = _plan("a", "10"), _plan("a", "20")
    for at, wanted in ((T1, a), (T2, b), (T3, a)):
        await _apply(pool, [wanted], at)
    async with pool.connection() as conn:
        digests = [row.digest for row in await store.load(conn)]
    assert digests == [a.digest, b.digest, a.digest]
    assert await _in_force(pool, T3) == {"a": "10"}


async def test_a_version_for_the_future_is_not_in_force_before(pool: Pool) -> None:
    await _apply(pool, [_plan("a", "10")], T1)
    await _apply(pool, [_plan("a", "20")], T3)
    assert await _in_force(pool, T2) == {"a": "10"}
    assert await _in_force(pool, T3) == {"a": "20"}
    assert await _apply(pool, [_plan("a", "20")], T2) == [], "planned is planned"


async def test_a_change_before_a_planned_one_overrules_the_plan(pool: Pool) -> None:
    await _apply(pool, [_plan("a", "10")], T1)
    await _apply(pool, [_plan("a", "20")], T3)
    await _apply(pool, [_plan("a", "30")], T2)
    assert await _in_force(pool, T2) == {"a": "30"}
    assert await _in_force(pool, T3) == {"a": "30"}, "the file says 30 from T2 on, for good"
    assert await _apply(pool, [_plan("a", "30")], T2) == [], "and says nothing new again"


async def test_a_planned_change_is_brought_forward_when_its_time_is_said_anew(pool: Pool) -> None:
    await _apply(pool, [_plan("a", "10")], T1)
    await _apply(pool, [_plan("a", "20")], T3)
    async with pool.connection() as conn:
        changes = await store.apply(conn, [_plan("a", "20")], T2, keep_plans=False)
    assert [change.what for change in changes] == ["changed"]
    assert await _in_force(pool, T2) == {"a": "20"}


async def test_two_applies_at_once_take_turns(pool: Pool) -> None:
    wanted = [_plan("a", "10"), _plan("b", "5")]
    results = await asyncio.gather(*(_apply(pool, wanted, T1) for _ in range(4)))
    assert sorted(len(changes) for changes in results) == [0, 0, 0, 2]


async def test_no_such_version(pool: Pool) -> None:
    async with pool.connection() as conn:
        with pytest.raises(LookupError, match="no configuration version ff"):
            await store.body_of(conn, "ff")


async def test_a_whole_file_goes_in_and_comes_out_as_it_was(pool: Pool) -> None:
    wanted = versions(parse(whole()))
    assert len(await _apply(pool, wanted, T1)) == len(wanted)
    async with pool.connection() as conn:
        found = [Version(row.kind, row.key, row.body or {}) for row in await store.load(conn)]
    assert [v.digest for v in found] == [v.digest for v in wanted], "jsonb changes no content"
    assert await _apply(pool, versions(parse(whole())), T2) == []
