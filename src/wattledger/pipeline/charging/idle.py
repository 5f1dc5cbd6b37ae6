"""Whether idle time of the car can cost anything, by a tariff alone."""

from __future__ import annotations

from wattledger.tariffs import Dimension, Tariff


def prices_idle(tariff: Tariff) -> bool:
    """Whether idle time has a price."""
    return any(element.component(Dimension.IDLE_TIME) is not None for element in tariff.elements)


def idle_counts_on(tariff: Tariff) -> bool:
    """Whether the bill goes on after the transaction, until the vehicle leaves."""
    return prices_idle(tariff) and tariff.policies.idle_after_stop
