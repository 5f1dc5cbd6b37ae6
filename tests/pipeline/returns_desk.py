"""One session that a card has paid, and what the processor says of its money afterwards.

10 kWh at 0.40 and 10 % tax: 4.00 + 0.40 = 4.40 are captured of a hold of 25.00.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
from test_adjust import LATER, Desk

import handmade as hand
from sample_config import whole
from wattledger.config import parse, versions
from wattledger.contract import Route
from wattledger.db import effects
from wattledger.db import versions as config_store
from wattledger.db.effects import Done, Outcome
from wattledger.db.roles import Role
from wattledger.pipeline import outcomes
from wattledger.pipeline.returning import refunds
from wattledger.pipeline.settle import read_done
from wattledger.rating import Charge, decode

READ = effects.Effect(
    1, "stripe.read", "stripe", "l", 1, "k", {}, LATER, 1, "t", LATER, False
)  # fmt: skip


def item(key: str, category: str, amount: int, fee: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": key, "category": category, "currency": "USD", "amount_minor": amount,
        "fee_minor": fee, "net_minor": amount - fee, "source": None, "charge": None,
        "created_at": "2026-12-03T12:00:00+00:00", "available_at": "2026-12-05T00:00:00+00:00",
        **more,
    }  # fmt: skip


class ReturnsDesk(Desk):
    """A desk at which money goes back."""

    async def paid(self, **contract: Any) -> None:
        """Billed and captured."""
        self.end(route=Route.CARD, **contract)
        await self.bill()
        await self.captured(440)
        self.clock.advance(LATER)

    async def policies(self, **changes: Any) -> None:
        await self.configure(
            whole(**{f"policies__{name}": value for name, value in changes.items()})
        )

    async def configure(self, changed: dict[str, Any]) -> None:
        """As if it had been so since January."""
        async with self.world.work.transaction("apply") as tx:
            await config_store.apply(
                tx.conn, versions(parse(changed)), datetime(2026, 1, 2, tzinfo=UTC)
            )
        await self.world.refresh()

    async def ask(self, kind: str = "correction", key: str = "k1", **scope: Any) -> Any:
        given = scope or {"whole": True}
        return await refunds.ask(
            self.world, "ses_1", given, kind, "charger was slow", actor="page:Ann", key=key
        )

    async def answer(self, kind: str, outcome: Outcome) -> effects.Effect:
        """The oldest effect of a kind that is due gets its outcome."""
        async with self.world.work.transaction("x") as tx:
            [claimed] = await effects.claim(
                tx.conn, worker=1, now=tx.now, kinds=[kind], lanes=[], limit=1, lease_s=60
            )
        await outcomes.take(self.world, claimed, outcome)
        return claimed

    async def refunded(self, status: str = "succeeded", key: str = "re_1") -> None:
        await self.answer(
            "stripe.refund", Done({"refund_id": key, "status": status, "failure_reason": None})
        )

    async def read(
        self, *items: dict[str, Any], payouts: list[dict[str, Any]] | None = None
    ) -> None:
        """The processor's lines, in a reading of now."""
        effect = msgspec.structs.replace(READ, due_at=self.world.now)
        response = {"items": list(items), "payouts": payouts or [], "unreadable": [], "next": None}
        snapshot = await self.world.snapshot(self.world.now)
        async with self.world.work.transaction("settle") as tx:
            await read_done(tx, snapshot, effect, response)

    async def charge_read(self) -> None:
        """Charge and release of the rest, at 2.9 % + 0.30: 1.03 of 25.00, 0.43 of 4.40."""
        await self.read(
            item("txn_1", "charge", 2_500, 103, source="ch_1", charge="ch_1"),
            item("txn_2", "partial_capture_reversal", -2_060, -60, source="re_0", charge="ch_1"),
        )

    async def was_read(self) -> None:
        """The effect of a reading that is done, so that reconciling compares."""
        async with self.world.work.transaction("x") as tx:
            await tx.conn.execute(
                "INSERT INTO effect (kind, subject, lane, lane_seq, key, request, due_at,"
                " caused_at) VALUES ('stripe.read', 'stripe', %s, 1, %s, '{}', %s, %s)",
                (f"x:{tx.now}", f"x:{tx.now}", tx.now, tx.now),
            )
            await tx.conn.execute(
                "UPDATE effect SET state = 'claimed', claim_token = 'x', claimed_by = 1"
                " WHERE key = %s",
                (f"x:{tx.now}",),
            )
            await tx.conn.execute(
                "UPDATE effect SET state = 'done', claim_token = NULL, claimed_by = NULL,"
                " settled_at = %s, response = '{}' WHERE key = %s",
                (tx.now, f"x:{tx.now}"),
            )

    async def standing(self) -> Charge:
        [(raw,)] = await self.rows(
            "SELECT document FROM charge WHERE kind = 'charge' ORDER BY revision DESC LIMIT 1"
        )
        return decode(bytes(raw))

    async def sent(self) -> list[tuple[Any, ...]]:
        return await self.rows(
            "SELECT amount_minor, cause, state, why FROM payment_refund ORDER BY created_at, id"
        )

    async def codes(self) -> list[str]:
        return [code for [code] in await self.rows("SELECT code FROM anomaly ORDER BY id")]

    async def told(self, like: str) -> list[dict[str, Any]]:
        rows = await self.rows(
            "SELECT request FROM effect WHERE kind = 'webhook.deliver'"
            f" AND request->>'type' LIKE '{like}' ORDER BY id"
        )
        return [row[0] for row in rows]

    async def identity(self) -> dict[str, int]:
        """captured - refunds - disputes_net - fees = paid_out + in_transit."""
        money = (await self.holds())["money"]
        left = money["captured"] - money["refunds"] - money["disputes_net"] - money["fees"]
        assert left == money["paid_out"] + money["in_transit"], money
        return dict(money)

    def disputed(self, status: str = "needs_response", **more: Any) -> None:
        """A dispute of the payment, written by hand."""
        values: dict[str, Any] = {
            "id": "du_1", "processor_id": "stripe", "entity_id": "north", "payment_id": "pay_1",
            "session_id": "ses_1", "currency": "USD", "amount_minor": 440, "reason": "fraudulent",
            "status": status, "inquiry": status.startswith("warning_"),
            "opened_at": self.world.now, "seen_at": self.world.now,
            "evidence_due_at": self.world.now + timedelta(days=9), **more,
        }  # fmt: skip
        with psycopg.connect(self.database.conninfo(Role.APP)) as conn:
            hand.insert(conn, "dispute", **values)
