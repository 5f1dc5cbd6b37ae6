"""What is priced: stretches of a session with their quantities and what held when each began.

Metered sessions and the records of others come here by different ways (``periods``, ``records``)
and are priced by one and the same function from here on.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from wattledger.rating.model import Source
from wattledger.rating.moments import EPOCH, Moment

RESERVED = "reserved"
"""The activity of a connector that is kept for somebody."""
WAITING = "waiting"
"""Plugged in, and no energy yet, where charging time begins with the first of it."""
SECOND = timedelta(seconds=1)


class Section(msgspec.Struct, gc=False):
    """One stretch. Quantities are in 1/scale Wh and s; None is "not counted here".

    ``tariff`` is the place of the tariff that prices it, -1 none. ``expired`` belongs to a
    reservation. ``after_stop`` is idle time after the transaction stopped. (No cycle can run
    through it, so the collector need not look: there are many of them.)
    """

    from_at: datetime
    to_at: datetime
    activity: str
    moment: Moment
    source: Source
    tariff: int = 0
    energy: int | None = None
    charging: int | None = None
    idle: int | None = None
    reserved: int | None = None
    after_stop: bool = False
    expired: bool = False
    from_register_wh: int | None = None
    to_register_wh: int | None = None
    from_error_wh: int | None = 0
    to_error_wh: int | None = 0
    from_segment: int = -1
    to_segment: int = -1


def second_of(moment: datetime) -> int:
    """The whole second ``moment`` falls in, since 1970, in integers throughout."""
    return (moment - EPOCH) // SECOND


def moment_of(second: int) -> datetime:
    """The inverse of ``second_of``, in UTC."""
    return EPOCH + timedelta(seconds=second)
