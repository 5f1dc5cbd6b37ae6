"""A charge point with a payment terminal of its own (OCPP 2.1, C18 to C23), spoken through the PyPI
``ocpp`` package, which holds every message in either direction against the standard's schemas.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import ocpp.messages
import ocpp.v21
import pytest
import websockets

from sample_config import whole
from wattledger.clock import DrivenClock, utc_text
from wattledger.config import parse, versions
from wattledger.db import effects
from wattledger.db import versions as store
from wattledger.db.connect import Pool
from wattledger.db.effects import Done
from wattledger.db.work import Work
from wattledger.gateway.server import Gateway
from wattledger.ingest.journal import Journal
from wattledger.pipeline import outcomes, timed
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.terminals.terminal_reports import notify_settlement
from wattledger.pipeline.world import World
from wattledger.wire.ocpp import v21

ocpp.messages.ASYNC_VALIDATION = False
T0 = datetime(2026, 11, 2, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)
GUESTS = {"id": "guest", "name": "Guests", "route": "terminal", "ad_hoc": True}
CALL = ocpp.v21.call


class Yard:
    """A gateway, and the charge point Y-1 that speaks to it."""

    def __init__(self, world: World, clock: DrivenClock, url: str) -> None:
        self.world, self.clock, self.url = world, clock, url

    @asynccontextmanager
    async def point(self) -> AsyncIterator[Any]:
        async with websockets.connect(
            f"{self.url}/Y-1", subprotocols=[websockets.Subprotocol("ocpp2.1")], proxy=None
        ) as socket:
            point = ocpp.v21.ChargePoint("Y-1", socket, 10)
            listening = asyncio.create_task(point.start())
            yield point
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, websockets.ConnectionClosed):
                await listening

    async def charged(self, point: Any, reference: str = "PSP-1") -> str:
        """10 kWh by a card that the charge point's own terminal has read; the session."""
        for number, (kind, at, wh, reason) in enumerate(
            [("Started", T0, 0, "Authorized"), ("Ended", T0 + HALF_AN_HOUR, 10_000, "EVDeparted")]
        ):
            self.clock.advance(at)
            answer = await point.call(CALL.TransactionEvent(
                event_type=kind, timestamp=utc_text(at), trigger_reason=reason, seq_no=number,
                transaction_info={"transaction_id": "tx-1"}, evse={"id": 1, "connector_id": 1},
                id_token={"id_token": reference, "type": "DirectPayment"},
                meter_value=[{"timestamp": utc_text(at), "sampled_value": [
                    {"value": wh, "unit_of_measure": {"unit": "Wh"}}]}],
            ))  # fmt: skip
            assert answer.id_token_info["status"] == "Accepted"
        return str((await self.rows("SELECT id FROM session"))[0]["id"])

    async def settles(self, point: Any, amount: float, status: str = "Settled", **more: Any) -> Any:
        said = {"psp_ref": "PSP-1", "transaction_id": "tx-1"} | more
        return await point.call(CALL.NotifySettlement(
            status=status, settlement_amount=amount,
            settlement_time=utc_text(self.world.now), **said,
        ))  # fmt: skip

    async def bill(self, session_id: str) -> str:
        """What was put off until now, and after the settle window the bill."""
        now = self.world.now
        async with self.world.work.transaction("x") as tx:
            due = await effects.claim(
                tx.conn, worker=1, now=now, kinds=[timed.DUE], lanes=[], limit=9, lease_s=60
            )
        for effect in due:
            await outcomes.take(self.world, effect, Done({}))
        self.clock.advance(self.world.now + timedelta(minutes=5))
        return await bill(self.world, session_id)

    async def rows(self, query: str) -> list[dict[str, Any]]:
        async with self.world.work.pool.connection() as conn:
            return await (await conn.execute(query.encode())).fetchall()

    async def codes(self) -> list[str]:
        query = "SELECT code FROM anomaly WHERE resolved_at IS NULL ORDER BY code"
        return [row["code"] for row in await self.rows(query)]


