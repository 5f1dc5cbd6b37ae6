"""Payments, debts, suspense, refunds and disputes as text for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from wattledger.cli.seen_text import clean, console, plain, table_of, when
from wattledger.money import format_minor
from wattledger.receipts.paid import method

Row = dict[str, Any]
_STYLES = {
    "captured": "green", "held": "cyan", "released": "", "declined": "red", "parked": "bold yellow",
}  # fmt: skip


def payments(rows: list[Row], limit: int) -> None:
    """The list, the newest first."""
    out = console()
    if not rows:
        out.print("No payment matches.")
        return
    shown = table_of("Made", "What", "Card", ">Held", ">Taken", ">Back", "State", "Session", "Id")
    for row in rows:
        held = row["hold_minor"] if row["authorized_minor"] is None else row["authorized_minor"]
        shown.add_row(
            when(row["created_at"]), row["leg"], plain(method(row)), _money(row, held),
            _money(row, row["captured_minor"]), _money(row, row["refunded_minor"]), _state(row),
            plain(row["session_id"] or "–"), row["id"],
        )  # fmt: skip
    out.print(shown)
    _end(out, rows, limit)


def lapsing(rows: list[Row], limit: int) -> None:
    """Holds with their clock."""
    out = console()
    if not rows:
        out.print("No hold lapses within a day.")
        return
    shown = table_of("Lapses", "Card", ">Held", "Session", "Id")
    for row in sorted(rows, key=lambda each: each["capture_before"]):
        held = row["hold_minor"] if row["authorized_minor"] is None else row["authorized_minor"]
        shown.add_row(when(row["capture_before"]), plain(method(row)), _money(row, held),
                      plain(row["session_id"] or "–"), row["id"])  # fmt: skip
    out.print(shown)
    _end(out, rows, limit)


def stuck(rows: list[Row], limit: int) -> None:
    """Whose call has no answer."""
    out = console()
    if not rows:
        out.print("Every call to the processor has its answer.")
        return
    shown = table_of("Call", "Payment", "State", "Session", "Why")
    for row in rows:
        shown.add_row(row["stuck"], row["id"], row["state"], plain(row["session_id"] or "–"),
                      plain(row["stuck_why"] or "no answer was kept"))  # fmt: skip
    out.print(shown)
    out.print("They are looked up until the outcome is known; nothing is sent twice.", style="dim")
    _end(out, rows, limit)


def debts(rows: list[Row], limit: int) -> None:
    """What drivers owe."""
    out = console()
    if not rows:
        out.print("Nobody owes anything.")
        return
    shown = table_of("Since", ">Amount", "Who", "Why", ">Tries", "Next try", "Session", "Id")
    for row in rows:
        next_at = "now" if row["state"] == "collecting" else when(row["next_try_at"])
        shown.add_row(
            when(row["opened_at"]), _money(row, row["amount_minor"]),
            plain(row["account_id"] or row["token"]), plain(row["why"].replace("_", " ")),
            str(row["tries"]), next_at or "not by itself", row["session_id"], row["id"],
        )  # fmt: skip
    out.print(shown)
    _end(out, rows, limit)


def suspense(rows: list[Row], limit: int) -> None:
    """Payments at terminals without a session."""
    out = console()
    if not rows:
        out.print("Nothing is in suspense: every payment at a terminal has its session.")
        return
    shown = table_of("Paid", ">Amount", "Terminal", "Reference", "Card", "Why", "Id")
    for row in rows:
        amount = row["authorized_minor"] if row["settled_minor"] is None else row["settled_minor"]
        card = method({**row, "wallet": None})
        shown.add_row(
            when(row["authorized_at"]), _money(row, amount), plain(row["terminal_id"]),
            plain(row["reference"]), plain(card), plain((row["why"] or "").replace("_", " ")),
            row["id"],
        )  # fmt: skip
    out.print(shown)
    _end(out, rows, limit)


def refunds(rows: list[Row], limit: int) -> None:
    """Refunds that wait for a second person."""
    out = console()
    if not rows:
        out.print("No refund waits for a second person.")
        return
    shown = table_of("Asked", ">Amount", "Kind", "By", "Reason", "Session", "Id")
    for row in rows:
        shown.add_row(
            when(row["asked_at"]), _money(row, row["amount_minor"]), row["kind"],
            plain(row["asked_by"]), plain(row["reason"]), row["session_id"], row["id"],
        )  # fmt: skip
    out.print(shown)
    out.print("Next: wattledger refund approve ID", style="dim")
    _end(out, rows, limit)


def unsent(rows: list[Row], limit: int) -> None:
    """What was to go back by a payment, and did not arrive yet."""
    out = console()
    if not rows:
        out.print("No refund has failed, and none waits for a dispute.")
        return
    shown = table_of("Since", ">Amount", "State", "Why", "Payment", "Id")
    for row in rows:
        state, style = _UNSENT[row["state"]]
        shown.add_row(
            when(row["settled_at"] or row["created_at"]), _money(row, row["amount_minor"]),
            Text(state, style=style), plain((row["why"] or "").replace("_", " ") or "–"),
            row["payment_id"], row["id"],
        )  # fmt: skip
    out.print(shown)
    out.print("Next: send it again, or say that it was paid another way: on the page or the API",
              style="dim")  # fmt: skip
    _end(out, rows, limit)


_UNSENT = {"failed": ("failed", "red"), "refused": ("refused", "red"),
           "waiting": ("waits for a dispute", "yellow")}  # fmt: skip


def warnings(rows: list[Row], limit: int) -> None:
    """Early fraud warnings, each with what is proposed."""
    out = console()
    if not rows:
        out.print("No payment is warned of.")
        return
    shown = table_of("Told", ">Taken", "Kind", "Payment", "Session", "Id")
    for row in rows:
        taken = _money(row, row["captured_minor"]) if row["currency"] else "–"
        shown.add_row(
            when(row["created_at"]), taken, plain(row["fraud_type"].replace("_", " ")),
            plain(row["payment_id"] or "–"), plain(row["session_id"] or "–"), row["id"],
        )  # fmt: skip
    out.print(shown)
    out.print("A refund now costs less than the dispute that often follows. Next: wattledger refund"
              " SESSION --whole --reason fraud", style="dim")  # fmt: skip
    _end(out, rows, limit)


def blocks(rows: list[Row], limit: int) -> None:
    """Who may not charge."""
    out = console()
    if not rows:
        out.print("Nobody is blocked.")
        return
    shown = table_of("Since", "Why", "By", "What", "Id")
    for row in rows:
        shown.add_row(
            when(row["at"]), plain(row["why"].replace("_", " ")), plain(row["cause"]),
            plain(row["kind"]), plain(row["id"]),
        )  # fmt: skip
    out.print(shown)
    out.print("Next: wattledger payments unblock ID --reason …", style="dim")
    _end(out, rows, limit)


def disputes(rows: list[Row], limit: int) -> None:
    """Disputes with their clocks."""
    out = console()
    if not rows:
        out.print("No dispute is open.")
        return
    shown = table_of("Evidence due", ">Amount", "Reason", "State", "Session", "Id")
    for row in sorted(rows, key=lambda each: (each["evidence_due_at"] is None, _due(each))):
        due = "sent" if row["submitted_at"] else when(row["evidence_due_at"]) or "–"
        shown.add_row(due, _money(row, row["amount_minor"]), plain(row["reason"]),
                      plain(row["status"].replace("_", " ")), plain(row["session_id"] or "–"),
                      row["id"])  # fmt: skip
    out.print(shown)
    _end(out, rows, limit)


LISTS: dict[str, Callable[[list[Row], int], None]] = {
    "payments": payments, "stuck": stuck, "lapsing": lapsing, "debts": debts,
    "suspense": suspense, "disputes": disputes, "warnings": warnings,
    "blocks": blocks,
}  # fmt: skip


def payment(found: Row) -> None:
    """One: what is known, then what was done."""
    out = console()
    out.print(Text.assemble((found["id"], "bold"), "  ", _state(found)))
    held = found["hold_minor"] if found["authorized_minor"] is None else found["authorized_minor"]
    lines = [
        ("what", found["leg"] if found["number"] == 1 else f"{found['leg']} {found['number']}"),
        ("session", found["session_id"] or "none"),
        ("card", method(found)),
        ("held", format_minor(held, found["currency"])),
        ("taken", format_minor(found["captured_minor"], found["currency"])),
        ("given back", format_minor(found["refunded_minor"], found["currency"])),
        ("lapses", when(found["capture_before"]) if found["state"] == "held" else ""),
        ("parked", found["parked_why"] if found["state"] == "parked" else ""),
        ("declined", (found["decline_code"] or "").replace("_", " ")),
        ("processor", f"{found['processor_id']} {found['intent_id'] or ''}".strip()),
    ]
    for name, value in lines:
        if value:
            out.print(Text.assemble((f"  {name:12}", "dim"), clean(value)))
    if found["effects"]:
        out.print("\nCalls", style="bold")
        shown = table_of("Due", "Call", "State", ">Tries", "Settled", "Answer")
        for effect in found["effects"]:
            shown.add_row(
                when(effect["due_at"]), plain(effect["kind"]), effect["state"],
                str(effect["tries"]), when(effect["settled_at"]), plain(_answer(effect)),
            )  # fmt: skip
        out.print(shown)
    for back in found["refunds"]:
        amount = format_minor(back["amount_minor"], back["currency"])
        out.print(plain(f"{amount} back ({back['cause']}): {back['state']}, {back['id']}"))
    for dispute in found["disputes"]:
        out.print(plain(f"Dispute {dispute['id']}: {dispute['status']}"))
    for act in found["acts"]:
        out.print(plain(f"{act['act']} by {act['actor']} at {when(act['at'])}: {act['reason']}"))


def _answer(effect: Row) -> str:
    answer = effect["response"] or {}
    found = (answer.get(name) for name in ("why", "decline_code", "code", "status"))
    return str(next((text for text in found if text), ""))


def _due(row: Row) -> datetime:
    due: datetime = row["evidence_due_at"] or row["opened_at"]
    return due


def _money(row: Row, amount_minor: int) -> str:
    return format_minor(amount_minor, row["currency"]) if amount_minor else "–"


def _state(row: Row) -> Text:
    state = Text(row["state"], style=_STYLES.get(row["state"], ""))
    if row["stuck"]:
        state.append(" no answer yet", style="yellow")
    return state


def _end(out: Console, rows: list[Row], limit: int) -> None:
    if len(rows) == limit:
        out.print(f"The first {limit}; --limit shows more.", style="dim")
