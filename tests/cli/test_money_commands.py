"""``wattledger payments``, ``refund`` and ``receipt``, beside a database without a server."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from paid_desk import SECRET, Command, template, wattledger
from seed import FULL
from seed_payments import ASKED, DEBTOR, DISPUTE, INQUIRY, LAPSING, PARKED, STUCK, SUSPENSE, TIE

from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.receipts import links

__all__ = ["template", "wattledger"]


async def test_payments_by_what_is_wrong_with_them(wattledger: Command) -> None:
    for which, word in (
        ("--stuck", STUCK), ("--lapsing", LAPSING), ("--debts", DEBTOR), ("--suspense", SUSPENSE),
        ("--disputes", DISPUTE), ("--refunds", ASKED), ("--refunds", "prf_1"),
        ("--warnings", "issfr_1"), ("--state=parked", PARKED),
    ):  # fmt: skip
        code, out, _ = await wattledger("payments", which)
        assert code == 0
        assert word in out, which
    code, out, _ = await wattledger("payments", "--disputes", "--json")
    assert [row["id"] for row in json.loads(out)["disputes"]] == [INQUIRY, DISPUTE]
    code, out, _ = await wattledger("payments", "--stuck", "--json")
    assert [row["id"] for row in json.loads(out)["payments"]] == [STUCK]


async def test_refunds_that_wait_and_those_that_did_not_arrive_are_told_apart(
    wattledger: Command,
) -> None:
    code, out, _ = await wattledger("payments", "--refunds", "--json")
    found = json.loads(out)
    assert code == 0
    assert [row["id"] for row in found["refunds"]] == [ASKED]
    assert [(row["id"], row["state"]) for row in found["payment_refunds"]] == [("prf_1", "failed")]
    code, out, _ = await wattledger("payments", "--warnings", "--json")
    assert [row["proposed"] for row in json.loads(out)["warnings"]] == ["refund"]


async def test_what_needs_somebody_is_decided(wattledger: Command) -> None:
    seen = ("--reason", "seen", "--by", "Ann")
    code, out, _ = await wattledger("payments", "release", PARKED, *seen)
    assert (code, out) == (0, f"{PARKED}: released.\n")
    code, out, err = await wattledger("payments", "refuse", PARKED, *seen, "--json")
    assert (code, "not parked" in err, "not parked" in json.loads(out)["error"]) == (1, True, True)
    code, out, _ = await wattledger("payments", "--debts", "--json")
    debt = json.loads(out)["debts"][0]["id"]
    code, out, _ = await wattledger("payments", "debt", "write-off", debt, *seen, "--json")
    assert (code, json.loads(out)) == (0, {"id": debt, "done": "written off"})
    assert (await wattledger("payments", "debt", "try", debt))[0] == 1  # written off
    code, _, err = await wattledger("payments", "suspense", "match", TIE, "--session", "ses_7_02",
                                    *seen)  # fmt: skip
    assert code == 1  # a card pays that one
    assert (await wattledger("payments", "suspense", "keep", SUSPENSE, *seen))[0] == 0
    code, out, _ = await wattledger("payments", "dispute", "submit", DISPUTE, "--note", "Here.")
    assert (code, out) == (0, f"{DISPUTE}: evidence sent.\n")


async def test_who_is_blocked_is_listed_and_lifted(wattledger: Command, database: Database) -> None:
    code, out, err = await wattledger("payments", "unblock", "A/1", "--reason", "x")
    assert (code, "`wattledger payments --blocks`" in err) == (2, True)
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        conn.execute(
            "INSERT INTO token_block (token, blocked, why, cause, at)"
            " VALUES ('A/1', true, 'in_debt', 'chg_1/1', now())"
        )
    code, out, _ = await wattledger("payments", "--blocks")
    assert (code, "A/1" in out, "in debt" in out) == (0, True, True)
    code, out, _ = await wattledger("payments", "unblock", "A/1", "--reason", "x", "--by", "Ann")
    assert (code, out) == (0, "A/1: lifted.\n")
    code, out, _ = await wattledger("payments", "--blocks", "--json")
    assert (code, json.loads(out)) == (0, {"blocks": []})


async def test_a_decision_needs_its_reason_and_its_subject(wattledger: Command) -> None:
    code, _, err = await wattledger("payments", "suspense", "return", SUSPENSE, "--reason", " ")
    assert (code, "--reason" in err) == (2, True)
    code, _, err = await wattledger("payments", "release", "pay_none", "--reason", "x")
    assert (code, "`wattledger payments --state parked`" in err) == (2, True)
    with pytest.raises(SystemExit) as left:
        await wattledger("payments", "suspense", "match", TIE, "--reason", "x")
    assert left.value.code == 2


async def test_a_receipt_is_mailed_where_there_is_a_server(wattledger: Command) -> None:
    code, _, err = await wattledger("receipt", FULL, "--mail", "--to", "ann@example.com")
    assert (code, "no mail server" in err) == (1, True)
    code, _, err = await wattledger("receipt", FULL, "--link", "--to", "ann@example.com")
    assert (code, "--mail" in err) == (2, True)


async def test_one_payment_and_one_that_is_not_there(wattledger: Command) -> None:
    code, out, _ = await wattledger("payments", "show", STUCK)
    assert code == 0
    assert "stripe.capture" in out
    assert "no answer from api.stripe.com: ReadTimeout" in out
    code, _, err = await wattledger("payments", "show", "pay_none")
    assert (code, "`wattledger payments` lists them" in err) == (2, True)


async def test_a_refund_says_first_what_it_comes_to_and_counts_once(wattledger: Command) -> None:
    asked = ("refund", FULL, "--amount", "3.50", "--reason", "wrong price", "--by", "Ann")
    code, out, err = await wattledger(*asked)
    assert code == 2  # nobody to ask, and no --yes
    assert f"€3.50 of {FULL}, as a correction: it goes back at once." in out
    assert "nothing was given back" in err
    code, out, _ = await wattledger(*asked, "--yes")
    assert code == 0
    assert "€3.50 is given back" in out
    code, again, _ = await wattledger(*asked, "--yes", "--json")
    assert json.loads(again)["id"] in out  # the same command is the same refund


async def test_a_refund_that_can_not_be_is_told_apart(wattledger: Command) -> None:
    code, _, err = await wattledger("refund", FULL, "--amount", "99", "--reason", "x", "--yes")
    assert (code, "--amount: got '99', expected at most €44.00" in err) == (2, True)
    code, _, err = await wattledger("refund", FULL, "--reason", "x", "--yes")
    assert (code, "--whole, --line, --amount" in err) == (2, True)
    code, _, err = await wattledger("refund", "ses_0_00", "--whole", "--reason", "x", "--yes")
    assert (code, "disputed" in err) == (1, True)
    code, _, err = await wattledger("refund", "ses_none", "--whole", "--reason", "x", "--yes")
    assert code == 2


async def test_somebody_else_approves_or_refuses(wattledger: Command) -> None:
    code, _, err = await wattledger("refund", "refuse", ASKED, "--by", "Mette")
    assert (code, "--reason" in err) == (2, True)
    code, out, _ = await wattledger("refund", "refuse", ASKED, "--by", "Mette", "--reason", "no")
    assert (code, "is refused" in out) == (0, True)
    code, _, err = await wattledger("refund", "approve", ASKED, "--by", "Mette")
    assert (code, "is refused already" in err) == (1, True)


async def test_a_receipt_as_a_file_and_its_link(wattledger: Command, tmp_path: Path) -> None:
    paper, page = tmp_path / "r.pdf", tmp_path / "r.html"
    code, out, _ = await wattledger("receipt", FULL, "--out", str(paper))
    assert (code, out.startswith(f"Wrote {paper}: receipt chg_")) == (0, True)
    assert paper.read_bytes().startswith(b"%PDF-")
    assert (await wattledger("receipt", FULL, "--out", str(page)))[0] == 0
    assert "€44.00" in page.read_text(encoding="utf-8")
    assert (await wattledger("receipt", FULL, "--out", "r.doc"))[0] == 2
    code, out, _ = await wattledger("receipt", FULL, "--link")
    assert out.strip() == links.link("https://pay.example.com", SECRET, FULL)
    assert (await wattledger("receipt", "ses_none", "--link"))[0] == 2
