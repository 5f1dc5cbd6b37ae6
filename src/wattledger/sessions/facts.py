"""What a session is made of, and what is said of it when it does not fit together."""

from __future__ import annotations

from datetime import datetime

import msgspec

from wattledger.sessions.model import Activity

INTERVALS = ("interval", "interval_clock")
"""Origins of what is no register, but Wh since the one before; those by the clock for themselves: a
meter that says both says the same energy twice."""


class Fact(msgspec.Struct, frozen=True):
    """One thing a charge point, another system or a person said about a session.

    ``kind``: start, meter, status, stop, unplug; correct_start, correct_stop (a person's word).
    ``origin`` is where a register stood: 'message' (meterStart, meterStop), 'begin' and 'end'
    (samples of that context), 'signed_begin' and 'signed_end', 'sample', 'person'; or one of
    ``INTERVALS``. ``unit`` is what the value was said to be in.
    """

    kind: str
    at: datetime
    register_wh: int | None = None
    activity: Activity | None = None
    origin: str = "message"
    power_mw: int | None = None
    unit: str | None = None

    @property
    def is_interval(self) -> bool:
        """Whether its Wh are no register."""
        return self.origin in INTERVALS


class Anomaly(msgspec.Struct, frozen=True):
    """What does not fit; ``code`` is what a session is held for, where it is held."""

    code: str
    message: str


class MeterRules(msgspec.Struct, frozen=True):
    """What is known of the charge point beforehand: the most it gives, and, where idle is told by
    the meter too, the power below which a car counts as idle."""

    power_w: int | None = None
    idle_below_w: int | None = None

    def most_wh(self, seconds: int) -> int | None:
        """More than this in that time no meter can have counted (R6: 1.2 times the power), with
        room for a clock that is a little off."""
        if not self.power_w:
            return None
        return -(-self.power_w * 12 * max(seconds, 0) // 36_000) + self.slack_wh

    @property
    def slack_wh(self) -> int:
        """Five minutes at full power: what times that are not to the second can hide."""
        return (self.power_w or 0) // 12


ORDER = {
    "start": 0, "correct_start": 0, "meter": 1, "status": 2, "correct_stop": 3, "stop": 3,
    "unplug": 4,
}  # fmt: skip
"""At one and the same time a start comes first and an unplug last."""


def place(fact: Fact) -> tuple[datetime, int, int, str, str]:
    """A total order: of two registers at one moment the higher comes last, and counts."""
    register_wh = -1 if fact.register_wh is None else fact.register_wh
    return fact.at, ORDER[fact.kind], register_wh, fact.activity or "", fact.origin
