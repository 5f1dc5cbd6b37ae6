"""Immutable, content-addressed configuration: written once, in force from a time on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from wattledger.section import Activation, Version


class Change(msgspec.Struct, frozen=True):
    """What ``apply`` did to one (kind, key)."""

    kind: str
    key: str
    what: str  # 'added', 'changed', 'ended'
    digest: str | None


async def apply(
    conn: AsyncConnection[dict[str, Any]],
    wanted: Iterable[Version],
    valid_from: datetime,
    *,
    keep_plans: bool = True,
) -> list[Change]:
    """Make ``wanted`` the whole configuration from ``valid_from`` on; what is unchanged stays.

    What was planned for later is overruled where it says something else. Where it says the same,
    ``keep_plans`` leaves it at its own time: a restart with the file of a planned change must not
    put it in force early. Without it the change is brought forward.
    """
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('wattledger.apply'))")
    timelines = await _timelines(conn)
    versions = {(version.kind, version.key): version for version in wanted}
    changes: list[Change] = []
    for place in sorted(timelines.keys() | versions.keys()):
        version = versions.get(place)
        digest = version.digest if version else None
        timeline = timelines.get(place, [])
        last = timeline[-1][1] if timeline else None
        if last == digest and (keep_plans or _at(timeline, valid_from) == digest):
            continue
        if version is not None:
            await conn.execute(
                "INSERT INTO config_version (digest, kind, key, body) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (digest) DO NOTHING",
                (version.digest, version.kind, version.key, Jsonb(version.body)),
            )
        for at in _times(timeline, valid_from, digest):
            await conn.execute(
                "INSERT INTO config_activation (kind, key, valid_from, digest)"
                " VALUES (%s, %s, %s, %s)",
                (*place, at, digest),
            )
        what = "ended" if digest is None else "changed" if last else "added"
        changes.append(Change(*place, what, digest))
    return changes


# When each (kind, key) says what, in order of time: the last word for a time counts.
_Timeline = list[tuple[datetime, str | None]]


async def _timelines(
    conn: AsyncConnection[dict[str, Any]],
) -> dict[tuple[str, str], _Timeline]:
    cursor = await conn.execute(
        "SELECT DISTINCT ON (kind, key, valid_from) kind, key, valid_from, digest"
        " FROM config_activation ORDER BY kind, key, valid_from, seq DESC"
    )
    found: dict[tuple[str, str], _Timeline] = {}
    for row in await cursor.fetchall():
        found.setdefault((row["kind"], row["key"]), []).append((row["valid_from"], row["digest"]))
    return found


def _at(timeline: _Timeline, when: datetime) -> str | None:
    return next((digest for at, digest in reversed(timeline) if at <= when), None)


def _times(timeline: _Timeline, valid_from: datetime, digest: str | None) -> list[datetime]:
    """``valid_from``, and each later time at which something else was planned."""
    later = [at for at, planned in timeline if at > valid_from and planned != digest]
    return [valid_from, *later]


async def load(conn: AsyncConnection[dict[str, Any]]) -> Sequence[Activation]:
    """Everything that was ever put in force, in order."""
    cursor = await conn.execute(
        "SELECT a.seq, a.kind, a.key, a.valid_from, a.digest, v.body"
        " FROM config_activation a LEFT JOIN config_version v USING (digest) ORDER BY a.seq"
    )
    return [Activation(**row) for row in await cursor.fetchall()]


async def latest_seq(conn: AsyncConnection[dict[str, Any]]) -> int:
    """The number of the last activation: a copy in memory with this number is fresh."""
    cursor = await conn.execute("SELECT COALESCE(max(seq), 0) AS seq FROM config_activation")
    row = await cursor.fetchone()
    return int(row["seq"]) if row else 0


async def body_of(conn: AsyncConnection[dict[str, Any]], digest: str) -> dict[str, Any]:
    """The body of a version, which never changes."""
    cursor = await conn.execute("SELECT body FROM config_version WHERE digest = %s", (digest,))
    row = await cursor.fetchone()
    if row is None:
        raise LookupError(f"no configuration version {digest}")
    body: dict[str, Any] = row["body"]
    return body
