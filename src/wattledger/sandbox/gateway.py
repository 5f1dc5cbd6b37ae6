"""One request to Stripe's API: key, faults, limits, parameters, idempotency, execution."""

from __future__ import annotations

import sys
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wattledger.sandbox import params, views, wire
from wattledger.sandbox.access import Access, Locks
from wattledger.sandbox.faults import Faults, drop, hang, held_up
from wattledger.sandbox.idempotency import Keys, Saved
from wattledger.sandbox.limits import Limits
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, StripeError

Handler = Callable[[Store, Obj, Obj], Obj]
_LOGGED = 100_000


@dataclass(frozen=True, slots=True)
class Operation:
    """A handler and the SDK's declaration of the parameters it takes.

    ``name`` is the method and path: what its rate limit is counted by. ``browser``: it can
    be called with the publishable key and the object's client secret.
    """

    declared: type
    handle: Handler
    name: str = ""
    browser: bool = False


class Gateway:
    """Answers as Stripe would, and logs every request."""

    def __init__(self, store: Store, faults: Faults, api_key: str) -> None:
        self.store = store
        self.faults = faults
        self.log: deque[dict[str, Any]] = deque(maxlen=_LOGGED)
        self.limits = Limits()
        self._keys = Keys()
        self._locks = Locks()
        self._access = Access(store, api_key)

    async def answer(self, request: Request, operation: Operation | None) -> Response:
        """``operation`` is None where Stripe has no such URL or we don't stand in for it."""
        body = await request.body()
        self.store.tick()
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        entry = self.entry(request, key)
        fault = self.faults.for_request(request.method, request.url.path)
        kind = fault.kind if fault else ""
        if kind == "drop_before":
            return await drop(request)
        try:
            _refuse(kind)
            flat = params.pairs(*_given(request, body))
            flat, view = self._access.admit(request, operation, flat)
            self._limit(request, operation)
            known = operation or _unrecognized(request)
            checked = params.checked(known.declared, flat, preview=_is_preview(request))
            saved = self._begin(request, key, flat)
        except StripeError as refusal:
            content = msgspec.json.encode(refusal.body)
            return self._respond(entry, refusal.status, content, refusal.headers)
        if saved is not None:
            status, content = saved.status, saved.body
            entry["replayed"] = True
        else:
            if fault:
                with self._locks.held(request):
                    gone = await held_up(request, fault)
                if gone:
                    if key:
                        self._keys.forget(key)
                    return Response(status_code=500)  # nobody is there to read it
            status, content = 500, msgspec.json.encode(wire.api_error().body)
            if kind != "500_stored":
                executed = self._execute(request, entry["id"], key, known, checked)
                status, content = (status, content) if kind == "500_after" else executed
            if key:
                self._keys.save(key, status, content)
        if kind == "drop_after":
            return await drop(request)
        if kind == "hang":
            return await hang(request)
        return self._respond(entry, status, view(content) if status == 200 else content)

    def _begin(
        self, request: Request, key: str | None, flat: list[tuple[str, str]]
    ) -> Saved | None:
        """None: execute it. What conflicts with a request in flight saves nothing."""
        saved = None
        if key:
            fingerprint = (request.method, request.url.path, tuple(sorted(flat)))
            saved = self._keys.begin(key, fingerprint, self.store.now_s)
        if saved is None:
            try:
                self._locks.check(request)
            except StripeError:
                self._keys.forget(key or "")
                raise
        return saved

    def _limit(self, request: Request, operation: Operation | None) -> None:
        """Before the idempotency layer, as at Stripe: a 429 is never kept under a key."""
        name = operation.name if operation else request.url.path
        updated = None
        if request.method == "POST" and name.startswith("POST payment_intents/{id}"):
            updated = request.path_params["id"]
        self.limits.check(self.store.clock.now(), name, updated)

    def entry(self, request: Request, key: str | None) -> dict[str, Any]:
        """A line of the log; ``status`` stays None when no answer left."""
        entry = {
            "id": self.store.new_id("req"),
            "method": request.method,
            "path": request.url.path,
            "idempotency_key": key,
            "status": None,
            "replayed": False,
        }
        self.log.append(entry)
        return entry

    def _execute(
        self, request: Request, request_id: str, key: str | None, operation: Operation, p: Obj
    ) -> tuple[int, bytes]:
        """The status and body. Atomic: nothing else runs in between."""
        self.store.request = {"id": request_id, "idempotency_key": key}
        self.store.base_url = str(request.base_url)
        paths = p.pop("expand", [])
        try:
            answer = operation.handle(self.store, request.path_params, p)
            return 200, msgspec.json.encode(views.expanded(self.store, answer, paths))
        except StripeError as error:
            return error.status, msgspec.json.encode(error.body)
        except Exception:  # a fault of the stand-in itself: loud, and a 500 to the client
            traceback.print_exc(file=sys.stderr)
            return 500, msgspec.json.encode(wire.api_error().body)
        finally:
            self.store.request = {"id": None, "idempotency_key": None}
            self.store.catch_up()

    def _respond(
        self,
        entry: dict[str, Any],
        status: int,
        content: bytes,
        more: dict[str, str] | None = None,
    ) -> Response:
        entry["status"] = status
        headers = {"request-id": entry["id"], "stripe-version": wire.API_VERSION, **(more or {})}
        if entry["idempotency_key"]:
            headers["idempotency-key"] = entry["idempotency_key"]
        if entry["replayed"]:
            headers["idempotent-replayed"] = "true"
        return Response(content, status, headers, media_type="application/json")


def _given(request: Request, body: bytes) -> tuple[bytes, str]:
    """What was sent, and as what."""
    if request.method == "POST":
        return body, request.headers.get("content-type", "")
    return request.url.query.encode(), ""


def _unrecognized(request: Request) -> NoReturn:
    raise StripeError(
        404,
        type="invalid_request_error",
        message=f"Unrecognized request URL ({request.method}: {request.url.path}).",
    )


def _is_preview(request: Request) -> bool:
    """Preview parameters belong to the preview versions of the API."""
    return request.headers.get("stripe-version", "").endswith(".preview")


def _refuse(kind: str) -> None:
    if kind == "500_before":
        raise wire.api_error()
    if kind == "429":
        raise wire.rate_limited()
