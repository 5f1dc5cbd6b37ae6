"""Refunds: what is said on paper, what goes back to the card, and what becomes of it.

A session of 10 kWh at 0.40 and 10 % tax: 4.00 + 0.40 = 4.40, captured.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from returns_desk import ReturnsDesk, item
from test_adjust import OWED

import handmade as hand
from sample_config import whole
from wattledger.clock import DrivenClock
from wattledger.contract import FeeTerm, PaymentTerms, Route
from wattledger.db.connect import Database
from wattledger.db.effects import Done, Rejected
from wattledger.db.roles import Role
from wattledger.errors import BadInput, Conflict, Forbidden, NotFound
from wattledger.payments import blocks
from wattledger.pipeline.collecting import bounds
from wattledger.pipeline.reconcile import reconcile
from wattledger.pipeline.returning import money_back, refunds
from wattledger.pipeline.returning.taken_over import take_over
from wattledger.pipeline.world import World
from wattledger.rating import LineKind
from wattledger.sessions import store as sessions

CLEARING, FEES = "clearing.stripe", "expense.processing"
GOODWILL = "expense.goodwill"


@pytest.fixture
async def desk(world: World, clock: DrivenClock, database: Database) -> ReturnsDesk:
    return ReturnsDesk(world, clock, database)


# --- on paper ------------------------------------------------------------------------------------


async def test_the_whole_is_a_credit_alone_and_all_that_was_captured_goes_back(
    desk: ReturnsDesk,
) -> None:
    await desk.paid()
    refund = await desk.ask()
    assert (refund.state, refund.amount_minor) == ("issued", 440)
    assert await desk.documents() == [("charge", 440, 10_000), ("credit", -440, -10_000)]
    assert await desk.sent() == [(440, "refund", "sending", None)]
    assert await desk.books() == {OWED["driver"]: 440, OWED["back"]: -440}
    assert await desk.rows("SELECT reason FROM charge WHERE revision = 2") == [
        ("correction: charger was slow",)
    ]
    found = await desk.holds()
    assert (found["sessions"]["billed"], found["sessions"]["free"]) == (0, 1)
    # The driver's bank has it: what is owed to the driver and what the processor has meet.
    await desk.charge_read()
    await desk.refunded()
    await desk.read(item("txn_3", "refund", -440, source="re_1", charge="ch_1"))
    assert await desk.books() == {CLEARING: -43, FEES: 43}
    money = await desk.identity()
    assert (money["captured"], money["refunds"], money["refund_due"]) == (440, 440, 440)


async def test_an_amount_as_goodwill_keeps_the_revenue(desk: ReturnsDesk) -> None:
    """1.10 of 4.40: 1.00 and 0.10 tax. 3.30 are left: 3.00 and 0.30."""
    await desk.paid()
    await desk.ask("goodwill", amount_minor=110)
    assert await desk.documents() == [
        ("charge", 440, 10_000), ("credit", -440, -10_000), ("charge", 330, 10_000),
    ]  # fmt: skip
    charge = await desk.standing()
    assert (charge.net_minor, charge.tax_minor) == (300, 30)
    assert [(line.kind, line.text, line.total_minor) for line in charge.lines[1:]] == [
        (LineKind.CONCESSION, "Goodwill", -110)
    ]
    assert await desk.books() == {
        OWED["driver"]: 440, OWED["back"]: -110, OWED["energy"]: -400, GOODWILL: 100,
        OWED["tax"]: -30,
    }  # fmt: skip
    assert await desk.sent() == [(110, "refund", "sending", None)]
    await desk.holds()
    [message] = await desk.told("session.refunded")
    data = message["data"]
    assert data["refund"] == {
        "refund_id": data["refund"]["refund_id"], "kind": "goodwill",
        "scope": {"amount_minor": 110}, "amount_minor": 110, "reason": "charger was slow",
    }  # fmt: skip
    assert data["change"]["total_minor"] == -110
    assert [each["kind"] for each in data["documents"]] == ["credit", "charge"]


async def test_a_line_by_its_number_and_then_another_refund_on_top(desk: ReturnsDesk) -> None:
    await desk.paid()
    await desk.ask(amount_minor=40)
    refund = await desk.ask(lines=[1], key="k2")
    # Of the only line 4.00 with tax are left.
    assert (refund.state, refund.amount_minor) == ("issued", 400)
    assert (await desk.documents())[-1] == ("credit", -400, -10_000)
    assert sorted(await desk.sent()) == [
        (40, "refund", "sending", None), (400, "refund", "sending", None),
    ]  # fmt: skip
    await desk.holds()


async def test_late_data_keep_what_was_given_back(desk: ReturnsDesk) -> None:
    """9 kWh are 3.96; less 1.10 given back before: 2.86."""
    await desk.paid()
    await desk.ask("goodwill", amount_minor=110)
    assert await desk.late(9_000) == "adjusted"
    assert (await desk.documents())[-1] == ("charge", 286, 9_000)
    assert sorted(await desk.sent()) == [
        (44, "adjustment", "sending", None), (110, "refund", "sending", None),
    ]  # fmt: skip
    await desk.holds()


async def test_what_was_given_back_whole_stays_so_whatever_comes_later(desk: ReturnsDesk) -> None:
    await desk.paid()
    await desk.ask()
    for days, stop_wh in ((0, 9_000), (1, 13_000)):
        await desk.late(stop_wh, days=days)
    assert len(await desk.documents()) == 2
    await desk.holds()


async def test_an_invoiced_session_is_refunded_on_paper_alone(desk: ReturnsDesk) -> None:
    desk.end()
    await desk.bill()
    await desk.ask(amount_minor=110)
    assert await desk.parts() == [(1, "invoiced", 440), (2, "invoiced", -440), (3, "invoiced", 330)]
    assert await desk.sent() == []
    await desk.holds()


async def test_a_debt_is_lessened_before_anything_goes_back(desk: ReturnsDesk) -> None:
    """12 kWh instead of 10: 0.88 more, owed by its account. Of 1.00 given back 0.88 are that."""
    await desk.paid(account_id="ann", payment=PaymentTerms(more="debt", more_least_minor=1))
    await desk.late(12_000)
    assert (await desk.books())[OWED["debt"]] == 88
    await desk.ask(amount_minor=100)
    assert (await desk.parts())[-1] == (5, "refund_due", 428)
    assert OWED["debt"] not in await desk.books()
    assert await desk.sent() == [(12, "refund", "sending", None)]
    await desk.holds()


async def test_nobody_gets_back_what_was_waived(desk: ReturnsDesk) -> None:
    """12 kWh instead of 10, on a guest's card: 0.88 are waived, 4.40 of 5.28 were paid."""
    await desk.paid()
    await desk.late(12_000)
    with pytest.raises(BadInput, match="at most 440"):
        await desk.ask(amount_minor=441)
    await desk.ask(amount_minor=100)
    assert sorted((await desk.parts())[-2:]) == [(5, "refund_due", 340), (5, "waived", 88)]
    assert await desk.sent() == [(100, "refund", "sending", None)]
    await desk.holds()


