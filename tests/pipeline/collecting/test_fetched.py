"""Objects as they are fetched: whatever order they come in, and however often, the end is the same.

Nothing goes back, nothing is done twice, and what no webhook told is found by the nightly sweep.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

import handmade as hand
from wattledger.clock import DrivenClock
from wattledger.db.connect import Database
from wattledger.db.effects import Effect
from wattledger.db.roles import Role
from wattledger.ingest.codes import describe
from wattledger.pipeline import settle
from wattledger.pipeline.collecting import fetched, hints
from wattledger.pipeline.handlers import Settled
from wattledger.pipeline.world import World

NOW = datetime(2026, 11, 2, tzinfo=UTC)
_FETCH = Effect(1, "stripe.fetch", "x", "l", 1, "k", {}, NOW, 1, "t", NOW, False)


class Stage:
    """Payments, and what the processor says of them."""

    def __init__(self, world: World, database: Database) -> None:
        self.world, self.database = world, database

    def payment(self, key: str, state: str = "held", **more: Any) -> None:
        with psycopg.connect(self.database.conninfo(Role.APP)) as conn:
            hand.insert(
                conn, "payment", id=key, entity_id="north", processor_id="stripe", currency="USD",
                hold_minor=2_500, state=state,
                **{"intent_id": f"pi_{key}", "external_charge_id": f"ch_{key}",
                   "created_at": NOW - timedelta(days=1)} | more,
            )  # fmt: skip

    def refund(self, key: str, payment_id: str, state: str = "sending") -> None:
        with psycopg.connect(self.database.conninfo(Role.APP)) as conn:
            hand.insert(
                conn, "payment_refund", id=key, payment_id=payment_id, entity_id="north",
                currency="USD", amount_minor=100, cause="suspense", state=state, created_at=NOW,
            )  # fmt: skip

    async def says(
        self, kind: str, found: dict[str, Any] | None, *, processor_id: str = "stripe",
        object_id: str | None = None, cause: str = "evt",
    ) -> None:  # fmt: skip
        """One fetch with its answer."""
        name = object_id or (found or {})["id"]
        request = {"processor_id": processor_id, "object": kind, "id": name, "cause": cause}
        effect = msgspec.structs.replace(_FETCH, subject=name, request=request)
        snapshot = await self.world.snapshot(self.world.now)
        async with self.world.work.transaction("fetched") as tx:
            await fetched.fetch_done(
                Settled(tx, self.world, snapshot, effect, {"object": kind, "found": found})
            )

    async def swept(self, request: dict[str, Any], **response: Any) -> None:
        effect = msgspec.structs.replace(
            _FETCH, kind="stripe.sweep", subject="stripe",
            request={"processor_id": "stripe", "until": NOW.isoformat(), **request},
        )  # fmt: skip
        snapshot = await self.world.snapshot(self.world.now)
        async with self.world.work.transaction("fetched") as tx:
            await fetched.sweep_done(Settled(tx, self.world, snapshot, effect, response))

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.world.work.pool.connection() as conn:
            found = await (await conn.execute(query.encode())).fetchall()
        return [tuple(row.values()) for row in found]

    async def everything(self) -> list[tuple[Any, ...]]:
        """All that an answer could change, but when it was looked at: a question may be asked
        again."""
        return await self.rows(
            "SELECT 'payment' AS t, to_jsonb(p)::text AS row FROM payment p"
            " UNION ALL SELECT 'dispute', (to_jsonb(d) - 'seen_at')::text FROM dispute d"
            " UNION ALL SELECT 'refund', to_jsonb(r)::text FROM payment_refund r"
            " UNION ALL SELECT 'warning', (to_jsonb(w) - 'seen_at')::text FROM fraud_warning w"
            " UNION ALL SELECT 'entry', to_jsonb(e)::text FROM entry e"
            " UNION ALL SELECT 'anomaly', to_jsonb(a)::text FROM anomaly a"
            " UNION ALL SELECT 'effect', e.key FROM effect e WHERE e.kind <> 'stripe.fetch'"
            " ORDER BY 1, 2"
        )


@pytest.fixture
async def stage(world: World, clock: DrivenClock, database: Database) -> Stage:
    return Stage(world, database)


def intent(key: str, status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"pi_{key}", "status": status, "currency": "USD", "amount_minor": 2_500,
        "held_minor": 2_500 if status == "requires_capture" else 0, "capturable_minor": 2_500,
        "captured_minor": 0, "metadata": {"payment_id": key}, "charge_id": f"ch_{key}",
        "capture_before": None, "decline_code": None, "cancellation_reason": None,
        "brand": "visa", "last4": "4242", "wallet": None, "fingerprint": "f",
        "can_increment": False, "customer": None, "reusable_method": None, "reader_id": None,
        "method": "card", **more,
    }  # fmt: skip


def dispute(key: str, status: str) -> dict[str, Any]:
    return {
        "id": f"du_{key}", "status": status, "amount_minor": 440, "currency": "USD",
        "charge_id": f"ch_{key}", "intent_id": f"pi_{key}", "reason": "general",
        "evidence_due_at": "2026-11-20T00:00:00+00:00", "inquiry": status.startswith("warning_"),
        "created_at": "2026-11-01T00:00:00+00:00",
    }  # fmt: skip


def refund(key: str, status: str) -> dict[str, Any]:
    return {
        "id": f"re_{key}", "status": status, "amount_minor": 100, "currency": "USD",
        "charge_id": f"ch_{key}", "intent_id": f"pi_{key}", "failure_reason": None,
        "metadata": {"payment_refund_id": f"prf_{key}"},
    }  # fmt: skip


def warning(key: str) -> dict[str, Any]:
    return {"id": f"issfr_{key}", "charge_id": f"ch_{key}", "intent_id": f"pi_{key}",
            "fraud_type": "misc", "actionable": True,
            "created_at": "2026-11-01T00:00:00+00:00"}  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_any_number_of_times(stage: Stage, seed: int) -> None:
    """What was true in turn, with repetitions, in a shuffled order; what is true now comes at the
    end, for that is what any further fetch would find. Then all of it again."""
    draw = random.Random(seed)
    said: list[tuple[str, dict[str, Any]]] = []
    lost_or_won: dict[str, str] = {}
    for n in range(4):
        key = f"p{n}"
        stage.payment(key, "captured", captured_minor=440)
        stage.refund(f"prf_{key}", key)
        lost_or_won[key] = draw.choice(["won", "lost"])
        said += [
            ("dispute", dispute(key, each))
            for each in (
                "warning_needs_response",
                "needs_response",
                "under_review",
                lost_or_won[key],
            )
        ]
        said += [("refund", refund(key, each)) for each in ("pending", "succeeded", "failed")]
        said += [("fraud_warning", warning(key)), ("payment_intent", intent(key, "succeeded"))]
    for n in range(4, 8):
        key = f"p{n}"
        stage.payment(key)
        said += [("payment_intent", intent(key, each)) for each in ("requires_capture", "canceled")]
    shuffled = said + draw.choices(said, k=len(said))
    draw.shuffle(shuffled)
    for kind, found in shuffled:
        await stage.says(kind, found)
    assert dict(await stage.rows("SELECT payment_id, status FROM dispute")) == lost_or_won
    assert {state for [state] in await stage.rows("SELECT state FROM payment_refund")} == {"failed"}
    assert (
        sorted(await stage.rows("SELECT state FROM payment"))
        == [("captured",)] * 4 + [("released",)] * 4
    )
    before = await stage.everything()
    again = shuffled * 2
    draw.shuffle(again)
    for kind, found in again:
        await stage.says(kind, found)
    assert await stage.everything() == before


async def test_a_fetch_that_waits_is_enough_and_one_under_way_is_not(stage: Stage) -> None:
    async def plan(cause: str) -> bool:
        async with stage.world.work.transaction("x") as tx:
            return await hints.plan_fetch(tx, "stripe", "refund", "re_1", cause)

    assert [await plan("evt_1"), await plan("evt_2"), await plan("evt_1")] == [True, False, False]
    with psycopg.connect(stage.database.conninfo(Role.OWNER)) as conn:
        conn.execute("UPDATE effect SET state = 'claimed', claim_token = 'x', claimed_by = 1")
    assert [await plan("evt_3"), await plan("evt_4")] == [True, False]
    assert await stage.rows("SELECT request->>'cause' AS cause FROM effect ORDER BY id") == [
        ("evt_1",), ("evt_3",),
    ]  # fmt: skip


async def test_what_no_webhook_told_is_found_at_night(stage: Stage) -> None:
    stage.payment("p1", "captured", captured_minor=440)
    stage.payment("p2")
    stage.payment("p3", created_at=NOW)
    stage.refund("prf_p1", "p1")
    await stage.swept(
        {"batch": 1}, intents=[intent("p2", "canceled")],
        disputes=[dispute("p1", "needs_response")], refunds=[refund("p1", "pending")],
        warnings=[warning("p1")],
        next={"since": "a", "until": NOW.isoformat(), "what": ["refunds"],
              "starting_after": "re_9"},
    )  # fmt: skip
    # What says something else than we do is looked at by itself, and so is what is not over here,
    # but for what began a moment ago; and it goes on.
    assert await stage.rows(
        "SELECT kind, subject, request->>'starting_after' AS after FROM effect"
        " WHERE kind LIKE 'stripe.%' ORDER BY kind, subject"
    ) == [
        ("stripe.fetch", "du_p1", None), ("stripe.fetch", "issfr_p1", None),
        ("stripe.fetch", "pi_p2", None), ("stripe.fetch", "re_p1", None),
        ("stripe.sweep", "stripe", "re_9"),
    ]  # fmt: skip


async def test_what_is_known_is_not_looked_at_again_by_night(stage: Stage) -> None:
    """Nor a release of what a partial capture left: the processor lists it as a refund."""
    stage.payment("p1", "captured", captured_minor=440)
    stage.refund("prf_p1", "p1")
    said = {
        "intents": [intent("p1", "succeeded")], "disputes": [dispute("p1", "lost")],
        "refunds": [refund("p1", "succeeded"), refund("p9", "succeeded")],
        "warnings": [warning("p1")],
    }  # fmt: skip
    for kind, name in (("dispute", "disputes"), ("fraud_warning", "warnings")):
        await stage.says(kind, said[name][0])
    await stage.says("refund", said["refunds"][0])
    await stage.swept({"batch": 2}, **said, next=None)
    assert await stage.rows("SELECT key FROM effect WHERE kind LIKE 'stripe.%'") == []


async def test_a_sweep_is_planned_with_each_nightly_reading(stage: Stage) -> None:
    for _ in range(2):
        await settle.ensure_schedule(stage.world)
    # 02:00 in New York (EST) and in Berlin (CET); the first looks 30 days back.
    assert await stage.rows(
        "SELECT subject, due_at, request->>'since' AS since, request->'what' AS what FROM effect"
        " WHERE kind = 'stripe.sweep' ORDER BY subject"
    ) == [
        ("stripe", NOW + timedelta(hours=7), "2026-10-03T07:00:00+00:00", hints.WHAT),
        ("stripe-eu", NOW + timedelta(hours=1), "2026-10-03T01:00:00+00:00", hints.WHAT),
    ]


async def test_an_intent_of_nobody_is_shown_once_it_holds_money(stage: Stage) -> None:
    for status in ("requires_payment_method", "canceled", "requires_capture", "succeeded"):
        await stage.says("payment_intent", intent("who", status))
    await stage.says("payment_intent", None, object_id="pi_none")
    assert await stage.rows("SELECT code, subject FROM anomaly") == [("intent.unknown", "pi_who")]


async def test_an_intent_of_another_account_is_not_ours(stage: Stage) -> None:
    """Two legal entities never share a payment: not by its name either."""
    stage.payment("p1")
    await stage.says("payment_intent", intent("p1", "canceled"), processor_id="stripe-eu")
    await stage.says("dispute", dispute("p1", "lost"), processor_id="stripe-eu")
    assert await stage.rows("SELECT state FROM payment") == [("held",)]
    assert await stage.rows("SELECT entity_id, payment_id FROM dispute") == [("rhine", None)]


async def test_an_intent_that_is_over_here_is_looked_at_twice_before_it_is_shown(
    stage: Stage,
) -> None:
    """The first look may be older than what is known: a fetch is planned, and says it again."""
    stage.payment("p1", "released")
    await stage.says("payment_intent", intent("p1", "canceled"))
    await stage.says("payment_intent", intent("p1", "requires_capture"))
    assert await stage.rows("SELECT code FROM anomaly") == []
    [(cause,)] = await stage.rows("SELECT request->>'cause' AS cause FROM effect")
    await stage.says("payment_intent", intent("p1", "requires_capture"), cause=cause)
    assert await stage.rows("SELECT code, subject FROM anomaly") == [("intent.differs", "p1")]
    assert describe("intent.differs").meaning