@pytest.fixture
async def yard(work: Work, pool: Pool, clock: DrivenClock) -> AsyncIterator[Yard]:
    found = whole(site__1__meter_interval_s=0)
    found["plan"].append(GUESTS)
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(found)), datetime(2026, 1, 1, tzinfo=UTC))
    world = World(work)
    async with Journal(pool, 30) as journal:
        gateway = Gateway(world, journal)
        port, _ = await gateway.begin("127.0.0.1", 0)
        yield Yard(world, clock, f"ws://127.0.0.1:{port}/ocpp")
        await gateway.end()


async def test_a_session_is_held_until_its_settlement_and_then_paid_by_it(yard: Yard) -> None:
    async with yard.point() as point:
        session_id = await yard.charged(point)
        [row] = await yard.rows("SELECT route, token FROM session")
        assert row == {"route": "terminal", "token": "PSP-1"}
        assert await yard.bill(session_id) == "held"
        assert "payment.missing" in await yard.codes()
        first = await yard.settles(point, 4.00)
        assert (first.receipt_url, first.receipt_id) == (None, None)
        assert await yard.bill(session_id) == "billed"
        # The same message again gets the same answer, and changes nothing.
        assert await yard.settles(point, 4.00) == first
        # Where receipts have links, the driver is told.
        yard.world.receipt_link = lambda session_id: f"https://pay.example/r/{session_id}"
        again = await yard.settles(point, 4.00)
        assert again.receipt_url == f"https://pay.example/r/{session_id}"
        assert again.receipt_id == session_id
    [paid] = await yard.rows("SELECT reference, amount_minor FROM external_payment")
    assert paid == {"reference": "ocpp:Y-1:PSP-1", "amount_minor": 400}
    [payment] = await yard.rows("SELECT state, matched_by, session_id FROM terminal_payment")
    assert payment == {"state": "matched", "matched_by": "reference", "session_id": session_id}
    assert "payment.missing" not in await yard.codes()


async def test_the_settlement_may_come_first(yard: Yard) -> None:
    async with yard.point() as point:
        session_id = await yard.charged(point)
        await yard.settles(point, 4.000000001)  # a station counts in floats
        assert await yard.bill(session_id) == "billed"
    [paid] = await yard.rows("SELECT amount_minor FROM external_payment")
    assert paid == {"amount_minor": 400}


@pytest.mark.parametrize("status", ["Rejected", "Failed"])
async def test_a_settlement_that_was_refused_pays_nothing_until_it_is_settled(
    yard: Yard, status: str
) -> None:
    async with yard.point() as point:
        session_id = await yard.charged(point)
        for _ in range(2):
            await yard.settles(point, 4.00, status, status_info="no money")
        assert await yard.bill(session_id) == "held"
        assert {"payment.missing", "terminal.unsettled"} <= set(await yard.codes())
        await yard.settles(point, 4.00)
        assert await yard.bill(session_id) == "billed"
    assert await yard.rows("SELECT amount_minor FROM external_payment") == [{"amount_minor": 400}]


async def test_one_that_is_cancelled_before_its_transaction_is_no_payment(yard: Yard) -> None:
    async with yard.point() as point:
        await yard.settles(point, 0, "Canceled", transaction_id="")
    [payment] = await yard.rows("SELECT state, why, session_id FROM terminal_payment")
    assert payment == {"state": "returned", "why": "reversed", "session_id": None}
    assert await yard.codes() == []


async def test_what_was_settled_otherwise_is_kept_as_it_was_and_shown(yard: Yard) -> None:
    async with yard.point() as point:
        session_id = await yard.charged(point)
        await yard.settles(point, 4.00)
        await yard.bill(session_id)
        await yard.settles(point, 5.00)
    assert await yard.rows("SELECT settled_minor FROM terminal_payment") == [{"settled_minor": 400}]
    assert "terminal.differs" in await yard.codes()


