"""Limits on what charge points send: they are made to wait, and closed only if they go on.

A rate is kept by not reading a socket for a moment: TCP holds the rest, so that nothing is lost.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, fields

from wattledger.config import Server

# A wait is never longer at a time, so that a connection can still be closed.
WAIT_MAX_S = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What the ``ocpp_`` settings of ``[server]`` say. Rates are in frames per second."""

    frame_max_bytes: int
    frames_per_s: int
    frames_per_s_in_all: int
    over_rate_s: int
    """A charge point that sends more than it may for so long is closed."""
    connections_max: int
    handshakes_max: int
    handshake_wait_s: int
    failures_per_minute: int
    """Refused handshakes of one address."""
    ping_s: int
    pong_s: int

    @classmethod
    def of(cls, server: Server) -> Limits:
        """As configured."""
        return cls(**{each.name: getattr(server, f"ocpp_{each.name}") for each in fields(cls)})


class Bucket:
    """A token bucket: ``rate`` a second, ``burst`` at once."""

    __slots__ = ("_burst_s", "_each_s", "_full_at")

    def __init__(self, rate: float, burst: float) -> None:
        self._each_s = 1 / rate
        self._burst_s = burst / rate
        # When the bucket is full again: how far that is from now says how many are taken.
        self._full_at = 0.0

    def take(self, now_s: float) -> float:
        """Take one, now or in advance; how long to wait until it is there (0: go on)."""
        full_at = self._full_at
        full_at = max(full_at, now_s)
        self._full_at = full_at = full_at + self._each_s
        over = full_at - now_s - self._burst_s
        return over if over > 0 else 0.0

    def wait_s(self, now_s: float) -> float:
        """How long until one more is there, without taking it."""
        return max(0.0, self._full_at + self._each_s - now_s - self._burst_s)


class Pace:
    """The rate of one charge point, and its share of the rate in all."""

    __slots__ = ("_in_all", "_over_since", "_own", "_patience_s")

    def __init__(self, limits: Limits, in_all: Bucket) -> None:
        self._own = Bucket(limits.frames_per_s, 4 * limits.frames_per_s)
        self._in_all = in_all
        self._patience_s = limits.over_rate_s
        self._over_since: float | None = None

    def frame(self, now_s: float) -> float:
        """A frame has come in: how long to wait before it is handled."""
        own, in_all = self._own.take(now_s), self._in_all.take(now_s)
        if own > 0:
            if self._over_since is None:
                self._over_since = now_s
            return min(max(own, in_all), WAIT_MAX_S)
        self._over_since = None
        return min(in_all, WAIT_MAX_S) if in_all > 0 else 0.0

    def is_over_for_long(self, now_s: float) -> bool:
        """Whether the charge point has sent more than it may for longer than is borne."""
        return self._over_since is not None and now_s - self._over_since > self._patience_s


class Failures:
    """Refused handshakes by address, within a minute. Bounded: the oldest are forgotten."""

    _ADDRESSES_MAX = 10_000

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._by_address: dict[str, Bucket] = {}

    def wait_s(self, address: str, now_s: float | None = None) -> float:
        """How long this address has to stay away; 0: it may try."""
        bucket = self._by_address.get(address)
        return bucket.wait_s(time.monotonic() if now_s is None else now_s) if bucket else 0.0

    def failed(self, address: str, now_s: float | None = None) -> None:
        """It was refused."""
        bucket = self._by_address.pop(address, None)
        if bucket is None:
            bucket = Bucket(self._per_minute / 60, self._per_minute)
        if len(self._by_address) >= self._ADDRESSES_MAX:
            del self._by_address[next(iter(self._by_address))]
        self._by_address[address] = bucket
        bucket.take(time.monotonic() if now_s is None else now_s)


def raise_file_limit() -> int:
    """Let this process open as many sockets as the system allows it; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
    return soft
