"""How the account behaves where Stripe's behaviour depends on the country, contract or luck.

Set over ``/_sim/account``; what stands here is what the test mode does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from wattledger.errors import BadInput


@dataclass(slots=True)
class Habits:
    """The account's settings that are none of the API's."""

    country: str = "US"
    """Where the merchant is: no overcapture in the EEA, no extended Visa hold in Japan."""
    pricing: str = "ic_plus"
    """Overcapture, increments online, extended and partial authorization come with IC+ only;
    ``blended``: they are unavailable, as for most accounts."""
    fees: str = "on_charges"
    """``apart``: as with IC+ pricing charges carry no fee; the costs come as lines of their own
    (``/_sim/fee``)."""
    capture_delay_s: int = 0
    """How long a captured charge names no balance transaction yet: until ``charge.updated``."""
    payouts: str = "daily"
    """``manual``: nothing is paid out unless ``POST /v1/payouts`` asks for it."""
    negative: str = "waits"
    """``debits``: a negative balance is collected from the bank by a payout of less than zero."""
    refunds_wait: bool = False
    """A refund that the available balance doesn't cover stays pending until it does."""
    reconciliation_delay_s: int = 0
    """How long a payout's transactions are still being put together."""
    later_s: int = 60
    """How long "some time later" of the test cards is: refunds that turn out one way or other."""
    evidence_due_days: int = 8
    """How many days after a dispute its evidence is due, at the end of the day."""

    @property
    def flexible(self) -> bool:
        """Whether the account has the features of flexible acquiring."""
        return self.pricing == "ic_plus"

    def change(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Take the settings named; BadInput for one that is not there or can't be so."""
        choices = {
            "pricing": ("ic_plus", "blended"),
            "fees": ("on_charges", "apart"),
            "payouts": ("daily", "manual"),
            "negative": ("waits", "debits"),
        }
        known = {field.name: type(getattr(self, field.name)) for field in fields(self)}
        for name, value in wanted.items():
            if name not in known:
                raise BadInput(f"$.{name}", value, f"one of {sorted(known)}")
            fits = type(value) is known[name] and (name not in choices or value in choices[name])
            if not fits or (type(value) is int and value < 0):
                raise BadInput(f"$.{name}", value, f"{choices.get(name, known[name].__name__)}")
        for name, value in wanted.items():
            setattr(self, name, value)
        return asdict(self)