async def test_its_frame_is_kept_before_it_is_answered(yard: Yard) -> None:
    async with yard.point() as point:
        await yard.settles(point, 4.00)
        frames = await yard.rows("SELECT raw FROM frame WHERE raw LIKE '%NotifySettlement%'")
    assert len(frames) == 1


async def test_a_guest_of_the_stations_terminal_is_let_in(yard: Yard) -> None:
    token = {"id_token": "PSP-7", "type": "DirectPayment"}
    async with yard.point() as point:
        answer = await point.call(CALL.Authorize(id_token=token))
        assert answer.id_token_info["status"] == "Accepted"
        # The same text as another kind of token is nobody's.
        other = await point.call(CALL.Authorize(id_token={**token, "type": "ISO14443"}))
        assert other.id_token_info["status"] == "Unknown"


async def test_what_another_station_calls_by_the_same_name_is_another_payment(yard: Yard) -> None:
    """D-1's terminal counts its own payments: neither its amount nor its cancellation is Y-1's."""

    def said(status: str, amount: str) -> v21.NotifySettlement:
        return v21.NotifySettlement("PSP-1", status, Decimal(amount), utc_text(yard.world.now))

    async with yard.point() as point:
        session_id = await yard.charged(point)
        await notify_settlement(yard.world, "D-1", said("Settled", "9.00"))
        await notify_settlement(yard.world, "D-1", said("Canceled", "0"))
        await yard.settles(point, 4.00)
        assert await yard.bill(session_id) == "billed"
    assert await yard.rows(
        "SELECT terminal_id, settled_minor, session_id FROM terminal_payment ORDER BY 1"
    ) == [
        {"terminal_id": "ocpp:D-1", "settled_minor": 900, "session_id": None},
        {"terminal_id": "ocpp:Y-1", "settled_minor": 400, "session_id": session_id},
    ]


async def test_a_payments_name_sent_by_another_station_pays_nothing_there(yard: Yard) -> None:
    """A card that was read at D-1, whose reference Y-1 sends as its token."""
    said = v21.NotifySettlement("PSP-1", "Settled", Decimal("4.00"), utc_text(T0))
    await notify_settlement(yard.world, "D-1", said)
    async with yard.point() as point:
        assert await yard.bill(await yard.charged(point)) == "held"
    assert await yard.rows("SELECT session_id FROM terminal_payment") == [{"session_id": None}]


@pytest.mark.parametrize("amount", [-4.00, -0.01, 9_999_999_999])
async def test_an_amount_that_no_payment_has_is_shown_and_changes_nothing(
    yard: Yard, amount: float
) -> None:
    async with yard.point() as point:
        session_id = await yard.charged(point)
        answer = await yard.settles(point, amount)
        assert (answer.receipt_url, answer.receipt_id) == (None, None)
        assert await yard.rows("SELECT FROM terminal_payment") == []
        assert await yard.codes() == ["terminal.differs"]
        await yard.settles(point, 4.00)
        assert await yard.bill(session_id) == "billed"


async def test_a_reference_that_no_database_keeps_is_shown_and_changes_nothing(yard: Yard) -> None:
    said = {"pspRef": "PSP\0", "status": "Settled", "settlementAmount": 4,
            "settlementTime": utc_text(T0), "transactionId": "tx-1"}  # fmt: skip
    async with websockets.connect(
        f"{yard.url}/Y-1", subprotocols=[websockets.Subprotocol("ocpp2.1")], proxy=None
    ) as socket:
        await socket.send(json.dumps([2, "1", "NotifySettlement", said]))
        answer = json.loads(await asyncio.wait_for(socket.recv(), 5))
    assert answer[:2] == [3, "1"], answer
    assert await yard.rows("SELECT FROM terminal_payment") == []
    assert await yard.codes() == ["terminal.differs"]
