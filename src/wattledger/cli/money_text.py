"""Lists of payments, debts, suspense, refunds and disputes as text for a terminal; one of them is
``money_one``'s."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.text import Text

from wattledger.cli.seen_text import console, plain, print_rows, when
from wattledger.money import format_minor
from wattledger.receipts.paid import method
from wattledger.web.money_words import DEBT_WHY, DISPUTES, SUSPENSE_WHY, until

Row = dict[str, Any]
_STYLES = {
    "captured": "green", "held": "cyan", "released": "", "declined": "red", "parked": "bold yellow",
}  # fmt: skip


def payments(rows: list[Row], limit: int, _: datetime) -> None:
    """The list, the newest first."""
    out = console()
    if not rows:
        out.print("No payment matches.")
        return
    columns = ("Made", "What", "Card", ">Held", ">Taken", ">Back", "State", "+Session", "+Id")
    print_rows(out, columns, [
        (when(row["created_at"]), row["leg"], plain(method(row)), _money(row, _held(row)),
         _money(row, row["captured_minor"]), _money(row, row["refunded_minor"]), state_of(row),
         plain(row["session_id"] or "–"), row["id"])
        for row in rows
    ])  # fmt: skip
    _end(out, rows, limit, "Next: wattledger payments show ID, or wattledger sessions SESSION for"
         " the bill and all of its money")  # fmt: skip


def lapsing(rows: list[Row], limit: int, now: datetime) -> None:
    """Holds with their clock."""
    out = console()
    if not rows:
        out.print("No hold lapses within a day.")
        return
    print_rows(out, ("Lapses", "At", "Card", ">Held", "+Session", "+Id"), [
        (_clock(row["capture_before"], now), when(row["capture_before"]), plain(method(row)),
         _money(row, _held(row)), plain(row["session_id"] or "–"), row["id"])
        for row in sorted(rows, key=lambda each: each["capture_before"])
    ])  # fmt: skip
    _end(out, rows, limit, "What was delivered by then is captured, or charging is stopped, as the"
         " contract says.")  # fmt: skip


def stuck(rows: list[Row], limit: int, _: datetime) -> None:
    """Whose call has no answer."""
    out = console()
    if not rows:
        out.print("Every call to the processor has its answer.")
        return
    print_rows(out, ("Call", "State", "+Payment", "+Session", "~Why"), [
        (row["stuck"], row["state"], row["id"], plain(row["session_id"] or "–"),
         plain(row["stuck_why"] or "no answer was kept"))
        for row in rows
    ])  # fmt: skip
    _end(out, rows, limit, "They are looked up until the outcome is known; nothing is sent twice.")


def debts(rows: list[Row], limit: int, now: datetime) -> None:
    """What drivers owe."""
    out = console()
    if not rows:
        out.print("Nobody owes anything.")
        return
    columns = ("Since", ">Amount", "Who", ">Tries", "Next try", "~Why", "+Session", "+Id")
    print_rows(out, columns, [
        (when(row["opened_at"]), _money(row, row["amount_minor"]),
         plain(row["account_id"] or row["token"]),
         str(row["tries"]), _next_try(row, now),
         plain(DEBT_WHY.get(row["why"], row["why"].replace("_", " "))), row["session_id"],
         row["id"])
        for row in rows
    ])  # fmt: skip
    _end(out, rows, limit, "Next: wattledger payments debt try ID, or debt write-off ID with"
         " --reason")  # fmt: skip


def _next_try(row: Row, now: datetime) -> str:
    if row["state"] == "collecting":
        return "now"
    if row["carried"]:
        return "with the next"
    return until(row["next_try_at"], now) or "not by itself"


def suspense(rows: list[Row], limit: int, _: datetime) -> None:
    """Payments at terminals without a session."""
    out = console()
    if not rows:
        out.print("Nothing is in suspense: every payment at a terminal has its session.")
        return
    columns = ("Paid", ">Amount", "Terminal", "Reference", "Card", "~Why", "+Id")
    print_rows(out, columns, [
        (when(row["authorized_at"]),
         _money(row, row["authorized_minor"] if row["settled_minor"] is None
                else row["settled_minor"]),
         plain(row["terminal_id"]), plain(row["reference"]), plain(method({**row, "wallet": None})),
         plain(_why_suspense(row)), row["id"])
        for row in rows
    ])  # fmt: skip
    _end(out, rows, limit, "Next: wattledger payments suspense match ID --session SESSION, or"
         " suspense return ID, suspense keep ID, with --reason")  # fmt: skip


def _why_suspense(row: Row) -> str:
    why = SUSPENSE_WHY.get(row["why"], (row["why"] or "not matched").replace("_", " "))
    sessions = [one for one in row["candidates"] if isinstance(one, str)]
    return f"{why}: {', '.join(sessions)}" if sessions else why


def refunds(rows: list[Row], limit: int) -> None:
    """Refunds that wait for a second person."""
    out = console()
    if not rows:
        out.print("No refund waits for a second person.")
        return
    print_rows(out, ("Asked", ">Amount", "Kind", "By", "~Reason", "+Session", "+Id"), [
        (when(row["asked_at"]), _money(row, row["amount_minor"]), row["kind"],
         plain(row["asked_by"]), plain(row["reason"]), row["session_id"], row["id"])
        for row in rows
    ])  # fmt: skip
    _end(out, rows, limit, "Next: wattledger refund approve ID, or refund refuse ID with --reason")


def unsent(rows: list[Row], limit: int) -> None:
    """What was to go back by a payment, and did not arrive yet."""
    out = console()
    if not rows:
        out.print("No refund has failed, and none waits for a dispute.")
        return
    print_rows(out, ("Since", ">Amount", "State", "Why", "+Payment", "+Id"), [
        (when(row["settled_at"] or row["created_at"]), _money(row, row["amount_minor"]),
         Text(_UNSENT[row["state"]][0], style=_UNSENT[row["state"]][1]),
         plain((row["why"] or "").replace("_", " ") or "–"), row["payment_id"], row["id"])
        for row in rows
    ])  # fmt: skip
    _end(out, rows, limit, "Next: wattledger refund again ID, or refund paid-otherwise ID, with"
         " --reason")  # fmt: skip


def foreign(rows: list[Row], limit: int) -> None:
    """Refunds that somebody made at the processor."""
    out = console()
    if not rows:
        out.print("No refund was made past us.")
        return
    print_rows(out, ("Made there", ">Amount", "+Of", "+Payment", "+Id"), [
        (when(row["created_at"]), _money(row, row["amount_minor"]),
         plain(_may_be_of(row)), row["payment_id"], plain(row["id"]))
        for row in rows
    ])  # fmt: skip
    divides = ", with --part SESSION=AMOUNT for each session" if any(
        row["divides"] for row in rows) else ""  # fmt: skip
    _end(out, rows, limit, f"Next: wattledger refund take-over ID --reason …{divides}")


def _may_be_of(row: Row) -> str:
    if row["leg"] == "topup":
        return f"the wallet of {row['account_id']}"
    shares = [share for share in row["shares"] if share.session_id is not None]
    if not row["divides"]:
        return ", ".join(share.session_id for share in shares) or "no session is paid by it"
    paid = [f"{share.session_id} ({_money(row, share.amount_minor)})" for share in shares]
    return f"{' or '.join(paid)}: to be divided"


def unpaid(rows: list[Row], limit: int, now: datetime) -> None:
    """Sessions whose payment at a terminal never came."""
    out = console()
    if not rows:
        out.print("Every session at a terminal has its payment, or still waits for it.")
        return
    print_rows(out, ("Waits since", "For", ">Costs", "Where", "+Session"), [
        (when(row["since"]), until(row["since"], now).removesuffix(" ago"),
         _money(row, row["total_minor"]),
         plain(f"{row['charge_point_id']}/{row['connector_id']}"), plain(row["session_id"]))
        for row in rows
    ])  # fmt: skip
    _end(out, rows, limit, "Next: wattledger payments unpaid debt SESSION, or unpaid waive SESSION,"
         " with --reason; or match its payment: wattledger payments --suspense")  # fmt: skip


def warnings(rows: list[Row], limit: int, _: datetime) -> None:
    """Early fraud warnings, each with what is proposed."""
    out = console()
    if not rows:
        out.print("No payment is warned of.")
        return
    print_rows(out, ("Told", ">Taken", "Kind", "+Payment", "+Session", "+Id"), [
        (when(row["created_at"]), _money(row, row["captured_minor"]) if row["currency"] else "–",
         plain(row["fraud_type"].replace("_", " ")), plain(row["payment_id"] or "–"),
         plain(row["session_id"] or "–"), row["id"])
        for row in rows
    ])  # fmt: skip
    _end(out, rows, limit, "A refund now costs less than the dispute that often follows. Next:"
         " wattledger refund SESSION --whole --reason fraud")  # fmt: skip


def blocks(rows: list[Row], limit: int, _: datetime) -> None:
    """Who may not charge."""
    out = console()
    if not rows:
        out.print("Nobody is blocked.")
        return
    print_rows(out, ("Since", "Why", "What", "+By", "+Id"), [
        (when(row["at"]), plain(row["why"].replace("_", " ")), plain(row["kind"]),
         plain(row["cause"]), plain(row["id"]))
        for row in rows
    ])  # fmt: skip
    _end(out, rows, limit, "Next: wattledger payments unblock ID --reason …")


def disputes(rows: list[Row], limit: int, now: datetime) -> None:
    """Disputes with their clocks."""
    out = console()
    if not rows:
        out.print("No dispute is open.")
        return
    columns = ("Evidence due", "At", ">Amount", "Reason", "State", "+Session", "+Id")
    print_rows(out, columns, [
        ("sent" if row["submitted_at"] else _clock(row["evidence_due_at"], now),
         "" if row["submitted_at"] else when(row["evidence_due_at"]),
         _money(row, row["amount_minor"]), plain(row["reason"].replace("_", " ")),
         plain(DISPUTES.get(row["status"], (row["status"],))[0]),
         plain(row["session_id"] or "–"), row["id"])
        for row in sorted(rows, key=lambda each: (each["evidence_due_at"] is None, _due(each)))
    ])  # fmt: skip
    _end(out, rows, limit, "Next: wattledger payments dispute submit ID; the page shows what would"
         " be sent")  # fmt: skip


LISTS: dict[str, Callable[[list[Row], int, datetime], None]] = {
    "payments": payments, "stuck": stuck, "lapsing": lapsing, "debts": debts,
    "suspense": suspense, "disputes": disputes, "warnings": warnings, "blocks": blocks,
    "unpaid": unpaid,
}  # fmt: skip
_UNSENT = {"failed": ("failed", "red"), "refused": ("refused", "red"),
           "waiting": ("waits for a dispute", "yellow")}  # fmt: skip


def _held(row: Row) -> int:
    return int(row["hold_minor"] if row["authorized_minor"] is None else row["authorized_minor"])


def _clock(at: datetime | None, now: datetime) -> Text:
    """``in 3 days``; what is near, or over, stands out, and says so in words."""
    if at is None:
        return Text("–")
    near = at - now < timedelta(hours=24)
    return Text(until(at, now), style="bold yellow" if near else "")


def _end(out: Console, rows: list[Row], limit: int, text: str) -> None:
    if len(rows) == limit:
        out.print(f"The first {limit}; --limit shows more.", style="dim")
    out.print(text, style="dim")


def _money(row: Row, amount_minor: int) -> str:
    return format_minor(amount_minor, row["currency"]) if amount_minor else "–"


def _due(row: Row) -> datetime:
    due: datetime = row["evidence_due_at"] or row["opened_at"]
    return due


def state_of(row: Row) -> Text:
    state = Text(row["state"], style=_STYLES.get(row["state"], ""))
    if row["stuck"]:
        state.append(" no answer yet", style="yellow")
    return state
