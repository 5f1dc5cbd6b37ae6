"""Refunds made in the processor's dashboard, of a payment that pays for more than one session.

Ann owes three sessions, 4.40 (10 kWh), 2.20 (5 kWh) and 1.10 (2.5 kWh): her card declined each
hold. One charge of 7.70 collects them, and is the first one's.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import psycopg
import pytest
from returns_desk import ReturnsDesk, item
from starlette.applications import Starlette
from test_adjust import MINUTE, T0

import handmade as hand
from wattledger.api.report import report
from wattledger.clock import DrivenClock
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.effects import Done
from wattledger.db.roles import Role
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.payments.foreign_store import Share
from wattledger.payments.returns import divided
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.collecting import debts
from wattledger.pipeline.deciding import money_desk, money_view
from wattledger.pipeline.deciding.money_desk import Asked
from wattledger.pipeline.reconcile import reconcile
from wattledger.pipeline.returning.taken_over import take_over
from wattledger.pipeline.world import World
from wattledger.web import page_routes

OURS = {"sec-fetch-site": "same-origin"}
PRICES = {"ses_1": 440, "ses_2": 220, "ses_3": 110}
SUSPENSE, CLEARING = "suspense.processor", "clearing.stripe"
ANN: dict[str, Any] = {
    "account_id": "ann", "processor_id": "stripe", "customer": "cus_ann",
    "payment_method": "pm_ann", "consent": True, "shortfall": "debt", "hold_minor": 2_500,
}  # fmt: skip


class DebtDesk(ReturnsDesk):
    """Several sessions, each a debt until one charge has collected all."""

    async def owed(self) -> None:
        self.clock.advance(T0)
        with psycopg.connect(self.database.conninfo(Role.APP)) as conn:
            for number, (key, minor) in enumerate(PRICES.items(), start=1):
                self._ended(conn, key, minor * 10_000 // 440, f"CP-{number}")
        self.clock.advance(T0 + MINUTE)
        for key in PRICES:
            assert await bill(self.world, key) == "billed"

    def _ended(self, conn: hand.Conn, key: str, wh: int, charge_point: str) -> None:
        [(digest,)] = conn.execute(
            "SELECT digest FROM config_version WHERE kind = 'tariff' AND key = 'standard'"
        ).fetchall()
        began = T0 - timedelta(hours=1)
        terms = hand.contract(
            route=Route.CARD, tariff_digest=digest, as_of=began, known_at=began, **ANN
        )
        hand.insert(
            conn, "session", id=key, entity_id="north", site_id="depot",
            charge_point_id=charge_point, connector_id=1, source="ocpp1.6", token="T1",
            route="card", account_id="ann", contract=msgspec.to_builtins(terms), state="ended",
            started_at=began, stopped_at=T0, ended_at=T0, meter_start_wh=0, meter_stop_wh=wh,
            bill_due_at=T0 + MINUTE,
        )  # fmt: skip
        for kind, at, register_wh in (("start", began, 0), ("stop", T0, wh)):
            hand.insert(
                conn, "session_fact", session_id=key, kind=kind, at=at, received_at=T0,
                register_wh=register_wh, dedupe=f"{key}:{kind}",
            )  # fmt: skip
        hand.add_payment(
            conn, f"pay_{key}", key, state="declined", decline_code="card_declined",
            driver="ann", intent_id=f"pi_{key}",
        )  # fmt: skip

    async def collected(self) -> None:
        """7.70 are charged and read. 0.52 are the processor's."""
        [(first,)] = await self.rows("SELECT charge_id FROM debt WHERE session_id = 'ses_1'")
        await debts.try_now(self.world, f"{first}/1", actor="page:Ann")
        answer = {"intent_id": "pi_d", "charge_id": "ch_d", "captured_minor": 770}
        await self.answer("stripe.charge", Done(answer))
        await self.read(item("txn_1", "charge", 770, 52, source="ch_d", charge="ch_d"))

    async def refunded_there(self, minor: int, key: str = "txn_2", source: str = "re_9") -> None:
        await self.read(item(key, "refund", -minor, source=source, charge="ch_d"))

    async def taken(self, key: str = "txn_2", parts: dict[str, int] | None = None) -> list[Any]:
        return await take_over(
            self.world, key, "goodwill", "they called", actor="page:Ann", parts=parts
        )

    async def left(self) -> dict[str, int]:
        """What each session comes to now."""
        rows = await self.rows(
            "SELECT session_id, sum(total_minor)::bigint FROM charge GROUP BY 1 ORDER BY 1"
        )
        return dict(rows)

    async def adds_up(self) -> None:
        """Nothing is owed twice: the ledger is proved, the identities hold, nothing is a break but
        what the books were not told, and nothing is left in suspense or is to be sent."""
        async with await self.database.connect(Role.READER) as conn, conn.transaction():
            found = await report(conn)
        assert found["ledger"]["proved"] is True
        money = found["money"]
        assert money["charged"] == (
            money["captured"] + money["waived"] + money["debt"] - money["refund_due"]
        )
        left = money["captured"] - money["refunds"] - money["fees"]
        assert left == money["paid_out"] + money["in_transit"]
        assert (await self.books()).get(SUSPENSE, 0) == 0
        assert await self.rows("SELECT FROM effect WHERE kind = 'stripe.refund'") == []
        self.clock.advance(self.world.now + MINUTE)
        await self.was_read()
        await reconcile(self.world)
        assert await self.rows("SELECT leg, cause FROM break WHERE resolved_at IS NULL"
                               " AND leg <> 'books'") == []  # fmt: skip


