"""Words for payments: their states, their clocks, and the timeline of one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

Row = dict[str, Any]

STATES = {
    "waiting": ("Waits for the card", "wait"),
    "holding": ("Being held", "wait"),
    "held": ("Held", "ok"),
    "declined": ("Declined", "bad"),
    "charging": ("Being charged", "wait"),
    "capturing": ("Being captured", "wait"),
    "captured": ("Captured", "ok"),
    "releasing": ("Being released", "wait"),
    "released": ("Released", ""),
    "parked": ("Parked", "warn"),
}
SHOW = {"stuck": "Without an answer", "lapsing": "Hold lapses within a day"}
LEGS = {
    "hold": "Hold",
    "second": "Second charge",
    "more": "Charge for late data",
    "debt": "Debt collected",
    "topup": "Wallet top-up",
}
DEBT_WHY = {
    "above_hold": "cost more than was held",
    "shortfall": "cost more than was held",
    "declined": "the card was declined",
    "no_method": "there is no card that may be charged",
    "below_minimum": "less than the processor takes",
    "hold_gone": "the hold was gone",
    "unpaid": "nobody paid",
    "nobody_paid": "nobody paid at the terminal",
    "reversed": "what was paid at the terminal went back",
    "wallet_empty": "the prepaid wallet was empty",
    "topup_back": "the prepaid money went back",
}
SUSPENSE_WHY = {
    "tie": "more than one session fits",
    "no_session": "no session fits",
    "late": "it was told of too late",
}
REFUNDS = {
    "asked": ("Waits for a second person", "warn"),
    "approved": ("Approved", "wait"),
    "issued": ("Given", "ok"),
    "refused": ("Refused", ""),
    "waiting": ("Waits for a dispute", "wait"),
    "sending": ("Being sent", "wait"),
    "sent": ("On its way", "wait"),
    "done": ("Refunded", "ok"),
    "failed": ("Failed", "bad"),
    "otherwise": ("Given another way", "ok"),
}
DISPUTES = {
    "warning_needs_response": ("Inquiry: answer it", "warn"),
    "warning_under_review": ("Inquiry: with the bank", "wait"),
    "warning_closed": ("Inquiry closed", "ok"),
    "needs_response": ("Needs an answer", "bad"),
    "under_review": ("With the bank", "wait"),
    "won": ("Won", "ok"),
    "lost": ("Lost", "bad"),
    "prevented": ("Prevented", "ok"),
}
ACTS = {
    "payment.release": "Let it go",
    "payment.refuse": "Refuse",
    "payment.give_back": "Give back",
    "payment.stop": "Stop it",
    "debt.try": "Try now",
    "debt.write_off": "Write off",
    "suspense.match": "Match",
    "suspense.return": "Give back",
    "suspense.keep": "Keep",
    "unpaid.debt": "Make it a debt",
    "unpaid.waive": "Waive",
    "refund.approve": "Approve",
    "refund.refuse": "Refuse",
    "refund.take_over": "Take over",
    "back.again": "Send again",
    "back.otherwise": "Paid another way",
    "dispute.submit": "Send the evidence",
    "unblock": "Lift the block",
}
_DONE = {
    "payment.release": "Let go",
    "payment.refuse": "Refused",
    "payment.give_back": "Given back",
    "payment.stop": "Stopped",
    "debt.try": "Being charged",
    "debt.write_off": "Written off",
    "unblock": "Block lifted",
    "terminal.match": "Matched",
    "terminal.return": "Given back",
    "terminal.keep": "Kept",
    "terminal.unpaid": "Decided",
    "refund.ask": "Refund asked for",
    "refund.approve": "Refund approved",
    "refund.refuse": "Refund refused",
    "refund.again": "Refund sent again",
    "refund.paid_otherwise": "Paid another way",
    "dispute.submit": "Evidence sent",
    "wallet.top_up": "Wallet filled",
    "receipt.mail": "Receipt mailed again",
}
CALLS = {
    "stripe.hold": "Hold",
    "stripe.intent": "Payment prepared",
    "stripe.increment": "Hold raised",
    "stripe.capture": "Capture",
    "stripe.release": "Release",
    "stripe.charge": "Charge",
    "stripe.refund": "Refund",
    "stripe.reader": "Sent to the reader",
    "stripe.reader_cancel": "Taken off the reader",
    "stripe.fetch": "Looked up",
    "stripe.evidence": "Evidence sent",
    "stripe.read": "Balance read",
    "vendor.settle": "Amount sent to the terminal",
    "mail.send": "Mail",
}


class Moment(msgspec.Struct, frozen=True):
    """A moment of a payment. ``done`` False is still to come."""

    at: datetime | None
    what: str
    note: str = ""
    amount_minor: int | None = None
    done: bool = True
    bad: bool = False


def until(at: datetime | None, now: datetime) -> str:
    """``in 5 h``, ``in 3 days``, ``2 days ago``."""
    if at is None:
        return ""
    seconds = int((at - now).total_seconds())
    minutes = abs(seconds) // 60
    if minutes < 1:
        return "now"
    if minutes < 120:
        text = f"{minutes} min"
    elif minutes < 48 * 60:
        text = f"{minutes // 60} h"
    else:
        text = f"{minutes // (24 * 60)} days"
    return f"in {text}" if seconds > 0 else f"{text} ago"


def said(act: Row) -> Row:
    """What somebody did, in words."""
    return {
        "what": _DONE.get(act["act"], act["act"].replace("_", " ").replace(".", ": ")),
        "by": act["actor"].partition(":")[2] or act["actor"],
        "subject": act["subject"],
        "reason": act["reason"],
    }


def timeline(payment: Row) -> list[Moment]:
    """What was done, in the order of time; then what is still to come."""
    # An alarm clock of ours is no event: what it was set for stands here once it is done.
    found = [_call(effect) for effect in payment["effects"] if effect["kind"] != "money.due"]
    for item in payment["items"]:
        found.append(Moment(item["created_at"], _item(item), str(item["id"]), item["net_minor"]))
    for back in payment["refunds"]:
        if back["settled_at"]:
            word = REFUNDS.get(back["state"], (back["state"], ""))[0]
            found.append(Moment(back["settled_at"], word, str(back["id"]), -back["amount_minor"],
                                bad=back["state"] == "failed"))  # fmt: skip
    for act in payment["acts"]:
        told = said(act)
        found.append(Moment(act["at"], f"{told['what']} by {told['by']}", str(act["reason"])))
    for dispute in payment["disputes"]:
        word = DISPUTES.get(dispute["status"], (dispute["status"], ""))[0]
        found.append(Moment(dispute["opened_at"], f"Dispute: {dispute['reason']}", word,
                            -dispute["amount_minor"], bad=True))  # fmt: skip
    done = [moment for moment in found if moment.done]
    ahead = [moment for moment in found if not moment.done]
    if payment["capture_before"] and payment["state"] == "held":
        ahead.append(Moment(payment["capture_before"], "The hold lapses", done=False))
    return [*sorted(done, key=_at), *sorted(ahead, key=_at)]


def story(payments: list[Row]) -> list[Moment]:
    """What was done by all payments of a session, in the order of time; then what is to come."""
    several = len(payments) > 1
    found = [
        msgspec.structs.replace(one, what=f"{LEGS[row['leg']]}: {one.what}") if several else one
        for row in payments
        for one in timeline(row)
    ]
    done = sorted((one for one in found if one.done), key=_at)
    return [*done, *sorted((one for one in found if not one.done), key=_at)]


def _at(moment: Moment) -> tuple[bool, Any]:
    return moment.at is None, moment.at


def _call(effect: Row) -> Moment:
    word = str(CALLS.get(effect["kind"], effect["kind"]))
    attempt = f"attempt {effect['attempt']}" if effect["attempt"] > 1 else ""
    amount = effect["amount_minor"]
    answer = effect["response"] or {}
    if effect["state"] == "done":
        return Moment(effect["settled_at"], word, attempt, amount)
    if effect["state"] == "rejected":
        said_why = (answer.get(name) for name in ("decline_code", "code", "superseded"))
        why = str(next((text for text in said_why if text), "")).replace("_", " ")
        note = ", ".join(text for text in (attempt, why) if text)
        return Moment(effect["settled_at"], f"{word}: refused", note, amount, bad=True)
    why = str(answer.get("why", ""))
    tries = f"{effect['tries']} tries" if effect["tries"] else ""
    note = ", ".join(text for text in (attempt, tries, why) if text)
    unknown = effect["state"] == "unknown"
    what = f"{word}: no answer yet" if unknown else f"{word}, due"
    return Moment(effect["due_at"], what, note, amount, done=False, bad=unknown)


def _item(item: Row) -> str:
    names = {"charge": "In the processor’s balance", "payment": "In the processor’s balance",
             "refund": "Out of the balance", "dispute": "Withdrawn for the dispute",
             "dispute_reversal": "Back from the dispute"}  # fmt: skip
    return names.get(item["category"], str(item["category"]).replace("_", " "))