# --- who may ------------------------------------------------------------------------------------


async def test_above_the_limit_a_second_person_approves(desk: ReturnsDesk) -> None:
    await desk.policies(refund_limit="4.00")
    await desk.paid()
    refund = await desk.ask()
    assert refund.state == "asked"
    assert len(await desk.documents()) == 1
    for alone in ("page:Ann", "cli:ann"):
        with pytest.raises(Forbidden, match="a second person has to approve"):
            await refunds.approve(desk.world, refund.id, actor=alone)
    done = await refunds.approve(desk.world, refund.id, actor="page:Bob", reason="seen")
    assert (done.state, done.asked_by, done.decided_by) == ("issued", "page:Ann", "page:Bob")
    with pytest.raises(Conflict, match="is issued already"):
        await refunds.approve(desk.world, refund.id, actor="page:Bob")
    assert await desk.rows("SELECT act, actor, detail->>'self_approval' FROM money_act") == [
        ("refund.ask", "page:Ann", None), ("refund.approve", "page:Bob", "false"),
    ]  # fmt: skip
    # Up to the limit nobody is asked.
    assert await desk.sent() == [(440, "refund", "sending", None)]


async def test_whoever_asked_approves_where_the_policy_says_so_and_it_is_on_record(
    desk: ReturnsDesk,
) -> None:
    await desk.policies(refund_limit="4.00", self_approval=True)
    await desk.paid()
    refund = await desk.ask()
    await refunds.approve(desk.world, refund.id, actor="page:Ann")
    [(_, alone)] = await desk.rows(
        "SELECT act, detail->>'self_approval' FROM money_act WHERE act = 'refund.approve'"
    )
    assert alone == "true"


