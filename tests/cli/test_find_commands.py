"""Why was I charged this? The support desk finds the payment and the session by a command, and is
shown the bill line by line, and all of its money in time. What is printed fits its terminal."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from paid_desk import Command, template, wattledger
from rich.console import Console
from seed import FULL
from seed_payments import DISPUTE, LAPSING, STUCK

from wattledger.cli import seen_text

__all__ = ["template", "wattledger"]


async def ids(wattledger: Command, *given: str) -> list[str]:
    code, out, err = await wattledger("payments", *given, "--json")
    assert code == 0, err
    return [row["id"] for row in json.loads(out)["payments"]]


async def test_a_payment_is_found_by_what_its_driver_has(wattledger: Command) -> None:
    assert await ids(wattledger, "--last4", "0005") == [STUCK]
    (full,) = await ids(wattledger, "--session", FULL)
    assert await ids(wattledger, "--last4", "4444", "--amount", "44.00") == [full]
    assert await ids(wattledger, "--find", "4444 €44,00") == [full]
    assert await ids(wattledger, "--token", f"tok-{FULL}") == [full]
    assert LAPSING in await ids(wattledger, "--account", "coop", "--since", "2026-11-03")
    assert await ids(wattledger, "--last4", "0005", "--until", "2026-11-03T12:00:00Z") == []
    found = json.loads((await wattledger("sessions", FULL, "--json"))[1])
    receipt = f"{found['charges'][-1]['charge_id']}/1"
    assert await ids(wattledger, "--receipt", receipt) == [full]
    assert FULL in (await wattledger("sessions", "--find", receipt))[1]


async def test_what_can_not_be_looked_for_is_said(wattledger: Command) -> None:
    for given, said in (
        (("--last4", "12"), "--last4: got '12', expected the last four digits"),
        (("--amount", "ten"), "--amount: got 'ten', expected an amount such as 12.34, in EUR"),
        (("--since", "yesterday"), "--since: got 'yesterday'"),
        (("--find", "a b c d e f g"), "--find: got 'a b c d e f g', expected 6 words at most"),
        (("--debts", "--last4", "4242"), "--last4: got '--debts', expected a list of payments"),
        (("--state", "odd"), "--state: got 'odd', expected one of waiting"),
        (("--limit", "0"), "--limit: got 0"),
    ):
        code, _, err = await wattledger("payments", *given)
        assert (code, said in err) == (2, True), err


async def test_a_session_shows_its_bill_and_its_money_in_time(wattledger: Command) -> None:
    code, out, _ = await wattledger("sessions", FULL)
    assert code == 0
    bill, money = out.index("Bill 1"), out.index("\nMoney\n")
    assert bill < money < out.index("\nIn time\n")
    assert "€44.00" in out[bill:money]
    assert out.index("Hold", money) < out.index("Capture", money)
    assert "Refund of €9.00, goodwill, asked by page:Ilse: waits for a second person" in out
    code, out, _ = await wattledger("sessions", "ses_0_00")
    assert f"evidence due in 6 days  {DISPUTE}" in out
    found = json.loads((await wattledger("sessions", FULL, "--json"))[1])
    assert [row["state"] for row in found["payments"]] == ["captured"]


ROWS = [("2026-11-03T12:42:08Z", "€12,345,678.90", "a long reason of many words " * 3,
         "ses_2qr537cwbtu6ttnkr7qy", "pay_s7s24eg7dcts3ozubspm")]  # fmt: skip
COLUMNS = ("Made", ">Amount", "~Why", "+Session", "+Id")


@pytest.mark.parametrize("width", [50, 80, 120, 200])
def test_an_id_is_never_broken_and_no_line_is_too_long(width: int) -> None:
    printed = io.StringIO()
    out = Console(file=printed, width=width)
    rows: Any = ROWS * 2
    seen_text.print_rows(out, COLUMNS, rows)
    lines = printed.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for cell in (ROWS[0][0], ROWS[0][1], ROWS[0][3], ROWS[0][4]):
        assert printed.getvalue().count(cell) == 2


async def test_where_there_is_no_terminal_each_row_is_a_line(wattledger: Command) -> None:
    _, out, _ = await wattledger("payments", "--limit", "5")
    assert len([line for line in out.splitlines() if "pay_" in line]) == 5
    assert "\x1b" not in out
