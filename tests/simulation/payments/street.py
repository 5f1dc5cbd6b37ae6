"""Drivers and charge points: what really happens on the street, drawn from the seed.

A ``Visit`` is one car. Its driver pays as drivers do: with a token, an app, the page behind the QR
code, a card at a terminal. Charge points refuse and forget remote starts, stop when told to or do
not, send the end of a session days late, and correct their last reading.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Protocol

from simulation.payments.house import House
from simulation.payments.processors import Account
from wattledger.contract import Route
from wattledger.db.effects import Done, Effect, Outcome, Rejected
from wattledger.errors import TooMany
from wattledger.gateway.connection import Peer
from wattledger.gateway.server import PROTOCOLS
from wattledger.payments import starts_store
from wattledger.pipeline.collecting import wallets
from wattledger.pipeline.importing import imports
from wattledger.pipeline.starting import ask_start, start_view
from wattledger.pipeline.starting.ask_start import Wanted
from wattledger.pipeline.world import World
from wattledger.sessions.finished import ExternalIn, ReadingIn, SessionIn
from wattledger.wire.ocpp.frames import Call, CallResult

SAMPLE = timedelta(minutes=15)
_ELSEWHERE = 2 * SAMPLE
ELSEWHERE_MINOR = 100
"""What others take for a session of theirs, whatever it costs."""
Act = Callable[[], Awaitable[None]]


class Vendors(Protocol):
    """Those of the terminals that are not the processor's."""

    async def tap(self, visit: Visit) -> None: ...

    async def ended(self, visit: Visit) -> None: ...


@dataclass
class Driver:
    """Whoever comes. ``account`` None: a guest."""

    name: str
    route: str
    card: str = "pm_card_visa"
    account: str | None = None
    token: str | None = None
    email: str | None = None


@dataclass
class Point:
    """A charge point with one connector."""

    id: str
    processor: str
    reader: str | None = None
    vendor: str | None = None
    currency: str = "USD"
    meter_wh: int = 1_000


@dataclass
class Visit:
    """One car: ``samples`` are what it takes in each quarter of an hour, in Wh. ``stands_wh`` is
    where the register really stands when it leaves: ``correction_wh`` from what the stop told."""

    number: int
    driver: Driver
    point: Point
    samples: list[int]
    late_days: int = 0
    correction_wh: int = 0
    id_tag: str | None = None
    transaction_id: int | None = None
    stopped: bool = False
    energy_wh: int = 0
    stands_wh: int = 0
    refund: str | None = None

    @property
    def running(self) -> bool:
        return self.transaction_id is not None and not self.stopped