async def test_where_it_takes_a_key_no_name_on_the_page_approves(desk: ReturnsDesk) -> None:
    await desk.policies(refund_limit="4.00", approve_by="key")
    await desk.paid()
    refund = await desk.ask()
    for typed in ("page:Bob", "cli:bob", "page:key:ops"):
        with pytest.raises(Forbidden, match="approve_by is key"):
            await refunds.approve(desk.world, refund.id, actor=typed)
    done = await refunds.approve(desk.world, refund.id, actor="key:ops")
    assert (done.state, done.decided_by) == ("issued", "key:ops")


async def test_a_refund_is_refused_or_has_become_another(desk: ReturnsDesk) -> None:
    await desk.policies(refund_limit="1.00")
    await desk.paid()
    first = await desk.ask(amount_minor=400)
    second = await desk.ask(key="k2")
    refused = await refunds.refuse(desk.world, first.id, actor="page:Bob", reason="not due")
    assert (refused.state, refused.why) == ("refused", "not due")
    await desk.ask(amount_minor=100, key="k3")
    with pytest.raises(Conflict, match=r"came to \$4.40 and comes to \$3.40 now"):
        await refunds.approve(desk.world, second.id, actor="page:Bob")


async def test_what_can_not_be_asked_for(desk: ReturnsDesk) -> None:
    desk.end(route=Route.CARD)
    with pytest.raises(Conflict, match="nothing is charged"):
        await desk.ask()
    await desk.bill()
    with pytest.raises(Conflict, match="is under way"):
        await desk.ask()
    await desk.captured(440)
    with pytest.raises(NotFound):
        await refunds.ask(
            desk.world, "ses_9", {"whole": True}, "correction", "r", actor="a", key="k"
        )
    wrong: list[dict[str, Any]] = [
        {"lines": [2]}, {"lines": [0]}, {"lines": []}, {"amount_minor": 441}, {"amount_minor": 0},
        {"amount_minor": 1, "whole": True}, {"what": 1},
    ]  # fmt: skip
    for scope in wrong:
        with pytest.raises(BadInput):
            await desk.ask(**scope)
    with pytest.raises(BadInput):
        await desk.ask("pity")
    assert await desk.rows("SELECT id FROM refund") == []
    assert len(await desk.documents()) == 1


async def test_the_same_key_is_the_same_refund(desk: ReturnsDesk) -> None:
    await desk.paid()
    first = await desk.ask(amount_minor=110)
    again = await desk.ask(amount_minor=110)
    assert again.id == first.id
    assert len(await desk.documents()) == 3
    with pytest.raises(Conflict, match="another refund"):
        await desk.ask(amount_minor=111)


# --- what became of it ---------------------------------------------------------------------------


async def test_a_refund_that_fails_is_owed_again_and_tried_anew(desk: ReturnsDesk) -> None:
    await desk.paid()
    await desk.charge_read()
    await desk.ask()
    await desk.refunded("pending")
    assert await desk.sent() == [(440, "refund", "sent", None)]
    await desk.read(item("txn_3", "refund", -440, source="re_1", charge="ch_1"))
    await desk.identity()
    await desk.read(item("txn_4", "refund_failure", 440, source="re_1", charge="ch_1"))
    assert await desk.sent() == [(440, "refund", "failed", "refund_failure")]
    assert await desk.codes() == ["refund.failed"]
    assert (await desk.books())[OWED["back"]] == -440, "owed again"
    await desk.identity()
    [(failed_id,)] = await desk.rows("SELECT id FROM payment_refund")
    new_id = await money_back.again(desk.world, failed_id, actor="page:Ann", reason="new card")
    await desk.refunded(key="re_2")
    assert (440, "refund", "done", None) in await desk.sent()
    with pytest.raises(Conflict, match="is owed still"):
        await money_back.again(desk.world, failed_id, actor="page:Ann", reason="twice")
    with pytest.raises(Conflict, match="is done"):
        await money_back.again(desk.world, new_id, actor="page:Ann", reason="twice")


