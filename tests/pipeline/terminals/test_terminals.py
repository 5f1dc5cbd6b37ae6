"""A session that somebody pays for at a terminal: matched, held for its payment, or decided."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from terminal_yard import MINUTE, T0, Yard, with_terminal

from wattledger.clock import DrivenClock, utc_text
from wattledger.db.effects import Done, Rejected
from wattledger.db.work import Work
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.ledger.proof import prove
from wattledger.pipeline.billing import resolve
from wattledger.pipeline.billing.adjust import adjust
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.importing import imports
from wattledger.pipeline.reconcile import reconcile
from wattledger.pipeline.returning import refunds
from wattledger.pipeline.terminals import terminals
from wattledger.sessions import Fact, sent
from wattledger.sessions import store as sessions

PERSON = "page:Ann"


@pytest.fixture
async def yard(work: Work, clock: DrivenClock) -> Yard:
    """Its vendor captures and reports."""
    return await Yard.made(work, clock, with_terminal())


@pytest.fixture
async def sending(work: Work, clock: DrivenClock) -> Yard:
    """Its vendor waits for the final amount."""
    return await Yard.made(work, clock, with_terminal(mode="we_send"))


async def test_a_shared_tag_is_the_terminal_route_and_holds_no_card(yard: Yard) -> None:
    await yard.charge(MINUTE, 10_000)
    [row] = await yard.rows("SELECT route, account_id, contract->>'plan_id' AS plan FROM session")
    assert row == {"route": "terminal", "account_id": None, "plan": "guest"}
    assert await yard.rows("SELECT FROM payment") == []


async def test_matched_by_its_window_the_session_is_external(yard: Yard) -> None:
    await yard.report("authorization", "A1", "50.00")
    session_id = await yard.charge(MINUTE, 10_000)
    assert await yard.bill(session_id) == "billed"
    assert await yard.parts(session_id) == [("external", 400)]  # 10 kWh at 0.40
    # The charge debits the driver; the part moves that to the vendor.
    assert await yard.one("SELECT sum(debit_minor - credit_minor) FROM journal_line"
                          " WHERE account = 'receivable.external'") == 400  # fmt: skip
    assert await yard.one("SELECT sum(debit_minor - credit_minor) FROM journal_line"
                          " WHERE account = 'receivable.driver'") == 0  # fmt: skip
    assert await yard.one("SELECT matched_by FROM terminal_payment") == "window"
    await yard.report("settlement", "A1", "4.00")
    [paid] = await yard.rows("SELECT reference, amount_minor FROM external_payment")
    assert paid == {"reference": "acme:A1", "amount_minor": 400}
    assert await yard.codes() == []


async def test_a_session_without_its_payment_is_held_until_it_comes(yard: Yard) -> None:
    session_id = await yard.charge(MINUTE, 10_000)
    assert await yard.bill(session_id) == "held"
    assert "payment.missing" in await yard.codes()
    taken = await yard.report("settlement", "A1", "4.00")
    assert (taken.new, taken.state) == (True, "open")
    await yard.due()
    assert "payment.missing" not in await yard.codes()
    assert await yard.bill(session_id) == "billed"
    assert await yard.parts(session_id) == [("external", 400)]
    assert await yard.one("SELECT matched_by FROM terminal_payment") == "amount"
    assert await yard.one("SELECT amount_minor FROM external_payment") == 400


async def test_a_settled_amount_that_is_another_price_is_not_its_payment(yard: Yard) -> None:
    session_id = await yard.charge(MINUTE, 10_000)
    await yard.report("settlement", "A1", "4.01")
    assert await yard.bill(session_id) == "held"


async def test_a_report_that_names_its_session_pays_it_and_a_difference_is_a_break(
    yard: Yard,
) -> None:
    session_id = await yard.charge(MINUTE, 10_000)
    await yard.report("settlement", "A1", "4.50", session=session_id)
    assert await yard.bill(session_id) == "billed"
    # The external leg compares the two: 4.00 billed, 4.50 taken.
    assert await yard.parts(session_id) == [("external", 400)]
    assert await yard.one("SELECT amount_minor FROM external_payment") == 450
    assert await yard.one("SELECT matched_by FROM terminal_payment") == "reference"


@pytest.mark.parametrize("named", [True, False])
async def test_a_report_without_a_place_pays_nothing_where_its_terminal_does_not_serve(
    work: Work, clock: DrivenClock, named: bool
) -> None:
    """The terminal serves connector 1; a session at 2 is named by its id, or names the payment."""
    yard = await Yard.made(work, clock, with_terminal(serves=["Y-1/1"], tokens=["CARD", "A1"]))
    elsewhere, number = await yard.begin(MINUTE, 2, "CARD" if named else "A1")
    await yard.finish(number, 31 * MINUTE, 10_000)
    await yard.report("settlement", "A1", "4.00", **({"session": elsewhere} if named else {}))
    assert await yard.bill(elsewhere) == "held"
    assert await yard.one("SELECT session_id FROM terminal_payment") is None


async def test_two_payments_within_a_minute_go_to_suspense_and_a_person_decides(
    yard: Yard,
) -> None:
    await yard.report("authorization", "A1", "50.00")
    await yard.report("authorization", "A2", "50.00", at=utc_text(T0 + timedelta(seconds=40)))
    one, two = await yard.two()
    assert await yard.bill(one) == "held"
    # Of the second one the price is not known yet: it may tell them apart.
    assert "terminal.suspense" not in await yard.codes()
    assert await yard.bill(two) == "held"
    found = await yard.rows(
        "SELECT id, reference, state, why, candidates FROM terminal_payment ORDER BY reference"
    )
    assert [(r["state"], r["why"], sorted(r["candidates"])) for r in found] == [
        ("suspense", "tie", sorted([one, two])), ("suspense", "tie", sorted([one, two])),
    ]  # fmt: skip
    acted = await terminals.match(yard.world, found[1]["id"], two, PERSON, "the slip says so")
    assert (acted.state, acted.session_id, acted.new) == ("matched", two, True)
    again = await terminals.match(yard.world, found[1]["id"], two, PERSON, "the slip says so")
    assert not again.new
    # What is left is the only possibility for both.
    assert await yard.bill(two) == "billed"
    await yard.report("settlement", "A1", "4.00")
    await yard.due()
    assert await yard.bill(one) == "billed"
    acts = await yard.rows("SELECT actor, act, subject FROM money_act")
    assert acts == [{"actor": PERSON, "act": "terminal.match", "subject": found[1]["id"]}]


async def test_two_within_a_minute_are_told_apart_by_connector(yard: Yard) -> None:
    chosen = {"charge_point_id": "Y-1", "connector_id": 2}
    await yard.report("authorization", "A1", "50.00", **chosen)
    await yard.report("authorization", "A2", "50.00", charge_point_id="Y-1", connector_id=1)
    one, two = await yard.two()
    assert [await yard.bill(one), await yard.bill(two)] == ["billed", "billed"]
    found = await yard.rows("SELECT reference, session_id, matched_by FROM terminal_payment")
    assert {r["reference"]: (r["session_id"], r["matched_by"]) for r in found} == {
        "A1": (two, "connector"), "A2": (one, "connector"),
    }  # fmt: skip


async def test_a_payment_that_no_session_follows_goes_to_suspense(yard: Yard) -> None:
    await yard.report("authorization", "A1", "50.00")
    # 5 minutes in which its session may start, and 10 in which a charge point may tell it late.
    yard.clock.advance(T0 + 15 * MINUTE)
    await yard.due()
    assert await yard.one("SELECT why FROM terminal_payment") == "no_session"
    assert await yard.codes() == ["terminal.suspense"]
    # The session that comes all the same, from a charge point that was offline, finds it.
    session_id = await yard.charge(2 * MINUTE, 10_000)
    assert await yard.bill(session_id) == "billed"
    assert "terminal.suspense" not in await yard.codes()


async def test_we_send_the_final_amount_and_the_answer_is_the_capture(sending: Yard) -> None:
    await sending.report("authorization", "A1", "50.00")
    session_id = await sending.charge(MINUTE, 10_000)
    assert await sending.bill(session_id) == "billed"
    effect = await sending.answer("vendor.settle", Done({"captured_minor": 400}))
    assert effect.request == {
        "vendor_id": "acme", "reference": "A1", "amount_minor": 400, "currency": "USD",
    }  # fmt: skip
    assert effect.key == f"north:{effect.subject}:settle:1"
    assert await sending.one("SELECT settled_minor FROM terminal_payment") == 400
    assert await sending.one("SELECT amount_minor FROM external_payment") == 400


async def test_a_session_that_costs_nothing_gives_the_vendors_hold_back(sending: Yard) -> None:
    await sending.report("authorization", "A1", "50.00")
    session_id = await sending.charge(MINUTE, 0)
    assert await sending.bill(session_id) == "free"
    (effect,) = await sending.claim("vendor.settle")
    assert effect.request["amount_minor"] == 0


async def test_a_vendor_that_refuses_leaves_the_session_unpaid_and_shown(sending: Yard) -> None:
    await sending.report("authorization", "A1", "50.00")
    session_id = await sending.charge(MINUTE, 10_000)
    await sending.bill(session_id)
    await sending.answer("vendor.settle", Rejected({"code": "refused"}))
    assert "terminal.unsettled" in await sending.codes()
    assert await sending.rows("SELECT FROM external_payment") == []


@pytest.mark.parametrize(("what", "state"), [("waive", "waived"), ("debt", "debt")])
async def test_nobody_pays_it_and_somebody_decides(yard: Yard, what: str, state: str) -> None:
    session_id = await yard.charge(MINUTE, 10_000)
    await yard.bill(session_id)
    await terminals.unpaid(yard.world, session_id, what, PERSON, "no slip anywhere")  # type: ignore[arg-type]
    assert await yard.bill(session_id) == "billed"
    assert await yard.parts(session_id) == [(state, 400)]
    assert await yard.one("SELECT act FROM money_act") == "terminal.unpaid"


async def test_whoever_accepts_that_it_is_missing_leaves_it_to_the_policy(yard: Yard) -> None:
    session_id = await yard.charge(MINUTE, 10_000)
    await yard.bill(session_id)
    anomaly = await yard.one("SELECT id FROM anomaly WHERE code = 'payment.missing'")
    act = resolve.Act("accept", "nobody knows")
    await resolve.resolve(yard.world, anomaly, act, PERSON)
    assert await yard.bill(session_id) == "billed"
    assert await yard.parts(session_id) == [("waived", 400)]  # policies.refused_energy


async def test_a_session_out_of_a_cpms_is_matched_as_well(yard: Yard) -> None:
    """Sent once it is over, with the tag of the card reader."""
    await yard.report("settlement", "A1", "4.00")
    yard.clock.advance(T0 + 60 * MINUTE)
    row = {"session_id": "S1", "token": "CARD", "charge_point_id": "Y-1", "connector_id": 1,
           "started_at": utc_text(T0 + MINUTE), "ended_at": utc_text(T0 + 31 * MINUTE),
           "readings": [{"at": utc_text(T0 + MINUTE), "energy_wh": 0},
                        {"at": utc_text(T0 + 31 * MINUTE), "energy_wh": 10_000}]}  # fmt: skip
    taken = await imports.take(yard.world, "api", sent.read(row, "$"))
    assert await bill(yard.world, taken["session_id"]) == "billed"
    assert await yard.parts(taken["session_id"]) == [("external", 400)]


async def test_a_tie_is_shown_after_a_day_though_a_price_is_missing(yard: Yard) -> None:
    for reference, late in (("A1", 0), ("A2", 40)):
        at = utc_text(T0 + timedelta(seconds=late))
        await yard.report("authorization", reference, "50.00", at=at)
    await yard.begin(MINUTE, 1)
    await yard.begin(2 * MINUTE, 2)
    for hours in range(1, 32):
        yard.clock.advance(T0 + timedelta(hours=hours))
        await yard.due()
        if hours == 20:
            assert "terminal.suspense" not in await yard.codes()
    assert (await yard.codes()).count("terminal.suspense") == 2


async def test_a_payment_of_suspense_is_returned_or_kept(yard: Yard) -> None:
    for reference in ("A1", "A2"):
        await yard.report("authorization", reference, "50.00")
    yard.clock.advance(T0 + 15 * MINUTE)
    await yard.due()
    first, second = [
        r["id"] for r in await yard.rows("SELECT id FROM terminal_payment ORDER BY reference")
    ]
    assert (await terminals.give_back(yard.world, first, PERSON, "paid twice")).state == "returned"
    assert (await terminals.keep(yard.world, second, PERSON, "nobody asked")).state == "kept"
    assert await yard.codes() == []
    with pytest.raises(Conflict):
        await terminals.keep(yard.world, first, PERSON, "no")
    with pytest.raises(NotFound):
        await terminals.keep(yard.world, "tpa_none", PERSON, "no")
    with pytest.raises(BadInput):
        await terminals.keep(yard.world, second, PERSON, " ")


async def test_a_report_counts_once_and_another_content_is_refused(yard: Yard) -> None:
    first = await yard.report("authorization", "A1", "50.00")
    again = await yard.report("authorization", "A1", "50.00")
    assert (first.new, again.new, again.id) == (True, False, first.id)
    with pytest.raises(Conflict):
        await yard.report("authorization", "A1", "51.00")
    assert await yard.one("SELECT authorized_minor FROM terminal_payment") == 5_000


async def test_a_reversal_frees_its_session(yard: Yard) -> None:
    await yard.report("authorization", "A1", "50.00")
    await yard.report("reversal", "A1", "")
    assert await yard.one("SELECT state FROM terminal_payment") == "returned"
    session_id = await yard.charge(MINUTE, 10_000)
    assert await yard.bill(session_id) == "held"


async def test_a_reversal_of_what_was_settled_is_shown(yard: Yard) -> None:
    await yard.report("authorization", "A1", "50.00")
    session_id = await yard.charge(MINUTE, 10_000)
    await yard.bill(session_id)
    await yard.report("settlement", "A1", "4.00")
    await yard.report("reversal", "A1", "")
    assert "terminal.reversed" in await yard.codes()
    assert await yard.one("SELECT state FROM terminal_payment") == "matched"


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({"terminal": "window"}, "$.terminal"),
        ({"currency": "EUR"}, "$.currency"),
        ({"amount": "1.005"}, "$.amount"),
        ({"charge_point_id": "Z-9"}, "$.charge_point_id"),
        ({"charge_point_id": "Y-1", "connector_id": 3}, "$.connector_id"),
        ({"last4": "4242424242424242"}, "$.last4"),
        ({"at": "2026-11-02 10:00"}, "$.at"),
        ({"colour": "red"}, "$.colour"),
    ],
)
async def test_what_is_wrong_with_a_report_names_its_place(
    yard: Yard, row: dict[str, object], path: str
) -> None:
    given = {"amount": "1.00", **row}
    with pytest.raises(BadInput) as error:
        await yard.report("settlement", "A1", given.pop("amount"), **given)  # type: ignore[arg-type]
    assert error.value.path == path
    assert "4242" not in str(error.value)


async def test_the_external_leg_compares_what_the_vendor_took(yard: Yard) -> None:
    """Billed 4.00: a break while nothing is settled, and where another amount is."""
    await yard.report("authorization", "A1", "50.00")
    session_id = await yard.charge(MINUTE, 10_000)
    assert await yard.bill(session_id) == "billed"

    async def breaks() -> list[tuple[str, int]]:
        await reconcile(yard.world)
        found = await yard.rows("SELECT code, amount_minor FROM break WHERE leg = 'external'"
                                " AND resolved_at IS NULL")  # fmt: skip
        return [(row["code"], row["amount_minor"]) for row in found]

    [(_, missing)] = await breaks()
    assert abs(missing) == 400
    await yard.report("settlement", "A1", "4.00")
    assert await breaks() == []


async def test_what_nobody_took_and_nobody_is_charged_for_is_no_break(sending: Yard) -> None:
    """4.00 that the vendor refused to take, and that were given up again: no difference of 0.00."""
    await sending.report("authorization", "A1", "50.00")
    session_id = await sending.charge(MINUTE, 10_000)
    await sending.bill(session_id)
    await sending.answer("vendor.settle", Rejected({"code": "refused"}))
    await reconcile(sending.world)
    open_breaks = "SELECT code FROM break WHERE leg = 'external' AND resolved_at IS NULL"
    assert await sending.rows(open_breaks) == [{"code": "missing.external"}]
    await refunds.ask(sending.world, session_id, {"whole": True}, "goodwill", "never taken",
                      actor=PERSON, key="r1")  # fmt: skip
    assert await sending.parts(session_id) == [("external", 400), ("external", -400)]
    await reconcile(sending.world)
    assert await sending.rows(open_breaks) == []


async def test_what_late_data_change_stays_the_vendors(yard: Yard) -> None:
    """8 kWh are 3.20: the credit and the new charge are external too, and the books add up."""
    await yard.report("authorization", "A1", "50.00")
    session_id, number = await yard.begin(MINUTE)
    await yard.finish(number, 31 * MINUTE, 10_000)
    assert await yard.bill(session_id) == "billed"
    told = Fact("correct_stop", T0 + 31 * MINUTE, 8_000, origin="person")
    async with yard.world.work.transaction("x") as tx:
        facts = [(told, "fct_late")]
        await sessions.add_facts(tx.conn, session_id, facts, received_at=tx.now)
        await sessions.adjust_at(tx.conn, session_id, tx.now)
    await adjust(yard.world, session_id)
    assert await yard.parts(session_id) == [("external", 400), ("external", -400),
                                            ("external", 320)]  # fmt: skip
    owed = await yard.rows(
        "SELECT account, sum(debit_minor - credit_minor)::bigint AS minor FROM journal_line"
        " WHERE account LIKE 'receivable.%' GROUP BY 1"
    )
    assert {row["account"]: row["minor"] for row in owed} == {
        "receivable.external": 320, "receivable.driver": 0,
    }  # fmt: skip
    async with yard.world.work.pool.connection() as conn:
        assert (await prove(conn)).findings == ()


async def test_bills_and_reports_at_once_wait_for_each_other_and_none_is_lost(yard: Yard) -> None:
    """Eight sessions on two connectors, each with a payment that chose its own, all billed while
    the reports come in: each is paid by its own, and by no other."""
    ids = []
    for n in range(8):
        session_id, number = await yard.begin(n * 10 * MINUTE, 1 + n % 2)
        await yard.finish(number, (n * 10 + 5) * MINUTE, 1_000 + n)
        ids.append(session_id)
    yard.clock.advance(yard.world.now + MINUTE)

    async def told(n: int) -> None:
        at = utc_text(T0 + n * 10 * MINUTE)
        await yard.report("authorization", f"A{n}", "50.00", at=at, charge_point_id="Y-1",
                          connector_id=1 + n % 2)  # fmt: skip

    async with asyncio.TaskGroup() as group:
        for n in range(8):
            group.create_task(told(n))
            group.create_task(bill(yard.world, ids[n]))
    await yard.due()
    for session_id in ids:
        await yard.bill(session_id)
    found = await yard.rows("SELECT reference, session_id FROM terminal_payment ORDER BY 1")
    assert [row["session_id"] for row in found] == ids
    assert {r["state"] for r in await yard.rows("SELECT state FROM session")} == {"billed"}
