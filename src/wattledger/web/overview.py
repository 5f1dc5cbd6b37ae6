"""The day: all figures of the first page, read in one snapshot so that they agree."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from wattledger.web.flow import Flow, read_flow
from wattledger.web.models import model_name, model_of
from wattledger.web.places import Conn, Entity, Places
from wattledger.web.running import running_cost_minor
from wattledger.web.todo import Todo, read_todo

TAPE_ROWS = 10
_STEP_MIN = 5

# The bound on issued_at is only there for its index; a charge point's clock may run ahead.
_OF_DAY = """
      FROM charge c JOIN session s ON s.id = c.session_id
     WHERE c.entity_id = %(entity)s AND c.entity_date = %(day)s
       AND c.issued_at >= %(day)s::timestamptz - interval '2 days'
"""
_SITES = f"""
    SELECT s.site_id, count(DISTINCT s.id) AS n, sum(c.energy_wh)::bigint AS wh,
           sum(c.net_minor)::bigint AS net, sum(c.tax_minor)::bigint AS tax,
           sum(c.total_minor)::bigint AS total
    {_OF_DAY} GROUP BY s.site_id
"""
_CURVE = f"""
    SELECT (extract(hour FROM c.supply_ended_at AT TIME ZONE %(zone)s)::int * 60
            + extract(minute FROM c.supply_ended_at AT TIME ZONE %(zone)s)::int)
           / {_STEP_MIN} * {_STEP_MIN} AS minute, sum(c.total_minor)::bigint AS total
    {_OF_DAY} GROUP BY 1 ORDER BY 1
"""
_TAPE = f"""
    SELECT c.id, c.kind, s.id AS session_id, s.site_id, s.charge_point_id, s.route,
           s.contract->>'discount_percent' AS discount, v.body AS tariff,
           c.supply_ended_at, c.energy_wh, c.total_minor
      FROM (SELECT c.* {_OF_DAY} ORDER BY c.issued_at DESC, c.revision DESC, c.id DESC
             LIMIT {TAPE_ROWS}) c
      JOIN session s ON s.id = c.session_id
      JOIN config_version v ON v.digest = c.tariff_digest
     ORDER BY c.issued_at DESC, c.revision DESC, c.id DESC
"""
_RUNNING = """
    SELECT count(*) AS n,
           COALESCE(sum(GREATEST(COALESCE(last.register_wh, s.meter_start_wh) - s.meter_start_wh,
                                 0)), 0)::bigint AS wh
      FROM session s
      LEFT JOIN LATERAL (SELECT f.register_wh FROM session_fact f
                          WHERE f.session_id = s.id AND f.register_wh IS NOT NULL
                          ORDER BY f.at DESC, f.id DESC LIMIT 1) last ON true
     WHERE s.entity_id = %(entity)s AND s.state = 'open'
"""
_DAYS = """
    SELECT (SELECT max(entity_date) FROM charge
             WHERE entity_id = %(entity)s AND entity_date < %(day)s) AS before,
           (SELECT min(entity_date) FROM charge
             WHERE entity_id = %(entity)s AND entity_date > %(day)s) AS after,
           EXISTS (SELECT FROM charge WHERE entity_id = %(entity)s
                      AND entity_date = %(day)s) AS charged,
           EXISTS (SELECT FROM session WHERE entity_id = %(entity)s
                      AND started_at >= %(start)s AND started_at < %(end)s) AS started,
           EXISTS (SELECT FROM session WHERE entity_id = %(entity)s) AS ever
"""


class Days(msgspec.Struct, frozen=True):
    """Which day is shown, and which lie around it."""

    today: date
    shown: date
    before: date | None
    after: date | None
    fell_back: bool
    """Today has no session: the most recent day that has one is shown."""
    ever: bool
    """Whether there has been any session at all."""

    @property
    def is_today(self) -> bool:
        return self.shown == self.today


class SiteDay(msgspec.Struct, frozen=True):
    """A site's row; a site without a session has one too."""

    id: str
    name: str
    installed: str
    sessions: int
    energy_wh: int
    net_minor: int


class TapeRow(msgspec.Struct, frozen=True):
    """A charge as it came in."""

    charge_id: str
    session_id: str
    ended_at: datetime
    zone: str
    site: str
    model: str
    energy_wh: int
    total_minor: int


class Overview(msgspec.Struct, frozen=True):
    """All that the page shows, as of ``now``."""

    entity: Entity
    now: datetime
    days: Days
    net_minor: int
    tax_minor: int
    total_minor: int
    energy_wh: int
    sessions: int
    week_ago_minor: int | None
    """Charged by this time on the same weekday a week earlier; None without a charge then."""
    running: int
    running_wh: int
    running_minor: int | None
    curve: list[tuple[int, int]]
    week_curve: list[tuple[int, int]]
    tape: list[TapeRow]
    sites: list[SiteDay]
    todo: list[Todo]
    flow: Flow

    @property
    def ties(self) -> bool:
        """Whether the sites' nets, the day's net and tax, and the day's total are one sum."""
        nets = sum(site.net_minor for site in self.sites)
        last = self.curve[-1][1] if self.curve else 0
        return (
            nets == self.net_minor
            and self.net_minor + self.tax_minor == self.total_minor
            and (not self.sessions or last == self.total_minor)
        )


