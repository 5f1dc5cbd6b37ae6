"""The effect table: what is to be done to the world, and what is known of its outcome.

An effect is written in the transaction that caused it, claimed by a worker, called outside
any transaction, and settled in the step that moves its subject on. Guarantees:

- only the head of a lane can be claimed, so nothing overtakes;
- a result is taken only under the claim it was made for;
- a claim whose worker died or was too slow becomes *unknown*, and unknown is resolved by its
  kind's way before anything is sent again;
- what was decided to be sent never changes (the database refuses it).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from wattledger.errors import Conflict

Conn = AsyncConnection[dict[str, Any]]
# The namespace of the advisory locks that say "this worker lives".
LIVENESS = 0x57417474


class Effect(msgspec.Struct, frozen=True):
    """A claimed effect. ``resolving``: an earlier call's outcome is not known."""

    id: int
    kind: str
    subject: str
    lane: str
    attempt: int
    key: str
    request: dict[str, Any]
    due_at: datetime
    tries: int
    claim_token: str
    first_sent_at: datetime
    resolving: bool


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It had its effect."""

    response: dict[str, Any]


class Rejected(msgspec.Struct, frozen=True, tag="rejected"):
    """The other side refused for good: it had none and will have none."""

    response: dict[str, Any]


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """No answer, or one that says nothing. Resolved later, never resent blindly.

    ``look_up``: asking again under the same key would say nothing either (a stored 500).
    """

    why: str
    look_up: bool = False


class NotSent(msgspec.Struct, frozen=True, tag="not_sent"):
    """It certainly had no effect, and may be tried again."""

    why: str


class NewAttempt(msgspec.Struct, frozen=True, tag="new_attempt"):
    """Proof that the attempt had no effect: another may be made, under another key."""

    why: str


Outcome = Done | Rejected | Unknown | NotSent | NewAttempt


async def add(
    conn: Conn,
    *,
    kind: str,
    subject: str,
    lane: str,
    key: str,
    request: dict[str, Any],
    due_at: datetime,
    caused_at: datetime,
    attempt: int = 1,
) -> bool:
    """Append to a lane. False when an effect with this key is there already: then nothing is
    added, which makes every step that adds effects repeatable."""
    # Two transactions appending to one lane take turns, else both would draw the same lane_seq.
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (lane,))
    cursor = await conn.execute(
        "INSERT INTO effect"
        " (kind, subject, lane, lane_seq, attempt, key, request, due_at, caused_at)"
        " SELECT %s, %s, %s, COALESCE(max(lane_seq), 0) + 1, %s, %s, %s, %s, %s"
        " FROM effect WHERE lane = %s ON CONFLICT (key) DO NOTHING",
        (kind, subject, lane, attempt, key, Jsonb(request), due_at, caused_at, lane),
    )
    return cursor.rowcount == 1


_DUE_HEADS = """
    SELECT e.id, e.state, e.due_at FROM effect e
    WHERE e.settled_at IS NULL AND e.state IN ('pending', 'unknown') AND e.due_at <= %(now)s
      AND (e.not_before IS NULL OR e.not_before <= clock_timestamp())
      AND {mine}
      AND NOT e.subject = ANY(%(busy)s)
      AND NOT EXISTS (SELECT FROM effect p WHERE p.lane = e.lane AND p.lane_seq < e.lane_seq
                      AND p.settled_at IS NULL)
    ORDER BY e.due_at, e.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""
_OF_LANES = _DUE_HEADS.format(mine="e.lane = ANY(%(lanes)s)")
# Kind by kind, so that the index hands over the first of each in their order, whatever the planner
# knows of the table: for all kinds at once it would read and sort everything that is due.
_OF_KINDS = f"""
    SELECT head.* FROM unnest(%(kinds)s::text[]) AS of (kind)
     CROSS JOIN LATERAL ({_DUE_HEADS.format(mine="e.kind = of.kind")}) AS head
     ORDER BY head.due_at, head.id LIMIT %(limit)s
"""


async def claim(
    conn: Conn,
    *,
    worker: int,
    now: datetime,
    kinds: list[str],
    lanes: list[str],
    limit: int,
    lease_s: int,
    busy: Sequence[str] = (),
) -> list[Effect]:
    """Claim due heads of lanes: of these kinds, or in these lanes (a gateway's connections).

    ``busy``: subjects that have all the hands they may have."""
    asked = [_OF_KINDS] * bool(kinds) + [_OF_LANES] * bool(lanes)
    if not asked:
        return []
    heads = " UNION ".join(f"SELECT * FROM ({part}) AS mine" for part in asked)
    cursor = await conn.execute(
        f"WITH head AS ({heads})"
        " UPDATE effect e SET state = 'claimed', claimed_by = %(worker)s,"
        " claimed_until = clock_timestamp() + make_interval(secs => %(lease_s)s),"
        " claim_token = %(worker)s || ':' || e.id || ':' || (e.tries + 1), tries = e.tries + 1,"
        " first_sent_at = COALESCE(e.first_sent_at, clock_timestamp())"
        " FROM head WHERE e.id = head.id"
        " RETURNING e.id, e.kind, e.subject, e.lane, e.attempt, e.key, e.request, e.due_at,"
        " e.tries, e.claim_token, e.first_sent_at, head.state = 'unknown' AS resolving",
        {
            "now": now, "kinds": kinds, "lanes": lanes, "limit": limit,
            "worker": worker, "lease_s": lease_s, "busy": list(busy),
        },
    )  # fmt: skip
    rows = [Effect(**row) for row in await cursor.fetchall()]
    return sorted(rows, key=lambda e: (e.due_at, e.id))


