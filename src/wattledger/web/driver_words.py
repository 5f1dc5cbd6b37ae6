"""What the page at a charge point says: plainly, and what to do next."""

from __future__ import annotations

import msgspec

from wattledger.contract import Reason
from wattledger.errors import TooMany
from wattledger.money import format_minor, signed_text
from wattledger.pipeline.starting.start_view import Seen


class Problem(msgspec.Struct, frozen=True):
    """Why nobody can pay here now. ``retry``: whether looking again may help."""

    title: str
    text: str
    retry: bool = True


UNKNOWN = Problem(
    "This charge point is not known",
    "The code may be an old one. Look for another code at the charge point, or call the number that"
    " stands on it.",
    retry=False,
)
OFFLINE = Problem(
    "This charge point is offline",
    "It can't be started from here at the moment. Try again in a minute, or use another one.",
)
OCCUPIED = Problem(
    "This connector is in use",
    "Somebody is charging here. If it is you, scan the code with the browser that you started with."
    " If not, use another connector or another charge point.",
)
BROKEN = Problem(
    "This connector is out of order",
    "Use another connector or another charge point. Nothing has been charged.",
)
NOT_SET_UP = Problem(
    "Paying by card is not possible here",
    "The operator has not set up card payment for this charge point. Other ways to pay may stand on"
    " it.",
    retry=False,
)
TOO_OFTEN = Problem("Too many requests", "Wait a minute, then try again.")
FAULT = Problem(
    "Something is wrong on our side", "Nothing has been charged. Try again in a minute."
)
NO_RECEIPT = (
    "No payment by this card was found here around that time. Just after charging it can take some"
    " minutes; a charge point beside this one has a page of its own."
)
NO_RECEIPTS = "Receipts can't be looked up here. The operator has them: ask there."
_NO_ROOM = {
    "connector_taken": "Somebody is paying for this connector at the moment. If it is you, go back"
    " to the page that you started from. If not, use another connector, or try again in {wait}.",
    "unpaid_starts": "Too many payments were begun at this connector and not finished. Use another"
    " one, or another way to pay that stands on the charge point, or try again in {wait}.",
    "too_many_open": "Very many drivers are paying at the moment. Nothing was reserved on your"
    " card. Try again in {wait}.",
}
_REFUSED = {
    Reason.NO_ROUTE: "Paying by card on this page is not offered here.",
    Reason.NO_PAYMENT_METHOD: "The operator has not set up card payment for this charge point.",
    Reason.NO_TARIFF: "There is no price for this charge point at the moment.",
    Reason.UNKNOWN_LOCATION: "This charge point is not known.",
    Reason.IN_DEBT: "An earlier session with this card is still unpaid.",
}
_CARDS = {
    "in_debt": "An earlier session with this card is still unpaid. What was reserved is given back;"
    " pay that session first, or try another card.",
    "blocked": "This card can't be used here. What was reserved is given back; try another card, or"
    " ask the operator.",
}
_FAILED = {
    "cancelled": "You have cancelled. The reservation on your card is given back.",
    "no_session": "No car was connected in time. The reservation on your card is given back; try"
    " again once the car is plugged in.",
    "no_card": "No card was confirmed in time. Nothing was reserved.",
    "left": "The page was closed before a card was confirmed. Nothing was charged; what your bank"
    " may have reserved is given back.",
    "held_too_little": "Your bank has approved less than this charge point needs. It is given back;"
    " try another card.",
    "expired": "The charge point did not answer. The reservation on your card is given back.",
    "no_answer": "The charge point did not answer. The reservation on your card is given back.",
}
_STAGES = {
    "paying": "Your card is being checked.",
    "starting": "The charge point is being started. Plug in the car, if you have not yet.",
    "charging": "Charging. You can close this page; it goes on. To come back, scan the code again.",
    "ending": "Charging has ended. The bill is being made.",
    "done": "Done. Your card pays what you have charged; your bank gives the rest of the"
    " reservation back.",
}
_OVER = ("billed", "free", "adjusted")


def money(amount_minor: int, currency: str) -> str:
    """``$25.00``"""
    return format_minor(amount_minor, currency)


def priced(amount: str, currency: str) -> str:
    """A price as the operator wrote it."""
    return signed_text(amount, currency)


def refused(reason: Reason) -> str:
    """Why nothing can be started."""
    return _REFUSED.get(reason, "Charging can't be started here at the moment.")


def no_room(error: TooMany) -> str:
    """Why no start fits in now, and when it may."""
    minutes = -(-error.retry_after_s // 60)
    wait = "a minute" if minutes == 1 else f"{minutes} minutes"
    return _NO_ROOM.get(error.reason, TOO_OFTEN.text).format(wait=wait)


def stage(seen: Seen) -> str:
    """Where a start stands: ``paying``, ``starting``, ``charging``, ``ending``, ``done``,
    ``failed``."""
    state, running = seen.start.state, seen.running
    if state in ("paying", "starting"):
        return state
    if state != "started" or running is None:
        return "failed"
    if running.charging:
        return "charging"
    return "done" if running.state in _OVER else "ending"


def said(seen: Seen, at: str) -> str:
    """The same in words."""
    start, payment = seen.start, seen.payment
    if at in _STAGES:
        return _STAGES[at]
    if start.state == "declined" and start.why in _CARDS:
        return _CARDS[start.why]
    if start.state == "declined" and start.why != "held_too_little":
        return "Your card was declined. Nothing was charged; try another card."
    held = money(payment.hold_minor, payment.currency) if payment is not None else ""
    usual = f"The charge point could not be started. The reservation of {held} is given back."
    return _FAILED.get(start.why or "", usual)