@pytest.fixture
async def desk(world: World, clock: DrivenClock, database: Database) -> DebtDesk:
    found = DebtDesk(world, clock, database)
    await found.owed()
    await found.collected()
    return found


async def test_the_whole_of_it_is_given_back_of_each_session(desk: DebtDesk) -> None:
    await desk.refunded_there(770)
    found = await desk.taken()
    assert [(each.session_id, each.amount_minor) for each in found] == list(PRICES.items())
    assert await desk.left() == dict.fromkeys(PRICES, 0)
    assert sorted(await desk.sent()) == [(m, "refund", "done", None) for m in (110, 220, 440)]
    await desk.adds_up()
    for again in (None, {"ses_1": 440, "ses_2": 330}):
        with pytest.raises(Conflict, match="taken over already"):
            await desk.taken(parts=again)


@pytest.mark.parametrize(
    ("minor", "of"),
    [(220, {"ses_2": 220}), (550, {"ses_1": 440, "ses_3": 110}),
     (660, {"ses_1": 440, "ses_2": 220})],
)  # fmt: skip
async def test_what_only_whole_parts_come_to_is_of_these_sessions(
    desk: DebtDesk, minor: int, of: dict[str, int]
) -> None:
    await desk.refunded_there(minor)
    await desk.taken()
    assert await desk.left() == {key: price - of.get(key, 0) for key, price in PRICES.items()}
    await desk.adds_up()


async def test_what_may_be_of_several_is_held_for_a_person_who_divides_it(desk: DebtDesk) -> None:
    """2.00 may be of each of the two that cost more."""
    await desk.refunded_there(200)
    [(shown,)] = await desk.rows("SELECT detail FROM anomaly WHERE code = 'refund.foreign'")
    assert shown["sessions"] == list(PRICES)
    async with desk.world.work.pool.connection() as conn:
        (row,) = (await money_view.needs(conn, "north", desk.world.now)).foreign
    assert (row["divides"], row["shares"]) == (True, [Share(*each) for each in PRICES.items()])
    with pytest.raises(BadInput, match=r"ses_1 \(440 in minor units\), ses_2 \(220 in"):
        await desk.taken()
    assert await desk.left() == PRICES
    for wrong in ({"ses_1": 199}, {"ses_1": 90, "ses_3": 111}, {"ses_9": 200}, {"ses_1": 0},
                  {"ses_1": 201, "ses_2": -1}):  # fmt: skip
        with pytest.raises(BadInput):
            await desk.taken(parts=wrong)
    await desk.taken(parts={"ses_1": 150, "ses_2": 50})
    assert await desk.left() == {"ses_1": 290, "ses_2": 170, "ses_3": 110}
    assert await desk.rows("SELECT FROM anomaly WHERE code = 'refund.foreign'"
                           " AND resolved_at IS NULL") == []  # fmt: skip
    # What is left of each is what another one is held against.
    await desk.refunded_there(290, "txn_3", "re_8")
    await desk.taken("txn_3")
    assert await desk.left() == {"ses_1": 0, "ses_2": 170, "ses_3": 110}
    await desk.adds_up()


async def test_more_than_a_session_was_paid_by_it_is_not_its_alone(desk: DebtDesk) -> None:
    """The whole of the charge is more than its own session costs: that one does not get it all, and
    no other payment of it is given back for it."""
    await desk.refunded_there(700)
    with pytest.raises(BadInput):
        await desk.taken()
    with pytest.raises(BadInput, match="from 1 to 440"):
        await desk.taken(parts={"ses_1": 700})
    assert await desk.left() == PRICES


async def test_one_that_fails_later_is_owed_again_for_each_of_its_sessions(desk: DebtDesk) -> None:
    await desk.refunded_there(660)
    await desk.taken()
    await desk.read(item("txn_3", "refund_failure", 660, source="re_9", charge="ch_d"))
    assert sorted(await desk.sent()) == [
        (220, "refund", "failed", "refund_failure"), (440, "refund", "failed", "refund_failure"),
    ]  # fmt: skip
    books = await desk.books()
    assert (books["payable.driver"], books.get(SUSPENSE, 0)) == (-660, 0)
    assert (await desk.told("refund.returned"))[0]["data"]["journal"] == [
        {"debit": CLEARING, "credit": "payable.driver", "amount_minor": 660}
    ]


