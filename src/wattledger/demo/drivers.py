"""Who comes to charge: a made-up cast with the accounts that pay for them.

Of every 100 sessions at the charge points 42 are walk-ups, 30 members, 18 of the fleet, 3 pay at a
card terminal, 3 come with a blocked token and 4 with a card whose hold is declined.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from wattledger.demo.sample import Visit


class Driver(StrEnum):
    """What kind of driver a session is given."""

    WALK_UP = "walk-up"
    MEMBER = "member"
    FLEET = "fleet"
    BLOCKED = "blocked"
    DECLINED = "declined"
    TERMINAL = "terminal"
    """Holds a bank card against the reader at the posts; has no token of its own."""
    CPMS = "cpms"
    """Came through the CPMS, which has the money already."""


_PERCENT = {
    Driver.WALK_UP: 42,
    Driver.MEMBER: 30,
    Driver.FLEET: 18,
    Driver.TERMINAL: 3,
    Driver.BLOCKED: 3,
    Driver.DECLINED: 4,
}
_SLOTS = [driver for driver, percent in _PERCENT.items() for _ in range(percent)]
# Coprime to 100: all 100 slots come once in 100 sessions, and neighbours differ.
_STRIDE = 61
_TOKENS = {
    Driver.WALK_UP: "WALKUP",
    Driver.MEMBER: "MEMBER",
    Driver.FLEET: "FLEET-VAN",
    Driver.BLOCKED: "LOST-CARD",
    Driver.DECLINED: "DECLINE",
    Driver.TERMINAL: "BANK-CARD",
    Driver.CPMS: "CPMS-APP",
}


@dataclass(frozen=True, slots=True)
class Account:
    """An ``[[account]]`` of the demo's configuration."""

    id: str
    name: str
    plan: str
    tokens: tuple[str, ...]
    blocked: bool = False
    payment_method: str | None = None
    saved: bool = False
    """The card is saved with the processor, and its driver agreed to be charged for what is above
    the hold."""
    shortfall: str = "waive"


def assign(visits: Sequence[Visit]) -> list[tuple[Visit, Driver, str]]:
    """Each visit with its driver and token; no token is at two posts at once.

    The visits are in order of arrival, and the answer depends on nothing else.
    """
    parts = list(zip(visits, _drivers(visits), strict=True))
    last_walk_up = max((v.arrival for v, d in parts if d is Driver.WALK_UP), default=None)
    cast = []
    busy_until: dict[Driver, list[datetime]] = {driver: [] for driver in Driver}
    for visit, driver in parts:
        disputes = driver is Driver.WALK_UP and visit.arrival == last_walk_up
        if driver is Driver.DECLINED or disputes:
            # Whoever owes something is blocked, and one dispute is enough: none comes twice.
            busy_until[driver].append(visit.departure)
            number = len(busy_until[driver])
        else:
            number = _first_free(busy_until[driver], visit)
        cast.append((visit, driver, f"{_TOKENS[driver]}-{number:03d}"))
    return cast


def _drivers(visits: Iterable[Visit]) -> list[Driver]:
    drivers = []
    at_posts = 0
    for visit in visits:
        if visit.sample.external:
            drivers.append(Driver.CPMS)
        else:
            drivers.append(_SLOTS[at_posts * _STRIDE % len(_SLOTS)])
            at_posts += 1
    return drivers


def accounts(tokens: Iterable[tuple[Driver, str]]) -> list[Account]:
    """The accounts behind the tokens, in a stable order."""
    found = sorted(set(tokens))
    # The walk-up who came last of all has a card whose bank asks for the money back.
    disputed = max((token for driver, token in found if driver is Driver.WALK_UP), default="")
    own = [
        _own_account(driver, token, disputes=token == disputed)
        for driver, token in found
        if driver in _OWN_ACCOUNT
    ]
    shared = []
    for driver, account_id, name, plan in (
        (Driver.FLEET, "sunrise-couriers", "Sunrise Couriers", "fleet"),
        (Driver.CPMS, "burbank-cpms", "Burbank CPMS app", "cpms"),
    ):
        of_driver = tuple(token for kind, token in found if kind is driver)
        if of_driver:
            shared.append(Account(account_id, name, plan, of_driver))
    return own + shared


_OWN_ACCOUNT = {
    Driver.WALK_UP: ("Walk-up card", "walk-up"),
    Driver.MEMBER: ("Member", "member"),
    Driver.BLOCKED: ("Lost card", "walk-up"),
    Driver.DECLINED: ("Declined card", "walk-up"),
}


def _own_account(driver: Driver, token: str, *, disputes: bool) -> Account:
    what, plan = _OWN_ACCOUNT[driver]
    number = int(token[-3:])
    if driver is Driver.DECLINED:
        method = "pm_card_chargeDeclined"
    elif disputes:
        method = "pm_card_createDispute"
    else:
        method = "pm_card_mastercard" if number % 3 == 0 else "pm_card_visa"
    return Account(
        id=token.lower(),
        name=f"{what} {number}",
        plan=plan,
        tokens=(token,),
        blocked=driver is Driver.BLOCKED,
        payment_method=method,
        saved=driver is Driver.MEMBER,
        shortfall="debt" if driver is Driver.DECLINED else "waive",
    )


def _first_free(busy_until: list[datetime], visit: Visit) -> int:
    """The lowest number (from 1) that no car still at a post has."""
    for i, until in enumerate(busy_until):
        if until < visit.arrival:
            busy_until[i] = visit.departure
            return i + 1
    busy_until.append(visit.departure)
    return len(busy_until)