async def test_a_refund_that_is_refused_is_paid_by_hand(desk: ReturnsDesk) -> None:
    await desk.paid()
    await desk.ask(amount_minor=110)
    await desk.answer("stripe.refund", Rejected({"code": "expired_or_canceled_card"}))
    assert await desk.sent() == [(110, "refund", "refused", "expired_or_canceled_card")]
    assert await desk.codes() == ["refund.refused"]
    [(row_id,)] = await desk.rows("SELECT id FROM payment_refund")
    # Later data are no reason to send it again by itself.
    await desk.late(10_500)
    assert len(await desk.sent()) == 1
    await desk.late(10_000, days=1)
    await money_back.paid_otherwise(desk.world, row_id, actor="page:Ann", reason="by transfer")
    assert (await desk.sent())[0] == (110, "refund", "otherwise", "by_hand")
    books = await desk.books()
    assert (books.get(OWED["back"], 0), books["suspense.refunds"]) == (0, -110)
    with pytest.raises(Conflict, match="is otherwise"):
        await money_back.paid_otherwise(desk.world, row_id, actor="page:Ann", reason="twice")
    await desk.holds()


TO_BE_SEEN = "SELECT code FROM anomaly WHERE resolved_at IS NULL"


async def test_a_refund_made_at_the_processor_is_a_break_and_shown(desk: ReturnsDesk) -> None:
    await desk.paid()
    await desk.charge_read()
    await desk.read(item("txn_3", "refund", -200, source="re_9", charge="ch_1"))
    assert (await desk.books())["suspense.processor"] == 200
    assert await desk.codes() == ["refund.foreign"]
    await desk.was_read()
    await reconcile(desk.world)
    assert await desk.rows("SELECT leg, code, item_id, amount_minor FROM break"
                           " WHERE leg <> 'books'") == [
        ("refunds", "missing.internal", "txn_3", 200)
    ]  # fmt: skip
    await desk.identity()
    # A person takes it over: the session costs 2.00 less, and nothing more is sent.
    with pytest.raises(NotFound):
        await take_over(desk.world, "txn_1", "goodwill", "slow", actor="page:Ann")
    (refund,) = await take_over(desk.world, "txn_3", "goodwill", "slow", actor="page:Ann")
    assert (refund.state, refund.amount_minor) == ("issued", 200)
    assert await desk.sent() == [(200, "refund", "done", None)]
    assert await desk.rows(TO_BE_SEEN) == []
    books = await desk.books()
    assert (books.get("suspense.processor", 0), books.get(OWED["back"], 0)) == (0, 0)
    with pytest.raises(Conflict, match="taken over already"):
        await take_over(desk.world, "txn_3", "goodwill", "slow", actor="page:Ann")
    desk.clock.advance(desk.world.now + timedelta(minutes=1))
    await desk.was_read()
    await reconcile(desk.world)
    assert (
        await desk.rows("SELECT leg FROM break WHERE leg <> 'books' AND resolved_at IS NULL") == []
    )
    await desk.identity()


@pytest.mark.parametrize("together", [True, False])
async def test_a_refund_made_past_us_that_failed_is_nobodys_any_more(
    desk: ReturnsDesk, *, together: bool
) -> None:
    await desk.paid()
    await desk.charge_read()
    gave = item("txn_3", "refund", -200, source="re_9", charge="ch_1")
    back = item("txn_4", "refund_failure", 200, source="re_9", charge="ch_1")
    if together:
        await desk.read(gave, back)
    else:
        await desk.read(gave)
        await desk.was_read()
        await reconcile(desk.world)
        desk.clock.advance(desk.world.now + timedelta(minutes=1))
        await desk.read(back)
    assert (await desk.books()).get("suspense.processor", 0) == 0
    assert await desk.rows(TO_BE_SEEN) == []
    await desk.was_read()
    await reconcile(desk.world)
    assert (
        await desk.rows("SELECT leg FROM break WHERE leg <> 'books' AND resolved_at IS NULL") == []
    )
    with pytest.raises(NotFound):
        await take_over(desk.world, "txn_3", "goodwill", "slow", actor="page:Ann")
    await desk.identity()


async def test_a_refund_whose_answer_is_late_is_known_by_the_name_we_gave_it(
    desk: ReturnsDesk,
) -> None:
    await desk.paid()
    await desk.charge_read()
    await desk.ask()
    [(row_id,)] = await desk.rows("SELECT id FROM payment_refund")
    await desk.read(
        item("txn_3", "refund", -440, source="re_1", charge="ch_1", payment_refund_id=row_id)
    )
    assert "suspense.processor" not in await desk.books()
    await desk.refunded()
    assert await desk.sent() == [(440, "refund", "done", None)]
    desk.clock.advance(desk.world.now + timedelta(minutes=1))
    await desk.was_read()
    await reconcile(desk.world)
    assert await desk.rows("SELECT leg FROM break WHERE leg <> 'books'") == []
    [message] = await desk.told("refund.paid")
    assert message["data"]["journal"] == [
        {"debit": OWED["back"], "credit": CLEARING, "amount_minor": 440}
    ]


