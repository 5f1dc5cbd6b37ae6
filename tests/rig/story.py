"""Many stories told in one running system, each by charge points of its own.

A story is an async generator: it says what charge points say, waiting for its times with
``day.until``; at its ``yield`` it gets what became of it, days later, and judges it. All stories
of a file that were selected run side by side, so that there is one server and one clock.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
import uvloop

from rig.network import SECRETS, Body, account, at, charge_point, network
from rig.points2 import V16, Point16, Station
from rig.system import System, system
from wattledger import config
from wattledger.db import versions
from wattledger.db.connect import Database
from wattledger.db.embedded import SUPERUSER, EmbeddedServer
from wattledger.db.roles import Role

Story = Callable[..., AsyncGenerator[None, "Found"]]
TOKEN, CARD_TOKEN, TURNCOAT = "DRIVER-1", "CARD-1", "TURNCOAT-1"
_numbers = itertools.count(1)


class Found:
    """What became of the sessions of one charge point. ``sessions`` are rows by start, each with
    its ``facts``, ``documents`` and ``anomalies``; ``codes`` are those of the anomalies about
    them and about the charge point."""

    def __init__(
        self, sessions: list[Body], others: list[Body], more: dict[str, list[Body]]
    ) -> None:
        self.sessions = sessions
        self.about_point = others
        self.more = more

    @property
    def session(self) -> Body:
        """The only one."""
        (found,) = self.sessions
        return found

    @property
    def codes(self) -> set[str]:
        every = [*self.about_point, *(a for s in self.sessions for a in s["anomalies"])]
        return {anomaly["code"] for anomaly in every}

    @property
    def documents(self) -> list[tuple[int, int]]:
        """Of the only session: Wh and cents of each document, in their order."""
        return [(d["energy_wh"], d["total_minor"]) for d in self.session["documents"]]

    @property
    def bill(self) -> tuple[str, int, int]:
        """Of the only session: its state, and the Wh and cents of its one charge."""
        return bill(self.session)


def bill(session: Body) -> tuple[str, int, int]:
    """State, Wh and cents of a session with one charge or none."""
    assert len(session["documents"]) < 2, session["documents"]
    for held in session["documents"]:
        return session["state"], held["energy_wh"], held["total_minor"]
    return session["state"], 0, 0


class Day:
    """Business time, shared by all stories: it goes on when everybody waits for it."""

    def __init__(self, system_: System) -> None:
        self.system = system_
        self._waiting: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._busy = 0
        self._idle = asyncio.Event()

    async def until(self, when: datetime) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (when, next(self._numbers), future))
        self._rest()
        await future

    def _rest(self) -> None:
        self._busy -= 1
        if not self._busy:
            self._idle.set()

    async def run(self, stories: list[_Running]) -> None:
        """Until every story has been told."""
        self._busy = len(stories)
        async with asyncio.TaskGroup() as group:
            for story in stories:
                group.create_task(self._tell(story))
            while stories:
                await self._idle.wait()
                if not self._waiting:
                    return
                when = self._waiting[0][0]
                await self.system.clock(when)
                self._idle.clear()
                while self._waiting and self._waiting[0][0] == when:
                    self._busy += 1
                    heapq.heappop(self._waiting)[2].set_result(None)

    async def _tell(self, story: _Running) -> None:
        await story.tell()
        self._rest()


class _Running:
    """A story with its charge points, and what went wrong in it."""

    def __init__(self, name: str, story: Any, version: str, day: Day) -> None:
        self.name = name
        kind = Point16 if version == V16 else Station
        self.points = [kind(_point_id(name, version, n), version, day.system.server)
                       for n in range(story.points)]  # fmt: skip
        self.error: BaseException | None = None
        self._generator = story.script(day, *self.points)

    async def tell(self) -> None:
        try:
            await anext(self._generator)
        except Exception as error:
            self.error = error

    async def judge(self, found: Found) -> None:
        if self.error is not None:
            return
        try:
            await self._generator.asend(found)
        except StopAsyncIteration:
            return
        except BaseException as error:
            self.error = error
        else:
            self.error = AssertionError("a story yields once")


def _point_id(name: str, version: str, number: int) -> str:
    short = f"{name.removeprefix('test_')[:40]}-{zlib.crc32(name.encode()):08x}"
    return f"{short}-{version.removeprefix('ocpp')}-{number}"


def story(*versions: str, site: str = "plain", points: int = 1, **charge_point_: Any) -> Any:
    """Makes of a story a test of its name, for each version: ``charge_point_`` is what is
    configured of its charge points, ``points`` how many it gets (the site's only once)."""

    def made(script: Story) -> Any:
        @pytest.mark.parametrize("version", versions)
        def test(told: Told, version: str) -> None:
            told.judged(script.__name__, version)

        test.__name__ = script.__name__
        test.__doc__ = script.__doc__
        test.__module__ = script.__module__
        test.script, test.points = script, points  # type: ignore[attr-defined]
        test.site, test.charge_point = site, charge_point_  # type: ignore[attr-defined]
        return test

    return made


class Told:
    """All stories of a file, told and judged; a test raises what went wrong in its own."""

    def __init__(self, running: dict[tuple[str, str], _Running]) -> None:
        self._running = running

    def judged(self, name: str, version: str) -> None:
        error = self._running[name, version].error
        if error is not None:
            raise error


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest, server: EmbeddedServer, template: str) -> Iterator[Told]:
    """The stories of this file that were selected, told in a system of their own."""
    chosen = [
        (item.function, item.callspec.params["version"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.module is request.module
        and hasattr(item.function, "script")
    ]
    name = f"stories_{next(_numbers)}"
    with psycopg.connect(server.dsn(SUPERUSER, "postgres"), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {Role.OWNER}".encode())
        with pytest.MonkeyPatch.context() as patch:
            dsn = server.dsn(SUPERUSER, name)
            for variable, value in {**SECRETS, "RIG_DSN": dsn}.items():
                patch.setenv(variable, value)
            database = Database.on_server(server, name)
            module = request.module
            yield Told(uvloop.run(_tell(dsn, database, chosen, module.change, module.planned,
                                        module.ENDS_AT)))  # fmt: skip
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def _tell(
    dsn: str, database: Database, chosen: list[tuple[Any, str]],
    change: Callable[[Body], None], planned: Any, ends_at: datetime,
) -> dict[tuple[str, str], _Running]:  # fmt: skip
    def with_points(body: Body) -> None:
        change(body)
        sites = {site["id"]: site for site in body["site"]}
        for test, version in chosen:
            for number in range(test.points):
                point_id = _point_id(test.__name__, version, number)
                point = {**charge_point(point_id), "auth": None, **test.charge_point}
                sites[test.site].setdefault("charge_points", []).append(
                    {
                        key: list(value) if isinstance(value, tuple) else value
                        for key, value in point.items()
                        if value is not None
                    }
                )

    async with system(dsn, change=with_points) as running:
        await planned(running, database, with_points)
        day = Day(running)
        stories = {
            (test.__name__, version): _Running(test.__name__, test, version, day)
            for test, version in chosen
        }
        await day.run(list(stories.values()))
        await running.clock(ends_at)
        rows = await _rows(running)
        for each in stories.values():
            await each.judge(_found(rows, each.points[0].id))
            for point in each.points:
                await point.go()
        return stories


async def _rows(running: System) -> dict[str, list[Body]]:
    return {
        table: await running.rows(f"SELECT * FROM {table} ORDER BY {order}")
        for table, order in (
            ("session", "started_at, transaction_id"), ("session_fact", "id"), ("anomaly", "id"),
            ("charge", "session_id, revision"), ("frame", "received_at"), ("effect", "id"),
            ("signed_value", "id"), ("payment", "id"), ("collection", "charge_id"),
        )
    }  # fmt: skip


def _found(rows: dict[str, list[Body]], point_id: str) -> Found:
    sessions = [dict(row) for row in rows["session"] if row["charge_point_id"] == point_id]
    for session in sessions:
        key = session["id"]
        session["facts"] = [r for r in rows["session_fact"] if r["session_id"] == key]
        session["documents"] = [r for r in rows["charge"] if r["session_id"] == key]
        session["anomalies"] = [r for r in rows["anomaly"] if r["subject"] == key]
        session["signed"] = [r for r in rows["signed_value"] if r["session_id"] == key]
        session["payments"] = [r for r in rows["payment"] if r["session_id"] == key]
        documents = {r["id"] for r in session["documents"]}
        session["parts"] = [r for r in rows["collection"] if r["charge_id"] in documents]
    others = [r for r in rows["anomaly"] if r["subject"] == point_id]
    more = {
        "frame": [r for r in rows["frame"] if r["charge_point_id"] == point_id],
        "effect": [r for r in rows["effect"] if r["lane"] == f"cp:{point_id}"],
        "session": rows["session"],
    }
    return Found(sessions, others, more)


def sites(body: Body) -> None:
    """Sites for stories, without tax: at ``plain`` a kWh costs 0.30 and nothing else, so 1,000 Wh
    are 30 cents; at ``idle`` each minute of idle after ten costs 0.20 too; ``signed`` is plain, by
    signed values only; ``shown`` costs 0.50 and its displays say 0.30; ``moved`` is what a file
    plans to change."""
    standard = body["tariff"][0]
    energy = standard["elements"][0]

    def tariff(key: str, price: str) -> Body:
        component = {"dimension": "energy", "price": price, "unit": "kWh"}
        return {"id": key, "name": key, "currency": "USD",
                "elements": [{**energy, "components": [component]}]}  # fmt: skip

    body["tariff"] += [tariff("plain", "0.30"), tariff("dear", "0.50"), tariff("moved", "0.30"),
                       {**standard, "id": "idle", "name": "idle"}]  # fmt: skip
    place = {**body["site"][0], "tax_percent": "0", "charge_points": []}
    for key, more in (
        ("plain", {}), ("idle", {}), ("signed", {"tariff": "plain", "signed_values": True}),
        ("shown", {"tariff": "dear", "display_tariff": "plain"}), ("moved", {}),
    ):  # fmt: skip
        body["site"].append({**place, "id": key, "name": key, "tariff": key, "charge_points": [],
                             **more})  # fmt: skip
    body["account"] += [account("driver", "fleet", TOKEN), account("turncoat", "fleet", TURNCOAT)]


ENDS_AT = at("12:00", 8)


async def planned(running: System, database: Database, change: Callable[[Body], None]) -> None:
    """What is planned: ``TURNCOAT`` is blocked at half past eight, and from the 3rd on a kWh costs
    0.90 at the site ``moved``."""

    def blocked(body: Body) -> None:
        next(a for a in body["account"] if a["id"] == "turncoat")["blocked"] = True

    def dearer(body: Body) -> None:
        tariff = next(t for t in body["tariff"] if t["id"] == "moved")
        tariff["elements"][0]["components"][0]["price"] = "0.90"

    body = network(running.sandbox.url, {"dsn_env": "RIG_DSN"})
    change(body)
    async with await database.connect(Role.APP) as conn:
        for when, more in ((at("08:30"), blocked), (at("00:00", 3), dearer)):
            more(body)
            await versions.apply(conn, config.versions(config.parse(body)), when)


__all__ = ["CARD_TOKEN", "ENDS_AT", "TOKEN", "TURNCOAT", "Day", "Found", "bill", "planned", "sites",
           "story", "told"]  # fmt: skip
