"""Everything the stand-in remembers, its clock and its agenda. In memory, one process."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from wattledger.clock import Clock, DrivenClock, SystemClock
from wattledger.sandbox.wire import API_VERSION, Obj, missing

_EVENT_KEPT_S = 30 * 86_400


class Store:
    """The objects by kind and id; ``agenda`` holds what the passing of time will do.

    Ids come from a counter per prefix: two runs with the same requests agree byte for byte.
    """

    def __init__(self, start: datetime, account: str = "sbx") -> None:
        self.account = account
        self.clock = DrivenClock(start)
        self.tables: defaultdict[str, dict[str, Obj]] = defaultdict(dict)
        self.by_id: dict[str, Obj] = {}
        self.cards: dict[str, str] = {}  # payment method -> the test token it came from
        self.used_cards: set[str] = set()
        self.outbox: deque[tuple[str, bytes]] = deque()
        self.on_event: Callable[[], None] = lambda: None
        self.subscribers: Callable[[str], int] = lambda _: 0
        """How many endpoints an event of that type goes to."""
        self.watchers: list[Callable[[Obj], None]] = []
        """Told of every object that an event is about."""
        self.base_url = "http://127.0.0.1/"
        """Where the request in hand reached us."""
        self.pages: dict[str, int] = {}
        """How many each file has that may be evidence."""
        self.request: Obj = {"id": None, "idempotency_key": None}
        self._wall: Clock | None = None
        self._ahead = timedelta(0)
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._scheduled = 0

    @property
    def now_s(self) -> int:
        """The sandbox clock in whole seconds since 1970: Stripe's ``created``."""
        return int(self.clock.now().timestamp())

    def new_id(self, prefix: str) -> str:
        self._counts[prefix] += 1
        return f"{prefix}_{self.account}_{self._counts[prefix]:06d}"

    def add(self, obj: Obj) -> Obj:
        self.tables[obj["object"]][obj["id"]] = obj
        self.by_id[obj["id"]] = obj
        return obj

    def get(self, kind: str, object_id: str, param: str = "id") -> Obj:
        """The object; StripeError 404 when there is none of that kind."""
        try:
            return self.tables[kind][object_id]
        except KeyError:
            raise missing(kind, object_id, param) from None

    def emit(self, event_type: str, obj: Obj) -> None:
        """Record the event with a snapshot of ``obj`` and put it into the outbox."""
        event = self.add(
            {
                "id": self.new_id("evt"),
                "object": "event",
                "api_version": API_VERSION,
                "created": self.now_s,
                "data": {"object": msgspec.json.decode(msgspec.json.encode(obj))},
                "livemode": False,
                "pending_webhooks": self.subscribers(event_type),
                "request": dict(self.request),
                "type": event_type,
            }
        )
        self.outbox.append((event["id"], msgspec.json.encode(event)))
        self.touch(obj)
        self.on_event()

    def touch(self, obj: Obj) -> None:
        """``obj`` changed, be there an event about it or not."""
        for watch in self.watchers:
            watch(obj)

    def remembers(self, event: Obj) -> bool:
        """Events can be looked up for 30 days."""
        return bool(event["created"] > self.now_s - _EVENT_KEPT_S)

    def schedule(self, due_s: int, action: Callable[[], None]) -> None:
        """Run ``action`` when the clock reaches ``due_s``; at the same time in this order."""
        self._scheduled += 1
        heapq.heappush(self._agenda, (due_s, self._scheduled, action))

    def catch_up(self) -> None:
        """Do what is due by now: what follows a request at once, but is no part of it."""
        if self._agenda and self._agenda[0][0] <= self.now_s:
            self.advance(self.clock.now())

    def advance(self, to: datetime) -> None:
        """Move the clock and do what falls due on the way, each at its own time."""
        to_s = int(to.timestamp())
        while self._agenda and self._agenda[0][0] <= to_s:
            due_s, _, action = heapq.heappop(self._agenda)
            self.clock.advance(max(self.clock.now(), datetime.fromtimestamp(due_s, UTC)))
            action()
        self.clock.advance(to)
        if self._wall:
            self._ahead = max(self._ahead, to - self._wall.now())

    def run(self) -> None:
        """From now on the clock runs as the machine's does; ``advance`` still moves it on."""
        self._wall = SystemClock()
        self._ahead = self.clock.now() - self._wall.now()

    def tick(self) -> None:
        """Where the clock runs: bring it up to date, and do what fell due."""
        if self._wall:
            self.advance(max(self.clock.now(), self._wall.now() + self._ahead))


def business_days_later(created_s: int, days: int) -> int:
    """00:00 UTC of the day that many Mondays to Fridays after the day of ``created_s``."""
    day = datetime.fromtimestamp(created_s, UTC).replace(hour=0, minute=0, second=0)
    while days > 0:
        day += timedelta(days=1)
        days -= day.weekday() < 5
    return int(day.timestamp())
