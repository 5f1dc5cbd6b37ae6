"""Terminals of other vendors: somebody taps a card, plugs in, and the vendor takes the money in its
own way. What it reports comes twice, late, in any order, or never."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

from simulation.payments.others import HELD_MINOR, Others, Tap
from simulation.payments.street import Street, Visit
from wattledger.payments.terminal.reports import Kind, Report
from wattledger.pipeline.terminals import terminal_reports

WAITS, TAKES = "tapco", "payco"
"""One waits for our price, the other takes what it thinks is right."""
TAGS = {WAITS: "TAP-WAITS", TAKES: "TAP-TAKES"}
# Without faults: what a vendor does that is as it should be.
_RIGHT = {WAITS: "takes", TAKES: "exact"}
_MANNERS = {
    WAITS: ("takes", "takes", "later", "later", "refuses", "never", "reverses"),
    TAKES: ("exact", "exact", "differs", "never", "reverses", "reverses_late"),
}
# What goes before the charge: 0.60 per kWh and the site's tax.
_PER_KWH_MINOR, _TAXED_PERCENT = 60, 119
_TIMES = 10


class Terminals:
    """Both vendors."""

    def __init__(self, street: Street, others: Others, rng: Random) -> None:
        self._street, self._others, self._rng = street, others, rng

    async def tap(self, visit: Visit) -> None:
        """A card is read; its driver plugs in, or goes away."""
        vendor = visit.point.vendor
        assert vendor is not None, "the plan sees to it"
        faulty = self._street.faulty
        manner = self._rng.choice(_MANNERS[vendor]) if faulty else _RIGHT[vendor]
        tap = Tap(f"card-{visit.number}", vendor, visit.point.id, self._street.now, manner)
        self._others.taps[tap.reference] = tap
        if vendor == WAITS or not faulty or self._rng.random() < 0.7:
            await self._report(tap, "authorization", tap.at, HELD_MINOR)
        if manner == "reverses":
            self._street.at(self._street.soon(600), lambda: self._reverse(tap))
        if not self._street.walks_away():
            self._street.at(self._street.soon(20),
                            lambda: self._street.plug_in(visit, TAGS[vendor]))  # fmt: skip

    async def ended(self, visit: Visit) -> None:
        """The charge point is free again: the vendor who needs no price takes the money."""
        tap = self._others.taps[f"card-{visit.number}"]
        delay_s = self._rng.choice([10, 600, 5 * 3600, 3 * 86_400]) if self._street.faulty else 10
        at = self._street.soon(delay_s)
        if tap.manner in ("exact", "differs", "reverses_late"):
            price = visit.energy_wh * _PER_KWH_MINOR * _TAXED_PERCENT
            minor = (price + 50_000) // 100_000 + (37 if tap.manner == "differs" else 0)
            self._street.at(at, lambda: self._take(tap, minor))
        if tap.manner == "reverses_late":
            self._street.at(at + timedelta(hours=1), lambda: self._reverse(tap))
        if tap.manner == "later":
            self._street.at(at, lambda: self._take_what_was_asked(tap, _TIMES))

    async def _take(self, tap: Tap, minor: int) -> None:
        if not minor:
            await self._reverse(tap)  # nothing to be taken: the hold is given back
            return
        tap.taken_minor = minor
        await self._report(tap, "settlement", self._street.now, minor)

    async def _take_what_was_asked(self, tap: Tap, left: int) -> None:
        if tap.asked_minor and not tap.returned:
            (minor,) = tap.asked_minor
            await self._take(tap, minor)
        elif left and not tap.returned:
            self._street.at(self._street.soon(3600),
                            lambda: self._take_what_was_asked(tap, left - 1))  # fmt: skip

    async def _reverse(self, tap: Tap) -> None:
        tap.returned = True
        await self._report(tap, "reversal", self._street.now)

    async def _report(self, tap: Tap, kind: Kind, at: datetime, minor: int | None = None) -> None:
        where: dict[str, Any] = {}
        if not self._street.faulty or self._rng.random() < 0.7:
            where = {"charge_point_id": tap.point_id, "connector_id": 1}
        report = Report(
            kind=kind, reference=tap.reference, terminal=f"t-{tap.vendor}", at=at,
            amount=None if minor is None else f"{minor // 100}.{minor % 100:02}",
            authorized_at=tap.at if kind == "settlement" else None, **where,
        )  # fmt: skip
        for _ in range(2 if self._street.faulty and self._rng.random() < 0.3 else 1):
            await self._street.house.do(
                lambda world: terminal_reports.take(world, tap.vendor, report)
            )
