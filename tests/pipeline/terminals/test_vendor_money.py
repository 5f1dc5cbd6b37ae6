"""Money that a terminal's vendor took and gave back, or took for nobody's session: in the books, in
the reconciliation, and who pays then.

A session of 10 kWh at 0.40, without tax: 4.00, which the vendor has settled.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from terminal_yard import MINUTE, T0, Yard, with_terminal
from test_terminals import PERSON

from wattledger.api.report import report
from wattledger.clock import DrivenClock
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.errors import Conflict
from wattledger.pipeline.deciding import money_view
from wattledger.pipeline.reconcile import reconcile
from wattledger.pipeline.returning import refunds
from wattledger.pipeline.terminals import terminals

VENDOR, DRIVER, UNAPPLIED = "receivable.external", "receivable.driver", "payable.unapplied"


class Vendor(Yard):
    """A yard whose money is looked at."""

    database: Database

    async def paid(self) -> str:
        """A session that is billed, and settled."""
        await self.report("authorization", "A1", "50.00")
        session_id = await self.charge(MINUTE, 10_000)
        assert await self.bill(session_id) == "billed"
        await self.report("settlement", "A1", "4.00")
        return session_id

    async def suspended(self, *reports: str) -> str:
        """A payment that no session fits; its id. ``reports`` are what it settles."""
        await self.report("authorization", "A1", "50.00")
        for amount in reports:
            await self.report("settlement", "A1", amount)
        self.clock.advance(T0 + 15 * MINUTE)
        await self.due()
        payment_id = await self.one("SELECT id FROM terminal_payment")
        assert await self.one("SELECT state FROM terminal_payment") == "suspense"
        return str(payment_id)

    async def books(self) -> dict[str, int]:
        rows = await self.rows(
            "SELECT account, sum(debit_minor - credit_minor)::bigint AS minor FROM journal_line"
            " GROUP BY 1"
        )
        return {row["account"]: row["minor"] for row in rows if row["minor"]}

    async def breaks(self) -> list[tuple[str, int]]:
        await reconcile(self.world)
        rows = await self.rows("SELECT code, amount_minor FROM break WHERE leg = 'external'"
                               " AND resolved_at IS NULL")  # fmt: skip
        return [(row["code"], row["amount_minor"]) for row in rows]

    async def adds_up(self) -> dict[str, Any]:
        """The ledger is proved, and charged = captured + … less what is due back."""
        async with await self.database.connect(Role.READER) as conn, conn.transaction():
            found = await report(conn)
        assert found["ledger"]["proved"] is True
        money = found["money"]
        ways = ("captured", "invoiced", "external", "wallet", "roaming", "waived", "debt",
                "pending")  # fmt: skip
        assert money["charged"] == sum(money[way] for way in ways) - money["refund_due"]
        return money  # type: ignore[no-any-return]

    async def unpaid(self) -> list[tuple[str, int, bool]]:
        """Who is shown as not paid."""
        async with self.world.work.pool.connection() as conn:
            found = (await money_view.needs(conn, "north", self.world.now)).unpaid
        return [(row["session_id"], row["total_minor"], row["billed"]) for row in found]


@pytest.fixture
async def yard(work: Work, clock: DrivenClock, database: Database) -> Vendor:
    found = await Vendor.made(work, clock, with_terminal())
    assert isinstance(found, Vendor)
    found.database = database
    return found


# --- given back after it was settled ---------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "books"),
    [("debt", {"receivable.debt": 400}), ("waive", {"expense.waived": 400})],
)
async def test_what_was_reversed_after_the_bill_is_a_break_until_a_person_says_who_pays(
    yard: Vendor, what: Any, books: dict[str, int]
) -> None:
    session_id = await yard.paid()
    assert await yard.breaks() == []
    for _ in range(2):
        await yard.report("reversal", "A1", "")
    assert await yard.codes() == ["terminal.reversed"]
    assert await yard.breaks() == [("missing.external", -400)]
    assert await yard.unpaid() == [(session_id, 400, True)]
    assert (await yard.books())[VENDOR] == 400, "until somebody has decided"
    acted = await terminals.unpaid(yard.world, session_id, what, PERSON, "it was charged back")
    assert (acted.state, acted.session_id) == ("billed", session_id)
    part = {"debt": "debt", "waive": "waived"}[what]
    assert await yard.parts(session_id) == [("external", 0), (part, 400)]
    assert await yard.books() == {**books, "revenue.energy": -400}
    assert await yard.codes() == []
    assert await yard.breaks() == []
    assert await yard.unpaid() == []
    money = await yard.adds_up()
    assert (money["external"], money[part]) == (0, 400)
    with pytest.raises(Conflict, match="nothing of it stands as paid"):
        await terminals.unpaid(yard.world, session_id, what, PERSON, "again")


async def test_one_that_was_given_back_as_a_refund_is_one_on_paper(yard: Vendor) -> None:
    session_id = await yard.paid()
    await yard.report("reversal", "A1", "")
    await refunds.ask(
        yard.world, session_id, {"whole": True}, "goodwill", "slow", actor=PERSON, key="k"
    )
    assert await yard.breaks() == []
    assert await yard.unpaid() == []
    assert (await yard.books()).get(VENDOR, 0) == 0
    await yard.adds_up()


async def test_who_is_paid_is_not_asked_to_pay_again(yard: Vendor) -> None:
    session_id = await yard.paid()
    with pytest.raises(Conflict, match="did not go back"):
        await terminals.unpaid(yard.world, session_id, "debt", PERSON, "a mistake")


async def test_what_was_settled_and_reversed_before_the_bill_pays_for_nothing(
    yard: Vendor,
) -> None:
    await yard.report("authorization", "A1", "50.00")
    session_id = await yard.charge(MINUTE, 10_000)
    await yard.report("settlement", "A1", "4.00")
    await yard.report("reversal", "A1", "")
    assert await yard.one("SELECT state FROM terminal_payment") == "returned"
    assert await yard.bill(session_id) == "held"
    assert await yard.codes() == ["payment.missing"]
    await terminals.unpaid(yard.world, session_id, "waive", PERSON, "it was charged back")
    assert await yard.bill(session_id) == "billed"
    assert await yard.parts(session_id) == [("waived", 400)]
    assert await yard.breaks() == []
    await yard.adds_up()


async def test_one_that_was_matched_settled_and_reversed_before_the_bill(yard: Vendor) -> None:
    """A person had said whose it is."""
    payment_id = await yard.suspended("4.00")
    session_id = await yard.charge(90 * MINUTE, 10_000)
    await terminals.match(yard.world, payment_id, session_id, PERSON, "she was there")
    await yard.report("reversal", "A1", "")
    assert await yard.rows("SELECT state, session_id FROM terminal_payment") == [
        {"state": "returned", "session_id": None}
    ]
    assert await yard.bill(session_id) == "held"
    with pytest.raises(Conflict, match="is returned"):
        await terminals.match(yard.world, payment_id, session_id, PERSON, "again")


async def test_a_reversal_and_the_bill_at_once_leave_nobodys_money_in_it(yard: Vendor) -> None:
    """Whichever is first: held for its payment, or billed and shown."""
    await yard.report("authorization", "A1", "50.00")
    session_id = await yard.charge(MINUTE, 10_000)
    await yard.report("settlement", "A1", "4.00")
    await asyncio.gather(yard.report("reversal", "A1", ""), yard.bill(session_id))
    assert [row[0] for row in await yard.unpaid()] == [session_id]
    await yard.adds_up()


async def test_the_reversal_and_the_person_who_decides_are_each_counted_once(yard: Vendor) -> None:
    session_id = await yard.paid()
    await yard.report("reversal", "A1", "")
    both = await asyncio.gather(
        *(terminals.unpaid(yard.world, session_id, what, PERSON, "charged back")  # type: ignore[arg-type]
          for what in ("debt", "waive")), return_exceptions=True,
    )  # fmt: skip
    assert sorted(type(each).__name__ for each in both) == ["Acted", "Conflict"]
    assert sum(minor for _, minor in await yard.parts(session_id)) == 400
    await yard.adds_up()


# --- taken for nobody ------------------------------------------------------------------------


async def test_what_is_kept_is_in_the_books_as_theirs_who_paid(yard: Vendor) -> None:
    payment_id = await yard.suspended("12.00")
    await terminals.keep(yard.world, payment_id, PERSON, "nobody asked")
    assert await yard.books() == {VENDOR: 1_200, UNAPPLIED: -1_200}
    assert await yard.breaks() == []
    [legs] = await yard.rows("SELECT legs FROM reconciliation WHERE entity_id = 'north'")
    (leg,) = [each for each in legs["legs"] if each["leg"] == "external"]
    assert (leg["matched"], leg["ours"]["amount_minor"], leg["theirs"]["amount_minor"]) == (
        1, 1_200, 1_200
    )  # fmt: skip
    await yard.adds_up()


async def test_what_is_settled_only_after_it_was_kept_is_booked_then(yard: Vendor) -> None:
    payment_id = await yard.suspended()
    await terminals.keep(yard.world, payment_id, PERSON, "nobody asked")
    assert await yard.books() == {}
    for _ in range(2):
        await yard.report("settlement", "A1", "12.00")
    assert await yard.books() == {VENDOR: 1_200, UNAPPLIED: -1_200}
    assert await yard.breaks() == []
    await yard.adds_up()


async def test_what_was_kept_may_be_given_back_or_reversed(yard: Vendor) -> None:
    payment_id = await yard.suspended("12.00")
    await terminals.keep(yard.world, payment_id, PERSON, "nobody asked")
    await terminals.give_back(yard.world, payment_id, PERSON, "she called")
    assert await yard.books() == {}
    assert await yard.one("SELECT state FROM terminal_payment") == "returned"
    await yard.report("reversal", "A1", "")
    assert await yard.books() == {}
    assert await yard.breaks() == []
    await yard.adds_up()


async def test_a_vendor_that_gives_back_what_was_kept_owes_it_no_more(yard: Vendor) -> None:
    payment_id = await yard.suspended("12.00")
    await terminals.keep(yard.world, payment_id, PERSON, "nobody asked")
    await yard.report("reversal", "A1", "")
    assert await yard.books() == {}
    with pytest.raises(Conflict):
        await terminals.keep(yard.world, payment_id, PERSON, "again")
    await yard.adds_up()


async def test_what_was_kept_pays_for_the_session_that_is_found_later(yard: Vendor) -> None:
    payment_id = await yard.suspended("4.00")
    session_id = await yard.charge(90 * MINUTE, 10_000)
    assert await yard.bill(session_id) == "held"
    await terminals.keep(yard.world, payment_id, PERSON, "nobody asked")
    await terminals.match(yard.world, payment_id, session_id, PERSON, "it was hers")
    assert await yard.bill(session_id) == "billed"
    assert await yard.parts(session_id) == [("external", 400)]
    assert await yard.books() == {VENDOR: 400, "revenue.energy": -400}
    assert await yard.breaks() == []
    await yard.adds_up()


async def test_a_match_and_a_keep_at_once_are_one_of_them(yard: Vendor) -> None:
    payment_id = await yard.suspended("4.00")
    session_id = await yard.charge(90 * MINUTE, 10_000)
    assert await yard.bill(session_id) == "held"
    await asyncio.gather(
        terminals.keep(yard.world, payment_id, PERSON, "nobody asked"),
        terminals.match(yard.world, payment_id, session_id, PERSON, "it was hers"),
        yard.report("reversal", "A1", ""), return_exceptions=True,
    )  # fmt: skip
    await yard.bill(session_id)
    await yard.adds_up()
