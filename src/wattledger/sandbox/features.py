"""What the networks allow a hold: how long it lasts, and whether it can grow.

The tables are Stripe's pages on holds, extended authorization, overcapture and incremental
authorization, read for an operator of chargers (merchant category 5552), who is in no
favoured category. The account's habits say what of it there is at all.
"""

from __future__ import annotations

from datetime import timedelta

from wattledger.sandbox.habits import Habits
from wattledger.sandbox.tokens import TestCard
from wattledger.sandbox.wire import Obj

_EEA = frozenset(
    {"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE"}
    | {"IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"}
)


def _s(days: int, hours: int = 0) -> int:
    return int(timedelta(days=days, hours=hours).total_seconds())


_ONLINE_S = _s(7)
_VISA_BY_MERCHANT_S = _s(4, 18)
_VISA_PRESENT_S = _s(4, 18)
_PRESENT_S = _s(2)
_EXTENDED_VISA_S = _s(29, 18)
_EXTENDED_MASTERCARD_S = _s(30)
# Discover lists charging of electric vehicles by name; its partner networks do in a beta.
_INCREMENTABLE = frozenset({"visa", "mastercard", "amex", "discover"})
_PARTIAL = frozenset({"visa", "mastercard", "amex", "discover"})
_OVERCAPTURE_PERCENT = 115


def online(
    habits: Habits, card: TestCard, amount_minor: int, asked: Obj, *, off_session: bool
) -> Obj:
    """The parts of ``payment_method_details.card`` that tell what this hold can do.

    ``window_s`` is the time until it must be captured; ``asked`` the request's options.
    """
    extended_s = None
    if asked.get("request_extended_authorization") == "if_available":
        extended_s = _extended_online_s(habits, card, off_session=off_session)
    overcaptures = asked.get("request_overcapture") == "if_available" and _overcaptures(
        habits, card, off_session=off_session
    )
    incremental = (
        asked.get("request_incremental_authorization") == "if_available"
        and habits.flexible
        and card.brand in _INCREMENTABLE
    )
    window_s = _VISA_BY_MERCHANT_S if off_session and card.brand == "visa" else _ONLINE_S
    return {
        "window_s": extended_s or window_s,
        "extended_authorization": {"status": "enabled" if extended_s else "disabled"},
        "incremental_authorization": {"status": _available(incremental)},
        # Separately shipped goods only, says every network: never for charging.
        "multicapture": {"status": "unavailable"},
        "overcapture": overcapture(amount_minor, available=overcaptures),
    }


def overcapture(amount_minor: int, *, available: bool) -> Obj:
    """The most that can be captured of a hold of ``amount_minor``."""
    most_minor = amount_minor * _OVERCAPTURE_PERCENT // 100 if available else amount_minor
    return {"maximum_amount_capturable": most_minor, "status": _available(available)}


def _extended_online_s(habits: Habits, card: TestCard, *, off_session: bool) -> int | None:
    """Mastercard for every category; Visa for "all others" if the cardholder initiates it."""
    if not (habits.flexible and card.enterprise):
        return None
    if card.brand == "mastercard":
        return _EXTENDED_MASTERCARD_S
    if card.brand == "visa" and not off_session and habits.country != "JP":
        return _EXTENDED_VISA_S
    return None


def _overcaptures(habits: Habits, card: TestCard, *, off_session: bool) -> bool:
    """The only row of the table that fits charging: Visa, merchants outside the EEA."""
    return (
        habits.flexible
        and card.enterprise
        and card.brand == "visa"
        and not off_session
        and habits.country not in _EEA
    )


def present_window_s(habits: Habits, card: TestCard, asked: Obj) -> int:
    """How long a hold taken by a reader lasts."""
    if asked.get("request_extended_authorization") is True and card.brand == "mastercard":
        return _EXTENDED_MASTERCARD_S
    return _VISA_PRESENT_S if card.brand == "visa" else _PRESENT_S


def present_increments(card: TestCard, asked: Obj) -> bool:
    """At a terminal it is asked for as support, and not tied to the pricing."""
    wanted = asked.get("request_incremental_authorization_support") is True
    return wanted and card.brand in _INCREMENTABLE


def partial(habits: Habits, card: TestCard, asked: Obj) -> bool:
    """Whether the issuer may approve less than was asked."""
    wanted = asked.get("request_partial_authorization") == "if_available"
    return wanted and habits.flexible and card.brand in _PARTIAL


def _available(yes: bool) -> str:
    return "available" if yes else "unavailable"
