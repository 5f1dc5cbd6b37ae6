"""The way between charge points and us, at its worst, in business time.

Everything is drawn from the seed: what is sent twice, whose answer is lost, what never comes, what
is kept while offline and comes late, what comes in another order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from simulation.stations import Message, Station, Visit
from wattledger.db.effects import Done, Effect, Outcome
from wattledger.gateway.connection import Peer
from wattledger.gateway.server import PROTOCOLS
from wattledger.wire.ocpp.frames import Call, CallResult


@dataclass
class Sending:
    """One delivery of a message; ``lost`` is its answer."""

    at: datetime
    order: int
    station: Station
    message: Message
    lost: bool = False


@dataclass
class Network:
    """Stations and their traffic. ``given`` are the transaction ids that starts were answered."""

    seed: int
    begin: datetime
    faulty: bool = True
    stations: list[Station] = field(default_factory=list)
    given: dict[tuple[str, int], set[int]] = field(default_factory=dict)
    refusals: list[Any] = field(default_factory=list)

    def draw(self, stations: int, visits: int) -> list[Sending]:
        rng = Random(self.seed)
        for n in range(stations):
            version = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")[n % 3]
            station = Station(f"CP-{n}", version)
            station.draw(rng, self.begin, visits, lying=self.faulty)
            self.stations.append(station)
        sendings: list[Sending] = []
        for station in self.stations:
            sendings += self._channel(rng, station)
        return sorted(sendings, key=lambda s: (s.at, s.station.id, s.order))

    def _channel(self, rng: Random, station: Station) -> list[Sending]:
        """In the order in which they arrive: each a second after the one before at the earliest."""
        offline = self._offline(rng, station) if self.faulty else []
        found: list[Sending] = []
        free_at = self.begin
        for message in station.messages():
            at = message.at
            until = next((end for start, end in offline if start <= at < end), None)
            if until is not None and not message.queued:
                continue
            if self.faulty and message.visit is not None and self._never_comes(rng, message):
                message.visit.lost.add(message.name)
                continue
            at = max(until or at, free_at) + timedelta(seconds=1)
            late = timedelta(0)
            if self.faulty and message.action == "TransactionEvent" and rng.random() < 0.15:
                late = timedelta(seconds=rng.randint(1, 1_800))  # events may come in any order
            again = rng.random() < 0.15 if self.faulty else False
            found.append(Sending(at + late, len(found), station, message, lost=again))
            if again:
                at += timedelta(seconds=1)
                found.append(Sending(at + late, len(found), station, message))
            if not late:
                free_at = at
        return found

    @staticmethod
    def _offline(rng: Random, station: Station) -> list[tuple[datetime, datetime]]:
        stretches = []
        for visit in station.visits:
            if rng.random() < 0.25:
                start = visit.start + timedelta(minutes=rng.randint(-20, 60))
                stretches.append((start, start + timedelta(minutes=rng.randint(5, 300))))
        return stretches

    @staticmethod
    def _never_comes(rng: Random, message: Message) -> bool:
        return rng.random() < {"sample": 0.08, "start": 0.03, "stop": 0.05}.get(message.name, 0)

    async def send(self, world: Any, sending: Sending, peers: dict[str, Peer]) -> None:
        """One delivery. A charge point that never heard its transaction's number says -1."""
        station, message = sending.station, sending.message
        peer = peers.setdefault(station.id, Peer(world, station.id, PROTOCOLS[station.version]))
        payload = dict(message.payload)
        visit = message.visit
        if station.version == "ocpp1.6" and message.action in ("MeterValues", "StopTransaction"):
            assert visit is not None
            payload["transactionId"] = self._known.get((station.id, visit.number), -1)
        answer = await peer.answer(Call(f"{sending.order}", message.action, payload))
        if not isinstance(answer, CallResult):
            self.refusals.append((message.action, payload, answer))
            return
        if message.action == "StartTransaction" and visit is not None:
            key = (station.id, visit.number)
            self.given.setdefault(key, set()).add(answer.payload["transactionId"])
            if not sending.lost:
                self._known[key] = answer.payload["transactionId"]

    def __post_init__(self) -> None:
        self._known: dict[tuple[str, int], int] = {}

    # The gate of commands: what stations answer.

    async def gate(self, effect: Effect) -> Network:
        return self

    def lanes(self) -> list[str]:
        return [f"cp:{station.id}" for station in self.stations]

    async def call(self, effect: Effect) -> Outcome:
        if effect.kind == "ocpp.get_transaction_status":
            return Done({"ongoingIndicator": False, "messagesInQueue": True})
        return Done({"status": "Accepted"})

    async def resolve(self, effect: Effect) -> Outcome:
        return await self.call(effect)


def visits(network: Network) -> list[tuple[Station, Visit]]:
    return [(station, visit) for station in network.stations for visit in station.visits]
