"""One payment, wallet or start, and all the money of a session, as text for a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from wattledger.cli.money_text import state_of
from wattledger.cli.seen_text import clean, console, plain, print_rows, when
from wattledger.money import format_minor
from wattledger.receipts.paid import method
from wattledger.web.money_words import DEBT_WHY, DISPUTES, REFUNDS, Moment, story, timeline, until

Row = dict[str, Any]


def payment(found: Row, now: datetime) -> None:
    """One: what is known, what was done in the order of time, then each call."""
    out = console()
    out.print(Text.assemble((found["id"], "bold"), "  ", state_of(found)))
    held = found["hold_minor"] if found["authorized_minor"] is None else found["authorized_minor"]
    lapses = found["capture_before"] if found["state"] == "held" else None
    lines = [
        ("what", found["leg"] if found["number"] == 1 else f"{found['leg']} {found['number']}"),
        ("session", found["session_id"] or "none"),
        ("account", found["account_id"]),
        ("card", method(found)),
        ("held", format_minor(held, found["currency"])),
        ("taken", format_minor(found["captured_minor"], found["currency"])),
        ("given back", format_minor(found["refunded_minor"], found["currency"])),
        ("too much", found["excess_minor"] and format_minor(found["excess_minor"],
                                                            found["currency"])),
        ("lapses", lapses and f"{until(lapses, now)}, {when(lapses)}"),
        ("parked", found["parked_why"] if found["state"] == "parked" else ""),
        ("declined", (found["decline_code"] or "").replace("_", " ")),
        ("gone", (found["gone_why"] or "").replace("_", " ")),
        ("processor", f"{found['processor_id']} {found['intent_id'] or ''}".strip()),
    ]  # fmt: skip
    _facts(out, lines)
    _moments(out, timeline(found), found["currency"])
    if found["effects"]:
        out.print("\nCalls", style="bold")
        columns = ("Call", "State", ">Tries", "Due", "Settled", "+Answer")
        print_rows(out, columns, [
            (plain(effect["kind"]), effect["state"], str(effect["tries"]), when(effect["due_at"]),
             when(effect["settled_at"]), plain(_answer(effect)))
            for effect in found["effects"]
        ])  # fmt: skip
    for back in found["refunds"]:
        amount = format_minor(back["amount_minor"], back["currency"])
        word = REFUNDS.get(back["state"], (back["state"],))[0].lower()
        why = f", {back['why'].replace('_', ' ')}" if back["why"] else ""
        out.print(plain(f"{amount} back for {_cause(back['cause'])}: {word}{why}  {back['id']}"))
    _disputes(out, found["disputes"], now)


def of_session(found: list[Row], debts: list[Row], refunds: list[Row], now: datetime) -> None:
    """All the money of a session, in the order of time; then what is owed, given back, disputed."""
    out = console()
    if not found and not debts and not refunds:
        return
    out.print("\nMoney", style="bold")
    rows = [
        (row["leg"], plain(method(row)), format_minor(row["captured_minor"], row["currency"]),
         format_minor(row["refunded_minor"], row["currency"]) if row["refunded_minor"] else "–",
         state_of(row), row["id"])
        for row in found
    ]  # fmt: skip
    if rows:
        print_rows(out, ("What", "Card", ">Taken", ">Back", "State", "+Id"), rows)
        _moments(out, story(found), found[0]["currency"])
    for row in debts:
        amount, state = format_minor(row["amount_minor"], row["currency"]), row["state"]
        why = DEBT_WHY.get(row["why"], row["why"].replace("_", " "))
        out.print(plain(f"Debt of {amount}, {why}: {state.replace('_', ' ')}  {row['id']}"))
    for row in refunds:
        amount = format_minor(row["amount_minor"], row["currency"])
        word = REFUNDS[row["state"]][0].lower()
        out.print(plain(f"Refund of {amount}, {row['kind']}, asked by {row['asked_by']}: {word};"
                        f" {row['reason']}  {row['id']}"))  # fmt: skip
    _disputes(out, [one for row in found for one in row["disputes"]], now)


def wallet(found: Row) -> None:
    """What is in it, and what moved it."""
    out = console()
    if not found["moves"]:
        out.print(plain(f"The wallet of {found['account_id']} was never filled."))
        return
    for row in found["balances"]:
        balance = format_minor(row["balance_minor"], row["currency"])
        whose = clean(f"  of {found['account_id']} with {row['entity_id']}")
        out.print(Text.assemble((balance, "bold"), whose))
    print_rows(out, ("When", ">Amount", "What", "+With", "+Cause"), [
        (when(row["at"]), format_minor(row["amount_minor"], row["currency"]),
         _MOVES.get(row["kind"], row["kind"]), plain(row["entity_id"]), plain(row["cause_id"]))
        for row in found["moves"]
    ])  # fmt: skip


def start(found: Row) -> None:
    """A start that is paid first, and what it waits for."""
    out = console()
    out.print(Text.assemble((found["id"], "bold"), "  ", found["state"]))
    hold, running = found["hold"], found["session"]
    where = found["charge_point_id"]
    where += f"/{found['connector_id']}" if found["connector_id"] else ""
    expires_at = found["expires_at"].rstrip("Z").partition(".")[0] + "Z"
    so_far = ""
    if running and running["total"]["minor"] is not None:
        so_far = format_minor(running["total"]["minor"], running["total"]["currency"])
    lines = [
        ("where", where),
        ("route", found["route"]),
        ("account", found["account_id"]),
        ("why", (found["why"] or "").replace("_", " ")),
        ("needs", _NEEDS.get(found["needs"] or "")),
        ("hold", hold and f"{format_minor(hold['minor'], hold['currency'])}, {hold['state']}"),
        ("price", found["price_text"]),
        ("until", expires_at if found["state"] in ("paying", "starting") else ""),
        ("session", found["session_id"]),
        ("so far", so_far),
    ]
    _facts(out, lines)


_MOVES = {"topup": "filled", "draw": "paid a session", "back": "given back",
          "paid_out": "went back at the processor"}  # fmt: skip
_NEEDS = {"card": "a card, at the reader", "authentication": "its driver, in the app"}


def _facts(out: Console, lines: list[tuple[str, Any]]) -> None:
    for name, value in lines:
        if value:
            out.print(Text.assemble((f"  {name:12}", "dim"), clean(str(value))))


def _moments(out: Console, found: list[Moment], currency: str) -> None:
    if not found:
        return
    out.print("\nIn time", style="bold")
    print_rows(out, ("When", ">Amount", "What", "~Note"), [
        (when(one.at), "" if one.amount_minor is None else format_minor(one.amount_minor, currency),
         Text(clean(one.what if one.done else f"{one.what} (still to come)"),
              style="red" if one.bad else ""), plain(one.note))
        for one in found
    ])  # fmt: skip


def _disputes(out: Console, found: list[Row], now: datetime) -> None:
    for one in found:
        word = DISPUTES.get(one["status"], (one["status"],))[0]
        clock = ""
        if not one["submitted_at"] and not one["closed_at"] and one["evidence_due_at"]:
            clock = f", evidence due {until(one['evidence_due_at'], now)}"
        amount = format_minor(one["amount_minor"], one["currency"])
        reason = one["reason"].replace("_", " ")
        out.print(plain(f"Dispute of {amount}, {reason}: {word}{clock}  {one['id']}"))


def _cause(cause: str) -> str:
    return {"refund": "a refund", "adjustment": "late data", "suspense": "what was too much",
            "topup": "a top-up"}.get(cause, cause)  # fmt: skip


def _answer(effect: Row) -> str:
    answer = effect["response"] or {}
    found = (answer.get(name) for name in ("why", "decline_code", "code", "status"))
    return str(next((text for text in found if text), ""))