# --- with disputes -------------------------------------------------------------------------------


async def test_nothing_is_refunded_while_it_is_disputed_but_an_inquiry_is_no_dispute(
    desk: ReturnsDesk,
) -> None:
    await desk.paid()
    desk.disputed("warning_needs_response", id="du_0")
    await desk.ask(amount_minor=40)
    desk.disputed()
    with pytest.raises(Conflict, match=r"disputed \(du_1, needs_response\)"):
        await desk.ask(key="k2")
    # Late data wait for it.
    await desk.late(9_000)
    assert (44, "adjustment", "waiting", "dispute_open") in await desk.sent()
    await desk.holds()


async def test_more_on_a_card_is_charged_after_notice(desk: ReturnsDesk) -> None:
    """0.88 more: the account agreed to it, and is told a day before."""
    await desk.paid(
        account_id="ann", consent=True, processor_id="stripe", payment_method="pm_1",
        customer="cus_1",
        payment=PaymentTerms(more="charge", more_least_minor=50, more_notice_hours=24),
    )  # fmt: skip
    await desk.late(12_000)
    assert (await desk.parts())[-1] == (3, "pending", 88)
    [message] = await desk.told("charge.notice")
    assert message["data"]["amount_minor"] == 88
    [(due_in, amount, leg)] = await desk.rows(
        "SELECT due_at - caused_at, request->'params'->>'amount' AS amount,"
        " request->'params'->'metadata'->>'leg' AS leg FROM effect WHERE kind = 'stripe.charge'"
    )
    assert (due_in, amount, leg) == (timedelta(hours=24), "88", "more")
    desk.clock.advance(desk.world.now + timedelta(hours=24))
    await desk.answer(
        "stripe.charge",
        Done({"intent_id": "pi_2", "charge_id": "ch_2", "captured_minor": 88, "brand": "visa",
              "last4": "4242", "customer": "cus_1", "reusable_method": "pm_1"}),
    )  # fmt: skip
    assert (await desk.parts())[-1] == (3, "captured", 88)
    assert (await desk.holds())["money"]["captured"] == 528


async def test_the_notice_before_more_is_charged_is_in_the_language_of_the_place(
    desk: ReturnsDesk,
) -> None:
    await desk.paid(
        account_id="ann", consent=True, processor_id="stripe", payment_method="pm_1",
        customer="cus_1", email="ann@example.com",
        payment=PaymentTerms(more="charge", more_least_minor=50, more_notice_hours=24),
    )  # fmt: skip
    mail = {"host": "smtp.example.com", "sender": "North <r@example.com>"}
    await desk.configure(whole(site__0__language="de", mail=mail))
    await desk.late(12_000)
    [(subject, text)] = await desk.rows(
        "SELECT request->>'subject' AS subject, request->>'text' AS text FROM effect"
        " WHERE kind = 'mail.send' AND request ? 'subject'"
    )
    assert subject == "0,88\u00a0$ mehr für Ihren Ladevorgang"
    assert "mit weiteren 0,88\u00a0$ belastet" in text


async def test_what_goes_back_of_a_payment_of_several_sessions_is_each_sessions_own(
    desk: ReturnsDesk,
) -> None:
    """One charge of 8.80 paid the debts of two sessions, 4.40 each. The whole of both goes back."""
    await desk.paid()
    with psycopg.connect(desk.database.conninfo(Role.APP)) as conn, conn.transaction():
        for n in (2, 3):
            hand.add_session(conn, f"ses_{n}", route=Route.CARD)
        hand.add_payment(conn, "pay_2", "ses_2", hold=880, captured=880, state="captured",
                         leg="debt", external_charge_id="ch_2")  # fmt: skip
        for n in (2, 3):
            hand.add_charge(conn, f"chg_{n}", f"ses_{n}")
            hand.add_part(conn, f"chg_{n}", state="captured", payment_id="pay_2")
    with psycopg.connect(desk.database.conninfo(Role.APP)) as conn, conn.transaction():
        for n in (2, 3):
            hand.add_credit(conn, f"crd_{n}", f"chg_{n}")
    for n in (2, 3):
        async with desk.world.work.transaction("act") as tx:
            row = await sessions.get(tx.conn, f"ses_{n}")
            assert row is not None
            assert len(await refunds.send_due(tx, row)) == 1
            assert await refunds.send_due(tx, row) == []
    assert await desk.rows(
        "SELECT session_id, amount_minor FROM payment_refund WHERE payment_id = 'pay_2' ORDER BY 1"
    ) == [("ses_2", 440), ("ses_3", 440)]


