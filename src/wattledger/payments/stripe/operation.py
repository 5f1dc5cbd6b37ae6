"""What a kind of call is: how it is sent, and how it is found back when no answer came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from wattledger.db.effects import Effect, NewAttempt, Outcome, Unknown
from wattledger.payments.stripe.pacing import Rank

PAGES_MAX = 50
PAGE = 100


Load = Callable[[dict[str, Any]], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an effect. ``v1``: Stripe's services; ``age``: since it was first sent."""

    v1: Any
    effect: Effect
    amount: int | None
    """What is asked for, as Stripe says it; None when no amount is."""
    age: timedelta
    load: Load | None = None
    """What is uploaded, by the request that names it."""

    @property
    def request(self) -> dict[str, Any]:
        """What was decided to be sent."""
        return self.effect.request

    @property
    def options(self) -> dict[str, Any]:
        """The key under which Stripe does it once."""
        return {"idempotency_key": self.effect.key}


Do = Callable[[Call], Awaitable[Outcome]]
Asked = Callable[[dict[str, Any]], tuple[int, str]]


def amount_of(request: dict[str, Any]) -> tuple[int, str]:
    """The amount of most requests, and its currency."""
    return request["amount_minor"], request["currency"].upper()


def amount_in_params(request: dict[str, Any]) -> tuple[int, str]:
    """The amount of a request that makes an intent."""
    params = request["params"]
    return params["amount"], params["currency"].upper()


@dataclass(frozen=True, slots=True)
class Operation:
    """A kind of call.

    ``find_back`` answers NewAttempt only with proof that the call had no effect and will have none.
    ``missing_refuses``: that there is no such thing is about what was asked, not about whose key
    we have. ``reads``: it changes nothing, so that it may always be tried again. ``replays_for``:
    for how long the same call under the same key is the way to find out; None: as long as the key
    lives.
    """

    rank: Rank
    send: Do
    find_back: Do
    asked: Asked | None = None
    missing_refuses: bool = False
    reads: bool = False
    replays_for: timedelta | None = None


async def find_in_list(
    lister: Callable[[Any], Awaitable[Any]],
    params: dict[str, Any],
    fits: Callable[[Any], bool],
    what: str,
) -> Any:
    """The row that fits; NewAttempt when the whole list has none, Unknown when it never ends."""
    query = {**params, "limit": PAGE}
    for _ in range(PAGES_MAX):
        page = await lister(query)
        for row in page.data:
            if fits(row):
                return row
        if not page.has_more:
            return NewAttempt(f"the processor has no {what} of this attempt")
        query["starting_after"] = page.data[-1].id
    return Unknown(f"not found on {PAGES_MAX} pages of {what}s", look_up=True)
