"""Webhook endpoints: where events go, which of them, and the secret that signs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from wattledger.ids import derive
from wattledger.sandbox import views
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import API_VERSION, Obj, invalid, merged, missing

_URL = re.compile(r"https?://[^\s/]+\S*")
_MOST = 16


@dataclass(slots=True)
class Endpoint:
    """One place that events go to. ``url`` None: nowhere for now."""

    url: str | None
    secret: str
    events: frozenset[str] = frozenset({"*"})
    api_version: str = API_VERSION
    enabled: bool = True

    def wants(self, event_type: str) -> bool:
        subscribed = "*" in self.events or event_type in self.events
        return self.enabled and self.url is not None and subscribed

    def rendered(self, body: bytes) -> bytes:
        """The event in the version that the endpoint asked for. Shapes are those of ours."""
        if self.api_version == API_VERSION:
            return body
        event = msgspec.json.decode(body)
        return msgspec.json.encode({**event, "api_version": self.api_version})


class Endpoints:
    """``/v1/webhook_endpoints``, and the one that was given at the start."""

    def __init__(self, store: Store, url: str | None, secret: str) -> None:
        self.given = Endpoint(url, secret)
        self._made: dict[str, Endpoint] = {}
        self._store = store
        store.subscribers = lambda event_type: sum(1 for _ in self.for_event(event_type))

    def for_event(self, event_type: str) -> Iterator[Endpoint]:
        for endpoint in (self.given, *self._made.values()):
            if endpoint.wants(event_type):
                yield endpoint

    def create(self, store: Store, _: Obj, p: Obj) -> Obj:
        """The secret is in this answer and in no later one."""
        if len(self._made) >= _MOST:
            raise invalid(f"You have reached the maximum of {_MOST} test webhook endpoints.")
        endpoint_id = store.new_id("we")
        secret = derive("whsec", endpoint_id)
        made = Endpoint(
            _checked_url(p["url"]),
            secret,
            _checked_events(p["enabled_events"]),
            p.get("api_version", API_VERSION),
        )
        self._made[endpoint_id] = made
        shown = {
            "id": endpoint_id,
            "object": "webhook_endpoint",
            "api_version": p.get("api_version"),
            "application": None,
            "created": store.now_s,
            "description": p.get("description") or None,
            "enabled_events": p["enabled_events"],
            "livemode": False,
            "metadata": merged({}, p.get("metadata")),
            "status": "enabled",
            "url": p["url"],
        }
        return {**store.add(shown), "secret": secret}

    def update(self, store: Store, path: Obj, p: Obj) -> Obj:
        shown = store.get("webhook_endpoint", path["id"], "webhook_endpoint")
        endpoint = self._made[shown["id"]]
        if "url" in p:
            endpoint.url = shown["url"] = _checked_url(p["url"])
        if "enabled_events" in p:
            endpoint.events = _checked_events(p["enabled_events"])
            shown["enabled_events"] = p["enabled_events"]
        if "disabled" in p:
            endpoint.enabled = not p["disabled"]
            shown["status"] = "disabled" if p["disabled"] else "enabled"
        if "description" in p:
            shown["description"] = p["description"] or None
        shown["metadata"] = merged(shown["metadata"], p.get("metadata"))
        return shown

    def delete(self, store: Store, path: Obj, _: Obj) -> Obj:
        shown = store.get("webhook_endpoint", path["id"], "webhook_endpoint")
        del self._made[shown["id"]]
        del store.tables["webhook_endpoint"][shown["id"]]
        del store.by_id[shown["id"]]
        return {"id": shown["id"], "object": "webhook_endpoint", "deleted": True}


def list_events(store: Store, _: Obj, p: Obj) -> Obj:
    """``types`` is a choice of types (``charge.*`` is a family), and ``delivery_success`` asks
    what was acknowledged. Events are kept for 30 days."""
    types = p.pop("types", None)
    one_type = p.pop("type", None)
    delivered = p.pop("delivery_success", None)
    wanted = [one_type] if one_type else types
    rows = [
        event
        for event in reversed(store.tables["event"].values())
        if store.remembers(event)
        and (wanted is None or any(_is_of(event["type"], name) for name in wanted))
        and (delivered is None or delivered == (event["pending_webhooks"] == 0))
    ]
    return views.page(store, rows, p, "/v1/events")


def retrieve_event(store: Store, path: Obj, _: Obj) -> Obj:
    event = store.get("event", path["id"])
    if not store.remembers(event):
        raise missing("event", path["id"])
    return event


def _is_of(event_type: str, name: str) -> bool:
    return event_type == name or (name.endswith(".*") and event_type.startswith(name[:-1]))


def _checked_url(url: str) -> str:
    if not _URL.fullmatch(url):
        raise invalid("Invalid URL: An explicit scheme (such as https) must be provided.", "url")
    return url


def _checked_events(names: list[str]) -> frozenset[str]:
    if not names:
        raise invalid("You must enable at least one event.", "enabled_events")
    return frozenset(names)
