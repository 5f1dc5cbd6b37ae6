"""What really happened at made-up charge points, and what each of them would say of it.

Drawn from a seed and nothing else. A ``Visit`` is the truth; ``messages`` are what the station
makes of it, with one of its ``LIES`` at most; the channel in between is in ``network``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

POWER_W = 22_000
SAMPLE = timedelta(minutes=15)
TOKENS = ("Acme-1", "Acme-2", "LOST", "NOBODY")
LIES_16 = ("dip", "reset", "clock", "stop0")
LIES_2 = ("dip", "kwh", "seq0")


@dataclass
class Visit:
    """A car that came: registers in Wh, as the meter really counted."""

    number: int
    token: str
    start: datetime
    samples: list[tuple[datetime, int]]
    stop: datetime
    unplug: datetime
    start_wh: int
    stop_wh: int
    lie: str | None
    lost: set[str] = field(default_factory=set)
    """What of it never arrives: 'start', 'stop', 'sample'."""

    @property
    def energy_wh(self) -> int:
        return self.stop_wh - self.start_wh


@dataclass
class Message:
    """One CALL. ``queued`` is kept while offline; ``name`` says what would be lost with it."""

    at: datetime
    action: str
    payload: dict[str, Any]
    name: str
    queued: bool
    visit: Visit | None = None


@dataclass
class Station:
    """A charge point with one connector, which speaks ``version``."""

    id: str
    version: str
    visits: list[Visit] = field(default_factory=list)

    def draw(self, rng: Random, begin: datetime, number: int, *, lying: bool) -> None:
        """Cars that come one after the other."""
        register_wh, at = rng.randrange(0, 50_000_000), begin + _minutes(rng, 1, 30)
        for n in range(number):
            samples, start, start_wh = [], at, register_wh
            for _ in range(rng.randint(0, 6)):
                at += SAMPLE
                register_wh += rng.randrange(0, POWER_W // 4)
                samples.append((at, register_wh))
            at += _minutes(rng, 2, 14)
            register_wh += rng.randrange(POWER_W // 200, POWER_W // 40)
            stop, stop_wh = at, register_wh
            at += _minutes(rng, 1, 40)
            lies = LIES_16 if self.version == "ocpp1.6" else LIES_2
            lie = rng.choice(lies) if lying and rng.random() < 0.25 else None
            token = rng.choices(TOKENS, (5, 5, 1, 1))[0]
            self.visits.append(Visit(n, token, start, samples, stop, at, start_wh, stop_wh, lie))
            at += _minutes(rng, 2, 90)

    def messages(self) -> list[Message]:
        said = [m for v in self.visits for m in (
            _visit_16(v) if self.version == "ocpp1.6" else _visit_2(v, self.id))]  # fmt: skip
        return sorted(said, key=lambda m: m.at)


def _minutes(rng: Random, low: int, high: int) -> timedelta:
    return timedelta(seconds=rng.randint(low * 60, high * 60))


def text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _registers(v: Visit) -> list[tuple[datetime, int]]:
    """The samples as the meter says them: with a dip in the middle, or a reset half way."""
    found = list(v.samples)
    middle = len(found) // 2
    if v.lie == "dip" and found:
        at, wh = found[middle]
        found[middle] = (at, max(0, wh - 5_000))
    if v.lie == "reset" and len(found) >= 2:
        base = found[middle - 1][1]
        found = [(at, wh if i < middle else wh - base) for i, (at, wh) in enumerate(found)]
    return found


def _stop_wh(v: Visit) -> int:
    if v.lie == "stop0":
        return 0
    if v.lie == "reset" and len(v.samples) >= 2:
        return v.stop_wh - v.samples[len(v.samples) // 2 - 1][1]
    return v.stop_wh


def _visit_16(v: Visit) -> list[Message]:
    def stamp(at: datetime) -> str:
        """A clock that was never set counts from 1970."""
        return text(datetime(1970, 1, 1, tzinfo=at.tzinfo) + (at - v.start)) if (
            v.lie == "clock") else text(at)  # fmt: skip

    def status(at: datetime, name: str) -> Message:
        payload = {"connectorId": 1, "status": name, "errorCode": "NoError", "timestamp": text(at)}
        return Message(at, "StatusNotification", payload, "status", queued=False)

    start = {"connectorId": 1, "idTag": v.token, "meterStart": v.start_wh,
             "timestamp": stamp(v.start)}  # fmt: skip
    stop = {"idTag": v.token, "meterStop": _stop_wh(v), "timestamp": stamp(v.stop)}
    return [
        status(v.start - timedelta(seconds=20), "Preparing"),
        Message(v.start, "StartTransaction", start, "start", queued=True, visit=v),
        status(v.start + timedelta(seconds=5), "Charging"),
        *(
            Message(at, "MeterValues", {"connectorId": 1, "meterValue": [
                {"timestamp": stamp(at), "sampledValue": [{"value": str(wh)}]}]},
                "sample", queued=True, visit=v)
            for at, wh in _registers(v)
        ),
        Message(v.stop, "StopTransaction", stop, "stop", queued=True, visit=v),
        status(v.stop + timedelta(seconds=3), "Finishing"),
        status(v.unplug, "Available"),
    ]  # fmt: skip


def _visit_2(v: Visit, station: str) -> list[Message]:
    def event(kind: str, seq: int, at: datetime, wh: int, context: str, **more: Any) -> Message:
        # A meter in kWh whose station forgets to say so: 1,234,567 Wh are told as 1234.567.
        value = f"{wh // 1000}.{wh % 1000:03d}" if v.lie == "kwh" else wh
        payload = {
            "eventType": kind, "timestamp": text(at), "seqNo": 0 if v.lie == "seq0" else seq,
            "triggerReason": "MeterValuePeriodic",
            "transactionInfo": {"transactionId": f"{station}/{v.number}", **more},
            "evse": {"id": 1, "connectorId": 1},
            "meterValue": [{"timestamp": text(at), "sampledValue": [
                {"value": value, "context": context}]}],
        }  # fmt: skip
        if kind == "Started":
            payload["idToken"] = {"idToken": v.token, "type": "ISO14443"}
        name = {"Started": "start", "Ended": "stop"}.get(kind, "sample")
        return Message(at, "TransactionEvent", payload, name, queued=True, visit=v)

    def status(at: datetime, name: str) -> Message:
        payload = {"timestamp": text(at), "connectorStatus": name, "evseId": 1, "connectorId": 1}
        return Message(at, "StatusNotification", payload, "status", queued=False)

    samples = [
        event("Updated", n, at, wh, "Sample.Periodic", chargingState="Charging")
        for n, (at, wh) in enumerate(_registers(v), start=1)
    ]
    last = len(samples) + 1
    return [
        status(v.start - timedelta(seconds=20), "Occupied"),
        event("Started", 0, v.start, v.start_wh, "Transaction.Begin", chargingState="Charging"),
        *samples,
        event("Ended", last, v.stop, v.stop_wh, "Transaction.End", stoppedReason="Local"),
        status(v.unplug, "Available"),
    ]
