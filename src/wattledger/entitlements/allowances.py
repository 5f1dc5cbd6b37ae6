"""How much of a plan's allowance a session gets: arithmetic only. Nobody counts here what was
used: whoever books sessions one after the other says it."""

from __future__ import annotations

from wattledger.contract import AllowanceTerm


def draw(allowance: AllowanceTerm, used: int, wanted: int) -> int:
    """Of ``wanted`` Wh or seconds, what is left in the allowance after ``used``.

    The rest is the overage, at the tariff's price. Raises ValueError for less than nothing.
    """
    if used < 0 or wanted < 0:
        raise ValueError(f"neither what was used nor what is wanted is negative: {used}, {wanted}")
    return min(wanted, max(allowance.quantity - used, 0))
