"""A yard with one card terminal for two connectors: 0.40 a kWh, no tax, guests alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sample_config import whole
from wattledger.clock import DrivenClock, utc_text
from wattledger.config import parse, versions
from wattledger.db import effects
from wattledger.db import versions as store
from wattledger.db.effects import Done, Effect, Outcome
from wattledger.db.work import Work
from wattledger.payments.terminal import reports
from wattledger.pipeline import outcomes
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.charging.end import stop
from wattledger.pipeline.charging.start import start
from wattledger.pipeline.terminals import terminal_reports
from wattledger.pipeline.terminals.terminal_reports import Taken
from wattledger.pipeline.world import World
from wattledger.wire.ocpp import v16

T0 = datetime(2026, 11, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
GUESTS = {"id": "guest", "name": "Guests", "route": "terminal", "ad_hoc": True}
ACME = {"id": "acme", "entity": "north", "kind": "http", "url": "https://acme.example.com",
        "secret_env": "ACME"}  # fmt: skip
DOOR = {"id": "door", "site": "yard", "provider": "acme", "serves": ["Y-1"], "tokens": ["CARD"],
        "reader": "4711", "mode": "vendor_captures"}  # fmt: skip


def with_terminal(**changes: Any) -> dict[str, Any]:
    """The sample configuration with the terminal ``door``; ``changes`` are the terminal's."""
    found = whole(site__1__charge_points__0__connectors=2)
    found["plan"].append(GUESTS)
    found["terminal_vendor"] = [ACME]
    found["terminal"] = [DOOR | changes]
    return found


class Yard:
    """Charge point Y-1, two connectors, one terminal at its door."""

    def __init__(self, world: World, clock: DrivenClock) -> None:
        self.world, self.clock = world, clock

    @classmethod
    async def made(cls, work: Work, clock: DrivenClock, config: dict[str, Any]) -> Yard:
        async with work.transaction("apply") as tx:
            await store.apply(tx.conn, versions(parse(config)), datetime(2026, 1, 1, tzinfo=UTC))
        return cls(World(work), clock)

    async def begin(
        self, after: timedelta, connector: int = 1, token: str = "CARD", at: str = "Y-1"
    ) -> tuple[str, int]:
        """A session starts ``after`` T0: its id and its number."""
        self.clock.advance(max(T0 + after, self.world.now))
        message = v16.StartTransaction(connector, token, 0, utc_text(T0 + after))
        started = await start(self.world, at, message)
        assert started.session_id is not None
        return started.session_id, started.transaction_id

    async def finish(self, number: int, after: timedelta, wh: int, at: str = "Y-1") -> None:
        """It stops ``after`` T0."""
        self.clock.advance(max(T0 + after, self.world.now))
        message = v16.StopTransaction(wh, utc_text(T0 + after), number)
        await stop(self.world, at, message)

    async def charge(self, after: timedelta, wh: int, at: str = "Y-1") -> str:
        """A session that starts ``after`` T0 and is stopped half an hour later; its id."""
        session_id, number = await self.begin(after, at=at)
        await self.finish(number, after + 30 * MINUTE, wh, at)
        return session_id

    async def two(self) -> tuple[str, str]:
        """10 kWh at connector 1 from 00:01 to 00:31, and 8 kWh at 2 from 00:02 to 00:32."""
        one, first = await self.begin(MINUTE, 1)
        two, second = await self.begin(2 * MINUTE, 2)
        await self.finish(first, 31 * MINUTE, 10_000)
        await self.finish(second, 32 * MINUTE, 8_000)
        return one, two

    async def bill(self, session_id: str) -> str:
        """After the settle window: the state it is in."""
        self.clock.advance(self.world.now + MINUTE)
        return await bill(self.world, session_id)

    async def report(self, kind: str, reference: str, amount: str, **more: Any) -> Taken:
        """As the vendor says it; at T0, if it says nothing else."""
        row = {"kind": kind, "reference": reference, "terminal": "door", "amount": amount,
               "at": utc_text(T0), **more}  # fmt: skip
        return await terminal_reports.take(self.world, "acme", reports.read(row, "$"))

    async def rows(self, query: str) -> list[dict[str, Any]]:
        async with self.world.work.pool.connection() as conn:
            return await (await conn.execute(query.encode())).fetchall()

    async def one(self, query: str) -> Any:
        """The one value of a query with one row."""
        (row,) = await self.rows(query)
        (value,) = row.values()
        return value

    async def codes(self) -> list[str]:
        """What a person has to look at."""
        query = "SELECT code FROM anomaly WHERE resolved_at IS NULL ORDER BY code"
        return [row["code"] for row in await self.rows(query)]

    async def parts(self, session_id: str) -> list[tuple[str, int]]:
        """How a session is collected."""
        found = await self.rows(
            "SELECT k.state, k.amount_minor FROM collection k JOIN charge c ON c.id = k.charge_id"
            f" WHERE c.session_id = '{session_id}' ORDER BY c.revision, k.part"
        )
        return [(row["state"], row["amount_minor"]) for row in found]

    async def claim(self, kind: str) -> list[Effect]:
        """The effects of a kind that are due, as a worker gets them."""
        now = self.world.now
        async with self.world.work.transaction("x") as tx:
            return await effects.claim(
                tx.conn, worker=1, now=now, kinds=[kind], lanes=[], limit=9, lease_s=60
            )

    async def due(self) -> None:
        """Do what was put off until now."""
        for effect in await self.claim("money.due"):
            await outcomes.take(self.world, effect, Done({}))

    async def answer(self, kind: str, outcome: Outcome) -> Effect:
        """Claim the one that is due, and take in its outcome."""
        (claimed,) = await self.claim(kind)
        await outcomes.take(self.world, claimed, outcome)
        return claimed
