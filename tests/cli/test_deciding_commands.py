"""What is decided about money by a command: every act of the page, and the same act said twice."""

from __future__ import annotations

import json
from datetime import timedelta

import psycopg
import pytest
from paid_desk import Command, template, wattledger
from seed import FULL
from seed_config import NOW
from seed_payments import ASKED, PARKED, STUCK, SUSPENSE, TIE

import handmade as hand
from wattledger.db.connect import Database
from wattledger.db.roles import Role

__all__ = ["template", "wattledger"]
SEEN = ("--reason", "seen", "--by", "Ann")
BEFORE = "before, in the same way; nothing was changed"


def unpaid(database: Database) -> str:
    """A session at a terminal that nobody paid."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        contract = conn.execute("SELECT contract FROM session WHERE id = %s", (FULL,)).fetchone()
        assert contract is not None
        hand.insert(
            conn, "session", id="ses_unpaid", entity_id="lind", site_id="kade",
            charge_point_id="kade-01", connector_id=1, source="ocpp1.6", token="TERMINAL",
            route="terminal", contract=psycopg.types.json.Jsonb({**contract[0], "route": "terminal",
                                                                 "site_id": "kade"}),
            state="held", held_reason="payment.missing", started_at=NOW - timedelta(hours=4),
            stopped_at=NOW - timedelta(hours=3), ended_at=NOW - timedelta(hours=3),
            meter_start_wh=0, meter_stop_wh=10_000,
        )  # fmt: skip
        hand.insert(
            conn, "terminal_wait", session_id="ses_unpaid", entity_id="lind", currency="EUR",
            total_minor=472, since=NOW - timedelta(hours=2),
        )  # fmt: skip
    return "ses_unpaid"


async def test_the_same_act_twice_is_the_same_act(wattledger: Command, database: Database) -> None:
    code, first, _ = await wattledger("payments", "release", PARKED, *SEEN, "--json")
    assert (code, json.loads(first)) == (0, {"id": PARKED, "done": "released"})
    code, again, _ = await wattledger("payments", "release", PARKED, *SEEN, "--json")
    assert (code, again) == (0, first)
    code, out, _ = await wattledger("payments", "release", PARKED, *SEEN)
    assert (code, out) == (0, f"{PARKED}: released {BEFORE}.\n")
    # Another person, or another reason, is another act: it can't be done any more.
    for other in (("--reason", "seen", "--by", "Bo"), ("--reason", "other", "--by", "Ann")):
        code, _, err = await wattledger("payments", "release", PARKED, *other)
        assert (code, "not parked" in err) == (1, True)
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        acts = conn.execute("SELECT count(*) FROM money_act WHERE subject = %s", (PARKED,))
        assert acts.fetchone() == (1,)


async def test_an_act_that_can_be_done_anew_is_done_anew(
    wattledger: Command, database: Database
) -> None:
    """A block that was lifted and came again is lifted again, by the same words."""
    for number in (1, 2):
        with psycopg.connect(database.conninfo(Role.APP)) as conn:
            conn.execute(
                "INSERT INTO token_block (token, blocked, why, cause, at)"
                " VALUES ('A/1', true, 'blocked', %s, now())", (f"du_{number}",)
            )  # fmt: skip
        code, out, _ = await wattledger("payments", "unblock", "A/1", *SEEN)
        assert (code, out) == (0, "A/1: lifted.\n")
    code, out, _ = await wattledger("payments", "unblock", "A/1", *SEEN)
    assert (code, out) == (0, f"A/1: lifted {BEFORE}.\n")


@pytest.mark.parametrize("act", ["debt", "waive"])
async def test_a_session_at_a_terminal_that_nobody_paid_is_accepted(
    wattledger: Command, database: Database, act: str
) -> None:
    session = unpaid(database)
    code, out, _ = await wattledger("payments", "--unpaid")
    assert (code, session in out, "€4.72" in out, "2 h" in out) == (0, True, True, True)
    code, out, _ = await wattledger("payments", "unpaid", act, session, *SEEN)
    assert (code, f"{session}: " in out, "once it is billed" in out) == (0, True, True)
    assert BEFORE in (await wattledger("payments", "unpaid", act, session, *SEEN))[1]
    other = "waive" if act == "debt" else "debt"
    code, _, err = await wattledger("payments", "unpaid", other, session, *SEEN)
    assert (code, "waits for no payment" in err) == (1, True)
    assert json.loads((await wattledger("payments", "--unpaid", "--json"))[1]) == {"unpaid": []}
    code, _, err = await wattledger("payments", "unpaid", act, "ses_none", *SEEN)
    assert (code, "`wattledger payments --unpaid` lists" in err) == (2, True)


async def test_what_can_not_be_given_back_or_stopped_says_why(wattledger: Command) -> None:
    code, _, err = await wattledger("payments", "give-back", STUCK, *SEEN)
    assert (code, "is capturing: nothing of it is too much" in err) == (1, True)
    code, _, err = await wattledger("payments", "stop", STUCK, *SEEN)
    assert (code, "no charge that was announced" in err) == (1, True)
    for act in ("give-back", "stop"):
        code, _, err = await wattledger("payments", act, "pay_none", *SEEN)
        assert (code, err.startswith("wattledger: ID: got 'pay_none'")) == (2, True)


def made_outside(database: Database) -> None:
    """4.00 given back in the dashboard, of the payment of one session."""
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        payment = conn.execute("SELECT id FROM payment WHERE session_id = %s", (FULL,)).fetchone()
        assert payment is not None
        hand.insert(
            conn, "processor_item", id="txn_9", processor_id="stripe", entity_id="lind",
            category="refund", source="re_9", amount_minor=-400, fee_minor=0, net_minor=-400,
            currency="EUR", created_at=NOW, available_at=NOW, read_at=NOW,
            payment_id=payment[0],
        )  # fmt: skip


async def test_a_refund_made_in_the_dashboard_is_taken_over(
    wattledger: Command, database: Database
) -> None:
    made_outside(database)
    code, out, _ = await wattledger("payments", "--refunds")
    assert (code, "txn_9" in out, "€4.00" in out) == (0, True, True)
    found = json.loads((await wattledger("payments", "--refunds", "--json"))[1])["made_outside"]
    assert [(row["id"], row["amount_minor"], row["session_id"]) for row in found] == [
        ("txn_9", 400, FULL)
    ]
    given = ("refund", "take-over", "txn_9", "--goodwill", *SEEN)
    code, out, _ = await wattledger(*given)
    assert (code, "txn_9: €4.00 is taken over: nothing is sent" in out) == (0, True)
    code, again, _ = await wattledger(*given)
    assert (code, BEFORE in again) == (0, True)
    code, _, err = await wattledger("refund", "take-over", "txn_9", "--reason", "x", "--by", "Bo")
    assert code in (1, 2)
    assert "txn_9" in err


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("--part", FULL), "--part"),
        (("--part", f"{FULL}=4.001"), "--part"),
        (("--part", f"{FULL}=2.00", "--part", f"{FULL}=2.00"), "each session once"),
        (("--part", f"{FULL}=3.00"), "--part"),  # of 4.00
        (("--part", "ses_none=4.00"), "ses_none"),
    ],
)
async def test_parts_that_do_not_make_the_refund_are_refused(
    wattledger: Command, database: Database, parts: tuple[str, ...], said: str
) -> None:
    made_outside(database)
    code, _, err = await wattledger("refund", "take-over", "txn_9", *parts, *SEEN)
    assert (code, said in err, "minor units" in err) == (2, True, False), err
    given = ("refund", "take-over", "txn_9", "--part", f"{FULL}=4.00", *SEEN)
    code, out, _ = await wattledger(*given)
    assert (code, "txn_9: €4.00 is taken over" in out) == (0, True)
    code, _, err = await wattledger("refund", "approve", "x", "--part", f"{FULL}=4.00")
    assert (code, "it with take-over" in err) == (2, True)


async def test_a_refund_that_failed_is_sent_again_or_was_paid_otherwise(
    wattledger: Command,
) -> None:
    code, out, _ = await wattledger("refund", "paid-otherwise", "prf_1", *SEEN)
    assert (code, out) == (0, "prf_1: paid another way.\n")
    code, _, err = await wattledger("refund", "again", "prf_1", *SEEN)
    assert (code, "prf_1" in err) == (1, True)
    code, _, err = await wattledger("refund", "again", "prf_none", *SEEN)
    assert (code, "`wattledger payments --refunds` lists" in err) == (2, True)


async def test_who_asked_can_not_approve_and_nobody_decides_twice(wattledger: Command) -> None:
    code, _, err = await wattledger("refund", "approve", ASKED, "--by", "Ilse")
    assert (code, "a second person has to approve it" in err) == (1, True)
    code, out, _ = await wattledger("refund", "approve", ASKED, "--by", "Mette")
    assert (code, "€9.00 is approved and given back" in out) == (0, True)
    code, out, _ = await wattledger("refund", "approve", ASKED, "--by", "Mette")
    assert (code, BEFORE in out) == (0, True)
    code, _, err = await wattledger("refund", "approve", ASKED, "--by", "Bo")
    assert (code, "is issued already" in err) == (1, True)
    code, _, err = await wattledger("refund", "approve")
    assert (code, "`wattledger payments --refunds` lists" in err) == (2, True)


async def test_a_whole_refund_twice_is_the_same_refund(wattledger: Command) -> None:
    asked = ("refund", FULL, "--whole", "--reason", "wrong car", "--yes", "--json")
    code, first, _ = await wattledger(*asked, "--by", "Ann")
    assert code == 0
    code, again, _ = await wattledger(*asked, "--by", "Ann")
    assert (code, json.loads(again)["id"]) == (0, json.loads(first)["id"])


async def test_what_is_given_wrong_is_named_as_it_was_typed(wattledger: Command) -> None:
    for given, said in (
        (("--amount", "3.505"), "--amount: got '3.505'"),
        (("--amount", "-3"), "--amount: got '-3'"),
        (("--amount", "€3"), "--amount: got '€3', expected a decimal number such as 12.00"),
        (("--line", "9"), "--line: got '9'"),
        (("--line", "0"), "--line: got '0'"),
    ):
        code, _, err = await wattledger("refund", FULL, *given, "--reason", "x", "--yes")
        assert (code, said in err, "minor units" in err) == (2, True, False), (given, err)
    code, _, err = await wattledger("payments", "suspense", "match", TIE, "--session", "ses_none",
                                    *SEEN)  # fmt: skip
    assert (code, "ses_none" in err) == (2, True)
    code, _, err = await wattledger("payments", "suspense", "keep", SUSPENSE, "--reason", "")
    assert (code, "--reason: got '', expected why" in err) == (2, True)


async def test_a_wallet_is_filled_once_by_its_reference(
    wattledger: Command, database: Database
) -> None:
    given = ("wallet", "top-up", "coop", "--reference", "bank 1", "--by", "Ann")
    code, out, _ = await wattledger(*given, "--amount", "20.00", "--recorded")
    assert (code, out) == (0, "coop: €20.00 recorded.\n")
    code, out, _ = await wattledger(*given, "--amount", "20.00", "--recorded")
    assert (code, out) == (0, f"coop: €20.00 recorded {BEFORE}.\n")
    code, _, err = await wattledger(*given, "--amount", "30.00", "--recorded")
    assert (code, "€20.00 of account coop" in err) == (1, True)
    code, out, _ = await wattledger("wallet", "show", "coop")
    # 50.00 filled and 12.40 drawn before, and 20.00 now.
    assert (code, "€57.60" in out, "filled" in out) == (0, True, True)
    found = json.loads((await wattledger("wallet", "show", "coop", "--json"))[1])
    assert [row["balance_minor"] for row in found["balances"]] == [5000 - 1240 + 2000]


async def test_a_wallet_that_can_not_be_filled_says_why(wattledger: Command) -> None:
    given = ("--reference", "r1", "--by", "Ann")
    code, _, err = await wattledger("wallet", "top-up", "coop", "--amount", "20.00", *given)
    assert (code, "has no card that may be charged" in err) == (1, True)
    for amount, said in (("20.005", "EUR with 2 decimal places at most"), ("-1", "above zero"),
                         ("0", "above zero"), ("ten", "a decimal number")):  # fmt: skip
        code, _, err = await wattledger("wallet", "top-up", "coop", f"--amount={amount}",
                                        "--recorded", *given)  # fmt: skip
        assert (code, f"--amount: got '{amount}'" in err, said in err) == (2, True, True), err
    code, _, err = await wattledger("wallet", "top-up", "nobody", "--amount", "2", "--recorded",
                                    *given)  # fmt: skip
    assert (code, "ACCOUNT: got 'nobody'" in err) == (2, True)
    code, _, err = await wattledger("wallet", "top-up", "coop", "--amount", "2", "--recorded",
                                    "--entity", "other", *given)  # fmt: skip
    assert (code, "--entity: got 'other', expected one of lind" in err) == (2, True)
    code, _, err = await wattledger("wallet", "show", "nobody")
    assert (code, "ACCOUNT: got 'nobody'" in err) == (2, True)
