"""Disputes: what the processor says and moves, what is said against it, and by when.

The session cost 4.40, captured; a dispute withdraws it with a fee of 15.00.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from returns_desk import ReturnsDesk, item
from test_adjust import LATER, OWED

import handmade as hand
from wattledger.clock import DrivenClock
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.effects import Done, Effect, Outcome
from wattledger.db.roles import Role
from wattledger.errors import Conflict, NotFound
from wattledger.payments import blocks
from wattledger.pipeline.collecting.hints import plan_fetch
from wattledger.pipeline.reconcile import reconcile
from wattledger.pipeline.returning import disputes, evidence, money_back, unblock
from wattledger.pipeline.world import World

CLEARING, FEES = "clearing.stripe", "expense.processing"
DISPUTED, LOST = "receivable.dispute", "expense.disputes"
WITHDRAWN = item("txn_5", "dispute", -440, 1_500, source="du_1", charge="ch_1")
BACK = item("txn_6", "dispute_reversal", 440, -1_500, source="du_1", charge="ch_1")


class DisputeDesk(ReturnsDesk):
    """A desk that hears of disputes."""

    async def seen(self, status: str, **more: Any) -> None:
        """The dispute as it is fetched now."""
        found = {
            "id": "du_1", "status": status, "amount_minor": 440, "currency": "USD",
            "charge_id": "ch_1", "intent_id": "pi_1", "reason": "fraudulent",
            "evidence_due_at": (LATER + timedelta(days=9)).isoformat(),
            "inquiry": status.startswith("warning_"), "created_at": LATER.isoformat(), **more,
        }  # fmt: skip
        await self.fetched("dispute", found)

    async def fetched(self, kind: str, found: dict[str, Any]) -> None:
        self.number = getattr(self, "number", 0) + 1
        async with self.world.work.transaction("x") as tx:
            await plan_fetch(tx, "stripe", kind, found["id"], f"evt_{self.number}")
        await self.answer("stripe.fetch", Done({"object": kind, "found": found}))

    async def uploads(self, *outcomes: Outcome) -> list[Effect]:
        """Each file that is to be uploaded gets its outcome."""
        given = outcomes or (Done({"file_id": "file_1"}), Done({"file_id": "file_2"}))
        return [await self.answer("stripe.file", outcome) for outcome in given]

    async def dispute(self) -> tuple[Any, ...]:
        [row] = await self.rows(
            "SELECT status, inquiry, payment_id, session_id, closed_at IS NOT NULL AS closed"
            " FROM dispute"
        )
        return row

    async def settled(self) -> list[tuple[Any, ...]]:
        """What asked for something and no longer does, and why."""
        return await self.rows(
            "SELECT a.code, t.reason FROM anomaly a JOIN anomaly_act t ON t.anomaly_id = a.id"
            " ORDER BY a.id DESC"
        )


@pytest.fixture
async def desk(world: World, clock: DrivenClock, database: Database) -> DisputeDesk:
    return DisputeDesk(world, clock, database)


async def test_an_inquiry_moves_no_money(desk: DisputeDesk) -> None:
    await desk.paid()
    before = await desk.books()
    await desk.seen("warning_needs_response")
    assert await desk.dispute() == ("warning_needs_response", True, "pay_1", "ses_1", False)
    assert await desk.books() == before
    assert await desk.codes() == ["dispute.inquiry"]
    await desk.seen("warning_closed")
    assert await desk.dispute() == ("warning_closed", True, "pay_1", "ses_1", True)
    assert await desk.books() == before


async def test_a_dispute_that_is_won_gives_everything_back(desk: DisputeDesk) -> None:
    await desk.paid()
    await desk.charge_read()
    await desk.seen("needs_response")
    await desk.read(WITHDRAWN)
    assert await desk.books() == {
        CLEARING: 397 - 1_940, FEES: 1_543, DISPUTED: 440, OWED["energy"]: -400, OWED["tax"]: -40,
    }  # fmt: skip
    money = await desk.identity()
    assert money["disputes_net"] == 1_940
    await desk.seen("won")
    await desk.read(BACK)
    assert await desk.books() == {
        CLEARING: 397, FEES: 43, OWED["energy"]: -400, OWED["tax"]: -40,
    }  # fmt: skip
    assert (await desk.identity())["disputes_net"] == 0
    assert [each["type"] for each in await desk.told("dispute.%")] == [
        "dispute.opened", "dispute.withdrawn", "dispute.closed", "dispute.reinstated",
    ]  # fmt: skip
    assert (await desk.told("dispute.withdrawn"))[0]["data"]["journal"] == [
        {"debit": DISPUTED, "credit": CLEARING, "amount_minor": 440},
        {"debit": FEES, "credit": CLEARING, "amount_minor": 1_500},
    ]


@pytest.mark.parametrize("item_first", [True, False])
async def test_a_dispute_that_is_lost_is_an_expense_in_whatever_order_it_is_learnt(
    desk: DisputeDesk, item_first: bool
) -> None:
    await desk.paid()
    await desk.charge_read()
    if item_first:
        await desk.read(WITHDRAWN)
        assert (await desk.books())[DISPUTED] == 440
        fetches = await desk.rows("SELECT subject FROM effect WHERE kind = 'stripe.fetch'")
        assert fetches == [("du_1",)], "what is not known yet is looked at"
    for _ in range(2):
        await desk.seen("lost")
    if not item_first:
        await desk.read(WITHDRAWN)
    books = await desk.books()
    assert (books.get(DISPUTED, 0), books[LOST], books[FEES]) == (0, 440, 1_543)
    assert "dispute.lost" in await desk.codes()
    await desk.identity()
    [message] = await desk.told("dispute.lost")
    assert message["data"]["journal"] == [{"debit": LOST, "credit": DISPUTED, "amount_minor": 440}]
    # Nothing is left that could be refunded: the driver has it.
    desk.clock.advance(desk.world.now + timedelta(minutes=1))
    await desk.was_read()
    await reconcile(desk.world)
    assert await desk.rows("SELECT leg FROM break WHERE leg <> 'books'") == []


@pytest.mark.parametrize("item_first", [True, False])
async def test_what_a_prevented_dispute_withdrew_is_gone_as_with_one_that_was_lost(
    desk: DisputeDesk, item_first: bool
) -> None:
    """4.40 were withdrawn. Of what late data make due, 0.44, the driver has all."""
    await desk.paid()
    await desk.charge_read()
    if item_first:
        await desk.seen("needs_response")
        await desk.read(WITHDRAWN)
        await desk.late(9_000)
    await desk.seen("prevented")
    if not item_first:
        await desk.read(WITHDRAWN)
        await desk.late(9_000)
    assert await desk.sent() == [(44, "adjustment", "otherwise", "dispute_lost")]
    books = await desk.books()
    # 4.40 less 0.44 that were the driver's anyway.
    assert (books.get(DISPUTED, 0), books[LOST], books.get(OWED["back"], 0)) == (0, 396, 0)
    await desk.identity()


async def test_only_forward_and_however_often(desk: DisputeDesk) -> None:
    await desk.paid()
    for status in ("needs_response", "needs_response", "under_review", "needs_response",
                   "warning_needs_response", "lost", "under_review", "won", "lost"):  # fmt: skip
        await desk.seen(status)
    assert (await desk.dispute())[0] == "lost"
    assert await desk.codes() == ["dispute.opened", "dispute.lost"]
    assert [each["type"] for each in await desk.told("dispute.%")] == [
        "dispute.opened", "dispute.updated", "dispute.closed",
    ]  # fmt: skip


async def test_an_inquiry_that_becomes_a_dispute_is_shown_again(desk: DisputeDesk) -> None:
    await desk.paid()
    await desk.seen("warning_needs_response")
    await desk.seen("needs_response")
    assert await desk.codes() == ["dispute.inquiry", "dispute.opened"]
    assert (await desk.dispute())[:2] == ("needs_response", False)


async def test_what_waits_for_a_dispute_is_sent_when_it_is_won(desk: DisputeDesk) -> None:
    await desk.paid()
    await desk.seen("needs_response")
    await desk.late(9_000)
    assert await desk.sent() == [(44, "adjustment", "waiting", "dispute_open")]
    assert await desk.rows("SELECT kind FROM effect WHERE kind = 'stripe.refund'") == []
    await desk.seen("won")
    assert await desk.sent() == [(44, "adjustment", "sending", None)]
    await desk.refunded()
    assert await desk.sent() == [(44, "adjustment", "done", None)]
    await desk.holds()


def _of(desk: DisputeDesk, route: Route = Route.CARD, **whose: Any) -> None:
    """A payment at the processor of somebody."""
    desk.end(route=route)
    with psycopg.connect(desk.database.conninfo(Role.APP)) as conn:
        if route is not Route.CARD:
            hand.add_payment(conn, intent_id="pi_1", external_charge_id="ch_1")
        conn.execute(
            "UPDATE payment SET account_id = %s, driver = %s",
            (whose.get("account"), whose.get("driver")),
        )


async def _blocked(desk: DisputeDesk) -> list[tuple[Any, ...]]:
    return await desk.rows(
        "SELECT account_id, driver, token, blocked, why, cause FROM token_block ORDER BY id"
    )


@pytest.mark.parametrize(
    ("whose", "blocked"),
    [
        ({"account": "ann", "driver": "ann"}, ("ann", None, None)),
        ({"driver": "fp_1"}, (None, "fp_1", None)),
        ({}, (None, None, "T1")),
    ],
)
async def test_whose_payment_was_disputed_and_lost_is_blocked_until_a_person_lifts_it(
    desk: DisputeDesk, whose: dict[str, str], blocked: tuple[str | None, ...]
) -> None:
    """The account, else the card, else the token."""
    _of(desk, **whose)
    await desk.seen("needs_response")
    assert await _blocked(desk) == []
    for _ in range(2):
        await desk.seen("lost")
    assert await _blocked(desk) == [(*blocked, True, "blocked", "du_1")]
    name = next(filter(None, blocked))
    await unblock.lift(desk.world, name, actor="page:bea", reason="it was a mistake")
    assert (await _blocked(desk))[1:] == [(*blocked, False, "it was a mistake", "page:bea")]


async def test_the_tag_that_a_terminals_guests_share_is_not_blocked(desk: DisputeDesk) -> None:
    _of(desk, Route.TERMINAL)
    await desk.seen("lost")
    assert await _blocked(desk) == []


async def test_who_owes_and_lost_a_dispute_is_lifted_by_a_person_alone(desk: DisputeDesk) -> None:
    _of(desk, account="ann", driver="ann")
    at = desk.world.now
    for why, blocked in (("in_debt", True), ("in_debt", True), ("blocked", True),
                         ("in_debt", True), ("paid", False)):  # fmt: skip
        async with desk.world.work.transaction("x") as tx:
            await blocks.set_block(
                tx.conn, "ann", None, blocked=blocked, why_text=why, cause="x", at=at
            )
    assert [row[4] for row in await _blocked(desk)] == ["in_debt", "blocked", "paid"]


async def test_a_dispute_that_is_won_or_whose_loss_does_not_count_blocks_nobody(
    desk: DisputeDesk,
) -> None:
    _of(desk, account="ann")
    await desk.policies(block_on_lost_dispute=False)
    await desk.seen("won", id="du_2")
    await desk.seen("lost")
    assert await _blocked(desk) == []


async def test_what_a_lost_dispute_has_given_to_the_driver_is_not_given_twice(
    desk: DisputeDesk,
) -> None:
    await desk.paid()
    await desk.charge_read()
    await desk.seen("needs_response")
    await desk.read(WITHDRAWN)
    await desk.late(9_000)
    await desk.seen("lost")
    assert await desk.sent() == [(44, "adjustment", "otherwise", "dispute_lost")]
    books = await desk.books()
    # 4.40 are gone, of which 0.44 were owed to the driver anyway.
    assert (books[LOST], books.get(OWED["back"], 0)) == (396, 0)
    # Later data find the dispute lost already.
    await desk.late(8_000, days=1)
    assert (await desk.sent())[1] == (44, "adjustment", "otherwise", "dispute_lost")
    assert (await desk.books())[LOST] == 352
    await desk.identity()


async def test_a_dispute_of_more_than_was_paid_and_one_of_less(desk: DisputeDesk) -> None:
    """The bank may dispute another amount than was captured: its own lines count."""
    await desk.paid()
    await desk.charge_read()
    await desk.seen("lost", amount_minor=500)
    await desk.read({**WITHDRAWN, "amount_minor": -500, "net_minor": -2_000})
    assert (await desk.books())[LOST] == 500
    await desk.seen("lost", id="du_2", amount_minor=100)
    await desk.read({**WITHDRAWN, "id": "txn_8", "source": "du_2", "amount_minor": -100,
                     "net_minor": -1_600})  # fmt: skip
    assert (await desk.books())[LOST] == 600
    await desk.identity()


async def test_a_dispute_of_a_payment_that_is_not_ours_goes_to_suspense(desk: DisputeDesk) -> None:
    await desk.paid()
    await desk.read({**WITHDRAWN, "charge": "ch_9"})
    assert (await desk.books())["suspense.processor"] == 440
    await desk.seen("lost", charge_id="ch_9", intent_id="pi_9")
    assert await desk.dispute() == ("lost", False, None, None, True)
    assert LOST not in await desk.books()
    with pytest.raises(Conflict, match="is lost"):
        await disputes.submit(desk.world, "du_1", actor="page:Ann")
    desk.clock.advance(desk.world.now + timedelta(minutes=1))
    await desk.was_read()
    await reconcile(desk.world)
    assert ("disputes", "missing.internal") in await desk.rows("SELECT leg, code FROM break")


# --- evidence ------------------------------------------------------------------------------------


async def test_the_evidence_is_put_together_from_the_session(desk: DisputeDesk) -> None:
    await desk.paid()
    with psycopg.connect(desk.database.conninfo(Role.APP)) as conn:
        hand.insert(
            conn, "signed_value", session_id="ses_1", context="Transaction.End", at=LATER,
            received_at=LATER, data="OCMF|{}|{}", encoding="OCMF", verified=True,
            reason="signed by the meter's key", dedupe="s1",
        )  # fmt: skip
        hand.insert(
            conn, "decision", decided_at=LATER - timedelta(days=40), kind="authorize",
            charge_point_id="CP-1", token="t1", accepted=True, reason="accepted", inputs={},
        )  # fmt: skip
    await desk.seen("needs_response")
    async with desk.world.work.pool.connection() as conn:
        found = await disputes.evidence(conn, "du_1")
        with pytest.raises(NotFound):
            await disputes.evidence(conn, "du_9")
    [(digest,)] = await desk.rows("SELECT document_digest FROM charge")
    assert found["bill"]["document_digest"] == digest
    assert [line["total_minor"] for line in found["bill"]["lines"]] == [440]
    assert found["signed_values"][0]["verified"] is True
    assert found["authorization"]["reason"] == "accepted"
    assert [fact["register_wh"] for fact in found["readings"]] == [0, 10_000]
    texts = found["stripe"]
    assert "10.000 kWh" in texts["product_description"]
    assert texts["service_date"] == "2026-11-02"
    assert "register 10000 Wh" in texts["access_activity_log"]
    assert digest in texts["uncategorized_text"]
    assert "OCMF|{}|{}" in texts["uncategorized_text"]


def test_the_fields_are_within_what_the_processor_takes() -> None:
    """20,000 characters each."""
    reading = {"at": "2026-11-02T12:00:00Z", "kind": "meter", "register_wh": 1, "activity": None}
    pack = {
        "session": {"id": "ses_1", "charge_point_id": "CP-1", "connector_id": 1, "site_id": "s",
                    "time_zone": "UTC", "price_shown": [], "started_at": "2026-11-02T11:00:00Z"},
        "bill": None, "authorization": None, "readings": [reading] * 2_000, "notices": [],
        "refunds": [], "signed_values": [],
    }  # fmt: skip
    texts = evidence.texts(pack)
    assert len(texts["access_activity_log"]) == evidence.FIELD_MAX
    assert texts["access_activity_log"].endswith("[cut: the whole is kept with us]")
    assert sum(map(len, texts.values())) <= evidence.ALL_MAX
    assert "uncategorized_text" not in texts


async def test_evidence_is_sent_once_by_a_named_person(desk: DisputeDesk) -> None:
    await desk.paid()
    await desk.seen("needs_response")
    await disputes.submit(desk.world, "du_1", actor="page:Ann", note="He drove off with it.")
    with pytest.raises(Conflict, match="sent already"):
        await disputes.submit(desk.world, "du_1", actor="page:Ann")
    await desk.uploads()
    sent = await desk.answer(
        "stripe.evidence", Done({"status": "under_review", "evidence_due_at": None})
    )
    assert sent.request["submit"] is True
    assert sent.request["evidence"]["uncategorized_text"].startswith("He drove off with it.")
    assert await desk.rows("SELECT submitted_at, evidence->'session'->>'id' AS s FROM dispute") == [
        (desk.world.now, "ses_1")
    ]
    assert ("dispute.submit", "page:Ann") in await desk.rows("SELECT act, actor FROM money_act")
    # It is looked at anew.
    assert await desk.rows(
        "SELECT subject FROM effect WHERE kind = 'stripe.fetch' AND state = 'pending'"
    ) == [("du_1",)]


async def test_somebody_is_told_before_the_evidence_is_due(desk: DisputeDesk) -> None:
    """Due in nine days: three days before it, and one."""
    await desk.paid()
    await desk.seen("needs_response")
    assert await desk.rows("SELECT due_at FROM effect WHERE kind = 'money.due' ORDER BY 1") == [
        (LATER + timedelta(days=6),), (LATER + timedelta(days=8),),
    ]  # fmt: skip
    desk.clock.advance(LATER + timedelta(days=6))
    await desk.answer("money.due", Done({}))
    assert await desk.codes() == ["dispute.opened", "dispute.due"]
    assert await desk.settled() == []
    await disputes.submit(desk.world, "du_1", actor="page:Ann")
    await desk.uploads()
    await desk.answer("stripe.evidence", Done({"status": "under_review"}))
    assert await desk.settled() == [("dispute.due", "the evidence was sent")]
    await desk.seen("won")
    assert ("dispute.opened", "the dispute is won") in await desk.settled()
    assert await desk.rows("SELECT code FROM anomaly WHERE resolved_at IS NULL") == []


async def test_what_one_dispute_asks_is_not_settled_by_another_of_its_payment(
    desk: DisputeDesk,
) -> None:
    await desk.paid()
    await desk.seen("warning_needs_response")
    await desk.seen("warning_needs_response", id="du_2")
    await desk.seen("needs_response", id="du_2")
    assert await desk.settled() == [("dispute.inquiry", "it became a dispute")]
    assert await desk.rows(
        "SELECT detail->>'dispute_id', code FROM anomaly WHERE resolved_at IS NULL ORDER BY 1"
    ) == [("du_1", "dispute.inquiry"), ("du_2", "dispute.opened")]


async def test_a_fraud_warning_proposes_a_refund(desk: DisputeDesk) -> None:
    await desk.paid()
    found = {"id": "issfr_1", "charge_id": "ch_1", "intent_id": "pi_1", "actionable": True,
             "fraud_type": "made_with_stolen_card", "created_at": LATER.isoformat()}  # fmt: skip
    for _ in range(2):
        await desk.fetched("fraud_warning", found)
    assert await desk.rows("SELECT payment_id, session_id, fraud_type FROM fraud_warning") == [
        ("pay_1", "ses_1", "made_with_stolen_card")
    ]
    assert await desk.codes() == ["fraud.warning"]
    await desk.ask("goodwill")
    assert (await desk.sent())[0][2] == "sending"
    assert money_back.STEP == "refunded"
