"""One request to Stripe's API: key, faults, parameters, idempotency, execution, answer."""

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
from wattledger.sandbox.faults import Faults, drop, hang, held_up
from wattledger.sandbox.idempotency import Keys
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, StripeError

Handler = Callable[[Store, Obj, Obj], Obj]
_LOGGED = 100_000


@dataclass(frozen=True, slots=True)
class Operation:
    """A handler and the SDK's declaration of the parameters it takes."""

    declared: type
    handle: Handler


class Gateway:
    """Answers as Stripe would, and logs every request."""

    def __init__(self, store: Store, faults: Faults, api_key: str) -> None:
        self.store = store
        self.faults = faults
        self.log: deque[dict[str, Any]] = deque(maxlen=_LOGGED)
        self._keys = Keys()
        self._api_key = api_key

    async def answer(self, request: Request, operation: Operation | None) -> Response:
        """``operation`` is None where Stripe has no such URL or we don't stand in for it."""
        body = await request.body()
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        entry = self.entry(request, key)
        fault = self.faults.for_request(request.method, request.url.path)
        kind = fault.kind if fault else ""
        if kind == "drop_before":
            return await drop(request)
        try:
            _refuse(kind)
            self._authenticate(request)
            known = operation or _unrecognized(request)
            raw = body if request.method == "POST" else request.url.query.encode()
            flat = params.pairs(raw)
            checked = params.checked(known.declared, flat)
            saved = None
            if key:
                fingerprint = (request.method, request.url.path, tuple(sorted(flat)))
                saved = self._keys.begin(key, fingerprint, self.store.now_s)
        except StripeError as refusal:
            return self._respond(entry, refusal.status, msgspec.json.encode(refusal.body))
        if saved is not None:
            status, content = saved.status, saved.body
            entry["replayed"] = True
        else:
            if fault and await held_up(request, fault):
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
        return self._respond(entry, status, content)

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

    def _authenticate(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or key != self._api_key:
            raise wire.unauthorized(key if scheme.lower() == "bearer" else None)

    def _execute(
        self, request: Request, request_id: str, key: str | None, operation: Operation, p: Obj
    ) -> tuple[int, bytes]:
        """The status and body. Atomic: nothing else runs in between."""
        self.store.request = {"id": request_id, "idempotency_key": key}
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

    def _respond(self, entry: dict[str, Any], status: int, content: bytes) -> Response:
        entry["status"] = status
        headers = {"request-id": entry["id"], "stripe-version": wire.API_VERSION}
        if entry["idempotency_key"]:
            headers["idempotency-key"] = entry["idempotency_key"]
        if entry["replayed"]:
            headers["idempotent-replayed"] = "true"
        return Response(content, status, headers, media_type="application/json")


def _unrecognized(request: Request) -> NoReturn:
    raise StripeError(
        404,
        type="invalid_request_error",
        message=f"Unrecognized request URL ({request.method}: {request.url.path}).",
    )


def _refuse(kind: str) -> None:
    if kind == "500_before":
        raise wire.api_error()
    if kind == "429":
        raise wire.rate_limited()
