"""The names of things, from the configuration: what the pages call a site or an account."""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg import AsyncConnection

Conn = AsyncConnection[dict[str, Any]]

_LATEST = """
    SELECT DISTINCT ON (a.kind, a.key) a.kind, a.key, v.body
      FROM config_activation a JOIN config_version v USING (digest)
     WHERE a.kind = ANY(%s)
     ORDER BY a.kind, a.key, a.valid_from DESC, a.seq DESC
"""


class Entity(msgspec.Struct, frozen=True):
    """Whose books a page shows."""

    id: str
    name: str
    currency: str
    time_zone: str


class Site(msgspec.Struct, frozen=True):
    """A place, and the most that is installed there."""

    id: str
    name: str
    entity: str
    time_zone: str
    points: int
    power_min_w: int
    power_max_w: int

    @property
    def installed(self) -> str:
        """``34 × 6.6–150 kW``; empty without a charge point."""
        if not self.points:
            return ""
        low, high = _kw(self.power_min_w), _kw(self.power_max_w)
        return f"{self.points} × {low if low == high else f'{low}–{high}'} kW"


class Places(msgspec.Struct, frozen=True):
    """All that has ever been configured, by its latest version: what has ended keeps its name."""

    entities: dict[str, Entity]
    sites: dict[str, Site]
    accounts: dict[str, str]
    plans: dict[str, str]

    def site(self, site_id: str) -> str:
        """The name of a site; its id where none is known."""
        found = self.sites.get(site_id)
        return found.name if found else site_id

    def zone(self, site_id: str, otherwise: str) -> str:
        """The time zone of a site."""
        found = self.sites.get(site_id)
        return found.time_zone if found else otherwise

    def sites_of(self, entity_id: str) -> list[Site]:
        """The sites of a legal entity, by name."""
        own = [site for site in self.sites.values() if site.entity == entity_id]
        return sorted(own, key=lambda site: site.name)


async def read_places(conn: Conn) -> Places:
    """The names as they stand now."""
    cursor = await conn.execute(_LATEST, (["entity", "site", "account", "plan"],))
    found: dict[str, dict[str, Any]] = {"entity": {}, "site": {}, "account": {}, "plan": {}}
    for row in await cursor.fetchall():
        found[row["kind"]][row["key"]] = row["body"]
    return Places(
        entities={
            key: Entity(key, body.get("name", key), body["currency"], body["time_zone"])
            for key, body in sorted(found["entity"].items())
        },
        sites={key: _site(key, body) for key, body in sorted(found["site"].items())},
        accounts={key: body.get("name", key) for key, body in found["account"].items()},
        plans={key: body.get("name", key) for key, body in found["plan"].items()},
    )


def _site(key: str, body: dict[str, Any]) -> Site:
    points = body.get("charge_points", [])
    return Site(
        id=key,
        name=body.get("name", key),
        entity=body["entity"],
        time_zone=body["time_zone"],
        points=len(points),
        power_min_w=min((point["power_w"] for point in points), default=0),
        power_max_w=max((point["power_w"] for point in points), default=0),
    )


def _kw(power_w: int) -> str:
    return f"{power_w // 1000}.{power_w % 1000:03d}".rstrip("0").rstrip(".")
