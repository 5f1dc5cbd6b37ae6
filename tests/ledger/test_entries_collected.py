"""What debts and wallets book."""

from __future__ import annotations

from datetime import date

import pytest

from wattledger.contract import Route
from wattledger.ledger import entries
from wattledger.ledger.accounts import Code, kind
from wattledger.ledger.entries import Entry

DAY = date(2026, 11, 2)
DRIVER, DEBT, WAIVED = Code.RECEIVABLE_DRIVER, Code.RECEIVABLE_DEBT, Code.EXPENSE_WAIVED
WALLET = Code.PAYABLE_WALLET


def _one(entry: Entry | None) -> tuple[str, Code, Code, int]:
    assert entry is not None
    (posting,) = entry.postings
    return entry.cause, posting.debit, posting.credit, posting.amount_minor


@pytest.mark.parametrize("route", [Route.CARD, Route.APP, Route.TERMINAL, Route.NONE])
def test_a_debt_is_opened_and_paid_or_written_off(route: Route) -> None:
    of = ("north", "chg_1/2", DAY, "USD", route, 500)
    assert _one(entries.debt(*of)) == ("debt", DEBT, DRIVER, 500)
    assert _one(entries.debt_paid(*of)) == ("debt_paid", DRIVER, DEBT, 500)
    assert _one(entries.written_off(*of)) == ("written_off", WAIVED, DEBT, 500)


def test_a_wallet_is_drawn_and_given_back() -> None:
    of = ("north", "chg_1/1", DAY, "USD", Route.WALLET)
    assert _one(entries.wallet_drawn(*of, 440)) == ("wallet", WALLET, DRIVER, 440)
    assert _one(entries.wallet_drawn(*of, -440)) == ("wallet", DRIVER, WALLET, 440)


@pytest.mark.parametrize(("by_card", "owed"), [(True, DRIVER), (False, Code.RECEIVABLE_EXTERNAL)])
def test_a_wallet_is_filled(by_card: bool, owed: Code) -> None:
    entry = entries.wallet_filled("north", "pay_1", DAY, "USD", 1_000, by_card=by_card)
    assert _one(entry) == ("topup", owed, WALLET, 1_000)


def test_a_wallet_is_owed_to_its_account() -> None:
    assert kind(WALLET) == "liability"