def day_bounds(day: date, zone: str) -> tuple[datetime, datetime]:
    """The instants at which a local day begins and ends."""
    here = ZoneInfo(zone)
    start = datetime.combine(day, time(), here)
    return start.astimezone(UTC), datetime.combine(day + timedelta(days=1), time(), here)


async def read_days(conn: Conn, entity: Entity, now: datetime, asked: date | None) -> Days:
    """The day to show: the one that was asked for, today, or the last one that has something."""
    today = now.astimezone(ZoneInfo(entity.time_zone)).date()
    shown = asked or today
    row = await _days_row(conn, entity, shown)
    fell_back = asked is None and not row["charged"] and not row["started"] and row["before"]
    if fell_back:
        shown = row["before"]
        row = await _days_row(conn, entity, shown)
    after = row["after"]
    if after is None and shown < today:
        after = today
    return Days(today, shown, row["before"], after, bool(fell_back), row["ever"])


async def _days_row(conn: Conn, entity: Entity, day: date) -> dict[str, Any]:
    start, end = day_bounds(day, entity.time_zone)
    given = {"entity": entity.id, "day": day, "start": start, "end": end}
    row = await (await conn.execute(_DAYS, given)).fetchone()
    if row is None:
        raise AssertionError("a SELECT without FROM always has a row")
    return row


async def read_overview(
    conn: Conn, places: Places, entity: Entity, now: datetime, *, asked: date | None, span: str
) -> Overview:
    """Everything of one day. ``span`` is 'day' or 'week': how far the flow looks back."""
    days = await read_days(conn, entity, now, asked)
    day = days.shown
    given = {"entity": entity.id, "day": day, "zone": entity.time_zone}
    sites = await (await conn.execute(_SITES, given)).fetchall()
    curve = await _curve(conn, given)
    week_curve = await _curve(conn, {**given, "day": day - timedelta(days=7)})
    tape = await (await conn.execute(_TAPE, given)).fetchall()
    running = await (await conn.execute(_RUNNING, given)).fetchone()
    until = _minute(now, entity.time_zone) if days.is_today else 24 * 60
    return Overview(
        entity=entity,
        now=now,
        days=days,
        net_minor=sum(row["net"] for row in sites),
        tax_minor=sum(row["tax"] for row in sites),
        total_minor=sum(row["total"] for row in sites),
        energy_wh=sum(row["wh"] for row in sites),
        sessions=sum(row["n"] for row in sites),
        week_ago_minor=_until(week_curve, until),
        running=running["n"] if running else 0,
        running_wh=running["wh"] if running else 0,
        running_minor=await running_cost_minor(conn, entity.id),
        curve=curve,
        week_curve=week_curve,
        tape=[_tape_row(row, places, entity) for row in tape],
        sites=_site_rows(sites, places, entity),
        todo=await read_todo(conn, entity.id, now),
        flow=await read_flow(
            conn, entity.id, day if span == "day" else day - timedelta(days=6), day
        ),
    )


async def _curve(conn: Conn, given: dict[str, Any]) -> list[tuple[int, int]]:
    """(minute of the local day, charged by then); a point for each step in which it rose."""
    rows = await (await conn.execute(_CURVE, given)).fetchall()
    found: list[tuple[int, int]] = []
    total = 0
    for row in rows:
        total += row["total"]
        found.append((min(row["minute"] + _STEP_MIN, 24 * 60), total))
    return found


def _until(curve: list[tuple[int, int]], minute: int) -> int | None:
    if not curve:
        return None
    return max((total for at, total in curve if at <= minute), default=0)


def _minute(moment: datetime, zone: str) -> int:
    here = moment.astimezone(ZoneInfo(zone))
    return here.hour * 60 + here.minute


def _tape_row(row: dict[str, Any], places: Places, entity: Entity) -> TapeRow:
    return TapeRow(
        charge_id=row["id"],
        session_id=row["session_id"],
        ended_at=row["supply_ended_at"],
        zone=places.zone(row["site_id"], entity.time_zone),
        site=places.site(row["site_id"]),
        model="Credit"
        if row["kind"] == "credit"
        else model_name(model_of(row["route"], row["discount"], row["tariff"])),
        energy_wh=row["energy_wh"],
        total_minor=row["total_minor"],
    )


def _site_rows(rows: list[dict[str, Any]], places: Places, entity: Entity) -> list[SiteDay]:
    by_id = {row["site_id"]: row for row in rows}
    configured = {site.id: site for site in places.sites_of(entity.id)}
    found = []
    for site_id in [*configured, *(key for key in sorted(by_id) if key not in configured)]:
        row = by_id.get(site_id, {"n": 0, "wh": 0, "net": 0})
        site = configured.get(site_id)
        installed = site.installed if site else ""
        found.append(
            SiteDay(site_id, places.site(site_id), installed, row["n"], row["wh"], row["net"])
        )
    return sorted(found, key=lambda site: (-site.net_minor, site.name))