async def test_after_a_second_try_what_is_refunded_later_goes_too(desk: ReturnsDesk) -> None:
    await desk.paid()
    await desk.ask(amount_minor=110)
    await desk.answer("stripe.refund", Rejected({"code": "expired_or_canceled_card"}))
    [(failed_id,)] = await desk.rows("SELECT id FROM payment_refund")
    await money_back.again(desk.world, failed_id, actor="page:Ann", reason="new card")
    await desk.answer("stripe.refund", Rejected({"code": "expired_or_canceled_card"}))
    for act in (money_back.again, money_back.paid_otherwise):
        with pytest.raises(Conflict, match="was tried again"):
            await act(desk.world, failed_id, actor="page:Ann", reason="once more")
    await desk.ask(amount_minor=50, key="k2")
    # The second try failed too and is shown: 0.50 are new.
    assert sorted(await desk.sent()) == [
        (50, "refund", "sending", None), (110, "refund", "refused", "expired_or_canceled_card"),
        (110, "refund", "refused", "expired_or_canceled_card"),
    ]  # fmt: skip
    await desk.holds()


async def test_a_line_is_given_back_once(desk: ReturnsDesk) -> None:
    """4.40 of energy and a fee of 1.10: the energy is not given back twice, out of the fee."""
    desk.end(route=Route.CARD, fees=(FeeTerm(text="Service", amount="1.00"),))
    await desk.bill()
    await desk.captured(550)
    refund = await desk.ask(lines=[1])
    assert refund.amount_minor == 440
    with pytest.raises(BadInput, match="not given back before"):
        await desk.ask(lines=[1], key="k2")
    await desk.ask(lines=[2], key="k3")
    assert sorted(amount for amount, *_ in await desk.sent()) == [110, 440]
    await desk.holds()


async def test_a_refund_taken_over_lessens_no_debt_beside(desk: ReturnsDesk) -> None:
    """4.40 were paid and 0.88 are owed. 1.00 went back at the processor: 3.40 stay paid, and 0.88
    owed."""
    await desk.paid(account_id="ann", payment=PaymentTerms(more="debt", more_least_minor=1))
    await desk.charge_read()
    await desk.late(12_000)
    await desk.read(item("txn_3", "refund", -100, source="re_9", charge="ch_1"))
    await take_over(desk.world, "txn_3", "goodwill", "slow", actor="page:Ann")
    assert (await desk.parts())[-2:] == [(5, "refund_due", 340), (5, "debt", 88)]
    books = await desk.books()
    assert (books[OWED["debt"]], books.get(OWED["back"], 0)) == (88, 0)
    assert await desk.sent() == [(100, "refund", "done", None)]
    await desk.holds()


async def test_a_refund_that_failed_at_the_processor_is_not_taken_over(desk: ReturnsDesk) -> None:
    """Made in the dashboard, and sent back by the card's bank: nobody has the money."""
    await desk.paid()
    await desk.charge_read()
    await desk.read(item("txn_3", "refund", -200, source="re_9", charge="ch_1"))
    await desk.read(item("txn_4", "refund_failure", 200, source="re_9", charge="ch_1"))
    with pytest.raises(NotFound):
        await take_over(desk.world, "txn_3", "goodwill", "slow", actor="page:Ann")


async def test_of_a_dispute_lost_in_part_only_the_rest_is_given_back(desk: ReturnsDesk) -> None:
    """2.00 went to the driver by the dispute. Of 2.40 given back 0.40 are sent."""
    await desk.paid()
    desk.disputed("lost", amount_minor=200, closed_at=desk.world.now)
    await desk.ask(amount_minor=240)
    assert sorted(await desk.sent()) == [
        (40, "refund", "sending", None), (200, "refund", "otherwise", "dispute_lost"),
    ]  # fmt: skip
    await desk.holds()


