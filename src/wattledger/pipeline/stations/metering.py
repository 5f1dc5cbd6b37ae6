"""What a charge point is to measure, so that it can be billed: told when it boots, and when that
changes.

Clock-aligned readings fall on the boundaries of every tariff that can apply there. Where a price
changes at 16:00 and the register is read at 16:00, what was delivered on either side is measured;
read at 16:07, it would be an estimate. Charge points leave the factory with clock-aligned readings
off, so this is on unless the operator turns it off (``meter_interval_s = 0``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.entitlements.model import ChargePoint, Plan, Site
from wattledger.entitlements.offers import for_place
from wattledger.ids import content_digest
from wattledger.pipeline.stations import commands
from wattledger.pipeline.stations.commands import Told
from wattledger.tariffs import PriceLock, Tariff

COMMAND = "configure"
REGISTER = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"

_DAY_S = 86_400
# All divide a day (1.6 §9.1: the intervals are evenly spaced from midnight on).
_INTERVALS_S = (3600, 1800, 900, 600, 300, 60)


class Settings(msgspec.Struct, frozen=True):
    """In no version's words. The register is read at both ends, on the clock and between; power
    beside it, where the charge point can, to tell an idle car from a charging one."""

    aligned_interval_s: int
    sample_interval_s: int
    register: str = REGISTER
    power: str = POWER

    @property
    def digest(self) -> str:
        """Equal settings have the same."""
        return content_digest(msgspec.json.encode(self))[:16]


def wanted(snapshot: Snapshot, charge_point_id: str, now: datetime) -> Settings | None:
    """The settings of a charge point; None where they are not ours to make."""
    place = snapshot.place_of(charge_point_id)
    if place is None:
        return None
    site, point = place
    most_s = site.meter_interval_s
    if most_s is None:
        most_s = snapshot.policies.meter_interval_s
    if not most_s:
        return None
    aligned = interval(tariffs_at(snapshot, site, point), site.time_zone, now, most_s)
    return Settings(aligned_interval_s=aligned, sample_interval_s=most_s)


def interval(tariffs: Iterable[Tariff], zone: str, now: datetime, most_s: int) -> int:
    """The longest interval of ``most_s`` seconds at most whose readings fall on every time of day
    at which a price can change.

    A charge point counts from its own midnight, the site's or UTC's: both have to fit, so the
    zone's distances from UTC count as boundaries, summer's and winter's.
    """
    common = _DAY_S
    for boundary in [b for tariff in tariffs for b in boundaries_s(tariff)]:
        common = math.gcd(common, boundary)
    for offset in _offsets_s(zone, now.astimezone(UTC).date()):
        common = math.gcd(common, offset)
    return next((s for s in _INTERVALS_S if s <= most_s and common % s == 0), _INTERVALS_S[-1])


def boundaries_s(tariff: Tariff) -> Iterator[int]:
    """Seconds after local midnight at which a price can change; midnight itself fits always."""
    if tariff.price_lock is PriceLock.SESSION_START:
        return  # the clock changes no price of a running session
    for element in tariff.elements:
        for text in (element.restrictions.start_time, element.restrictions.end_time):
            if text is not None:
                yield int(text[:2]) * 3600 + int(text[3:5]) * 60


def tariffs_at(snapshot: Snapshot, site: Site, point: ChargePoint) -> list[Tariff]:
    """Every tariff that a session there can get, whoever comes and whenever."""
    named = [site.tariff, site.display_tariff or site.tariff]
    named += [offer.tariff for offer in snapshot.offers if for_place(offer, site, point)]
    named += [p.tariffs[site.id] for p in snapshot.all("plan", Plan) if site.id in p.tariffs]
    found = (snapshot.tariff(each) for each in dict.fromkeys(named))
    return [tariff for tariff in found if tariff is not None]


@lru_cache(maxsize=256)
def _offsets_s(zone: str, today: date) -> set[int]:
    """The zone's distances from UTC within the year ahead."""
    place = ZoneInfo(zone)
    found = set()
    for month in range(12):
        day = datetime.combine(today + timedelta(days=30 * month), time(), UTC)
        offset = day.astimezone(place).utcoffset()
        found.add((offset or timedelta()) // timedelta(seconds=1))
    return found


async def configure(
    tx: Transaction, charge_point_id: str, settings: Settings, before: Told | None
) -> bool:
    """Tell them, unless they are what the charge point was told last."""
    request: dict[str, Any] = {"settings": msgspec.to_builtins(settings)}
    return await commands.tell(
        tx, charge_point_id, COMMAND, settings.digest, request, before=before
    )
