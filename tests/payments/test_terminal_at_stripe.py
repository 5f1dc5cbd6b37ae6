"""A start at a reader of the stand-in processor, from the request to the capture: a card that is
declined, another that is not, a session of 10 kWh, and 4.36 captured of 25.00.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from rig.network import SECRETS, STARTS_AT
from rig.sandbox import Sandbox
from sample_config import whole
from wattledger.clock import DrivenClock, utc_text
from wattledger.config import parse, versions
from wattledger.contract import Route
from wattledger.db import effects
from wattledger.db import versions as store
from wattledger.db.effects import Done
from wattledger.db.work import Work
from wattledger.payments.model import Processor
from wattledger.payments.stripe.client import StripeGate
from wattledger.pipeline import outcomes
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.charging.end import stop
from wattledger.pipeline.charging.start import start
from wattledger.pipeline.starting import ask_start
from wattledger.pipeline.world import World
from wattledger.wire.ocpp import v16

MINUTE = timedelta(minutes=1)
KINDS = ["stripe.intent", "stripe.reader", "stripe.reader_cancel", "stripe.fetch",
         "stripe.release", "stripe.capture", "money.due"]  # fmt: skip


class Desk:
    """The depot, with a reader, and a worker of one pair of hands."""

    def __init__(
        self, world: World, clock: DrivenClock, gate: StripeGate, processor: Sandbox, reader: str
    ) -> None:
        self.world, self.clock, self.gate = world, clock, gate
        self.processor, self.reader = processor, reader

    async def work(self) -> None:
        """Until nothing is due."""
        while True:
            async with self.world.work.transaction("x") as tx:
                some = await effects.claim(
                    tx.conn, worker=1, now=self.world.now, kinds=KINDS, lanes=[], limit=1,
                    lease_s=60,
                )  # fmt: skip
            if not some:
                return
            timed = some[0].kind == "money.due"
            outcome = Done({}) if timed else await self.gate.call(some[0])
            await outcomes.take(self.world, some[0], outcome)

    async def hold_up(self, number: str) -> None:
        """A card to the reader, and a quarter of a minute: no webhook comes."""
        await self.processor.sim(f"reader/{self.reader}/present", number=number)
        self.clock.advance(self.world.now + timedelta(seconds=15))
        await self.work()

    async def row(self, query: str) -> dict[str, Any]:
        async with self.world.work.pool.connection() as conn:
            (row,) = await (await conn.execute(query.encode())).fetchall()
            return row


async def _apply(work: Work, reader: str, day: int, **changes: Any) -> None:
    """The depot with its reader, from that day of January on."""
    config = whole(**changes)
    config["plan"].append({"id": "guest", "name": "Guests", "route": "terminal", "ad_hoc": True})
    config["terminal"] = [{"id": "door", "site": "depot", "provider": "stripe",
                           "serves": ["D-1"], "reader": reader}]  # fmt: skip
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(config)), datetime(2026, 1, day, tzinfo=UTC))


@pytest.fixture
async def desk(work: Work, clock: DrivenClock, processor: Sandbox) -> Desk:
    client = stripe.StripeClient(
        SECRETS["RIG_STRIPE_KEY"], base_addresses={"api": processor.url}, max_network_retries=0,
        http_client=stripe.HTTPXClient(),
    )  # fmt: skip
    terminal = client.v1.terminal
    place = await terminal.locations.create_async({
        "display_name": "Depot",
        "address": {"line1": "1 Main St", "city": "Austin", "state": "TX", "country": "US",
                    "postal_code": "78701"},
    })  # fmt: skip
    made = await terminal.readers.create_async(
        {"registration_code": "simulated-wpe", "location": place.id}
    )
    await _apply(work, made.id, 1)
    account = Processor("stripe", "north", "stripe", "RIG_STRIPE_KEY", "S", (),
                        base_url=processor.url, rate_per_s=1000,
                        endpoint_rate_per_s=1000)  # fmt: skip
    gate = StripeGate(account, SECRETS.__getitem__)
    return Desk(World(work), clock, gate, processor, made.id)


async def _asked(desk: Desk) -> str:
    wanted = ask_start.Wanted(Route.TERMINAL, "D-1", "r1", nonce="n", reader_id="door")
    asked = await ask_start.ask(desk.world, wanted)
    assert asked.start is not None
    await desk.work()
    return asked.start.token


async def test_from_the_reader_to_the_capture(desk: Desk) -> None:
    token = await _asked(desk)
    await desk.hold_up("4000000000000002")
    assert (await desk.row("SELECT state FROM start_request"))["state"] == "paying"
    await desk.hold_up("5555555555554444")
    assert (await desk.row("SELECT state FROM start_request"))["state"] == "starting"
    held = await desk.row("SELECT state, method, brand, authorized_minor FROM payment")
    assert held == {"state": "held", "method": "card_present", "brand": "mastercard",
                    "authorized_minor": 2_500}  # fmt: skip
    at = desk.world.now
    begun = await start(desk.world, "D-1", v16.StartTransaction(1, token, 0, utc_text(at)))
    desk.clock.advance(at + 30 * MINUTE)
    over = v16.StopTransaction(10_000, utc_text(desk.world.now), begun.transaction_id)
    await stop(desk.world, "D-1", over)
    desk.clock.advance(desk.world.now + 2 * MINUTE)
    assert begun.session_id is not None
    assert await bill(desk.world, begun.session_id) == "billed"
    await desk.work()
    # 4.00 and 8.875 % tax.
    assert await desk.row("SELECT state, captured_minor FROM payment") == {
        "state": "captured", "captured_minor": 436,
    }  # fmt: skip
    (intent,) = await desk.processor.intents()
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 436)


async def test_nobody_comes_and_the_reader_is_free_again(desk: Desk) -> None:
    await _asked(desk)
    for _ in range(12):
        desk.clock.advance(desk.world.now + MINUTE)
        await desk.work()
    assert (await desk.row("SELECT state FROM start_request"))["state"] == "expired"
    assert (await desk.row("SELECT state FROM payment"))["state"] == "released"
    (intent,) = await desk.processor.intents()
    assert intent["status"] == "canceled"
    wanted = ask_start.Wanted(Route.TERMINAL, "D-1", "r2", nonce="n", reader_id="door")
    await ask_start.ask(desk.world, wanted)
    await desk.work()
    await desk.hold_up("4242424242424242")
    states = await desk.row(
        "SELECT array_agg(state ORDER BY reference) AS states FROM start_request"
    )
    assert states["states"] == ["expired", "starting"]


@pytest.mark.parametrize(("rule", "days"), [([], 2), ([{"extended_authorization": True}], 30)])
async def test_a_hold_at_a_reader_lasts_longer_where_that_was_asked_for(
    work: Work, desk: Desk, rule: list[dict[str, Any]], days: int
) -> None:
    """A Mastercard at a reader: two days, or thirty. The alarm comes twelve hours before."""
    await _apply(work, desk.reader, 2, payment=rule)
    await _asked(desk)
    await desk.hold_up("5555555555554444")
    held = await desk.row("SELECT capture_before FROM payment WHERE state = 'held'")
    lapses_at = STARTS_AT + timedelta(days=days)
    assert abs(held["capture_before"] - lapses_at) < MINUTE
    alarm = await desk.row(
        "SELECT due_at FROM effect WHERE request->>'what' = 'hold.lapse' AND state = 'pending'"
    )
    assert alarm["due_at"] == held["capture_before"] - timedelta(hours=12)
