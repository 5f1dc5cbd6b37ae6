"""What the demo proves, and that it says so when something does not add up."""

from __future__ import annotations

import copy
import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from wattledger.demo import command
from wattledger.demo.report import count_mismatches, identities, show

REPORT: dict[str, Any] = {
    "sessions": {"replayed": 10, "refused": 1, "held": 1, "final": 8, "billed": 7, "free": 1},
    "energy_wh": {
        "delivered": 70_000,
        "billed": 60_000,
        "free": 4_000,
        "held": 5_500,
        "explained": 500,
        "mismatched_sessions": 0,
    },
    "money": {
        "currency": "USD",
        "charged": 10_000,
        "captured": 5_000,
        "invoiced": 3_000,
        "external": 1_000,
        "wallet": 0,
        "roaming": 0,
        "waived": 300,
        "debt": 800,
        "pending": 0,
        "refund_due": 100,
        "refunds": 500,
        "disputes_net": 100,
        "fees": 200,
        "paid_out": 4_100,
        "in_transit": 100,
    },
    "payments": {
        "second_charges": 3,
        "debts": 2,
        "terminal_matched": 4,
        "refunds": 5,
        "disputes": 6,
    },
    "ledger": {"entries": 30, "postings": 60, "proved": True},
    "webhooks": {"sent": 7, "acknowledged": 7},
    "breaks": [],
    "seconds": 1.0,
}
OUTSIDE = {
    "energy_wh": 70_000,
    "refused": 1,
    "blocked": 1,
    "remote_stops": 1,
    "declined": 1,
    "captures": 4,
    "cards": 4,
    "cpms_minor": 1_000,
    "captured_minor": 5_000,
    "fees_minor": 300,  # with what banks took back
    "refunded_minor": 500,
    "books_minor": 10_000,
    "books_messages": 7,
    "books_rejected": 0,
}


def test_when_all_adds_up_the_code_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    found = identities(REPORT, OUTSIDE)
    assert [i.names() for i in found if not i.holds] == []
    assert command._tell(REPORT, found, [], as_json=True) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.count("\n") == 1
    assert json.loads(said.out)["money"] == REPORT["money"]


@pytest.mark.parametrize(
    "path",
    [
        *(f"sessions.{name}" for name in REPORT["sessions"]),
        *(f"energy_wh.{name}" for name in REPORT["energy_wh"]),
        *(f"money.{name}" for name in REPORT["money"] if name != "currency"),
        *(f"webhooks.{name}" for name in REPORT["webhooks"]),
    ],
)
def test_no_figure_can_be_off_by_one_unseen(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = copy.deepcopy(REPORT)
    section, name = path.split(".")
    report[section][name] += 1
    assert command._tell(report, identities(report, OUTSIDE), [], as_json=False) == 1
    said = capsys.readouterr()
    assert "≠" in said.out
    assert "does not hold" in said.err
    assert name.replace("_", " ") in said.err


@pytest.mark.parametrize("name", sorted(OUTSIDE))
def test_nor_can_what_the_others_say(name: str) -> None:
    found = identities(REPORT, OUTSIDE | {name: OUTSIDE[name] + 1})
    assert command._tell(REPORT, found, [], as_json=True) == 1


def test_nor_breaks_an_unproved_ledger_or_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    broken = REPORT | {"breaks": [{"code": "missing_charge", "amount_minor": 5}]}
    assert command._tell(broken, identities(broken, OUTSIDE), [], as_json=False) == 1
    assert "missing_charge" in capsys.readouterr().out
    unproved = REPORT | {"ledger": REPORT["ledger"] | {"proved": False}}
    assert command._tell(unproved, identities(unproved, OUTSIDE), [], as_json=True) == 1
    capsys.readouterr()
    assert command._tell(REPORT, identities(REPORT, OUTSIDE), ["it broke"], as_json=True) == 1
    assert "it broke" in capsys.readouterr().err


def test_the_table_shows_each_identity_in_figures() -> None:
    console = Console(file=StringIO(), width=200)
    show(REPORT, identities(REPORT, OUTSIDE), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "10 = 1 + 1 + 8" in text
    assert "$50.00 − $5.00 − $1.00 − $2.00 = $41.00 + $1.00" in text
    assert "70.000 kWh = 60.000 kWh + 4.000 kWh + 5.500 kWh + 0.500 kWh" in text
    assert "≠" not in text
    assert "above the hold: 3. Debts: 2. Paid at a card reader: 4." in text
    assert "Given back in part: 5. Disputed by a bank: 6." in text


def session(point: str | None, ref: str | None, wh: int, **more: Any) -> dict[str, Any]:
    row = {"charge_point_id": point, "transaction_ref": ref, "external_id": None}
    return row | {"energy_wh": wh} | more


def test_mismatches_are_counted_by_session() -> None:
    own = [session("A", "1", 100), session("A", "2", 200), session("B", None, 0)]
    own.append(session("C", None, 7, external_id="X"))
    same = [session("A", "2", 200), session("A", "1", 100), session("C", "9", 7, external_id="X")]
    assert count_mismatches(own, same) == 0
    assert count_mismatches(own, same[1:]) == 1
    assert count_mismatches(own, [*same, session("D", "1", 5)]) == 1
    assert count_mismatches(own, [*same, session("D", "1", 0)]) == 0
    # Swapped energies have the right sum and are two mismatches.
    swapped = [session("A", "1", 200), session("A", "2", 100), same[2]]
    assert count_mismatches(own, swapped) == 2
