"""Reading the balance, with the pages given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from wattledger.payments.stripe.reading import Reading

CREATED = 1_793_606_400


def _line(key: str, fee: int) -> SimpleNamespace:
    """1,000 kr. less the fee, with two decimals as the processor says it."""
    return SimpleNamespace(
        id=key, source=f"ch_{key}", currency="isk", reporting_category="charge", amount=100_000,
        fee=fee, net=100_000 - fee, created=CREATED, available_on=CREATED,
    )  # fmt: skip


class _Balance:
    """One page of the balance."""

    def __init__(self, *rows: Any) -> None:
        self._rows = rows

    async def list_async(self, _: Any) -> Any:
        return SimpleNamespace(data=self._rows, has_more=False)


async def test_a_fee_that_we_can_not_say_keeps_no_other_line_from_being_read() -> None:
    """A fee of 14.50 kr. is none of whole krónur: its line is shown, not booked rounded."""
    page = _Balance(_line("txn_1", 1_450), _line("txn_2", 1_500))
    v1 = SimpleNamespace(balance_transactions=page)
    asked = {"since": "2026-11-02T00:00:00+00:00", "payouts": []}
    found = await Reading(v1, asked).batch()
    assert [(item["id"], item["fee_minor"]) for item in found["items"]] == [("txn_2", 15)]
    assert [row["id"] for row in found["unreadable"]] == ["txn_1"]
    assert "whole ISK" in found["unreadable"][0]["why"]
