"""Every canonical entry, with its journal as an accountant would write it.

Debits increase assets and expenses, credits increase revenue and liabilities.
"""

from __future__ import annotations

from datetime import date

import pytest

from wattledger.contract import Route
from wattledger.errors import CantPrice
from wattledger.ledger import entries
from wattledger.ledger.accounts import Code, kind
from wattledger.ledger.entries import Entry, Posting

DAY = date(2026, 11, 2)
DRIVER, CLEARING, SUSPENSE = Code.RECEIVABLE_DRIVER, Code.CLEARING_STRIPE, Code.SUSPENSE


def _journal(entry: Entry | None) -> list[tuple[Code, Code, int]]:
    return [(p.debit, p.credit, p.amount_minor) for p in (entry.postings if entry else ())]


def test_a_charge_is_owed_by_stream_and_tax() -> None:
    """Energy 4.00, idle 1.20, a fee of 0.50; 10 % tax on 5.70 is 0.57; 6.27 in all."""
    entry = entries.charge_issued(
        "north", "chg_1", DAY, "USD", Route.CARD,
        [("energy", 400), ("time", 0), ("idle", 120), ("fee", 50)], 57,
    )  # fmt: skip
    assert entry == Entry(
        "north", "charge", "chg_1", DAY, "USD",
        (
            Posting(DRIVER, Code.REVENUE_ENERGY, 400),
            Posting(DRIVER, Code.REVENUE_IDLE, 120),
            Posting(DRIVER, Code.REVENUE_FEE, 50),
            Posting(DRIVER, Code.TAX_SALES, 57),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("route", "account"),
    [
        (Route.CARD, Code.RECEIVABLE_DRIVER),
        (Route.NONE, Code.RECEIVABLE_DRIVER),
        (Route.WALLET, Code.RECEIVABLE_DRIVER),
        (Route.INVOICE, Code.RECEIVABLE_ACCOUNT),
        (Route.ROAMING, Code.RECEIVABLE_ACCOUNT),
        (Route.EXTERNAL, Code.RECEIVABLE_EXTERNAL),
    ],
)
def test_who_owes_a_charge(route: Route, account: Code) -> None:
    entry = entries.charge_issued("north", "c", DAY, "USD", route, [("energy", 400)], 0)
    assert _journal(entry) == [(account, Code.REVENUE_ENERGY, 400)]


def test_a_stream_below_zero_turns_its_posting_round() -> None:
    entry = entries.charge_issued(
        "north", "c", DAY, "USD", Route.CARD, [("energy", 400), ("time", -30)], 37
    )
    assert _journal(entry) == [
        (DRIVER, Code.REVENUE_ENERGY, 400),
        (Code.REVENUE_TIME, DRIVER, 30),
        (DRIVER, Code.TAX_SALES, 37),
    ]


def test_a_stream_without_an_account_is_not_guessed() -> None:
    with pytest.raises(CantPrice, match="no revenue account for") as caught:
        entries.charge_issued("north", "c", DAY, "USD", Route.CARD, [("parking", 1)], 0)
    assert caught.value.code == "stream.unknown"


def test_nothing_to_book_is_no_entry() -> None:
    assert entries.charge_issued("n", "c", DAY, "USD", Route.CARD, [("energy", 0)], 0) is None
    assert entries.waiver("n", "c/1", DAY, "USD", Route.CARD, 0) is None


def test_a_debt_moves_from_the_card_to_the_driver() -> None:
    entry = entries.debt("north", "chg_1/2", DAY, "USD", Route.CARD, 440)
    assert entry == Entry("north", "debt", "chg_1/2", DAY, "USD",
                          (Posting(Code.RECEIVABLE_DEBT, DRIVER, 440),))  # fmt: skip


def test_what_is_waived_is_an_expense() -> None:
    entry = entries.waiver("north", "chg_1/2", DAY, "USD", Route.NONE, 440)
    assert entry == Entry("north", "waiver", "chg_1/2", DAY, "USD",
                          (Posting(Code.EXPENSE_WAIVED, DRIVER, 440),))  # fmt: skip


def test_a_credit_is_the_exact_reversal_of_its_charge_on_its_own_day() -> None:
    """A charge with a line below zero: what it debited is credited, and the other way round."""
    charge = entries.charge_issued(
        "north", "chg_1", DAY, "USD", Route.CARD, [("energy", 400), ("time", -30)], 37
    )
    assert charge is not None
    credit = entries.credit_issued(charge, "crd_2", date(2026, 12, 3))
    assert credit == Entry(
        "north", "credit", "crd_2", date(2026, 12, 3), "USD",
        (
            Posting(Code.REVENUE_ENERGY, DRIVER, 400),
            Posting(DRIVER, Code.REVENUE_TIME, 30),
            Posting(Code.TAX_SALES, DRIVER, 37),
        ),
    )  # fmt: skip


def test_what_a_credit_makes_due_back_is_owed_to_the_driver_until_a_charge_is_paid_by_it() -> None:
    """4.40 due back, of which 3.96 pay the new charge: 0.44 stay owed."""
    back = entries.refund_due("north", "crd_2/1", DAY, "USD", Route.CARD, -440)
    used = entries.refund_due("north", "chg_3/1", DAY, "USD", Route.CARD, 396)
    assert back is not None
    assert (back.cause, back.cause_id) == ("refund_due", "crd_2/1")
    assert _journal(back) == [(DRIVER, Code.PAYABLE_DRIVER, 440)]
    assert _journal(used) == [(Code.PAYABLE_DRIVER, DRIVER, 396)]
    # A credit takes a debt and a waiver back as well.
    for book, account in ((entries.debt, Code.RECEIVABLE_DEBT),
                          (entries.waiver, Code.EXPENSE_WAIVED)):  # fmt: skip
        assert _journal(book("north", "crd_2/2", DAY, "USD", Route.CARD, -40)) == [
            (DRIVER, account, 40)
        ]


@pytest.mark.parametrize(
    ("category", "amount", "fee", "known", "journal"),
    [
        ("charge", 2_500, 103, True,
         [(CLEARING, DRIVER, 2_500), (Code.EXPENSE_PROCESSING, CLEARING, 103)]),
        # the hold of 25.00 was captured at 4.40: 20.60 go back
        ("partial_capture_reversal", -2_060, -60, True,
         [(DRIVER, CLEARING, 2_060), (CLEARING, Code.EXPENSE_PROCESSING, 60)]),
        ("charge", 2_500, 0, False, [(CLEARING, SUSPENSE, 2_500)]),
        ("fee", -200, 0, False, [(Code.EXPENSE_PROCESSING, CLEARING, 200)]),
        ("network_cost", -5, 0, False, [(Code.EXPENSE_PROCESSING, CLEARING, 5)]),
        ("payout", -397, 0, False, [(Code.PAYOUTS_IN_TRANSIT, CLEARING, 397)]),
        ("payout_reversal", 397, 0, False, [(CLEARING, Code.PAYOUTS_IN_TRANSIT, 397)]),
        ("payout_failure", 397, 0, False, [(CLEARING, Code.PAYOUTS_IN_TRANSIT, 397)]),
        ("charge_failure", -440, 0, True, [(DRIVER, CLEARING, 440)]),
        ("refund", -440, 0, True, [(Code.PAYABLE_DRIVER, CLEARING, 440)]),
        ("refund", -440, 0, False, [(SUSPENSE, CLEARING, 440)]),
        ("refund_failure", 440, 0, True, [(CLEARING, Code.PAYABLE_DRIVER, 440)]),
        ("dispute", -440, 1_500, True,
         [(Code.RECEIVABLE_DISPUTE, CLEARING, 440), (Code.EXPENSE_PROCESSING, CLEARING, 1_500)]),
        ("dispute", -440, 0, False, [(SUSPENSE, CLEARING, 440)]),
        ("dispute_reversal", 440, -1_500, True,
         [(CLEARING, Code.RECEIVABLE_DISPUTE, 440), (CLEARING, Code.EXPENSE_PROCESSING, 1_500)]),
        ("tax", -8, 0, False, [(Code.EXPENSE_PROCESSING, CLEARING, 8)]),
        ("risk_reserved_funds", -500, 0, False, [(Code.RESERVED_STRIPE, CLEARING, 500)]),
        ("payout_minimum_balance_release", 500, 0, False,
         [(CLEARING, Code.RESERVED_STRIPE, 500)]),
        ("topup", 1_000, 0, False, [(CLEARING, Code.BANK, 1_000)]),
        ("transfer", -70, 0, False, [(SUSPENSE, CLEARING, 70)]),
        ("other_adjustment", 3, 0, False, [(CLEARING, SUSPENSE, 3)]),
        ("tax_on_tuesdays", 7, 0, False, [(CLEARING, SUSPENSE, 7)]),
        ("charge", 0, 0, True, []),
    ],
)  # fmt: skip
def test_a_line_of_the_processor(
    category: str, amount: int, fee: int, known: bool, journal: list[tuple[Code, Code, int]]
) -> None:
    entry = entries.processor_item("north", "txn_1", DAY, "USD", category, amount, fee, known=known)
    assert _journal(entry) == journal
    clearing = sum(a for d, _, a in journal if d is CLEARING) - sum(
        a for _, c, a in journal if c is CLEARING
    )
    assert clearing == amount - fee, "clearing is the processor's balance"


def test_what_was_given_without_being_owed_is_an_expense_and_the_revenue_stands() -> None:
    """4.00 of energy with 0.50 of goodwill: net 3.50, tax 0.35."""
    entry = entries.charge_issued(
        "north", "c", DAY, "USD", Route.CARD, [("energy", 400), ("goodwill", -50)], 35
    )
    assert _journal(entry) == [
        (DRIVER, Code.REVENUE_ENERGY, 400),
        (Code.EXPENSE_GOODWILL, DRIVER, 50),
        (DRIVER, Code.TAX_SALES, 35),
    ]


def test_a_refund_of_a_payment_without_a_session_is_taken_out_of_what_it_was_booked_as() -> None:
    entry = entries.processor_item(
        "north", "txn_1", DAY, "USD", "refund", -440, 0, known=True, beyond_minor=-440
    )
    assert _journal(entry) == [(DRIVER, CLEARING, 440)]


def test_what_a_lost_dispute_withdrew_is_an_expense_and_what_came_back_is_none() -> None:
    lost = entries.dispute_lost("north", "txn_1", DAY, "USD", 440)
    assert _journal(lost) == [(Code.EXPENSE_DISPUTES, Code.RECEIVABLE_DISPUTE, 440)]
    back = entries.dispute_lost("north", "txn_2", DAY, "USD", -440)
    assert _journal(back) == [(Code.RECEIVABLE_DISPUTE, Code.EXPENSE_DISPUTES, 440)]


def test_a_refund_that_reached_its_driver_otherwise_is_owed_no_more() -> None:
    by_hand, by_dispute = (
        entries.refund_otherwise("north", "prf_1", DAY, "USD", 44, disputed=disputed)
        for disputed in (False, True)
    )
    assert _journal(by_hand) == [(Code.PAYABLE_DRIVER, Code.SUSPENSE_REFUNDS, 44)]
    assert _journal(by_dispute) == [(Code.PAYABLE_DRIVER, Code.EXPENSE_DISPUTES, 44)]


def test_a_payout_arrives_and_may_come_back() -> None:
    paid = entries.payout_paid("north", "po_1", DAY, "USD", 397)
    assert _journal(paid) == [(Code.BANK, Code.PAYOUTS_IN_TRANSIT, 397)]
    assert _journal(entries.payout_paid("north", "po_1", DAY, "USD", -397)) == [
        (Code.PAYOUTS_IN_TRANSIT, Code.BANK, 397)
    ]
    failed = entries.payout_failed("north", "po_1", DAY, "USD", 397)
    assert failed == Entry(
        "north", "payout_failed", "po_1", DAY, "USD",
        (Posting(Code.PAYOUTS_IN_TRANSIT, Code.BANK, 397),),
    ), "of its own cause: it stands beside the entry of its payment"  # fmt: skip


def test_each_account_has_its_kind() -> None:
    kinds: dict[str, set[str]] = {}
    for code in Code:
        kinds.setdefault(kind(code), set()).add(code.value.partition(".")[0])
    assert kinds == {
        "asset": {"receivable", "clearing", "reserved", "payouts", "bank", "suspense"},
        "liability": {"tax", "payable"},
        "revenue": {"revenue"},
        "expense": {"expense"},
    }