@pytest.mark.parametrize(
    ("status", "became"),
    [("won", ("done", None)), ("lost", ("otherwise", "dispute_lost")),
     ("prevented", ("refused", "dispute_prevented"))],
)  # fmt: skip
async def test_a_dispute_that_comes_before_a_refund_is_sent_has_it_wait(
    desk: ReturnsDesk, status: str, became: tuple[str, str | None]
) -> None:
    """What is prevented was given to the driver, or was not: it is not sent beside that."""
    await desk.paid()
    await desk.ask(amount_minor=110)
    desk.disputed()
    await desk.answer("stripe.refund", Rejected({"code": "charge_disputed"}))
    assert await desk.sent() == [(110, "refund", "sending", "dispute_open")]
    async with desk.world.work.transaction("x") as tx:
        await tx.conn.execute("UPDATE dispute SET status = %s, closed_at = %s", (status, tx.now))
        await money_back.dispute_over(tx, "pay_1", status)
    if status == "won":
        await desk.refunded()
    assert await desk.sent() == [(110, "refund", *became)]
    await desk.holds()


@pytest.mark.parametrize(
    ("status", "became", "settled"),
    [("won", ("done", None), True), ("lost", ("otherwise", "dispute_lost"), True),
     ("prevented", ("refused", "charge_disputed"), False)],
)  # fmt: skip
async def test_what_was_refused_for_a_dispute_that_is_heard_of_later_waits_for_it_too(
    desk: ReturnsDesk, status: str, became: tuple[str, str | None], settled: bool
) -> None:
    await desk.paid()
    await desk.ask(amount_minor=110)
    await desk.answer("stripe.refund", Rejected({"code": "charge_disputed"}))
    assert await desk.sent() == [(110, "refund", "refused", "charge_disputed")]
    desk.disputed(status, closed_at=desk.world.now)
    for _ in range(2):  # however often it is heard
        async with desk.world.work.transaction("x") as tx:
            await money_back.dispute_over(tx, "pay_1", status)
    if status == "won":
        await desk.refunded()
    assert await desk.sent() == [(110, "refund", *became)]
    assert await desk.rows(
        "SELECT resolved_at IS NOT NULL FROM anomaly WHERE code = 'refund.refused'"
    ) == [(settled,)]
    await desk.holds()


async def test_what_was_refused_for_a_dispute_and_tried_again_is_not_sent_twice(
    desk: ReturnsDesk,
) -> None:
    await desk.paid()
    await desk.ask(amount_minor=110)
    await desk.answer("stripe.refund", Rejected({"code": "charge_disputed"}))
    desk.disputed()
    [(row_id,)] = await desk.rows("SELECT id FROM payment_refund")
    await money_back.again(desk.world, row_id, actor="page:Ann", reason="they called")
    async with desk.world.work.transaction("x") as tx:
        await tx.conn.execute("UPDATE dispute SET status = 'won', closed_at = %s", (tx.now,))
        await money_back.dispute_over(tx, "pay_1", "won")
    assert sorted(await desk.sent(), key=str) == [
        (110, "refund", "refused", "charge_disputed"), (110, "refund", "sending", None),
    ]  # fmt: skip


async def test_an_adjustment_has_its_drivers_turn_before_it_lifts_a_block(
    desk: ReturnsDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.88 are owed, and the account is blocked. Later data take them back, and lift that."""
    order: list[str] = []
    turns, block = bounds.take_turns, blocks.set_block

    async def seen_turns(*args: Any) -> None:
        order.append("turn")
        await turns(*args)

    async def seen_block(*args: Any, **more: Any) -> bool:
        order.append("block")
        return await block(*args, **more)

    monkeypatch.setattr(bounds, "take_turns", seen_turns)
    monkeypatch.setattr(blocks, "set_block", seen_block)
    await desk.paid(
        account_id="ann", processor_id="stripe",
        payment=PaymentTerms(more="debt", more_least_minor=1),
    )  # fmt: skip
    await desk.late(12_000)
    await desk.late(10_000, days=1)
    assert order == ["turn", "block"] * 2


async def test_many_small_refunds_of_a_session_are_not_below_the_limit(desk: ReturnsDesk) -> None:
    """Of 4.40 two of 1.50 are 3.00; with a third it would be 4.40."""
    await desk.policies(refund_limit="3.00")
    await desk.paid()
    assert (await desk.ask(amount_minor=150)).state == "issued"
    assert (await desk.ask(key="k2", amount_minor=150)).state == "issued"
    assert (await desk.ask(key="k3", amount_minor=140)).state == "asked"
