"""How the money of a session came, in time, with what is still to come at the end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from wattledger.web.bill import Bill, Event
from wattledger.web.numbers import counted, duration, long_day, stamp

_WAITING = ("pending", "claimed", "unknown")


def timeline(bill: Bill, zone: str) -> list[Event]:
    """Dated events in order, then the dashed ones."""
    found = [
        *_processor_calls(bill, zone),
        *_processor_lines(bill),
        *_other_parts(bill),
        *_payout(bill),
    ]
    dated = sorted((event for event in found if event.at and event.done), key=_at)
    return dated + [event for event in found if not (event.at and event.done)]


def _at(event: Event) -> float:
    return event.at.timestamp() if event.at else 0


def _processor_calls(bill: Bill, zone: str) -> Iterator[Event]:
    payment = bill.payment
    if payment is None:
        return
    for effect in bill.effects:
        if effect["kind"] == "stripe.hold":
            yield _hold(effect, payment, zone)
        elif effect["kind"] == "stripe.capture":
            yield from _capture(effect, payment, bill)
        elif effect["kind"] == "stripe.release":
            yield _release(effect, payment)


def _hold(effect: dict[str, Any], payment: dict[str, Any], zone: str) -> Event:
    amount = payment["hold_minor"]
    if effect["state"] in _WAITING:
        return Event(None, "Hold asked for", _waits(effect), amount, done=False)
    if effect["state"] == "rejected" or payment["state"] == "declined":
        why = f"the bank said {payment['decline_code']}" if payment["decline_code"] else "refused"
        return Event(effect["settled_at"], "Hold declined", why, amount)
    note = "sized by the charger’s power"
    if payment["capture_before"]:
        note += f"; may be captured until {stamp(payment['capture_before'], zone).striptags()}"
    return Event(effect["settled_at"], "Hold placed", note, amount)


def _capture(effect: dict[str, Any], payment: dict[str, Any], bill: Bill) -> Iterator[Event]:
    due = sum(part["amount_minor"] for part in bill.parts if part["payment_id"] == payment["id"])
    if effect["state"] in _WAITING:
        yield Event(None, "Capture sent", _waits(effect), due or None, done=False)
        return
    if effect["state"] == "rejected":
        yield Event(effect["settled_at"], "Capture refused", "by the processor", due or None)
        return
    at = effect["settled_at"]
    ended = bill.session["ended_at"]
    after = f"{duration(int((at - ended) / timedelta(seconds=1)))} after the session ended"
    yield Event(
        at,
        "Captured",
        after if ended and at >= ended else "",
        payment["captured_minor"],
        strong=True,
    )
    rest = payment["hold_minor"] - payment["captured_minor"]
    if rest:
        yield Event(at, "Rest of the hold released", "with the capture", rest)


def _release(effect: dict[str, Any], payment: dict[str, Any]) -> Event:
    if effect["state"] in _WAITING:
        return Event(None, "Release sent", _waits(effect), payment["hold_minor"], done=False)
    return Event(effect["settled_at"], "Hold released", "nothing was taken", payment["hold_minor"])


def _waits(effect: dict[str, Any]) -> str:
    if effect["state"] == "unknown":
        return "no answer yet; looked up under its key, never sent blindly"
    return f"on its way, {counted(effect['tries'], 'try', 'tries')} so far"


def _processor_lines(bill: Bill) -> Iterator[Event]:
    """Refunds and the like, and one fee: a partial capture is two lines of the processor, the
    whole hold and the rest given back, each with its fee."""
    fees = [item for item in bill.items if item["fee_minor"]]
    if fees:
        note = "on " + " and ".join(item["id"] for item in fees)
        total = sum(item["fee_minor"] for item in fees)
        yield Event(fees[-1]["created_at"], "Processor’s fee", note, -total)
    for item in bill.items:
        if item["amount_minor"] < 0 and item["category"] != "partial_capture_reversal":
            word = item["category"].replace("_", " ").capitalize()
            yield Event(item["created_at"], word, item["id"], item["amount_minor"])


def _other_parts(bill: Bill) -> Iterator[Event]:
    declined = bill.payment is not None and bill.payment["state"] == "declined"
    uncovered = "the card was declined" if declined else "what the hold did not cover"
    words = {
        "invoiced": ("Put on the account’s invoice", bill.session["account_id"] or ""),
        "external": (
            "Taken by your own system",
            f"reference {bill.external['reference']}" if bill.external else "",
        ),
        "wallet": ("Drawn from the wallet", ""),
        "roaming": ("Reported to the roaming partner", ""),
        "waived": ("Waived", uncovered if bill.payment else "nobody is to pay"),
        "debt": ("Booked as the driver’s debt", uncovered),
    }
    for part in bill.parts:
        if part["state"] in words:
            what, note = words[part["state"]]
            yield Event(part["changed_at"], what, note, part["amount_minor"], strong=True)
        elif part["state"] == "refund_due":
            note = "captured before the session was adjusted"
            yield Event(None, "To be refunded", note, part["amount_minor"], done=False)
        elif part["state"] == "pending" and bill.payment is None:
            yield Event(None, "To be collected", "no payment yet", part["amount_minor"], done=False)


def _payout(bill: Bill) -> Iterator[Event]:
    captured = bill.payment["captured_minor"] if bill.payment else 0
    if captured and not bill.items:
        yield Event(
            None,
            "The processor’s own line",
            "not read yet; the ledger waits for it",
            None,
            done=False,
        )
    for payout in sorted({item["payout_id"] or "" for item in bill.items}):
        items = [item for item in bill.items if (item["payout_id"] or "") == payout]
        net = sum(item["net_minor"] for item in items)
        if not payout:
            free = max(item["available_at"] for item in items)
            yield Event(
                None, "Payout expected", f"available from {long_day(free.date())}", net, done=False
            )
        elif items[0]["payout_status"] == "paid":
            day = items[0]["arrival_date"]
            yield Event(None, f"Paid out on {long_day(day)}", f"part of {payout}", net)
        else:
            day = items[0]["arrival_date"]
            note = f"part of {payout}, due {long_day(day)}" if day else f"part of {payout}"
            yield Event(None, "Payout on its way", note, net, done=False)