async def lives(conn: Conn, worker: int) -> bool:
    """Whether a worker's lock is held, by whatever session."""
    cursor = await conn.execute(
        "SELECT pg_try_advisory_xact_lock(%s, %s) AS free", (LIVENESS, worker)
    )
    row = await cursor.fetchone()
    return row is not None and not row["free"]


async def expire_claims(conn: Conn, worker: int) -> int:
    """Claims of dead or overdue workers become unknown; how many. ``worker`` is the caller."""
    cursor = await conn.execute(
        "UPDATE effect SET state = 'unknown', claim_token = NULL, claimed_by = NULL,"
        " claimed_until = NULL WHERE id IN (SELECT id FROM effect"
        " WHERE settled_at IS NULL AND state = 'claimed'"
        "   AND (claimed_until < clock_timestamp()"
        "     OR (claimed_by <> %s AND pg_try_advisory_xact_lock(%s, claimed_by)))"
        # One whose outcome is being stored right now is locked: it is not overdue for long.
        "   FOR UPDATE SKIP LOCKED)",
        (worker, LIVENESS),
    )
    return cursor.rowcount


async def settle(
    conn: Conn, effect: Effect, state: str, response: dict[str, Any], now: datetime
) -> None:
    """Done or rejected, under the claim. Raises Conflict when the claim was lost meanwhile."""
    cursor = await conn.execute(
        "UPDATE effect SET state = %s, response = %s, settled_at = %s, claim_token = NULL,"
        " claimed_by = NULL, claimed_until = NULL"
        " WHERE id = %s AND state = 'claimed' AND claim_token = %s",
        (state, Jsonb(response), now, effect.id, effect.claim_token),
    )
    if cursor.rowcount != 1:
        raise Conflict(f"effect {effect.id} ({effect.kind}) is no longer claimed by this worker")


async def put_back(conn: Conn, effect: Effect, state: str, *, wait_ms: int, why: str) -> None:
    """To 'pending' (certainly not sent) or 'unknown', not to be claimed again for ``wait_ms``."""
    cursor = await conn.execute(
        "UPDATE effect SET state = %s, response = %s, claim_token = NULL, claimed_by = NULL,"
        " claimed_until = NULL,"
        " not_before = clock_timestamp() + make_interval(secs => %s::numeric / 1000)"
        " WHERE id = %s AND state = 'claimed' AND claim_token = %s",
        (state, Jsonb({"why": why}), wait_ms, effect.id, effect.claim_token),
    )
    if cursor.rowcount != 1:
        raise Conflict(f"effect {effect.id} ({effect.kind}) is no longer claimed by this worker")


async def supersede(
    conn: Conn, *, kind: str, subject: str, message_id: str | None, but: str, now: datetime
) -> int:
    """What waits to be sent and says less than what comes now (``but``, its key) is not sent any
    more; how many. One that a worker has in hand goes out."""
    cursor = await conn.execute(
        "UPDATE effect SET state = 'claimed', claim_token = 'superseded:' || id"
        " WHERE id IN (SELECT id FROM effect WHERE subject = %s AND kind = %s AND state = 'pending'"
        "   AND key <> %s AND (%s::text IS NULL OR request->>'message_id' = %s)"
        "   FOR UPDATE SKIP LOCKED) RETURNING id",
        (subject, kind, but, message_id, message_id),
    )
    found = [row["id"] for row in await cursor.fetchall()]
    if found:
        await conn.execute(
            "UPDATE effect SET state = 'rejected', claim_token = NULL, settled_at = %s,"
            " response = %s WHERE id = ANY(%s)",
            (now, Jsonb({"code": "superseded"}), found),
        )
    return len(found)


async def give_up(conn: Conn, *, kind: str, subject: str, why: str, now: datetime) -> bool:
    """What is not done yet of this is not tried any more. False while a worker has some of it in
    hand: that goes on. Only for what is no loss when it was done after all."""
    cursor = await conn.execute(
        "SELECT id, state FROM effect WHERE subject = %s AND kind = %s"
        " AND state NOT IN ('done', 'rejected') ORDER BY id FOR UPDATE",
        (subject, kind),
    )
    rows = await cursor.fetchall()
    found = [row["id"] for row in rows if row["state"] != "claimed"]
    await conn.execute(
        "UPDATE effect SET state = 'claimed', claim_token = 'given up:' || id WHERE id = ANY(%s)",
        (found,),
    )
    await conn.execute(
        "UPDATE effect SET state = 'rejected', claim_token = NULL, settled_at = %s, response = %s"
        " WHERE id = ANY(%s)",
        (now, Jsonb({"code": "given_up", "why": why}), found),
    )
    return len(found) == len(rows)


def backoff_ms(tries: int, most_ms: int = 60_000) -> int:
    """50 ms, doubling, at most a minute or ``most_ms``. Machine time."""
    return int(min(most_ms, 50 * 2 ** min(tries - 1, 24)))
