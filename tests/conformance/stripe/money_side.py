"""What the rules about money that moves later need of the account: charges that are paid,
events, and waiting for what happens some time later."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_PATIENCE_S = 60.0


class MoneySide:
    """The account, seen from its money."""

    def __init__(self, account: Any) -> None:
        self.account = account
        self.v1 = account.v1
        self.only_here = account.only_here

    def sim(self, path: str, /, **body: Any) -> dict[str, Any]:
        """Make something happen that is not the API's: only the sandbox can."""
        self.only_here(f"make this happen: {path}")
        return dict(self.account.sim(path, **body))

    def told(self, path: str) -> dict[str, Any]:
        """What the sandbox says of itself."""
        self.only_here(f"tell of {path}")
        return dict(self.account.http.get(f"/_sim/{path}").json())

    @property
    def now_s(self) -> int:
        return int(self.account.now.timestamp())

    def later(self, **by: int) -> None:
        self.account.pass_time(**by)

    def eventually(self, look: Callable[[], T]) -> T:
        """The first thing ``look`` finds: at once in the sandbox, or a minute of its clock
        later; at Stripe within a minute of ours."""
        found = look()
        if self.account.is_sandbox:
            if not found:
                self.later(seconds=61)
                found = look()
            return found
        ends_at = time.monotonic() + _PATIENCE_S
        while not found and time.monotonic() < ends_at:
            time.sleep(2)
            found = look()
        return found

    def events(self, kind: str, object_id: str) -> list[str]:
        """The types of the latest events of that type about the object, oldest first."""
        listed = self.v1.events.list({"type": kind, "limit": 50}).data
        about = [e for e in reversed(listed) if getattr(e.data.object, "id", "") == object_id]
        return [e.type for e in about]

    def paid(self, amount: int = 5000, token: str = "pm_card_visa", **more: Any) -> Any:
        """A PaymentIntent that took ``amount`` from the card, its charge with it."""
        return self.v1.payment_intents.create(
            {
                "amount": amount,
                "currency": "usd",
                "payment_method": token,
                "allowed_payment_method_types": ["card"],
                "confirm": True,
                "expand": ["latest_charge"],
                **more,
            }
        )
