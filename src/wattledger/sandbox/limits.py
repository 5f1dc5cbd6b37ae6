"""Rate limits as Stripe documents them, on the sandbox's clock.

They are off until they are switched on: where the clock stands still no bucket would ever
fill again. Buckets are counted in millionths of a request, so that no clock rounds them away.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from wattledger.errors import BadInput
from wattledger.sandbox.wire import StripeError, rate_limited

_WHOLE = 1_000_000
_ENDPOINT_PER_S = 25
_SEARCH_PER_S = 20
_INTENT_UPDATES = 1_000
_HOUR_S = 3_600
GLOBAL_PER_S = {"test": 25, "live": 100}


@dataclass(slots=True)
class Bucket:
    """``per_s`` requests each second, and no more than a second's worth at once."""

    per_s: int
    left: int
    at: datetime

    def take(self, now: datetime) -> bool:
        passed = now - self.at
        passed_us = (passed.days * 86_400 + passed.seconds) * _WHOLE + passed.microseconds
        self.left = min(self.per_s * _WHOLE, self.left + passed_us * self.per_s)
        self.at = now
        if self.left < _WHOLE:
            return False
        self.left -= _WHOLE
        return True


class Limits:
    """The limits of the account: of everything, of each endpoint, of each PaymentIntent."""

    def __init__(self) -> None:
        self.mode = "off"
        self.per_s = 0
        self.refused = 0
        self._buckets: dict[str, Bucket] = {}
        self._updates: dict[str, deque[datetime]] = {}

    def switch(self, mode: object, per_s: object = None) -> None:
        """``off``, ``test`` or ``live``; ``per_s`` another global limit than that mode's."""
        if mode not in ("off", *GLOBAL_PER_S):
            raise BadInput("$.limits", mode, "off, test or live")
        if per_s is not None and (type(per_s) is not int or per_s < 1):
            raise BadInput("$.per_s", per_s, "a whole number of at least 1")
        self.mode = str(mode)
        self.per_s = per_s if type(per_s) is int else GLOBAL_PER_S.get(self.mode, 0)
        self.refused = 0
        self._buckets.clear()
        self._updates.clear()

    def check(self, now: datetime, endpoint: str, updated: str | None) -> None:
        """StripeError 429 for a request too many. ``updated``: the PaymentIntent it writes to."""
        if self.mode == "off":
            return
        if not self._bucket("", self.per_s, now).take(now):
            raise self._refusal("global-rate")
        per_s = _SEARCH_PER_S if endpoint.endswith("/search") else _ENDPOINT_PER_S
        if not self._bucket(endpoint, per_s, now).take(now):
            raise self._refusal("endpoint-rate")
        if updated is not None and not self._update(updated, now):
            raise self._refusal("resource-specific")

    def _bucket(self, name: str, per_s: int, now: datetime) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(per_s, per_s * _WHOLE, now)
        return bucket

    def _update(self, intent_id: str, now: datetime) -> bool:
        times = self._updates.setdefault(intent_id, deque())
        while times and (now - times[0]).total_seconds() >= _HOUR_S:
            times.popleft()
        if len(times) >= _INTENT_UPDATES:
            return False
        times.append(now)
        return True

    def _refusal(self, reason: str) -> StripeError:
        self.refused += 1
        refusal = rate_limited()
        refusal.headers["stripe-rate-limited-reason"] = reason
        return refusal
