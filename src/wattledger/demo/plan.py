"""What the charge points will do: every session of the demo, worked out before it starts.

The data know no meter series and no end of charging. Both are derived: constant power from
the arrival (6.6 kW AC, 150 kW DC, or the lowest power that fits the stay where that is more)
until the energy is delivered, then idle until the departure.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from wattledger.demo.drivers import Driver, assign
from wattledger.demo.sample import Visit, choose, read, shift

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AC_POWER_W = 6_600
DC_POWER_W = 150_000
_SAMPLE_AC_S = 1800
_SAMPLE_DC_S = 300
# With the stop at the post the driver needs a moment to put the plug away.
_UNPLUG_S = 20
_CLOSING_HOUR_UTC = 12


class Session(msgspec.Struct, frozen=True):
    """One session attempt. Times in UTC, whole seconds."""

    key: str
    site_id: str
    charge_point_id: str
    driver: Driver
    token: str
    arrival: datetime
    charged: datetime
    """When the car has what it wants."""
    stop: datetime
    """When the transaction ends, if nobody ends it before."""
    departure: datetime
    energy_wh: int
    power_w: int
    stop_reason: str
    sample_interval_s: int
    made_up: bool

    @property
    def external(self) -> bool:
        return self.driver is Driver.CPMS

    def delivered_wh(self, at: datetime) -> int:
        """The energy from the arrival until ``at``: whole Wh, rounded down, never more than all."""
        elapsed_s = max(0, (at - self.arrival) // timedelta(seconds=1))
        return min(self.energy_wh, self.power_w * elapsed_s // 3600)

    def samples(self) -> list[datetime]:
        """When the meter is read between start and stop: at full intervals of the clock, as
        OCPP's ClockAlignedDataInterval has it, so that all charge points read at once."""
        interval = timedelta(seconds=self.sample_interval_s)
        at = self.arrival + interval - (self.arrival - _EPOCH) % interval
        times = []
        while at < self.stop:
            times.append(at)
            at += interval
        return times


class Post(msgspec.Struct, frozen=True):
    """A charge point with one connector; its register begins where years of use left it."""

    id: str
    site_id: str
    power_w: int
    register_wh: int
    external: bool
    version: str
    """Of OCPP, as the WebSocket's subprotocol has it."""


class Plan(msgspec.Struct, frozen=True):
    """All that the process of the charge points is told, beside its secrets."""

    starts_at: datetime
    closing_steps: tuple[datetime, ...]
    """Where the clock is moved after the last session, so that payouts arrive."""
    sessions: tuple[Session, ...]
    posts: tuple[Post, ...]
    ocpp_url: str = ""
    http_url: str = ""
    sandbox_url: str = ""
    readers: dict[str, str] = {}
    """The card reader of each site, as the processor calls it."""


def make_plan(count: int, today: date) -> Plan:
    """``count`` session attempts in the most recent days before ``today``; the same each time."""
    whole = read()
    visits = shift(choose(whole, count), whole, today)
    sessions = tuple(
        _session(f"s{i:04d}", *member) for i, member in enumerate(assign(visits), start=1)
    )
    first, last = sessions[0].arrival, max(s.departure for s in sessions)
    return Plan(
        starts_at=(first - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0),
        closing_steps=tuple(_closing_steps(last)),
        sessions=sessions,
        posts=tuple(_posts(sessions)),
    )


def _session(key: str, visit: Visit, driver: Driver, token: str) -> Session:
    sample = visit.sample
    at_post = driver is not Driver.CPMS and visit.stay_s > 600 and int(key[1:]) % 3 == 0
    stop = visit.departure - timedelta(seconds=_UNPLUG_S if at_post else 0)
    stay_s = (stop - visit.arrival) // timedelta(seconds=1)
    most_w = DC_POWER_W if sample.is_dc else AC_POWER_W
    # Rounded up: at this power the energy is in the car by the stop, to the second.
    power_w = max(most_w, -(-sample.delivered_wh * 3600 // stay_s))
    charging_s = -(-sample.delivered_wh * 3600 // power_w)
    return Session(
        key=key,
        site_id=sample.site_id,
        charge_point_id=sample.station_id,
        driver=driver,
        token=token,
        arrival=visit.arrival,
        charged=visit.arrival + timedelta(seconds=charging_s),
        stop=stop,
        departure=visit.departure,
        energy_wh=sample.delivered_wh,
        power_w=power_w,
        stop_reason="Local" if at_post else "EVDisconnected",
        sample_interval_s=_SAMPLE_DC_S if sample.is_dc else _SAMPLE_AC_S,
        made_up=sample.made_up,
    )


def _posts(sessions: Sequence[Session]) -> list[Post]:
    sites = {s.charge_point_id: s for s in sessions}
    return [
        Post(
            id=post_id,
            site_id=session.site_id,
            power_w=DC_POWER_W if session.made_up else 7_200,
            register_wh=_worn(post_id),
            external=session.external,
            version=_version(post_id),
        )
        for post_id, session in sorted(sites.items())
    ]


def _worn(post_id: str) -> int:
    """A register as years of use leave it: made up out of the name, never zero."""
    return 1_000_000 + int.from_bytes(post_id.encode()[-3:], "big") * 1_103_515_245 % 40_000_000


def _version(post_id: str) -> str:
    """About a third speak OCPP 2.0.1: by the name, so that a choice of sessions changes nothing."""
    return "ocpp2.0.1" if zlib.crc32(post_id.encode()) % 3 == 0 else "ocpp1.6"


def _closing_steps(last: datetime) -> list[datetime]:
    """Noon (UTC) of every day until the last capture has been paid out and reconciled.

    A net becomes available after two business days, its payout arrives a business day later,
    and the night after that everything is matched.
    """
    day = last.astimezone(UTC).date()
    business_days = 0
    steps = []
    while business_days < 4:
        day += timedelta(days=1)
        business_days += day.weekday() < 5
        steps.append(datetime.combine(day, time(_CLOSING_HOUR_UTC), UTC))
    return steps
