"""A yard whose starts are paid for first: what the processor and charge points answer is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sample_config import whole
from wattledger.clock import DrivenClock, utc_text
from wattledger.config import parse, versions
from wattledger.contract import Route
from wattledger.db import effects
from wattledger.db import versions as store
from wattledger.db.effects import Done, Effect, Outcome, Rejected
from wattledger.db.work import Work
from wattledger.payments import store as payments
from wattledger.payments.starts_store import StartRequest
from wattledger.pipeline import outcomes
from wattledger.pipeline.charging import start as sessions_start
from wattledger.pipeline.charging.start import Started
from wattledger.pipeline.handlers import Settled
from wattledger.pipeline.kinds import TIMED
from wattledger.pipeline.starting import ask_start, holds
from wattledger.pipeline.starting.ask_start import Asked, Wanted
from wattledger.pipeline.world import World
from wattledger.wire.ocpp import v16

T0 = datetime(2026, 11, 2, tzinfo=UTC)
POINT = "D-1"  # 22 kW: the processor's first step, 25.00


class Yard:
    """A world, and short ways to say what happens in it."""

    def __init__(self, world: World, clock: DrivenClock) -> None:
        self.world = world
        self.clock = clock

    @classmethod
    async def open(cls, work: Work, clock: DrivenClock, **changes: Any) -> Yard:
        """The sample configuration, in which walk-up is the guests' plan."""
        config = parse(whole(**{"plan__0__ad_hoc": True, **changes}))
        async with work.transaction("apply") as tx:
            await store.apply(tx.conn, versions(config), datetime(2026, 1, 1, tzinfo=UTC))
        return cls(World(work), clock)

    async def rows(self, query: str, *given: Any) -> list[dict[str, Any]]:
        async with self.world.work.pool.connection() as conn:
            return await (await conn.execute(query.encode(), given)).fetchall()

    async def ask(self, reference: str = "a", route: Route = Route.APP, **more: Any) -> Asked:
        """Ann by her app, or a guest."""
        if route is Route.APP:
            more.setdefault("account_id", "ann")
        wanted = {"charge_point_id": POINT, "connector_id": 1, "nonce": "n", **more}
        return await ask_start.ask(self.world, Wanted(route, reference=reference, **wanted))

    async def start(self, start_id: str) -> dict[str, Any]:
        (row,) = await self.rows("SELECT * FROM start_request WHERE id = %s", start_id)
        return row

    async def payments(self) -> list[tuple[str, int, bool]]:
        """State, size and whether it has its session, oldest first."""
        found = await self.rows("SELECT * FROM payment ORDER BY created_at, id")
        return [(row["state"], row["hold_minor"], row["session_id"] is not None) for row in found]

    async def asked_of(self, kind: str) -> list[dict[str, Any]]:
        """The requests of a kind of effect, in order."""
        found = await self.rows("SELECT request FROM effect WHERE kind = %s ORDER BY id", kind)
        return [row["request"] for row in found]

    async def _claim(self, kinds: list[str], lanes: list[str]) -> Effect | None:
        async with self.world.work.transaction("claim") as tx:
            found = await effects.claim(
                tx.conn, worker=1, now=self.world.now, kinds=kinds, lanes=lanes, limit=1, lease_s=60
            )
        return found[0] if found else None

    async def answer(self, kind: str, outcome: Outcome) -> None:
        """The next effect of this kind is answered."""
        lanes = [f"cp:{POINT}"] if kind.startswith("ocpp.") else []
        effect = await self._claim([] if lanes else [kind], lanes)
        assert effect is not None, f"no {kind} is due"
        assert effect.kind == kind
        await outcomes.take(self.world, effect, outcome)

    async def held(self, kind: str = "stripe.hold", minor: int = 2_500, **more: Any) -> None:
        """The card holds as much."""
        await self.answer(kind, Done(hold_of(minor, **more)))

    async def seen(self, status: str, payment_id: str | None = None, **found: Any) -> None:
        """The intent of a payment (the last one's) is fetched, as after a webhook."""
        (row,) = await self.rows(
            "SELECT id, intent_id FROM payment WHERE COALESCE(id = %s, true)"
            " ORDER BY created_at DESC, id DESC LIMIT 1", payment_id,
        )  # fmt: skip
        intent = {**hold_of(2_500, row["intent_id"]), "id": row["intent_id"], "status": status}
        now, effect = self.world.now, Effect(
            1, "stripe.fetch", row["intent_id"], "lane", 1, "key", {}, T0, 1, "claim", T0, False
        )  # fmt: skip
        snapshot = await self.world.snapshot(now)
        async with self.world.work.transaction("held", now=now) as tx:
            payment = await payments.get(tx.conn, row["id"])
            settled = Settled(tx, self.world, snapshot, effect, {})
            await holds.intent_seen(settled, payment, {**intent, **found})

    async def told(self) -> None:
        """The charge point accepts the remote start."""
        await self.answer("ocpp.remote_start", Done({"status": "Accepted"}))

    async def not_told(self, code: str = "Rejected") -> None:
        await self.answer("ocpp.remote_start", Rejected({"code": code}))

    async def pass_time(self, seconds: int) -> None:
        """What was put off until then is done."""
        until = self.clock.now() + timedelta(seconds=seconds)
        while True:
            (row,) = await self.rows(
                "SELECT min(due_at) AS at FROM effect WHERE state = 'pending' AND kind = ANY(%s)",
                TIMED,
            )
            if row["at"] is None or row["at"] > until:
                break
            self.clock.advance(max(row["at"], self.clock.now()))
            effect = await self._claim(TIMED, [])
            assert effect is not None
            await outcomes.take(self.world, effect, Done({}))
        self.clock.advance(until)

    async def begin(self, token: str) -> Started:
        """A session begins with this token."""
        message = v16.StartTransaction(1, token, 0, utc_text(self.world.now))
        return await sessions_start.start(self.world, POINT, message)


def hold_of(minor: int, intent: str = "pi_1", **more: Any) -> dict[str, Any]:
    """What the gate says of a hold that stands."""
    return {
        "intent_id": intent, "charge_id": intent.replace("pi", "ch"), "held_minor": minor,
        "capturable_minor": minor, "capture_before": "2026-11-09T00:00:00+00:00", "brand": "visa",
        "last4": "4242", **more,
    }  # fmt: skip


def of(asked: Asked) -> StartRequest:
    """The start that was accepted."""
    assert asked.start is not None, asked.reason
    return asked.start
