"""Handlers that every kind of object has alike: one by its id, and the list of them."""

from __future__ import annotations

from wattledger.sandbox import views
from wattledger.sandbox.gateway import Handler
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj

Row = tuple[str, str, type, Handler]
"""A method, a path under ``/v1/``, the SDK's declaration of its parameters, and who answers."""


def one(kind: str) -> Handler:
    def retrieve(store: Store, path: Obj, _: Obj) -> Obj:
        return store.get(kind, path["id"])

    return retrieve


def newest(kind: str, url: str) -> Handler:
    def listed(store: Store, _: Obj, p: Obj) -> Obj:
        return views.page(store, reversed(store.tables[kind].values()), p, f"/v1/{url}")

    return listed