@dataclass
class Street:
    """Everything outside: ``due`` is what people and charge points are about to do."""

    rng: Random
    faulty: bool
    points: list[Point]
    accounts: dict[str, Account]
    visits: list[Visit] = field(default_factory=list)
    refused: list[Any] = field(default_factory=list)
    house: House = field(init=False)
    vendors: Vendors = field(init=False)

    def __post_init__(self) -> None:
        self._due: list[tuple[datetime, int, Act]] = []
        self._count = 0

    # What happens when.

    def at(self, when: datetime, act: Act) -> None:
        self._count += 1
        heapq.heappush(self._due, (when, self._count, act))

    @property
    def next_at(self) -> datetime | None:
        return self._due[0][0] if self._due else None

    async def happen(self, now: datetime) -> None:
        while self._due and self._due[0][0] <= now:
            _, _, act = heapq.heappop(self._due)
            await act()

    @property
    def now(self) -> datetime:
        return self.house.clock.now()

    def soon(self, seconds: int) -> datetime:
        return self.now + timedelta(seconds=seconds)

    # How drivers begin.

    def arrive(self, visit: Visit, when: datetime) -> None:
        self.visits.append(visit)
        begin = {
            "app": self._by_app, "checkout": self._by_page, "terminal": self._by_terminal,
            "external": self._elsewhere, "vendor": self.vendors.tap,
        }.get(visit.driver.route, self._by_token)  # fmt: skip
        # Whoever takes the money elsewhere tells of it when it is over.
        late = _ELSEWHERE if visit.driver.route == "external" else timedelta(0)
        self.at(when + late, lambda: begin(visit))

    def fill(self, driver: Driver, when: datetime, reference: str, minor: int) -> None:
        """A driver who pays before, into the wallet."""

        async def act() -> None:
            await self.house.do(lambda world: wallets.top_up(
                world, str(driver.account), minor, reference, entity_id="north", actor="key:app"
            ))  # fmt: skip

        self.at(when, act)

    async def _elsewhere(self, visit: Visit) -> None:
        """Somebody else's system has charged and taken the money: it tells of both."""
        begin, end, point = self.now - _ELSEWHERE, self.now, visit.point
        first_wh = point.meter_wh
        point.meter_wh += sum(visit.samples[:2]) + 1_000
        session = SessionIn(
            id=f"theirs-{visit.number}", charge_point_id=point.id, connector_id=1,
            token="SOMEBODY", started_at=begin, stopped_at=end,
            readings=(ReadingIn(begin, first_wh), ReadingIn(end, point.meter_wh)),
            external=ExternalIn(f"their-{visit.number}", ELSEWHERE_MINOR, point.currency),
        )  # fmt: skip
        await self.house.do(lambda world: imports.take(world, "cpms", session))

    async def _by_token(self, visit: Visit) -> None:
        await self.plug_in(visit, str(visit.driver.token))

    async def _by_app(self, visit: Visit) -> None:
        await self._ask(visit, Route.APP, account_id=visit.driver.account)

    async def _by_page(self, visit: Visit) -> None:
        asked = await self._ask(visit, Route.CHECKOUT, consent=self.rng.random() < 0.5)
        if asked is not None and not self.walks_away():
            self.at(self.soon(40), lambda: self._pay_by_page(visit, asked.start))

    async def _by_terminal(self, visit: Visit) -> None:
        asked = await self._ask(visit, Route.TERMINAL, reader_id=visit.point.reader)
        if asked is not None and not self.walks_away():
            self.at(self.soon(20), lambda: self._pay_by_card(visit))

    def walks_away(self) -> bool:
        return self.faulty and self.rng.random() < 0.15

    async def _ask(self, visit: Visit, route: Route, **more: Any) -> Any:
        wanted = Wanted(route, visit.point.id, f"visit-{visit.number}", nonce=f"n{visit.number}",
                        connector_id=1, email=visit.driver.email, **more)  # fmt: skip
        try:
            asked = await self.house.do(lambda world: ask_start.ask(world, wanted))
        except TooMany:
            return None  # another driver's start is under way there
        return asked if asked.start is not None else None

    async def _pay_by_page(self, visit: Visit, start: Any) -> None:
        """The driver's browser talks to the processor, and tells us or does not."""
        (row,) = await self.house.rows(
            "SELECT p.intent_id FROM payment p WHERE p.id = %s", start.payment_id
        )
        if row["intent_id"] is None:
            return
        account = self.accounts[visit.point.processor]
        await account.ask("POST", f"/v1/payment_intents/{row['intent_id']}/confirm",
                          payment_method=visit.driver.card)  # fmt: skip
        if self.rng.random() < 0.5 or not self.faulty:
            await self.house.do(lambda world: self._look(world, start.id))

    @staticmethod
    async def _look(world: World, start_id: str) -> None:
        async with world.work.pool.connection() as conn:
            start = await starts_store.get(conn, start_id)
        if start is not None:
            await start_view.look(world, start)

    async def _pay_by_card(self, visit: Visit) -> None:
        account = self.accounts[visit.point.processor]
        url = f"/v1/test_helpers/terminal/readers/{visit.point.reader}/present_payment_method"
        await account.ask("POST", url)

    # What charge points do.

    async def plug_in(self, visit: Visit, id_tag: str) -> None:
        if self._busy(visit.point):
            return
        visit.id_tag = id_tag
        started = self.now
        answer = await self._say(visit.point, "StartTransaction", {
            "connectorId": 1, "idTag": id_tag, "meterStart": visit.point.meter_wh,
            "timestamp": started.isoformat(),
        })  # fmt: skip
        visit.transaction_id = answer["transactionId"]
        if answer["idTagInfo"]["status"] != "Accepted":
            visit.correction_wh = 0  # no car was charged, and nothing was read wrong
            await self._stop(visit, "DeAuthorized")
            return
        for number, wh in enumerate(visit.samples, start=1):
            last = number == len(visit.samples)
            self.at(started + number * SAMPLE, self._sampling(visit, wh, last=last))
        if not visit.samples:
            self.at(self.soon(120), lambda: self._stop(visit, "EVDisconnected"))

    def _busy(self, point: Point) -> bool:
        return any(visit.running for visit in self.visits if visit.point is point)

    def _sampling(self, visit: Visit, wh: int, *, last: bool) -> Act:
        async def act() -> None:
            if visit.stopped:
                return
            visit.point.meter_wh += wh
            visit.energy_wh += wh
            if last:
                await self._stop(visit, "EVDisconnected")
            else:
                await self._meter(visit, visit.point.meter_wh, "Sample.Periodic", self.now)

        return act

    async def _meter(self, visit: Visit, register_wh: int, context: str, at: datetime) -> None:
        await self._say(visit.point, "MeterValues", {
            "connectorId": 1, "transactionId": visit.transaction_id,
            "meterValue": [{"timestamp": at.isoformat(), "sampledValue": [
                {"value": str(register_wh), "context": context, "unit": "Wh",
                 "measurand": "Energy.Active.Import.Register"}]}],
        })  # fmt: skip

    async def _stop(self, visit: Visit, reason: str) -> None:
        if visit.stopped:
            return
        visit.stopped = True
        at, register_wh, point = self.now, visit.point.meter_wh, visit.point
        if visit.energy_wh + visit.correction_wh < 0:
            visit.correction_wh = 0  # it left early, and gives nothing back
        # The register stands where the correction says: the stop told it wrong.
        point.meter_wh += visit.correction_wh
        visit.stands_wh = point.meter_wh

        async def tell() -> None:
            await self._say(point, "StopTransaction", {
                "transactionId": visit.transaction_id, "idTag": visit.id_tag,
                "meterStop": register_wh, "timestamp": at.isoformat(), "reason": reason,
            })  # fmt: skip
            if not visit.late_days:
                await self._say(point, "StatusNotification", {
                    "connectorId": 1, "errorCode": "NoError", "status": "Available",
                    "timestamp": at.isoformat(),
                })  # fmt: skip
            if visit.correction_wh:
                self.at(self.soon(6 * 3600), lambda: self._meter(
                    visit, register_wh + visit.correction_wh, "Transaction.End", at))  # fmt: skip
            if visit.driver.route == "vendor":
                await self.vendors.ended(visit)

        if visit.late_days:
            self.at(at + timedelta(days=visit.late_days), tell)
        else:
            await tell()

    async def _say(self, point: Point, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """A CALL, said again until it is answered."""
        self._count += 1
        call = Call(f"m{self._count}", action, payload)

        async def say(world: World) -> Any:
            return await Peer(world, point.id, PROTOCOLS["ocpp1.6"]).answer(call)

        answer = await self.house.do(say)
        if not isinstance(answer, CallResult):
            self.refused.append((action, payload, answer))
            return {"transactionId": -1, "idTagInfo": {"status": "Invalid"}}
        return answer.payload

    # What charge points do when they are told to.

    def lanes(self) -> list[str]:
        return [f"cp:{point.id}" for point in self.points]

    async def resolve(self, effect: Effect) -> Outcome:
        return await self.call(effect)

    async def call(self, effect: Effect) -> Outcome:
        if datetime.fromisoformat(effect.request["expires_at"]) <= self.now:
            return Rejected({"code": "expired"})
        name = effect.kind.removeprefix("ocpp.")
        refuses = self.faulty and self.rng.random() < 0.15
        if name == "remote_stop":
            return self._told_to_stop(effect, refuses=refuses)
        if name == "remote_start":
            return self._told_to_start(effect, refuses=refuses)
        return Done({"status": "Accepted"})

    def _told_to_stop(self, effect: Effect, *, refuses: bool) -> Outcome:
        number = effect.request["transaction_id"]
        found = [v for v in self.visits if v.running and str(v.transaction_id) == number]
        if refuses or not found:
            return Rejected({"code": "Rejected"})
        self.at(self.soon(10), lambda: self._stop(found[0], "Remote"))
        return Done({"status": "Accepted"})

    def _told_to_start(self, effect: Effect, *, refuses: bool) -> Outcome:
        point_id, token = effect.request["charge_point_id"], effect.request["token"]
        mine = [v for v in self.visits if v.point.id == point_id and v.transaction_id is None
                and v.driver.route in ("app", "checkout", "terminal")]  # fmt: skip
        (point,) = [p for p in self.points if p.id == point_id]
        if refuses or self._busy(point) or not mine:
            return Rejected({"code": "Rejected"})
        visit = mine[-1]
        if visit.id_tag == token:
            return Done({"status": "Accepted"})  # told again after a crash of the teller
        visit.id_tag = token
        if not (self.faulty and self.rng.random() < 0.15):
            self.at(self.soon(5), lambda: self.plug_in(visit, token))
        return Done({"status": "Accepted"})
