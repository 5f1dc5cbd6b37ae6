"""A charge and what it is collected by, with the processor played by the test.

10 kWh for 4.40, unless a test says another total.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
import pytest

import handmade as hand
from wattledger.contract import PaymentTerms, Route
from wattledger.db import effects
from wattledger.db.connect import Database
from wattledger.db.effects import Done, Effect, Outcome, Rejected
from wattledger.db.roles import Role
from wattledger.ledger import entries
from wattledger.ledger import store as ledger
from wattledger.ledger.proof import prove
from wattledger.payments import store as payments
from wattledger.pipeline import outcomes
from wattledger.pipeline.collecting import parts
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions

# Ann has a card on file, and agreed to be charged again.
ANN: dict[str, Any] = {
    "account_id": "ann", "processor_id": "stripe", "customer": "cus_ann",
    "payment_method": "pm_ann", "consent": True, "shortfall": "debt", "hold_minor": 2_500,
}  # fmt: skip
GUEST: dict[str, Any] = {**ANN, "account_id": None, "customer": None, "payment_method": None}


class Till:
    """One session or more, each with a charge."""

    def __init__(self, world: World, database: Database) -> None:
        self.world = world
        self._database = database

    def add(
        self,
        total: int = 440,
        *,
        number: int = 1,
        route: Route = Route.CARD,
        terms: PaymentTerms | None = None,
        state: str = "billed",
        payment: dict[str, Any] | None = None,
        stop_wh: int | None = 11_000,
        started_at: datetime = hand.NOW,
        **promised: Any,
    ) -> str:
        """A session with its charge of ``total`` and, unless ``payment`` is empty, a hold of
        25.00; the session's id."""
        promised = {**ANN, **promised}
        if terms is not None:
            promised["payment"] = terms
        with psycopg.connect(self._database.conninfo(Role.APP)) as conn:
            with conn.transaction():
                key = hand.add_session(
                    conn, f"ses_{number}", route=route, state=state, charge_point=f"CP-{number}",
                    promised=promised, account_id=promised["account_id"], stop_wh=stop_wh,
                    started_at=started_at,
                )  # fmt: skip
            if payment != {}:
                more = {"intent_id": f"pi_{number}", "authorized_minor": 2_500,
                        "driver": promised["account_id"], **(payment or {})}  # fmt: skip
                hand.add_payment(conn, f"pay_{number}", key, **more)
            if state == "billed":
                tax = total // 11
                with conn.transaction():
                    conn.execute(b"SET CONSTRAINTS ALL DEFERRED")
                    hand.add_charge(
                        conn, f"chg_{number}", key, net=total - tax, tax=tax, revision=1
                    )
        return key

    async def collect(self, session_id: str = "ses_1") -> None:
        """As bill does, once the charge is written."""
        number = session_id.removeprefix("ses_")
        async with self.world.work.transaction("x") as tx:
            row = await sessions.get(tx.conn, session_id)
            assert row is not None
            charge = await (
                await tx.conn.execute(
                    "SELECT * FROM charge WHERE session_id = %s ORDER BY revision DESC",
                    (session_id,),
                )
            ).fetchone()
            assert charge is not None
            entry = entries.charge_issued(
                row.entity_id, f"chg_{number}", charge["entity_date"], "USD", row.contract.route,
                [("energy", charge["net_minor"])], charge["tax_minor"],
            )  # fmt: skip
            await ledger.book(tx.conn, entry, tx.now)
            payment = await payments.of_session(tx.conn, session_id)
            planned = await parts.plan_for(tx, row, charge["total_minor"], payment)
            await parts.write(tx, row, charge["id"], planned, payment, charge["entity_date"])

    async def claim(self, kind: str) -> Effect:
        """The first of its kind that is due."""
        async with self.world.work.transaction("x") as tx:
            (claimed,) = await effects.claim(
                tx.conn, worker=1, now=self.world.now, kinds=[kind], lanes=[], limit=1, lease_s=60
            )
        return claimed

    async def answer(self, kind: str, outcome: Outcome) -> Effect:
        """The processor's answer to the one of its kind that is due."""
        claimed = await self.claim(kind)
        await outcomes.take(self.world, claimed, outcome)
        return claimed

    async def says(self, kind: str, **response: Any) -> Effect:
        """Done."""
        return await self.answer(kind, Done(response))

    async def refuses(self, kind: str, code: str, **more: Any) -> Effect:
        """Rejected."""
        return await self.answer(kind, Rejected({"code": code, **more}))

    async def charges(self, taken: int | None = None) -> Effect:
        """A charge without a hold is taken, for what was asked unless it says so."""
        claimed = await self.claim("stripe.charge")
        asked = claimed.request["params"]["amount"]
        name = claimed.subject.removeprefix("pay_")
        response = {"intent_id": f"pi_{name}", "charge_id": f"ch_{name}",
                    "captured_minor": asked if taken is None else taken}  # fmt: skip
        await outcomes.take(self.world, claimed, Done(response))
        return claimed

    async def alarms(self) -> int:
        """Everything that was put off and whose time has come is done; how many."""
        async with self.world.work.transaction("x") as tx:
            claimed = await effects.claim(
                tx.conn, worker=1, now=self.world.now, kinds=["money.due"], lanes=[], limit=50,
                lease_s=60,
            )  # fmt: skip
        for effect in claimed:
            await outcomes.take(self.world, effect, Done({}))
        return len(claimed)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Each as a tuple."""
        async with self.world.work.pool.connection() as conn:
            cursor = await conn.execute(query.encode())
            return [tuple(row.values()) for row in await cursor.fetchall()]

    async def parts(self) -> list[tuple[Any, ...]]:
        """State, amount and payment's leg of every part."""
        return await self.rows(
            "SELECT k.state, k.amount_minor, p.leg FROM collection k"
            " LEFT JOIN payment p ON p.id = k.payment_id ORDER BY k.charge_id, k.part"
        )

    async def debts(self) -> list[tuple[Any, ...]]:
        """State, amount and why of every debt."""
        return await self.rows(
            "SELECT state, amount_minor, why FROM debt ORDER BY opened_at, charge_id, part"
        )

    async def payments(self) -> list[tuple[Any, ...]]:
        """Leg, state and captured of every payment."""
        return await self.rows(
            "SELECT leg, state, captured_minor FROM payment ORDER BY leg, number, id"
        )

    async def asked(self) -> list[tuple[Any, ...]]:
        """What is to be sent to the processor, in order."""
        return await self.rows(
            "SELECT kind, COALESCE(request->'amount_minor', request->'params'->'amount')::int"
            " FROM effect WHERE kind LIKE 'stripe.%' AND state = 'pending' ORDER BY id"
        )

    async def shown(self) -> list[str]:
        """The codes of what a person is shown."""
        return [code for (code,) in await self.rows("SELECT code FROM anomaly ORDER BY id")]

    async def balance(self, account: str) -> int:
        """Debit less credit."""
        ((found,),) = await self.rows(
            "SELECT COALESCE(sum(debit_minor - credit_minor), 0)::bigint FROM journal_line"
            f" WHERE account = '{account}'"
        )
        return int(found)

    async def unproved(self) -> list[str]:
        """What the proof of the ledger finds."""
        async with await self._database.connect(Role.READER) as conn, conn.transaction():
            return [f"{f.check} {f.subject}" for f in (await prove(conn)).findings]


def terms(**changes: Any) -> PaymentTerms:
    """The defaults, and these."""
    return PaymentTerms(**changes)


@pytest.fixture
def till(world: World, database: Database) -> Till:
    """With nothing in it."""
    return Till(world, database)
