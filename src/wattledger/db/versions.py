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
    conn: AsyncConnection[dict[str, Any]], wanted: Iterable[Version], valid_from: datetime
) -> list[Change]:
    """Make ``wanted`` the whole configuration from ``valid_from`` on; what is unchanged stays."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('wattledger.apply'))")
    cursor = await conn.execute(
        "SELECT DISTINCT ON (kind, key) kind, key, digest FROM config_activation"
        " ORDER BY kind, key, valid_from DESC, seq DESC"
    )
    present = {(row["kind"], row["key"]): row["digest"] for row in await cursor.fetchall()}
    changes: list[Change] = []
    seen: set[tuple[str, str]] = set()
    for version in wanted:
        place = (version.kind, version.key)
        seen.add(place)
        before = present.get(place)
        if before == version.digest:
            continue
        await conn.execute(
            "INSERT INTO config_version (digest, kind, key, body) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (digest) DO NOTHING",
            (version.digest, version.kind, version.key, Jsonb(version.body)),
        )
        what = "changed" if before else "added"
        changes.append(Change(version.kind, version.key, what, version.digest))
    gone = sorted(place for place, digest in present.items() if digest and place not in seen)
    changes += [Change(kind, key, "ended", None) for kind, key in gone]
    for change in changes:
        await conn.execute(
            "INSERT INTO config_activation (kind, key, valid_from, digest) VALUES (%s, %s, %s, %s)",
            (change.kind, change.key, valid_from, change.digest),
        )
    return changes


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