async def test_two_persons_who_divide_it_at_once_divide_it_once(desk: DebtDesk) -> None:
    """One says it was the first session's, the other the second's."""
    await desk.refunded_there(100)
    both = await asyncio.gather(
        desk.taken(parts={"ses_1": 100}), desk.taken(parts={"ses_2": 100}), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in both) == ["Conflict", "list"]
    assert sum((await desk.left()).values()) == 670
    await desk.adds_up()


async def test_its_failure_that_is_read_while_it_is_taken_over_is_not_lost(desk: DebtDesk) -> None:
    """Whichever is first: it is no refund at all, or it is one that failed."""
    await desk.refunded_there(220)
    failure = item("txn_3", "refund_failure", 220, source="re_9", charge="ch_d")
    taken, _ = await asyncio.gather(desk.taken(), desk.read(failure), return_exceptions=True)
    if isinstance(taken, NotFound):
        assert await desk.sent() == []
    else:
        assert await desk.sent() == [(220, "refund", "failed", "refund_failure")]
    assert (await desk.books()).get(SUSPENSE, 0) == 0
    async with await desk.database.connect(Role.READER) as conn, conn.transaction():
        assert (await report(conn))["ledger"]["proved"] is True


async def test_under_its_key_it_is_told_again_what_it_became(desk: DebtDesk) -> None:
    await desk.refunded_there(770)
    asked = Asked("txn_2", "key:support", "they called", kind="goodwill", key="k1")
    first = await money_desk.do(desk.world, "refund.take_over", asked)
    assert [each["session_id"] for each in first["taken"]] == list(PRICES)
    assert await money_desk.do(desk.world, "refund.take_over", asked) == first
    assert await desk.rows("SELECT count(*) FROM money_act WHERE act = 'refund.take_over'"
                           " AND subject LIKE 'rfd_%'") == [(3,)]  # fmt: skip


async def test_on_the_page_it_is_divided_by_what_somebody_types(desk: DebtDesk) -> None:
    await desk.refunded_there(200)
    reader = await desk.database.open_pool(Role.READER, 1, 2)
    async with reader:
        app = Starlette(routes=page_routes(reader, desk.clock, None, world=desk.world))
        transport = httpx.ASGITransport(app=app)
        form = {"act": "refund.take_over", "subject": "txn_2", "reason": "they called",
                "by": "Ann", "back": "/payments", "currency": "USD"}  # fmt: skip
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            page = (await client.get("/payments")).text
            for key in PRICES:
                assert f'name="part:{key}"' in page
            wrong = await client.post("/payments/act", data=form | {"part:ses_1": "1.20"},
                                      headers=OURS)  # fmt: skip
            assert wrong.status_code == 422
            assert "The division: this was “120”, expected 200 in minor units in all" in wrong.text
            assert 'value="1.20"' in wrong.text, "what was typed is kept"
            parts = {"part:ses_1": "1.20", "part:ses_2": " 0,80", "part:ses_3": ""}
            done = await client.post("/payments/act", data=form | parts, headers=OURS)
    assert done.status_code == 303
    assert await desk.left() == {"ses_1": 320, "ses_2": 140, "ses_3": 110}


@pytest.mark.parametrize(
    ("shares", "amount", "found"),
    [
        ([5], 3, [3]),  # a part of the only one
        ([5], 6, None),
        ([5, 5], 5, None),  # either
        ([5, 5], 10, [5, 5]),
        ([5, 3], 3, [3]),
        ([5, 3], 4, None),
        ([5, 3, 2], 5, None),  # the first, or the others together
        ([5, 3, 2], 8, [5, 3]),
        ([1] * 20, 20, [1] * 20),
        ([1] * 19 + [30], 30, None),  # too many to be looked through
        ([], 3, None),
    ],
)
def test_an_amount_is_of_whole_shares_where_one_way_alone_is_possible(
    shares: list[int], amount: int, found: list[int] | None
) -> None:
    said = divided([Share(f"ses_{n}", minor) for n, minor in enumerate(shares)], amount)
    assert (said and [share.amount_minor for share in said]) == found


async def test_one_that_failed_before_anybody_took_it_over_is_nothing_any_more(
    desk: DebtDesk,
) -> None:
    """Out and back in: no break, nothing in suspense, nothing to look at."""
    await desk.refunded_there(220)
    await desk.read(item("txn_3", "refund_failure", 220, source="re_9", charge="ch_d"))
    assert await desk.rows("SELECT code FROM anomaly WHERE code LIKE 'refund.%'"
                           " AND resolved_at IS NULL") == []  # fmt: skip
    async with desk.world.work.pool.connection() as conn:
        assert (await money_view.needs(conn, "north", desk.world.now)).foreign == []
    with pytest.raises(NotFound):
        await desk.taken()
    await desk.adds_up()
